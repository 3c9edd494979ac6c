//! Savepoints of a transaction: named ones, and scopes that end with a block of code.

mod scope;
mod stack;

pub use scope::Scope;
pub(super) use stack::Savepoints;
use stack::{Marks, TakenBack, Undo};

use super::Txn;
use crate::error::Result;
use crate::locks::LockSession;

impl<'s> Txn<'s> {
    fn marks(&self) -> Marks {
        Marks {
            used: self.used,
            messages: self.messages.len(),
            compensations: self.compensations.len(),
            attached: self.attached.len(),
            locks: self.locks.as_ref().map(LockSession::mark),
        }
    }

    /// Sets a savepoint, to which [`rollback_to`](Self::rollback_to) goes back.
    ///
    /// Cost: constant, whatever was written before.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name is empty, [`Exists`](crate::ErrorKind::Exists) if there is
    /// one of this name. The transaction stays as it was.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::Read;
    /// let mut tx = store.begin("main")?;
    /// tx.put("pear", "green")?;
    /// tx.savepoint("ripe?")?;
    /// tx.put("pear", "yellow")?;
    /// tx.rollback_to("ripe?")?;
    /// assert_eq!(tx.get(b"pear")?.as_deref(), Some(&b"green"[..]));
    /// assert_eq!(tx.savepoints().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn savepoint(&mut self, name: &str) -> Result<()> {
        self.points.set(Some(name), self.marks(), self.tracked.as_ref()).map(|_| ())
    }

    /// Takes back everything since a savepoint: writes, deletions, keys it rests on, operations that
    /// count for its limits, messages, acknowledgements, compensations, locks. The savepoint and all newer ones are
    /// gone, older ones stay.
    ///
    /// What a serializable transaction has read stays read: the program has seen it.
    ///
    /// Cost: what is taken back.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no savepoint of this name; the transaction stays
    /// as it was.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        let at = self.points.find(name)?;
        self.roll_back(at)
    }

    fn roll_back(&mut self, at: usize) -> Result<()> {
        let taken = self.points.roll_back(at, self.tracked.as_ref())?;
        let TakenBack { marks, undo, untracked } = taken;
        for undo in undo {
            match undo {
                Undo::Write { buffer, key, before } => {
                    let own = &mut self.buffer_mut(buffer).own;
                    match before {
                        Some(before) => own.insert(key, before),
                        None => own.remove(&key),
                    };
                }
                Undo::Track { buffer, key } => {
                    self.buffer_mut(buffer).tracked.remove(&key);
                }
                Undo::Lock { buffer, key } => {
                    if let Some(tracked) = self.buffer_mut(buffer).tracked.get_mut(&key) {
                        tracked.locked = false;
                    }
                }
            }
        }
        if untracked {
            self.tracked = None;
        }
        self.used = marks.used;
        self.messages.truncate(marks.messages);
        self.compensations.truncate(marks.compensations);
        self.attached.truncate(marks.attached);
        match (&self.locks, marks.locks) {
            (Some(locks), Some(mark)) => locks.release_since(mark),
            (Some(locks), None) => locks.release_all(),
            (None, _) => {}
        }
        Ok(())
    }

    /// Forgets a savepoint and all newer ones, and keeps what was done since.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no savepoint of this name; the transaction stays
    /// as it was.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::Read;
    /// let mut tx = store.begin("main")?;
    /// tx.savepoint("start")?;
    /// tx.put("pear", "green")?;
    /// tx.release("start")?;
    /// assert!(tx.contains(b"pear")? && tx.rollback_to("start").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&mut self, name: &str) -> Result<()> {
        let at = self.points.find(name)?;
        self.points.release(at);
        Ok(())
    }

    /// The names of the savepoints, oldest first.
    pub fn savepoints(&self) -> impl Iterator<Item = &str> {
        self.points.names()
    }

    /// A savepoint that ends with a block: what is done in the scope is taken back when it is dropped,
    /// unless it is [kept](Scope::keep).
    pub fn scope(&mut self) -> Scope<'_, 's> {
        let set = self.points.set(None, self.marks(), self.tracked.as_ref());
        Scope::new(self, set.expect("a savepoint without a name meets no other"))
    }
}
