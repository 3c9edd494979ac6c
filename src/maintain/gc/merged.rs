//! What was merged: where a next merge may start from stays, though the merge itself is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::reach::{Need, Reach};
use crate::error::Result;
use crate::format::refs::At;
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Place};
use crate::id::{LineId, Seq};

/// With more merges from one line, where two may meet is kept without a look.
const MANY_WAYS: usize = 24;
/// Likewise with more commits of one of those that merged it.
const MANY_STANDS: usize = 4;

/// What a reachable line had last merged of a line that nothing else leads to.
#[derive(Clone, Debug)]
struct Way {
    /// The reachable line.
    by: LineId,
    /// Its commits that are kept and have merged this and nothing newer of the line; not all, if they are
    /// many.
    stands: Vec<Seq>,
    /// The commit that it merged.
    seq: Seq,
}

/// What was merged last from each line, with the merge.
type Last = BTreeMap<LineId, (Seq, Place)>;

impl Reach<'_> {
    /// Keeps what was merged from one reachable line into another, though the merge itself is gone, if
    /// it is the last merge as of a commit that is kept; and what two of them have merged of a line that
    /// nothing else leads to, if that is a base of theirs. What was merged by way of lines that are not
    /// reachable any more counts too. Whether anything was added.
    pub(super) fn add_merged(&mut self) -> Result<bool> {
        let lines: Vec<(LineId, Need)> =
            self.needs.iter().map(|(line, need)| (*line, need.clone())).collect();
        let mut changed = false;
        let mut ways: BTreeMap<LineId, Vec<Way>> = BTreeMap::new();
        for (line, need) in lines {
            let whole =
                |seq: Seq| need.runs.iter().any(|run| run.lowest() <= seq && seq <= run.top);
            let mut stands = need.kept;
            stands.extend(need.forks.keys());
            stands.extend(need.runs.iter().flat_map(|run| [run.lowest(), run.top]));
            let (mut last, mut far) = (Last::new(), Last::new());
            let mut found = Vec::new();
            let mut way = |(at, place): (Seq, Place), until: Seq| {
                let stands: Vec<Seq> =
                    within(&stands, at..until).take(MANY_STANDS + 1).copied().collect();
                if !stands.is_empty() {
                    let of = ways.entry(place.line).or_default();
                    of.push(Way { by: line, stands, seq: place.seq });
                }
            };
            self.merges(line, Seq::ROOT, Seq::MAX, |reach, seq, from| {
                let behind =
                    CameFrom::of(reach.graph, from, |line| reach.needs.contains_key(&line))?;
                for from in behind.there {
                    let before = last.remove(&from.line);
                    found.extend(
                        before.filter(|(at, _)| within(&stands, *at..seq).next().is_some()),
                    );
                    if from.line != line && !whole(seq) {
                        last.insert(from.line, further(before, (seq, from)));
                    }
                }
                for from in behind.passed {
                    let before = far.remove(&from.line);
                    before.into_iter().for_each(|before| way(before, seq));
                    far.insert(from.line, further(before, (seq, from)));
                }
                Ok(())
            })?;
            far.into_values().for_each(|last| way(last, Seq::MAX));
            found.extend(last.into_values().filter(|(at, _)| stands.range(*at..).next().is_some()));
            for (_, place) in found {
                changed |= self.keep_merged(place);
            }
        }
        for (line, ways) in ways {
            for seq in self.meetings(line, &ways)? {
                changed |= self.keep_merged(Place { line, seq });
            }
        }
        Ok(changed)
    }

    /// Keeps a commit that was merged, if it is whole. Whether it was not kept before.
    fn keep_merged(&mut self, place: Place) -> bool {
        let floors = self.needs.values().find_map(|need| need.runs.first());
        let floors = floors.map_or(0, |run| run.floors.len());
        // One that is only a fork may be let go, if nothing is merged from there.
        let is_kept = |need: &Need| need.kept.contains(&place.seq);
        let is_whole = self.graph.gone(place.line).is_none_or(|gone| gone.holds(place.seq));
        if self.needs.get(&place.line).is_some_and(is_kept) || !is_whole {
            return false;
        }
        self.lead(place, &vec![Seq::MAX; floors]);
        self.keep(place);
        true
    }

    /// The commits of a line from which two others may be merged that have merged it.
    fn meetings(&self, line: LineId, ways: &[Way]) -> Result<BTreeSet<Seq>> {
        let mut highest: BTreeMap<LineId, Seq> = BTreeMap::new();
        for way in ways {
            let known = highest.entry(way.by).or_insert(way.seq);
            *known = way.seq.max(*known);
        }
        let mut out = BTreeSet::new();
        if ways.len() > MANY_WAYS {
            let mut heights: Vec<(Seq, LineId)> =
                highest.into_iter().map(|(line, seq)| (seq, line)).collect();
            heights.sort_unstable();
            let two: Vec<(Seq, LineId)> = heights.into_iter().rev().take(2).collect();
            let meets = |way: &&Way| two.iter().any(|(seq, by)| *by != way.by && way.seq <= *seq);
            out.extend(ways.iter().filter(meets).map(|way| way.seq));
            return Ok(out);
        }
        for (at, one) in ways.iter().enumerate() {
            for other in ways[at + 1..].iter().filter(|other| other.by != one.by) {
                let seq = one.seq.min(other.seq);
                if !out.contains(&seq) && self.meet(one, other, Place { line, seq })? {
                    out.insert(seq);
                }
            }
        }
        Ok(out)
    }

    /// Whether a merge between commits of two lines starts from a place.
    fn meet(&self, one: &Way, other: &Way, place: Place) -> Result<bool> {
        if one.stands.len().max(other.stands.len()) > MANY_STANDS {
            return Ok(true);
        }
        for &first in &one.stands {
            for &second in &other.stands {
                let first = self.graph.at_or_before(one.by, first)?;
                let second = self.graph.at_or_before(other.by, second)?;
                if self.graph.difference(first, second)?.bases.contains(&place) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Those of some commits that are in a range, if that is one.
fn within(stands: &BTreeSet<Seq>, range: Range<Seq>) -> impl Iterator<Item = &Seq> {
    let end = range.end;
    stands.range(range.start..).take_while(move |seq| **seq < end || end == Seq::MAX)
}

/// What is further up of what was merged before and what is merged now: by a way round it may be less.
fn further(before: Option<(Seq, Place)>, now: (Seq, Place)) -> (Seq, Place) {
    before.filter(|(_, known)| known.seq >= now.1.seq).unwrap_or(now)
}

/// Where a commit came from.
pub(super) struct CameFrom {
    /// The highest places on lines that are there: itself, if its line is; else what its line forked from
    /// and what was merged into it, and so on.
    pub(super) there: Vec<Place>,
    /// Those on the lines that were passed on the way.
    pub(super) passed: Vec<Place>,
}

impl CameFrom {
    pub(super) fn of(
        graph: &Graph,
        place: Place,
        is_there: impl Fn(LineId) -> bool,
    ) -> Result<Self> {
        let mut found: BTreeMap<LineId, Seq> = BTreeMap::new();
        let mut passed: BTreeMap<LineId, Seq> = BTreeMap::new();
        let mut waiting = vec![place];
        while let Some(place) = waiting.pop() {
            let known = if is_there(place.line) { &mut found } else { &mut passed };
            let highest = known.get(&place.line).copied();
            if highest.is_some_and(|highest| highest >= place.seq) {
                continue;
            }
            known.insert(place.line, place.seq);
            if is_there(place.line) {
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
        let places = |of: BTreeMap<LineId, Seq>| {
            of.into_iter().map(|(line, seq)| Place { line, seq }).collect()
        };
        Ok(Self { there: places(found), passed: places(passed) })
    }
}
