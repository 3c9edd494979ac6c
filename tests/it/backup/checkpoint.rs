//! Checkpoints: stores that are copies.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use withy::{CheckpointOptions, ErrorKind, Read, Store};

use super::{Content, copy_by_turns, grow, open, open_to_read, tree};
use crate::support::{must_fail, must_put};

#[test]
fn ops_5_a_checkpoint_opens_as_a_store_that_is_equal_and_goes_its_own_way() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (home, copy) = (dir.path().join("store"), dir.path().join("deep/er/copy"));
    let store = open(&home);
    grow(&store, 1);
    let made = store.checkpoint(&copy, CheckpointOptions::default()).expect("a checkpoint");
    let before = Content::of(&store);
    assert_eq!(made.latest, before.latest, "nothing was written meanwhile");
    assert_eq!((made.files, made.bytes), {
        let files = tree(&copy);
        (files.len() as u64, files.values().sum())
    });
    grow(&store, 2);
    assert_eq!(Content::at(&copy), before, "branches, tags, history and feed are as they were");
    let own = open(&copy);
    assert_eq!(own.id(), store.id(), "it keeps the id");
    must_put(&own.main().expect("main"), "own", "way");
    let after = Content::of(&store);
    assert!(!after.branches["main"].2.iter().any(|(key, _)| key == b"own"), "two stores");
    drop((own, store));
    assert_eq!(Content::at(&home), after, "what the copy writes does not reach the store");
    assert_eq!(tree(dir.path()).keys().filter(|name| name.contains(".new")).count(), 0, "no rest");
}

#[test]
fn ops_5_checkpoints_while_others_write_and_read_hold_what_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = open(&home);
    grow(&store, 1);
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (store, done, written) = (&store, &done, &written);
            scope.spawn(move || {
                let main = store.main().expect("main");
                for n in 0_u64.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    // Looking at all of it must not take longer than writing it.
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    let seq = must_put(&main, &format!("w{writer}/{n:06}"), &format!("{n}"));
                    written.fetch_max(seq.get(), Ordering::SeqCst);
                    assert!(main.get(b"large/1").expect("a read").is_some(), "reads go on");
                }
            });
        }
        for n in 0..8 {
            let acknowledged = written.load(Ordering::SeqCst);
            let copy = dir.path().join(format!("copy-{n}"));
            copy_by_turns(n, &store, &copy);
            if n == 3 {
                store.compact().expect("files are replaced");
            }
            let opened = open(&copy);
            assert!(opened.latest().get() >= acknowledged, "all that was acknowledged is in it");
            must_be_prefix(&opened, &store);
            drop(opened);
            std::fs::remove_dir_all(&copy).expect("it is removed");
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The copy is the original as of the copy's newest commit.
fn must_be_prefix(copy: &Store, original: &Store) {
    let (small, large) = (Content::of(copy), Content::of(original));
    assert_eq!(small.feed[..], large.feed[..small.feed.len()], "the feed is a prefix");
    assert_eq!(small.feed.last().map(|last| last.0), Some(small.latest), "without a gap");
    for (name, (head, fingerprint, rows)) in small.branches {
        let then = original.view(&format!("seq:{head}")).expect("the same commit");
        assert_eq!(then.fingerprint().to_string(), fingerprint, "{name} at {head}");
        let there: BTreeMap<_, _> =
            then.prefix(b"").expect("a scan").map(|row| row.expect("a row")).collect();
        assert!(there == rows.into_iter().collect(), "{name} has the rows of its head");
    }
}

#[test]
fn ops_5_a_large_log_is_not_copied_each_time() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = open(&dir.path().join("store"));
    for round in 0..4 {
        let value = super::noise(round, 8 << 20);
        store.main().expect("main").put(format!("{round}"), value).expect("it is written");
    }
    store.checkpoint(dir.path().join("copy"), Default::default()).expect("a checkpoint");
    let files = tree(&dir.path().join("copy"));
    let logs: u64 = files.iter().filter(|(name, _)| name.ends_with(".log")).map(|f| f.1).sum();
    assert!(logs < 16 << 20, "32 MiB of log are written to sorted files first: {files:?}");
    assert_eq!(Content::at(&dir.path().join("copy")), Content::of(&store), "nothing is missing");
}

