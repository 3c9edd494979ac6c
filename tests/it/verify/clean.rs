//! Whole stores are clean, and verifying them changes nothing.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use withy::{ErrorKind, Store, VerifyOptions};

use super::world::{copy, world};
use super::{told, verify_at};
use crate::support::raw::raw_rows;
use crate::support::{Scratch, must_branch, must_fail, must_put, must_verify};

#[test]
fn ops_6_a_whole_store_with_everything_in_it_is_clean() {
    let (_dir, path) = copy();
    let before = raw_rows(&path);
    let report = verify_at(&path);
    assert!(report.is_clean(), "nothing is wrong:\n{}", told(&report.findings));
    assert_eq!(report.latest, world().newest, "everything is judged");
    assert_eq!(report.commits, world().newest.get() + 1, "every commit, the root included");
    let versions = before.keys().filter(|(family, _)| ["head", "history"].contains(family)).count();
    assert_eq!(report.versions, versions as u64, "every version of every key");
    assert_eq!(report.blobs, 3, "every large value");
    assert_eq!((report.orphan_blobs, report.leftovers), (0, vec![]), "nothing is left over");
    assert_eq!(raw_rows(&path), before, "OPS-8: nothing is changed by it");
}

#[test]
fn ops_6_an_open_store_is_verified_as_one_that_is_closed() {
    let (_dir, path) = copy();
    let store = Store::open(&path).expect("it opens");
    let one = must_verify(&store);
    let quick = store.verify(VerifyOptions::default().quick(true)).expect("verified");
    assert!(quick.is_clean(), "without hashes too:\n{}", told(&quick.findings));
    let alone = store.verify(VerifyOptions::default().threads(1)).expect("verified");
    assert_eq!(one, alone, "however many threads");
    drop(store);
    assert_eq!(verify_at(&path).versions, one.versions, "the same is read from disk");
}

#[test]
fn ops_6_a_branch_is_verified_with_what_it_reads() {
    let (_dir, path) = copy();
    let verify = |branch: &str| Store::verify_at(&path, VerifyOptions::default().branch(branch));
    let topic = verify("topic").expect("verified");
    assert!(topic.is_clean(), "nothing is wrong:\n{}", told(&topic.findings));
    let main = verify("main").expect("verified");
    assert!(main.is_clean(), "nothing is wrong:\n{}", told(&main.findings));
    assert_eq!((main.lines, topic.lines), (1, 2), "its line and those below it");
    assert_eq!(topic.commits, main.commits + 1, "and their commits, no others");
    assert!(verify("deep7").expect("verified").is_clean(), "through read layers");
    must_fail(verify("nobody"), ErrorKind::NotFound);
}

#[test]
fn ops_6_a_store_is_verified_while_it_is_written() {
    let store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0u32.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                must_put(
                    &main,
                    &format!("k{}", n % 20),
                    &n.to_string().repeat(1 + n as usize % 30),
                );
                if n % 10 == 0 {
                    let name = format!("b{n}");
                    must_put(&must_branch(&store, &name, "main"), "own", &name);
                }
            }
        });
        for _ in 0..10 {
            must_verify(&store);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(must_verify(&store).latest, store.latest(), "up to the newest commit");
}

#[test]
fn cli_4_a_verification_can_be_interrupted_and_tells_how_far_it_is() {
    let (_dir, path) = copy();
    let stop = VerifyOptions::default().progress(|_| ControlFlow::Break(()));
    must_fail(Store::verify_at(&path, stop), ErrorKind::Interrupted);
    let mut rows = 0;
    let options = VerifyOptions::default().progress(|so_far| {
        assert!(so_far.items >= rows, "it goes on");
        rows = so_far.items;
        ControlFlow::Continue(())
    });
    let report = Store::verify_at(&path, options).expect("verified");
    assert_eq!(rows, report.rows, "at the end all rows were read");
}
