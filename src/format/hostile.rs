//! Hostile bytes into every decoder: a fault, never a panic, never a large allocation.

use super::backup::tests::snapshot;
use super::backup::{decode_snapshot, encode_snapshot};
use super::commit::{
    ChangesAt, Header, OriginRecord, ParentRecord, Parts, read_changes, read_first, read_further,
    write_first, write_further,
};
use super::coord::tests::{attempts, dead, message, saga};
use super::coord::{AttemptsRecord, DeadRecord, MessageRecord, SagaRecord};
use super::cursor::CursorRecord;
use super::cursor::tests::cursor;
use super::merge::tests::{head as head_of_merge, open, open_conflict, rules, settled};
use super::merge::{
    OpenConflictRecord, OpenRecord, RulesRecord, read_first_details, read_further_details,
    write_details,
};
use super::prepared::tests::{message as prepared_message, outcome, prepared, read, transaction};
use super::prepared::{
    OutcomeRecord, PreparedMessage, PreparedPart, PreparedRecord, ReadRecord, TransactionRecord,
    part_key, part_of, parts_prefix,
};
use super::refs::{
    At, BranchRecord, CollectRecord, GoneRecord, IdsRecord, ImportRecord, IndexRecord, LayerRecord,
    LineRecord, OpAt, OpKind, OperationRecord, PurgeRecord, RefEdit, RefName, RefState,
    StoreRecord, TagRecord,
};
use super::row::{Cell, read_head, read_history};
use super::{keys, record};
use crate::id::{LineId, OpId, Seq, ValueHash};

/// Whether a decoder takes the bytes. It must come to an answer, whatever they are.
type Decoder = fn(&[u8]) -> bool;

/// A decoder, a record that it takes, and whether a record that is cut short is a fault.
struct Case {
    name: &'static str,
    decoder: Decoder,
    bytes: Vec<u8>,
    whole: bool,
}

fn case(name: &'static str, bytes: Vec<u8>, decoder: Decoder) -> Case {
    Case { name, decoder, bytes, whole: true }
}

/// One whose records may end anywhere.
fn open_ended(name: &'static str, bytes: Vec<u8>, decoder: Decoder) -> Case {
    Case { name, decoder, bytes, whole: false }
}

fn takes<T: record::Stored>(bytes: &[u8]) -> bool {
    record::decode::<T>("record", bytes).is_ok()
}

const PART: PreparedPart<'static> = PreparedPart::Write(1, b"k");

fn header() -> Header {
    Header {
        id: [1; 32],
        line: 3,
        parents: vec![ParentRecord { line: 2, seq: 300, id: [2; 32] }; 2],
        time: 1_000,
        author: "ann".into(),
        message: "a message".into(),
        branch: "main".into(),
        origin: Some(OriginRecord {
            authored: (-5, 60),
            committer: "ben".into(),
            committed: (1 << 40, -60),
        }),
        grouped: true,
        fingerprint: [9; 32],
        keys: 5,
        rows: 6,
        changes: 2,
        changes_at: ChangesAt::Bulk { parts: 70_000 },
    }
}

