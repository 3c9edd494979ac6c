//! Purge: the values of a range of keys are removed from all of history.
//!
//! It begins with one write: commits that delete what branches still have of the range, the audit
//! record, and a row that says that it is under way. From then on it comes to its end, if need be at the
//! next open: values in rows of every line become hashes, large values that nothing names any more go,
//! and files are written anew, until no byte of a value is left in the directory. Commits keep what they
//! say, so ids, fingerprints and counts of keys can still be checked.

mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use report::{PurgeOptions, PurgeReport};

use super::gc::blobs::{note_commits, note_under_way};
use crate::engine::files::names;
use crate::engine::{Engine, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{is_write, written_key};
use crate::format::refs::{PurgeRecord, meta};
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Family, keys, record};
use crate::graph::Graph;
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::{Direction, Durability, KeyRange, Write, show_key};
use crate::name::BranchName;
use crate::progress::Meter;
use crate::publish::{Attached, CommitOptions, Part, Publisher, Request, Watch};
use crate::view::View;

/// Rows are written in groups of this many, so that commits go on in between.
const GROUP: usize = 512;
/// So often commits are planned that other commits may overtake.
const FREE_PLANS: usize = 8;

/// Removes the values of a range of keys.
pub(crate) fn purge(
    publisher: &Arc<Publisher>,
    range: &KeyRange,
    mut options: PurgeOptions<'_>,
) -> Result<PurgeReport> {
    let _alone = publisher.collecting();
    let engine = publisher.graph().engine();
    must_not_be_set_aside(engine.path())?;
    if engine.is_frozen_before(engine.frozen_so_far()) {
        return Err(Error::new(ErrorKind::Busy, "the store is being verified")
            .with_hint("purge when that has ended: it reads what a purge removes"));
    }
    // What an earlier one has left comes first.
    finish_left(publisher, &mut options.meter)?;
    options.meter.stage("delete", None, None)?;
    let number = begin(publisher, range, &options)?;
    finish(publisher, number, &mut options.meter)
}

/// Refuses while there are files that a salvage has set aside: they have all that was in them, and nobody
/// but the user knows whether they are needed.
fn must_not_be_set_aside(store: &Path) -> Result<()> {
    let names = names(store)?.into_iter();
    let Some(dir) = names.into_iter().find(|name| name.starts_with("salvage-")) else {
        return Ok(());
    };
    let text = format!("files of before a salvage are in {dir} of the store");
    Err(Error::new(ErrorKind::Busy, text)
        .with_hint("remove that directory first, or move it out of the store: a purge does not change what is in it"))
}

/// Finishes the purge that was under way when the store was last closed; true if it still is, because the
/// disk does not take what is to be written. That is no reason not to open.
pub(crate) fn resume(publisher: &Arc<Publisher>) -> Result<bool> {
    let _alone = publisher.collecting();
    match finish_left(publisher, &mut Meter::default()) {
        Err(e) if e.kind() == ErrorKind::Io && publisher.graph().engine().check().is_ok() => {
            Ok(true)
        }
        done => done.map(|()| false),
    }
}

/// All purges, oldest first.
pub(crate) fn all(engine: &Engine) -> Result<Vec<PurgeReport>> {
    let mut out = Vec::new();
    let mut rows = engine.iter_prefix(Family::Refs, &[keys::kind::PURGE]);
    rows.seek_to_first();
    while let Some((stored, value)) = rows.current()? {
        let purge: PurgeRecord = record::decode("purge", value)?;
        out.push(PurgeReport::new(keys::number_at(stored, 1)?, purge));
        rows.next();
    }
    Ok(out)
}

fn finish_left(publisher: &Arc<Publisher>, meter: &mut Meter<'_>) -> Result<()> {
    let left = publisher.graph().engine().get(Family::Meta, meta::PURGE)?;
    if let Some(row) = left {
        let number: u64 = record::decode("purge under way", &row)?;
        drop(row);
        finish(publisher, number, meter)?;
    }
    Ok(())
}

