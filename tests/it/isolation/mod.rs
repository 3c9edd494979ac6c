//! What transactions see of each other and what stops them, level by level: the anomalies by name,
//! random histories before a checker, and programs whose sums must come out. `docs/isolation.md` ties
//! its claims to these tests.

mod anomalies;
mod bank;
mod conflicts;
mod counting;
mod documented;
mod histories;
mod limits;
mod moves;
mod savepoints;

use withy::{
    CommitOptions, Committed, Error, ErrorKind, Isolation, KeyRange, Read, Store, Txn, TxnOptions,
};

use crate::support::{must_fail, must_scan, show};

/// What a level says about an anomaly, as a scenario found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Prevented,
}

/// A scenario ends in one of two ways, and this was one of them.
fn happened(anomaly: bool) -> Verdict {
    if anomaly { Verdict::Allowed } else { Verdict::Prevented }
}

fn at(level: Isolation) -> TxnOptions {
    TxnOptions::default().isolation(level)
}

/// Begins a transaction on `main`.
#[track_caller]
fn begin(store: &Store, level: Isolation) -> Txn<'_> {
    begin_on(store, "main", level)
}

#[track_caller]
fn begin_on<'s>(store: &'s Store, branch: &str, level: Isolation) -> Txn<'s> {
    store
        .begin_with(branch, at(level))
        .unwrap_or_else(|e| panic!("begin on {branch} at {level:?}: {e:?}"))
}

#[track_caller]
fn put(tx: &mut Txn<'_>, key: &str, value: &str) {
    tx.put(key, value).unwrap_or_else(|e| panic!("put {key}: {e:?}"));
}

#[track_caller]
fn delete(tx: &mut Txn<'_>, key: &str) {
    tx.delete(key).unwrap_or_else(|e| panic!("delete {key}: {e:?}"));
}

/// Puts on another branch of the same transaction.
#[track_caller]
fn put_on(tx: &mut Txn<'_>, branch: &str, key: &str, value: &str) {
    tx.on(branch)
        .and_then(|mut other| other.put(key, value))
        .unwrap_or_else(|e| panic!("put {key} on {branch}: {e:?}"));
}

/// Gets from another branch of the same transaction.
#[track_caller]
fn get_on(tx: &mut Txn<'_>, branch: &str, key: &str) -> Option<String> {
    let value = tx.on(branch).and_then(|other| other.get(key.as_bytes()));
    value.unwrap_or_else(|e| panic!("get {key} on {branch}: {e:?}")).map(|value| show(&value))
}

/// Gets a key and demands that it is unchanged when the transaction commits.
#[track_caller]
fn get_for_update(tx: &mut Txn<'_>, key: &str) -> Option<String> {
    let value = tx.get_for_update(key.as_bytes());
    value.unwrap_or_else(|e| panic!("get {key} for update: {e:?}")).map(|value| show(&value))
}

/// The keys of a range, in the order of a scan.
#[track_caller]
fn keys_in(view: &impl Read, range: &KeyRange, direction: withy::Direction) -> Vec<String> {
    must_scan(view, range, direction).into_iter().map(|(key, _)| show(&key)).collect()
}

fn commit(tx: Txn<'_>) -> Result<Committed, Error> {
    tx.commit(CommitOptions::default())
}

/// It commits, and has changed something.
#[track_caller]
fn must_win(tx: Txn<'_>) {
    let done = commit(tx).unwrap_or_else(|e| panic!("TXN-2: no false conflict: {e:?}"));
    assert!(matches!(done, Committed::At(_)), "it changed something: {done:?}");
}

/// It has only read, and ends well.
#[track_caller]
fn must_end(tx: Txn<'_>) {
    let done = commit(tx).unwrap_or_else(|e| panic!("TXN-2: a reader never conflicts: {e:?}"));
    assert_eq!(done, Committed::Unchanged, "what only reads commits nothing");
}

/// The commit is refused, and exactly these keys are named.
#[track_caller]
fn must_lose(tx: Txn<'_>, keys: &[&str]) {
    let e = must_fail(commit(tx), ErrorKind::Conflict);
    let named: Vec<String> = e.keys().iter().map(|key| show(key)).collect();
    assert_eq!(named, keys, "TXN-2: a conflict names the keys that changed, and no others");
    assert!(e.is_retryable(), "it may run again");
}

/// Whether it commits; if it does not, it lost to exactly these keys.
#[track_caller]
fn wins_or_loses(tx: Txn<'_>, keys: &[&str]) -> bool {
    match commit(tx) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Conflict, "a lost race is the only failure: {e:?}");
            let named: Vec<String> = e.keys().iter().map(|key| show(key)).collect();
            assert_eq!(named, keys, "TXN-2: a conflict names the keys that changed");
            false
        }
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The seeds to run: those of the normal run, or as many as `WITHY_SEEDS` says, or `WITHY_SEED` alone.
fn seeds(normal: u64) -> Vec<u64> {
    match (number("WITHY_SEED"), number("WITHY_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..count).collect(),
        (None, None) => (0..normal).collect(),
    }
}
