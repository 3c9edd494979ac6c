//! Crash points, one by one: an operation is stopped at its first step, its second, and so on until it
//! runs through, and what is left is the old state or the new one.
//!
//! A new operation is a row in [`jobs::JOBS`] or [`upkeep::UPKEEP`]. By default a process is stopped before
//! each step, or some of each kind where many are alike, and after the last; what is on disk after a step
//! is what is there before the next. `WITHY_LONG=1` tries both, and every step of all jobs.

mod full;
mod jobs;
mod refused;
mod salvage;
mod state;
mod upkeep;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use withy::testing::fault::{Action, Moment, PLAN_VARIABLE, Plan, Point, inject};
use withy::{Durability, ErrorKind, Result, Store, Timestamp};

pub(super) use self::jobs::Job;
use self::jobs::{Ending, JOBS, Visits};
pub(super) use self::state::{Copy, copy_at};
use self::state::{State, files_with_secrets, has_left, leavings, must_be_tidy_around};
use self::upkeep::UPKEEP;
use super::content::{copy, must_be_tidy, scratch};
use crate::support::{TickingClock, is_long};

/// Name the store, the job and the plan of the process that is to be stopped.
const STORE: &str = "WITHY_TEST_POINTS";
const JOB: &str = "WITHY_TEST_POINTS_JOB";
const PLAN: &str = "WITHY_TEST_POINTS_PLAN";

/// Exit code of a process that has done its job.
const DONE: i32 = 77;
const ABORTED: i32 = 6;

/// From one open to the next, in milliseconds: what was done before is old then.
const DAY: i64 = 24 * 3_600_000;

pub(super) fn jobs() -> impl Iterator<Item = &'static Job> {
    JOBS.iter().chain(&UPKEEP)
}

fn open(path: &Path) -> Result<Store> {
    let clock = TickingClock::new();
    let options = Store::options().durability(Durability::Sync).author("tester");
    let store = options.clock(clock.clone()).open(path)?;
    if let Some(last) = store.ops(1)?.first() {
        clock.set(Timestamp::from_millis(last.time.as_millis() + DAY));
    }
    Ok(store)
}

/// The directory of a store and of what is made beside it.
fn around(store: &Path) -> &Path {
    store.parent().expect("a store is in a directory")
}

pub(super) fn must_open(path: &Path) -> Store {
    open(path).unwrap_or_else(|e| panic!("the store opens by itself: {e:?}"))
}

/// Not a test by itself: the process that is stopped.
#[test]
fn worker() {
    let (Ok(path), Ok(name), Ok(plan)) =
        (std::env::var(STORE), std::env::var(JOB), std::env::var(PLAN))
    else {
        return;
    };
    let job = jobs().find(|job| job.name == name).expect("a job");
    let store = must_open(Path::new(&path));
    let _injected = inject(around(Path::new(&path)), plan.parse().expect("a plan"));
    (job.run)(&store).expect("the job is done");
    std::process::exit(DONE);
}

/// Not a test by itself: a process that only opens a store; its plan is in the variable of the library.
#[test]
fn opener() {
    if let Ok(path) = std::env::var(STORE)
        && std::env::var(JOB).is_err()
    {
        let _store = must_open(Path::new(&path));
        std::process::exit(DONE);
    }
}

/// Runs a process of this program to its end; says whether it came through, or was stopped as planned.
fn comes_through(test: &str, variables: &[(&str, &str)]) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let done = Command::new(program)
        .args(["--exact", &format!("faults::points::{test}"), "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("a process starts");
    if done.status.code() == Some(DONE) {
        return true;
    }
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.signal(), Some(ABORTED), "stopped by the plan, not by {said}");
    false
}

/// A store that a job is done to, again and again.
pub(super) struct Template {
    dir: TempDir,
    job: &'static Job,
    before: State,
    after: State,
    /// What is on disk after it, for a job that removes things.
    leavings: BTreeSet<String>,
}

impl Template {
    pub(super) fn make(job: &'static Job) -> Self {
        let dir = scratch();
        fs::create_dir(dir.path().join("template")).expect("the directory is made");
        let store = must_open(&dir.path().join("template").join("store"));
        (job.set_up)(&store);
        let before = State::of(&store, job);
        store.close().expect("it closes");
        let mut made = Self { after: before.clone(), dir, job, before, leavings: BTreeSet::new() };
        let path = made.copy();
        let store = must_open(&path);
        (job.run)(&store).expect("the job is done");
        made.after = State::of(&store, job);
        let is_seen = !matches!(job.ending, Ending::Unseen);
        assert_eq!(made.after != made.before, is_seen, "{}: what the job changes", job.name);
        store.close().expect("it closes");
        must_be_tidy_around(&path, job.name);
        made.leavings = leavings(&path);
        if matches!(job.ending, Ending::ByOpening) {
            let template = made.dir.path().join("template").join("store");
            assert!(files_with_secrets(&template) > 0, "{}: it removes something", job.name);
            assert_eq!(files_with_secrets(&path), 0, "{}: nothing of it is left", job.name);
        }
        made
    }

