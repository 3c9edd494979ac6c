//! MERGE-8: a process that is killed in the middle of a merge leaves all of it or nothing.
//!
//! `WITHY_LONG=1` kills fifty of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use withy::exchange::{LoadOptions, load};
use withy::{
    Batch, Branch, Clock, CommitOptions, Durability, FeedOptions, Fingerprint, KeyRange,
    LogOptions, MergeOptions, MergeOutcome, MergeReport, Read, Resolution, Result, Seq, Store,
    SystemClock,
};

use crate::support::{is_long, must_branch};

/// Name the store and the job of the process that is to be killed.
const STORE: &str = "WITHY_TEST_KILL";
const JOB: &str = "WITHY_TEST_KILL_JOB";

const CHANGES: u32 = 5_000;
/// More than are landed in one batch.
const MANY: u32 = 260_000;
const CONFLICTS: u32 = 100;

/// What is killed, on a store that was made for it.
struct Job {
    name: &'static str,
    /// The branch that it is done to.
    target: &'static str,
    set_up: fn(&Store),
    run: fn(&Store) -> Result<MergeReport>,
    outcome: MergeOutcome,
    /// How often it is killed, unless told; the large one takes longer to look at.
    kills: u32,
}

const JOBS: [Job; 5] = [
    Job {
        name: "merge",
        target: "main",
        set_up: |store| {
            let topic = rows_and_topic(store);
            change(&topic, 0..CHANGES, "theirs", 5_000);
            change(&main(store), CHANGES..CHANGES + 500, "ours", 100);
        },
        run: |store| store.merge("main", "topic", MergeOptions::default()),
        outcome: MergeOutcome::Committed,
        kills: 10,
    },
    Job {
        name: "bulk",
        target: "main",
        set_up: |store| {
            let topic = rows_and_topic(store);
            let rows = (0..MANY).map(|i| Ok((key(i), value(i, "theirs"))));
            load(store, topic.name().as_str(), rows, LoadOptions::default()).expect("it is loaded");
            change(&main(store), MANY..MANY + 500, "ours", 100);
        },
        run: |store| store.merge("main", "topic", MergeOptions::default()),
        outcome: MergeOutcome::Committed,
        kills: 4,
    },
    Job {
        name: "rebase",
        target: "topic",
        set_up: |store| {
            let topic = rows_and_topic(store);
            change(&topic, 0..CHANGES, "theirs", 100);
            change(&main(store), CHANGES..CHANGES + 500, "ours", 100);
        },
        run: |store| store.rebase("topic", "main", MergeOptions::default()),
        outcome: MergeOutcome::Committed,
        kills: 10,
    },
    Job {
        name: "fast-forward",
        target: "main",
        set_up: |store| change(&rows_and_topic(store), 0..CHANGES, "theirs", 100),
        run: |store| store.merge("main", "topic", MergeOptions::default()),
        outcome: MergeOutcome::FastForward,
        kills: 10,
    },
    Job {
        name: "continue",
        target: "main",
        set_up: |store| {
            let topic = rows_and_topic(store);
            change(&topic, 0..CHANGES, "theirs", 5_000);
            change(&main(store), CHANGES - CONFLICTS..CHANGES + 500, "ours", 100);
            let options = MergeOptions::default().keep_open(true);
            let report = store.merge("main", "topic", options).expect("it stops at its conflicts");
            let half = key(CHANGES - CONFLICTS / 2);
            let resolutions = report.conflicts.iter().map(|one| match one.key < half {
                true => (one.key.clone(), Resolution::Theirs),
                false => (one.key.clone(), Resolution::Value(b"settled".to_vec())),
            });
            let count = store.resolve_conflicts("main", resolutions, None).expect("all fit");
            assert_eq!(count, 90, "every conflict is settled; both sides have deleted ten rows");
        },
        run: |store| store.continue_merge("main", CommitOptions::default()),
        outcome: MergeOutcome::Committed,
        kills: 10,
    },
];

fn key(i: u32) -> Vec<u8> {
    format!("row/{i:06}").into_bytes()
}

fn value(i: u32, by: &str) -> Vec<u8> {
    format!("{by} {i} ").repeat(6).into_bytes()
}

