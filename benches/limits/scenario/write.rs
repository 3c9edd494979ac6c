//! Unsynced writes: one put per commit, 100 per commit, and an interactive transaction of one put;
//! each with new keys and with keys that are there.

use withy::{Branch, CommitOptions, Durability, KeyRange, Read, Store};

use crate::data::{self, Raw, check, commit, fill, key, value};
use crate::harness::{Report, Result, Row, Setting, alternate, each};

pub(crate) const ROWS: &[&str] = &[
    "put/insert",
    "put/overwrite",
    "put-100/insert",
    "put-100/overwrite",
    "txn/insert",
    "txn/overwrite",
];
const GOALS: [f64; 6] = [0.9, 0.5, 1.3, 0.5, 0.65, 0.4];

/// One side of the comparison, and what has been written to both so far.
struct Rows {
    /// Rows there are.
    n: u64,
    /// Version of the rows that were there first.
    versions: Vec<u64>,
}

impl Rows {
    /// The rows of a round: new ones, or a random choice of those that were there first.
    fn pick(&self, new: bool, count: u64, round: u64) -> Vec<(u64, u64)> {
        if new {
            return (self.n..self.n + count).map(|i| (i, 0)).collect();
        }
        let mut random = fastrand::Rng::with_seed(round);
        let first = self.versions.len() as u64;
        (0..count)
            .map(|_| random.u64(0..first))
            .enumerate()
            // Never the value that is there: the position makes it new.
            .map(|(at, i)| (i, (round << 32) + at as u64 + 1))
            .collect()
    }

    fn wrote(&mut self, rows: &[(u64, u64)]) {
        for &(i, version) in rows {
            if let Some(now) = self.versions.get_mut(i as usize) {
                *now = version;
            } else {
                self.n = self.n.max(i + 1);
            }
        }
    }
}

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let (path, raw_path) = (setting.fresh("withy")?, setting.fresh("rocksdb")?);
    let store = data::open(&path, setting, Durability::Buffered)?;
    let raw = Raw::like(&store, &raw_path, setting, Durability::Buffered)?;
    let main = store.main()?;
    fill(&main, setting.n)?;
    raw.fill(setting.n)?;
    let mut rows = Rows { n: setting.n, versions: vec![0; setting.n as usize] };

    for (at, (&name, goal)) in ROWS.iter().zip(GOALS).enumerate() {
        if !report.wants(name) {
            continue;
        }
        let (mode, new) = (at / 2, at % 2 == 0);
        let per_commit = if mode == 1 { 100 } else { 1 };
        let count = (setting.n / if mode == 1 { 10 } else { 20 }).next_multiple_of(per_commit);
        // What a round writes is settled before, so that both sides write the same.
        let mut planned = Vec::new();
        for round in 0..setting.rounds as u64 {
            let picked = rows.pick(new, count, round + 100 * at as u64);
            rows.wrote(&picked);
            planned.push(picked);
        }
        let pair = alternate(
            setting.rounds,
            |round| each(count, || write(&store, &main, mode, &planned[round])),
            |round| {
                each(count, || {
                    planned[round]
                        .chunks(per_commit as usize)
                        .try_for_each(|rows| raw.commit(rows.iter().copied()))
                })
            },
        )?;
        report.add(Row::speed(name, &pair, goal));
    }
    verify(&main, &raw, &rows)
}

fn write(store: &Store, main: &Branch, mode: usize, rows: &[(u64, u64)]) -> Result<()> {
    match mode {
        0 => {
            for &(i, version) in rows {
                main.put(key(i), value(i, version))?;
            }
        }
        1 => {
            for chunk in rows.chunks(100) {
                commit(main, chunk.iter().copied())?;
            }
        }
        _ => {
            for &(i, version) in rows {
                let mut transaction = store.begin("main")?;
                transaction.put(key(i), value(i, version))?;
                transaction.commit(CommitOptions::default())?;
            }
        }
    }
    Ok(())
}

fn verify(main: &Branch, raw: &Raw, rows: &Rows) -> Result<()> {
    if main.count(&KeyRange::all())? != rows.n {
        return Err("rows are missing after the writes".into());
    }
    for (i, &version) in (0..).zip(&rows.versions).step_by((rows.versions.len() / 1_000).max(1)) {
        check(main, i, Some(version))?;
        raw.check(i, version)?;
    }
    check(main, rows.n, None)
}