    /// A fresh copy of the store, and of what is beside it.
    pub(super) fn copy(&self) -> PathBuf {
        self.copy_to(self.dir.path().join("copy"))
    }

    fn copy_to(&self, to: PathBuf) -> PathBuf {
        copy(&self.dir.path().join("template"), &to);
        to.join("store")
    }

    /// How many steps the job takes, of all kinds and of each; one that works in the background as
    /// well may take others.
    fn steps(&self) -> (u64, Vec<(Point, u64)>) {
        let path = self.copy();
        let store = must_open(&path);
        let count = Plan::new(Action::Fail, Moment::Before, 0);
        let all = inject(around(&path), count);
        let each = Point::ALL.map(|point| (point, inject(around(&path), count.only(point))));
        (self.job.run)(&store).expect("the job is done");
        let each = each.iter().map(|(point, counted)| (*point, counted.steps()));
        (all.steps(), each.collect())
    }

    /// What was acknowledged is there for those who only read, whom no recovery has helped.
    pub(super) fn must_be_done(&self, path: &Path, when: &str) {
        let store = Store::options().read_only(true).open(path);
        let store = store.unwrap_or_else(|e| panic!("{when}: it can be read: {e:?}"));
        let state = State::of(&store, self.job);
        assert!(state == self.after, "{when}: what was acknowledged is there: {state:#?}");
    }

    /// Looks at what is left of a job; does it if it was not done.
    pub(super) fn check(&self, path: &Path, acknowledged: bool, when: &str) {
        let store = must_open(path);
        let state = State::of(&store, self.job);
        let done = state == self.after;
        assert!(done || !acknowledged, "{when}: what was acknowledged is there: {state:#?}");
        let in_steps = matches!(self.job.ending, Ending::InSteps);
        let again = matches!(self.job.ending, Ending::InSteps | Ending::Unseen);
        let stopped =
            state == self.before || (in_steps && state.is_between(&self.before, &self.after));
        assert!(done || stopped, "{when}: all or nothing: {state:#?}");
        if !done || again {
            (self.job.run)(&store).unwrap_or_else(|e| panic!("{when}: the next try: {e:?}"));
            let state = State::of(&store, self.job);
            assert!(state == self.after, "{when}: the next try ends right: {state:#?}");
        } else if has_left(path) {
            let again = (self.job.run)(&store).map_err(|e| e.kind());
            assert_eq!(again, Err(ErrorKind::Exists), "{when}: it is there already");
        }
        store.close().expect("it closes");
        must_be_tidy_around(path, when);
        if matches!(self.job.ending, Ending::ByOpening) {
            assert_eq!(files_with_secrets(path), 0, "{when}: no file has what was removed");
        }
        if !matches!(self.job.ending, Ending::AtOnce) {
            let left = leavings(path);
            let differs: Vec<_> = left.symmetric_difference(&self.leavings).collect();
            assert!(differs.is_empty(), "{when}: as if it had not been stopped: {differs:#?}");
        }
    }

    /// The plans that visit its steps.
    fn plans(&self, action: Action) -> Vec<Plan> {
        let (steps, each) = self.steps();
        let before = |number| Plan::new(action, Moment::Before, number);
        let mut out: Vec<Plan> = match self.job.visits {
            Visits::Few(count) if !is_long() => spread(steps, count).map(before).collect(),
            Visits::OfEachKind(count) if !is_long() => each
                .into_iter()
                .flat_map(|(kind, of)| spread(of, count).map(move |n| before(n).only(kind)))
                .collect(),
            _ => (1..=steps).map(before).collect(),
        };
        let first = if is_long() { 1 } else { steps };
        out.extend((first..=steps).map(|number| Plan::new(action, Moment::After, number)));
        out
    }

    fn stop_at_each_step(&self) {
        let name = self.job.name;
        for plan in self.plans(Action::Stop) {
            let path = self.copy();
            let text = plan.to_string();
            let place = path.to_str().expect("a path of text");
            let through = comes_through("worker", &[(STORE, place), (JOB, name), (PLAN, &text)]);
            self.check(&path, through, &format!("{name}, {plan}"));
        }
    }

    fn fail_at_each_step(&self) {
        let name = self.job.name;
        let actions = if is_long() { &[Action::Fail, Action::FailOn][..] } else { &[Action::Fail] };
        for plan in actions.iter().flat_map(|action| self.plans(*action)) {
            let when = format!("{name}, {plan}");
            let path = self.copy();
            let store = must_open(&path);
            let injected = inject(around(&path), plan);
            let done = (self.job.run)(&store);
            if let Err(e) = &done {
                use ErrorKind::{Halted, Io, OutcomeUnknown};
                let typed = matches!(e.kind(), Halted | Io | OutcomeUnknown);
                assert!(typed, "{when}: the error says that the disk failed: {e:?}");
                store.view("main").unwrap_or_else(|e| panic!("{when}: reads go on: {e:?}"));
            }
            drop((store, injected));
            self.check(&path, done.is_ok(), &when);
        }
    }
}

