//! LOCK-2: owners that wait for each other: the youngest gives way, at once, and it is listed.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use withy::LockKind::{Point, Subtree};
use withy::{ErrorKind, LockSession};

use super::{LONG, NOW, until_waiting};
use crate::support::{Scratch, must_fail};

/// How soon a deadlock has to be broken.
const SOON: Duration = Duration::from_millis(200);

/// `count` owners in a ring, each of which holds a path and wants that of the next. `last` closes the
/// ring; the names of the victims, and how long the last request took to be settled.
fn ring(count: usize, last: usize) -> (Scratch, Vec<String>, Duration) {
    let store = Scratch::new();
    let owners: Vec<LockSession> =
        (0..count).map(|i| store.lock_session(&format!("owner {i}")).expect("a session")).collect();
    for (i, owner) in owners.iter().enumerate() {
        owner.lock(&format!("/ring/{i}/held"), Point, NOW).expect("free").keep();
    }
    let want = |i: usize| format!("/ring/{}", (i + 1) % count);
    let (mut victims, mut took) = (Vec::new(), Duration::ZERO);
    thread::scope(|s| {
        let mut threads = Vec::new();
        let others = (0..count).filter(|i| *i != last).chain([last]);
        let mut start = Instant::now();
        for (turn, i) in others.enumerate() {
            let (owner, path) = (&owners[i], want(i));
            if turn + 1 == count {
                start = Instant::now();
            }
            threads.push(s.spawn(move || {
                let got = owner.lock(&path, Subtree, LONG);
                let when = Instant::now();
                let refused = match got {
                    Ok(lock) => {
                        lock.keep();
                        None
                    }
                    Err(e) => Some((e, when)),
                };
                // Finished, or given up: either way all goes.
                owner.release_all();
                refused.map(|(e, when)| (owner.owner().name.to_string(), e, when))
            }));
            if turn + 1 < count {
                until_waiting(&store, turn as u64 + 1);
            }
        }
        for thread in threads {
            if let Some((name, e, when)) = thread.join().expect("no panic") {
                assert_eq!(e.kind(), ErrorKind::Deadlock, "the victim learns why: {e}");
                assert!(e.is_retryable(), "and may try again");
                took = took.max(when.saturating_duration_since(start));
                victims.push(name);
            }
        }
    });
    (store, victims, took)
}

#[test]
fn lock_f7_a_circle_of_two_three_or_four_is_broken_at_once_and_the_youngest_is_the_victim() {
    for count in 2..=4 {
        for last in 0..count {
            let (store, victims, took) = ring(count, last);
            let youngest = format!("owner {}", count - 1);
            assert_eq!(victims, [youngest.as_str()], "one of {count} gives way, {last} closes");
            assert!(took < SOON, "{count} owners are free again in {took:?}");
            let list = store.deadlocks();
            assert_eq!(list.len(), 1, "it is listed");
            assert_eq!(*list[0].victim.name, *youngest, "with its victim");
            assert_eq!(list[0].waits.len(), count, "and everyone who waited");
            for (i, wait) in list[0].waits.iter().enumerate() {
                let next = &list[0].waits[(i + 1) % count];
                assert_eq!(wait.held_by, next.owner, "each waits for the next");
                let n: usize = wait
                    .held_by
                    .name
                    .rsplit(' ')
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("a number");
                assert_eq!(wait.path.as_str(), format!("/ring/{n}"), "for what that one has");
                assert_eq!(wait.kind, Subtree, "of the kind it asked for");
            }
            assert_eq!(store.lock_stats().deadlocks, 1, "and it is counted");
            assert_eq!(store.held_locks(), [], "all came to their end");
        }
    }
}

#[test]
fn lock_2_two_owners_that_upgrade_the_same_range_do_not_wait_forever() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    ann.lock("/a/1", Point, NOW).expect("free").keep();
    ben.lock("/a/2", Point, NOW).expect("free").keep();
    thread::scope(|s| {
        let older = s.spawn(|| ann.lock("/a", Subtree, LONG).map(drop));
        until_waiting(&store, 1);
        let refused = must_fail(ben.lock("/a", Subtree, LONG), ErrorKind::Deadlock);
        assert_eq!(
            refused.to_string(),
            "deadlock: ben (owner 2) waits for ann (owner 1) (a subtree on \"/a\"), \
             ann (owner 1) waits for ben (owner 2) (a subtree on \"/a\"); \
             ben (owner 2), the youngest, gives way",
            "who waits for whom, and who is refused"
        );
        assert_eq!(ben.held().len(), 1, "a victim keeps what it has until it lets go");
        ben.release_all();
        older.join().expect("no panic").expect("the older one goes on");
    });
}

