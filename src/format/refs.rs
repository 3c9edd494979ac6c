//! Records of families `refs` and `meta`.

use std::ops::Bound;

use bincode::{Decode, Encode};

use crate::kv::KeyRange;

/// A commit, by the line it is on and its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct At {
    pub(crate) line: u64,
    pub(crate) seq: u64,
}

/// A branch: a name for a line.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct BranchRecord {
    pub(crate) line: u64,
    pub(crate) parent: Option<String>,
    pub(crate) created_seq: u64,
    pub(crate) created: i64,
    pub(crate) description: String,
    pub(crate) creator: String,
}

/// A tag: a fixed name for a commit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TagRecord {
    pub(crate) at: At,
    pub(crate) created: i64,
    pub(crate) description: String,
    pub(crate) creator: String,
}

/// A line: where it forked, and the layers that reads fall through to, newest first. The line of a
/// read layer that overlay compaction made has neither.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LineRecord {
    pub(crate) fork: Option<At>,
    pub(crate) layers: Vec<At>,
    /// For a read layer: how many rows it has.
    pub(crate) layer_rows: u64,
}

/// The state of one ref in an entry of the operation log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum RefState {
    /// The branch and the head it had.
    Branch(BranchRecord, u64),
    Tag(TagRecord),
    Active(String),
}

/// Which ref an entry of the operation log is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum RefName {
    Branch(String),
    Tag(String),
    Active,
}

/// One ref before and after an operation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RefEdit {
    pub(crate) name: RefName,
    pub(crate) before: Option<RefState>,
    pub(crate) after: Option<RefState>,
}

/// The id of an operation, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OpAt {
    pub(crate) seq: u64,
    pub(crate) step: u64,
}

/// How an entry relates to `undo` and `redo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum OpKind {
    /// An ordinary operation; its predecessor is the entry before it.
    Do,
    /// Took back `target`; `next` is what a further undo takes back, `redo` the undo below this one
    /// on the stack of what can be done again.
    Undo { target: OpAt, next: Option<OpAt>, redo: Option<OpAt> },
    /// Did again what the undo of `target` took back.
    Redo { target: OpAt, redo: Option<OpAt> },
}

/// One entry of the operation log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OperationRecord {
    pub(crate) kind: OpKind,
    pub(crate) time: i64,
    pub(crate) author: String,
    pub(crate) what: String,
    /// The commits above this sequence, up to the one in the key, are part of the operation.
    pub(crate) since: u64,
    pub(crate) edits: Vec<RefEdit>,
}

/// A block of the per-line index: the commits of a line up to the sequence in its key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct IndexRecord {
    /// How many commits the line has before this block.
    pub(crate) before: u64,
    /// Difference of each sequence to the one before it, the first one whole.
    pub(crate) deltas: Vec<u64>,
}

/// The ids of a block of commits, sorted, to find a commit by the start of its id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct IdsRecord {
    /// First eight bytes of each id, and the commit's sequence.
    pub(crate) ids: Vec<(u64, u64)>,
}

/// What is fixed when a store is made.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoreRecord {
    pub(crate) id: [u8; 16],
    pub(crate) created: i64,
    pub(crate) blob_threshold: u64,
}

/// A read layer that overlay compaction made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LayerRecord {
    pub(crate) line: u64,
}

/// An import that is being written: all lines and commits from here on belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ImportRecord {
    pub(crate) first_line: u64,
    pub(crate) first_seq: u64,
}

/// What is gone of a line, because nothing needs it any more.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub(crate) struct GoneRecord {
    /// By prefix of keys, sorted: commits below the sequence are gone as to keys that start so, unless
    /// a longer prefix says otherwise.
    pub(crate) floors: Vec<(Vec<u8>, u64)>,
    /// Commits below the floors that are whole nevertheless, sorted.
    pub(crate) kept: Vec<u64>,
    /// Commits above this one are gone too; none: it grows.
    pub(crate) top: Option<u64>,
    /// All of it is gone, and is being removed.
    pub(crate) dead: bool,
}

/// How far a collection of what is gone has come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CollectRecord {
    /// What is being done, see `maintain::gc`.
    pub(crate) phase: u8,
    /// Everything up to this key is done.
    pub(crate) at: Vec<u8>,
}

/// What was removed from all of history: the audit record of a purge.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PurgeRecord {
    /// First key of the range.
    pub(crate) start: Vec<u8>,
    /// The first key behind it.
    pub(crate) end: Option<Vec<u8>>,
    /// The newest commit whose values are removed.
    pub(crate) upto: u64,
    pub(crate) time: i64,
    pub(crate) author: String,
    pub(crate) reason: String,
    /// The commits that deleted keys of the range from branches.
    pub(crate) commits: Vec<u64>,
    /// Versions of keys whose values were removed.
    pub(crate) versions: u64,
    /// Large values that nothing named any more.
    pub(crate) values: u64,
    /// Whether all of it is done.
    pub(crate) done: bool,
}

