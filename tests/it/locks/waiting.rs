//! LOCK-2: waiting: in turn, not longer than told, and not behind who waits for oneself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use withy::ErrorKind;
use withy::LockKind::{Point, Subtree};

use super::{LONG, NOW, until_waiting};
use crate::support::{Scratch, must_fail};

#[test]
fn lock_2_who_waits_is_granted_as_soon_as_it_is_free() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let held = ann.lock("/a/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let waiting = s.spawn(|| ben.lock("/a", Subtree, LONG).map(|lock| lock.is_held()));
        until_waiting(&store, 1);
        let start = Instant::now();
        held.release().expect("held");
        assert!(waiting.join().expect("no panic").expect("granted"), "it holds it");
        assert!(start.elapsed() < Duration::from_secs(5), "at once: {:?}", start.elapsed());
    });
    assert!(store.lock_stats().longest_wait > Duration::ZERO, "the wait was measured");
}

#[test]
fn lock_f3_a_wait_ends_when_its_time_is_over_and_leaves_nothing_behind() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let cleo = store.lock_session("cleo").expect("a session");
    let _held = ann.lock("/a/b", Point, NOW).expect("free");
    let start = Instant::now();
    must_fail(ben.lock("/a", Subtree, Duration::from_millis(60)), ErrorKind::Busy);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(60), "not before its time: {took:?}");
    assert!(took < Duration::from_secs(10), "not long after it: {took:?}");
    drop(cleo.lock("/a/c", Point, NOW).expect("a request that has ended is in nobody's way"));
    let stats = store.lock_stats();
    assert_eq!((stats.waited, stats.timeouts), (1, 1), "both are counted");
}

#[test]
fn lock_2_those_behind_a_request_that_ends_are_granted() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let cleo = store.lock_session("cleo").expect("a session");
    let _held = ann.lock("/a/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let short = s.spawn(|| ben.lock("/a", Subtree, Duration::from_millis(300)).map(drop));
        until_waiting(&store, 1);
        let behind = s.spawn(|| cleo.lock("/a/c", Point, LONG).map(drop));
        until_waiting(&store, 2);
        must_fail(short.join().expect("no panic"), ErrorKind::Busy);
        behind.join().expect("no panic").expect("nothing stands in its way any more");
    });
}

#[test]
fn lock_2_requests_for_one_path_are_granted_in_the_order_they_came() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let held = ann.lock("/a", Point, NOW).expect("free");
    let order = Mutex::new(Vec::new());
    thread::scope(|s| {
        for i in 0..8_u64 {
            let (store, order) = (&store, &order);
            s.spawn(move || {
                let owner = store.lock_session(&format!("owner {i}")).expect("a session");
                let lock = owner.lock("/a", Point, LONG).expect("granted");
                order.lock().expect("no panic").push(i);
                lock.release().expect("held");
            });
            until_waiting(store, i + 1);
        }
        held.release().expect("held");
    });
    let order = order.into_inner().expect("no panic");
    assert_eq!(order, (0..8).collect::<Vec<_>>(), "first come, first served");
}

#[test]
fn lock_2_a_request_does_not_go_past_an_earlier_one_in_its_way() {
    let store = Scratch::new();
    let sessions: Vec<_> = (0..4).map(|i| store.lock_session(&i.to_string())).collect();
    let [ann, ben, cleo, dan] = &sessions[..] else { panic!("four sessions") };
    let [ann, ben, cleo, dan] = [ann, ben, cleo, dan].map(|s| s.as_ref().expect("a session"));
    let held = ann.lock("/a/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let subtree = s.spawn(|| ben.lock("/a", Subtree, LONG));
        until_waiting(&store, 1);
        let refused = must_fail(cleo.lock("/a/c", Point, NOW), ErrorKind::Busy);
        assert_eq!(
            refused.to_string(),
            "cannot lock \"/a/c\" (point): 1 (owner 2) asked earlier for \"/a\" (subtree)",
            "it is free, and someone else is next"
        );
        drop(dan.lock("/b", Point, NOW).expect("what is in nobody's way need not wait"));
        held.release().expect("held");
        let lock = subtree.join().expect("no panic").expect("granted");
        must_fail(cleo.lock("/a/c", Point, NOW), ErrorKind::Busy);
        lock.release().expect("held");
        drop(cleo.lock("/a/c", Point, NOW).expect("free"));
    });
}

