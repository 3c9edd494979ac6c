//! What was found wrong once.

use withy::{
    Batch, Branch, CommitOptions, ErrorKind, KeyRange, MergeOptions, MergeOutcome, Read,
    Resolution, Store, Strategy,
};

use crate::support::{Scratch, must_branch, must_put};

fn value(branch: &Branch, key: &str) -> Option<String> {
    let value = branch.get(key.as_bytes()).expect("a read");
    value.map(|value| String::from_utf8(value).expect("text"))
}

fn has(branch: &Branch, key: &str, wanted: &str) {
    assert_eq!(value(branch, key).as_deref(), Some(wanted), "the value of {key}");
}

fn merge(store: &Store, target: &str, source: &str) {
    let report = store.merge(target, source, MergeOptions::default()).expect("a merge");
    assert_eq!(report.outcome, MergeOutcome::Committed, "{source} goes into {target}");
}

#[test]
fn merge_11_a_rebase_brings_back_nothing_that_was_merged_from_upstream() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "k", "0");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "t", "1");
    must_put(&main, "k", "1");
    merge(&store, "topic", "main");
    must_put(&main, "k", "2");
    let theirs = MergeOptions::default().strategy(Strategy::Theirs);
    let report = store.rebase("topic", "main", theirs).expect("a rebase");
    assert_eq!(report.settled, [], "nobody disputes anything");
    has(&topic, "k", "2");
    has(&topic, "t", "1");
}

#[test]
fn merge_10_a_rebase_over_a_merge_counts_nothing_twice() {
    let store = Scratch::new();
    store.set_merge_driver("hits", Some("counter")).expect("a rule");
    let main = store.main().expect("main");
    must_put(&main, "hits", "0");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "hits", "1");
    must_put(&main, "hits", "1");
    merge(&store, "topic", "main");
    has(&topic, "hits", "2");
    store.rebase("topic", "main", MergeOptions::default()).expect("a rebase");
    has(&topic, "hits", "2");
}

#[test]
fn merge_10_two_increments_are_two_but_a_pick_that_is_there_is_one() {
    let store = Scratch::new();
    store.set_merge_driver("hits", Some("counter")).expect("a rule");
    let main = store.main().expect("main");
    must_put(&main, "hits", "5");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "hits", "6");
    must_put(&main, "hits", "6");
    let picked = store.cherry_pick("main", &["topic"], MergeOptions::default()).expect("a pick");
    assert_eq!(picked.outcome, MergeOutcome::UpToDate, "it is there already");
    merge(&store, "main", "topic");
    has(&main, "hits", "7");
}

#[test]
fn merge_7_what_a_step_before_made_can_be_read_and_edited() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "n", "a");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "n", "b");
    must_put(&topic, "n", "c");
    must_put(&main, "n", "z");
    let open = MergeOptions::default().keep_open(true);
    store.rebase("topic", "main", open).expect("it stops");
    let mine = Resolution::Value(b"mine".to_vec());
    store.resolve_conflicts("topic", [("n", mine)], None).expect("settled");
    let report = store.continue_merge("topic", CommitOptions::default()).expect("it stops again");
    assert_eq!(report.outcome, MergeOutcome::Conflicts, "the second step is disputed");
    let conflicts = store.conflicts("topic", &KeyRange::all()).expect("a list");
    let last = &conflicts.iter().find(|one| one.resolution.is_none()).expect("one").conflict;
    let ours = store.conflict_value(last, last.ours).expect("a value");
    assert_eq!(ours.as_deref(), Some(&b"mine"[..]), "what the first step made");
}

#[test]
fn merge_3_what_is_said_here_goes_before_longer_prefixes_in_the_settings() {
    let store = Scratch::new();
    store.set_merge_strategy("a/b/", Some(Strategy::Theirs)).expect("a rule");
    store.set_merge_driver("a/c/", Some("set")).expect("a rule");
    let main = store.main().expect("main");
    let topic = must_branch(&store, "topic", "main");
    for (branch, word) in [(&main, "ours"), (&topic, "theirs")] {
        let mut batch = Batch::new();
        batch.put("a/b/k", word).put("a/c/k", word);
        branch.write(batch, CommitOptions::default()).expect("a commit");
    }
    let options = MergeOptions::default().strategy_for("a/", Strategy::Ours).no_driver_for("a/");
    store.merge("main", "topic", options).expect("a merge");
    has(&main, "a/b/k", "ours");
    has(&main, "a/c/k", "ours");
}

#[test]
fn merge_11_a_commit_is_not_picked_twice_at_once() {
    let store = Scratch::new();
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "k", "1");
    let twice = store.cherry_pick("main", &["topic", "seq:1"], MergeOptions::default());
    let refused = twice.expect_err("twice the same");
    assert_eq!(
        (refused.kind(), refused.to_string().as_str()),
        (ErrorKind::Invalid, "seq:1 is given twice")
    );
}

#[test]
fn merge_7_resolutions_of_later_steps_stay_when_an_earlier_one_opens_again() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "k", "theirs");
    must_put(&topic, "j", "theirs");
    must_put(&topic, "l", "theirs");
    for key in ["k", "j", "l"] {
        must_put(&main, key, "ours");
    }
    let open = MergeOptions::default().keep_open(true);
    store.cherry_pick("main", &["topic~2", "topic~1", "topic"], open).expect("it stops");
    for key in ["k", "j"] {
        store.resolve_conflicts("main", [(key, Resolution::Theirs)], None).expect("settled");
        store.continue_merge("main", CommitOptions::default()).expect("it stops at the next");
    }
    must_put(&main, "k", "changed");
    store.continue_merge("main", CommitOptions::default()).expect("it stops at the first");
    store.resolve_conflicts("main", [("k", Resolution::Ours)], None).expect("settled");
    let report = store.continue_merge("main", CommitOptions::default()).expect("it goes on");
    let left: Vec<_> = report.conflicts.iter().map(|one| one.key.as_slice()).collect();
    assert_eq!(left, [b"l"], "what was settled for j is not asked again");
}

#[test]
fn undo_1_an_open_merge_is_not_undone_with_its_branch() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "k", "theirs");
    must_put(&main, "k", "ours");
    must_branch(&store, "work", "main");
    store.merge("work", "topic", MergeOptions::default().keep_open(true)).expect("it stops");
    let refused = store.undo().expect_err("a merge is open on it");
    assert_eq!(refused.kind(), ErrorKind::Invalid, "it is to be finished first");
    assert!(store.open_merge("work").expect("a read").is_some(), "it is still there");
    store.abort_merge("work").expect("given up");
    store.undo().expect("an undo");
    assert!(store.branch("work").is_err(), "the branch is gone");
}
