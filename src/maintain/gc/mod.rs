//! Collection of what nothing needs any more, while reads and writes go on.
//!
//! First it is decided, and written down in one write, what is gone of each line: lines that nothing
//! leads to, and commits that retention lets go (`plan`). From then on nobody comes to that. Then it is
//! removed in small steps, each of which may be the last: a later run goes on from there (`rows`, `log`,
//! `blobs`). At the end the files that held it are compacted.

pub(super) mod blobs;
mod flatten;
mod forks;
mod log;
mod merged;
mod plan;
mod policy;
mod reach;
mod report;
mod roots;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use policy::parse_age;
pub use policy::{Retention, RetentionRule};
pub use report::{GcOptions, GcReport};

use crate::clock::{Deadline, Timestamp};
use crate::engine::{Engine, WriteSet};
use crate::error::Result;
use crate::feed::cursor;
use crate::format::refs::{CollectRecord, meta};
use crate::format::{Family, keys, record};
use crate::graph::{Gone, Graph};
use crate::id::{LineId, Seq};
use crate::publish::Publisher;
use plan::{Planner, Reading};

/// Removals are written in sets of about this many bytes of keys, so that commits go on in between.
const SET_BYTES: usize = 256 << 10;
/// So often a plan is made that a move of a ref may overtake.
const FREE_PLANS: usize = 8;

/// What is being removed. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Operations = 0,
    Versions = 1,
    Heads = 2,
    Commits = 3,
    Behind = 4,
    Ids = 5,
    Merges = 6,
    Lines = 7,
    Blobs = 8,
}

/// How the store wants it.
pub(crate) struct Policy {
    pub(crate) retention: Retention,
    /// Operations older than this, in milliseconds, can no longer be undone.
    pub(crate) undo_age_ms: u64,
}

/// One run.
pub(super) struct Collector<'a> {
    publisher: &'a Arc<Publisher>,
    options: GcOptions<'a>,
    report: GcReport,
    /// What is to be written next.
    pending: Vec<(Family, Vec<u8>, Option<Vec<u8>>)>,
    pending_bytes: usize,
    /// Deletions that hide nothing, by line and key.
    deletions: Vec<(LineId, Vec<u8>)>,
    /// Families from which something was removed.
    touched: BTreeSet<Family>,
    /// The newest commit among `pending`, by the branch it was made on.
    names: BTreeMap<String, Seq>,
    examined: (u64, u64),
}

/// Collects what nothing needs.
pub(crate) fn collect<'a>(
    publisher: &'a Arc<Publisher>,
    policy: &Policy,
    now: Timestamp,
    options: GcOptions<'a>,
) -> Result<GcReport> {
    // Two at once would remove the same; a purge must find every row where it is.
    let _alone = publisher.collecting();
    let mut run = Collector {
        publisher,
        options,
        report: GcReport::default(),
        pending: Vec::new(),
        pending_bytes: 0,
        deletions: Vec::new(),
        touched: BTreeSet::new(),
        names: BTreeMap::new(),
        examined: (0, 0),
    };
    // What an earlier run has decided and not finished comes first.
    if let Some(row) = run.engine().get(Family::Meta, meta::COLLECT)? {
        let left: CollectRecord = record::decode("collection under way", &row)?;
        drop(row);
        run.report.resumed = true;
        // From which families it has removed anything is not known any more.
        run.touched.extend(Family::ALL);
        run.remove_gone(Some(&left))?;
    }
    let age = i64::try_from(policy.undo_age_ms).unwrap_or(i64::MAX);
    let oldest = Timestamp::from_millis(now.as_millis().saturating_sub(age));
    run.options.meter.stage("plan", None, None)?;
    run.old_operations(oldest)?;
    run.plan(&policy.retention, now)?;
    if run.flatten(&policy.retention, now)? {
        run.plan(&policy.retention, now)?;
    }
    run.remove_gone(None)?;
    run.reclaim()?;
    run.finish()?;
    Ok(run.report)
}

