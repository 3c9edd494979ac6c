//! Random gets: at the head of the root line, of a child, at the end of a deep chain, and at an old rev.

use withy::{BranchOptions, Durability, Read, Store};

use crate::data::{self, Raw, check, commit, fill, key};
use crate::harness::{Report, Result, Row, Setting, alternate, each};

const ROOT: &str = "get/root";
const CHILD: &str = "get/child-1";
const DEEP: &str = "get/child-100";
const OLD: &str = "get/old-1000";
pub(crate) const ROWS: &[&str] = &[ROOT, CHILD, DEEP, OLD];

const DEPTH: u64 = 100;
const COMMITS: u64 = 1_000;

/// Reads a key; whether it is there.
type Get<'a> = &'a dyn Fn(&[u8]) -> Result<bool>;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let n = setting.n;
    let (path, raw_path) = (setting.fresh("withy")?, setting.fresh("rocksdb")?);
    let store = data::open(&path, setting, Durability::Buffered)?;
    let raw = Raw::like(&store, &raw_path, setting, Durability::Buffered)?;
    let old = build(&store, &raw, n)?;
    store.compact()?;
    store.close()?;
    raw.compact()?;

    let store = data::open(&path, setting, Durability::Buffered)?;
    let (main, child) = (store.main()?, store.branch("child")?);
    let deep = store.branch(&format!("deep/{DEPTH}"))?;
    let view = store.view(&old)?;
    for i in (0..n).step_by((n / 1_000).max(1) as usize) {
        let head = u64::from(changed(i, n));
        check(&view, i, Some(0))?;
        check(&main, i, Some(head))?;
        check(&child, i, Some(if own_of_child(i) { 2 } else { head }))?;
        let depth = own_of_chain(i);
        check(&deep, i, Some(depth.map_or(head, |d| 100 + d)))?;
        raw.check(i, head)?;
    }

    let count = n.min(200_000);
    let keys = |round: usize| -> Vec<[u8; 16]> {
        let mut random = fastrand::Rng::with_seed(round as u64);
        (0..count).map(|_| key(random.u64(0..n))).collect()
    };
    let sides: [(_, Get<'_>, f64); 4] = [
        (ROOT, &|k| Ok(main.get(k)?.is_some()), 0.95),
        (CHILD, &|k| Ok(child.get(k)?.is_some()), 0.8),
        (DEEP, &|k| Ok(deep.get(k)?.is_some()), 0.5),
        (OLD, &|k| Ok(view.get(k)?.is_some()), 0.4),
    ];
    for (name, get, goal) in sides {
        if !report.wants(name) {
            continue;
        }
        let pair = alternate(
            setting.rounds,
            |round| gets(&keys(round), get),
            |round| gets(&keys(round), &|k| Ok(raw.db.get(k)?.is_some())),
        )?;
        report.add(Row::speed(name, &pair, goal));
    }
    Ok(())
}

fn gets(keys: &[[u8; 16]], get: Get<'_>) -> Result<f64> {
    each(keys.len() as u64, || {
        for key in keys {
            if !get(key)? {
                return Err("a row is missing".into());
            }
        }
        Ok(())
    })
}

/// Whether the 1,000 commits after the fill change row `i`: one row in ten.
fn changed(i: u64, n: u64) -> bool {
    i.is_multiple_of(10) && i < n / 10 / COMMITS * COMMITS * 10
}

fn own_of_child(i: u64) -> bool {
    i % 100 == 7
}

/// The depth at which the chain of branches writes row `i`, if any: ten rows each.
fn own_of_chain(i: u64) -> Option<u64> {
    let depth = i / 11;
    (i.is_multiple_of(11) && (1..=DEPTH * 10).contains(&depth)).then(|| (depth - 1) / 10 + 1)
}

/// Fills both sides; the rev of the store before its last 1,000 commits.
fn build(store: &Store, raw: &Raw, n: u64) -> Result<String> {
    let main = store.main()?;
    let old = fill(&main, n)?;
    raw.fill(n)?;
    let rows = n / 10 / COMMITS;
    for c in 0..COMMITS {
        let changes = (c * rows..(c + 1) * rows).map(|j| (j * 10, 1));
        if rows > 0 {
            commit(&main, changes.clone())?;
            raw.commit(changes)?;
        }
    }
    let child = store.create_branch("child", "main", BranchOptions::default())?;
    for from in (7..n).step_by(100 * 1_000) {
        let own = (from..n.min(from + 100 * 1_000)).step_by(100);
        commit(&child, own.map(|i| (i, 2)))?;
    }
    let mut parent = "main".to_owned();
    for depth in 1..=DEPTH {
        let name = format!("deep/{depth}");
        let branch = store.create_branch(&name, &parent, BranchOptions::default())?;
        let own = ((depth - 1) * 10 + 1..=depth * 10).map(|j| (j * 11, 100 + depth));
        commit(&branch, own)?;
        parent = name;
    }
    store.compact_overlays(&parent)?;
    Ok(format!("seq:{old}"))
}
