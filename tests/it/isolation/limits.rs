//! TXN-5: each limit is named when it is met, and what was done before stays good.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use withy::Isolation::{Serializable, Snapshot};
use withy::{CommitOptions, Error, ErrorKind, KeyRange, Read, Setting, Txn, TxnOptions};

use super::{at, begin, commit, delete, must_end, must_lose, must_win, put};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, rows};

/// A refusal that names the limit.
#[track_caller]
fn refused<T>(result: Result<T, Error>, names: &[&str]) {
    let e = must_fail(result, ErrorKind::Limit);
    for name in names {
        assert!(e.to_string().contains(name), "TXN-5: the limit is named, {name}: {e}");
    }
    assert!(!e.is_retryable(), "to run it again as it is would not help");
}

#[test]
fn txn_5_operations_over_the_limit_are_refused_and_earlier_ones_commit() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "old", "1");
    let mut tx = store.begin_with("main", at(Snapshot).max_operations(3)).expect("begin");
    put(&mut tx, "a", "1");
    put(&mut tx, "a", "2");
    delete(&mut tx, "old");
    refused(tx.put("b", "1"), &["operations", "3"]);
    refused(tx.delete("a"), &["operations", "3"]);
    assert_eq!(tx.count(&KeyRange::all()).expect("count"), 1, "reads are not counted");
    assert_eq!(must_get(&tx, "a").as_deref(), Some("2"), "what was done before is there");
    assert_eq!(tx.get_for_update(b"c").expect("a read"), None, "a read for update is a read");
    must_win(tx);
    assert_eq!(rows(&main), [("a".to_owned(), "2".to_owned())], "TXN-5: earlier work is intact");
}

#[test]
fn txn_5_save_2_operations_that_are_taken_back_are_given_back() {
    let store = Scratch::new();
    let mut tx = store.begin_with("main", at(Snapshot).max_operations(3)).expect("begin");
    put(&mut tx, "a", "1");
    for _ in 0..5 {
        tx.savepoint("here").expect("savepoints are not counted");
        put(&mut tx, "b", "1");
        put(&mut tx, "c", "1");
        refused(tx.put("d", "1"), &["operations"]);
        tx.rollback_to("here").expect("rollback_to");
    }
    tx.savepoint("kept").expect("savepoint");
    put(&mut tx, "b", "1");
    tx.release("kept").expect("release");
    put(&mut tx, "c", "1");
    refused(tx.put("d", "1"), &["operations"]);
    must_win(tx);
    assert_eq!(rows(&store.main().expect("main")).len(), 3, "what was released counts");
}

#[test]
fn txn_5_operations_on_all_branches_count_together() {
    let store = Scratch::new();
    let side = must_branch(&store, "side", "main");
    let mut tx = store.begin_with("main", at(Snapshot).max_operations(2)).expect("begin");
    put(&mut tx, "a", "1");
    tx.on("side").and_then(|mut side| side.put("a", "1")).expect("the second");
    refused(tx.on("side").and_then(|mut side| side.delete("a")), &["operations", "2"]);
    refused(tx.put("b", "1"), &["operations", "2"]);
    must_win(tx);
    assert_eq!(must_get(&side, "a").as_deref(), Some("1"), "earlier work is intact");
}

#[test]
fn txn_5_bytes_over_the_limit_are_refused_and_earlier_ones_commit() {
    let store = Scratch::new();
    let mut tx = store.begin_with("main", at(Snapshot).max_bytes(100)).expect("begin");
    put(&mut tx, "k", &"v".repeat(50));
    refused(tx.put("l", "v".repeat(60)), &["bytes", "100"]);
    refused(tx.enqueue("topic", "v".repeat(60)), &["bytes", "100"]);
    put(&mut tx, "l", &"v".repeat(40));
    put(&mut tx, "k", &"w".repeat(50));
    put(&mut tx, "k", "short");
    put(&mut tx, "m", &"v".repeat(40));
    refused(tx.put("n", "v".repeat(40)), &["bytes"]);
    must_win(tx);
    let main = store.main().expect("main");
    assert_eq!(rows(&main).len(), 3, "TXN-5: earlier work is intact");
    assert_eq!(must_get(&main, "k").as_deref(), Some("short"), "as it was last");
}

#[test]
fn txn_5_save_2_bytes_that_are_taken_back_are_given_back() {
    let store = Scratch::new();
    let mut tx = store.begin_with("main", at(Snapshot).max_bytes(100)).expect("begin");
    for _ in 0..5 {
        tx.savepoint("here").expect("savepoint");
        put(&mut tx, "k", &"v".repeat(60));
        tx.enqueue("topic", "v".repeat(20)).expect("there is room");
        refused(tx.put("l", "v".repeat(60)), &["bytes"]);
        tx.rollback_to("here").expect("rollback_to");
    }
    put(&mut tx, "k", &"v".repeat(90));
    must_win(tx);
}

