//! OPS-2: of several logs one has lost its end, and a later one goes on.

use std::fs;
use std::path::{Path, PathBuf};

use withy::{CheckupOptions, ErrorKind, Store};

use super::log::{must_hold, put_ten, ten_commits};
use super::{copy, cut, name, newest, open_buffered, scratch, size, start_again};
use crate::support::{must_fail, rows};

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

/// Neither way to open it changes anything, and a salvage leaves all before the gap and keeps what is after it.
#[track_caller]
fn must_be_salvaged(path: &Path, (log, commits): (&str, usize), why: &str) {
    for read_only in [true, false] {
        let refused =
            must_fail(Store::options().read_only(read_only).open(path), ErrorKind::Corrupt);
        assert!(refused.to_string().contains(log), "{why}: {log} is named: {refused}");
    }
    let checkup = Store::checkup(path, CheckupOptions::default()).expect("a checkup");
    let named: Vec<_> = checkup.damage.iter().filter_map(|damage| damage.file.as_deref()).collect();
    assert_eq!(named, [log], "{why}: and by a checkup");
    let before = fs::read(path.join(log)).ok();
    let report = Store::salvage(path).expect("a salvage");
    assert_eq!(report.damage, [], "{why}: all is right");
    let kept = fs::read(path.join(&report.dir).join(log)).ok();
    assert!(kept == before, "{why}: what is cut off is kept");
    must_hold(path, commits, why);
}

#[test]
fn ops_2_a_log_that_goes_on_where_the_one_before_has_lost_its_end_is_cut_by_a_salvage() {
    let made = Made::new();
    let whole = made.dir.path().join("whole");
    copy(&made.path, &whole);
    start_again(&whole);
    must_hold(&whole, 10, "three logs that follow each other");
    for log in [0, 1] {
        for commit in FIRST[log]..FIRST[log + 1] {
            let path = made.without(log, commit);
            let why = format!("log {log} without commit {commit}");
            must_be_salvaged(&path, (&made.logs[log + 1], commit), &why);
        }
    }
}

/// A store whose first log was ended and put on disk when a data file was written, while other families
/// need it still; what its ten commits made of `key-0` to `key-9` is all in that log.
fn with_ended_log(dir: &Path) -> (PathBuf, PathBuf, Vec<u64>) {
    let (live, left) = (dir.join("live"), dir.join("left"));
    let (store, log, starts) = put_ten(&live);
    let other = store.create_branch("other", "main", Default::default()).expect("a branch");
    let mut random = fastrand::Rng::with_seed(3);
    // Large values, until their family is written to a file and a new log begins.
    while newest(&live, ".log") == log || !has_data(&live) {
        let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4 << 20).collect();
        other.put("large", value).expect("a put");
    }
    copy(&live, &left);
    let log = left.join(name(&log));
    (left, log, starts)
}

/// Whether a file of large values is there, so that the logs before it were put on disk.
fn has_data(store: &Path) -> bool {
    let mut names =
        fs::read_dir(store).expect("the directory").map(|e| e.expect("an entry").path());
    names.any(|path| path.extension().is_some_and(|suffix| suffix == "blob") && size(&path) > 0)
}

#[test]
fn ops_2_a_log_that_was_ended_is_as_long_as_it_was_then() {
    let dir = scratch();
    let (left, log, starts) = with_ended_log(dir.path());
    let file = name(&log);
    for boot in [false, true] {
        for len in [starts[7], starts[7] + 5, 0] {
            let why = format!("cut to {len}, another run of the machine: {boot}");
            let path = dir.path().join("short");
            copy(&left, &path);
            if boot {
                start_again(&path);
            }
            cut(&path.join(&file), len);
            let refused = must_fail(Store::open(&path), ErrorKind::Corrupt);
            assert!(refused.to_string().contains(&file), "{why}: {refused}");
            let before = fs::read(newest(&path, ".log")).expect("read");
            must_fail(Store::options().read_only(true).open(&path), ErrorKind::Corrupt);
            let report = Store::salvage(&path).expect("a salvage");
            let commits = if len == 0 { 0 } else { 7 };
            let aside = path.join(&report.dir).join(name(&newest(&left, ".log")));
            assert!(fs::read(aside).expect("it is kept") == before, "{why}: later logs are kept");
            let store = open_buffered(&path);
            let keys: Vec<String> =
                rows(&store.main().expect("main")).into_iter().map(|(key, _)| key).collect();
            let expected: Vec<String> = (0..commits).map(|n| format!("key-{n}")).collect();
            assert_eq!(keys, expected, "{why}: what is before the cut is there");
            drop(store);
            fs::remove_dir_all(&path).expect("rm");
        }
    }
}
