//! Anomalies of two writers.

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};

use super::super::Verdict::{self, Allowed, Prevented};
use super::super::{begin, delete, get_for_update, happened, must_win, put, wins_or_loses};
use crate::support::{Scratch, must_get, must_put, must_write};

/// w1(x) w2(x) w2(y) c2 w1(y) c1: the end has x of one and y of the other.
fn dirty_write(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "equal", &[("x", Some("0")), ("y", Some("0"))]);
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    put(&mut one, "x", "one");
    put(&mut two, "x", "two");
    put(&mut two, "y", "two");
    must_win(two);
    put(&mut one, "y", "one");
    let both = wins_or_loses(one, &["x", "y"]);
    assert_eq!(both, level == ReadCommitted, "only read committed lets a blind write over another");
    let last = if both { "one" } else { "two" };
    let (x, y) = (must_get(&main, "x"), must_get(&main, "y"));
    assert_eq!(x.as_deref(), Some(last), "the last committer's writes are there");
    happened(x != y)
}

#[test]
fn dirty_write_is_prevented_at_read_committed() {
    assert_eq!(dirty_write(ReadCommitted), Prevented);
}

#[test]
fn dirty_write_is_prevented_at_snapshot() {
    assert_eq!(dirty_write(Snapshot), Prevented);
}

#[test]
fn dirty_write_is_prevented_at_serializable() {
    assert_eq!(dirty_write(Serializable), Prevented);
}

/// r1(x) r2(x) w2(x) c2 w1(x) c1: the second's change is overwritten by one that has not seen it.
fn lost_update(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "stock", "10");
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    for tx in [&mut one, &mut two] {
        assert_eq!(must_get(tx, "stock").as_deref(), Some("10"), "both see ten");
        put(tx, "stock", "9");
        put(tx, "sold", "1");
    }
    put(&mut two, "stock", "7");
    must_win(two);
    let lost = wins_or_loses(one, &["sold", "stock"]);
    let left = if lost { "9" } else { "7" };
    assert_eq!(must_get(&main, "stock").as_deref(), Some(left), "a conflict stores nothing");
    happened(lost)
}

#[test]
fn lost_update_is_allowed_at_read_committed() {
    assert_eq!(lost_update(ReadCommitted), Allowed);
}

#[test]
fn lost_update_is_prevented_at_snapshot() {
    assert_eq!(lost_update(Snapshot), Prevented);
}

#[test]
fn lost_update_is_prevented_at_serializable() {
    assert_eq!(lost_update(Serializable), Prevented);
}

/// The same with a deletion on either side: a decision made on what is deleted meanwhile, and a deletion
/// of what has changed meanwhile.
fn lost_update_by_deletion(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "both", &[("a", Some("1")), ("b", Some("1"))]);
    let (mut changes, mut deletes) = (begin(&store, level), begin(&store, level));
    assert_eq!(must_get(&changes, "a").as_deref(), Some("1"), "it is there");
    put(&mut changes, "a", "2");
    assert_eq!(must_get(&deletes, "b").as_deref(), Some("1"), "it is there");
    delete(&mut deletes, "b");
    must_write(&main, "the other way round", &[("a", None), ("b", Some("2"))]);
    let over_deletion = wins_or_loses(changes, &["a"]);
    let over_change = wins_or_loses(deletes, &["b"]);
    assert_eq!(over_deletion, over_change, "a deletion is a change like another");
    assert_eq!(must_get(&main, "a").is_some(), over_deletion, "the end is the last committer's");
    assert_eq!(must_get(&main, "b").is_none(), over_change, "for the deletion too");
    happened(over_change)
}

#[test]
fn lost_update_by_deletion_is_allowed_at_read_committed() {
    assert_eq!(lost_update_by_deletion(ReadCommitted), Allowed);
}

#[test]
fn lost_update_by_deletion_is_prevented_at_snapshot() {
    assert_eq!(lost_update_by_deletion(Snapshot), Prevented);
}

#[test]
fn lost_update_by_deletion_is_prevented_at_serializable() {
    assert_eq!(lost_update_by_deletion(Serializable), Prevented);
}

/// The same, but both have read for update: whoever comes second is told.
fn lost_update_read_for_update(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "stock", "10");
    let (mut one, mut two) = (begin(&store, level), begin(&store, level));
    for tx in [&mut one, &mut two] {
        assert_eq!(get_for_update(tx, "stock").as_deref(), Some("10"), "both see ten");
        put(tx, "stock", "9");
    }
    must_win(two);
    happened(wins_or_loses(one, &["stock"]))
}

#[test]
fn lost_update_read_for_update_is_prevented_at_read_committed() {
    assert_eq!(lost_update_read_for_update(ReadCommitted), Prevented);
}

#[test]
fn lost_update_read_for_update_is_prevented_at_snapshot() {
    assert_eq!(lost_update_read_for_update(Snapshot), Prevented);
}

#[test]
fn lost_update_read_for_update_is_prevented_at_serializable() {
    assert_eq!(lost_update_read_for_update(Serializable), Prevented);
}
