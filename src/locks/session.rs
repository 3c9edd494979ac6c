//! What users hold: owners, locks, marks.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::leases::lost;
use super::state::Asker;
use super::table::{Gate, LockTable, Pin};
use super::tree::Claim;
use super::{HeldLock, LockKind, LockOptions, LockOwner, LockPath};
use crate::error::{Error, ErrorKind, Result};

/// An owner of locks. Dropping it releases all of them. It keeps the store open.
///
/// An owner stands for one line of work: whatever it holds never stands in its own way, and while one
/// of its requests waits, all of it counts as waiting. Locks die with the process.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::{ErrorKind, LockKind};
/// let (ann, ben) = (store.lock_session("ann")?, store.lock_session("ben")?);
/// let lock = ann.lock("/fruit", LockKind::Subtree, Duration::ZERO)?;
/// let held = ben.lock("/fruit/pear", LockKind::Point, Duration::ZERO).expect_err("it is held");
/// assert_eq!(held.kind(), ErrorKind::Busy);
/// lock.release()?;
/// assert!(ben.lock("/fruit/pear", LockKind::Point, Duration::ZERO).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it releases its locks"]
pub struct LockSession {
    table: Arc<LockTable>,
    owner: LockOwner,
}

/// A moment in the life of a [`LockSession`], to go back to.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::LockKind;
/// let ann = store.lock_session("ann")?;
/// let first = ann.lock("/a", LockKind::Point, Duration::ZERO)?;
/// let mark = ann.mark();
/// let second = ann.lock("/b", LockKind::Point, Duration::ZERO)?;
/// ann.release_since(mark);
/// assert!(first.is_held() && !second.is_held());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockMark(u64);

impl LockSession {
    pub(super) fn new(table: Arc<LockTable>, owner: LockOwner) -> Self {
        Self { table, owner }
    }

    /// Its name and age.
    #[must_use]
    pub fn owner(&self) -> &LockOwner {
        &self.owner
    }

    /// Takes a lock; waits for it, if told, in the order in which requests came.
    ///
    /// A path may be locked more than once by its owner, in either kind: it is free for others when all
    /// of these locks are gone. Cost: a look-up for each component of the path, and, for a subtree,
    /// what is held in it; the number of keys does not matter.
    ///
    /// # Errors
    /// Nothing was granted: [`Busy`](ErrorKind::Busy) if it is held, or was asked for earlier, by
    /// another owner and the time to wait is over; [`Deadlock`](ErrorKind::Deadlock) if owners wait for
    /// each other and this is the youngest; [`Invalid`](ErrorKind::Invalid) or
    /// [`Limit`](ErrorKind::Limit) if the path is none, or the lease is of no length; what a write
    /// fails with if a new block of fencing numbers has to be stored.
    pub fn lock(
        &self,
        path: &str,
        kind: LockKind,
        options: impl Into<LockOptions>,
    ) -> Result<Lock> {
        let mut locks = self.lock_all(&[(path, kind)], options)?;
        Ok(locks.pop().expect("one claim gives one lock"))
    }

    /// Takes several locks at one moment, all or none; they come in the order they were named in.
    ///
    /// It holds none of them while it waits for the others. Their fencing numbers go by path.
    ///
    /// # Errors
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::LockKind::{Point, Subtree};
    /// let ann = store.lock_session("ann")?;
    /// let locks = ann.lock_all(&[("/b", Subtree), ("/a", Point)], Duration::from_secs(1))?;
    /// assert_eq!(locks[0].path().as_str(), "/b");
    /// assert!(locks[1].fence() < locks[0].fence());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_all(
        &self,
        claims: &[(&str, LockKind)],
        options: impl Into<LockOptions>,
    ) -> Result<Vec<Lock>> {
        let claims: Result<Vec<_>> = claims
            .iter()
            .map(|&(path, kind)| Ok(Claim { path: LockPath::new(path)?, kind }))
            .collect();
        self.take(claims?, options.into())
    }

    /// Takes what a move needs, all or none: the source as a subtree, and the parent of the destination
    /// as a point.
    ///
    /// # Errors
    /// As for [`lock`](Self::lock); [`Invalid`](ErrorKind::Invalid) if one of them is the root, or the
    /// destination is the source or below it.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// let ann = store.lock_session("ann")?;
    /// let [source, parent] = ann.lock_move("/a/b", "/c/d", std::time::Duration::ZERO)?;
    /// assert_eq!((source.path().as_str(), parent.path().as_str()), ("/a/b", "/c"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_move(
        &self,
        source: &str,
        destination: &str,
        options: impl Into<LockOptions>,
    ) -> Result<[Lock; 2]> {
        let (source, destination) = (LockPath::new(source)?, LockPath::new(destination)?);
        let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
        let (Some(_), Some(parent)) = (source.parent(), destination.parent()) else {
            return Err(invalid("the root cannot be moved or replaced".to_owned()));
        };
        if source.covers(&destination) {
            let (from, to) = (source.as_str(), destination.as_str());
            return Err(invalid(format!("{from:?} cannot be moved to {to:?}, into itself")));
        }
        let claims = vec![
            Claim { path: source, kind: LockKind::Subtree },
            Claim { path: parent, kind: LockKind::Point },
        ];
        let locks = self.take(claims, options.into())?;
        Ok(locks.try_into().unwrap_or_else(|_| unreachable!("two claims give two locks")))
    }

    fn take(&self, claims: Vec<Claim>, options: LockOptions) -> Result<Vec<Lock>> {
        if options.lease.is_some_and(|lease| lease.is_zero()) {
            return Err(Error::new(ErrorKind::Invalid, "a lease of no length protects nothing"));
        }
        let asker = Asker { owner: self.owner.age, claims: claims.clone(), lease: options.lease };
        let fences = self.table.request(asker, options)?;
        let lock = |(claim, fence): (Claim, u64)| Lock {
            table: Arc::clone(&self.table),
            owner: self.owner.age,
            fence,
            claim,
            let_go: false,
        };
        Ok(claims.into_iter().zip(fences).map(lock).collect())
    }

    /// This moment, for [`release_since`](Self::release_since).
    #[must_use]
    pub fn mark(&self) -> LockMark {
        LockMark(self.table.state().last_fence())
    }

    /// Releases exactly what it was granted after a mark.
    pub fn release_since(&self, mark: LockMark) {
        self.table.state().release_since(self.owner.age, mark.0);
    }

    /// Begins the leases of everything that it holds anew.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if one has lapsed; none is renewed.
    pub fn renew_all(&self) -> Result<()> {
        self.table.state().renew_all(self.owner.age)
    }

    /// Releases everything that it holds.
    pub fn release_all(&self) {
        self.release_since(LockMark(0));
    }

    /// What it holds, by path.
    #[must_use]
    pub fn held(&self) -> Vec<HeldLock> {
        let mut held = self.table.held();
        held.retain(|lock| lock.owner == self.owner);
        held
    }

    /// Says that it still has all that it was granted and has not let go of, and keeps that from
    /// lapsing until the answer is dropped. For a commit, under the commit lock.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseLost`] if a lease has lapsed.
    pub(crate) fn pin(&self) -> Result<Pin> {
        self.table.pin_all(self.owner.age)
    }
}

