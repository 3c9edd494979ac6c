//! A transaction on one of its branches.

use super::Txn;
use crate::error::Result;
use crate::kv::{Direction, KeyRange};
use crate::name::BranchName;
use crate::view::{Read, Scan};

/// A transaction on one of its branches, as [`Txn::on`] gives it.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{BranchOptions, Read};
/// store.create_branch("topic", "main", BranchOptions::default())?;
/// let mut tx = store.begin("main")?;
/// let mut topic = tx.on("topic")?;
/// topic.put("pear", "green")?;
/// assert!(topic.contains(b"pear")?);
/// assert!(!tx.contains(b"pear")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TxnBranch<'t, 's> {
    txn: &'t mut Txn<'s>,
    index: usize,
}

impl<'t, 's> TxnBranch<'t, 's> {
    pub(super) fn new(txn: &'t mut Txn<'s>, index: usize) -> Self {
        Self { txn, index }
    }

    /// The branch.
    #[must_use]
    pub fn name(&self) -> &BranchName {
        &self.txn.buffer(self.index).branch
    }

    /// Sets a key.
    ///
    /// # Errors
    /// As for [`Txn::put`].
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<()> {
        self.txn.write(self.index, key.into(), Some(value.into()))
    }

    /// Deletes a key; nothing happens if it is absent.
    ///
    /// # Errors
    /// As for [`Txn::put`].
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> Result<()> {
        self.txn.write(self.index, key.into(), None)
    }

    /// Reads a key that the transaction rests on; see [`Txn::get_for_update`].
    ///
    /// # Errors
    /// As for [`Txn::get_for_update`].
    pub fn get_for_update(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.txn.read_for_update(self.index, key)
    }
}

impl Read for TxnBranch<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.txn.check_read()?;
        self.txn.buffer(self.index).get(self.txn.publisher, key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>> {
        self.txn.check_read()?;
        self.txn.buffer(self.index).scan(self.txn.publisher, range, direction)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.txn.check_read()?;
        self.txn.buffer(self.index).multi_get(self.txn.publisher, keys)
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.txn.check_read()?;
        self.txn.buffer(self.index).count(self.txn.publisher, range)
    }
}
