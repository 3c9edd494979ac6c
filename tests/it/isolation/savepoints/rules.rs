//! SAVE-1 and SAVE-2, rule by rule.

use withy::Isolation::{ReadCommitted, Serializable, Snapshot};
use withy::{Direction, ErrorKind, KeyRange, Read, Txn};

use super::super::{
    begin, delete, get_for_update, get_on, keys_in, must_end, must_lose, must_win, put, put_on,
};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, must_write, rows};

#[track_caller]
fn savepoint(tx: &mut Txn<'_>, name: &str) {
    tx.savepoint(name).unwrap_or_else(|e| panic!("savepoint {name}: {e:?}"));
}

#[track_caller]
fn rollback_to(tx: &mut Txn<'_>, name: &str) {
    tx.rollback_to(name).unwrap_or_else(|e| panic!("rollback to {name}: {e:?}"));
}

fn names<'t>(tx: &'t Txn<'_>) -> Vec<&'t str> {
    tx.savepoints().collect()
}

#[test]
fn save_1_rollback_removes_the_savepoint_and_newer_ones_and_keeps_older_ones() {
    let store = Scratch::new();
    let mut tx = begin(&store, Snapshot);
    for (name, key) in [("one", "a"), ("two", "b"), ("three", "c")] {
        savepoint(&mut tx, name);
        put(&mut tx, key, name);
    }
    assert_eq!(names(&tx), ["one", "two", "three"], "the list is in creation order");
    rollback_to(&mut tx, "two");
    assert_eq!(names(&tx), ["one"], "older ones stay");
    assert_eq!(
        keys_in(&tx, &KeyRange::all(), Direction::Forward),
        ["a"],
        "what came later is gone"
    );
    must_fail(tx.rollback_to("two"), ErrorKind::NotFound);
    must_fail(tx.rollback_to("three"), ErrorKind::NotFound);
    savepoint(&mut tx, "two");
    assert_eq!(names(&tx), ["one", "two"], "a name that was removed is free again");
    must_win(tx);
    assert_eq!(rows(&store.main().expect("main")), [("a".to_owned(), "one".to_owned())]);
}

#[test]
fn save_1_release_removes_the_savepoint_and_newer_ones_and_keeps_the_writes() {
    let store = Scratch::new();
    let mut tx = begin(&store, Snapshot);
    for (name, key) in [("one", "a"), ("two", "b"), ("three", "c")] {
        savepoint(&mut tx, name);
        put(&mut tx, key, name);
    }
    tx.release("two").expect("release");
    assert_eq!(names(&tx), ["one"], "newer ones are gone with it");
    assert_eq!(keys_in(&tx, &KeyRange::all(), Direction::Backward), ["c", "b", "a"], "writes stay");
    must_fail(tx.release("three"), ErrorKind::NotFound);
    rollback_to(&mut tx, "one");
    assert_eq!(
        keys_in(&tx, &KeyRange::all(), Direction::Forward),
        [""; 0],
        "the older one holds all"
    );
    must_end(tx);
}

#[test]
fn save_1_bad_names_are_told_and_leave_the_transaction_usable() {
    let store = Scratch::new();
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "a", "1");
    savepoint(&mut tx, "here");
    put(&mut tx, "b", "1");
    let twice = must_fail(tx.savepoint("here"), ErrorKind::Exists);
    assert!(twice.to_string().contains("here"), "a name that is taken is named: {twice}");
    must_fail(tx.savepoint(""), ErrorKind::Invalid);
    for result in [tx.rollback_to("nowhere"), tx.release("nowhere")] {
        let unknown = must_fail(result, ErrorKind::NotFound);
        assert!(unknown.to_string().contains("nowhere"), "an unknown name is named: {unknown}");
    }
    assert_eq!(names(&tx), ["here"], "no refusal changes the list");
    rollback_to(&mut tx, "here");
    put(&mut tx, "c", "1");
    must_win(tx);
    let main = store.main().expect("main");
    assert_eq!(keys_in(&main, &KeyRange::all(), Direction::Forward), ["a", "c"]);
}

#[test]
fn save_1_names_are_of_one_transaction() {
    let store = Scratch::new();
    let (mut one, mut two) = (begin(&store, Snapshot), begin(&store, Snapshot));
    savepoint(&mut one, "here");
    put(&mut one, "a", "1");
    must_fail(two.rollback_to("here"), ErrorKind::NotFound);
    savepoint(&mut two, "here");
    rollback_to(&mut two, "here");
    assert_eq!(must_get(&one, "a").as_deref(), Some("1"), "the other one has lost nothing");
    must_win(one);
}

#[test]
fn save_2_a_rollback_takes_back_overwrites_and_deletions() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "a", "own");
    delete(&mut tx, "b");
    savepoint(&mut tx, "here");
    delete(&mut tx, "a");
    put(&mut tx, "b", "back");
    delete(&mut tx, "c");
    put(&mut tx, "n", "new");
    assert_eq!(keys_in(&tx, &KeyRange::all(), Direction::Forward), ["b", "n"], "before");
    rollback_to(&mut tx, "here");
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(rows(&tx), [text("a", "own"), text("c", "1")], "as it was at the savepoint");
    assert_eq!(tx.count(&KeyRange::all()).expect("count"), 2, "counts too");
    must_win(tx);
    assert_eq!(rows(&main), [text("a", "own"), text("c", "1")], "and so it is stored");
}

