//! Who reads: what open views, scans and transactions need, which is not let go meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Graph, Place};
use crate::error::Result;
use crate::id::Seq;

/// What open views, scans and transactions need.
#[derive(Default)]
pub(crate) struct Readers {
    next: u64,
    open: BTreeMap<u64, Reader>,
}

/// What one of them needs.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) place: Place,
    pub(crate) layers: Arc<[Place]>,
    /// Nothing may be let go that any line has at this commit or later.
    pub(crate) since: Option<Seq>,
}

impl Readers {
    pub(crate) fn open(&self) -> impl Iterator<Item = &Reader> {
        self.open.values()
    }
}

/// Keeps what an open view, scan or transaction reads, for as long as it lives.
pub(crate) struct Keep {
    graph: Arc<Graph>,
    number: u64,
}

impl Drop for Keep {
    fn drop(&mut self) {
        let mut readers = self.graph.kept.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.open.remove(&self.number);
    }
}

impl Graph {
    /// What open views, scans and transactions need just now.
    pub(crate) fn reading(&self) -> Vec<Reader> {
        let readers = self.kept.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.open().cloned().collect()
    }

    /// Runs `plan`, which lets go of what nobody needs, while nobody can begin to read.
    pub(crate) fn with_readers<T>(&self, plan: impl FnOnce(&Readers) -> T) -> T {
        let readers = self.kept.readers.lock().unwrap_or_else(PoisonError::into_inner);
        self.kept.plans.fetch_add(1, Ordering::AcqRel);
        plan(&readers)
    }

    /// A number that grows whenever something is let go.
    pub(crate) fn plans(&self) -> u64 {
        self.kept.plans.load(Ordering::Acquire)
    }

    /// Finds a commit, and keeps what it is read through from being let go.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`] if it is gone; else what `find` returns.
    pub(crate) fn keep<T>(
        self: &Arc<Self>,
        find: impl Fn() -> Result<(Reader, T)>,
    ) -> Result<(Keep, T)> {
        loop {
            let plans = self.plans();
            let (reader, found) = find()?;
            let place = reader.place;
            let number = {
                let mut readers = self.kept.readers.lock().unwrap_or_else(PoisonError::into_inner);
                let number = readers.next;
                readers.next += 1;
                readers.open.insert(number, reader);
                number
            };
            let keep = Keep { graph: Arc::clone(self), number };
            // A plan that was made meanwhile does not know of it.
            if self.plans() != plans {
                continue;
            }
            return self.check_there(place).map(|()| (keep, found));
        }
    }
}
