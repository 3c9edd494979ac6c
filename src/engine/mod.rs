//! The only place that names RocksDB: one database, its families, its batches and its transactions.
//!
//! Rules kept here: every write goes through [`Engine::write`] or [`Transaction::commit`], both
//! called under the commit lock of `publish`; a failed write latches the engine until it is reopened.

mod bulk;
pub(crate) mod fault;
mod options;
mod owner;
mod sync;
mod transaction;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BottommostLevelCompaction, CompactOptions, DB, DBPinnableSlice, DBRawIteratorWithThreadMode,
    OptimisticTransactionDB, ReadOptions, WriteBatchWithTransaction, WriteOptions,
};

pub(crate) use bulk::SortedFile;
pub(crate) use fault::Point;
pub(crate) use options::{EngineOptions, Mode};
pub(crate) use owner::{LOCK_FILE, Owner};
pub(crate) use sync::GroupSync;
pub(crate) use transaction::Transaction;

use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;

/// Turns RocksDB's error into ours; `what` says what was being done.
fn failed(what: &str, cause: rocksdb::Error) -> Error {
    use rocksdb::ErrorKind as Rocks;
    let full = cause.as_ref().contains("No space left");
    let kind = match cause.kind() {
        Rocks::Corruption => ErrorKind::Corrupt,
        Rocks::Busy | Rocks::TryAgain => ErrorKind::Busy,
        _ => ErrorKind::Io,
    };
    let error = if full {
        Error::new(kind, format!("{what}: no space left on the disk"))
            .with_hint("free some space, then open the store again; what was committed is safe")
    } else {
        Error::new(kind, what.to_owned())
    };
    error.because(cause)
}

enum Db {
    Write(OptimisticTransactionDB),
    Read(DB),
}

/// Runs the same expression on either kind of database.
macro_rules! on_db {
    ($engine:expr, $db:ident => $body:expr) => {
        match &$engine.db {
            Db::Write($db) => $body,
            Db::Read($db) => $body,
        }
    };
}

/// A reader tries so often to open the database while its writer changes the set of files.
const MAX_OPENS: u64 = 100;

/// Name and length of the manifest: the same before and after, if no file was added or dropped.
fn manifest(path: &Path) -> Option<(String, u64)> {
    let name = std::fs::read_to_string(path.join("CURRENT")).ok()?;
    let length = std::fs::metadata(path.join(name.trim_end())).ok()?.len();
    Some((name, length))
}

/// One open database.
pub(crate) struct Engine {
    db: Db,
    path: PathBuf,
    read: ReadOptions,
    unsynced: WriteOptions,
    halted: AtomicBool,
    files: rocksdb::Options,
    // Dropped last: another process may open the store only once the database is closed.
    _owner: Option<Owner>,
}

/// Bytes of a stored value, pinned in RocksDB's cache.
pub(crate) struct Slice<'a>(DBPinnableSlice<'a>);

impl Deref for Slice<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Writes that become visible together.
#[derive(Default)]
pub(crate) struct WriteSet(WriteBatchWithTransaction<true>);

