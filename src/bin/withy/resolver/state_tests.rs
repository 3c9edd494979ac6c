//! Keys in, actions out.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use withy::ConflictKind;

use super::state::{Action, Choice, Focus, Mode, Row, State};
use crate::text::Format;

fn row(key: &[u8]) -> Row {
    Row {
        key: key.to_vec(),
        kind: ConflictKind::ModifyModify,
        settled: None,
        bases_differ: false,
        refused: None,
    }
}

fn state(keys: &[&str]) -> State {
    let rows = keys.iter().map(|key| row(key.as_bytes())).collect();
    let mut state = State::new("merge of topic into main".into(), rows, Format::Text);
    state.resized(4, 10);
    state
}

fn press(state: &mut State, code: KeyCode) -> Option<Action> {
    state.on(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Presses the keys of a text; the action of the last one.
fn press_all(state: &mut State, keys: &str) -> Option<Action> {
    keys.chars().map(|c| press(state, KeyCode::Char(c))).last().flatten()
}

fn note(state: &State) -> &str {
    state.note.as_ref().map_or("", |note| &note.text)
}

#[test]
fn a_side_is_taken_for_the_selected_conflict() {
    for (key, choice) in
        [('o', Choice::Ours), ('t', Choice::Theirs), ('b', Choice::Base), ('d', Choice::Delete)]
    {
        let mut state = state(&["a", "b"]);
        let action = press_all(&mut state, &format!("j{key}"));
        assert_eq!(action, Some(Action::Settle(vec![1], choice)), "{key}");
        assert_eq!(state.left, 2, "{key}: it counts once it is stored");
    }
}

#[test]
fn a_base_is_not_taken_where_bases_disagree() {
    let mut state = state(&["a"]);
    state.rows[0].bases_differ = true;
    assert_eq!(press_all(&mut state, "b"), None);
    assert_eq!(note(&state), "the merge bases disagree, so there is no base value to take");
}

#[test]
fn all_are_settled_only_after_a_yes() {
    let mut state = state(&["a", "b", "c"]);
    state.settled(&[1], Some((Choice::Base, "ada")));
    assert_eq!(press_all(&mut state, "T"), None, "it asks");
    assert_eq!(press_all(&mut state, "n"), None, "no is no");
    assert_eq!(note(&state), "nothing is changed");
    let action = press_all(&mut state, "Ty");
    assert_eq!(
        action,
        Some(Action::Settle(vec![0, 2], Choice::Theirs)),
        "what is settled already stays as it is"
    );
}

#[test]
fn enter_opens_no_editor() {
    let mut state = state(&["a"]);
    state.on(KeyEvent::from(KeyCode::Char('n')));
    assert_eq!(state.on(KeyEvent::from(KeyCode::Enter)), None, "only e edits");
}

#[test]
fn all_means_all_of_the_filter() {
    let mut state = state(&["a/1", "b/1", "a/2"]);
    press_all(&mut state, "/a/");
    press(&mut state, KeyCode::Enter);
    assert_eq!(press_all(&mut state, "Oy"), Some(Action::Settle(vec![0, 2], Choice::Ours)));
}

#[test]
fn a_filter_is_typed_taken_back_and_cleared() {
    let mut state = state(&["a", "b", "ab"]);
    press_all(&mut state, "G/b");
    assert_eq!((state.shown.as_slice(), state.cursor), (&[1, 2][..], 1), "the selection stays");
    press(&mut state, KeyCode::Enter);
    press_all(&mut state, "/x");
    assert!(state.shown.is_empty(), "no key has this text in it");
    assert_eq!(press_all(&mut state, "o"), None, "letters are typed");
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.filter, "b", "the filter is as it was before");
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.shown.len(), 3, "all are shown");
}

#[test]
fn keys_are_filtered_as_they_are_shown() {
    let rows = vec![row(b"\xff"), row(b"a\nb")];
    let mut state = State::new(String::new(), rows, Format::Text);
    press_all(&mut state, "/\\xff");
    assert_eq!(state.shown, [0]);
    press(&mut state, KeyCode::Esc);
    press_all(&mut state, "/\\n");
    assert_eq!(state.shown, [1]);
}

#[test]
fn nothing_selected_is_nothing_to_do() {
    let mut state = state(&[]);
    for key in "otbdeuOTnjkgGJK /".chars() {
        assert_eq!(press(&mut state, KeyCode::Char(key)), None, "{key:?}");
    }
}

#[test]
fn next_goes_to_what_is_not_settled_round_the_end() {
    let mut state = state(&["a", "b", "c"]);
    state.settled(&[1], Some((Choice::Ours, "")));
    press_all(&mut state, "n");
    assert_eq!(state.cursor, 2);
    press_all(&mut state, "n");
    assert_eq!(state.cursor, 0);
    state.settled(&[0, 2], Some((Choice::Ours, "")));
    press_all(&mut state, "n");
    assert_eq!(note(&state), "no conflict is left; c continues");
}

