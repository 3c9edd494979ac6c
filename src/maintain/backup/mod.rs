//! Backups: snapshots of a store in a directory of their own, each content once.
//!
//! ```text
//! withy.backup                      marker: format, id of the store
//! withy.writer                      locked by who adds or prunes
//! withy.readers                     locked, shared, by who verifies or restores
//! snapshots/00000001                record: files, and the hashes of their pieces
//! files/3f/3f9a...                  a piece, under its BLAKE3
//! new/                              pieces that are being written
//! ```
//!
//! A snapshot is there once its record is, and its record is written after all that it names is on disk
//! (INV-55). Contents go after the last record that names them (INV-56).

mod create;
mod info;
mod prune;
mod restore;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use create::{BackupOptions, BackupWritten};
pub(crate) use create::{Source, create};
pub use info::BackupInfo;
pub use prune::{PruneOptions, Pruned};
pub(crate) use restore::{RESTORING, remove_mark};
pub use restore::{RestoreOptions, Restored};
pub use verify::{BackupFault, BackupReport, VerifyBackupOptions};

use crate::clock::{Clock, SystemClock};
use crate::engine::files::{make_dir, names, refused, write_durably};
use crate::engine::{Locked, Owner, Point, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::backup::{
    BackupMarker, PieceRecord, SnapshotRecord, backup_marker, decode_snapshot, read_backup_marker,
};

const MARKER: &str = "withy.backup";
/// Not the name of a store's lock: a directory that has one may become a store.
const WRITER: &str = "withy.writer";
const READERS: &str = "withy.readers";
const SNAPSHOTS: &str = "snapshots";
const FILES: &str = "files";
const NEW: &str = "new";

/// A directory of backups of one store. They are made with [`Store::back_up`](crate::Store::back_up).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Backups, Read, Store};
/// let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
/// let store = Store::open(&home)?;
/// store.main()?.put("pear", "green")?;
/// store.back_up(&away, Default::default())?;
///
/// let backups = Backups::open(&away)?;
/// assert_eq!(backups.list()?.len(), 1);
/// assert!(backups.verify(Default::default())?.faults.is_empty());
/// backups.restore(dir.path().join("again"), Default::default())?;
/// let again = Store::open(dir.path().join("again"))?;
/// assert_eq!(again.main()?.get(b"pear")?.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Backups {
    dir: PathBuf,
    store: [u8; 16],
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Backups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backups").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Backups {
    /// Opens a directory of backups that is there. Nothing in it is read but its marker.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none; [`Incompatible`](ErrorKind::Incompatible)
    /// if it is something else, or has a format that this version does not know; [`Io`](ErrorKind::Io)
    /// if it cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let store = look(dir)?.ok_or_else(|| {
            let text = format!("there is no backup in {}", dir.display());
            Error::new(ErrorKind::NotFound, text).with_hint("`withy backup create` makes one")
        })?;
        Ok(Self { dir: dir.to_owned(), store, clock: Arc::new(SystemClock) })
    }

    /// Where the time comes from that ages are counted to; the machine, unless told.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Sixteen bytes that the store was given when it was made.
    pub(crate) fn store_bytes(&self) -> [u8; 16] {
        self.store
    }

    /// Opens a directory of backups; makes it if it is absent or empty.
    fn of_store(dir: &Path, store: [u8; 16], clock: Arc<dyn Clock>) -> Result<Self> {
        match look(dir)? {
            Some(found) if found == store => {}
            Some(_) => {
                let text = format!("{} has the backups of another store", dir.display());
                return Err(Error::new(ErrorKind::Incompatible, text)
                    .with_hint("each store has a backup directory of its own"));
            }
            None => {
                make_dir(dir).map_err(|e| refused("cannot make", dir, e))?;
                let path = dir.join(MARKER);
                write_durably(&path, backup_marker(store).as_bytes())?;
            }
        }
        for part in [SNAPSHOTS, FILES, NEW] {
            let path = dir.join(part);
            make_dir(&path).map_err(|e| refused("cannot make", &path, e))?;
        }
        let path = dir.join(READERS);
        let made = fault::file(Point::Create, &path, || {
            File::options().create(true).append(true).open(&path)
        });
        made.map_err(|e| refused("cannot make", &path, e))?;
        Ok(Self { dir: dir.to_owned(), store, clock })
    }

    /// The right to add snapshots and to remove them.
    fn lock(&self, wait: Duration) -> Result<Owner> {
        Owner::take_file(&self.dir.join(WRITER), wait, self.clock.now(), |by| {
            let text = format!("the backup {} is in use by {by}", self.dir.display());
            Error::new(ErrorKind::Busy, text).with_hint("try again when it is done")
        })
    }

    /// Keeps contents from being removed while they are read. On a medium that cannot be written to
    /// nobody removes any.
    fn lock_to_read(&self) -> Result<Option<Locked>> {
        let Ok(file) = File::open(self.dir.join(READERS)) else { return Ok(None) };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Locked(file))),
            Err(TryLockError::WouldBlock) => Err(self.busy("it is being pruned")),
            // File systems without locks: such backups are for one user at a time.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    fn busy(&self, why: &str) -> Error {
        let text = format!("the backup {} is in use: {why}", self.dir.display());
        Error::new(ErrorKind::Busy, text).with_hint("try again when that is done")
    }

    /// Numbers of the snapshots, oldest first.
    fn numbers(&self) -> Result<Vec<u64>> {
        let number = |name: &String| match name.bytes().all(|b| b.is_ascii_digit()) {
            true => name.parse().ok().filter(|number| self.record_name(*number) == *name),
            false => None,
        };
        let mut numbers: Vec<u64> =
            names(&self.dir.join(SNAPSHOTS))?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn record_name(&self, number: u64) -> String {
        format!("{number:08}")
    }

    fn record_path(&self, number: u64) -> PathBuf {
        self.dir.join(SNAPSHOTS).join(self.record_name(number))
    }

    /// Reads the record of a snapshot.
    fn record(&self, number: u64) -> Result<SnapshotRecord> {
        let path = self.record_path(number);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("there is no snapshot {number} in {}", self.dir.display());
                return Err(Error::new(ErrorKind::NotFound, text)
                    .with_hint("`withy backup list` lists them"));
            }
            Err(e) => return Err(refused("cannot read", &path, e)),
        };
        let damaged = |text: String| {
            Error::new(ErrorKind::Corrupt, text)
                .with_hint("restore another snapshot; remove this file to give that one up")
        };
        let text = || format!("the record of snapshot {number} is damaged: {}", path.display());
        let record = decode_snapshot(&bytes).map_err(|e| damaged(text()).because(e))?;
        if record.number != number || record.store != self.store {
            return Err(damaged(format!("{} is the record of another snapshot", path.display())));
        }
        Ok(record)
    }

    fn piece_path(&self, piece: &PieceRecord) -> PathBuf {
        let hex = blake3::Hash::from_bytes(piece.hash).to_hex();
        self.dir.join(FILES).join(&hex[..2]).join(hex.as_str())
    }

    /// Whether a content is there and has its length. Its bytes are not read.
    fn has(&self, piece: &PieceRecord) -> bool {
        fs::metadata(self.piece_path(piece)).is_ok_and(|meta| meta.len() == piece.size)
    }

    /// Every snapshot, oldest first.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the directory cannot be read. Records that are damaged are left out:
    /// [`damaged`](Self::damaged) has them.
    pub fn list(&self) -> Result<Vec<BackupInfo>> {
        Ok(self.records()?.0.values().map(BackupInfo::of).collect())
    }

    /// The snapshots whose records cannot be read, with what is wrong.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the directory cannot be read.
    pub fn damaged(&self) -> Result<Vec<(u64, Error)>> {
        Ok(self.records()?.1)
    }

    /// The snapshots that can be read, by number, and those that cannot.
    #[expect(clippy::type_complexity, reason = "two lists, named in the line above")]
    fn records(&self) -> Result<(BTreeMap<u64, SnapshotRecord>, Vec<(u64, Error)>)> {
        let (mut good, mut bad) = (BTreeMap::new(), Vec::new());
        for number in self.numbers()? {
            match self.record(number) {
                Ok(record) => {
                    good.insert(number, record);
                }
                // Pruned since the directory was listed.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => bad.push((number, e)),
            }
        }
        Ok((good, bad))
    }
}

