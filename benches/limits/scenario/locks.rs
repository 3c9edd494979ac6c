//! Path locks, taken and released: in an empty store, in one with many keys, and while many are held.

use std::time::Duration;

use withy::LockKind::{Point, Subtree};
use withy::{Durability, LockSession, Store};

use crate::data::{self, fill};
use crate::harness::{Goal, Measure, Pair, Report, Result, Row, Setting, alternate, each};

const POINT: &str = "locks/point";
const HELD: &str = "locks/subtree-10000-held";
const KEYS: &str = "locks/with-1000000-keys";
pub(crate) const ROWS: &[&str] = &[POINT, HELD, KEYS];

/// Locks of one round.
const BATCH: u64 = 50_000;
/// Locks that are held meanwhile.
const MANY: u64 = 10_000;
const NOW: Duration = Duration::ZERO;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let empty = make(setting, "empty", 0)?;
    let large = make(setting, "large", setting.n)?;
    let (few, many) = (empty.lock_session("few")?, large.lock_session("many")?);
    let Pair { one: small, other: here, ratio } =
        alternate(setting.rounds, |_| points(&few), |_| points(&many))?;
    let limit = Goal::AtMost(Measure::Time(3e-6));
    report.add(Row::limit(POINT, Measure::Time(small), limit));
    report.add(Row::growth(KEYS, here, ("no keys", small), ratio, 1.5));

    // Before and behind what is locked, and above it.
    let holder = empty.lock_session("holder")?;
    for i in 0..MANY {
        let place = ["before", "to/behind", "to/where"][i as usize % 3];
        holder.lock(&format!("/way/{place}/{i}"), Point, NOW)?.keep();
    }
    holder.lock("/way/to", Point, NOW)?.keep();
    let idle = large.lock_session("idle")?;
    let Pair { one: alone, other: among, ratio } =
        alternate(setting.rounds, |_| subtrees(&idle), |_| subtrees(&few))?;
    if empty.held_locks().len() as u64 != MANY + 1 || !large.held_locks().is_empty() {
        return Err("locks are missing, or left".into());
    }
    report.add(Row::growth(HELD, among, ("none held", alone), ratio, 2.5));
    Ok(())
}

fn make(setting: &Setting, name: &str, n: u64) -> Result<Store> {
    let store = data::open(&setting.fresh(name)?, setting, Durability::Buffered)?;
    fill(&store.main()?, n)?;
    Ok(store)
}

/// Takes and releases points; seconds for each.
fn points(owner: &LockSession) -> Result<f64> {
    let paths: Vec<String> = (0..64).map(|i| format!("/way/to/the/{i}")).collect();
    each(BATCH, || {
        for i in 0..BATCH {
            owner.lock(&paths[i as usize % 64], Point, NOW)?.release()?;
        }
        Ok(())
    })
}

/// The same for subtrees.
fn subtrees(owner: &LockSession) -> Result<f64> {
    let paths: Vec<String> = (0..64).map(|i| format!("/way/to/the/{i}")).collect();
    each(BATCH, || {
        for i in 0..BATCH {
            owner.lock(&paths[i as usize % 64], Subtree, NOW)?.release()?;
        }
        Ok(())
    })
}
