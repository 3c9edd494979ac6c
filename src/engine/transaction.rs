//! RocksDB's optimistic transaction: tracked keys, savepoints, and a commit that fails if a key was
//! written since it was tracked.

use rocksdb::{OptimisticTransactionDB, OptimisticTransactionOptions};

use super::{Engine, Slice, failed};
use crate::error::Result;
use crate::format::Family;

/// An open optimistic transaction; dropping it rolls it back.
pub(crate) struct Transaction<'a> {
    engine: &'a Engine,
    inner: rocksdb::Transaction<'a, OptimisticTransactionDB>,
}

impl Engine {
    pub(crate) fn transaction(&self) -> Result<Transaction<'_>> {
        let db = self.writable()?;
        let inner = db.transaction_opt(&self.unsynced, &OptimisticTransactionOptions::default());
        Ok(Transaction { engine: self, inner })
    }
}

impl Transaction<'_> {
    /// Reads the newest row and tracks its key: the commit fails if it is written meanwhile.
    pub(crate) fn track(&self, family: Family, key: &[u8]) -> Result<Option<Slice<'_>>> {
        let cf = self.engine.writable()?.cf_handle(family.name()).expect("every family is opened");
        self.inner
            .get_pinned_for_update_cf_opt(cf, key, true, &self.engine.read)
            .map(|found| found.map(Slice))
            .map_err(|e| failed("cannot read from the store", e))
    }

    /// Whether no tracked key was written since it was tracked, as RocksDB's commit finds; `false` also
    /// if its memtables have forgotten too much to tell. The caller holds the commit lock, which keeps
    /// the answer true until it is let go.
    pub(crate) fn finds_current(self) -> Result<bool> {
        use rocksdb::ErrorKind as Rocks;
        // Nothing was put into it, so nothing is written.
        match self.inner.commit() {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), Rocks::Busy | Rocks::TryAgain) => Ok(false),
            Err(e) => Err(failed("cannot check a transaction", e)),
        }
    }

    /// Sets a savepoint on RocksDB's stack of them.
    pub(crate) fn set_savepoint(&self) {
        self.inner.set_savepoint();
    }

    /// Forgets the keys that were tracked since the newest savepoint, and the savepoint itself.
    pub(crate) fn rollback_to_savepoint(&self) -> Result<()> {
        self.inner.rollback_to_savepoint().map_err(|e| failed("cannot roll back to a savepoint", e))
    }
}