#[test]
fn lock_2_a_request_that_does_not_wait_makes_nobody_a_victim() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let of_ann = ann.lock("/a", Point, NOW).expect("free");
    let of_ben = ben.lock("/b", Point, NOW).expect("free");
    thread::scope(|s| {
        let waiting = s.spawn(|| ben.lock("/a", Point, LONG).map(drop));
        until_waiting(&store, 1);
        must_fail(ann.lock("/b", Point, NOW), ErrorKind::Busy);
        drop(of_ann);
        waiting.join().expect("no panic").expect("ben goes on");
    });
    drop(of_ben);
    assert_eq!(store.deadlocks(), [], "there was no circle of waits");
}

#[test]
fn lock_2_a_circle_that_runs_through_a_set_is_seen() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    ann.lock("/a", Point, NOW).expect("free").keep();
    ben.lock("/b", Point, NOW).expect("free").keep();
    thread::scope(|s| {
        let set = s.spawn(|| ann.lock_all(&[("/x", Point), ("/b", Point)], LONG).map(drop));
        until_waiting(&store, 1);
        must_fail(ben.lock_move("/c", "/a/d", NOW), ErrorKind::Busy);
        must_fail(ben.lock_all(&[("/a", Subtree), ("/y", Point)], LONG), ErrorKind::Deadlock);
        ben.release_all();
        set.join().expect("no panic").expect("the older one goes on");
    });
}

#[test]
fn lock_2_only_the_last_64_deadlocks_are_listed() {
    let store = Scratch::new();
    for round in 0..70 {
        let ann = store.lock_session(&format!("ann {round}")).expect("a session");
        let ben = store.lock_session(&format!("ben {round}")).expect("a session");
        ann.lock("/a", Point, NOW).expect("free").keep();
        ben.lock("/b", Point, NOW).expect("free").keep();
        let both = Barrier::new(2);
        thread::scope(|s| {
            for (owner, path) in [(ann, "/b"), (ben, "/a")] {
                let both = &both;
                s.spawn(move || {
                    both.wait();
                    owner.lock(path, Point, LONG).map(drop).ok();
                    drop(owner);
                });
            }
        });
    }
    let list = store.deadlocks();
    assert_eq!((list.len(), store.lock_stats().deadlocks), (64, 70), "the rest is only counted");
    assert_eq!(&*list[0].victim.name, "ben 6", "the oldest went first");
    assert!(list.is_sorted_by_key(|deadlock| deadlock.at), "in the order they came");
}

#[test]
fn lock_2_a_circle_that_a_grant_closes_is_seen() {
    // One owner, used from two threads: it can be granted something while it waits.
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let cleo = store.lock_session("cleo").expect("a session");
    let of_ben = ben.lock("/z", Point, NOW).expect("free");
    cleo.lock("/c", Point, NOW).expect("free").keep();
    thread::scope(|s| {
        let one = s.spawn(|| ann.lock("/c", Point, LONG).map(drop));
        until_waiting(&store, 1);
        let other = s.spawn(|| ann.lock("/z", Point, LONG).map(drop_later));
        until_waiting(&store, 2);
        let cleo = s.spawn(|| {
            let got = cleo.lock("/z", Point, LONG).map(drop);
            cleo.release_all();
            got
        });
        until_waiting(&store, 3);
        assert_eq!(store.deadlocks(), [], "cleo need not be behind ann");
        // Now ann gets it, and cleo waits for her while she waits for cleo.
        drop(of_ben);
        must_fail(cleo.join().expect("no panic"), ErrorKind::Deadlock);
        one.join().expect("no panic").expect("the older one goes on");
        other.join().expect("no panic").expect("it was granted");
    });
}

/// Leaves a lock to its session.
fn drop_later(lock: withy::Lock) {
    lock.keep();
}
