//! Lines: where they fork, the layers that they are read through, and who reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Context;
use super::found::{Findings, Site};
use super::report::Check;
use super::scan::Walk;
use crate::format::commit::{Header, read_first};
use crate::format::refs::{LayerRecord, LineRecord};
use crate::format::{Family, keys, record};
use crate::graph::{self, Place};
use crate::id::{LineId, Seq};

/// What is known of a line. Everything that verification remembers of a store is of this size.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    pub(super) id: LineId,
    pub(super) fork: Option<Place>,
    /// The next line down the chain of forks that has rows at the fork; of a line that was flattened the
    /// layer that took the place of all below.
    pub(super) below: Option<Place>,
    /// Whether it was flattened.
    pub(super) is_flat: bool,
    /// Whether nothing is to be read of it.
    is_bare: bool,
    /// Its first and newest commits, once the log was read.
    pub(super) first: Option<Seq>,
    pub(super) last: Option<Seq>,
    /// The newest that its rows show: the newest, unless what is above it is gone.
    pub(super) shown: Option<Seq>,
    /// Whether its first commit is a bulk load.
    pub(super) bulk: bool,
    /// Number and sum of the commits that index blocks must have.
    pub(super) indexed: (u64, u64),
    pub(super) layer_rows: u64,
}

/// A read layer: the run that it was made of, and what lies below it on a line that uses it.
#[derive(Clone, Debug)]
pub(super) struct Made {
    top: Place,
    bottom: LineId,
    pub(super) used: Option<Used>,
}

/// How a read layer is used.
#[derive(Clone, Debug)]
pub(super) struct Used {
    /// The commit whose content it shows, with what is below.
    pub(super) shows: Place,
    /// The commit that is below it, and the layers that show it.
    pub(super) below: Option<Place>,
    pub(super) layers: Vec<Place>,
}

/// All lines of the store, by id.
#[derive(Default)]
pub(super) struct Lines {
    all: Vec<Line>,
    pub(super) made: BTreeMap<LineId, Made>,
    /// The layers of lines that were flattened, and these lines.
    pub(super) flat: BTreeMap<LineId, LineId>,
    /// The lines to be judged; all unless a branch was named.
    only: Option<BTreeSet<LineId>>,
}

