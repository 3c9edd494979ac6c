//! Anomalies that a reader sees.

use std::sync::atomic::{AtomicBool, Ordering};

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::{Direction, KeyRange, Read, Txn};

use super::super::Verdict::{self, Allowed, Prevented};
use super::super::{begin, delete, happened, keys_in, must_end, must_win, put};
use crate::support::{Scratch, must_get, must_put, must_scan, must_write, rows};

/// w1(x) r2(x): the second sees what the first has not committed.
fn dirty_read(level: Isolation) -> Verdict {
    let store = Scratch::new();
    must_write(&store.main().expect("main"), "first", &[("a", Some("1")), ("b", Some("1"))]);
    let mut writer = begin(&store, level);
    let reader = begin(&store, level);
    put(&mut writer, "a", "2");
    delete(&mut writer, "b");
    put(&mut writer, "c", "2");
    let seen = [
        must_get(&reader, "a").as_deref() != Some("1"),
        !reader.contains(b"b").expect("contains"),
        rows(&reader).len() != 2,
        reader.count(&KeyRange::all()).expect("count") != 2,
        must_get(&store.main().expect("main"), "c").is_some(),
    ];
    assert_eq!(must_get(&writer, "c").as_deref(), Some("2"), "the writer sees its own");
    must_end(reader);
    must_win(writer);
    happened(seen.contains(&true))
}

#[test]
fn dirty_read_is_prevented_at_read_committed() {
    assert_eq!(dirty_read(ReadCommitted), Prevented);
}

#[test]
fn dirty_read_is_prevented_at_snapshot() {
    assert_eq!(dirty_read(Snapshot), Prevented);
}

#[test]
fn dirty_read_is_prevented_at_serializable() {
    assert_eq!(dirty_read(Serializable), Prevented);
}

/// w1(x) a1 r2(x), with each way to give up: the second sees what was never committed.
fn aborted_read(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let before = store.latest();
    let early = begin(&store, level);
    let mut rolled_back = begin(&store, level);
    put(&mut rolled_back, "a", "2");
    rolled_back.rollback();
    let mut dropped = begin(&store, level);
    delete(&mut dropped, "a");
    drop(dropped);
    let mut partly = begin(&store, level);
    partly.savepoint("here").expect("savepoint");
    put(&mut partly, "a", "3");
    put(&mut partly, "c", "3");
    partly.rollback_to("here").expect("rollback_to");
    put(&mut partly, "b", "3");
    assert_eq!(store.latest(), before, "who gives up leaves not even a sequence");
    must_win(partly);
    let late = begin(&store, level);
    let seen = [&early, &late].map(|reader| must_get(reader, "a").as_deref() != Some("1"));
    let never = must_get(&late, "c").is_some() || must_get(&main, "c").is_some();
    assert_eq!(must_get(&late, "b").as_deref(), Some("3"), "what was kept is there");
    happened(seen.contains(&true) || never)
}

#[test]
fn aborted_read_is_prevented_at_read_committed() {
    assert_eq!(aborted_read(ReadCommitted), Prevented);
}

#[test]
fn aborted_read_is_prevented_at_snapshot() {
    assert_eq!(aborted_read(Snapshot), Prevented);
}

#[test]
fn aborted_read_is_prevented_at_serializable() {
    assert_eq!(aborted_read(Serializable), Prevented);
}

/// w1(x,1) r2(x) w1(x,2) c1 r2(x): the second sees a value that the first wrote over itself.
fn intermediate_read(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "0");
    let mut writer = begin(&store, level);
    let reader = begin(&store, level);
    let mut seen = Vec::new();
    for value in ["1", "2", "3"] {
        put(&mut writer, "a", value);
        seen.push(must_get(&reader, "a"));
    }
    must_win(writer);
    seen.push(must_get(&reader, "a"));
    seen.push(must_get(&main, "a"));
    must_end(reader);
    let versions = store.history("main", b"a").expect("history").count();
    assert_eq!(versions, 2, "what was written over has no version either");
    happened(seen.iter().flatten().any(|value| value == "1" || value == "2"))
}

#[test]
fn intermediate_read_is_prevented_at_read_committed() {
    assert_eq!(intermediate_read(ReadCommitted), Prevented);
}

#[test]
fn intermediate_read_is_prevented_at_snapshot() {
    assert_eq!(intermediate_read(Snapshot), Prevented);
}

#[test]
fn intermediate_read_is_prevented_at_serializable() {
    assert_eq!(intermediate_read(Serializable), Prevented);
}

