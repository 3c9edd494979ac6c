//! Keys, values, ranges and batches: what callers hand in, checked at the border.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;

/// Longest key, in bytes. The shortest has one byte.
pub const MAX_KEY_LEN: usize = 65_536;
/// Longest value, in bytes. The shortest has none.
pub const MAX_VALUE_LEN: usize = 1 << 30;
/// Longest payload of a message, and longest input of a saga, in bytes.
pub const MAX_PAYLOAD_LEN: usize = 16 << 20;

/// Refuses a key that no store can hold.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    match key.len() {
        0 => Err(Error::new(ErrorKind::Limit, "key is empty, the shortest has 1 byte")),
        1..=MAX_KEY_LEN => Ok(()),
        len => Err(Error::new(
            ErrorKind::Limit,
            format!("key of {len} bytes is over the limit of {MAX_KEY_LEN} bytes"),
        )),
    }
}

/// Refuses a value that no store can hold.
pub(crate) fn check_value(value: &[u8]) -> Result<()> {
    match value.len() {
        0..=MAX_VALUE_LEN => Ok(()),
        len => Err(Error::new(
            ErrorKind::Limit,
            format!("value of {len} bytes is over the limit of {MAX_VALUE_LEN} bytes"),
        )),
    }
}

/// Refuses a payload that is too long; `what` says whose.
pub(crate) fn check_payload(what: &str, payload: &[u8]) -> Result<()> {
    match payload.len() {
        0..=MAX_PAYLOAD_LEN => Ok(()),
        len => Err(Error::new(
            ErrorKind::Limit,
            format!("{what} of {len} bytes is over the limit of {MAX_PAYLOAD_LEN} bytes"),
        )),
    }
}

/// A key as text for messages: printable, cut short where it is long.
pub(crate) fn show_key(key: &[u8]) -> Cow<'static, str> {
    const SHOWN: usize = 64;
    let text: String = key
        .iter()
        .take(SHOWN)
        .copied()
        .flat_map(std::ascii::escape_default)
        .map(char::from)
        .collect();
    if key.len() > SHOWN { format!("{text}... ({} bytes)", key.len()).into() } else { text.into() }
}

/// Which way a scan runs.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Direction, KeyRange, Read};
/// let main = store.main()?;
/// main.put("a", "1")?;
/// main.put("b", "2")?;
/// let last = main.scan(&KeyRange::all(), Direction::Backward)?.next().expect("two rows")?;
/// assert_eq!(last.0, b"b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the smallest key to the largest.
    #[default]
    Forward,
    /// From the largest key to the smallest.
    Backward,
}

/// What happened to a key between two states.
///
/// # Examples
/// ```
/// assert_eq!(withy::ChangeKind::Added.to_string(), "added");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Absent before, present after.
    Added,
    /// Present in both, with different values.
    Modified,
    /// Present before, absent after.
    Deleted,
}

impl ChangeKind {
    /// The kind, from presence before and after; `None` if absent in both.
    pub(crate) fn of(before: bool, after: bool) -> Option<Self> {
        match (before, after) {
            (false, true) => Some(Self::Added),
            (true, true) => Some(Self::Modified),
            (true, false) => Some(Self::Deleted),
            (false, false) => None,
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        })
    }
}

/// A range of keys, by bytes.
///
/// # Examples
/// ```
/// use withy::KeyRange;
/// let fruit = KeyRange::prefix("fruit/");
/// assert!(fruit.contains(b"fruit/pear"));
/// assert!(!fruit.contains(b"fruits"));
/// assert!(KeyRange::all().contains(b"anything"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    lo: Bound<Vec<u8>>,
    hi: Bound<Vec<u8>>,
}

impl Default for KeyRange {
    fn default() -> Self {
        Self::all()
    }
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub const fn all() -> Self {
        Self { lo: Bound::Unbounded, hi: Bound::Unbounded }
    }

    /// The keys between two bounds; empty if they cross.
    #[must_use]
    pub const fn new(lo: Bound<Vec<u8>>, hi: Bound<Vec<u8>>) -> Self {
        Self { lo, hi }
    }

