//! Making a store of a snapshot again.

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{BackupInfo, Backups, stopped};
use crate::engine::files::{
    self, FileKind, MARKER, beside, make_dir, names, refused, remove, sync_dir, write_marker,
};
use crate::engine::{Engine, EngineOptions, Mode, Owner, Point, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::backup::{FileRecord, PieceRecord, SnapshotRecord};
use crate::format::refs::{StoreRecord, meta};
use crate::format::{FORMAT_VERSION, Family, record};
use crate::graph::Graph;
use crate::id::{LineId, Seq};
use crate::kv::{Direction, KeyRange};
use crate::maintain::checkpoint::free_target;
use crate::maintain::pace::Job;
use crate::maintain::verify::{VerifyOptions, verify};
use crate::progress::{Meter, Progress, takes_progress};
use crate::refs::Refs;
use crate::view::{Read as _, View};

/// In a directory that a snapshot is being restored to: locked by who does it.
pub(crate) const RESTORING: &str = "withy.restore";

/// How a snapshot is restored.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::{Backups, RestoreOptions};
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// let backups = Backups::open(dir.path().join("backup"))?;
/// let options = RestoreOptions::default().snapshot(1);
/// assert_eq!(backups.restore(dir.path().join("again"), options)?.info.number, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions<'a> {
    snapshot: Option<u64>,
    quick: bool,
    meter: Meter<'a>,
    rate: Option<u64>,
}

impl<'a> RestoreOptions<'a> {
    /// This snapshot; the newest unless told.
    #[must_use]
    pub fn snapshot(mut self, number: u64) -> Self {
        self.snapshot = Some(number);
        self
    }

    /// Leaves the verification of the restored store out: every byte is held against its hash, and the
    /// head of every branch must be readable, but rows and commits are not held against each other. This
    /// restores also what was wrong already when it was backed up, as far as it can be read.
    #[must_use]
    pub fn quick(mut self, quick: bool) -> Self {
        self.quick = quick;
        self
    }

    /// Copies no more bytes a second than this; no limit unless told.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }
}

takes_progress!(RestoreOptions: "A restore to the same directory goes on with it.");

/// A store that was restored.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// store.main()?.put("pear", "green")?;
/// store.back_up(dir.path().join("backup"), Default::default())?;
/// let backups = withy::Backups::open(dir.path().join("backup"))?;
/// let restored = backups.restore(dir.path().join("again"), Default::default())?;
/// assert_eq!((restored.latest, restored.branches), (store.latest(), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The snapshot.
    pub info: BackupInfo,
    /// The newest commit of the store that was made of it.
    pub latest: Seq,
    /// How many branches it has; the head of each was read.
    pub branches: u64,
}

impl Backups {
    /// Makes a store of a snapshot, in a directory that is absent or empty, or that an interrupted
    /// restore has left: then it goes on with that.
    ///
    /// Every byte is held against its hash on the way. The store is then opened for reading, the head of
    /// every branch is read, and all of it is verified, see [`Store::verify`](crate::Store::verify),
    /// unless the options say [`quick`](RestoreOptions::quick). Only if that is well the directory
    /// becomes a store. The store has the id of the one that was backed up: see
    /// [`Store::checkpoint`](crate::Store::checkpoint) for what that means if both go on. Cost: the
    /// snapshot is read, written, and read twice again.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt), naming the file, if anything in the snapshot is not as it was
    /// written; [`NotFound`](ErrorKind::NotFound) if there is no such snapshot;
    /// [`Exists`](ErrorKind::Exists) if the target is in use for something else;
    /// [`Busy`](ErrorKind::Busy) while the backup is pruned, or another process restores to the target;
    /// [`Interrupted`](ErrorKind::Interrupted) if the caller stops it; [`Io`](ErrorKind::Io) if the disk
    /// refuses. The backup is not changed, and the target is no store, which any open says.
    pub fn restore(
        &self,
        target: impl AsRef<Path>,
        options: RestoreOptions<'_>,
    ) -> Result<Restored> {
        let _reading = self.lock_to_read()?;
        let number = match options.snapshot {
            Some(number) => number,
            None => *self.numbers()?.last().ok_or_else(|| {
                let text = format!("there is no snapshot in {}", self.dir.display());
                Error::new(ErrorKind::NotFound, text).with_hint("`withy backup create` makes one")
            })?,
        };
        let record = self.record(number)?;
        if record.format != FORMAT_VERSION {
            let text = format!("snapshot {number} is of a store of format {}", record.format);
            return Err(Error::new(ErrorKind::Incompatible, text)
                .with_hint("use a version of withy that knows this format"));
        }
        let target = self.target(target.as_ref())?;
        let lock = target.join(RESTORING);
        let _owner = Owner::take_file(&lock, Duration::ZERO, self.clock.now(), |by| {
            let text = format!("{} is being restored by {by}", target.display());
            Error::new(ErrorKind::Busy, text).with_hint("wait until that is done")
        })?;
        let mut job = Job::new(options.meter, options.rate);
        let (latest, branches) =
            self.fill(&target, &record, options.quick, &mut job).map_err(|e| {
                stopped(e, "interrupted, the target is no store yet; a restore to it goes on")
            })?;
        write_marker(&target)?;
        remove(&lock)?;
        sync_dir(&target)?;
        Ok(Restored { info: BackupInfo::of(&record), latest, branches })
    }