impl PurgeRecord {
    /// The keys whose values are removed.
    pub(crate) fn range(&self) -> KeyRange {
        let hi = self.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let lo = match self.start.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Included(self.start.clone()),
        };
        KeyRange::new(lo, hi)
    }
}

/// Names of the rows of family `meta`.
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const STORE: &[u8] = b"store";
    pub(crate) const ACTIVE: &[u8] = b"active";
    pub(crate) const INDEXED: &[u8] = b"indexed";
    pub(crate) const IMPORT: &[u8] = b"import";
    pub(crate) const MERGE_RULES: &[u8] = b"merge-rules";
    /// The first fencing number of locks that is not reserved.
    pub(crate) const LOCK_FENCES: &[u8] = b"lock-fences";
    /// The newest commit that is gone: above it the log has no gap.
    pub(crate) const LOG_START: &[u8] = b"log-start";
    /// Prefix of the newest commits that are gone by branch.
    pub(crate) const LOG_START_OF: &[u8] = b"log-start/";
    /// A collection that is under way.
    pub(crate) const COLLECT: &[u8] = b"collect";
    /// The number of the purge that is under way.
    pub(crate) const PURGE: &[u8] = b"purge";
    /// The newest operation that is gone.
    pub(crate) const OPS_START: &[u8] = b"ops-start";
    /// Prefix of the read layers that are being written.
    pub(crate) const UNFINISHED: &[u8] = b"unfinished/";
    /// Prefix of the settings.
    pub(crate) const CONFIG: &[u8] = b"config/";
}

/// Kinds of owners of pins.
pub(crate) mod pin {
    /// The fork of a line.
    pub(crate) const LINE: u8 = b'l';
    pub(crate) const TAG: u8 = b't';
    /// A commit that an open merge needs.
    pub(crate) const MERGE: u8 = b'm';
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record;

    /// The bytes of a record, and that they read back as what was written.
    fn golden<T: record::Stored + Encode + PartialEq + std::fmt::Debug>(value: &T) -> Vec<u8> {
        let bytes = record::encode(value);
        assert_eq!(record::decode::<T>("record", &bytes).as_ref(), Ok(value), "it reads back");
        bytes
    }

    fn branch() -> BranchRecord {
        BranchRecord {
            line: 3,
            parent: Some("main".into()),
            created_seq: 300,
            created: 1_000,
            description: "d".into(),
            creator: "ann".into(),
        }
    }

    const BRANCH: &[u8] = b"\x03\x01\x04main\xFB\x2C\x01\xFB\xD0\x07\x01d\x03ann";
    const TAG: &[u8] = b"\x03\xFB\x2C\x01\x01\x00\x03ann";

    fn tag() -> TagRecord {
        let at = At { line: 3, seq: 300 };
        TagRecord { at, created: -1, description: String::new(), creator: "ann".into() }
    }

    #[test]
    fn golden_branches_and_tags() {
        assert_eq!(golden(&branch()), [b"\x01", BRANCH].concat(), "a branch");
        let root = BranchRecord { line: 0, parent: None, ..branch() };
        assert_eq!(golden(&root)[..4], [1, 0, 0, 0xFB], "a branch without a parent");
        assert_eq!(golden(&tag()), [b"\x01", TAG].concat(), "a tag");
    }

    #[test]
    fn golden_lines_and_layers() {
        let at = |line, seq| At { line, seq };
        let line =
            LineRecord { fork: Some(at(2, 9)), layers: vec![at(2, 9), at(0, 300)], layer_rows: 0 };
        assert_eq!(golden(&line), [1, 1, 2, 9, 2, 2, 9, 0, 0xFB, 44, 1, 0], "a line");
        let layer = LineRecord { fork: None, layers: Vec::new(), layer_rows: 70_000 };
        assert_eq!(golden(&layer), [1, 0, 0, 0xFC, 0x70, 0x11, 1, 0], "the line of a read layer");
        assert_eq!(golden(&LayerRecord { line: 7 }), [1, 7], "a read layer");
        assert_eq!(golden(&vec![at(1, 2), at(3, 300)]), [1, 2, 1, 2, 3, 0xFB, 44, 1], "a merge");
    }