#[test]
fn the_merge_is_continued_only_when_none_is_left() {
    let mut state = state(&["a", "b"]);
    state.settled(&[0], Some((Choice::Ours, "")));
    assert_eq!(press_all(&mut state, "c"), None);
    assert_eq!(note(&state), "1 conflict not settled yet; n goes to the next");
    state.settled(&[1], Some((Choice::Delete, "")));
    assert_eq!(press_all(&mut state, "c"), Some(Action::Continue));
}

#[test]
fn a_resolution_is_taken_back() {
    let mut state = state(&["a"]);
    assert_eq!(press_all(&mut state, "u"), None, "there is none");
    state.settled(&[0], Some((Choice::Ours, "")));
    assert_eq!(press_all(&mut state, "u"), Some(Action::Unsettle(0)));
    state.settled(&[0], None);
    assert_eq!(state.left, 1);
}

#[test]
fn settling_anew_counts_once() {
    let mut state = state(&["a", "b"]);
    state.settled(&[0], Some((Choice::Ours, "")));
    state.settled(&[0], Some((Choice::Theirs, "")));
    assert_eq!(state.left, 1);
}

#[test]
fn the_list_shows_where_the_selection_is() {
    let keys: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let mut state = state(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    press_all(&mut state, "jjj");
    assert_eq!((state.cursor, state.top), (3, 0), "still on the screen");
    press_all(&mut state, "j");
    assert_eq!((state.cursor, state.top), (4, 1), "one line further");
    press(&mut state, KeyCode::PageDown);
    assert_eq!((state.cursor, state.top), (8, 5));
    press(&mut state, KeyCode::End);
    assert_eq!((state.cursor, state.top), (9, 6));
    state.resized(20, 1);
    assert_eq!(state.top, 0, "a larger screen has no empty lines while there are rows");
    state.resized(0, 0);
    assert_eq!(state.top, 9, "no screen is too small");
    press(&mut state, KeyCode::Home);
    assert_eq!((state.cursor, state.top), (0, 0));
}

#[test]
fn panes_scroll_one_by_one_or_together() {
    let mut state = state(&["a", "b"]);
    state.extents = [(30, 100), (12, 5), (5, 5)];
    press_all(&mut state, "JJJ");
    assert_eq!(state.offsets.map(|offset| offset.line), [3, 2, 0], "each to its end");
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.focus, Focus::Pane(0));
    press(&mut state, KeyCode::PageDown);
    press(&mut state, KeyCode::Right);
    assert_eq!((state.offsets[0].line, state.offsets[0].column), (13, 8));
    assert_eq!(state.offsets[1].line, 2, "the others stay");
    assert_eq!(state.cursor, 0, "the list stays");
    press(&mut state, KeyCode::BackTab);
    press_all(&mut state, "j");
    assert_eq!(state.offsets.map(|offset| offset.line), [0; 3], "another key starts at its top");
}

#[test]
fn texts_that_are_not_stored_are_not_given_up_silently() {
    let mut state = state(&["a"]);
    assert_eq!(press_all(&mut state, "q"), Some(Action::Quit));
    state.drafts.insert(b"a".to_vec(), b"<<<<<<<".to_vec());
    assert_eq!(press_all(&mut state, "q"), None, "it asks");
    assert_eq!(press_all(&mut state, "y"), Some(Action::Quit));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.on(control_c), Some(Action::Quit), "this asks nothing");
}

#[test]
fn help_goes_away_with_any_key() {
    let mut state = state(&["a"]);
    press_all(&mut state, "?");
    assert_eq!(state.mode, Mode::Help);
    assert_eq!(press_all(&mut state, "d"), None, "the key does nothing else");
    assert_eq!(state.mode, Mode::Browse);
}

#[test]
fn other_conflicts_keep_the_selected_key() {
    let mut state = state(&["a", "b", "c"]);
    press_all(&mut state, "j");
    state.load("rebase".into(), vec![row(b"b"), row(b"d")]);
    assert_eq!((state.cursor, state.left), (0, 2), "b is the first now");
    press_all(&mut state, "j");
    state.load("rebase".into(), vec![row(b"e")]);
    assert_eq!(state.cursor, 0, "what is gone is not selected");
}

#[test]
fn very_many_conflicts_are_no_more_work_than_a_few() {
    let rows = (0..100_000).map(|n| row(format!("key/{n}").as_bytes())).collect();
    let mut state = State::new(String::new(), rows, Format::Text);
    state.resized(20, 10);
    press(&mut state, KeyCode::End);
    assert_eq!((state.cursor, state.top), (99_999, 99_980));
    press_all(&mut state, "/99999");
    assert_eq!(state.shown, [99_999]);
}
