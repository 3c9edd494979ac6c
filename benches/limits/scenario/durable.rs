//! Commits that are on disk before the call returns, by 16 threads at once.

use withy::{Branch, Durability, KeyRange, Read};

use crate::data::{self, Raw, key, value};
use crate::harness::{Report, Result, Row, Setting, alternate, each};

pub(crate) const ROWS: &[&str] = &["durable/16-threads"];
const THREADS: u64 = 16;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (path, raw_path) = (setting.fresh("withy")?, setting.fresh("rocksdb")?);
    let store = data::open(&path, setting, Durability::Sync)?;
    let raw = Raw::like(&store, &raw_path, setting, Durability::Sync)?;
    let main = store.main()?;
    data::fill(&main, setting.n)?;
    raw.fill(setting.n)?;

    let each_thread = setting.sized(2_000);
    let total = THREADS * each_thread;
    let rows = |round: usize, thread: u64| {
        let from = setting.n + (round as u64 * THREADS + thread) * each_thread;
        from..from + each_thread
    };
    let put =
        |main: &Branch, i: u64| -> Result<()> { Ok(main.put(key(i), value(i, 0)).map(|_| ())?) };
    let pair = alternate(
        setting.rounds,
        |round| each(total, || threads(|t| rows(round, t).try_for_each(|i| put(&main, i)))),
        |round| each(total, || threads(|t| rows(round, t).try_for_each(|i| raw.commit([(i, 0)])))),
    )?;
    let all = setting.n + total * setting.rounds as u64;
    if main.count(&KeyRange::all())? != all {
        return Err("durable commits are missing".into());
    }
    report.add(Row::speed(ROWS[0], &pair, 1.1));
    Ok(())
}

/// Runs the work in all threads at once; the first failure.
fn threads(work: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..THREADS)
            .map(|t| {
                let work = &work;
                scope.spawn(move || work(t).map_err(|e| e.to_string()))
            })
            .collect();
        for thread in running {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}