fn main(store: &Store) -> Branch {
    store.main().expect("main")
}

/// Changes rows: of ten, one is deleted.
fn change(branch: &Branch, rows: std::ops::Range<u32>, by: &str, per_commit: usize) {
    let rows: Vec<u32> = rows.collect();
    for rows in rows.chunks(per_commit) {
        let mut batch = Batch::new();
        for &i in rows {
            match i % 10 {
                0 => batch.delete(key(i)),
                _ => batch.put(key(i), value(i, by)),
            };
        }
        branch.write(batch, CommitOptions::default()).expect("it is written");
    }
}

/// Puts rows on main, half of those that a topic is going to change, and makes the topic.
fn rows_and_topic(store: &Store) -> Branch {
    let mut batch = Batch::new();
    for i in (0..2 * CHANGES).step_by(2) {
        batch.put(key(i), value(i, "base"));
    }
    main(store).write(batch, CommitOptions::default()).expect("it is written");
    must_branch(store, "topic", "main")
}

fn open(path: &Path) -> Store {
    let options = Store::options().durability(Durability::Buffered).author("tester");
    options.open(path).expect("the store opens")
}

/// Not a test by itself: the process that the others kill.
#[test]
fn worker() {
    let (Ok(path), Ok(name)) = (std::env::var(STORE), std::env::var(JOB)) else { return };
    let job = JOBS.iter().find(|job| job.name == name).expect("a job");
    let store = open(Path::new(&path));
    let say = |what: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nworker: {what}").and_then(|()| out.flush()).expect("someone listens");
    };
    say("begin");
    (job.run)(&store).expect("the job is done");
    say("done");
    // It is killed, or ends with the process that has started it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(1);
}

/// A process that does a job; it is killed when dropped.
struct Worker(Child, BufReader<std::process::ChildStdout>);

impl Worker {
    fn start(path: &Path, job: &Job) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "merge::kill::worker", "--nocapture", "--test-threads=1"])
            .env(STORE, path)
            .env(JOB, job.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process starts");
        let said = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut worker = Self(child, said);
        worker.wait_for("begin");
        worker
    }

    fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        while line.trim_end() != format!("worker: {what}") {
            line.clear();
            let read = self.1.read_line(&mut line).expect("it can be read");
            assert!(read > 0, "the process has ended before it said {what:?}");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that a merge can change.
#[derive(PartialEq, Eq)]
struct State {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Head, count and fingerprint of each branch.
    branches: Vec<(String, Seq, u64, Fingerprint)>,
    latest: Seq,
    ops: Vec<String>,
    /// Branches with an open merge, and how many of its conflicts are settled.
    open: Vec<(String, u64)>,
}

impl State {
    /// Reads it, and fails if it contradicts itself.
    fn of(store: &Store, target: &str) -> Self {
        let branches = store.branches().expect("the branches").into_iter().map(|info| {
            let view = store.view(info.name.as_str()).expect("a view");
            assert_eq!(
                view.count(&KeyRange::all()).expect("a scan"),
                view.len(),
                "the count of {} is that of a full scan",
                info.name
            );
            (info.name.to_string(), info.head, view.len(), view.fingerprint())
        });
        let view = store.view(target).expect("a view");
        let rows = view.range(&KeyRange::all()).expect("a scan").map(|row| row.expect("a row"));
        let rows: BTreeMap<Vec<u8>, Vec<u8>> = rows.collect();
        assert!(folded(store, target) == rows, "the feed, folded from the start, is the content");
        let ops = store.ops(1_000).expect("the operations").into_iter();
        let open = store.open_merges().expect("the open merges").into_iter();
        Self {
            rows,
            branches: branches.collect(),
            latest: store.latest(),
            ops: ops.map(|op| op.what).collect(),
            open: open.map(|open| (open.target.to_string(), open.resolved)).collect(),
        }
    }
}

/// What the commits on the first parents of a branch make of nothing, as the feed tells them.
fn folded(store: &Store, branch: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let log = store.log(branch, LogOptions::default().first_parent(true)).expect("the log");
    let chain: BTreeSet<Seq> = log.map(|commit| commit.expect("a commit").seq).collect();
    let mut out = BTreeMap::new();
    let mut next = Seq::ROOT;
    for event in store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed") {
        let event = event.expect("an event");
        next = Seq::new(next.get() + 1);
        assert_eq!(event.commit.seq, next, "the feed has no gap");
        if !chain.contains(&event.commit.seq) {
            continue;
        }
        for change in event.changes {
            match change.value {
                Some(value) => out.insert(change.key, value),
                None => out.remove(&change.key),
            };
        }
    }
    assert_eq!(next, store.latest(), "the feed goes to the end");
    out
}

