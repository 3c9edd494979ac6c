//! SAGA-1, the failure cases of `docs/coordination.md`: what comes of steps and compensations that fail.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use withy::{CompensationState, ErrorKind, RetryPolicy, SagaDef, SagaOutcome, SagaPhase};

use super::saga::{failing, note, noted, times};
use super::{open, options, scratch, text};
use crate::support::{must_fail, must_get, must_put};

#[test]
fn saga_f1_a_failing_step_has_the_steps_before_it_compensated_newest_first() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("trip")
        .step("hotel", noted("hotel"))
        .undone_by("cancel hotel")
        .step("walk", noted("walk"))
        .step("flight", |step| {
            note(step, "flight")?;
            step.txn().compensate("tell", "first")?;
            step.txn().savepoint("s")?;
            step.txn().compensate("tell", "taken back")?;
            step.txn().rollback_to("s")?;
            Ok(step.txn().compensate("tell", "second")?)
        })
        .undone_by("cancel flight")
        .step("car", |step| {
            note(step, "car")?;
            step.txn().compensate("tell", "of a step that is not done")?;
            Err("none left".into())
        })
        .undone_by("cancel car")
        .compensation("cancel hotel", noted("-hotel"))
        .compensation("cancel flight", noted("-flight"))
        .compensation("cancel car", noted("-car"))
        .compensation("tell", |step| {
            let word = format!("tell:{}:{}", step.step(), text(step.args()));
            note(step, &word.replace(' ', "-"))
        });
    let store = open(&options(clock).saga(def), dir.path());
    let saga = store.start_saga("trip", "1", "").expect("start");
    assert_eq!(
        (saga.phase, saga.outcome),
        (SagaPhase::Finished, Some(SagaOutcome::Compensated)),
        ""
    );
    assert_eq!(saga.error.as_deref(), Some("car: none left"), "why");
    let log = must_get(&store.main().expect("main"), "log").expect("steps were done");
    let want = "hotel walk flight tell:flight:second tell:flight:first -flight -hotel";
    assert_eq!(log, want, "newest first; what the failing step wrote is not there");
    let names: Vec<&str> = saga.compensations.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["tell", "tell", "cancel flight", "cancel hotel"], "as they were run");
    assert!(saga.compensations.iter().all(|one| one.state == CompensationState::Done), "all done");
}

#[test]
fn saga_f2_a_failing_compensation_stops_no_other_and_is_kept_and_retried() {
    let (dir, clock) = scratch();
    let broken = times(3);
    let def = SagaDef::new("trip")
        .step("a", noted("a"))
        .undone_by("undo a")
        .step("b", noted("b"))
        .undone_by("undo b")
        .step("c", |_| Err("no".into()))
        .compensation("undo a", noted("-a"))
        .compensation("undo b", failing("-b", &broken));
    let policy = RetryPolicy::default().attempts(3);
    let store = open(&options(clock.clone()).saga(def).saga_retries(policy), dir.path());
    let log = || must_get(&store.main().expect("main"), "log").expect("steps were done");
    let saga = store.start_saga("trip", "1", "").expect("start");
    let goes = (SagaPhase::Compensating, Some(SagaOutcome::Compensated));
    assert_eq!((saga.phase, saga.outcome), goes, "the outcome is known before the end");
    assert_eq!(log(), "a b -a", "the others are done; a failing one has no effect");
    assert_eq!(saga.due, Some(clock.after(1_000)), "it is due again");
    let one = &saga.compensations[0];
    assert_eq!((one.name.as_str(), one.attempts), ("undo b", 1), "it is listed");
    assert_eq!((one.state, one.due), (CompensationState::Pending, saga.due), "to be tried again");
    assert_eq!(one.error.as_deref(), Some("-b is out of order"), "with the reason");
    clock.move_by(999);
    assert!(store.resume().expect("resume").sagas.is_empty(), "not a moment before");
    clock.move_by(1);
    assert_eq!(store.resume().expect("resume").sagas.len(), 1, "when it is due");
    assert_eq!(store.saga("1").expect("it").due, Some(clock.after(2_000)), "pauses double");
    clock.move_by(2_000);
    store.resume().expect("resume");
    let saga = store.saga("1").expect("it");
    let failed = (SagaPhase::Finished, Some(SagaOutcome::CompensatedWithFailures));
    assert_eq!((saga.phase, saga.outcome, saga.due), (failed.0, failed.1, None), "given up");
    assert_eq!(saga.compensations[0].state, CompensationState::GivenUp, "and listed as such");
    clock.move_by(3_600_000);
    assert!(store.resume().expect("resume").sagas.is_empty(), "nothing by itself any more");
    assert_eq!(store.prune_sagas(clock.after(1)).expect("prune"), 0, "and never forgotten so");
    let saga = store.retry_saga("1").expect("by hand");
    assert_eq!(
        (saga.phase, saga.outcome),
        (SagaPhase::Finished, Some(SagaOutcome::Compensated)),
        ""
    );
    assert_eq!(log(), "a b -a -b", "each is there once");
    must_fail(store.retry_saga("1"), ErrorKind::Precondition);
}

