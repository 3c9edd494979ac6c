//! Claims, acknowledgements and failures: each one write, made under the commit lock from what is stored.

use std::time::Duration;

use super::message::{Claim, Delivery, MessageId, MessageState, key_of};
use super::rows::{self, key};
use super::{is_free, stale, unknown};
use crate::clock::Timestamp;
use crate::coord::Coord;
use crate::coord::action::shortened;
use crate::coord::policy::after;
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::{AttemptsRecord, DeadRecord, MessageRecord, WaitRecord};
use crate::format::keys::{self, outbox};
use crate::format::{Family, record};
use crate::publish::StateRows;

/// The topics that have messages, by name.
pub(super) fn topics(coord: &Coord) -> Result<Vec<String>> {
    coord.registry.heads.topics(coord.engine())
}

/// The oldest message of a topic.
pub(super) fn first(coord: &Coord, topic: &str) -> Result<Option<MessageId>> {
    coord.registry.heads.first(coord.engine(), topic)
}

/// The oldest message that is due, of some topics.
pub(super) fn due<'t>(coord: &Coord, topics: &[&'t str]) -> Result<Option<(&'t str, MessageId)>> {
    let now = coord.now();
    let mut best: Option<(&str, MessageId)> = None;
    for topic in topics {
        let Some(id) = first(coord, topic)? else { continue };
        let is_older = best.is_none_or(|(_, other)| id < other);
        if is_older && is_free(rows::attempts(coord.engine(), topic, id)?.as_ref(), now) {
            best = Some((topic, id));
        }
    }
    Ok(best)
}

/// Claims the oldest message that is due, of some topics.
pub(super) fn claim(
    coord: &Coord,
    topics: &[&str],
    worker: &str,
    lease: Duration,
) -> Result<Option<Delivery>> {
    let publisher = coord.publisher()?;
    while let Some((topic, id)) = due(coord, topics)? {
        // Under the lock it may be gone or taken, or prove to be one that is given up: look again.
        let claimed = publisher.update_state(|| claim_rows(coord, (topic, id), worker, lease))?;
        if claimed.is_some() {
            return Ok(claimed);
        }
    }
    Ok(None)
}

fn claim_rows(
    coord: &Coord,
    (topic, id): (&str, MessageId),
    worker: &str,
    lease: Duration,
) -> Result<(StateRows, Option<Delivery>)> {
    let (engine, now) = (coord.engine(), coord.now());
    let before = rows::attempts(engine, topic, id)?;
    let is_first = first(coord, topic)? == Some(id);
    let Some(message) = rows::message(engine, topic, id)? else { return Ok(Default::default()) };
    if !is_first || !is_free(before.as_ref(), now) {
        return Ok(Default::default());
    }
    let mut next = before.unwrap_or(AttemptsRecord {
        claims: 0,
        attempts: 0,
        wait: WaitRecord::Due,
        since: now,
        until: now,
        error: String::new(),
    });
    if let WaitRecord::Answer(worker) = &next.wait {
        next.error = format!("the lease of {worker} ended without an answer");
    }
    let was_lost = matches!(next.wait, WaitRecord::Answer(_) | WaitRecord::CutOff);
    if was_lost && coord.registry.outbox_policy.is_spent(next.attempts) {
        return Ok((bury(topic, id, (message, next), now), None));
    }
    next.claims += 1;
    next.attempts = next.attempts.saturating_add(1);
    next.wait = WaitRecord::Answer(worker.to_owned());
    (next.since, next.until) = (now, after(now, lease));
    let delivery = Delivery {
        claim: Claim { topic: topic.to_owned(), id, number: next.claims },
        idempotency_key: key_of(&coord.store_id, topic, id, &message),
        payload: message.payload,
        enqueued: Timestamp::from_millis(message.enqueued),
        attempt: next.attempts,
        until: Timestamp::from_millis(next.until),
    };
    Ok((vec![attempts_row(topic, id, &next)], Some(delivery)))
}

/// A row to be written.
type Row = (Family, Vec<u8>, Option<Vec<u8>>);

