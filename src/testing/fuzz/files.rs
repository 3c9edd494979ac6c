//! Files beside the rows: markers, locks, records of backups, and all that is read of a store before its
//! database is opened.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use crate::engine;
use crate::engine::files::FileKind;
use crate::error::ErrorKind;
use crate::format::backup::{
    BackupMarker, backup_marker, decode_snapshot, encode_snapshot, read_backup_marker,
};
use crate::format::synced::{SYNCED_FILE, Synced};
use crate::store::look;

/// Every parser of a file that is read whole. Seeds name them by number: new ones come last.
const PARSERS: [(&str, super::Target); 8] = [
    ("withy.store", store_marker),
    ("withy.backup", marker_of_backups),
    ("withy.lock", |b| engine::fuzz::lock(&super::text(b))),
    ("snapshots", |b| drop(decode_snapshot(b))),
    // The same with a right checksum, which no mutation of the bytes comes to.
    ("snapshots, sealed", snapshot),
    ("withy.synced", |b| drop(Synced::decode(b))),
    ("withy.synced, sealed", slot),
    ("withy.salvage", |b| engine::fuzz::salvage_mark(&super::text(b))),
];

fn store_marker(bytes: &[u8]) {
    let text = super::text(bytes);
    if let Some(format) = look::format_in(&text) {
        let again = format!("{}{format}\n", crate::format::MAGIC);
        assert_eq!(look::format_in(&again), Some(format), "a format is read as it is written");
    }
}

fn marker_of_backups(bytes: &[u8]) {
    let text = super::text(bytes);
    if let BackupMarker::Of(store) = read_backup_marker(&text) {
        assert_eq!(backup_marker(store), text, "there is one way to write it");
    }
}

fn snapshot(bytes: &[u8]) {
    let sealed = [bytes, blake3::hash(bytes).as_bytes()].concat();
    let Ok(snapshot) = decode_snapshot(&sealed) else { return };
    for name in snapshot.files.iter().map(|file| &file.name) {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let is_inside = name.bytes().all(is_plain) && !name.starts_with('.');
        assert!(is_inside, "{name:?} is the name of a file in its directory");
    }
    let written = encode_snapshot(&snapshot);
    assert!(written.len() <= sealed.len(), "what is written is the shortest form");
    assert_eq!(decode_snapshot(&written), Ok(snapshot), "what is written is read as the same");
}

fn slot(bytes: &[u8]) {
    let covered = &bytes[..bytes.len().min(48)];
    let sealed = [covered, &blake3::hash(covered).as_bytes()[..16]].concat();
    if let Ok(synced) = Synced::decode(&sealed) {
        assert_eq!(Synced::decode(&synced.encode()), Ok(synced), "it is read as it is written");
    }
}

/// Files that are read whole: the first byte says which.
pub fn files(bytes: &[u8]) {
    if let Some((which, rest)) = bytes.split_first() {
        PARSERS[usize::from(*which) % PARSERS.len()].1(rest);
    }
}

/// What the first byte of [`stores`] asks for.
const SEALED: u8 = 1;
const SALVAGED: u8 = 2;

/// The files of a store that are read before its database is opened. The first byte says whether the records
/// of manifest and logs get the checksums that they should have, and whether the store is salvaged then. Each file
/// is its name and a zero, the length of its content in two bytes, and the content; of a data file the length is
/// all that there is.
pub fn stores(bytes: &[u8]) {
    thread_local! {
        static DIR: OnceCell<TempDir> = const { OnceCell::new() };
    }
    let Some((flags, rest)) = bytes.split_first() else { return };
    DIR.with(|cell| {
        let dir =
            cell.get_or_init(|| tempfile::tempdir().expect("a scratch directory can be made"));
        let path = dir.path().join("store");
        fs::create_dir(&path).expect("it can be made");
        unpack(rest, flags & SEALED != 0, &path);
        let look = || match flags & SALVAGED {
            0 => engine::fuzz::look(&path),
            _ => engine::fuzz::look(&path).and_then(|()| engine::fuzz::salvage(&path)),
        };
        if let Err(e) = look() {
            assert_eq!(e.kind(), ErrorKind::Corrupt, "the bytes are wrong, not the disk: {e:?}");
        }
        fs::remove_dir_all(&path).expect("it can be removed");
    });
}

fn unpack(mut bytes: &[u8], seal: bool, dir: &Path) {
    while let Some((name, rest)) = bytes.iter().position(|&b| b == 0).map(|at| bytes.split_at(at)) {
        let Some((len, rest)) = rest[1..].split_first_chunk::<2>() else { return };
        let len = usize::from(u16::from_be_bytes(*len));
        let kind = str::from_utf8(name).ok().and_then(FileKind::of);
        let path = dir.join(String::from_utf8_lossy(name).as_ref());
        if kind == Some(FileKind::Table) {
            let made = File::create(path).and_then(|file| file.set_len(len as u64));
            made.expect("a file can be made");
            bytes = rest;
            continue;
        }
        let (content, behind) = rest.split_at(len.min(rest.len()));
        let mut content = content.to_vec();
        if seal && matches!(kind, Some(FileKind::Log | FileKind::Manifest)) {
            engine::fuzz::seal(&mut content);
        }
        if kind.is_some() || name == SYNCED_FILE.as_bytes() {
            fs::write(path, content).expect("a file can be written");
        }
        bytes = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_table_of_the_targets() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/README.md");
        let table = fs::read_to_string(path).expect("the table is read");
        for (name, _) in PARSERS {
            assert!(table.contains(name), "fuzz/README.md names {name}");
        }
    }
}
