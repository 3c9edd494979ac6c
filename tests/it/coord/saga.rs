//! SAGA-1: all steps, or what was done is taken back, newest first, each compensation once in effect.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use withy::{
    ActionResult, CommitOptions, ErrorKind, Read, RetryPolicy, SagaDef, SagaOutcome, SagaPhase,
    SagaStep, Timestamp,
};

use super::{open, options, scratch, text, waiting};
use crate::support::{must_branch, must_fail, must_get};

/// Adds a word to the value of a key: order and number of effects can be read from it.
pub(super) fn note(step: &mut SagaStep<'_, '_>, word: &str) -> ActionResult {
    let before = step.txn().get(b"log")?.map(|log| text(&log) + " ").unwrap_or_default();
    Ok(step.txn().put("log", before + word)?)
}

/// A step or compensation that leaves its name.
pub(super) fn noted(
    word: &'static str,
) -> impl Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync {
    move |step| note(step, word)
}

/// Fails as long as the number is above 0, and lowers it; it writes before it fails.
pub(super) fn failing(
    word: &'static str,
    times: &Arc<AtomicI64>,
) -> impl Fn(&mut SagaStep<'_, '_>) -> ActionResult + Send + Sync + use<> {
    let times = Arc::clone(times);
    move |step| {
        note(step, word)?;
        if times.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(format!("{word} is out of order").into());
        }
        Ok(())
    }
}

pub(super) fn times(times: i64) -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(times))
}

#[test]
fn saga_1_steps_run_in_order_and_each_is_a_commit() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("trip")
        .step("hotel", |step| {
            assert_eq!((step.saga(), step.id(), step.step()), ("trip", "t 1", "hotel"), "names");
            assert_eq!(
                (step.input(), step.args(), step.attempt()),
                (&b"rome"[..], &b""[..], 1),
                "it"
            );
            assert!(!step.in_doubt(), "a step is never in doubt");
            note(step, "hotel")
        })
        .undone_by("cancel")
        .step("flight", noted("flight"))
        .compensation("cancel", noted("cancel"));
    let store = open(&options(clock.clone()).saga(def), dir.path());
    let saga = store.start_saga("trip", "t 1", "rome").expect("start");
    assert_eq!((saga.phase, saga.outcome), (SagaPhase::Finished, Some(SagaOutcome::Committed)), "");
    assert_eq!(
        (saga.done.join(" "), saga.step, saga.error),
        ("hotel flight".into(), None, None),
        ""
    );
    assert_eq!((saga.created, saga.changed), (clock.after(0), clock.after(0)), "when");
    assert!(saga.compensations.is_empty(), "nothing is left to take back");
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "log").as_deref(), Some("hotel flight"), "in order, once each");
    let messages: Vec<String> =
        ["main~1", "main"].map(|rev| store.commit(rev).expect("a commit").message.clone()).into();
    assert_eq!(messages, ["saga trip t 1: hotel", "saga trip t 1: flight"], "each says what it is");
    must_fail(store.start_saga("trip", "t 1", "rome"), ErrorKind::Exists);
    must_fail(store.start_saga("walk", "t 2", ""), ErrorKind::NotFound);
    must_fail(store.start_saga("trip", "a\nb", ""), ErrorKind::Invalid);
    must_fail(store.retry_saga("t 1"), ErrorKind::Precondition);
    assert_eq!(store.sagas().count(), 1, "what is refused leaves nothing");
}

#[test]
fn saga_1_only_a_step_of_a_saga_registers_compensations() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("s")
        .step("a", noted("a"))
        .undone_by("undo")
        .step("b", |_| Err("no".into()))
        .compensation("undo", |step| {
            let refused = step.txn().compensate("undo", "").expect_err("of what?");
            assert_eq!(refused.kind(), ErrorKind::Invalid, "no compensation of a compensation");
            note(step, "-a")
        });
    let store = open(&options(clock).saga(def), dir.path());
    let mut tx = store.begin("main").expect("begin");
    must_fail(tx.compensate("undo", ""), ErrorKind::Invalid);
    drop(tx);
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "taken back");
}

