//! OPS-7: the memory that a collection takes does not grow with the rows.
//!
//! `WITHY_LONG=1` collects 10,000,000 rows.

use std::io::Write as _;
use std::process::Command;

use withy::{Batch, Clock, CommitOptions, Durability, GcOptions, Setting, Store, SystemClock};

use crate::support::is_long;

const STORE: &str = "WITHY_TEST_GC_MEMORY";
const ROWS: &str = "WITHY_TEST_GC_ROWS";
const PER_COMMIT: u64 = 10_000;

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
    let open = || {
        let options = Store::options().durability(Durability::Buffered).cache_bytes(8 << 20);
        options.open(&path).expect("the store opens")
    };
    let store = open();
    let main = store.main().expect("main");
    // Every row is replaced once.
    for round in 0..2 {
        for from in (0..rows).step_by(usize::try_from(PER_COMMIT).expect("small")) {
            let mut batch = Batch::new();
            for n in from..rows.min(from + PER_COMMIT) {
                batch.put(format!("key/{n:010}"), format!("value {round} of {n}"));
            }
            main.write(batch, CommitOptions::default()).expect("it is written");
        }
    }
    drop(main);
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    store.close().expect("it closes");
    let store = open();
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is counted anew");
    let (before, begun) = (status("VmRSS"), SystemClock.now().as_millis());
    let done = store.gc(GcOptions::default().compact(false)).expect("a collection");
    let took = u64::try_from(SystemClock.now().as_millis() - begun).unwrap_or(0).max(1);
    let grown = status("VmHWM").saturating_sub(before);
    // What the oldest kept commit replaced stays.
    assert!(done.rows + PER_COMMIT >= rows, "every version that was replaced is gone: {done:?}");
    let rate = done.examined * 1_000 / took;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ngrown {grown} KiB, {rate} rows a second").expect("it is said");
    assert!(grown < 64 << 10, "{grown} KiB more for {rows} rows");
    std::process::exit(0);
}

#[test]
fn ops_7_a_collection_takes_little_memory_whatever_the_rows() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let rows = if is_long() { 10_000_000 } else { 200_000 };
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "gc::memory::worker", "--nocapture", "--test-threads=1"])
        .env(STORE, dir.path().join("store"))
        .env(ROWS, rows.to_string())
        .output()
        .expect("a process runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let said = out.lines().find(|line| line.starts_with("grown")).expect("what it came to");
    let _ = writeln!(std::io::stderr(), "{said}");
}
