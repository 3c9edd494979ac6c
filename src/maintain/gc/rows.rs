//! The rows of living lines: versions that no kept commit shows.

use super::{Collector, Phase};
use crate::engine::Engine;
use crate::error::Result;
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Family, keys};
use crate::graph::Gone;
use crate::id::{LineId, Seq};

/// So many deletions are removed at a time.
const DELETIONS: usize = 1024;

/// A row of family `history` of one key.
struct Old {
    stored: Vec<u8>,
    row: Vec<u8>,
    seq: Seq,
}

impl Collector<'_> {
    /// Removes versions that are not needed from `history`, line by line, key by key.
    pub(super) fn old_versions(&mut self, from: &[u8]) -> Result<()> {
        let lines = self.living_lines();
        for (line, gone) in lines {
            let prefix = keys::line_prefix(line);
            let end = keys::line_prefix(line.next());
            let start = if from > prefix.as_slice() { from.to_vec() } else { prefix.to_vec() };
            if start.as_slice() >= end.as_slice() {
                continue;
            }
            let engine = self.engine();
            let mut rows = engine.iter_once(Family::History, &start, Some(&end));
            rows.seek_to_first();
            let (mut key, mut versions): (Vec<u8>, Vec<Old>) = (Vec::new(), Vec::new());
            while let Some((stored, row)) = rows.current()? {
                let (mut of, seq) = keys::history_parts(stored)?;
                of.drain(..8);
                if of != key && !versions.is_empty() {
                    self.of_key(line, &gone, &key, &mut versions)?;
                }
                key = of;
                let seq = self.graph().birth(line, seq)?;
                versions.push(Old { stored: stored.to_vec(), row: row.to_vec(), seq });
                self.examined(row.len())?;
                rows.next();
            }
            if !versions.is_empty() {
                self.of_key(line, &gone, &key, &mut versions)?;
            }
            self.flush(Phase::Versions, &end)?;
        }
        Ok(())
    }

    /// The old versions of one key, newest first.
    fn of_key(
        &mut self,
        line: LineId,
        gone: &Gone,
        key: &[u8],
        versions: &mut Vec<Old>,
    ) -> Result<()> {
        let engine = self.engine();
        let mut next = match engine.get(Family::Head, &keys::head(line, key))? {
            Some(row) => Some(self.graph().birth(line, read_head(&row)?.0)?),
            None => None,
        };
        let mut keep = vec![false; versions.len()];
        for (keep, version) in keep.iter_mut().zip(versions.iter()) {
            *keep = gone.needs(key, version.seq, next);
            next = Some(version.seq);
        }
        // Where nothing is below, a deletion with nothing older says nothing.
        if self.graph().line(line)?.layers.is_empty() {
            while let Some(last) = keep.iter().rposition(|keep| *keep) {
                let version = &versions[last];
                let is_deletion = matches!(read_history(&version.row)?, Cell::Deleted);
                if !is_deletion || version.seq >= gone.floor(key) {
                    break;
                }
                keep[last] = false;
            }
        }
        let last = versions.last().map(|version| version.stored.clone()).unwrap_or_default();
        for (keep, version) in keep.into_iter().zip(versions.drain(..)) {
            if !keep {
                self.delete(Family::History, &version.stored, version.row.len());
            }
        }
        self.flush_if_full(Phase::Versions, &last)
    }

    /// Puts rows of family `head` back that are above what is needed of their line, and removes
    /// deletions that hide nothing.
    pub(super) fn newest_versions(&mut self, from: &[u8]) -> Result<()> {
        for (line, gone) in self.living_lines() {
            let bare = self.graph().line(line)?.layers.is_empty();
            let top = gone.record().top;
            if top.is_none() && !bare {
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
                let above = match top {
                    Some(top) => self.graph().birth(line, seq)?.get() > top,
                    None => false,
                };
                let hides = bare && matches!(cell, Cell::Deleted) && !above;
                if above {
                    self.put_back(line, &gone, key)?;
                } else if hides && self.graph().birth(line, seq)? < gone.floor(key) {
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

    /// Gives a key of a line that nobody writes to any more the newest version that is needed.
    fn put_back(&mut self, line: LineId, gone: &Gone, key: &[u8]) -> Result<()> {
        let engine = self.engine();
        let prefix = keys::history_prefix(line, key);
        let mut rows = engine.iter_prefix(Family::History, &prefix);
        rows.seek_to_first();
        let mut above = Vec::new();
        let mut found = None;
        while let Some((stored, row)) = rows.current()? {
            let seq = self.graph().birth(line, keys::history_seq(stored)?)?;
            if gone.record().top.is_none_or(|top| seq.get() <= top)
                || gone.record().kept.binary_search(&seq.get()).is_ok()
            {
                found = Some((stored.to_vec(), keys::history_seq(stored)?, row.to_vec()));
                break;
            }
            above.push(stored.to_vec());
            rows.next();
        }
        // A commit above the top may be kept: then its versions stay where they are.
        if gone.record().kept.last().is_none_or(|last| Some(*last) <= gone.record().top) {
            let head = keys::head(line, key);
            above.iter().for_each(|stored| self.delete(Family::History, stored, 0));
            match found {
                Some((stored, seq, row)) => {
                    let mut moved = Vec::new();
                    read_history(&row)?.write_head(seq, &mut moved);
                    self.put(Family::Head, &head, &moved);
                    self.delete(Family::History, &stored, 0);
                }
                None => self.delete(Family::Head, &head, 0),
            }
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