fn cases() -> Vec<Case> {
    let hash = ValueHash::of(b"value");
    let mut parts = Parts::default();
    parts.push(b"key", None, Some(hash), false);
    parts.push(b"other", Some(hash), None, true);
    let changes = parts.finish().concat();
    let head = |cell: Cell<'_>| {
        let mut out = Vec::new();
        cell.write_head(Seq::new(300), &mut out);
        out
    };
    let history = |cell: Cell<'_>| {
        let mut out = Vec::new();
        cell.write_history(&mut out);
        out
    };
    let branch = BranchRecord {
        line: 3,
        parent: Some("main".into()),
        created_seq: 300,
        created: 1_000,
        description: "what it is for".into(),
        creator: "ann".into(),
    };
    let at = At { line: 3, seq: 300 };
    let tag = TagRecord { at, created: -1, description: String::new(), creator: "ann".into() };
    let edit = |name, before, after| RefEdit { name, before, after };
    let operation = OperationRecord {
        kind: OpKind::Undo {
            target: OpAt { seq: 5, step: 1 },
            next: Some(OpAt { seq: 4, step: 0 }),
            redo: None,
        },
        time: 1_000,
        author: "ann".into(),
        what: "undo".into(),
        since: 5,
        edits: vec![
            edit(RefName::Branch("b".into()), None, Some(RefState::Branch(branch.clone(), 7))),
            edit(RefName::Tag("t".into()), Some(RefState::Tag(tag.clone())), None),
            edit(RefName::Active, Some(RefState::Active("a".into())), None),
        ],
    };
    let line = LineRecord { fork: Some(at), layers: vec![at; 3], layer_rows: 9 };
    let index = IndexRecord { before: 9, deltas: vec![300, 1, 1 << 40] };
    let ids = IdsRecord { ids: vec![(u64::MAX, 300); 3] };
    let store = StoreRecord { id: [7; 16], created: 1_000, blob_threshold: 16_384 };
    let import = ImportRecord { first_line: 7, first_seq: 300 };
    let floors = vec![(Vec::new(), 300), (b"a".to_vec(), 7)];
    let gone = GoneRecord { floors, kept: vec![2, 299], top: Some(400), dead: false };
    let collect = CollectRecord { phase: 3, at: b"at".to_vec() };
    let blob = Cell::Blob { hash, len: 99 };
    let merge_details = || write_details(&head_of_merge(), &[settled()]).concat();
    let mut further = record::encode(&());
    record::append(&settled(), &mut further);
    vec![
        case("snapshot", encode_snapshot(&snapshot()), |b| decode_snapshot(b).is_ok()),
        case("snapshot, sealed anew", record::encode(&snapshot()), |b| {
            decode_snapshot(&[b, blake3::hash(b).as_bytes()].concat()).is_ok()
        }),
        case("head, blob", head(blob), |b| read_head(b).is_ok()),
        open_ended("head, value", head(Cell::Inline(b"value")), |b| read_head(b).is_ok()),
        case("head, purged value", head(Cell::Purged { hash }), |b| read_head(b).is_ok()),
        case("head, deletion", head(Cell::Deleted), |b| read_head(b).is_ok()),
        case("history, blob", history(blob), |b| read_history(b).is_ok()),
        open_ended("history, value", history(Cell::Inline(b"v")), |b| read_history(b).is_ok()),
        open_ended("log, first part", write_first(&header(), &changes), |b| {
            read_first(b).is_ok_and(|(_, rest)| read_changes(rest, |_| {}).is_ok())
        }),
        open_ended("log, further part", write_further(&changes), |b| {
            read_further(b).is_ok_and(|rest| read_changes(rest, |_| {}).is_ok())
        }),
        case("branch", record::encode(&branch), takes::<BranchRecord>),
        case("tag", record::encode(&tag), takes::<TagRecord>),
        case("line", record::encode(&line), takes::<LineRecord>),
        case("operation", record::encode(&operation), takes::<OperationRecord>),
        case("merge", record::encode(&vec![at; 3]), takes::<Vec<At>>),
        open_ended("merge details", merge_details(), |b| read_first_details(b).is_ok()),
        open_ended("merge details, further part", further, |b| read_further_details(b).is_ok()),
        case("open merge", record::encode(&open()), takes::<OpenRecord>),
        case("open conflict", record::encode(&open_conflict()), takes::<OpenConflictRecord>),
        case("merge rules", record::encode(&rules()), takes::<RulesRecord>),
        case("message", record::encode(&message()), takes::<MessageRecord>),
        case("attempts", record::encode(&attempts()), takes::<AttemptsRecord>),
        case("dead letter", record::encode(&dead()), takes::<DeadRecord>),
        case("cursor", record::encode(&cursor()), takes::<CursorRecord>),
        case("saga", record::encode(&saga()), takes::<SagaRecord>),
        case("prepared transaction", record::encode(&prepared()), takes::<PreparedRecord>),
        case("keys that were read", record::encode(&read()), takes::<ReadRecord>),
        case("prepared message", record::encode(&prepared_message()), takes::<PreparedMessage>),
        case("outcome", record::encode(&outcome()), takes::<OutcomeRecord>),
        case("transaction", record::encode(&transaction()), takes::<TransactionRecord>),
        case("index block", record::encode(&index), takes::<IndexRecord>),
        case("ids", record::encode(&ids), takes::<IdsRecord>),
        case("read layer", record::encode(&LayerRecord { line: 300 }), takes::<LayerRecord>),
        case("store", record::encode(&store), takes::<StoreRecord>),
        case("import", record::encode(&import), takes::<ImportRecord>),
        case("what is gone", record::encode(&gone), takes::<GoneRecord>),
        case("collection", record::encode(&collect), takes::<CollectRecord>),
        case("purge", record::encode(&purge()), takes::<PurgeRecord>),
        case("text", record::encode(&"main".to_owned()), takes::<String>),
        case("number", record::encode(&300_u64), takes::<u64>),
        case("format", record::encode(&70_000_u32), takes::<u32>),
        open_ended("head key", keys::head(LineId::new(3), b"k"), |b| {
            keys::head_user_key(b).is_ok()
        }),
        open_ended("history key", keys::history(LineId::new(3), b"k", Seq::new(9)), |b| {
            keys::history_seq(b).is_ok()
        }),
        case("log key", keys::log(Seq::new(3), 1).to_vec(), |b| keys::log_parts(b).is_ok()),
        open_ended("branch key", keys::branch("main"), |b| keys::name_of(b).is_ok()),
        case("message key", keys::message("mail", Seq::new(3), 1), |b| {
            keys::outbox_parts(b).is_ok()
        }),
        open_ended("saga key", keys::saga(keys::saga::UNFINISHED, "order/7"), |b| {
            keys::saga_id(b).is_ok()
        }),
        open_ended("prepared part key", part_key("g", &PART), |b| {
            part_of(b, &parts_prefix("g")).is_ok()
        }),
        case("operation key", keys::operation(OpId { seq: Seq::new(3), step: 1 }), |b| {
            keys::number_at(b, 9).is_ok()
        }),
    ]
}

