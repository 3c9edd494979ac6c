//! The same anomalies over several branches in one transaction (TXN-6), and on branches that are made
//! from one another or moved meanwhile.

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::{Direction, ErrorKind, KeyRange, MergeOptions, Read, Store};

use super::super::Verdict::{self, Allowed, Prevented};
use super::super::{
    begin, begin_on, commit, get_on, happened, must_end, must_lose, must_win, put, put_on,
    wins_or_loses,
};
use crate::support::{
    Scratch, must_branch, must_fail, must_get, must_put, must_scan, must_write, rows,
};

/// Puts the same value under one key of two branches, in one transaction.
fn put_both(store: &Store, level: Isolation, key: &str, value: &str) {
    let mut tx = begin(store, level);
    put(&mut tx, key, value);
    put_on(&mut tx, "side", key, value);
    must_win(tx);
}

/// A store with the branches `main` and `side`, which have the key x with the value 1.
fn two_branches() -> Scratch {
    let store = Scratch::new();
    must_put(&store.main().expect("main"), "x", "1");
    must_branch(&store, "side", "main");
    store
}

/// w1(main x) w1(side x) c1, seen between by r2(main x), r2(side x): one branch new, the other old.
fn read_skew_over_two_branches(level: Isolation) -> Verdict {
    let store = two_branches();
    let mut reader = begin(&store, level);
    let on_main = must_get(&reader, "x");
    put_both(&store, level, "x", "2");
    let on_side = get_on(&mut reader, "side", "x");
    must_end(reader);
    happened(on_main != on_side)
}

#[test]
fn txn_6_read_skew_over_two_branches_is_allowed_at_read_committed() {
    assert_eq!(read_skew_over_two_branches(ReadCommitted), Allowed);
}

#[test]
fn txn_6_read_skew_over_two_branches_is_prevented_at_snapshot() {
    assert_eq!(read_skew_over_two_branches(Snapshot), Prevented);
}

#[test]
fn txn_6_read_skew_over_two_branches_is_prevented_at_serializable() {
    assert_eq!(read_skew_over_two_branches(Serializable), Prevented);
}

/// A transaction over two branches that loses on one of them leaves something on the other.
fn half_a_commit_over_two_branches(level: Isolation) -> Verdict {
    let store = two_branches();
    let before = store.latest();
    let mut tx = begin(&store, level);
    put(&mut tx, "only/main", "2");
    put_on(&mut tx, "side", "x", "2");
    let read = tx.on("side").and_then(|mut side| side.get_for_update(b"y")).expect("a read");
    assert_eq!(read, None, "it is not there");
    must_put(&store.branch("side").expect("side"), "y", "meanwhile");
    must_lose(tx, &["y"]);
    assert_eq!(store.latest().get(), before.get() + 1, "TXN-6: no commit of it on any branch");
    let main = store.main().expect("main");
    happened(must_get(&main, "only/main").is_some())
}

#[test]
fn txn_6_half_a_commit_over_two_branches_is_prevented_at_read_committed() {
    assert_eq!(half_a_commit_over_two_branches(ReadCommitted), Prevented);
}

#[test]
fn txn_6_half_a_commit_over_two_branches_is_prevented_at_snapshot() {
    assert_eq!(half_a_commit_over_two_branches(Snapshot), Prevented);
}

#[test]
fn txn_6_half_a_commit_over_two_branches_is_prevented_at_serializable() {
    assert_eq!(half_a_commit_over_two_branches(Serializable), Prevented);
}

/// r1(side x) w1(side x), the same by another: the second overwrites what it has not seen.
fn lost_update_over_two_branches(level: Isolation) -> Verdict {
    let store = two_branches();
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    for (tx, value) in [(&mut one, "one"), (&mut two, "two")] {
        assert_eq!(get_on(tx, "side", "x").as_deref(), Some("1"), "both see it");
        put_on(tx, "side", "x", value);
    }
    put(&mut one, "of one", "1");
    put(&mut two, "of two", "2");
    must_win(one);
    let lost = wins_or_loses(two, &["x"]);
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "of two").is_some(), lost, "TXN-6: all or none");
    happened(lost)
}

#[test]
fn txn_6_lost_update_over_two_branches_is_allowed_at_read_committed() {
    assert_eq!(lost_update_over_two_branches(ReadCommitted), Allowed);
}

#[test]
fn txn_6_lost_update_over_two_branches_is_prevented_at_snapshot() {
    assert_eq!(lost_update_over_two_branches(Snapshot), Prevented);
}

