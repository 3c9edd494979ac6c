//! What a commit of one row leaves on disk, compacted.

use withy::{Direction, Durability, KeyRange, Read};

use crate::data::{self, fill, key, size_of_rows, value};
use crate::harness::{Goal, Measure, Report, Result, Row, Setting, settle};

pub(crate) const ROWS: &[&str] = &["disk/commit-of-1"];

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (base, commits) = (setting.n / 10, setting.n / 5);
    let path = setting.fresh("withy")?;
    let store = data::open(&path, setting, Durability::Buffered)?;
    fill(&store.main()?, base)?;
    store.compact()?;
    let before = size_of_rows(&path)?;

    let main = store.main()?;
    let mut random = fastrand::Rng::with_seed(5);
    for version in 1..=commits {
        let i = random.u64(0..base);
        main.put(key(i), value(i, version))?;
    }
    let head = main.head()?.seq;
    let rows = main.scan(&KeyRange::all(), Direction::Forward)?.count() as u64;
    if head.get() < commits || rows != base {
        return Err(format!("{rows} rows at sequence {head}").into());
    }
    store.compact()?;
    settle();
    let each = (size_of_rows(&path)? - before) as f64 / commits as f64;
    let limit = Goal::AtMost(Measure::Bytes(400.0));
    report.add(Row::limit(ROWS[0], Measure::Bytes(each), limit));
    Ok(())
}