fn attempts_row(topic: &str, id: MessageId, row: &AttemptsRecord) -> Row {
    (Family::State, key(outbox::ATTEMPTS, topic, id), Some(record::encode(row)))
}

/// Removes the rows of a message that waits.
fn removed(topic: &str, id: MessageId) -> StateRows {
    [outbox::MESSAGE, outbox::ATTEMPTS]
        .map(|kind| (Family::State, key(kind, topic, id), None))
        .into()
}

/// Makes a message a dead letter.
fn bury(
    topic: &str,
    id: MessageId,
    (message, last): (MessageRecord, AttemptsRecord),
    now: i64,
) -> StateRows {
    let (claims, attempts) = (last.claims, last.attempts);
    let dead = DeadRecord { message, claims, attempts, died: now, error: last.error };
    let mut out = removed(topic, id);
    out.push((Family::State, key(outbox::DEAD, topic, id), Some(record::encode(&dead))));
    out
}

/// What is stored of a claim, if it is still the one that counts.
fn held(coord: &Coord, claim: &Claim) -> Result<AttemptsRecord> {
    let stored = rows::attempts(coord.engine(), &claim.topic, claim.id)?;
    stored
        .filter(|one| one.claims == claim.number && matches!(one.wait, WaitRecord::Answer(_)))
        .ok_or_else(|| stale(claim))
}

/// The rows of an acknowledgement.
pub(super) fn ack_rows(coord: &Coord, claim: &Claim) -> Result<StateRows> {
    held(coord, claim)?;
    Ok(removed(&claim.topic, claim.id))
}

pub(super) fn ack(coord: &Coord, claim: &Claim) -> Result<()> {
    coord.publisher()?.update_state(|| Ok((ack_rows(coord, claim)?, ())))
}

pub(super) fn renew(coord: &Coord, delivery: &mut Delivery, lease: Duration) -> Result<()> {
    let claim = &delivery.claim;
    let until = coord.publisher()?.update_state(|| {
        let (mut next, now) = (held(coord, claim)?, coord.now());
        (next.since, next.until) = (now, after(now, lease));
        Ok((vec![attempts_row(&claim.topic, claim.id, &next)], next.until))
    })?;
    delivery.until = Timestamp::from_millis(until);
    Ok(())
}

pub(super) fn fail(coord: &Coord, claim: &Claim, error: &str) -> Result<MessageState> {
    coord.publisher()?.update_state(|| {
        let (mut next, now) = (held(coord, claim)?, coord.now());
        next.error = shortened(error);
        let policy = &coord.registry.outbox_policy;
        if policy.is_spent(next.attempts) {
            let message = rows::message(coord.engine(), &claim.topic, claim.id)?;
            let message = message.ok_or_else(|| stale(claim))?;
            let state = MessageState::Dead { since: Timestamp::from_millis(now) };
            return Ok((bury(&claim.topic, claim.id, (message, next), now), state));
        }
        next.wait = WaitRecord::Due;
        (next.since, next.until) = (now, policy.due(now, next.attempts));
        let state = MessageState::Waiting { until: Timestamp::from_millis(next.until) };
        Ok((vec![attempts_row(&claim.topic, claim.id, &next)], state))
    })
}

/// Gives a claim back that could not be tried now; the attempt does not count.
pub(super) fn postpone(coord: &Coord, claim: &Claim, why: &str) -> Result<()> {
    coord.publisher()?.update_state(|| {
        let (mut next, now) = (held(coord, claim)?, coord.now());
        next.error = shortened(why);
        next.attempts = next.attempts.saturating_sub(1);
        next.wait = WaitRecord::Due;
        (next.since, next.until) = (now, coord.registry.outbox_policy.not_now(now));
        Ok((vec![attempts_row(&claim.topic, claim.id, &next)], ()))
    })
}

/// Where a message is.
pub(super) enum Found {
    Pending { topic: String, message: MessageRecord, attempts: Option<AttemptsRecord> },
    Dead { topic: String, row: DeadRecord },
}

