//! Two-phase commit: the store as a participant, and the coordinator whose log it keeps.

use std::sync::{Mutex, PoisonError};

use super::Store;
use crate::clock::Timestamp;
use crate::coord::two_phase::{Coordinator, Participant, Standing, Vote};
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::OutcomeRecord;
use crate::name::BranchName;
use crate::publish::{
    CommitOptions, Committed, GidState, IfUnknown, all_outcomes, all_prepared, check_gid, gid_state,
};
use crate::txn::{Isolation, Txn, TxnOptions};

/// A prepared transaction.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::CommitOptions;
/// let mut tx = store.begin("main")?;
/// tx.put("pear", "green")?;
/// tx.prepare("order-17", CommitOptions::default().message("fruit"))?;
/// let listed = store.list_prepared()?;
/// assert_eq!((listed[0].gid.as_str(), listed[0].message.as_str()), ("order-17", "fruit"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreparedTransaction {
    /// Its name.
    pub gid: String,
    /// Who makes its commits.
    pub author: String,
    /// What they are for.
    pub message: String,
    /// How it saw others.
    pub isolation: Isolation,
    /// When it was prepared.
    pub prepared: Timestamp,
    /// The branches it holds keys of, and how many keys it writes on each.
    pub branches: Vec<(BranchName, u64)>,
}

impl Store {
    /// Commits a [prepared](Txn::prepare) transaction: one commit on each branch that it changes, all of
    /// them or none. The newest of them is returned; for one that was committed before, what was returned
    /// then. Nothing can be in its way: what it needs was held. On disk when this returns.
    ///
    /// Cost: as for the commit of a transaction that writes the same keys.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if none of this name is prepared or remembered;
    /// [`Invalid`](ErrorKind::Invalid) if it was rolled back. Nothing is written then.
    /// [`Io`](ErrorKind::Io) or [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if the write failed: open the
    /// store again and commit again.
    ///
    /// # Examples
    /// See [`Txn::prepare`].
    pub fn commit_prepared(&self, gid: &str) -> Result<Committed> {
        let commits = self.publisher()?.commit_prepared(gid)?;
        Ok(commits.last().map_or(Committed::Unchanged, |seq| Committed::At(*seq)))
    }

    /// Rolls a [prepared](Txn::prepare) transaction back: nothing of it is left, and what it held is free.
    /// Nothing happens if that was done before. On disk when this returns.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if none of this name is prepared or remembered;
    /// [`Invalid`](ErrorKind::Invalid) if it was committed. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::CommitOptions;
    /// let mut tx = store.begin("main")?;
    /// tx.put("pear", "green")?;
    /// tx.prepare("order-17", CommitOptions::default())?;
    /// store.rollback_prepared("order-17")?;
    /// store.main()?.put("pear", "yellow")?;
    /// assert!(store.commit_prepared("order-17").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rollback_prepared(&self, gid: &str) -> Result<()> {
        self.publisher()?.rollback_prepared(gid, IfUnknown::Fail)
    }

    /// The prepared transactions, by name.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    ///
    /// # Examples
    /// See [`PreparedTransaction`].
    pub fn list_prepared(&self) -> Result<Vec<PreparedTransaction>> {
        let all = all_prepared(self.engine())?.into_iter();
        all.map(|(gid, record)| {
            let branch = |branch: crate::format::prepared::PreparedBranch| {
                Ok((BranchName::new(&branch.name)?, branch.writes))
            };
            Ok(PreparedTransaction {
                gid,
                author: record.author,
                message: record.message,
                isolation: record.isolation.into(),
                prepared: Timestamp::from_millis(record.time),
                branches: record.branches.into_iter().map(branch).collect::<Result<_>>()?,
            })
        })
        .collect()
    }

    /// What is known of the name of a prepared transaction: that it is prepared, or how it has ended. `None`
    /// if it never was, or was forgotten.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read,
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if the disk does not confirm it.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, Standing};
    /// store.begin("main")?.prepare("order-17", CommitOptions::default())?;
    /// store.commit_prepared("order-17")?;
    /// assert_eq!(store.prepared_standing("order-17")?, Some(Standing::Committed));
    /// store.forget_prepared("order-17")?;
    /// assert_eq!(store.prepared_standing("order-17")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepared_standing(&self, gid: &str) -> Result<Option<Standing>> {
        check_gid(gid)?;
        let state = gid_state(self.engine(), gid)?;
        // It can be seen before it is on disk, and somebody is going to rely on it.
        self.sync()?;
        Ok(match state {
            GidState::Unknown => None,
            GidState::Prepared => Some(Standing::Prepared),
            GidState::Finished(outcome) => Some(standing_of(&outcome)),
        })
    }

    /// The prepared transactions that have ended and are still remembered, by name.
    ///
    /// # Errors
    /// As for [`prepared_standing`](Self::prepared_standing).
    pub fn ended_prepared(&self) -> Result<Vec<(String, Standing)>> {
        let all = all_outcomes(self.engine())?;
        self.sync()?;
        Ok(all.into_iter().map(|(gid, outcome)| (gid, standing_of(&outcome))).collect())
    }

    /// Forgets how a prepared transaction has ended; its name is free then. False if nothing was known of it.
    ///
    /// Outcomes are kept until this is called, a small row each: whoever decides on a transaction calls it
    /// once nobody will ask any more. A [`Coordinator`] does so for its own. It does not wait for the disk.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if it is still prepared; else as for a commit.
    ///
    /// # Examples
    /// See [`prepared_standing`](Self::prepared_standing).
    pub fn forget_prepared(&self, gid: &str) -> Result<bool> {
        self.publisher()?.forget_prepared(gid)
    }
}

