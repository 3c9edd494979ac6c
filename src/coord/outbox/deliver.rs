//! Delivery by the actions that a program has registered.

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
    /// Messages that have become dead letters.
    pub dead: u64,
    /// Messages that somebody else took over, or settled, while an action was at them.
    pub lost: u64,
    /// When the next of these topics is due, if one waits after a failure or for another worker.
    pub next: Option<Timestamp>,
}

/// Delivers everything that is due and has an action, until told to stop.
pub(crate) fn deliver(coord: &Coord, is_over: &dyn Fn() -> bool) -> Result<Delivered> {
    let actions = &coord.registry.actions;
    let topics: Vec<&str> = actions.keys().map(String::as_str).collect();
    let mut out = Delivered::default();
    while !is_over()
        && let Some(delivery) = work::claim(coord, &topics, WORKER, LEASE)?
    {
        let Some(action) = actions.get(delivery.topic()) else { break };
        let refused = match run(coord, action, &delivery) {
            Ok(None) => {
                out.delivered += 1;
                continue;
            }
            Ok(Some(refused)) => refused,
            Err(e) if e.kind() == ErrorKind::Precondition => {
                out.lost += 1;
                continue;
            }
            Err(e) => return Err(e),
        };
        match work::fail(coord, &delivery.claim, &refused) {
            Ok(MessageState::Dead { .. }) => out.dead += 1,
            Ok(_) => out.failed += 1,
            Err(e) if e.kind() == ErrorKind::Precondition => out.lost += 1,
            Err(e) => return Err(e),
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

/// Runs an action and acknowledges the message; says in words why the action has failed.
fn run(coord: &Coord, action: &Action, delivery: &Delivery) -> Result<Option<String>> {
    match action {
        Action::Outside(handler) => match guarded(|| handler(delivery)) {
            Ok(()) => work::ack(coord, &delivery.claim).map(|()| None),
            Err(e) => Ok(Some(in_words(&*e))),
        },
        Action::InStore(branch, handler) => {
            let message = format!("deliver {} {}", delivery.topic(), delivery.id());
            let worked = action::work(
                || coord.begin(branch),
                message,
                |tx| {
                    handler(delivery, tx)?;
                    let claim = delivery.claim.clone();
                    tx.attach(move |_| work::ack_rows(coord, &claim));
                    Ok(())
                },
            )?;
            match worked {
                Worked::Done => Ok(None),
                Worked::Refused(why) => Ok(Some(why)),
            }
        }
    }
}