impl Lines {
    pub(super) fn load(context: &Context<'_>, findings: &Findings) -> Self {
        let mut lines = Self { made: load_made(context, findings), ..Self::default() };
        let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::LINE]);
        let mut stored = BTreeMap::new();
        while walk.advance() {
            let (key, value) = walk.row();
            let site = Site::of(Family::Refs).key(key);
            let id = match keys::number_at(key, 1) {
                Ok(id) if key.len() == 9 => LineId::new(id),
                _ => {
                    findings.malformed(site, "the key of a line");
                    continue;
                }
            };
            if context.fixed.ignores(id) {
                continue;
            }
            match record::decode::<LineRecord>("line", value) {
                Ok(record) => {
                    let line = graph::Line::from(record);
                    lines.add(context, findings, (id, &line));
                    if !line.layers.is_empty()
                        && !line.is_bare(context.fixed.gone.get(&id).map(Arc::as_ref))
                    {
                        stored.insert(id, line.layers);
                    }
                }
                Err(e) => findings.malformed(site.line(id), e),
            }
        }
        for (id, layers) in &stored {
            lines.check_layers(findings, *id, layers);
        }
        // A line that shows nothing of what is below it has lost its layers.
        for line in lines.all.iter().filter(|line| line.below.is_some()) {
            if !stored.contains_key(&line.id) && !line.is_bare {
                findings.add(
                    Check::Lines,
                    13,
                    Site::of(Family::Refs).line(line.id),
                    format!("line {} has no layers, though its fork has rows", line.id),
                );
            }
        }
        lines
    }

    fn add(
        &mut self,
        context: &Context<'_>,
        findings: &Findings,
        (id, stored): (LineId, &graph::Line),
    ) {
        let is_bare = stored.is_bare(context.fixed.gone.get(&id).map(Arc::as_ref));
        let flat = stored.flat().filter(|_| !is_bare);
        // The root line, or a read layer; one with commits is found where these are put together.
        let mut below = stored.fork.and_then(|fork| {
            let has_left = is_bare || flat.is_some();
            self.judge_fork(context, findings, (id, fork, has_left))
        });
        if let Some(flat) = flat {
            below = Some(flat);
            self.flat.insert(flat.line, id);
            if !context.hides_below((id, stored), flat.seq) {
                let what = format!(
                    "line {id} is read through line {} alone from commit {} on, and is read below it",
                    flat.line, flat.seq
                );
                findings.add(Check::Lines, 13, Site::of(Family::Refs).line(id), what);
            }
        }
        let (fork, layer_rows, is_flat) = (stored.fork, stored.layer_rows, flat.is_some());
        let line = Line { id, fork, below, is_flat, is_bare, layer_rows, ..Line::default() };
        self.all.push(line);
    }

    /// INV-11, INV-64: where a line forks is there, and is whole unless the line has no need of it. The next
    /// line down from there that has rows.
    fn judge_fork(
        &self,
        context: &Context<'_>,
        findings: &Findings,
        (id, fork, has_left): (LineId, Place, bool),
    ) -> Option<Place> {
        let Place { line, seq } = fork;
        let (invariant, what) = if line >= id || self.get(line).is_none() {
            (64, format!("line {id} forks from line {line}, which is not there"))
        } else if !context.is_whole(fork) {
            if has_left {
                return None;
            }
            (11, format!("line {id} forks from commit {seq}, which is said to be gone"))
        } else {
            match context.header(seq, findings) {
                Some(header) if header.line != line.get() => {
                    let on = header.line;
                    let what = format!(
                        "line {id} forks from line {line} at commit {seq}, which is on line {on}"
                    );
                    (64, what)
                }
                Some(header) if header.rows > 0 => return Some(fork),
                Some(_) => return self.get(line).and_then(|line| line.below),
                None => (64, format!("line {id} forks from commit {seq}, which is not there")),
            }
        };
        findings.add(Check::Lines, invariant, Site::of(Family::Refs).line(id), what);
        None
    }

    /// INV-13: the layers are, from the fork down, the lines that have rows there, or read layers made
    /// of runs of them.
    fn check_layers(&mut self, findings: &Findings, id: LineId, layers: &[Place]) {
        let mut next = self.get(id).and_then(|line| line.below);
        let wrong = |layer: &Place| {
            let what = format!(
                "line {id} is read through line {} at commit {}, which is not what its fork shows",
                layer.line, layer.seq
            );
            findings.add(Check::Lines, 13, Site::of(Family::Refs).line(id), what);
        };
        for (i, layer) in layers.iter().enumerate() {
            if self.is_unnamed(layer.line) && !self.flat.contains_key(&layer.line) {
                let behind = layers.get(i + 1).and_then(|behind| self.top_of(behind));
                match next.and_then(|top| Some((top, self.run_until(top, behind)?))) {
                    Some((top, bottom)) if top.seq == layer.seq => {
                        self.made.insert(layer.line, Made { top, bottom, used: None });
                    }
                    _ => return wrong(layer),
                }
            }
            let (top, bottom) = match self.made.contains_key(&layer.line) {
                true => (self.top(layer.line), self.bottom(layer.line)),
                false => (Some(*layer), Some(layer.line)),
            };
            if top.is_none() || top != next {
                return wrong(layer);
            }
            next = bottom.and_then(|bottom| self.get(bottom)).and_then(|line| line.below);
            if let Some(made) = self.made.get_mut(&layer.line)
                && let (None, Some(shows)) = (&made.used, top)
            {
                made.used = Some(Used { shows, below: next, layers: layers[i + 1..].to_vec() });
            }
        }
        if let Some(next) = next {
            let what = format!(
                "line {id} is not read through line {}, though its fork shows it",
                next.line
            );
            findings.add(Check::Lines, 13, Site::of(Family::Refs).line(id), what);
        }
    }

    /// Whether a line is a read layer that no row names: two that were made of the same run at the same
    /// time have one name, and both are right.
    pub(super) fn is_unnamed(&self, line: LineId) -> bool {
        let no_fork = |line: &Line| line.fork.is_none() && line.id != LineId::ROOT;
        self.get(line).is_some_and(no_fork) && !self.made.contains_key(&line)
    }

    /// The first line that a layer shows.
    fn top_of(&self, layer: &Place) -> Option<Place> {
        match self.made.contains_key(&layer.line) {
            true => self.top(layer.line),
            false => Some(*layer),
        }
    }

    /// The last line of the run from one place down to another, or to the end.
    fn run_until(&self, top: Place, behind: Option<Place>) -> Option<LineId> {
        let mut last = top.line;
        loop {
            let below = self.get(last)?.below;
            if below == behind {
                return Some(last);
            }
            last = below?.line;
        }
    }

    /// The first of the lines that a read layer was made of.
    fn top(&self, mut line: LineId) -> Option<Place> {
        loop {
            let top = self.made.get(&line)?.top;
            if !self.made.contains_key(&top.line) {
                return Some(top);
            }
            // Made of older ones: so this ends.
            line = Some(top.line).filter(|top| *top < line)?;
        }
    }

    /// The last of them.
    fn bottom(&self, mut line: LineId) -> Option<LineId> {
        loop {
            let bottom = self.made.get(&line)?.bottom;
            if !self.made.contains_key(&bottom) {
                return Some(bottom);
            }
            line = Some(bottom).filter(|bottom| *bottom < line)?;
        }
    }

    fn position(&self, id: LineId) -> Option<usize> {
        self.all.binary_search_by_key(&id, |line| line.id).ok()
    }

    pub(super) fn get(&self, id: LineId) -> Option<&Line> {
        self.position(id).map(|i| &self.all[i])
    }

    pub(super) fn get_mut(&mut self, id: LineId) -> Option<&mut Line> {
        self.position(id).map(|i| &mut self.all[i])
    }

    pub(super) fn all(&self) -> &[Line] {
        &self.all
    }

    /// Whether a line is to be judged.
    pub(super) fn judges(&self, id: LineId) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&id))
    }

    /// Whether all lines are.
    pub(super) fn is_all(&self) -> bool {
        self.only.is_none()
    }

    /// Judges a line, and those that it reads, and no others.
    pub(super) fn restrict(&mut self, line: LineId) {
        let mut only = BTreeSet::new();
        let mut next = Some(line);
        while let Some(line) = next {
            if !only.insert(line) {
                break;
            }
            next = self.get(line).and_then(|line| line.fork).map(|fork| fork.line);
        }
        let within =
            |made: &&Made| made.used.as_ref().is_some_and(|used| only.contains(&used.shows.line));
        let layers: Vec<LineId> =
            self.made.iter().filter(|(_, made)| within(made)).map(|(id, _)| *id).collect();
        only.extend(layers);
        let flat = self.flat.iter().filter(|(_, line)| only.contains(line));
        let flat: Vec<LineId> = flat.map(|(layer, _)| *layer).collect();
        only.extend(flat);
        self.only = Some(only);
    }

    /// Up to which commit of one line each line is read, its own commits aside; in the order of
    /// [`all`](Self::all).
    pub(super) fn readers(&self, of: LineId) -> Vec<Option<Seq>> {
        let mut out: Vec<Option<Seq>> = Vec::with_capacity(self.all.len());
        for line in &self.all {
            let reads = match line.fork {
                _ if line.id == of => Some(Seq::MAX),
                Some(fork) if fork.line == of => Some(fork.seq),
                Some(fork) => self.position(fork.line).and_then(|i| out.get(i).copied().flatten()),
                None => None,
            };
            out.push(reads);
        }
        out
    }

    /// Up to which commit a place reads a line, given [`readers`](Self::readers) of that line.
    pub(super) fn reach(&self, readers: &[Option<Seq>], of: LineId, from: Place) -> Option<Seq> {
        if from.line == of {
            return Some(from.seq);
        }
        self.position(from.line).and_then(|i| readers.get(i).copied().flatten())
    }
}

