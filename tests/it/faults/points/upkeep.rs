//! What is stopped: the making, pruning and restoring of copies.

use std::path::PathBuf;
use std::time::Duration;

use withy::{
    BackupOptions, Backups, CheckpointOptions, PruneOptions, RestoreOptions, Result, Store,
};

use super::jobs::{Ending, Job, Visits, some};
use crate::support::must_put;

/// A directory beside the store.
fn beside(store: &Store, name: &str) -> PathBuf {
    store.path().with_file_name(name)
}

/// Three snapshots, each with something of its own.
fn snapshots(store: &Store) {
    some(store);
    let main = store.main().expect("main");
    for n in 0..3 {
        must_put(&main, &format!("large-{n}"), &format!("{n}").repeat(30_000));
        back_up(store, &format!("number {n}")).expect("it is backed up");
    }
}

fn back_up(store: &Store, message: &str) -> Result<()> {
    let options = BackupOptions::default().message(message);
    store.back_up(beside(store, "backup"), options).map(|_| ())
}

fn backups(store: &Store) -> Result<Backups> {
    Backups::open(beside(store, "backup"))
}

const fn job(
    group: &'static str,
    name: &'static str,
    set_up: fn(&Store),
    run: fn(&Store) -> Result<()>,
) -> Job {
    Job { name, group, visits: Visits::OfEachKind(2), ending: Ending::AtOnce, set_up, run }
}

pub(super) const UPKEEP: [Job; 6] = [
    job("copies", "checkpoint", some, |store| {
        store.checkpoint(beside(store, "copy"), CheckpointOptions::default()).map(|_| ())
    }),
    job("copies", "first backup", some, |store| back_up(store, "first")),
    job("copies", "next backup", snapshots, |store| {
        // It waits for nobody: there is nobody.
        let options = BackupOptions::default().message("next").wait(Duration::ZERO);
        store.back_up(beside(store, "backup"), options).map(|_| ())
    }),
    Job {
        name: "pruning",
        group: "copies",
        visits: Visits::OfEachKind(4),
        ending: Ending::InSteps,
        set_up: snapshots,
        run: |store| backups(store)?.prune(PruneOptions::default().keep(1)).map(|_| ()),
    },
    job("copies", "restore", snapshots, |store| {
        backups(store)?.restore(beside(store, "restored"), RestoreOptions::default()).map(|_| ())
    }),
    job("copies", "restore of an older snapshot", snapshots, |store| {
        let options = RestoreOptions::default().snapshot(1);
        backups(store)?.restore(beside(store, "restored"), options).map(|_| ())
    }),
];
