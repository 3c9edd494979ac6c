//! MERGE-7: merges that wait in the store until their conflicts are settled.

mod replays;

use std::collections::BTreeMap;

use withy::{
    CommitOptions, ConflictKind, DeleteOptions, ErrorKind, KeyRange, MergeAction, MergeOptions,
    MergeOutcome, MergeReport, OpenConflict, Resolution, SettledBy, Store, Strategy,
};

use crate::support::raw::raw_rows;
use crate::support::{
    Scratch, must_branch, must_fail, must_get, must_head, must_put, must_write, rows,
};

fn open() -> MergeOptions<'static> {
    MergeOptions::default().keep_open(true)
}

/// `main` and `topic` dispute `a/1`, `a/2` and `b`; each has changed one key alone.
fn disputed() -> Scratch {
    let store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    must_write(&main, "base", &[("a/1", Some("0")), ("a/2", Some("0")), ("b", Some("0"))]);
    let topic = must_branch(&store, "topic", "main");
    must_write(
        &topic,
        "theirs",
        &[("a/1", Some("t")), ("a/2", None), ("b", Some("t")), ("topic", Some("t"))],
    );
    must_write(
        &main,
        "ours",
        &[("a/1", Some("m")), ("a/2", Some("m")), ("b", Some("m")), ("main", Some("m"))],
    );
    store
}

fn must_open(store: &Store, target: &str, source: &str) -> MergeReport {
    let report = store.merge(target, source, open()).expect("a report");
    assert_eq!((report.outcome, report.open), (MergeOutcome::Conflicts, true), "it is left open");
    report
}

fn conflicts(store: &Store, branch: &str) -> Vec<OpenConflict> {
    store.conflicts(branch, &KeyRange::all()).expect("a list")
}

/// The conflicts, each with what is to be taken.
fn told(store: &Store, branch: &str) -> Vec<(String, Option<&'static str>)> {
    let one = |one: OpenConflict| {
        let key = String::from_utf8(one.conflict.key).expect("text");
        (key, one.resolution.map(|made| made.resolution.name()))
    };
    conflicts(store, branch).into_iter().map(one).collect()
}

fn resolve(store: &Store, branch: &str, key: &str, resolution: Resolution) {
    let done = store.resolve_conflicts(branch, [(key, resolution)], None);
    assert_eq!(done.unwrap_or_else(|e| panic!("resolve {key}: {e:?}")), 1, "one is settled");
}

fn resolve_all(store: &Store, branch: &str, resolution: Resolution) -> u64 {
    store.resolve_range(branch, &KeyRange::all(), Some(resolution), None).expect("settled")
}

fn proceed(store: &Store, branch: &str) -> MergeReport {
    store.continue_merge(branch, CommitOptions::default()).expect("a report")
}

fn must_finish(store: &Store, branch: &str) -> MergeReport {
    let report = proceed(store, branch);
    assert_eq!(report.outcome, MergeOutcome::Committed, "it is finished: {report:?}");
    assert_eq!(store.open_merge(branch).expect("it can be read"), None, "nothing is open");
    report
}

