//! SAGA-1, OUTBOX-1: a process that ends at any point leaves what the next one drives to its end.
//!
//! The process is ended from within, at the n-th moment for each n until it gets through: whenever the
//! clock is asked (between all writes of a journal, a claim or an acknowledgement), at the start and end of
//! every action, step and compensation, and when its transaction lets go of a lock: right after its commit,
//! before anything else can be written.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use withy::{
    ActionResult, Clock, CommitOptions, CompensationState, Durability, LockKind, MessageState,
    Monotonic, OpenOptions, Read, RetryPolicy, SagaDef, SagaInfo, SagaOutcome, SagaPhase, SagaStep,
    Store, Timestamp,
};

use super::text;
use crate::support::{TickingClock, must_get};

/// Name the directory, the job and the moment of the process that is to end.
const DIR: &str = "WITHY_TEST_COORD";
const JOB: &str = "WITHY_TEST_COORD_JOB";
const AT: &str = "WITHY_TEST_COORD_AT";

/// Counts moments, and ends the process at the chosen one; the clock goes on with each.
struct Moments {
    count: AtomicU64,
    end: Option<u64>,
}

impl Moments {
    fn new(end: Option<u64>) -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(0), end })
    }

    /// One more moment.
    fn pass(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if self.end == Some(count) {
            std::process::abort();
        }
        count
    }
}

impl Clock for Moments {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.pass()).expect("a small number");
        Timestamp::from_millis(TickingClock::START.as_millis() + millis)
    }
}

impl Monotonic for Moments {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.pass())
    }
}

/// The world outside of the store: lines that stay, whatever happens to the process.
#[derive(Clone)]
struct World(PathBuf);

impl World {
    fn add(&self, line: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.0);
        let file = file.as_mut().expect("the file is there");
        file.write_all(format!("{line}\n").as_bytes()).expect("it is written");
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Adds to a number in the store, and the word to the list of effects.
fn effect(step: &mut SagaStep<'_, '_>, word: &str, account: &str, sum: i64) -> ActionResult {
    let tx = step.txn();
    tx.lock("/effects", LockKind::Point, Duration::ZERO)?;
    let log = tx.get(b"log")?.map(|log| text(&log) + " ").unwrap_or_default();
    tx.put("log", log + word)?;
    let before = tx.get(account.as_bytes())?.map_or(Ok(0), |n| text(&n).parse())?;
    Ok(tx.put(account, (before + sum).to_string())?)
}

/// A saga that is decided by its third step, or fails there.
fn transfer(name: &str, fails: bool, moments: &Arc<Moments>, world: &World) -> SagaDef {
    type Work = Box<dyn Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync>;
    let at = |work: Work| {
        let moments = Arc::clone(moments);
        move |step: &mut SagaStep<'_, '_>| -> ActionResult {
            moments.pass();
            let done = work(step);
            moments.pass();
            done
        }
    };
    let (reserves, releases, notifies) = (world.clone(), world.clone(), world.clone());
    SagaDef::new(name)
        .step("debit", at(Box::new(|step| effect(step, "debit", "alice", -10))))
        .undone_by("refund")
        .step(
            "reserve",
            at(Box::new(move |step| {
                reserves.add(&format!("reserve {}", step.idempotency_key()));
                step.txn().compensate("unnote", "n 1")?;
                effect(step, "reserve", "seats", -1)
            })),
        )
        .undone_by("release")
        .outside()
        .step(
            "credit",
            at(Box::new(move |step| {
                effect(step, "credit", "bob", 10)?;
                if fails { Err("the account is closed".into()) } else { Ok(()) }
            })),
        )
        .decides()
        .step(
            "notify",
            at(Box::new(move |step| {
                notifies.add(&format!("notify {}", step.idempotency_key()));
                effect(step, "notify", "told", 1)
            })),
        )
        .compensation("refund", at(Box::new(|step| effect(step, "refund", "alice", 10))))
        .compensation(
            "release",
            at(Box::new(move |step| {
                releases.add(&format!("release {}", step.in_doubt()));
                let seats = if step.in_doubt() { 0 } else { 1 };
                effect(step, "release", "seats", seats)
            })),
        )
        .compensation(
            "unnote",
            at(Box::new(|step| {
                assert_eq!(step.args(), b"n 1", "what it was registered with");
                effect(step, "unnote", "notes", 1)
            })),
        )
}

/// A saga with a compensation that ends its process every time.
fn fatal() -> SagaDef {
    SagaDef::new("fatal")
        .step("a", |step| effect(step, "a", "alice", -1))
        .undone_by("undo a")
        .step("b", |step| effect(step, "b", "alice", -1))
        .undone_by("undo b")
        .step("c", |_| Err("no".into()))
        .compensation("undo a", |step| effect(step, "-a", "alice", 1))
        .compensation("undo b", |_| std::process::abort())
}

fn options(dir: &Path, moments: &Arc<Moments>) -> OpenOptions {
    let world = World(dir.join("world"));
    let (mails, at, in_store) = (world.clone(), Arc::clone(moments), Arc::clone(moments));
    Store::options()
        .durability(Durability::Buffered)
        .clock(Arc::clone(moments) as Arc<dyn Clock>)
        .monotonic(Arc::clone(moments) as Arc<dyn Monotonic>)
        .saga(transfer("good", false, moments, &world))
        .saga(transfer("bad", true, moments, &world))
        .saga(fatal())
        .saga_retries(RetryPolicy::default().attempts(5))
        .action("mail", move |message| {
            at.pass();
            mails.add(&format!("{} {}", text(message.payload()), message.idempotency_key()));
            at.pass();
            Ok(())
        })
        .action_in_store("count", "main", move |message, tx| {
            in_store.pass();
            tx.lock("/counted", LockKind::Point, Duration::ZERO)?;
            let log = tx.get(b"counted")?.map(|log| text(&log) + " ").unwrap_or_default();
            tx.put("counted", log + &text(message.payload()))?;
            in_store.pass();
            Ok(())
        })
}

fn open(dir: &Path, moments: &Arc<Moments>) -> Store {
    options(dir, moments).open(dir.join("store")).expect("the store opens")
}

const ORDERS: usize = 4;

/// Not a test by itself: the process that ends early.
#[test]
fn worker() {
    let read = |name| std::env::var(name);
    let (Ok(dir), Ok(job), Ok(at)) = (read(DIR), read(JOB), read(AT)) else { return };
    let moments = Moments::new(Some(at.parse().expect("a number")));
    let store = open(Path::new(&dir), &moments);
    match job.as_str() {
        "outbox" => {
            for i in 0..ORDERS {
                let work = |tx: &mut withy::Txn<'_>| {
                    tx.put(format!("order/{i}"), "paid")?;
                    tx.enqueue("mail", i.to_string())?;
                    tx.enqueue("count", i.to_string())
                };
                store.run("main", CommitOptions::default(), work).expect("it is committed");
            }
            store.deliver_outbox().expect("all is delivered");
        }
        "resume" => {}
        _ => {
            store.start_saga(&job, "1", "").expect("it goes on");
        }
    }
}

