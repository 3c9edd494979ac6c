//! Records of merges: how a merge commit came about, and merges that are still open.

use bincode::{Decode, Encode};

use super::commit::ParentRecord;
use super::refs::At;
use super::{Corrupt, record};

/// A part of the details of a merge holds about this many bytes.
const PART_BYTES: usize = 128 << 10;

/// A hash of a value; none for an absent key.
pub(crate) type Hash = Option<[u8; 32]>;

/// What kind of operation made a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ActionCode {
    Merge,
    Squash,
    CherryPick,
    Revert,
    Rebase,
}

/// Who decides conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StrategyCode {
    Ours,
    Theirs,
    Manual,
    FastForward,
}

/// What the two sides did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum KindCode {
    ModifyModify,
    DeleteModify,
    ModifyDelete,
    AddAdd,
}

/// What a resolution takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ChoiceCode {
    Ours,
    Theirs,
    Base,
    Value,
    Delete,
}

/// How a merge commit came about: the head of its details.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MergeRecord {
    pub(crate) action: ActionCode,
    /// What was merged, picked or reverted.
    pub(crate) theirs: ParentRecord,
    pub(crate) bases: Vec<u64>,
    pub(crate) strategy: StrategyCode,
    pub(crate) strict: bool,
    pub(crate) auto_resolved: u64,
    pub(crate) settled: u64,
}

/// One side of a conflict: its value's hash, and the commit that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SideRecord {
    pub(crate) hash: Hash,
    pub(crate) at: Option<u64>,
}

/// A key that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ConflictRecord {
    pub(crate) kind: KindCode,
    pub(crate) bases: Vec<SideRecord>,
    pub(crate) ours: SideRecord,
    pub(crate) theirs: SideRecord,
    /// The driver that could not merge the values, and why.
    pub(crate) refused: Option<(String, String)>,
}

/// By what a key was settled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ByRecord {
    Strategy(StrategyCode),
    Driver(String),
    Resolution { choice: ChoiceCode, by: String },
}

/// A key that both sides changed, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SettledRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) conflict: ConflictRecord,
    pub(crate) by: ByRecord,
    pub(crate) result: Hash,
}

/// The details of a merge commit, cut into parts.
pub(crate) fn write_details(head: &MergeRecord, settled: &[SettledRecord]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut open = record::encode(head);
    for one in settled {
        record::append(one, &mut open);
        if open.len() >= PART_BYTES {
            parts.push(std::mem::replace(&mut open, record::encode(&())));
        }
    }
    parts.push(open);
    parts
}

/// Reads the first part of the details: the head, and what was settled as far as it is in this part.
pub(crate) fn read_first_details(
    bytes: &[u8],
) -> Result<(MergeRecord, Vec<SettledRecord>), Corrupt> {
    let body = record::strip_version("merge", bytes)?;
    let (head, used) = record::read("merge", body)?;
    Ok((head, read_settled(&body[used..])?))
}

/// Reads a further part of the details.
pub(crate) fn read_further_details(bytes: &[u8]) -> Result<Vec<SettledRecord>, Corrupt> {
    read_settled(record::strip_version("merge part", bytes)?)
}

fn read_settled(mut bytes: &[u8]) -> Result<Vec<SettledRecord>, Corrupt> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (one, used) = record::read::<SettledRecord>("settled conflict", bytes)?;
        out.push(one);
        bytes = &bytes[used..];
    }
    Ok(out)
}

/// A merge, pick, revert or rebase that waits for resolutions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OpenRecord {
    pub(crate) action: ActionCode,
    /// What is merged, as the caller named it.
    pub(crate) source: String,
    /// The commits that come in: one for a merge; those to pick or revert, in order; what a rebase
    /// goes onto.
    pub(crate) theirs: Vec<At>,
    /// Where the target was when the conflicts were found.
    pub(crate) ours: At,
    /// The incoming commit that the conflicts are about.
    pub(crate) at: u64,
    pub(crate) options: OpenOptionsRecord,
    pub(crate) creator: String,
    pub(crate) created: i64,
}

/// A pattern of keys, as prefix and suffix.
type Pattern = (Vec<u8>, Vec<u8>);

/// The options of an open merge.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OpenOptionsRecord {
    pub(crate) strategy: Option<StrategyCode>,
    pub(crate) strategies: Vec<(Pattern, StrategyCode)>,
    pub(crate) drivers: Vec<(Pattern, Option<String>)>,
    pub(crate) strict: bool,
    pub(crate) no_ff: bool,
    pub(crate) mainline: Option<u32>,
    pub(crate) author: Option<String>,
    pub(crate) message: Option<String>,
}

/// What a store's settings say of merges.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RulesRecord {
    pub(crate) strategies: Vec<(Pattern, StrategyCode)>,
    pub(crate) drivers: Vec<(Pattern, String)>,
}

/// A conflict of an open merge, and how it is to be settled, if that is known.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OpenConflictRecord {
    pub(crate) conflict: ConflictRecord,
    pub(crate) resolution: Option<ResolutionRecord>,
}

/// A resolution that was made for a conflict as it is stored beside it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ResolutionRecord {
    pub(crate) choice: ChoiceCode,
    /// The value, if it is a small one.
    pub(crate) value: Option<Vec<u8>>,
    /// Hash and length of a value that is kept in family `blob`.
    pub(crate) blob: Option<([u8; 32], u64)>,
    pub(crate) by: String,
    pub(crate) time: i64,
}