    /// The target, made if it is absent; refused if anything is in it that is not from a restore.
    fn target(&self, target: &Path) -> Result<PathBuf> {
        if target.join(RESTORING).exists() && !target.join(MARKER).exists() {
            let is_ours = |name: &String| {
                let name = name.strip_suffix(".new").unwrap_or(name);
                name == RESTORING || name == MARKER || FileKind::of(name).is_some()
            };
            return match names(target)?.into_iter().find(|name| !is_ours(name)) {
                None => Ok(target.to_owned()),
                Some(other) => {
                    let text = format!("{} holds {other}", target.display());
                    Err(Error::new(ErrorKind::Exists, text)
                        .with_hint("choose a directory that is absent or empty"))
                }
            };
        }
        let target = free_target(target)?;
        make_dir(&target).map_err(|e| refused("cannot make", &target, e))?;
        Ok(target)
    }

    /// Writes the files, and opens what they make.
    fn fill(
        &self,
        target: &Path,
        record: &SnapshotRecord,
        quick: bool,
        job: &mut Job<'_>,
    ) -> Result<(Seq, u64)> {
        let is_wanted = |name: &str| {
            name == RESTORING
                || record.files.binary_search_by(|f| f.name.as_str().cmp(name)).is_ok()
        };
        for name in names(target)?.iter().filter(|name| !is_wanted(name)) {
            // Of a restore of another snapshot that was interrupted.
            remove(&target.join(name))?;
        }
        let bytes = record.files.iter().map(|file| file.size).sum();
        job.stage("restore", record.files.len() as u64, bytes)?;
        for file in &record.files {
            let path = target.join(&file.name);
            if !is_done(&path, file, job)? {
                self.write(&path, file, job)?;
            }
            job.done()?;
        }
        sync_dir(target)?;
        job.stage("check", 0, 0)?;
        let (engine, latest, branches) = check(target, record).map_err(|e| {
            let text = format!("what snapshot {} restores is not a whole store", record.number);
            Error::new(ErrorKind::Corrupt, text).because(e).with_hint("restore another snapshot")
        })?;
        if !quick {
            job.stage("verify", 0, 0)?;
            verify_all(&engine, record, job)?;
        }
        Ok((latest, branches))
    }