/// r1(x) w2(x) c2 r1(x): the two reads differ, in whichever way it is read.
fn non_repeatable_read(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1"))]);
    let reader = begin(&store, level);
    let read = || {
        let both = reader.multi_get(&[b"a", b"b"]).expect("multi_get");
        let one = must_get(&reader, "a");
        let there = reader.contains(b"b").expect("contains");
        assert_eq!(both[0].as_deref(), one.as_deref().map(str::as_bytes), "ways to read agree");
        assert_eq!(both[1].is_some(), there, "and so do they for a deletion");
        both
    };
    let first = read();
    must_write(&main, "later", &[("a", Some("2")), ("b", None)]);
    let second = read();
    must_end(reader);
    happened(first != second)
}

#[test]
fn non_repeatable_read_is_allowed_at_read_committed() {
    assert_eq!(non_repeatable_read(ReadCommitted), Allowed);
}

#[test]
fn non_repeatable_read_is_prevented_at_snapshot() {
    assert_eq!(non_repeatable_read(Snapshot), Prevented);
}

#[test]
fn non_repeatable_read_is_prevented_at_serializable() {
    assert_eq!(non_repeatable_read(Serializable), Prevented);
}

/// r1(P) w2(y in P) c2 r1(P): a range has other keys than before, though no key that was in it changed.
fn phantom(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "two", &[("a", Some("1")), ("c", Some("3"))]);
    let mut reader = begin(&store, level);
    put(&mut reader, "b", "own");
    let read = || {
        let forward = keys_in(&reader, &KeyRange::all(), Direction::Forward);
        let mut backward = keys_in(&reader, &KeyRange::all(), Direction::Backward);
        backward.reverse();
        assert_eq!(forward, backward, "both directions give the same keys");
        let count = reader.count(&KeyRange::all()).expect("count");
        assert_eq!(count, forward.len() as u64, "and counts agree");
        assert!(forward.contains(&"b".to_owned()), "the own write is among them");
        forward
    };
    let first = read();
    must_write(&main, "one more, one less", &[("a", None), ("d", Some("4"))]);
    let second = read();
    happened(first != second)
}

#[test]
fn phantom_is_allowed_at_read_committed() {
    assert_eq!(phantom(ReadCommitted), Allowed);
}

#[test]
fn phantom_is_prevented_at_snapshot() {
    assert_eq!(phantom(Snapshot), Prevented);
}

#[test]
fn phantom_is_prevented_at_serializable() {
    assert_eq!(phantom(Serializable), Prevented);
}

/// r1(x) w2(x) w2(y) c2 r1(y): an old x beside a new y.
fn read_skew(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "equal", &[("x", Some("1")), ("y", Some("1"))]);
    let reader = begin(&store, level);
    let x = must_get(&reader, "x");
    must_write(&main, "still equal", &[("x", Some("2")), ("y", Some("2"))]);
    let y = must_get(&reader, "y");
    must_end(reader);
    happened(x != y)
}

#[test]
fn read_skew_is_allowed_at_read_committed() {
    assert_eq!(read_skew(ReadCommitted), Allowed);
}

#[test]
fn read_skew_is_prevented_at_snapshot() {
    assert_eq!(read_skew(Snapshot), Prevented);
}

#[test]
fn read_skew_is_prevented_at_serializable() {
    assert_eq!(read_skew(Serializable), Prevented);
}

/// One scan, begun before a commit and ended after it, shows a part of the commit's changes.
fn half_a_commit(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "old", &[("a", Some("old")), ("b", Some("old")), ("c", Some("old"))]);
    let mut seen = false;
    for direction in [Direction::Forward, Direction::Backward] {
        let reader = begin(&store, level);
        let was = must_get(&main, "a").expect("it is there");
        let mut scan = reader.scan(&KeyRange::all(), direction).expect("scan");
        let first = scan.next().expect("three").expect("a row").1;
        let new = format!("newer than {was}");
        must_write(&main, "new", &["a", "b", "c"].map(|key| (key, Some(new.as_str()))));
        let rest: Vec<Vec<u8>> = scan.map(|row| row.expect("a row").1).collect();
        assert_eq!(rest.len(), 2, "the scan goes on to its end");
        assert_eq!(first, was.as_bytes(), "a scan shows what was there when it began");
        seen |= rest.iter().any(|value| *value != first);
        must_end(reader);
    }
    happened(seen)
}