/// The id of the store whose backups are in a directory; none if it is absent or empty.
fn look(dir: &Path) -> Result<Option<[u8; 16]>> {
    let other = || {
        let text = format!("{} is not a backup of withy", dir.display());
        Error::new(ErrorKind::Incompatible, text)
            .with_hint("give the directory of a backup, or one that is absent or empty")
    };
    let path = dir.join(MARKER);
    match fs::read_to_string(&path) {
        Ok(text) => match read_backup_marker(&text) {
            BackupMarker::Of(store) => Ok(Some(store)),
            BackupMarker::Unknown(format) => {
                let text = format!("{} has backup format {format}", dir.display());
                Err(Error::new(ErrorKind::Incompatible, text)
                    .with_hint("use a version of withy that knows this format"))
            }
            BackupMarker::Other => Err(other()),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // A first backup that was killed has made the marker's unfinished file at most.
            let unfinished = format!("{MARKER}.new");
            match names(dir)?.iter().all(|name| *name == unfinished) {
                true => Ok(None),
                false => Err(other()),
            }
        }
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Err(other())
        }
        Err(e) => Err(refused("cannot read", &path, e)),
    }
}

/// The error of work that was stopped, with what becomes of what it has done.
fn stopped(e: Error, instead: &str) -> Error {
    match e.kind() {
        ErrorKind::Interrupted => {
            let cause = std::io::Error::from(std::io::ErrorKind::Interrupted);
            Error::new(ErrorKind::Interrupted, instead).because(cause)
        }
        _ => e,
    }
}
