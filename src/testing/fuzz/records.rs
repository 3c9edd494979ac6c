//! Stored records and keys: what is read is written again, in no more bytes than it was read from.

use crate::format::commit::{
    Header, read_changes, read_first, read_further, write_first, write_further,
};
use crate::format::coord::{AttemptsRecord, DeadRecord, MessageRecord, SagaRecord};
use crate::format::cursor::CursorRecord;
use crate::format::merge::{
    OpenConflictRecord, OpenRecord, RulesRecord, SettledRecord, read_first_details,
    read_further_details,
};
use crate::format::prepared::{
    OutcomeRecord, PreparedMessage, PreparedRecord, ReadRecord, TransactionRecord, is_write,
    part_key, part_of, parts_prefix, written_key,
};
use crate::format::refs::{
    At, BranchRecord, CollectRecord, GoneRecord, IdsRecord, ImportRecord, IndexRecord, LayerRecord,
    LineRecord, OperationRecord, PurgeRecord, StoreRecord, TagRecord,
};
use crate::format::row::{read_head, read_history};
use crate::format::{keys, record};
use crate::graph::Commit;
use crate::id::{LineId, OpId, Seq};

/// What would be written for what is read; none if the bytes are refused.
type Decoder = fn(&[u8]) -> Option<Vec<u8>>;

/// Every decoder of stored records and keys. Seeds name them by number: new ones come last.
const DECODERS: [(&str, Decoder); 49] = [
    ("row of head", head),
    ("row of history", history),
    ("commit, first part", first),
    ("commit, further part", |b| Some(write_further(&changes(read_further(b).ok()?)?))),
    ("merge details, first part", first_details),
    ("merge details, further part", further_details),
    ("BranchRecord", takes::<BranchRecord>),
    ("TagRecord", takes::<TagRecord>),
    ("LineRecord", takes::<LineRecord>),
    ("LayerRecord", takes::<LayerRecord>),
    ("OperationRecord", takes::<OperationRecord>),
    ("StoreRecord", takes::<StoreRecord>),
    ("ImportRecord", takes::<ImportRecord>),
    ("IndexRecord", takes::<IndexRecord>),
    ("IdsRecord", takes::<IdsRecord>),
    ("parents of a merge", takes::<Vec<At>>),
    ("OpenRecord", takes::<OpenRecord>),
    ("OpenConflictRecord", takes::<OpenConflictRecord>),
    ("RulesRecord", takes::<RulesRecord>),
    ("MessageRecord", takes::<MessageRecord>),
    ("AttemptsRecord", takes::<AttemptsRecord>),
    ("DeadRecord", takes::<DeadRecord>),
    ("SagaRecord", takes::<SagaRecord>),
    ("PreparedRecord", takes::<PreparedRecord>),
    ("PreparedMessage", takes::<PreparedMessage>),
    ("ReadRecord", takes::<ReadRecord>),
    ("OutcomeRecord", takes::<OutcomeRecord>),
    ("TransactionRecord", takes::<TransactionRecord>),
    ("text", takes::<String>),
    ("number", takes::<u64>),
    ("number of a format", takes::<u32>),
    ("key of head", |b| Some(keys::head(line_at(b, 0)?, keys::head_user_key(b).ok()?))),
    ("key of history", history_key),
    ("key of the log", log_key),
    ("key of a branch or tag", |b| Some([b.get(..1)?, keys::name_of(b).ok()?.as_bytes()].concat())),
    ("key of a message", message_key),
    ("key of a saga", |b| Some(keys::saga(*b.get(1)?, keys::saga_id(b).ok()?))),
    ("key of a part of a transaction", |b| {
        Some(part_key("g", &part_of(b, &parts_prefix("g")).ok()?))
    }),
    ("key of an operation", operation_key),
    ("PurgeRecord", purge),
    ("CollectRecord", takes::<CollectRecord>),
    ("GoneRecord", takes::<GoneRecord>),
    ("CursorRecord", takes::<CursorRecord>),
    ("start of the operation log", takes::<(u64, u64)>),
    ("no content", takes::<()>),
    ("key of a conflict", conflict_key),
    ("key of what a transaction writes", written),
    ("key of a purge", |b| Some(keys::purge(keys::number_at(b, 1).ok()?))),
    ("key of what is gone of a line", |b| Some(keys::gone(line_at(b, 1)?))),
];

fn takes<T: record::Stored>(bytes: &[u8]) -> Option<Vec<u8>> {
    record::decode::<T>("record", bytes).ok().map(|value| record::encode(&value))
}

fn head(bytes: &[u8]) -> Option<Vec<u8>> {
    let (seq, cell) = read_head(bytes).ok()?;
    let mut out = Vec::new();
    cell.write_head(seq, &mut out);
    Some(out)
}

fn history(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    read_history(bytes).ok()?.write_history(&mut out);
    Some(out)
}

fn changes(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    read_changes(bytes, |change| record::append(&change, &mut out)).ok()?;
    Some(out)
}

fn first(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = read_first(bytes).ok()?;
    let out = write_first(&header, &changes(rest)?);
    show(header);
    Some(out)
}

/// A commit can be shown, whatever it says of times.
fn show(header: Header) {
    let commit = Commit::new(Seq::ROOT, header);
    assert!(!format!("{commit:?} {}", commit.time).is_empty(), "it is shown");
}

fn settled(mut out: Vec<u8>, all: &[SettledRecord]) -> Vec<u8> {
    all.iter().for_each(|one| record::append(one, &mut out));
    out
}