fn purge() -> PurgeRecord {
    PurgeRecord {
        start: b"k".to_vec(),
        end: Some(b"l".to_vec()),
        upto: 300,
        time: 1_000,
        author: "ann".into(),
        reason: "it leaked".into(),
        commits: vec![299, 300],
        versions: 2,
        values: 1,
        done: true,
    }
}

#[test]
fn every_record_is_taken_whole_and_no_cut_of_one_is() {
    for case in cases() {
        assert!((case.decoder)(&case.bytes), "{}: what was written is read", case.name);
        for cut in 0..case.bytes.len() {
            let taken = (case.decoder)(&case.bytes[..cut]);
            assert!(!(taken && case.whole), "{}: cut at {cut} is a fault", case.name);
        }
    }
}

#[test]
fn an_unknown_version_is_refused() {
    for case in cases().into_iter().filter(|case| !case.name.ends_with(" key")) {
        let mut bytes = case.bytes;
        // Rows of head and history have the version in the high half of their tag.
        let step = if case.name.starts_with('h') { 0x10 } else { 1 };
        bytes[0] += step;
        assert!(!(case.decoder)(&bytes), "{}: a newer version is refused", case.name);
        bytes[0] -= 2 * step;
        assert!(!(case.decoder)(&bytes), "{}: version 0 is refused", case.name);
    }
}

#[test]
fn bytes_behind_the_end_of_a_record_are_refused() {
    let known = ["log key", "operation key"];
    for case in cases().into_iter().filter(|c| c.whole && !known.contains(&c.name)) {
        let longer = [case.bytes.as_slice(), &[0]].concat();
        assert!(!(case.decoder)(&longer), "{}: nothing may follow", case.name);
    }
}

#[test]
fn mutated_and_random_bytes_come_to_an_answer() {
    let mut random = fastrand::Rng::with_seed(11);
    let sharp = [0, 1, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF];
    for case in cases() {
        for at in 0..case.bytes.len() {
            for byte in sharp {
                let mut bytes = case.bytes.clone();
                bytes[at] = byte;
                (case.decoder)(&bytes);
                // The same as the start of a number of eight bytes, all ones.
                bytes.splice(at..=at, [0xFD; 1].into_iter().chain([byte; 8]));
                (case.decoder)(&bytes);
            }
        }
        for _ in 0..5_000 {
            let mut bytes = case.bytes.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(0..=bytes.len());
                match random.u32(0..4) {
                    0 if at < bytes.len() => bytes[at] = random.u8(..),
                    1 if at < bytes.len() => bytes[at] ^= 1 << random.u32(0..8),
                    2 => bytes.insert(at, sharp[random.usize(0..sharp.len())]),
                    _ => bytes.truncate(at),
                }
            }
            (case.decoder)(&bytes);
        }
        for _ in 0..2_000 {
            let len = random.usize(0..80);
            let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
            (case.decoder)(&bytes);
            // Past the version, where there is one.
            if let (Some(first), Some(version)) = (bytes.first_mut(), case.bytes.first()) {
                *first = *version;
            }
            (case.decoder)(&bytes);
        }
    }
}

#[test]
fn a_length_that_the_bytes_cannot_hold_is_a_fault() {
    // Just below what one record of this size may take in memory, and far above.
    for claim in [200_u64 << 10, 3 << 20, 200 << 20, 1 << 40, u64::MAX] {
        let mut text = vec![1, 0xFD];
        text.extend(claim.to_le_bytes());
        text.extend(b"short");
        assert!(!takes::<String>(&text), "a text of {claim} bytes");
        assert!(!takes::<Vec<At>>(&text), "a merge of {claim} parents");
        assert!(!takes::<IdsRecord>(&text), "a block of {claim} ids");
        text[0] = 0;
        assert!(read_changes(&text[1..], |_| {}).is_err(), "a key of {claim} bytes");
    }
    let long = "x".repeat(2 << 20);
    for len in [0, 1, 250, 251, 0x1000, 0x1_0000, 0x10_0000, 2 << 20] {
        let text = long[..len].to_owned();
        assert_eq!(record::decode("text", &record::encode(&text)), Ok(text), "one that is there");
    }
    for count in [1, 100, 5_000, 200_000] {
        let ids = IdsRecord { ids: (0..count).map(|n| (n, n)).collect() };
        assert_eq!(record::decode("ids", &record::encode(&ids)), Ok(ids), "as many as there are");
    }
}

#[test]
fn many_edits_of_one_operation_are_read_back() {
    for count in [1, 40, 600, 8_000] {
        let edit = RefEdit {
            name: RefName::Active,
            before: None,
            after: Some(RefState::Active("a".into())),
        };
        let operation = OperationRecord {
            kind: OpKind::Do,
            time: 0,
            author: String::new(),
            what: String::new(),
            since: 0,
            edits: vec![edit; count],
        };
        let bytes = record::encode(&operation);
        assert_eq!(record::decode("operation", &bytes), Ok(operation), "{count} of the smallest");
    }
}