#[test]
fn saga_1_a_saga_writes_to_its_branch_and_sends_messages() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("s").branch("ledger").step("a", |step| {
        note(step, "a")?;
        step.txn().on("main")?.put("told", "yes")?;
        Ok(step.txn().enqueue("mail", "a is done")?)
    });
    let store = open(&options(clock).saga(def), dir.path());
    let saga = store.start_saga("s", "0", "").expect("start");
    assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "there is no such branch");
    assert_eq!(saga.error.as_deref(), Some("a: no branch \"ledger\""), "and it says so");
    let ledger = must_branch(&store, "ledger", "main");
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!((saga.branch.as_str(), saga.outcome), ("ledger", Some(SagaOutcome::Committed)), "");
    assert_eq!(must_get(&ledger, "log").as_deref(), Some("a"), "on its branch");
    assert_eq!(must_get(&store.main().expect("main"), "told").as_deref(), Some("yes"), "and more");
    assert_eq!(waiting(&store, None), ["a is done"], "all in one commit");
}

#[test]
fn saga_1_keys_stand_for_one_step_of_one_saga() {
    let (dir, clock) = scratch();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let take = |fails: i64| {
        let (keys, left) = (Arc::clone(&keys), times(fails));
        move |step: &mut SagaStep<'_, '_>| -> ActionResult {
            keys.lock().expect("nobody panics").push(step.idempotency_key().to_owned());
            match left.fetch_sub(1, Ordering::SeqCst) > 0 {
                true => Err("again".into()),
                false => Ok(()),
            }
        }
    };
    let def = SagaDef::new("s")
        .step("a", take(0))
        .undone_by("undo")
        .step("b", take(0))
        .undone_by("undo")
        .step("c", take(1))
        .compensation("undo", take(1));
    let policy = RetryPolicy::default().first(Duration::ZERO);
    let store = open(&options(clock.clone()).saga(def).saga_retries(policy), dir.path());
    store.start_saga("s", "1", "").expect("start");
    store.resume().expect("resume");
    let mut saw = keys.lock().expect("nobody panics").split_off(0);
    assert_eq!(saw.len(), 6, "a, b, c, undo b, undo a, undo b");
    assert_eq!(saw[3], saw[5], "the same each time");
    saw.truncate(5);
    store.forget_saga("1").expect("it is finished");
    clock.move_by(1);
    store.start_saga("s", "1", "").expect("start");
    saw.append(&mut keys.lock().expect("nobody panics"));
    saw.sort();
    let all = saw.len();
    saw.dedup();
    assert_eq!(saw.len(), all, "and no other has it, not a later saga of the same id either");
}

#[test]
fn saga_1_finished_sagas_are_kept_until_they_are_forgotten() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("s").step("a", noted("a"));
    let fails = SagaDef::new("f").step("a", |_| Err("no".into()));
    let base = options(clock.clone()).saga(def).saga(fails);
    let store = open(&base, dir.path());
    for id in ["3", "1", "2"] {
        store.start_saga("s", id, id).expect("start");
        clock.move_by(1_000);
    }
    store.start_saga("f", "0", "").expect("start");
    let listed = |store: &withy::Store| -> Vec<String> {
        store.sagas().map(|saga| saga.expect("a saga").id).collect()
    };
    assert_eq!(listed(&store), ["0", "1", "2", "3"], "by id");
    store.close().expect("close");
    let store = open(&base, dir.path());
    assert!(store.resumed().sagas.is_empty(), "nothing is left to do for them");
    assert_eq!(store.prune_sagas(clock.after(-2_000)).expect("prune"), 1, "those before then");
    assert_eq!(listed(&store), ["0", "1", "2"], "others stay");
    assert_eq!(store.forget_saga("2").expect("forget").input, b"2", "it says what it was");
    must_fail(store.saga("2"), ErrorKind::NotFound);
    must_fail(store.forget_saga("2"), ErrorKind::NotFound);
    must_fail(store.retry_saga("2"), ErrorKind::NotFound);
    store.start_saga("s", "2", "").expect("the id is free again");
    let reader = open(&base.clone().read_only(true), dir.path());
    assert_eq!(listed(&reader), ["0", "1", "2"], "they can be listed beside a writer");
    must_fail(reader.start_saga("s", "9", ""), ErrorKind::ReadOnly);
    must_fail(reader.retry_saga("1"), ErrorKind::Precondition);
}