/// A store that a job is done to, again and again.
struct Template {
    dir: TempDir,
    job: &'static Job,
    before: State,
    after: State,
}

impl Template {
    fn make(name: &str) -> Self {
        let job = JOBS.iter().find(|job| job.name == name).expect("a job");
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let store = open(&dir.path().join("template"));
        (job.set_up)(&store);
        let before = State::of(&store, job.target);
        store.close().expect("it closes");
        let mut made = Self { dir, job, before, after: State::default() };
        let store = open(&made.copy());
        made.must_do(&store);
        made.after = State::of(&store, job.target);
        assert!(made.after != made.before, "the job changes something");
        store.close().expect("it closes");
        made
    }

    /// A fresh copy of the store.
    fn copy(&self) -> PathBuf {
        let (from, to) = (self.dir.path().join("template"), self.dir.path().join("copy"));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).expect("it is made");
        for entry in std::fs::read_dir(from).expect("it is read") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, to.join(name)).expect("the store is flat, its files are copied");
        }
        to
    }

    fn must_do(&self, store: &Store) {
        let report = (self.job.run)(store).expect("the job is done");
        assert_eq!(report.outcome, self.job.outcome, "the job ends as it should");
    }

    /// Looks at what a killed process has left, does the job if it was not done, and says if it was.
    fn check(&self, path: &Path) -> bool {
        let store = open(path);
        let state = State::of(&store, self.job.target);
        let done = state == self.after;
        assert!(
            done || state == self.before,
            "all or nothing: {} rows, {:?}, operations {:?}, open {:?}",
            state.rows.len(),
            state.branches,
            state.ops,
            state.open
        );
        assert!(!path.join("bulk").exists(), "no files are left of what was not finished");
        if !done {
            self.must_do(&store);
            assert!(State::of(&store, self.job.target) == self.after, "the next try ends right");
        }
        store.close().expect("it closes");
        done
    }
}

impl Default for State {
    fn default() -> Self {
        let (rows, branches, ops, open) = Default::default();
        Self { rows, branches, latest: Seq::ROOT, ops, open }
    }
}

fn kill_at_random(name: &str) {
    let template = Template::make(name);
    let path = template.copy();
    let mut worker = Worker::start(&path, template.job);
    let begun = SystemClock.now().as_millis();
    worker.wait_for("done");
    let took = SystemClock.now().as_millis() - begun;
    drop(worker);
    assert!(template.check(&path), "what was acknowledged is there, however the process ends");

    let long = is_long();
    let mut random = fastrand::Rng::with_seed(8);
    let longest = u64::try_from(took).unwrap_or(0).max(1) * 1_100;
    for _ in 0..if long { 50 } else { template.job.kills } {
        let path = template.copy();
        let worker = Worker::start(&path, template.job);
        std::thread::sleep(Duration::from_micros(random.u64(0..longest)));
        drop(worker);
        template.check(&path);
    }
}

#[test]
fn merge_8_a_killed_merge_is_all_there_or_not_at_all() {
    kill_at_random("merge");
}

#[test]
fn merge_8_a_killed_merge_of_very_many_changes_is_all_there_or_not_at_all() {
    kill_at_random("bulk");
}

#[test]
fn merge_11_a_killed_rebase_is_all_there_or_not_at_all() {
    kill_at_random("rebase");
}

#[test]
fn merge_4_a_killed_fast_forward_is_all_there_or_not_at_all() {
    kill_at_random("fast-forward");
}

#[test]
fn merge_7_a_killed_continuation_is_all_there_or_the_merge_is_still_open() {
    kill_at_random("continue");
}
