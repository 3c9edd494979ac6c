//! OUTBOX-1 against a model: random messages, claims, answers, jumps of time, reopens.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use withy::{Delivery, ErrorKind, MessageId, MessageState, RetryPolicy, Store};

use super::{enqueue, open, options, scratch, text};
use crate::support::{is_long, must_fail};

const TOPICS: [&str; 3] = ["a", "a b", "b"];
const ATTEMPTS: u32 = 3;

/// A message as it should be.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    payload: String,
    attempts: u32,
    /// Since when and until when it waits, and whether for an answer.
    wait: Option<(i64, i64, bool)>,
    claims: u64,
    key: Option<String>,
}

#[derive(Default)]
struct Model {
    waiting: BTreeMap<(&'static str, MessageId), Message>,
    dead: BTreeMap<(&'static str, MessageId), Message>,
    now: i64,
    next: u64,
}

impl Model {
    fn is_free(&self, message: &Message) -> bool {
        message
            .wait
            .is_none_or(|(since, until, _)| self.now >= until || self.now < since - (until - since))
    }

    /// The message that a claim must give, after those that have no attempt left are dead.
    fn claim(&mut self, topic: Option<&str>) -> Option<(&'static str, MessageId)> {
        loop {
            let heads = TOPICS.iter().filter(|t| topic.is_none_or(|topic| topic == **t));
            let heads = heads.filter_map(|t| {
                let mut own = self.waiting.iter().filter(|((topic, _), _)| topic == t);
                own.next().map(|(at, message)| (*at, message))
            });
            let due = heads.filter(|(_, message)| self.is_free(message));
            let at = due.min_by_key(|((_, id), _)| *id)?.0;
            let message = &self.waiting[&at];
            if message.attempts < ATTEMPTS {
                return Some(at);
            }
            let message = self.waiting.remove(&at).expect("it is there");
            self.dead.insert(at, message);
        }
    }

    fn check(&self, store: &Store) {
        let outbox = store.outbox();
        let mut listed = outbox.messages(None).map(|m| m.expect("a message"));
        for ((topic, id), want) in &self.waiting {
            let got = listed.next().expect("as many as in the model");
            assert_eq!((got.topic.as_str(), got.id), (*topic, *id), "in order");
            assert_eq!((text(&got.payload), got.attempts), (want.payload.clone(), want.attempts));
            let until = |until: i64| got_until(&got.state) == Some(until);
            let fits = match want.wait {
                Some((_, to, true)) => {
                    matches!(got.state, MessageState::Claimed { .. }) && until(to)
                }
                _ if self.is_free(want) => got.state == MessageState::Ready,
                Some((_, to, false)) => until(to),
                None => false,
            };
            assert!(fits, "{:?} is what the model has: {want:?} at {}", got.state, self.now);
        }
        assert!(listed.next().is_none(), "and no more");
        let dead: Vec<_> = outbox.dead_letters(None).map(|m| m.expect("a message").id).collect();
        let want: Vec<_> = self.dead.keys().map(|(_, id)| *id).collect();
        assert_eq!(dead, want, "dead letters");
    }
}

fn got_until(state: &MessageState) -> Option<i64> {
    match state {
        MessageState::Waiting { until } | MessageState::Claimed { until, .. } => {
            Some(until.as_millis())
        }
        _ => None,
    }
}

fn pause(attempts: u32) -> i64 {
    (1_000 << (attempts - 1)).min(3_000)
}

fn play(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let (dir, clock) = scratch();
    let policy = RetryPolicy::default().attempts(ATTEMPTS).longest(Duration::from_secs(3));
    let base = options(clock.clone()).outbox_retries(policy);
    let mut store = open(&base, dir.path());
    let mut model = Model { now: clock.after(0).as_millis(), ..Model::default() };
    let mut held: Vec<(&'static str, u64, Delivery)> = Vec::new();
    for step in 0..150 {
        let pick = |random: &mut Rng| *random.choice(&TOPICS).expect("there are topics");
        match random.u32(0..100) {
            0..25 => {
                let payloads: Vec<(&str, String)> = (0..random.u32(1..4))
                    .map(|_| {
                        model.next += 1;
                        (pick(&mut random), format!("message {}", model.next))
                    })
                    .collect();
                let messages: Vec<_> = payloads.iter().map(|(t, p)| (*t, p.as_str())).collect();
                enqueue(&store, &messages);
                for (number, (topic, payload)) in (0..).zip(payloads) {
                    let id = MessageId { seq: store.latest(), number };
                    let topic = *TOPICS.iter().find(|t| **t == topic).expect("a topic");
                    let (wait, key) = (None, None);
                    let message = Message { payload, attempts: 0, wait, claims: 0, key };
                    model.waiting.insert((topic, id), message);
                }
            }
            25..55 => {
                let topic = random.bool().then(|| pick(&mut random));
                let lease = random.u64(1..3_000);
                let want = model.claim(topic);
                let got = store.outbox().claim(topic, "w", Duration::from_millis(lease));
                let got = got.expect("a claim");
                let got_at = got.as_ref().map(|one| (one.topic().to_owned(), one.id()));
                let want_at = want.map(|(topic, id)| (topic.to_owned(), id));
                assert_eq!(got_at, want_at, "seed {seed}, step {step}: the oldest that is due");
                if let (Some(at), Some(got)) = (want, got) {
                    let message = model.waiting.get_mut(&at).expect("it is there");
                    message.attempts += 1;
                    message.claims += 1;
                    let until = model.now + i64::try_from(lease).expect("small");
                    message.wait = Some((model.now, until, true));
                    let key = message.key.get_or_insert(got.idempotency_key().to_owned());
                    assert_eq!(key, got.idempotency_key(), "a message keeps its key");
                    assert_eq!(got.attempt(), message.attempts, "attempts are counted");
                    held.push((at.0, message.claims, got));
                }
            }
            55..75 if !held.is_empty() => {
                let (topic, claim, delivery) = held.remove(random.usize(0..held.len()));
                let at = (topic, delivery.id());
                let current = model.waiting.get(&at).filter(|message| {
                    message.claims == claim && message.wait.is_some_and(|(_, _, claimed)| claimed)
                });
                let Some(message) = current.cloned() else {
                    must_fail(store.outbox().ack(&delivery), ErrorKind::Precondition);
                    must_fail(store.outbox().fail(&delivery, "late"), ErrorKind::Precondition);
                    continue;
                };
                if random.bool() {
                    store.outbox().ack(&delivery).expect("ack");
                    model.waiting.remove(&at);
                } else {
                    store.outbox().fail(&delivery, "no").expect("fail");
                    let message = Message {
                        wait: Some((model.now, model.now + pause(message.attempts), false)),
                        ..message
                    };
                    if message.attempts >= ATTEMPTS {
                        model.waiting.remove(&at);
                        model.dead.insert(at, message);
                    } else {
                        model.waiting.insert(at, message);
                    }
                }
            }
            75..85 => {
                let by = if random.u32(0..4) == 0 {
                    -random.i64(0..8_000)
                } else {
                    random.i64(0..4_000)
                };
                clock.move_by(by);
                model.now += by;
            }
            85..92 => {
                let all = || model.waiting.iter().chain(&model.dead);
                let at = random.usize(0..=all().count());
                let Some((at, message)) = all().nth(at).map(|(at, m)| (*at, m.clone())) else {
                    let nobody = MessageId { seq: withy::Seq::new(0), number: 9 };
                    must_fail(store.outbox().retry(nobody), ErrorKind::NotFound);
                    continue;
                };
                let is_dead = model.dead.contains_key(&at);
                let claimed = message.wait.is_some_and(|(_, _, claimed)| claimed);
                let is_busy = !is_dead && claimed && !model.is_free(&message);
                let discards = random.bool();
                let outbox = store.outbox();
                let done = if discards { outbox.discard(at.1) } else { outbox.retry(at.1) };
                if is_busy {
                    must_fail(done, ErrorKind::Busy);
                    continue;
                }
                done.expect("it is free");
                model.dead.remove(&at);
                model.waiting.remove(&at);
                if !discards {
                    let wait = message.wait.map(|_| (model.now, model.now, false));
                    model.waiting.insert(at, Message { wait, attempts: 0, ..message });
                }
            }
            92..95 => {
                store.close().expect("close");
                store = open(&base, dir.path());
                let claimed: Vec<_> = model
                    .waiting
                    .iter()
                    .filter(|(_, message)| message.wait.is_some_and(|(_, _, claimed)| claimed))
                    .map(|(at, message)| (*at, message.clone()))
                    .collect();
                let resumed = store.resumed();
                assert_eq!(resumed.claims, claimed.len() as u64, "all are told");
                for (at, message) in claimed {
                    model.waiting.remove(&at);
                    let wait = Some((model.now, model.now, false));
                    let message = Message { wait, ..message };
                    model.waiting.insert(at, message);
                }
            }
            _ => {}
        }
        model.check(&store);
    }
}

#[test]
fn outbox_1_random_use_agrees_with_the_model() {
    let long = is_long();
    let rounds = if long { 400 } else { 25 };
    (0..rounds).for_each(play);
}
