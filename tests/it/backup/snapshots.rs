//! Backups: what is written, what is kept, what goes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use withy::{
    BackupOptions, Backups, CheckpointOptions, Clock, Create, Durability, ErrorKind, PruneOptions,
    RestoreOptions, Store, SystemClock, Timestamp,
};

use super::{Content, contents, grow, open, open_to_read, tree};
use crate::support::{TickingClock, must_fail, must_put};

#[test]
fn ops_5_each_snapshot_restores_what_the_store_was() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
    let store = open(&home);
    let mut then = Vec::new();
    for round in 1..=4 {
        grow(&store, round);
        let options = BackupOptions::default().message(format!("round {round}"));
        let made = store.back_up(&away, options).expect("a backup");
        assert_eq!((made.info.number, made.info.latest), (round, store.latest()), "it is told");
        then.push(Content::of(&store));
        if round == 2 {
            store.compact().expect("files are replaced");
        }
    }
    drop(store);
    // The store is not needed for any of it.
    std::fs::remove_dir_all(&home).expect("the store is lost");
    let backups = Backups::open(&away).expect("the backup");
    let report = backups.verify(Default::default()).expect("a report");
    assert_eq!((report.snapshots, report.faults.len(), report.unnamed), (4, 0, 0), "all is well");
    for (n, content) in then.iter().enumerate() {
        let target = dir.path().join(format!("restored-{n}"));
        let options = RestoreOptions::default().snapshot(n as u64 + 1);
        let restored = backups.restore(&target, options).expect("it is restored");
        assert_eq!(restored.latest, content.latest, "it says what it has made");
        assert_eq!(Content::at(&target), *content, "snapshot {} is what the store was", n + 1);
        let again = open(&target);
        must_put(&again.main().expect("main"), "later", "x");
    }
    let list = backups.list().expect("the list");
    let told: Vec<_> = list.iter().map(|info| (info.number, info.message.as_str())).collect();
    assert_eq!(told, [(1, "round 1"), (2, "round 2"), (3, "round 3"), (4, "round 4")]);
}

#[test]
fn ops_5_a_snapshot_writes_only_what_is_new() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
    let store = open(&home);
    grow(&store, 1);
    store.compact().expect("sorted files");
    let first = store.back_up(&away, Default::default()).expect("a backup");
    let before = contents(&away);
    assert_eq!(first.bytes_written, before.values().sum::<u64>(), "it says what it has written");
    assert_eq!(first.bytes_read, first.info.bytes, "the first one reads everything");
    must_put(&store.main().expect("main"), "pear", "green");
    let second = store.back_up(&away, Default::default()).expect("a backup");
    let after = contents(&away);
    assert!(before.iter().all(|(name, size)| after.get(name) == Some(size)), "nothing changes");
    let new: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
    assert_eq!(second.bytes_written, new, "it says what it has written");
    assert!(new < 64 << 10, "one small commit takes {new} bytes");
    assert!(second.bytes_read < second.info.bytes / 4, "sorted files are not read again");

    // A log that grows: all of its pieces but the last one are there already.
    let value = super::noise(1, 3 << 20);
    store.main().expect("main").put("large", value).expect("it is written");
    store.back_up(&away, Default::default()).expect("a backup");
    let before = contents(&away);
    must_put(&store.main().expect("main"), "pear", "yellow");
    let made = store.back_up(&away, Default::default()).expect("a backup");
    assert!(made.bytes_written < 2 << 20, "of 3 MiB and more in the log: {made:?}");
    assert!(contents(&away).len() - before.len() < 8, "few contents are new");
    let nothing = store.back_up(&away, Default::default()).expect("a backup");
    assert!(nothing.bytes_written < 16 << 10, "without a change nearly nothing: {nothing:?}");
}

#[test]
fn ops_5_a_reader_backs_up_beside_the_writer() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
    let store = open(&home);
    grow(&store, 1);
    let before = tree(&home);
    open_to_read(&home).back_up(&away, Default::default()).expect("a backup by a reader");
    assert_eq!(tree(&home), before, "no file of the store is changed or left");
    let content = Content::of(&store);
    grow(&store, 2);
    Backups::open(&away)
        .expect("the backup")
        .restore(dir.path().join("again"), Default::default())
        .expect("it is restored");
    assert_eq!(Content::at(&dir.path().join("again")), content, "what is in the log is in it");
    let checkpoint = dir.path().join("checkpoint");
    store.checkpoint(&checkpoint, CheckpointOptions::default()).expect("a checkpoint");
    open_to_read(&checkpoint).back_up(&away, Default::default()).expect("a copy has the same id");
    assert_eq!(Backups::open(&away).expect("the backup").list().expect("a list").len(), 2);
}

