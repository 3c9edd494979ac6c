//! A merge of 1,000 changes into 1,000 others, in a small and in a large store: made, and planned.

use withy::{BranchOptions, Durability, MergeOptions, MergeOutcome, Store, Strategy};

use crate::data::{self, check, fill};
use crate::harness::{
    Goal, Measure, Pair, Report, Result, Row, Setting, alternate, median, settle, timed,
};

const COST: &str = "merge/1000+1000";
const GROWTH: &str = "merge/1000+1000-growth";
const PLAN: &str = "merge/dry-run";
pub(crate) const ROWS: &[&str] = &[COST, GROWTH, PLAN];

/// Rows that a side overwrites, in commits of [`COMMIT`], and those that the other overwrites as well.
const CHANGES: u64 = 1_000;
const BOTH: u64 = 100;
const COMMIT: u64 = 100;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let mut small = Merges::make(setting, "small", 10_000.min(setting.n))?;
    let mut large = Merges::make(setting, "large", setting.n)?;
    for merges in [&mut small, &mut large] {
        merges.verify_conflicts()?;
    }
    let Pair { one: few, other: many, ratio } =
        alternate(setting.rounds, |_| small.merge(), |_| large.merge())?;
    let limit = Goal::AtMost(Measure::Time(10e-3));
    report.add(Row::limit(COST, Measure::Time(many), limit));
    report.add(Row::growth(GROWTH, many, ("10,000 rows", few), ratio, 1.5));
    let mut all = Vec::new();
    for _ in 0..setting.rounds {
        all.push(large.plan()?);
    }
    report.add(Row::limit(PLAN, Measure::Time(median(all)), limit));
    Ok(())
}

/// A store in which topics are merged into main, one after the other.
struct Merges {
    store: Store,
    /// Rows there are.
    n: u64,
    /// Topics there have been.
    topics: u64,
}

/// One of them: main overwrites the rows from `first` on, the topic those from `theirs` on.
struct Topic {
    name: String,
    first: u64,
    theirs: u64,
    /// Version of the rows that main overwrites; those of the topic have the next one.
    version: u64,
}

impl Merges {
    fn make(setting: &Setting, name: &str, n: u64) -> Result<Self> {
        let store = data::open(&setting.fresh(name)?, setting, Durability::Buffered)?;
        fill(&store.main()?, n)?;
        Ok(Self { store, n, topics: 0 })
    }

    /// Makes a topic of main, and changes both.
    fn fork(&mut self) -> Result<Topic> {
        self.topics += 1;
        let span = 2 * CHANGES - BOTH;
        // Keys are in no order, so rows that follow one another are anywhere in the store.
        let first = self.topics * span % (self.n - span);
        let topic = Topic {
            name: format!("topic/{}", self.topics),
            first,
            theirs: first + CHANGES - BOTH,
            version: 2 * self.topics,
        };
        let branch = self.store.create_branch(&topic.name, "main", BranchOptions::default())?;
        let main = self.store.main()?;
        for at in (0..CHANGES).step_by(COMMIT as usize) {
            let rows =
                |from: u64, version| (from + at..from + at + COMMIT).map(move |i| (i, version));
            data::commit(&main, rows(topic.first, topic.version))?;
            data::commit(&branch, rows(topic.theirs, topic.version + 1))?;
        }
        Ok(topic)
    }

    /// Fails unless the rows of both sides are in conflict, and nothing else is.
    fn verify_conflicts(&mut self) -> Result<()> {
        let topic = self.fork()?;
        let plan = self.store.plan_merge("main", &topic.name, MergeOptions::default())?;
        let (conflicts, changes) = (plan.report.conflicts.len(), plan.changes.len());
        if (conflicts as u64, changes as u64) == (BOTH, CHANGES - BOTH) {
            return Ok(());
        }
        Err(format!("{conflicts} conflicts and {changes} changes are planned").into())
    }

    /// Seconds that a merge takes.
    fn merge(&mut self) -> Result<f64> {
        let topic = self.fork()?;
        settle();
        let options = MergeOptions::default().strategy(Strategy::Theirs);
        let (took, report) = timed(|| Ok(self.store.merge("main", &topic.name, options)?))?;
        let modified = report.changes.map(|counts| counts.modified);
        if report.outcome != MergeOutcome::Committed
            || report.settled.len() as u64 != BOTH
            || modified != Some(CHANGES)
        {
            return Err(format!("{modified:?} rows are merged: {:?}", report.outcome).into());
        }
        let main = self.store.main()?;
        for i in topic.first..topic.theirs {
            check(&main, i, Some(topic.version))?;
        }
        for i in topic.theirs..topic.theirs + CHANGES {
            check(&main, i, Some(topic.version + 1))?;
        }
        Ok(took.as_secs_f64())
    }

    /// Seconds that it takes to say what a merge would do.
    fn plan(&mut self) -> Result<f64> {
        let topic = self.fork()?;
        let latest = self.store.latest();
        settle();
        let options = MergeOptions::default().strategy(Strategy::Theirs);
        let (took, plan) = timed(|| Ok(self.store.plan_merge("main", &topic.name, options)?))?;
        if plan.changes.len() as u64 != CHANGES || self.store.latest() != latest {
            return Err(format!("{} changes are planned", plan.changes.len()).into());
        }
        check(&self.store.main()?, topic.first, Some(topic.version))?;
        Ok(took.as_secs_f64())
    }
}
