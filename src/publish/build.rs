//! From changes to the rows of one commit: head, history, blobs, log record and id.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::Publisher;
use crate::engine::{Engine, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{
    ChangesAt, FingerprintSum, Header, IdHasher, OriginRecord, ParentRecord, Parts, write_first,
    write_further,
};
use crate::format::merge::{MergeRecord, SettledRecord, write_details};
use crate::format::row::Cell;
use crate::format::{Family, keys, record};
use crate::graph::{Head, Place};
use crate::id::{LineId, Seq, ValueHash};
use crate::view::{Found, ScanRow};

/// What a commit says of itself besides its changes.
#[derive(Default)]
pub(super) struct Meta {
    pub(super) author: String,
    pub(super) message: String,
    pub(super) branch: String,
    pub(super) origin: Option<OriginRecord>,
    pub(super) time: i64,
    /// Parents after the first.
    pub(super) further: Vec<Place>,
    /// Commits that were merged without becoming parents.
    pub(super) remembered: Vec<Place>,
    pub(super) details: Option<Details>,
    pub(super) grouped: bool,
}

/// How a merge came about.
pub(crate) type Details = Box<(MergeRecord, Vec<SettledRecord>)>;

/// What a key becomes.
#[derive(Clone, Copy)]
pub(super) enum New<'a> {
    Deleted,
    Value(&'a [u8]),
    /// A value whose hash is known.
    Hashed(&'a [u8], ValueHash),
    /// A large value that the store has already.
    Blob {
        hash: ValueHash,
        len: u64,
    },
}

impl<'a> New<'a> {
    pub(super) fn value(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Deleted, Self::Value)
    }

    /// A stored value with this hash.
    pub(super) fn row(row: Option<&'a ScanRow>, hash: Option<ValueHash>) -> Self {
        match (row, hash) {
            // What was purged does not come back.
            (None | Some(ScanRow::Purged { .. }), _) => Self::Deleted,
            (Some(ScanRow::Inline(value)), Some(hash)) => Self::Hashed(value, hash),
            (Some(ScanRow::Inline(value)), None) => Self::Value(value),
            (Some(ScanRow::Blob { hash, len }), _) => Self::Blob { hash: *hash, len: *len },
        }
    }

    /// Whether this is something else than what is there.
    pub(super) fn changes(&self, old: Option<&Found<'_>>) -> Result<bool> {
        let Some(old) = old else { return Ok(!matches!(self, Self::Deleted)) };
        Ok(match (self, old.read()?.1) {
            (Self::Deleted, cell) => cell.is_present(),
            (
                Self::Value(_) | Self::Hashed(..) | Self::Blob { .. },
                Cell::Deleted | Cell::Purged { .. },
            ) => true,
            (Self::Value(value) | Self::Hashed(value, _), Cell::Inline(now)) => *value != now,
            (Self::Value(value), Cell::Blob { hash, len }) => {
                value.len() as u64 != len || ValueHash::of(value) != hash
            }
            (Self::Hashed(_, hash), Cell::Blob { hash: now, .. }) => *hash != now,
            (Self::Blob { hash, .. }, cell) => cell.hash() != Some(*hash),
        })
    }
}

/// A commit ready to be written.
pub(super) struct Ready {
    pub(super) head: Head,
    /// Whether it merges anything.
    pub(super) merges: bool,
    pub(super) log_bytes: u64,
}

/// A commit that is being put together. Its keys must come in order.
pub(super) struct Build<'p> {
    publisher: &'p Publisher,
    seq: Seq,
    line: LineId,
    head: Head,
    rows: RowWriter<'p>,
    parts: Parts,
    sum: FingerprintSum,
    keys_now: u64,
    rows_now: u64,
    /// Keys decided against a further parent.
    decided: Peekable<IntoIter<Vec<u8>>>,
}

impl<'p> Build<'p> {
    /// The commit with this sequence, after `head`, on `line`.
    pub(super) fn new(
        publisher: &'p Publisher,
        seq: Seq,
        line: LineId,
        head: &Head,
        decided: Vec<Vec<u8>>,
    ) -> Self {
        Self {
            publisher,
            seq,
            line,
            head: *head,
            rows: RowWriter::new(publisher, seq, line),
            parts: Parts::default(),
            sum: FingerprintSum::new(head.fingerprint),
            keys_now: head.keys,
            rows_now: if head.place.line == line { head.rows } else { 0 },
            decided: decided.into_iter().peekable(),
        }
    }

