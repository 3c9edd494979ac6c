//! What is on disk for sure, remembered across a crash in the file `withy.synced`.
//!
//! Without it a write-ahead log that ends too early would look like one whose end was never
//! acknowledged. It is written after each sync and is not synced itself: whatever of it survives says
//! at most what is true.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Point, fault};
use crate::format::synced::{SLOT, SLOTS, SYNCED_FILE, Synced};

/// The open file; owned by the process that writes to the store.
pub(super) struct Watermark {
    file: File,
    path: PathBuf,
    boot: [u8; 16],
    /// Turn and sequence of the newest slot.
    last: Mutex<(u64, u64)>,
}

impl Watermark {
    /// Takes the file over: everything up to `sequence` is on disk, as of this run of the machine.
    pub(super) fn open(store: &Path, sequence: u64) -> io::Result<Self> {
        let turn = read(store).map_or(0, |synced| synced.turn);
        let path = store.join(SYNCED_FILE);
        let open = || OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = fault::file(Point::Create, &path, open)?;
        let this = Self { file, path, boot: this_boot(), last: Mutex::new((turn, 0)) };
        this.write(sequence)?;
        // From now on a power cut must find a mark, and with it which run of the machine this was.
        fault::file(Point::FileSync, &this.path, || this.file.sync_all())?;
        fault::file(Point::FileSync, store, || File::open(store)?.sync_all())?;
        Ok(this)
    }

    /// Notes that everything up to `sequence` is on disk. Called after the sync that put it there.
    pub(super) fn note(&self, sequence: u64) {
        // If it cannot be written, less is known at the next open; what was acknowledged is there.
        let _ = self.write(sequence);
    }

    /// What it says.
    pub(super) fn sequence(&self) -> u64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn write(&self, sequence: u64) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if sequence <= last.1 && sequence > 0 {
            return Ok(());
        }
        *last = (last.0 + 1, sequence);
        let slot = Synced { turn: last.0, sequence, boot: self.boot };
        fault::file(Point::FileWrite, &self.path, || {
            write_at(&self.file, &slot.encode(), SLOTS[(last.0 % 2) as usize])
        })
    }
}

/// What the file says; `None` if it is absent, or neither slot can be read.
pub(super) fn read(store: &Path) -> Option<Synced> {
    let bytes = std::fs::read(store.join(SYNCED_FILE)).ok()?;
    let slots = SLOTS.iter().filter_map(|&at| {
        let slot = bytes.get(usize::try_from(at).ok()?..)?;
        Synced::decode(slot.get(..SLOT)?).ok()
    });
    slots.max_by_key(|synced| synced.turn)
}

/// Which run of the machine this is; zeros if the system does not say. While it is the same, nothing
/// that was written can be missing: only a process has ended.
pub(super) fn this_boot() -> [u8; 16] {
    let mut id = [0; 16];
    if let Ok(text) = std::fs::read("/proc/sys/kernel/random/boot_id") {
        id.copy_from_slice(&blake3::hash(text.trim_ascii()).as_bytes()[..16]);
    }
    id
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    // The caller holds a lock, so nobody moves the position in between.
    file.seek(io::SeekFrom::Start(at)).and_then(|_| file.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_of_one_slot_leaves_the_other() {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let mark = Watermark::open(dir.path(), 5).expect("open");
        mark.note(9);
        mark.note(7);
        assert_eq!(read(dir.path()).map(|s| s.sequence), Some(9), "it never goes back");
        let path = dir.path().join(SYNCED_FILE);
        let good = std::fs::read(&path).expect("read");
        let newest = usize::try_from(SLOTS[0]).expect("small");
        for len in 0..SLOT {
            let mut bytes = good.clone();
            bytes[newest + len..newest + SLOT].fill(0xFF);
            std::fs::write(&path, &bytes).expect("write");
            assert_eq!(read(dir.path()).map(|s| s.sequence), Some(5), "torn at {len}");
        }
        std::fs::write(&path, b"").expect("write");
        assert_eq!(read(dir.path()), None, "an empty file says nothing");
    }

    #[test]
    fn a_run_of_the_machine_has_one_name() {
        assert_eq!(this_boot(), this_boot(), "as long as it lasts");
    }
}
