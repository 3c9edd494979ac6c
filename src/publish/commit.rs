//! From writes to commits: what is replaced, what is refused, and the rows of one atomic write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Build, Meta, New, Ready};
use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::request::TrackedRows;
use super::{CommitOptions, Committed, Part, Publisher, Request, Seen, Writer};
use crate::engine::{Transaction, WriteSet};
use crate::error::Result;
use crate::format::coord::MessageRecord;
use crate::format::refs::{OpKind, OperationRecord, RefEdit, RefName, RefState};
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Head, Place};
use crate::id::{LineId, OpId, Seq};
use crate::view::{Found, find_many, layers_at};

/// A part as the commit lock finds it.
pub(super) struct Due<'r, 'e> {
    pub(super) part: &'r Part,
    pub(super) line: LineId,
    pub(super) head: Arc<Head>,
    /// What the keys are now that it writes.
    pub(super) rows: Rows<'e>,
    /// ... and those that it has read for update.
    pub(super) locked: Rows<'e>,
}

/// What some keys are, each.
type Rows<'e> = Vec<Option<Found<'e>>>;

/// A change that is one: a key, what it becomes, and what it was.
type Edit<'r, 'e> = (&'r [u8], New<'r>, Option<Found<'e>>);

/// What commits that are made together say of themselves.
struct Said<'r> {
    author: &'r str,
    message: &'r str,
    time: i64,
}

impl Said<'_> {
    /// The entry of the operation log that makes several commits one step.
    fn operation(&self, since: Seq, edits: Vec<RefEdit>) -> OperationRecord {
        let name = |edit: &RefEdit| match &edit.name {
            RefName::Branch(name) | RefName::Tag(name) => name.clone(),
            RefName::Active => String::new(),
        };
        let names: Vec<String> = edits.iter().map(name).collect();
        let what = match self.message.lines().next().unwrap_or_default() {
            "" => format!("commit to {}", names.join(", ")),
            title => format!("commit to {}: {title}", names.join(", ")),
        };
        let author = self.author.to_owned();
        OperationRecord {
            kind: OpKind::Do,
            time: self.time,
            author,
            what,
            since: since.get(),
            edits,
        }
    }
}

impl Publisher {
    /// Makes a commit that is a transaction by itself.
    pub(crate) fn commit_alone(&self, part: Part, options: CommitOptions) -> Result<Committed> {
        let timer = self.counters.begin();
        let done = self.commit(Request { parts: vec![part], options, ..Request::default() });
        timer.end(&done);
        Ok(done?.pop().unwrap_or(Committed::Unchanged))
    }