#[test]
fn txn_5_what_a_serializable_transaction_remembers_of_its_reads_takes_bytes_too() {
    let store = Scratch::new();
    let mut tx = store.begin_with("main", at(Serializable).max_bytes(10_000)).expect("begin");
    put(&mut tx, "a", "1");
    let key = |n: u32| format!("read/{n:04}/{}", "x".repeat(50));
    let over = (0..1_000).find_map(|n| tx.get(key(n).as_bytes()).err());
    refused::<()>(Err(over.expect("a thousand keys are too many")), &["bytes", "10000"]);
    refused(tx.put("b", "v".repeat(10_000)), &["bytes", "10000"]);
    must_win(tx);
    assert_eq!(rows(&store.main().expect("main")).len(), 1, "TXN-5: earlier work is intact");
}

#[test]
fn txn_5_a_transaction_that_goes_on_for_too_long_is_refused_and_stores_nothing() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let timeout = Duration::from_millis(60);
    let mut in_time =
        store.begin_with("main", at(Snapshot).timeout(timeout * 1_000)).expect("begin");
    let mut late = store.begin_with("main", at(Snapshot).timeout(timeout)).expect("begin");
    put(&mut in_time, "a", "1");
    put(&mut late, "b", "1");
    std::thread::sleep(timeout * 2);
    refused(late.put("c", "1"), &["60 ms"]);
    refused(late.get(b"b"), &["60 ms"]);
    refused(late.count(&KeyRange::all()), &["60 ms"]);
    refused(commit(late), &["60 ms"]);
    must_win(in_time);
    assert_eq!(
        rows(&main),
        [("a".to_owned(), "1".to_owned())],
        "nothing of the late one is stored"
    );
}

#[test]
fn txn_5_more_open_transactions_than_the_limit_are_refused_until_one_ends() {
    let mut store = Scratch::new();
    store.set_config(Setting::MaxTransactions, Some("2")).expect("a setting");
    store.reopen();
    let main = store.main().expect("main");
    let mut one = begin(&store, Snapshot);
    let two = begin(&store, Serializable);
    put(&mut one, "a", "1");
    let e = match store.begin("main") {
        Ok(_) => panic!("TXN-5: there are two already"),
        Err(e) => e,
    };
    refused::<()>(Err(e), &["2", "transactions"]);
    let mut runs = 0;
    let none = store.run("main", CommitOptions::default(), |_: &mut Txn<'_>| {
        runs += 1;
        Ok(())
    });
    refused(none, &["2"]);
    assert_eq!(runs, 0, "nothing is run that cannot begin");
    must_put(&main, "b", "plain puts do not stay open");
    must_end(two);
    let three = begin(&store, Snapshot);
    drop(three);
    let mut four = begin(&store, Snapshot);
    put(&mut four, "a", "2");
    must_win(one);
    must_lose(four, &["a"]);
    assert_eq!(must_get(&main, "a").as_deref(), Some("1"), "TXN-5: earlier work is intact");
    assert_eq!(store.work().active, 0, "a conflict has ended it too");
}

#[test]
fn txn_5_the_limit_of_open_transactions_holds_under_many_threads() {
    let mut store = Scratch::new();
    store.set_config(Setting::MaxTransactions, Some("3")).expect("a setting");
    store.reopen();
    let (over, most, refusals) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let open = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match store.begin("main") {
                        Ok(tx) => {
                            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            open.fetch_sub(1, Ordering::SeqCst);
                            tx.rollback();
                        }
                        Err(e) => {
                            assert_eq!(e.kind(), ErrorKind::Limit, "nothing else fails: {e:?}");
                            refusals.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(most.into_inner(), 3, "TXN-5: never more than three, and three are reached");
    assert!(refusals.into_inner() > 0, "some were refused");
    assert_eq!(store.work().active, 0, "every one has ended");
}

#[test]
fn txn_5_limits_of_the_store_hold_where_a_transaction_has_none_of_its_own() {
    let mut store = Scratch::new();
    store.set_config(Setting::MaxOperations, Some("1")).expect("a setting");
    store.set_config(Setting::MaxTransactionBytes, Some("100")).expect("a setting");
    store.reopen();
    let mut tx = begin(&store, Snapshot);
    refused(tx.put("a", "v".repeat(200)), &["bytes", "100"]);
    put(&mut tx, "a", "1");
    refused(tx.put("b", "1"), &["operations", "1"]);
    must_win(tx);
    let own = TxnOptions::default().max_operations(2).max_bytes(1_000);
    let mut tx = store.begin_with("main", own).expect("begin");
    put(&mut tx, "b", &"v".repeat(200));
    put(&mut tx, "c", "1");
    refused(tx.put("d", "1"), &["operations", "2"]);
    must_win(tx);
}

#[test]
fn txn_5_a_limit_is_no_reason_to_run_again() {
    let store = Scratch::new();
    let mut runs = 0;
    let options = TxnOptions::default().max_operations(1);
    let result = store.run_with("main", options, CommitOptions::default(), |tx| {
        runs += 1;
        tx.put("a", "1")?;
        tx.put("b", "1")
    });
    refused(result, &["operations"]);
    assert_eq!(runs, 1, "it would end the same way");
    assert_eq!(rows(&store.main().expect("main")), [], "and nothing of it is stored");
}
