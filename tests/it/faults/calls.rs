//! OPS-3: calls of the operating system that fail. The disk is full from the n-th write on, or a write, a
//! sync, a rename or an open fails, for each n; descriptors run out.
//!
//! Whatever happens: errors have a kind, reads go on, and what was acknowledged is there when the store is
//! opened again. By default a sample of all n is tried, with `WITHY_LONG=1` every one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{
    BranchOptions, DeleteOptions, ErrorKind, MergeOptions, Read, Result, Store, TagOptions,
};

use super::content::{Content, must_be_tidy, must_feed};
use super::kill::{Said, must_have, open};
use super::shim;
use crate::support::process::say;
use crate::support::{is_long, must_put};

/// Names the store of the process whose calls fail.
const STORE: &str = "WITHY_TEST_CALLS";

/// What the process does, one after the other; each is refused or done.
struct Work {
    path: PathBuf,
    store: Option<Store>,
    /// What it had acknowledged, on main.
    rows: BTreeMap<String, Vec<u8>>,
    /// Something could not be written, and the store was not opened again since.
    halted: bool,
    failed: bool,
}

impl Work {
    fn open(&mut self) {
        self.store = None;
        self.halted = false;
        let options = Store::options().author("tester");
        match options.open(&self.path) {
            Ok(store) => self.store = Some(store),
            Err(e) => self.failed(e.kind(), &format!("open: {e:?}")),
        }
    }

    fn failed(&mut self, kind: ErrorKind, what: &str) {
        use ErrorKind::{Busy, Exists, Halted, Io, NotFound, OutcomeUnknown};
        let follows = self.failed && matches!(kind, NotFound | Exists);
        let typed = matches!(kind, Busy | Halted | Io | OutcomeUnknown);
        assert!(typed || follows, "the error says that a call failed: {what}");
        self.failed = true;
        self.halted |= matches!(kind, Halted | OutcomeUnknown);
        say(&format!("error {kind:?}\n"));
        self.read();
    }

    /// Reads go on, also where nothing can be written any more.
    fn read(&self) {
        // Without descriptors files cannot be opened, and are not read.
        if std::env::var("WITHY_SHIM_FAIL").is_ok_and(|fail| !fail.contains("open"))
            && let Some(store) = &self.store
        {
            for (key, value) in &self.rows {
                let found = store.view("main").and_then(|view| view.get(key.as_bytes()));
                let found = found.unwrap_or_else(|e| panic!("{key} can be read: {e:?}"));
                assert_eq!(found.as_ref(), Some(value), "{key} is as it was acknowledged");
            }
        }
    }

    fn step<T>(&mut self, what: &str, run: impl FnOnce(&Store) -> Result<T>) -> Option<T> {
        let store = self.store.as_ref()?;
        let newest = |store: &Store| {
            (store.latest(), store.ops(1).ok().and_then(|ops| ops.first().map(|op| op.id)))
        };
        let before = newest(store);
        match run(store) {
            Ok(done) => {
                // A merge may find that there is nothing to do.
                let same = newest(store) == before;
                assert!(same || !self.halted, "{what}: nothing is acknowledged until reopen");
                Some(done)
            }
            Err(e) => {
                self.failed(e.kind(), &format!("{what}: {e:?}"));
                None
            }
        }
    }

    fn put(&mut self, number: u32) {
        // Some go to a row of their own.
        let len = if number.is_multiple_of(3) { 30_000 } else { 500 };
        let (key, value) = (format!("key-{number}"), format!("{number:016} ").repeat(len / 17));
        let bytes = value.clone().into_bytes();
        let done = self.step("put", |store| store.main()?.put(key.clone(), bytes));
        if let Some(seq) = done.and_then(withy::Committed::seq) {
            say(&format!("ack {seq} main {key} {}\n", &value[..16]));
            self.rows.insert(key, value.into_bytes());
        }
    }

    fn refs(&mut self, round: u32) {
        let name = format!("r{round}");
        let options = BranchOptions::default;
        if self.step("branch", |store| store.create_branch(&name, "main", options())).is_some() {
            say(&format!("made {name}\n"));
        }
        self.step("put", |store| store.branch(&name)?.put("topic", format!("{round}")));
        self.step("merge", |store| store.merge("main", &name, MergeOptions::default()));
        self.step("tag", |store| store.create_tag(&name, "main", TagOptions::default()));
        self.step("reset", |store| store.reset(&name, "main~1"));
        self.step("undo", Store::undo);
        say(&format!("try {name}\n"));
        let force = DeleteOptions::default().force(true);
        if self.step("delete", |store| store.delete_branch(&name, force)).is_some() {
            say(&format!("gone {name}\n"));
        }
    }

    fn import(&mut self, round: u32) {
        let row = move |n: u32| Ok((format!("row/{round}/{n:05}").into_bytes(), vec![b'v'; 40]));
        let options = || LoadOptions::default().from("main").memory(1 << 16);
        self.step("load", |store| load(store, "loaded", (0..4_000).rev().map(row), options()));
        let stream = format!(
            "commit refs/heads/git-{round}\ncommitter A <a> {round} +0000\ndata 1\nm\n\
             M 100644 inline file-{round}\ndata 3\nabc\n"
        );
        let options = GitImportOptions::default;
        self.step("git import", |store| import_git(store, stream.as_bytes(), options()));
    }
}

