//! Many small merges into one branch, from one thread and from eight, and fast-forwards over few and
//! over many changes. Unsynced.

use withy::{BranchOptions, Durability, FastForward, MergeOptions, MergeOutcome, Store};

use crate::data::{self, check, fill};
use crate::harness::{
    Goal, Measure, Pair, Report, Result, Row, Setting, alternate, each, median, settle, timed,
};

const ONE: &str = "merge/landing-1";
const EIGHT: &str = "merge/landing-8";
const FORWARD: &str = "merge/fast-forward";
pub(crate) const ROWS: &[&str] = &[ONE, EIGHT, FORWARD];

/// Rows of the store; a round of landings overwrites some of them.
const N: u64 = 10_000;
/// Branches of one round of landings, each with one change.
const BRANCHES: u64 = 1_000;
/// Fast-forwards of one round.
const FORWARDS: u64 = 200;
/// Changes that a fast-forward goes over where they are few, and those of one commit among them.
const CHANGES: u64 = 1_000;
const COMMIT: u64 = 100;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
    fill(&store.main()?, N)?;
    let mut round = 0;
    for (name, threads) in [(ONE, 1), (EIGHT, 8)] {
        if !report.wants(name) {
            continue;
        }
        let mut all = Vec::new();
        for _ in 0..setting.rounds {
            round += 1;
            all.push(land(&store, setting.sized(BRANCHES), threads, round)?);
        }
        let goal = Goal::AtLeast(Measure::Rate(1e3));
        report.add(Row::limit(name, Measure::Rate(median(all)), goal));
    }
    if report.wants(FORWARD) {
        // Branches that are ahead of main: by few changes, and by a thousand times as many.
        let counts = [CHANGES, setting.sized(1_000) * CHANGES];
        for (name, count) in ["few", "many"].into_iter().zip(counts) {
            let branch = store.create_branch(name, "main", BranchOptions::default())?;
            for from in (0..count).step_by(COMMIT as usize) {
                data::commit(&branch, (N + from..N + from + COMMIT).map(|i| (i, 0)))?;
            }
        }
        let Pair { one: few, other: many, ratio } = alternate(
            setting.rounds,
            |round| forward(&store, "few", counts[0], round),
            |round| forward(&store, "many", counts[1], round),
        )?;
        report.add(Row::growth(FORWARD, many, ("1,000 changes", few), ratio, 1.5));
    }
    Ok(())
}

/// Forks branches of main, changes one row on each, and then merges all of them; merges in a second.
fn land(store: &Store, count: u64, threads: u64, round: u64) -> Result<f64> {
    let main = store.main()?;
    let name = |i: u64| format!("land/{round}/{i}");
    for i in 0..count {
        let branch = store.create_branch(&name(i), "main", BranchOptions::default())?;
        data::commit(&branch, [(i, round)])?;
    }
    // So that the first one is no fast-forward.
    data::commit(&main, [(count, round)])?;
    let before = store.latest();
    settle();
    let share = &|thread: u64| -> std::result::Result<(), String> {
        for i in (thread..count).step_by(threads as usize) {
            let report = store.merge("main", &name(i), MergeOptions::default());
            let outcome = report.map_err(|e| e.to_string())?.outcome;
            if outcome != MergeOutcome::Committed {
                return Err(format!("{} is not merged: {outcome:?}", name(i)));
            }
        }
        Ok(())
    };
    let (took, done) = timed(|| {
        Ok(std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
            all.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
        }))
    })?;
    done?;
    if store.latest().get() - before.get() != count {
        return Err("there is not one commit a merge".into());
    }
    for i in 0..=count {
        check(&main, i, Some(round))?;
    }
    Ok(count as f64 / took.as_secs_f64())
}

/// Seconds for one of many fast-forwards to a branch that is ahead by so many changes.
fn forward(store: &Store, source: &str, changes: u64, round: usize) -> Result<f64> {
    let name = |i: u64| format!("forward/{source}/{round}/{i}");
    for i in 0..FORWARDS {
        store.create_branch(&name(i), "main", BranchOptions::default())?;
    }
    settle();
    let took = each(FORWARDS, || {
        for i in 0..FORWARDS {
            let options = MergeOptions::default().fast_forward(FastForward::Only);
            let report = store.merge(&name(i), source, options)?;
            if report.outcome != MergeOutcome::FastForward || !report.fast_forward {
                return Err(format!("{:?} is no fast-forward", report.outcome).into());
            }
        }
        Ok(())
    })?;
    let head = store.commit(source)?.seq;
    for i in 0..FORWARDS {
        let branch = store.branch(&name(i))?;
        if branch.head()?.seq != head {
            return Err("a fast-forward ends elsewhere".into());
        }
        check(&branch, N + changes - 1, Some(0))?;
    }
    Ok(took)
}
