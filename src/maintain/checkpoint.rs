//! A copy of a store that is a store.

use std::fs;
use std::path::{Path, PathBuf};

use super::pace::Job;
use super::work::{WorkDir, must_be_outside, remove_left};
use crate::clock::Timestamp;
use crate::engine::files::{
    MARKER, beside, make_dir, names, parent, refused, same_disk, sync_dir, write_marker,
};
use crate::engine::{Engine, Point, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::progress::{Meter, takes_progress};

/// How a checkpoint is made.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// use withy::CheckpointOptions;
/// let options = CheckpointOptions::default().bytes_per_second(50 << 20);
/// let made = store.checkpoint(dir.path().join("copy"), options)?;
/// assert!(made.files > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CheckpointOptions<'a> {
    meter: Meter<'a>,
    rate: Option<u64>,
}

impl<'a> CheckpointOptions<'a> {
    /// Copies no more bytes a second than this to another disk; no limit unless told. On the same disk
    /// files are linked, and there is little to copy.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.rate = Some(rate);
        self
    }
}

takes_progress!(CheckpointOptions: "Nothing is left of it then.");

/// A checkpoint that was made.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("store"))?;
/// store.main()?.put("pear", "green")?;
/// let made = store.checkpoint(dir.path().join("copy"), Default::default())?;
/// assert_eq!(made.latest, store.latest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// Where it is.
    pub path: PathBuf,
    /// Every commit up to this one is in it. Commits that were made meanwhile may be, in order.
    pub latest: Seq,
    /// How many files it has.
    pub files: u64,
    /// How large they are together. On the same disk most of them are shared with the store until the
    /// store has replaced them.
    pub bytes: u64,
}

/// Makes a checkpoint in a directory that is absent or empty. The caller has put on disk what must be
/// in it, up to commit `latest`.
pub(crate) fn checkpoint(
    engine: &Engine,
    target: &Path,
    (latest, now): (Seq, Timestamp),
    options: CheckpointOptions<'_>,
) -> Result<CheckpointInfo> {
    must_be_outside(engine.path(), target)?;
    let mut job = Job::new(options.meter, options.rate);
    let target = match free_target(target) {
        Err(e) if e.kind() == ErrorKind::Exists => {
            // One that was killed right after its copy had its name has left the directory it used.
            let _ = remove_left(&beside(target), now);
            return Err(e);
        }
        target => target?,
    };
    let work = WorkDir::take(&beside(&target), now)?;
    let copy = work.path().join("store");
    job.stage("checkpoint", 0, 0)?;
    if same_disk(engine.path(), work.path()) {
        engine.capture(&copy)?;
    } else {
        match WorkDir::staging(engine.path(), now) {
            Ok(staging) => {
                let linked = staging.path().join("store");
                engine.capture(&linked)?;
                copy_all(&linked, &copy, &mut job)?;
            }
            // A store that may not be written to is copied without links.
            Err(e) if e.kind() == ErrorKind::Io => engine.capture(&copy)?,
            Err(e) => return Err(e),
        }
    }
    job.stage("checkpoint", 0, 0)?;
    write_marker(&copy)?;
    let (files, bytes) = size_of(&copy)?;
    fault::file(Point::Rename, &target, || fs::rename(&copy, &target))
        .map_err(|e| refused("cannot make", &target, e))?;
    sync_dir(parent(&target))?;
    Ok(CheckpointInfo { path: target, latest, files, bytes })
}

fn copy_all(from: &Path, to: &Path, job: &mut Job<'_>) -> Result<()> {
    let (files, bytes) = size_of(from)?;
    job.stage("copy", files, bytes)?;
    fault::file(Point::Create, to, || fs::create_dir(to))
        .map_err(|e| refused("cannot make", to, e))?;
    for name in names(from)? {
        job.copy(&from.join(&name), &to.join(&name))?;
        job.done()?;
    }
    sync_dir(to)
}

/// Number of the files in a directory, and their size.
fn size_of(dir: &Path) -> Result<(u64, u64)> {
    let names = names(dir)?;
    let mut bytes = 0;
    for name in &names {
        let path = dir.join(name);
        bytes += fs::metadata(&path).map_err(|e| refused("cannot read", &path, e))?.len();
    }
    Ok((names.len() as u64, bytes))
}

/// The target as a path that has a name and a directory above; refused unless it is absent or empty.
pub(super) fn free_target(target: &Path) -> Result<PathBuf> {
    let shown = target.display();
    if target.join(MARKER).exists() {
        return Err(Error::new(ErrorKind::Exists, format!("{shown} is a store already"))
            .with_hint("choose a directory that is absent or empty"));
    }
    let io = |e| refused("cannot use", target, e);
    let path = match fs::metadata(target) {
        Ok(meta) if meta.is_dir() && names(target)?.is_empty() => {
            target.canonicalize().map_err(io)?
        }
        Ok(_) => {
            return Err(Error::new(
                ErrorKind::Exists,
                format!("{shown} is there, and is not empty"),
            )
            .with_hint("choose a directory that is absent or empty"));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let above = parent(target);
            make_dir(above).map_err(io)?;
            let name = target.file_name().ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("{shown} cannot name a new directory"))
            })?;
            above.canonicalize().map_err(io)?.join(name)
        }
        Err(e) => return Err(io(e)),
    };
    Ok(path)
}
