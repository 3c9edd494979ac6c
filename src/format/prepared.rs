//! Records of two-phase commit: prepared transactions, what became of them, and a coordinator's log.

use bincode::{Decode, Encode};

use super::keys::{be, refs, state};
use super::refs::At;
use super::{Corrupt, Cursor};

/// What a transaction promises about what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum IsolationCode {
    ReadCommitted,
    Snapshot,
    Serializable,
}

/// A transaction that is prepared: all of it but what it writes, holds and sends, which are rows beside it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PreparedRecord {
    pub(crate) author: String,
    pub(crate) message: String,
    pub(crate) allow_empty: bool,
    pub(crate) isolation: IsolationCode,
    /// When it was prepared.
    pub(crate) time: i64,
    /// The branches it writes to or has read, in the order in which they become commits.
    pub(crate) branches: Vec<PreparedBranch>,
    /// How many rows are beside it.
    pub(crate) parts: u64,
}

/// A branch of a prepared transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PreparedBranch {
    pub(crate) name: String,
    /// Its newest commit when the transaction began.
    pub(crate) base: At,
    /// How many keys it writes.
    pub(crate) writes: u64,
}

/// A run of keys that it has read: from a key up to another one, or to the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReadRecord {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

/// A message that is sent when the transaction is committed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PreparedMessage {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What became of a prepared transaction; kept until whoever asked for it has taken note.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OutcomeRecord {
    /// The commits that it became; `None` if it was rolled back.
    pub(crate) commits: Option<Vec<u64>>,
    pub(crate) time: i64,
}

/// How far a transaction over several participants has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum PhaseCode {
    Preparing,
    Committing,
    Aborting,
}

/// Whether a participant has done what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum AckCode {
    /// It is waited for.
    Awaited,
    /// It was seen to have done it.
    Acknowledged,
    /// Nobody waits for it any more; if it comes back and is still prepared, it is told.
    WrittenOff,
}

/// One transaction in the log of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TransactionRecord {
    pub(crate) phase: PhaseCode,
    /// Exact names, and what is known of each.
    pub(crate) participants: Vec<(String, AckCode)>,
    pub(crate) begun: i64,
    /// Why it is aborted; empty otherwise.
    pub(crate) reason: String,
}

/// `p, gid`: a prepared transaction.
pub(crate) fn prepared_key(gid: &str) -> Vec<u8> {
    refs(state::PREPARED, &[gid.as_bytes()])
}

/// `w, gid, 00`: everything that belongs to a prepared transaction. A gid holds no `00`.
pub(crate) fn parts_prefix(gid: &str) -> Vec<u8> {
    refs(state::PREPARED_PART, &[gid.as_bytes(), &[0]])
}

/// `w, gid, 00`, then what the part is.
pub(crate) fn part_key(gid: &str, part: &PreparedPart<'_>) -> Vec<u8> {
    let gid = gid.as_bytes();
    let with_tag = |tag: u8, number: &[u8], key: &[u8]| {
        refs(state::PREPARED_PART, &[gid, &[0, tag], number, key])
    };
    match part {
        PreparedPart::Write(branch, key) => with_tag(part::WRITE, &branch.to_be_bytes(), key),
        PreparedPart::Kept(branch, key) => with_tag(part::KEPT, &branch.to_be_bytes(), key),
        PreparedPart::Read(branch, number) => {
            with_tag(part::READ, &branch.to_be_bytes(), &be(*number))
        }
        PreparedPart::Message(number) => with_tag(part::MESSAGE, &be(*number), &[]),
    }
}

/// What a key of [`part_key`] stands for; `prefix` is [`parts_prefix`].
pub(crate) fn part_of<'k>(stored: &'k [u8], prefix: &[u8]) -> Result<PreparedPart<'k>, Corrupt> {
    let mut cursor = Cursor::new("part of a prepared transaction", stored);
    cursor.bytes(prefix.len(), "transaction")?;
    let [tag] = cursor.array("part")?;
    Ok(match tag {
        part::WRITE => {
            PreparedPart::Write(u32::from_be_bytes(cursor.array("branch")?), cursor.rest())
        }
        part::KEPT => {
            PreparedPart::Kept(u32::from_be_bytes(cursor.array("branch")?), cursor.rest())
        }
        part::READ => PreparedPart::Read(
            u32::from_be_bytes(cursor.array("branch")?),
            cursor.u64("number of keys that were read")?,
        ),
        part::MESSAGE => PreparedPart::Message(cursor.u64("number of a message")?),
        _ => return Err(cursor.fault("part")),
    })
}

/// `f, gid`: what became of a transaction that was prepared.
pub(crate) fn outcome_key(gid: &str) -> Vec<u8> {
    refs(state::OUTCOME, &[gid.as_bytes()])
}

/// `t, gid`: a transaction in the log of a coordinator. `t` alone is the number of its newest one.
pub(crate) fn transaction_key(gid: &str) -> Vec<u8> {
    refs(state::TRANSACTION, &[gid.as_bytes()])
}