#[test]
fn ops_5_pruning_keeps_what_a_rule_keeps_and_removes_what_nobody_needs() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
    let clock = TickingClock::new();
    let day = |n: i64| Timestamp::from_millis(TickingClock::START.as_millis() + n * 86_400_000);
    let options = Store::options().durability(Durability::Buffered).clock(clock.clone());
    let store = options.open(&home).expect("open");
    let mut then = Vec::new();
    for round in 1..=6 {
        clock.set(day(round));
        grow(&store, round.unsigned_abs());
        store.compact().expect("files are replaced");
        store.back_up(&away, Default::default()).expect("a backup");
        then.push(Content::of(&store));
    }
    clock.set(day(7));
    let backups = Backups::open(&away).expect("the backup").clock(clock.clone());
    let numbers =
        || -> Vec<u64> { backups.list().expect("a list").iter().map(|info| info.number).collect() };
    let all = contents(&away);
    let none = backups.prune(PruneOptions::default()).expect("nothing to do");
    assert_eq!((none.snapshots.len(), none.contents), (0, 0), "without a rule all stay");
    let rules = || PruneOptions::default().keep(2).keep_within(Duration::from_secs(86_400 * 7 / 2));
    let would = backups.prune(rules().dry_run(true)).expect("it is told");
    assert_eq!((numbers().len(), contents(&away) == all), (6, true), "a dry run removes nothing");
    let pruned = backups.prune(rules()).expect("it is pruned");
    assert_eq!(would, pruned, "what was said is what was done");
    assert_eq!(pruned.snapshots, [1, 2, 3], "the others are younger than 3.5 days");
    assert_eq!(numbers(), [4, 5, 6]);
    let left = contents(&away);
    let gone: u64 = all.values().sum::<u64>() - left.values().sum::<u64>();
    assert_eq!((pruned.contents, pruned.bytes), ((all.len() - left.len()) as u64, gone));
    assert!(gone > 0, "files that were replaced are gone");
    let pruned = backups.prune(PruneOptions::default().keep(0)).expect("it is pruned");
    assert_eq!((pruned.snapshots, numbers()), (vec![4, 5], vec![6]), "the newest always stays");
    let report = backups.verify(Default::default()).expect("a report");
    assert_eq!((report.faults.len(), report.unnamed), (0, 0), "what is left is whole");
    backups.restore(dir.path().join("again"), Default::default()).expect("it is restored");
    assert_eq!(Content::at(&dir.path().join("again")), then[5], "the last one");
    store.back_up(&away, Default::default()).expect("a backup");
    assert_eq!(numbers(), [6, 7], "numbers go on");
}

#[test]
fn cli_4_a_backup_that_is_stopped_is_gone_on_with() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, away) = (dir.path().join("store"), dir.path().join("backup"));
    let store = open(&home);
    grow(&store, 1);
    store.compact().expect("sorted files");
    grow(&store, 2);
    let mut calls = 0;
    let options = BackupOptions::default().progress(|so_far| {
        calls += usize::from(so_far.stage == "backup" && so_far.items > 0);
        if calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = must_fail(store.back_up(&away, options), ErrorKind::Interrupted);
    assert_eq!(
        stopped.to_string(),
        "interrupted, there is no new snapshot; the next run uses what was copied"
    );
    let copied = contents(&away);
    assert!(!copied.is_empty(), "something was copied");
    assert!(!home.join("withy.staging").exists(), "nothing is left in the store");
    let backups = Backups::open(&away).expect("the backup");
    assert_eq!(backups.list().expect("a list").len(), 0, "there is no half snapshot");
    let unnamed = backups.verify(Default::default()).expect("a report").unnamed;
    assert_eq!(unnamed, copied.len() as u64, "what was copied belongs to none yet");
    let made = store.back_up(&away, Default::default()).expect("the next run");
    let all = contents(&away);
    assert!(copied.iter().all(|(name, size)| all.get(name) == Some(size)), "it is used");
    let new: u64 = all.values().sum::<u64>() - copied.values().sum::<u64>();
    assert_eq!(made.bytes_written, new, "and not written again");
    let pruned = backups.prune(Default::default()).expect("it is pruned");
    let report = backups.verify(Default::default()).expect("a report");
    assert_eq!((report.faults.len(), report.unnamed), (0, 0), "after {pruned:?}");
}

#[test]
fn ops_5_one_at_a_time_and_each_store_its_own() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let away = dir.path().join("backup");
    let store = open(&dir.path().join("store"));
    must_put(&store.main().expect("main"), "pear", "green");
    let mut inner = None;
    let options = BackupOptions::default().progress(|_| {
        inner.get_or_insert_with(|| {
            let backups = Backups::open(&away).expect("the backup");
            (store.back_up(&away, Default::default()), backups.prune(Default::default()))
        });
        ControlFlow::Continue(())
    });
    store.back_up(&away, options).expect("a backup");
    let (second, pruned) = inner.expect("it was called");
    let second = must_fail(second, ErrorKind::Busy);
    let holder = format!("process {}", std::process::id());
    assert!(second.to_string().contains(&holder), "the holder is named: {second}");
    must_fail(pruned, ErrorKind::Busy);
    let other = open(&dir.path().join("other"));
    must_fail(other.back_up(&away, Default::default()), ErrorKind::Incompatible);
    must_fail(other.back_up(dir.path().join("store"), Default::default()), ErrorKind::Incompatible);
    must_fail(Backups::open(dir.path().join("store")), ErrorKind::Incompatible);
    must_fail(Backups::open(dir.path().join("nowhere")), ErrorKind::NotFound);
    let newer = std::fs::read_to_string(away.join("withy.backup")).expect("the marker");
    std::fs::write(away.join("withy.backup"), newer.replace("format 1", "format 9"))
        .expect("write");
    let refused = must_fail(Backups::open(&away), ErrorKind::Incompatible);
    assert!(refused.to_string().ends_with("has backup format 9"), "{refused}");
}

#[test]
fn ops_5_a_backup_can_leave_the_disk_to_others() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = open(&dir.path().join("store"));
    store.main().expect("main").put("large", super::noise(1, 1 << 20)).expect("it is written");
    let begun = SystemClock.now().as_millis();
    let options = BackupOptions::default().bytes_per_second(2 << 20);
    let made = store.back_up(dir.path().join("backup"), options).expect("a backup");
    let took = u64::try_from(SystemClock.now().as_millis() - begun).expect("time goes on");
    let least = made.bytes_read * 1_000 / (2 << 20);
    assert!(took >= least * 9 / 10, "{} bytes in {took} ms", made.bytes_read);
    let absent = Store::options().create(Create::Never).clock(Arc::new(SystemClock));
    must_fail(absent.open(dir.path().join("backup")), ErrorKind::Incompatible);
}
