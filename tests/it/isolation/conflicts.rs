//! What conflicts and what does not, beyond the anomalies: false conflicts, reads for update, retries.

use withy::Isolation::{ReadCommitted, Serializable, Snapshot};
use withy::{CommitOptions, KeyRange, Read};

use super::{at, begin, commit, get_for_update, must_end, must_lose, must_win, put, put_on};
use crate::support::{Scratch, must_branch, must_get, must_put, must_write};

#[test]
fn txn_2_a_conflict_stores_nothing_of_the_transaction() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        let mut late = begin(&store, level);
        put(&mut late, "pear", "green");
        put(&mut late, "plum", "blue");
        let taken = must_put(&main, "plum", "red");
        must_lose(late, &["plum"]);
        assert_eq!(must_get(&main, "pear"), None, "the other one is not written either");
        assert_eq!(store.latest(), taken, "there is no commit of it");
    }
}

#[test]
fn ruling_1_a_put_of_the_value_that_was_read_guards_the_read() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "open", "yes");
        let mut tx = begin(&store, level);
        put(&mut tx, "open", "yes");
        put(&mut tx, "order", "1");
        must_put(&main, "open", "no");
        must_lose(tx, &["open"]);
    }
}

#[test]
fn ruling_1_reads_are_checked_though_no_write_is_left() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "two", &[("a", Some("1")), ("b", Some("1"))]);
    let mut tx = begin(&store, Serializable);
    assert_eq!(must_get(&tx, "a").as_deref(), Some("1"), "what it rests on");
    put(&mut tx, "b", "1");
    must_put(&main, "a", "2");
    must_lose(tx, &["a"]);
}

#[test]
fn txn_2_other_keys_and_other_branches_never_conflict() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_write(&main, "two", &[("pear", Some("green")), ("b", Some("1"))]);
        let side = must_branch(&store, "side", "main");
        let mut tx = begin(&store, level);
        assert_eq!(must_get(&tx, "b").as_deref(), Some("1"), "a point beside the others");
        assert_eq!(tx.count(&KeyRange::prefix("c/")).expect("count"), 0, "a range beside them");
        put(&mut tx, "pear", "yellow");
        must_write(&main, "beside", &[("a", Some("1")), ("b\0", Some("1")), ("c", Some("1"))]);
        must_write(&main, "beside", &[("c.", Some("1")), ("c0", Some("1")), ("d", Some("1"))]);
        must_write(&side, "elsewhere", &[("pear", Some("brown")), ("b", None)]);
        must_put(&side, "c/1", "1");
        must_win(tx);
    }
}

#[test]
fn txn_2_a_reader_never_conflicts_whatever_it_read() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "a", "1");
        let mut reader = begin(&store, level);
        assert_eq!(reader.count(&KeyRange::all()).expect("count"), 1, "it reads everything");
        assert_eq!(must_get(&reader, "a").as_deref(), Some("1"), "and one key");
        reader.savepoint("before").expect("savepoint");
        put(&mut reader, "b", "taken back");
        reader.rollback_to("before").expect("rollback_to");
        must_write(&main, "all of it changes", &[("a", Some("2")), ("b", Some("2"))]);
        must_end(reader);
    }
}

#[test]
fn txn_1_a_blind_write_conflicts_where_reads_are_repeatable() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let mut tx = begin(&store, level);
        put(&mut tx, "a", "1");
        must_put(&store.main().expect("main"), "a", "2");
        must_lose(tx, &["a"]);
    }
}

