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
    /// Who did it; the author of the commit may be somebody else.
    pub(crate) by: String,
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
    /// Values of sides that no commit has.
    pub(crate) made: Vec<Vec<u8>>,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of each kind, for golden bytes here and hostile ones elsewhere.
    pub(in crate::format) fn head() -> MergeRecord {
        MergeRecord {
            action: ActionCode::CherryPick,
            theirs: ParentRecord { line: 3, seq: 300, id: [7; 32] },
            bases: vec![5, 300],
            strategy: StrategyCode::Theirs,
            strict: true,
            by: "ann".into(),
            auto_resolved: 2,
            settled: 1,
        }
    }

    fn conflict() -> ConflictRecord {
        ConflictRecord {
            kind: KindCode::DeleteModify,
            bases: vec![SideRecord { hash: Some([1; 32]), at: None }],
            ours: SideRecord { hash: Some([2; 32]), at: Some(300) },
            theirs: SideRecord { hash: None, at: Some(9) },
            refused: Some(("text/1".into(), "no".into())),
            made: vec![b"m".to_vec()],
        }
    }

    const CONFLICT_TAIL: &[u8] = b"\x01\xFB\x2C\x01\x00\x01\x09\x01\x06text/1\x02no\x01\x01m";

    fn conflict_bytes() -> Vec<u8> {
        let mut out = vec![1, 1, 1];
        out.extend([1; 32]);
        out.extend([0, 1]);
        out.extend([2; 32]);
        out.extend(CONFLICT_TAIL);
        out
    }

    pub(in crate::format) fn settled() -> SettledRecord {
        let by = ByRecord::Resolution { choice: ChoiceCode::Base, by: "ben".into() };
        SettledRecord { key: b"k".to_vec(), conflict: conflict(), by, result: Some([3; 32]) }
    }

    pub(in crate::format) fn open() -> OpenRecord {
        OpenRecord {
            action: ActionCode::Merge,
            source: "topic".into(),
            theirs: vec![At { line: 3, seq: 300 }],
            ours: At { line: 0, seq: 9 },
            at: 300,
            options: OpenOptionsRecord {
                strategy: None,
                strategies: vec![((b"a".to_vec(), b"z".to_vec()), StrategyCode::Ours)],
                drivers: vec![((Vec::new(), Vec::new()), Some("text".into()))],
                strict: false,
                no_ff: true,
                mainline: Some(2),
                author: Some("ann".into()),
                message: None,
            },
            creator: "ann".into(),
            created: 1_000,
        }
    }

    pub(in crate::format) fn open_conflict() -> OpenConflictRecord {
        let resolution = ResolutionRecord {
            choice: ChoiceCode::Value,
            value: Some(b"v".to_vec()),
            blob: Some(([4; 32], 300)),
            by: "ben".into(),
            time: -1,
        };
        OpenConflictRecord { conflict: conflict(), resolution: Some(resolution) }
    }

    pub(in crate::format) fn rules() -> RulesRecord {
        RulesRecord {
            strategies: vec![((b"a".to_vec(), Vec::new()), StrategyCode::FastForward)],
            drivers: vec![((b"n".to_vec(), b"j".to_vec()), "json".into())],
        }
    }

    #[test]
    fn golden_details_of_a_merge() {
        let parts = write_details(&head(), &[settled()]);
        let mut want = vec![1, 2, 3, 0xFB, 44, 1];
        want.extend([7; 32]);
        want.extend(b"\x02\x05\xFB\x2C\x01\x01\x01\x03ann\x02\x01");
        want.extend(b"\x01k");
        want.extend(conflict_bytes());
        want.extend(b"\x02\x02\x03ben\x01");
        want.extend([3; 32]);
        assert_eq!(parts, [want], "head, then what was settled");
        let read = read_first_details(&parts[0]);
        assert_eq!(read, Ok((head(), vec![settled()])), "it reads back");
    }

    #[test]
    fn details_are_cut_between_conflicts_and_read_back_whole() {
        let many: Vec<SettledRecord> = (0..3_000u32)
            .map(|n| SettledRecord { key: n.to_be_bytes().to_vec(), ..settled() })
            .collect();
        let parts = write_details(&head(), &many);
        assert!(parts.len() > 2, "several parts");
        let (_, mut read) = read_first_details(&parts[0]).expect("whole");
        for part in &parts[1..] {
            read.extend(read_further_details(part).expect("whole"));
        }
        assert_eq!(read, many, "all of them, in order");
    }

    #[test]
    fn golden_open_merges() {
        let mut want = b"\x01\x00\x05topic\x01\x03\xFB\x2C\x01\x00\x09\xFB\x2C\x01".to_vec();
        want.extend(
            b"\x00\x01\x01a\x01z\x00\x01\x00\x00\x01\x04text\x00\x01\x01\x02\x01\x03ann\x00",
        );
        want.extend(b"\x03ann\xFB\xD0\x07");
        assert_eq!(record::encode(&open()), want, "an open merge");
        let mut want = vec![1];
        want.extend(conflict_bytes());
        want.extend(b"\x01\x03\x01\x01v\x01");
        want.extend([4; 32]);
        want.extend(b"\xFB\x2C\x01\x03ben\x01");
        assert_eq!(record::encode(&open_conflict()), want, "a conflict of an open merge");
        let want = b"\x01\x01\x01a\x00\x03\x01\x01n\x01j\x04json";
        assert_eq!(record::encode(&rules()), want, "rules for merges");
    }
}
