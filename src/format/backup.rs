//! Files of a backup directory: the marker, and the record of a snapshot.

use bincode::{Decode, Encode};

use super::{Corrupt, record};

/// No piece of a file is longer than this.
pub(crate) const MAX_PIECE: u64 = 16 << 20;
/// First bytes of the file that marks a directory as one of backups.
const MARKER: &str = "withy backup, format ";
/// The format of the backup directory that this version writes and reads.
const BACKUP_FORMAT: u32 = 1;

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackupMarker {
    /// Backups of the store with this id.
    Of([u8; 16]),
    /// A format that this version does not know.
    Unknown(u32),
    /// Not a marker.
    Other,
}

/// The text of the marker.
pub(crate) fn backup_marker(store: [u8; 16]) -> String {
    let id: String = store.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{MARKER}{BACKUP_FORMAT}\nstore {id}\n")
}

/// Reads the text of a marker.
pub(crate) fn read_backup_marker(text: &str) -> BackupMarker {
    let Some((format, rest)) = text.strip_prefix(MARKER).and_then(|rest| rest.split_once('\n'))
    else {
        return BackupMarker::Other;
    };
    let is_number = !format.is_empty() && format.bytes().all(|b| b.is_ascii_digit());
    match format.parse::<u32>() {
        Ok(BACKUP_FORMAT) => {}
        Ok(other) if is_number => return BackupMarker::Unknown(other),
        _ => return BackupMarker::Other,
    }
    let digits = rest.strip_prefix("store ").map(str::trim_end).filter(|id| id.len() == 32);
    let id = digits.and_then(|id| u128::from_str_radix(id, 16).ok()).map(u128::to_be_bytes);
    match id {
        // Only the one way of writing it: `+` and capitals are digits to the parser.
        Some(id) if backup_marker(id) == text => BackupMarker::Of(id),
        _ => BackupMarker::Other,
    }
}

/// One snapshot of a store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotRecord {
    pub(crate) number: u64,
    /// Id of the store.
    pub(crate) store: [u8; 16],
    /// Format of the store, for its marker.
    pub(crate) format: u32,
    /// When it was begun.
    pub(crate) time: i64,
    /// Every commit up to this one is in it.
    pub(crate) latest: u64,
    pub(crate) message: String,
    /// By name.
    pub(crate) files: Vec<FileRecord>,
}

/// One file of the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FileRecord {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// With name, size and time it tells that a file was not touched since; 0: unknown.
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0: unknown.
    pub(crate) modified: i64,
    /// Its content, one behind the other.
    pub(crate) pieces: Vec<PieceRecord>,
}

/// A piece of content, kept once under its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PieceRecord {
    pub(crate) size: u64,
    pub(crate) hash: [u8; 32],
}

/// The bytes of a snapshot's file: the record, then its BLAKE3.
pub(crate) fn encode_snapshot(snapshot: &SnapshotRecord) -> Vec<u8> {
    let mut out = record::encode(snapshot);
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

/// Reads a snapshot's file. What it returns names files inside of a directory only.
pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<SnapshotRecord, Corrupt> {
    const RECORD: &str = "snapshot record";
    let fault = |at, want| Corrupt { record: RECORD, at, want };
    let (body, sum) = bytes.split_last_chunk::<32>().ok_or(fault(0, "checksum"))?;
    record::strip_version(RECORD, body)?;
    if blake3::hash(body).as_bytes() != sum {
        return Err(fault(body.len(), "checksum"));
    }
    let snapshot: SnapshotRecord = record::decode(RECORD, body)?;
    if !snapshot.files.is_sorted_by(|a, b| a.name < b.name) {
        return Err(fault(1, "order of files"));
    }
    for file in &snapshot.files {
        if !is_plain(&file.name) {
            return Err(fault(1, "name of a file"));
        }
        if file.pieces.iter().any(|piece| !(1..=MAX_PIECE).contains(&piece.size)) {
            return Err(fault(1, "size of a piece"));
        }
        let size = file.pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.size));
        if size != Some(file.size) {
            return Err(fault(1, "size of a file"));
        }
    }
    Ok(snapshot)
}

