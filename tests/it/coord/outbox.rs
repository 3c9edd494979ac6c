//! OUTBOX-1: messages are stored with their commit, delivered at least once, in order, or kept as dead.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use withy::{
    CommitOptions, ErrorKind, KeyRange, MessageState, OpenOptions, Read, RetryPolicy, Store,
    Timestamp,
};

use super::{MINUTE, enqueue, open, options, scratch, text, waiting};
use crate::support::{must_branch, must_fail, must_get};

/// What actions were given, in order.
type Seen = Arc<Mutex<Vec<String>>>;

fn seen(seen: &Seen) -> Vec<String> {
    seen.lock().expect("nobody panics").clone()
}

/// An action that takes note, and fails as long as its payload is in `failing`.
fn noting(base: OpenOptions, topic: &str, seen: &Seen, failing: &Seen) -> OpenOptions {
    let (seen, failing) = (Arc::clone(seen), Arc::clone(failing));
    base.action(topic, move |message| {
        let payload = text(message.payload());
        seen.lock().expect("nobody panics").push(payload.clone());
        if failing.lock().expect("nobody panics").contains(&payload) {
            return Err("not now".into());
        }
        Ok(())
    })
}

#[test]
fn outbox_1_a_message_is_there_if_and_only_if_its_commit_is() {
    let (dir, clock) = scratch();
    let store = open(&options(clock), dir.path());
    let mut tx = store.begin("main").expect("begin");
    tx.put("a", "1").expect("put");
    tx.enqueue("mail", "rolled back").expect("enqueue");
    tx.rollback();
    assert!(waiting(&store, None).is_empty(), "what is rolled back sends nothing");
    let mut tx = store.begin("main").expect("begin");
    tx.put("a", "1").expect("put");
    tx.enqueue("mail", "lost the race").expect("enqueue");
    store.main().expect("main").put("a", "2").expect("put");
    must_fail(tx.commit(CommitOptions::default()), ErrorKind::Conflict);
    assert!(waiting(&store, None).is_empty(), "what loses sends nothing");
    let mut tx = store.begin("main").expect("begin");
    tx.put("a", "3").expect("put");
    tx.enqueue("mail", "first").expect("enqueue");
    tx.savepoint("s").expect("savepoint");
    tx.enqueue("mail", "taken back").expect("enqueue");
    tx.rollback_to("s").expect("rollback");
    tx.enqueue("mail", "second").expect("enqueue");
    tx.commit(CommitOptions::default()).expect("commit");
    assert_eq!(
        waiting(&store, None),
        ["first", "second"],
        "SAVE-2: a savepoint takes back messages"
    );
    enqueue(&store, &[("mail", "third")]);
    assert_eq!(waiting(&store, None), ["first", "second", "third"], "no key need change");
    let ids: Vec<String> =
        store.outbox().messages(None).map(|m| m.expect("a message").id.to_string()).collect();
    assert_eq!(ids, ["2.0", "2.1", "3.0"], "each is named by its commit and its place there");
}

#[test]
fn outbox_1_topics_and_payloads_have_limits() {
    let (dir, clock) = scratch();
    let store = open(&options(clock), dir.path());
    let mut tx = store.begin("main").expect("begin");
    for topic in ["", "a\0b", "line\nbreak", &"x".repeat(257)] {
        must_fail(tx.enqueue(topic, "p"), ErrorKind::Invalid);
    }
    must_fail(tx.enqueue("t", vec![0; withy::MAX_PAYLOAD_LEN + 1]), ErrorKind::Limit);
    tx.enqueue(&"x".repeat(256), "longest").expect("a topic of 256 bytes is one");
    tx.enqueue("é ☂/x", "").expect("and so is any text, and no payload at all");
    tx.commit(CommitOptions::default()).expect("commit");
    assert_eq!(store.outbox().messages(None).count(), 2, "the transaction went on");
    must_fail(store.outbox().claim(Some(""), "w", MINUTE), ErrorKind::Invalid);
    must_fail(store.outbox().claim(None, "", MINUTE), ErrorKind::Invalid);
}

