//! A store with 1,000,000 commits and 10,000 branches: the merge base of its two long sides, and
//! opening it.

use std::path::Path;

use rocksdb::OptimisticTransactionDB;
use withy::{Branch, BranchOptions, Durability, Seq, Store};

use crate::data::{self, key, value};
use crate::harness::{
    Goal, Measure, Pair, Report, Result, Row, Setting, alternate, median, settle, timed,
};
use crate::settings::Settings;

const BASE: &str = "merge-base/1000000";
const OPEN: &str = "open/1000000";
pub(crate) const ROWS: &[&str] = &[BASE, OPEN];

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (commits, branches) = (setting.sized(1_000_000), setting.sized(10_000));
    let path = setting.fresh("withy")?;
    let store = data::open(&path, setting, Durability::Buffered)?;
    let fork = build(&store, commits, branches)?;

    if report.wants(BASE) {
        merge_base(&store, fork, setting, report)?;
    }
    if report.wants(OPEN) {
        open(store, &path, setting, report)?;
    }
    Ok(())
}

/// Times the merge base of the two sides, once it is known to be right.
fn merge_base(store: &Store, fork: Seq, setting: &Setting, report: &mut Report) -> Result<()> {
    if store.merge_base("left", "right")? != [fork] {
        return Err("the merge base is not where the sides forked".into());
    }
    let mut all = Vec::new();
    for _ in 0..setting.rounds {
        settle();
        let (took, _) = timed(|| Ok(store.merge_base("left", "right")?))?;
        all.push(took.as_secs_f64());
    }
    let limit = Goal::AtMost(Measure::Time(5e-3));
    report.add(Row::limit(BASE, Measure::Time(median(all)), limit));
    Ok(())
}

/// Times the opening, beyond what RocksDB itself takes for the same files.
fn open(store: Store, path: &Path, setting: &Setting, report: &mut Report) -> Result<()> {
    let (commits, branches) = (setting.sized(1_000_000), setting.sized(10_000));
    if store.branches()?.len() as u64 != branches + 3 {
        return Err("branches are missing".into());
    }
    store.compact()?;
    store.close()?;
    // Once unmeasured: the first open after a load has more to do, on either side.
    data::open(path, setting, Durability::Buffered)?.close()?;
    let database = data::database_of(path)?;
    let Pair { one: ours, other: theirs, .. } = alternate(
        setting.rounds,
        |_| {
            let (took, store) = timed(|| data::open(path, setting, Durability::Buffered))?;
            if store.latest().get() < commits {
                return Err("commits are missing".into());
            }
            store.close()?;
            Ok(took.as_secs_f64())
        },
        |_| {
            let (options, families) = Settings::of(&database)?.all(setting.cache)?;
            let (took, db) = timed(|| {
                Ok(OptimisticTransactionDB::open_cf_descriptors(&options, &database, families)?)
            })?;
            drop::<OptimisticTransactionDB>(db);
            Ok(took.as_secs_f64())
        },
    )?;
    let beyond = Measure::Time((ours - theirs).max(0.0));
    let row = Row::limit(OPEN, beyond, Goal::AtMost(Measure::Time(20e-3)));
    report.add(row.beside("rocksdb", Measure::Time(theirs)));
    Ok(())
}

/// Two sides that fork early and share the commits between them, each with a branch every so many
/// commits; the sequence where they fork.
fn build(store: &Store, commits: u64, branches: u64) -> Result<Seq> {
    let main = store.main()?;
    let mut written = 0_u64;
    let mut put = |branch: &Branch| -> Result<()> {
        written += 1;
        let i = written % 10_000;
        branch.put(key(i), value(i, written))?;
        Ok(())
    };
    for _ in 0..1_000.min(commits / 10) {
        put(&main)?;
    }
    let fork = main.head()?.seq;
    let left = store.create_branch("left", "main", BranchOptions::default())?;
    let right = store.create_branch("right", "main", BranchOptions::default())?;
    let every = (commits / branches).max(2);
    for made in 0..branches {
        let (side, name) = if made % 2 == 0 { (&left, "left") } else { (&right, "right") };
        for _ in 1..every {
            put(side)?;
        }
        let topic = format!("topic/{made}");
        put(&store.create_branch(&topic, name, BranchOptions::default())?)?;
    }
    for version in written + 1..=commits {
        let i = version % 10_000;
        left.put(key(i), value(i, version))?;
    }
    Ok(fork)
}
