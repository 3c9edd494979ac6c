//! What is looked at before RocksDB opens the files of a store, and what may follow from it.
//!
//! RocksDB recovers up to the first record that it cannot read, and deletes the logs afterwards. So
//! whether that record is a torn end or damage is decided here, while everything is still there.

use std::path::Path;

use super::files::{FileKind, MARKER};
use super::logfile::Bad;
use super::manifest::{Manifest, damaged};
use super::wal::{self, LogScan};
use super::watermark;
use crate::error::Result;
use crate::format::synced::Synced;

/// All that the files say about themselves.
pub(crate) struct Inspection {
    pub(crate) manifest: Manifest,
    pub(crate) logs: LogScan,
    synced: Option<Synced>,
    boot: [u8; 16],
}

/// A part of a file that was never acknowledged and is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) file: String,
    pub(crate) at: u64,
    pub(crate) bytes: u64,
    pub(crate) why: &'static str,
}

/// Damage: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) file: String,
    pub(crate) at: Option<u64>,
    /// A sentence that names both.
    pub(crate) what: String,
}

impl Fault {
    pub(super) fn new(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: file.into(), at: None, what: what.into() }
    }

    fn in_record(file: &str, bad: Bad) -> Self {
        let what = format!("the file {file} is damaged at byte {}: {}", bad.at, bad.why);
        Self { file: file.to_owned(), at: Some(bad.at), what }
    }
}

impl Manifest {
    /// What is wrong with it, a torn end aside.
    pub(crate) fn damage(&self) -> Option<Fault> {
        let bad = self.fault.filter(|bad| !bad.is_torn || self.valid_behind)?;
        Some(Fault::in_record(&self.name, bad))
    }
}

/// What recovery starts from.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogReport {
    pub(crate) logs: LogScan,
    pub(crate) cuts: Vec<Cut>,
    /// RocksDB's sequence number that must be reached.
    pub(crate) sequence: u64,
}

/// Reads manifest and logs, and looks whether all files are there.
pub(crate) fn inspect(store: &Path) -> Result<Inspection> {
    // Before the logs: beside a writer it only grows.
    let synced = watermark::read(store);
    let manifest = Manifest::read(store)?;
    let logs = wal::scan(store, manifest.oldest_log(), manifest.last_sequence)?;
    Ok(Inspection { manifest, logs, synced, boot: watermark::this_boot() })
}

impl Inspection {
    /// What recovery comes to.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), with file and offset, if something is wrong
    /// that is not the torn end of what was never acknowledged.
    pub(crate) fn judge(&self, store: &Path) -> Result<LogReport> {
        let (faults, cuts) = self.examine(store);
        match faults.into_iter().next() {
            Some(fault) if FileKind::of(&fault.file) == Some(FileKind::Table) => {
                let hint = "restore a backup; nothing else can make a data file again";
                Err(damaged(fault.what).with_hint(hint))
            }
            Some(fault) => Err(damaged(fault.what)),
            None => Ok(LogReport { logs: self.logs.clone(), cuts, sequence: self.reached() }),
        }
    }

    /// All that is wrong, and the ends that are cut.
    pub(crate) fn examine(&self, store: &Path) -> (Vec<Fault>, Vec<Cut>) {
        let (mut faults, mut cuts) = (Vec::new(), Vec::new());
        match self.judge_manifest() {
            Ok(cut) => cuts.extend(cut),
            Err(fault) => faults.push(fault),
        }
        faults.extend(self.judge_families(store));
        faults.extend(self.judge_files(store));
        faults.extend(self.judge_ended_logs(store));
        match self.judge_log() {
            Ok(cut) => cuts.extend(cut),
            Err(fault) => faults.push(fault),
        }
        (faults, cuts)
    }

    /// The last sequence that is there without a hole.
    fn reached(&self) -> u64 {
        self.logs.last.unwrap_or(self.manifest.last_sequence)
    }

    /// Whether only a process can have ended since the log was written: then no byte that was written
    /// is missing or wrong, and the last write may be short. A store without a mark is taken so too.
    fn is_same_run(&self) -> bool {
        const UNKNOWN: [u8; 16] = [0; 16];
        self.synced.is_none_or(|synced| synced.boot == self.boot && self.boot != UNKNOWN)
    }

    fn judge_manifest(&self) -> std::result::Result<Option<Cut>, Fault> {
        let manifest = &self.manifest;
        if let Some(fault) = manifest.damage() {
            return Err(fault);
        }
        let Some(bad) = manifest.fault else { return Ok(None) };
        Ok(Some(Cut {
            file: manifest.name.clone(),
            at: manifest.whole,
            bytes: manifest.len - manifest.whole,
            why: bad.why,
        }))
    }