/// Runs a job in a process of its own that ends at a moment; says if it got through before that.
fn run(dir: &Path, job: &str, at: u64) -> bool {
    let status = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "coord::kill::worker", "--test-threads=1"])
        .env(DIR, dir)
        .env(JOB, job)
        .env(AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a process starts");
    // One that fails is no process that was ended.
    assert!(status.success() || status.code().is_none(), "{job} at {at}: {status}");
    status.success()
}

/// A directory with a store that holds nothing but two accounts.
fn fresh() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let store = open(dir.path(), &Moments::new(None));
    let main = store.main().expect("main");
    for (account, sum) in [("alice", "100"), ("bob", "0"), ("seats", "5")] {
        main.put(account, sum).expect("put");
    }
    store.close().expect("close");
    dir
}

/// What a process has left, as it is stored.
fn left(dir: &Path) -> Option<SagaInfo> {
    let options = Store::options().read_only(true);
    let store = options.open(dir.join("store")).expect("the store opens to read");
    store.saga("1").ok()
}

/// Where it stands, in words.
fn place(saga: Option<&SagaInfo>) -> String {
    let Some(saga) = saga else { return "not started".into() };
    let outcome = saga.outcome.map_or("undecided".to_owned(), |outcome| outcome.to_string());
    let begun = saga.step.as_ref().map_or(String::new(), |step| format!(", {step} begun"));
    let undone = saga.compensations.iter().filter(|one| one.attempts > 0).map(|one| {
        let done = one.state == CompensationState::Done;
        format!(", {} {}", one.name, if done { "done" } else { "begun" })
    });
    let undone: String = undone.collect();
    format!("{}, {outcome}, {} done{begun}{undone}", saga.phase, saga.done.len())
}

