//! What is looked at before RocksDB opens the files of a store, and what may follow from it.
//!
//! RocksDB recovers up to the first record that it cannot read, and deletes the logs afterwards. So
//! whether that record is a torn end or damage is decided here, while everything is still there.

use std::path::Path;

use super::logfile::Bad;
use super::manifest::{Manifest, damaged};
use super::wal::{self, LogFault, LogScan};
use super::watermark;
use crate::error::{Error, Result};
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
    let logs = wal::scan(store, manifest.oldest_log())?;
    Ok(Inspection { manifest, logs, synced, boot: watermark::this_boot() })
}

impl Inspection {
    /// What recovery comes to.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), with file and offset, if something is wrong
    /// that is not the torn end of what was never acknowledged.
    pub(crate) fn judge(&self, store: &Path) -> Result<LogReport> {
        let mut cuts = Vec::new();
        cuts.extend(self.judge_manifest()?);
        self.judge_files(store)?;
        cuts.extend(self.judge_log()?);
        Ok(LogReport { logs: self.logs.clone(), cuts, sequence: self.reached() })
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

    fn judge_manifest(&self) -> Result<Option<Cut>> {
        let manifest = &self.manifest;
        let Some(bad) = manifest.fault else { return Ok(None) };
        if !bad.is_torn || manifest.valid_behind {
            return Err(wrong(&manifest.name, bad));
        }
        Ok(Some(Cut {
            file: manifest.name.clone(),
            at: manifest.whole,
            bytes: manifest.len - manifest.whole,
            why: bad.why,
        }))
    }

    /// Every file that the manifest names is there, and as long as it should be.
    fn judge_files(&self, store: &Path) -> Result<()> {
        for (number, table) in &self.manifest.tables {
            let name = format!("{number:06}.sst");
            let family = self.manifest.family(table.family);
            match std::fs::metadata(store.join(&name)) {
                Ok(data) if data.len() == table.size => {}
                Ok(data) => {
                    let (has, size) = (data.len(), table.size);
                    return Err(damaged(format!(
                        "the data file {name} of family {family} has {has} bytes instead of {size}"
                    )));
                }
                Err(e) => {
                    return Err(damaged(format!(
                        "the data file {name} of family {family} is missing"
                    ))
                    .because(e));
                }
            }
        }
        for number in self.manifest.needed_blobs() {
            let name = format!("{number:06}.blob");
            std::fs::metadata(store.join(&name)).map_err(|e| {
                damaged(format!("the file of large values {name} is missing")).because(e)
            })?;
        }
        Ok(())
    }

    fn judge_log(&self) -> Result<Option<Cut>> {
        let newest = self.manifest.newest_named_log();
        let has_newest = self.logs.logs.last().is_some_and(|&last| last >= newest);
        if !has_newest && newest > 0 && self.is_same_run() {
            return Err(damaged(format!("the log {} is missing", wal::log_name(newest))));
        }
        let Some(fault) = &self.logs.fault else {
            return self.has_all_synced(None).map(|()| None);
        };
        self.has_all_synced(Some(fault))?;
        let is_tail = fault.bad.is_torn && fault.valid_behind.is_none();
        if !is_tail && self.is_same_run() {
            return Err(in_log(fault));
        }
        Ok(Some(Cut {
            file: fault.file.clone(),
            at: fault.whole,
            bytes: fault.lost,
            why: fault.bad.why,
        }))
    }

    /// Refuses if something is missing that is known to have been on disk.
    fn has_all_synced(&self, fault: Option<&LogFault>) -> Result<()> {
        let Some(synced) = self.synced else { return Ok(()) };
        let (reached, sequence) = (self.reached(), synced.sequence);
        if reached >= sequence {
            return Ok(());
        }
        let missing = sequence - reached;
        if let Some(fault) = fault {
            return Err(in_log(fault));
        }
        let end = match self.logs.logs.last() {
            Some(&last) => format!("the log {} ends too early", wal::log_name(last)),
            None => "the log is missing".to_owned(),
        };
        Err(damaged(format!("{end}: {missing} acknowledged writes are gone")))
    }
}

fn in_log(fault: &LogFault) -> Error {
    wrong(&fault.file, fault.bad)
}

fn wrong(file: &str, bad: Bad) -> Error {
    damaged(format!("the log file {file} is damaged at byte {}: {}", bad.at, bad.why))
}