/// The rows that say which read layers there are.
fn load_made(context: &Context<'_>, findings: &Findings) -> BTreeMap<LineId, Made> {
    let mut out = BTreeMap::new();
    let mut walk = Walk::prefix(context, findings, Family::Refs, &[keys::kind::LAYER]);
    while walk.advance() {
        let (key, value) = walk.row();
        let site = Site::of(Family::Refs).key(key);
        let part = |at| keys::number_at(key, at).ok().filter(|_| key.len() == 25);
        let (Some(line), Some(seq), Some(bottom)) = (part(1), part(9), part(17)) else {
            findings.malformed(site, "the key of a read layer");
            continue;
        };
        let made = match record::decode::<LayerRecord>("read layer", value) {
            Ok(made) => LineId::new(made.line),
            Err(e) => {
                findings.malformed(site, e);
                continue;
            }
        };
        let top = Place { line: LineId::new(line), seq: Seq::new(seq) };
        let there = context.get(Family::Refs, &keys::line(made), findings);
        if there.is_none() {
            let what = format!("a read layer is said to be line {made}, which is not there");
            findings.add(Check::Lines, 64, site, what);
            continue;
        }
        out.insert(made, Made { top, bottom: LineId::new(bottom), used: None });
    }
    out
}

impl Context<'_> {
    /// Whether nobody reads a line as it was at a commit or before, unless it is kept by itself.
    fn hides_below(&self, (id, line): (LineId, &graph::Line), upto: Seq) -> bool {
        let (Some(fork), Some(gone)) = (line.fork, self.fixed.gone.get(&id)) else { return false };
        gone.hidden_upto(fork.seq.next()).is_none_or(|hidden| upto <= hidden)
    }

    /// A row; none too if it cannot be read, which is a finding.
    pub(super) fn get(&self, family: Family, key: &[u8], findings: &Findings) -> Option<Vec<u8>> {
        match self.db.get(family, key) {
            Ok(row) => row,
            Err(e) => {
                findings.unreadable(Site::of(family).key(key), &e);
                None
            }
        }
    }

    /// The header of a commit that is to be judged; none if it is not there or does not decode, which is
    /// found where the log is read.
    pub(super) fn header(&self, seq: Seq, findings: &Findings) -> Option<Header> {
        if seq > self.fixed.latest {
            return None;
        }
        let row = self.get(Family::Log, &keys::log(seq, 0), findings)?;
        read_first(&row).ok().map(|(header, _)| header)
    }

    /// Whether a commit is there and whole, on the line it is said to be on.
    pub(super) fn is_commit(&self, place: Place, findings: &Findings) -> bool {
        self.is_whole(place)
            && self
                .header(place.seq, findings)
                .is_some_and(|header| header.line == place.line.get())
    }
}
