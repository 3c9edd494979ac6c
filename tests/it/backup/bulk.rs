//! Copies that are made beside bulk loads, whose rows are in files before their commit is in the log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use withy::exchange::{LoadOptions, load};
use withy::{Read, Store};

use super::{copy_by_turns, open};
use crate::support::is_long;

const ROWS: u64 = 50;

/// Loads a branch of its own each time, and writes commits in between, until it is told to end.
fn load_on(store: &Store, done: &AtomicBool, loaded: &AtomicU64) {
    let main = store.main().expect("main");
    for n in 0_u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let rows = (0..ROWS).map(|row| Ok((format!("{row:05}").into_bytes(), vec![b'x'; 100])));
        let options = LoadOptions::default().from("main");
        load(store, &format!("load/{n}"), rows, options).expect("it is loaded");
        main.put(format!("own/{:02}", n % 50), n.to_string()).expect("it is written");
        loaded.fetch_max(store.latest().get(), Ordering::SeqCst);
        // Looking at all of it must not take longer than loading it.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Every commit of the copy has its rows.
fn must_be_whole(copy: &Store) {
    for info in copy.branches().expect("the branches") {
        let view = copy.view(&format!("heads/{}", info.name)).expect("a view");
        let rows = view.prefix(b"").expect("a scan").filter(Result::is_ok).count();
        assert_eq!(rows as u64, view.len(), "{} has the rows that its commit counts", info.name);
    }
    let report = copy.verify(Default::default()).expect("a report");
    assert_eq!(report.findings, [], "fingerprints, counts and rows are those of the commits");
}

/// Ends the writer, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn ops_5_a_copy_beside_bulk_loads_has_no_commit_without_its_rows() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = open(&home);
    let long = is_long();
    let (done, loaded) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| load_on(&store, &done, &loaded));
        let _ends = Ends(&done);
        for n in 0..if long { 60 } else { 6 } {
            let acknowledged = loaded.load(Ordering::SeqCst);
            let copy = dir.path().join(format!("copy-{n}"));
            copy_by_turns(n, &store, &copy);
            let opened = open(&copy);
            assert!(opened.latest().get() >= acknowledged, "all that was acknowledged is in it");
            must_be_whole(&opened);
            drop(opened);
            std::fs::remove_dir_all(&copy).expect("it is removed");
        }
        done.store(true, Ordering::Relaxed);
    });
}
