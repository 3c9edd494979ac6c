//! A coordinator's log: one row for each transaction that is not finished, in family `state` of a store.

use std::sync::Arc;

use super::phase::Phase;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{PhaseCode, TransactionRecord, transaction_key};
use crate::format::{Family, keys, record};
use crate::kv::Durability;
use crate::publish::{Publisher, StateRows};

/// Where transactions are written down. Every change is on disk when the call returns.
pub(super) trait Journal: Send + Sync {
    /// Writes a new transaction down; `known` hears its name before anybody else can see it.
    fn begin(&self, record: TransactionRecord, known: &mut dyn FnMut(&str)) -> Result<String>;

    /// One transaction.
    fn find(&self, gid: &str) -> Result<Option<TransactionRecord>>;

    /// All transactions, oldest first.
    fn all(&self) -> Result<Vec<(String, TransactionRecord)>>;

    /// Changes a transaction, as nobody else does at that time; what it is then, `None` if it is not
    /// there or was removed.
    fn change(
        &self,
        gid: &str,
        change: &mut dyn FnMut(&mut TransactionRecord) -> Phase,
    ) -> Result<Option<TransactionRecord>>;

    /// Whether a name is one that this log gives.
    fn gave(&self, gid: &str) -> bool;
}

/// The log in a store.
pub(super) struct StoreJournal {
    engine: Arc<Engine>,
    /// Absent in a store that is open for reading only.
    publisher: Option<Arc<Publisher>>,
    /// What all names of transactions start with.
    prefix: String,
}

impl StoreJournal {
    pub(super) fn new(engine: Arc<Engine>, publisher: Option<Arc<Publisher>>, store: &str) -> Self {
        Self { engine, publisher, prefix: format!("{store}.") }
    }

    fn publisher(&self) -> Result<&Publisher> {
        self.publisher.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                .with_hint("open it without `read_only`")
        })
    }
}

impl Journal for StoreJournal {
    fn begin(&self, record: TransactionRecord, known: &mut dyn FnMut(&str)) -> Result<String> {
        self.publisher()?.update_state_as(Some(Durability::Sync), || {
            let number = transaction_key("");
            let last: u64 = match self.engine.get(Family::State, &number)? {
                Some(row) => record::decode("number of a transaction", &row)?,
                None => 0,
            };
            let gid = format!("{}{:016x}", self.prefix, last + 1);
            known(&gid);
            let rows: StateRows = vec![
                (Family::State, number, Some(record::encode(&(last + 1)))),
                (Family::State, transaction_key(&gid), Some(record::encode(&record))),
            ];
            Ok((rows, gid))
        })
    }

    fn find(&self, gid: &str) -> Result<Option<TransactionRecord>> {
        if !self.gave(gid) {
            return Ok(None);
        }
        let row = self.engine.get(Family::State, &transaction_key(gid))?;
        Ok(row.map(|row| record::decode("transaction", &row)).transpose()?)
    }

    fn all(&self) -> Result<Vec<(String, TransactionRecord)>> {
        let mut out = Vec::new();
        let mut rows = self.engine.iter_prefix(Family::State, &transaction_key(&self.prefix));
        rows.seek_to_first();
        while let Some((stored, row)) = rows.current()? {
            out.push((keys::name_of(stored)?.to_owned(), record::decode("transaction", row)?));
            rows.next();
        }
        Ok(out)
    }

    fn change(
        &self,
        gid: &str,
        change: &mut dyn FnMut(&mut TransactionRecord) -> Phase,
    ) -> Result<Option<TransactionRecord>> {
        self.publisher()?.update_state_as(Some(Durability::Sync), || {
            let Some(old) = self.find(gid)? else { return Ok((StateRows::new(), None)) };
            let mut new = old.clone();
            let phase: Option<PhaseCode> = change(&mut new).code();
            let new = phase.map(|phase| TransactionRecord { phase, ..new });
            if new.as_ref() == Some(&old) {
                return Ok((StateRows::new(), new));
            }
            let row = new.as_ref().map(record::encode);
            Ok((vec![(Family::State, transaction_key(gid), row)], new))
        })
    }

    fn gave(&self, gid: &str) -> bool {
        gid.strip_prefix(&self.prefix).is_some_and(|number| number.len() == 16)
    }
}