impl<'a> Collector<'a> {
    pub(super) fn publisher(&self) -> &'a Arc<Publisher> {
        self.publisher
    }

    pub(super) fn graph(&self) -> &'a Arc<Graph> {
        self.publisher.graph()
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(self.publisher.graph().engine())
    }

    /// Decides what is gone.
    fn plan(&mut self, retention: &Retention, now: Timestamp) -> Result<()> {
        let publisher = self.publisher;
        let _upkeep = publisher.upkeep();
        let (graph, refs) = (publisher.graph(), publisher.refs());
        let prefixes = retention.prefixes();
        let mut tries = 0;
        loop {
            let begun = publisher.begin_letting_go()?;
            let finder = roots::Finder::new((graph, refs), retention, now)?;
            let followed = cursor::pinned(graph.engine(), publisher.now())?;
            let reach = finder.reach(followed)?;
            let since = followed.map(Seq::next);
            let planner = Planner::new(&reach, graph, &prefixes, begun)?;
            let draft = planner.draft(&Reading::of(graph.reading().iter(), since))?;
            let planned = publisher.let_go(begun, |readers| {
                // Merges that were opened meanwhile, and the like, have moved no ref.
                if finder.under_way()?.iter().any(|root| !draft.has(graph, root.place)) {
                    return Ok(None);
                }
                let acked = cursor::pinned(graph.engine(), publisher.now())?;
                // What a new cursor follows is not among the roots; all newer commits are on branches.
                if acked.is_some_and(|acked| acked < followed.unwrap_or(begun.newest)) {
                    return Ok(None);
                }
                let since = acked.map(Seq::next);
                let planned = planner.confirm(draft, readers, since)?;
                if planned.is_some() || tries + 1 < FREE_PLANS {
                    return Ok(planned);
                }
                // Others begin to read what is older all the time: now they wait.
                let draft = planner.draft(&Reading::of(readers.open(), since))?;
                planner.confirm(draft, readers, since)
            })?;
            tries += 1;
            if planned {
                return Ok(());
            }
            if tries >= FREE_PLANS {
                // Refs move all the time: the next run has its chance.
                self.report.postponed = true;
                return Ok(());
            }
        }
    }

    /// Removes what is gone, from where an earlier run has stopped.
    fn remove_gone(&mut self, left: Option<&CollectRecord>) -> Result<()> {
        let dead = self.dead();
        let at = |phase: Phase| match left {
            Some(left) if left.phase == phase as u8 => left.at.clone(),
            _ => Vec::new(),
        };
        let due = |phase: Phase| left.is_none_or(|left| left.phase <= phase as u8);
        let start = self.graph().log_start()?;
        if due(Phase::Versions) {
            self.options.meter.stage("versions", None, None)?;
            self.old_versions(&at(Phase::Versions))?;
        }
        if due(Phase::Heads) {
            self.newest_versions(&at(Phase::Heads))?;
        }
        if due(Phase::Commits) {
            self.options.meter.stage("commits", None, None)?;
            self.commits(&at(Phase::Commits), start)?;
        }
        if due(Phase::Behind) {
            self.behind_commits()?;
        }
        if due(Phase::Ids) {
            self.ids()?;
        }
        if due(Phase::Merges) && !dead.is_empty() {
            self.merges(&dead)?;
        }
        self.dead_lines(&dead)?;
        self.options.meter.stage("large values", None, None)?;
        self.blobs()
    }

    /// Lines that are gone whole.
    fn dead(&self) -> BTreeSet<LineId> {
        let lines = self.graph().gone_lines();
        lines.iter().filter(|(_, gone)| gone.record().dead).map(|(line, _)| *line).collect()
    }

    /// Lines of which a part is gone.
    pub(super) fn living_lines(&self) -> Vec<(LineId, Arc<Gone>)> {
        let lines = self.graph().gone_lines();
        lines.into_iter().filter(|(_, gone)| !gone.record().dead).collect()
    }

    pub(super) fn put(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.pending_bytes += key.len() + value.len();
        self.pending.push((family, key.to_vec(), Some(value.to_vec())));
    }

    /// Adds a removal; `len` is the length of what is removed.
    pub(super) fn delete(&mut self, family: Family, key: &[u8], len: usize) {
        self.pending_bytes += key.len();
        self.pending.push((family, key.to_vec(), None));
        self.touched.insert(family);
        self.removed(1, key.len() + len);
    }

    pub(super) fn removed(&mut self, rows: u64, bytes: usize) {
        self.report.rows += rows;
        self.report.bytes += bytes as u64;
    }

    /// Counts what was looked at, and tells the progress.
    pub(super) fn examined(&mut self, bytes: usize) -> Result<()> {
        self.examined.0 += 1;
        self.examined.1 += bytes as u64;
        self.report.examined += 1;
        self.options.meter.step(self.examined.0, self.examined.1)
    }

    /// Writes the removals that have come together, if they are many; everything up to `at` is done.
    pub(super) fn flush_if_full(&mut self, phase: Phase, at: &[u8]) -> Result<()> {
        if self.pending_bytes < SET_BYTES { Ok(()) } else { self.flush(phase, at) }
    }

    /// Writes the removals that have come together, and how far the run has come.
    pub(super) fn flush(&mut self, phase: Phase, at: &[u8]) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let (engine, pending) = (self.engine(), std::mem::take(&mut self.pending));
        let (bytes, names) =
            (std::mem::take(&mut self.pending_bytes), std::mem::take(&mut self.names));
        let progress = record::encode(&CollectRecord { phase: phase as u8, at: at.to_vec() });
        self.publisher.remove(|set| {
            for (family, key, value) in &pending {
                match value {
                    Some(value) => engine.put(set, *family, key, value),
                    None => engine.delete(set, *family, key),
                }
            }
            for (branch, seq) in names {
                let newest = seq.max(self.graph().log_start_of(&branch)?).get();
                let key = keys::log_start_of(&branch);
                engine.put(set, Family::Meta, &key, &record::encode(&newest));
            }
            engine.put(set, Family::Meta, meta::COLLECT, &progress);
            Ok(())
        })?;
        self.pause(bytes as u64)
    }

    /// Says how far the run has come.
    pub(super) fn note_phase(&mut self, phase: Phase, at: &[u8]) -> Result<()> {
        let progress = record::encode(&CollectRecord { phase: phase as u8, at: at.to_vec() });
        let engine = self.engine();
        self.publisher.remove(|set: &mut WriteSet| {
            engine.put(set, Family::Meta, meta::COLLECT, &progress);
            Ok(())
        })
    }

    /// Lets others have the disk, as the options want it; the caller may stop the run here.
    pub(super) fn pause(&mut self, bytes: u64) -> Result<()> {
        self.options.meter.tell(self.examined.0, self.examined.1)?;
        if let Some(rate) = self.options.bytes_per_second {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let deadline = Deadline::after(wait);
            while let Some(left) = deadline.left() {
                std::thread::sleep(left.min(Duration::from_millis(50)));
                self.options.meter.tell(self.examined.0, self.examined.1)?;
            }
        }
        Ok(())
    }

    /// Everything that was decided is done.
    fn finish(&mut self) -> Result<()> {
        let engine = self.engine();
        if engine.get(Family::Meta, meta::COLLECT)?.is_none() {
            return Ok(());
        }
        self.publisher.remove(|set| {
            engine.delete(set, Family::Meta, meta::COLLECT);
            Ok(())
        })
    }

    /// Compacts the families from which something was removed.
    fn reclaim(&mut self) -> Result<()> {
        if !self.options.compact {
            return Ok(());
        }
        let engine = self.engine();
        if self.touched.is_empty() {
            return Ok(());
        }
        // All of them: the write-ahead log takes space as long as any family needs it.
        for family in Family::ALL {
            engine.flush(family)?;
        }
        for family in std::mem::take(&mut self.touched) {
            self.options.meter.stage("compact", None, None)?;
            engine.reclaim(family, |bytes| self.pause(bytes))?;
        }
        Ok(())
    }
}