#[test]
fn saga_1_a_saga_is_driven_by_one_thread_at_a_time() {
    let (dir, clock) = scratch();
    let inner = Arc::new(Mutex::new(None::<withy::Store>));
    let store_in = Arc::clone(&inner);
    let def = SagaDef::new("s").step("a", move |step| {
        let store = store_in.lock().expect("nobody panics").clone().expect("the store is open");
        must_fail(store.retry_saga("1"), ErrorKind::Busy);
        must_fail(store.forget_saga("1"), ErrorKind::Busy);
        assert!(store.resume().expect("resume").sagas.is_empty(), "it is left to who drives it");
        let saga = store.saga("1").expect("it can be looked at");
        assert_eq!(
            (saga.step.as_deref(), saga.attempts),
            (Some("a"), 1),
            "written before the step"
        );
        assert_eq!(store.start_saga("s", "1", "").expect_err("twice").kind(), ErrorKind::Busy, "");
        note(step, "a")
    });
    let store = open(&options(clock).saga(def), dir.path());
    *inner.lock().expect("nobody panics") = Some(store.clone());
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!((saga.outcome, saga.error), (Some(SagaOutcome::Committed), None), "undisturbed");
    *inner.lock().expect("nobody panics") = None;
}

#[test]
fn saga_1_what_makes_no_sense_is_refused_when_the_store_is_opened() {
    let (dir, clock) = scratch();
    let ok = |_: &mut SagaStep<'_, '_>| -> ActionResult { Ok(()) };
    let senseless = [
        SagaDef::new("no steps"),
        SagaDef::new("").step("a", ok),
        SagaDef::new("two of a name").step("a", ok).step("a", ok),
        SagaDef::new("undone by nobody").step("a", ok).undone_by("x"),
        SagaDef::new("no step yet").decides().step("a", ok),
        SagaDef::new("two decide").step("a", ok).decides().step("b", ok).decides(),
        SagaDef::new("bad branch").branch("a..b").step("a", ok),
        SagaDef::new("two undo").step("a", ok).compensation("u", ok).compensation("u", ok),
    ];
    for def in senseless {
        let refused = options(clock.clone()).saga(def).open(dir.path().join("store"));
        must_fail(refused, ErrorKind::Invalid);
    }
    let twice = options(clock).saga(SagaDef::new("s").step("a", ok));
    let twice = twice.saga(SagaDef::new("s").step("b", ok));
    must_fail(twice.open(dir.path().join("store")), ErrorKind::Invalid);
    assert!(!dir.path().join("store").exists(), "nothing is made by a refused open");
}

#[test]
fn saga_1_the_background_goes_on_with_what_is_due() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let def = SagaDef::new("s").step("a", noted("a")).decides().step("b", failing("b", &times(2)));
    let policy = RetryPolicy::default().first(Duration::from_millis(1));
    let base = withy::Store::options().saga(def).saga_retries(policy);
    let store = open(&base.deliver_in_background(Duration::from_millis(5)), dir.path());
    store.start_saga("s", "1", "").expect("start");
    let mut left = 2_000;
    while store.saga("1").expect("it").phase != SagaPhase::Finished {
        left -= 1;
        assert!(left > 0, "it ends within seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(must_get(&store.main().expect("main"), "log").as_deref(), Some("a b"), "once each");
    let _: Timestamp = store.saga("1").expect("it").changed;
    store.run("main", CommitOptions::default(), |tx| tx.put("on", "1")).expect("others go on");
}