/// Not a test by itself: the process whose calls fail.
#[test]
fn worker() {
    let Ok(path) = std::env::var(STORE) else { return };
    let (store, rows) = (None, BTreeMap::new());
    let mut work = Work { path: path.into(), store, rows, halted: false, failed: false };
    for round in 0..3 {
        // Opening replays the log, writes it to files and removes it.
        work.open();
        (0..4).for_each(|n| work.put(round * 10 + n));
        work.refs(round);
        work.import(round);
        (4..6).for_each(|n| work.put(round * 10 + n));
    }
}

/// What a process said, which must have ended well.
fn said(command: &mut Command, when: &str) -> (Said, bool) {
    let done = command.output().expect("a process starts");
    let text = String::from_utf8_lossy(&done.stdout);
    let trouble = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{when}: {}: {text}\n{trouble}", done.status);
    let mut out = Said::default();
    text.lines().for_each(|line| out.take(line));
    (out, text.contains("\nerror "))
}

/// With space, and calls that succeed, all is there, and it goes on.
fn must_recover(path: &Path, said: &Said, when: &str) {
    let checked = std::panic::catch_unwind(|| {
        let store = open(path, "sync");
        let feed = must_feed(&store);
        must_have(&store, said, &feed);
        let _ = Content::of(&store);
        must_put(&store.main().expect("main"), "after", "the fault");
        store.close().expect("it closes");
        must_be_tidy(path, when);
    });
    if let Err(panic) = checked {
        let _ = writeln!(std::io::stderr(), "{when}");
        std::panic::resume_unwind(panic);
    }
}

/// Lets the n-th of some calls fail, for each n or a sample of them.
fn fail_each(error: &str, call: &str, how: &str, samples: u64) {
    let Some(library) = shim::library() else { return };
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let store = dir.path().join("store");
    let process = || {
        let mut command = shim::process(library, "faults::calls::worker", &store);
        command.env(STORE, &store);
        command
    };
    let count = dir.path().join("count");
    said(process().env("WITHY_SHIM_COUNT", &count), "without faults");
    let text = std::fs::read_to_string(&count).expect("the calls were counted");
    let line = text.lines().find_map(|line| line.strip_prefix(call)).expect("the call is known");
    let calls: u64 = line.trim().parse().expect("a number");
    let stride = if is_long() { 1 } else { (calls / samples).max(1) };
    let (mut tried, mut failed) = (0, 0);
    for number in (1..=calls).filter(|number| number.is_multiple_of(stride)) {
        let _ = std::fs::remove_dir_all(&store);
        let fail = format!("{error} {call} {number} {how}");
        let (said, has_failed) = said(process().env("WITHY_SHIM_FAIL", &fail), &fail);
        tried += 1;
        failed += u32::from(has_failed);
        must_recover(&store, &said, &fail);
    }
    let text = format!("{error} at a {call}, {how}: {tried} tried, {failed} with errors\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
    // RocksDB removes its files in the background, and again at the next open if that fails: nobody has to
    // be told, and often nobody is.
    assert!(failed > 0 || call == "unlink", "some of the failing calls are noticed");
}

#[test]
fn ops_3_a_disk_that_is_full_from_any_write_on_loses_nothing() {
    fail_each("ENOSPC", "write", "on", 16);
}

#[test]
fn ops_3_a_write_that_fails_once_loses_nothing() {
    fail_each("EIO", "write", "once", 8);
}

#[test]
fn ops_3_after_a_failing_sync_nothing_is_acknowledged_until_reopen() {
    fail_each("EIO", "sync", "once", 10);
}

#[test]
fn ops_3_a_disk_that_syncs_no_more_loses_nothing() {
    fail_each("EIO", "sync", "on", 6);
}

#[test]
fn ops_3_a_failing_rename_loses_nothing() {
    fail_each("EIO", "rename", "once", 6);
}

#[test]
fn ops_3_a_file_that_cannot_be_opened_loses_nothing() {
    fail_each("EMFILE", "open", "on", 8);
}

#[test]
fn ops_3_a_file_that_cannot_be_removed_loses_nothing() {
    fail_each("EIO", "unlink", "once", 6);
}

#[test]
fn ops_3_with_few_descriptors_there_are_errors_or_it_works() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let program = std::env::current_exe().expect("this program has a path");
    let limits = [10, 14, 18, 22, 26, 30, 40, 64];
    for limit in limits.into_iter().filter(|limit| is_long() || limit % 4 == 2 || *limit == 64) {
        let store = dir.path().join(format!("store-{limit}"));
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")])
            .arg(&program)
            .args(["--exact", "faults::calls::worker", "--nocapture", "--test-threads=1"])
            .env(STORE, &store)
            .stdin(Stdio::null());
        let when = format!("{limit} descriptors");
        let (said, _) = said(&mut command, &when);
        must_recover(&store, &said, &when);
    }
}