#[test]
fn outbox_1_a_message_comes_with_the_same_key_each_time_and_no_other_has_it() {
    let (dir, clock) = scratch();
    let base = options(clock.clone());
    let mut store = open(&base, dir.path());
    enqueue(&store, &[("mail", "same"), ("mail", "same")]);
    enqueue(&store, &[("mail", "same")]);
    let mut keys = Vec::new();
    for left in (1..=3).rev() {
        let first = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("one is due");
        assert_eq!(first.attempt(), 1, "the first attempt");
        store.outbox().fail(&first, "no").expect("fail");
        store.close().expect("close");
        store = open(&base, dir.path());
        clock.move_by(60_000);
        let again = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("one is due");
        assert_eq!(again.id(), first.id(), "the oldest comes again");
        assert_eq!(again.idempotency_key(), first.idempotency_key(), "with the same key");
        assert_eq!((again.attempt(), again.enqueued()), (2, first.enqueued()), "and time");
        keys.push(again.idempotency_key().to_owned());
        store.outbox().ack(&again).expect("ack");
        assert_eq!(waiting(&store, None).len(), left - 1, "an acknowledged message is gone");
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "equal messages have keys of their own");
}

#[test]
fn outbox_f1_a_failing_message_holds_up_its_topic_and_no_other() {
    let (dir, clock) = scratch();
    let (saw, failing) = (Seen::default(), Seen::default());
    let base = noting(options(clock.clone()), "a", &saw, &failing);
    let base = noting(base, "b", &saw, &failing);
    let store = open(&base, dir.path());
    enqueue(&store, &[("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")]);
    enqueue(&store, &[("b", "b2"), ("a", "a3")]);
    failing.lock().expect("nobody panics").push("a1".into());
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!((round.delivered, round.failed, round.dead), (2, 1, 0), "b goes on, a waits");
    assert_eq!(round.next, Some(clock.after(1_000)), "a second after the first failure");
    assert_eq!(seen(&saw), ["a1", "b1", "b2"], "in the order of the commits");
    assert_eq!(waiting(&store, None), ["a1", "a2", "a3", "c1"], "c has no action and stays");
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!((round.delivered, round.failed), (0, 0), "nothing is due");
    failing.lock().expect("nobody panics").clear();
    clock.move_by(1_000);
    assert_eq!(store.deliver_outbox().expect("deliver").delivered, 3, "then all of a");
    assert_eq!(seen(&saw)[3..], ["a1", "a2", "a3"], "in order");
}

#[test]
fn outbox_f2_pauses_double_and_the_last_failure_makes_a_dead_letter() {
    let (dir, clock) = scratch();
    let (saw, failing) = (Seen::default(), Seen::default());
    let policy = RetryPolicy::default().attempts(4).longest(Duration::from_secs(3));
    let base = noting(options(clock.clone()), "a", &saw, &failing).outbox_retries(policy);
    let store = open(&base, dir.path());
    enqueue(&store, &[("a", "bad"), ("a", "good")]);
    failing.lock().expect("nobody panics").push("bad".into());
    for (attempt, pause) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
        let round = store.deliver_outbox().expect("deliver");
        assert_eq!((round.failed, round.next), (1, Some(clock.after(pause))), "attempt {attempt}");
        let message = store.outbox().messages(None).next().expect("it waits").expect("a message");
        assert_eq!(message.attempts, attempt, "attempts are counted");
        assert_eq!(message.error.as_deref(), Some("not now"), "with the reason");
        assert_eq!(message.state, MessageState::Waiting { until: clock.after(pause) }, "due then");
        clock.move_by(pause - 1);
        assert_eq!(store.deliver_outbox().expect("deliver").failed, 0, "not a moment before");
        clock.move_by(1);
    }
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!((round.failed, round.dead, round.delivered), (0, 1, 1), "the next one goes on");
    let dead: Vec<_> = store.outbox().dead_letters(None).map(|m| m.expect("a message")).collect();
    assert_eq!((dead.len(), text(&dead[0].payload).as_str()), (1, "bad"), "it is kept");
    assert_eq!(dead[0].state, MessageState::Dead { since: clock.after(0) }, "as dead");
    assert_eq!((dead[0].attempts, dead[0].error.as_deref()), (4, Some("not now")), "with reasons");
    assert_eq!(store.outbox().message(dead[0].id).expect("found"), dead[0], "found by its id");
    // Put back by hand: it is older than what came since, so it is next, and counts anew.
    enqueue(&store, &[("a", "later")]);
    store.outbox().retry(dead[0].id).expect("retry");
    assert_eq!(waiting(&store, None), ["bad", "later"], "it is where it was");
    assert_eq!(store.outbox().dead_letters(None).count(), 0, "and no dead letter any more");
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!((round.failed, round.next), (1, Some(clock.after(1_000))), "as at the first time");
    store.outbox().discard(dead[0].id).expect("discard");
    assert_eq!(store.deliver_outbox().expect("deliver").delivered, 1, "what is behind it goes on");
    must_fail(store.outbox().retry(dead[0].id), ErrorKind::NotFound);
    must_fail(store.outbox().discard(dead[0].id), ErrorKind::NotFound);
    must_fail(store.outbox().message(dead[0].id), ErrorKind::NotFound);
}