#[test]
fn save_2_a_key_written_only_after_the_savepoint_no_longer_conflicts() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "first", &[("kept", Some("1")), ("undone", Some("1"))]);
        let mut tx = begin(&store, level);
        put(&mut tx, "kept", "2");
        savepoint(&mut tx, "here");
        put(&mut tx, "undone", "2");
        delete(&mut tx, "absent");
        rollback_to(&mut tx, "here");
        must_write(&main, "others", &[("undone", Some("3")), ("absent", Some("3"))]);
        must_win(tx);
        assert_eq!(must_get(&main, "undone").as_deref(), Some("3"), "{level:?}: theirs stays");
        assert_eq!(
            must_get(&main, "kept").as_deref(),
            Some("2"),
            "{level:?}: the own one is there"
        );
    }
}

#[test]
fn save_2_a_key_written_before_the_savepoint_still_conflicts() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "a", "2");
    savepoint(&mut tx, "here");
    put(&mut tx, "a", "3");
    rollback_to(&mut tx, "here");
    must_put(&main, "a", "9");
    must_lose(tx, &["a"]);
}

#[test]
fn save_2_a_key_written_again_after_a_rollback_conflicts_again() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let mut tx = begin(&store, Snapshot);
    savepoint(&mut tx, "here");
    put(&mut tx, "a", "2");
    rollback_to(&mut tx, "here");
    must_put(&main, "a", "9");
    put(&mut tx, "a", "3");
    assert_eq!(must_get(&tx, "a").as_deref(), Some("3"), "it sees its own");
    must_lose(tx, &["a"]);
}

#[test]
fn save_2_a_released_write_conflicts() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut tx = begin(&store, Snapshot);
    savepoint(&mut tx, "here");
    put(&mut tx, "a", "2");
    tx.release("here").expect("release");
    must_put(&main, "a", "9");
    must_lose(tx, &["a"]);
}

#[test]
fn save_2_a_read_for_update_after_the_savepoint_no_longer_conflicts() {
    for level in [ReadCommitted, Snapshot] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "first", &[("before", Some("1")), ("after", Some("1"))]);
        let mut tx = begin(&store, level);
        assert!(get_for_update(&mut tx, "before").is_some(), "it is there");
        savepoint(&mut tx, "here");
        assert!(get_for_update(&mut tx, "after").is_some(), "it is there");
        rollback_to(&mut tx, "here");
        put(&mut tx, "n", "1");
        must_put(&main, "after", "2");
        must_win(tx);
        let mut tx = begin(&store, level);
        assert!(get_for_update(&mut tx, "before").is_some(), "it is there");
        savepoint(&mut tx, "here");
        assert!(get_for_update(&mut tx, "before").is_some(), "read again");
        rollback_to(&mut tx, "here");
        put(&mut tx, "n", "2");
        must_put(&main, "before", "2");
        must_lose(tx, &["before"]);
    }
}

#[test]
fn save_2_what_a_serializable_transaction_has_read_stays_read() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let mut tx = begin(&store, Serializable);
    savepoint(&mut tx, "here");
    assert_eq!(must_get(&tx, "a").as_deref(), Some("1"), "the program knows it now");
    rollback_to(&mut tx, "here");
    put(&mut tx, "b", "decided by it");
    must_put(&main, "a", "2");
    must_lose(tx, &["a"]);
}

#[test]
fn save_2_a_rollback_takes_back_what_was_done_on_every_branch() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let side = must_branch(&store, "side", "main");
    let mut tx = begin(&store, Snapshot);
    put_on(&mut tx, "side", "kept", "2");
    savepoint(&mut tx, "here");
    put(&mut tx, "a", "2");
    put_on(&mut tx, "side", "a", "2");
    put_on(&mut tx, "side", "kept", "3");
    rollback_to(&mut tx, "here");
    assert_eq!(must_get(&tx, "a").as_deref(), Some("1"), "on the first branch");
    assert_eq!(get_on(&mut tx, "side", "a").as_deref(), Some("1"), "on the other");
    assert_eq!(get_on(&mut tx, "side", "kept").as_deref(), Some("2"), "as it was");
    must_put(&main, "a", "9");
    must_put(&side, "a", "9");
    must_win(tx);
    assert_eq!(must_get(&side, "kept").as_deref(), Some("2"), "what is left is stored");
    assert_eq!(must_get(&side, "a").as_deref(), Some("9"), "and nothing else");
}

#[test]
fn save_2_a_branch_first_touched_after_the_savepoint_is_no_part_of_the_commit() {
    let store = Scratch::new();
    must_branch(&store, "side", "main");
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "a", "1");
    savepoint(&mut tx, "here");
    put_on(&mut tx, "side", "b", "1");
    rollback_to(&mut tx, "here");
    let force = withy::DeleteOptions::default().force(true);
    store.delete_branch("side", force).expect("nobody needs it any more");
    must_win(tx);
}

#[test]
fn save_2_everything_taken_back_is_a_reader() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        let mut tx = begin(&store, level);
        savepoint(&mut tx, "all");
        put(&mut tx, "a", "1");
        rollback_to(&mut tx, "all");
        let latest = must_put(&main, "a", "2");
        must_end(tx);
        assert_eq!(store.latest(), latest, "{level:?}: it writes no commit");
    }
}

#[test]
fn save_1_a_hundred_nested_savepoints_roll_back_one_by_one() {
    let store = Scratch::new();
    let mut tx = begin(&store, Snapshot);
    for n in 0..100 {
        savepoint(&mut tx, &format!("s{n}"));
        put(&mut tx, &format!("k{n:02}"), "1");
        put(&mut tx, "same", &format!("{n}"));
    }
    for n in (0..100).rev() {
        assert_eq!(must_get(&tx, "same"), Some(format!("{n}")), "as it was before s{}", n + 1);
        assert_eq!(tx.count(&KeyRange::prefix("k")).expect("count"), n + 1, "and so many keys");
        rollback_to(&mut tx, &format!("s{n}"));
    }
    assert_eq!(names(&tx), [""; 0], "none is left");
    must_end(tx);
}
