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
/// assert_eq!((stats.work.committed, stats.branches, stats.keys), (1, 1, 1));
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
    /// What transactions have come to.
    pub work: Work,
}

/// What transactions have come to since the store was opened.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let open = store.begin("main")?;
/// assert_eq!((store.work().begun, store.work().active), (1, 1));
/// drop(open);
/// assert_eq!((store.work().aborted, store.work().active), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Work {
    /// Transactions begun. A [`Branch::write`](crate::Branch::write), its shorthands and a merge are
    /// one each.
    pub begun: u64,
    /// Those that ended well, changes or not.
    pub committed: u64,
    /// Those that were rolled back, dropped, refused or failed, conflicts included.
    pub aborted: u64,
    /// Those that are open now.
    pub active: u64,
    /// Those refused because another writer was first.
    pub conflicts: u64,
    /// Longest time from begin to end, in microseconds.
    pub longest_micros: u64,
    /// Average time from begin to end, in microseconds.
    pub average_micros: u64,
    /// Half of them took no longer than this, in microseconds; at most an eighth too high.
    pub p50_micros: u64,
    /// 99 in 100 of them took no longer than this, in microseconds; at most an eighth too high.
    pub p99_micros: u64,
}

impl Store {
    /// What transactions have come to since the store was opened. It takes no lock, reads no file, and
    /// may be asked for at any rate.
    #[must_use]
    pub fn work(&self) -> Work {
        let counts = self.inner.publisher.as_ref().map(|p| p.counters().read()).unwrap_or_default();
        let ended = counts.committed + counts.aborted;
        Work {
            begun: counts.begun,
            committed: counts.committed,
            aborted: counts.aborted,
            active: counts.active,
            conflicts: counts.conflicts,
            longest_micros: counts.longest_nanos / 1000,
            average_micros: counts.total_nanos.checked_div(ended).unwrap_or_default() / 1000,
            p50_micros: counts.p50_nanos / 1000,
            p99_micros: counts.p99_nanos / 1000,
        }
    }

    /// What the store holds, and what it has done since it was opened. Cost: it counts refs.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    pub fn stats(&self) -> Result<Stats> {
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
            work: self.work(),
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