    /// Every family is there, in a store that was made to its end.
    fn judge_families(&self, store: &Path) -> Option<Fault> {
        let family = self.manifest.missing_family().filter(|_| store.join(MARKER).exists())?;
        let name = &self.manifest.name;
        let what =
            format!("the file {name} is damaged at its end: it does not name family {family}");
        Some(Fault { file: name.clone(), at: Some(self.manifest.whole), what })
    }

    /// Every file that the manifest names is there, and as long as it should be.
    fn judge_files(&self, store: &Path) -> Vec<Fault> {
        let tables = self.manifest.tables.iter().map(|(number, table)| {
            let name = table_name(*number);
            let family = self.manifest.family(table.family);
            let of = format!("the data file {name} of family {family}");
            (name, of, table.size)
        });
        let blobs = self.manifest.needed_blobs().map(|(number, blob)| {
            let name = blob_name(number);
            let of = format!("the file of large values {name}");
            (name, of, blob.size)
        });
        let faults = tables.chain(blobs).filter_map(|(name, of, size)| {
            match std::fs::metadata(store.join(&name)) {
                Ok(data) if data.len() == size => None,
                Ok(data) => {
                    let what = format!("{of} has {} bytes instead of {size}", data.len());
                    Some(Fault::new(name, what))
                }
                Err(e) => Some(Fault::new(name, missing(&of, &e))),
            }
        });
        faults.collect()
    }

    /// Every log that was ended and put on disk is there, and as long as it was then. RocksDB asks the same, but
    /// only once it has been given the files.
    fn judge_ended_logs(&self, store: &Path) -> Vec<Fault> {
        let ended = self.manifest.ended_logs.iter().filter_map(|(number, size)| {
            let name = wal::log_name(*number);
            let of = format!("the log {name}");
            match std::fs::metadata(store.join(&name)) {
                Ok(data) if data.len() >= *size => None,
                Ok(data) => {
                    let len = data.len();
                    let what = format!("{of} has {len} bytes, of which {size} were on disk");
                    Some(Fault::new(name, what))
                }
                Err(e) => Some(Fault::new(name, missing(&of, &e))),
            }
        });
        ended.collect()
    }

    fn judge_log(&self) -> std::result::Result<Option<Cut>, Fault> {
        let newest = self.manifest.newest_named_log();
        let has_newest = self.logs.logs.last().is_some_and(|&last| last >= newest);
        if !has_newest && newest > 0 && self.is_same_run() {
            let name = wal::log_name(newest);
            let what = format!("the newest log, {name} or a later one, is missing");
            return Err(Fault::new(name, what));
        }
        let Some(fault) = &self.logs.fault else {
            return self.has_all_synced().map(|()| None);
        };
        let is_acknowledged = self.has_all_synced().is_err();
        let is_tail = fault.bad.is_torn && fault.valid_behind.is_none();
        // RocksDB would read on behind a gap.
        if is_acknowledged || fault.is_gap || (!is_tail && self.is_same_run()) {
            return Err(Fault::in_record(&fault.file, fault.bad));
        }
        Ok(Some(Cut {
            file: fault.file.clone(),
            at: fault.whole,
            bytes: fault.lost,
            why: fault.bad.why,
        }))
    }

    /// How many writes are missing of those that are known to have been on disk: rows, not commits.
    pub(super) fn lost_writes(&self) -> u64 {
        let acknowledged = self.synced.map_or(0, |synced| synced.sequence);
        acknowledged.saturating_sub(self.reached())
    }

    /// Refuses if something is missing that is known to have been on disk.
    fn has_all_synced(&self) -> std::result::Result<(), Fault> {
        let missing = self.lost_writes();
        if missing == 0 {
            return Ok(());
        }
        let name = wal::log_name(self.logs.logs.last().copied().unwrap_or(0));
        let end = match self.logs.logs.is_empty() {
            false => format!("the log {name} ends too early"),
            true => "the log is missing".to_owned(),
        };
        let what = format!("{end}: {missing} writes that were on disk are gone");
        Err(Fault::new(name, what))
    }
}

/// The name of a file of sorted rows.
pub(super) fn table_name(number: u64) -> String {
    format!("{number:06}.sst")
}

/// The name of a file of large values.
pub(super) fn blob_name(number: u64) -> String {
    format!("{number:06}.blob")
}

fn missing(what: &str, cause: &std::io::Error) -> String {
    match cause.kind() {
        std::io::ErrorKind::NotFound => format!("{what} is missing"),
        _ => format!("{what} cannot be looked at: {cause}"),
    }
}
