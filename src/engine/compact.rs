//! Compaction by hand, in slices, so that it can be slowed down and stopped.

use std::collections::BTreeSet;

use rocksdb::{BottommostLevelCompaction, CompactOptions};

use super::{Db, Engine, Point, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;

/// A slice ends at the first file that makes it this large.
const SLICE: u64 = 64 << 20;

/// A slice: from a stored key on, up to another one, and its bytes.
type Slice = (Option<Vec<u8>>, Option<Vec<u8>>, u64);

impl Engine {
    /// Compacts a family, so that what was removed from it leaves the disk. `done` is called after each
    /// slice with its bytes, and may stop the work.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if any file that was there is in use still: the disk may be full. Nothing is lost, and
    /// some of the work may be done.
    pub(crate) fn reclaim(
        &self,
        family: Family,
        mut done: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let db = self.writable()?;
        let cf = db.cf_handle(family.name()).expect("every family is opened");
        self.step(Point::Flush, || {
            db.flush_cf(cf).map_err(|e| failed("cannot flush the store", e))
        })?;
        let before = self.tables(family)?;
        // Files of large values are rewritten whatever their age.
        let to_age = |age: &str| {
            db.set_options_cf(cf, &[("blob_garbage_collection_age_cutoff", age)])
                .map_err(|e| failed("cannot compact the store", e))
        };
        if family == Family::Blob {
            to_age("1.0")?;
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        let each = |(from, to, bytes): Slice| {
            self.step(Point::Compact, || {
                db.compact_range_cf_opt(cf, from, to, &options);
                Ok(())
            })?;
            done(bytes)
        };
        let compacted = self.slices(family).into_iter().try_for_each(each);
        let restored = if family == Family::Blob { to_age("0.25") } else { Ok(()) };
        compacted?;
        // RocksDB's compaction by hand tells nobody whether it has failed. One that has come to its end has
        // written every file anew.
        match self.tables(family)?.intersection(&before).count() {
            0 => restored,
            left => Err(not_compacted(&format!("{left} of {} files", before.len()))),
        }
    }

    /// Names of the data files of a family.
    fn tables(&self, family: Family) -> Result<BTreeSet<String>> {
        let files = self.writable()?.live_files();
        let files = files.map_err(|e| failed("cannot list the files of the store", e))?;
        let files = files.into_iter().filter(|file| file.column_family_name == family.name());
        Ok(files.map(|file| file.name).collect())
    }

    /// All of a family, cut between files.
    fn slices(&self, family: Family) -> Vec<Slice> {
        let Db::Write(db) = &self.db else { return Vec::new() };
        let files = db.live_files().unwrap_or_default();
        let of_family = files.into_iter().filter(|file| file.column_family_name == family.name());
        let files: Vec<_> = of_family.collect();
        // Files of keys say little about large values, which are elsewhere: each has its share of them.
        let elsewhere = self.property(family, "rocksdb.total-blob-file-size").unwrap_or(0);
        let entries: u64 = files.iter().map(|file| file.num_entries).sum();
        let share = |of: u64| u128::from(elsewhere) * u128::from(of) / u128::from(entries.max(1));
        let sizes = files.into_iter().map(|file| {
            let share = u64::try_from(share(file.num_entries)).unwrap_or(u64::MAX);
            let (start, end) = (file.start_key, file.end_key);
            let size = (file.size as u64).saturating_add(share);
            (start.unwrap_or_default(), end.unwrap_or_default(), size)
        });
        cut(sizes.collect())
    }
}

pub(super) fn not_compacted(files: &str) -> Error {
    let text = format!("cannot compact the store: {files} could not be written anew");
    Error::new(ErrorKind::Io, text)
        .with_hint("free some space on the disk, then do it again; nothing is lost")
}

/// Slices of files with these first and last keys and sizes; together they have every key there is.
fn cut(mut files: Vec<(Vec<u8>, Vec<u8>, u64)>) -> Vec<Slice> {
    files.sort_unstable();
    let mut out: Vec<Slice> = vec![(None, None, 0)];
    let mut highest = Vec::new();
    for (start, end, size) in files {
        let Some(last) = out.last_mut() else { break };
        if last.2 > 0 && last.2.saturating_add(size) > SLICE && last.0.as_ref() != Some(&start) {
            // RocksDB takes files that begin at the end of a slice along: it ends before them, if it can.
            last.1 = Some(if highest < start { highest.clone() } else { start.clone() });
            out.push((Some(start), None, size));
        } else {
            last.2 = last.2.saturating_add(size);
        }
        highest = highest.max(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Option<Vec<u8>> {
        Some(name.as_bytes().to_vec())
    }

    #[test]
    fn slices_have_every_key_and_end_where_files_end() {
        assert_eq!(cut(Vec::new()), [(None, None, 0)], "an empty family is one slice");
        let file = |first: &str, last: &str, mib: u64| {
            (first.as_bytes().to_vec(), last.as_bytes().to_vec(), mib << 20)
        };
        let files = vec![
            file("d", "dd", 60),
            file("a", "ab", 30),
            file("b", "bz", 30),
            file("b", "c", 30),
            file("e", "g", 1),
            file("f", "k", 60),
        ];
        let slices = [
            (None, key("b"), 60 << 20),
            (key("b"), key("c"), 30 << 20),
            (key("d"), key("f"), 61 << 20),
            (key("f"), None, 60 << 20),
        ];
        assert_eq!(cut(files), slices, "each ends before it is too large");
    }
}
