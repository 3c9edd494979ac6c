//! One test for each anomaly of `docs/isolation.md`; its name says the anomaly, its last assertion
//! whether snapshot transactions allow it.

use withy::{CommitOptions, Committed, Direction, ErrorKind, KeyRange, Read};

use crate::support::{Scratch, must_fail, must_get, must_put, must_scan, must_write};

fn plain() -> CommitOptions {
    CommitOptions::default()
}

#[test]
fn dirty_read_is_prevented() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut writer = store.begin("main").expect("begin");
    writer.put("pear", "green").expect("put");
    assert_eq!(must_get(&main, "pear"), None, "what is not committed is seen by nobody else");
    let reader = store.begin("main").expect("begin");
    assert_eq!(must_get(&reader, "pear"), None, "nor by another transaction");
    assert_eq!(must_get(&writer, "pear").as_deref(), Some("green"), "but by the writer");
}

#[test]
fn aborted_read_is_prevented() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let before = store.latest();
    let mut dropped = store.begin("main").expect("begin");
    dropped.put("pear", "green").expect("put");
    drop(dropped);
    let mut rolled_back = store.begin("main").expect("begin");
    rolled_back.put("plum", "blue").expect("put");
    rolled_back.rollback();
    assert_eq!(must_get(&main, "pear"), None, "a dropped transaction leaves nothing");
    assert_eq!(must_get(&main, "plum"), None, "nor does one that is rolled back");
    assert_eq!(store.latest(), before, "not even a sequence");
}

#[test]
fn non_repeatable_read_is_prevented() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    let reader = store.begin("main").expect("begin");
    assert_eq!(must_get(&reader, "pear").as_deref(), Some("green"), "the first read");
    must_put(&main, "pear", "yellow");
    assert_eq!(must_get(&reader, "pear").as_deref(), Some("green"), "the second gives the same");
    assert_eq!(
        reader.multi_get(&[b"pear"]).expect("multi_get"),
        [Some(b"green".to_vec())],
        "whichever way it is read"
    );
}

#[test]
fn phantom_is_prevented() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "two", &[("a", Some("1")), ("c", Some("3"))]);
    let mut reader = store.begin("main").expect("begin");
    reader.put("b", "own").expect("put");
    must_write(&main, "one more, one less", &[("a", None), ("d", Some("4"))]);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut seen = must_scan(&reader, &KeyRange::all(), direction);
        seen.sort();
        let keys: Vec<_> = seen.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a", b"b", b"c"], "the snapshot and the own write, {direction:?}");
    }
    assert_eq!(reader.count(&KeyRange::all()).expect("count"), 3, "counts agree");
}

#[test]
fn lost_update_is_prevented() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "stock", "10");
    let mut one = store.begin("main").expect("begin");
    let mut two = store.begin("main").expect("begin");
    for tx in [&mut one, &mut two] {
        assert_eq!(must_get(tx, "stock").as_deref(), Some("10"), "both see ten");
        tx.put("stock", "9").expect("put");
    }
    assert!(matches!(one.commit(plain()), Ok(Committed::At(_))), "the first committer wins");
    let lost = must_fail(two.commit(plain()), ErrorKind::Conflict);
    assert_eq!(lost.keys(), [b"stock".to_vec()], "the second is told the key");
    assert!(lost.is_retryable(), "and may run again");
}

#[test]
fn a_conflict_stores_nothing_of_the_transaction() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut late = store.begin("main").expect("begin");
    late.put("pear", "green").expect("put");
    late.put("plum", "blue").expect("put");
    let taken = must_put(&main, "plum", "red");
    let lost = must_fail(late.commit(plain()), ErrorKind::Conflict);
    assert_eq!(lost.keys(), [b"plum".to_vec()], "only the key that was in the way is named");
    assert_eq!(must_get(&main, "pear"), None, "the other one is not written either");
    assert_eq!(store.latest(), taken, "there is no commit of it");
}

#[test]
fn a_put_of_the_value_that_was_read_guards_the_read() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "open", "yes");
    let mut tx = store.begin("main").expect("begin");
    tx.put("open", "yes").expect("put");
    tx.put("order", "1").expect("put");
    must_put(&main, "open", "no");
    let lost = must_fail(tx.commit(plain()), ErrorKind::Conflict);
    assert_eq!(
        lost.keys(),
        [b"open".to_vec()],
        "the check comes before unchanged writes are dropped"
    );
}

#[test]
fn other_keys_and_other_branches_never_conflict() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    let side = crate::support::must_branch(&store, "side", "main");
    let mut tx = store.begin("main").expect("begin");
    assert_eq!(must_get(&tx, "plum"), None, "a read of what changes later");
    tx.put("pear", "yellow").expect("put");
    must_put(&main, "plum", "blue");
    must_put(&side, "pear", "brown");
    assert!(matches!(tx.commit(plain()), Ok(Committed::At(_))), "there are no false conflicts");
}

#[test]
fn write_skew_is_possible() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "both on duty", &[("ada", Some("on")), ("bob", Some("on"))]);
    let mut ada = store.begin("main").expect("begin");
    let mut bob = store.begin("main").expect("begin");
    assert_eq!(must_get(&ada, "bob").as_deref(), Some("on"), "ada may go, for bob is there");
    assert_eq!(must_get(&bob, "ada").as_deref(), Some("on"), "bob may go, for ada is there");
    ada.put("ada", "off").expect("put");
    bob.put("bob", "off").expect("put");
    assert!(matches!(ada.commit(plain()), Ok(Committed::At(_))), "ada goes");
    assert!(
        matches!(bob.commit(plain()), Ok(Committed::At(_))),
        "and so does bob: reads are not checked"
    );
}