/// Deletes the keys from branches and writes down what is to be purged: all of it in one write.
fn begin(publisher: &Arc<Publisher>, range: &KeyRange, options: &PurgeOptions<'_>) -> Result<u64> {
    let engine = publisher.graph().engine();
    let mut tries = 0;
    loop {
        let planned = publisher.visible();
        let parts = parts(publisher, range)?;
        let author = options.author.as_deref().unwrap_or(publisher.author()).to_owned();
        let reason = options.reason.clone();
        let message = match reason.as_str() {
            "" => "purge".to_owned(),
            reason => format!("purge: {reason}"),
        };
        let commit = CommitOptions::default()
            .author(author.as_str())
            .message(message)
            .durability(Durability::Sync);
        let last = engine.last_with_prefix(Family::Refs, &[keys::kind::PURGE])?;
        let last = last.map(|(stored, _)| keys::number_at(&stored, 1)).transpose()?;
        let number = last.unwrap_or(0) + 1;
        let is_last_try = tries + 1 >= FREE_PLANS;
        let attached: Attached<'_> = Box::new(move |commits: &[Seq]| {
            // What was put meanwhile is purged too; but then it is better deleted by a commit.
            if publisher.visible() != planned && !is_last_try {
                return Err(Error::new(ErrorKind::Conflict, "a commit came first"));
            }
            check_free(engine, range)?;
            publisher.graph().begin_purge(range.clone());
            let purge = PurgeRecord {
                start: range.start(),
                end: range.end(),
                upto: commits.last().copied().unwrap_or(publisher.visible()).get(),
                time: publisher.now().as_millis(),
                author,
                reason,
                commits: commits.iter().map(|seq| seq.get()).collect(),
                versions: 0,
                values: 0,
                done: false,
            };
            Ok(vec![
                (Family::Refs, keys::purge(number), Some(record::encode(&purge))),
                (Family::Meta, meta::PURGE.to_vec(), Some(record::encode(&number))),
            ])
        });
        let attached = vec![attached];
        let request = Request { parts, options: commit, attached, ..Request::default() };
        let done = publisher.commit(request);
        if done.is_err() {
            publisher.graph().end_purge();
        }
        match done {
            Err(e) if e.kind() == ErrorKind::Conflict && !is_last_try => tries += 1,
            Err(e) => return Err(e),
            Ok(_) => return Ok(number),
        }
    }
}

/// The deletion of the range's keys on each branch that has any.
fn parts(publisher: &Publisher, range: &KeyRange) -> Result<Vec<Part>> {
    let graph = publisher.graph();
    let mut parts = Vec::new();
    for (name, branch) in publisher.refs().branches()? {
        let view = View::new(graph, graph.head(LineId::new(branch.line))?.place)?;
        let mut scanner = view.scanner(range, Direction::Forward);
        let mut writes = Vec::new();
        while let Some((key, _)) = scanner.next_row()? {
            writes.push((key, Write { value: None, expects: Vec::new() }));
        }
        drop(scanner);
        if !writes.is_empty() {
            parts.push(Part { branch: BranchName::new(&name)?, writes, seen: None });
        }
    }
    Ok(parts)
}

/// Refuses if an open merge or a prepared transaction holds a key of the range. The caller holds the
/// commit lock.
fn check_free(engine: &Engine, range: &KeyRange) -> Result<()> {
    let busy = |what: String, key: &[u8], hint: &str| {
        let text = format!("{what} holds {}", show_key(key));
        Err(Error::new(ErrorKind::Busy, text).with_hint(hint).with_keys(vec![key.to_vec()]))
    };
    let mut rows = engine.iter_prefix(Family::State, &[keys::state::CONFLICT]);
    rows.seek_to_first();
    while let Some((stored, _)) = rows.current()? {
        let branch = keys::name_before_nul(stored)?;
        let (_, key) = keys::open_conflict_parts(stored, &keys::open_conflicts(branch))?;
        if range.contains(key) {
            let what = format!("the merge that is open on {branch}");
            return busy(what, key, "continue it or abort it first");
        }
        rows.next();
    }
    let mut rows = engine.iter_prefix(Family::State, &[keys::state::PREPARED_PART]);
    rows.seek_to_first();
    while let Some((stored, _)) = rows.current()? {
        if is_write(stored) {
            let (gid, key) = written_key(stored)?;
            if range.contains(key) {
                let what = format!("prepared transaction {gid}");
                let hint =
                    "commit it or roll it back first; `withy prepared` lists what is prepared";
                return busy(what, key, hint);
            }
        }
        rows.next();
    }
    Ok(())
}

/// A purge that has begun.
struct Run<'a, 'm, 'c> {
    publisher: &'a Publisher,
    graph: &'a Arc<Graph>,
    engine: &'a Arc<Engine>,
    meter: &'m mut Meter<'c>,
    number: u64,
    record: PurgeRecord,
    examined: u64,
}

