//! The first rows of a store, and what an interrupted import left behind.

use std::path::Path;

use crate::clock::Timestamp;
use crate::engine::{Engine, Point, WriteSet, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{ChangesAt, Header, IdHasher, write_first};
use crate::format::refs::{BranchRecord, ImportRecord, LineRecord, StoreRecord, meta, pin};
use crate::format::{FORMAT_VERSION, Family, keys, record};
use crate::graph::Place;
use crate::id::{Fingerprint, LineId, Seq};
use crate::name::BranchName;

/// The root commit: the same in every store, whoever makes it and when.
fn root_commit() -> Header {
    let mut header = Header {
        id: [0; 32],
        line: LineId::ROOT.get(),
        parents: Vec::new(),
        time: 0,
        author: String::new(),
        message: String::new(),
        branch: String::new(),
        origin: None,
        grouped: false,
        fingerprint: *Fingerprint::EMPTY.as_bytes(),
        keys: 0,
        rows: 0,
        changes: 0,
        changes_at: ChangesAt::Here { further: 0 },
    };
    header.id = *IdHasher::new().finish(Seq::ROOT, &header).as_bytes();
    header
}

/// Writes the first rows of a store, synced: the root commit, `main`, and what is fixed for good.
pub(crate) fn create(
    engine: &Engine,
    id: [u8; 16],
    created: Timestamp,
    blob_threshold: usize,
) -> Result<()> {
    let mut set = WriteSet::default();
    let root_line = LineRecord { fork: None, layers: Vec::new(), layer_rows: 0 };
    let main = BranchRecord {
        line: LineId::ROOT.get(),
        parent: None,
        created_seq: Seq::ROOT.get(),
        created: created.as_millis(),
        description: String::new(),
        creator: String::new(),
    };
    let store =
        StoreRecord { id, created: created.as_millis(), blob_threshold: blob_threshold as u64 };
    let rows = [
        (Family::Log, keys::log(Seq::ROOT, 0).to_vec(), write_first(&root_commit(), &[])),
        (Family::Refs, keys::line(LineId::ROOT), record::encode(&root_line)),
        (Family::Refs, keys::branch(BranchName::main().as_str()), record::encode(&main)),
        (Family::Meta, meta::STORE.to_vec(), record::encode(&store)),
        (Family::Meta, meta::ACTIVE.to_vec(), record::encode(&BranchName::main().to_string())),
        (Family::Meta, meta::FORMAT.to_vec(), record::encode(&FORMAT_VERSION)),
    ];
    for (family, key, value) in &rows {
        engine.put(&mut set, *family, key, value);
    }
    engine.write(set)?;
    engine.sync()
}

/// Removes what an import has written that did not come to its end; says how many there were.
pub(crate) fn recover(engine: &Engine) -> Result<u64> {
    let Some(row) = engine.get(Family::Meta, meta::IMPORT)? else { return Ok(0) };
    let import: ImportRecord = record::decode("import marker", &row)?;
    drop(row);
    let line = LineId::new(import.first_line);
    let mut set = WriteSet::default();
    // Lines, their pins and their merges; nothing else refers to them.
    let end = [keys::kind::LINE + 1];
    let mut rows = engine.iter(Family::Refs, &keys::line(line), Some(&end));
    rows.seek_to_first();
    while let Some((key, value)) = rows.current()? {
        let stored: LineRecord = record::decode("line", value)?;
        let owner = keys::number_at(key, 1)?.to_be_bytes();
        if let Some(fork) = stored.fork.map(Place::from) {
            engine.delete(&mut set, Family::Refs, &keys::pin(fork.seq, pin::LINE, &owner));
        }
        engine.delete(&mut set, Family::Refs, key);
        rows.next();
    }
    drop(rows);
    engine.drop_range(Family::Refs, &keys::merge(line, Seq::ROOT), &[keys::kind::MERGE + 1])?;
    for family in [Family::Head, Family::History] {
        engine.drop_range(family, &keys::line_prefix(line), &[0xFF; 9])?;
    }
    let seq = Seq::new(import.first_seq);
    engine.drop_range(Family::Log, &keys::log(seq, 0), &keys::log(Seq::new(keys::LAST_SEQ), 0))?;
    let details = keys::merge_details(Seq::ROOT, 0);
    engine.drop_range(Family::Log, &keys::bulk_log(line, 0), &details[..2])?;
    engine.drop_range(Family::Log, &keys::merge_details(seq, 0), &[0xFF; 15])?;
    // The marker goes last: until then a crash starts this again.
    engine.delete(&mut set, Family::Meta, meta::IMPORT);
    engine.write(set)?;
    engine.sync()?;
    Ok(1)
}

/// Removes the read layers that were not finished; says how many there were.
pub(crate) fn drop_unfinished(engine: &Engine) -> Result<u64> {
    let mut lines = Vec::new();
    let mut rows = engine.iter_prefix(Family::Meta, meta::UNFINISHED);
    rows.seek_to_first();
    while let Some((key, _)) = rows.current()? {
        lines.push((key.to_vec(), LineId::new(keys::number_at(key, meta::UNFINISHED.len())?)));
        rows.next();
    }
    drop(rows);
    let count = lines.len() as u64;
    for (marker, line) in lines {
        engine.drop_range(
            Family::Head,
            &keys::line_prefix(line),
            &keys::line_prefix(line.next()),
        )?;
        let mut set = WriteSet::default();
        engine.delete(&mut set, Family::Refs, &keys::line(line));
        engine.delete(&mut set, Family::Meta, &marker);
        engine.write(set)?;
    }
    Ok(count)
}

/// The directory, beside the database, where bulk loads write their files.
pub(super) const BULK_DIR: &str = "bulk";

/// Removes files that a bulk load left behind; says how many there were.
pub(crate) fn remove_leftovers(store: &Path) -> Result<u64> {
    let dir = store.join(BULK_DIR);
    let count = std::fs::read_dir(&dir).map_or(0, |files| files.count() as u64);
    match fault::file(Point::Remove, &dir, || std::fs::remove_dir_all(&dir)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Io, "cannot remove the files of an unfinished bulk load")
                .because(e))
        }
        _ => Ok(count),
    }
}
