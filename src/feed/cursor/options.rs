//! How a cursor is made and opened.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::CursorRecord;
use crate::id::Seq;
use crate::kv::KeyRange;

/// How a cursor is made, if it is not there, and opened.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{CursorOptions, KeyRange, Seq};
/// store.main()?.put("fruit/pear", "green")?;
/// store.main()?.put("tree/oak", "old")?;
/// let options = CursorOptions::default().after(Seq::ROOT).range(KeyRange::prefix("tree/"));
/// let mut trees = store.cursor("trees", options)?;
/// assert_eq!(trees.next_batch(10)?[0].commit.seq, Seq::new(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CursorOptions {
    pub(super) after: Option<Seq>,
    pub(super) owner: Option<String>,
    lease: Duration,
    pub(super) branch: Option<String>,
    pub(super) range: Option<KeyRange>,
    pub(super) names_only: bool,
}

impl Default for CursorOptions {
    fn default() -> Self {
        Self {
            after: None,
            owner: None,
            lease: Duration::from_secs(60),
            branch: None,
            range: None,
            names_only: false,
        }
    }
}

impl CursorOptions {
    /// Where a new cursor starts: after this commit; after the newest one unless told. One that is there
    /// already goes on where it was.
    pub fn after(mut self, seq: Seq) -> Self {
        self.after = Some(seq);
        self
    }

    /// Who reads; a name that no other handle has unless told. The same owner takes its own lease again
    /// at once, and its earlier handle has lost it then.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// How long the lease lasts when it is taken or renewed; a minute unless told.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Only commits made on the branch that had this name at the time; all unless told when the cursor
    /// is made. It cannot be changed.
    pub fn branch(mut self, name: impl Into<String>) -> Self {
        self.branch = Some(name.into());
        self
    }

    /// Only changes of keys in this range, and only commits with such changes; all unless told when the
    /// cursor is made. It cannot be changed.
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Whether values are left out, and not read.
    pub fn names_only(mut self, names_only: bool) -> Self {
        self.names_only = names_only;
        self
    }

    /// The length of the lease, in milliseconds.
    pub(super) fn lease_millis(&self) -> Result<i64> {
        match i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX) {
            0 => Err(Error::new(ErrorKind::Invalid, "a lease of no length holds nothing")),
            millis => Ok(millis),
        }
    }

    /// Refuses a choice that the cursor was not made with.
    pub(super) fn check_filter(&self, name: &str, stored: &CursorRecord) -> Result<()> {
        let refused = |what: &str| {
            let text = format!("cursor {name} was made for {what}");
            Err(Error::new(ErrorKind::Invalid, text)
                .with_hint("leave the choice out, or make a cursor of another name"))
        };
        if self.branch.is_some() && self.branch != stored.branch {
            return match &stored.branch {
                Some(branch) => refused(&format!("branch {branch}")),
                None => refused("all branches"),
            };
        }
        match &self.range {
            Some(range) if range.start() != stored.from || range.end() != stored.to => {
                refused("another range of keys")
            }
            _ => Ok(()),
        }
    }
}
