//! What the store has done and what it holds.

use super::Store;
use crate::error::Result;
use crate::format::Family;
use crate::id::Seq;

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

impl Store {
    /// What the store holds, and what it has done since it was opened. Cost: it counts refs.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let work = self.inner.publisher.as_ref().map(|p| p.counters().read()).unwrap_or_default();
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
            begun: work.begun,
            committed: work.committed,
            aborted: work.aborted,
            conflicts: work.conflicts,
            longest_micros: work.longest_nanos / 1000,
            total_micros: work.total_nanos / 1000,
        })
    }

    /// Writes everything in memory to data files and compacts them: for measuring disk use. The
    /// background does what is needed by itself.
    ///
    /// # Errors
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is; [`Io`](crate::ErrorKind::Io) if the disk fails.
    pub fn compact(&self) -> Result<()> {
        Family::ALL.into_iter().try_for_each(|family| self.engine().compact(family))
    }
}
