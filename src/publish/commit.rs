//! From writes to a commit: what is replaced, what is refused, and the rows of one atomic write.

use std::collections::{BTreeMap, BTreeSet};

use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::{CommitOptions, Committed, Publisher, Writer};
use crate::engine::{CommitFault, Engine, Transaction, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{
    ChangesAt, FingerprintSum, Header, IdHasher, OriginRecord, ParentRecord, Parts, write_first,
    write_further,
};
use crate::format::refs::At;
use crate::format::row::Cell;
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Head, Place};
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::{Expect, Write, show_key};
use crate::name::BranchName;
use crate::view::{Found, find_many, layers_at};

/// What a transaction saw: its branch's newest commit when it began.
pub(crate) struct Seen<'t> {
    pub(crate) at: Place,
    /// Whether nothing at all may have been committed to the branch since, whatever the keys.
    pub(crate) unmoved: bool,
    /// The branch's line then.
    pub(crate) line: LineId,
    /// What each key was when it was tracked, in the order of the keys.
    pub(crate) rows: Vec<Option<Found<'static>>>,
    /// RocksDB's side of the transaction, which tracks what was written.
    pub(crate) tracked: Option<Transaction<'t>>,
}

/// What a commit says of itself besides its changes.
pub(super) struct Meta {
    pub(super) author: String,
    pub(super) message: String,
    pub(super) branch: String,
    pub(super) origin: Option<OriginRecord>,
    pub(super) time: i64,
    /// Parents after the first.
    pub(super) further: Vec<Place>,
    /// Keys decided against a further parent, sorted.
    pub(super) decided: Vec<Vec<u8>>,
    pub(super) grouped: bool,
}

/// One write of a commit, with what it replaces.
struct Edit<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

/// A commit ready to be written.
pub(super) struct Ready {
    pub(super) head: Head,
    pub(super) log_bytes: u64,
}

impl Publisher {
    /// Makes a commit of these writes on a branch.
    pub(crate) fn commit(
        &self,
        branch: &BranchName,
        writes: &BTreeMap<Vec<u8>, Write>,
        options: CommitOptions,
        seen: Option<Seen<'_>>,
    ) -> Result<Committed> {
        let timer = self.counters.begin();
        let done = if seen.is_some() && writes.is_empty() && !options.allow_empty {
            // It has only read: nothing is in its way, not even that its branch is gone.
            Ok(Committed::Unchanged)
        } else {
            self.commit_writes(branch, writes, options, seen)
        };
        timer.end(&done);
        done
    }