    /// Adds a change of what the layers show.
    pub(super) fn edit(
        &mut self,
        set: &mut WriteSet,
        key: &[u8],
        new: New<'_>,
        old: Option<&Found<'_>>,
    ) -> Result<()> {
        let before = match old {
            Some(old) => old.read()?.1.hash(),
            None => None,
        };
        self.replace(set, key, new, old.filter(|old| old.line == self.line), before)
    }

    /// Adds a change of a value with this hash, whose row, if it is on this very line, is `own`.
    pub(super) fn replace(
        &mut self,
        set: &mut WriteSet,
        key: &[u8],
        new: New<'_>,
        own: Option<&Found<'_>>,
        before: Option<ValueHash>,
    ) -> Result<()> {
        self.pass_decided(key);
        match own {
            Some(own) => self.rows.keep_old(set, key, own)?,
            None => self.rows_now += 1,
        }
        let after = self.rows.put_new(set, key, new)?;
        if let Some(hash) = &before {
            self.sum.remove(key, hash);
            self.keys_now = self.keys_now.checked_sub(1).ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "a commit counts fewer keys than it has")
            })?;
        }
        if let Some(hash) = &after {
            self.sum.add(key, hash);
            self.keys_now += 1;
        }
        self.parts.push(key, before, after, false);
        Ok(())
    }

    /// Lists the keys below this one that were decided and stay as they were.
    fn pass_decided(&mut self, key: &[u8]) {
        while let Some(decided) = self.decided.next_if(|decided| decided.as_slice() < key) {
            self.parts.push(&decided, None, None, true);
        }
        self.decided.next_if(|decided| decided.as_slice() == key);
    }

    /// Adds everything else that the commit needs.
    pub(super) fn finish(mut self, set: &mut WriteSet, meta: Meta) -> Result<Ready> {
        for key in self.decided {
            self.parts.push(&key, None, None, true);
        }
        let changes = self.parts.count();
        let parts = self.parts.finish();
        let further = u32::try_from(parts.len() - 1)
            .map_err(|_| Error::new(ErrorKind::Limit, "a commit has too many changes"))?;
        let mut changes_at = ChangesAt::Here { further };
        if let Some(details) = &meta.details {
            changes_at = self.publisher.write_details(set, self.seq, details, changes_at)?;
        }
        let mut header = Header {
            id: [0; 32],
            line: self.line.get(),
            parents: self.publisher.parents(&self.head, &meta.further)?,
            time: meta.time,
            author: meta.author,
            message: meta.message,
            branch: meta.branch,
            origin: meta.origin,
            grouped: meta.grouped,
            fingerprint: *self.sum.get().as_bytes(),
            keys: self.keys_now,
            rows: self.rows_now,
            changes,
            changes_at,
        };
        let mut hasher = IdHasher::new();
        parts.iter().for_each(|part| hasher.part(part));
        let id = hasher.finish(self.seq, &header);
        header.id = *id.as_bytes();
        let engine = self.publisher.engine();
        let mut log_bytes = 0;
        for (number, part) in parts.iter().enumerate() {
            let row = if number == 0 { write_first(&header, part) } else { write_further(part) };
            if number == 0 {
                log_bytes = row.len() as u64;
            }
            let number = u32::try_from(number).expect("the number of parts was checked above");
            engine.put(set, Family::Log, &keys::log(self.seq, number), &row);
        }
        let place = Place { line: self.line, seq: self.seq };
        self.publisher.write_merge(set, place, &meta.further, &meta.remembered);
        let head = Head {
            place,
            id,
            fingerprint: header.content(),
            keys: self.keys_now,
            rows: self.rows_now,
        };
        let merges = !(meta.further.is_empty() && meta.remembered.is_empty());
        Ok(Ready { head, merges, log_bytes })
    }
}

impl Publisher {
    /// The parents of a commit after `head`.
    pub(super) fn parents(&self, head: &Head, further: &[Place]) -> Result<Vec<ParentRecord>> {
        let mut parents = vec![ParentRecord {
            line: head.place.line.get(),
            seq: head.place.seq.get(),
            id: *head.id.as_bytes(),
        }];
        for parent in further {
            let id = self.graph.header(parent.seq)?.id;
            parents.push(ParentRecord { line: parent.line.get(), seq: parent.seq.get(), id });
        }
        Ok(parents)
    }

