//! What keeps commits: branches, tags, operations that can be undone, and work under way.

use super::policy::Retention;
use super::reach::{Reach, Root};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::merge::{ActionCode, OpenRecord};
use crate::format::prepared::PreparedRecord;
use crate::format::refs::{At, OperationRecord, RefState, meta};
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Place};
use crate::id::{LineId, OpId, Seq};
use crate::refs::Refs;

/// What is needed to find the roots.
pub(super) struct Finder<'a> {
    graph: &'a Graph,
    refs: &'a Refs,
    retention: &'a Retention,
    now: Timestamp,
    /// What is kept of the history of commits that no branch stands for, by prefix.
    unnamed: Vec<Seq>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        (graph, refs): (&'a Graph, &'a Refs),
        retention: &'a Retention,
        now: Timestamp,
    ) -> Result<Self> {
        let unnamed = retention.unnamed_floors(graph, now)?;
        Ok(Self { graph, refs, retention, now, unnamed })
    }

    /// What all roots lead to, and cursors with a lease that have read up to here.
    pub(super) fn reach(&self, followed: Option<Seq>) -> Result<Reach<'a>> {
        let mut found = self.all()?;
        found.extend(self.followed(followed)?);
        Reach::from(self.graph, &found)
    }

    /// All roots. Cost: the branches, tags, operations and work under way that there are.
    fn all(&self) -> Result<Vec<Root>> {
        let mut out = Vec::new();
        for (name, record) in self.refs.branches()? {
            let line = LineId::new(record.line);
            let place = self.graph.head(line)?.place;
            let floors = self.retention.floors(self.graph, (&name, place), self.now)?;
            out.push(Root { place, line: Some((line, Seq::MAX)), floors });
        }
        for (_, tag) in self.refs.tags()? {
            out.push(self.unnamed(tag.at.into()));
        }
        out.extend(self.under_way()?);
        self.operations(&mut out)?;
        // The root commit, and the newest one, from which sequences go on; nothing before them.
        for place in [Place::ROOT, self.graph.place(self.graph.latest())?] {
            let floors = vec![Seq::MAX; self.unnamed.len()];
            out.push(Root { place, line: None, floors });
        }
        Ok(out)
    }

    /// A commit that no branch stands for.
    fn unnamed(&self, place: Place) -> Root {
        Root { place, line: None, floors: self.unnamed.clone() }
    }

    /// Open merges and prepared transactions.
    pub(super) fn under_way(&self) -> Result<Vec<Root>> {
        let engine = self.graph.engine();
        let mut places: Vec<At> = Vec::new();
        let mut rows = engine.iter_prefix(Family::State, &[keys::state::MERGE]);
        rows.seek_to_first();
        while let Some((_, value)) = rows.current()? {
            let open: OpenRecord = record::decode("open merge", value)?;
            places.extend(open.theirs.iter().chain([&open.ours]));
            if matches!(open.action, ActionCode::CherryPick | ActionCode::Revert) {
                for at in open.theirs {
                    self.add_parents(at, &mut places)?;
                }
            }
            rows.next();
        }
        let mut rows = engine.iter_prefix(Family::State, &[keys::state::PREPARED]);
        rows.seek_to_first();
        while let Some((_, value)) = rows.current()? {
            let prepared: PreparedRecord = record::decode("prepared transaction", value)?;
            places.extend(prepared.branches.iter().map(|branch| branch.base));
            rows.next();
        }
        Ok(places.into_iter().map(|at| self.unnamed(at.into())).collect())
    }

    /// What a commit was made from, as far as it is there: its changes are taken against that.
    fn add_parents(&self, of: At, places: &mut Vec<At>) -> Result<()> {
        let Some(header) = self.graph.find_header(Seq::new(of.seq))? else { return Ok(()) };
        for parent in header.parents {
            let seq = Seq::new(parent.seq);
            let is_there = self.graph.find_header(seq)?.is_some_and(|at| at.line == parent.line);
            let gone = self.graph.gone(LineId::new(parent.line));
            if is_there && gone.is_none_or(|gone| gone.holds(seq)) {
                places.push(At { line: parent.line, seq: parent.seq });
            }
        }
        Ok(())
    }

    /// The lines that have commits which a cursor with a lease has still to read. They stay whole from
    /// there on, whether anything else leads to them or not.
    fn followed(&self, acked: Option<Seq>) -> Result<Vec<Root>> {
        let Some(acked) = acked else { return Ok(Vec::new()) };
        let since = acked.next();
        let mut out = Vec::new();
        let mut rows = self.graph.engine().iter_prefix(Family::Refs, &[keys::kind::LINE]);
        rows.seek_to_first();
        while let Some((key, _)) = rows.current()? {
            let line = LineId::new(keys::number_at(key, 1)?);
            rows.next();
            if self.graph.gone(line).is_some_and(|gone| gone.record().dead) {
                continue;
            }
            if let Some(last) = self.graph.on_line(line, Seq::MAX)?.filter(|last| *last >= since) {
                let place = Place { line, seq: last };
                let floors = vec![since; self.unnamed.len()];
                out.push(Root { place, line: Some((line, Seq::MAX)), floors });
            }
        }
        Ok(out)
    }

    /// What refs were before and after the operations that are kept.
    fn operations(&self, out: &mut Vec<Root>) -> Result<()> {
        let engine = self.graph.engine();
        let first = match engine.get(Family::Meta, meta::OPS_START)? {
            Some(row) => {
                let (seq, step): (u64, u64) = record::decode("start of the operation log", &row)?;
                OpId { seq: Seq::new(seq), step: step.saturating_add(1) }
            }
            None => OpId { seq: Seq::ROOT, step: 0 },
        };
        let end = [keys::kind::OPERATION + 1];
        let mut rows = engine.iter(Family::Refs, &keys::operation(first), Some(&end));
        rows.seek_to_first();
        let mut last = None;
        while let Some((_, value)) = rows.current()? {
            let operation: OperationRecord = record::decode("operation", value)?;
            for state in operation.edits.iter().flat_map(|edit| [&edit.before, &edit.after]) {
                let (place, line) = match state {
                    Some(RefState::Branch(branch, head)) => {
                        let (line, head) = (LineId::new(branch.line), Seq::new(*head));
                        (self.graph.at_or_before(line, head)?, Some((line, head)))
                    }
                    Some(RefState::Tag(tag)) => (tag.at.into(), None),
                    Some(RefState::Active(_)) | None => continue,
                };
                // One after the other often says the same.
                if last.replace((place, line)) != Some((place, line)) {
                    out.push(Root { line, ..self.unnamed(place) });
                }
            }
            rows.next();
        }
        Ok(())
    }
}
