//! The cost of a verification: rows a second, and memory that does not grow with the store.
//!
//! `WITHY_LONG=1` verifies 4,000,000 rows instead of 40,000.

use std::io::Write as _;

use withy::exchange::{LoadOptions, load};
use withy::{Batch, CommitOptions, Store, VerifyOptions};

use super::told;
use crate::support::{Scratch, is_long, must_branch};

/// The memory of this process at its highest since it was reset, in KiB, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Sets the highest memory to what is used now.
fn reset_peak() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    peak()
}

fn filled(rows: u32) -> Scratch {
    let store = Scratch::new();
    let pairs = (0..rows / 2).map(|n| Ok((format!("row/{n:09}").into_bytes(), vec![b'v'; 100])));
    must_branch(&store, "loaded", "seq:0");
    load(&store, "loaded", pairs, LoadOptions::default()).expect("load");
    let branch = store.branch("loaded").expect("branch");
    for chunk in 0..rows / 2 / 1_000 {
        let mut batch = Batch::new();
        for n in 0..1_000u32 {
            batch.put(format!("row/{:09}", (chunk * 1_000 + n) / 2), format!("{chunk} {n}"));
        }
        branch.write(batch, CommitOptions::default()).expect("commit");
    }
    store.compact().expect("on disk, as it is in a store that has been used");
    store
}

#[test]
fn ops_6_memory_does_not_grow_with_rows() {
    let rows = if is_long() { 4_000_000 } else { 40_000 };
    let mut store = filled(rows);
    store.close();
    let path = store.path();
    let before = reset_peak();
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let start = std::time::Instant::now();
    let report = Store::verify_at(&path, VerifyOptions::default()).expect("verified");
    let seconds = start.elapsed().as_secs_f64();
    assert!(report.is_clean(), "nothing is wrong:\n{}", told(&report.findings));
    let _ = writeln!(
        std::io::stderr(),
        "{} versions in {seconds:.2} s: {:.0} a second",
        report.versions,
        report.versions as f64 / seconds
    );
    let grown = before.zip(peak()).map(|(before, after)| after.saturating_sub(before) / 1024);
    let _ = writeln!(std::io::stderr(), "memory grew by {grown:?} MiB");
    // Other tests run in this process at the same time, unless it is the long run.
    if let Some(grown) = grown.filter(|_| is_long()) {
        assert!(grown < 128, "memory is bounded, and grew by {grown} MiB");
    }
}
