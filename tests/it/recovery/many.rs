//! OPS-1: 100,000 transactions that are in the log alone are recovered in less than two seconds.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use withy::{CommitOptions, Store};

use super::{copy, is_long, open_buffered, scratch};

/// Names the directory of the process that is killed.
const DIR: &str = "WITHY_TEST_RECOVERY";
const KEYS: u64 = 100_000;

/// Not a test by itself: the process that the other one starts. It ends without closing the store.
#[test]
fn worker() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let count = std::env::var("WITHY_TEST_COUNT").expect("a count").parse().expect("a number");
    let store = open_buffered(Path::new(&dir));
    for n in 0..count {
        let mut tx = store.begin("main").expect("begin");
        tx.put(format!("key-{:06}", n % KEYS), format!("value {n}")).expect("put");
        tx.commit(CommitOptions::default()).expect("commit");
    }
    std::process::abort();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the limit is in seconds on a clock")]
fn ops_1_transactions_in_the_log_alone_are_recovered_quickly() {
    let count: u64 = if is_long() { 100_000 } else { 20_000 };
    let dir = scratch();
    let path = dir.path().join("store");
    let done = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "recovery::many::worker", "--test-threads=1"])
        .env(DIR, &path)
        .env("WITHY_TEST_COUNT", count.to_string())
        .output()
        .expect("it starts");
    assert!(!done.status.success(), "it was killed");
    // The quickest of three: others may use the machine at the same time.
    let tries = (0..3).map(|n| {
        let copied = dir.path().join(format!("copy-{n}"));
        copy(&path, &copied);
        let start = std::time::Instant::now();
        drop(Store::open(&copied).expect("the store opens"));
        start.elapsed()
    });
    let took = tries.min().expect("three tries");
    let store = Store::open(&path).expect("the store opens");
    let _ = writeln!(std::io::stderr(), "{count} transactions were recovered in {took:?}");
    assert_eq!(store.latest().get(), count, "all of them are there");
    assert_eq!(store.view("main").expect("main").len(), count.min(KEYS), "with what they wrote");
    assert!(took.as_secs_f64() < 2.0, "in {took:?}");
}
