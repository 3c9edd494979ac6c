//! Hostile bytes into what is read of a store before RocksDB opens it; for tests and fuzzers.

use std::path::Path;

use super::logfile::{BLOCK, HEADER, LogFile, mask};
use super::{owner, recovery, salvage as mend};
use crate::error::Result;

/// The text of a lock.
pub(crate) fn lock(text: &str) {
    assert!(!owner::holder_in(text).is_empty(), "somebody holds it");
}

/// The text that names the directory of a salvage.
pub(crate) fn salvage_mark(text: &str) {
    if let Some(dir) = mend::dir_in(text) {
        let is_inside = Path::new(dir).components().count() == 1 && dir != "..";
        assert!(is_inside, "{dir:?} stays in the store");
    }
}

/// Everything that is read: the manifest that `CURRENT` names, the logs, the mark of what is on disk.
pub(crate) fn look(store: &Path) -> Result<()> {
    let found = recovery::inspect(store)?;
    let (faults, _) = found.examine(store);
    assert_eq!(found.judge(store).is_err(), !faults.is_empty(), "it is refused for a fault only");
    if let Some(at) = found.manifest.damage().and_then(|fault| fault.at) {
        let file = LogFile::open(&store.join(&found.manifest.name));
        let bit = file.and_then(|mut file| file.flipped_bit(at)).expect("the file is there");
        assert!(bit.is_none_or(|bit| bit / 8 >= at), "the bit is in the record that is damaged");
    }
    Ok(())
}

/// A salvage: one that says it is done leaves a store that is not refused.
pub(crate) fn salvage(store: &Path) -> Result<()> {
    mend::salvage(store, "salvage-1")?;
    let mut found = recovery::inspect(store)?;
    // As for the open that follows: logs that were cut are shorter than they were.
    found.manifest.ended_logs.clear();
    assert_eq!(found.examine(store).0, [], "nothing is left that is wrong");
    Ok(())
}

/// Gives every fragment of a log or manifest the checksum of its bytes.
pub(crate) fn seal(file: &mut [u8]) {
    for block in file.chunks_mut(BLOCK) {
        let mut rest = block;
        while let Some((header, behind)) = rest.split_first_chunk_mut::<HEADER>() {
            let len = usize::from(u16::from_le_bytes([header[4], header[5]])).min(behind.len());
            let (content, next) = behind.split_at_mut(len);
            let sum = crc32c::crc32c_append(crc32c::crc32c(&header[6..]), content);
            header[..4].copy_from_slice(&mask(sum).to_le_bytes());
            rest = next;
        }
    }
}
