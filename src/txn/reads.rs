//! What a serializable transaction reads, recorded where it is read: keys, ranges, and of a scan what it
//! came by.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use crate::kv::{Direction, KeyRange};
use crate::publish::ReadSet;
use crate::view::Watch;

/// The reads of one branch.
#[derive(Default)]
pub(super) struct ReadLog {
    set: ReadSet,
    /// Scans that have not ended; until they do, their whole range counts.
    open: BTreeMap<u64, KeyRange>,
    scans: u64,
}

impl ReadLog {
    pub(super) fn add_key(&mut self, key: &[u8]) {
        self.set.add_key(key);
    }

    pub(super) fn add_range(&mut self, range: &KeyRange) {
        self.set.add_range(range);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.open.is_empty()
    }

    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.set.bytes()
    }

    /// Everything that counts as read.
    pub(super) fn into_set(mut self) -> ReadSet {
        // Scans that were never dropped.
        for range in self.open.values() {
            self.set.add_range(range);
        }
        self.set
    }

    /// Begins to record a scan.
    pub(super) fn watch<'t>(
        log: &'t Mutex<Self>,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Watch + Send + 't> {
        let mut open = log.lock().unwrap_or_else(PoisonError::into_inner);
        open.scans += 1;
        let id = open.scans;
        open.open.insert(id, range.clone());
        Box::new(OpenScan { log, id, direction })
    }
}

/// A scan that goes on.
struct OpenScan<'t> {
    log: &'t Mutex<ReadLog>,
    id: u64,
    direction: Direction,
}

impl Watch for OpenScan<'_> {
    fn ended(&mut self, last: Option<&[u8]>, complete: bool) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(range) = log.open.remove(&self.id) else { return };
        let seen = match (last, self.direction) {
            _ if complete => range,
            // It was never asked for anything.
            (None, _) => return,
            (Some(last), Direction::Forward) => {
                KeyRange::new(range.lower().map(<[u8]>::to_vec), Bound::Included(last.to_vec()))
            }
            (Some(last), Direction::Backward) => {
                KeyRange::new(Bound::Included(last.to_vec()), range.upper().map(<[u8]>::to_vec))
            }
        };
        log.set.add_range(&seen);
    }
}