#[test]
fn saga_f3_a_saga_that_is_decided_goes_forward_until_it_succeeds() {
    let (dir, clock) = scratch();
    let broken = times(12);
    let def = SagaDef::new("trip")
        .step("a", noted("a"))
        .undone_by("undo a")
        .step("pay", noted("pay"))
        .decides()
        .step("b", failing("b", &broken))
        .step("c", noted("c"))
        .compensation("undo a", noted("-a"));
    let base = options(clock.clone()).saga(def);
    let mut store = open(&base, dir.path());
    let saga = store.start_saga("trip", "1", "").expect("start");
    let goes = (SagaPhase::Running, Some(SagaOutcome::Committed));
    assert_eq!((saga.phase, saga.outcome), goes, "it is decided, and not at its end");
    assert_eq!((saga.step.as_deref(), saga.attempts), (Some("b"), 1), "where it stands");
    assert_eq!(saga.error.as_deref(), Some("b: b is out of order"), "why");
    assert_eq!(saga.due, Some(clock.after(1_000)), "until when");
    for _ in 0..11 {
        let due = store.saga("1").expect("it").due.expect("it waits");
        clock.move_by(due.as_millis() - clock.after(0).as_millis());
        store.close().expect("close");
        store = open(&base, dir.path());
        assert_eq!(store.resumed().sagas.len(), 1, "each open tries what is due");
    }
    let saga = store.saga("1").expect("it");
    assert_eq!((saga.phase, saga.attempts), (SagaPhase::Running, 12), "it is never given up");
    let saga = store.retry_saga("1").expect("by hand, before it is due");
    assert_eq!((saga.phase, saga.outcome), (SagaPhase::Finished, goes.1), "it succeeds");
    let log = must_get(&store.main().expect("main"), "log");
    assert_eq!(log.as_deref(), Some("a pay b c"), "each step once, nothing taken back");
}

#[test]
fn saga_f4_a_step_with_effects_outside_is_compensated_in_doubt() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("trip")
        .step("a", noted("a"))
        .undone_by("undo")
        .step("call", |_| Err("timeout".into()))
        .undone_by("undo")
        .outside()
        .compensation("undo", |step| {
            let word = format!("-{}{}", step.step(), if step.in_doubt() { "?" } else { "" });
            note(step, &word)
        });
    let store = open(&options(clock).saga(def), dir.path());
    let saga = store.start_saga("trip", "1", "").expect("start");
    assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "taken back");
    let log = must_get(&store.main().expect("main"), "log");
    assert_eq!(log.as_deref(), Some("a -call? -a"), "what may have happened is taken back first");
    let doubts: Vec<bool> = saga.compensations.iter().map(|one| one.in_doubt).collect();
    assert_eq!(doubts, [true, false], "and marked");
}

#[test]
fn saga_f5_a_step_that_loses_a_race_is_run_again_and_is_no_failure() {
    let (dir, clock) = scratch();
    let rival = Arc::new(Mutex::new(None::<withy::Branch>));
    let tries = Arc::new(AtomicU32::new(0));
    let (other, tried) = (Arc::clone(&rival), Arc::clone(&tries));
    let def = SagaDef::new("s").step("a", move |step| {
        note(step, "a")?;
        if tried.fetch_add(1, Ordering::SeqCst) < 2 {
            let rival = other.lock().expect("nobody panics");
            let rival = rival.as_ref().expect("the store is open");
            let before = must_get(rival, "log").map(|log| log + " ").unwrap_or_default();
            must_put(rival, "log", &(before + "rival"));
        }
        assert_eq!(step.attempt(), 1, "it is one attempt");
        Ok(())
    });
    let store = open(&options(clock).saga(def), dir.path());
    *rival.lock().expect("nobody panics") = Some(store.main().expect("main"));
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!(saga.outcome, Some(SagaOutcome::Committed), "it wins in the end");
    let log = must_get(&store.main().expect("main"), "log");
    assert_eq!(log.as_deref(), Some("rival rival a"), "with one effect");
    *rival.lock().expect("nobody panics") = None;
}

