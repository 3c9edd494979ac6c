//! SAGA-1 against a model: random sagas, with steps and compensations that fail some times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use withy::{RetryPolicy, SagaDef, SagaOutcome, SagaPhase, SagaStep};

use super::saga::note;
use super::{open, options, scratch};
use crate::support::{is_long, must_get};

const ATTEMPTS: i64 = 3;

/// A step as it is chosen: how often it and its compensations fail.
#[derive(Clone, Debug)]
struct Step {
    fails: i64,
    /// Its compensations in the order in which they are registered, the first by the definition.
    undo: Vec<i64>,
    outside: bool,
}

/// What must come of it: the log of effects, and the outcome.
fn expected(steps: &[Step], decision: usize) -> (Vec<String>, SagaOutcome) {
    let mut log: Vec<String> = Vec::new();
    let Some(stop) = steps.iter().take(decision + 1).position(|step| step.fails > 0) else {
        log.extend((0..steps.len()).map(|i| format!("s{i}")));
        return (log, SagaOutcome::Committed);
    };
    log.extend((0..stop).map(|i| format!("s{i}")));
    let mut rounds: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut given_up = false;
    let doubted = steps[stop].outside && !steps[stop].undo.is_empty();
    let doubt = doubted.then(|| (stop, 0, steps[stop].undo[0]));
    let done = (0..stop)
        .rev()
        .flat_map(|i| steps[i].undo.iter().enumerate().rev().map(move |(n, fails)| (i, n, *fails)));
    for (i, n, fails) in doubt.into_iter().chain(done) {
        // The n-th failure puts it into the n-th round.
        match fails < ATTEMPTS {
            true => rounds.entry(fails).or_default().push(format!("-s{i}.{n}")),
            false => given_up = true,
        }
    }
    log.extend(rounds.into_values().flatten());
    let failed =
        if given_up { SagaOutcome::CompensatedWithFailures } else { SagaOutcome::Compensated };
    (log, failed)
}

fn define(steps: &[Step], decision: usize) -> SagaDef {
    let failures: Arc<Mutex<BTreeMap<String, Arc<AtomicI64>>>> = Arc::default();
    let left = |name: &str, fails: i64| {
        let mut all = failures.lock().expect("nobody panics");
        Arc::clone(all.entry(name.to_owned()).or_insert_with(|| Arc::new(AtomicI64::new(fails))))
    };
    let mut def = SagaDef::new("s");
    for (i, step) in steps.iter().cloned().enumerate() {
        let (count, fails) = (step.undo.len(), left(&format!("s{i}"), step.fails));
        def = def.step(format!("s{i}"), move |run: &mut SagaStep<'_, '_>| {
            note(run, &format!("s{i}"))?;
            for n in 1..count {
                run.txn().compensate(&format!("-s{i}.{n}"), format!("{n}"))?;
            }
            match fails.fetch_sub(1, Ordering::SeqCst) > 0 {
                true => Err("not this time".into()),
                false => Ok(()),
            }
        });
        if count > 0 {
            def = def.undone_by(format!("-s{i}.0"));
        }
        if step.outside {
            def = def.outside();
        }
        if i == decision {
            def = def.decides();
        }
    }
    for (i, step) in steps.iter().enumerate() {
        for (n, fails) in step.undo.iter().enumerate() {
            let name = format!("-s{i}.{n}");
            let fails = left(&name, *fails);
            let word = name.clone();
            def = def.compensation(name, move |run: &mut SagaStep<'_, '_>| {
                note(run, &word)?;
                match fails.fetch_sub(1, Ordering::SeqCst) > 0 {
                    true => Err("not this time".into()),
                    false => Ok(()),
                }
            });
        }
    }
    def
}

fn play(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let count = random.usize(1..6);
    let some = |random: &mut Rng| if random.u32(0..4) == 0 { random.i64(1..5) } else { 0 };
    let steps: Vec<Step> = (0..count)
        .map(|_| Step {
            fails: some(&mut random),
            undo: (0..random.u32(0..4)).map(|_| some(&mut random)).collect(),
            outside: random.bool(),
        })
        .collect();
    let decision = random.usize(0..count);
    let (dir, clock) = scratch();
    let policy = RetryPolicy::default().attempts(u32::try_from(ATTEMPTS).expect("small"));
    let base = options(clock.clone()).saga(define(&steps, decision)).saga_retries(policy);
    let mut store = open(&base, dir.path());
    let mut saga = store.start_saga("s", "1", "input").expect("start");
    let mut rounds = 0;
    while saga.phase != SagaPhase::Finished {
        let due = saga.due.expect("it waits for something");
        clock.move_by(due.as_millis() - clock.after(0).as_millis());
        if random.bool() {
            store.close().expect("close");
            store = open(&base, dir.path());
        } else {
            store.resume().expect("resume");
        }
        let next = store.saga("1").expect("it");
        assert_ne!(next, saga, "seed {seed}: what is due is tried");
        saga = next;
        rounds += 1;
        assert!(rounds < 100, "seed {seed}: it comes to an end: {saga:?}");
    }
    let (log, outcome) = expected(&steps, decision);
    let what = format!("seed {seed}: {steps:?}, decided by {decision}");
    assert_eq!(saga.outcome, Some(outcome), "{what}");
    let got = must_get(&store.main().expect("main"), "log").unwrap_or_default();
    assert_eq!(got, log.join(" "), "{what}");
}

#[test]
fn saga_1_random_sagas_come_to_the_end_of_the_model() {
    let long = is_long();
    let rounds = if long { 1_000 } else { 60 };
    (0..rounds).for_each(play);
}
