//! LOCK-3: leases: what lapses goes to whoever wants it, and who has stalled is fenced out.

use std::thread;
use std::time::Duration;

use withy::LockKind::{Point, Subtree};
use withy::{Batch, CommitOptions, Durability, ErrorKind, LockOptions, Store, Timestamp};

use super::{LONG, NOW, Timed, lease, until_waiting};
use crate::support::{TickingClock, must_fail, must_get};

const SECOND: Duration = Duration::from_secs(1);

fn put(value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put("fruit/pear", value);
    batch
}

#[test]
fn lock_f8_a_stalled_owner_whose_lock_was_taken_cannot_write_renew_or_release() {
    let timed = Timed::new();
    let main = timed.store.main().expect("main");
    let ann = timed.store.lock_session("ann").expect("a session");
    let ben = timed.store.lock_session("ben").expect("a session");
    let stalled = ann.lock("/fruit", Subtree, lease(10)).expect("free");
    let under = CommitOptions::default().fence(&stalled);
    main.write(put("green"), under.clone()).expect("it is held");

    timed.time.pass(10 * SECOND);
    let taken = ben.lock("/fruit", Subtree, lease(10)).expect("it has lapsed");
    assert!(taken.fence() > stalled.fence(), "who came later has the larger number");
    main.write(put("yellow"), CommitOptions::default().fence(&taken))
        .expect("the new owner writes");

    let refused = must_fail(main.write(put("rotten"), under), ErrorKind::LeaseLost);
    let fence = stalled.fence();
    let want = format!("the lock on \"/fruit\" with fencing number {fence} is no longer held");
    assert_eq!(refused.to_string(), want, "path and number");
    assert!(!refused.is_retryable(), "the same again is refused again");
    must_fail(stalled.renew(), ErrorKind::LeaseLost);
    assert!(!stalled.is_held(), "it knows");
    must_fail(stalled.release(), ErrorKind::LeaseLost);
    assert!(taken.is_held(), "the new owner notices nothing");
    assert_eq!(must_get(&main, "fruit/pear").as_deref(), Some("yellow"), "nothing was written");
    assert_eq!(timed.store.commit("main").expect("the head").seq.get(), 2, "no commit was made");
}

#[test]
fn lock_f9_a_commit_under_a_lapsed_lease_is_refused_even_if_nobody_took_the_lock() {
    let timed = Timed::new();
    let main = timed.store.main().expect("main");
    let ann = timed.store.lock_session("ann").expect("a session");
    let lock = ann.lock("/fruit", Subtree, lease(10)).expect("free");
    let under = CommitOptions::default().fence(&lock);
    timed.time.pass(9 * SECOND);
    main.write(put("green"), under.clone()).expect("a second is left");
    timed.time.pass(SECOND);
    must_fail(main.write(put("yellow"), under), ErrorKind::LeaseLost);
    must_fail(lock.renew(), ErrorKind::LeaseLost);
    assert_eq!(must_get(&main, "fruit/pear").as_deref(), Some("green"), "nothing was written");
    assert_eq!(timed.store.lock_stats().lapsed, 1, "it is counted");
    let again = ann.lock("/fruit", Subtree, lease(10)).expect("its old owner may take it again");
    let under = CommitOptions::default().fence(&again);
    main.write(put("yellow"), under).expect("under the new lock");
}

#[test]
fn lock_3_a_lease_that_is_renewed_lasts() {
    let timed = Timed::new();
    let ann = timed.store.lock_session("ann").expect("a session");
    let ben = timed.store.lock_session("ben").expect("a session");
    let lock = ann.lock("/a", Subtree, lease(10)).expect("free");
    for _ in 0..5 {
        timed.time.pass(9 * SECOND);
        must_fail(ben.lock("/a/b", Point, NOW), ErrorKind::Busy);
        assert_eq!(lock.lease_left(), Some(SECOND), "a second is left");
        lock.renew().expect("in time");
        assert_eq!(lock.lease_left(), Some(10 * SECOND), "as long as at first");
    }
    let fence = lock.fence();
    timed.time.pass(10 * SECOND);
    assert!(ben.lock("/a/b", Point, NOW).expect("lapsed").fence() > fence, "numbers grow");
    let forever = ann.lock("/b", Point, NOW).expect("free");
    timed.time.pass(1_000_000 * SECOND);
    forever.renew().expect("a lock without a lease needs no renewal");
    assert_eq!((forever.is_held(), forever.lease_left()), (true, None), "and does not lapse");
}

