//! Reading the rows of the outbox.

use super::super::Coord;
use super::message::{MessageId, MessageState, OutboxMessage, key_of};
use crate::clock::Timestamp;
use crate::engine::{Engine, Rows};
use crate::error::Result;
use crate::format::coord::{AttemptsRecord, DeadRecord, MessageRecord, WaitRecord};
use crate::format::keys::{self, outbox};
use crate::format::{Family, record};

/// The first key behind those of a topic: a topic ends in 00, and no name has a byte as low as 01.
pub(super) fn behind(kind: u8, topic: &str) -> Vec<u8> {
    let mut out = keys::outbox_topic(kind, topic);
    out.pop();
    out.push(1);
    out
}

/// The first key behind those of a kind.
pub(super) fn end_of(kind: u8) -> Vec<u8> {
    let mut out = keys::outbox(kind).to_vec();
    out.pop();
    out.push(kind + 1);
    out
}

/// Adds the topics that have rows of a kind, of those between two keys. Cost: one seek each.
pub(super) fn topics_between(
    engine: &Engine,
    kind: u8,
    (from, to): (&[u8], &[u8]),
    out: &mut Vec<String>,
) -> Result<()> {
    if from >= to {
        return Ok(());
    }
    let mut rows: Rows<'_> = engine.iter(Family::State, from, Some(to));
    rows.seek_to_first();
    while let Some((stored, _)) = rows.current()? {
        let topic = keys::outbox_parts(stored)?.0.to_owned();
        let next = behind(kind, &topic);
        out.push(topic);
        rows.seek(&next);
    }
    Ok(())
}

/// The topics that have dead letters, by name. Cost: one seek each.
pub(super) fn topics_of_dead(engine: &Engine) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let (from, to) = (keys::outbox(outbox::DEAD), end_of(outbox::DEAD));
    topics_between(engine, outbox::DEAD, (&from, &to), &mut out)?;
    Ok(out)
}

/// The key of a row about a message.
pub(super) fn key(kind: u8, topic: &str, id: MessageId) -> Vec<u8> {
    keys::outbox_row(kind, topic, id.seq, id.number)
}

pub(super) fn message(
    engine: &Engine,
    topic: &str,
    id: MessageId,
) -> Result<Option<MessageRecord>> {
    let row = engine.get(Family::State, &key(outbox::MESSAGE, topic, id))?;
    Ok(row.map(|row| record::decode("message", &row)).transpose()?)
}

pub(super) fn attempts(
    engine: &Engine,
    topic: &str,
    id: MessageId,
) -> Result<Option<AttemptsRecord>> {
    let row = engine.get(Family::State, &key(outbox::ATTEMPTS, topic, id))?;
    Ok(row.map(|row| record::decode("attempts", &row)).transpose()?)
}

pub(super) fn dead(engine: &Engine, topic: &str, id: MessageId) -> Result<Option<DeadRecord>> {
    let row = engine.get(Family::State, &key(outbox::DEAD, topic, id))?;
    Ok(row.map(|row| record::decode("dead letter", &row)).transpose()?)
}

/// Messages of the outbox, topic by topic, each in the order of its commits.
///
/// # Examples
/// See [`Outbox::messages`](crate::Outbox::messages).
pub struct OutboxMessages<'s> {
    coord: &'s Coord,
    kind: u8,
    rows: Rows<'s>,
    begun: bool,
}

impl<'s> OutboxMessages<'s> {
    pub(super) fn new(coord: &'s Coord, kind: u8, topic: Option<&str>) -> Self {
        let rows = match topic {
            Some(topic) => {
                coord.engine().iter_prefix(Family::State, &keys::outbox_topic(kind, topic))
            }
            None => coord.engine().iter_prefix(Family::State, &keys::outbox(kind)),
        };
        Self { coord, kind, rows, begun: false }
    }

    fn read(&mut self) -> Result<Option<OutboxMessage>> {
        match self.begun {
            true => self.rows.next(),
            false => self.rows.seek_to_first(),
        }
        self.begun = true;
        let Some((key, row)) = self.rows.current()? else { return Ok(None) };
        let (topic, seq, number) = keys::outbox_parts(key)?;
        let id = MessageId { seq, number };
        let shown = if self.kind == outbox::DEAD {
            of_dead(self.coord, topic, id, record::decode("dead letter", row)?)
        } else {
            let attempts = attempts(self.coord.engine(), topic, id)?;
            of_pending(self.coord, topic, id, (record::decode("message", row)?, attempts))
        };
        Ok(Some(shown))
    }
}

impl Iterator for OutboxMessages<'_> {
    type Item = Result<OutboxMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// A message that waits, as users see it.
pub(super) fn of_pending(
    coord: &Coord,
    topic: &str,
    id: MessageId,
    (row, attempts): (MessageRecord, Option<AttemptsRecord>),
) -> OutboxMessage {
    let state = attempts.as_ref().map_or(MessageState::Ready, |one| {
        let until = Timestamp::from_millis(one.until);
        match &one.wait {
            WaitRecord::Due | WaitRecord::CutOff if super::is_free(Some(one), coord.now()) => {
                MessageState::Ready
            }
            WaitRecord::Due | WaitRecord::CutOff => MessageState::Waiting { until },
            WaitRecord::Answer(worker) => MessageState::Claimed { worker: worker.clone(), until },
        }
    });
    let (attempts, error) = attempts.map_or((0, String::new()), |one| (one.attempts, one.error));
    shown(coord, topic, id, (row, attempts, state, error))
}

/// A dead letter, as users see it.
pub(super) fn of_dead(coord: &Coord, topic: &str, id: MessageId, row: DeadRecord) -> OutboxMessage {
    let state = MessageState::Dead { since: Timestamp::from_millis(row.died) };
    shown(coord, topic, id, (row.message, row.attempts, state, row.error))
}

fn shown(
    coord: &Coord,
    topic: &str,
    id: MessageId,
    (row, attempts, state, error): (MessageRecord, u32, MessageState, String),
) -> OutboxMessage {
    OutboxMessage {
        id,
        topic: topic.to_owned(),
        idempotency_key: key_of(&coord.store_id, topic, id, &row),
        enqueued: Timestamp::from_millis(row.enqueued),
        payload: row.payload,
        attempts,
        state,
        error: Some(error).filter(|error| !error.is_empty()),
    }
}
