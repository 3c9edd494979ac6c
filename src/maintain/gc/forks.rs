//! What the forks of lines are needed for.
//!
//! Most lines read what they have not written themselves through their fork, which stays whole for them. A
//! flattened line does not any more, nor does one of which nothing is to be read. Then the commit that it
//! forks from may go, if nothing else leads there: the line that it is on is left bare, and only says where the
//! line above it came from.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{Need, Reach};
use crate::error::Result;
use crate::format::refs::{LayerRecord, LineRecord};
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Line, Place};
use crate::id::{LineId, Seq};

/// The row that names a read layer, and the run of lines that it was made of.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) row: Vec<u8>,
    top: LineId,
    bottom: LineId,
}

/// The read layers of a store.
#[derive(Default)]
pub(super) struct ReadLayers {
    pub(super) named: BTreeMap<LineId, Named>,
    /// The lines that were flattened, by the layer that each is read through.
    flat: BTreeMap<LineId, LineId>,
}

impl ReadLayers {
    /// Cost: a look at each line.
    pub(super) fn load(graph: &Graph) -> Result<Self> {
        let mut out = Self::default();
        let mut rows = graph.engine().iter_prefix(Family::Refs, &[keys::kind::LAYER]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let layer: LayerRecord = record::decode("read layer", value)?;
            let (top, bottom) = (keys::number_at(key, 1)?, keys::number_at(key, 17)?);
            let (top, bottom) = (LineId::new(top), LineId::new(bottom));
            out.named.insert(LineId::new(layer.line), Named { row: key.to_vec(), top, bottom });
            rows.next();
        }
        let mut rows = graph.engine().iter_prefix(Family::Refs, &[keys::kind::LINE]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let line = LineId::new(keys::number_at(key, 1)?);
            let stored = Line::from(record::decode::<LineRecord>("line", value)?);
            out.flat.extend(stored.flat().map(|layer| (layer.line, line)));
            rows.next();
        }
        Ok(out)
    }

    /// The lowest line that a layer was made of.
    pub(super) fn bottom(&self, layer: LineId) -> LineId {
        let mut line = layer;
        // Made of older ones, so this ends.
        while let Some(named) = self.named.get(&line).filter(|named| named.bottom < line) {
            line = named.bottom;
        }
        line
    }

    /// Whether a line is a read layer about which nothing says what it was made of.
    pub(super) fn is_unknown(&self, line: LineId, stored: &Line) -> bool {
        let is_layer = stored.fork.is_none() && line != LineId::ROOT;
        is_layer && !self.named.contains_key(&line) && !self.flat.contains_key(&line)
    }
}

/// What is needed of all lines, forks that nothing needs left out.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) needs: BTreeMap<LineId, Need>,
    /// Read layers through which something is read, and other lines that nothing leads to and that stay.
    pub(super) layers: BTreeSet<LineId>,
    /// Lines of which something is to be read.
    pub(super) read: BTreeSet<LineId>,
}

impl Settled {
    /// Settles what is reached, as if the lines among `flattened` had been. Others may still come to those that
    /// are `held`, whatever is needed of them.
    ///
    /// Cost: the lines that are reached, and their forks.
    pub(super) fn of(
        reach: &Reach<'_>,
        (graph, known): (&Graph, &ReadLayers),
        flattened: &BTreeSet<LineId>,
        held: &BTreeSet<LineId>,
    ) -> Result<Self> {
        let mut out = Self::default();
        let mut through =
            Through { graph, known, flattened, read: BTreeSet::new(), passed: BTreeSet::new() };
        let mut pinned: BTreeMap<LineId, BTreeSet<Seq>> = BTreeMap::new();
        let unneeded = Need::default();
        let mut chained = BTreeSet::new();
        let lines: BTreeSet<LineId> = reach.needs.keys().chain(held).copied().collect();
        // A line forks from an older one: whoever reads a line was there before.
        for &line in lines.iter().rev() {
            let stored = graph.line(line)?;
            let need = reach.needs.get(&line).unwrap_or(&unneeded);
            let mut left = need.clone();
            if let Some((seq, child)) = need.lone_fork()
                && !(through.read.contains(&line) || held.contains(&line))
                && !out.reads_its_fork(child, &through)?
            {
                left.forks.remove(&seq);
                left.runs.retain(|run| run.top < seq);
            }
            left.kept.extend(left.forks.keys());
            left.kept.extend(pinned.remove(&line).unwrap_or_default());
            if left.is_read() || held.contains(&line) {
                out.read.insert(line);
                let end = through.end(line, &stored);
                through.mark(line, end)?;
                for layer in through.listed(line, &stored, end) {
                    out.use_layer(layer.line, known);
                    pinned.entry(layer.line).or_default().insert(layer.seq);
                }
            }
            match reach.needs.contains_key(&line) {
                true => drop(out.needs.insert(line, left)),
                // Nothing leads to it, and it stays for a while, and so does where it came from.
                false => out.hold_chain(line, graph, (&mut pinned, &mut chained))?,
            }
        }
        Ok(out)
    }