#[test]
fn lock_3_a_lapsed_lock_takes_no_other_lock_of_its_owner_with_it() {
    let timed = Timed::new();
    let ann = timed.store.lock_session("ann").expect("a session");
    let ben = timed.store.lock_session("ben").expect("a session");
    let short = ann.lock("/a", Point, lease(1)).expect("free");
    let long = ann.lock("/a", Point, lease(10)).expect("its own");
    let other = ann.lock("/b", Point, lease(10)).expect("free");
    timed.time.pass(SECOND);
    assert!(!short.is_held() && long.is_held() && other.is_held(), "each has a lease of its own");
    must_fail(ben.lock("/a", Point, NOW), ErrorKind::Busy);
    timed.time.pass(9 * SECOND);
    drop(ben.lock("/a", Point, NOW).expect("nothing of it is left"));
}

#[test]
fn lock_3_who_waits_gets_a_lock_when_its_lease_lapses() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = Store::options().durability(Durability::Buffered).open(dir.path()).expect("open");
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let options = LockOptions::default().lease(Duration::from_millis(50));
    let stalled = ann.lock("/a", Point, options).expect("free");
    let start = std::time::Instant::now();
    let lock = ben.lock("/a", Subtree, LONG).expect("nobody rings, and it is noticed");
    assert!(start.elapsed() < Duration::from_secs(5), "soon: {:?}", start.elapsed());
    assert!(lock.is_held() && !stalled.is_held(), "it has changed hands");
}

#[test]
fn lock_f10_a_lease_of_no_length_is_refused_and_one_that_never_ends_is_not() {
    let timed = Timed::new();
    let ann = timed.store.lock_session("ann").expect("a session");
    must_fail(ann.lock("/a", Point, lease(0)), ErrorKind::Invalid);
    timed.time.pass(SECOND);
    let forever = ann.lock("/a", Point, LockOptions::default().lease(Duration::MAX));
    assert!(forever.expect("free").is_held(), "no sum of times runs over");
}

#[test]
fn lock_3_jumps_of_the_clock_do_nothing_to_leases() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let clock = TickingClock::new();
    let options = Store::options().durability(Durability::Buffered).clock(clock.clone());
    let store = options.open(dir.path()).expect("the store opens");
    let main = store.main().expect("main");
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let lock = ann.lock("/a", Point, lease(3_600)).expect("free");
    let year = 365 * 24 * 3_600_000;
    for jump in [year, -year, 0] {
        clock.set(Timestamp::from_millis(TickingClock::START.as_millis() + jump));
        must_fail(ben.lock("/a", Point, NOW), ErrorKind::Busy);
        lock.renew().expect("it is held");
        let under = CommitOptions::default().fence(&lock);
        main.write(put(&format!("jump {jump}")), under).expect("a commit");
        let left = lock.lease_left().expect("a lease");
        assert!(left > Duration::from_secs(3_500), "an hour is an hour: {left:?}");
    }
    let short = LockOptions::default().lease(Duration::from_millis(20));
    let short = ann.lock("/b", Point, short).expect("free");
    clock.set(Timestamp::from_millis(0));
    drop(ben.lock("/b", Point, LONG).expect("a lease lapses though the clock went back"));
    assert!(!short.is_held(), "it has lapsed");
}

#[test]
fn lock_3_time_that_runs_backwards_counts_as_time_that_stands_still() {
    struct Odd(std::sync::atomic::AtomicU64);
    impl withy::Monotonic for Odd {
        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.load(std::sync::atomic::Ordering::SeqCst))
        }
    }
    let dir = tempfile::tempdir().expect("a scratch directory");
    let time = std::sync::Arc::new(Odd(100.into()));
    let store = Store::options().monotonic(time.clone()).open(dir.path()).expect("open");
    let ann = store.lock_session("ann").expect("a session");
    let lock = ann.lock("/a", Point, lease(10)).expect("free");
    time.0.store(0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(lock.lease_left(), Some(10 * SECOND), "no lease grows");
    time.0.store(110, std::sync::atomic::Ordering::SeqCst);
    assert!(!lock.is_held(), "nor does one last longer");
}

#[test]
fn lock_3_the_lease_of_who_had_to_wait_begins_with_the_grant() {
    let timed = Timed::new();
    let ann = timed.store.lock_session("ann").expect("a session");
    let ben = timed.store.lock_session("ben").expect("a session");
    let held = ann.lock("/a", Point, NOW).expect("free");
    thread::scope(|s| {
        let waiting = s.spawn(|| ben.lock("/a", Point, lease(10).wait(LONG)));
        until_waiting(&timed.store, 1);
        timed.time.pass(100 * SECOND);
        held.release().expect("held");
        let lock = waiting.join().expect("no panic").expect("granted");
        assert_eq!(lock.lease_left(), Some(10 * SECOND), "all of it is left");
    });
}
