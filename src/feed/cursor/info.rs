//! What is told of a cursor.

use std::ops::Bound;

use super::holder;
use crate::clock::Timestamp;
use crate::format::cursor::CursorRecord;
use crate::id::Seq;
use crate::kv::KeyRange;

/// A cursor of the feed, as [`Store::cursors`](crate::Store::cursors) lists it.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::CursorOptions;
/// let cursor = store.cursor("mirror", CursorOptions::default().owner("ann"))?;
/// let listed = store.cursors()?.remove(0);
/// assert_eq!((listed.name.as_str(), listed.holder.as_deref()), ("mirror", Some("ann")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorInfo {
    /// Its name.
    pub name: String,
    /// Everything up to here is done.
    pub acked: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// The branch that it is about; all for `None`.
    pub branch: Option<String>,
    /// The keys that it is about.
    pub range: KeyRange,
    /// Who holds it at this moment, and so keeps what comes after `acked`.
    pub holder: Option<String>,
    /// Until when, or until when someone did; `None` if the lease was given up.
    pub until: Option<Timestamp>,
}

impl CursorInfo {
    pub(super) fn new(name: String, stored: CursorRecord, now: Timestamp) -> Self {
        Self {
            name,
            acked: Seq::new(stored.acked),
            created: Timestamp::from_millis(stored.created),
            branch: stored.branch.clone(),
            range: range_of(&stored),
            holder: holder(&stored, now).map(|holder| holder.owner.clone()),
            until: stored.holder.map(|holder| Timestamp::from_millis(holder.until)),
        }
    }
}

/// The keys that a cursor is about.
pub(super) fn range_of(stored: &CursorRecord) -> KeyRange {
    let from = match stored.from.is_empty() {
        true => Bound::Unbounded,
        false => Bound::Included(stored.from.clone()),
    };
    KeyRange::new(from, stored.to.clone().map_or(Bound::Unbounded, Bound::Excluded))
}
