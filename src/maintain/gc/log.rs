//! The log and what is derived from it: commits that are gone, their ids, merges and operations.

use std::collections::{BTreeMap, BTreeSet};

use super::merged::CameFrom;
use super::{Collector, Phase};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::commit::read_first;
use crate::format::keys::Behind;
use crate::format::refs::{At, IdsRecord, OperationRecord};
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{LineId, OpId, Seq};

/// The first part of a commit that is gone.
struct Header {
    stored: Vec<u8>,
    len: usize,
    seq: Seq,
    branch: String,
}

impl Collector<'_> {
    /// Removes the records of commits that are gone, up to `upto`.
    pub(super) fn commits(&mut self, from: &[u8], upto: Seq) -> Result<()> {
        let start = keys::log(Seq::ROOT, 0);
        let start = if from > start.as_slice() { from } else { &start };
        let end = keys::log(upto.next(), 0);
        if start >= end.as_slice() {
            return Ok(());
        }
        let engine = self.engine();
        let mut rows = engine.iter_once(Family::Log, start, Some(&end));
        rows.seek_to_first();
        // Parts go before the record that says how many there are.
        let mut last_kept = None;
        let mut header: Option<Header> = None;
        while let Some((stored, row)) = rows.current()? {
            let Some((seq, part)) = keys::log_parts(stored)? else { break };
            if part == 0 {
                self.end_commit(&mut header)?;
                let (read, _) = read_first(row)?;
                if self.graph().gone(LineId::new(read.line)).is_none_or(|gone| gone.has(seq)) {
                    last_kept = Some(seq);
                } else {
                    let (stored, len) = (stored.to_vec(), row.len());
                    header = Some(Header { stored, len, seq, branch: read.branch });
                }
            } else if last_kept != Some(seq) {
                self.delete(Family::Log, stored, row.len());
                self.flush_if_full(Phase::Commits, &[])?;
            }
            self.examined(row.len())?;
            rows.next();
        }
        self.end_commit(&mut header)?;
        self.flush(Phase::Commits, &end)
    }

    fn end_commit(&mut self, header: &mut Option<Header>) -> Result<()> {
        let Some(header) = header.take() else { return Ok(()) };
        self.delete(Family::Log, &header.stored, header.len);
        // In order of sequences: the last one is the newest.
        self.names.insert(header.branch, header.seq);
        self.report.commits += 1;
        self.flush_if_full(Phase::Commits, &header.stored)
    }

    /// Removes the changes of bulk loads and the details of merges whose commits are gone.
    pub(super) fn behind_commits(&mut self) -> Result<()> {
        let engine = self.engine();
        let first = keys::bulk_log(LineId::ROOT, 0);
        let mut rows = engine.iter_once(Family::Log, &first, None);
        rows.seek_to_first();
        let mut known: Option<(Behind, bool)> = None;
        while let Some((stored, row)) = rows.current()? {
            let of = keys::behind_log(stored)?;
            let is_gone = match &known {
                Some((last, is_gone)) if *last == of => *is_gone,
                _ => self.is_removed(of)?,
            };
            known = Some((of, is_gone));
            if is_gone {
                self.delete(Family::Log, stored, row.len());
                self.flush_if_full(Phase::Behind, &[])?;
            }
            self.examined(row.len())?;
            rows.next();
        }
        self.flush(Phase::Behind, &[])
    }

    /// Whether the commit is gone that something behind the log belongs to.
    fn is_removed(&self, of: Behind) -> Result<bool> {
        let graph = self.graph();
        let seq = match of {
            Behind::Details(seq) => seq,
            Behind::Bulk(line) => {
                let Some(gone) = graph.gone(line) else { return Ok(false) };
                if gone.record().dead {
                    return Ok(true);
                }
                graph.birth(line, Seq::ROOT)?
            }
        };
        Ok(seq <= graph.log_start()? && graph.find_header(seq)?.is_none())
    }

    /// Takes commits that are gone out of the index of ids.
    pub(super) fn ids(&mut self) -> Result<()> {
        let engine = self.engine();
        let start = self.graph().log_start()?;
        let mut rows = engine.iter_prefix(Family::Refs, &[keys::kind::COMMIT_IDS]);
        rows.seek_to_first();
        let mut below = Seq::ROOT;
        while let Some((stored, value)) = rows.current()? {
            if below > start {
                break;
            }
            let last = Seq::new(keys::number_at(stored, 1)?);
            let mut block: IdsRecord = record::decode("commit ids", value)?;
            let before = block.ids.len();
            let there = self.commits_in_log(below, last)?;
            block.ids.retain(|(_, seq)| there.contains(seq));
            if block.ids.is_empty() {
                self.delete(Family::Refs, stored, value.len());
            } else if block.ids.len() < before {
                self.put(Family::Refs, stored, &record::encode(&block));
            }
            self.flush_if_full(Phase::Ids, &[])?;
            below = last;
            rows.next();
        }
        self.flush(Phase::Ids, &[])
    }

    /// The commits after one and up to another that are in the log.
    fn commits_in_log(&self, after: Seq, upto: Seq) -> Result<BTreeSet<u64>> {
        let engine = self.engine();
        let end = keys::log(upto.next(), 0);
        let mut rows = engine.iter_once(Family::Log, &keys::log(after.next(), 0), Some(&end));
        rows.seek_to_first();
        let mut out = BTreeSet::new();
        while let Some((stored, _)) = rows.current()? {
            let Some((seq, _)) = keys::log_parts(stored)? else { break };
            out.insert(seq.get());
            rows.next();
            if rows.current()?.is_some_and(|(key, _)| key.starts_with(&stored_seq(seq))) {
                rows.seek(&keys::log(seq.next(), 0));
            }
        }
        Ok(out)
    }

    /// Takes lines that are removed out of what merges say they merged. What these lines came from takes their
    /// place: it is an ancestor still, and may be where a next merge starts from.
    pub(super) fn merges(&mut self, dead: &BTreeSet<LineId>) -> Result<()> {
        let engine = self.engine();
        let all = || engine.iter_prefix(Family::Refs, &[keys::kind::MERGE]);
        let mut rows = all();
        rows.seek_to_first();
        while let Some((stored, value)) = rows.current()? {
            let line = LineId::new(keys::number_at(stored, 1)?);
            let merged: Vec<At> = record::decode("merge", value)?;
            let is_dead = |line: &LineId| dead.contains(line);
            if !is_dead(&line) && merged.iter().any(|at| is_dead(&LineId::new(at.line))) {
                let mut left: BTreeMap<LineId, Seq> = BTreeMap::new();
                for at in merged {
                    for from in CameFrom::of(self.graph(), at.into(), |line| !is_dead(&line))?.there
                    {
                        let highest = left.entry(from.line).or_insert(from.seq);
                        *highest = from.seq.max(*highest);
                    }
                }
                // What the line itself was before is behind the merge anyway.
                left.remove(&line);
                if left.is_empty() {
                    self.delete(Family::Refs, stored, value.len());
                } else {
                    let left = left.into_iter().map(|(line, seq)| At::from(Place { line, seq }));
                    self.put(Family::Refs, stored, &record::encode(&left.collect::<Vec<At>>()));
                }
                self.flush_if_full(Phase::Merges, &[])?;
            }
            rows.next();
        }
        self.flush(Phase::Merges, &[])?;
        // Only now: a run that is stopped before, and goes on, asks them again.
        let mut rows = all();
        rows.seek_to_first();
        while let Some((stored, value)) = rows.current()? {
            if dead.contains(&LineId::new(keys::number_at(stored, 1)?)) {
                self.delete(Family::Refs, stored, value.len());
                self.flush_if_full(Phase::Merges, &[])?;
            }
            rows.next();
        }
        self.flush(Phase::Merges, &[])
    }

    /// Lets operations go that are older than a moment; they can no longer be undone.
    pub(super) fn old_operations(&mut self, before: Timestamp) -> Result<()> {
        let engine = self.engine();
        let gone = self.publisher().operations_gone()?;
        let mut newest = None;
        let mut old = Vec::new();
        let mut rows = engine.iter_prefix(Family::Refs, &[keys::kind::OPERATION]);
        rows.seek_to_first();
        while let Some((stored, value)) = rows.current()? {
            let operation: OperationRecord = record::decode("operation", value)?;
            let seq = Seq::new(keys::number_at(stored, 1)?);
            let id = OpId { seq, step: keys::number_at(stored, 9)? };
            // What an earlier run has let go does not come back, though the setting was longer since.
            if operation.time > before.as_millis() && gone.is_none_or(|gone| id > gone) {
                break;
            }
            newest = Some(id);
            old.push((stored.to_vec(), value.len()));
            rows.next();
        }
        drop(rows);
        let Some(newest) = newest else { return Ok(()) };
        // First: what is removed in part must not be found.
        self.publisher().let_operations_go(newest)?;
        for (stored, len) in old {
            self.delete(Family::Refs, &stored, len);
            self.report.operations += 1;
            self.flush_if_full(Phase::Operations, &[])?;
        }
        self.flush(Phase::Operations, &[])
    }

    /// Removes lines that are gone whole: their rows, index, pins and records.
    pub(super) fn dead_lines(&mut self, dead: &BTreeSet<LineId>) -> Result<()> {
        let engine = self.engine();
        for &line in dead {
            let end = keys::index(line.next(), Seq::ROOT);
            let mut rows = engine.iter(Family::Refs, &keys::index(line, Seq::ROOT), Some(&end));
            rows.seek_to_first();
            while let Some((stored, value)) = rows.current()? {
                self.delete(Family::Refs, stored, value.len());
                rows.next();
            }
            if let Some(fork) = self.graph().line(line)?.fork {
                let owner = line.get().to_be_bytes();
                let pin = keys::pin(fork.seq, crate::format::refs::pin::LINE, &owner);
                self.delete(Family::Refs, &pin, 0);
            }
            self.report.lines += 1;
            self.flush_if_full(Phase::Lines, &[])?;
        }
        self.flush(Phase::Lines, &[])?;
        let dead: Vec<LineId> = dead.iter().copied().collect();
        if !dead.is_empty() {
            self.touched.extend([Family::Head, Family::History]);
        }
        for group in dead.chunks(64) {
            self.publisher().drop_lines(group)?;
            self.pause(0)?;
        }
        Ok(())
    }
}

fn stored_seq(seq: Seq) -> [u8; 8] {
    seq.get().to_be_bytes()
}