fn first_details(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, all) = read_first_details(bytes).ok()?;
    Some(settled(record::encode(&head), &all))
}

fn further_details(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(settled(record::encode(&()), &read_further_details(bytes).ok()?))
}

fn purge(bytes: &[u8]) -> Option<Vec<u8>> {
    let purge: PurgeRecord = record::decode("purge", bytes).ok()?;
    assert!(!format!("{:?}", purge.range()).is_empty(), "bounds in any order are a range");
    Some(record::encode(&purge))
}

fn line_at(bytes: &[u8], at: usize) -> Option<LineId> {
    keys::number_at(bytes, at).ok().map(LineId::new)
}

fn history_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let (in_head, seq) = keys::history_parts(bytes).ok()?;
    assert_eq!(keys::history_seq(bytes), Ok(seq), "both see the same sequence");
    Some(keys::history(line_at(&in_head, 0)?, keys::head_user_key(&in_head).ok()?, seq))
}

fn log_key(bytes: &[u8]) -> Option<Vec<u8>> {
    match keys::log_parts(bytes).ok()? {
        Some((seq, part)) => Some(keys::log(seq, part).to_vec()),
        None => keys::behind_log(bytes).ok().map(|_| bytes.to_vec()),
    }
}

fn message_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let (topic, seq, number) = keys::outbox_parts(bytes).ok()?;
    Some(keys::outbox_row(bytes[1], topic, seq, number))
}

fn operation_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let seq = Seq::new(keys::number_at(bytes, 1).ok()?);
    Some(keys::operation(OpId { seq, step: keys::number_at(bytes, 9).ok()? }))
}

fn conflict_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let (at, key) = keys::open_conflict_parts(bytes, &keys::open_conflicts("main")).ok()?;
    Some(keys::open_conflict("main", at, key))
}

fn written(bytes: &[u8]) -> Option<Vec<u8>> {
    let (gid, _) = written_key(bytes).ok().filter(|_| is_write(bytes))?;
    Some(part_key(gid, &part_of(bytes, &parts_prefix(gid)).ok()?))
}

/// What would be written for a stored record that is read; none if it is refused. The first byte says which
/// decoder takes the rest.
pub fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let (which, rest) = bytes.split_first()?;
    DECODERS[usize::from(*which) % DECODERS.len()].1(rest)
}

/// Stored records: the first byte says which decoder takes the rest. What is written for one takes no more
/// bytes, and is read as the same.
pub fn records(bytes: &[u8]) {
    let Some(written) = rewritten(bytes) else { return };
    assert!(written.len() < bytes.len(), "what is written is the shortest form");
    let again = [&bytes[..1], &written].concat();
    assert_eq!(rewritten(&again), Some(written), "what is written is read as the same");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn here(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn files(dir: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(here(dir)).expect("the directory is read");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn every_decoder_has_a_seed_that_is_written_again_as_it_is() {
        let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
        for path in files("fuzz/seeds/records") {
            let seed = fs::read(&path).expect("a seed is read");
            if rewritten(&seed).as_deref() != Some(&seed[1..]) {
                wrong.push(path);
            }
            seen.insert(usize::from(seed[0]));
        }
        assert!(wrong.is_empty(), "not as it is written: {wrong:?}");
        let without: Vec<_> = (0..)
            .zip(DECODERS)
            .filter(|(n, _)| !seen.contains(n))
            .map(|(_, (name, _))| name)
            .collect();
        assert!(without.is_empty(), "without a seed: {without:?}");
    }

    #[test]
    fn every_decoder_is_in_the_table_of_the_targets() {
        let table = fs::read_to_string(here("fuzz/README.md")).expect("the table is read");
        for (name, _) in DECODERS {
            assert!(table.contains(name), "fuzz/README.md names {name}");
        }
    }

    /// The types that can be decoded, and the words in the fields and variants of all types.
    fn decoded(sources: &[String]) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let (mut types, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for lines in sources.iter().map(|source| source.lines().collect::<Vec<_>>()) {
            for pair in lines.windows(2).filter(|pair| pair[0].ends_with("Decode)]")) {
                types.extend(pair[1].split([' ', '<', '(']).nth(3));
            }
            let is_part = |line: &&str| {
                let rest = line.strip_prefix("    ").unwrap_or_default();
                let is_field = rest.starts_with("pub(crate) ") && !rest.contains("fn ");
                is_field || rest.starts_with(|c: char| c.is_ascii_uppercase())
            };
            let words = |line| str::split(line, |c: char| !c.is_ascii_alphanumeric());
            parts.extend(lines.iter().copied().filter(is_part).flat_map(words));
        }
        (types, parts)
    }

    #[test]
    fn no_record_of_the_format_is_forgotten() {
        let read = |path: PathBuf| fs::read_to_string(path).expect("a source is read");
        let here = [read(here(file!())), read(here("src/testing/fuzz/files.rs"))].concat();
        let sources: Vec<_> = files("src/format").into_iter().map(read).collect();
        let (types, parts) = decoded(&sources);
        assert!(types.contains("PurgeRecord") && parts.contains("PieceRecord"), "they are seen");
        let is_forgotten = |name: &&&str| {
            // Those that are read by functions of their own.
            const READ: [&str; 3] = ["Change", "MergeRecord", "SnapshotRecord"];
            let is_read = here.contains(**name) || READ.contains(*name);
            !is_read && !parts.contains(**name)
        };
        let forgotten: Vec<_> = types.iter().filter(is_forgotten).collect();
        assert!(forgotten.is_empty(), "no decoder takes {forgotten:?}");
    }
}
