//! Savepoints that end with a block of code.

use crate::txn::Txn;

/// A part of a transaction that is taken back when it is dropped, unless it is kept.
///
/// While it is there the transaction is reached through it, so scopes end in order.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::Read;
/// let mut tx = store.begin("main")?;
/// {
///     let mut attempt = tx.scope();
///     attempt.txn().put("pear", "green")?;
/// }
/// assert!(!tx.contains(b"pear")?);
/// let mut attempt = tx.scope();
/// attempt.txn().put("plum", "blue")?;
/// attempt.keep();
/// assert!(tx.contains(b"plum")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// An outer scope cannot end before an inner one:
/// ```compile_fail
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let mut tx = store.begin("main")?;
/// let mut outer = tx.scope();
/// let inner = outer.txn().scope();
/// outer.keep();
/// inner.keep();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a scope that is dropped is taken back"]
pub struct Scope<'t, 's> {
    txn: &'t mut Txn<'s>,
    id: u64,
}

impl<'t, 's> Scope<'t, 's> {
    pub(in crate::txn) fn new(txn: &'t mut Txn<'s>, id: u64) -> Self {
        Self { txn, id }
    }

    /// The transaction.
    pub fn txn(&mut self) -> &mut Txn<'s> {
        self.txn
    }

    /// Keeps what was done in the scope. Named savepoints that were set in it are released.
    pub fn keep(self) {
        if let Some(at) = self.txn.points.find_id(self.id) {
            self.txn.points.release(at);
        }
    }
}

impl Drop for Scope<'_, '_> {
    fn drop(&mut self) {
        // It is gone if it was kept, or if an older savepoint was rolled back to or released.
        if let Some(at) = self.txn.points.find_id(self.id) {
            // RocksDB may only fail to forget tracked keys, and these do not decide anything.
            let _ = self.txn.roll_back(at);
        }
    }
}
