//! OPS-1: the power goes while more than one log is not on disk, and leaves less of the older one.

use std::fs;
use std::path::{Path, PathBuf};

use withy::testing::fault::{Action, Moment, Plan, inject};
use withy::{Durability, ErrorKind, Store};

use super::log::{must_hold, ten_commits};
use super::{copy, cut, name, newest, scratch, start_again};
use crate::support::must_fail;

/// The first commit of each log, and how many there are.
const FIRST: [usize; 4] = [0, 3, 7, 10];

/// A store whose ten commits are in three logs, none of them on disk for sure.
struct Made {
    dir: tempfile::TempDir,
    path: PathBuf,
    logs: [String; 3],
    /// Where each commit starts in the one log that the three were made of.
    starts: Vec<u64>,
}

impl Made {
    fn new() -> Self {
        let dir = scratch();
        let (path, starts) = ten_commits(dir.path());
        let first = newest(&path, ".log");
        let number: u64 = name(&first)[..6].parse().expect("a number");
        let logs = [0, 1, 2].map(|n| format!("{:06}.log", number + n));
        let bytes = fs::read(&first).expect("read");
        let at = |commit: usize| usize::try_from(starts[commit]).expect("small");
        for n in [1, 2] {
            let part = &bytes[at(FIRST[n])..at(FIRST[n + 1])];
            fs::write(path.join(&logs[n]), part).expect("write");
        }
        cut(&first, starts[FIRST[1]]);
        Self { dir, path, logs, starts }
    }

    /// A copy after the power went, and took all of a log from one of its commits on.
    fn without(&self, log: usize, commit: usize) -> PathBuf {
        let path = self.dir.path().join(format!("{log}-{commit}"));
        copy(&self.path, &path);
        start_again(&path);
        let before = if log == 0 { 0 } else { self.starts[FIRST[log]] };
        // All of it: not even what is at the front of the first log is there.
        let len = if commit == FIRST[log] { 0 } else { self.starts[commit] - before };
        cut(&path.join(&self.logs[log]), len);
        path
    }
}

fn open(path: &Path) -> withy::Result<Store> {
    Store::options().durability(Durability::Buffered).author("tester").open(path)
}

#[test]
fn ops_1_a_log_that_lost_its_end_with_the_power_ends_the_store_there() {
    let made = Made::new();
    let whole = made.dir.path().join("whole");
    copy(&made.path, &whole);
    start_again(&whole);
    must_hold(&whole, 10, "three logs that follow each other");
    for log in [0, 1] {
        for commit in FIRST[log]..FIRST[log + 1] {
            let path = made.without(log, commit);
            let refused =
                must_fail(Store::options().read_only(true).open(&path), ErrorKind::Corrupt);
            let next = &made.logs[log + 1];
            assert!(
                refused.to_string().contains(next.as_str()),
                "a reader cuts nothing: {refused}"
            );
            let store = open(&path).expect("it opens");
            let torn = &store.recovery().torn;
            let told: Vec<(&str, u64)> = torn.iter().map(|t| (t.file.as_str(), t.at)).collect();
            assert_eq!(told, [(next.as_str(), 0)], "the report says what was cut");
            drop(store);
            must_hold(&path, commit, &format!("log {log} without commit {commit}"));
        }
    }
}

#[test]
fn ops_2_a_gap_in_the_log_that_no_power_cut_explains_is_refused() {
    let made = Made::new();
    // The machine has not been started again since.
    let same = made.dir.path().join("same");
    copy(&made.path, &same);
    cut(&same.join(&made.logs[0]), made.starts[2]);
    must_fail(open(&same), ErrorKind::Corrupt);
    // The first log is not there at all.
    let missing = made.without(0, 2);
    fs::remove_file(missing.join(&made.logs[0])).expect("rm");
    must_fail(open(&missing), ErrorKind::Corrupt);
    // What is missing may be in a data file that the manifest has forgotten.
    let unnamed = made.without(1, 5);
    fs::write(unnamed.join("000999.sst"), b"rows").expect("write");
    must_fail(open(&unnamed), ErrorKind::Corrupt);
    fs::remove_file(unnamed.join("000999.sst")).expect("rm");
    must_hold(&unnamed, 5, "a refused open changes nothing");
}

#[test]
fn ops_2_a_gap_in_what_was_synced_is_refused() {
    let made = Made::new();
    let synced = made.dir.path().join("synced");
    copy(&made.path, &synced);
    let store = open(&synced).expect("it opens");
    store.sync().expect("a sync");
    drop(store);
    fs::copy(synced.join("withy.synced"), made.path.join("withy.synced")).expect("copy");
    let refused = must_fail(open(&made.without(1, 5)), ErrorKind::Corrupt);
    assert!(refused.to_string().contains(&made.logs[2]), "it was on disk: {refused}");
}

#[test]
fn ops_1_a_cut_at_a_gap_that_is_stopped_goes_on_with_the_next_open() {
    let made = Made::new();
    let mut stops = 0;
    for moment in [Moment::Before, Moment::After] {
        for number in 1.. {
            let path = made.without(0, 2);
            let injected = inject(&path, Plan::new(Action::FailOn, moment, number));
            let opened = open(&path);
            let done = opened.is_ok();
            drop((opened, injected));
            must_hold(&path, 2, &format!("stopped {moment:?} step {number}"));
            fs::remove_dir_all(&path).expect("rm");
            if done {
                break;
            }
            stops += 1;
        }
    }
    assert!(stops > 8, "removal and cut are among the steps: {stops}");
}
