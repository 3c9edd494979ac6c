//! OUTBOX-1 where others have a hand in it: other programs, other stores, other threads, held keys.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use withy::{CommitOptions, ErrorKind, MessageState, RetryPolicy, SagaDef, SagaPhase};

use super::{MINUTE, enqueue, open, options, scratch, waiting};
use crate::support::{must_branch, must_fail, must_get};

#[test]
fn outbox_f10_a_program_that_only_opens_the_store_gives_nothing_up() {
    let (dir, clock) = scratch();
    let app = options(clock.clone()).outbox_retries(RetryPolicy::default().attempts(50));
    let mut store = open(&app, dir.path());
    enqueue(&store, &[("a", "1")]);
    for attempt in 1..=12 {
        let claim = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("due");
        assert_eq!(claim.attempt(), attempt, "each counts");
        store.close().expect("close");
        store = open(&options(clock.clone()), dir.path());
        assert_eq!(store.resumed().claims, 1, "it is due again");
        assert_eq!(store.outbox().dead_letters(None).count(), 0, "ten attempts are not its limit");
        store.close().expect("close");
        store = open(&app, dir.path());
    }
    let message = store.outbox().messages(None).next().expect("it waits").expect("a message");
    assert_eq!((message.attempts, message.state), (12, MessageState::Ready), "as it was left");
}

#[test]
fn outbox_f11_a_message_is_not_acknowledged_in_a_transaction_of_another_store() {
    let ((one_dir, clock), (two_dir, _)) = (scratch(), scratch());
    let base = options(clock);
    let (one, two) = (open(&base, one_dir.path()), open(&base, two_dir.path()));
    for store in [&one, &two] {
        enqueue(store, &[("a", "1")]);
    }
    let delivery = one.outbox().claim(None, "w", MINUTE).expect("claim").expect("due");
    let outbox = one.outbox();
    let mut tx = two.begin("main").expect("begin");
    must_fail(outbox.ack_in(&delivery, &mut tx), ErrorKind::Invalid);
    tx.put("k", "v").expect("the transaction goes on");
    tx.commit(CommitOptions::default()).expect("commit");
    assert_eq!(waiting(&two, None), ["1"], "the other store has its message");
    assert_eq!(waiting(&one, None), ["1"], "and so has this one");
    outbox.ack(&delivery).expect("the claim counts");
}

#[test]
fn outbox_f12_an_action_that_outlives_its_lease_is_not_run_twice_at_once() {
    let (dir, clock) = scratch();
    let ((begun, has_begun), (go, may_go)) = (channel(), channel::<()>());
    let (begun, may_go) = (Mutex::new(begun), Mutex::new(may_go));
    let base = options(clock.clone()).action("slow", move |message| {
        begun.lock().expect("nobody panics").send(message.payload().to_vec())?;
        may_go.lock().expect("nobody panics").recv()?;
        Ok(())
    });
    let store = open(&base.action("other", |_| Ok(())), dir.path());
    enqueue(&store, &[("slow", "1"), ("slow", "2")]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| store.deliver_outbox());
        assert_eq!(has_begun.recv().expect("it runs"), b"1", "the oldest");
        clock.move_by(120_000);
        enqueue(&store, &[("other", "3")]);
        // Let it go whatever comes, so that a fault fails and does not hang.
        let second = scope.spawn(|| store.deliver_outbox());
        let again = has_begun.recv_timeout(std::time::Duration::from_millis(500));
        (0..8).for_each(|_| go.send(()).expect("the action is there"));
        assert!(again.is_err(), "nobody else takes the topic: {again:?}");
        let second = second.join().expect("no panic").expect("deliver");
        assert_eq!(second.delivered, 1, "other topics go on");
        let first = first.join().expect("no panic").expect("deliver");
        assert_eq!((first.delivered, first.lost), (2, 0), "its late answer counts");
    });
    assert!(waiting(&store, None).is_empty(), "all are delivered");
}

