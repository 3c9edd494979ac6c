//! What a coordinator asks of those who take part.

use std::fmt;

use crate::error::{Error, Result};

/// One side of a transaction over several stores, or over whatever else can promise to commit.
///
/// A participant is asked to [`prepare`](Self::prepare), and later told to [`commit`](Self::commit) or to
/// [`abort`](Self::abort); each may come again after a crash, on either side, and must then do no harm.
/// What counts is not what these calls return, but what [`standing`](Self::standing) says afterwards: it
/// must be read from what survives a crash.
///
/// | told to | while it stands at | does | and then stands at |
/// |---|---|---|---|
/// | prepare | nothing | makes everything durable, holds it | `Prepared`; or nothing, if it says no |
/// | prepare | anything else | refuses | the same |
/// | commit | `Prepared` | commits | `Committed` |
/// | commit | `Committed` | nothing | `Committed` |
/// | commit | nothing, `Aborted` | fails | the same |
/// | abort | `Prepared` | drops it all | `Aborted` |
/// | abort | nothing | makes sure that a late prepare is refused | `Aborted` |
/// | abort | `Aborted` | nothing | `Aborted` |
/// | abort | `Committed` | fails | the same |
/// | forget | `Committed`, `Aborted`, nothing | forgets it | nothing |
/// | forget | `Prepared` | fails | the same |
///
/// # Examples
/// See [`Coordinator`](crate::Coordinator).
pub trait Participant: Send + Sync {
    /// Its name: what the coordinator's log knows it by, in later processes too.
    fn name(&self) -> &str;

    /// Does its share of the work of a transaction, durably, so that it can be committed or aborted
    /// whatever happens, and holds it until told.
    ///
    /// # Errors
    /// Whatever keeps it from answering. The coordinator takes it for a no, and has it aborted.
    fn prepare(&self, gid: &str) -> Result<Vote>;

    /// Commits what is prepared.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it neither holds the transaction nor remembers it.
    fn commit(&self, gid: &str) -> Result<()>;

    /// Drops what is prepared, and refuses to prepare it from now on.
    ///
    /// # Errors
    /// Whatever keeps it from that.
    fn abort(&self, gid: &str) -> Result<()>;

    /// How a transaction stands here; `None` if it is not known.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    fn standing(&self, gid: &str) -> Result<Option<Standing>>;

    /// Forgets what became of a transaction; nothing if it is not known. Called once all participants
    /// have done what was decided.
    ///
    /// # Errors
    /// Whatever keeps it from that. The coordinator asks again when it recovers.
    fn forget(&self, gid: &str) -> Result<()>;

    /// Everything it holds or remembers, of any coordinator.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    fn holds(&self) -> Result<Vec<(String, Standing)>>;
}

/// How a transaction stands at a participant.
///
/// # Examples
/// ```
/// assert_eq!(withy::Standing::Prepared.to_string(), "prepared");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It is durable and held, and can go either way.
    Prepared,
    /// It was committed, and that is remembered.
    Committed,
    /// It was aborted, and that is remembered.
    Aborted,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Prepared => "prepared",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        })
    }
}

/// A participant's answer when it is asked to prepare.
///
/// # Examples
/// ```
/// use withy::{Error, ErrorKind, Vote};
/// let no = Vote::No(Error::new(ErrorKind::Precondition, "the account is closed"));
/// assert!(!no.is_yes());
/// ```
#[derive(Debug)]
#[must_use]
pub enum Vote {
    /// It will commit, whatever happens, if it is told to.
    Yes,
    /// It has kept nothing, for this reason.
    No(Error),
}

impl Vote {
    /// Whether it has promised to commit.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }
}
