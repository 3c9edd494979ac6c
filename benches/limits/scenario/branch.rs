//! Making a branch: in a small store, in a large one, and where there are 100,000 already. Unsynced.

use withy::{BranchOptions, Durability, Store};

use crate::data::{self, check, fill};
use crate::harness::{Pair, Report, Result, Row, Setting, alternate, each, median, settle};

const GROWTH: &str = "branch/large-store";
const MANY: &str = "branch/100000th";
const COST: &str = "branch/cost";
pub(crate) const ROWS: &[&str] = &[GROWTH, MANY, COST];

/// Branches of one round.
const BATCH: u64 = 500;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let small = make(setting, "small", 1_000)?;
    let large = make(setting, "large", setting.n)?;
    let Pair { one: few, other: many, ratio } = alternate(
        setting.rounds,
        |round| branches(&small, round as u64 * BATCH),
        |round| branches(&large, round as u64 * BATCH),
    )?;
    report.add(Row::growth(GROWTH, many, ("1,000 rows", few), ratio, 1.5));

    let mut made = setting.rounds as u64 * BATCH;
    let total = setting.sized(100_000).max(made + BATCH * setting.rounds as u64);
    while made + BATCH * (setting.rounds as u64) < total {
        branches(&large, made)?;
        made += BATCH;
    }
    let mut last = Vec::new();
    for _ in 0..setting.rounds {
        settle();
        last.push(branches(&large, made)?);
        made += BATCH;
    }
    if large.branches()?.len() as u64 != made + 1 {
        return Err("branches are missing".into());
    }
    for i in [0, made / 2, made - 1] {
        check(&large.branch(&format!("topic/{i}"))?, 3, Some(0))?;
    }
    let last = median(last);
    report.add(Row::growth(MANY, last, ("the first", many), last / many, 1.5));
    let worst = crate::harness::Measure::Time(many.max(last).max(few));
    let limit = crate::harness::Measure::Time(20e-6);
    report.add(Row::limit(COST, worst, crate::harness::Goal::AtMost(limit)));
    Ok(())
}

fn make(setting: &Setting, name: &str, n: u64) -> Result<Store> {
    let path = setting.fresh(name)?;
    let store = data::open(&path, setting, Durability::Buffered)?;
    fill(&store.main()?, n)?;
    Ok(store)
}

/// Makes the branches from number `from` on; seconds for each.
fn branches(store: &Store, from: u64) -> Result<f64> {
    let names: Vec<String> = (from..from + BATCH).map(|i| format!("topic/{i}")).collect();
    each(BATCH, || {
        for name in &names {
            store.create_branch(name, "main", BranchOptions::default())?;
        }
        Ok(())
    })
}
