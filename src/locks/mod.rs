//! Path locks: advisory, in memory, gone with the process. One process writes a store, so they need
//! no more.
//!
//! | file | what |
//! |---|---|
//! | `path` | what a lock is on |
//! | `tree` | claims by path; the rule of what excludes what is here, and nowhere else |
//! | `state` | who holds and who waits; pure, the time is told to it |
//! | `leases` | the part of it that has to do with time |
//! | `waits` | who waits for whom; cycles are broken |
//! | `table` | the state behind a mutex, waiting, and the supply of fencing numbers |
//! | `session` | what users hold: owners, locks, marks |

mod leases;
mod path;
mod session;
mod state;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod waits;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use path::LockPath;
pub use session::{Lock, LockMark, LockSession};
pub use stats::LockStats;
pub(crate) use table::LockTable;
pub use waits::{Deadlock, DeadlockWait};

use crate::error::{Error, ErrorKind};

/// What of a path is locked.
///
/// Two owners cannot both have a lock on the same path, nor a subtree and anything in it. A point
/// excludes nothing above or below it: a subtree below a held point is granted.
///
/// # Examples
/// ```
/// use withy::LockKind;
/// assert_eq!("subtree".parse::<LockKind>()?, LockKind::Subtree);
/// assert_eq!(LockKind::Point.to_string(), "point");
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// The path alone.
    Point,
    /// The path and everything below it.
    Subtree,
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Point => "point",
            Self::Subtree => "subtree",
        })
    }
}

impl FromStr for LockKind {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "point" => Ok(Self::Point),
            "subtree" => Ok(Self::Subtree),
            _ => Err(Error::new(ErrorKind::Invalid, format!("no kind of lock is called {name:?}"))
                .with_hint("use point or subtree")),
        }
    }
}

/// How long a request waits, and how long the lock lasts. A [`Duration`] alone is a wait.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::{LockKind, LockOptions};
/// let ann = store.lock_session("ann")?;
/// let options = LockOptions::default().wait(Duration::from_secs(1)).lease(Duration::from_secs(30));
/// let lock = ann.lock("/fruit", LockKind::Subtree, options)?;
/// assert!(lock.lease_left().is_some_and(|left| left <= Duration::from_secs(30)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct LockOptions {
    pub(crate) wait: Duration,
    pub(crate) lease: Option<Duration>,
}

impl LockOptions {
    /// How long to wait for other owners; not at all unless told.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long the lock lasts from when it is granted or renewed; until it is released unless told.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }
}

impl From<Duration> for LockOptions {
    fn from(wait: Duration) -> Self {
        Self::default().wait(wait)
    }
}

/// Who holds or wants a lock.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let (ann, ben) = (store.lock_session("ann")?, store.lock_session("ben")?);
/// assert!(ann.owner().age < ben.owner().age);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LockOwner {
    /// Given in order since the store was opened: whoever has the larger one is younger.
    pub age: u64,
    /// The name that it was given.
    pub name: Arc<str>,
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names come from anywhere, and this goes to terminals.
        write!(f, "{} (owner {})", self.name.escape_debug(), self.age)
    }
}

/// A lock that is held, as [`Store::held_locks`](crate::Store::held_locks) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// What it is on.
    pub path: LockPath,
    /// How much of it.
    pub kind: LockKind,
    /// Who holds it.
    pub owner: LockOwner,
    /// Its fencing number.
    pub fence: u64,
    /// How long it has been held.
    pub held_for: Duration,
    /// How long it still lasts unless it is renewed; `None` if it has no lease.
    pub lease_left: Option<Duration>,
}