impl Engine {
    /// Opens the database in this directory.
    pub(crate) fn open(path: &Path, options: &EngineOptions, owner: Option<Owner>) -> Result<Self> {
        if options.mode != Mode::Create && !path.join("CURRENT").exists() {
            let text = format!("the database in {} is missing", path.display());
            return Err(Error::new(ErrorKind::Corrupt, text)
                .with_hint("the store is damaged; restore a backup"));
        }
        let base = options.database();
        let families = || options.families();
        let db = match options.mode {
            Mode::Create | Mode::Write => {
                OptimisticTransactionDB::open_cf_descriptors(&base, path, families()).map(Db::Write)
            }
            Mode::Read => {
                let open = || DB::open_cf_descriptors_read_only(&base, path, families(), false);
                // Beside a writer, a write-ahead log may be flushed and removed between the reading of
                // the manifest and of the log, or a file be deleted before it is opened. Only an open
                // during which the manifest stayed as it was has seen everything.
                let mut tries = 0;
                loop {
                    let before = manifest(path);
                    let db = open();
                    let steady = before.is_some() && before == manifest(path);
                    if (db.is_ok() && steady) || tries == MAX_OPENS {
                        break db.map(Db::Read);
                    }
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(tries.min(10)));
                }
            }
        };
        let db = db.map_err(|e| failed("cannot open the database of the store", e))?;
        let mut unsynced = WriteOptions::default();
        unsynced.set_sync(false);
        Ok(Self {
            db,
            path: path.to_owned(),
            read: ReadOptions::default(),
            unsynced,
            halted: AtomicBool::new(false),
            files: options.family(Family::Head),
            _owner: owner,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn writable(&self) -> Result<&OptimisticTransactionDB> {
        match &self.db {
            Db::Write(db) => Ok(db),
            Db::Read(_) => {
                Err(Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                    .with_hint("open it without `read_only`"))
            }
        }
    }

    /// Reads one row.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Slice<'_>>> {
        let row = on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            db.get_pinned_cf_opt(cf, key, &self.read)
        });
        row.map(|found| found.map(Slice)).map_err(|e| failed("cannot read from the store", e))
    }

    /// Reads rows whose keys are sorted.
    pub(crate) fn multi_get<'k, K: AsRef<[u8]> + ?Sized + 'k>(
        &self,
        family: Family,
        keys: impl IntoIterator<Item = &'k K>,
    ) -> Result<Vec<Option<Slice<'_>>>> {
        let rows = on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            db.batched_multi_get_cf_opt(cf, keys, true, &self.read)
        });
        rows.into_iter()
            .map(|row| row.map(|found| found.map(Slice)))
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| failed("cannot read from the store", e))
    }

    /// An iterator over a range of keys; `upper` is exclusive.
    pub(crate) fn iter(&self, family: Family, lower: &[u8], upper: Option<&[u8]>) -> Rows<'_> {
        self.iter_with(ReadOptions::default(), family, lower, upper)
    }

    /// The same, for reading much of a family one time: it leaves the cache as it is.
    pub(crate) fn iter_once(&self, family: Family, lower: &[u8], upper: Option<&[u8]>) -> Rows<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        self.iter_with(options, family, lower, upper)
    }

    fn iter_with(
        &self,
        mut options: ReadOptions,
        family: Family,
        lower: &[u8],
        upper: Option<&[u8]>,
    ) -> Rows<'_> {
        options.set_iterate_lower_bound(lower);
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        let raw = match &self.db {
            Db::Write(db) => {
                let cf = db.cf_handle(family.name()).expect("every family is opened");
                RawRows::Write(db.raw_iterator_cf_opt(cf, options))
            }
            Db::Read(db) => {
                let cf = db.cf_handle(family.name()).expect("every family is opened");
                RawRows::Read(db.raw_iterator_cf_opt(cf, options))
            }
        };
        Rows { raw }
    }

    /// An iterator over the keys with this prefix.
    pub(crate) fn iter_prefix(&self, family: Family, prefix: &[u8]) -> Rows<'_> {
        self.iter(family, prefix, crate::kv::after_prefix(prefix).as_deref())
    }

    /// The family's last row whose key has this prefix.
    pub(crate) fn last_with_prefix(
        &self,
        family: Family,
        prefix: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let mut rows = self.iter_prefix(family, prefix);
        rows.seek_to_last();
        Ok(rows.current()?.map(|(k, v)| (k.to_vec(), v.to_vec())))
    }

    /// Adds a row to a set of writes.
    pub(crate) fn put(&self, set: &mut WriteSet, family: Family, key: &[u8], value: &[u8]) {
        on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            set.0.put_cf(cf, key, value);
        });
    }

    /// Adds the deletion of a row to a set of writes. For rows of refs and state only: deletions in
    /// the families of data would slow every seek.
    pub(crate) fn delete(&self, set: &mut WriteSet, family: Family, key: &[u8]) {
        on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            set.0.delete_cf(cf, key);
        });
    }

    /// Removes rows that nothing can reach any more. The caller holds the commit lock.
    pub(crate) fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        self.step(Point::DropRange, || {
            db.delete_range_cf(cf, from, to).map_err(|e| failed("cannot remove unused rows", e))
        })
    }

    /// Writes a set, unsynced. The caller holds the commit lock.
    ///
    /// On an error the set may still become visible after a reopen, and the engine is halted.
    pub(crate) fn write(&self, set: WriteSet) -> Result<()> {
        let db = self.writable()?;
        self.step(Point::Write, || {
            db.write_opt(set.0, &self.unsynced).map_err(|e| failed("cannot write to the store", e))
        })
    }

    /// Puts everything written so far on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let db = self.writable()?;
        self.step(Point::Sync, || {
            db.flush_wal(true).map_err(|e| failed("cannot sync the store to disk", e))
        })
    }

    /// A step that changes the database; the engine halts if it fails or unwinds.
    fn step<T>(&self, point: Point, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.guard(|| fault::step(point, &self.path, run))
    }

    /// Runs a write; the engine halts if it fails or unwinds.
    fn guard<T>(&self, write: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Latch<'a>(&'a AtomicBool, bool);
        impl Drop for Latch<'_> {
            fn drop(&mut self) {
                if self.1 {
                    self.0.store(true, Ordering::Release);
                }
            }
        }
        let mut latch = Latch(&self.halted, true);
        let out = write();
        latch.1 = out.is_err();
        out
    }

    /// Refuses once a write has failed. Called after the commit lock is taken, never before: the
    /// write that failed may have held it.
    pub(crate) fn check(&self) -> Result<()> {
        if self.halted.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Halted, "an earlier write to the store failed")
                .with_hint("open the store again; everything acknowledged before is safe"));
        }
        self.writable().map(|_| ())
    }

    /// Writes all memtables of a family to files and compacts them. For tests and measurements.
    pub(crate) fn compact(&self, family: Family) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        fault::step(Point::Flush, &self.path, || {
            db.flush_cf(cf).map_err(|e| failed("cannot flush the store", e))
        })?;
        fault::step(Point::Compact, &self.path, || {
            db.compact_range_cf(cf, None::<&[u8]>, None::<&[u8]>);
            Ok(())
        })
    }

    /// Compacts a range of a family, so that what was removed from it leaves the disk.
    pub(crate) fn reclaim(&self, family: Family, range: (&[u8], Option<&[u8]>)) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        db.flush_cf(cf).map_err(|e| failed("cannot flush the store", e))?;
        // Files of large values are rewritten whatever their age, and whatever is still used of them.
        let with_garbage = |age: &str, share: &str| {
            let options = [
                ("blob_garbage_collection_age_cutoff", age),
                ("blob_garbage_collection_force_threshold", share),
            ];
            db.set_options_cf(cf, &options).map_err(|e| failed("cannot compact the store", e))
        };
        if family == Family::Blob {
            with_garbage("1.0", "0.0")?;
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        db.compact_range_cf_opt(cf, Some(range.0), range.1, &options);
        if family == Family::Blob {
            with_garbage("0.25", "1.0")?;
        }
        Ok(())
    }

    /// A number that RocksDB keeps of a family.
    pub(crate) fn property(&self, family: Family, name: &str) -> Option<u64> {
        on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            db.property_int_value_cf(cf, name).ok().flatten()
        })
    }
}

