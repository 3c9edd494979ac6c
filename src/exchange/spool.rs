//! A place for bytes that may not fit into memory: a buffer, then a file without a name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes are written at the end and read back anywhere. The first `buffer` bytes, and always the
/// last, stay in memory, so a small spool makes no file. Nothing is left when it is dropped; on Unix
/// nothing is left after a crash either.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<Named>,
    /// Bytes in the file.
    filed: u64,
    /// What follows them.
    tail: Vec<u8>,
    buffer: usize,
}

/// A temporary file that goes away with its owner.
#[derive(Debug)]
struct Named {
    file: File,
    path: PathBuf,
}

impl Drop for Named {
    fn drop(&mut self) {
        if !cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Named {
    fn create(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("import-{}-{number}.tmp", std::process::id()));
        // A file of that name is left over from a process that is gone.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        if cfg!(unix) {
            fs::remove_file(&path)?;
        }
        Ok(Self { file, path })
    }
}

impl Spool {
    /// An empty spool that goes to a file in `folder` when it outgrows `buffer` bytes.
    pub(super) fn new(folder: &Path, buffer: usize) -> Self {
        Self { folder: folder.into(), file: None, filed: 0, tail: Vec::new(), buffer }
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> u64 {
        self.filed + self.tail.len() as u64
    }

    /// Fills `out` with the bytes from `at` on; all of them must have been written.
    pub(super) fn read_at(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let in_file = self.filed.saturating_sub(at).min(out.len() as u64);
        let (head, rest) = out.split_at_mut(usize::try_from(in_file).map_err(io::Error::other)?);
        if let (false, Some(named)) = (head.is_empty(), &mut self.file) {
            named.file.seek(SeekFrom::Start(at))?;
            named.file.read_exact(head)?;
        }
        let from = usize::try_from((at + in_file).saturating_sub(self.filed)).unwrap_or(usize::MAX);
        let kept = self.tail.get(from..).and_then(|tail| tail.get(..rest.len()));
        rest.copy_from_slice(kept.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let named = match &mut self.file {
            Some(named) => named,
            none => none.insert(Named::create(&self.folder)?),
        };
        named.file.seek(SeekFrom::Start(self.filed))?;
        named.file.write_all(&self.tail)?;
        self.filed += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tail.len() + bytes.len() > self.buffer && !self.tail.is_empty() {
            self.spill()?;
        }
        self.tail.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_from_memory_and_file_and_across() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::new(dir.path(), 10);
        let all: Vec<u8> = (0..100).collect();
        all.chunks(7).try_for_each(|piece| spool.write_all(piece)).expect("it is written");
        assert_eq!(spool.len(), 100);
        for at in 0..100 {
            for len in 0..=100 - at {
                let mut out = vec![0; len];
                spool.read_at(at as u64, &mut out).expect("it was written");
                assert_eq!(out, all[at..at + len], "{len} bytes at {at}");
            }
        }
        assert!(spool.read_at(99, &mut [0; 2]).is_err(), "nothing is there past the end");
        drop(spool);
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 0, "nothing is left");
    }

    #[test]
    fn a_small_spool_makes_no_file() {
        let mut spool = Spool::new(Path::new("/no/such/folder"), 10);
        spool.write_all(b"0123456789").expect("it fits the buffer");
        assert!(spool.write_all(b"x").is_err(), "now it would need the file");
    }
}
