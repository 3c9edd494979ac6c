//! Histories of random transactions that run at once, put before a checker (the crate `adya`) that finds
//! the cycles each level forbids. What it says is worth something only because it is shown to catch the
//! next weaker level too.
//!
//! Eight clients work on a few keys, spread over three branches of which two are made from one another.
//! Some transactions are done as a branch that is merged back. `WITHY_SEEDS` says how many runs,
//! `WITHY_SEED` which one alone, `WITHY_LONG=1` makes them twenty times as long.

mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use adya::r#gen::{GenOpts, Kind};
use adya::history::{Mop, OpType, Scalar};
use adya::run::RunOpts;
use adya::{History, Opts, Report, Valid, Workload};
use withy::Isolation;

use self::client::{Client, Shared};
use super::seeds;
use crate::support::is_long;

const CLIENTS: usize = 8;

/// How the transactions of a history are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    At(Isolation),
    /// No transactions at all: each operation by itself, and what fails has been done nevertheless.
    Apart,
}

use Mode::{Apart, At};

/// A history with the order of commits, and how many transactions ended how.
struct Run {
    history: History,
    kind: Kind,
    /// Position in commit order of each completed transaction that wrote, by its index.
    order: Option<BTreeMap<u64, i64>>,
}

impl Run {
    fn new(kind: Kind, mode: Mode, seed: u64) -> Self {
        let shared = Arc::new(Shared::new(kind, mode, seed));
        let connect = {
            let shared = Arc::clone(&shared);
            move || -> Result<Box<dyn adya::run::Client>, adya::Error> {
                Ok(Box::new(Client::new(&shared)))
            }
        };
        let shape =
            GenOpts { kind, key_count: 6, min_txn_len: 1, max_txn_len: 5, max_writes_per_key: 24 };
        let txns = if is_long() { 60_000 } else { 3_000 };
        let options =
            RunOpts { processes: CLIENTS, txns, seed, r#gen: shape, ..RunOpts::default() };
        let (text, stats) = adya::run::run(&connect, &options).expect("some commit");
        let faults = shared.faults();
        assert!(faults.is_empty(), "seed {seed}: {mode:?}: {}", faults.join("\n"));
        assert_eq!(stats.ok + stats.fail, txns, "seed {seed}: {mode:?}: every client goes on");
        assert!(stats.ok > txns / 3, "seed {seed}: {mode:?}: enough is committed: {stats:?}");
        assert!(stats.fail > 0, "seed {seed}: {mode:?}: some give up or lose: {stats:?}");
        let history = History::from_json(&text).expect("a history");
        let order = matches!(mode, At(_)).then(|| order(&history, &shared));
        Self { history, kind, order }
    }

    fn check(&self, model: &str) -> Report {
        let workload = match self.kind {
            Kind::ListAppend => Workload::ListAppend,
            Kind::RwRegister => Workload::RwRegister,
        };
        let options = Opts {
            models: vec![model.to_owned()],
            timeout: Duration::from_secs(120),
            // A register says little about the order of its values; the store's own order does.
            transaction_order: self.order.clone().map(|order| order.into_iter().collect()),
            wfr_keys: true,
            ..Opts::default()
        };
        adya::check(&self.history, workload, &options)
    }
}

/// The commit order by index of the completions, as the sequences say that the clients were told.
fn order(history: &History, shared: &Shared) -> BTreeMap<u64, i64> {
    let told = shared.told();
    let int = |id| match history.show(id) {
        Scalar::Int(n) => *n,
        Scalar::Str(text) => panic!("all keys and values are numbers: {text}"),
    };
    let done = history.ops.iter().filter(|op| op.kind == OpType::Ok);
    done.filter_map(|op| {
        let wrote = op.value.iter().find_map(|mop| match *mop {
            Mop::Append { key, value } | Mop::Write { key, value } => Some((int(key), int(value))),
            Mop::Read { .. } => None,
        })?;
        Some((op.index, *told.get(&wrote).expect("who writes is told a sequence")))
    })
    .collect()
}

/// What the checker found, with the first proof of each kind.
fn told(report: &Report) -> String {
    let first = report.anomalies.iter().filter_map(|(kind, all)| Some((kind, all.first()?)));
    first.map(|(kind, anomaly)| format!("{kind}:\n{}\n", anomaly.explanation)).collect()
}

/// Runs at this level are valid by this model, every one of them.
fn holds(kind: Kind, level: Isolation, model: &str) {
    for seed in seeds(2) {
        let report = Run::new(kind, At(level), seed).check(model);
        assert_eq!(
            report.valid,
            Valid::True,
            "TXN-1: {level:?} is {model}; WITHY_SEED={seed}:\n{}",
            told(&report)
        );
    }
}

/// Among runs in this mode the checker finds one that breaks the model, by one of these anomalies.
fn is_caught(kind: Kind, mode: Mode, model: &str, anomalies: &[&str]) {
    let mut found = Vec::new();
    for seed in 0..8 {
        let report = Run::new(kind, mode, seed).check(model);
        let named = report.anomaly_types.iter().any(|found| anomalies.contains(&found.as_str()));
        if report.valid == Valid::False && named {
            return;
        }
        found.push(report.anomaly_types);
    }
    panic!("a checker that lets {mode:?} pass as {model} shows nothing: {found:?}");
}

#[test]
fn list_histories_at_read_committed_are_strong_read_committed() {
    holds(Kind::ListAppend, Isolation::ReadCommitted, "strong-read-committed");
}

#[test]
fn list_histories_at_snapshot_are_strong_snapshot_isolation() {
    holds(Kind::ListAppend, Isolation::Snapshot, "strong-snapshot-isolation");
}

#[test]
fn list_histories_at_serializable_are_strict_serializable() {
    holds(Kind::ListAppend, Isolation::Serializable, "strict-serializable");
}

#[test]
fn register_histories_at_read_committed_are_strong_read_committed() {
    holds(Kind::RwRegister, Isolation::ReadCommitted, "strong-read-committed");
}

#[test]
fn register_histories_at_snapshot_are_strong_snapshot_isolation() {
    holds(Kind::RwRegister, Isolation::Snapshot, "strong-snapshot-isolation");
}

#[test]
fn register_histories_at_serializable_are_strict_serializable() {
    holds(Kind::RwRegister, Isolation::Serializable, "strict-serializable");
}

#[test]
fn list_histories_without_transactions_are_caught_by_read_committed() {
    is_caught(Kind::ListAppend, Apart, "read-committed", &["G1a", "G1b", "G0", "G1c"]);
}

#[test]
fn list_histories_at_read_committed_are_caught_by_snapshot_isolation() {
    let skew = ["G-single-item", "G-nonadjacent-item", "lost-update"];
    is_caught(Kind::ListAppend, At(Isolation::ReadCommitted), "snapshot-isolation", &skew);
}

#[test]
fn list_histories_at_snapshot_are_caught_by_serializable() {
    is_caught(Kind::ListAppend, At(Isolation::Snapshot), "serializable", &["G2-item"]);
}

#[test]
fn register_histories_without_transactions_are_caught_by_read_committed() {
    is_caught(Kind::RwRegister, Apart, "read-committed", &["G1a", "G1b", "G0", "G1c"]);
}

#[test]
fn register_histories_at_read_committed_are_caught_by_snapshot_isolation() {
    let skew = ["G-single-item", "G-nonadjacent-item", "lost-update"];
    is_caught(Kind::RwRegister, At(Isolation::ReadCommitted), "snapshot-isolation", &skew);
}

#[test]
fn register_histories_at_snapshot_are_caught_by_serializable() {
    is_caught(Kind::RwRegister, At(Isolation::Snapshot), "serializable", &["G2-item"]);
}