#[test]
fn txn_6_lost_update_over_two_branches_is_prevented_at_serializable() {
    assert_eq!(lost_update_over_two_branches(Serializable), Prevented);
}

/// r1(main x) r2(side x) w1(side x) w2(main x) c1 c2.
fn write_skew_over_two_branches(level: Isolation) -> Verdict {
    let store = two_branches();
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    assert_eq!(must_get(&one, "x").as_deref(), Some("1"), "the first reads main");
    assert_eq!(get_on(&mut two, "side", "x").as_deref(), Some("1"), "the second reads side");
    put_on(&mut one, "side", "x", "2");
    put(&mut two, "x", "2");
    must_win(one);
    happened(wins_or_loses(two, &["x"]))
}

#[test]
fn txn_6_write_skew_over_two_branches_is_allowed_at_read_committed() {
    assert_eq!(write_skew_over_two_branches(ReadCommitted), Allowed);
}

#[test]
fn txn_6_write_skew_over_two_branches_is_allowed_at_snapshot() {
    assert_eq!(write_skew_over_two_branches(Snapshot), Allowed);
}

#[test]
fn txn_6_write_skew_over_two_branches_is_prevented_at_serializable() {
    assert_eq!(write_skew_over_two_branches(Serializable), Prevented);
}

/// r1(P on side) w2(y in P on side) c2 w1(main x) c1, beside the mirror image: ranges of another branch.
fn write_skew_on_ranges_over_two_branches(level: Isolation) -> Verdict {
    let store = two_branches();
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    let count = one.on("side").and_then(|side| side.count(&KeyRange::prefix("p/"))).expect("count");
    assert_eq!((count, two.prefix(b"p/").expect("prefix").count()), (0, 0), "both are empty");
    put(&mut one, "p/1", "1");
    put_on(&mut two, "side", "p/2", "2");
    must_win(one);
    happened(wins_or_loses(two, &["p/1"]))
}

#[test]
fn txn_6_write_skew_on_ranges_over_two_branches_is_allowed_at_read_committed() {
    assert_eq!(write_skew_on_ranges_over_two_branches(ReadCommitted), Allowed);
}

#[test]
fn txn_6_write_skew_on_ranges_over_two_branches_is_allowed_at_snapshot() {
    assert_eq!(write_skew_on_ranges_over_two_branches(Snapshot), Allowed);
}

#[test]
fn txn_6_write_skew_on_ranges_over_two_branches_is_prevented_at_serializable() {
    assert_eq!(write_skew_on_ranges_over_two_branches(Serializable), Prevented);
}

#[test]
fn txn_6_own_writes_are_kept_apart_by_branch() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = two_branches();
        let mut tx = begin(&store, level);
        put(&mut tx, "x", "main");
        tx.on("side").and_then(|mut side| side.delete("x")).expect("delete");
        put_on(&mut tx, "side", "s", "side");
        put_on(&mut tx, "main", "m", "main");
        assert_eq!(must_get(&tx, "m").as_deref(), Some("main"), "its first branch by name");
        assert_eq!(must_get(&tx, "s"), None, "what is written on one is not seen on the other");
        let side = tx.on("side").expect("side");
        let all = must_scan(&side, &KeyRange::all(), Direction::Backward);
        assert_eq!(all, [(b"s".to_vec(), b"side".to_vec())], "scans show the own writes");
        assert_eq!(side.count(&KeyRange::all()).expect("count"), 1, "counts too");
        must_win(tx);
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let (main, side) = (store.main().expect("main"), store.branch("side").expect("side"));
        assert_eq!(rows(&main), [text("m", "main"), text("x", "main")], "{level:?}: main");
        assert_eq!(rows(&side), [text("s", "side")], "{level:?}: side");
    }
}

#[test]
fn txn_6_a_branch_that_is_not_there_is_named_and_the_transaction_goes_on() {
    let store = two_branches();
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "x", "2");
    let e = match tx.on("nowhere") {
        Ok(_) => panic!("there is no such branch"),
        Err(e) => must_fail::<()>(Err(e), ErrorKind::NotFound),
    };
    assert!(e.to_string().contains("nowhere"), "the message names it: {e}");
    put_on(&mut tx, "side", "x", "2");
    must_win(tx);
    assert_eq!(must_get(&store.main().expect("main"), "x").as_deref(), Some("2"));
}