#[test]
fn outbox_f3_a_claim_whose_lease_has_ended_is_taken_over_and_the_old_one_refused() {
    let (dir, clock) = scratch();
    let store = open(&options(clock.clone()), dir.path());
    enqueue(&store, &[("a", "1"), ("a", "2")]);
    let outbox = store.outbox();
    let mut slow = outbox.claim(Some("a"), "slow", MINUTE).expect("claim").expect("due");
    assert!(outbox.claim(None, "other", MINUTE).expect("claim").is_none(), "one at a time");
    must_fail(outbox.retry(slow.id()), ErrorKind::Busy);
    must_fail(outbox.discard(slow.id()), ErrorKind::Busy);
    clock.move_by(30_000);
    outbox.renew(&mut slow, MINUTE).expect("renewed");
    assert_eq!(slow.until(), clock.after(60_000), "a minute from then");
    clock.move_by(59_999);
    assert!(outbox.claim(None, "other", MINUTE).expect("claim").is_none(), "still its own");
    clock.move_by(1);
    let other = outbox.claim(None, "other", MINUTE).expect("claim").expect("taken over");
    assert_eq!((other.id(), other.attempt()), (slow.id(), 2), "the same message again");
    for refused in [outbox.ack(&slow), outbox.renew(&mut slow, MINUTE)] {
        must_fail(refused, ErrorKind::Precondition);
    }
    must_fail(outbox.fail(&slow, "late"), ErrorKind::Precondition);
    let mut tx = store.begin("main").expect("begin");
    tx.put("done", "by slow").expect("put");
    outbox.ack_in(&slow, &mut tx).expect("it is the same store");
    must_fail(tx.commit(CommitOptions::default()), ErrorKind::Precondition);
    assert_eq!(must_get(&store.main().expect("main"), "done"), None, "nothing of it is written");
    let error = outbox.message(other.id()).expect("it is there").error;
    assert_eq!(error.as_deref(), Some("the lease of slow ended without an answer"), "it is told");
    outbox.ack(&other).expect("the claim that counts");
    must_fail(outbox.ack(&other), ErrorKind::Precondition);
    // Nobody has taken this one over, so its answer counts, late as it is.
    let late = outbox.claim(None, "late", MINUTE).expect("claim").expect("due");
    clock.move_by(3_600_000);
    outbox.ack(&late).expect("ack");
    assert!(waiting(&store, None).is_empty(), "all are delivered");
}

#[test]
fn outbox_f4_claims_of_a_store_that_was_closed_are_due_at_once_and_count() {
    let (dir, clock) = scratch();
    let base = options(clock).outbox_retries(RetryPolicy::default().attempts(2));
    let mut store = open(&base, dir.path());
    enqueue(&store, &[("a", "poison"), ("a", "next"), ("b", "other")]);
    let old = store.outbox().claim(Some("a"), "w", MINUTE).expect("claim").expect("due");
    store.close().expect("close");
    store = open(&base, dir.path());
    assert_eq!(store.resumed().claims, 1, "one claim is taken back");
    must_fail(store.outbox().ack(&old), ErrorKind::Precondition);
    let again = store.outbox().claim(Some("a"), "w", MINUTE).expect("claim").expect("due at once");
    assert_eq!((again.id(), again.attempt()), (old.id(), 2), "the second attempt");
    store.close().expect("close");
    store = open(&base, dir.path());
    assert_eq!(store.resumed().claims, 1, "it is due again, though it has no attempt left");
    assert_eq!(store.outbox().dead_letters(None).count(), 0, "an open gives nothing up");
    let next = store.outbox().claim(Some("a"), "w", MINUTE).expect("claim").expect("due");
    assert_eq!(next.payload(), b"next", "whoever delivers gives it up, and goes on");
    store.outbox().fail(&next, "later").expect("fail");
    let dead = store.outbox().dead_letters(Some("a")).next().expect("one").expect("a message");
    let why = "the store was closed before w answered";
    assert_eq!((dead.id, dead.error.as_deref()), (old.id(), Some(why)), "what ends its process");
    assert_eq!(waiting(&store, None), ["next", "other"], "and others go on");
    store.outbox().retry(dead.id).expect("retry");
    let third = store.outbox().claim(Some("a"), "w", MINUTE).expect("claim").expect("due");
    must_fail(store.outbox().ack(&again), ErrorKind::Precondition);
    store.outbox().ack(&third).expect("no two claims have the same number, not even then");
}

