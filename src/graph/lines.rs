//! Lines as they are stored, and those that were looked up lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use super::{CACHED_LINES, Cache, Gone, Known, Place};
use crate::error::Result;
use crate::format::refs::LineRecord;
use crate::id::LineId;

/// A line: where it forked, and the layers below it that reads fall through to, newest first.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) fork: Option<Place>,
    pub(crate) layers: Arc<[Place]>,
    /// For a read layer: how many rows it has.
    pub(crate) layer_rows: u64,
}

impl From<LineRecord> for Line {
    fn from(stored: LineRecord) -> Self {
        Self {
            fork: stored.fork.map(Place::from),
            layers: stored.layers.into_iter().map(Place::from).collect(),
            layer_rows: stored.layer_rows,
        }
    }
}

impl Line {
    /// Whether nothing is to be read of the line any more, which only says where others came from; what it
    /// was read through may be gone.
    pub(crate) fn is_bare(&self, gone: Option<&Gone>) -> bool {
        let (Some(fork), Some(gone)) = (self.fork, gone) else { return false };
        gone.hidden_upto(fork.seq.next()).is_none()
    }

    /// The layer of a line that was flattened: up to a commit above the fork, and nothing is below it.
    pub(crate) fn flat(&self) -> Option<Place> {
        match (self.fork, &*self.layers) {
            (Some(fork), &[layer]) if layer.seq > fork.seq => Some(layer),
            _ => None,
        }
    }
}

/// Lines in memory: whoever asks after a line was forgotten gets what is stored since.
#[derive(Default)]
pub(super) struct Lines {
    known: Cache<Line>,
    /// How often lines were forgotten.
    forgotten: AtomicU64,
}

impl Lines {
    /// A line, read if it is not in memory.
    pub(super) fn get(&self, id: LineId, read: impl FnOnce() -> Result<Line>) -> Result<Arc<Line>> {
        if let Some(line) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(line));
        }
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let line = Arc::new(read()?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // What was read before a line was forgotten is not remembered.
        if self.forgotten.load(Ordering::Acquire) == forgotten {
            if known.len() >= CACHED_LINES {
                known.clear();
            }
            known.insert(id, Arc::clone(&line));
        }
        Ok(line)
    }

    /// Forgets lines, because new records were written or they are no more.
    pub(super) fn forget(&self, lines: &[LineId]) {
        let mut known = self.forgetting();
        for line in lines {
            known.remove(line);
        }
    }

    pub(super) fn forget_all(&self) {
        self.forgetting().clear();
    }

    /// What is in memory, to forget of it; what is being read to be remembered is forgotten too.
    fn forgetting(&self) -> RwLockWriteGuard<'_, Known<Line>> {
        let known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(layer_rows: u64) -> Line {
        Line { fork: None, layers: Arc::default(), layer_rows }
    }

    #[test]
    fn a_line_that_is_forgotten_while_it_is_read_is_read_again() {
        let (lines, id) = (Lines::default(), LineId::new(7));
        let old = lines.get(id, || {
            lines.forget(&[id]);
            Ok(line(1))
        });
        assert_eq!(old.expect("the old record").layer_rows, 1, "the read began before");
        let new = lines.get(id, || Ok(line(2))).expect("the new record");
        assert_eq!(new.layer_rows, 2, "the next one sees what was written since");
        let known = lines.get(id, || Ok(line(3))).expect("the new record");
        assert_eq!(known.layer_rows, 2, "which is remembered");
    }
}
