//! OPS-7: the memory that a collection takes does not grow with the rows: with and without compaction of what it has
//! removed from, and where every tenth row has a large value, every thousandth one of 20,000 bytes.
//!
//! `WITHY_LONG=1` collects 10,000,000 rows each time. What counts is how much more of the process is in memory at
//! the highest than just before the collection, with a cache of 8 MiB. The process has written the rows: the memory of
//! RocksDB's write buffers, which every writer comes to have, is its own already and does not count.

use std::io::Write as _;
use std::process::Command;

use withy::{Batch, Clock, CommitOptions, Durability, GcOptions, Setting, Store, SystemClock};

use crate::support::is_long;

const STORE: &str = "WITHY_TEST_GC_MEMORY";
const ROWS: &str = "WITHY_TEST_GC_ROWS";
/// What values there are and what becomes of the files, in words.
const HOW: &str = "WITHY_TEST_GC_HOW";
const PER_COMMIT: u64 = 10_000;
/// Values longer than this are large ones.
const THRESHOLD: usize = 256;
/// Of so many rows one has a large value, if any has.
const LARGE_ONE_IN: u64 = 10;
/// And of so many one that is in a file of large values.
const HUGE_ONE_IN: u64 = 1_000;

/// The value of a row. None repeats, so each large one is kept by itself.
fn value(round: u64, n: u64, has_large: bool) -> String {
    let len = match has_large {
        true if n.is_multiple_of(HUGE_ONE_IN) => 20_000,
        true if n.is_multiple_of(LARGE_ONE_IN) => THRESHOLD,
        _ => 0,
    };
    format!("value {round} of {n:0len$}")
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
    line.trim_start_matches(':')
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("KiB")
}

/// Not a test by itself: the process whose memory is measured.
#[test]
fn worker() {
    let (Ok(path), Ok(rows)) = (std::env::var(STORE), std::env::var(ROWS)) else { return };
    let rows: u64 = rows.parse().expect("a number");
    let how = std::env::var(HOW).expect("it is said how");
    let (is_compacted, has_large) = (!how.contains("as they are"), how.contains("large values"));
    let open = || {
        let options = Store::options().durability(Durability::Buffered).cache_bytes(8 << 20);
        options.blob_threshold(THRESHOLD).open(&path).expect("the store opens")
    };
    write(&open(), rows, has_large);
    measure(&open(), rows, has_large, is_compacted);
}

/// Writes rows, every one of which is replaced once.
fn write(store: &Store, rows: u64, has_large: bool) {
    let main = store.main().expect("main");
    for round in 0..2 {
        for from in (0..rows).step_by(usize::try_from(PER_COMMIT).expect("small")) {
            let mut batch = Batch::new();
            for n in from..rows.min(from + PER_COMMIT) {
                batch.put(format!("key/{n:010}"), value(round, n, has_large));
            }
            main.write(batch, CommitOptions::default()).expect("it is written");
        }
    }
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
}

/// Collects, and says how much memory it took.
fn measure(store: &Store, rows: u64, has_large: bool, is_compacted: bool) {
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is counted anew");
    let (before, begun) = (status("VmRSS"), SystemClock.now().as_millis());
    let done = store.gc(GcOptions::default().compact(is_compacted)).expect("a collection");
    let took = u64::try_from(SystemClock.now().as_millis() - begun).unwrap_or(0).max(1);
    let grown = status("VmHWM").saturating_sub(before);
    // What the oldest kept commit replaced stays.
    assert!(done.rows + PER_COMMIT >= rows, "every version that was replaced is gone: {done:?}");
    let large = if has_large { rows / LARGE_ONE_IN } else { 0 };
    assert!(done.values + PER_COMMIT >= large, "and every large value of them: {done:?}");
    let rate = done.examined * 1_000 / took;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ngrown {grown} KiB, {rate} rows a second").expect("it is said");
    assert!(grown < 64 << 10, "{grown} KiB more for {rows} rows");
}

/// Collects in a process of its own.
fn collect(how: &str) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let rows = if is_long() { 10_000_000 } else { 200_000 };
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "gc::memory::worker", "--nocapture", "--test-threads=1"])
        .env(STORE, dir.path().join("store"))
        .env(ROWS, rows.to_string())
        .env(HOW, how)
        .output()
        .expect("a process runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{how}: {out}\n{err}");
    let said = out.lines().find(|line| line.starts_with("grown")).expect("what it came to");
    let _ = writeln!(std::io::stderr(), "{how}: {said}");
}

#[test]
fn ops_7_a_collection_takes_little_memory_whatever_the_rows() {
    collect("files as they are");
}

#[test]
fn ops_7_a_collection_that_compacts_takes_little_memory_whatever_the_rows() {
    collect("files compacted");
}

#[test]
fn ops_7_a_collection_of_large_values_takes_little_memory_whatever_the_rows() {
    collect("large values, files compacted");
}
