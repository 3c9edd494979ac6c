//! What a caller says of a commit, and what comes of it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::kv::Durability;

/// Longest author or name, in bytes.
pub(crate) const MAX_AUTHOR_LEN: usize = 4 << 10;
/// Longest commit message or description, in bytes.
pub(crate) const MAX_MESSAGE_LEN: usize = 1 << 20;

/// Who makes a commit, why, and how durably.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Batch, CommitOptions};
/// let marker = CommitOptions::default().author("ann").message("season starts").allow_empty(true);
/// store.main()?.write(Batch::new(), marker)?;
/// assert_eq!(store.commit("main")?.message, "season starts");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CommitOptions {
    pub(crate) author: Option<String>,
    pub(crate) message: String,
    pub(crate) durability: Option<Durability>,
    pub(crate) allow_empty: bool,
    pub(crate) gates: Gates,
}

/// Checked under the commit lock; what it gives is kept until the commit is visible.
type Gate = Arc<dyn Fn() -> Result<Box<dyn Any + Send>> + Send + Sync>;

/// What must let a commit through.
#[derive(Clone, Default)]
pub(crate) struct Gates(Vec<Gate>);

impl Gates {
    /// Asks all of them, under the commit lock. The answers are kept until the commit is visible: what
    /// they stand for does not change before.
    pub(crate) fn pass(&self) -> Result<Vec<Box<dyn Any + Send>>> {
        self.0.iter().map(|gate| gate()).collect()
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gates", self.0.len())
    }
}

impl CommitOptions {
    /// Who makes it; the store's author unless told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// What it is for; empty unless told.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// What it survives; as the store unless told.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Whether a commit is made even if nothing changes.
    pub fn allow_empty(mut self, allow: bool) -> Self {
        self.allow_empty = allow;
        self
    }

    /// Makes the commit depend on a check of its own.
    pub(crate) fn gate(mut self, gate: Gate) -> Self {
        self.gates.0.push(gate);
        self
    }
}

/// Refuses an author or message over its limit.
pub(crate) fn check_text(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.len() <= limit {
        return Ok(());
    }
    let len = text.len();
    Err(Error::new(
        ErrorKind::Limit,
        format!("{what} of {len} bytes is over the limit of {limit} bytes"),
    ))
}

/// What came of a commit.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Committed, Seq};
/// let main = store.main()?;
/// assert_eq!(main.put("pear", "green")?, Committed::At(Seq::new(1)));
/// assert_eq!(main.put("pear", "green")?, Committed::Unchanged);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is the commit with this sequence.
    At(Seq),
    /// Nothing would have changed, so nothing was written.
    Unchanged,
}

impl Committed {
    /// The commit's sequence, if one was made.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        match self {
            Self::At(seq) => Some(seq),
            Self::Unchanged => None,
        }
    }
}
