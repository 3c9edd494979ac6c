//! The values that planned changes take from stored commits, and what they replace.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::planned::{After, PlannedEdit};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Place};
use crate::id::ValueHash;
use crate::kv::show_key;
use crate::view::{Finder, ScanRow, View};

/// The views of all commits that planned changes take values from.
pub(super) fn views_of(graph: &Arc<Graph>, edits: &[PlannedEdit]) -> Result<BTreeMap<Place, View>> {
    let mut out = BTreeMap::new();
    for edit in edits {
        if let After::Stored { place, .. } = &edit.after
            && !out.contains_key(place)
        {
            out.insert(*place, View::new(graph, *place)?);
        }
    }
    Ok(out)
}

/// Reads the values that planned changes take from stored commits, in the order of the keys.
pub(super) struct Values<'v> {
    finders: BTreeMap<Place, Finder<'v>>,
}

impl<'v> Values<'v> {
    pub(super) fn new(views: &'v BTreeMap<Place, View>, total: usize) -> Self {
        let finders = views.iter().map(|(place, view)| (*place, view.finder(total))).collect();
        Self { finders }
    }

    /// What the next group of keys becomes, each.
    pub(super) fn read(&mut self, group: &[PlannedEdit]) -> Result<Vec<Option<ScanRow>>> {
        let mut out: Vec<Option<ScanRow>> = Vec::with_capacity(group.len());
        let mut stored: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for (i, edit) in group.iter().enumerate() {
            out.push(match &edit.after {
                After::Made { value, .. } => Some(ScanRow::Inline(value.to_vec())),
                After::Stored { place, .. } => {
                    stored.entry(*place).or_default().push(i);
                    None
                }
                After::Deleted => None,
            });
        }
        for (place, wanted) in stored {
            let Some(finder) = self.finders.get_mut(&place) else { continue };
            let keys: Vec<&[u8]> = wanted.iter().map(|&i| group[i].key.as_slice()).collect();
            for (i, row) in wanted.into_iter().zip(finder.cells(&keys, ScanRow::of)?) {
                // The log says that it is there; taking its absence for a deletion would lose it.
                out[i] = Some(row.ok_or_else(|| lost(place, &group[i].key))?);
            }
        }
        Ok(out)
    }
}

/// Reads the hashes that a commit counts of the keys that it changes, in the order of the keys. Purged
/// values have them too, which plans take for absent.
pub(super) struct Replaced<'v>(Option<Finder<'v>>);

impl<'v> Replaced<'v> {
    /// The view is the commit that the plan was made against, if any of the keys was ever purged.
    pub(super) fn new(target: Option<&'v View>, total: usize) -> Self {
        Self(target.map(|view| view.finder(total)))
    }

    /// What the next group of keys had, each.
    pub(super) fn read(&mut self, group: &[PlannedEdit]) -> Result<Vec<Option<ValueHash>>> {
        let Some(finder) = &mut self.0 else {
            return Ok(group.iter().map(|edit| edit.before).collect());
        };
        let keys: Vec<&[u8]> = group.iter().map(|edit| edit.key.as_slice()).collect();
        finder.cells(&keys, |cell| cell.hash())
    }
}

/// The commit that changes are made against, if that has to be read to count what they replace.
pub(super) fn counted(
    graph: &Arc<Graph>,
    target: Place,
    edits: &[PlannedEdit],
) -> Result<Option<View>> {
    let purged = graph.purged();
    let is_doubtful = edits.iter().any(|edit| purged.covers(&edit.key));
    is_doubtful.then(|| View::new(graph, target)).transpose()
}

fn lost(place: Place, key: &[u8]) -> Error {
    let what =
        format!("commit {} has no value for {}, though its log says so", place.seq, show_key(key));
    Error::new(ErrorKind::Corrupt, what)
        .with_hint("the store is damaged; keep a copy of it and restore a backup")
}
