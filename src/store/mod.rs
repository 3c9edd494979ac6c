//! The store: wires the rows together and holds no logic of its own.

mod branch;
mod commits;
mod config;
mod copies;
mod cursor;
mod doctor;
mod follow;
mod gc;
mod locks;
pub(crate) mod look;
mod merge;
mod open;
mod outbox;
mod purge;
mod refs;
mod saga;
mod stats;
mod two_phase;
mod verify;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use branch::Branch;
pub use commits::LogOptions;
pub use config::Setting;
pub use follow::{FollowOptions, Follower, FollowerFeed};
pub use open::{Create, OpenOptions};
pub use refs::{BranchOptions, DeleteOptions, TagOptions};
pub use stats::{Stats, Work};
pub use two_phase::{PreparedTransaction, StoreParticipant};

use crate::clock::Clock;
use crate::coord::two_phase::Coordinator;
use crate::coord::{Background, Coord, Resumed};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Place};
use crate::id::{LineId, Seq};
use crate::locks::LockTable;
use crate::maintain::{Overlays, RecoveryReport};
use crate::merge::Registry;
use crate::name::BranchName;
use crate::publish::{CommitOptions, ImportSession, Publisher};
use crate::refs::Refs;
use crate::rev::Resolver;
use crate::txn::{Txn, TxnOptions};
use crate::view::View;

/// An open store. Cloning it is cheap; all clones are the same store, usable from many threads.
///
/// The store closes when the last clone, and every branch, view and lock session made from it, is
/// dropped.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Read, Store};
/// let store = Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// assert_eq!(store.view("main")?.get(b"pear")?.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped first, so that their threads let go of the rest.
    _background: Option<Background>,
    _overlays: Option<Overlays>,
    graph: Arc<Graph>,
    refs: Arc<Refs>,
    clock: Arc<dyn Clock>,
    /// Absent in a store that is open for reading only.
    publisher: Option<Arc<Publisher>>,
    /// For a store that is open for reading only: its newest commit.
    fixed: Seq,
    id: StoreId,
    drivers: Registry,
    /// Absent in a store that is open for reading only.
    locks: Option<Arc<LockTable>>,
    coord: Coord,
    resumed: Resumed,
    recovery: RecoveryReport,
    /// Made when it is asked for.
    coordinator: OnceLock<Coordinator>,
}

/// Id of a store, given when it is made; copies of the store keep it.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// assert_eq!(store.id().to_string().len(), 32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId([u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).field("id", &self.id()).finish()
    }
}