impl WriteSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn size(&self) -> usize {
        self.0.size_in_bytes()
    }
}

enum RawRows<'a> {
    Write(DBRawIteratorWithThreadMode<'a, OptimisticTransactionDB>),
    Read(DBRawIteratorWithThreadMode<'a, DB>),
}

/// Rows in key order, both ways. Invalid until the first seek.
pub(crate) struct Rows<'a> {
    raw: RawRows<'a>,
}

macro_rules! on_rows {
    ($rows:expr, $it:ident => $body:expr) => {
        match &mut $rows.raw {
            RawRows::Write($it) => $body,
            RawRows::Read($it) => $body,
        }
    };
}

impl Rows<'_> {
    pub(crate) fn seek_to_first(&mut self) {
        on_rows!(self, it => it.seek_to_first());
    }

    pub(crate) fn seek_to_last(&mut self) {
        on_rows!(self, it => it.seek_to_last());
    }

    /// Goes to the first row at or above `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        on_rows!(self, it => it.seek(key));
    }

    /// Goes to the last row at or below `key`.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8]) {
        on_rows!(self, it => it.seek_for_prev(key));
    }

    pub(crate) fn next(&mut self) {
        on_rows!(self, it => it.next());
    }

    pub(crate) fn prev(&mut self) {
        on_rows!(self, it => it.prev());
    }

    /// The row it is at; `None` behind the end.
    pub(crate) fn current(&self) -> Result<Option<(&[u8], &[u8])>> {
        let (item, status) = match &self.raw {
            RawRows::Write(it) => match it.item() {
                Some(item) => (Some(item), Ok(())),
                None => (None, it.status()),
            },
            RawRows::Read(it) => match it.item() {
                Some(item) => (Some(item), Ok(())),
                None => (None, it.status()),
            },
        };
        status.map_err(|e| failed("cannot read from the store", e))?;
        Ok(item)
    }
}