    /// The keys that start with these bytes; every key for none.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        if prefix.is_empty() {
            return Self::all();
        }
        let hi = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self { lo: Bound::Included(prefix.to_vec()), hi }
    }

    /// One key.
    #[must_use]
    pub fn key(key: impl Into<Vec<u8>>) -> Self {
        let key = key.into();
        Self { lo: Bound::Included(key.clone()), hi: Bound::Included(key) }
    }

    /// Whether the key is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        let above = match &self.lo {
            Bound::Included(lo) => key >= lo.as_slice(),
            Bound::Excluded(lo) => key > lo.as_slice(),
            Bound::Unbounded => true,
        };
        let below = match &self.hi {
            Bound::Included(hi) => key <= hi.as_slice(),
            Bound::Excluded(hi) => key < hi.as_slice(),
            Bound::Unbounded => true,
        };
        above && below
    }

    /// The lower bound.
    #[must_use]
    pub fn lower(&self) -> Bound<&[u8]> {
        self.lo.as_ref().map(Vec::as_slice)
    }

    /// The upper bound.
    #[must_use]
    pub fn upper(&self) -> Bound<&[u8]> {
        self.hi.as_ref().map(Vec::as_slice)
    }

    /// Whether any key in the range may start with these bytes.
    pub(crate) fn meets_prefix(&self, prefix: &[u8]) -> bool {
        let both = self.intersect(&Self::prefix(prefix));
        both.end().is_none_or(|end| both.start() < end)
    }

    /// Whether every key in the range starts with these bytes.
    pub(crate) fn is_within_prefix(&self, prefix: &[u8]) -> bool {
        let above = self.start().starts_with(prefix);
        above && after_prefix(prefix).is_none_or(|after| self.end().is_some_and(|end| end <= after))
    }

    /// Whether this is every key.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!((&self.lo, &self.hi), (Bound::Unbounded, Bound::Unbounded))
    }

    /// The keys in both ranges.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let lo = match (self.start(), other.start()) {
            (a, b) if a >= b => self.lo.clone(),
            _ => other.lo.clone(),
        };
        let hi = match (self.end(), other.end()) {
            (None, _) => other.hi.clone(),
            (_, None) => self.hi.clone(),
            (Some(a), Some(b)) => {
                if a <= b {
                    self.hi.clone()
                } else {
                    other.hi.clone()
                }
            }
        };
        Self { lo, hi }
    }

    /// The smallest byte string that can be in the range.
    pub(crate) fn start(&self) -> Vec<u8> {
        match &self.lo {
            Bound::Included(lo) => lo.clone(),
            Bound::Excluded(lo) => successor(lo),
            Bound::Unbounded => Vec::new(),
        }
    }

    /// The smallest byte string above the range; `None` if there is none.
    pub(crate) fn end(&self) -> Option<Vec<u8>> {
        match &self.hi {
            Bound::Included(hi) => Some(successor(hi)),
            Bound::Excluded(hi) => Some(hi.clone()),
            Bound::Unbounded => None,
        }
    }
}

/// The next byte string after this one.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// The smallest byte string above all that start with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|&b| b != 0xFF)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

/// What a conditional write expects to find; see [`Batch::put_if`].
///
/// # Examples
/// ```
/// use withy::{Batch, CommitOptions, ErrorKind, Expect};
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// let mut batch = Batch::new();
/// batch.put_if("pear", "yellow", Expect::Absent);
/// let missed = main.write(batch, CommitOptions::default()).expect_err("pear is there");
/// assert_eq!(missed.kind(), ErrorKind::Precondition);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Expect {
    /// Anything.
    #[default]
    Any,
    /// The key is absent.
    Absent,
    /// The key is present, with any value.
    Present,
    /// The key was last changed, deletion included, by the commit with this sequence.
    Seq(Seq),
    /// The key is present with this value.
    Value(Vec<u8>),
}

/// One write of a [`Batch`]: a value, or none for a deletion, and what must hold before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    pub(crate) value: Option<Vec<u8>>,
    /// All of them must hold.
    pub(crate) expects: Vec<Expect>,
}

/// Changes that become one commit. The last write to a key wins; every condition counts, each on what
/// is there before the batch.
///
/// # Examples
/// ```
/// use withy::{Batch, CommitOptions, Read};
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let main = store.main()?;
/// let mut batch = Batch::new();
/// batch.put("pear", "green").put("plum", "blue").delete("apple");
/// main.write(batch, CommitOptions::default().message("fruit"))?;
/// assert_eq!(main.get(b"plum")?.as_deref(), Some(&b"blue"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    writes: BTreeMap<Vec<u8>, Write>,
}

