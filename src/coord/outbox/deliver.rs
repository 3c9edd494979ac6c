//! Delivery by the actions that a program has registered.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::message::Delivery;
use super::{MessageState, rows, work};
use crate::clock::Timestamp;
use crate::coord::action::{Action, Worked, guarded, in_words};
use crate::coord::{Coord, action};
use crate::error::{ErrorKind, Result};

/// Whose claims these are, and how long an action may take before another may try.
const WORKER: &str = "deliver";
const LEASE: Duration = Duration::from_secs(60);

/// What a round of deliveries came to.
///
/// # Examples
/// See [`Store::deliver_outbox`](crate::Store::deliver_outbox).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Delivered {
    /// Messages whose action has succeeded.
    pub delivered: u64,
    /// Attempts that have failed, to be made again.
    pub failed: u64,
    /// Messages whose action needs what is held at this moment, such as a key of a prepared transaction:
    /// they are due again after a pause, and no attempt is counted.
    pub postponed: u64,
    /// Messages that have become dead letters.
    pub dead: u64,
    /// Messages that somebody else took over, or settled, while an action was at them.
    pub lost: u64,
    /// When the next of these topics is due, if one waits after a failure or for another worker.
    pub next: Option<Timestamp>,
}

/// Delivers everything that is due and has an action, until told to stop.
pub(crate) fn deliver(coord: &Coord, is_over: &dyn Fn() -> bool) -> Result<Delivered> {
    // Said even if there is nothing to deliver.
    coord.publisher()?;
    let actions = &coord.registry.actions;
    let topics: Vec<&str> = actions.keys().map(String::as_str).collect();
    let mut out = Delivered::default();
    while !is_over() {
        let free = Delivering::others(coord, &topics);
        let Some((topic, _)) = work::due(coord, &free)? else { break };
        // Another thread may have been quicker; then this topic is not free in the next round.
        let Some(_delivering) = Delivering::enter(coord, topic) else { continue };
        let Some(delivery) = work::claim(coord, &[topic], WORKER, LEASE)? else { continue };
        let Some(action) = actions.get(topic) else { break };
        match settle(coord, action, &delivery, &mut out) {
            Err(e) if e.kind() == ErrorKind::Precondition => out.lost += 1,
            settled => settled?,
        }
    }
    for topic in topics {
        let Some(id) = work::first(coord, topic)? else { continue };
        if let Some(last) = rows::attempts(coord.engine(), topic, id)? {
            let until = Timestamp::from_millis(last.until);
            out.next = Some(out.next.map_or(until, |next| next.min(until)));
        }
    }
    Ok(out)
}

/// A topic that a thread of this process is delivering. No other thread takes it then, however long the
/// action takes: its lease may end, but nobody is to do the same again beside it.
struct Delivering<'c>(&'c Coord, &'c str);

impl<'c> Delivering<'c> {
    fn enter(coord: &'c Coord, topic: &'c str) -> Option<Self> {
        // Only made if it was entered: dropping it lets the topic go.
        let is_entered = all_of(coord).insert(topic.to_owned());
        is_entered.then(|| Self(coord, topic))
    }

    /// The topics that nobody is delivering.
    fn others<'t>(coord: &Coord, topics: &[&'t str]) -> Vec<&'t str> {
        let all = all_of(coord);
        topics.iter().copied().filter(|topic| !all.contains(*topic)).collect()
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        all_of(self.0).remove(self.1);
    }
}

fn all_of(coord: &Coord) -> MutexGuard<'_, BTreeSet<String>> {
    coord.registry.delivering.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an action, and stores what came of it.
fn settle(coord: &Coord, action: &Action, delivery: &Delivery, out: &mut Delivered) -> Result<()> {
    match run(coord, action, delivery)? {
        Worked::Done => out.delivered += 1,
        Worked::NotNow(why) => {
            work::postpone(coord, &delivery.claim, &why)?;
            out.postponed += 1;
        }
        Worked::Refused(why) => match work::fail(coord, &delivery.claim, &why)? {
            MessageState::Dead { .. } => out.dead += 1,
            _ => out.failed += 1,
        },
    }
    Ok(())
}

/// Runs an action and acknowledges the message, if it succeeds.
fn run(coord: &Coord, action: &Action, delivery: &Delivery) -> Result<Worked> {
    match action {
        Action::Outside(handler) => match guarded(|| handler(delivery)) {
            Ok(()) => work::ack(coord, &delivery.claim).map(|()| Worked::Done),
            Err(e) => Ok(Worked::Refused(in_words(&*e))),
        },
        Action::InStore(branch, handler) => {
            let message = format!("deliver {} {}", delivery.topic(), delivery.id());
            action::work(
                || coord.begin(branch),
                message,
                |tx| {
                    handler(delivery, tx)?;
                    let claim = delivery.claim.clone();
                    tx.attach(move |_| work::ack_rows(coord, &claim));
                    Ok(())
                },
            )
        }
    }
}
