//! Path locks of the store, and commits that are made under them.

use super::Store;
use crate::error::Result;
use crate::locks::{Deadlock, HeldLock, Lock, LockSession, LockStats, LockTable};
use crate::merge::MergeOptions;
use crate::publish::CommitOptions;

impl Store {
    /// A new owner of path locks; see [`LockSession`]. The name is for people: it need not be unique.
    ///
    /// # Errors
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is: a lock there would exclude nobody.
    pub fn lock_session(&self, name: &str) -> Result<LockSession> {
        Ok(self.lock_table()?.owner(name))
    }

    /// All path locks that are held, by path.
    #[must_use]
    pub fn held_locks(&self) -> Vec<HeldLock> {
        self.inner.locks.as_ref().map(|locks| locks.held()).unwrap_or_default()
    }

    /// The last 64 deadlocks between owners of locks since the store was opened, the oldest first.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// assert!(store.deadlocks().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn deadlocks(&self) -> Vec<Deadlock> {
        self.inner.locks.as_ref().map(|locks| locks.deadlocks()).unwrap_or_default()
    }

    /// What the locks have come to since the store was opened; read without a lock.
    #[must_use]
    pub fn lock_stats(&self) -> LockStats {
        self.inner.locks.as_ref().map(|locks| locks.stats()).unwrap_or_default()
    }

    pub(crate) fn lock_table(&self) -> Result<&std::sync::Arc<LockTable>> {
        self.publisher()?;
        Ok(self.inner.locks.as_ref().expect("a store that can be written has a lock table"))
    }
}

impl CommitOptions {
    /// Makes the commit depend on a lock: it is refused with
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost), and nothing is written, if the lock is no longer
    /// held when it is made. It lasts at least until the commit is visible, even if its lease lapses
    /// in between. May be called for more than one lock.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::{Batch, CommitOptions, ErrorKind, LockKind};
    /// let ann = store.lock_session("ann")?;
    /// let lock = ann.lock("/fruit", LockKind::Subtree, Duration::ZERO)?;
    /// let under = CommitOptions::default().fence(&lock);
    /// let mut batch = Batch::new();
    /// batch.put("fruit/pear", "green");
    /// store.main()?.write(batch.clone(), under.clone())?;
    /// lock.release()?;
    /// batch.put("fruit/pear", "yellow");
    /// let late = store.main()?.write(batch, under).expect_err("the lock is gone");
    /// assert_eq!(late.kind(), ErrorKind::LeaseLost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fence(self, lock: &Lock) -> Self {
        self.gate(lock.gate())
    }
}

impl MergeOptions<'_> {
    /// Makes the merge depend on a lock, as [`CommitOptions::fence`] does: if the lock is no longer held
    /// when it lands, nothing is written and the branch does not move. What has nothing to write is
    /// not refused.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::{BranchOptions, ErrorKind, LockKind, MergeOptions};
    /// let topic = store.create_branch("topic", "main", BranchOptions::default())?;
    /// topic.put("pear", "green")?;
    /// let ann = store.lock_session("ann")?;
    /// let lock = ann.lock("/main", LockKind::Point, Duration::ZERO)?;
    /// let under = MergeOptions::default().fence(&lock);
    /// lock.release()?;
    /// let late = store.merge("main", "topic", under).expect_err("the lock is gone");
    /// assert_eq!(late.kind(), ErrorKind::LeaseLost);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fence(self, lock: &Lock) -> Self {
        self.map_commit(|commit| commit.fence(lock))
    }
}
