//! What planning comes to: the edits, and how each conflict was settled.

use std::collections::BTreeSet;

use super::bases::{Base, Value};
use super::conflict::{Conflict, Settled, SettledBy};
use crate::publish::{After, PlannedEdit};

/// One key in a merge.
pub(super) struct Case<'k> {
    pub(super) key: &'k [u8],
    pub(super) base: Base,
    pub(super) ours: Value,
    pub(super) theirs: Value,
    /// Whether to record it even if it stays as it is: the bases did not agree on it.
    pub(super) noted: bool,
}

/// What a merge comes to.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// By key.
    pub(crate) edits: Vec<PlannedEdit>,
    /// Keys that were decided against the source and stay as the target has them, by key.
    pub(crate) decided: Vec<Vec<u8>>,
    pub(crate) auto_resolved: u64,
    pub(crate) settled: Vec<Settled>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Resolutions for other values than there are now.
    pub(crate) stale: Vec<Vec<u8>>,
    /// Resolutions to the base where the bases disagree.
    pub(crate) ambiguous: Vec<Vec<u8>>,
    /// The keys whose resolutions were used.
    pub(crate) used: BTreeSet<Vec<u8>>,
}

impl Planned {
    /// Takes down how a key was settled.
    pub(super) fn settled(
        &mut self,
        case: &Case<'_>,
        conflict: Conflict,
        by: SettledBy,
        after: After,
    ) {
        let result = after.hash();
        if result != case.ours.hash {
            let key = case.key.to_vec();
            self.edits.push(PlannedEdit { key, before: case.ours.hash, after });
        } else if result != case.theirs.hash {
            // Nothing to write; but that it was decided must not be lost for later merges.
            self.decided.push(case.key.to_vec());
        }
        self.settled.push(Settled { conflict, by, result });
    }
}
