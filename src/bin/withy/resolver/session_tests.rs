//! Keys in, screens out, with a store behind them.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent};
use withy::{CommitOptions, KeyRange, MergeOptions, MergeOutcome, Read as _, Resolution, Store};

use super::edit::Edited;
use super::session::{End, Session};
use super::{show, take};
use crate::changes::Formats;
use crate::text::Format;

/// A key, and what base, ours and theirs have.
type Versions = (&'static [u8], [Option<&'static [u8]>; 3]);

/// A store with an open merge of `topic` into `main`.
fn conflicting(rows: &[Versions]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let store = Store::options().author("ada").open(dir.path()).expect("a store can be made");
    let main = store.main().expect("there is main");
    let write = |branch: &withy::Branch, side: usize| {
        let mut batch = withy::Batch::new();
        for (key, versions) in rows {
            match versions[side] {
                Some(value) => batch.put(*key, value),
                None => batch.delete(*key),
            };
        }
        branch.write(batch, CommitOptions::default()).expect("it can be written");
    };
    write(&main, 0);
    let topic = store.create_branch("topic", "main", Default::default()).expect("a new branch");
    write(&main, 1);
    write(&topic, 2);
    let options = MergeOptions::default().keep_open(true);
    let report = store.merge("main", "topic", options).expect("it can be planned");
    assert_eq!(report.conflicts.len(), rows.len(), "each key is a conflict");
    (dir, store)
}

const FRUIT: [Versions; 3] = [
    (b"gone", [Some(b"here"), None, Some(b"there")]),
    (
        b"pear",
        [
            Some(b"green\nsweet\nround"),
            Some(b"red\nsweet\noval"),
            Some(b"yellow\nsweet\nround\nripe"),
        ],
    ),
    (b"plum\xff", [None, Some("紫\n".as_bytes()), Some(b"\x00\x01\xff")]),
];

/// The resolver without a terminal.
struct Trial<'s> {
    session: Session<'s>,
    terminal: Terminal<TestBackend>,
    /// What the editor makes of a text.
    editor: fn(&str) -> String,
}

impl<'s> Trial<'s> {
    fn new(store: &'s Store) -> Self {
        let formats = Formats { key: Format::Text, value: Format::Text };
        let options = CommitOptions::default();
        let session = Session::new(store, "main", options, "ada".into(), formats);
        Self {
            session: session.expect("there is an open merge"),
            terminal: Terminal::new(TestBackend::new(72, 15)).expect("it is only memory"),
            editor: str::to_owned,
        }
    }

    fn press(&mut self, code: KeyCode) -> Option<End> {
        let editor = self.editor;
        let mut edit = |offer: &super::edit::Offer| {
            Ok(Edited::Text(editor(&String::from_utf8_lossy(&offer.text)).into_bytes()))
        };
        let event = Event::Key(KeyEvent::from(code));
        let end = take(&mut self.session, &event, &mut edit).expect("the store is sound");
        show(&mut self.session, &mut self.terminal, false).expect("it is only memory");
        end
    }

    /// Presses the keys of a text; how the resolver ended with the last one, if it did.
    fn keys(&mut self, keys: &str) -> Option<End> {
        keys.chars().map(|c| self.press(KeyCode::Char(c))).last().flatten()
    }

    fn screen(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = ratatui::text::Line::raw(symbol).width().max(1);
                }
                skip -= 1;
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    #[track_caller]
    fn shows(&self, written: &str) {
        let got = self.screen();
        assert!(got == written.trim_start_matches('\n'), "the screen is:\n{got}");
    }
}

#[test]
fn the_screen_has_the_list_and_the_three_versions() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("j");
    trial.shows(
        r#"
3 of 3 conflicts left: merge of topic into main
┌conflicts 2/3─────────────────────────────────────────────────────────┐
│[ ] modify/delete gone                                                │
│[ ] modify/modify pear                                                │
│[ ] add/add       plum\xff                                            │
└──────────────────────────────────────────────────────────────────────┘
both changed it
┌base seq:1────────────┐┌ours: main seq:2──────┐┌theirs: topic seq:3───┐
│-green                ││+red                  ││+yellow               │
│ sweet                ││ sweet                ││ sweet                │
│oround                ││+oval                 ││ round                │
│                      ││                      ││+ripe                 │
│                      ││                      ││                      │
└17 bytes──────────────┘└14 bytes──────────────┘└23 bytes──────────────┘
? help  o ours  t theirs  d delete  e edit  n next  c continue  q quit
"#,
    );
}