/// A name that stays in its directory, and that no file of withy's own has.
fn is_plain(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let has_fair_start = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    has_fair_start && name.len() <= 200 && name.bytes().all(fits) && !name.starts_with("withy.")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(in crate::format) fn snapshot() -> SnapshotRecord {
        let piece = |size, byte| PieceRecord { size, hash: [byte; 32] };
        SnapshotRecord {
            number: 7,
            store: [5; 16],
            format: 1,
            time: 1_000,
            latest: 300,
            message: "nightly".into(),
            files: vec![
                FileRecord {
                    name: "000012.sst".into(),
                    size: 301,
                    inode: 9,
                    modified: -1,
                    pieces: vec![piece(300, 1), piece(1, 2)],
                },
                FileRecord {
                    name: "CURRENT".into(),
                    size: 0,
                    inode: 0,
                    modified: 0,
                    pieces: Vec::new(),
                },
            ],
        }
    }

    /// A record with a right checksum, whatever it says.
    fn sealed(change: impl FnOnce(&mut SnapshotRecord)) -> Vec<u8> {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        encode_snapshot(&snapshot)
    }

    #[test]
    fn golden_snapshot() {
        let mut want = vec![1, 7];
        want.extend([5; 16]);
        want.extend(b"\x01\xFB\xD0\x07\xFB\x2C\x01\x07nightly\x02");
        want.extend(b"\x0A000012.sst\xFB\x2D\x01\x09\x01\x02\xFB\x2C\x01");
        want.extend([1; 32]);
        want.push(1);
        want.extend([2; 32]);
        want.extend(b"\x07CURRENT\x00\x00\x00\x00");
        let sum = blake3::hash(&want);
        want.extend(sum.as_bytes());
        assert_eq!(encode_snapshot(&snapshot()), want, "a snapshot, and its checksum");
        assert_eq!(decode_snapshot(&want), Ok(snapshot()), "it is read back");
    }

    #[test]
    fn golden_marker() {
        let text = "withy backup, format 1\nstore 05050505050505050505050505050505\n";
        assert_eq!(backup_marker([5; 16]), text, "the marker");
        assert_eq!(read_backup_marker(text), BackupMarker::Of([5; 16]), "it is read back");
        let newer = text.replace("format 1", "format 2");
        assert_eq!(read_backup_marker(&newer), BackupMarker::Unknown(2), "another format");
        for other in ["", "withy store, format 1\n", "withy backup, format x\n", &text[..40]] {
            assert_eq!(read_backup_marker(other), BackupMarker::Other, "{other:?} is none");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_snapshot_is_found() {
        let whole = encode_snapshot(&snapshot());
        for at in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(decode_snapshot(&damaged).is_err(), "bit {at} is covered by the checksum");
        }
        for len in 0..whole.len() {
            assert!(decode_snapshot(&whole[..len]).is_err(), "{len} bytes are not enough");
        }
    }

    #[test]
    fn a_snapshot_never_leads_out_of_its_directory() {
        for name in ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "withy.store", "-x", "a\0"] {
            let bytes = sealed(|snapshot| snapshot.files[0].name = name.into());
            let fault = decode_snapshot(&bytes).expect_err("a name that is refused");
            // One that sorts behind the next file is refused for that.
            let refused = matches!(fault.want, "name of a file" | "order of files");
            assert!(refused, "{name:?}: {}", fault.want);
        }
        let twice = sealed(|snapshot| snapshot.files[1].name = "000012.sst".into());
        assert_eq!(decode_snapshot(&twice).map_err(|e| e.want), Err("order of files"), "twice");
        let sum = sealed(|snapshot| snapshot.files[0].size = 302);
        assert_eq!(decode_snapshot(&sum).map_err(|e| e.want), Err("size of a file"), "the sum");
        let huge = sealed(|snapshot| snapshot.files[0].pieces[0].size = u64::MAX);
        assert_eq!(decode_snapshot(&huge).map_err(|e| e.want), Err("size of a piece"), "a size");
    }
}
