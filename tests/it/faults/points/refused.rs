//! OPS-3: jobs whose calls of the operating system fail: the n-th write, sync, rename, open or removal, and a
//! disk that is full from the n-th write on, for each n.
//!
//! By default a few n of each kind are tried, with `WITHY_LONG=1` every one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use withy::{Error, ErrorKind, KeyRange, Read as _, Setting, Store};

use super::super::shim;
use super::jobs::Job;
use super::state::{Shown, State};
use super::{JOB, STORE, Template, around, jobs, must_open, spread};
use crate::support::is_long;
use crate::support::process::say;

/// Names the file in which the library notes the calls that it has refused.
const REFUSED: &str = "WITHY_SHIM_FAILED";

/// What fails, how often, and at how many places that are tried.
const FAULTS: [(&str, &str, &str, u64); 6] = [
    ("ENOSPC", "write", "on", 2),
    ("EIO", "write", "once", 1),
    ("EIO", "sync", "once", 2),
    ("EIO", "rename", "once", 1),
    ("EIO", "open", "once", 1),
    ("EIO", "unlink", "once", 1),
];

/// The directory that is there while calls fail.
fn during(store: &Path) -> PathBuf {
    around(store).join("failing")
}

/// The kind of the error of a job, which must be one of a disk that fails.
pub(super) fn must_be_of_disk(e: &Error, when: &str) -> ErrorKind {
    use ErrorKind::{Halted, Io, OutcomeUnknown};
    let typed = matches!(e.kind(), Halted | Io | OutcomeUnknown);
    assert!(typed, "{when}: the error says that the disk failed: {e:?}");
    e.kind()
}

/// What a store shows after an error of a job. Nothing that can be compared where a commit is neither sure to be
/// there nor to be absent; what it says in one place is what it says in another all the same.
pub(super) fn shown_after(store: &Store, job: &Job, kind: ErrorKind) -> Vec<String> {
    if kind == ErrorKind::Io {
        return Shown::of(store, job).lines(job);
    }
    for info in store.branches().expect("the branches") {
        let view = store.view(&format!("heads/{}", info.name)).expect("a view");
        let count = view.count(&KeyRange::all()).expect("a scan");
        assert_eq!(count, view.len(), "the count of {} is that of a full scan", info.name);
    }
    Vec::new()
}

/// Two small commits, which change nothing that jobs are judged by; before the second one the disk is mended.
/// None is acknowledged once the store has halted. The newest that is.
pub(super) fn commit_on(
    store: &Store,
    mut halted: bool,
    mend: impl FnOnce(),
    when: &str,
) -> Option<String> {
    let (mut acked, mut mend) = (None, Some(mend));
    for number in ["1001", "1002"] {
        match store.set_config(Setting::MaxBranches, Some(number)) {
            Ok(()) => {
                assert!(!halted, "{when}: nothing is acknowledged until reopen");
                acked = Some(number.to_owned());
            }
            Err(e) => {
                let kind = must_be_of_disk(&e, when);
                assert!(!halted || kind == ErrorKind::Halted, "{when}: it has halted: {e:?}");
                halted = true;
            }
        }
        mend.take().into_iter().for_each(|mend| mend());
    }
    acked
}

/// What was acknowledged is there when the store is opened again.
pub(super) fn must_have_acked(path: &Path, acked: &Option<String>, when: &str) {
    let store = must_open(path);
    let found = store.config(Setting::MaxBranches).expect("a setting");
    assert!(found >= *acked, "{when}: what was acknowledged is there: {found:?}");
    store.close().expect("it closes");
}

/// Whether a write or a sync of the log of the store was refused.
fn has_lost_log(store: &Path) -> bool {
    let refused = fs::read_to_string(std::env::var(REFUSED).expect("a path")).expect("it is there");
    let inside = format!(" {}/", store.display());
    refused.lines().any(|line| {
        let writes = line.starts_with("write ") || line.starts_with("sync ");
        writes && line.contains(&inside) && line.ends_with(".log")
    })
}

/// Not a test by itself: the process whose calls fail while it does its job.
#[test]
fn worker() {
    let (Ok(path), Ok(name)) = (std::env::var(STORE), std::env::var(JOB)) else { return };
    let path = Path::new(&path);
    if std::env::var(REFUSED).is_err() {
        return;
    }
    let job = jobs().find(|job| job.name == name).expect("a job");
    let store = must_open(path);
    fs::create_dir(during(path)).expect("now calls fail");
    let done = (job.run)(&store);
    let mut halted = has_lost_log(path);
    if let Err(e) = &done {
        let kind = must_be_of_disk(e, job.name);
        halted |= kind != ErrorKind::Io;
        // While the disk fails.
        let shown = shown_after(&store, job, kind);
        say(&format!("\nrefused\n{}\n", shown.join("\n")));
    }
    let mend = || fs::remove_dir(during(path)).expect("it is removed");
    if let Some(acked) = commit_on(&store, halted, mend, job.name) {
        say(&format!("\nack {acked}\n"));
    }
    say("\nend\n");
}

