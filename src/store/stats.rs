//! What the store has done and what it holds.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;
use crate::clock::Stopwatch;
use crate::error::{ErrorKind, Result};
use crate::format::Family;
use crate::id::Seq;
use crate::publish::Committed;

/// Counts of a store. Those of work are since it was opened, and are read without a lock.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let stats = store.stats()?;
/// assert_eq!((stats.begun, stats.committed, stats.branches), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Newest commit.
    pub latest: Seq,
    /// Number of branches.
    pub branches: u64,
    /// Number of tags.
    pub tags: u64,
    /// Keys visible on the active branch.
    pub keys: u64,
    /// Bytes of data files on disk, without the write-ahead log; as RocksDB counts them.
    pub disk_bytes: u64,
    /// Commits begun by [`Branch::write`](crate::Branch::write), its shorthands and transactions.
    pub begun: u64,
    /// Those that ended well, changes or not.
    pub committed: u64,
    /// Those that were refused or failed, conflicts included.
    pub aborted: u64,
    /// Those refused because another writer was first.
    pub conflicts: u64,
    /// Longest time a commit took, in microseconds.
    pub longest_micros: u64,
    /// Time that all commits took together, in microseconds.
    pub total_micros: u64,
}

/// Counters that every commit moves.
#[derive(Default)]
pub(super) struct Counters {
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
}

/// One commit being measured.
pub(super) struct Timer<'a> {
    counters: &'a Counters,
    watch: Stopwatch,
}

impl Timer<'_> {
    pub(super) fn end(self, done: &Result<Committed>) {
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

impl Store {
    /// What the store holds, and what it has done since it was opened. Cost: it counts refs.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let counters = &self.inner.stats;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let size =
            |family| self.engine().property(family, "rocksdb.total-sst-files-size").unwrap_or(0);
        let blobs =
            self.engine().property(Family::Blob, "rocksdb.total-blob-file-size").unwrap_or(0);
        Ok(Stats {
            latest: self.latest(),
            branches: self.refs().branches()?.len() as u64,
            tags: self.refs().tags()?.len() as u64,
            keys: self.commit("@")?.keys,
            disk_bytes: Family::ALL.into_iter().map(size).sum::<u64>() + blobs,
            begun: read(&counters.begun),
            committed: read(&counters.committed),
            aborted: read(&counters.aborted),
            conflicts: read(&counters.conflicts),
            longest_micros: read(&counters.longest_nanos) / 1000,
            total_micros: read(&counters.total_nanos) / 1000,
        })
    }

    /// Writes everything in memory to data files and compacts them: for measuring disk use. The
    /// background does what is needed by itself.
    ///
    /// # Errors
    /// [`ReadOnly`](ErrorKind::ReadOnly) if the store is; [`Io`](ErrorKind::Io) if the disk fails.
    pub fn compact(&self) -> Result<()> {
        Family::ALL.into_iter().try_for_each(|family| self.engine().compact(family))
    }
}