fn pairs(want: &[(&str, &str)]) -> Vec<(String, String)> {
    want.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Rows of open merges and of pins, which both must go when a merge ends.
fn traces(store: &mut Scratch) -> BTreeMap<(&'static str, Vec<u8>), Vec<u8>> {
    store.close();
    let mut rows = raw_rows(&store.path());
    store.reopen();
    let pin = |key: &[u8]| key[0] == b'p' && key[9] == b'm';
    rows.retain(|(family, key), _| *family == "state" || (*family == "refs" && pin(key)));
    rows
}

#[test]
fn merge_7_conflicts_wait_in_the_store_and_survive_a_restart() {
    let mut store = disputed();
    let before = (must_head(&store.main().expect("main")), rows(&store.main().expect("main")));
    let report = must_open(&store, "main", "topic");
    let listed = conflicts(&store, "main");
    let found: Vec<_> = listed.iter().map(|one| one.conflict.clone()).collect();
    assert_eq!(found, report.conflicts, "those that were reported");
    let kinds: Vec<_> = found.iter().map(|one| one.kind).collect();
    use ConflictKind::{DeleteModify, ModifyModify};
    assert_eq!(kinds, [ModifyModify, DeleteModify, ModifyModify], "with their kinds");
    resolve(&store, "main", "b", Resolution::Value(b"mine".to_vec()));
    let (listed, info) = (conflicts(&store, "main"), store.open_merge("main").expect("read"));
    store.reopen();
    assert_eq!(conflicts(&store, "main"), listed, "MERGE-7: they survive a restart");
    assert_eq!(store.open_merge("main").expect("read"), info, "and so does the merge");
    let info = info.expect("it is open");
    assert_eq!((info.unresolved, info.resolved), (2, 1), "settled and not are counted");
    assert_eq!((info.creator.as_str(), info.source.as_str()), ("tester", "topic"), "who and what");
    let main = store.main().expect("main");
    assert_eq!((must_head(&main), rows(&main)), before, "the target is as it was");
}

#[test]
fn merge_7_conflicts_are_listed_by_range() {
    let store = disputed();
    must_open(&store, "main", "topic");
    let count = |range: KeyRange| store.conflicts("main", &range).expect("a list").len();
    assert_eq!(count(KeyRange::all()), 3, "all");
    assert_eq!(count(KeyRange::prefix("a/")), 2, "those of a prefix");
    assert_eq!(count(KeyRange::key("b")), 1, "one");
    assert_eq!(count(KeyRange::prefix("c")), 0, "none");
    // Also once the target has moved, when they are worked out anew.
    must_put(&store.main().expect("main"), "more", "1");
    assert_eq!(count(KeyRange::prefix("a/")), 2, "those of a prefix, anew");
}

#[test]
fn merge_7_conflicts_are_settled_by_key_by_range_and_anew_and_taken_back() {
    let store = disputed();
    must_open(&store, "main", "topic");
    let a = KeyRange::prefix("a/");
    let set = |range: &KeyRange, made| store.resolve_range("main", range, made, None);
    assert_eq!(set(&a, Some(Resolution::Theirs)).expect("settled"), 2, "a prefix");
    resolve(&store, "main", "a/1", Resolution::Base);
    let want = |a1, a2, b| vec![("a/1".into(), a1), ("a/2".into(), a2), ("b".into(), b)];
    assert_eq!(told(&store, "main"), want(Some("base"), Some("theirs"), None), "one anew");
    assert_eq!(set(&KeyRange::key("a/2"), None).expect("taken back"), 1, "one taken back");
    assert_eq!(told(&store, "main"), want(Some("base"), None, None), "it is open again");
    assert_eq!(resolve_all(&store, "main", Resolution::Ours), 3, "all");
    assert_eq!(set(&KeyRange::all(), None).expect("taken back"), 3, "all taken back");
    assert_eq!(told(&store, "main"), want(None, None, None), "all are open again");
    resolve_all(&store, "main", Resolution::Theirs);
    must_finish(&store, "main");
    let want = pairs(&[("a/1", "t"), ("b", "t"), ("main", "m"), ("topic", "t")]);
    assert_eq!(rows(&store.main().expect("main")), want, "theirs, a deletion included");
}

#[test]
fn merge_7_resolutions_that_do_not_fit_are_refused_and_none_is_kept() {
    let store = disputed();
    must_open(&store, "main", "topic");
    let before = conflicts(&store, "main");
    let try_all = |made: Vec<(&str, Resolution)>| {
        must_fail(store.resolve_conflicts("main", made, None), ErrorKind::Precondition)
    };
    let error = try_all(vec![("b", Resolution::Ours), ("topic", Resolution::Ours)]);
    assert_eq!(error.keys(), [b"topic"], "MERGE-6: not in conflict, by name");
    let error = try_all(vec![("b", Resolution::Ours), ("b", Resolution::Theirs)]);
    assert_eq!(error.keys(), [b"b"], "MERGE-6: two for one key, by name");
    assert_eq!(conflicts(&store, "main"), before, "none of them is kept");
    let nothing = store.resolve_conflicts("topic", [("b", Resolution::Ours)], None);
    must_fail(nothing, ErrorKind::NotFound);
}

#[test]
fn merge_7_several_people_settle_one_merge() {
    let store = disputed();
    must_open(&store, "main", "topic");
    let made = |key, taken, by| store.resolve_conflicts("main", [(key, taken)], Some(by));
    made("a/1", Resolution::Ours, "ann").expect("settled");
    made("a/2", Resolution::Delete, "bob").expect("settled");
    resolve(&store, "main", "b", Resolution::Value(b"both".to_vec()));
    let report = must_finish(&store, "main");
    let by = |taken, by: &str| SettledBy::Resolution { taken, by: by.to_owned() };
    let settled: Vec<_> = report.settled.into_iter().map(|one| one.by).collect();
    assert_eq!(settled, [by("ours", "ann"), by("delete", "bob"), by("value", "tester")], "by whom");
    let details = store.merge_details("main").expect("details").expect("it is a merge");
    let kept: Vec<_> = details.settled.into_iter().map(|one| one.by).collect();
    assert_eq!(kept, settled, "and the commit says so too");
    let want = pairs(&[("a/1", "m"), ("b", "both"), ("main", "m"), ("topic", "t")]);
    assert_eq!(rows(&store.main().expect("main")), want, "each as it was said");
}

#[test]
fn merge_7_what_is_continued_too_early_stays_open() {
    let store = disputed();
    must_open(&store, "main", "topic");
    resolve(&store, "main", "a/1", Resolution::Ours);
    let head = must_head(&store.main().expect("main"));
    let report = proceed(&store, "main");
    assert_eq!((report.outcome, report.open), (MergeOutcome::Conflicts, true), "two are left");
    let left: Vec<_> = report.conflicts.iter().map(|one| one.key.as_slice()).collect();
    assert_eq!(left, [&b"a/2"[..], b"b"], "MERGE-7: unresolved ones apart from resolved ones");
    assert_eq!(report.settled.len(), 1, "MERGE-7: resolved ones apart from unresolved ones");
    assert_eq!(must_head(&store.main().expect("main")), head, "nothing is written to the target");
    let info = store.open_merge("main").expect("read").expect("it is open");
    assert_eq!((info.unresolved, info.resolved), (2, 1), "what was settled stays settled");
}

#[test]
fn merge_7_after_a_move_of_the_target_only_what_changed_is_asked_again() {
    for listed_first in [false, true] {
        let store = disputed();
        let main = store.main().expect("main");
        must_open(&store, "main", "topic");
        for (key, taken) in [
            ("a/1", Resolution::Theirs),
            ("a/2", Resolution::Theirs),
            ("b", Resolution::Value(vec![b'v'; 100])),
        ] {
            resolve(&store, "main", key, taken);
        }
        // `a/1` has another value now; `a/2` is deleted on both sides; `topic` is new to both.
        must_write(
            &main,
            "moved on",
            &[("a/1", Some("m2")), ("a/2", None), ("topic", Some("m")), ("unrelated", Some("m"))],
        );
        let want = [("a/1", None), ("b", Some("value")), ("topic", None)];
        let want: Vec<_> = want.into_iter().map(|(key, made)| (key.to_owned(), made)).collect();
        if listed_first {
            assert_eq!(
                told(&store, "main"),
                want,
                "what changed is asked again, what did not holds"
            );
            resolve(&store, "main", "topic", Resolution::Ours);
        } else {
            let report = proceed(&store, "main");
            assert_eq!(report.outcome, MergeOutcome::Conflicts, "there is something to ask");
            assert_eq!(
                told(&store, "main"),
                want,
                "what changed is asked again, what did not holds"
            );
            resolve(&store, "main", "topic", Resolution::Ours);
        }
        resolve(&store, "main", "a/1", Resolution::Ours);
        let report = must_finish(&store, "main");
        assert_eq!(report.auto_resolved, 1, "a conflict that vanished is none");
        let long = "v".repeat(100);
        let want = pairs(&[
            ("a/1", "m2"),
            ("b", &long),
            ("main", "m"),
            ("topic", "m"),
            ("unrelated", "m"),
        ]);
        assert_eq!(rows(&main), want, "the resolution that held is used");
    }
}

#[test]
fn merge_7_a_moved_source_does_not_change_what_is_merged() {
    let store = disputed();
    must_open(&store, "main", "topic");
    let source = must_head(&store.branch("topic").expect("topic")).seq;
    must_put(&store.branch("topic").expect("topic"), "b", "later");
    resolve_all(&store, "main", Resolution::Theirs);
    let report = must_finish(&store, "main");
    assert_eq!(report.theirs, source, "the commit that was asked for");
    assert_eq!(must_get(&store.main().expect("main"), "b").as_deref(), Some("t"), "its value");
}

#[test]
fn merge_7_a_merge_that_has_nothing_left_to_do_just_ends() {
    let mut store = disputed();
    let before = traces(&mut store);
    must_open(&store, "main", "topic");
    let main = store.main().expect("main");
    store.merge("main", "topic", MergeOptions::default().strategy(Strategy::Theirs)).expect("done");
    let head = must_head(&main);
    let report = proceed(&store, "main");
    assert_eq!(report.outcome, MergeOutcome::UpToDate, "it was merged by other means");
    assert_eq!(must_head(&main), head, "nothing is written");
    drop(main);
    assert_eq!(traces(&mut store), before, "nothing is left of it");
}

#[test]
fn merge_7_an_aborted_merge_leaves_nothing() {
    let mut store = disputed();
    let before = traces(&mut store);
    for round in 0..3 {
        must_open(&store, "main", "topic");
        resolve(&store, "main", "b", Resolution::Value(vec![b'x'; 200]));
        if round > 0 {
            must_put(&store.main().expect("main"), &format!("moved {round}"), "1");
            resolve(&store, "main", "a/1", Resolution::Ours);
        }
        if round > 1 {
            store.reset("main", "main~2").expect("a reset");
        }
        let content = rows(&store.main().expect("main"));
        let aborted = store.abort_merge("main").expect("it is aborted");
        assert_eq!((aborted.target.as_str(), aborted.source.as_str()), ("main", "topic"), "which");
        assert_eq!(rows(&store.main().expect("main")), content, "the branch is as it was");
        assert_eq!(store.open_merges().expect("a list"), [], "none is open");
        must_fail(store.conflicts("main", &KeyRange::all()), ErrorKind::NotFound);
        must_fail(store.abort_merge("main"), ErrorKind::NotFound);
        must_fail(store.continue_merge("main", CommitOptions::default()), ErrorKind::NotFound);
        assert_eq!(traces(&mut store), before, "no row and no pin is left of it");
    }
}

#[test]
fn merge_7_one_merge_a_branch_is_open_at_a_time() {
    let store = disputed();
    let other = must_branch(&store, "other", "main~1");
    must_put(&other, "b", "o");
    must_open(&store, "main", "topic");
    for source in ["other", "topic"] {
        let second = store.merge("main", source, open());
        must_fail(second, ErrorKind::Exists);
    }
    must_fail(store.cherry_pick("main", &["other"], open()), ErrorKind::Exists);
    must_open(&store, "other", "topic");
    let names: Vec<_> = store
        .open_merges()
        .expect("a list")
        .into_iter()
        .map(|one| one.target.to_string())
        .collect();
    assert_eq!(names, ["main", "other"], "two branches have one each");
    assert_eq!(resolve_all(&store, "other", Resolution::Ours), 1, "each has its conflicts");
    must_finish(&store, "other");
    assert_eq!(told(&store, "main").len(), 3, "the other one is untouched");
    resolve_all(&store, "main", Resolution::Ours);
    must_finish(&store, "main");
    must_open(&store, "main", "other");
}

#[test]
fn merge_7_names_that_begin_alike_have_merges_of_their_own() {
    let mut store = disputed();
    for name in ["main/a", "main-2", "m"] {
        must_branch(&store, name, "main");
        must_open(&store, name, "topic");
    }
    must_open(&store, "main", "topic");
    store.abort_merge("main").expect("it is aborted");
    for name in ["main/a", "main-2", "m"] {
        assert_eq!(told(&store, name).len(), 3, "the merge on {name} is as it was");
        store.abort_merge(name).expect("it is aborted");
    }
    assert_eq!(traces(&mut store).len(), 0, "nothing is left");
}

#[test]
fn merge_7_a_merge_that_must_not_conflict_is_never_left_open() {
    let store = disputed();
    for options in
        [open().strategy(Strategy::FastForward), open().strategy_for("a/", Strategy::FastForward)]
    {
        let report = store.merge("main", "topic", options).expect("a report");
        assert_eq!((report.outcome, report.open), (MergeOutcome::Conflicts, false), "not kept");
    }
    assert_eq!(store.open_merges().expect("a list"), [], "none is open");
}

#[test]
fn merge_7_options_and_resolutions_that_were_given_count_when_it_goes_on() {
    let mut store = disputed();
    let options = open()
        .strategy_for("a/1", Strategy::Theirs)
        .resolve("b", Resolution::Base)
        .squash(true)
        .author("ann")
        .message("as agreed");
    let report = store.merge("main", "topic", options).expect("a report");
    let left: Vec<_> = report.conflicts.iter().map(|one| one.key.as_slice()).collect();
    assert_eq!(left, [b"a/2"], "the strategy and the resolution settle the rest");
    store.reopen();
    resolve(&store, "main", "a/2", Resolution::Theirs);
    let report = must_finish(&store, "main");
    assert_eq!(report.action, MergeAction::Squash, "as it was begun");
    let head = must_head(&store.main().expect("main"));
    assert_eq!((head.author.as_str(), head.message.as_str()), ("ann", "as agreed"), "as told");
    assert_eq!(head.parents.len(), 1, "a squash has one parent");
    let want = pairs(&[("a/1", "t"), ("b", "0"), ("main", "m"), ("topic", "t")]);
    assert_eq!(rows(&store.main().expect("main")), want, "each by what was said of it");
}

#[test]
fn merge_7_a_reset_target_is_merged_from_where_it_is() {
    let store = disputed();
    must_open(&store, "main", "topic");
    resolve_all(&store, "main", Resolution::Theirs);
    store.reset("main", "main~1").expect("a reset");
    let report = proceed(&store, "main");
    assert_eq!(report.outcome, MergeOutcome::FastForward, "nothing is in dispute any more");
    assert_eq!(store.open_merges().expect("a list"), [], "nothing is open");
}

#[test]
fn merge_7_a_deleted_branch_takes_its_merge_along() {
    let mut store = disputed();
    let before = traces(&mut store);
    must_branch(&store, "work", "main");
    must_open(&store, "work", "topic");
    store.delete_branch("work", DeleteOptions::default().force(true)).expect("deleted");
    must_branch(&store, "work", "main");
    assert_eq!(store.open_merge("work").expect("read"), None, "BR-5: nothing is brought back");
    assert_eq!(store.open_merges().expect("a list"), [], "none is listed");
    assert_eq!(traces(&mut store), before, "no row and no pin is left");
}

#[test]
fn merge_7_a_branch_with_an_open_merge_is_not_renamed() {
    let mut store = disputed();
    let before = traces(&mut store);
    must_branch(&store, "work", "main");
    must_open(&store, "work", "topic");
    let listed = conflicts(&store, "work");
    let refused = store.rename_branch("work", "done").expect_err("a merge is open");
    assert_eq!(refused.kind(), ErrorKind::Invalid, "it is to be finished first");
    assert_eq!(conflicts(&store, "work"), listed, "all is as it was");
    resolve_all(&store, "work", Resolution::Ours);
    must_finish(&store, "work");
    store.rename_branch("work", "done").expect("renamed");
    assert_eq!(traces(&mut store), before, "no row and no pin is left");
}

#[test]
fn merge_7_large_resolutions_are_kept_and_used() {
    let mut store = disputed();
    must_open(&store, "main", "topic");
    let large = |byte: u8| vec![byte; 100_000];
    let made: Vec<_> = [("a/1", b'1'), ("a/2", b'2'), ("b", b'1')]
        .map(|(k, b)| (k, Resolution::Value(large(b))))
        .into();
    store.resolve_conflicts("main", made, None).expect("settled");
    store.reopen();
    let kept: Vec<_> = conflicts(&store, "main")
        .into_iter()
        .map(|one| one.resolution.expect("made").resolution)
        .collect();
    let want = [b'1', b'2', b'1'].map(|byte| Resolution::Value(large(byte)));
    assert_eq!(kept, want, "large values are kept whole");
    must_finish(&store, "main");
    for (key, byte) in [("a/1", b'1'), ("a/2", b'2'), ("b", b'1')] {
        let value = must_get(&store.main().expect("main"), key);
        assert_eq!(value, Some(crate::support::show(&large(byte))), "{key} is as it was said");
    }
}

#[test]
fn merge_7_what_a_merge_waits_for_is_pinned_until_it_ends() {
    let mut store = disputed();
    let before = traces(&mut store);
    must_open(&store, "main", "topic");
    let pins = |rows: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>| {
        rows.into_keys().filter(|(family, _)| *family == "refs").count()
    };
    let base = pins(before.clone());
    assert_eq!(pins(traces(&mut store)), base + 2, "the target as it was, and the source");
    must_put(&store.main().expect("main"), "more", "1");
    resolve_all(&store, "main", Resolution::Ours);
    assert_eq!(pins(traces(&mut store)), base + 2, "the target as it is now, and the source");
    must_finish(&store, "main");
    assert_eq!(traces(&mut store), before, "no pin is left");
}
