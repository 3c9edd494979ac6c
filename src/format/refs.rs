//! Records of families `refs` and `meta`.

use bincode::{Decode, Encode};

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

/// Names of the rows of family `meta`.
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const STORE: &[u8] = b"store";
    pub(crate) const ACTIVE: &[u8] = b"active";
    pub(crate) const INDEXED: &[u8] = b"indexed";
    pub(crate) const IMPORT: &[u8] = b"import";
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
}