    /// Makes the commits that are asked for, all of them or none; says of each part what came of it.
    pub(crate) fn commit(&self, request: Request<'_>) -> Result<Vec<Committed>> {
        let Request { mut parts, options, tracked, messages, attached, ends } = request;
        let free = |seen: &Seen| seen.locked.is_empty();
        let idle = |part: &Part| part.seen.as_ref().is_some_and(free) && part.writes.is_empty();
        let more = !messages.is_empty() || !attached.is_empty() || options.allow_empty;
        if !more && parts.iter().all(idle) {
            // It has only read: nothing is in its way, not even that its branch is gone.
            return Ok(vec![Committed::Unchanged; parts.len()]);
        }
        let author = options.author.as_deref().unwrap_or(&self.settings.author);
        check_text("author", author, MAX_AUTHOR_LEN)?;
        check_text("message", &options.message, MAX_MESSAGE_LEN)?;
        let known: Vec<_> =
            parts.iter().map(|part| self.check_early(part)).collect::<Result<_>>()?;

        let mut guard = self.lock()?;
        let _passed = options.gates.pass()?;
        let writer = &mut *guard;
        if ends.is_none() {
            writer.held.check_parts(&parts)?;
        }
        let rows: Vec<_> = parts.iter_mut().map(Part::take_rows).collect();
        let mut due = self.gather(&parts, rows, tracked)?;
        self.check_conflicts(&due, &known)?;
        let mut edits: Vec<Option<Vec<Edit<'_, '_>>>> = Vec::with_capacity(due.len());
        for due in &mut due {
            edits.push(Some(self.edits(due)?).filter(|edits| !edits.is_empty()));
        }
        // An empty commit is one of the first branch. Messages have their place in the order of commits.
        let needed = !messages.is_empty() && edits.iter().flatten().next().is_none();
        if let Some(first) = edits.first_mut()
            && (options.allow_empty || needed)
        {
            first.get_or_insert_default();
        }

        let time = self.time(writer);
        let said = Said { author, message: &options.message, time };
        let (mut set, ready) = self.build(writer, &due, &edits, &said)?;
        let newest = ready.last().map_or(writer.latest, |ready| ready.head.place.seq);
        for (number, (topic, payload)) in (0..).zip(messages) {
            let key = keys::message(&topic, newest, number);
            let row = record::encode(&MessageRecord { payload, enqueued: time });
            self.engine().put(&mut set, Family::State, &key, &row);
        }
        let seqs: Vec<Seq> = ready.iter().map(|ready| ready.head.place.seq).collect();
        for attached in attached {
            let rows = attached(&seqs)?;
            self.put_rows(&mut set, &rows);
        }
        let mut seqs = seqs.into_iter();
        let done = edits.iter().map(|edits| match edits {
            Some(_) => seqs.next().map_or(Committed::Unchanged, Committed::At),
            None => Committed::Unchanged,
        });
        let done: Vec<Committed> = done.collect();
        if set.is_empty() {
            return Ok(done);
        }
        let write = self.write_commits(writer, set, ready)?;
        if let Some(gid) = ends {
            writer.held.remove(gid);
        }
        drop(guard);
        self.settle(write, options.durability)?;
        Ok(done)
    }

    /// Puts together the commits of all parts that have any edits, and the step of undo that several
    /// of them are.
    fn build(
        &self,
        writer: &Writer,
        due: &[Due<'_, '_>],
        edits: &[Option<Vec<Edit<'_, '_>>>],
        said: &Said<'_>,
    ) -> Result<(WriteSet, Vec<Ready>)> {
        let grouped = edits.iter().flatten().count() > 1;
        let (mut set, mut ready, mut moved) = (WriteSet::default(), Vec::new(), Vec::new());
        let mut seq = writer.latest;
        for (due, edits) in due.iter().zip(edits) {
            let Some(edits) = edits else { continue };
            seq = seq.next();
            let meta = Meta {
                author: said.author.to_owned(),
                message: said.message.to_owned(),
                branch: due.part.branch.to_string(),
                time: said.time,
                grouped,
                ..Meta::default()
            };
            let mut build = Build::new(self, seq, due.line, &due.head, Vec::new());
            for (key, new, old) in edits {
                build.edit(&mut set, key, *new, old.as_ref())?;
            }
            ready.push(build.finish(&mut set, meta)?);
            if grouped {
                moved.push(self.grown(due, seq)?);
            }
        }
        if grouped {
            let id = OpId { seq, step: 1 };
            let entry = said.operation(writer.latest, moved);
            self.engine().put(
                &mut set,
                Family::Refs,
                &keys::operation(id),
                &record::encode(&entry),
            );
        }
        Ok((set, ready))
    }

    /// Writes commits and makes them visible; the number is for [`settle`](Publisher::settle).
    pub(super) fn write_commits(
        &self,
        writer: &mut Writer,
        mut set: WriteSet,
        ready: Vec<Ready>,
    ) -> Result<u64> {
        let indexed = !ready.is_empty() && self.graph.write_due_blocks(&mut set)?;
        self.engine().write(set)?;
        if indexed {
            self.graph.indexed();
        }
        let grouped = ready.len() > 1;
        for ready in ready {
            self.done(writer, ready);
        }
        if grouped {
            writer.last_op.step = 1;
        }
        Ok(self.wrote(writer))
    }