#[test]
fn outbox_f5_a_lease_that_ends_with_the_last_attempt_makes_a_dead_letter() {
    let (dir, clock) = scratch();
    let base = options(clock.clone()).outbox_retries(RetryPolicy::default().attempts(1));
    let store = open(&base, dir.path());
    enqueue(&store, &[("a", "1"), ("a", "2")]);
    let lost = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("due");
    clock.move_by(60_000);
    let next = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("due");
    assert_eq!(next.payload(), b"2", "the one behind it");
    assert_eq!(store.outbox().dead_letters(None).count(), 1, "it is kept");
    must_fail(store.outbox().ack(&lost), ErrorKind::Precondition);
}

#[test]
fn outbox_f6_a_clock_that_is_set_back_holds_nothing_for_the_length_of_the_jump() {
    let (dir, clock) = scratch();
    let store = open(&options(clock.clone()), dir.path());
    enqueue(&store, &[("a", "1")]);
    let outbox = store.outbox();
    let first = outbox.claim(None, "w", MINUTE).expect("claim").expect("due");
    clock.move_by(-30_000);
    assert!(outbox.claim(None, "w", MINUTE).expect("claim").is_none(), "a small step back waits");
    clock.move_by(-24 * 3_600_000);
    let second = outbox.claim(None, "w", MINUTE).expect("claim").expect("a large one ends it");
    assert_eq!(second.id(), first.id(), "the same message");
    outbox.fail(&second, "no").expect("fail");
    clock.move_by(-3_600_000);
    assert!(outbox.claim(None, "w", MINUTE).expect("claim").is_some(), "a pause ends as well");
}

#[test]
fn outbox_f7_an_action_that_panics_has_failed() {
    let (dir, clock) = scratch();
    let base = options(clock).action("a", |_| panic!("on purpose"));
    let store = open(&base, dir.path());
    enqueue(&store, &[("a", "1")]);
    assert_eq!(store.deliver_outbox().expect("deliver").failed, 1, "a failure as others are");
    let message = store.outbox().messages(None).next().expect("it waits").expect("a message");
    assert_eq!(message.error.as_deref(), Some("it panicked: on purpose"), "with its words");
}

#[test]
fn outbox_1_an_effect_in_the_store_is_one_commit_with_the_acknowledgement() {
    let (dir, clock) = scratch();
    let fails = Arc::new(Mutex::new(true));
    let failing = Arc::clone(&fails);
    let base = options(clock.clone()).action_in_store("count", "totals", move |message, tx| {
        let n = tx.get(b"n")?.map_or(0, |n| text(&n).parse().expect("a number"));
        tx.put("n", (n + text(message.payload()).parse::<u32>()?).to_string())?;
        tx.enqueue("told", message.payload())?;
        match *failing.lock().expect("nobody panics") {
            true => Err("not yet".into()),
            false => Ok(()),
        }
    });
    let store = open(&base, dir.path());
    let totals = must_branch(&store, "totals", "main");
    enqueue(&store, &[("count", "2"), ("count", "3"), ("count", "x")]);
    assert_eq!(store.deliver_outbox().expect("deliver").failed, 1, "the first fails");
    assert_eq!(must_get(&totals, "n"), None, "and has written nothing");
    assert!(waiting(&store, Some("told")).is_empty(), "nor sent anything");
    *fails.lock().expect("nobody panics") = false;
    clock.move_by(1_000);
    let round = store.deliver_outbox().expect("deliver");
    assert_eq!((round.delivered, round.failed), (2, 1), "what is no number fails");
    assert_eq!(must_get(&totals, "n").as_deref(), Some("5"), "each effect is there once");
    assert_eq!(waiting(&store, Some("told")), ["2", "3"], "and so is what they sent");
    let message = store.commit("totals").expect("head").message;
    assert_eq!(message, "deliver count 1.1", "the commit says what it is for");
    let left = store.outbox().messages(Some("count")).next().expect("one").expect("a message");
    assert_eq!(left.error.as_deref(), Some("invalid digit found in string"), "with the reason");
}