/// A row that belongs to a prepared transaction; branches are numbers into its list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreparedPart<'k> {
    /// A key it writes.
    Write(u32, &'k [u8]),
    /// A key it has read for update, which must stay as it is.
    Kept(u32, &'k [u8]),
    /// Keys it has read, which must stay as they are; these are numbered.
    Read(u32, u64),
    /// A message it sends; these are numbered.
    Message(u64),
}

/// Transaction and key in a key of a part for which [`is_write`] holds.
pub(crate) fn written_key(stored: &[u8]) -> Result<(&str, &[u8]), Corrupt> {
    let gid = super::keys::name_before_nul(stored)?;
    // Behind the gid: its end, what the part is, and the branch.
    let mut cursor = Cursor::new("part of a prepared transaction", stored);
    cursor.bytes(1 + gid.len() + 2 + 4, "branch")?;
    Ok((gid, cursor.rest()))
}

/// Whether a key of a part, whatever its transaction, is that of a key it writes.
pub(crate) fn is_write(stored: &[u8]) -> bool {
    // A gid holds no `00`.
    let end = stored.iter().position(|byte| *byte == 0);
    end.and_then(|end| stored.get(end + 1)) == Some(&part::WRITE)
}

/// Tags of [`PreparedPart`].
mod part {
    pub(super) const WRITE: u8 = 1;
    pub(super) const KEPT: u8 = 2;
    pub(super) const READ: u8 = 3;
    pub(super) const MESSAGE: u8 = 4;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::record;

    /// A record of each kind, for golden bytes here and hostile ones elsewhere.
    pub(in crate::format) fn prepared() -> PreparedRecord {
        let base = At { line: 3, seq: 300 };
        PreparedRecord {
            author: "ann".into(),
            message: "pay".into(),
            allow_empty: true,
            isolation: IsolationCode::Serializable,
            time: 1_000,
            branches: vec![PreparedBranch { name: "main".into(), base, writes: 2 }],
            parts: 300,
        }
    }

    pub(in crate::format) fn read() -> ReadRecord {
        ReadRecord { from: b"a".to_vec(), to: Some(b"b".to_vec()) }
    }

    pub(in crate::format) fn message() -> PreparedMessage {
        PreparedMessage { topic: "mail".into(), payload: b"hi".to_vec() }
    }

    pub(in crate::format) fn outcome() -> OutcomeRecord {
        OutcomeRecord { commits: Some(vec![300, 5]), time: -1 }
    }

    pub(in crate::format) fn transaction() -> TransactionRecord {
        TransactionRecord {
            phase: PhaseCode::Aborting,
            participants: vec![
                ("bank".into(), AckCode::Acknowledged),
                ("shop".into(), AckCode::Awaited),
            ],
            begun: 1_000,
            reason: "no".into(),
        }
    }

    #[test]
    fn golden_prepared_transactions() {
        let want =
            b"\x01\x03ann\x03pay\x01\x02\xFB\xD0\x07\x01\x04main\x03\xFB\x2C\x01\x02\xFB\x2C\x01";
        assert_eq!(record::encode(&prepared()), want, "a prepared transaction");
        assert_eq!(record::encode(&read()), b"\x01\x01a\x01\x01b", "what it has read");
        let all = ReadRecord { from: Vec::new(), to: None };
        assert_eq!(record::encode(&all), b"\x01\x00\x00", "all keys");
        assert_eq!(record::encode(&message()), b"\x01\x04mail\x02hi", "a message");
    }

    #[test]
    fn golden_outcomes_and_log_of_a_coordinator() {
        let want = b"\x01\x01\x02\xFB\x2C\x01\x05\x01";
        assert_eq!(record::encode(&outcome()), want, "a transaction that was committed");
        let rolled_back = OutcomeRecord { commits: None, time: 1 };
        assert_eq!(record::encode(&rolled_back), b"\x01\x00\x02", "one that was rolled back");
        let want = b"\x01\x02\x02\x04bank\x01\x04shop\x00\xFB\xD0\x07\x02no";
        assert_eq!(record::encode(&transaction()), want, "a transaction of a coordinator");
        let phases = [PhaseCode::Preparing, PhaseCode::Committing, PhaseCode::Aborting];
        let bytes = phases.map(|phase| record::encode(&phase));
        assert_eq!(bytes, [[1, 0], [1, 1], [1, 2]], "phases");
        let acks = [AckCode::Awaited, AckCode::Acknowledged, AckCode::WrittenOff];
        let bytes = acks.map(|ack| record::encode(&ack));
        assert_eq!(bytes, [[1, 0], [1, 1], [1, 2]], "what is known of a participant");
        let levels =
            [IsolationCode::ReadCommitted, IsolationCode::Snapshot, IsolationCode::Serializable];
        let bytes = levels.map(|level| record::encode(&level));
        assert_eq!(bytes, [[1, 0], [1, 1], [1, 2]], "levels of isolation");
    }

    #[test]
    fn golden_keys_of_prepared_transactions() {
        assert_eq!(prepared_key("g1"), b"pg1", "the transaction");
        assert_eq!(outcome_key("g1"), b"fg1", "what became of it");
        assert_eq!(transaction_key("g1"), b"tg1", "in the log of a coordinator");
        let parts: [(PreparedPart<'_>, &[u8]); 4] = [
            (PreparedPart::Write(258, b"\0k"), b"wg1\0\x01\0\0\x01\x02\0k"),
            (PreparedPart::Kept(0, b"k"), b"wg1\0\x02\0\0\0\0k"),
            (PreparedPart::Read(1, 258), b"wg1\0\x03\0\0\0\x01\0\0\0\0\0\0\x01\x02"),
            (PreparedPart::Message(3), b"wg1\0\x04\0\0\0\0\0\0\0\x03"),
        ];
        let prefix = parts_prefix("g1");
        for (part, want) in parts {
            let stored = part_key("g1", &part);
            assert_eq!(stored, want, "{part:?}");
            assert_eq!(part_of(&stored, &prefix), Ok(part), "it reads back");
            for cut in 0..prefix.len() + 5 {
                assert!(part_of(&stored[..cut], &prefix).is_err(), "cut at {cut}");
            }
            let other = part_key("g1.", &part);
            assert!(!other.starts_with(&prefix), "a longer name is another transaction");
        }
        assert!(part_of(b"wg1\0\x05", &prefix).is_err(), "an unknown part is a fault");
    }
}