    /// Holds the lines from which one came that nothing leads to.
    fn hold_chain(
        &mut self,
        line: LineId,
        graph: &Graph,
        (pinned, chained): (&mut BTreeMap<LineId, BTreeSet<Seq>>, &mut BTreeSet<LineId>),
    ) -> Result<()> {
        let mut next = graph.line(line)?.fork;
        while let Some(fork) = next {
            pinned.entry(fork.line).or_default().insert(fork.seq);
            self.layers.insert(fork.line);
            if !chained.insert(fork.line) {
                break;
            }
            next = graph.line(fork.line)?.fork;
        }
        Ok(())
    }

    /// Whether a line, which was settled, needs its fork.
    fn reads_its_fork(&self, line: LineId, through: &Through<'_>) -> Result<bool> {
        let is_assumed = through.flattened.contains(&line);
        Ok(self.read.contains(&line) && !is_assumed && through.graph.line(line)?.flat().is_none())
    }

    /// A layer is used, and those whose names say what it shows.
    fn use_layer(&mut self, layer: LineId, known: &ReadLayers) {
        let mut waiting = vec![layer];
        while let Some(layer) = waiting.pop() {
            let is_new = self.layers.insert(layer);
            if let Some(named) = known.named.get(&layer).filter(|_| is_new) {
                let is_older = |line: &LineId| *line < layer && known.named.contains_key(line);
                waiting.extend([named.top, named.bottom].into_iter().filter(is_older));
            }
        }
    }

    /// Whether a commit stays whole.
    pub(super) fn has(&self, place: Place) -> bool {
        self.needs.get(&place.line).is_some_and(|need| need.kept.contains(&place.seq))
    }
}

/// Which lines others are read through.
struct Through<'a> {
    graph: &'a Graph,
    known: &'a ReadLayers,
    flattened: &'a BTreeSet<LineId>,
    read: BTreeSet<LineId>,
    /// From where down the lines were marked already, by where that ended.
    passed: BTreeSet<(LineId, Option<LineId>)>,
}

impl Through<'_> {
    /// Marks the lines that a line is read through: those below it, down to one that was flattened.
    fn mark(&mut self, line: LineId, end: Option<LineId>) -> Result<()> {
        let mut at = line;
        while Some(at) != end && self.passed.insert((at, end)) {
            let Some(fork) = self.graph.line(at)?.fork else { break };
            at = fork.line;
            self.read.insert(at);
        }
        Ok(())
    }

    /// The flattened line behind which nothing is read.
    fn end(&self, line: LineId, stored: &Line) -> Option<LineId> {
        let lowest = |layer: &Place| self.known.bottom(layer.line);
        let last = stored.layers.last().map(lowest);
        let was = last.and_then(|last| self.known.flat.get(&last)).copied();
        let is_assumed = |line: &LineId| self.flattened.contains(line);
        let assumed = stored.layers.iter().map(lowest).chain([line]).filter(is_assumed);
        assumed.chain(was).max()
    }

    /// The layers of a line as they will be, but for the flat one of a line that is only taken for flattened.
    fn listed<'l>(&self, line: LineId, stored: &'l Line, end: Option<LineId>) -> &'l [Place] {
        let Some(end) = end.filter(|end| self.flattened.contains(end)) else {
            return &stored.layers;
        };
        let is_end = |layer: &Place| self.known.bottom(layer.line) == end;
        let upto = stored.layers.iter().position(is_end).filter(|_| end != line);
        &stored.layers[..upto.map_or(0, |at| at + 1)]
    }
}
