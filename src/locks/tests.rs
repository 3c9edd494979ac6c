//! What cannot be seen through a store: locks that a write relies on, and the supply of numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{LockKind, LockOptions, LockTable};
use crate::clock::{Monotonic, SystemClock};
use crate::error::{Error, ErrorKind};

const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct HandTime(AtomicU64);

impl Monotonic for HandTime {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A table whose time stands still, and whose numbers come from `reserve`.
fn table(
    reserve: impl Fn(u64) -> Result<u64, Error> + Send + Sync + 'static,
) -> (Arc<LockTable>, Arc<HandTime>) {
    let time = Arc::new(HandTime::default());
    let table = LockTable::new(Box::new(reserve), time.clone(), Arc::new(SystemClock));
    (Arc::new(table), time)
}

fn counted() -> (Arc<LockTable>, Arc<HandTime>) {
    let next = AtomicU64::new(1);
    table(move |count| Ok(next.fetch_add(count, Ordering::SeqCst)))
}

fn pass(time: &HandTime, seconds: u64) {
    time.0.fetch_add(seconds, Ordering::SeqCst);
}

#[test]
fn a_lease_does_not_lapse_under_a_write_that_relies_on_it() {
    let (table, time) = counted();
    let (ann, ben) = (table.owner("ann"), table.owner("ben"));
    let lease = LockOptions::default().lease(SECOND);
    let lock = ann.lock("/a", LockKind::Point, lease).expect("free");
    let (write, other) = (lock.gate()().expect("held"), ann.pin().expect("held"));
    pass(&time, 5);
    let busy = ben.lock("/a", LockKind::Point, NOW).map_err(|e| e.kind()).err();
    assert_eq!(busy, Some(ErrorKind::Busy), "the write has not ended");
    let late = lock.gate()().map_err(|e| e.kind()).err();
    assert_eq!(late, Some(ErrorKind::LeaseLost), "but no further one begins");
    assert_eq!(lock.renew().map_err(|e| e.kind()), Err(ErrorKind::LeaseLost), "nor is it renewed");
    drop(write);
    assert!(ben.lock("/a", LockKind::Point, NOW).is_err(), "another write relies on it");
    drop(other);
    ben.lock("/a", LockKind::Point, NOW).expect("now it has lapsed").keep();
    let lost = ann.pin().map(drop).map_err(|e| e.kind());
    assert_eq!(
        lost,
        Err(ErrorKind::LeaseLost),
        "its owner cannot go on as if nothing had happened"
    );
    drop(lock);
    assert!(ann.pin().is_ok(), "once it has let go of the lock it has lost nothing");
}

#[test]
fn who_waits_is_granted_when_the_write_has_ended() {
    let (table, time) = counted();
    let (ann, ben) = (table.owner("ann"), table.owner("ben"));
    let lock = ann.lock("/a", LockKind::Point, LockOptions::default().lease(SECOND)).expect("free");
    let write = lock.gate()().expect("held");
    pass(&time, 5);
    std::thread::scope(|s| {
        let waiting = s.spawn(|| ben.lock("/a", LockKind::Subtree, 60 * SECOND).map(drop));
        while table.stats().waited == 0 {
            std::thread::yield_now();
        }
        drop(write);
        waiting.join().expect("no panic").expect("nobody else is there");
    });
}

#[test]
fn a_mark_takes_lost_locks_back_as_well() {
    let (table, time) = counted();
    let ann = table.owner("ann");
    let mark = ann.mark();
    ann.lock("/a", LockKind::Point, LockOptions::default().lease(SECOND)).expect("free").keep();
    pass(&time, 1);
    assert!(ann.pin().is_err(), "it has lost one");
    ann.release_since(mark);
    assert!(ann.pin().is_ok(), "which it has not been granted any more");
}

#[test]
fn nothing_is_granted_without_a_number() {
    let fail = Arc::new(Mutex::new(true));
    let (seen, next) = (Arc::clone(&fail), AtomicU64::new(1));
    let (table, _) = table(move |count| match *seen.lock().expect("no panic") {
        true => Err(Error::new(ErrorKind::Halted, "no writes")),
        false => Ok(next.fetch_add(count, Ordering::SeqCst)),
    });
    let ann = table.owner("ann");
    let halted = ann.lock("/a", LockKind::Point, NOW).map_err(|e| e.kind()).err();
    assert_eq!(halted, Some(ErrorKind::Halted), "the reason is passed on");
    assert_eq!(table.held(), [], "and nothing is held");
    *fail.lock().expect("no panic") = false;
    assert_eq!(ann.lock("/a", LockKind::Point, NOW).expect("free").fence(), 1, "then it goes on");
}

#[test]
fn numbers_may_have_gaps_between_blocks_and_never_go_back() {
    let next = AtomicU64::new(10);
    let (table, _) = table(move |_| Ok(next.fetch_add(1_000_000, Ordering::SeqCst)));
    let ann = table.owner("ann");
    let claims = vec![("/a", LockKind::Point); 60_000];
    let first = ann.lock_all(&claims, NOW).expect("free");
    let second = ann.lock_all(&claims, NOW).expect("its own");
    let fences: Vec<_> = first.iter().chain(&second).map(super::Lock::fence).collect();
    assert!(fences.is_sorted_by(|a, b| a < b), "each is larger than the one before");
    assert_eq!((fences[0], fences.last()), (10, Some(&1_054_473)), "the first block is used up");

    let (table, _) = self::table(|_| Ok(7));
    let ann = table.owner("ann");
    drop(ann.lock_all(&claims, NOW).expect("free"));
    let again = ann.lock_all(&claims, NOW).map(drop).map_err(|e| e.kind());
    assert_eq!(again, Err(ErrorKind::Corrupt), "a number is never given twice");
}
