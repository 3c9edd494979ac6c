//! The layers that a commit's data is read through.

use std::sync::Arc;

use crate::error::Result;
use crate::graph::{Graph, Place};
use crate::id::LineId;

/// Lines and the sequences up to which they count, newest first.
pub(crate) type Layers = Arc<[Place]>;

/// The layers of a commit whose line has this many rows at it.
pub(crate) fn layers_at(graph: &Graph, place: Place, rows: u64) -> Result<Layers> {
    let line = graph.line(place.line)?;
    if rows == 0 {
        // Nothing was written on the line yet.
        return Ok(Arc::clone(&line.layers));
    }
    Ok(std::iter::once(place).chain(line.layers.iter().copied()).collect())
}

/// A line's newest commit, and the layers of its data.
pub(crate) fn head_of(graph: &Graph, line: LineId) -> Result<(Place, Layers)> {
    let head = graph.head(line)?;
    let layers = layers_at(graph, Place { line, seq: head.place.seq }, head.rows)?;
    Ok((head.place, layers))
}
