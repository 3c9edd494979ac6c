//! OPS-7: what others hold keeps a purge from beginning, and what they may do while it is under way.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use withy::{
    CommitOptions, ErrorKind, MergeOptions, PurgeOptions, Read, Store, Strategy, VerifyOptions,
    VerifyReport,
};

use super::purge::{fill, found_in, must_purge, range, secret};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, must_verify, rows};

#[test]
fn ops_7_a_purge_is_refused_while_somebody_holds_a_key_of_it() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "secret/a", &secret(1));
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "secret/a", &secret(2));
    must_put(&main, "secret/a", &secret(3));
    let keep = MergeOptions::default().keep_open(true);
    store.merge("main", "topic", keep).expect("it stops at its conflict");
    let refused = |what: &str| {
        let latest = store.latest();
        let e = must_fail(store.purge(&range(), PurgeOptions::default()), ErrorKind::Busy);
        assert_eq!(e.to_string(), what, "it is named");
        assert_eq!(store.latest(), latest, "nothing has changed");
        assert_eq!(store.purges().expect("records"), [], "nothing is recorded");
    };
    refused("the merge that is open on main holds secret/a");
    store.abort_merge("main").expect("aborted");
    let mut tx = store.begin("main").expect("a transaction");
    tx.put("secret/new", secret(4)).expect("it is put");
    tx.prepare("order 17", CommitOptions::default()).expect("prepared");
    refused("prepared transaction order 17 holds secret/new");
    store.rollback_prepared("order 17").expect("rolled back");
    must_purge(&store);
    store.sync().expect("on disk");
    assert_eq!(found_in(&store.path()), 0, "nor is what was prepared or in conflict left");
}

#[test]
fn ops_7_a_merge_of_what_is_being_purged_waits_for_its_end() {
    for stop_at in 1..12 {
        let store = Scratch::new();
        fill(&store);
        let side = must_branch(&store, "side", "v1");
        must_put(&side, "secret/again", "side");
        must_put(&side, "open/side", "side");
        let mut calls = 0;
        let options = PurgeOptions::default().progress(|_| {
            calls += 1;
            if calls > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if store.purge(&range(), options).is_ok() {
            assert!(stop_at > 4, "it was stopped at many places");
            return;
        }
        let before = rows(&store.main().expect("main"));
        // The tag has some values still: they come back neither by a merge nor by a restore.
        let theirs = || MergeOptions::default().strategy(Strategy::Theirs);
        must_put(&side, "secret/new", "after the purge");
        let begun = !store.purges().expect("records").is_empty();
        if begun {
            let merged = store.merge("main", "side", theirs());
            must_fail(merged, ErrorKind::Busy);
            let back = store.restore("main", "v1", &range(), CommitOptions::default());
            must_fail(back, ErrorKind::Busy);
            assert_eq!(rows(&store.main().expect("main")), before, "nothing has changed");
            let other = must_branch(&store, "other", "main");
            must_put(&other, "open/other", "1");
            store.merge("main", "other", theirs()).expect("a branch is moved on all the same");
        }
        must_purge(&store);
        store.merge("main", "side", theirs()).expect("afterwards it is merged");
        let left = store.main().expect("main").count(&range()).expect("a count");
        assert_eq!(left, 0, "the next purge has removed what was put meanwhile, too");
        must_verify(&store);
    }
}

#[test]
fn ops_7_a_purge_is_refused_while_files_of_a_salvage_are_in_the_store() {
    let store = Scratch::new();
    fill(&store);
    let aside = store.path().join("salvage-2026-01-01T00-00-00.000Z");
    std::fs::create_dir(&aside).expect("mkdir");
    let refused = must_fail(store.purge(&range(), PurgeOptions::default()), ErrorKind::Busy);
    assert!(refused.to_string().contains("salvage-2026"), "it is named: {refused}");
    assert!(store.purges().expect("records").is_empty(), "nothing has begun");
    std::fs::remove_dir(&aside).expect("rmdir");
    must_purge(&store);
}

#[test]
fn ops_7_a_purge_is_refused_while_the_store_is_verified() {
    let store = Scratch::new();
    fill(&store);
    let mut refusals = Vec::new();
    let verify = VerifyOptions::default().progress(|_| {
        refusals.push(store.purge(&range(), PurgeOptions::default()).err());
        ControlFlow::Continue(())
    });
    assert!(store.verify(verify).expect("a report").is_clean(), "nothing is wrong");
    let first = refusals.swap_remove(0).expect("it is refused");
    assert_eq!(
        (first.kind(), first.to_string()),
        (ErrorKind::Busy, "the store is being verified".into())
    );
    assert_eq!(store.purges().expect("records"), [], "nothing is recorded");
    must_purge(&store);
    assert_eq!(found_in(&store.path()), 0, "afterwards nothing is left");
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Says, when dropped, that a verification may end; also where a check fails, so that nobody waits for good.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A verification that has its state of the store, says so, and holds it until it may end.
fn hold(store: &Store, begun: &AtomicBool, ended: &AtomicBool) -> VerifyReport {
    let options = VerifyOptions::default().progress(|_| {
        begun.store(true, Ordering::Release);
        wait_for(ended);
        ControlFlow::Continue(())
    });
    store.verify(options).expect("a report")
}

#[test]
fn ops_7_a_purge_waits_for_verifications_that_have_begun_meanwhile() {
    let store = Scratch::new();
    fill(&store);
    let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (store, begun, ended): (&Store, _, _) = (&store, &begun, &ended);
        let mut verification = None;
        let options = PurgeOptions::default().progress(|progress| {
            if progress.stage == "values" && verification.is_none() {
                verification = Some(scope.spawn(move || hold(store, begun, ended)));
                wait_for(begun);
            }
            if progress.stage == "files" && !ended.load(Ordering::Acquire) {
                // Later than the purge would be done with the files if it did not wait.
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(300));
                    ended.store(true, Ordering::Release);
                });
            }
            ControlFlow::Continue(())
        });
        store.purge(&range(), options).expect("it is purged");
        assert_eq!(found_in(store.path()), 0, "nothing is left when it says so");
        assert!(ended.load(Ordering::Acquire), "the verification was waited for");
        let report = verification.expect("it has begun").join().expect("it ends");
        assert!(report.is_clean(), "nothing is wrong: {:?}", report.findings);
    });
    must_verify(&store);
}

