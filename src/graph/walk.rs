//! What two commits reach: differences, merge bases, ancestry.
//!
//! Walkers go from a line's run to its merges and its fork, highest sequence first. A child's sequence
//! is above its parents', so the first walker of a side that comes to a line comes at the highest
//! place that the side reaches on it. (The idea is that of painting down to common ancestors, as in
//! git's `commit-reach`, at the grain of lines.)

use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::{Graph, Place};
use crate::engine::Rows;
use crate::error::Result;
use crate::format::refs::At;
use crate::format::{Family, keys, record};
use crate::id::{LineId, Seq};

/// A run of commits of one line: those in `(after, upto]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) line: LineId,
    pub(crate) after: Seq,
    pub(crate) upto: Seq,
}

/// What each of two commits reaches and the other does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) only_first: Vec<Run>,
    pub(crate) only_second: Vec<Run>,
    /// Common ancestors that are not ancestors of other common ones, newest first.
    pub(crate) bases: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    First,
    Second,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Why a walker is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// It goes on to the further parents of the merge here.
    Merge,
    /// It comes to the line, from a commit that both sides reach or not.
    Arrive { common: bool },
    /// It goes on to where the line forked.
    Fork,
}

type Walker = (Seq, LineId, Side, Event);

struct Walk<'e> {
    /// All merges of the store; one iterator serves the whole walk.
    rows: Rows<'e>,
    /// Of the lines without merges, before `rows` was opened.
    epoch: u64,
    /// At one place, walkers of both sides arrive before one goes on to what was merged there: else it
    /// would go alone, and all the way.
    heap: BinaryHeap<(Seq, Event, LineId, Side)>,
    reach: BTreeMap<(LineId, Side), Seq>,
    /// Arrivals from a common commit, at the place in `reach`.
    dominated: BTreeMap<(LineId, Side), bool>,
    /// Places of the walkers in the heap that the other side does not reach, as far as known.
    alone: BTreeMap<(LineId, Side), Vec<Seq>>,
    alone_count: usize,
    merges: BTreeMap<(LineId, Side), Merges>,
}

/// The merges of a line that a side comes to next, newest first, read a group at a time.
#[derive(Default)]
struct Merges {
    ready: VecDeque<(Seq, Vec<Place>)>,
    read: usize,
    ended: bool,
}

impl<'e> Walk<'e> {
    fn new(graph: &'e Graph) -> Self {
        let (engine, epoch) = (graph.engine(), graph.merge_epoch());
        Self {
            epoch,
            rows: engine.iter_prefix(Family::Refs, &[keys::kind::MERGE]),
            heap: BinaryHeap::new(),
            reach: BTreeMap::new(),
            dominated: BTreeMap::new(),
            alone: BTreeMap::new(),
            alone_count: 0,
            merges: BTreeMap::new(),
        }
    }

    fn reaches(&self, line: LineId, side: Side, seq: Seq) -> bool {
        self.reach.get(&(line, side)).is_some_and(|upto| *upto >= seq)
    }

    fn push(&mut self, (seq, line, side, event): Walker) {
        self.heap.push((seq, event, line, side));
        if !self.reaches(line, side.other(), seq) {
            self.alone.entry((line, side)).or_default().push(seq);
            self.alone_count += 1;
        }
    }

    fn pop(&mut self) -> Option<Walker> {
        let (seq, event, line, side) = self.heap.pop()?;
        if let Some(places) = self.alone.get_mut(&(line, side))
            && let Some(at) = places.iter().position(|place| *place == seq)
        {
            places.swap_remove(at);
            self.alone_count -= 1;
        }
        Some((seq, line, side, event))
    }

    /// Comes to a line; false if the side has been there, as high or higher.
    fn arrive(&mut self, line: LineId, side: Side, seq: Seq, from_common: bool) -> bool {
        if let Some(upto) = self.reach.get(&(line, side)) {
            if *upto == seq && from_common {
                self.dominated.insert((line, side), true);
            }
            return false;
        }
        self.set_reach(line, side, seq);
        self.dominated.insert((line, side), from_common);
        true
    }

    fn set_reach(&mut self, line: LineId, side: Side, seq: Seq) {
        self.reach.insert((line, side), seq);
        if let Some(places) = self.alone.get_mut(&(line, side.other())) {
            let before = places.len();
            places.retain(|place| *place > seq);
            self.alone_count -= before - places.len();
        }
    }
}

