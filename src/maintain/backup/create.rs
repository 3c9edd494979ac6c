//! Adding a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{BackupInfo, Backups, FILES, NEW, stopped};
use crate::clock::Clock;
use crate::engine::files::{
    FileKind, Stamp, make_dir, names, refused, remove, sync_dir, write_durably,
};
use crate::engine::{Engine, Point, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::FORMAT_VERSION;
use crate::format::backup::{FileRecord, MAX_PIECE, PieceRecord, SnapshotRecord, encode_snapshot};
use crate::id::Seq;
use crate::maintain::pace::Job;
use crate::maintain::work::{WorkDir, must_be_outside};
use crate::progress::{Meter, takes_progress};

/// Pieces of files that grow at their end: the next snapshot has all but the last one already.
const GROWING_PIECE: u64 = 1 << 20;

/// How a backup is made.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::BackupOptions;
/// let options = BackupOptions::default().message("before the upgrade").bytes_per_second(50 << 20);
/// let made = store.back_up(dir.path().join("backup"), options)?;
/// assert_eq!(made.info.message, "before the upgrade");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BackupOptions<'a> {
    message: String,
    wait: Duration,
    meter: Meter<'a>,
    rate: Option<u64>,
}

impl<'a> BackupOptions<'a> {
    /// What the snapshot is made for; empty unless told.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// How long to wait while another process adds to the same backup or prunes it; not at all unless
    /// told.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Reads no more bytes of the store a second than this; no limit unless told.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }
}

takes_progress!(BackupOptions: "What was copied until then is used by the next run.");

/// A snapshot that was added to a backup.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// let first = store.back_up(dir.path().join("backup"), Default::default())?;
/// let second = store.back_up(dir.path().join("backup"), Default::default())?;
/// assert!(second.bytes_written < first.bytes_written, "what is there is not written again");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupWritten {
    /// The snapshot.
    pub info: BackupInfo,
    /// Bytes read of the store: of files that the last snapshot has not.
    pub bytes_read: u64,
    /// Bytes of contents that no snapshot had.
    pub bytes_written: u64,
}

/// The store that is backed up.
pub(crate) struct Source<'s> {
    pub(crate) engine: &'s Engine,
    pub(crate) id: [u8; 16],
    /// Every commit up to this one is on disk.
    pub(crate) latest: Seq,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Adds a snapshot to the backup in this directory; makes it if it is absent or empty.
pub(crate) fn create(
    dir: &Path,
    source: &Source<'_>,
    options: BackupOptions<'_>,
) -> Result<BackupWritten> {
    must_be_outside(source.engine.path(), dir)?;
    let backups = Backups::of_store(dir, source.id, Arc::clone(&source.clock))?;
    let _lock = backups.lock(options.wait)?;
    for name in names(&dir.join(NEW))? {
        remove(&dir.join(NEW).join(name))?;
    }
    let time = source.clock.now();
    let mut job = Job::new(options.meter, options.rate);
    let work = match WorkDir::staging(source.engine.path(), time) {
        // A store that may not be written to is copied, and not linked.
        Err(e) if e.kind() == ErrorKind::Io => WorkDir::take(&dir.join("staging"), time)?,
        taken => taken?,
    };
    let copy = work.path().join("store");
    job.stage("checkpoint", 0, 0)
        .and_then(|()| source.engine.capture(&copy))
        .map_err(unfinished)?;
    let number = backups.numbers()?.last().map_or(1, |last| last + 1);
    if number == 1 {
        // A run that was stopped may have left directories whose names are not on disk.
        sync_dir(dir)?;
    }
    let (last, _) = backups.records()?;
    let last = last.into_values().next_back().map(|record| record.files).unwrap_or_default();
    let mut add = Add::new(&backups, job, &last);
    let files = add.files(&copy, last).map_err(unfinished)?;
    add.sync()?;
    let record = SnapshotRecord {
        number,
        store: source.id,
        format: FORMAT_VERSION,
        time: time.as_millis(),
        latest: source.latest.get(),
        message: options.message,
        files,
    };
    write_durably(&backups.record_path(number), &encode_snapshot(&record))?;
    let (bytes_read, bytes_written) = (add.read, add.written);
    Ok(BackupWritten { info: BackupInfo::of(&record), bytes_read, bytes_written })
}

fn unfinished(e: Error) -> Error {
    stopped(e, "interrupted, there is no new snapshot; the next run uses what was copied")
}

/// A snapshot that is being added.
struct Add<'b, 'm> {
    backups: &'b Backups,
    job: Job<'m>,
    /// Contents that are on disk: a record that is there names nothing that is not.
    on_disk: BTreeSet<[u8; 32]>,
    /// Directories with contents of this snapshot whose entries may not be on disk.
    touched: BTreeSet<u8>,
    read: u64,
    written: u64,
}

