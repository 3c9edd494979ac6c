//! Files of a store and of its copies: written so that a crash leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Point, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FORMAT_VERSION, MAGIC};

/// The file that marks a directory as a store, and names its format.
pub(crate) const MARKER: &str = "withy.store";

/// What a file of the database is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Sorted rows or large values: never changed once it is complete.
    Table,
    /// Write-ahead log: grows at its end.
    Log,
    /// The list of files: grows at its end.
    Manifest,
    /// Names the manifest.
    Current,
    /// RocksDB's settings, for people.
    Options,
}

impl FileKind {
    /// None for what is not part of the database's content: locks, messages, withy's own files.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if name == "CURRENT" {
            return Some(Self::Current);
        }
        if let Some((number, kind)) = name.split_once('.') {
            return match kind {
                "sst" | "blob" if is_number(number) => Some(Self::Table),
                "log" if is_number(number) => Some(Self::Log),
                _ => None,
            };
        }
        match name.split_once('-') {
            Some(("MANIFEST", number)) if is_number(number) => Some(Self::Manifest),
            Some(("OPTIONS", number)) if is_number(number) => Some(Self::Options),
            _ => None,
        }
    }
}

/// The operating system refused something about a file.
pub(crate) fn refused(what: &str, path: &Path, cause: io::Error) -> Error {
    let text = format!("{what} {}", path.display());
    if cause.kind() == io::ErrorKind::StorageFull {
        return Error::new(ErrorKind::Io, format!("{text}: no space left on the disk"))
            .because(cause)
            .with_hint("free some space, then run it again");
    }
    Error::new(ErrorKind::Io, text).because(cause)
}

/// The names in a directory, sorted; empty if it is absent.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(refused("cannot read", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| refused("cannot read", dir, e))?.file_name();
        // A name that is not text is none of ours, and must be seen as something that is there.
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes a directory and those above it, and puts their entries on disk.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    make_dir(above)?;
    match fault::file(Point::Create, path, || fs::create_dir(path)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    fault::file(Point::FileSync, above, || File::open(above)?.sync_all())
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Puts the entries of a directory on disk.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let synced = fault::file(Point::FileSync, path, || File::open(path)?.sync_all());
    synced.map_err(|e| refused("cannot sync", path, e))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fault::file(Point::Remove, path, || fs::remove_file(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(refused("cannot remove", path, e)),
        _ => Ok(()),
    }
}

/// Makes a file shorter, and puts that on disk.
pub(crate) fn cut(path: &Path, len: u64) -> Result<()> {
    let cut = || -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        fault::file(Point::FileWrite, path, || file.set_len(len))?;
        fault::file(Point::FileSync, path, || file.sync_all())
    };
    cut().map_err(|e| refused("cannot cut", path, e))
}

/// The name under which a file or directory is written until it is complete.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Writes a file that appears whole, and is on disk when this returns.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = beside(path);
    let write = || -> io::Result<()> {
        let mut file = fault::file(Point::Create, &unfinished, || File::create(&unfinished))?;
        fault::file(Point::FileWrite, &unfinished, || file.write_all(bytes))?;
        fault::file(Point::FileSync, &unfinished, || file.sync_all())?;
        fault::file(Point::Rename, path, || fs::rename(&unfinished, path))?;
        fault::file(Point::FileSync, parent(path), || File::open(parent(path))?.sync_all())
    };
    write().map_err(|e| {
        // The error that led here matters more than a file that is left.
        let _ = fs::remove_file(&unfinished);
        refused("cannot write", path, e)
    })
}

/// Writes the marker, last, so that a directory with a marker is a whole store.
pub(crate) fn write_marker(store: &Path) -> Result<()> {
    write_durably(&store.join(MARKER), format!("{MAGIC}{FORMAT_VERSION}\n").as_bytes())
}

/// What tells one file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// 0 where the system has none.
    pub(crate) inode: u64,
    /// When its content was last changed, in nanoseconds since 1970; 0 if unknown.
    pub(crate) modified: i64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).map_err(|e| refused("cannot read", path, e))?;
        let modified = meta.modified().ok();
        let since = modified.and_then(|t| t.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
        let modified = since.and_then(|t| i64::try_from(t.as_nanos()).ok()).unwrap_or(0);
        Ok(Self { size: meta.len(), inode: inode(&meta), modified })
    }
}

#[cfg(unix)]
pub(crate) fn inode(meta: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
pub(crate) fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// Whether files can be linked from one directory to the other.
#[cfg(unix)]
pub(crate) fn same_disk(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let disk = |path| fs::metadata(path).ok().map(|meta: fs::Metadata| meta.dev());
    disk(a).is_some() && disk(a) == disk(b)
}

/// Whether files can be linked from one directory to the other.
#[cfg(not(unix))]
pub(crate) fn same_disk(_: &Path, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_database_are_known_by_their_names() {
        assert_eq!(FileKind::of("000012.sst"), Some(FileKind::Table));
        assert_eq!(FileKind::of("000012.blob"), Some(FileKind::Table));
        assert_eq!(FileKind::of("000012.log"), Some(FileKind::Log));
        assert_eq!(FileKind::of("MANIFEST-000005"), Some(FileKind::Manifest));
        assert_eq!(FileKind::of("OPTIONS-000007"), Some(FileKind::Options));
        assert_eq!(FileKind::of("CURRENT"), Some(FileKind::Current));
        for other in
            ["LOG", "LOCK", "IDENTITY", "withy.store", "x.sst", ".sst", "1.sst.new", "../1.sst"]
        {
            assert_eq!(FileKind::of(other), None, "{other} is not content of the database");
        }
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let path = dir.path().join("file");
        write_durably(&path, b"old").expect("it is written");
        write_durably(&path, b"new").expect("it is replaced");
        assert_eq!(fs::read(&path).expect("it is read"), b"new", "the last content counts");
        assert_eq!(names(dir.path()).expect("names"), ["file"], "nothing is left beside it");
    }
}
