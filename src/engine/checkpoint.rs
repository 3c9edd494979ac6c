//! A copy of the database's files as of one moment, while it is read and written.
//!
//! Sorted files are linked where the disk allows it, so a copy costs their names, not their bytes. In a
//! store that is open for writing RocksDB makes the copy. It cannot in one that is open for reading: it
//! would leave out the write-ahead log without a word. There the files are linked here, and the copy
//! counts only if the manifest stood still meanwhile.
//!
//! Rows of a bulk load are named by the manifest, its commit is in the log. So the end of the log in a copy
//! must be older than the end of the manifest, or the load must not be between the two: else the copy had
//! a commit without its rows.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use rocksdb::checkpoint::Checkpoint;

use super::files::{self, FileKind, names, refused};
use super::open::{MAX_OPENS, version};
use super::{Db, Engine, Point, failed, fault};
use crate::error::{Error, ErrorKind, Result};

/// A write-ahead log below this size is copied as it is; a larger one is written to sorted files
/// first. Copying it each time would cost more than the small sorted files do: four times as much made
/// each of two copies a second take one and a half times as long.
const FLUSH_FROM: u64 = 4 << 20;

impl Engine {
    /// Puts a copy of the database into a directory that must not be there yet; beside it a directory
    /// with `.tmp` at the end of its name is used meanwhile.
    ///
    /// Everything that was written before the call is in the copy, and a prefix of what is written
    /// during it. The copy is on disk when this returns, but for the entry of the directory itself.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if the files of another process's store change faster than they can be
    /// copied; [`ErrorKind::Io`] if the disk refuses. Parts of the copy may be left then.
    pub(crate) fn capture(&self, dir: &Path) -> Result<()> {
        fault::step(Point::Checkpoint, &self.path, || match &self.db {
            Db::Write(db) => {
                // It looks at the manifest first and at the logs later.
                let _no_load = self.between_captures();
                // RocksDB takes this limit, but flushes at 0 and never else.
                let limit = if log_size(&self.path)? < FLUSH_FROM { u64::MAX } else { 0 };
                Checkpoint::new(db)
                    .and_then(|copy| copy.create_checkpoint_with_log_size(dir, limit))
                    .map_err(|e| failed("cannot copy the store", e))
            }
            Db::Read(_) => beside_writer(&self.path, dir),
        })
    }