/// Opens what a process has left, and looks whether it came to the right end; says where it had stood.
fn check_saga(dir: &Path, what: &str) -> String {
    let before = left(dir);
    let store = open(dir, &Moments::new(None));
    let main = store.main().expect("main");
    let number = |key| must_get(&main, key).map_or(0, |n| n.parse::<i64>().expect("a number"));
    let log = must_get(&main, "log").unwrap_or_default();
    let world = World(dir.join("world")).lines();
    let place = place(before.as_ref());
    let accounts = (number("alice"), number("bob"), number("seats"));
    let Some(before) = before else {
        assert_eq!((log.as_str(), accounts), ("", (100, 0, 5)), "{what}: nothing was started");
        assert!(store.sagas().next().is_none(), "{what}: nor is it now");
        return place;
    };
    let saga = store.saga("1").expect("it is there");
    assert_eq!(saga.phase, SagaPhase::Finished, "{what}: it is driven to its end: {saga:?}");
    assert_eq!(
        store.resumed().sagas.len(),
        usize::from(before.phase != SagaPhase::Finished),
        "{what}: the open says so"
    );
    let notified: BTreeSet<&String> = world.iter().filter(|l| l.starts_with("notify")).collect();
    if before.outcome == Some(SagaOutcome::Committed) {
        assert_eq!(saga.outcome, Some(SagaOutcome::Committed), "{what}: decided stays decided");
        assert_eq!(log, "debit reserve credit notify", "{what}: each step once");
        assert_eq!(accounts, (90, 10, 4), "{what}: with its effect");
        assert_eq!(notified.len(), 1, "{what}: outside at least once, by key once");
    } else {
        assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "{what}: others are taken back");
        // What is done is a run of the steps; what takes it back comes behind, newest first, each once.
        let wanted =
            ["", "debit refund", "debit release refund", "debit reserve unnote release refund"];
        assert!(wanted.contains(&log.as_str()), "{what}: {log}");
        assert_eq!(accounts, (100, 0, 5), "{what}: nothing is left of it");
        assert!(notified.is_empty(), "{what}: nothing behind the decision was begun");
        let reserved = world.iter().any(|line| line.starts_with("reserve"));
        let released = world.iter().any(|line| line.starts_with("release"));
        assert!(released || !reserved, "{what}: what was done outside is taken back, or in doubt");
    }
    drop(main);
    store.close().expect("close");
    let after = open(dir, &Moments::new(None));
    assert_eq!(
        must_get(&after.main().expect("main"), "log").unwrap_or_default(),
        log,
        "{what}: end"
    );
    place
}

/// Ends a process at each of its moments, and says in which places that left a saga.
fn end_everywhere(job: &str) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for at in 1.. {
        let dir = fresh();
        let through = run(dir.path(), job, at);
        places.insert(check_saga(dir.path(), &format!("{job} at {at}")));
        if through {
            assert!(at > 20, "it has many moments");
            return places;
        }
    }
    places
}

#[test]
fn saga_1_ended_at_any_moment_a_saga_is_all_or_taken_back() {
    let places = end_everywhere("good");
    let wanted = [
        "finished, committed, 4 done",
        "not started",
        "running, committed, 3 done",
        "running, committed, 3 done, notify begun",
        "running, undecided, 0 done",
        "running, undecided, 0 done, debit begun",
        "running, undecided, 1 done",
        "running, undecided, 1 done, reserve begun",
        "running, undecided, 2 done",
        "running, undecided, 2 done, credit begun",
    ];
    assert_eq!(places.into_iter().collect::<Vec<_>>(), wanted, "every state was left once");
}

#[test]
fn saga_1_ended_at_any_moment_each_compensation_has_one_effect() {
    let places = end_everywhere("bad");
    let at = "compensating, compensated, 2 done, credit begun";
    let wanted = [
        at.to_owned(),
        format!("{at}, unnote begun"),
        format!("{at}, unnote done"),
        format!("{at}, unnote done, release begun"),
        format!("{at}, unnote done, release done"),
        format!("{at}, unnote done, release done, refund begun"),
        "finished, compensated, 2 done, credit begun, unnote done, release done, refund done"
            .into(),
    ];
    for place in wanted {
        assert!(places.contains(&place), "{place} was left once: {places:?}");
    }
}