#[test]
fn ops_5_a_reader_copies_what_is_in_the_log_only() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = open(&home);
    must_put(&store.main().expect("main"), "pear", "green");
    let reader = open_to_read(&home);
    reader.checkpoint(dir.path().join("copy"), Default::default()).expect("a checkpoint");
    must_put(&store.main().expect("main"), "pear", "yellow");
    let copy = open(&dir.path().join("copy"));
    let pear = copy.main().expect("main").get(b"pear").expect("a read");
    assert_eq!(pear.as_deref(), Some(&b"green"[..]), "the copy has it, and does not change after");
    let before = tree(&home);
    drop(reader.checkpoint(dir.path().join("copy2"), Default::default()).expect("a checkpoint"));
    assert_eq!(tree(&home), before, "a reader's checkpoint changes no file of the store");
}

#[test]
fn ops_5_a_checkpoint_never_goes_over_what_is_there() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = open(&dir.path().join("store"));
    must_put(&store.main().expect("main"), "pear", "green");
    let target = dir.path().join("target");
    std::fs::create_dir(&target).expect("mkdir");
    store.checkpoint(&target, Default::default()).expect("an empty directory will do");
    let again = must_fail(store.checkpoint(&target, Default::default()), ErrorKind::Exists);
    assert_eq!(again.to_string(), format!("{} is a store already", target.display()));
    let full = dir.path().join("full");
    std::fs::create_dir(&full).expect("mkdir");
    std::fs::write(full.join("letter"), "x").expect("a file");
    must_fail(store.checkpoint(&full, Default::default()), ErrorKind::Exists);
    let inside = store.path().join("copies").join("one");
    must_fail(store.checkpoint(&inside, Default::default()), ErrorKind::Invalid);
    must_fail(store.back_up(store.path().join("backup"), Default::default()), ErrorKind::Invalid);
    assert!(!store.path().join("copies").exists(), "nothing was made in the store");
    must_fail(store.checkpoint(full.join("letter"), Default::default()), ErrorKind::Exists);
    let beside = dir.path().join("other.new");
    std::fs::create_dir(&beside).expect("mkdir");
    std::fs::write(beside.join("letter"), "x").expect("a file");
    must_fail(store.checkpoint(dir.path().join("other"), Default::default()), ErrorKind::Exists);
    assert!(beside.join("letter").exists(), "what is not withy's is left alone");
    assert_eq!(tree(&full).len(), 1, "and nothing is put beside it");
}

#[test]
fn cli_4_a_checkpoint_that_is_stopped_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = open(&dir.path().join("store"));
    grow(&store, 1);
    let before = tree(dir.path());
    for stop_at in 1..=2 {
        let mut calls = 0;
        let options = CheckpointOptions::default().progress(|_| {
            calls += 1;
            if calls == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = store.checkpoint(dir.path().join("copy"), options);
        must_fail(stopped, ErrorKind::Interrupted);
        let left: Vec<_> =
            tree(dir.path()).into_keys().filter(|n| !before.contains_key(n)).collect();
        assert!(left.iter().all(|name| name.starts_with("store/")), "nothing is left: {left:?}");
    }
    store.checkpoint(dir.path().join("copy"), Default::default()).expect("and the next one works");
}

#[test]
fn ops_5_another_disk_gets_a_copy_too() {
    // The machine may have no second disk that can be written to.
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = open(&home);
    grow(&store, 1);
    store.compact().expect("sorted files");
    grow(&store, 2);
    let mut stages = Vec::new();
    let options = CheckpointOptions::default().progress(|so_far| {
        stages.push(so_far.stage);
        ControlFlow::Continue(())
    });
    store.checkpoint(other.path().join("copy"), options).expect("a checkpoint");
    assert_eq!(Content::at(&other.path().join("copy")), Content::of(&store), "it is equal");
    assert!(stages.contains(&"copy"), "the copying tells its progress: {stages:?}");
    let reader = open_to_read(&home);
    reader.checkpoint(other.path().join("copy2"), Default::default()).expect("a checkpoint");
    assert_eq!(Content::at(&other.path().join("copy2")), Content::of(&store), "by a reader too");
    assert!(!home.join("withy.staging").exists(), "nothing is left in the store");
}
