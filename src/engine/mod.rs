//! The only place that names RocksDB: one database, its families, its batches and its transactions.
//!
//! Rules kept here: every write goes through [`Engine::write`] or [`Transaction::commit`], both
//! called under the commit lock of `publish`; a failed write latches the engine until it is reopened.

mod bulk;
mod checkpoint;
mod compact;
mod directory;
pub(crate) mod fault;
pub(crate) mod files;
#[cfg(feature = "fault")]
pub(crate) mod fuzz;
mod logfile;
mod manifest;
mod open;
mod options;
mod owner;
mod recovery;
mod salvage;
mod sync;
mod transaction;
mod trial;
mod wal;
mod watermark;
mod whole;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rocksdb::{
    DB, DBPinnableSlice, DBRawIteratorWithThreadMode, OptimisticTransactionDB, ReadOptions,
    WriteBatchWithTransaction, WriteOptions,
};

pub(crate) use bulk::SortedFile;
pub(crate) use fault::Point;
pub(crate) use manifest::Manifest;
pub(crate) use open::{Stamp, stamp};
pub(crate) use options::{EngineOptions, Mode};
pub(crate) use owner::{LOCK_FILE, Locked, Owner};
pub(crate) use recovery::{Cut, Fault, Inspection, LogReport, inspect};
pub(crate) use salvage::{Salvaged, begin, begun, end, salvage};
pub(crate) use sync::GroupSync;
pub(crate) use transaction::Transaction;
pub(crate) use trial::Trial;
pub(crate) use whole::{WholeFile, check_files};

use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;
use crate::format::synced::SYNCED_FILE;
use watermark::Watermark;

/// Whether a file could not be read because it is not there.
fn is_gone(cause: &rocksdb::Error) -> bool {
    cause.as_ref().contains("No such file")
}

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
    } else if is_gone(&cause) {
        Error::new(kind, format!("{what}: a file is not there any more")).with_hint(
            "a reader beside a writer opens the store again, or follows it; else see `withy doctor`",
        )
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

mod again;
mod frozen;

use again::Again;
pub(crate) use frozen::Frozen;

/// One open database.
pub(crate) struct Engine {
    db: Db,
    path: PathBuf,
    read: ReadOptions,
    unsynced: WriteOptions,
    halted: AtomicBool,
    /// RocksDB's sequence number of the newest write that went through its log.
    written: AtomicU64,
    /// Absent in a database that is open for reading only.
    watermark: Option<Watermark>,
    report: LogReport,
    files: rocksdb::Options,
    /// Held while the database is copied, and while a bulk load is in the manifest but not in the log.
    capturing: Mutex<()>,
    holds: Mutex<frozen::Holds>,
    /// Only in a database that is open for reading.
    again: Option<Again>,
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
            let text = format!("the file CURRENT in {} is missing", path.display());
            return Err(manifest::damaged(text));
        }
        salvage::must_have_ended(path, options)?;
        let (db, report) = match options.mode {
            Mode::Create | Mode::Write => open::to_write(path, options)?,
            Mode::Read => open::to_read(path, options)?,
        };
        // What the log held is in files now, and those are on disk.
        let (written, watermark) = match &db {
            Db::Write(db) => {
                let written = db.latest_sequence_number();
                let mark = Watermark::open(path, written).map_err(|e| {
                    let text = format!("cannot write {}", SYNCED_FILE);
                    Error::new(ErrorKind::Io, text).because(e)
                })?;
                (written, Some(mark))
            }
            Db::Read(db) => (db.latest_sequence_number(), None),
        };
        let mut unsynced = WriteOptions::default();
        unsynced.set_sync(false);
        Ok(Self {
            db,
            path: path.to_owned(),
            read: ReadOptions::default(),
            unsynced,
            halted: AtomicBool::new(false),
            written: AtomicU64::new(written),
            watermark,
            report,
            files: options.family(Family::Head),
            capturing: Mutex::new(()),
            holds: Mutex::default(),
            again: (options.mode == Mode::Read).then(|| Again::new(options.clone())),
            _owner: owner,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was found in the log when it was opened.
    pub(crate) fn report(&self) -> &LogReport {
        &self.report
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
            db.delete_range_cf(cf, from, to).map_err(|e| failed("cannot remove unused rows", e))?;
            self.wrote(db);
            Ok(())
        })
    }

    /// Writes a set, unsynced. The caller holds the commit lock.
    ///
    /// On an error the set may still become visible after a reopen, and the engine is halted.
    pub(crate) fn write(&self, set: WriteSet) -> Result<()> {
        let db = self.writable()?;
        self.step(Point::Write, || {
            db.write_opt(set.0, &self.unsynced)
                .map_err(|e| failed("cannot write to the store", e))?;
            self.wrote(db);
            Ok(())
        })
    }

    /// Notes a write that is in RocksDB's log. The caller holds the commit lock: a bulk load takes
    /// sequence numbers that are in no log, and must not be counted here.
    fn wrote(&self, db: &OptimisticTransactionDB) {
        self.written.store(db.latest_sequence_number(), Ordering::Release);
    }

    /// Puts everything written so far on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let db = self.writable()?;
        // Read before the sync: what is written later may miss it.
        let upto = self.written.load(Ordering::Acquire);
        self.step(Point::Sync, || {
            db.flush_wal(true).map_err(|e| failed("cannot sync the store to disk", e))
        })?;
        if let Some(watermark) = &self.watermark {
            watermark.note(upto);
        }
        Ok(())
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
        self.step(Point::Flush, || {
            db.flush_cf(cf).map_err(|e| failed("cannot flush the store", e))
        })?;
        // RocksDB's compaction by hand tells nobody whether it has failed, but counts it, for all families.
        let failures = || db.property_int_value("rocksdb.background-errors").ok().flatten();
        let before = failures();
        self.step(Point::Compact, || {
            db.compact_range_cf(cf, None::<&[u8]>, None::<&[u8]>);
            Ok(())
        })?;
        if failures() == before { Ok(()) } else { Err(compact::not_compacted("some files")) }
    }

    /// Writes what is in memory of a family to files.
    pub(crate) fn flush(&self, family: Family) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        fault::step(Point::Flush, &self.path, || {
            db.flush_cf(cf).map_err(|e| failed("cannot flush the store", e))
        })
    }

    /// A number that RocksDB keeps of a family.
    pub(crate) fn property(&self, family: Family, name: &str) -> Option<u64> {
        on_db!(self, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            db.property_int_value_cf(cf, name).ok().flatten()
        })
    }
}

impl Drop for Engine {
    /// A store that is closed is on disk, whatever durability its commits asked for.
    fn drop(&mut self) {
        let is_behind = self
            .watermark
            .as_ref()
            .is_some_and(|mark| mark.sequence() < self.written.load(Ordering::Acquire));
        if is_behind && !self.halted.load(Ordering::Acquire) {
            // Nobody is left to tell; what was acknowledged as synced is on disk already.
            let _ = self.sync();
        }
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
