//! LOCK-1, LOCK-2: many threads, and a list kept apart from withy that says that no two locks that are
//! held are in each other's way.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use withy::LockKind::{self, Point, Subtree};
use withy::{ErrorKind, Lock, LockOptions};

use super::NOW;
use crate::support::Scratch;

const THREADS: u64 = 32;

fn turns() -> u32 {
    std::env::var("WITHY_LOCK_TURNS").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

/// What is held, as components, by whom: kept by the test.
#[derive(Default)]
struct Checker(Mutex<Vec<(u64, Vec<String>, LockKind)>>);

impl Checker {
    fn enter(&self, owner: u64, lock: &Lock) {
        let path: Vec<_> = lock.path().components().map(str::to_owned).collect();
        let mut held = self.0.lock().expect("no other thread has failed");
        for (other, there, kind) in held.iter().filter(|(other, ..)| *other != owner) {
            let over = |a: &[String], kind, b: &[String]| kind == Subtree && b.starts_with(a);
            let clash =
                *there == path || over(there, *kind, &path) || over(&path, lock.kind(), there);
            assert!(
                !clash,
                "{owner} has {path:?} {} beside {other}'s {there:?} {kind}",
                lock.kind()
            );
        }
        held.push((owner, path, lock.kind()));
    }

    fn leave(&self, owner: u64) {
        self.0.lock().expect("no other thread has failed").retain(|(other, ..)| *other != owner);
    }
}

#[test]
fn lock_2_hundreds_that_hold_something_and_wait_for_the_same_are_served_in_turn() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let held = ann.lock("/all", Point, NOW).expect("free");
    let order = Mutex::new(Vec::new());
    thread::scope(|s| {
        for i in 0..300_u64 {
            let (store, order) = (&store, &order);
            s.spawn(move || {
                let owner = store.lock_session("one of many").expect("a session");
                owner.lock(&format!("/own/{i}"), Point, NOW).expect("its own").keep();
                let lock = owner.lock("/all", Subtree, super::LONG).expect("its turn comes");
                order.lock().expect("no panic").push(i);
                lock.release().expect("held");
            });
            super::until_waiting(store, i + 1);
        }
        held.release().expect("held");
    });
    let order = order.into_inner().expect("no panic");
    assert_eq!(order, (0..300).collect::<Vec<_>>(), "first come, first served");
    assert_eq!(store.deadlocks(), [], "nobody waited for whom it kept waiting");
}

fn path(random: &mut fastrand::Rng) -> String {
    const NAMES: [&str; 4] = ["a", "ab", "b", "c"];
    let depth = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3][random.usize(0..10)];
    // The root now and then only: it stops everyone.
    let depth = if depth == 0 && random.u8(0..4) != 0 { 2 } else { depth };
    (0..depth).map(|_| format!("/{}", NAMES[random.usize(0..4)])).collect::<String>() + "/"
}

#[test]
fn lock_1_32_threads_never_hold_two_locks_that_are_in_each_others_way() {
    let store = Scratch::new();
    let checker = Checker::default();
    let granted = AtomicU64::new(0);
    thread::scope(|s| {
        for owner in 0..THREADS {
            let (store, checker, granted) = (&store, &checker, &granted);
            s.spawn(move || {
                let mut random = fastrand::Rng::with_seed(owner);
                let session = store.lock_session(&format!("thread {owner}")).expect("a session");
                let mut locks: Vec<Lock> = Vec::new();
                for _ in 0..turns() {
                    let kind = if random.u8(0..3) == 0 { Subtree } else { Point };
                    let wait = [NOW, Duration::from_millis(5), super::LONG][random.usize(0..3)];
                    let options = LockOptions::default().wait(wait);
                    let got = match random.u8(0..4) {
                        0 => {
                            let (one, other) = (path(&mut random), path(&mut random));
                            session.lock_all(&[(&one, kind), (&other, Point)], options)
                        }
                        _ => session.lock(&path(&mut random), kind, options).map(|lock| vec![lock]),
                    };
                    match got {
                        Ok(got) => {
                            got.iter().for_each(|lock| checker.enter(owner, lock));
                            granted.fetch_add(got.len() as u64, Ordering::Relaxed);
                            locks.extend(got);
                        }
                        Err(e) if e.kind() == ErrorKind::Deadlock || random.bool() => {
                            checker.leave(owner);
                            locks.clear();
                        }
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Busy, "{e}"),
                    }
                    if locks.len() > 3 {
                        checker.leave(owner);
                        locks.clear();
                    }
                    if random.u8(0..8) == 0 {
                        thread::yield_now();
                    }
                }
                checker.leave(owner);
            });
        }
    });
    let stats = store.lock_stats();
    assert_eq!(store.held_locks(), [], "all threads have ended, and nothing is held");
    assert_eq!((stats.granted, stats.held), (granted.into_inner(), 0), "each grant was seen");
    assert!(stats.granted > 1_000, "much was granted: {stats:?}");
    assert!(stats.waited > 100 && stats.deadlocks > 0, "and much was in the way: {stats:?}");
    let limit = Duration::from_secs(20);
    assert!(stats.longest_wait < limit, "nobody waited for a deadlock: {stats:?}");
}
