//! What is told of a snapshot.

use crate::clock::Timestamp;
use crate::format::backup::SnapshotRecord;
use crate::id::Seq;

/// One snapshot in a directory of backups.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::{BackupOptions, Backups};
/// store.back_up(dir.path().join("backup"), BackupOptions::default().message("nightly"))?;
/// let first = Backups::open(dir.path().join("backup"))?.list()?.remove(0);
/// assert_eq!((first.number, first.message.as_str()), (1, "nightly"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupInfo {
    /// Counts the snapshots of a backup from 1; never given twice while a later one is there.
    pub number: u64,
    /// When it was begun.
    pub time: Timestamp,
    /// Every commit up to this one is in it. Commits that were made meanwhile may be, in order.
    pub latest: Seq,
    /// What it was made for.
    pub message: String,
    /// How many files the store has that it restores.
    pub files: u64,
    /// How large they are together.
    pub bytes: u64,
}

impl BackupInfo {
    pub(super) fn of(record: &SnapshotRecord) -> Self {
        Self {
            number: record.number,
            time: Timestamp::from_millis(record.time),
            latest: Seq::new(record.latest),
            message: record.message.clone(),
            files: record.files.len() as u64,
            bytes: record.files.iter().map(|file| file.size).sum(),
        }
    }
}