impl Graph {
    /// What two commits reach apart from each other, and their best common ancestors.
    ///
    /// Cost: the merges and forks between the two and their common ancestors.
    pub(crate) fn difference(&self, first: Place, second: Place) -> Result<Difference> {
        let mut walk = Walk::new(self);
        for (place, side) in [(first, Side::First), (second, Side::Second)] {
            walk.push((place.seq, place.line, side, Event::Arrive { common: false }));
        }
        while walk.alone_count > 0 {
            let Some((seq, line, side, event)) = walk.pop() else { break };
            self.step(&mut walk, seq, line, side, event)?;
        }
        // Those still under way are at places that both sides reach; they have arrived all the same.
        while let Some((seq, line, side, event)) = walk.pop() {
            if let Event::Arrive { common } = event {
                walk.arrive(line, side, seq, common);
            }
        }
        let mut out = Difference::default();
        let mut candidates = Vec::new();
        for (&(line, side), &upto) in &walk.reach {
            let other = walk.reach.get(&(line, side.other())).copied();
            let runs = match side {
                Side::First => &mut out.only_first,
                Side::Second => &mut out.only_second,
            };
            if other.is_none_or(|other| other < upto) {
                let floor = self.line(line)?.fork.map_or(Seq::ROOT, |fork| fork.seq);
                runs.push(Run { line, after: other.unwrap_or(floor), upto });
            }
            let lower_side = match other {
                Some(other) if upto < other || (upto == other && side == Side::First) => side,
                _ => continue,
            };
            let from_common = walk.dominated.get(&(line, lower_side)).copied().unwrap_or(false)
                || (other == Some(upto)
                    && walk.dominated.get(&(line, side.other())).copied().unwrap_or(false));
            if !from_common {
                candidates.push(Place { line, seq: upto });
            }
        }
        candidates.sort_unstable_by_key(|place| std::cmp::Reverse(place.seq));
        for &candidate in &candidates {
            // A lower one may still be an ancestor of a higher one, by a path not walked yet.
            let mut best = true;
            for &higher in &out.bases {
                if self.is_ancestor(candidate, higher)? {
                    best = false;
                    break;
                }
            }
            if best {
                out.bases.push(candidate);
            }
        }
        Ok(out)
    }

    fn step(
        &self,
        walk: &mut Walk<'_>,
        seq: Seq,
        line: LineId,
        side: Side,
        event: Event,
    ) -> Result<()> {
        let common = walk.reaches(line, side.other(), seq);
        match event {
            Event::Arrive { common: from_common } => {
                if walk.arrive(line, side, seq, from_common) {
                    self.next_event(walk, line, seq, side)?;
                }
                Ok(())
            }
            Event::Merge => {
                let merge = walk.merges.get_mut(&(line, side)).and_then(|m| m.ready.pop_front());
                for parent in merge.map(|(_, parents)| parents).unwrap_or_default() {
                    walk.push((parent.seq, parent.line, side, Event::Arrive { common }));
                }
                self.next_event(walk, line, Seq::new(seq.get().saturating_sub(1)), side)
            }
            Event::Fork => {
                if let Some(fork) = self.line(line)?.fork {
                    // The fork's child is common if the other side reaches anything of the line.
                    let common = walk.reach.contains_key(&(line, side.other()));
                    walk.push((fork.seq, fork.line, side, Event::Arrive { common }));
                }
                Ok(())
            }
        }
    }

    /// Sends a walker to the next merge at or below a place of its line, or to its fork.
    fn next_event(&self, walk: &mut Walk<'_>, line: LineId, seq: Seq, side: Side) -> Result<()> {
        if let Some(merge) = self.next_merge(walk, line, seq, side)? {
            walk.push((merge, line, side, Event::Merge));
        } else {
            // The root line has no fork; its walker waits at the root all the same, so that the walk
            // goes on until the other side has come to the line.
            let below = self.line(line)?.fork.map_or(Seq::ROOT, |fork| fork.seq);
            walk.push((below, line, side, Event::Fork));
        }
        Ok(())
    }

