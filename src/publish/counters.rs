//! Counts of commits, read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Stopwatch;
use crate::error::{ErrorKind, Result};

/// Counters that every commit moves.
#[derive(Default)]
pub(crate) struct Counters {
    begun: AtomicU64,
    committed: AtomicU64,
    aborted: AtomicU64,
    conflicts: AtomicU64,
    longest_nanos: AtomicU64,
    total_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn begin(&self) -> Timer<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Timer { counters: self, watch: Stopwatch::start() }
    }

    /// What they say now.
    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            begun: read(&self.begun),
            committed: read(&self.committed),
            aborted: read(&self.aborted),
            conflicts: read(&self.conflicts),
            longest_nanos: read(&self.longest_nanos),
            total_nanos: read(&self.total_nanos),
        }
    }
}

/// What the counters say at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) begun: u64,
    pub(crate) committed: u64,
    pub(crate) aborted: u64,
    pub(crate) conflicts: u64,
    pub(crate) longest_nanos: u64,
    pub(crate) total_nanos: u64,
}

/// One commit being measured.
pub(super) struct Timer<'a> {
    counters: &'a Counters,
    watch: Stopwatch,
}

impl Timer<'_> {
    pub(super) fn end<T>(self, done: &Result<T>) {
        let counters = self.counters;
        match done {
            Ok(_) => counters.committed.fetch_add(1, Ordering::Relaxed),
            Err(e) => {
                if e.kind() == ErrorKind::Conflict {
                    counters.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                counters.aborted.fetch_add(1, Ordering::Relaxed)
            }
        };
        let nanos = u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        counters.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
        counters.total_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
