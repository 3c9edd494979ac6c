//! What a transaction does besides writing keys: locks, messages for the outbox, compensations for its
//! saga.

use std::sync::Arc;

use super::Txn;
use crate::error::{Error, ErrorKind, Result};
use crate::kv::check_payload;
use crate::locks::{LockKind, LockOptions, LockSession};
use crate::name::check_label;
use crate::publish::Publisher;

impl Txn<'_> {
    /// Whether it is a transaction of the store that this publisher writes.
    pub(crate) fn is_of(&self, publisher: &Arc<Publisher>) -> bool {
        Arc::ptr_eq(self.publisher, publisher)
    }

    /// Takes a path lock for the transaction; see [`LockSession::lock`](crate::LockSession::lock). It is
    /// released when the transaction ends, after its commit is visible, or when a savepoint is rolled
    /// back to that was set before. Its fencing number is returned.
    ///
    /// # Errors
    /// As for [`LockSession::lock`](crate::LockSession::lock). The transaction stays as it was.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::{CommitOptions, LockKind};
    /// let mut tx = store.begin("main")?;
    /// tx.lock("/fruit", LockKind::Subtree, Duration::from_secs(1))?;
    /// tx.put("fruit/pear", "green")?;
    /// assert_eq!(store.held_locks().len(), 1);
    /// tx.commit(CommitOptions::default())?;
    /// assert!(store.held_locks().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(
        &mut self,
        path: &str,
        kind: LockKind,
        options: impl Into<LockOptions>,
    ) -> Result<u64> {
        self.check_time()?;
        let owner = || self.table.owner(&format!("transaction on {}", self.first.branch));
        let locks = self.locks.get_or_insert_with(owner);
        Ok(locks.lock(path, kind, options)?.keep())
    }

    /// Begins the leases of the locks that it owns anew.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if one has lapsed: none is renewed, and the transaction cannot
    /// commit any more unless it rolls back to a savepoint from before that lock.
    pub fn renew_locks(&self) -> Result<()> {
        self.locks.as_ref().map_or(Ok(()), LockSession::renew_all)
    }

    /// Adds a message to the outbox, in the same write as the commit: it is there if and only if the
    /// commit is. If the transaction changes nothing, an empty commit is made for it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the topic is empty, over 256 bytes or has control characters;
    /// [`Limit`](ErrorKind::Limit) if the payload is too long, or a limit of the transaction is reached.
    /// The transaction stays as it was.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// store.run("main", withy::CommitOptions::default(), |tx| {
    ///     tx.put("order/1", "three pears")?;
    ///     tx.enqueue("mail", "order 1 is in")
    /// })?;
    /// assert_eq!(store.latest().get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enqueue(&mut self, topic: &str, payload: impl Into<Vec<u8>>) -> Result<()> {
        let payload = payload.into();
        check_label("topic", topic)?;
        check_payload("message", &payload)?;
        self.check_time()?;
        let mut used = self.used;
        used.bytes += (topic.len() + payload.len()) as u64;
        self.check_used(used)?;
        self.used = used;
        self.messages.push((topic.to_owned(), payload));
        Ok(())
    }

    /// Registers a compensation, by its name, for the saga that this transaction is a step of.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the transaction is no step of a saga, or the name is none;
    /// [`Limit`](ErrorKind::Limit) as for [`enqueue`](Self::enqueue). The transaction stays as it was.
    pub fn compensate(&mut self, name: &str, args: impl Into<Vec<u8>>) -> Result<()> {
        let args = args.into();
        if !self.in_saga {
            let text = "a compensation belongs to a step of a saga, and this transaction is none";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        check_label("compensation", name)?;
        check_payload("compensation", &args)?;
        self.check_time()?;
        let mut used = self.used;
        used.bytes += (name.len() + args.len()) as u64;
        self.check_used(used)?;
        self.used = used;
        self.compensations.push((name.to_owned(), args));
        Ok(())
    }

    /// Lets it register compensations.
    pub(crate) fn enter_saga(&mut self) {
        self.in_saga = true;
    }

    /// The compensations that were registered and not taken back, in order.
    pub(crate) fn take_compensations(&mut self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.compensations)
    }
}