fn standing_of(outcome: &OutcomeRecord) -> Standing {
    match outcome.commits {
        Some(_) => Standing::Committed,
        None => Standing::Aborted,
    }
}

impl Coordinator {
    /// The coordinator whose log is kept in this store. Each store has one: all handles are the same.
    ///
    /// In a store that is open for reading only it can list what is pending.
    ///
    /// # Examples
    /// See [`Coordinator`].
    #[must_use]
    pub fn open(store: &Store) -> Self {
        let make = || {
            let inner = &store.inner;
            let engine = store.engine().clone();
            Self::new(engine, inner.publisher.clone(), inner.clock.clone(), &store.id().to_string())
        };
        store.inner.coordinator.get_or_init(make).clone()
    }
}

/// Work to be done in a transaction, as often as it is asked for.
type Work<'w> = Box<dyn FnMut(&mut Txn<'_>) -> Result<()> + Send + 'w>;

/// A store as a [`Participant`].
///
/// For a run it is given [`work`](Self::work) to do; for a recovery it needs none.
///
/// # Examples
/// See [`Coordinator`].
pub struct StoreParticipant<'w> {
    name: String,
    store: Store,
    branch: String,
    transaction: TxnOptions,
    commit: CommitOptions,
    work: Option<Mutex<Work<'w>>>,
}

impl<'w> StoreParticipant<'w> {
    /// A store under a name: the coordinator's log knows it by that, so it has to stay the same.
    #[must_use]
    pub fn new(name: impl Into<String>, store: &Store) -> Self {
        Self {
            name: name.into(),
            store: store.clone(),
            branch: BranchName::main().to_string(),
            transaction: TxnOptions::default(),
            commit: CommitOptions::default(),
            work: None,
        }
    }

    /// What it does when it is asked to prepare, in a transaction on this branch. If it fails, or the
    /// transaction cannot be prepared, the participant says no.
    #[must_use]
    pub fn work(
        mut self,
        branch: impl Into<String>,
        work: impl FnMut(&mut Txn<'_>) -> Result<()> + Send + 'w,
    ) -> Self {
        self.branch = branch.into();
        self.work = Some(Mutex::new(Box::new(work)));
        self
    }

    /// Isolation and limits of the transaction.
    #[must_use]
    pub fn transaction(mut self, options: TxnOptions) -> Self {
        self.transaction = options;
        self
    }

    /// Author and message of its commits. Without a message it is `two-phase commit GID`.
    #[must_use]
    pub fn commit_options(mut self, options: CommitOptions) -> Self {
        self.commit = options;
        self
    }

    fn do_work(&self, gid: &str) -> Result<()> {
        let Some(work) = &self.work else {
            let text = format!("{} was given no work to do", self.name);
            return Err(Error::new(ErrorKind::Invalid, text));
        };
        let mut tx = self.store.begin_with(&self.branch, self.transaction)?;
        work.lock().unwrap_or_else(PoisonError::into_inner)(&mut tx)?;
        let mut commit = self.commit.clone();
        if commit.message.is_empty() {
            commit = commit.message(format!("two-phase commit {gid}"));
        }
        tx.prepare(gid, commit)
    }
}

impl Participant for StoreParticipant<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&self, gid: &str) -> Result<Vote> {
        match self.do_work(gid) {
            Ok(()) => Ok(Vote::Yes),
            Err(e) => match e.kind() {
                ErrorKind::Io | ErrorKind::OutcomeUnknown | ErrorKind::Halted => Err(e),
                _ => Ok(Vote::No(e)),
            },
        }
    }

    fn commit(&self, gid: &str) -> Result<()> {
        self.store.commit_prepared(gid).map(|_: Committed| ())
    }

    fn abort(&self, gid: &str) -> Result<()> {
        self.store.publisher()?.rollback_prepared(gid, IfUnknown::Bar)
    }

    fn standing(&self, gid: &str) -> Result<Option<Standing>> {
        self.store.prepared_standing(gid)
    }

    fn forget(&self, gid: &str) -> Result<()> {
        self.store.forget_prepared(gid).map(|_: bool| ())
    }

    fn holds(&self) -> Result<Vec<(String, Standing)>> {
        let prepared = all_prepared(self.store.engine())?;
        let mut all: Vec<_> =
            prepared.into_iter().map(|(gid, _)| (gid, Standing::Prepared)).collect();
        all.extend(self.store.ended_prepared()?);
        Ok(all)
    }
}