#[test]
fn saga_1_ended_again_while_it_is_taken_up_it_comes_to_the_same_end() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut again = 0;
    for job in ["good", "bad"] {
        for round in 0..12 {
            let dir = fresh();
            let first = random.u64(8..50);
            run(dir.path(), job, first);
            let decided =
                left(dir.path()).is_some_and(|s| s.outcome == Some(SagaOutcome::Committed));
            for _ in 0..random.u32(1..4) {
                again += u32::from(!run(dir.path(), "resume", random.u64(1..30)));
                let now = left(dir.path()).and_then(|saga| saga.outcome);
                assert!(!decided || now == Some(SagaOutcome::Committed), "a decision stays");
            }
            check_saga(dir.path(), &format!("{job}, {round}, first at {first}"));
        }
    }
    assert!(again > 10, "{again} processes were ended while they took it up");
}

#[test]
fn saga_f16_a_compensation_that_ends_its_process_is_given_up_and_others_are_run() {
    const NEVER: u64 = u64::MAX;
    let dir = fresh();
    for (attempt, job) in (1..).zip(["fatal", "resume", "resume", "resume", "resume"]) {
        assert!(!run(dir.path(), job, NEVER), "the process ends");
        let saga = left(dir.path()).expect("it is stored");
        let wanted = (attempt, CompensationState::Pending);
        let one = &saga.compensations[0];
        assert_eq!((one.attempts, one.state), wanted, "an attempt counts when it is begun");
    }
    let store = open(dir.path(), &Moments::new(None));
    let saga = &store.resumed().sagas[0];
    assert_eq!(saga.outcome, Some(SagaOutcome::CompensatedWithFailures), "not all is taken back");
    let states: Vec<CompensationState> = saga.compensations.iter().map(|one| one.state).collect();
    assert_eq!(states, [CompensationState::GivenUp, CompensationState::Done], "but the rest is");
    let why = saga.compensations[0].error.as_deref();
    assert_eq!(why, Some("cut off by the end of the process"), "and it says why");
    let log = must_get(&store.main().expect("main"), "log");
    assert_eq!(log.as_deref(), Some("a b -a"), "with one effect each");
}

/// Looks whether every message of a commit that is there was delivered, or is now.
fn check_outbox(dir: &Path, what: &str) -> String {
    let store = open(dir, &Moments::new(None));
    let main = store.main().expect("main");
    let orders: Vec<String> = (0..ORDERS)
        .filter(|i| main.contains(format!("order/{i}").as_bytes()).expect("contains"))
        .map(|i| i.to_string())
        .collect();
    let states = store.outbox().messages(None).map(|m| m.expect("a message"));
    let waiting: Vec<_> = states.collect();
    let claimed = |state: &MessageState| matches!(state, MessageState::Claimed { .. });
    assert!(!waiting.iter().any(|m| claimed(&m.state)), "{what}: stale claims are taken back");
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!(
        (round.failed, round.dead, round.lost),
        (0, 0, 0),
        "{what}: what is left is delivered"
    );
    assert!(store.outbox().messages(None).next().is_none(), "{what}: nothing is left then");
    let counted = must_get(&main, "counted").unwrap_or_default();
    assert_eq!(counted, orders.join(" "), "{what}: effects in the store are there once, in order");
    // Outside, lines may come again, and then with the same key.
    let lines = World(dir.join("world")).lines();
    let mut by_key: Vec<(String, String)> = Vec::new();
    for line in &lines {
        let (payload, key) = line.split_once(' ').expect("payload and key");
        if !by_key.iter().any(|(_, known)| known == key) {
            by_key.push((payload.to_owned(), key.to_owned()));
        }
    }
    let payloads: Vec<&str> = by_key.iter().map(|(payload, _)| payload.as_str()).collect();
    assert_eq!(payloads, orders, "{what}: each is delivered, in order, by key once");
    assert!(lines.len() <= orders.len() + 1, "{what}: one end repeats one delivery at most");
    format!(
        "{} orders, {} waiting, {} twice",
        orders.len(),
        waiting.len(),
        lines.len() - orders.len()
    )
}

#[test]
fn outbox_1_ended_at_any_moment_each_message_of_a_commit_is_delivered_in_order() {
    let mut places = BTreeSet::new();
    for at in 1.. {
        let dir = fresh();
        let through = run(dir.path(), "outbox", at);
        places.insert(check_outbox(dir.path(), &format!("outbox at {at}")));
        if through {
            break;
        }
    }
    for place in ["0 orders, 0 waiting, 0 twice", "4 orders, 8 waiting, 0 twice"] {
        assert!(places.contains(place), "{place}: {places:?}");
    }
    assert!(places.iter().any(|place| place.ends_with("1 twice")), "some came twice: {places:?}");
    let all = "4 orders, 0 waiting, 0 twice";
    assert!(places.contains(all), "and one got through: {places:?}");
}
