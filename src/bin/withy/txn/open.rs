//! An open transaction of a session.

use std::time::Duration;

use withy::{CommitOptions, LockKind, Read, Result, Store, Txn, TxnOptions};

use super::command::Begin;
use super::session::Made;

/// A transaction, on its first branch or on the others that it is on.
pub(super) struct Open<'s> {
    store: &'s Store,
    txn: Txn<'s>,
}

impl<'s> Open<'s> {
    pub(super) fn begin(store: &'s Store, branch: &str, begin: &Begin) -> Result<Self> {
        let mut options = TxnOptions::default().isolation(begin.isolation.unwrap_or_default());
        if let Some(most) = begin.operations {
            options = options.max_operations(most);
        }
        if let Some(most) = begin.bytes {
            options = options.max_bytes(most);
        }
        if let Some(time) = begin.time {
            options = options.timeout(time);
        }
        Ok(Self { store, txn: store.begin_with(branch, options)? })
    }

    /// The branch it was begun on.
    pub(super) fn branch(&self) -> &str {
        self.txn.branch().as_str()
    }

    /// How many keys it writes.
    pub(super) fn len(&self) -> usize {
        self.txn.len()
    }

    pub(super) fn put(&mut self, on: Option<&str>, key: &[u8], value: &[u8]) -> Result<()> {
        match on {
            None => self.txn.put(key, value),
            Some(branch) => self.txn.on(branch)?.put(key, value),
        }
    }

    pub(super) fn delete(&mut self, on: Option<&str>, key: &[u8]) -> Result<()> {
        match on {
            None => self.txn.delete(key),
            Some(branch) => self.txn.on(branch)?.delete(key),
        }
    }

    pub(super) fn get_for_update(
        &mut self,
        on: Option<&str>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        match on {
            None => self.txn.get_for_update(key),
            Some(branch) => self.txn.on(branch)?.get_for_update(key),
        }
    }

    /// Reads what it sees of a branch.
    pub(super) fn read<T>(
        &mut self,
        on: Option<&str>,
        read: impl FnOnce(&dyn Read) -> Result<T>,
    ) -> Result<T> {
        match on {
            None => read(&self.txn),
            Some(branch) => read(&self.txn.on(branch)?),
        }
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<()> {
        self.txn.savepoint(name)
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<()> {
        self.txn.rollback_to(name)
    }

    pub(super) fn release(&mut self, name: &str) -> Result<()> {
        self.txn.release(name)
    }

    /// The names of the savepoints, oldest first.
    pub(super) fn savepoints(&self) -> Vec<String> {
        self.txn.savepoints().map(str::to_owned).collect()
    }

    /// Takes a lock; its fencing number is returned.
    pub(super) fn lock(&mut self, path: &str, is_subtree: bool, wait: Duration) -> Result<u64> {
        let kind = if is_subtree { LockKind::Subtree } else { LockKind::Point };
        self.txn.lock(path, kind, wait)
    }

    pub(super) fn enqueue(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        self.txn.enqueue(topic, payload)
    }

    /// Commits it; what came of each branch that it wrote to, or of its first one if there is none.
    pub(super) fn commit(self, options: CommitOptions) -> Result<Vec<(String, Made)>> {
        let first = self.branch().to_owned();
        let mut all = Vec::new();
        for (branch, committed) in self.txn.commit_each(options)? {
            let made = match committed.seq() {
                Some(seq) => Made::Commit(Box::new(self.store.commit(&format!("seq:{seq}"))?)),
                None => Made::Same,
            };
            all.push((branch.to_string(), made));
        }
        if all.is_empty() {
            all.push((first, Made::Nothing));
        }
        Ok(all)
    }
}
