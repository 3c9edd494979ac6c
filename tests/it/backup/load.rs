//! What checkpoints and backups cost those who read and write meanwhile.
//!
//! `WITHY_LONG=1` measures: four readers and four writers go on all the time, in windows of two seconds
//! without copies and with a checkpoint and a backup at the beginning of each second. The order is without,
//! with, with, without, so that what drifts counts on both sides alike. The figures are printed.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use withy::exchange::{LoadOptions, load};
use withy::{
    BackupInfo, Backups, Durability, KeyRange, Monotonic, PruneOptions, Read, RestoreOptions,
    Store, SystemMonotonic,
};

use super::open_to_read;
use crate::support::{is_long, must_verify};

const ROWS: u64 = 100_000;
const WRITERS: u64 = 4;
const READERS: u64 = 4;
/// In which windows copies are made.
const TURNS: [bool; 4] = [false, true, true, false];

/// What was done in a stretch of time.
#[derive(Default)]
struct Window {
    with_copies: bool,
    seconds: f64,
    reads: u64,
    /// How long each write took that ended in it, in microseconds.
    writes: Vec<u64>,
}

impl Window {
    fn reads(&self) -> f64 {
        self.reads as f64 / self.seconds
    }

    fn writes(&self) -> f64 {
        self.writes.len() as f64 / self.seconds
    }
}

/// A count in a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Apart(AtomicU64);

fn key(n: u64) -> String {
    format!("row/{n:08}")
}

/// Reads and writes all the time, while in every second of some windows `copy` is called.
fn run(store: &Store, windows: &[bool], seconds: u64, mut copy: impl FnMut()) -> Vec<Window> {
    let done = AtomicBool::new(false);
    let reads: Vec<_> = (0..READERS).map(|_| Apart::default()).collect();
    let time = SystemMonotonic::default();
    let mut out: Vec<Window> = Vec::new();
    std::thread::scope(|scope| {
        for (n, reads) in (0..).zip(&reads) {
            let done = &done;
            scope.spawn(move || {
                let main = store.main().expect("main");
                let mut random = fastrand::Rng::with_seed(n);
                while !done.load(Ordering::Relaxed) {
                    main.get(key(random.u64(..ROWS)).as_bytes()).expect("a read");
                    reads.0.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (done, time) = (&done, &time);
                scope.spawn(move || {
                    let main = store.main().expect("main");
                    let mut random = fastrand::Rng::with_seed(100 + n);
                    let mut took = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let value = super::noise(random.u64(..), 100);
                        let begun = time.elapsed();
                        main.put(key(random.u64(..ROWS)), value).expect("a write");
                        took.push((time.elapsed(), time.elapsed() - begun));
                    }
                    took
                })
            })
            .collect();
        let read = || reads.iter().map(|reads| reads.0.load(Ordering::Relaxed)).sum::<u64>();
        let (mut begun, mut before) = (time.elapsed(), read());
        let mut ends = Vec::new();
        for &with_copies in windows {
            let from = begun;
            for second in 1..=seconds {
                if with_copies {
                    copy();
                }
                let until = from + Duration::from_secs(second);
                std::thread::sleep(until.saturating_sub(time.elapsed()));
            }
            let (now, after) = (time.elapsed(), read());
            let seconds = (now - begun).as_secs_f64();
            out.push(Window { with_copies, seconds, reads: after - before, ..Window::default() });
            ends.push(now);
            (begun, before) = (now, after);
        }
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            for (end, took) in writer.join().expect("it ends") {
                if let Some(window) = out.get_mut(ends.partition_point(|at| *at < end)) {
                    window.writes.push(u64::try_from(took.as_micros()).expect("short"));
                }
            }
        }
    });
    out
}

fn percentile(values: &mut [u64], of: f64) -> u64 {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * of) as usize]
}

/// A snapshot, restored: what is in it is what its newest commit holds.
fn check_restored(store: &Store, backups: &Backups, snapshot: &BackupInfo, target: &Path) {
    let options = RestoreOptions::default().snapshot(snapshot.number);
    let restored = backups.restore(target, options).expect("it is restored");
    assert_eq!(restored.info.number, snapshot.number, "it is the one that was asked for");
    assert!(restored.latest >= snapshot.latest, "it has what it says it has");
    let (opened, rev) = (open_to_read(target), format!("seq:{}", restored.latest));
    let ids =
        [opened.commit("main"), store.commit(&rev)].map(|commit| commit.expect("a commit").id);
    assert_eq!(ids[0], ids[1], "the branch is at this commit");
    let (there, here) = (opened.view("main").expect("main"), store.view(&rev).expect("the commit"));
    let rows = [&there, &here].map(|view| view.range(&KeyRange::all()).expect("a scan"));
    let [of_there, of_here] = rows;
    let mut count = 0;
    for (there, here) in of_there.zip(of_here) {
        let (there, here) = (there.expect("a row"), here.expect("a row"));
        assert!(there == here, "row {} is that of the commit", here.0.escape_ascii());
        count += 1;
    }
    assert_eq!((count, there.len(), here.len()), (ROWS, ROWS, ROWS), "it has all rows");
    drop(opened);
    std::fs::remove_dir_all(target).expect("it is removed");
}

