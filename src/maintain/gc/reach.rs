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
    pub(super) graph: &'g Graph,
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
        while reach.add_merged()? {
            reach.walk()?;
        }
        Ok(reach)
    }

    /// Adds what is reached by a way that is no fork.
    pub(super) fn lead(&mut self, to: Place, floors: &[Seq]) {
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

    pub(super) fn keep(&mut self, place: Place) {
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
    pub(super) fn merges(
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
}