#[test]
fn outbox_f13_a_key_that_is_held_costs_no_attempt() {
    let (dir, clock) = scratch();
    let base = options(clock.clone())
        .outbox_retries(RetryPolicy::default().attempts(1))
        .action_in_store("a", "totals", |_, tx| Ok(tx.put("k", "action")?));
    let store = open(&base, dir.path());
    let totals = must_branch(&store, "totals", "main");
    let mut tx = store.begin("totals").expect("begin");
    tx.put("k", "prepared").expect("put");
    tx.prepare("g", CommitOptions::default()).expect("prepare");
    enqueue(&store, &[("a", "1")]);
    for _ in 0..3 {
        let round = store.deliver_outbox().expect("deliver");
        assert_eq!((round.postponed, round.failed, round.dead), (1, 0, 0), "not now");
        assert_eq!(round.next, Some(clock.after(1_000)), "after a pause");
        let message = store.outbox().messages(None).next().expect("it waits").expect("a message");
        assert_eq!(message.attempts, 0, "it was no attempt");
        assert!(message.error.is_some_and(|why| why.contains('g')), "it is told what holds it");
        clock.move_by(1_000);
    }
    store.commit_prepared("g").expect("commit");
    assert_eq!(store.deliver_outbox().expect("deliver").delivered, 1, "the key is free");
    assert_eq!(must_get(&totals, "k").as_deref(), Some("action"), "and written");
}

#[test]
fn saga_f17_a_compensation_whose_key_is_held_is_not_given_up() {
    let (dir, clock) = scratch();
    let saga = SagaDef::new("move")
        .step("take", |step| {
            step.txn().put("own", "taken")?;
            Ok(())
        })
        .undone_by("give back")
        .step("fail", |_| Err("on purpose".into()))
        .compensation("give back", |step| {
            step.txn().put("held", "given back")?;
            Ok(())
        });
    let base = options(clock.clone()).saga_retries(RetryPolicy::default().attempts(1)).saga(saga);
    let store = open(&base, dir.path());
    let mut tx = store.begin("main").expect("begin");
    tx.put("held", "prepared").expect("put");
    tx.prepare("g", CommitOptions::default()).expect("prepare");
    let info = store.start_saga("move", "1", "").expect("start");
    assert_eq!(info.phase, SagaPhase::Compensating, "it waits, and is not given up: {info:?}");
    store.commit_prepared("g").expect("commit");
    clock.move_by(1_000);
    store.resume().expect("resume");
    assert_eq!(store.saga("1").expect("it").phase, SagaPhase::Finished, "then it is done");
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "held").as_deref(), Some("given back"), "by its compensation");
}

#[test]
fn saga_f17_a_decided_step_whose_key_is_held_waits_and_goes_on() {
    let (dir, clock) = scratch();
    let saga = SagaDef::new("move").step("decide", |_| Ok(())).decides().step("last", |step| {
        step.txn().put("held", "last")?;
        Ok(())
    });
    let store = open(&options(clock.clone()).saga(saga), dir.path());
    let mut tx = store.begin("main").expect("begin");
    tx.put("held", "prepared").expect("put");
    tx.prepare("g", CommitOptions::default()).expect("prepare");
    store.start_saga("move", "1", "").expect("start");
    for _ in 0..5 {
        clock.move_by(1_000);
        store.resume().expect("resume");
    }
    store.commit_prepared("g").expect("commit");
    clock.move_by(1_000);
    store.resume().expect("resume");
    assert_eq!(store.saga("1").expect("it").phase, SagaPhase::Finished, "no pause has doubled");
}

#[test]
fn save_2_rolling_back_takes_an_acknowledgement_back() {
    let (dir, clock) = scratch();
    let store = open(&options(clock), dir.path());
    enqueue(&store, &[("a", "1")]);
    let outbox = store.outbox();
    let delivery = outbox.claim(None, "w", MINUTE).expect("claim").expect("due");
    let mut tx = store.begin("main").expect("begin");
    tx.savepoint("before").expect("set");
    tx.put("effect", "there").expect("put");
    outbox.ack_in(&delivery, &mut tx).expect("its own store");
    tx.rollback_to("before").expect("roll back");
    tx.put("kept", "1").expect("put");
    tx.commit(CommitOptions::default()).expect("commit");
    let main = store.main().expect("main");
    assert_eq!(
        (must_get(&main, "effect"), must_get(&main, "kept").is_some()),
        (None, true),
        "data"
    );
    assert_eq!(waiting(&store, None).len(), 1, "without its effect the message still waits");
    outbox.ack(&delivery).expect("the claim still counts");
    assert!(waiting(&store, None).is_empty(), "and now it is delivered");
}
