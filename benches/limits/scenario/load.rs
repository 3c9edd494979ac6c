//! Filling a store: in commits of 1,000 rows, and as one bulk load of a new branch.

use withy::exchange::{self, LoadOptions};
use withy::{Durability, KeyRange, Read};

use crate::data::{self, Raw, check, fill, key, value};
use crate::harness::{
    Goal, Measure, Report, Result, Row, Setting, alternate, each, median, settle,
};

const COMMITS: &str = "load/commits-of-1000";
const BULK: &str = "load/bulk";
pub(crate) const ROWS: &[&str] = &[COMMITS, BULK];

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    if report.wants(COMMITS) {
        commits(setting, report)?;
    }
    if report.wants(BULK) {
        bulk(setting, report)?;
    }
    Ok(())
}

fn commits(setting: &Setting, report: &mut Report) -> Result<()> {
    let n = setting.n;
    let model = data::open(&setting.fresh("model")?, setting, Durability::Buffered)?;
    let pair = alternate(
        setting.rounds.min(3),
        |_| {
            let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
            let main = store.main()?;
            let took = each(n, || fill(&main, n).map(|_| ()))?;
            if main.count(&KeyRange::all())? != n {
                return Err("rows are missing after the load".into());
            }
            store.close()?;
            Ok(took)
        },
        |_| {
            let raw = Raw::like(&model, &setting.fresh("rocksdb")?, setting, Durability::Buffered)?;
            each(n, || raw.fill(n))
        },
    )?;
    let goal = Goal::AtLeast(Measure::Rate(400e3));
    let row = Row::limit(COMMITS, Measure::Rate(1.0 / pair.one), goal);
    report.add(row.beside("rocksdb", Measure::Rate(1.0 / pair.other)));
    Ok(())
}

/// Sorted rows into a branch that is new.
fn bulk(setting: &Setting, report: &mut Report) -> Result<()> {
    let n = setting.n;
    let mut order: Vec<u64> = (0..n).collect();
    order.sort_unstable_by_key(|&i| key(i));
    let mut all = Vec::new();
    for _ in 0..setting.rounds.min(3) {
        let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
        settle();
        let rows = order.iter().map(|&i| Ok((key(i).to_vec(), value(i, 0).to_vec())));
        let options = LoadOptions::default().from("main");
        let took = each(n, || Ok(exchange::load(&store, "bulk", rows, options).map(|_| ())?))?;
        let branch = store.branch("bulk")?;
        if branch.count(&KeyRange::all())? != n {
            return Err("rows are missing after the bulk load".into());
        }
        check(&branch, n / 2, Some(0))?;
        store.close()?;
        all.push(1.0 / took);
    }
    let goal = Goal::AtLeast(Measure::Rate(1e6));
    report.add(Row::limit(BULK, Measure::Rate(median(all)), goal));
    Ok(())
}
