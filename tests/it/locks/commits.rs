//! LOCK-3: commits under locks.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use withy::LockKind::{Point, Subtree};
use withy::{
    Batch, CommitOptions, Committed, ErrorKind, FastForward, KeyRange, Lock, MergeOptions, Read,
};

use super::{LONG, NOW, Timed, lease};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put};

#[test]
fn lock_f11_a_commit_under_several_locks_needs_all_of_them() {
    let timed = Timed::new();
    let main = timed.store.main().expect("main");
    let ann = timed.store.lock_session("ann").expect("a session");
    let short = ann.lock("/a", Point, lease(1)).expect("free");
    let long = ann.lock("/b", Point, lease(10)).expect("free");
    let under = CommitOptions::default().fence(&long).fence(&short);
    let mut batch = Batch::new();
    batch.put("a", "1");
    main.write(batch.clone(), under.clone()).expect("both are held");
    timed.time.pass(Duration::from_secs(1));
    batch.put("a", "2");
    must_fail(main.write(batch, under), ErrorKind::LeaseLost);
    timed.time.pass(Duration::from_secs(8));
    assert!(long.is_held(), "the refused commit has let go of the other one");
    timed.time.pass(Duration::from_secs(1));
    assert!(!long.is_held(), "which lapses when its time is over");
}

#[test]
fn lock_f8_a_commit_that_would_change_nothing_is_refused_as_well() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let ann = store.lock_session("ann").expect("a session");
    let lock = ann.lock("/a", Point, NOW).expect("free");
    let under = CommitOptions::default().fence(&lock);
    let mut batch = Batch::new();
    batch.put("a", "1");
    let same = main.write(batch.clone(), under.clone()).expect("the lock is held");
    assert_eq!(same, Committed::Unchanged, "nothing changes");
    lock.release().expect("held");
    must_fail(main.write(batch, under), ErrorKind::LeaseLost);
}

#[test]
fn lock_3_a_counter_under_a_lock_loses_nothing_though_its_owners_stall() {
    // Plain reads and writes: only the lock keeps them apart, and one owner in four sleeps past its
    // lease, so that it has to be kept from writing what it read before.
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "n", "0");
    let counted = Mutex::new(0_u64);
    thread::scope(|s| {
        for worker in 0..4_u64 {
            let (store, main, counted) = (&store, &main, &counted);
            s.spawn(move || {
                let owner = store.lock_session(&format!("worker {worker}")).expect("a session");
                for turn in 0..30 {
                    let options =
                        withy::LockOptions::default().wait(LONG).lease(Duration::from_millis(8));
                    let lock = owner.lock("/n", Subtree, options).expect("its turn comes");
                    let n = main.get(b"n").expect("a read").expect("it is there");
                    let n: u64 = String::from_utf8(n).expect("text").parse().expect("a number");
                    if (turn + worker) % 4 == 0 {
                        thread::sleep(Duration::from_millis(12));
                    }
                    let mut batch = Batch::new();
                    batch.put("n", (n + 1).to_string());
                    match main.write(batch, CommitOptions::default().fence(&lock)) {
                        Ok(_) => *counted.lock().expect("no panic") += 1,
                        Err(e) => assert_eq!(e.kind(), ErrorKind::LeaseLost, "{e}"),
                    }
                }
            });
        }
    });
    let counted = counted.into_inner().expect("no panic");
    let n = main.get(b"n").expect("a read").expect("it is there");
    assert_eq!(n, counted.to_string().into_bytes(), "each write that went through counts once");
    assert!(counted < 120, "some stalled: {counted}");
    assert!(counted > 0, "and some did not");
}

#[test]
fn lock_f8_every_way_to_commit_is_refused_without_its_lock() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    must_put(&must_branch(&store, "topic", "main"), "b", "2");
    let ann = store.lock_session("ann").expect("a session");
    let lock = ann.lock("/", Subtree, NOW).expect("free");
    let held = CommitOptions::default().fence(&lock);
    let merge = |held: &Lock| MergeOptions::default().fence(held);
    let (moves, merges) = (merge(&lock), merge(&lock).fast_forward(FastForward::Never));
    lock.release().expect("held");
    let before = main.head().expect("the head");

    let mut tx = store.begin("main").expect("a transaction");
    tx.put("a", "2").expect("a put");
    must_fail(tx.commit(held.clone()), ErrorKind::LeaseLost);
    let mut runs = 0;
    let ran = store.run("main", held.clone(), |tx| {
        runs += 1;
        tx.put("a", "2")
    });
    must_fail(ran, ErrorKind::LeaseLost);
    assert_eq!(runs, 1, "running it again would not help");
    must_fail(store.restore("main", "main~1", &KeyRange::all(), held), ErrorKind::LeaseLost);
    must_fail(store.merge("main", "topic", moves), ErrorKind::LeaseLost);
    must_fail(store.merge("main", "topic", merges), ErrorKind::LeaseLost);

    assert_eq!(main.head().expect("the head"), before, "nothing was written, nothing has moved");
    assert_eq!(must_get(&main, "b"), None, "nothing was merged");
}

#[test]
fn lock_3_every_way_to_commit_goes_through_with_its_lock() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    must_put(&must_branch(&store, "topic", "main"), "b", "2");
    let ann = store.lock_session("ann").expect("a session");
    let lock = ann.lock("/", Subtree, NOW).expect("free");
    let held = || CommitOptions::default().fence(&lock);
    store.merge("main", "topic", MergeOptions::default().fence(&lock)).expect("a merge");
    store.run("main", held(), |tx| tx.put("a", "2")).expect("a transaction");
    store.restore("main", "main~2", &KeyRange::all(), held()).expect("a restore");
    assert_eq!(must_get(&main, "a").as_deref(), Some("1"), "as before");
    assert_eq!(must_get(&main, "b"), None, "as before");
}