fn visit(group: &str) {
    let jobs: Vec<&'static Job> = jobs().filter(|job| job.group == group).collect();
    assert!(!jobs.is_empty(), "the group {group} has jobs");
    for job in jobs {
        let template = Template::make(job);
        template.stop_at_each_step();
        if is_long() || !matches!(job.visits, Visits::Few(_)) {
            template.fail_at_each_step();
        }
    }
}

/// Some numbers up to the last one, first and last among them if they are two or more.
fn spread(last: u64, count: u64) -> impl Iterator<Item = u64> {
    let count = count.min(last);
    (1..=count)
        .map(move |nth| if count == 1 { last } else { 1 + (nth - 1) * (last - 1) / (count - 1) })
}

#[test]
fn ops_1_a_commit_that_is_stopped_at_any_step_is_whole_or_absent() {
    visit("commit");
}

#[test]
fn ops_1_a_merge_that_is_stopped_at_any_step_is_whole_or_absent() {
    visit("merge");
}

#[test]
fn ops_1_a_large_merge_that_is_stopped_at_any_step_is_whole_or_absent() {
    visit("large merge");
}

#[test]
fn ops_1_a_moved_ref_that_is_stopped_at_any_step_is_where_it_was_or_where_it_goes() {
    visit("refs");
}

#[test]
fn ops_1_an_import_that_is_stopped_at_any_step_is_whole_or_absent() {
    visit("import");
}

#[test]
fn ops_1_an_overlay_compaction_that_is_stopped_at_any_step_changes_nothing_that_is_read() {
    visit("overlay");
}

#[test]
fn ops_1_a_prepared_transaction_that_is_stopped_at_any_step_is_prepared_or_ended() {
    visit("prepared");
}

#[test]
fn ops_7_a_collection_that_is_stopped_at_any_step_is_finished_by_the_next() {
    visit("gc");
}

#[test]
fn ops_7_a_purge_that_is_stopped_at_any_step_has_not_begun_or_is_finished_by_the_next_open() {
    visit("purge");
}

#[test]
fn ops_1_a_compaction_that_is_stopped_at_any_step_changes_nothing_that_is_read() {
    visit("compaction");
}

#[test]
fn feed_2_a_cursor_that_is_stopped_at_any_step_is_where_it_was_or_where_it_goes() {
    visit("cursors");
}

#[test]
fn ops_5_a_copy_that_is_stopped_at_any_step_is_whole_or_absent() {
    visit("copies");
}

#[test]
fn every_job_belongs_to_a_group_that_is_visited() {
    const GROUPS: [&str; 12] = [
        "commit",
        "merge",
        "large merge",
        "refs",
        "import",
        "overlay",
        "compaction",
        "cursors",
        "prepared",
        "gc",
        "purge",
        "copies",
    ];
    for job in jobs() {
        assert!(GROUPS.contains(&job.group), "{} is visited by a test", job.name);
    }
}

/// Opens what `make` leaves, stopped at each step, until it comes through.
fn stop_while_opening(make: impl Fn(&Path), check: impl Fn(&Store, &str)) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    for moment in [Moment::Before, Moment::After] {
        for number in 1.. {
            let path = dir.path().join(format!("{moment:?} {number}"));
            make(&path);
            let plan = Plan::new(Action::Stop, moment, number).to_string();
            let place = path.to_str().expect("a path of text");
            let through = comes_through("opener", &[(STORE, place), (PLAN_VARIABLE, &plan)]);
            let store = must_open(&path);
            check(&store, &plan);
            store.close().expect("it closes");
            must_be_tidy(&path, &plan);
            if through {
                assert!(number > 5, "a store is opened in steps");
                break;
            }
        }
    }
}

#[test]
fn ops_1_a_store_whose_making_is_stopped_at_any_step_is_made_by_the_next_open() {
    stop_while_opening(
        |_| {},
        |store, when| {
            assert_eq!(store.latest(), withy::Seq::ROOT, "{when}: the store is empty");
            crate::support::must_put(&store.main().expect("main"), "pear", "green");
        },
    );
}

#[test]
fn ops_1_a_recovery_that_is_stopped_at_any_step_is_done_by_the_next_open() {
    let job = jobs().find(|job| job.name == "bulk load").expect("the job");
    let template = Template::make(job);
    // Of a load that was stopped: taken in, and without its commit.
    let path = template.copy();
    let place = path.to_str().expect("a path of text").to_owned();
    let plan = Plan::new(Action::Stop, Moment::After, 2).only(withy::testing::fault::Point::Ingest);
    let text = plan.to_string();
    let variables = [(STORE, &place[..]), (JOB, job.name), (PLAN, &text)];
    assert!(!comes_through("worker", &variables), "it is stopped");
    stop_while_opening(
        |to| copy(&path, to),
        |store, when| {
            assert!(State::of(store, job) == template.before, "{when}: as before the load")
        },
    );
}
