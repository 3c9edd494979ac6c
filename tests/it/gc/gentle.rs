//! OPS-7: a collection lets others work: commits do not wait for its planning, and its compaction
//! can be stopped.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use withy::exchange::{LoadOptions, load};
use withy::{
    Clock as _, CommitOptions, DeleteOptions, ErrorKind, GcOptions, Read as _, Setting, SystemClock,
};

use super::retention::bytes_of;
use crate::support::{Scratch, is_long, must_branch, must_put, must_verify};

/// Milliseconds.
fn now() -> i64 {
    SystemClock.now().as_millis()
}

/// How many milliseconds the longest of the puts takes that are made while a collection runs.
fn longest_put(store: &Scratch) -> i64 {
    let (ended, main) = (AtomicBool::new(false), store.main().expect("main"));
    std::thread::scope(|scope| {
        let puts = scope.spawn(|| {
            let mut longest = 0;
            for n in 0_u64.. {
                let began = now();
                must_put(&main, "n", &n.to_string());
                longest = longest.max(now() - began);
                if ended.load(Ordering::SeqCst) {
                    break;
                }
            }
            longest
        });
        let done = store.gc(GcOptions::default().compact(false));
        ended.store(true, Ordering::SeqCst);
        assert!(!done.expect("a collection").postponed, "puts move no ref");
        puts.join().expect("every put succeeds")
    })
}

#[test]
fn ops_7_a_put_does_not_wait_until_every_branch_was_looked_at() {
    let store = Scratch::new();
    let branches = if is_long() { 10_000 } else { 500 };
    let main = store.main().expect("main");
    for n in 0..branches {
        let branch = must_branch(&store, &format!("b{n:05}"), "main");
        must_put(&branch, "own", "1");
        must_put(&branch, "own", "2");
        if n % 10 == 0 {
            must_put(&main, "own", &n.to_string());
        }
    }
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("branch=b* count=1")).expect("a setting");
    // First every branch loses something, then none does.
    let (first, second) = (longest_put(&store), longest_put(&store));
    writeln!(std::io::stderr(), "{branches} branches: {first} ms, {second} ms")
        .expect("it is said");
    for n in (0..branches).step_by(97) {
        let gone = store.view(&format!("b{n:05}~1")).err().map(|e| e.kind());
        assert_eq!(gone, Some(ErrorKind::HistoryGone), "the one before the newest is gone");
    }
    // On a machine with other work a thread may wait for its turn.
    let most = if is_long() { 100 } else { 1_000 };
    assert!(first < most && second < most, "the longest put took {first} ms, then {second} ms");
}

#[test]
fn ops_7_the_compaction_at_the_end_can_be_stopped_and_gives_the_space_back() {
    let store = Scratch::new();
    must_put(&store.main().expect("main"), "pear", "green");
    let mut random = fastrand::Rng::with_seed(1);
    let rows = (0..100_000_u32).map(|n| {
        let value: Vec<u8> = (0..1_000).map(|_| random.u8(..)).collect();
        Ok((format!("row/{n:06}").into_bytes(), value))
    });
    let options = LoadOptions::default().from("main");
    load(&store, "large", rows, options).expect("it is loaded");
    // The newest commit is always kept.
    must_put(&store.main().expect("main"), "pear", "yellow");
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.delete_branch("large", DeleteOptions::default().force(true)).expect("it goes");
    let mut compacted = 0;
    let options = GcOptions::default().bytes_per_second(64 << 20).progress(|so_far| {
        compacted += u32::from(so_far.stage == "compact");
        // The first call says that it begins, the second one comes after the first slice.
        if compacted > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = store.gc(options).map_err(|e| e.kind());
    assert_eq!(stopped, Err(ErrorKind::Interrupted), "it is stopped between two slices");
    store.gc(GcOptions::default().bytes_per_second(64 << 20)).expect("a collection");
    store.sync().expect("on disk");
    let used = bytes_of(&store.path());
    assert!(used < 4 << 20, "the space of the branch is given back: {used} bytes are left");
    must_verify(&store);
}

#[test]
fn ops_7_transactions_that_are_prepared_all_the_time_do_not_hold_up_a_collection() {
    let store = Scratch::new();
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    let main = store.main().expect("main");
    must_put(&main, "n", "0");
    // To plan for so many lines takes longer than to prepare a transaction.
    for n in 0..1000 {
        must_put(&must_branch(&store, &format!("topic-{n}"), "main"), "n", "1");
    }
    let done = AtomicBool::new(false);
    let (reports, prepared) = std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let mut tx = store.begin("main").expect("a transaction");
                tx.put(format!("own/{count}"), "yes").expect("it is put");
                tx.prepare(&format!("order {count}"), CommitOptions::default()).expect("prepared");
                // One of them is prepared at any time, on what was the newest commit.
                if count > 0 {
                    store.commit_prepared(&format!("order {}", count - 1)).expect("it commits");
                }
                count += 1;
            }
            count
        });
        let gc = || store.gc(GcOptions::default()).expect("a collection");
        let reports: Vec<_> = (0..5).map(|_| gc()).collect();
        done.store(true, Ordering::Relaxed);
        (reports, busy.join().expect("it ends"))
    });
    let postponed = reports.iter().filter(|report| report.postponed).count();
    assert_eq!(postponed, 0, "of five collections, beside {prepared} transactions");
    store.commit_prepared(&format!("order {}", prepared - 1)).expect("the last one commits");
    must_verify(&store);
    assert_eq!(main.prefix(b"own/").expect("a scan").count(), prepared, "all have committed");
}