impl<'b, 'm> Add<'b, 'm> {
    fn new(backups: &'b Backups, job: Job<'m>, last: &[FileRecord]) -> Self {
        let on_disk = last.iter().flat_map(|file| &file.pieces).map(|piece| piece.hash).collect();
        Self { backups, job, on_disk, touched: BTreeSet::new(), read: 0, written: 0 }
    }

    /// Takes in all files of the copy, by name; those of the last snapshot are not read if they were not
    /// touched since.
    fn files(&mut self, copy: &Path, last: Vec<FileRecord>) -> Result<Vec<FileRecord>> {
        let mut files = Vec::new();
        for name in names(copy)?.into_iter().filter(|name| FileKind::of(name).is_some()) {
            let stamp = Stamp::of(&copy.join(&name))?;
            files.push((name, stamp));
        }
        let known = self.known(last);
        let unread: u64 = files
            .iter()
            .filter(|(name, stamp)| !is_known(&known, name, stamp))
            .map(|(_, stamp)| stamp.size)
            .sum();
        self.job.stage("backup", files.len() as u64, unread)?;
        let mut records = Vec::new();
        for (name, stamp) in files {
            let pieces = match known.get(&name).filter(|_| is_known(&known, &name, &stamp)) {
                Some(file) => file.pieces.clone(),
                None => self.take_in(&copy.join(&name), &name, stamp.size)?,
            };
            let Stamp { size, inode, modified } = stamp;
            records.push(FileRecord { name, size, inode, modified, pieces });
            self.job.done()?;
        }
        Ok(records)
    }

    /// Files of the last snapshot that need not be read if they were not touched since, by name.
    fn known(&self, last: Vec<FileRecord>) -> BTreeMap<String, FileRecord> {
        let is_whole = |file: &FileRecord| {
            // Only these never change; the others are small, or new in each copy.
            FileKind::of(&file.name) == Some(FileKind::Table)
                && file.inode != 0
                && file.modified != 0
                && file.pieces.iter().all(|piece| self.backups.has(piece))
        };
        last.into_iter().filter(is_whole).map(|file| (file.name.clone(), file)).collect()
    }

    /// Reads a file, and keeps those of its pieces that are not there yet.
    fn take_in(&mut self, path: &Path, name: &str, size: u64) -> Result<Vec<PieceRecord>> {
        let most = match FileKind::of(name) {
            Some(FileKind::Log | FileKind::Manifest) => GROWING_PIECE,
            _ => MAX_PIECE,
        };
        let io = |e| refused("cannot read", path, e);
        let mut file = File::open(path).map_err(io)?;
        let (mut pieces, mut buffer, mut left) = (Vec::new(), Vec::new(), size);
        while left > 0 {
            let piece = most.min(left);
            self.job.read(&mut file, piece, &mut buffer).map_err(io)??;
            let piece = PieceRecord { size: piece, hash: blake3::hash(&buffer).into() };
            self.keep(&piece, &buffer)?;
            pieces.push(piece);
            left -= piece.size;
        }
        self.read += size;
        Ok(pieces)
    }

    fn keep(&mut self, piece: &PieceRecord, content: &[u8]) -> Result<()> {
        if self.backups.has(piece) {
            // One that a run left which was stopped may not have its name on disk.
            if !self.on_disk.contains(&piece.hash) {
                self.touched.insert(piece.hash[0]);
            }
            return Ok(());
        }
        self.touched.insert(piece.hash[0]);
        let path = self.backups.piece_path(piece);
        let unfinished = self.backups.dir.join(NEW).join("piece");
        let write = || -> std::io::Result<()> {
            let mut file = fault::file(Point::Create, &unfinished, || File::create(&unfinished))?;
            fault::file(Point::FileWrite, &unfinished, || file.write_all(content))?;
            fault::file(Point::FileSync, &unfinished, || file.sync_data())?;
            if let Some(dir) = path.parent() {
                make_dir(dir)?;
            }
            fault::file(Point::Rename, &path, || fs::rename(&unfinished, &path))
        };
        write().map_err(|e| {
            // On a full disk its room is needed.
            let _ = fs::remove_file(&unfinished);
            let text = "what was copied is used by the next run";
            let e = refused("cannot write to the backup", &path, e);
            if e.hint().is_some() {
                e.with_hint(format!("free some space and run it again: {text}"))
            } else {
                e
            }
        })?;
        self.written += piece.size;
        Ok(())
    }

    /// Puts the names of all contents on disk: a record that is on disk names nothing that is not.
    fn sync(&self) -> Result<()> {
        let files = self.backups.dir.join(FILES);
        self.touched.iter().try_for_each(|first| sync_dir(&files.join(format!("{first:02x}"))))?;
        if self.touched.is_empty() { Ok(()) } else { sync_dir(&files) }
    }
}

/// Whether a file is what it was in the last snapshot, as far as can be told without reading it.
fn is_known(known: &BTreeMap<String, FileRecord>, name: &str, stamp: &Stamp) -> bool {
    known.get(name).is_some_and(|file| {
        let Stamp { size, inode, modified } = *stamp;
        (file.size, file.inode, file.modified) == (size, inode, modified)
    })
}