    #[test]
    fn golden_operations() {
        let edits = vec![
            RefEdit {
                name: RefName::Branch("b".into()),
                before: None,
                after: Some(RefState::Branch(branch(), 301)),
            },
            RefEdit {
                name: RefName::Tag("t".into()),
                before: Some(RefState::Tag(tag())),
                after: None,
            },
            RefEdit {
                name: RefName::Active,
                before: Some(RefState::Active("a".into())),
                after: Some(RefState::Active("b".into())),
            },
        ];
        let entry = |kind, edits| OperationRecord {
            kind,
            time: 1_000,
            author: "ann".into(),
            what: "w".into(),
            since: 5,
            edits,
        };
        let said = b"\xFB\xD0\x07\x03ann\x01w\x05";
        let mut want = [&b"\x01\x00"[..], said, b"\x03"].concat();
        want.extend([b"\x00\x01b\x00\x01\x00", BRANCH, b"\xFB\x2D\x01"].concat());
        want.extend([b"\x01\x01t\x01\x01", TAG, b"\x00"].concat());
        want.extend(b"\x02\x01\x02\x01a\x01\x02\x01b");
        assert_eq!(golden(&entry(OpKind::Do, edits)), want, "an operation");
        let at = |seq, step| OpAt { seq, step };
        let undo = OpKind::Undo { target: at(5, 0), next: Some(at(4, 2)), redo: None };
        let want = [&b"\x01\x01\x05\x00\x01\x04\x02\x00"[..], said, b"\x00"].concat();
        assert_eq!(golden(&entry(undo, Vec::new())), want, "an undo");
        let redo = OpKind::Redo { target: at(5, 1), redo: Some(at(4, 3)) };
        let want = [&b"\x01\x02\x05\x01\x01\x04\x03"[..], said, b"\x00"].concat();
        assert_eq!(golden(&entry(redo, Vec::new())), want, "a redo");
    }

    #[test]
    fn golden_index_blocks() {
        let block = IndexRecord { before: 4096, deltas: vec![300, 1, 2] };
        assert_eq!(golden(&block), [1, 0xFB, 0, 16, 3, 0xFB, 44, 1, 1, 2], "commits of a line");
        let ids = IdsRecord { ids: vec![(0x0102_0304_0506_0708, 9), (u64::MAX, 300)] };
        let mut want = vec![1, 2, 0xFD, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0xFD];
        want.extend([0xFF; 8]);
        want.extend([0xFB, 44, 1]);
        assert_eq!(golden(&ids), want, "ids of commits");
    }

    #[test]
    fn golden_rows_of_what_is_gone() {
        let gone = GoneRecord {
            floors: vec![(Vec::new(), 300), (b"a".to_vec(), 7)],
            kept: vec![2, 299],
            top: Some(400),
            dead: false,
        };
        let want = b"\x01\x02\x00\xFB\x2C\x01\x01a\x07\x02\x02\xFB\x2B\x01\x01\xFB\x90\x01\x00";
        assert_eq!(golden(&gone), want, "what is gone of a line");
        let dead = GoneRecord { dead: true, ..GoneRecord::default() };
        assert_eq!(golden(&dead), [1, 0, 0, 0, 1], "a line that is gone");
        let collect = CollectRecord { phase: 3, at: b"at".to_vec() };
        assert_eq!(golden(&collect), b"\x01\x03\x02at", "how far a collection has come");
        assert_eq!(golden(&(300_u64, 2_u64)), [1, 0xFB, 44, 1, 2], "where operations start");
        let purge = PurgeRecord {
            start: b"k".to_vec(),
            end: Some(b"l".to_vec()),
            upto: 300,
            time: 1_000,
            author: "ann".into(),
            reason: "r".into(),
            commits: vec![299, 300],
            versions: 2,
            values: 0,
            done: true,
        };
        let mut want = b"\x01\x01k\x01\x01l\xFB\x2C\x01\xFB\xD0\x07\x03ann\x01r".to_vec();
        want.extend(b"\x02\xFB\x2B\x01\xFB\x2C\x01\x02\x00\x01");
        assert_eq!(golden(&purge), want, "a purge");
        assert_eq!((meta::PURGE, meta::COLLECT), (&b"purge"[..], &b"collect"[..]), "their names");
        assert_eq!((meta::LOG_START, meta::OPS_START), (&b"log-start"[..], &b"ops-start"[..]));
        assert_eq!(crate::format::keys::log_start_of("a/b"), b"log-start/a/b");
    }

    #[test]
    fn golden_meta_rows() {
        assert_eq!(golden(&1_u32), [1, 1], "the format");
        let store = StoreRecord { id: [7; 16], created: 1_000, blob_threshold: 16_384 };
        let want = [&[1], &[7; 16][..], &[0xFB, 0xD0, 7, 0xFB, 0, 0x40]].concat();
        assert_eq!(golden(&store), want, "what is fixed when a store is made");
        assert_eq!(golden(&"main".to_owned()), b"\x01\x04main", "the active branch, and a setting");
        assert_eq!(golden(&300_u64), [1, 0xFB, 44, 1], "how far the index goes");
        assert_eq!(golden(&65_537_u64), [1, 0xFC, 1, 0, 1, 0], "reserved fencing numbers");
        assert_eq!(meta::LOCK_FENCES, b"lock-fences", "under their name");
        let import = ImportRecord { first_line: 7, first_seq: 300 };
        assert_eq!(golden(&import), [1, 7, 0xFB, 44, 1], "an import that is being written");
    }
}
