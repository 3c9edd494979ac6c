//! Flattening: a line that has replaced most of what is below it is read through one layer of its own, so
//! that what it forked from can go. A branch that is loaded whole again and again is what this is for.
//!
//! First [`decide`](super::plan) says from where on the line is read; only then it is known what nobody
//! reads any more below. Then the layer is made, and a second plan lets go of the fork.

use std::collections::{BTreeMap, BTreeSet};

use super::Collector;
use super::forks::{ReadLayers, Settled};
use super::policy::Retention;
use super::reach::Reach;
use super::roots::Finder;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::feed::cursor;
use crate::graph::{Graph, Place};
use crate::id::{LineId, Seq};

impl Collector<'_> {
    /// Flattens lines where that lets more go than it writes. Whether there were any.
    pub(super) fn flatten(&mut self, retention: &Retention, now: Timestamp) -> Result<bool> {
        let publisher = self.publisher;
        let _upkeep = publisher.upkeep();
        let graph = publisher.graph();
        let mut able = able(graph)?;
        if able.is_empty() {
            return Ok(false);
        }
        self.options.meter.stage("flatten", None, None)?;
        let followed = cursor::pinned(graph.engine(), publisher.now())?;
        let reach = Finder::new((graph, publisher.refs()), retention, now)?.reach(followed)?;
        let layers = ReadLayers::load(graph)?;
        leave_unknown(&reach, graph, &layers, &mut able)?;
        let settled = Settled::of(
            &reach,
            (graph, &layers),
            &able.keys().copied().collect(),
            &BTreeSet::new(),
        )?;
        let oldest = oldest(graph, &reach)?;
        let mut any = false;
        for (line, upto) in able {
            if is_worth_it(graph, &settled, (line, upto))? {
                let bottom = |layer| layers.bottom(layer);
                // What was merged after a deletion may have the key still.
                let merged = graph.newest_merge(Place { line, seq: Seq::MAX })?;
                let old = merged.next()..oldest;
                publisher.flatten((line, upto), old, bottom, |bytes| self.pause(bytes))?;
                any = true;
            }
        }
        Ok(any)
    }
}

/// Lines that could be flattened, and the newest commit of each up to which nobody reads it: what the line
/// had written by then hides what is below, for good.
fn able(graph: &Graph) -> Result<BTreeMap<LineId, Seq>> {
    let mut out = BTreeMap::new();
    for (line, gone) in graph.gone_lines() {
        if gone.record().dead {
            continue;
        }
        let stored = graph.line(line)?;
        let Some(fork) = stored.fork.filter(|_| !stored.layers.is_empty()) else { continue };
        let Some(first) = graph.first_on(line, fork.seq)? else { continue };
        let Some(upto) = gone.hidden_upto(first).filter(|upto| first <= *upto) else { continue };
        if stored.flat().is_none_or(|flat| flat.seq < upto) {
            out.insert(line, upto);
        }
    }
    Ok(out)
}

/// The oldest commit of which anything is there, but for the root. A deletion before it is news to nobody: at
/// every commit from which a merge can start the key was deleted already.
fn oldest(graph: &Graph, reach: &Reach<'_>) -> Result<Seq> {
    let mut oldest = Seq::MAX;
    for &line in reach.needs.keys() {
        let fork = graph.line(line)?.fork.map_or(Seq::ROOT, |fork| fork.seq);
        let Some(first) = graph.first_on(line, fork)? else { continue };
        let lowest = match graph.gone(line) {
            Some(gone) => gone.first_there(first),
            None => Some(first),
        };
        oldest = lowest.map_or(oldest, |lowest| oldest.min(lowest));
    }
    Ok(oldest)
}

/// Leaves lines as they are that are read through a layer of which nobody knows what it was made of.
fn leave_unknown(
    reach: &Reach<'_>,
    graph: &Graph,
    layers: &ReadLayers,
    able: &mut BTreeMap<LineId, Seq>,
) -> Result<()> {
    let mut passed = BTreeSet::new();
    for &line in reach.needs.keys() {
        let stored = graph.line(line)?;
        if stored.is_bare(graph.gone(line).as_deref()) {
            continue;
        }
        let mut is_unknown = false;
        for layer in stored.layers.iter() {
            is_unknown |= layers.is_unknown(layer.line, &*graph.line(layer.line)?);
        }
        let mut next = is_unknown.then_some(line);
        while let Some(line) = next.filter(|line| passed.insert(*line)) {
            able.remove(&line);
            next = graph.line(line)?.fork.map(|fork| fork.line);
        }
    }
    Ok(())
}

/// Whether at least half as many rows again would go as have to be written.
fn is_worth_it(graph: &Graph, settled: &Settled, (line, upto): (LineId, Seq)) -> Result<bool> {
    if !settled.read.contains(&line) {
        return Ok(false);
    }
    let mut goes = 0;
    for layer in graph.line(line)?.layers.iter() {
        goes += match graph.line(layer.line)? {
            made if made.fork.is_none() && layer.line != LineId::ROOT => {
                if settled.layers.contains(&layer.line) { 0 } else { made.layer_rows }
            }
            _ if settled.read.contains(&layer.line) => 0,
            _ => graph.header(layer.seq)?.rows,
        };
    }
    // What the line shows where it begins to be read, but for what it has written up to then.
    let is_there = |seq: &Seq| graph.gone(line).is_none_or(|gone| gone.has(*seq));
    let from = graph.on_line(line, upto.next())?.filter(is_there).unwrap_or(upto);
    let Some(header) = graph.find_header(from)? else { return Ok(false) };
    let own = header.rows.saturating_sub(if from > upto { header.changes } else { 0 });
    let stays = header.keys.saturating_sub(own);
    Ok(own > 0 && goes > stays + stays / 2)
}