#[test]
fn txn_6_a_branch_that_was_deleted_meanwhile_takes_all_of_it_down() {
    let store = two_branches();
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "x", "2");
    put_on(&mut tx, "side", "x", "2");
    let force = withy::DeleteOptions::default().force(true);
    store.delete_branch("side", force).expect("delete");
    must_fail(commit(tx), ErrorKind::NotFound);
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "x").as_deref(), Some("1"), "nothing is written on the other");
}

#[test]
fn a_parent_that_changes_is_no_conflict_for_its_child_at_any_level() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = two_branches();
        let main = store.main().expect("main");
        let mut tx = begin_on(&store, "side", level);
        assert_eq!(must_get(&tx, "x").as_deref(), Some("1"), "what it has from its parent");
        assert_eq!(tx.count(&KeyRange::all()).expect("count"), 1, "a range of its parent's");
        put(&mut tx, "x", "side");
        must_write(&main, "the parent goes on", &[("x", Some("main")), ("y", Some("main"))]);
        assert_eq!(must_get(&tx, "y"), None, "BR-2: it sees nothing of that");
        must_win(tx);
        let child = begin_on(&store, "side", level);
        must_put(&main, "x", "again");
        assert_eq!(must_get(&child, "x").as_deref(), Some("side"), "nor afterwards");
    }
}

#[test]
fn a_child_that_changes_is_no_conflict_for_its_parent_at_any_level() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = two_branches();
        let mut tx = begin(&store, level);
        assert_eq!(rows(&tx).len(), 1, "it reads everything");
        put(&mut tx, "y", "main");
        must_put(&store.branch("side").expect("side"), "x", "side");
        must_branch(&store, "later", "main");
        must_put(&store.branch("later").expect("later"), "x", "later");
        must_win(tx);
    }
}

#[test]
fn reads_of_a_branch_that_was_reset_meanwhile_conflict_by_the_keys_that_differ() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    for key in ["a", "b", "c"] {
        must_put(&main, key, "1");
    }
    let reads = |what: fn(&withy::Txn<'_>)| {
        let mut tx = begin(&store, Serializable);
        what(&tx);
        put(&mut tx, "z", "decided");
        tx
    };
    let kept = reads(|tx| assert!(must_get(tx, "a").is_some(), "it is there"));
    let point = reads(|tx| assert!(must_get(tx, "c").is_some(), "it is there"));
    let range = reads(|tx| assert_eq!(tx.count(&KeyRange::all()).expect("count"), 3, "three"));
    store.reset("main", "main~1").expect("reset");
    must_lose(point, &["c"]);
    must_lose(range, &["c"]);
    must_win(kept);
}

#[test]
fn reads_of_a_branch_that_was_fast_forwarded_meanwhile_conflict_by_the_keys_that_differ() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "two", &[("a", Some("1")), ("b", Some("1"))]);
        let side = must_branch(&store, "side", "main");
        must_write(&side, "work", &[("b", None), ("c", Some("2"))]);
        let begun = || begin(&store, level);
        let (mut kept, mut point, mut range, mut over) = (begun(), begun(), begun(), begun());
        assert!(must_get(&kept, "a").is_some(), "it is there");
        assert_eq!(must_get(&point, "c"), None, "it is not there yet");
        assert_eq!(range.count(&KeyRange::all()).expect("count"), 2, "two");
        for (tx, key) in [(&mut kept, "x"), (&mut point, "y"), (&mut range, "z")] {
            put(tx, key, "decided");
        }
        put(&mut over, "b", "3");
        let report = store.merge("main", "side", MergeOptions::default()).expect("merge");
        assert!(report.fast_forward, "nobody has moved main");
        match level {
            Serializable => {
                must_lose(point, &["c"]);
                must_lose(range, &["b", "c"]);
            }
            _ => {
                must_win(point);
                must_win(range);
            }
        }
        if level == ReadCommitted {
            must_win(over);
        } else {
            must_lose(over, &["b"]);
        }
        must_win(kept);
    }
}

#[test]
fn a_merge_of_other_keys_is_no_conflict_at_any_level() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = two_branches();
        let main = store.main().expect("main");
        must_put(&main, "own", "1");
        must_put(&store.branch("side").expect("side"), "theirs", "1");
        let mut tx = begin(&store, level);
        assert_eq!(must_get(&tx, "x").as_deref(), Some("1"), "a point");
        assert_eq!(tx.count(&KeyRange::prefix("o")).expect("count"), 1, "a range");
        put(&mut tx, "own", "2");
        store.merge("main", "side", MergeOptions::default()).expect("merge");
        must_win(tx);
        assert_eq!(must_get(&main, "theirs").as_deref(), Some("1"), "both are there");
    }
}