impl Batch {
    /// A batch without writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.add(key.into(), Some(value.into()), Expect::Any)
    }

    /// Deletes a key; nothing happens if it is absent.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.add(key.into(), None, Expect::Any)
    }

    /// Sets a key if the expectation holds at the head; else nothing of the batch is written.
    pub fn put_if(
        &mut self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
        expect: Expect,
    ) -> &mut Self {
        self.add(key.into(), Some(value.into()), expect)
    }

    /// Deletes a key if the expectation holds at the head; else nothing of the batch is written.
    pub fn delete_if(&mut self, key: impl Into<Vec<u8>>, expect: Expect) -> &mut Self {
        self.add(key.into(), None, expect)
    }

    /// The number of keys it writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    fn add(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, expect: Expect) -> &mut Self {
        let write = self.writes.entry(key).or_default();
        write.value = value;
        if expect != Expect::Any {
            write.expects.push(expect);
        }
        self
    }

    /// The writes, by key, once keys and values are within the limits.
    pub(crate) fn into_checked(self) -> Result<BTreeMap<Vec<u8>, Write>> {
        for (key, write) in &self.writes {
            check_key(key)?;
            write.value.as_deref().map_or(Ok(()), check_value)?;
        }
        Ok(self.writes)
    }
}

/// How much a commit survives once the call has returned.
///
/// | level | crash of the process | power loss |
/// |---|---|---|
/// | `Sync` | nothing is lost | nothing is lost |
/// | `Buffered` | nothing is lost | the newest commits may be; what is left is a prefix |
///
/// # Examples
/// ```
/// use withy::{CommitOptions, Durability};
/// let quick = CommitOptions::default().durability(Durability::Buffered);
/// # drop(quick);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// On disk before the call returns; commits that wait together share one sync.
    #[default]
    Sync,
    /// Handed to the operating system before the call returns.
    Buffered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kv_1_limits_are_exact() {
        assert!(check_key(&[]).is_err(), "no empty key");
        assert!(check_key(&[0]).is_ok(), "one byte is enough");
        assert!(check_key(&vec![0; MAX_KEY_LEN]).is_ok(), "the limit itself is allowed");
        let over = check_key(&vec![0; MAX_KEY_LEN + 1]).expect_err("one more is refused");
        assert_eq!(over.to_string(), "key of 65537 bytes is over the limit of 65536 bytes");
        assert_eq!(over.kind(), ErrorKind::Limit, "a limit has its own kind");
    }

    #[test]
    fn a_prefix_of_ff_bytes_has_no_end() {
        assert_eq!(after_prefix(&[1, 0xFF, 0xFF]), Some(vec![2]), "the last byte below FF grows");
        assert_eq!(after_prefix(&[0xFF, 0xFF]), None, "nothing is above");
        assert!(KeyRange::prefix([0xFF]).contains(&[0xFF, 0xFF, 3]), "the range is open above");
    }

    #[test]
    fn intersection_keeps_keys_of_both_ranges() {
        let bounds =
            |b: &[u8]| [Bound::Unbounded, Bound::Included(b.to_vec()), Bound::Excluded(b.to_vec())];
        let keys: [&[u8]; 5] = [b"a", b"b", b"b\0", b"c", b"d"];
        let ranges: Vec<_> = [&b"b"[..], b"c"]
            .iter()
            .flat_map(|lo| bounds(lo))
            .flat_map(|lo| {
                [&b"b"[..], b"c"]
                    .iter()
                    .flat_map(|hi| bounds(hi))
                    .map(move |hi| KeyRange::new(lo.clone(), hi))
                    .collect::<Vec<_>>()
            })
            .collect();
        for (a, b) in ranges.iter().flat_map(|a| ranges.iter().map(move |b| (a, b))) {
            let both = a.intersect(b);
            for key in keys {
                assert_eq!(
                    both.contains(key),
                    a.contains(key) && b.contains(key),
                    "{a:?} {b:?} {key:?}"
                );
            }
        }
    }
}
