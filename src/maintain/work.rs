//! A directory in which something is made that appears elsewhere once it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::files::{names, refused};
use crate::engine::{Owner, Point, fault};
use crate::error::{Error, ErrorKind, Result};

/// The directory, inside of a store, in which its files are linked for a copy to another disk.
const STAGING: &str = "withy.staging";
/// The file in it that its owner has locked; not that of a store, which could be made in there then.
const LOCK_FILE: &str = "withy.work";
/// As often somebody else may remove the directory while this process takes it.
const MAX_TRIES: u32 = 100;

/// Refuses a place for a copy that is inside of the store: it would go with it.
pub(super) fn must_be_outside(store: &Path, target: &Path) -> Result<()> {
    let store = store.canonicalize().map_err(|e| refused("cannot look at", store, e))?;
    let target = std::path::absolute(target).map_err(|e| refused("cannot use", target, e))?;
    // What is not there yet will be where the first directory above it is that is.
    let above = target.ancestors().find_map(|path| path.canonicalize().ok());
    if !above.is_some_and(|above| above.starts_with(store)) {
        return Ok(());
    }
    let text = format!("{} is inside of the store", target.display());
    Err(Error::new(ErrorKind::Invalid, text)
        .with_hint("name a directory beside it, or on another disk"))
}

/// A directory that is this process's alone; gone, with all that is in it, when dropped. What a killed
/// process leaves in one is removed by whoever takes it next.
pub(super) struct WorkDir {
    path: PathBuf,
    // Held for as long as anything is in the directory.
    _owner: Owner,
}

impl WorkDir {
    /// Takes a directory; makes it if it is absent.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if another process is at work in it; [`ErrorKind::Exists`] if it is there and
    /// holds something that is not from such work.
    pub(super) fn take(path: &Path, now: Timestamp) -> Result<Self> {
        let lock = path.join(LOCK_FILE);
        let mut last = None;
        for _ in 0..MAX_TRIES {
            match fault::file(Point::Create, path, || fs::create_dir(path)) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(refused("cannot make", path, e));
                }
                _ => {}
            }
            let inside = names(path)?;
            if !inside.is_empty() && !inside.iter().any(|name| name == LOCK_FILE) {
                let text = format!("{} is in the way, and is not withy's", path.display());
                return Err(Error::new(ErrorKind::Exists, text)
                    .with_hint("move it, or choose another target"));
            }
            let taken = Owner::take_file(&lock, Duration::ZERO, now, |by| {
                let text = format!("{} is in use by {by}", path.display());
                Error::new(ErrorKind::Busy, text).with_hint("try again when that copy is done")
            });
            match taken {
                Ok(owner) if owner.is_at(&lock) => {
                    let work = Self { path: path.to_owned(), _owner: owner };
                    work.clear()?;
                    return Ok(work);
                }
                // Its last owner has just removed it.
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Io && !path.exists() => last = Some(e),
                Err(e) => return Err(e),
            }
        }
        let text = format!("cannot take {}", path.display());
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Busy, text)))
    }

    /// The staging directory of a store.
    pub(super) fn staging(store: &Path, now: Timestamp) -> Result<Self> {
        Self::take(&store.join(STAGING), now)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn clear(&self) -> Result<()> {
        for name in names(&self.path)?.iter().filter(|name| *name != LOCK_FILE) {
            let path = self.path.join(name);
            let removed = fault::file(Point::Remove, &path, || {
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            });
            removed.map_err(|e| refused("cannot remove", &path, e))?;
        }
        Ok(())
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever takes the directory next: without the lock it
        // would not be known for ours.
        if self.clear().is_err() {
            return;
        }
        let lock = self.path.join(LOCK_FILE);
        let _ = fault::file(Point::Remove, &lock, || fs::remove_file(&lock));
        let _ = fault::file(Point::Remove, &self.path, || fs::remove_dir(&self.path));
    }
}

/// Removes what a killed backup or checkpoint left in a store, unless one is at work.
pub(crate) fn remove_staging(store: &Path, now: Timestamp) -> Result<()> {
    remove_left(&store.join(STAGING), now)
}

/// Removes a directory of work that a killed process left, unless another is at work in it.
pub(super) fn remove_left(path: &Path, now: Timestamp) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    match WorkDir::take(path, now) {
        Err(e) if !matches!(e.kind(), ErrorKind::Busy | ErrorKind::Exists) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_work_is_one_owners_and_is_gone_after() {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let path = dir.path().join("work");
        let work = WorkDir::take(&path, Timestamp::default()).expect("it is free");
        fs::write(path.join("half"), "x").expect("it is written");
        let other = WorkDir::take(&path, Timestamp::default()).err().map(|e| e.kind());
        assert_eq!(other, Some(ErrorKind::Busy), "one owner at a time");
        drop(work);
        assert!(!path.exists(), "it is gone with all that was in it");
    }

    #[test]
    fn leftovers_are_removed_and_what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let path = dir.path().join("work");
        fs::create_dir(&path).expect("mkdir");
        fs::write(path.join("letter"), "x").expect("it is written");
        let taken = WorkDir::take(&path, Timestamp::default()).err().map(|e| e.kind());
        assert_eq!(taken, Some(ErrorKind::Exists), "it is somebody's");
        assert!(path.join("letter").exists(), "and stays");
        fs::write(path.join(LOCK_FILE), "1 2026\n").expect("it is written");
        let work = WorkDir::take(&path, Timestamp::default()).expect("left by a killed process");
        assert_eq!(names(work.path()).expect("names"), [LOCK_FILE], "it is empty now");
    }
}
