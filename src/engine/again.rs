//! A second look for large values that a writer in another process has moved meanwhile.
//!
//! A database that is open for reading keeps its data files open, and they stay as they were. Files of large
//! values are opened when the first of their values is read, and by then the writer's compaction may have put
//! what they hold elsewhere. The key of a large value is the hash of its content, so what is found under it in
//! the files of now is the same.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rocksdb::{DB, ReadOptions};

use super::options::EngineOptions;
use super::{Db, Engine, failed, is_gone, open};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;

/// So often the files may change once more before the value is read.
const TRIES: usize = 20;

/// The database of a reader as it was when the last large value was not there.
pub(super) struct Again {
    options: EngineOptions,
    newer: Mutex<Option<Arc<DB>>>,
}

impl Again {
    pub(super) fn new(options: EngineOptions) -> Self {
        Self { options, newer: Mutex::default() }
    }

    /// The database as it is now, or as others have seen it since this one could not be read; and whether it
    /// was opened for this.
    fn newer_than(&self, old: Option<&Arc<DB>>, path: &Path) -> Result<Option<(Arc<DB>, bool)>> {
        let mut is_new = false;
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        if newer.as_ref().map(Arc::as_ptr) == old.map(Arc::as_ptr) {
            let Db::Read(db) = open::to_read(path, &self.options)?.0 else { return Ok(None) };
            *newer = Some(Arc::new(db));
            is_new = true;
        }
        Ok(newer.clone().map(|db| (db, is_new)))
    }

    /// A row of large values from the files of now; `None` if it is not there any more.
    pub(super) fn get(&self, path: &Path, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut db = None;
        let mut tries = 0;
        loop {
            let Some((now, is_new)) = self.newer_than(db.as_ref(), path)? else { return Ok(None) };
            let db = db.insert(now);
            let cf = db.cf_handle(Family::Blob.name()).expect("every family is opened");
            tries += 1;
            match db.get_cf_opt(cf, key, &ReadOptions::default()) {
                Err(e) if is_gone(&e) && tries < TRIES => {}
                // It may have been put again since others have looked.
                Ok(None) if !is_new && tries < TRIES => {}
                row => return row.map_err(|e| failed("cannot read a large value", e)),
            }
        }
    }
}

impl Engine {
    /// Reads the row of a large value, wherever a writer in another process has moved it.
    pub(crate) fn get_large(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let row = on_db!(self, db => {
            let cf = db.cf_handle(Family::Blob.name()).expect("every family is opened");
            db.get_pinned_cf_opt(cf, key, &self.read)
        });
        match (row, &self.again) {
            (Err(gone), Some(again)) if is_gone(&gone) => match again.get(&self.path, key) {
                // A collection has removed it since; here it is still named. Or nothing can be opened.
                Ok(None) | Err(_) => Err(failed("cannot read a large value", gone)),
                found => found,
            },
            (row, _) => row
                .map(|found| found.map(|value| value.to_vec()))
                .map_err(|e| failed("cannot read a large value", e)),
        }
    }

    /// The row of a large value in the files of now; `None` if it was collected.
    ///
    /// # Errors
    /// If no writer can have moved it: the store is open for writing here.
    pub(crate) fn find_moved(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match &self.again {
            Some(again) => again.get(&self.path, key),
            None => Err(Error::new(ErrorKind::Io, "nobody else moves large values")),
        }
    }
}
