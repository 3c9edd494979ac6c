//! TPC-2: the process is killed at every step of a transaction over two stores, and of the recovery
//! after that. `docs/coordination.md` lists the steps.
//!
//! This program starts itself again for what is to be killed. `WITHY_LONG=1` kills recoveries at every
//! step after every one of them, not only after the decision.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use withy::{Participant, Standing, StoreParticipant, Vote};

use super::ledger::{Ledger, Transfer, copy};
use crate::support::is_long;

const ROOT: &str = "WITHY_TEST_TPC_ROOT";
const PLAN: &str = "WITHY_TEST_TPC_PLAN";
const STEP: &str = "WITHY_TEST_TPC_STEP";
const ACCOUNTS: usize = 3;

/// A participant that ends the process before or after a call.
struct Fatal<'p> {
    inner: StoreParticipant<'p>,
    steps: &'p AtomicUsize,
    fatal: usize,
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nworker: {what}").and_then(|()| out.flush()).expect("someone listens");
}

impl Fatal<'_> {
    fn step(&self, when: &str, call: &str) {
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.fatal {
            say(&format!("{when} {}.{call}", self.inner.name()));
            std::process::abort();
        }
    }

    fn call<T>(&self, call: &str, really: impl FnOnce() -> T) -> T {
        self.step("before", call);
        let done = really();
        self.step("after", call);
        done
    }
}

impl Participant for Fatal<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn prepare(&self, gid: &str) -> withy::Result<Vote> {
        self.call("prepare", || self.inner.prepare(gid))
    }
    fn commit(&self, gid: &str) -> withy::Result<()> {
        self.call("commit", || self.inner.commit(gid))
    }
    fn abort(&self, gid: &str) -> withy::Result<()> {
        self.call("abort", || self.inner.abort(gid))
    }
    fn standing(&self, gid: &str) -> withy::Result<Option<Standing>> {
        self.call("standing", || self.inner.standing(gid))
    }
    fn forget(&self, gid: &str) -> withy::Result<()> {
        self.call("forget", || self.inner.forget(gid))
    }
    fn holds(&self) -> withy::Result<Vec<(String, Standing)>> {
        self.call("holds", || self.inner.holds())
    }
}

/// Not a test by itself: the process that the others kill.
#[test]
fn worker() {
    let read = |name: &str| std::env::var(name).ok();
    let (Some(root), Some(plan), Some(step)) = (read(ROOT), read(PLAN), read(STEP)) else { return };
    let ledger = Ledger::open(Path::new(&root), ACCOUNTS);
    let steps = AtomicUsize::new(0);
    let fatal = step.parse().expect("a number");
    let wrap = |inner| Fatal { inner, steps: &steps, fatal };
    if plan == "recover" {
        let bank = wrap(StoreParticipant::new("bank", &ledger.bank));
        let shop = wrap(StoreParticipant::new("shop", &ledger.shop));
        let done = ledger.coordinator().recover(&[&bank, &shop]).expect("it recovers");
        assert_eq!(done.unfinished, [], "all are there");
    } else {
        let amount = if plan == "commit" { 7 } else { 0 };
        let transfer = Transfer { id: format!("{plan} {step}"), from: 1, to: 2, amount };
        let (bank, shop) = (wrap(transfer.at_bank(&ledger)), wrap(transfer.at_shop(&ledger)));
        let done = ledger.coordinator().run(&[&bank, &shop]).expect("it runs");
        assert_eq!(done.is_committed(), amount > 0, "as planned");
        say(if done.is_committed() { "committed" } else { "aborted" });
    }
    say("done");
    std::process::exit(0);
}