#[test]
fn what_is_not_text_or_not_there_is_said() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("Gt");
    trial.shows(
        r#"
2 of 3 conflicts left: merge of topic into main
┌conflicts 3/3─────────────────────────────────────────────────────────┐
│[ ] modify/delete gone                                                │
│[ ] modify/modify pear                                                │
│[t] add/add       plum\xff                                            │
└──────────────────────────────────────────────────────────────────────┘
settled: theirs by ada; both added it
┌base──────────────────┐┌ours: main seq:2──────┐┌theirs: topic seq:3───┐
│ (absent)             ││+紫                   ││+\x00\x01\xff         │
│                      ││                      ││                      │
│                      ││                      ││                      │
│                      ││                      ││                      │
│                      ││                      ││                      │
└──────────────────────┘└4 bytes───────────────┘└not text, 3 bytes─────┘
plum\xff: theirs
"#,
    );
}

#[test]
fn a_narrow_screen_shows_one_pane() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.terminal.backend_mut().resize(36, 13);
    trial.keys("j");
    trial.press(KeyCode::Tab);
    trial.shows(
        r#"
3 of 3 conflicts left: merge of topi
┌conflicts 2/3─────────────────────┐
│[ ] modify/delete gone            │
│[ ] modify/modify pear            │
│[ ] add/add       plum\xff        │
└──────────────────────────────────┘
both changed it
┌base seq:1────────────────────────┐
│-green                            │
│ sweet                            │
│oround                            │
└17 bytes──────────────────────────┘
? help  n next  c continue  q quit
"#,
    );
}

#[test]
fn the_filter_is_seen_while_it_is_typed() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.terminal.backend_mut().resize(40, 8);
    trial.keys("/p");
    trial.shows(
        r#"
3 of 3 conflicts left: merge of topic in
┌conflicts 1/2 with "p"────────────────┐
│[ ] modify/modify pear                │
│[ ] add/add       plum\xff            │
│                                      │
└──────────────────────────────────────┘
both changed it
/p
"#,
    );
}

#[test]
fn help_covers_the_rest() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.terminal.backend_mut().resize(64, 23);
    trial.keys("?");
    trial.shows(
        r#"
3 of 3 conflicts left: merge of topic into main
┌┌help────────────────────────────────────────────────────────┐┐
││ o t b d   take ours, theirs, the base's, or delete the key ││
││ O T       ours or theirs for all that are not settled      ││
││ e         edit the value ($VISUAL, $EDITOR or vi)          ││
││ u         not settled any more                             ││
└│ n         next conflict that is not settled                │┘
t│ /         show only keys with some text in them            │
┌│ Esc       show all keys again                              │┐
││ c         continue, when nothing is left to settle         ││
││ q         quit; what is settled is stored already          ││
││                                                            ││
││ up down   k j, PgUp PgDn, Home End: move in the list       ││
││ Tab       move in the list, or in one of the panes         ││
││ J K       scroll all panes; left right: sideways           ││
││                                                            ││
││ ours receives the changes, theirs are the changes          ││
││ [ ]       not settled; [o] ours, [t] theirs,               ││
││           [b] base, [d] deleted, [e] edited                ││
││ +         the base does not have this line                 ││
││ o t -     gone in ours, in theirs, in both                 ││
└└any key closes this─────────────────────────────────────────┘┘
? help  o ours  t theirs  e edit  n next  c continue  q quit
"#,
    );
}

#[test]
fn no_screen_is_too_small() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    for (width, height) in (0..70).step_by(3).flat_map(|w| (0..20).map(move |h| (w, h))) {
        trial.terminal.backend_mut().resize(width, height);
        trial.keys("?jTn/");
        trial.press(KeyCode::Esc);
        trial.press(KeyCode::Tab);
    }
    trial.terminal.backend_mut().resize(1, 1);
    trial.keys("g");
    assert_eq!(trial.screen(), "[\n", "one cell is the mark of the selected conflict");
}

#[test]
fn every_resolution_is_stored_at_once() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("dnbnt");
    let stored = || -> Vec<Option<Resolution>> {
        let conflicts = store.conflicts("main", &KeyRange::all()).expect("it is open");
        conflicts.into_iter().map(|one| one.resolution.map(|made| made.resolution)).collect()
    };
    let made = [Resolution::Delete, Resolution::Base, Resolution::Theirs].map(Some);
    assert_eq!(stored(), made, "before the resolver has ended");
    trial.keys("gu");
    assert_eq!(stored(), [None, Some(Resolution::Base), Some(Resolution::Theirs)], "taken back");
    assert!(matches!(trial.keys("q"), Some(End::Quit(1))), "one is left");
}