#[test]
fn outbox_1_many_threads_deliver_each_message_once_and_each_topic_in_order() {
    let (dir, clock) = scratch();
    let saw = Seen::default();
    let mut base = options(clock);
    for topic in ["a", "b", "c"] {
        base = noting(base, topic, &saw, &Seen::default());
    }
    let store = open(&base, dir.path());
    for i in 0..60 {
        let payloads = ["a", "b", "c"].map(|topic| (topic, format!("{topic}{i:03}")));
        let messages = payloads.each_ref().map(|(topic, payload)| (*topic, payload.as_str()));
        enqueue(&store, &messages);
    }
    let delivered: u64 = std::thread::scope(|scope| {
        let work = || {
            let mut sum = 0;
            while !waiting(&store, None).is_empty() {
                sum += store.deliver_outbox().expect("deliver").delivered;
            }
            sum
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    assert_eq!(delivered, 180, "each is delivered by one thread");
    let saw = seen(&saw);
    assert_eq!(saw.len(), 180, "each action is called once where nothing fails");
    for topic in ["a", "b", "c"] {
        let of_topic: Vec<&String> = saw.iter().filter(|s| s.starts_with(topic)).collect();
        assert!(of_topic.is_sorted(), "topic {topic} is in the order of its commits");
    }
}

#[test]
fn outbox_1_the_background_delivers_by_itself_and_ends_with_the_store() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let saw = Seen::default();
    let base = noting(Store::options(), "a", &saw, &Seen::default());
    let store = open(&base.deliver_in_background(Duration::from_millis(5)), dir.path());
    enqueue(&store, &[("a", "1"), ("a", "2")]);
    let mut left = 2_000;
    while seen(&saw).len() < 2 || !waiting(&store, None).is_empty() {
        left -= 1;
        assert!(left > 0, "they are delivered within seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
    store.close().expect("close");
    open(&Store::options(), dir.path()).close().expect("nothing holds the store any more");
    assert_eq!(seen(&saw), ["1", "2"], "each once, in order");
}

#[test]
fn outbox_1_a_store_open_for_reading_lists_and_does_nothing_else() {
    let (dir, clock) = scratch();
    let base = options(clock);
    let store = open(&base, dir.path());
    enqueue(&store, &[("a", "1")]);
    let claimed = store.outbox().claim(None, "w", MINUTE).expect("claim").expect("due");
    let reader = open(&base.clone().read_only(true), dir.path());
    let message = reader.outbox().messages(None).next().expect("one").expect("a message");
    let want = MessageState::Claimed { worker: "w".into(), until: claimed.until() };
    assert_eq!((message.id, message.state), (claimed.id(), want), "as it stands");
    assert_eq!(message.idempotency_key, claimed.idempotency_key(), "with its key");
    must_fail(reader.outbox().claim(None, "w", MINUTE), ErrorKind::ReadOnly);
    must_fail(reader.deliver_outbox(), ErrorKind::ReadOnly);
    must_fail(reader.outbox().ack(&claimed), ErrorKind::ReadOnly);
}

#[test]
fn outbox_1_what_makes_no_sense_is_refused_when_the_store_is_opened() {
    let (dir, clock) = scratch();
    let base = options(clock);
    let twice = base.clone().action("a", |_| Ok(())).action("a", |_| Ok(()));
    must_fail(twice.open(dir.path().join("store")), ErrorKind::Invalid);
    let unnamed = base.clone().action("", |_| Ok(()));
    must_fail(unnamed.open(dir.path().join("store")), ErrorKind::Invalid);
    let nowhere = base.action_in_store("a", "no..branch", |_, _| Ok(()));
    must_fail(nowhere.open(dir.path().join("store")), ErrorKind::Invalid);
}

#[test]
fn outbox_1_an_undo_takes_back_no_message_and_no_merge_sends_one_again() {
    let (dir, clock) = scratch();
    let store = open(&options(clock), dir.path());
    let topic = must_branch(&store, "topic", "main");
    store
        .run("topic", CommitOptions::default(), |tx| {
            tx.put("k", "v")?;
            tx.enqueue("a", "1")
        })
        .expect("commit");
    store.merge("main", "topic", Default::default()).expect("merge");
    assert_eq!(waiting(&store, None), ["1"], "what was sent once is not sent again");
    store.undo().expect("undo the merge");
    store.undo().expect("undo the commit");
    assert_eq!(topic.count(&KeyRange::all()).expect("count"), 0, "the change is taken back");
    assert_eq!(waiting(&store, None), ["1"], "the message is not: it may be delivered already");
    let _: Timestamp = store.outbox().messages(None).next().expect("one").expect("it").enqueued;
}
