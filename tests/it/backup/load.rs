//! What checkpoints and backups cost those who read and write meanwhile.
//!
//! `WITHY_LONG=1` measures: four readers and four writers, in turns without copies and with a checkpoint
//! and a backup every second. The figures are printed.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use withy::exchange::{LoadOptions, load};
use withy::{
    Backups, Clock, Durability, Monotonic, PruneOptions, Read, Store, SystemClock, SystemMonotonic,
};

use super::open_to_read;
use crate::support::is_long;

const ROWS: u64 = 100_000;
const WRITERS: u64 = 4;
const READERS: u64 = 4;

/// What was done in one turn.
#[derive(Default)]
struct Turn {
    reads: u64,
    /// How long each write took, in microseconds.
    writes: Vec<u64>,
    seconds: f64,
}

impl Turn {
    fn rates(&self) -> (f64, f64) {
        (self.reads as f64 / self.seconds, self.writes.len() as f64 / self.seconds)
    }
}

fn key(n: u64) -> String {
    format!("row/{n:08}")
}

/// Reads and writes for so long, while `copy` is called once a second.
fn turn(store: &Store, length: Duration, mut copy: impl FnMut(u64)) -> Turn {
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let time = SystemMonotonic::default();
    let mut out = Turn::default();
    std::thread::scope(|scope| {
        for n in 0..READERS {
            let (done, reads) = (&done, &reads);
            scope.spawn(move || {
                let main = store.main().expect("main");
                let mut random = fastrand::Rng::with_seed(n);
                let mut count = 0;
                while !done.load(Ordering::Relaxed) {
                    main.get(key(random.u64(..ROWS)).as_bytes()).expect("a read");
                    count += 1;
                }
                reads.fetch_add(count, Ordering::Relaxed);
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
                        took.push(
                            u64::try_from((time.elapsed() - begun).as_micros()).expect("short"),
                        );
                    }
                    took
                })
            })
            .collect();
        for second in 1.. {
            let at = Duration::from_secs(second);
            if at > length {
                break;
            }
            std::thread::sleep(at.saturating_sub(time.elapsed()));
            copy(second);
        }
        std::thread::sleep(length.saturating_sub(time.elapsed()));
        done.store(true, Ordering::Relaxed);
        out.seconds = time.elapsed().as_secs_f64();
        for writer in writers {
            out.writes.extend(writer.join().expect("it ends"));
        }
    });
    out.reads = reads.into_inner();
    out
}

fn percentile(values: &mut [u64], of: f64) -> u64 {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * of) as usize]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Copies of one kind, checked after the turn: looking at them must not be part of what is measured.
fn check(dir: &Path, copies: &[std::path::PathBuf]) {
    for copy in copies {
        let opened = open_to_read(copy);
        let view = opened.view("main").expect("a view");
        assert_eq!(view.prefix(b"row/").expect("a scan").count() as u64, view.len(), "it is whole");
        assert_eq!(view.len(), ROWS, "it has all rows");
        drop(opened);
        std::fs::remove_dir_all(copy).expect("it is removed");
    }
    let backups = Backups::open(dir.join("backup")).expect("the backup");
    assert_eq!(backups.verify(Default::default()).expect("a report").faults, [], "all are whole");
    backups.prune(PruneOptions::default().keep(1)).expect("it is pruned");
}

#[test]
fn ops_5_copies_every_second_cost_little() {
    let long = is_long();
    let (turns, length) =
        if long { (9, Duration::from_secs(10)) } else { (1, Duration::from_secs(1)) };
    let dir = tempfile::tempdir().expect("a scratch directory");
    let home = dir.path().join("store");
    let store = Store::options().durability(Durability::Sync).open(&home).expect("open");
    let rows = (0..ROWS).map(|n| Ok((key(n).into_bytes(), super::noise(n, 100))));
    load(&store, "main", rows, LoadOptions::default()).expect("it is loaded");
    let away = dir.path().join("backup");
    store.back_up(&away, Default::default()).expect("the first backup");
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let (mut begun, mut took) = (0, (Vec::new(), Vec::new()));
    // One turn that does not count: memory and caches fill.
    turn(&store, length / 2, |_| {});
    for n in 0..turns {
        quiet.push(turn(&store, length, |_| {}));
        let mut copies = Vec::new();
        let now = || SystemClock.now().as_millis();
        busy.push(turn(&store, length, |second| {
            let copy = dir.path().join(format!("copy-{n}-{second}"));
            begun = now();
            store.checkpoint(&copy, Default::default()).expect("a checkpoint");
            took.0.push(u64::try_from(now() - begun).unwrap_or(0));
            begun = now();
            store.back_up(&away, Default::default()).expect("a backup");
            took.1.push(u64::try_from(now() - begun).unwrap_or(0));
            copies.push(copy);
        }));
        check(dir.path(), &copies);
    }
    let pairs = || quiet.iter().map(Turn::rates).zip(busy.iter().map(Turn::rates));
    let reads = median(pairs().map(|(without, with)| 100.0 * (1.0 - with.0 / without.0)).collect());
    let writes =
        median(pairs().map(|(without, with)| 100.0 * (1.0 - with.1 / without.1)).collect());
    let figures = |turns: &[Turn]| {
        let mut all: Vec<u64> = turns.iter().flat_map(|turn| turn.writes.iter().copied()).collect();
        let reads = median(turns.iter().map(|turn| turn.rates().0).collect());
        let writes = median(turns.iter().map(|turn| turn.rates().1).collect());
        let (p99, most) = (percentile(&mut all, 0.99), percentile(&mut all, 1.0));
        (format!("{reads:.0} reads/s, {writes:.0} writes/s, p99 {p99} us, longest {most} us"), p99)
    };
    let ((without, _), (with, p99)) = (figures(&quiet), figures(&busy));
    let text = format!(
        "without copies: {without}\nwith copies:    {with}\n\
         lost: {reads:.1} % of reads, {writes:.1} % of writes\n\
         a checkpoint took {} ms, a backup {} ms (medians)\n",
        percentile(&mut took.0, 0.5),
        percentile(&mut took.1, 0.5)
    );
    if long {
        let _ = std::io::stderr().write_all(text.as_bytes());
        assert!(p99 < 50_000, "no write waits long:\n{text}");
    }
    assert!(!home.join("withy.staging").exists(), "nothing is left in the store");
}
