//! How a transaction sees the others, and what it may take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::publish::Limits;

/// What a transaction sees of others, and what it fails for.
///
/// `docs/isolation.md` has a table of every anomaly at every level.
///
/// # Examples
/// ```
/// use withy::Isolation;
/// assert_eq!("serializable".parse::<Isolation>()?, Isolation::Serializable);
/// assert_eq!(Isolation::default().to_string(), "snapshot");
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// `read-committed`: each read sees the newest committed state. Writes never conflict, the last
    /// one to commit wins; keys that were read for update must be as they were.
    ReadCommitted,
    /// `snapshot`: every read sees the branch as it was when the transaction began. What it writes must
    /// not have been changed since by others: the first one to commit wins.
    #[default]
    Snapshot,
    /// `serializable`: a snapshot, and what it has read must not have been changed either, ranges
    /// included, if it writes anything. Transactions that all run at this level have the effect of
    /// running one after the other, in the order of their commits.
    Serializable,
}

impl Isolation {
    /// All levels, the weakest first.
    pub const ALL: [Self; 3] = [Self::ReadCommitted, Self::Snapshot, Self::Serializable];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read-committed",
            Self::Snapshot => "snapshot",
            Self::Serializable => "serializable",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|level| level.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|level| level.name()).collect();
            Error::new(ErrorKind::Invalid, format!("no isolation level {name:?}"))
                .with_hint(format!("the levels are {}", known.join(", ")))
        })
    }
}

/// How a transaction runs. Limits that are not given are those of the store's settings, and where
/// there are none, there is no limit.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{ErrorKind, Isolation, Read, TxnOptions};
/// let options = TxnOptions::default().isolation(Isolation::Serializable).max_operations(1);
/// let mut tx = store.begin_with("main", options)?;
/// tx.put("pear", "green")?;
/// assert_eq!(tx.put("plum", "blue").expect_err("one too many").kind(), ErrorKind::Limit);
/// assert!(tx.contains(b"pear")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct TxnOptions {
    pub(crate) isolation: Isolation,
    max_operations: Option<u64>,
    max_bytes: Option<u64>,
    timeout: Option<Duration>,
}

impl TxnOptions {
    /// What it sees of others; a snapshot unless told.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// At most this many puts and deletions. Those that were rolled back do not count.
    pub fn max_operations(mut self, operations: u64) -> Self {
        self.max_operations = Some(operations);
        self
    }

    /// At most this many bytes of keys and values that wait for the commit or to be put back by a
    /// savepoint, of messages, and of keys that a serializable transaction has read. The stored values
    /// that its writes replace are kept too, and do not count.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// It must come to its commit within this time: reads, writes, messages, locks and the commit are
    /// refused after that. Waiting for the commits of others does not count.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// What holds for a transaction in a store with these limits.
    pub(super) fn limits(&self, store: Limits) -> Limits {
        Limits {
            active: store.active,
            operations: self.max_operations.or(store.operations),
            bytes: self.max_bytes.or(store.bytes),
            time: self.timeout.or(store.time),
        }
    }
}

/// What a transaction has taken of what it may.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) operations: u64,
    pub(super) bytes: u64,
}

impl Used {
    /// Refuses if this is more than the limits allow.
    pub(super) fn check(self, limits: &Limits) -> Result<(), Error> {
        if let Some(limit) = limits.operations.filter(|limit| self.operations > *limit) {
            return Err(over(format!(
                "the limit of {limit} operations of a transaction is reached"
            )));
        }
        if let Some(limit) = limits.bytes.filter(|limit| self.bytes > *limit) {
            return Err(over(format!("the limit of {limit} bytes of a transaction is reached")));
        }
        Ok(())
    }
}

/// Refuses once a transaction has gone on for longer than it may.
pub(super) fn check_time(elapsed: Duration, limits: &Limits) -> Result<(), Error> {
    match limits.time.filter(|limit| elapsed > *limit) {
        None => Ok(()),
        Some(limit) => {
            let millis = limit.as_millis();
            Err(over(format!("the transaction has gone on for more than its {millis} ms"))
                .with_hint("nothing of it was written; run it again, or raise the limit"))
        }
    }
}

fn over(text: String) -> Error {
    Error::new(ErrorKind::Limit, text)
        .with_hint("what it did before stands; commit it, roll it back, or raise the limit")
}
