//! The rows of a bulk load on their way into sorted files.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::path::PathBuf;
use std::vec::IntoIter;

use super::Publisher;
use super::build::{New, put_blob};
use super::init::BULK_DIR;
use crate::engine::{Point, SortedFile, WriteSet, fault};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{FingerprintSum, IdHasher, Parts, write_further};
use crate::format::keys;
use crate::format::row::Cell;
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::{check_key, check_value};
use crate::view::{Found, View, find_many};

/// A sorted file is ended when it is this large.
const FILE_BYTES: u64 = 128 << 20;
/// Rows are compared with what they replace in groups of this many.
const GROUP: usize = 1000;
/// Large values are written when this many bytes of them have come together.
const BLOB_BYTES: usize = 8 << 20;

/// A bulk load while its rows come.
pub(super) struct Load<'s> {
    publisher: &'s Publisher,
    base: &'s View,
    line: LineId,
    dir: PathBuf,
    files: &'s mut u32,
    head: Files<'s>,
    log: Files<'s>,
    parts: Parts,
    part_count: u32,
    hasher: IdHasher,
    sum: FingerprintSum,
    keys: u64,
    rows: u64,
    decided: Peekable<IntoIter<Vec<u8>>>,
    /// Listed keys that are no rows: those that were decided.
    changes: u64,
    blobs: WriteSet,
    seen_blobs: BTreeSet<ValueHash>,
    last: Option<Vec<u8>>,
    key: Vec<u8>,
    row: Vec<u8>,
}

/// The sorted files of one family.
#[derive(Default)]
struct Files<'s> {
    open: Option<SortedFile<'s>>,
    done: Vec<PathBuf>,
}

/// What a bulk load has come to.
pub(super) struct Loaded {
    pub(super) head_files: Vec<PathBuf>,
    pub(super) log_files: Vec<PathBuf>,
    pub(super) parts: u32,
    pub(super) hasher: IdHasher,
    pub(super) sum: FingerprintSum,
    pub(super) keys: u64,
    pub(super) rows: u64,
    pub(super) changes: u64,
}

impl<'s> Load<'s> {
    pub(super) fn new(
        publisher: &'s Publisher,
        files: &'s mut u32,
        line: LineId,
        base: &'s View,
    ) -> Result<Self> {
        let dir = publisher.engine().path().join(BULK_DIR);
        fault::file(Point::Create, &dir, || std::fs::create_dir_all(&dir)).map_err(|e| {
            Error::new(ErrorKind::Io, "cannot make a directory for a bulk load").because(e)
        })?;
        Ok(Self {
            publisher,
            base,
            line,
            dir,
            files,
            head: Files::default(),
            log: Files::default(),
            parts: Parts::default(),
            part_count: 0,
            hasher: IdHasher::new(),
            sum: FingerprintSum::new(base.fingerprint()),
            keys: base.len(),
            rows: 0,
            decided: Vec::new().into_iter().peekable(),
            changes: 0,
            blobs: WriteSet::default(),
            seen_blobs: BTreeSet::new(),
            last: None,
            key: Vec::new(),
            row: Vec::new(),
        })
    }