    /// Whether a commit is another one or an ancestor of it.
    pub(crate) fn is_ancestor(&self, ancestor: Place, of: Place) -> Result<bool> {
        let mut walk = Walk::new(self);
        walk.push((of.seq, of.line, Side::First, Event::Arrive { common: false }));
        while let Some((seq, line, side, event)) = walk.pop() {
            if seq < ancestor.seq {
                break;
            }
            self.step(&mut walk, seq, line, side, event)?;
            if walk.reaches(ancestor.line, Side::First, ancestor.seq) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The runs of first parents that lead from one commit to another, oldest first; `None` if the one
    /// is not on the first parents of the other.
    pub(crate) fn first_parents(&self, from: Place, to: Place) -> Result<Option<Vec<Run>>> {
        let mut runs = Vec::new();
        let mut place = to;
        while place.seq >= from.seq {
            if place.line == from.line {
                runs.push(Run { line: place.line, after: from.seq, upto: place.seq });
                runs.reverse();
                return Ok(Some(runs));
            }
            let Some(fork) = self.line(place.line)?.fork else { break };
            runs.push(Run { line: place.line, after: fork.seq, upto: place.seq });
            place = fork;
        }
        Ok(None)
    }

    /// The first parents of a commit, itself included, as far as they are in these runs, oldest first;
    /// and the first one below.
    pub(crate) fn first_parents_in(
        &self,
        from: Place,
        runs: &[Run],
    ) -> Result<(Vec<Place>, Place)> {
        let mut out = Vec::new();
        let mut place = from;
        loop {
            let inside = |run: &&Run| {
                run.line == place.line && run.after < place.seq && place.seq <= run.upto
            };
            let Some(run) = runs.iter().find(inside) else { break };
            let commits = self.commits_between(place.line, run.after, place.seq)?;
            out.extend(commits.into_iter().rev().map(|seq| Place { line: place.line, seq }));
            // Below the run is a commit of the line, or where the line forked.
            place = self.at_or_before(place.line, run.after)?;
        }
        out.reverse();
        Ok((out, place))
    }

    /// The newest merge on the first parents of a line, up to a commit of it; the root if there is none.
    pub(crate) fn newest_merge(&self, from: Place) -> Result<Seq> {
        let (mut next, mut newest) = (Some(from), Seq::ROOT);
        while let Some(Place { line, seq }) = next {
            let (lower, upper) = (keys::merge(line, Seq::ROOT), keys::merge(line, seq.next()));
            let mut rows = self.engine().iter(Family::Refs, &lower, Some(&upper));
            rows.seek_to_last();
            if let Some((key, _)) = rows.current()? {
                newest = newest.max(Seq::new(keys::number_at(key, 9)?));
            }
            next = self.line(line)?.fork;
        }
        Ok(newest)
    }

    /// What a commit merged besides its first parent, parents or not.
    pub(crate) fn merged_by(&self, place: Place) -> Result<Vec<Place>> {
        match self.engine().get(Family::Refs, &keys::merge(place.line, place.seq))? {
            Some(row) => {
                let parents: Vec<At> = record::decode("merge", &row)?;
                Ok(parents.into_iter().map(Place::from).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    /// The newest merge of a line at or before a sequence, where a side goes down.
    fn next_merge(
        &self,
        walk: &mut Walk<'_>,
        line: LineId,
        seq: Seq,
        side: Side,
    ) -> Result<Option<Seq>> {
        /// Merges read at once, first and at most; few walks need many.
        const GROUP: (usize, usize) = (4, 1024);
        let merges = walk.merges.entry((line, side)).or_default();
        let of_line = |key: &[u8]| key.starts_with(&keys::merge(line, Seq::ROOT)[..9]);
        if merges.read == 0 && !merges.ended {
            merges.ended = self.is_plain(line);
            if !merges.ended {
                walk.rows.seek_for_prev(&keys::merge(line, Seq::MAX));
                let found = walk.rows.current()?.map(|(key, _)| keys::number_at(key, 1));
                let found = found.transpose()?.map(LineId::new);
                if found != Some(line) {
                    merges.ended = true;
                    self.found_plain(found, line, walk.epoch);
                }
            }
        }
        if merges.ready.is_empty() && !merges.ended {
            let rows = &mut walk.rows;
            rows.seek_for_prev(&keys::merge(line, seq));
            let group = merges.read.clamp(GROUP.0, GROUP.1);
            while merges.ready.len() < group {
                let Some((key, value)) = rows.current()?.filter(|(key, _)| of_line(key)) else {
                    merges.ended = true;
                    break;
                };
                let parents: Vec<At> = record::decode("merge", value)?;
                let at = Seq::new(keys::number_at(key, 9)?);
                merges.ready.push_back((at, parents.into_iter().map(Place::from).collect()));
                rows.prev();
            }
            merges.read += merges.ready.len();
        }
        Ok(merges.ready.front().map(|(seq, _)| *seq))
    }

    /// The commits of some runs, oldest first, unless there are more than `limit`.
    pub(crate) fn commits_within(&self, runs: &[Run], limit: usize) -> Result<Option<Vec<Seq>>> {
        let mut out = Vec::new();
        for run in runs {
            out.extend(self.some_between(run.line, run.after, run.upto, limit)?);
            if out.len() > limit {
                return Ok(None);
            }
        }
        out.sort_unstable();
        Ok(Some(out))
    }

    /// The commits of some runs, oldest first.
    pub(crate) fn commits_of(&self, runs: &[Run]) -> Result<Vec<Seq>> {
        let mut out = Vec::new();
        for run in runs {
            out.extend(self.commits_between(run.line, run.after, run.upto)?);
        }
        out.sort_unstable();
        Ok(out)
    }
}
