//! A scan of all rows at the head of the root line.

use rocksdb::IteratorMode;
use withy::{Direction, Durability, KeyRange, Read};

use crate::data::{self, Raw, fill};
use crate::harness::{Report, Result, Row, Setting, alternate, each};

pub(crate) const ROWS: &[&str] = &["scan/root"];

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let n = setting.n;
    let (path, raw_path) = (setting.fresh("withy")?, setting.fresh("rocksdb")?);
    let store = data::open(&path, setting, Durability::Buffered)?;
    let raw = Raw::like(&store, &raw_path, setting, Durability::Buffered)?;
    fill(&store.main()?, n)?;
    raw.fill(n)?;
    store.compact()?;
    store.close()?;
    raw.compact()?;
    let main = data::open(&path, setting, Durability::Buffered)?.main()?;

    // Both sides hand out every pair as bytes of its own.
    let withy = || -> Result<u64> {
        let mut sum = 0;
        for pair in main.scan(&KeyRange::all(), Direction::Forward)? {
            let (key, value) = pair?;
            sum += (key.len() + value.len()) as u64;
        }
        Ok(sum)
    };
    let rocksdb = || -> Result<u64> {
        let mut sum = 0;
        for pair in raw.db.iterator(IteratorMode::Start) {
            let (key, value) = pair?;
            sum += (key.len() + value.len()) as u64;
        }
        Ok(sum)
    };
    if withy()? != n * 116 || rocksdb()? != n * 116 {
        return Err("a scan does not give every row".into());
    }
    let pair = alternate(
        setting.rounds,
        |_| each(n, || withy().map(|_| ())),
        |_| each(n, || rocksdb().map(|_| ())),
    )?;
    report.add(Row::speed(ROWS[0], &pair, 0.9));
    Ok(())
}