    pub(super) fn rows(
        &mut self,
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>,
    ) -> Result<()> {
        let mut group = Vec::with_capacity(GROUP);
        for row in rows {
            let (key, value) = row?;
            check_key(&key)?;
            check_value(&value)?;
            if self.last.as_ref().is_some_and(|last| *last >= key) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "the rows of a bulk load are not sorted",
                ));
            }
            self.last = Some(key.clone());
            group.push((key, value));
            if group.len() == GROUP {
                self.group(&group)?;
                group.clear();
            }
        }
        self.group(&group)
    }

    fn group(&mut self, group: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let base = self.base;
        if base.is_empty() {
            let row = |(key, value): &(Vec<u8>, Vec<u8>)| self.edit(key, New::Value(value), None);
            return group.iter().try_for_each(row);
        }
        let wanted: Vec<&[u8]> = group.iter().map(|(key, _)| key.as_slice()).collect();
        let old = find_many(base.engine(), base.layers(), &wanted)?;
        for ((key, value), old) in group.iter().zip(old) {
            let cell = old.as_ref().map(Found::read).transpose()?.map(|(_, cell)| cell);
            let before = cell.and_then(|cell| cell.hash());
            if cell.is_none_or(|cell| !cell.is_present()) || before != Some(ValueHash::of(value)) {
                self.edit(key, New::Value(value), before)?;
            }
        }
        Ok(())
    }

    /// Adds a change of a value with this hash. Keys must come in order.
    pub(super) fn edit(
        &mut self,
        key: &[u8],
        new: New<'_>,
        before: Option<ValueHash>,
    ) -> Result<()> {
        self.decide_below(Some(key))?;
        if let Some(before) = &before {
            self.sum.remove(key, before);
            self.keys = self.keys.checked_sub(1).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "a commit counts fewer keys than it has")
            })?;
        }
        let cell = match new {
            New::Deleted => Cell::Deleted,
            New::Blob { hash, len } => Cell::Blob { hash, len },
            New::Value(value) | New::Hashed(value, _)
                if value.len() >= self.publisher.settings.blob_threshold =>
            {
                let hash = ValueHash::of(value);
                if self.seen_blobs.insert(hash) {
                    put_blob(self.publisher.engine(), &mut self.blobs, &hash, value)?;
                }
                if self.blobs.size() >= BLOB_BYTES {
                    self.publisher.engine().write(std::mem::take(&mut self.blobs))?;
                }
                Cell::Blob { hash, len: value.len() as u64 }
            }
            New::Value(value) | New::Hashed(value, _) => Cell::Inline(value),
        };
        let after = match new {
            New::Hashed(_, hash) => Some(hash),
            New::Deleted | New::Value(_) | New::Blob { .. } => cell.hash(),
        };
        if let Some(hash) = &after {
            self.sum.add(key, hash);
            self.keys += 1;
        }
        self.rows += 1;
        let mut stored = std::mem::take(&mut self.key);
        let mut row = std::mem::take(&mut self.row);
        keys::head_into(self.line, key, &mut stored);
        cell.write_head(Seq::ROOT, &mut row);
        Self::put(self.publisher, &self.dir, self.files, &mut self.head, &stored, &row)?;
        (self.key, self.row) = (stored, row);
        self.parts.push(key, before, after, false);
        self.write_done_parts()
    }

    /// The keys, by key, that a merge decided against a further parent.
    pub(super) fn set_decided(&mut self, decided: Vec<Vec<u8>>) {
        self.decided = decided.into_iter().peekable();
    }

    /// Lists the decided keys below this one, or all that are left.
    fn decide_below(&mut self, key: Option<&[u8]>) -> Result<()> {
        while let Some(decided) =
            self.decided.next_if(|decided| key.is_none_or(|key| decided.as_slice() < key))
        {
            self.parts.push(&decided, None, None, true);
            self.changes += 1;
            self.write_done_parts()?;
        }
        if let Some(key) = key {
            self.decided.next_if(|decided| decided.as_slice() == key);
        }
        Ok(())
    }

    fn write_done_parts(&mut self) -> Result<()> {
        for part in self.parts.take_done() {
            self.part(&part)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &[u8]) -> Result<()> {
        self.hasher.part(part);
        let key = keys::bulk_log(self.line, self.part_count);
        self.part_count = self
            .part_count
            .checked_add(1)
            .ok_or_else(|| Error::new(ErrorKind::Limit, "a bulk load has too many rows"))?;
        Self::put(self.publisher, &self.dir, self.files, &mut self.log, &key, &write_further(part))
    }

    fn put(
        publisher: &'s Publisher,
        dir: &std::path::Path,
        files: &mut u32,
        to: &mut Files<'s>,
        key: &[u8],
        row: &[u8],
    ) -> Result<()> {
        if to.open.as_ref().is_some_and(|file| file.size() >= FILE_BYTES) {
            to.end()?;
        }
        let file = match &mut to.open {
            Some(file) => file,
            None => {
                *files += 1;
                to.open.insert(publisher.engine().sorted_file(&dir.join(format!("{files}.sst")))?)
            }
        };
        file.put(key, row)
    }

    pub(super) fn finish(mut self) -> Result<Option<Loaded>> {
        self.decide_below(None)?;
        if self.rows == 0 {
            return Ok(None);
        }
        for part in std::mem::take(&mut self.parts).finish() {
            if !part.is_empty() {
                self.part(&part)?;
            }
        }
        if !self.blobs.is_empty() {
            self.publisher.engine().write(std::mem::take(&mut self.blobs))?;
        }
        self.head.end()?;
        self.log.end()?;
        Ok(Some(Loaded {
            head_files: self.head.done,
            log_files: self.log.done,
            parts: self.part_count,
            hasher: self.hasher,
            sum: self.sum,
            keys: self.keys,
            rows: self.rows,
            changes: self.rows + self.changes,
        }))
    }
}

impl Files<'_> {
    fn end(&mut self) -> Result<()> {
        if let Some(file) = self.open.take() {
            self.done.extend(file.finish()?);
        }
        Ok(())
    }
}
