//! How a purge is asked for, and what is kept of it.

use crate::clock::Timestamp;
use crate::format::refs::PurgeRecord;
use crate::id::Seq;
use crate::kv::KeyRange;
use crate::progress::{Meter, takes_progress};

/// Who purges, and why.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{KeyRange, PurgeOptions};
/// let options = PurgeOptions::default().author("ann").reason("customer 7 has left");
/// let done = store.purge(&KeyRange::prefix("customer/7/"), options)?;
/// assert_eq!((done.author.as_str(), done.versions), ("ann", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct PurgeOptions<'a> {
    pub(super) author: Option<String>,
    pub(super) reason: String,
    pub(super) meter: Meter<'a>,
}

impl<'a> PurgeOptions<'a> {
    /// Who does it; the store's author unless told.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// Why; it is kept in the audit record and in the messages of the commits that delete keys.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

takes_progress!(PurgeOptions: "If it has begun by then, the next purge or the next open finishes it.");

/// The audit record of a purge.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{KeyRange, PurgeOptions, Read};
/// let main = store.main()?;
/// main.put("secret", "swordfish")?;
/// let done = store.purge(&KeyRange::key("secret"), PurgeOptions::default())?;
/// assert_eq!((done.versions, done.commits.len()), (1, 1));
/// assert_eq!(store.view("main~1")?.get(b"secret")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeReport {
    /// Purges of a store are counted from 1.
    pub number: u64,
    /// Whose values were removed.
    pub range: KeyRange,
    /// The newest commit whose values were removed: what was put later stays.
    pub upto: Seq,
    /// When it began.
    pub time: Timestamp,
    /// Who did it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The commits that deleted keys of the range from branches.
    pub commits: Vec<Seq>,
    /// Stored versions whose values were removed.
    pub versions: u64,
    /// Large values among what was removed, each once.
    pub values: u64,
    /// Whether it has come to its end.
    pub is_done: bool,
}

impl PurgeReport {
    pub(super) fn new(number: u64, stored: PurgeRecord) -> Self {
        Self {
            number,
            range: stored.range(),
            upto: Seq::new(stored.upto),
            time: Timestamp::from_millis(stored.time),
            author: stored.author,
            reason: stored.reason,
            commits: stored.commits.into_iter().map(Seq::new).collect(),
            versions: stored.versions,
            values: stored.values,
            is_done: stored.done,
        }
    }
}