    /// Adds the rows that say how a merge came about.
    pub(super) fn write_details(
        &self,
        set: &mut WriteSet,
        seq: Seq,
        details: &Details,
        changes_at: ChangesAt,
    ) -> Result<ChangesAt> {
        let parts = write_details(&details.0, &details.1);
        let count = u32::try_from(parts.len())
            .map_err(|_| Error::new(ErrorKind::Limit, "a merge has too many conflicts"))?;
        let mut hasher = blake3::Hasher::new();
        for (number, part) in (0..count).zip(&parts) {
            hasher.update(part);
            self.engine().put(set, Family::Log, &keys::merge_details(seq, number), part);
        }
        Ok(changes_at.with_details(count, *hasher.finalize().as_bytes()))
    }

    /// Adds the row that walks find what a merge merged by, parents or not.
    pub(super) fn write_merge(
        &self,
        set: &mut WriteSet,
        place: Place,
        further: &[Place],
        remembered: &[Place],
    ) {
        if further.is_empty() && remembered.is_empty() {
            return;
        }
        use crate::format::refs::At;
        let merged: Vec<At> = further.iter().chain(remembered).copied().map(At::from).collect();
        let key = keys::merge(place.line, place.seq);
        self.engine().put(set, Family::Refs, &key, &record::encode(&merged));
    }
}

/// Writes head, history and blob rows of one commit.
struct RowWriter<'p> {
    engine: &'p Engine,
    threshold: usize,
    seq: Seq,
    line: LineId,
    key: Vec<u8>,
    row: Vec<u8>,
    blobs: BTreeSet<ValueHash>,
}

impl<'p> RowWriter<'p> {
    fn new(publisher: &'p Publisher, seq: Seq, line: LineId) -> Self {
        Self {
            engine: publisher.engine(),
            threshold: publisher.settings.blob_threshold,
            seq,
            line,
            key: Vec::new(),
            row: Vec::new(),
            blobs: BTreeSet::new(),
        }
    }

    /// Moves what is replaced on this line to history.
    fn keep_old(&mut self, set: &mut WriteSet, key: &[u8], old: &Found<'_>) -> Result<()> {
        let (seq, cell) = old.read()?;
        cell.write_history(&mut self.row);
        self.engine.put(set, Family::History, &keys::history(self.line, key, seq), &self.row);
        Ok(())
    }

    /// Writes the new version; its hash, or none for a deletion.
    fn put_new(
        &mut self,
        set: &mut WriteSet,
        key: &[u8],
        new: New<'_>,
    ) -> Result<Option<ValueHash>> {
        let (cell, hash) = match new {
            New::Deleted => (Cell::Deleted, None),
            New::Blob { hash, len } => (Cell::Blob { hash, len }, Some(hash)),
            New::Value(value) => self.cell(set, value, ValueHash::of(value))?,
            New::Hashed(value, hash) => self.cell(set, value, hash)?,
        };
        keys::head_into(self.line, key, &mut self.key);
        cell.write_head(self.seq, &mut self.row);
        self.engine.put(set, Family::Head, &self.key, &self.row);
        Ok(hash)
    }
}

impl RowWriter<'_> {
    /// A value as it is stored: in the row, or once under its hash.
    fn cell<'v>(
        &mut self,
        set: &mut WriteSet,
        value: &'v [u8],
        hash: ValueHash,
    ) -> Result<(Cell<'v>, Option<ValueHash>)> {
        if value.len() < self.threshold {
            return Ok((Cell::Inline(value), Some(hash)));
        }
        if self.blobs.insert(hash) {
            put_blob(self.engine, set, &hash, value)?;
        }
        Ok((Cell::Blob { hash, len: value.len() as u64 }, Some(hash)))
    }
}

/// Adds a large value to a set of writes, unless the store has it.
pub(super) fn put_blob(
    engine: &Engine,
    set: &mut WriteSet,
    hash: &ValueHash,
    value: &[u8],
) -> Result<()> {
    let length = keys::blob_length(hash);
    if engine.get(Family::Blob, &length)?.is_none() {
        engine.put(set, Family::Blob, &length, &record::encode(&(value.len() as u64)));
        engine.put(set, Family::Blob, &keys::blob_content(hash), value);
    }
    Ok(())
}
