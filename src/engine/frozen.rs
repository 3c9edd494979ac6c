//! One state of the whole database, for work that reads all of it while writes go on.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{MutexGuard, PoisonError};

use rocksdb::{OptimisticTransactionDB, ReadOptions, SnapshotWithThreadMode};

use super::{Db, Engine, RawRows, Rows, Slice, failed};
use crate::error::Result;
use crate::format::Family;

/// So much is read ahead: everything is read once, in order.
const READ_AHEAD: usize = 256 << 10;

/// The database as it was at one moment, all families alike.
///
/// It costs nothing to make; what is replaced meanwhile takes space until it is dropped.
pub(crate) struct Frozen<'e> {
    engine: &'e Engine,
    /// A database that is open for reading only does not change by itself.
    snapshot: Option<SnapshotWithThreadMode<'e, OptimisticTransactionDB>>,
    // Dropped after the snapshot.
    _hold: Hold<'e>,
}

/// The states that are held, numbered in the order in which they were taken.
#[derive(Default)]
pub(super) struct Holds {
    next: u64,
    open: BTreeSet<u64>,
}

/// Says that a state is held, until it is dropped.
struct Hold<'e> {
    engine: &'e Engine,
    number: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.engine.holds().open.remove(&self.number);
    }
}

impl Engine {
    /// The database as it is now.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        let number = {
            let mut holds = self.holds();
            let number = holds.next;
            holds.next += 1;
            holds.open.insert(number);
            number
        };
        let hold = Hold { engine: self, number };
        let snapshot = match &self.db {
            Db::Write(db) => Some(db.snapshot()),
            Db::Read(_) => None,
        };
        Frozen { engine: self, snapshot, _hold: hold }
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that is above those of all states taken so far, and not above later ones.
    pub(crate) fn frozen_so_far(&self) -> u64 {
        self.holds().next
    }

    /// Whether a state is still held that was taken before this number was given. What was replaced since
    /// cannot leave the disk until then.
    pub(crate) fn is_frozen_before(&self, number: u64) -> bool {
        self.holds().open.first().is_some_and(|&first| first < number)
    }

    /// Smallest keys of the data files of a family, sorted: where the family can be cut for several
    /// threads.
    pub(crate) fn file_starts(&self, family: Family) -> Vec<Vec<u8>> {
        let files = on_db!(self, db => db.live_files()).unwrap_or_default();
        let of_family = files.into_iter().filter(|file| file.column_family_name == family.name());
        let mut out: Vec<Vec<u8>> = of_family.filter_map(|file| file.start_key).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Names of the data files that the database uses.
    pub(crate) fn data_files(&self) -> Vec<String> {
        let files = on_db!(self, db => db.live_files()).unwrap_or_default();
        files.into_iter().map(|file| file.name.trim_start_matches('/').to_owned()).collect()
    }
}

impl<'e> Frozen<'e> {
    pub(crate) fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// Reads one row.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(self.engine.get(family, key)?.map(|row: Slice<'_>| row.deref().to_vec()));
        };
        let row = on_db!(self.engine, db => {
            let cf = db.cf_handle(family.name()).expect("every family is opened");
            snapshot.get_pinned_cf_opt(cf, key, ReadOptions::default()).map(|row| row.map(|row| row.to_vec()))
        });
        row.map_err(|e| failed("cannot read from the store", e))
    }

    /// An iterator over a range of keys, which compares every block that it reads with its checksum and
    /// leaves the cache to others; `upper` is exclusive.
    pub(crate) fn iter(&self, family: Family, lower: &[u8], upper: Option<&[u8]>) -> Rows<'_> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD);
        options.set_iterate_lower_bound(lower);
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        self.rows(family, options)
    }

    /// A short look at some rows, through the cache.
    pub(crate) fn look(&self, family: Family, lower: &[u8], upper: Option<&[u8]>) -> Rows<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(lower);
        if let Some(upper) = upper {
            options.set_iterate_upper_bound(upper);
        }
        self.rows(family, options)
    }

    fn rows(&self, family: Family, options: ReadOptions) -> Rows<'_> {
        let raw = match (&self.engine.db, &self.snapshot) {
            (Db::Write(db), Some(snapshot)) => {
                let cf = db.cf_handle(family.name()).expect("every family is opened");
                RawRows::Write(snapshot.raw_iterator_cf_opt(cf, options))
            }
            (Db::Write(db), None) => {
                let cf = db.cf_handle(family.name()).expect("every family is opened");
                RawRows::Write(db.raw_iterator_cf_opt(cf, options))
            }
            (Db::Read(db), _) => {
                let cf = db.cf_handle(family.name()).expect("every family is opened");
                RawRows::Read(db.raw_iterator_cf_opt(cf, options))
            }
        };
        Rows { raw }
    }
}