/// Does what is left of a purge.
fn finish(publisher: &Arc<Publisher>, number: u64, meter: &mut Meter<'_>) -> Result<PurgeReport> {
    let (graph, engine) = (publisher.graph(), publisher.graph().engine());
    let row = engine.get(Family::Refs, &keys::purge(number))?.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("the record of purge {number} is missing"))
    })?;
    let record: PurgeRecord = record::decode("purge", &row)?;
    drop(row);
    // Again, if it was stopped before. If it is stopped now, it stays under way.
    graph.begin_purge(record.range());
    let mut run = Run { publisher, graph, engine, meter, number, record, examined: 0 };
    {
        // Read layers are not made of rows that are about to change.
        let _upkeep = publisher.upkeep();
        run.meter.stage("values", None, None)?;
        let lines = run.lines()?;
        lines.iter().try_for_each(|line| run.rewrite(*line))?;
        run.meter.stage("large values", None, None)?;
        run.large_values(&lines)?;
    }
    run.meter.stage("files", None, None)?;
    // A verification that has begun meanwhile holds rows as they were.
    let replaced = engine.frozen_so_far();
    while engine.is_frozen_before(replaced) {
        std::thread::sleep(Duration::from_millis(5));
        run.meter.tell(run.examined, 0)?;
    }
    // First all families: the write-ahead log goes once nothing in it is needed.
    for family in Family::ALL {
        engine.flush(family)?;
    }
    for family in [Family::Head, Family::History, Family::Blob] {
        engine.reclaim(family, |_| run.meter.tell(run.examined, 0))?;
    }
    run.record.done = true;
    let rows = vec![
        (Family::Refs, keys::purge(number), Some(record::encode(&run.record))),
        (Family::Meta, meta::PURGE.to_vec(), None),
    ];
    publisher.update_state_as(Some(Durability::Sync), || Ok((rows, ())))?;
    graph.end_purge();
    Ok(PurgeReport::new(number, run.record))
}