impl Store {
    /// Opens the store in this directory for writing; makes it if the directory is absent or empty.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::default().open(path)
    }

    /// All the choices there are when a store is opened.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    /// The store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.engine().path()
    }

    /// The store's id.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.inner.id
    }

    /// Whether it is open for reading only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.inner.publisher.is_none()
    }

    /// Version of the format on disk.
    #[must_use]
    pub fn format_version(&self) -> u32 {
        crate::format::FORMAT_VERSION
    }

    /// Puts every commit made so far on disk, whatever durability it asked for.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if the disk does not confirm it.
    pub fn sync(&self) -> Result<()> {
        match &self.inner.publisher {
            Some(publisher) => publisher.sync(),
            None => Ok(()),
        }
    }

    /// The newest commit that can be read.
    #[must_use]
    pub fn latest(&self) -> Seq {
        self.inner.publisher.as_ref().map_or(self.inner.fixed, |p| p.visible())
    }

    /// A handle on a branch.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch.
    pub fn branch(&self, name: &str) -> Result<Branch> {
        Branch::new(self, BranchName::new(name)?)
    }

    /// A handle on `main`.
    ///
    /// # Errors
    /// As for [`branch`](Self::branch).
    pub fn main(&self) -> Result<Branch> {
        Branch::new(self, BranchName::main())
    }

    /// The active branch: the default of the command line. Handles do not depend on it.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn active(&self) -> Result<BranchName> {
        self.refs().active()
    }

    /// The data as of any rev. It costs no more than finding the commit, and stays as it is.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the rev names no commit, [`Invalid`](ErrorKind::Invalid)
    /// if it is none or ambiguous; [`HistoryGone`](ErrorKind::HistoryGone) if retention has let the
    /// commit go. If only keys of some prefixes are gone, to read those gives that error.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::Read;
    /// store.main()?.put("pear", "green")?;
    /// store.main()?.put("pear", "yellow")?;
    /// assert_eq!(store.view("main~1")?.get(b"pear")?.as_deref(), Some(&b"green"[..]));
    /// assert_eq!(store.view("seq:2")?.get(b"pear")?.as_deref(), Some(&b"yellow"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn view(&self, rev: &str) -> Result<View> {
        View::in_part(self.graph(), self.resolve(rev)?)
    }

    /// Begins a transaction on a branch, at level [`Isolation::Snapshot`](crate::Isolation::Snapshot).
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch; [`Limit`](ErrorKind::Limit) if as
    /// many are open as may be; [`ReadOnly`](ErrorKind::ReadOnly) if the store is open for reading only.
    pub fn begin(&self, branch: &str) -> Result<Txn<'_>> {
        self.begin_with(branch, TxnOptions::default())
    }

    /// Begins a transaction on a branch, with a choice of its isolation and limits.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, Isolation, Read, TxnOptions};
    /// let options = TxnOptions::default().isolation(Isolation::Serializable);
    /// let mut tx = store.begin_with("main", options)?;
    /// if tx.prefix(b"order/")?.next().is_none() {
    ///     tx.put("status", "idle")?;
    /// }
    /// store.main()?.put("order/1", "three pears")?;
    /// let lost = tx.commit(CommitOptions::default()).expect_err("there is an order now");
    /// assert_eq!(lost.keys(), [b"order/1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_with(&self, branch: &str, options: TxnOptions) -> Result<Txn<'_>> {
        Txn::new(self.publisher()?, self.lock_table()?, BranchName::new(branch)?, options)
    }

    /// Runs `work` in a transaction on a branch and commits it; runs it again, after a growing pause,
    /// if another commit won or it was the victim of a deadlock.
    ///
    /// # Errors
    /// What `work` returns; [`Conflict`](ErrorKind::Conflict) if it keeps losing; else as for
    /// [`Txn::commit`]. Nothing is written unless it returns `Ok`.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, Read};
    /// for _ in 0..3 {
    ///     store.run("main", CommitOptions::default(), |tx| {
    ///         let n = tx.get(b"n")?.map_or(0, |v| v[0]);
    ///         tx.put("n", vec![n + 1])
    ///     })?;
    /// }
    /// assert_eq!(store.main()?.get(b"n")?, Some(vec![3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run<'s, T>(
        &'s self,
        branch: &str,
        options: CommitOptions,
        work: impl FnMut(&mut Txn<'s>) -> Result<T>,
    ) -> Result<T> {
        self.run_with(branch, TxnOptions::default(), options, work)
    }

    /// [`run`](Self::run), with a choice of the transaction's isolation and limits. A time limit is for
    /// each attempt.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, Isolation, KeyRange, Read, TxnOptions};
    /// let serializable = TxnOptions::default().isolation(Isolation::Serializable);
    /// let number = store.run_with("main", serializable, CommitOptions::default(), |tx| {
    ///     let number = tx.count(&KeyRange::prefix("order/"))? + 1;
    ///     tx.put(format!("order/{number}"), "three pears")?;
    ///     Ok(number)
    /// })?;
    /// assert_eq!(number, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_with<'s, T>(
        &'s self,
        branch: &str,
        transaction: TxnOptions,
        options: CommitOptions,
        work: impl FnMut(&mut Txn<'s>) -> Result<T>,
    ) -> Result<T> {
        let begin = || self.begin_with(branch, transaction);
        crate::txn::run(begin, &options, work).map(|(out, _)| out)
    }

    /// Starts an import; see [`exchange`](crate::exchange) for what is made of it.
    pub(crate) fn import(&self, what: &str) -> Result<ImportSession<'_>> {
        self.publisher()?.import(what)
    }

    /// Merges the layers that reads of a branch fall through, if there are many. The background does
    /// the same; what is read does not change.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch; else as for a commit.
    pub fn compact_overlays(&self, branch: &str) -> Result<()> {
        let line = LineId::new(self.refs().branch(branch)?.line);
        crate::maintain::compact(self.publisher()?, line)
    }

    /// Closes the store, if this is its last handle; dropping does the same.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if what was written last is not confirmed by the
    /// disk.
    pub fn close(self) -> Result<()> {
        self.sync()
    }

    fn graph(&self) -> &Arc<Graph> {
        &self.inner.graph
    }

    fn refs(&self) -> &Refs {
        &self.inner.refs
    }

    fn engine(&self) -> &Arc<Engine> {
        self.graph().engine()
    }

    fn publisher(&self) -> Result<&Arc<Publisher>> {
        self.inner.publisher.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                .with_hint("open it without `read_only`")
        })
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver {
            graph: self.graph(),
            refs: self.refs(),
            visible: self.latest(),
            now: self.inner.clock.now(),
        }
    }

    fn resolve(&self, rev: &str) -> Result<Place> {
        self.resolver().resolve(rev)
    }
}
