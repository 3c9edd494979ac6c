//! The plan of a collection: what is gone of each line from now on.

use std::collections::{BTreeMap, BTreeSet};

use super::forks::{ReadLayers, Settled};
use super::reach::{Need, Reach, Run};
use crate::error::Result;
use crate::format::refs::GoneRecord;
use crate::format::{Family, keys};
use crate::graph::{Gone, Graph, Place, Reader, Readers};
use crate::id::{LineId, Seq};
use crate::publish::{Begun, LettingGo};

/// What open views, scans and transactions, and cursors, read.
#[derive(Default)]
pub(super) struct Reading {
    places: BTreeMap<LineId, BTreeSet<Seq>>,
    /// Nothing goes that any line has from here on.
    since: Option<Seq>,
    /// Whether somebody may yet come to read what refs were at some moment.
    is_open: bool,
}

impl Reading {
    pub(super) fn of<'r>(readers: impl Iterator<Item = &'r Reader>, since: Option<Seq>) -> Self {
        let mut out = Self { since, ..Self::default() };
        for reader in readers {
            out.since = out.since.into_iter().chain(reader.since).min();
            out.is_open |= reader.since.is_some();
            for place in reader.layers.iter().chain([&reader.place]) {
                out.places.entry(place.line).or_default().insert(place.seq);
            }
        }
        out
    }
}

impl Reading {
    fn moment(&self) -> Moment {
        Moment { since: self.since, is_open: self.is_open }
    }
}

/// What is let go of a line.
struct Letting {
    gone: Gone,
    /// The key of the row of a read layer that nothing is read through.
    layer: Option<Vec<u8>>,
    /// The newest commit of it that is gone.
    newest: Seq,
}

/// A plan that is made while others commit and begin to read.
pub(super) struct Draft {
    lines: BTreeMap<LineId, Letting>,
    needed: Settled,
    moment: Moment,
}

impl Draft {
    /// Whether a commit stays whole.
    pub(super) fn has(&self, graph: &Graph, place: Place) -> bool {
        let holds = |gone: &Gone| gone.holds(place.seq);
        let is_held = || match self.lines.get(&place.line) {
            Some(letting) => holds(&letting.gone),
            None => graph.gone(place.line).as_deref().is_none_or(holds),
        };
        // One that is newer than the draft is on a branch.
        self.needed.has(place) || (self.needed.read.contains(&place.line) && is_held())
    }
}

/// What is being read, but for places.
#[derive(Clone, Copy)]
struct Moment {
    since: Option<Seq>,
    is_open: bool,
}

