//! From writes to a commit: what is replaced, what is refused, and the rows of one atomic write.

use std::collections::BTreeMap;

use super::build::{Build, Meta, New, Ready};
use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::{CommitOptions, Committed, Publisher, Writer};
use crate::engine::{CommitFault, Transaction, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::Cell;
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
        for ((key, write), old) in writes.iter().zip(old) {
            for expect in &write.expects {
                self.check_expected(key, expect, old.as_ref())?;
            }
            let new = New::value(write.value.as_deref());
            if new.changes(old.as_ref())? {
                edits.push((key, new, old));
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
            time,
            ..Meta::default()
        };
        let mut set = WriteSet::default();
        let build = || {
            let mut build = Build::new(self, writer, line, &head, Vec::new());
            for (key, new, old) in &edits {
                build.edit(&mut set, key, *new, old.as_ref())?;
            }
            build.finish(&mut set, meta)
        };
        let ready = match build() {
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

    /// Takes over what a commit that is written has changed in memory.
    pub(super) fn done(&self, writer: &mut Writer, ready: Ready) {
        writer.latest = ready.head.place.seq;
        writer.last_op = crate::id::OpId { seq: writer.latest, step: 0 };
        if ready.merges {
            self.graph.merged(ready.head.place.line);
        }
        self.graph.wrote(ready.head, ready.log_bytes);
    }

    /// A commit whose changes are given whole, for imports. The caller holds the commit lock.
    pub(super) fn commit_changes(
        &self,
        writer: &Writer,
        set: &mut WriteSet,
        line: LineId,
        head: &Head,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
        (decided, meta): (Vec<Vec<u8>>, Meta),
    ) -> Result<Ready> {
        let layers = newest_layers(&self.graph, line, head)?;
        let wanted: Vec<&[u8]> = changes.keys().map(Vec::as_slice).collect();
        let old = find_many(self.engine(), &layers, &wanted)?;
        let mut build = Build::new(self, writer, line, head, decided);
        for ((key, value), old) in changes.iter().zip(old) {
            let new = New::value(value.as_deref());
            if new.changes(old.as_ref())? {
                build.edit(set, key, new, old.as_ref())?;
            }
        }
        build.finish(set, meta)
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
