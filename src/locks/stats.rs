//! Counts of locks, read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the locks of a store have come to since it was opened.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::LockKind;
/// let ann = store.lock_session("ann")?;
/// let _lock = ann.lock("/fruit", LockKind::Subtree, std::time::Duration::ZERO)?;
/// assert_eq!((store.lock_stats().granted, store.lock_stats().held), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStats {
    /// Locks granted; a set counts as many as it has.
    pub granted: u64,
    /// Requests that had to wait, however they ended.
    pub waited: u64,
    /// Requests that were refused because their time was over, those without any included.
    pub timeouts: u64,
    /// Deadlocks that were broken.
    pub deadlocks: u64,
    /// Locks that were lost because their lease lapsed.
    pub lapsed: u64,
    /// Locks held now.
    pub held: u64,
    /// The longest that a request has waited, however it ended.
    pub longest_wait: Duration,
}

/// The counters behind [`LockStats`].
#[derive(Default)]
pub(super) struct Counters {
    pub(super) granted: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) deadlocks: AtomicU64,
    pub(super) lapsed: AtomicU64,
    pub(super) held: AtomicU64,
    longest_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited_for(&self, wait: Duration) {
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LockStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LockStats {
            granted: read(&self.granted),
            waited: read(&self.waited),
            timeouts: read(&self.timeouts),
            deadlocks: read(&self.deadlocks),
            lapsed: read(&self.lapsed),
            held: read(&self.held),
            longest_wait: Duration::from_nanos(read(&self.longest_nanos)),
        }
    }
}