    fn commit_writes(
        &self,
        branch: &BranchName,
        writes: &BTreeMap<Vec<u8>, Write>,
        options: CommitOptions,
        seen: Option<Seen<'_>>,
    ) -> Result<Committed> {
        let author = options.author.as_deref().unwrap_or(&self.settings.author);
        check_text("author", author, MAX_AUTHOR_LEN)?;
        check_text("message", &options.message, MAX_MESSAGE_LEN)?;
        let mut guard = self.lock()?;
        let writer = &mut *guard;
        let line = LineId::new(self.refs.branch(branch.as_str())?.line);
        let head = self.graph.head(line)?;
        if seen.as_ref().is_some_and(|seen| seen.unmoved && seen.at != head.place) {
            let text = format!("{branch} moved on since the transaction began");
            return Err(Error::new(ErrorKind::Conflict, text).with_hint("run it again"));
        }
        let wanted: Vec<&[u8]> = writes.keys().map(Vec::as_slice).collect();
        let newest = || {
            let layers = layers_at(&self.graph, Place { line, seq: Seq::MAX }, head.rows)?;
            find_many(self.engine(), &layers, &wanted)
        };
        let (base, tracked, old) = match seen {
            // RocksDB will see that the rows are what they were when they were tracked.
            Some(seen) if seen.line == line && seen.tracked.is_some() => {
                (Some(seen.at), seen.tracked, seen.rows)
            }
            Some(seen) => (Some(seen.at), None, newest()?),
            None => (None, None, newest()?),
        };
        let check = |rows: &[Option<Found<'_>>]| match base {
            Some(base) => self.check_conflicts(branch, line, base, &wanted, rows),
            None => Ok(()),
        };
        if let Err(e) = check(&old) {
            // Rows that were tracked may not be the newest ones, and all keys are to be named.
            check(&newest()?)?;
            return Err(e);
        }
        let mut edits = Vec::with_capacity(writes.len());
        let mut replaced = Vec::with_capacity(writes.len());
        for ((key, write), old) in writes.iter().zip(old) {
            for expect in &write.expects {
                self.check_expected(key, expect, old.as_ref())?;
            }
            if changes(write.value.as_deref(), old.as_ref())? {
                edits.push(Edit { key, value: write.value.as_deref() });
                replaced.push(old);
            }
        }
        if edits.is_empty() && !options.allow_empty {
            // Nothing goes through RocksDB, which would see what was written since it was tracked.
            if tracked.is_some() {
                check(&newest()?)?;
            }
            return Ok(Committed::Unchanged);
        }
        let time = self.time(writer);
        let meta = Meta {
            author: author.to_owned(),
            message: options.message,
            branch: branch.to_string(),
            origin: None,
            time,
            further: Vec::new(),
            decided: Vec::new(),
            grouped: false,
        };
        let mut set = WriteSet::default();
        let ready = match self.prepare(writer, &mut set, line, &head, &edits, &replaced, meta) {
            Ok(ready) => ready,
            Err(e) => {
                // Rows that were tracked may be old by now, and then nothing adds up.
                if tracked.is_some() {
                    check(&newest()?)?;
                }
                return Err(e);
            }
        };
        let indexed = self.graph.write_due_blocks(&mut set)?;
        match tracked.map(|tracked| tracked.commit(&set)) {
            None => self.engine().write(set)?,
            Some(Ok(())) => {}
            Some(Err(CommitFault::Failed(e))) => return Err(e),
            // A row was written since it was tracked, or RocksDB has forgotten too much to tell. The
            // rows themselves decide: without a conflict they are those that the set was made from.
            Some(Err(CommitFault::Undecided)) => {
                check(&newest()?)?;
                self.engine().write(set)?;
            }
        }
        if indexed {
            self.graph.indexed();
        }
        let seq = ready.head.place.seq;
        self.done(writer, ready);
        let write = self.wrote(writer);
        drop(guard);
        self.settle(write, options.durability)?;
        Ok(Committed::At(seq))
    }

    /// Refuses if a conditional write finds something else than it expects.
    fn check_expected(&self, key: &[u8], expect: &Expect, old: Option<&Found<'_>>) -> Result<()> {
        let found = match old {
            Some(old) => Some((old.written_at(&self.graph)?, old.read()?.1)),
            None => None,
        };
        let present = found.as_ref().is_some_and(|(_, cell)| cell.is_present());
        let (holds, wanted) = match expect {
            Expect::Any => return Ok(()),
            Expect::Absent => (!present, "absent".to_owned()),
            Expect::Present => (present, "present".to_owned()),
            Expect::Seq(seq) => (
                found.as_ref().is_some_and(|(at, _)| at == seq),
                format!("last changed by commit {seq}"),
            ),
            Expect::Value(value) => {
                let same = match &found {
                    Some((_, cell)) => cell.hash() == Some(ValueHash::of(value)),
                    None => false,
                };
                (
                    same,
                    format!("a value of {} bytes, {}", value.len(), ValueHash::of(value).short()),
                )
            }
        };
        if holds {
            return Ok(());
        }
        let actual = match &found {
            None => "absent".to_owned(),
            Some((seq, Cell::Deleted)) => format!("absent since commit {seq}"),
            Some((seq, cell)) => {
                let hash = cell.hash().map(|hash| hash.short()).unwrap_or_default();
                let len = match cell {
                    Cell::Inline(value) => value.len() as u64,
                    Cell::Blob { len, .. } => *len,
                    Cell::Deleted => 0,
                };
                format!("a value of {len} bytes, {hash}, last changed by commit {seq}")
            }
        };
        Err(Error::new(
            ErrorKind::Precondition,
            format!("{}: expected {wanted}, found {actual}", show_key(key)),
        )
        .with_hint("nothing was written; read the key again and decide anew")
        .with_keys(vec![key.to_vec()]))
    }