#[test]
fn lock_2_a_stream_of_points_does_not_starve_a_subtree() {
    let store = Scratch::new();
    let (stop, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|s| {
        // At any time at least one of them holds something below.
        for i in 0..6 {
            let (store, stop, taken) = (&store, &stop, &taken);
            s.spawn(move || {
                let path = format!("/a/{i}");
                while !stop.load(Ordering::SeqCst) {
                    let owner = store.lock_session("stream").expect("a session");
                    let lock = owner.lock(&path, Point, LONG).expect("granted");
                    taken.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(3));
                    lock.release().expect("held");
                }
            });
        }
        super::until("the stream flows", || taken.load(Ordering::SeqCst) > 50);
        let ann = store.lock_session("ann").expect("a session");
        for _ in 0..20 {
            let start = Instant::now();
            let lock = ann.lock("/a", Subtree, LONG);
            if lock.is_err() {
                stop.store(true, Ordering::SeqCst);
            }
            drop(lock.expect("its turn comes"));
            assert!(start.elapsed() < Duration::from_secs(5), "soon: {:?}", start.elapsed());
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn lock_2_who_is_waited_for_goes_past_the_queue_instead_of_into_a_deadlock() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let first = ann.lock("/a/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let waiting = s.spawn(|| ben.lock("/a", Subtree, LONG).map(drop));
        until_waiting(&store, 1);
        // Ben waits for ann, so if ann waited for ben neither would go on.
        let second = ann.lock("/a/c", Point, NOW).expect("ann goes first");
        assert_eq!(store.deadlocks(), [], "that is no deadlock");
        drop((first, second));
        waiting.join().expect("no panic").expect("and then ben");
    });
}

#[test]
fn lock_2_a_circle_that_only_fairness_closes_is_opened_by_going_past() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let cleo = store.lock_session("cleo").expect("a session");
    let of_ann = ann.lock("/x", Point, NOW).expect("free");
    let of_cleo = cleo.lock("/a/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let subtree = s.spawn(|| ben.lock("/a", Subtree, LONG).map(drop));
        until_waiting(&store, 1);
        // Ann is behind ben only because he came earlier.
        let ann = s.spawn(move || {
            let behind = ann.lock("/a/c", Point, LONG).map(drop);
            drop(of_ann);
            behind
        });
        until_waiting(&store, 2);
        // Now ben waits for cleo, cleo for ann, and ann for ben, out of fairness alone.
        let cleo = s.spawn(move || {
            let last = cleo.lock("/x", Point, LONG).map(drop);
            drop(of_cleo);
            last
        });
        ann.join().expect("no panic").expect("ann went past ben");
        cleo.join().expect("no panic").expect("cleo after ann");
        subtree.join().expect("no panic").expect("ben after cleo");
    });
    assert_eq!(store.deadlocks(), [], "nobody had to give way");
}

#[test]
fn lock_2_a_set_waits_for_the_moment_when_all_are_free_and_holds_none_before() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let cleo = store.lock_session("cleo").expect("a session");
    let (a, b) = (ann.lock("/a", Point, NOW).expect("free"), cleo.lock("/b", Point, NOW));
    thread::scope(|s| {
        let set = s.spawn(|| ben.lock_all(&[("/a", Point), ("/b", Point)], LONG));
        until_waiting(&store, 1);
        drop(a);
        assert_eq!(ben.held(), [], "half a set is nothing");
        must_fail(ann.lock("/a", Point, NOW), ErrorKind::Busy);
        drop(b);
        let locks = set.join().expect("no panic").expect("both are free");
        assert_eq!(locks.len(), 2, "all of it at one moment");
    });
}
