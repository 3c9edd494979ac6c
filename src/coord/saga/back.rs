//! One attempt at each compensation that is due.

use std::sync::Arc;

use super::def::SagaDef;
use super::journal::{Journal, key_of, with_commit, write};
use super::run::is_pending;
use super::state::Event;
use super::step::SagaStep;
use crate::coord::Coord;
use crate::coord::action::{Worked, work};
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::{UndoCode, UndoRecord};

/// Why something failed whose process has ended.
pub(super) const CUT_OFF: &str = "cut off by the end of the process";

/// Makes one attempt at each compensation that is due, newest first.
pub(super) fn compensate(coord: &Coord, def: &SagaDef, mut journal: Journal) -> Result<Journal> {
    for at in (0..journal.record.undo.len()).rev() {
        let one = &journal.record.undo[at];
        if !is_pending(one, coord.now()) {
            continue;
        }
        if coord.registry.saga_policy.is_spent(one.attempts) {
            // Its process has ended in the last attempt that there was.
            let next = tried(coord, &journal, at, Worked::Refused(CUT_OFF.to_owned()))?;
            write(coord, &journal, &next)?;
            journal = next;
            continue;
        }
        let begun = journal.on(Event::Tried, coord.now(), |record| {
            record.undo[at].attempts += 1;
        })?;
        write(coord, &journal, &begun)?;
        journal = undo(coord, def, begun, at)?;
    }
    Ok(journal)
}

/// Runs a compensation that was begun.
fn undo(coord: &Coord, def: &SagaDef, begun: Journal, at: usize) -> Result<Journal> {
    let begun = Arc::new(begun);
    let one = &begun.record.undo[at];
    let key = key_of(coord, &begun, "compensation", at, &one.name);
    let mut made = None;
    let worked = match def.work_of(&one.name) {
        None => Worked::Refused(format!("no compensation {} is registered", one.name)),
        Some(run) => work(
            || coord.begin(&begun.record.branch),
            format!("saga {} {}: {} of {}", def.name(), begun.id, one.name, one.step),
            |tx| {
                run(&mut SagaStep {
                    tx,
                    saga: def.name(),
                    id: &begun.id,
                    step: &one.step,
                    input: &begun.record.input,
                    args: &one.args,
                    attempt: one.attempts,
                    in_doubt: one.in_doubt,
                    idempotency_key: &key,
                })?;
                let next = tried(coord, &begun, at, Worked::Done)?;
                made = Some(next.clone());
                tx.attach(with_commit(coord, &begun, next));
                Ok(())
            },
        )?,
    };
    let next = match (worked, made) {
        (Worked::Done, made) => {
            let text = "a compensation ended without an end";
            return made.ok_or_else(|| Error::new(ErrorKind::Invalid, text));
        }
        (refused, _) => tried(coord, &begun, at, refused)?,
    };
    write(coord, &begun, &next)?;
    Ok(next)
}

/// The journal after an attempt at a compensation.
fn tried(coord: &Coord, begun: &Journal, at: usize, worked: Worked) -> Result<Journal> {
    let (now, retries) = (coord.now(), &coord.registry.saga_policy);
    let mut one = begun.record.undo[at].clone();
    (one.since, one.until) = (now, now);
    match worked {
        Worked::Done => (one.state, one.error) = (UndoCode::Done, String::new()),
        Worked::NotNow(why) => {
            one.error = why;
            one.attempts = one.attempts.saturating_sub(1);
            one.until = retries.not_now(now);
        }
        Worked::Refused(why) => {
            one.error = why;
            match retries.is_spent(one.attempts) {
                true => one.state = UndoCode::GivenUp,
                false => one.until = retries.due(now, one.attempts),
            }
        }
    }
    let others = begun.record.undo.iter().enumerate().filter(|(i, _)| *i != at);
    let states = || others.clone().map(|(_, one)| one.state).chain([one.state]);
    let event = if states().any(|state| state == UndoCode::Pending) {
        Event::Tried
    } else if states().any(|state| state == UndoCode::GivenUp) {
        Event::GivenUp
    } else {
        Event::AllUndone
    };
    begun.on(event, now, |record| record.undo[at] = one.clone())
}

/// A compensation that is to be run.
pub(super) fn pending(step: &str, name: &str, now: i64) -> UndoRecord {
    UndoRecord {
        step: step.to_owned(),
        name: name.to_owned(),
        args: Vec::new(),
        in_doubt: false,
        state: UndoCode::Pending,
        attempts: 0,
        since: now,
        until: now,
        error: String::new(),
    }
}
