//! The rows of living lines: versions that no kept commit shows.

use super::{Collector, Phase};
use crate::engine::Engine;
use crate::error::Result;
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Family, keys};
use crate::graph::Place;
use crate::id::{LineId, Seq};

/// So many deletions are removed at a time.
const DELETIONS: usize = 1024;

/// So many deletions at the end of a key's history are looked at together.
const TRAILING: usize = 1024;

/// The old versions of one key, as they come by, newest first.
#[derive(Default)]
struct OfKey {
    key: Vec<u8>,
    /// The commit that replaced the version that comes next.
    next: Option<Seq>,
    /// Deletions that are kept, and behind which nothing that is no deletion has come yet.
    trailing: Vec<Vec<u8>>,
    is_open: bool,
}

impl Collector<'_> {
    /// Removes versions that are not needed from `history`, line by line, key by key.
    pub(super) fn old_versions(&mut self, from: &[u8]) -> Result<()> {
        for (line, gone) in self.living_lines() {
            let prefix = keys::line_prefix(line);
            let end = keys::line_prefix(line.next());
            let start = if from > prefix.as_slice() { from.to_vec() } else { prefix.to_vec() };
            if start.as_slice() >= end.as_slice() {
                continue;
            }
            let engine = self.engine();
            let (bare, merged) = self.below(line)?;
            let mut rows = engine.iter_once(Family::History, &start, Some(&end));
            rows.seek_to_first();
            let mut of = OfKey::default();
            while let Some((stored, row)) = rows.current()? {
                let (mut key, seq) = keys::history_parts(stored)?;
                key.drain(..8);
                if !of.is_open || key != of.key {
                    self.end_key(&mut of)?;
                    of = self.begin_key(line, key)?;
                }
                let seq = self.graph().birth(line, seq)?;
                let is_deletion = matches!(read_history(row)?, Cell::Deleted);
                if !gone.needs(&of.key, seq, of.next) {
                    self.delete(Family::History, stored, row.len());
                } else if bare && is_deletion && merged < seq && seq < gone.floor(&of.key) {
                    of.trailing.push(stored.to_vec());
                    if of.trailing.len() > TRAILING {
                        of.trailing.clear();
                    }
                } else {
                    of.trailing.clear();
                }
                of.next = Some(seq);
                self.examined(row.len())?;
                // A run that goes on in the middle of a key reads it from its beginning again.
                self.flush_if_full(Phase::Versions, &keys::history_prefix(line, &of.key))?;
                rows.next();
            }
            self.end_key(&mut of)?;
            self.flush(Phase::Versions, &end)?;
        }
        Ok(())
    }

    /// Whether nothing is below a line; and the newest merge that its commits come from. Where that is newer than
    /// a deletion, a merge may start from a commit that has the key.
    fn below(&self, line: LineId) -> Result<(bool, Seq)> {
        let bare = self.graph().line(line)?.layers.is_empty();
        let newest = || self.graph().newest_merge(Place { line, seq: Seq::MAX });
        Ok((bare, if bare { newest()? } else { Seq::ROOT }))
    }

    fn begin_key(&self, line: LineId, key: Vec<u8>) -> Result<OfKey> {
        let next = match self.engine().get(Family::Head, &keys::head(line, &key))? {
            Some(row) => Some(self.graph().birth(line, read_head(&row)?.0)?),
            None => None,
        };
        Ok(OfKey { key, next, trailing: Vec::new(), is_open: true })
    }

    /// Where nothing is below, a deletion with nothing older says nothing.
    fn end_key(&mut self, of: &mut OfKey) -> Result<()> {
        for stored in std::mem::take(&mut of.trailing) {
            self.delete(Family::History, &stored, 0);
        }
        Ok(())
    }

    /// Empties rows of family `head` that are above all that is needed of their line, and removes deletions
    /// that hide nothing.
    pub(super) fn newest_versions(&mut self, from: &[u8]) -> Result<()> {
        for (line, gone) in self.living_lines() {
            let (bare, merged) = self.below(line)?;
            let ends = gone.record().top.is_some();
            if !ends && !bare {
                continue;
            }
            let prefix = keys::line_prefix(line);
            let end = keys::line_prefix(line.next());
            let start = if from > prefix.as_slice() { from.to_vec() } else { prefix.to_vec() };
            if start.as_slice() >= end.as_slice() {
                continue;
            }
            let engine = self.engine();
            let mut rows = engine.iter_once(Family::Head, &start, Some(&end));
            rows.seek_to_first();
            while let Some((stored, row)) = rows.current()? {
                let (seq, cell) = read_head(row)?;
                let key = keys::head_user_key(stored)?;
                let seq = self.graph().birth(line, seq)?;
                let is_needed = !ends || gone.needs(key, seq, None);
                let hides = bare && matches!(cell, Cell::Deleted) && merged < seq;
                if !is_needed {
                    self.empty(line, key)?;
                } else if hides && seq < gone.floor(key) {
                    self.drop_deletion(line, key)?;
                }
                self.examined(row.len())?;
                self.flush_if_full(Phase::Heads, stored)?;
                rows.next();
            }
            self.drop_deletions()?;
            self.flush(Phase::Heads, &end)?;
        }
        Ok(())
    }

    /// Lets the newest version of a key go that is above all that is needed of its line. Older ones stay
    /// in `history`, where readers that have seen this row look for them.
    fn empty(&mut self, line: LineId, key: &[u8]) -> Result<()> {
        let engine = self.engine();
        let head = keys::head(line, key);
        let Some(row) = engine.get(Family::Head, &head)? else { return Ok(()) };
        let (seq, cell) = read_head(&row)?;
        let mut rows = engine.iter_prefix(Family::History, &keys::history_prefix(line, key));
        rows.seek_to_first();
        if rows.current()?.is_none() {
            self.delete(Family::Head, &head, row.len());
        } else if cell.is_present() {
            let mut emptied = Vec::new();
            Cell::Deleted.write_head(seq, &mut emptied);
            self.put(Family::Head, &head, &emptied);
            self.touched.insert(Family::Head);
            self.removed(0, row.len() - emptied.len());
        }
        Ok(())
    }

    /// Removes a deletion from a line with nothing below, if nothing older is left of its key.
    fn drop_deletion(&mut self, line: LineId, key: &[u8]) -> Result<()> {
        let engine = self.engine();
        if is_lone_deletion(&engine, line, key)? {
            self.deletions.push((line, key.to_vec()));
        }
        if self.deletions.len() < DELETIONS { Ok(()) } else { self.drop_deletions() }
    }

    fn drop_deletions(&mut self) -> Result<()> {
        let (engine, publisher) = (self.engine(), self.publisher());
        let deletions = std::mem::take(&mut self.deletions);
        if deletions.is_empty() {
            return Ok(());
        }
        let (mut count, mut bytes) = (0, 0);
        publisher.remove(|set| {
            for (line, key) in &deletions {
                // Looked at again under the lock: somebody may have written the key.
                if is_lone_deletion(&engine, *line, key)? {
                    let head = keys::head(*line, key);
                    bytes += head.len();
                    count += 1;
                    engine.delete(set, Family::Head, &head);
                }
            }
            Ok(())
        })?;
        self.touched.insert(Family::Head);
        self.removed(count, bytes);
        self.pause(bytes as u64)
    }
}

/// Whether the newest row of a key is a deletion, and nothing older is left.
fn is_lone_deletion(engine: &Engine, line: LineId, key: &[u8]) -> Result<bool> {
    let Some(row) = engine.get(Family::Head, &keys::head(line, key))? else { return Ok(false) };
    let mut rows = engine.iter_prefix(Family::History, &keys::history_prefix(line, key));
    rows.seek_to_first();
    Ok(matches!(read_head(&row)?.1, Cell::Deleted) && rows.current()?.is_none())
}
