//! The history of one key with 5,000 versions, in a large store.

use withy::{Batch, CommitOptions, Durability};

use crate::data::{self, fill, key, value};
use crate::harness::{Goal, Measure, Report, Result, Row, Setting, median, settle, timed};

pub(crate) const ROWS: &[&str] = &["history/5000"];
const VERSIONS: u64 = 5_000;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let path = setting.fresh("withy")?;
    let store = data::open(&path, setting, Durability::Buffered)?;
    let main = store.main()?;
    fill(&main, setting.n)?;
    let hot = key(3);
    for version in 1..VERSIONS {
        // Other rows change as well, so that the versions do not lie side by side in the log.
        let mut batch = Batch::new();
        batch.put(hot, value(3, version)).put(key(4 + version), value(4 + version, 1));
        main.write(batch, CommitOptions::default())?;
    }
    store.compact()?;

    let mut want = VERSIONS;
    for version in store.history("main", &hot)? {
        want -= 1;
        if version?.value.as_deref() != Some(&value(3, want)[..]) {
            return Err(format!("version {want} is not the one that was written").into());
        }
    }
    if want != 0 {
        return Err(format!("{want} versions are missing").into());
    }
    let mut all = Vec::new();
    for _ in 0..setting.rounds {
        settle();
        let (took, ()) = timed(|| {
            for version in store.history("main", &hot)? {
                version?;
            }
            Ok(())
        })?;
        all.push(took.as_secs_f64());
    }
    let limit = Goal::AtMost(Measure::Time(3e-3));
    report.add(Row::limit(ROWS[0], Measure::Time(median(all)), limit));
    Ok(())
}