#[test]
fn saga_f6_a_step_that_panics_has_failed() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("s")
        .step("a", noted("a"))
        .undone_by("undo")
        .step("b", |_| panic!("on purpose"))
        .compensation("undo", noted("-a"));
    let store = open(&options(clock).saga(def), dir.path());
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "taken back");
    assert_eq!(saga.error.as_deref(), Some("b: it panicked: on purpose"), "with its words");
}

#[test]
fn saga_f7_a_saga_nobody_knows_stays_listed_until_somebody_does() {
    let (dir, clock) = scratch();
    let broken = times(1);
    let def = |name: &str| {
        SagaDef::new(name).step("a", noted("a")).decides().step("b", failing("b", &broken))
    };
    let base = options(clock.clone());
    let store = open(&base.clone().saga(def("s")), dir.path());
    store.start_saga("s", "1", "").expect("start");
    store.close().expect("close");
    clock.move_by(1_000);

    let store = open(&base, dir.path());
    assert_eq!(store.resumed().unknown, ["1"], "it is named");
    assert_eq!(store.saga("1").expect("listed").phase, SagaPhase::Running, "and stays");
    assert_eq!(store.retry_saga("1").expect("marked").due, None, "it can be made due");
    must_fail(store.forget_saga("1"), ErrorKind::Precondition);
    store.close().expect("close");

    let other = SagaDef::new("s").step("x", noted("x")).step("b", noted("b"));
    let store = open(&base.clone().saga(other), dir.path());
    let why = "the steps of saga 1 are not those that it began with".to_owned();
    assert_eq!(store.resumed().stuck, [("1".to_owned(), why)], "other steps do not fit");
    must_fail(store.retry_saga("1"), ErrorKind::Invalid);
    assert_eq!(must_get(&store.main().expect("main"), "log").as_deref(), Some("a"), "untouched");
    store.close().expect("close");

    let store = open(&base.saga(def("s")), dir.path());
    assert_eq!(store.resumed().sagas[0].outcome, Some(SagaOutcome::Committed), "it goes on");
    assert_eq!(store.saga("1").expect("it").phase, SagaPhase::Finished, "to its end");
}

#[test]
fn saga_f8_a_compensation_nobody_knows_is_a_failure_that_can_be_mended() {
    let (dir, clock) = scratch();
    let def = SagaDef::new("s")
        .step("a", |step| {
            note(step, "a")?;
            Ok(step.txn().compensate("nobody", "")?)
        })
        .step("b", noted("b"));
    let base = options(clock.clone());
    let store = open(&base.clone().saga(def), dir.path());
    let saga = store.start_saga("s", "1", "").expect("start");
    assert_eq!(saga.error.as_deref(), Some("a: no compensation nobody is registered"), "refused");
    assert_eq!(saga.outcome, Some(SagaOutcome::Compensated), "before it could be needed");
    assert_eq!(must_get(&store.main().expect("main"), "log"), None, "the step is not done");
    store.close().expect("close");

    let step =
        |def: SagaDef| def.step("a", noted("a")).undone_by("u").step("b", |_| Err("no".into()));
    let broken = step(SagaDef::new("s")).compensation("u", failing("-a", &times(1)));
    let store = open(&base.clone().saga(broken), dir.path());
    store.start_saga("s", "2", "").expect("start");
    store.close().expect("close");
    clock.move_by(1_000);
    let renamed = SagaDef::new("s").step("a", noted("a")).step("b", noted("b"));
    let store = open(&base.clone().saga(renamed), dir.path());
    let one = &store.resumed().sagas[0].compensations[0];
    assert_eq!(one.error.as_deref(), Some("no compensation u is registered"), "kept and listed");
    store.close().expect("close");
    clock.move_by(2_000);
    let store =
        open(&base.saga(step(SagaDef::new("s")).compensation("u", noted("-a"))), dir.path());
    assert_eq!(store.resumed().sagas[0].phase, SagaPhase::Finished, "once it is there again");
    assert_eq!(must_get(&store.main().expect("main"), "log").as_deref(), Some("a -a"), "once");
}