/// Runs a plan in another process up to a step; what it said last.
fn run(root: &Path, plan: &str, step: usize) -> String {
    let done = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "coord::two_phase::kill::worker", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .env(PLAN, plan)
        .env(STEP, step.to_string())
        .stdin(Stdio::null())
        .output()
        .expect("a process runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut said = said.lines().filter_map(|line| line.strip_prefix("worker: "));
    let last = said.next_back().unwrap_or_else(|| {
        panic!("it says where it ends: {}", String::from_utf8_lossy(&done.stderr))
    });
    assert_eq!(done.status.success(), last == "done", "it is killed, or comes to its end: {last}");
    last.to_owned()
}

/// The calls of a plan, in order; each is a step before it and one after it.
const COMMIT: [&str; 8] = [
    "bank.prepare",
    "shop.prepare",
    "bank.commit",
    "bank.standing",
    "shop.commit",
    "shop.standing",
    "bank.forget",
    "shop.forget",
];
const ABORT: [&str; 8] = [
    "bank.prepare",
    "shop.prepare",
    "bank.abort",
    "bank.standing",
    "shop.abort",
    "shop.standing",
    "bank.forget",
    "shop.forget",
];

/// The first step at which the decision is on disk.
const DECIDED: usize = 5;

#[derive(Default)]
struct Caught {
    abort_all: usize,
    commit_all: usize,
}

/// Whether the check complains after a recovery that asks nobody what was decided.
fn caught(root: &Path, wanted: &BTreeSet<String>, end: impl Fn(&withy::Store, &str)) -> usize {
    let copied = root.with_extension("copy");
    copy(root, &copied);
    let ledger = Ledger::open(&copied, ACCOUNTS);
    ledger.end_all(end);
    usize::from(ledger.check(ACCOUNTS, wanted).is_err())
}

fn kill_at_every_step(plan: &str, calls: &[&str]) -> Caught {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let root = dir.path().join("stores");
    let mut wanted = BTreeSet::new();
    let mut steps = Vec::new();
    let mut mutants = Caught::default();
    drop(Ledger::open(&root, ACCOUNTS));
    for step in 1.. {
        let last = run(&root, plan, step);
        let finished = last == "done";
        if plan == "commit" && (step >= DECIDED || finished) {
            // It was decided, or even acknowledged.
            wanted.insert(format!("{plan} {step}"));
        }
        mutants.abort_all += caught(&root, &wanted, |store, gid| {
            store.rollback_prepared(gid).expect("it is prepared");
        });
        mutants.commit_all += caught(&root, &wanted, |store, gid| {
            store.commit_prepared(gid).expect("it is prepared");
        });
        // Recoveries are killed as well, one step later each time, until one comes to its end.
        let thorough = is_long() || step == DECIDED;
        let mut kill_at = if thorough { 1 } else { 0 };
        while run(&root, "recover", kill_at) != "done" {
            kill_at += 1;
            assert!(kill_at < 100, "recoveries get on");
        }
        let ledger = Ledger::open(&root, ACCOUNTS);
        let there = ledger.check(ACCOUNTS, &wanted);
        assert_eq!(there.as_ref(), Ok(&wanted), "killed {last}: all is there that was decided");
        assert_eq!(ledger.pending(), 0, "killed {last}: nothing is left to do");
        if finished {
            break;
        }
        steps.push(last);
    }
    let all: Vec<String> =
        calls.iter().flat_map(|call| ["before", "after"].map(|w| format!("{w} {call}"))).collect();
    assert_eq!(steps, all, "these are the steps, and it was killed at each of them");
    mutants
}

#[test]
fn tpc_2_killed_at_every_step_of_a_commit_both_stores_end_equal() {
    let caught = kill_at_every_step("commit", &COMMIT);
    assert!(caught.abort_all > 0, "a recovery that aborts everything would be seen");
    assert!(caught.commit_all > 0, "a recovery that commits everything would be seen");
}

#[test]
fn tpc_2_killed_at_every_step_of_an_abort_both_stores_end_equal() {
    let caught = kill_at_every_step("abort", &ABORT);
    assert!(caught.commit_all > 0, "a recovery that commits everything would be seen");
}
