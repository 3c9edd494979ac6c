//! TPC-1, TPC-2: transactions that are prepared and ended later, and coordinators of several stores.
//! The protocol itself is walked through in `src/coord/two_phase/tests.rs`.

mod clients;
mod held;
mod kill;
mod ledger;
mod prepared;
mod several;

use withy::{CommitOptions, Store, Txn};

/// Prepares what `work` does on main.
fn must_prepare(store: &Store, gid: &str, work: impl FnOnce(&mut Txn<'_>) -> withy::Result<()>) {
    let mut tx = store.begin("main").expect("a transaction");
    work(&mut tx).expect("the work is done");
    tx.prepare(gid, CommitOptions::default().message("prepared"))
        .unwrap_or_else(|e| panic!("prepare {gid}: {e:?}"));
}

/// The names of what is prepared.
fn prepared(store: &Store) -> Vec<String> {
    store.list_prepared().expect("the list").into_iter().map(|one| one.gid).collect()
}