/// Builds a plan from what is reachable and what is being read.
pub(super) struct Planner<'a> {
    graph: &'a Graph,
    prefixes: &'a [Vec<u8>],
    reach: &'a Reach<'a>,
    begun: Begun,
    layers: ReadLayers,
    /// Lines of read layers that are being made.
    unfinished: BTreeSet<LineId>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        reach: &'a Reach<'a>,
        graph: &'a Graph,
        prefixes: &'a [Vec<u8>],
        begun: Begun,
    ) -> Result<Self> {
        let (layers, unfinished) = (ReadLayers::load(graph)?, unfinished(graph)?);
        Ok(Self { graph, prefixes, reach, begun, layers, unfinished })
    }

    /// What may be let go, as far as it is known. Cost: a look at each line.
    pub(super) fn draft(&self, reading: &Reading) -> Result<Draft> {
        let moment = reading.moment();
        let held = self.held(reading)?;
        let (known, none) = ((self.graph, &self.layers), BTreeSet::new());
        let needed = Settled::of(self.reach, known, &none, &held)?;
        let mut lines = BTreeMap::new();
        let mut rows = self.graph.engine().iter_prefix(Family::Refs, &[keys::kind::LINE]);
        rows.seek_to_first();
        while let Some((key, _)) = rows.current()? {
            let line = LineId::new(keys::number_at(key, 1)?);
            rows.next();
            if line < self.begun.next_line {
                let letting = self.decide((line, &needed), reading.places.get(&line), moment)?;
                lines.extend(letting.map(|letting| (line, letting)));
            }
        }
        Ok(Draft { lines, needed, moment })
    }

    /// Lines that others may still come to, whatever is needed of them: those that somebody reads, and, as
    /// long as somebody may come to read what refs were, all of which anything is there.
    fn held(&self, reading: &Reading) -> Result<BTreeSet<LineId>> {
        let mut out = BTreeSet::new();
        for &line in self.reach.needs.keys().chain(reading.places.keys()) {
            let is_held =
                reading.places.contains_key(&line) || !self.is_past(line, reading.moment())?;
            let stored = match self.graph.line(line) {
                // Somebody came too late, and is about to see that.
                Err(_) if !self.reach.needs.contains_key(&line) => continue,
                stored => stored?,
            };
            if is_held && !stored.is_bare(self.graph.gone(line).as_deref()) {
                out.insert(line);
            }
        }
        Ok(out)
    }

    /// Whether nobody can come to read what refs were when there was a line's newest commit.
    fn is_past(&self, line: LineId, moment: Moment) -> Result<bool> {
        match moment.since {
            _ if moment.is_open => Ok(false),
            None => Ok(true),
            Some(since) => Ok(self.graph.on_line(line, Seq::MAX)?.is_none_or(|last| last < since)),
        }
    }

    /// Makes a plan of a draft, as of now. Called under the commit lock, while nobody can begin to read, and
    /// refs are what they were when planning began. None if it has to be drafted anew.
    ///
    /// What was committed since is on branches, above all that a draft lets go. So only what is read has
    /// to be looked at. Cost: what is being read, and the lines that change.
    pub(super) fn confirm(
        &self,
        mut draft: Draft,
        readers: &Readers,
        since: Option<Seq>,
    ) -> Result<Option<LettingGo>> {
        let reading = Reading::of(readers.open(), since);
        // Whoever began after the draft needs what branches were then, or later.
        let bound = draft.moment.since.unwrap_or(self.begun.newest);
        if reading.since.is_some_and(|since| since < bound) {
            return Ok(None);
        }
        for (line, seqs) in &reading.places {
            let Some(letting) = draft.lines.get(line) else { continue };
            if seqs.iter().all(|seq| letting.gone.holds(*seq)) {
                continue;
            }
            if !draft.needed.read.contains(line) {
                // What it is read through may be let go with it.
                return Ok(None);
            }
            match self.decide((*line, &draft.needed), Some(seqs), draft.moment)? {
                Some(letting) => draft.lines.insert(*line, letting),
                None => draft.lines.remove(line),
            };
        }
        let mut plan = LettingGo::default();
        for (line, letting) in draft.lines {
            plan.log_start = plan.log_start.max(letting.newest);
            plan.layers.extend(letting.layer);
            plan.lines.push((line, letting.gone.into_record()));
        }
        Ok(Some(plan))
    }

    /// What is let go of a line, if that is more than before.
    fn decide(
        &self,
        (line, needed): (LineId, &Settled),
        read: Option<&BTreeSet<Seq>>,
        moment: Moment,
    ) -> Result<Option<Letting>> {
        if self.unfinished.contains(&line) {
            return Ok(None);
        }
        let (gone, layer) = match needed.needs.get(&line) {
            Some(need) => (self.living(line, need, read, moment)?, None),
            None if needed.layers.contains(&line) || read.is_some() => return Ok(None),
            None => {
                let gone = GoneRecord { dead: true, ..GoneRecord::default() };
                (gone, self.layers.named.get(&line).map(|named| named.row.clone()))
            }
        };
        let known = self.graph.gone(line);
        let is_news = match known.as_deref().map(Gone::record) {
            Some(known) => *known != gone,
            None => gone != GoneRecord::default(),
        };
        // A read layer of which nothing was left already goes all the same.
        if !is_news && layer.is_none() {
            return Ok(None);
        }
        let gone = Gone::new(gone);
        let newest = self.graph.newest_gone(line, &gone)?;
        Ok(Some(Letting { gone, layer, newest }))
    }

    /// What is gone of a line that is reachable.
    fn living(
        &self,
        line: LineId,
        need: &Need,
        read: Option<&BTreeSet<Seq>>,
        moment: Moment,
    ) -> Result<GoneRecord> {
        let since = moment.since;
        let old = self.graph.gone(line).map(|gone| (*gone).clone()).unwrap_or_default();
        let last = self.graph.on_line(line, Seq::MAX)?.unwrap_or(Seq::ROOT);
        let (run, others) = join(&need.runs);
        let is_in_part = |seq: &Seq| old.has(*seq) && !old.holds(*seq);
        let in_part: Vec<Seq> = read.into_iter().flatten().copied().filter(is_in_part).collect();
        let is_alone = !need.grows && in_part.is_empty() && need.runs.iter().all(Run::is_bare);
        if is_alone && self.is_past(line, moment)? {
            return Ok(alone(&old, need.kept.iter().chain(read.into_iter().flatten())));
        }
        let below = others.iter().map(|other| self.commits_of(line, other));
        let below: Vec<Vec<Seq>> = below.collect::<Result<_>>()?;
        let mut prefixes: BTreeSet<&[u8]> = self.prefixes.iter().map(Vec::as_slice).collect();
        prefixes.extend(old.record().floors.iter().map(|(prefix, _)| prefix.as_slice()));
        let mut floors = Vec::new();
        for prefix in prefixes {
            let longest = |(at, known): (usize, &Vec<u8>)| prefix.starts_with(known).then_some(at);
            let at = self.prefixes.iter().enumerate().rev().find_map(longest);
            let wanted = at.and_then(|at| run.floors.get(at)).copied().unwrap_or(Seq::ROOT);
            // What was committed since planning began may be what a transaction has seen that began since.
            let wanted = wanted.min(since.unwrap_or(Seq::MAX)).min(self.begun.newest);
            // What the line was at that moment is what it was until its next commit.
            let floor = self.graph.on_line(line, wanted)?.unwrap_or(Seq::ROOT);
            // What an open view of a part can still read stays for it.
            let is_left = |seq: &&Seq| old.floor(prefix) <= **seq;
            let mut seen: Vec<Seq> = in_part.iter().filter(is_left).copied().collect();
            // Nor can a commit of which a part is gone be kept by itself: the floor goes down to it.
            for (other, commits) in others.iter().zip(&below) {
                let from = at.and_then(|at| other.floors.get(at)).copied().unwrap_or(Seq::ROOT);
                if from > other.top {
                    continue;
                }
                let from = self.graph.on_line(line, from)?.unwrap_or(Seq::ROOT);
                let wanted = commits.iter().filter(|seq| from <= **seq && is_in_part(seq));
                seen.extend(wanted.filter(is_left).min());
            }
            let floor = match seen.iter().min() {
                Some(seq) => floor.min(self.graph.on_line(line, *seq)?.unwrap_or(Seq::ROOT)),
                None => floor,
            };
            // What is gone does not come back.
            floors.push((prefix.to_vec(), floor.max(old.floor(prefix)).get()));
        }
        // While a transaction is open, what came after its snapshot stays.
        let top = match since {
            Some(_) => old.record().top,
            None => (run.top < last).then_some(run.top.get()),
        };
        // What was above an earlier top is gone, but for what is kept of it.
        let top = match (top, old.record().top) {
            (Some(new), Some(old)) => Some(new.min(old)),
            (new, old) => new.or(old),
        };
        let highest = Seq::new(floors.iter().map(|floor| floor.1).max().unwrap_or(0));
        let mut kept: BTreeSet<Seq> =
            need.kept.iter().chain(read.into_iter().flatten()).copied().collect();
        // Where a floor cannot come back down, what is kept below it stays as long as it is wanted.
        let wanted =
            |seq: &Seq| need.runs.iter().any(|run| run.lowest() <= *seq && *seq <= run.top);
        kept.extend(old.record().kept.iter().copied().map(Seq::new).filter(wanted));
        kept.extend(below.into_iter().flatten());
        let apart = |seq: &Seq| *seq < highest || top.is_some_and(|top| seq.get() > top);
        let kept = kept.into_iter().filter(|seq| apart(seq) && old.holds(*seq)).map(Seq::get);
        let kept: Vec<u64> = kept.collect();
        if floors.iter().all(|(_, floor)| *floor == 0) {
            floors.clear();
        }
        Ok(GoneRecord { floors, kept, top, dead: false })
    }

    /// The commits of a line that a run needs, at least in part.
    fn commits_of(&self, line: LineId, run: &Run) -> Result<Vec<Seq>> {
        let from = self.graph.on_line(line, run.lowest())?.unwrap_or(run.lowest());
        let below = Seq::new(from.get().saturating_sub(1));
        self.graph.commits_between(line, below, run.top)
    }
}