/// The same by chance: somebody changes three keys together, over and over, while one read after another
/// gets all of them.
fn half_a_commit_by_chance(level: Isolation, read: fn(&Txn<'_>) -> Vec<Vec<u8>>) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "equal", &["a", "b", "c"].map(|key| (key, Some("0"))));
    let over = AtomicBool::new(false);
    let mut seen = false;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                let value = n.to_string();
                must_write(&main, "together", &["a", "b", "c"].map(|key| (key, Some(&*value))));
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        // The two may take turns on a processor, so both must get along far enough.
        let mut reads = 0;
        while reads < 10_000 || store.latest().get() < 3_000 {
            let reader = begin(&store, level);
            let values = read(&reader);
            assert_eq!(values.len(), 3, "all of them are there");
            seen |= values.iter().any(|value| *value != values[0]);
            reads += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    happened(seen)
}

fn half_a_commit_in_a_scan(level: Isolation) -> Verdict {
    half_a_commit_by_chance(level, |tx| {
        let rows = must_scan(tx, &KeyRange::all(), Direction::Backward);
        rows.into_iter().map(|(_, value)| value).collect()
    })
}

#[test]
fn half_a_commit_in_a_scan_is_prevented_at_read_committed() {
    assert_eq!(half_a_commit_in_a_scan(ReadCommitted), Prevented);
}

#[test]
fn half_a_commit_in_a_scan_is_prevented_at_snapshot() {
    assert_eq!(half_a_commit_in_a_scan(Snapshot), Prevented);
}

#[test]
fn half_a_commit_in_a_scan_is_prevented_at_serializable() {
    assert_eq!(half_a_commit_in_a_scan(Serializable), Prevented);
}

fn half_a_commit_in_a_multi_get(level: Isolation) -> Verdict {
    half_a_commit_by_chance(level, |tx| {
        let values = tx.multi_get(&[b"a", b"b", b"c"]).expect("multi_get");
        values.into_iter().flatten().collect()
    })
}

#[test]
fn half_a_commit_in_a_multi_get_is_prevented_at_read_committed() {
    assert_eq!(half_a_commit_in_a_multi_get(ReadCommitted), Prevented);
}

#[test]
fn half_a_commit_in_a_multi_get_is_prevented_at_snapshot() {
    assert_eq!(half_a_commit_in_a_multi_get(Snapshot), Prevented);
}

#[test]
fn half_a_commit_in_a_multi_get_is_prevented_at_serializable() {
    assert_eq!(half_a_commit_in_a_multi_get(Serializable), Prevented);
}

#[test]
fn half_a_commit_is_prevented_at_read_committed() {
    assert_eq!(half_a_commit(ReadCommitted), Prevented);
}

#[test]
fn half_a_commit_is_prevented_at_snapshot() {
    assert_eq!(half_a_commit(Snapshot), Prevented);
}

#[test]
fn half_a_commit_is_prevented_at_serializable() {
    assert_eq!(half_a_commit(Serializable), Prevented);
}

/// w1(x) c1, w2(y) c2, r3(x new) r3(y old), r4(x old) r4(y new): two readers disagree about which of two
/// independent writes came first.
fn long_fork(level: Isolation) -> Verdict {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let order: [&[&str]; 2] = [&["x", "y"], &["y", "x"]];
    // The reader that asks for x first, the one that asks for y first, and one that begins in between.
    let (one, two) = (begin(&store, level), begin(&store, level));
    let mut seen = vec![
        (order[0][0], must_get(&one, order[0][0])),
        (order[1][0], must_get(&two, order[1][0])),
    ];
    let (mut on_x, mut on_y) = (begin(&store, level), begin(&store, level));
    put(&mut on_x, "x", "1");
    put(&mut on_y, "y", "1");
    must_win(on_x);
    let between = begin(&store, level);
    let sees_x = must_get(&between, "x").is_some();
    assert!(sees_x, "what is committed is seen by whoever begins after it");
    must_win(on_y);
    seen.push((order[0][1], must_get(&one, order[0][1])));
    seen.push((order[1][1], must_get(&two, order[1][1])));
    assert_eq!(
        (must_get(&main, "x").is_some(), must_get(&main, "y").is_some()),
        (true, true),
        "both writes are there"
    );
    must_end(between);
    must_end(one);
    must_end(two);
    // The first reader found no x and a y, the second no y and an x.
    happened(
        seen[0].1.is_none() && seen[2].1.is_some() && seen[1].1.is_none() && seen[3].1.is_some(),
    )
}

#[test]
fn long_fork_is_allowed_at_read_committed() {
    assert_eq!(long_fork(ReadCommitted), Allowed);
}

#[test]
fn long_fork_is_prevented_at_snapshot() {
    assert_eq!(long_fork(Snapshot), Prevented);
}

#[test]
fn long_fork_is_prevented_at_serializable() {
    assert_eq!(long_fork(Serializable), Prevented);
}
