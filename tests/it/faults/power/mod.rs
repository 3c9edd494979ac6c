//! OPS-1: the power goes off. Every call of a process that changes files is written down; from that the
//! disk is made as it may be found at any moment, and opened.
//!
//! `WITHY_LONG=1` cuts 200 times at each durability, and in each job.

mod copies;
mod disk;
mod file;
mod jobs;
mod prefix;
mod trace;

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use withy::exchange::{LoadOptions, load};
use withy::{BranchOptions, Durability, ErrorKind, SalvageReport, Seq, Store};

use self::disk::{Disk, Holes};
use self::prefix::Positions;
use self::trace::Op;
use super::content::{Content, must_be_tidy, must_feed, scratch};
use super::kill::{Said, WRITERS, Writer, must_be_whole, must_have, open, say_written};
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
    say("\nbegin\n");
    for session in 0..3_u32 {
        let store = open(Path::new(&path), &durability);
        for me in 0..WRITERS {
            if store.branch(&format!("b{me}")).is_err() {
                let made = store.create_branch(&format!("b{me}"), "main", BranchOptions::default());
                made.expect("a branch is made");
                say_written(&format!("made b{me}\n"));
            }
        }
        let turns = Mutex::new(());
        std::thread::scope(|threads| {
            for me in 0..WRITERS {
                let seed = seed * 100 + u64::from(session * WRITERS + me);
                let mut writer = Writer::new(&store, me, session, seed);
                if durability == "buffered" {
                    writer = writer.in_turns(&turns);
                }
                threads.spawn(move || writer.run(Some(25)));
            }
            threads.spawn(|| copies::make(&store, session));
        });
        let row = |n: u32| Ok((format!("row/{session}/{n:05}").into_bytes(), vec![b'v'; 30]));
        let options = LoadOptions::default().from("main").memory(1 << 16);
        load(&store, "loaded", (0..3_000).map(row), options).expect("it is loaded");
        say_written(&format!("head loaded {}\n", store.latest()));
        say(&format!("synced {}\n", store.latest()));
        let put = store.main().expect("main").put("last", format!("{session}"));
        let seq = put.expect("it is put").seq().expect("a change");
        say_written(&format!("head main {seq}\n"));
        if session == 1 {
            store.sync().expect("it is synced");
            say(&format!("synced {}\n", store.latest()));
        }
        store.close().expect("it closes");
    }
}

/// A process that is traced, and the directory below which its files are.
struct Traced<'a> {
    library: &'a Path,
    test: &'static str,
    around: &'a Path,
}

impl Traced<'_> {
    /// Runs it to its end; its trace is written to another directory.
    fn run(&self, to: &Path, variables: &[(&str, &str)]) -> Vec<Op> {
        let (file, boot) = (to.join("trace"), to.join("boot"));
        let _ = std::fs::remove_file(&file);
        // The power cut ends this run of the machine: whoever opens the store afterwards is in another one.
        std::fs::write(&boot, "5f1c7b1e-0000-4000-8000-000000000000\n").expect("a file is written");
        let done = shim::process(self.library, self.test, self.around)
            .env("WITHY_SHIM_TRACE", &file)
            .env("WITHY_SHIM_BOOT", &boot)
            .envs(variables.iter().copied())
            .output()
            .expect("a process starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "the process ends well: {said}");
        trace::read(&std::fs::read(file).expect("the trace is read"))
    }
}

/// The trace of a process that does everything, in a directory of its own.
fn trace_one(library: &Path, around: &Path, durability: &str, seed: u64) -> Vec<Op> {
    std::fs::create_dir(around).expect("a directory is made");
    let store = around.join("store");
    let traced = Traced { library, test: "faults::power::worker", around };
    let store = store.to_str().expect("a path of text");
    let variables = [(STORE, store), (DURABILITY, durability), (SEED, &seed.to_string())];
    traced.run(around.parent().expect("a directory"), &variables)
}

/// Makes the disk of a cut in `dir/cut`, and looks at the store in it; says when if something is wrong.
fn cut_at(
    disk: &Disk,
    random: &mut fastrand::Rng,
    (around, dir): (&Path, &Path),
    when: &str,
    check: impl FnOnce(&Path, &Holes),
) {
    let to = dir.join("cut");
    let _ = std::fs::remove_dir_all(&to);
    let holes = disk.cut(random, around, &to);
    let checked = std::panic::AssertUnwindSafe(|| check(&to.join("store"), &holes));
    if let Err(panic) = std::panic::catch_unwind(checked) {
        tell(&format!("{when}: {holes:?}\n"));
        std::panic::resume_unwind(panic);
    }
}