/// Copies of one kind, checked after the turn: looking at them must not be part of what is measured.
fn check(store: &Store, dir: &Path, copies: &[std::path::PathBuf]) {
    for copy in copies {
        let opened = open_to_read(copy);
        let view = opened.view("main").expect("a view");
        assert_eq!(view.prefix(b"row/").expect("a scan").count() as u64, view.len(), "it is whole");
        assert_eq!(view.len(), ROWS, "it has all rows");
        must_verify(&opened);
        drop(opened);
        std::fs::remove_dir_all(copy).expect("it is removed");
    }
    let backups = Backups::open(dir.join("backup")).expect("the backup");
    assert_eq!(backups.verify(Default::default()).expect("a report").faults, [], "all are whole");
    let snapshots = backups.list().expect("a list");
    // The first of the turn, which was made after the one that was kept, and the last one.
    let [_, first, .., last] = &snapshots[..] else {
        panic!("several in each turn: {snapshots:?}")
    };
    for snapshot in [first, last] {
        check_restored(store, &backups, snapshot, &dir.join("restored"));
    }
    backups.prune(PruneOptions::default().keep(1)).expect("it is pruned");
}

/// A checkpoint and a backup; how long each took is kept, in milliseconds.
struct Copying<'s> {
    store: &'s Store,
    away: std::path::PathBuf,
    checkpoints: Vec<u64>,
    backups: Vec<u64>,
}

impl Copying<'_> {
    fn copy(&mut self, target: &Path) {
        let time = SystemMonotonic::default();
        let took = |since| u64::try_from((time.elapsed() - since).as_millis()).expect("short");
        self.store.checkpoint(target, Default::default()).expect("a checkpoint");
        self.checkpoints.push(took(Duration::ZERO));
        let begun = time.elapsed();
        let before = self.store.latest();
        let made = self.store.back_up(&self.away, Default::default()).expect("a backup");
        assert!(made.info.latest >= before, "it has what there was when it was begun");
        self.backups.push(took(begun));
    }
}

/// What was lost in windows with copies, in hundredths, and its standard error. Four windows in turn make one
/// measurement.
fn lost(windows: &[Window], rate: impl Fn(&Window) -> f64) -> (f64, f64) {
    let measure = |four: &[Window]| {
        let sum = |with: bool| -> f64 {
            four.iter().filter(|window| window.with_copies == with).map(&rate).sum()
        };
        100.0 * (1.0 - sum(true) / sum(false))
    };
    let all: Vec<f64> = windows.chunks(TURNS.len()).map(measure).collect();
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

#[test]
fn ops_5_copies_every_second_cost_little() {
    let long = is_long();
    let (rounds, seconds) = if long { (50, 2) } else { (1, 1) };
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = Store::options().durability(Durability::Sync).open(&home).expect("open");
    let rows = (0..ROWS).map(|n| Ok((key(n).into_bytes(), super::noise(n, 100))));
    load(&store, "main", rows, LoadOptions::default()).expect("it is loaded");
    let away = dir.path().join("backup");
    store.back_up(&away, Default::default()).expect("the first backup");
    let mut copying = Copying { store: &store, away, checkpoints: Vec::new(), backups: Vec::new() };
    // Windows that do not count: memory and caches fill.
    run(&store, &[false; 2], seconds, || {});
    let mut windows = Vec::new();
    for _ in 0..rounds {
        let mut copies = Vec::new();
        windows.extend(run(&store, &TURNS, seconds, || {
            let target = dir.path().join(format!("copy-{}", copies.len()));
            copying.copy(&target);
            copies.push(target);
        }));
        check(&store, dir.path(), &copies);
    }
    let figures = |with: bool| {
        let windows = || windows.iter().filter(|window| window.with_copies == with);
        let mut all: Vec<u64> =
            windows().flat_map(|window| window.writes.iter().copied()).collect();
        let rate =
            |of: fn(&Window) -> f64| windows().map(of).sum::<f64>() / windows().count() as f64;
        let (reads, writes) = (rate(Window::reads), rate(Window::writes));
        let (p99, most) = (percentile(&mut all, 0.99), percentile(&mut all, 1.0));
        (format!("{reads:.0} reads/s, {writes:.0} writes/s, p99 {p99} us, longest {most} us"), p99)
    };
    let ((without, _), (with, p99)) = (figures(false), figures(true));
    let (reads, writes) = (lost(&windows, Window::reads), lost(&windows, Window::writes));
    let text = format!(
        "without copies: {without}\nwith copies:    {with}\n\
         lost: {:.1} % of reads (+- {:.1}), {:.1} % of writes (+- {:.1})\n\
         a checkpoint took {} ms, a backup {} ms (medians)\n",
        reads.0,
        reads.1,
        writes.0,
        writes.1,
        percentile(&mut copying.checkpoints, 0.5),
        percentile(&mut copying.backups, 0.5)
    );
    if long {
        let _ = std::io::stderr().write_all(text.as_bytes());
        assert!(p99 < 50_000, "no write waits long:\n{text}");
        assert!(reads.0 < 5.0 && writes.0 < 5.0, "little is lost:\n{text}");
    }
    assert!(!home.join("withy.staging").exists(), "nothing is left in the store");
}