    /// Where the parts' branches are, and what their keys are: as they were tracked, if that is how
    /// they still are.
    pub(super) fn gather<'r>(
        &'r self,
        parts: &'r [Part],
        tracked: Vec<Option<TrackedRows>>,
        transaction: Option<Transaction<'_>>,
    ) -> Result<Vec<Due<'r, 'r>>> {
        let mut places = Vec::with_capacity(parts.len());
        let mut unmoved = true;
        for part in parts {
            let line = LineId::new(self.refs.branch(part.branch.as_str())?.line);
            let head = self.graph.head(line)?;
            let since = |seen: &Seen| seen.line == line && seen.at == head.place;
            unmoved &= part.seen.as_ref().is_none_or(since);
            places.push((line, head));
        }
        // Where nothing was committed since, nothing was written either. Else RocksDB says whether a
        // row was, and where it has forgotten too much to tell, the rows themselves decide. The lock
        // keeps the answer true until the write.
        let current = match transaction {
            Some(transaction) => unmoved || transaction.finds_current()?,
            None => false,
        };
        let mut out = Vec::with_capacity(parts.len());
        for ((part, (line, head)), tracked) in parts.iter().zip(places).zip(tracked) {
            let same = part.seen.as_ref().is_some_and(|seen| seen.line == line);
            let known = tracked.filter(|_| current && same);
            let (rows, locked) = known.unwrap_or_default();
            let complete = rows.len() == part.writes.len();
            let rows = if complete { rows } else { self.newest(line, &head, &part.keys())? };
            let complete = locked.len() == part.locked().len();
            let locked = if complete { locked } else { self.newest_locked(line, &head, part)? };
            out.push(Due { part, line, head, rows, locked });
        }
        Ok(out)
    }

    /// What the keys are now that a part has read for update.
    fn newest_locked<'e>(&'e self, line: LineId, head: &Head, part: &Part) -> Result<Rows<'e>> {
        let mut out = Vec::new();
        for group in part.locked().chunk_by(|a, b| a.base == b.base) {
            let keys: Vec<&[u8]> = group.iter().map(|locked| locked.key.as_slice()).collect();
            out.extend(self.newest(line, head, &keys)?);
        }
        Ok(out)
    }

    /// What keys, which are sorted, are now.
    pub(super) fn newest<'e>(
        &'e self,
        line: LineId,
        head: &Head,
        wanted: &[&[u8]],
    ) -> Result<Vec<Option<Found<'e>>>> {
        let layers = layers_at(&self.graph, Place { line, seq: Seq::MAX }, head.rows)?;
        find_many(self.engine(), &layers, wanted)
    }

    /// The writes of a part that change something, if its conditions hold.
    fn edits<'r, 'e>(&self, due: &mut Due<'r, 'e>) -> Result<Vec<Edit<'r, 'e>>> {
        let mut edits = Vec::with_capacity(due.part.writes.len());
        for ((key, write), old) in due.part.writes.iter().zip(std::mem::take(&mut due.rows)) {
            for expect in &write.expects {
                self.check_expected(key, expect, old.as_ref())?;
            }
            let new = New::value(write.value.as_deref());
            if new.changes(old.as_ref())? {
                edits.push((key.as_slice(), new, old));
            }
        }
        Ok(edits)
    }

    /// What a commit among others does to its branch, as undo sees it.
    fn grown(&self, due: &Due<'_, '_>, seq: Seq) -> Result<RefEdit> {
        let branch = due.part.branch.as_str();
        let record = (*self.refs.branch(branch)?).clone();
        let before = RefState::Branch(record.clone(), due.head.place.seq.get());
        Ok(RefEdit {
            name: RefName::Branch(branch.to_owned()),
            before: Some(before),
            after: Some(RefState::Branch(record, seq.get())),
        })
    }

    /// Takes over what a commit that is written has changed in memory.
    pub(super) fn done(&self, writer: &mut Writer, ready: Ready) {
        writer.latest = ready.head.place.seq;
        writer.last_op = OpId { seq: writer.latest, step: 0 };
        if ready.merges {
            self.graph.merged(ready.head.place.line);
            // A collection that is being planned must not miss what the merge leads to.
            self.refs.moved([]);
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
        let mut build = Build::new(self, writer.latest.next(), line, head, decided);
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
