//! OPS-1: the power goes off. Every call of a process that changes files is written down; from that the
//! disk is made as it may be found at any moment, and opened.
//!
//! `WITHY_LONG=1` cuts 200 times at each durability.

mod disk;
mod trace;

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use withy::exchange::{LoadOptions, load};
use withy::{BranchOptions, Durability, ErrorKind, Seq, Store};

use self::disk::Disk;
use self::trace::Op;
use super::content::{Content, must_be_tidy, must_feed};
use super::kill::{Said, WRITERS, Writer, must_be_whole, must_have, open};
use super::shim;
use crate::support::process::say;
use crate::support::{is_long, must_get, must_put};

/// Name the store, the durability and the seed of the process that is traced.
const STORE: &str = "WITHY_TEST_POWER";
const DURABILITY: &str = "WITHY_TEST_POWER_DURABILITY";
const SEED: &str = "WITHY_TEST_POWER_SEED";

/// Not a test by itself: the process that is traced. It opens the store three times, so that logs are
/// replayed, written to files and removed.
#[test]
fn worker() {
    let (Ok(path), Ok(durability), Ok(seed)) =
        (std::env::var(STORE), std::env::var(DURABILITY), std::env::var(SEED))
    else {
        return;
    };
    let seed: u64 = seed.parse().expect("a number");
    for session in 0..3_u32 {
        let store = open(Path::new(&path), &durability);
        for me in 0..WRITERS {
            if store.branch(&format!("b{me}")).is_err() {
                let made = store.create_branch(&format!("b{me}"), "main", BranchOptions::default());
                made.expect("a branch is made");
            }
        }
        std::thread::scope(|threads| {
            for me in 0..WRITERS {
                let seed = seed * 100 + u64::from(session * WRITERS + me);
                let mut writer = Writer::new(&store, me, session, seed);
                threads.spawn(move || writer.run(Some(25)));
            }
        });
        let row = |n: u32| Ok((format!("row/{session}/{n:05}").into_bytes(), vec![b'v'; 30]));
        let options = LoadOptions::default().from("main").memory(1 << 16);
        load(&store, "loaded", (0..3_000).map(row), options).expect("it is loaded");
        say(&format!("synced {}\n", store.latest()));
        store.main().expect("main").put("last", format!("{session}")).expect("it is put");
        if session == 1 {
            store.sync().expect("it is synced");
            say(&format!("synced {}\n", store.latest()));
        }
        store.close().expect("it closes");
    }
}

/// The trace of one process.
fn trace_one(library: &Path, store: &Path, durability: &str, seed: u64) -> Vec<Op> {
    let (file, boot) = (store.with_extension("trace"), store.with_extension("boot"));
    // The power cut ends this run of the machine: whoever opens the store afterwards is in another one.
    std::fs::write(&boot, "5f1c7b1e-0000-4000-8000-000000000000\n").expect("a file is written");
    let done = shim::process(library, "faults::power::worker", store)
        .env("WITHY_SHIM_TRACE", &file)
        .env("WITHY_SHIM_BOOT", &boot)
        .env(STORE, store)
        .env(DURABILITY, durability)
        .env(SEED, seed.to_string())
        .output()
        .expect("a process starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "the process ends well: {said}");
    trace::read(&std::fs::read(file).expect("the trace is read"))
}

/// What was said, as far as it must be there; and the newest commit that was synced.
fn acknowledged(disk: &Disk, durability: &str, latest: Seq) -> (Said, Seq) {
    let text = String::from_utf8_lossy(&disk.said);
    let (mut said, mut synced) = (Said::default(), Seq::ROOT);
    // The last line may not have been said in full.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        said.take(line);
        if let Some(seq) = line.strip_prefix("synced ") {
            synced = Seq::new(seq.parse().expect("a sequence"));
        }
    }
    if durability == "buffered" {
        said.forget_after(latest);
    }
    (said, synced)
}

/// How many stores needed a salvage.
static SALVAGED: AtomicUsize = AtomicUsize::new(0);

