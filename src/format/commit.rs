//! Records of family `log`: the commit header and its changes, and the id that covers both.

use bincode::{Decode, Encode};

use super::{Corrupt, Cursor, record};
use crate::id::{CommitId, Fingerprint, Seq, ValueHash};

/// A part of a commit's record holds about this many bytes of changes.
pub(crate) const PART_BYTES: usize = 128 << 10;

/// A parent of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ParentRecord {
    pub(crate) line: u64,
    pub(crate) seq: u64,
    pub(crate) id: [u8; 32],
}

/// Where an imported commit came from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OriginRecord {
    pub(crate) authored: (i64, i16),
    pub(crate) committer: String,
    pub(crate) committed: (i64, i16),
}

/// Where the changes of a commit are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ChangesAt {
    /// Behind the header, and in this many further parts.
    Here { further: u32 },
    /// In this many parts under the line that a bulk load made.
    Bulk { parts: u32 },
    /// As one of the others say, in this many parts; and how the merge that made the commit came
    /// about is in as many parts of its own, which hash to this.
    Merge { bulk: bool, parts: u32, details: u32, hash: [u8; 32] },
}

impl ChangesAt {
    /// Whether the changes are those of a bulk load, and the number of their parts: further ones, or
    /// all of a bulk load.
    pub(crate) fn parts(self) -> (bool, u32) {
        match self {
            Self::Here { further } => (false, further),
            Self::Bulk { parts } => (true, parts),
            Self::Merge { bulk, parts, .. } => (bulk, parts),
        }
    }

    /// The number and the hash of the parts that say how a merge came about.
    pub(crate) fn details(self) -> Option<(u32, [u8; 32])> {
        match self {
            Self::Here { .. } | Self::Bulk { .. } => None,
            Self::Merge { details, hash, .. } => Some((details, hash)),
        }
    }

    /// The same, with the details of a merge.
    pub(crate) fn with_details(self, details: u32, hash: [u8; 32]) -> Self {
        let (bulk, parts) = self.parts();
        Self::Merge { bulk, parts, details, hash }
    }
}

/// What a commit says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Header {
    pub(crate) id: [u8; 32],
    pub(crate) line: u64,
    pub(crate) parents: Vec<ParentRecord>,
    pub(crate) time: i64,
    pub(crate) author: String,
    pub(crate) message: String,
    pub(crate) branch: String,
    pub(crate) origin: Option<OriginRecord>,
    /// Part of a larger operation, so not a step of `undo` of its own.
    pub(crate) grouped: bool,
    pub(crate) fingerprint: [u8; 32],
    /// Keys visible at this commit.
    pub(crate) keys: u64,
    /// Rows of this line in family `head`, deletions included.
    pub(crate) rows: u64,
    pub(crate) changes: u64,
    pub(crate) changes_at: ChangesAt,
}

impl Header {
    pub(crate) fn commit_id(&self) -> CommitId {
        CommitId::from_bytes(self.id)
    }

    pub(crate) fn content(&self) -> Fingerprint {
        Fingerprint::from_bytes(self.fingerprint)
    }
}

/// One change of a commit: hashes, not values.
///
/// A key that a merge decided against a further parent, though nothing changed against the first
/// one, is listed with equal hashes and `decided` set.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<[u8; 32]>,
    pub(crate) after: Option<[u8; 32]>,
    pub(crate) decided: bool,
}

impl Change {
    pub(crate) fn before(&self) -> Option<ValueHash> {
        self.before.map(ValueHash::from_bytes)
    }

    pub(crate) fn after(&self) -> Option<ValueHash> {
        self.after.map(ValueHash::from_bytes)
    }
}

/// The changes of a commit as they are stored, cut into parts.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
    count: u64,
}

