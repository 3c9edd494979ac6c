//! The plan of a collection: what is gone of each line from now on.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{Need, Reach, Run};
use crate::error::Result;
use crate::format::refs::{GoneRecord, LayerRecord};
use crate::format::{Family, keys, record};
use crate::graph::{Gone, Graph, Readers};
use crate::id::{LineId, Seq};
use crate::publish::LettingGo;

/// Builds a plan from what is reachable and what is being read.
pub(super) struct Planner<'a> {
    pub(super) graph: &'a Graph,
    pub(super) prefixes: &'a [Vec<u8>],
    pub(super) reach: &'a Reach<'a>,
}

impl Planner<'_> {
    /// What is let go. Called under the commit lock, while nobody can begin to read.
    ///
    /// Nothing goes that any line has from `since` on.
    pub(super) fn plan(&self, readers: &Readers, mut since: Option<Seq>) -> Result<LettingGo> {
        let mut read: BTreeMap<LineId, BTreeSet<Seq>> = BTreeMap::new();
        for reader in readers.open() {
            since = match (since, reader.since) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            for place in reader.layers.iter().chain([&reader.place]) {
                read.entry(place.line).or_default().insert(place.seq);
            }
        }
        let mut plan = LettingGo::default();
        let unfinished = self.unfinished()?;
        let mut layer_rows = self.layer_rows()?;
        let mut rows = self.graph.engine().iter_prefix(Family::Refs, &[keys::kind::LINE]);
        rows.seek_to_first();
        while let Some((key, _)) = rows.current()? {
            let line = LineId::new(keys::number_at(key, 1)?);
            rows.next();
            let layer = layer_rows.remove(&line);
            let used = self.reach.layers.contains(&line) || read.contains_key(&line);
            let gone = match (self.reach.needs.get(&line), layer) {
                _ if unfinished.contains(&line) => continue,
                (Some(need), _) => self.living(line, need, read.get(&line), since)?,
                (None, _) if used => continue,
                (None, layer) => {
                    plan.layers.extend(layer);
                    GoneRecord { dead: true, ..GoneRecord::default() }
                }
            };
            let known = self.graph.gone(line);
            let known = known.as_deref().map(Gone::record);
            if known != Some(&gone) && (known.is_some() || gone != GoneRecord::default()) {
                plan.log_start = plan.log_start.max(self.newest_gone(line, &gone)?);
                plan.lines.push((line, gone));
            }
        }
        Ok(plan)
    }

    /// What is gone of a line that is reachable.
    fn living(
        &self,
        line: LineId,
        need: &Need,
        read: Option<&BTreeSet<Seq>>,
        since: Option<Seq>,
    ) -> Result<GoneRecord> {
        let old = self.graph.gone(line).map(|gone| (*gone).clone()).unwrap_or_default();
        let last = self.graph.on_line(line, Seq::MAX)?.unwrap_or(Seq::ROOT);
        let (run, others) = join(&need.runs);
        let in_part: Vec<Seq> = read
            .into_iter()
            .flatten()
            .copied()
            .filter(|seq| old.has(*seq) && !old.holds(*seq))
            .collect();
        let mut prefixes: BTreeSet<&[u8]> = self.prefixes.iter().map(Vec::as_slice).collect();
        prefixes.extend(old.record().floors.iter().map(|(prefix, _)| prefix.as_slice()));
        let mut floors = Vec::new();
        for prefix in prefixes {
            let longest = |(at, known): (usize, &Vec<u8>)| prefix.starts_with(known).then_some(at);
            let at = self.prefixes.iter().enumerate().rev().find_map(longest);
            let wanted = at.and_then(|at| run.floors.get(at)).copied().unwrap_or(Seq::ROOT);
            let wanted = since.map_or(wanted, |since| wanted.min(since));
            // What the line was at that moment is what it was until its next commit.
            let floor = self.graph.on_line(line, wanted)?.unwrap_or(Seq::ROOT);
            // What an open view of a part can still read stays for it.
            let seen = in_part.iter().filter(|seq| old.floor(prefix) <= **seq).min();
            let floor = match seen {
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
        for other in &others {
            let from = self.graph.on_line(line, other.lowest())?.unwrap_or(other.lowest());
            let below = Seq::new(from.get().saturating_sub(1));
            kept.extend(self.graph.commits_between(line, below, other.top)?);
        }
        let apart = |seq: &Seq| *seq < highest || top.is_some_and(|top| seq.get() > top);
        let kept = kept.into_iter().filter(|seq| apart(seq) && old.holds(*seq)).map(Seq::get);
        let kept: Vec<u64> = kept.collect();
        if floors.iter().all(|(_, floor)| *floor == 0) {
            floors.clear();
        }
        Ok(GoneRecord { floors, kept, top, dead: false })
    }

    /// The newest commit of a line that is gone.
    fn newest_gone(&self, line: LineId, gone: &GoneRecord) -> Result<Seq> {
        let gone = Gone::new(gone.clone());
        let mut upto = Seq::MAX;
        while let Some(seq) = self.graph.on_line(line, upto)? {
            if !gone.has(seq) {
                return Ok(seq);
            }
            // Between the floor and the top all is there.
            let next = if gone.lowest() <= seq && gone.record().top.is_none_or(|t| seq.get() <= t) {
                gone.lowest()
            } else {
                seq
            };
            match next.get().checked_sub(1) {
                Some(below) => upto = Seq::new(below),
                None => break,
            }
        }
        Ok(Seq::ROOT)
    }

    /// Lines of read layers, with the key of the row that says so.
    fn layer_rows(&self) -> Result<BTreeMap<LineId, Vec<u8>>> {
        let mut out = BTreeMap::new();
        let mut rows = self.graph.engine().iter_prefix(Family::Refs, &[keys::kind::LAYER]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let layer: LayerRecord = record::decode("read layer", value)?;
            out.insert(LineId::new(layer.line), key.to_vec());
            rows.next();
        }
        Ok(out)
    }

    /// Lines of read layers that are being made.
    fn unfinished(&self) -> Result<BTreeSet<LineId>> {
        use crate::format::refs::meta::UNFINISHED;
        let mut out = BTreeSet::new();
        let mut rows = self.graph.engine().iter_prefix(Family::Meta, UNFINISHED);
        rows.seek_to_first();
        while let Some((key, _)) = rows.current()? {
            out.insert(LineId::new(keys::number_at(key, UNFINISHED.len())?));
            rows.next();
        }
        Ok(out)
    }
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
        if run.lowest() == Seq::MAX {
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
