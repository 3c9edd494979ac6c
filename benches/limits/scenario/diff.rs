//! Differences of two branches: 1,000 changes in a small and in a large store, and 100,000 changes.

use withy::{Batch, BranchOptions, ChangeKind, CommitOptions, DiffOptions, Durability, Store};

use crate::data::{self, fill, key, value};
use crate::harness::{
    Goal, Measure, Pair, Report, Result, Row, Setting, alternate, median, settle, timed,
};

const GROWTH: &str = "diff/1000-growth";
const VALUES: &str = "diff/1000-values";
const NAMES: &str = "diff/1000-names";
const SIDES: &str = "diff/1000-both-sides";
const MANY_NAMES: &str = "diff/100000-names";
const MANY_VALUES: &str = "diff/100000-values";
pub(crate) const ROWS: &[&str] = &[GROWTH, VALUES, NAMES, SIDES, MANY_NAMES, MANY_VALUES];

const CHANGES: u64 = 1_000;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (small_n, large_n) = (10_000.min(setting.n), setting.n);
    let small = make(setting, "small", small_n)?;
    let large = make(setting, "large", large_n)?;
    for (store, n) in [(&small, small_n), (&large, large_n)] {
        // Adds, overwrites and deletions, in ten commits.
        change(store, "topic", n, CHANGES, 100)?;
        change(store, "left", n, CHANGES / 2, 50)?;
        change(store, "right", n - CHANGES, CHANGES / 2, 50)?;
        verify(store)?;
    }

    let times = 20;
    let several = |store: &Store, a: &str, b: &str, options: &dyn Fn() -> DiffOptions| {
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(walk(store, a, b, options())?.0);
        }
        Ok(median(all))
    };
    let values = DiffOptions::default;
    let names = || DiffOptions::default().names_only(true);
    let Pair { one: few, other: many, ratio } = alternate(
        setting.rounds,
        |_| several(&small, "main", "topic", &values),
        |_| several(&large, "main", "topic", &values),
    )?;
    report.add(Row::growth(GROWTH, many, ("10,000 rows", few), ratio, 1.5));
    let limit = Goal::AtMost(Measure::Time(2e-3));
    report.add(Row::limit(VALUES, Measure::Time(many), limit));
    let only_names = several(&large, "main", "topic", &names)?;
    report.add(Row::limit(NAMES, Measure::Time(only_names), limit));
    let both = several(&large, "left", "right", &values)?;
    report.add(Row::limit(SIDES, Measure::Time(both), limit));

    if report.wants(MANY_NAMES) || report.wants(MANY_VALUES) {
        let count = setting.sized(100_000).min(large_n / 2);
        change(&large, "many", large_n, count, 1_000.min(count))?;
        let goal = Goal::AtLeast(Measure::Rate(1e6));
        for (name, options) in [(MANY_NAMES, &names as &dyn Fn() -> _), (MANY_VALUES, &values)] {
            let mut all = Vec::new();
            for _ in 0..setting.rounds {
                settle();
                let (took, found) = walk(&large, "main", "many", options())?;
                if found != count {
                    return Err(format!("{found} of {count} changes are seen").into());
                }
                all.push(count as f64 / took);
            }
            report.add(Row::limit(name, Measure::Rate(median(all)), goal));
        }
    }
    Ok(())
}

fn make(setting: &Setting, name: &str, n: u64) -> Result<Store> {
    let path = setting.fresh(name)?;
    let store = data::open(&path, setting, Durability::Buffered)?;
    fill(&store.main()?, n)?;
    Ok(store)
}

/// Makes a branch of main with so many changes: of ten, three are new rows from `n` on, three are
/// deletions and four are overwrites of rows below `n`.
fn change(store: &Store, name: &str, n: u64, count: u64, per_commit: u64) -> Result<()> {
    let branch = store.create_branch(name, "main", BranchOptions::default())?;
    for from in (0..count).step_by(per_commit as usize) {
        let mut batch = Batch::new();
        for c in from..(from + per_commit).min(count) {
            // The rows below n are spread over it, each once.
            let there = c * (n / count);
            match c % 10 {
                0..3 => batch.put(key((1 << 40) + n + c), value(c, 9)),
                3..6 => batch.delete(key(there)),
                _ => batch.put(key(there), value(there, 9)),
            };
        }
        branch.write(batch, CommitOptions::default())?;
    }
    Ok(())
}

/// Seconds and number of entries of one diff.
fn walk(store: &Store, a: &str, b: &str, options: DiffOptions) -> Result<(f64, u64)> {
    let (took, count) = timed(|| {
        let mut count = 0;
        for entry in store.diff(a, b, options)? {
            entry?;
            count += 1;
        }
        Ok(count)
    })?;
    Ok((took.as_secs_f64(), count))
}

fn verify(store: &Store) -> Result<()> {
    let mut counts = [0_u64; 3];
    for entry in store.diff("main", "topic", DiffOptions::default())? {
        let entry = entry?;
        let (at, right) = match entry.kind {
            ChangeKind::Added => (0, entry.before.is_none() && entry.after.is_some()),
            ChangeKind::Deleted => (1, entry.before.is_some() && entry.after.is_none()),
            ChangeKind::Modified => (2, entry.before.is_some() && entry.before != entry.after),
        };
        if !right {
            return Err("an entry does not fit its kind".into());
        }
        counts[at] += 1;
    }
    if counts == [300, 300, 400] { Ok(()) } else { Err(format!("changes seen: {counts:?}").into()) }
}