pub(super) fn find(coord: &Coord, id: MessageId) -> Result<Option<Found>> {
    let engine = coord.engine();
    for topic in topics(coord)? {
        if let Some(message) = rows::message(engine, &topic, id)? {
            let attempts = rows::attempts(engine, &topic, id)?;
            return Ok(Some(Found::Pending { topic, message, attempts }));
        }
    }
    for topic in rows::topics_of_dead(engine)? {
        if let Some(row) = rows::dead(engine, &topic, id)? {
            return Ok(Some(Found::Dead { topic, row }));
        }
    }
    Ok(None)
}

/// Refuses what a worker has at this moment.
fn check_unclaimed(id: MessageId, attempts: Option<&AttemptsRecord>, now: i64) -> Result<()> {
    match attempts {
        Some(AttemptsRecord { wait: WaitRecord::Answer(worker), .. })
            if !is_free(attempts, now) =>
        {
            let text = format!("message {id} is being delivered by {worker}");
            Err(Error::new(ErrorKind::Busy, text).with_hint("wait for its answer"))
        }
        _ => Ok(()),
    }
}

pub(super) fn retry(coord: &Coord, id: MessageId) -> Result<()> {
    let topic = coord.publisher()?.update_state(|| retry_rows(coord, id))?;
    coord.registry.heads.put_back(&topic, id);
    Ok(())
}

/// The rows that put a message back; also its topic.
fn retry_rows(coord: &Coord, id: MessageId) -> Result<(StateRows, String)> {
    let now = coord.now();
    let due = |claims, error| AttemptsRecord {
        claims,
        attempts: 0,
        wait: WaitRecord::Due,
        since: now,
        until: now,
        error,
    };
    match find(coord, id)?.ok_or_else(|| unknown(id))? {
        Found::Pending { topic, attempts: None, .. } => Ok((StateRows::new(), topic)),
        Found::Pending { topic, attempts: Some(last), .. } => {
            check_unclaimed(id, Some(&last), now)?;
            Ok((vec![attempts_row(&topic, id, &due(last.claims, last.error))], topic))
        }
        Found::Dead { topic, row } => {
            let message = record::encode(&row.message);
            let back = vec![
                (Family::State, key(outbox::DEAD, &topic, id), None),
                (Family::State, key(outbox::MESSAGE, &topic, id), Some(message)),
                attempts_row(&topic, id, &due(row.claims, row.error)),
            ];
            Ok((back, topic))
        }
    }
}

pub(super) fn discard(coord: &Coord, id: MessageId) -> Result<()> {
    coord.publisher()?.update_state(|| match find(coord, id)?.ok_or_else(|| unknown(id))? {
        Found::Pending { topic, attempts, .. } => {
            check_unclaimed(id, attempts.as_ref(), coord.now())?;
            Ok((removed(&topic, id), ()))
        }
        Found::Dead { topic, .. } => {
            Ok((vec![(Family::State, key(outbox::DEAD, &topic, id), None)], ()))
        }
    })
}

/// Gives back what was claimed when the store was closed or its process ended: nobody can answer any
/// more. Says how many there were. Nothing is given up here: whoever opens the store need not be the one
/// who delivers, and so need not know how many attempts there are.
pub(in crate::coord) fn recover(coord: &Coord) -> Result<u64> {
    let engine = coord.engine();
    coord.publisher()?.update_state(|| {
        let (mut out, now) = (StateRows::new(), coord.now());
        let mut all = engine.iter_prefix(Family::State, &keys::outbox(outbox::ATTEMPTS));
        all.seek_to_first();
        while let Some((stored, row)) = all.current()? {
            let (topic, seq, number) = keys::outbox_parts(stored)?;
            let mut next: AttemptsRecord = record::decode("attempts", row)?;
            if let WaitRecord::Answer(worker) = &next.wait {
                next.error = format!("the store was closed before {worker} answered");
                next.wait = WaitRecord::CutOff;
                (next.since, next.until) = (now, now);
                out.push(attempts_row(topic, MessageId { seq, number }, &next));
            }
            all.next();
        }
        let count = out.len() as u64;
        Ok((out, count))
    })
}
