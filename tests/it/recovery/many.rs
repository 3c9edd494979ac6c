//! OPS-1: 100,000 transactions that are in the log alone are recovered in less than two seconds.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use withy::{CommitOptions, Store};

use super::{copy, open_buffered, scratch};
use crate::support::is_long;

/// Names the directory of the process that is killed.
const DIR: &str = "WITHY_TEST_RECOVERY";
const KEYS: u64 = 100_000;

/// What the process says when all is written.
const WRITTEN: &str = "all is written";

/// Not a test by itself: the process that the other one starts, and kills.
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
    // Not by a macro: the test runner would keep it to itself.
    writeln!(std::io::stdout(), "{WRITTEN}").expect("the other one reads");
    // The store stays open until the end, which comes from outside.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("stdin");
}

/// Starts the process, waits until it has written, and kills it as `kill -9` does.
fn write_and_kill(path: &Path, count: u64) {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "recovery::many::worker", "--test-threads=1", "--nocapture"])
        .env(DIR, path)
        .env("WITHY_TEST_COUNT", count.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = out.lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.ends_with(WRITTEN)), "it has written all");
    child.kill().expect("it can be killed");
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(9), "nothing but the kill ended it");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the limit is in seconds on a clock")]
fn ops_1_transactions_in_the_log_alone_are_recovered_quickly() {
    let count: u64 = if is_long() { 100_000 } else { 20_000 };
    let dir = scratch();
    let path = dir.path().join("store");
    write_and_kill(&path, count);
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
    assert!(store.recovery().records >= count, "they were in the log alone");
    assert_eq!(store.latest().get(), count, "all of them are there");
    assert_eq!(store.view("main").expect("main").len(), count.min(KEYS), "with what they wrote");
    assert!(took.as_secs_f64() < 2.0, "in {took:?}");
}
