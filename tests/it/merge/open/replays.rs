//! Picks, reverts and rebases that wait, and undo of what went on.

use withy::{MergeAction, MergeOutcome, Resolution};

use super::{disputed, must_finish, must_open, open, pairs, proceed, resolve, resolve_all};
use crate::support::{Scratch, must_delete, must_get, must_head, must_put, must_write, rows};

#[test]
fn merge_7_picks_and_reverts_are_left_open_and_go_on() {
    let store = disputed();
    let main = store.main().expect("main");
    let topic = store.branch("topic").expect("topic");
    must_put(&topic, "b", "t2");
    let before = must_head(&main).seq;
    let report = store.cherry_pick("main", &["topic~1", "topic"], open()).expect("a report");
    assert!(report.open, "the first one conflicts");
    assert_eq!(resolve_all(&store, "main", Resolution::Ours), 3, "its conflicts");
    let report = proceed(&store, "main");
    assert_eq!(report.outcome, MergeOutcome::Conflicts, "the second one conflicts too");
    assert_eq!(report.stopped_at, Some(must_head(&topic).seq), "it is about the second one");
    assert_eq!(must_head(&main).seq, before, "nothing is written before the end");
    resolve(&store, "main", "b", Resolution::Theirs);
    let report = must_finish(&store, "main");
    assert_eq!(report.commits.len(), 2, "one commit for each");
    assert_eq!(must_get(&main, "b").as_deref(), Some("t2"), "the last one's value");
    assert_eq!(must_get(&main, "a/1").as_deref(), Some("m"), "ours stayed");
    store.undo().expect("an undo");
    assert_eq!(must_head(&main).seq, before, "together they are one step of undo");
}

/// The newest first, as one reverts: sequences then go down.
#[test]
fn merge_7_reverts_from_the_newest_on_go_on_after_the_target_has_moved() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "base", &[("a", Some("0")), ("b", Some("0"))]);
    let first = must_put(&main, "a", "1");
    let second = must_put(&main, "b", "1");
    must_write(&main, "later", &[("a", Some("2")), ("b", Some("2"))]);
    let revs = [format!("seq:{second}"), format!("seq:{first}")];
    let revs: Vec<&str> = revs.iter().map(String::as_str).collect();
    assert!(store.revert("main", &revs, open()).expect("a report").open, "the first one conflicts");
    resolve(&store, "main", "b", Resolution::Theirs);
    let report = proceed(&store, "main");
    assert_eq!(report.stopped_at, Some(first), "the second one conflicts too");
    must_put(&main, "unrelated", "1");
    resolve(&store, "main", "a", Resolution::Theirs);
    must_finish(&store, "main");
    let want = pairs(&[("a", "0"), ("b", "0"), ("unrelated", "1")]);
    assert_eq!(rows(&main), want, "both are taken back");
}

#[test]
fn merge_7_a_rebase_is_left_open_and_goes_on() {
    let mut store = disputed();
    let topic = store.branch("topic").expect("topic");
    must_delete(&topic, "topic");
    let before = must_head(&topic);
    let report = store.rebase("topic", "main", open()).expect("a report");
    assert!(report.open, "the first commit conflicts");
    drop(topic);
    store.reopen();
    let topic = store.branch("topic").expect("topic");
    assert_eq!(must_head(&topic), before, "the branch is as it was");
    resolve_all(&store, "topic", Resolution::Theirs);
    let report = must_finish(&store, "topic");
    assert_eq!((report.action, report.commits.len()), (MergeAction::Rebase, 2), "each again");
    let want = pairs(&[("a/1", "t"), ("b", "t"), ("main", "m")]);
    assert_eq!(rows(&topic), want, "both sides together");
    let base = store.merge_base("topic", "main").expect("a base");
    assert_eq!(base, [must_head(&store.main().expect("main")).seq], "it stands on main");
}

#[test]
fn undo_1_a_continued_merge_is_one_step() {
    let store = disputed();
    let main = store.main().expect("main");
    let before = (must_head(&main), rows(&main));
    must_open(&store, "main", "topic");
    resolve_all(&store, "main", Resolution::Theirs);
    let ops = store.ops(1000).expect("a list").len();
    must_finish(&store, "main");
    assert_eq!(store.ops(1000).expect("a list").len(), ops + 1, "UNDO-1: one operation");
    let merged = rows(&main);
    store.undo().expect("an undo");
    assert_eq!((must_head(&main), rows(&main)), before, "UNDO-1: as before");
    assert_eq!(store.open_merges().expect("a list"), [], "the merge is not open again");
    store.redo().expect("a redo");
    assert_eq!(rows(&main), merged, "UNDO-1: and again");
}
