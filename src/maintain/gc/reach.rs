//! What is reachable: the lines that names and work under way lead to, how far up each is needed, and
//! from where on it is kept whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::format::refs::At;
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Place};
use crate::id::{LineId, Seq};

/// Something that keeps commits.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// The commit, which stays whole.
    pub(super) place: Place,
    /// A branch's line, and up to where it is needed; it may have no commit of its own yet.
    pub(super) line: Option<(LineId, Seq)>,
    /// Its history is kept from these on, by prefix.
    pub(super) floors: Vec<Seq>,
}

/// Commits of a line that are needed, up to `top`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// [`Seq::MAX`] for a line that grows.
    pub(super) top: Seq,
    /// From where on, by prefix.
    pub(super) floors: Vec<Seq>,
}

impl Run {
    /// From here on commits are needed at least in part.
    pub(super) fn lowest(&self) -> Seq {
        self.floors.iter().copied().min().unwrap_or(Seq::ROOT)
    }

    /// From here on commits are needed whole.
    fn highest(&self) -> Seq {
        self.floors.iter().copied().max().unwrap_or(Seq::ROOT)
    }

    /// Whether no commits are needed but those that are kept by themselves.
    pub(super) fn is_bare(&self) -> bool {
        self.lowest() == Seq::MAX
    }

    fn covers(&self, other: &Self) -> bool {
        self.top >= other.top && self.floors.iter().zip(&other.floors).all(|(a, b)| a <= b)
    }
}

/// What is needed of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Need {
    /// None covers another one.
    pub(super) runs: Vec<Run>,
    /// Commits that stay whole, whatever else.
    pub(super) kept: BTreeSet<Seq>,
    /// Commits from which reachable lines fork, with these lines.
    pub(super) forks: BTreeMap<Seq, BTreeSet<LineId>>,
    /// The highest commit that anything but a fork leads to.
    pub(super) led: Option<Seq>,
    /// A branch is on it, or may come to be again.
    pub(super) grows: bool,
}

impl Need {
    /// Whether anything is to be read of the line.
    pub(super) fn is_read(&self) -> bool {
        self.grows || !self.kept.is_empty() || self.runs.iter().any(|run| !run.is_bare())
    }

    /// The highest commit that is needed, if one fork leads to it and nothing else; and the line that forks
    /// there. Two ways down meet in none such, so that no merge can start from it.
    pub(super) fn lone_fork(&self) -> Option<(Seq, LineId)> {
        let (&seq, lines) = self.forks.last_key_value()?;
        let line = lines.first().filter(|_| lines.len() == 1)?;
        let is_highest = self.led.is_none_or(|led| led < seq);
        let is_bare = self.runs.iter().all(|run| run.top < seq || run.is_bare());
        (is_highest && is_bare).then_some((seq, *line))
    }
}

/// All lines that are reachable.
pub(super) struct Reach<'g> {
    graph: &'g Graph,
    pub(super) needs: BTreeMap<LineId, Need>,
    waiting: Vec<(LineId, Run)>,
}

impl<'g> Reach<'g> {
    /// What these roots lead to.
    ///
    /// Cost: the lines, forks and merges that are reachable; memory likewise.
    pub(super) fn from(graph: &'g Graph, roots: &[Root]) -> Result<Self> {
        let mut reach = Self { graph, needs: BTreeMap::new(), waiting: Vec::new() };
        for root in roots {
            reach.lead(root.place, &root.floors);
            reach.keep(root.place);
            if let Some((line, top)) = root.line {
                reach.lead(Place { line, seq: top }, &root.floors);
                reach.needs.entry(line).or_default().grows = true;
            }
        }
        reach.walk()?;
        while reach.add_last_merges()? {
            reach.walk()?;
        }
        Ok(reach)
    }

    /// Adds what is reached by a way that is no fork.
    fn lead(&mut self, to: Place, floors: &[Seq]) {
        let need = self.needs.entry(to.line).or_default();
        need.led = need.led.max(Some(to.seq));
        self.add(to.line, to.seq, floors);
    }

    /// Adds what is reached of a line by one way.
    fn add(&mut self, line: LineId, top: Seq, floors: &[Seq]) {
        // Where nothing is reached at or above a floor, there is none.
        let floors = floors.iter().map(|floor| if *floor > top { Seq::MAX } else { *floor });
        let run = Run { top, floors: floors.collect() };
        let need = self.needs.entry(line).or_default();
        if need.runs.iter().any(|known| known.covers(&run)) {
            return;
        }
        need.runs.retain(|known| !run.covers(known));
        need.runs.push(run.clone());
        self.waiting.push((line, run));
    }

    fn keep(&mut self, place: Place) {
        self.needs.entry(place.line).or_default().kept.insert(place.seq);
    }

