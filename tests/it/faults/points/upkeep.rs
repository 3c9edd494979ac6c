//! What is stopped: collection, purge, and the making, pruning and restoring of copies.

use std::path::PathBuf;
use std::time::Duration;

use withy::{
    BackupOptions, Backups, Batch, CheckpointOptions, CommitOptions, DeleteOptions, Error,
    ErrorKind, GcOptions, KeyRange, MergeOptions, PruneOptions, PurgeOptions, RestoreOptions,
    Result, Setting, Store, TagOptions, VerifyBackupOptions,
};

use super::jobs::{Ending, Job, Visits, prepare, rows, some};
use crate::support::{must_branch, must_put};

/// A directory beside the store.
fn beside(store: &Store, name: &str) -> PathBuf {
    store.path().with_file_name(name)
}

/// A past in which there is something of every kind that is collected, and something that keeps it.
fn old(store: &Store) {
    some(store);
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("count=2")).expect("a setting");
    let main = store.main().expect("main");
    // So many bytes of keys that they are not removed in one write.
    let long = "k".repeat(900);
    for round in 0..4 {
        let mut batch = Batch::new();
        for n in 0..300 {
            batch.put(format!("{long}/{n:03}"), format!("{round}"));
        }
        main.write(batch, CommitOptions::default()).expect("it is written");
        must_put(&main, "large", &format!("{round}").repeat(40_000));
        if round == 1 {
            store.create_tag("kept", "main", TagOptions::default()).expect("a tag");
            must_branch(store, "fork", "main");
        }
    }
    store.merge("main", "topic", MergeOptions::default()).expect("it is merged");
    must_branch(store, "dead", "main~1");
    rows(store, "dead", 100, "dead");
    must_put(&store.branch("dead").expect("the branch"), "large", &"dead".repeat(10_000));
    must_put(&main, "large", "small");
    must_put(&main, "last", "one");
    prepare(store).expect("it is prepared");
    store.delete_branch("dead", DeleteOptions::default().force(true)).expect("it is deleted");
}

/// The same in files that are above each other, so that a compaction writes them anew.
fn layered(store: &Store) {
    old(store);
    store.compact().expect("it is compacted");
    let main = store.main().expect("main");
    must_put(&main, "large", &"again".repeat(9_000));
    must_put(&main, "key-2", "again");
    must_put(&store.branch("fork").expect("the branch"), "key-2", "again");
}

/// Branches that have replaced what they forked from, so that they are flattened.
fn replaced(store: &Store) {
    some(store);
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    must_branch(store, "first", "main");
    rows(store, "first", 200, "first");
    must_branch(store, "second", "first");
    rows(store, "second", 190, "second");
    must_put(&store.branch("second").expect("the branch"), "last", "one");
    let third = must_branch(store, "third", "second");
    must_put(&third, "own", "third");
    store.delete_branch("first", DeleteOptions::default().force(true)).expect("it is deleted");
}

/// Part of every value that is purged; no compression makes it shorter.
pub(super) const SECRET: &str = "qX7vB2mKz9LwT4hR8nYc";

/// Values to be purged wherever there are any: heads, history, below branches, in read layers, small and large.
fn secrets(store: &Store) {
    some(store);
    let main = store.main().expect("main");
    for round in 0..3 {
        let mut batch = Batch::new();
        // More than are rewritten in one write.
        for n in 0..400 {
            batch.put(format!("secret/{n:03}"), format!("{SECRET}{round}"));
        }
        batch.put("open", format!("{round}"));
        main.write(batch, CommitOptions::default()).expect("it is written");
        if round == 0 {
            store.create_tag("kept", "main", TagOptions::default()).expect("a tag");
            must_branch(store, "fork", "main");
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(30_000).collect();
    must_put(&main, "secret/large", &format!("{SECRET}{noise}"));
    must_put(&main, "secret/shared", &noise);
    must_put(&main, "shared", &noise);
    let fork = store.branch("fork").expect("fork");
    must_put(&fork, "secret/000", &format!("{SECRET}of the fork"));
    store.compact_overlays("fork").expect("read layers");
    crate::support::must_delete(&main, "secret/001");
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
    Job { visits: Visits::OfEachKind(2), ..super::jobs::job(group, name, set_up, run) }
}

pub(super) const UPKEEP: [Job; 11] = [
    Job {
        name: "collection",
        group: "gc",
        visits: Visits::OfEachKind(3),
        ending: Ending::InSteps,
        set_up: old,
        run: |store| store.gc(GcOptions::default()).map(|_| ()),
    },
    Job {
        name: "flattening",
        group: "gc",
        visits: Visits::OfEachKind(6),
        ending: Ending::InSteps,
        set_up: replaced,
        run: |store| store.gc(GcOptions::default()).map(|_| ()),
    },
    Job {
        name: "purge",
        group: "purge",
        visits: Visits::OfEachKind(3),
        ending: Ending::ByOpening,
        set_up: secrets,
        run: |store| {
            let options = PurgeOptions::default().reason("it leaked");
            store.purge(&KeyRange::prefix("secret/"), options).map(|_| ())
        },
    },
    Job {
        name: "compaction",
        group: "compaction",
        visits: Visits::OfEachKind(3),
        ending: Ending::Unseen,
        set_up: layered,
        run: Store::compact,
    },
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
    Job {
        ending: Ending::Unseen,
        ..job("copies", "verification of a backup", snapshots, |store| {
            let report = backups(store)?.verify(VerifyBackupOptions::default())?;
            let Some(fault) = report.faults.into_iter().next() else { return Ok(()) };
            // One that cannot be read now may be whole.
            assert!(fault.what.starts_with("it cannot be read"), "it is damaged: {fault:?}");
            assert_eq!(fault.moved_to, None, "it stays where it is");
            Err(Error::new(ErrorKind::Io, fault.what))
        })
    },
    job("copies", "restore", snapshots, |store| {
        backups(store)?.restore(beside(store, "restored"), RestoreOptions::default()).map(|_| ())
    }),
    job("copies", "restore of an older snapshot", snapshots, |store| {
        let options = RestoreOptions::default().snapshot(1);
        backups(store)?.restore(beside(store, "restored"), options).map(|_| ())
    }),
];