    /// Writes one file; it appears once it is whole.
    fn write(&self, path: &Path, file: &FileRecord, job: &mut Job<'_>) -> Result<()> {
        let io = |e| refused("cannot write", path, e);
        let unfinished = beside(path);
        let mut out =
            fault::file(Point::Create, &unfinished, || File::create(&unfinished)).map_err(io)?;
        let mut content = Vec::new();
        for piece in &file.pieces {
            self.fetch(piece, &mut content, job).map_err(|e| match e.kind() {
                ErrorKind::Corrupt => {
                    let text = format!("{} of the snapshot is damaged", file.name);
                    Error::new(ErrorKind::Corrupt, text).because(e).with_hint(
                        "`withy backup verify` names all that is damaged; restore another snapshot",
                    )
                }
                _ => e,
            })?;
            fault::file(Point::FileWrite, &unfinished, || out.write_all(&content)).map_err(io)?;
        }
        fault::file(Point::FileSync, &unfinished, || out.sync_all())
            .and_then(|()| fault::file(Point::Rename, path, || fs::rename(&unfinished, path)))
            .map_err(io)
    }

    /// Reads a content and holds it against its hash.
    fn fetch(&self, piece: &PieceRecord, out: &mut Vec<u8>, job: &mut Job<'_>) -> Result<()> {
        let path = self.piece_path(piece);
        let damaged =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("{}: {what}", path.display()));
        let failed = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => damaged("it is missing"),
            std::io::ErrorKind::UnexpectedEof => damaged("it is too short"),
            _ => refused("cannot read", &path, e),
        };
        let mut file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length != piece.size {
            return Err(damaged(&format!("it has {length} bytes, and had {}", piece.size)));
        }
        job.read(&mut file, piece.size, out).map_err(failed)??;
        match *blake3::hash(out).as_bytes() == piece.hash {
            true => Ok(()),
            false => Err(damaged("its bytes are not what they were")),
        }
    }
}

/// Whether an interrupted restore has written this file already.
fn is_done(path: &Path, file: &FileRecord, job: &mut Job<'_>) -> Result<bool> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() == file.size => {}
        _ => return Ok(false),
    }
    let io = |e| refused("cannot read", path, e);
    let mut written = File::open(path).map_err(io)?;
    let mut content = Vec::new();
    for piece in &file.pieces {
        job.read(&mut written, piece.size, &mut content).map_err(io)??;
        if *blake3::hash(&content).as_bytes() != piece.hash {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens the restored database for reading, and reads the head of every branch.
fn check(path: &Path, snapshot: &SnapshotRecord) -> Result<(Arc<Engine>, Seq, u64)> {
    let other = |text: &str| Error::new(ErrorKind::Corrupt, text);
    let engine = Arc::new(Engine::open(path, &EngineOptions::new(Mode::Read, 8 << 20), None)?);
    let row =
        engine.get(Family::Meta, meta::STORE)?.ok_or_else(|| other("it has no store record"))?;
    let stored: StoreRecord = record::decode("store record", &row)?;
    drop(row);
    if stored.id != snapshot.store {
        return Err(other("it is another store"));
    }
    let graph = Arc::new(Graph::open(Arc::clone(&engine))?);
    if graph.latest() < Seq::new(snapshot.latest) {
        let text = format!("it ends at commit {}, not at {}", graph.latest(), snapshot.latest);
        return Err(other(&text));
    }
    let branches = Refs::new(Arc::clone(&engine)).branches()?;
    for (_, branch) in &branches {
        let head = graph.head(LineId::new(branch.line))?;
        let view = View::new(&graph, head.place)?;
        view.scan(&KeyRange::all(), Direction::Forward)?.next().transpose()?;
    }
    Ok((engine, graph.latest(), branches.len() as u64))
}

/// Verifies the restored database.
fn verify_all(engine: &Engine, snapshot: &SnapshotRecord, job: &mut Job<'_>) -> Result<()> {
    let told = |progress: Progress| match job.tell(progress.items, progress.bytes) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let report = verify(engine, VerifyOptions::default().progress(told))?;
    let Some(first) = report.findings.first() else { return Ok(()) };
    let text = format!(
        "the store that snapshot {} restores has {} faults, the first: {first}",
        snapshot.number, report.found
    );
    Err(Error::new(ErrorKind::Corrupt, text)
        .with_hint("restore another snapshot, or this one without verification (quick)"))
}

/// Removes what a restore that was killed at its very end has left in a store.
pub(crate) fn remove_mark(store: &Path) -> Result<()> {
    files::remove(&store.join(RESTORING))
}
