//! SAVE-2 and LOCK-3: locks of a transaction end with it, or with the savepoint before them.

use std::time::Duration;

use withy::LockKind::{Point, Subtree};
use withy::{CommitOptions, ErrorKind, Read, Store};

use super::{LONG, NOW, Timed, lease};
use crate::support::must_fail;

fn held(store: &Store) -> Vec<String> {
    store.held_locks().into_iter().map(|lock| lock.path.as_str().to_owned()).collect()
}

#[test]
fn save_2_rolling_back_lets_go_of_the_locks_taken_since() {
    let timed = Timed::new();
    let store = &timed.store;
    let mut tx = store.begin("main").expect("begin");
    tx.savepoint("none").expect("set");
    tx.lock("/a", Point, NOW).expect("free");
    tx.savepoint("one").expect("set");
    tx.lock("/b", Subtree, NOW).expect("free");
    tx.lock("/a", Point, NOW).expect("its own");
    assert_eq!(held(store).len(), 3, "each is a grant");
    tx.rollback_to("one").expect("roll back");
    assert_eq!(held(store), ["/a"], "what was there before stays");
    tx.rollback_to("none").expect("roll back");
    assert!(held(store).is_empty(), "nothing was there before");
    tx.savepoint("kept").expect("set");
    tx.lock("/c", Point, NOW).expect("free");
    tx.release("kept").expect("release");
    assert_eq!(held(store), ["/c"], "release keeps what was done");
    {
        let mut scope = tx.scope();
        scope.txn().lock("/d", Point, NOW).expect("free");
    }
    assert_eq!(held(store), ["/c"], "so does the end of a scope take back");
    tx.rollback();
    assert!(held(store).is_empty(), "the end of the transaction ends them");
}

#[test]
fn lock_3_a_transaction_whose_lock_has_lapsed_does_not_commit() {
    let timed = Timed::new();
    let store = &timed.store;
    let mut tx = store.begin("main").expect("begin");
    tx.lock("/fruit", Subtree, lease(10)).expect("free");
    tx.put("fruit/pear", "green").expect("put");
    timed.time.pass(Duration::from_secs(10));
    must_fail(tx.commit(CommitOptions::default()), ErrorKind::LeaseLost);
    assert!(!store.main().expect("main").contains(b"fruit/pear").expect("read"), "nothing written");
    assert!(held(store).is_empty(), "and nothing held");
}

#[test]
fn lock_3_a_transaction_renews_its_locks_and_may_roll_back_before_a_lost_one() {
    let timed = Timed::new();
    let store = &timed.store;
    let second = Duration::from_secs(1);
    let mut tx = store.begin("main").expect("begin");
    tx.renew_locks().expect("there is nothing to renew");
    tx.lock("/fruit", Subtree, lease(10)).expect("free");
    for _ in 0..3 {
        timed.time.pass(9 * second);
        tx.renew_locks().expect("held");
    }
    tx.savepoint("before").expect("set");
    tx.lock("/nuts", Subtree, lease(2)).expect("free");
    timed.time.pass(3 * second);
    must_fail(tx.renew_locks(), ErrorKind::LeaseLost);
    tx.rollback_to("before").expect("roll back");
    tx.renew_locks().expect("the lost one is not its own any more");
    tx.put("fruit/pear", "green").expect("put");
    tx.commit(CommitOptions::default()).expect("commit");
    assert!(store.main().expect("main").contains(b"fruit/pear").expect("read"), "it is there");
}

#[test]
fn lock_2_who_waits_for_a_transaction_sees_its_commit() {
    let timed = Timed::new();
    let store = &timed.store;
    let mut tx = store.begin("main").expect("begin");
    tx.lock("/fruit", Subtree, NOW).expect("free");
    tx.put("fruit/pear", "green").expect("put");
    std::thread::scope(|threads| {
        let waiter = threads.spawn(|| {
            let ben = store.lock_session("ben").expect("a session");
            let _lock = ben.lock("/fruit/pear", Point, LONG).expect("it comes free");
            store.main().expect("main").get(b"fruit/pear").expect("read")
        });
        super::until_waiting(store, 1);
        tx.commit(CommitOptions::default()).expect("commit");
        let seen = waiter.join().expect("the waiter ends");
        assert_eq!(
            seen.as_deref(),
            Some(&b"green"[..]),
            "the lock is free once the commit is seen"
        );
    });
}

#[test]
fn lock_2_the_victim_of_a_deadlock_is_run_again() {
    let timed = Timed::new();
    let store = &timed.store;
    let barrier = std::sync::Barrier::new(2);
    let run = |first: &'static str, second: &'static str| {
        let mut tries = 0;
        store
            .run("main", CommitOptions::default(), |tx| {
                tx.lock(first, Point, LONG)?;
                if tries == 0 {
                    barrier.wait();
                }
                tries += 1;
                tx.lock(second, Point, LONG)?;
                tx.put(first, "done")
            })
            .expect("both come to their end");
        tries
    };
    let tries: u32 = std::thread::scope(|threads| {
        let other = threads.spawn(|| run("/a", "/b"));
        run("/b", "/a") + other.join().expect("it ends")
    });
    assert_eq!(tries, 3, "one of them had to be run twice");
    assert_eq!(store.deadlocks().len(), 1, "and the deadlock is listed");
    let main = store.main().expect("main");
    assert!(main.contains(b"/a").expect("read") && main.contains(b"/b").expect("read"), "both");
}

#[test]
fn lock_1_a_lock_that_is_refused_leaves_the_transaction_usable() {
    let timed = Timed::new();
    let store = &timed.store;
    let ben = store.lock_session("ben").expect("a session");
    let _lock = ben.lock("/fruit", Subtree, NOW).expect("free");
    let mut tx = store.begin("main").expect("begin");
    must_fail(tx.lock("/fruit/pear", Point, NOW), ErrorKind::Busy);
    tx.put("plum", "blue").expect("put");
    tx.commit(CommitOptions::default()).expect("commit");
    assert!(store.main().expect("main").contains(b"plum").expect("read"), "it is there");
}
