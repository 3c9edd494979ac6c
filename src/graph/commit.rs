//! A commit, as the public sees it.

use crate::clock::{Timestamp, ZonedTime};
use crate::format::commit::{Header, OriginRecord};
use crate::id::{CommitId, Fingerprint, Seq, ValueHash};
use crate::kv::ChangeKind;

/// A parent of a commit.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// assert_eq!(store.commit("main")?.parents[0].seq, withy::Seq::ROOT);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitRef {
    /// The parent's sequence.
    pub seq: Seq,
    /// The parent's id.
    pub id: CommitId,
}

/// Where an imported commit came from: what its history said of people and times.
///
/// # Examples
/// ```
/// use withy::{Origin, ZonedTime};
/// let when = ZonedTime { seconds: 1_000_000_000, offset_minutes: 0 };
/// let origin = Origin { authored: when, committer: "Ann <ann@example.org>".into(), committed: when };
/// assert_eq!(origin.authored.to_string(), "2001-09-09T01:46:40Z");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the author made the change.
    pub authored: ZonedTime,
    /// Who committed it.
    pub committer: String,
    /// When it was committed.
    pub committed: ZonedTime,
}

impl From<Origin> for OriginRecord {
    fn from(origin: Origin) -> Self {
        let pair = |time: ZonedTime| (time.seconds, time.offset_minutes);
        Self {
            authored: pair(origin.authored),
            committer: origin.committer,
            committed: pair(origin.committed),
        }
    }
}

/// One atomic set of changes, with all that is known of it but the changes themselves.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Batch, CommitOptions};
/// let mut batch = Batch::new();
/// batch.put("pear", "green");
/// store.main()?.write(batch, CommitOptions::default().author("ann").message("first pear"))?;
/// let commit = store.commit("main")?;
/// assert_eq!((commit.author.as_str(), commit.message.as_str()), ("ann", "first pear"));
/// assert_eq!((commit.changes, commit.keys), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Its position in the store.
    pub seq: Seq,
    /// BLAKE3 over its canonical form.
    pub id: CommitId,
    /// The commits before it; the first is the one before it on its branch. None for the root.
    pub parents: Vec<CommitRef>,
    /// Name of the branch it was made on, at that time; empty for the root.
    pub branch: String,
    /// Who made it.
    pub author: String,
    /// What they said of it; may be empty.
    pub message: String,
    /// When it was stored; never earlier than that of a commit with a lower sequence.
    pub time: Timestamp,
    /// For imported commits, what their history said of times.
    pub origin: Option<Origin>,
    /// How many keys it lists as changed.
    pub changes: u64,
    /// How many keys are visible at it.
    pub keys: u64,
    /// Fingerprint of all key-value pairs visible at it.
    pub fingerprint: Fingerprint,
}

impl Commit {
    pub(crate) fn new(seq: Seq, header: Header) -> Self {
        let zoned = |(seconds, offset_minutes)| ZonedTime { seconds, offset_minutes };
        Self {
            seq,
            id: header.commit_id(),
            fingerprint: header.content(),
            parents: header
                .parents
                .iter()
                .map(|p| CommitRef { seq: Seq::new(p.seq), id: CommitId::from_bytes(p.id) })
                .collect(),
            branch: header.branch,
            author: header.author,
            message: header.message,
            time: Timestamp::from_millis(header.time),
            origin: header.origin.map(|o| Origin {
                authored: zoned(o.authored),
                committer: o.committer,
                committed: zoned(o.committed),
            }),
            changes: header.changes,
            keys: header.keys,
        }
    }

    /// When its author made it: for imported commits what their history says, else [`time`](Self::time).
    #[must_use]
    pub fn when(&self) -> Timestamp {
        match &self.origin {
            Some(origin) => Timestamp::from_millis(origin.authored.seconds.saturating_mul(1000)),
            None => self.time,
        }
    }
}

/// One change of a commit, without values.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{ChangeKind, Seq, ValueHash};
/// store.main()?.put("pear", "green")?;
/// let change = &store.changes(Seq::new(1))?[0];
/// assert_eq!((change.key.as_slice(), change.kind), (&b"pear"[..], ChangeKind::Added));
/// assert_eq!(change.after, Some(ValueHash::of(b"green")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitChange {
    /// The key.
    pub key: Vec<u8>,
    /// What the commit did to it.
    pub kind: ChangeKind,
    /// Hash of its value before.
    pub before: Option<ValueHash>,
    /// Hash of its value after.
    pub after: Option<ValueHash>,
}