/// Past the capture of output.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What was said, as far as it must be there; and the newest commit that was synced.
fn acknowledged(text: &str, durability: &str, latest: Seq) -> (Said, Seq) {
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

/// Makes a store open again that is refused, which none may be but one with a hole that cannot be told from
/// damage.
fn salvage_if_refused(path: &Path, may_be_refused: bool) -> Option<SalvageReport> {
    let Err(e) = Store::options().read_only(true).open(path) else { return None };
    if e.kind() != ErrorKind::Corrupt {
        // There may be no store yet: whoever opens it for writing makes it.
        return None;
    }
    assert!(may_be_refused, "the store opens by itself: {e:?}");
    let report = Store::salvage(path).expect("it is salvaged");
    assert_eq!(report.damage, [], "and nothing is wrong with the rest");
    std::fs::remove_dir_all(path.join(&report.dir)).expect("what is kept aside is removed");
    Some(report)
}

/// What came of some cuts.
#[derive(Default)]
struct Tally {
    acknowledged: usize,
    copies: usize,
    salvaged: usize,
}

/// The process that does everything, as it was before its power was cut.
struct Cut<'a> {
    durability: &'a str,
    /// What all of it writes, if that has one order.
    positions: Option<Positions>,
}

impl Cut<'_> {
    /// Opens what a cut has left, and looks at everything; `said` is what was acknowledged by then.
    fn must_recover(&self, path: &Path, holes: &Holes, said: &str, tally: &mut Tally) {
        let is_buffered = self.durability == "buffered";
        let may_be_refused = holes.manifest || (holes.logs && is_buffered);
        let salvaged = salvage_if_refused(path, may_be_refused);
        let store = open(path, self.durability);
        let latest = store.latest();
        let (acknowledged, synced) = acknowledged(said, self.durability, latest);
        assert!(latest >= synced, "what was synced is there: {synced} of {latest}");
        if let Some(report) = salvaged {
            tally.salvaged += 1;
            let lost = report.lost.iter().find(|&&seq| !is_buffered || seq <= synced);
            assert_eq!(lost, None, "a salvage loses nothing that was synced");
        }
        let feed = must_feed(&store);
        must_be_whole(&feed);
        must_have(&store, &acknowledged, &feed);
        if let Some(positions) = &self.positions {
            positions.must_have(&store, said);
        }
        let content = Content::of(&store);
        tally.copies += copies::must_be_whole(path, &content, said);
        tally.acknowledged += said.lines().count();
        must_put(&store.main().expect("main"), "after", "the cut");
        copies::must_be_made(&store);
        store.close().expect("it closes");
        must_be_tidy(path, "after a cut");
        let store = Store::options().durability(Durability::Sync).open(path);
        let store = store.expect("it opens again");
        let after = must_get(&store.main().expect("main"), "after");
        assert_eq!(after.as_deref(), Some("the cut"), "writing has gone on");
    }
}

fn cut_power(durability: &str, cuts: usize, per_trace: usize) {
    let Some(library) = shim::library() else { return };
    let dir = scratch();
    let mut tally = Tally::default();
    for seed in 0..cuts / per_trace {
        let around = dir.path().join(format!("around-{seed}"));
        let ops = trace_one(library, &around, durability, seed as u64);
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut places: Vec<usize> = (0..per_trace).map(|_| random.usize(0..=ops.len())).collect();
        places.sort_unstable();
        let positions = (durability == "buffered").then(|| Positions::of(&all_said(&ops)));
        let cut = Cut { durability, positions };
        let (mut disk, mut done) = (Disk::default(), 0);
        for place in places {
            ops[done..place].iter().for_each(|op| disk.step(op));
            done = place;
            let when = format!("trace {seed}, {durability}, cut at {place} of {}", ops.len());
            cut_at(&disk, &mut random, (&around, dir.path()), &when, |path, holes| {
                cut.must_recover(path, holes, &disk.text(), &mut tally);
            });
        }
        std::fs::remove_dir_all(&around).expect("it is removed");
    }
    let Tally { acknowledged, copies, salvaged } = tally;
    tell(&format!(
        "{cuts} power cuts, {durability}: {acknowledged} acknowledgements and {copies} copies looked for, \
         0 lost; {salvaged} salvaged\n"
    ));
}

/// What a process has said from its beginning to its end.
fn all_said(ops: &[Op]) -> String {
    let mut disk = Disk::default();
    ops.iter().filter(|op| matches!(op, Op::Said(_))).for_each(|op| disk.step(op));
    disk.text()
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let Some(library) = shim::library() else { return };
    let dir = scratch();
    let around = dir.path().join("around");
    let ops = trace_one(library, &around, "sync", 1);
    let mut random = fastrand::Rng::with_seed(1);
    let mut disk = Disk::default();
    disk.lies = true;
    ops.iter().for_each(|op| disk.step(op));
    let cut = Cut { durability: "sync", positions: None };
    let found = (0..8).filter(|number| {
        let to = dir.path().join(format!("cut-{number}"));
        let holes = disk.cut(&mut random, &around, &to);
        let mut tally = Tally::default();
        let mut check = || cut.must_recover(&to.join("store"), &holes, &disk.text(), &mut tally);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut check)).is_err()
    });
    assert!(found.count() > 0, "what was acknowledged and is lost is missed");
}

#[test]
fn ops_1_a_power_cut_loses_nothing_that_was_synced() {
    if is_long() { cut_power("sync", 200, 10) } else { cut_power("sync", 6, 6) }
}

#[test]
fn ops_1_a_power_cut_leaves_a_prefix_of_what_was_buffered() {
    if is_long() { cut_power("buffered", 200, 10) } else { cut_power("buffered", 6, 6) }
}
