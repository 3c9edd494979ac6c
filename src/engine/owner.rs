//! Ownership of a store: one process writes, and everyone else is told which one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::files::inode;
use super::{Point, fault};
use crate::clock::{Deadline, Timestamp};
use crate::error::{Error, ErrorKind, Result};

/// The file whose lock says who writes; it also names the holder.
pub(crate) const LOCK_FILE: &str = "withy.lock";
/// How often a waiting process looks again.
const POLL: Duration = Duration::from_millis(20);

/// A file that this process has locked, until it is dropped.
pub(crate) struct Locked(pub(crate) File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started at this moment shares the open file,
        // and with it the lock, until it runs its own program.
        let _ = self.0.unlock();
    }
}

/// Held for as long as the store is open for writing.
pub(crate) struct Owner(Locked);

impl Owner {
    /// Takes the lock, waiting for as long as told.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] naming process id and start time of the holder, if it does not let go.
    pub(crate) fn take(store: &Path, wait: Duration, now: Timestamp) -> Result<Self> {
        Self::take_file(&store.join(LOCK_FILE), wait, now, |by| {
            let text = format!("the store {} is open for writing by {by}", store.display());
            Error::new(ErrorKind::Busy, text)
                .with_hint("wait for it (option `wait`), or open the store for reading only")
        })
    }

    /// Takes the lock on this file; `busy` makes the error from who holds it.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub(crate) fn take_file(
        path: &Path,
        wait: Duration,
        now: Timestamp,
        busy: impl FnOnce(String) -> Error,
    ) -> Result<Self> {
        let io = |e: std::io::Error| {
            Error::new(ErrorKind::Io, format!("cannot open {}", path.display())).because(e)
        };
        let deadline = Deadline::after(wait);
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false);
        let mut file = fault::file(Point::Create, path, || open.open(path)).map_err(io)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(io(e)),
                Err(TryLockError::WouldBlock) => match deadline.left() {
                    Some(left) => thread::sleep(left.min(POLL)),
                    None => return Err(busy(holder(&mut file))),
                },
            }
        }
        let line = format!("{} {}\n", std::process::id(), now);
        let write = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(line.as_bytes())
        };
        fault::file(Point::FileWrite, path, write).map_err(io)?;
        Ok(Self(Locked(file)))
    }

    /// Whether this name still leads to the file that is locked: it may have been removed between
    /// the opening and the locking.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match (self.0.0.metadata(), std::fs::metadata(path)) {
            (Ok(ours), Ok(there)) => inode(&ours) == inode(&there),
            _ => false,
        }
    }
}

/// Who holds the lock, as far as the file tells.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    holder_in(&text)
}

/// Who holds a lock that has this text.
pub(super) fn holder_in(text: &str) -> String {
    match text.trim().split_once(' ') {
        Some((pid, since)) => format!("process {pid} since {since}"),
        None => "another process".to_owned(),
    }
}