#[test]
fn a_text_is_stored_once_its_markers_are_gone() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.editor = |text| text.replace("red\n", "amber\n");
    trial.keys("je");
    assert_eq!(trial.session.state.left, 3, "markers are left");
    assert_eq!(trial.session.state.drafts.len(), 1, "what was typed is kept");
    trial.editor = |text| {
        assert!(text.contains("amber\n"), "the editor goes on with what was typed");
        "amber\nsweet\n".to_owned()
    };
    trial.keys("e");
    assert_eq!(trial.session.state.left, 2);
    trial.editor = |text| {
        assert_eq!(text, "amber\nsweet", "what was settled by hand is edited again");
        "amber".to_owned()
    };
    trial.keys("e");
    let conflicts = store.conflicts("main", &KeyRange::key("pear")).expect("it is open");
    let made = conflicts[0].resolution.as_ref().map(|made| &made.resolution);
    assert_eq!(made, Some(&Resolution::Value(b"amber".to_vec())));
}

#[test]
fn a_text_that_nobody_changed_is_stored_after_a_yes() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("e");
    assert_eq!(trial.session.state.left, 3, "it asks");
    trial.keys("y");
    assert_eq!(trial.session.state.left, 2);
}

#[test]
fn the_merge_is_continued_when_all_are_settled() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("Ty");
    let Some(End::Merged(report, title)) = trial.keys("c") else {
        panic!("the merge is done");
    };
    assert_eq!(
        (report.outcome, title.as_str()),
        (MergeOutcome::Committed, "merge of topic into main")
    );
    let pear = store.main().and_then(|main| main.get(b"pear")).expect("it can be read");
    assert_eq!(pear.as_deref(), Some(&b"yellow\nsweet\nround\nripe"[..]));
}

#[test]
fn conflicts_that_have_come_meanwhile_are_shown() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    trial.keys("Oy");
    store.main().and_then(|main| main.put("pear", "blue")).expect("it can be written");
    assert!(trial.keys("c").is_none(), "it goes on");
    assert_eq!(trial.session.state.left, 1, "the resolution was for other values");
    let note = trial.session.state.note.as_ref().map_or("", |note| &note.text);
    assert_eq!(note, "1 conflict came up, so it is not done yet");
    trial.keys("no");
    assert!(matches!(trial.keys("c"), Some(End::Merged(..))), "settled once more");
}

#[test]
fn conflicts_are_settled_as_they_are_after_the_branch_has_moved() {
    let (_dir, store) = conflicting(&FRUIT);
    let mut trial = Trial::new(&store);
    store.main().and_then(|main| main.put("pear", "blue")).expect("it can be written");
    trial.keys("jt");
    let conflicts = store.conflicts("main", &KeyRange::all()).expect("it is open");
    assert_eq!(conflicts.len(), 3, "the others are kept");
    trial.keys("Oy");
    assert!(matches!(trial.keys("c"), Some(End::Merged(..))), "nothing is in the way");
    let pear = store.main().and_then(|main| main.get(b"pear")).expect("it can be read");
    assert_eq!(pear.as_deref(), Some(&b"yellow\nsweet\nround\nripe"[..]));
}

#[test]
fn picks_stop_at_one_commit_after_another() {
    let (_dir, store) = conflicting(&FRUIT);
    store.abort_merge("main").expect("it is open");
    let topic = store.branch("topic").expect("there is topic");
    topic.put("pear", "ripe").expect("it can be written");
    let options = MergeOptions::default().keep_open(true);
    store.cherry_pick("main", &["topic~1", "topic"], options).expect("it can be planned");
    let mut trial = Trial::new(&store);
    assert_eq!(trial.session.state.rows.len(), 3);
    trial.keys("Oy");
    assert!(trial.keys("c").is_none(), "the second is in conflict as well");
    assert_eq!(trial.session.state.rows.len(), 1, "those of the first are done with");
    trial.keys("t");
    assert!(matches!(trial.keys("c"), Some(End::Merged(..))), "now it is done");
    let pear = store.main().and_then(|main| main.get(b"pear")).expect("it can be read");
    assert_eq!(pear.as_deref(), Some(&b"ripe"[..]));
}