    /// Rows, log record and id of a commit; everything but the write itself.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site a kind of commit; a struct would only rename them"
    )]
    fn prepare(
        &self,
        writer: &Writer,
        set: &mut WriteSet,
        line: LineId,
        head: &Head,
        edits: &[Edit<'_>],
        replaced: &[Option<Found<'_>>],
        meta: Meta,
    ) -> Result<Ready> {
        let engine = self.engine();
        let seq = writer.latest.next();
        let mut parts = Parts::default();
        let mut sum = FingerprintSum::new(head.fingerprint);
        let (mut keys_now, mut rows_now) =
            (head.keys, if head.place.line == line { head.rows } else { 0 });
        let mut rows = RowWriter::new(self, seq, line);
        let mut decided = meta.decided.iter().peekable();
        for (edit, old) in edits.iter().zip(replaced) {
            while let Some(key) = decided.next_if(|key| key.as_slice() < edit.key) {
                parts.push(key, None, None, true);
            }
            decided.next_if(|key| key.as_slice() == edit.key);
            let before = match old {
                Some(old) => rows.keep_old(set, edit.key, old, &mut rows_now)?,
                None => {
                    rows_now += 1;
                    None
                }
            };
            let after = rows.put_new(set, edit.key, edit.value)?;
            if let Some(hash) = &before {
                sum.remove(edit.key, hash);
                keys_now = keys_now.checked_sub(1).ok_or_else(|| {
                    Error::new(ErrorKind::Corrupt, "a commit counts fewer keys than it has")
                })?;
            }
            if let Some(hash) = &after {
                sum.add(edit.key, hash);
                keys_now += 1;
            }
            parts.push(edit.key, before, after, false);
        }
        for key in decided {
            parts.push(key, None, None, true);
        }
        let changes = parts.count();
        let parts = parts.finish();
        let mut header = Header {
            id: [0; 32],
            line: line.get(),
            parents: vec![ParentRecord {
                line: head.place.line.get(),
                seq: head.place.seq.get(),
                id: *head.id.as_bytes(),
            }],
            time: meta.time,
            author: meta.author,
            message: meta.message,
            branch: meta.branch,
            origin: meta.origin,
            grouped: meta.grouped,
            fingerprint: *sum.get().as_bytes(),
            keys: keys_now,
            rows: rows_now,
            changes,
            changes_at: ChangesAt::Here {
                further: u32::try_from(parts.len() - 1)
                    .map_err(|_| Error::new(ErrorKind::Limit, "a commit has too many changes"))?,
            },
        };
        for parent in &meta.further {
            let id = self.graph.header(parent.seq)?.id;
            header.parents.push(ParentRecord {
                line: parent.line.get(),
                seq: parent.seq.get(),
                id,
            });
        }
        let mut hasher = IdHasher::new();
        parts.iter().for_each(|part| hasher.part(part));
        let id = hasher.finish(seq, &header);
        header.id = *id.as_bytes();
        let mut log_bytes = 0;
        for (number, part) in parts.iter().enumerate() {
            let row = if number == 0 { write_first(&header, part) } else { write_further(part) };
            if number == 0 {
                log_bytes = row.len() as u64;
            }
            let number = u32::try_from(number).expect("the number of parts was checked above");
            engine.put(set, Family::Log, &keys::log(seq, number), &row);
        }
        self.write_merge(set, Place { line, seq }, &meta.further);
        let head = Head {
            place: Place { line, seq },
            id,
            fingerprint: header.content(),
            keys: keys_now,
            rows: rows_now,
        };
        Ok(Ready { head, log_bytes })
    }

    /// Adds the row that walks find a merge's further parents by.
    pub(super) fn write_merge(&self, set: &mut WriteSet, place: Place, further: &[Place]) {
        if !further.is_empty() {
            let parents: Vec<At> = further.iter().copied().map(At::from).collect();
            let key = keys::merge(place.line, place.seq);
            self.engine().put(set, Family::Refs, &key, &record::encode(&parents));
        }
    }

    /// Takes over what a commit that is written has changed in memory.
    pub(super) fn done(&self, writer: &mut Writer, ready: Ready) {
        writer.latest = ready.head.place.seq;
        writer.last_op = crate::id::OpId { seq: writer.latest, step: 0 };
        self.graph.wrote(ready.head, ready.log_bytes);
    }

    /// A commit whose changes are given whole, for imports. The caller holds the commit lock.
    pub(super) fn commit_changes(
        &self,
        writer: &Writer,
        set: &mut WriteSet,
        line: LineId,
        head: &Head,
        changes_given: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
        meta: Meta,
    ) -> Result<Ready> {
        let layers = newest_layers(&self.graph, line, head)?;
        let wanted: Vec<&[u8]> = changes_given.keys().map(Vec::as_slice).collect();
        let old = find_many(self.engine(), &layers, &wanted)?;
        let mut edits = Vec::new();
        let mut replaced = Vec::new();
        for ((key, value), old) in changes_given.iter().zip(old) {
            if changes(value.as_deref(), old.as_ref())? {
                edits.push(Edit { key, value: value.as_deref() });
                replaced.push(old);
            }
        }
        self.prepare(writer, set, line, head, &edits, &replaced, meta)
    }
}

/// The layers that show the newest rows of a line that may not be stored yet.
fn newest_layers(graph: &Graph, line: LineId, head: &Head) -> Result<crate::view::Layers> {
    if head.place.line == line {
        layers_at(graph, Place { line, seq: Seq::MAX }, head.rows)
    } else {
        // A new line: what it forks from is all there is.
        let rows = graph.header(head.place.seq)?.rows;
        layers_at(graph, head.place, rows)
    }
}

/// Whether writing this value changes anything.
fn changes(value: Option<&[u8]>, old: Option<&Found<'_>>) -> Result<bool> {
    let Some(old) = old else { return Ok(value.is_some()) };
    Ok(match (value, old.read()?.1) {
        (None, cell) => cell.is_present(),
        (Some(_), Cell::Deleted) => true,
        (Some(value), Cell::Inline(now)) => value != now,
        (Some(value), Cell::Blob { hash, len }) => {
            value.len() as u64 != len || ValueHash::of(value) != hash
        }
    })
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

    /// Moves what is replaced to history, if it was on this line; the hash of what was there.
    fn keep_old(
        &mut self,
        set: &mut WriteSet,
        key: &[u8],
        old: &Found<'_>,
        rows: &mut u64,
    ) -> Result<Option<ValueHash>> {
        let (seq, cell) = old.read()?;
        if old.line == self.line {
            cell.write_history(&mut self.row);
            self.engine.put(set, Family::History, &keys::history(self.line, key, seq), &self.row);
        } else {
            *rows += 1;
        }
        Ok(cell.hash())
    }

    /// Writes the new version; its hash, or none for a deletion.
    fn put_new(
        &mut self,
        set: &mut WriteSet,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<ValueHash>> {
        let hash = value.map(ValueHash::of);
        let cell = match (value, hash) {
            (Some(value), Some(hash)) if value.len() >= self.threshold => {
                if self.blobs.insert(hash) {
                    put_blob(self.engine, set, &hash, value)?;
                }
                Cell::Blob { hash, len: value.len() as u64 }
            }
            (Some(value), _) => Cell::Inline(value),
            (None, _) => Cell::Deleted,
        };
        keys::head_into(self.line, key, &mut self.key);
        cell.write_head(self.seq, &mut self.row);
        self.engine.put(set, Family::Head, &self.key, &self.row);
        Ok(hash)
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