impl Parts {
    pub(crate) fn push(
        &mut self,
        key: &[u8],
        before: Option<ValueHash>,
        after: Option<ValueHash>,
        decided: bool,
    ) {
        // One allocation for a small commit, instead of one for each field that does not fit any more.
        self.open.reserve(key.len() + 80);
        // The encoding of `Change`, without copying the key.
        let raw = |h: Option<ValueHash>| h.map(|h| *h.as_bytes());
        record::append(&(key, raw(before), raw(after), decided), &mut self.open);
        self.count += 1;
        if self.open.len() >= PART_BYTES {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The parts that are full; the rest follows from [`finish`](Self::finish).
    pub(crate) fn take_done(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.done)
    }

    /// All parts, at least one.
    pub(crate) fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.open.is_empty() || self.done.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

/// Hashes the canonical form of a commit: the stored changes, then header fields in a fixed order.
#[derive(Default)]
pub(crate) struct IdHasher {
    /// What there is of a short record, to be hashed in one call.
    short: Vec<u8>,
    long: Option<Box<blake3::Hasher>>,
}

impl IdHasher {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes the changes, part by part.
    pub(crate) fn part(&mut self, part: &[u8]) {
        const SHORT: usize = 1 << 10;
        match &mut self.long {
            Some(hasher) => {
                hasher.update(part);
            }
            None if self.short.len() + part.len() <= SHORT => {
                self.short.reserve(part.len() + 320);
                self.short.extend_from_slice(part);
            }
            None => {
                let hasher = self.long.insert(Box::default());
                hasher.update(&self.short).update(part);
                self.short.clear();
            }
        }
    }

    /// Ends with all of the header but the id, the line, the branch and where the changes are.
    pub(crate) fn finish(mut self, seq: Seq, header: &Header) -> CommitId {
        let start = self.short.len();
        self.short.reserve(256);
        let tail = &mut self.short;
        tail.extend_from_slice(&seq.get().to_be_bytes());
        tail.extend_from_slice(&(header.parents.len() as u64).to_be_bytes());
        header.parents.iter().for_each(|p| tail.extend_from_slice(&p.id));
        tail.extend_from_slice(&header.time.to_be_bytes());
        let text = |out: &mut Vec<u8>, t: &str| {
            out.extend_from_slice(&(t.len() as u64).to_be_bytes());
            out.extend_from_slice(t.as_bytes());
        };
        text(tail, &header.author);
        text(tail, &header.message);
        match &header.origin {
            None => tail.push(0),
            Some(o) => {
                tail.push(1);
                text(tail, &o.committer);
                for (seconds, offset) in [o.authored, o.committed] {
                    tail.extend_from_slice(&seconds.to_be_bytes());
                    tail.extend_from_slice(&offset.to_be_bytes());
                }
            }
        }
        tail.extend_from_slice(&header.fingerprint);
        tail.extend_from_slice(&header.keys.to_be_bytes());
        tail.extend_from_slice(&header.changes.to_be_bytes());
        if let Some((_, hash)) = header.changes_at.details() {
            tail.extend_from_slice(b"merge");
            tail.extend_from_slice(&hash);
        }
        // The length comes last, so where the changes end and the header starts is never in doubt.
        let len = (tail.len() - start) as u64;
        tail.extend_from_slice(&len.to_be_bytes());
        tail.extend_from_slice(b"withy commit 1\n");
        let id = match self.long {
            Some(mut hasher) => hasher.update(&self.short).finalize(),
            None => blake3::hash(&self.short),
        };
        CommitId::from_bytes(*id.as_bytes())
    }
}

/// The first part of a record: version, length of the header, header, changes.
pub(crate) fn write_first(header: &Header, changes: &[u8]) -> Vec<u8> {
    let text = header.author.len() + header.message.len() + header.branch.len();
    let mut out = Vec::with_capacity(256 + text + changes.len());
    out.extend_from_slice(&[1, 0, 0, 0, 0]);
    record::append(header, &mut out);
    let len = u32::try_from(out.len() - 5).expect("author and message are limited to far less");
    out[1..5].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(changes);
    out
}

/// Reads the first part of a record: the header, and the bytes of the changes behind it.
pub(crate) fn read_first(bytes: &[u8]) -> Result<(Header, &[u8]), Corrupt> {
    let body = record::strip_version("commit", bytes)?;
    let mut cursor = Cursor::new("commit", body);
    let len = u32::from_be_bytes(cursor.array("header length")?);
    let header = cursor.bytes(len as usize, "header")?;
    let (header, used) = record::read::<Header>("commit", header)?;
    if used != len as usize {
        return Err(Corrupt { record: "commit", at: used, want: "end of header" });
    }
    Ok((header, cursor.rest()))
}

/// A further part of a record: version, changes.
pub(crate) fn write_further(changes: &[u8]) -> Vec<u8> {
    [&[1], changes].concat()
}

/// The bytes of the changes in a further part.
pub(crate) fn read_further(bytes: &[u8]) -> Result<&[u8], Corrupt> {
    record::strip_version("commit part", bytes)
}

/// Reads the changes of one part.
pub(crate) fn read_changes(bytes: &[u8], mut each: impl FnMut(Change)) -> Result<(), Corrupt> {
    try_read_changes(bytes, |change| {
        each(change);
        Ok(())
    })
}

/// The same, until the caller wants no more.
pub(crate) fn try_read_changes<E: From<Corrupt>>(
    mut bytes: &[u8],
    mut each: impl FnMut(Change) -> Result<(), E>,
) -> Result<(), E> {
    while !bytes.is_empty() {
        let (change, used) = record::read::<Change>("change", bytes)?;
        each(change)?;
        bytes = &bytes[used..];
    }
    Ok(())
}

/// The summand of one key in the fingerprint of a content.
pub(crate) fn fingerprint_of(key: &[u8], value: &ValueHash) -> [u64; 4] {
    // One call on one short buffer is much cheaper than a hasher that is fed twice.
    const SHORT: usize = 256;
    let mut buffer = [0; 32 + SHORT];
    buffer[..32].copy_from_slice(value.as_bytes());
    if let Some(rest) = buffer.get_mut(32..32 + key.len()) {
        rest.copy_from_slice(key);
        return words(blake3::hash(&buffer[..32 + key.len()]).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(value.as_bytes());
    hasher.update(key);
    words(hasher.finalize().as_bytes())
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut out = [0; 4];
    for (word, chunk) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    out
}

/// A sum of [`fingerprint_of`] modulo 2^256, so that order and history do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FingerprintSum([u64; 4]);

impl FingerprintSum {
    pub(crate) fn new(start: Fingerprint) -> Self {
        Self(words(start.as_bytes()))
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &ValueHash) {
        self.add_summand(fingerprint_of(key, value));
    }

    /// Adds what [`fingerprint_of`] gave.
    pub(crate) fn add_summand(&mut self, summand: [u64; 4]) {
        let mut carry = false;
        for (a, b) in self.0.iter_mut().zip(summand) {
            let (sum, over) = a.overflowing_add(b);
            let (sum, over_too) = sum.overflowing_add(u64::from(carry));
            (*a, carry) = (sum, over || over_too);
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8], value: &ValueHash) {
        self.remove_summand(fingerprint_of(key, value));
    }

    /// Takes away what [`fingerprint_of`] gave.
    pub(crate) fn remove_summand(&mut self, summand: [u64; 4]) {
        let mut borrow = false;
        for (a, b) in self.0.iter_mut().zip(summand) {
            let (left, under) = a.overflowing_sub(b);
            let (left, under_too) = left.overflowing_sub(u64::from(borrow));
            (*a, borrow) = (left, under || under_too);
        }
    }

    /// Adds another sum.
    pub(crate) fn add_sum(&mut self, other: Self) {
        self.add_summand(other.0);
    }

    pub(crate) fn get(self) -> Fingerprint {
        let mut out = [0; 32];
        for (chunk, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *chunk = word.to_le_bytes();
        }
        Fingerprint::from_bytes(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            id: [1; 32],
            line: 3,
            parents: vec![ParentRecord { line: 2, seq: 300, id: [2; 32] }],
            time: 1_000,
            author: "ann".into(),
            message: "m".into(),
            branch: "main".into(),
            origin: None,
            grouped: false,
            fingerprint: [9; 32],
            keys: 5,
            rows: 6,
            changes: 1,
            changes_at: ChangesAt::Here { further: 0 },
        }
    }

    #[test]
    fn golden_commit() {
        let mut parts = Parts::default();
        parts.push(b"k", None, Some(ValueHash::from_bytes([7; 32])), false);
        let changes = parts.finish().concat();
        let mut want = vec![1, 0, 0, 0, 123];
        want.extend([1; 32]);
        want.extend([3, 1, 2, 251, 44, 1]);
        want.extend([2; 32]);
        want.extend([251, 208, 7]);
        want.extend(b"\x03ann\x01m\x04main\0\0");
        want.extend([9; 32]);
        want.extend([5, 6, 1, 0, 0]);
        want.extend([1, b'k', 0, 1]);
        want.extend([7; 32]);
        want.push(0);
        assert_eq!(write_first(&header(), &changes), want, "version, length, header, change");
    }

    #[test]
    fn a_record_reads_back_and_every_cut_is_a_fault() {
        let mut parts = Parts::default();
        parts.push(b"k", Some(ValueHash::of(b"1")), None, true);
        let changes = parts.finish().concat();
        let bytes = write_first(&header(), &changes);
        let (read, rest) = read_first(&bytes).expect("whole");
        assert_eq!(read, header(), "the header");
        let mut seen = Vec::new();
        read_changes(rest, |c| seen.push(c)).expect("whole");
        let want = Change {
            key: b"k".to_vec(),
            before: Some(*ValueHash::of(b"1").as_bytes()),
            after: None,
            decided: true,
        };
        assert_eq!(seen, [want], "the change");
        for cut in 0..bytes.len() - changes.len() {
            assert!(read_first(&bytes[..cut]).is_err(), "header cut at {cut}");
        }
        for cut in 1..changes.len() {
            assert!(read_changes(&changes[..cut], |_| {}).is_err(), "changes cut at {cut}");
        }
    }

    #[test]
    fn kv_5_fingerprints_forget_order_and_history() {
        let (a, b) = (ValueHash::of(b"1"), ValueHash::of(b"2"));
        let mut one = FingerprintSum::new(Fingerprint::EMPTY);
        one.add(b"x", &a);
        one.add(b"y", &b);
        let mut two = FingerprintSum::new(Fingerprint::EMPTY);
        two.add(b"y", &b);
        two.add(b"z", &a);
        two.remove(b"z", &a);
        two.add(b"x", &a);
        assert_eq!(one.get(), two.get(), "same content, same fingerprint");
        two.remove(b"x", &a);
        two.remove(b"y", &b);
        assert_eq!(two.get(), Fingerprint::EMPTY, "nothing left");
    }
}