    /// Goes on from all lines that were added or needed further.
    fn walk(&mut self) -> Result<()> {
        while let Some((line, run)) = self.waiting.pop() {
            let stored = self.graph.line(line)?;
            if let Some(fork) = stored.fork {
                self.add(fork.line, fork.seq, &run.floors);
                let need = self.needs.entry(fork.line).or_default();
                need.forks.entry(fork.seq).or_default().insert(line);
            }
            self.merges(line, run.lowest(), run.top, |reach, _, from| {
                reach.lead(from, &run.floors);
                if from.seq < run.highest() {
                    // What a kept commit has merged is where the next merge starts from.
                    reach.keep(from);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Visits what was merged into a line between two commits.
    fn merges(
        &mut self,
        line: LineId,
        from: Seq,
        upto: Seq,
        mut each: impl FnMut(&mut Self, Seq, Place) -> Result<()>,
    ) -> Result<()> {
        let engine = std::sync::Arc::clone(self.graph.engine());
        let end = keys::merge(line.next(), Seq::ROOT);
        let mut rows = engine.iter(Family::Refs, &keys::merge(line, from), Some(&end));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let seq = Seq::new(keys::number_at(key, 9)?);
            if seq > upto {
                break;
            }
            let merged: Vec<At> = record::decode("merge", value)?;
            for at in merged {
                each(self, seq, at.into())?;
            }
            rows.next();
        }
        Ok(())
    }

    /// Keeps what was merged from one reachable line into another, though the merge itself is gone, if
    /// it is the last merge as of a commit that is kept: it is where a next merge may start from. What was
    /// merged by way of lines that are not reachable any more counts too. Whether anything was added.
    fn add_last_merges(&mut self) -> Result<bool> {
        let lines: Vec<(LineId, Need)> =
            self.needs.iter().map(|(line, need)| (*line, need.clone())).collect();
        let mut changed = false;
        for (line, need) in lines {
            let whole =
                |seq: Seq| need.runs.iter().any(|run| run.lowest() <= seq && seq <= run.top);
            let mut stands = need.kept;
            stands.extend(need.forks.keys());
            stands.extend(need.runs.iter().flat_map(|run| [run.lowest(), run.top]));
            // What was merged last from each line, and not looked at yet.
            let mut last: BTreeMap<LineId, (Seq, Place)> = BTreeMap::new();
            let mut found = Vec::new();
            self.merges(line, Seq::ROOT, Seq::MAX, |reach, seq, from| {
                let is_there = |line: LineId| reach.needs.contains_key(&line);
                for from in behind(reach.graph, from, is_there)? {
                    let before = last.remove(&from.line);
                    found.extend(before.filter(|(at, _)| stands.range(*at..seq).next().is_some()));
                    if from.line == line || whole(seq) {
                        continue;
                    }
                    // By a way round, less may be merged later than before.
                    let further = before.filter(|(_, known)| known.seq >= from.seq);
                    last.insert(from.line, further.unwrap_or((seq, from)));
                }
                Ok(())
            })?;
            found.extend(last.into_values().filter(|(at, _)| stands.range(*at..).next().is_some()));
            for (_, place) in found {
                let Some(known) = self.needs.get(&place.line) else { continue };
                // One that is only a fork may be let go, if nothing is merged from there.
                if known.kept.contains(&place.seq) || !self.is_whole(place) {
                    continue;
                }
                let floors = known.runs.first().map_or(0, |run| run.floors.len());
                self.lead(place, &vec![Seq::MAX; floors]);
                self.keep(place);
                changed = true;
            }
        }
        Ok(changed)
    }

    fn is_whole(&self, place: Place) -> bool {
        self.graph.gone(place.line).is_none_or(|gone| gone.holds(place.seq))
    }
}

/// The highest places on lines that are there from which a commit came: itself, if its line is; else what
/// its line forked from and what was merged into it, and so on.
pub(super) fn behind(
    graph: &Graph,
    place: Place,
    is_there: impl Fn(LineId) -> bool,
) -> Result<Vec<Place>> {
    let mut found: BTreeMap<LineId, Seq> = BTreeMap::new();
    let mut passed: BTreeMap<LineId, Seq> = BTreeMap::new();
    let mut waiting = vec![place];
    while let Some(place) = waiting.pop() {
        let known = if is_there(place.line) { &mut found } else { &mut passed };
        let highest = known.entry(place.line).or_insert(Seq::ROOT);
        let is_passed = *highest >= place.seq && place.seq > Seq::ROOT;
        *highest = place.seq.max(*highest);
        if is_passed || is_there(place.line) {
            continue;
        }
        waiting.extend(graph.line(place.line)?.fork);
        let end = keys::merge(place.line.next(), Seq::ROOT);
        let mut rows =
            graph.engine().iter(Family::Refs, &keys::merge(place.line, Seq::ROOT), Some(&end));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            if Seq::new(keys::number_at(key, 9)?) > place.seq {
                break;
            }
            let merged: Vec<At> = record::decode("merge", value)?;
            waiting.extend(merged.into_iter().map(Place::from));
            rows.next();
        }
    }
    Ok(found.into_iter().map(|(line, seq)| Place { line, seq }).collect())
}
