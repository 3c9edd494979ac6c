//! Records of coordination: messages that wait for delivery, and journals of sagas.

use bincode::{Decode, Encode};

/// A message of the outbox. Topic, sequence and number are in its key; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MessageRecord {
    pub(crate) payload: Vec<u8>,
    /// When its commit was made.
    pub(crate) enqueued: i64,
}

/// What a message waits for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum WaitRecord {
    /// To be due again.
    Due,
    /// For the answer of this worker.
    Answer(String),
    /// To be due again: the store was closed before a worker answered.
    CutOff,
}

/// What came of a message so far; absent until it is claimed for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AttemptsRecord {
    /// How often it was claimed, ever: no two claims have the same number.
    pub(crate) claims: u64,
    /// How often it was claimed since it was put back by hand.
    pub(crate) attempts: u32,
    pub(crate) wait: WaitRecord,
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Why the last attempt failed; empty if none did.
    pub(crate) error: String,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct DeadRecord {
    pub(crate) message: MessageRecord,
    pub(crate) claims: u64,
    pub(crate) attempts: u32,
    pub(crate) died: i64,
    pub(crate) error: String,
}

/// How far a saga is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum PhaseCode {
    Running,
    Compensating,
    Finished,
}

/// Which way a saga goes or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum OutcomeCode {
    Committed,
    Compensated,
    CompensatedWithFailures,
}

/// What became of a compensation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum UndoCode {
    Pending,
    Done,
    GivenUp,
}

/// A compensation that a saga has registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct UndoRecord {
    pub(crate) step: String,
    pub(crate) name: String,
    pub(crate) args: Vec<u8>,
    /// Whether it is not known if the step had its effect.
    pub(crate) in_doubt: bool,
    pub(crate) state: UndoCode,
    pub(crate) attempts: u32,
    pub(crate) since: i64,
    pub(crate) until: i64,
    pub(crate) error: String,
}

/// The journal of a saga. Its id is in its key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SagaRecord {
    /// The name of its definition.
    pub(crate) name: String,
    pub(crate) input: Vec<u8>,
    pub(crate) branch: String,
    pub(crate) created: i64,
    pub(crate) phase: PhaseCode,
    pub(crate) outcome: Option<OutcomeCode>,
    /// Steps that are done, in order.
    pub(crate) done: Vec<String>,
    /// The step that was begun last, unless it is done.
    pub(crate) current: Option<String>,
    /// How often that step was begun.
    pub(crate) attempts: u32,
    /// When something of this last changed, and when a step that is tried again is due.
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Why a step failed; empty if none did.
    pub(crate) error: String,
    /// Compensations, oldest first.
    pub(crate) undo: Vec<UndoRecord>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::record;

    /// A record of each kind, for golden bytes here and hostile ones elsewhere.
    pub(in crate::format) fn message() -> MessageRecord {
        MessageRecord { payload: b"hi\0".to_vec(), enqueued: 1_000 }
    }

    pub(in crate::format) fn attempts() -> AttemptsRecord {
        AttemptsRecord {
            claims: 300,
            attempts: 2,
            wait: WaitRecord::Answer("w1".into()),
            since: 1,
            until: 1_000,
            error: "off".into(),
        }
    }

    pub(in crate::format) fn dead() -> DeadRecord {
        DeadRecord { message: message(), claims: 9, attempts: 3, died: -1, error: "off".into() }
    }

    pub(in crate::format) fn saga() -> SagaRecord {
        SagaRecord {
            name: "move".into(),
            input: b"\x01\x02".to_vec(),
            branch: "main".into(),
            created: 1,
            phase: PhaseCode::Compensating,
            outcome: Some(OutcomeCode::Compensated),
            done: vec!["a".into(), "b".into()],
            current: Some("c".into()),
            attempts: 1,
            since: 2,
            until: 3,
            error: "no".into(),
            undo: vec![UndoRecord {
                step: "a".into(),
                name: "un".into(),
                args: b"x".to_vec(),
                in_doubt: true,
                state: UndoCode::GivenUp,
                attempts: 300,
                since: 4,
                until: 5,
                error: "bad".into(),
            }],
        }
    }

    #[test]
    fn golden_outbox() {
        assert_eq!(record::encode(&message()), b"\x01\x03hi\0\xFB\xD0\x07", "a message");
        let want = b"\x01\xFB\x2C\x01\x02\x01\x02w1\x02\xFB\xD0\x07\x03off";
        assert_eq!(record::encode(&attempts()), want, "one that is claimed");
        let waits = AttemptsRecord { wait: WaitRecord::Due, ..attempts() };
        let want = b"\x01\xFB\x2C\x01\x02\x00\x02\xFB\xD0\x07\x03off";
        assert_eq!(record::encode(&waits), want, "one that waits to be due");
        let cut_off = AttemptsRecord { wait: WaitRecord::CutOff, ..attempts() };
        let want = b"\x01\xFB\x2C\x01\x02\x02\x02\xFB\xD0\x07\x03off";
        assert_eq!(
            record::encode(&cut_off),
            want,
            "one that was claimed when the store was closed"
        );
        let want = b"\x01\x03hi\0\xFB\xD0\x07\x09\x03\x01\x03off";
        assert_eq!(record::encode(&dead()), want, "one that was given up");
    }

    #[test]
    fn golden_saga() {
        let mut want = b"\x01\x04move\x02\x01\x02\x04main\x02\x01\x01\x01".to_vec();
        want.extend(b"\x02\x01a\x01b\x01\x01c\x01\x04\x06\x02no");
        want.extend(b"\x01\x01a\x02un\x01x\x01\x02\xFB\x2C\x01\x08\x0A\x03bad");
        assert_eq!(record::encode(&saga()), want, "one that compensates");
    }

    #[test]
    fn every_code_has_its_byte() {
        let phases = [PhaseCode::Running, PhaseCode::Compensating, PhaseCode::Finished];
        assert_eq!(record::encode(&phases), [1, 0, 1, 2], "phases");
        let outcomes = [
            OutcomeCode::Committed,
            OutcomeCode::Compensated,
            OutcomeCode::CompensatedWithFailures,
        ];
        assert_eq!(record::encode(&outcomes), [1, 0, 1, 2], "outcomes");
        let undo = [UndoCode::Pending, UndoCode::Done, UndoCode::GivenUp];
        assert_eq!(record::encode(&undo), [1, 0, 1, 2], "compensations");
    }
}
