//! Opening the database: what its files say is judged before RocksDB may change any of them.

use std::path::Path;

use rocksdb::{DB, OptimisticTransactionDB};

use super::manifest::damaged;
use super::options::EngineOptions;
use super::recovery::{self, LogReport};
use super::{Db, failed};
use crate::error::{Error, ErrorKind, Result};

/// A reader tries so often to open the database while its writer changes the set of files.
pub(super) const MAX_OPENS: u64 = 100;
/// And so often if the files stay as they are and cannot be read.
const STEADY_OPENS: u64 = 3;

/// Name and length of the manifest: the same before and after, if no file was added or dropped.
pub(super) fn version(path: &Path) -> Option<(String, u64)> {
    let name = std::fs::read_to_string(path.join("CURRENT")).ok()?;
    let length = std::fs::metadata(path.join(name.trim_end())).ok()?.len();
    Some((name, length))
}

/// The files that change with every write: equal ones mean that nothing was written in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    manifest: Option<(String, u64)>,
    logs: Vec<(std::ffi::OsString, u64)>,
}

/// How the files of a database are at this moment. Cost: one look at the directory and at its logs.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if Path::new(&name).extension().is_some_and(|ext| ext == "log") {
            // One that goes away at this moment changes the manifest too.
            logs.push((name, entry.metadata().map_or(0, |data| data.len())));
        }
    }
    logs.sort_unstable();
    Stamp { manifest: version(path), logs }
}

/// RocksDB has not opened the database.
fn refused(cause: rocksdb::Error) -> Error {
    let error = failed("cannot open the database of the store", cause);
    match error.kind() {
        ErrorKind::Corrupt => error.with_hint("look with `withy doctor`; restore a backup"),
        _ => error,
    }
}

/// Opens for writing: the files are judged before RocksDB changes any of them.
pub(super) fn to_write(path: &Path, options: &EngineOptions) -> Result<(Db, LogReport)> {
    let is_there = path.join("CURRENT").exists();
    let report = match is_there {
        true => {
            let mut found = recovery::inspect(path)?;
            if options.is_for_salvage() {
                // It has cut logs that were longer.
                found.manifest.ended_logs.clear();
            }
            found.judge(path)?
        }
        false => LogReport::default(),
    };
    let db =
        OptimisticTransactionDB::open_cf_descriptors(&options.database(), path, options.families())
            .map_err(refused)?;
    if db.latest_sequence_number() < report.sequence {
        return Err(damaged("the database has recovered less than its log holds"));
    }
    Ok((Db::Write(db), report))
}

/// Opens for reading, beside a writer perhaps.
///
/// A write-ahead log may be flushed and removed between the reading of the manifest and of the log, or a
/// file be deleted before it is opened. Only an open during which the manifest stayed as it was has seen
/// everything. The log may grow between the look at it and RocksDB's reading, and then more is read.
pub(super) fn to_read(path: &Path, options: &EngineOptions) -> Result<(Db, LogReport)> {
    let mut tries = 0;
    loop {
        let before = version(path);
        // RocksDB may never come back from a record whose type is damaged, so the look comes first.
        let opened =
            recovery::inspect(path).and_then(|found| found.judge(path)).and_then(|report| {
                let (database, families) = (options.database(), options.families());
                let db = DB::open_cf_descriptors_read_only(&database, path, families, false)
                    .map_err(refused)?;
                match db.latest_sequence_number() < report.sequence {
                    true => Err(damaged("less was read than the log holds")),
                    false => Ok((Db::Read(db), report)),
                }
            });
        let steady = before.is_some() && before == version(path);
        // What is wrong while nothing changes stays wrong.
        if (steady && (opened.is_ok() || tries >= STEADY_OPENS)) || tries == MAX_OPENS {
            return opened;
        }
        tries += 1;
        std::thread::sleep(std::time::Duration::from_millis(tries.min(10)));
    }
}