/// What is gone of a line of which nothing stays but some commits, each by itself.
fn alone<'s>(old: &Gone, kept: impl Iterator<Item = &'s Seq>) -> GoneRecord {
    let floors = old.record().floors.clone();
    // The root commit is at the top, and need not be named unless there is a floor above it.
    let apart = |seq: &u64| *seq > 0 || floors.iter().any(|floor| floor.1 > 0);
    let kept: BTreeSet<u64> = kept.filter(|seq| old.holds(**seq)).map(|seq| seq.get()).collect();
    let kept = kept.into_iter().filter(apart).collect();
    GoneRecord { floors, kept, top: Some(0), dead: false }
}

/// Lines of read layers that are being made.
fn unfinished(graph: &Graph) -> Result<BTreeSet<LineId>> {
    use crate::format::refs::meta::UNFINISHED;
    let mut out = BTreeSet::new();
    let mut rows = graph.engine().iter_prefix(Family::Meta, UNFINISHED);
    rows.seek_to_first();
    while let Some((key, _)) = rows.current()? {
        out.insert(LineId::new(keys::number_at(key, UNFINISHED.len())?));
        rows.next();
    }
    Ok(out)
}

/// The run that goes furthest up, joined with those that meet it, and those that end below it.
fn join(runs: &[Run]) -> (Run, Vec<Run>) {
    let mut runs = runs.to_vec();
    runs.sort_unstable_by_key(|run| run.top);
    let Some(mut first) = runs.pop() else {
        return (Run { top: Seq::ROOT, floors: Vec::new() }, Vec::new());
    };
    let mut others = Vec::new();
    while let Some(run) = runs.pop() {
        if run.is_bare() {
            // No more than the commits that are kept by themselves.
            continue;
        }
        if run.top >= first.lowest() {
            for (floor, other) in first.floors.iter_mut().zip(&run.floors) {
                *floor = (*floor).min(*other);
            }
        } else {
            others.push(run);
        }
    }
    (first, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(top: u64, floor: u64) -> Run {
        Run { top: Seq::new(top), floors: vec![Seq::new(floor)] }
    }

    #[test]
    fn runs_that_meet_become_one() {
        let (first, others) = join(&[run(4, 2), run(100, 50), run(60, 30), run(35, 31), run(3, 3)]);
        assert_eq!(first, run(100, 30), "those that meet");
        assert_eq!(others, [run(4, 2), run(3, 3)], "those below");
    }
}