impl Drop for LockSession {
    fn drop(&mut self) {
        self.table.state().end_owner(self.owner.age);
    }
}

/// A lock that is held. Dropping it releases it; so does the end of its [`LockSession`].
///
/// Each has a fencing number, larger than that of any lock granted before it in the life of the store:
/// whatever sees a smaller number than it has seen can refuse it. A store does so if the lock is named
/// in [`CommitOptions::fence`](crate::CommitOptions::fence).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::{LockKind, LockOptions};
/// let ann = store.lock_session("ann")?;
/// let lock = ann.lock("/fruit", LockKind::Subtree, LockOptions::default().lease(Duration::from_secs(9)))?;
/// lock.renew()?;
/// let fence = lock.fence();
/// lock.release()?;
/// assert!(ann.lock("/fruit", LockKind::Subtree, Duration::ZERO)?.fence() > fence);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it releases it"]
pub struct Lock {
    table: Arc<LockTable>,
    owner: u64,
    fence: u64,
    claim: Claim,
    /// Whether dropping it is of no consequence.
    let_go: bool,
}

impl Lock {
    /// What it is on.
    #[must_use]
    pub fn path(&self) -> &LockPath {
        &self.claim.path
    }

    /// How much of it.
    #[must_use]
    pub fn kind(&self) -> LockKind {
        self.claim.kind
    }

    /// Its fencing number.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Whether it still counts. It may lapse the moment after: only the check at a commit is certain.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.table.state().look(self.fence).is_some()
    }

    /// How long it still lasts unless it is renewed; `None` if it has no lease, or is no longer held.
    #[must_use]
    pub fn lease_left(&self) -> Option<Duration> {
        self.table.state().look(self.fence).flatten()
    }

    /// Prolongs its lease: it lasts as long from now as it did from when it was granted. One without a
    /// lease stays as it is.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if it has lapsed or was released, even if nobody took it
    /// since: it stays lost.
    pub fn renew(&self) -> Result<()> {
        let renewed = self.table.state().renew(self.fence);
        if renewed { Ok(()) } else { Err(lost(&self.claim.path, self.fence)) }
    }

    /// Releases it.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if it has lapsed or was released before. Whoever has the path
    /// by then keeps it.
    pub fn release(mut self) -> Result<()> {
        self.let_go = true;
        let released = self.table.state().release(self.owner, self.fence);
        if released { Ok(()) } else { Err(lost(&self.claim.path, self.fence)) }
    }

    /// Leaves it to its session, which releases it at its end or by
    /// [`release_since`](LockSession::release_since); gives its fencing number.
    pub fn keep(mut self) -> u64 {
        self.let_go = true;
        self.fence
    }

    /// What a commit checks that is made under it.
    pub(crate) fn gate(&self) -> Gate {
        let (table, lock) = (Arc::clone(&self.table), [(self.fence, self.claim.path.clone())]);
        Arc::new(move || Ok(Box::new(table.pin(&lock)?) as Box<dyn Any + Send>))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.let_go {
            self.table.state().release(self.owner, self.fence);
        }
    }
}

impl std::fmt::Debug for LockSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockSession").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock")
            .field("path", &self.claim.path)
            .field("kind", &self.claim.kind)
            .field("fence", &self.fence)
            .finish_non_exhaustive()
    }
}