impl Run<'_, '_, '_> {
    /// All lines, those of read layers and those that are gone included.
    fn lines(&self) -> Result<Vec<LineId>> {
        let mut out = Vec::new();
        let mut rows = self.engine.iter_prefix(Family::Refs, &[keys::kind::LINE]);
        rows.seek_to_first();
        while let Some((stored, _)) = rows.current()? {
            out.push(LineId::new(keys::number_at(stored, 1)?));
            rows.next();
        }
        Ok(out)
    }

    /// The keys of a line's rows in the range: from, and up to without.
    fn bounds(&self, family: Family, line: LineId) -> (Vec<u8>, Vec<u8>) {
        let stored = |key: &[u8]| match family {
            Family::Head => keys::head(line, key),
            _ => keys::history_prefix(line, key),
        };
        let behind = || keys::line_prefix(line.next()).to_vec();
        let from = stored(&self.record.start);
        let to = self.record.end.as_deref().map_or_else(behind, stored);
        let to = to.max(from.clone());
        (from, to)
    }

    /// Calls `each` with the rows of a line in the range.
    fn visit(
        &mut self,
        family: Family,
        line: LineId,
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (from, to) = self.bounds(family, line);
        let engine = Arc::clone(self.engine);
        let mut rows = engine.iter_once(family, &from, Some(&to));
        rows.seek_to_first();
        while let Some((stored, row)) = rows.current()? {
            self.examined += 1;
            self.meter.step(self.examined, 0)?;
            each(self, stored, row)?;
            rows.next();
        }
        Ok(())
    }

    /// Replaces the values of a line by their hashes.
    fn rewrite(&mut self, line: LineId) -> Result<()> {
        // In this order: what is replaced meanwhile moves from `head` to `history`.
        for family in [Family::Head, Family::History] {
            let mut group = Vec::new();
            self.visit(family, line, |run, stored, row| {
                if run.is_due(family, line, (stored, row))? {
                    group.push(stored.to_vec());
                }
                if group.len() < GROUP {
                    return Ok(());
                }
                run.replace(family, line, &std::mem::take(&mut group))
            })?;
            self.replace(family, line, &group)?;
        }
        Ok(())
    }

    /// Whether a row holds a value, and its commit is not above what is purged.
    fn is_due(&self, family: Family, line: LineId, (stored, row): (&[u8], &[u8])) -> Result<bool> {
        let (seq, cell) = cell_of(family, stored, row)?;
        if !cell.is_present() {
            return Ok(false);
        }
        if seq == Seq::ROOT && self.graph.gone(line).is_some_and(|gone| gone.record().dead) {
            // Of a line that is being removed nothing else may be left.
            return Ok(true);
        }
        Ok(self.graph.birth(line, seq)?.get() <= self.record.upto)
    }

    /// Replaces the values of some rows, if they are still there.
    fn replace(&mut self, family: Family, line: LineId, group: &[Vec<u8>]) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let publisher = self.publisher;
        publisher.remove(|set: &mut WriteSet| {
            let mut out = Vec::new();
            for stored in group {
                let Some(row) = self.engine.get(family, stored)? else { continue };
                if !self.is_due(family, line, (stored, &row))? {
                    continue;
                }
                let (seq, cell) = cell_of(family, stored, &row)?;
                let Some(hash) = cell.hash() else { continue };
                match family {
                    Family::Head => Cell::Purged { hash }.write_head(seq, &mut out),
                    _ => Cell::Purged { hash }.write_history(&mut out),
                }
                self.engine.put(set, family, stored, &out);
                self.record.versions += 1;
            }
            // With the count, so that a run that goes on does not count twice.
            let record = record::encode(&self.record);
            self.engine.put(set, Family::Refs, &keys::purge(self.number), &record);
            Ok(())
        })?;
        self.meter.tell(self.examined, 0)
    }

    /// Removes the large values that only purged rows named.
    fn large_values(&mut self, lines: &[LineId]) -> Result<()> {
        let mut left: BTreeSet<[u8; 32]> = BTreeSet::new();
        for line in lines {
            for family in [Family::Head, Family::History] {
                self.visit(family, *line, |run, stored, row| {
                    if let (_, Cell::Purged { hash }) = cell_of(family, stored, row)?
                        && run.engine.get(Family::Blob, &keys::blob_length(&hash))?.is_some()
                    {
                        left.insert(*hash.as_bytes());
                    }
                    Ok(())
                })?;
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        // What commits after this one name is found in the log, what work under way names from now on is noted.
        let (watch, mut known) = (self.publisher.watch()?, self.publisher.visible());
        note_under_way(self.engine, &mut |hash| {
            left.remove(hash);
        })?;
        let engine = Arc::clone(self.engine);
        for family in [Family::Head, Family::History] {
            let mut rows = engine.iter_once(family, &[], None);
            rows.seek_to_first();
            while let Some((stored, row)) = rows.current()? {
                if let (_, Cell::Blob { hash, .. }) = cell_of(family, stored, row)? {
                    left.remove(hash.as_bytes());
                }
                self.examined += 1;
                self.meter.step(self.examined, 0)?;
                rows.next();
            }
        }
        while !left.is_empty() {
            self.drop_values(&watch, &mut left, &mut known)?;
        }
        Ok(())
    }

    /// Removes some large values, unless somebody has named them meanwhile.
    fn drop_values(
        &mut self,
        watch: &Watch<'_>,
        left: &mut BTreeSet<[u8; 32]>,
        known: &mut Seq,
    ) -> Result<()> {
        let publisher = self.publisher;
        let mut spare = |left: &mut BTreeSet<[u8; 32]>| {
            note_commits(publisher, known, &mut |hash| {
                left.remove(hash);
            })
        };
        // Most of them before the lock is taken, the rest under it.
        spare(left)?;
        publisher.remove(|set: &mut WriteSet| {
            spare(left)?;
            for hash in watch.take() {
                left.remove(hash.as_bytes());
            }
            for hash in left.iter().take(GROUP).copied().collect::<Vec<_>>() {
                left.remove(&hash);
                let hash = ValueHash::from_bytes(hash);
                self.engine.delete(set, Family::Blob, &keys::blob_length(&hash));
                self.engine.delete(set, Family::Blob, &keys::blob_content(&hash));
                self.record.values += 1;
            }
            let record = record::encode(&self.record);
            self.engine.put(set, Family::Refs, &keys::purge(self.number), &record);
            Ok(())
        })
    }
}

/// The stored sequence of a row, and what it holds.
fn cell_of<'r>(family: Family, stored: &[u8], row: &'r [u8]) -> Result<(Seq, Cell<'r>)> {
    Ok(match family {
        Family::Head => read_head(row)?,
        _ => (keys::history_seq(stored)?, read_history(row)?),
    })
}