/// A purge that its caller stops while it waits for a verification, which ends afterwards.
fn stop_while_waiting(store: &Scratch) {
    let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (begun, ended) = (&begun, &ended);
        let ends = Ends(ended);
        let (mut verification, mut waits) = (None, 0);
        let options = PurgeOptions::default().progress(|progress| {
            if progress.stage == "values" && verification.is_none() {
                let store: &Store = store;
                verification = Some(scope.spawn(move || hold(store, begun, ended)));
                wait_for(begun);
            }
            // First it says what it does now; it tells again only because it waits.
            waits += u32::from(progress.stage == "files");
            if waits > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = must_fail(store.purge(&range(), options), ErrorKind::Interrupted);
        assert_eq!(stopped.to_string(), "interrupted, the store is whole", "it says so");
        assert!(!ended.load(Ordering::Acquire), "the verification has not ended");
        let purges = store.purges().expect("records");
        assert_eq!(purges.iter().map(|one| one.is_done).collect::<Vec<_>>(), [false], "under way");
        let busy = must_fail(store.purge(&range(), PurgeOptions::default()), ErrorKind::Busy);
        assert_eq!(busy.to_string(), "the store is being verified", "nor does the next one wait");
        let main = store.main().expect("main");
        assert_eq!(main.count(&range()).expect("a count"), 0, "reads find nothing of it");
        must_put(&main, "open/meanwhile", "1");
        let side = must_branch(store, "side", "v1");
        must_put(&side, "secret/again", "side");
        let theirs = MergeOptions::default().strategy(Strategy::Theirs);
        must_fail(store.merge("main", "side", theirs), ErrorKind::Busy);
        drop(ends);
        let report = verification.expect("it has begun").join().expect("it ends");
        assert!(report.is_clean(), "nothing is wrong: {:?}", report.findings);
    });
    store.sync().expect("on disk");
    assert!(found_in(&store.path()) > 0, "the files still have it");
}

#[test]
fn ops_7_a_purge_that_is_stopped_while_it_waits_for_a_verification_is_finished_by_the_next() {
    let store = Scratch::new();
    fill(&store);
    stop_while_waiting(&store);
    must_purge(&store);
    let purges = store.purges().expect("records").into_iter();
    let done: Vec<_> = purges.map(|one| (one.number, one.is_done)).collect();
    assert_eq!(done, [(1, true), (2, true)], "the one that was stopped, and the next");
    assert_eq!(found_in(&store.path()), 0, "nothing is left");
    must_verify(&store);
}

#[test]
fn ops_7_a_purge_that_is_stopped_while_it_waits_for_a_verification_is_finished_by_an_open() {
    let mut store = Scratch::new();
    fill(&store);
    stop_while_waiting(&store);
    store.reopen();
    let purges = store.purges().expect("records").into_iter();
    let done: Vec<_> = purges.map(|one| (one.number, one.is_done)).collect();
    assert_eq!(done, [(1, true)], "it is done");
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "open/meanwhile").as_deref(), Some("1"), "and all else is there");
    let side = store.branch("side").expect("side");
    assert_eq!(must_get(&side, "secret/again").as_deref(), Some("side"), "also what came later");
    must_verify(&store);
    store.close();
    assert_eq!(found_in(&store.path()), 0, "nothing is left");
}
