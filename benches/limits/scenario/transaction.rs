//! What a transaction costs besides its commit: begin, and savepoints that are set, rolled back to and
//! released, alone, nested, and behind many writes.

use withy::{Durability, Read, Store, Txn};

use crate::data::{self, fill, key, value};
use crate::harness::{Goal, Measure, Pair, Report, Result, Row, Setting, alternate, each};

const BEGIN: &str = "txn/begin";
const SET: &str = "savepoint/release";
const BACK: &str = "savepoint/rollback";
const NESTED: &str = "savepoint/nested-100";
const LATE: &str = "savepoint/after-10000-writes";
pub(crate) const ROWS: &[&str] = &[BEGIN, SET, BACK, NESTED, LATE];

/// Transactions or savepoints of one round.
const BATCH: u64 = 20_000;
const DEPTH: u64 = 100;
const MANY: u64 = 10_000;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
    fill(&store.main()?, setting.n)?;
    let limit = |micros: f64| Goal::AtMost(Measure::Time(micros * 1e-6));
    let Pair { one: begin, other: bare, .. } =
        alternate(setting.rounds, |_| begins(&store), |_| puts(&store))?;
    report.add(Row::limit(BEGIN, Measure::Time(begin), limit(2.0)));
    // A put of a key that the transaction has: what a savepoint adds to is known.
    let again = Measure::Time(bare);
    let Pair { one: set, other: back, .. } =
        alternate(setting.rounds, |_| released(&store, 0), |_| rolled_back(&store, 1))?;
    report.add(Row::limit(SET, Measure::Time(set), limit(2.0)).beside("a put", again));
    report.add(Row::limit(BACK, Measure::Time(back), limit(2.0)).beside("a put", again));
    let Pair { one: nested, other: flat, ratio } =
        alternate(setting.rounds, |_| rolled_back(&store, DEPTH), |_| rolled_back(&store, 1))?;
    report.add(Row::growth(NESTED, nested, ("one deep", flat), ratio, 1.5));
    let Pair { one: late, other: early, ratio } =
        alternate(setting.rounds, |_| released(&store, MANY), |_| released(&store, 0))?;
    report.add(Row::growth(LATE, late, ("no writes", early), ratio, 1.5));
    Ok(())
}

/// Begins transactions and lets go of them; seconds for each.
fn begins(store: &Store) -> Result<f64> {
    each(BATCH, || {
        for _ in 0..BATCH {
            store.begin("main")?.rollback();
        }
        Ok(())
    })
}

/// Puts one key again and again.
fn puts(store: &Store) -> Result<f64> {
    let mut tx = store.begin("main")?;
    tx.put(key(0), value(0, 1))?;
    each(BATCH, || {
        for i in 0..BATCH {
            tx.put(key(0), value(0, i))?;
        }
        Ok(())
    })
}

/// A transaction with so many writes, one of them to the key that is written again and again.
fn written(store: &Store, writes: u64) -> Result<Txn<'_>> {
    let mut tx = store.begin("main")?;
    for i in 0..writes.max(1) {
        tx.put(key(i), value(i, 1))?;
    }
    Ok(tx)
}

/// Sets a savepoint, puts a key, releases the savepoint.
fn released(store: &Store, writes: u64) -> Result<f64> {
    let mut tx = written(store, writes)?;
    let took = each(BATCH, || {
        for i in 0..BATCH {
            tx.savepoint("s")?;
            tx.put(key(0), value(0, i))?;
            tx.release("s")?;
        }
        Ok(())
    })?;
    check(&tx, BATCH - 1)?;
    Ok(took)
}

/// Sets savepoints in each other, with a put after each, and rolls back to them one by one; seconds for
/// each savepoint.
fn rolled_back(store: &Store, depth: u64) -> Result<f64> {
    let mut tx = written(store, 1)?;
    let names: Vec<String> = (0..depth).map(|i| format!("s{i}")).collect();
    let took = each(BATCH, || {
        for round in 0..BATCH / depth {
            for name in &names {
                tx.savepoint(name)?;
                tx.put(key(0), value(0, round + 2))?;
            }
            for name in names.iter().rev() {
                tx.rollback_to(name)?;
            }
        }
        Ok(())
    })?;
    check(&tx, 1)?;
    Ok(took)
}

fn check(tx: &Txn<'_>, version: u64) -> Result<()> {
    if tx.get(&key(0))?.as_deref() != Some(&value(0, version)[..]) || tx.savepoints().count() != 0 {
        return Err("a savepoint has lost something".into());
    }
    Ok(())
}