/// Makes a store open again if the cut has left a hole where it cannot be told from damage: before the end of
/// the manifest, and with commits that are not synced between two logs.
fn salvage_if_refused(path: &Path, durability: &str) {
    let Err(e) = Store::options().read_only(true).open(path) else { return };
    let text = e.to_string();
    let is_gap = durability == "buffered" && text.contains("right before this record is missing");
    if e.kind() == ErrorKind::Corrupt && (text.contains("file MANIFEST-") || is_gap) {
        SALVAGED.fetch_add(1, Ordering::Relaxed);
        let report = Store::salvage(path).expect("it is salvaged");
        assert_eq!(report.damage, [], "and nothing is wrong with the rest");
        std::fs::remove_dir_all(path.join(&report.dir)).expect("what is kept aside is removed");
    }
}

/// Opens what a cut has left, and looks at everything.
fn must_recover(path: &Path, disk: &Disk, durability: &str) {
    salvage_if_refused(path, durability);
    let store = open(path, durability);
    let latest = store.latest();
    let (said, synced) = acknowledged(disk, durability, latest);
    assert!(latest >= synced, "what was synced is there: {synced} of {latest}");
    let feed = must_feed(&store);
    must_be_whole(&feed);
    must_have(&store, &said, &feed);
    let _ = Content::of(&store);
    must_put(&store.main().expect("main"), "after", "the cut");
    store.close().expect("it closes");
    must_be_tidy(path, "after a cut");
    let store = Store::options().durability(Durability::Sync).open(path).expect("it opens again");
    let after = must_get(&store.main().expect("main"), "after");
    assert_eq!(after.as_deref(), Some("the cut"), "writing has gone on");
}

fn cut_power(durability: &str, cuts: u32, per_trace: u32) {
    let Some(library) = shim::library() else { return };
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let mut acknowledgements = 0;
    for seed in 0..u64::from(cuts / per_trace) {
        let store = dir.path().join(format!("store-{seed}"));
        let ops = trace_one(library, &store, durability, seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut places: Vec<usize> = (0..per_trace).map(|_| random.usize(0..=ops.len())).collect();
        places.sort_unstable();
        let (mut disk, mut done) = (Disk::default(), 0);
        for place in places {
            ops[done..place].iter().for_each(|op| disk.step(op));
            done = place;
            let path = dir.path().join("cut").join("store");
            let _ = std::fs::remove_dir_all(dir.path().join("cut"));
            std::fs::create_dir(dir.path().join("cut")).expect("a directory is made");
            disk.cut(&mut random, &store, &path);
            let checked = std::panic::catch_unwind(|| must_recover(&path, &disk, durability));
            if let Err(panic) = checked {
                let text = format!("trace {seed}, {durability}, cut at {place} of {}\n", ops.len());
                let _ = std::io::stderr().write_all(text.as_bytes());
                std::panic::resume_unwind(panic);
            }
            acknowledgements += disk.said.iter().filter(|&&byte| byte == b'\n').count();
        }
        std::fs::remove_dir_all(&store).expect("it is removed");
    }
    let salvaged = SALVAGED.load(Ordering::Relaxed);
    let text = format!(
        "{cuts} power cuts, {durability}: {acknowledgements} looked for, 0 lost; {salvaged} salvaged so far\n"
    );
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let Some(library) = shim::library() else { return };
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let store = dir.path().join("store");
    let ops = trace_one(library, &store, "sync", 1);
    let mut random = fastrand::Rng::with_seed(1);
    let mut disk = Disk::default();
    disk.lies = true;
    ops.iter().for_each(|op| disk.step(op));
    let found = (0..8).filter(|number| {
        let path = dir.path().join(format!("cut-{number}"));
        disk.cut(&mut random, &store, &path);
        std::panic::catch_unwind(|| must_recover(&path, &disk, "sync")).is_err()
    });
    assert!(found.count() > 0, "what was acknowledged and is lost is missed");
}

#[test]
fn ops_1_a_power_cut_loses_nothing_that_was_synced() {
    if is_long() { cut_power("sync", 200, 10) } else { cut_power("sync", 16, 16) }
}

#[test]
fn ops_1_a_power_cut_leaves_a_prefix_of_what_was_buffered() {
    if is_long() { cut_power("buffered", 200, 10) } else { cut_power("buffered", 16, 16) }
}