#[test]
fn txn_1_read_committed_is_refused_only_for_what_it_read_for_update() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "two", &[("a", Some("1")), ("b", Some("1"))]);
    let mut tx = begin(&store, ReadCommitted);
    put(&mut tx, "b", "mine");
    must_write(&main, "both change", &[("a", Some("2")), ("b", Some("2"))]);
    let read = get_for_update(&mut tx, "a");
    assert_eq!(read.as_deref(), Some("2"), "it reads the newest, from which on it must not change");
    must_win(tx);
    assert_eq!(must_get(&main, "b").as_deref(), Some("mine"), "the last committer wins");
    let mut tx = begin(&store, ReadCommitted);
    assert_eq!(get_for_update(&mut tx, "a").as_deref(), Some("2"), "it is read for update");
    put(&mut tx, "b", "mine again");
    must_put(&main, "a", "3");
    must_lose(tx, &["a"]);
    assert_eq!(must_get(&main, "b").as_deref(), Some("mine"), "nothing of it is stored");
}

#[test]
fn txn_2_a_key_read_for_update_conflicts_though_nothing_is_written() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "a", "1");
        let mut reads = begin(&store, level);
        assert_eq!(get_for_update(&mut reads, "a").as_deref(), Some("1"), "what is there");
        assert_eq!(get_for_update(&mut reads, "n"), None, "what is not there");
        let mut same = begin(&store, level);
        assert_eq!(get_for_update(&mut same, "a").as_deref(), Some("1"), "readers share it");
        must_end(same);
        must_write(&main, "both", &[("a", Some("2")), ("n", Some("2"))]);
        must_lose(reads, &["a", "n"]);
    }
}

#[test]
fn txn_2_a_read_for_update_after_the_change_conflicts_where_reads_are_repeatable() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "a", "1");
        let mut tx = begin(&store, level);
        must_put(&main, "a", "2");
        assert_eq!(get_for_update(&mut tx, "a").as_deref(), Some("1"), "reads are repeatable");
        put(&mut tx, "b", "1");
        must_lose(tx, &["a"]);
    }
}

#[test]
fn txn_2_a_read_for_update_sees_own_writes() {
    for level in [ReadCommitted, Snapshot, Serializable] {
        let store = Scratch::new();
        must_put(&store.main().expect("main"), "a", "1");
        let mut tx = begin(&store, level);
        put(&mut tx, "a", "2");
        assert_eq!(get_for_update(&mut tx, "a").as_deref(), Some("2"), "{level:?}: its own");
        tx.delete("a").expect("delete");
        assert_eq!(get_for_update(&mut tx, "a"), None, "{level:?}: its own deletion");
        must_win(tx);
    }
}

#[test]
fn txn_2_conflicts_of_several_branches_are_all_named() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let side = must_branch(&store, "side", "main");
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "a", "1");
    put_on(&mut tx, "side", "b", "1");
    put_on(&mut tx, "side", "c", "1");
    must_put(&main, "a", "2");
    must_put(&side, "b", "2");
    must_lose(tx, &["a", "b"]);
    assert_eq!(must_get(&side, "c"), None, "nothing is stored on either");
}

#[test]
fn txn_4_run_with_tries_again_until_what_it_reads_stays() {
    for level in [Snapshot, Serializable] {
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "a", "1");
        let mut runs = 0;
        let seen = store.run_with("main", at(level), CommitOptions::default(), |tx| {
            runs += 1;
            let seen = tx.get_for_update(b"a")?;
            if runs < 3 {
                main.put("a", format!("{}", runs + 1))?;
            }
            tx.put("b", seen.clone().expect("it is there"))?;
            Ok(seen)
        });
        let seen = seen.expect("the third run has nobody in its way");
        assert_eq!((runs, seen.as_deref()), (3, Some(&b"3"[..])), "{level:?}: each run is new");
        assert_eq!(must_get(&main, "b").as_deref(), Some("3"), "only the last one is stored");
    }
}

#[test]
fn txn_4_a_program_without_writes_is_never_run_again() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut runs = 0;
    store
        .run_with("main", at(Serializable), CommitOptions::default(), |tx| {
            runs += 1;
            main.put("a", format!("{runs}"))?;
            tx.count(&KeyRange::all())
        })
        .expect("readers never conflict");
    assert_eq!(runs, 1, "a reader has nothing to lose");
    let tx = begin(&store, Serializable);
    assert!(commit(tx).is_ok(), "nor has one that did nothing");
}
