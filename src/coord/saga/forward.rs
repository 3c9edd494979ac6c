//! One attempt at the next step of a saga.

use std::sync::Arc;

use super::back::pending;
use super::def::{SagaDef, Step};
use super::journal::{Journal, key_of, with_commit, write};
use super::state::{Event, State};
use super::step::SagaStep;
use crate::coord::Coord;
use crate::coord::action::{ActionError, Worked, work};
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::UndoRecord;

/// The step that comes next, and its place.
pub(super) fn next_step<'d>(def: &'d SagaDef, journal: &Journal) -> Result<(usize, &'d Step)> {
    let (done, current) = (&journal.record.done, journal.record.current.as_ref());
    let fits = done.iter().zip(&def.steps).all(|(name, step)| *name == step.name);
    let next = def.steps.get(done.len()).filter(|step| current.is_none_or(|c| *c == step.name));
    next.filter(|_| fits).map(|step| (done.len(), step)).ok_or_else(|| {
        let text = format!("the steps of saga {} are not those that it began with", journal.id);
        Error::new(ErrorKind::Invalid, text)
            .with_hint("register the definition that it was started with")
    })
}

/// Makes one attempt at the next step.
pub(super) fn step(coord: &Coord, def: &SagaDef, journal: Journal) -> Result<Journal> {
    let (index, step) = next_step(def, &journal)?;
    let begun = journal.on(Event::Begun, coord.now(), |record| {
        record.attempts = record.attempts.saturating_add(1);
        record.current = Some(step.name.clone());
    })?;
    write(coord, &journal, &begun)?;
    let begun = Arc::new(begun);
    let key = key_of(coord, &begun, "step", index, &step.name);
    let mut made = None;
    let worked = work(
        || coord.begin(&begun.record.branch),
        format!("saga {} {}: {}", def.name(), begun.id, step.name),
        |tx| {
            tx.enter_saga();
            (step.work)(&mut SagaStep {
                tx,
                saga: def.name(),
                id: &begun.id,
                step: &step.name,
                input: &begun.record.input,
                args: &[],
                attempt: begun.record.attempts,
                in_doubt: false,
                idempotency_key: &key,
            })?;
            let next = done(coord, def, &begun, tx.take_compensations())?;
            made = Some(next.clone());
            tx.attach(with_commit(coord, &begun, next));
            Ok(())
        },
    )?;
    let (why, counts) = match (worked, made) {
        (Worked::Done, Some(next)) => return Ok(next),
        (Worked::Done, None) => {
            return Err(Error::new(ErrorKind::Invalid, "a step ended without an end"));
        }
        (Worked::Refused(why), _) => (why, true),
        (Worked::NotNow(why), _) => (why, false),
    };
    let why = format!("{}: {why}", step.name);
    let next = if begun.state == State::Decided {
        let (now, retries) = (coord.now(), &coord.registry.saga_policy);
        let due = match counts {
            true => retries.due(now, begun.record.attempts),
            false => retries.not_now(now),
        };
        begun.on(Event::Failed, now, |record| {
            record.attempts -= u32::from(!counts);
            (record.error, record.until) = (why, due);
        })?
    } else {
        failed(coord, &begun, Some(step), why)?
    };
    write(coord, &begun, &next)?;
    Ok(next)
}

/// The journal after a step that is done.
fn done(
    coord: &Coord,
    def: &SagaDef,
    begun: &Journal,
    registered: Vec<(String, Vec<u8>)>,
) -> std::result::Result<Journal, ActionError> {
    let (index, step) = next_step(def, begun)?;
    let is_last = index + 1 == def.steps.len();
    let event = match begun.state {
        _ if is_last => Event::LastDone,
        State::Running if step.decides => Event::Decision,
        _ => Event::Done,
    };
    if let Some((name, _)) = registered.iter().find(|(name, _)| def.work_of(name).is_none()) {
        return Err(format!("no compensation {name} is registered").into());
    }
    let now = coord.now();
    let mut next = begun.on(event, now, |record| {
        record.done.extend(record.current.take());
        record.attempts = 0;
        record.error.clear();
    })?;
    let undo = &mut next.record.undo;
    if next.state == State::Running {
        undo.extend(step.undone_by.as_ref().map(|name| pending(&step.name, name, now)));
        undo.extend(
            registered
                .into_iter()
                .map(|(name, args)| UndoRecord { args, ..pending(&step.name, &name, now) }),
        );
    } else {
        // It goes forward from here, whatever happens.
        undo.clear();
    }
    Ok(next)
}

/// The journal after a step that was not done and before a decision; none if no step was begun.
pub(super) fn failed(
    coord: &Coord,
    journal: &Journal,
    step: Option<&Step>,
    why: String,
) -> Result<Journal> {
    let now = coord.now();
    let doubt = step.filter(|step| step.is_outside);
    let doubt = doubt.and_then(|step| Some(pending(&step.name, step.undone_by.as_ref()?, now)));
    let nothing_to_undo = journal.record.undo.is_empty() && doubt.is_none();
    let event = if nothing_to_undo { Event::AllUndone } else { Event::Failed };
    journal.on(event, now, |record| {
        record.error = why;
        record.undo.extend(doubt.map(|one| UndoRecord { in_doubt: true, ..one }));
    })
}
