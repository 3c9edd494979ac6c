//! Sorted files that are made beside the store and taken in whole.

use std::path::{Path, PathBuf};

use rocksdb::{IngestExternalFileOptions, SstFileWriter};

use super::{Engine, Point, failed, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;

/// A sorted file being written.
pub(crate) struct SortedFile<'a> {
    writer: SstFileWriter<'a>,
    path: PathBuf,
    rows: u64,
}

impl Engine {
    /// Starts a sorted file for family `head` or `log`.
    pub(crate) fn sorted_file(&self, path: &Path) -> Result<SortedFile<'_>> {
        let writer = SstFileWriter::create(&self.files);
        fault::step(Point::Create, path, || {
            writer.open(path).map_err(|e| failed("cannot make a file for a bulk load", e))
        })?;
        Ok(SortedFile { writer, path: path.to_owned(), rows: 0 })
    }

    /// Takes sorted files in, all or none; they are moved, not copied. The caller holds the commit
    /// lock, and [`between_captures`](Self::between_captures) until the commit is written; the rows are on a
    /// line that nobody reads yet.
    pub(crate) fn ingest(&self, family: Family, paths: Vec<PathBuf>) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        self.step(Point::Ingest, || {
            db.ingest_external_file_cf_opts(cf, &options, paths)
                .map_err(|e| failed("cannot take in a bulk load", e))
        })
    }
}

impl SortedFile<'_> {
    /// Adds a row; its key is above all before it.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.rows += 1;
        self.writer.put(key, value).map_err(|e| failed("cannot write a bulk load", e))
    }

    pub(crate) fn size(&self) -> u64 {
        self.writer.file_size()
    }

    /// Ends the file; `None` if it has no rows.
    pub(crate) fn finish(mut self) -> Result<Option<PathBuf>> {
        if self.rows == 0 {
            let path = self.path.as_path();
            let removed = fault::file(Point::Remove, path, || std::fs::remove_file(path));
            return match removed {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::new(ErrorKind::Io, "cannot remove an empty file").because(e))
                }
                _ => Ok(None),
            };
        }
        fault::step(Point::SortedFile, &self.path, || {
            self.writer.finish().map_err(|e| failed("cannot end a bulk load", e))
        })?;
        Ok(Some(self.path))
    }
}
