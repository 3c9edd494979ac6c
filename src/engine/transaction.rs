//! RocksDB's optimistic transaction: tracked keys, and a commit that fails if one was written since.

use rocksdb::{OptimisticTransactionDB, OptimisticTransactionOptions};

use super::{Engine, Slice, WriteSet, failed};
use crate::error::{Error, Result};
use crate::format::Family;

/// An open optimistic transaction; dropping it rolls it back.
pub(crate) struct Transaction<'a> {
    engine: &'a Engine,
    inner: rocksdb::Transaction<'a, OptimisticTransactionDB>,
}

/// Why RocksDB did not commit.
pub(crate) enum CommitFault {
    /// A tracked key was written since, or memtables have forgotten too much to tell. Nothing was
    /// written.
    Undecided,
    /// The write failed; the engine is halted.
    Failed(Error),
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

    /// Commits this set of writes if no tracked key was written since it was tracked. The caller
    /// holds the commit lock.
    pub(crate) fn commit(self, set: &WriteSet) -> std::result::Result<(), CommitFault> {
        use rocksdb::ErrorKind as Rocks;
        // The batch joins the transaction as it is; its keys become tracked too, under the lock.
        self.inner
            .rebuild_from_writebatch(&set.0)
            .map_err(|e| CommitFault::Failed(failed("cannot prepare a commit", e)))?;
        let mut undecided = false;
        let committed = self.engine.guard(|| match self.inner.commit() {
            Ok(()) => Ok(()),
            Err(e) if matches!(e.kind(), Rocks::Busy | Rocks::TryAgain) => {
                undecided = true;
                Ok(())
            }
            Err(e) => Err(failed("cannot write to the store", e)),
        });
        match committed {
            Ok(()) if undecided => Err(CommitFault::Undecided),
            Ok(()) => Ok(()),
            Err(e) => Err(CommitFault::Failed(e)),
        }
    }
}
