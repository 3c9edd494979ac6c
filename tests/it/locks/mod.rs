//! LOCK-1, LOCK-2, LOCK-3: path locks. The failure cases are numbered in `docs/coordination.md`.
#![expect(clippy::disallowed_methods, reason = "how long waiting takes is part of what is tested")]

mod commits;
mod crowd;
mod deadlock;
mod fences;
mod leases;
mod matrix;
mod owners;
mod transactions;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use withy::{LockOptions, Monotonic, Store};

/// Fail at once.
const NOW: Duration = Duration::ZERO;
/// Longer than anything here takes: a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(30);

/// Time that passes when it is told to.
#[derive(Default)]
struct HandTime(AtomicU64);

impl HandTime {
    fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Monotonic for HandTime {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store whose leases last until the time is told to pass.
struct Timed {
    store: Store,
    time: Arc<HandTime>,
    _dir: tempfile::TempDir,
}

impl Timed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let time = Arc::new(HandTime::default());
        let options = Store::options().durability(withy::Durability::Buffered);
        let store = options.monotonic(time.clone()).open(dir.path()).expect("the store opens");
        Self { store, time, _dir: dir }
    }
}

fn lease(seconds: u64) -> LockOptions {
    LockOptions::default().lease(Duration::from_secs(seconds))
}

/// Waits until something holds, and fails if it does not come to hold.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let limit = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < limit, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until so many requests have begun to wait since the store was opened.
#[track_caller]
fn until_waiting(store: &Store, requests: u64) {
    until("requests wait", || store.lock_stats().waited >= requests);
}