/// What a process whose call fails has said.
struct Said {
    /// What its store showed after an error; none if the job was done.
    shown: Option<Vec<String>>,
    /// The newest number that was acknowledged.
    acked: Option<String>,
}

fn run(command: &mut Command, when: &str) -> Said {
    let done = command.output().expect("a process starts");
    let text = String::from_utf8_lossy(&done.stdout);
    let trouble = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{when}: {}: {text}\n{trouble}", done.status);
    let text = text.split_once("\nend").expect("it came to its end").0;
    let mut said = Said { shown: None, acked: None };
    let lines = text.lines().filter(|line| !line.is_empty());
    let lines = lines.skip_while(|line| *line != "refused" && !line.starts_with("ack "));
    for line in lines {
        match (line.strip_prefix("ack "), &mut said.shown) {
            (Some(number), _) => said.acked = Some(number.to_owned()),
            (None, Some(shown)) => shown.push(line.to_owned()),
            (None, shown) => *shown = Some(Vec::new()),
        }
    }
    said
}

impl Template {
    /// Lets calls of the job fail, one after the other; how many were tried, and led to an error.
    fn refuse_each(&self, library: &Path, fault: (&str, &str, &str, u64)) -> (u64, u64) {
        let (error, call, how, samples) = fault;
        let (count, refused) = (self.dir.path().join("count"), self.dir.path().join("refused"));
        let process = |path: &Path| {
            let test = "faults::points::refused::worker";
            let mut command = shim::process(library, test, around(path));
            command.env(STORE, path).env(JOB, self.job.name).env(REFUSED, &refused);
            command.env("WITHY_SHIM_WHILE", during(path));
            command
        };
        run(process(&self.copy()).env("WITHY_SHIM_COUNT", &count), self.job.name);
        let text = fs::read_to_string(&count).expect("the calls were counted");
        let line = text.lines().find_map(|line| line.strip_prefix(call));
        let calls: u64 = line.and_then(|line| line.trim().parse().ok()).expect("a number");
        let samples = if is_long() { calls } else { samples };
        let (mut tried, mut failed) = (0, 0);
        for number in spread(calls, samples) {
            let fail = format!("{error} {call} {number} {how}");
            let when = format!("{}, {fail}", self.job.name);
            let path = self.copy();
            let said = run(process(&path).env("WITHY_SHIM_FAIL", &fail), &when);
            tried += 1;
            if let Some(shown) = &said.shown {
                failed += 1;
                let right = State::may_show(shown, &self.before, &self.after, self.job);
                assert!(right, "{when}: reads go on: {shown:#?}");
            }
            must_have_acked(&path, &said.acked, &when);
            self.check(&path, said.shown.is_none(), &when);
        }
        (tried, failed)
    }
}

/// Visits the jobs of some groups.
fn refuse(is_meant: impl Fn(&Job) -> bool) {
    let Some(library) = shim::library() else { return };
    for job in jobs().filter(|job| is_meant(job)) {
        let template = Template::make(job);
        let mut all = (0, 0);
        for fault in FAULTS {
            let (tried, failed) = template.refuse_each(library, fault);
            all = (all.0 + tried, all.1 + failed);
        }
        let text = format!("{}: {} calls failed, {} with errors\n", job.name, all.0, all.1);
        let _ = std::io::stderr().write_all(text.as_bytes());
        assert!(all.1 > 0, "{}: some of the failing calls are noticed", job.name);
    }
}

#[test]
fn ops_3_a_collection_whose_calls_fail_loses_nothing() {
    refuse(|job| job.group == "gc");
}

#[test]
fn ops_3_a_purge_whose_calls_fail_is_finished_by_the_next_open() {
    refuse(|job| job.group == "purge");
}

#[test]
fn ops_3_a_compaction_whose_calls_fail_is_not_said_to_be_done() {
    refuse(|job| ["compaction", "overlay"].contains(&job.group));
}

#[test]
fn ops_3_a_copy_whose_calls_fail_is_whole_or_absent() {
    refuse(|job| job.group == "copies");
}

#[test]
fn ops_3_an_import_whose_calls_fail_is_whole_or_absent() {
    refuse(|job| job.group == "import");
}

#[test]
fn ops_3_a_cursor_whose_calls_fail_is_where_it_was_or_where_it_goes() {
    refuse(|job| job.group == "cursors");
}