    /// Keeps this process from copying the database: held from the first file that is taken in until the
    /// commit that needs it is written.
    pub(crate) fn between_captures(&self) -> MutexGuard<'_, ()> {
        self.capturing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the write-ahead log.
fn log_size(dir: &Path) -> Result<u64> {
    let logs = names(dir)?.into_iter().filter(|name| FileKind::of(name) == Some(FileKind::Log));
    // One that goes away meanwhile was written to sorted files.
    Ok(logs.filter_map(|name| fs::metadata(dir.join(name)).ok()).map(|meta| meta.len()).sum())
}

/// Copies the files of a database that another process may be writing to.
///
/// Files that a manifest needs are removed only after a newer manifest was written. So if name and
/// length of the manifest are the same before and after the linking, everything it needs was there. The
/// ends of the logs are looked at in between: what they need was in the manifest by then.
fn beside_writer(from: &Path, dir: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(dir);
    fault::file(Point::Create, dir, || fs::create_dir(dir))
        .map_err(|e| refused("cannot make", dir, e))?;
    // What is linked stays so from one look to the next: each has less to do, so a writer that makes
    // files all the time does not get away for ever.
    for attempt in 0..MAX_OPENS {
        if let Some((current, length)) = version(from)
            && link_all(from, dir)?
        {
            let logs = log_ends(dir)?;
            if version(from).as_ref() == Some(&(current.clone(), length)) {
                return settle(dir, (&current, length), &logs);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(attempt.min(10)));
    }
    let text = "the files of the store change faster than they can be copied";
    Err(Error::new(ErrorKind::Busy, text).with_hint("try again when there is less to write"))
}

/// Links all files of the database that are not linked yet, and lets those go that it has no more; false
/// if one went away meanwhile.
fn link_all(from: &Path, dir: &Path) -> Result<bool> {
    let all = names(from)?;
    let mut known = names(dir)?;
    for gone in known.extract_if(.., |name| all.binary_search(name).is_err()) {
        files::remove(&dir.join(gone))?;
    }
    for name in all {
        let (source, target) = (from.join(&name), dir.join(&name));
        match FileKind::of(&name) {
            None | Some(FileKind::Current) => continue,
            // These never change once they are complete; a copy may be of one that was not.
            Some(FileKind::Table)
                if known.binary_search(&name).is_ok() && has_length_of(&source, &target) =>
            {
                continue;
            }
            // Where they are copied, they have to be copied again.
            Some(_) => files::remove(&target)?,
        }
        // Another disk, a file of another user, a file system without links: then it is copied.
        let linked = fault::file(Point::Link, &target, || fs::hard_link(&source, &target));
        let done = linked.or_else(|e| match e.kind() {
            io::ErrorKind::NotFound => Err(e),
            _ => copy(&source, &target, u64::MAX),
        });
        match done {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && !source.exists() => return Ok(false),
            Err(e) => return Err(refused("cannot copy", &source, e)),
        }
    }
    Ok(true)
}

fn has_length_of(source: &Path, target: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    length(source).is_some_and(|wanted| length(target) == Some(wanted))
}

/// Names and lengths of the logs at this moment.
fn log_ends(dir: &Path) -> Result<Vec<(String, u64)>> {
    let logs = names(dir)?.into_iter().filter(|name| FileKind::of(name) == Some(FileKind::Log));
    // In the order of their names: a log has all its bytes before the next one has any.
    logs.map(|name| {
        let path = dir.join(&name);
        let meta = fs::metadata(&path).map_err(|e| refused("cannot read", &path, e))?;
        Ok((name, meta.len()))
    })
    .collect()
}

/// Cuts the copy loose from files that the writer goes on writing, and puts it on disk.
fn settle(dir: &Path, (current, length): (&str, u64), logs: &[(String, u64)]) -> Result<()> {
    for name in names(dir)? {
        let end = || logs.iter().find(|(log, _)| *log == name).map_or(0, |(_, end)| *end);
        let upto = match FileKind::of(&name) {
            Some(FileKind::Log) => end(),
            Some(FileKind::Manifest) if current.trim_end() == name => length,
            Some(FileKind::Manifest) => {
                files::remove(&dir.join(&name))?;
                continue;
            }
            _ => continue,
        };
        let path = dir.join(&name);
        let own = files::beside(&path);
        copy(&path, &own, upto)
            .and_then(|()| fault::file(Point::Rename, &path, || fs::rename(&own, &path)))
            .map_err(|e| refused("cannot copy", &path, e))?;
    }
    files::write_durably(&dir.join("CURRENT"), current.as_bytes())
}

/// Copies the first bytes of a file, synced.
fn copy(from: &Path, to: &Path, upto: u64) -> io::Result<()> {
    let mut source = File::open(from)?.take(upto);
    let mut target = fault::file(Point::Create, to, || File::create(to))?;
    fault::file(Point::FileWrite, to, || io::copy(&mut source, &mut target))?;
    fault::file(Point::FileSync, to, || target.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_5_a_file_that_was_copied_before_it_was_complete_is_taken_again() {
        // On another disk, where there is one: there files are copied.
        let store = tempfile::tempdir().expect("a scratch directory");
        let copy = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let copy = copy.expect("a scratch directory");
        for (name, content) in [("000007.sst", "begun"), ("000007.sst", "begun and ended")] {
            fs::write(store.path().join(name), content).expect("write");
            assert!(link_all(store.path(), copy.path()).expect("it is copied"), "all are there");
            let copied = fs::read_to_string(copy.path().join(name)).expect("read");
            assert_eq!(copied, content, "as it is at that moment");
        }
        fs::remove_file(store.path().join("000007.sst")).expect("rm");
        assert!(link_all(store.path(), copy.path()).expect("it is copied"), "all are there");
        assert_eq!(names(copy.path()).expect("names"), [""; 0], "what is gone is let go");
    }
}
