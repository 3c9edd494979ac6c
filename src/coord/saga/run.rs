//! Starting sagas, driving them as far as they go, and what is done with them by hand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::back::{CUT_OFF, compensate};
use super::def::SagaDef;
use super::forward::{failed, next_step, step};
use super::info::SagaInfo;
use super::journal::{Journal, write};
use super::state::{Event, State};
use crate::coord::Coord;
use crate::coord::policy;
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::{PhaseCode, SagaRecord, UndoCode, UndoRecord};
use crate::kv::check_payload;
use crate::name::check_label;
use crate::publish::StateRows;

/// Keeps others from driving the same saga at the same time.
struct Live {
    all: Arc<Mutex<BTreeSet<String>>>,
    id: String,
}

impl Live {
    fn enter(coord: &Coord, id: &str) -> Result<Self> {
        let all = Arc::clone(&coord.registry.live);
        if !locked(&all).insert(id.to_owned()) {
            let text = format!("saga {id} is being driven at this moment");
            return Err(Error::new(ErrorKind::Busy, text).with_hint("wait until it stands still"));
        }
        Ok(Self { all, id: id.to_owned() })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        locked(&self.all).remove(&self.id);
    }
}

fn locked(all: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a saga and drives it as far as it goes.
pub(crate) fn start(coord: &Coord, name: &str, id: &str, input: Vec<u8>) -> Result<SagaInfo> {
    check_label("id of a saga", id)?;
    check_payload("input of a saga", &input)?;
    let def = coord.registry.sagas.get(name).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no saga {name} is registered"))
            .with_hint("register it with `OpenOptions::saga` when the store is opened")
    })?;
    let _live = Live::enter(coord, id)?;
    let now = coord.now();
    let record = SagaRecord {
        name: name.to_owned(),
        input,
        branch: def.branch.clone(),
        created: now,
        phase: PhaseCode::Running,
        outcome: None,
        done: Vec::new(),
        current: None,
        attempts: 0,
        since: now,
        until: now,
        error: String::new(),
        undo: Vec::new(),
    };
    let journal = Journal { id: id.to_owned(), state: State::Running, record };
    coord.publisher()?.update_state(|| {
        if Journal::find(coord.engine(), id)?.is_some() {
            let text = format!("there is a saga {id} already");
            return Err(Error::new(ErrorKind::Exists, text)
                .with_hint("it was started before; `Store::saga` says how far it is"));
        }
        Ok((journal.rows(coord.engine(), None)?, ()))
    })?;
    drive(coord, def, journal)
}

/// What became of sagas that were unfinished.
#[derive(Default)]
pub(in crate::coord) struct Driven {
    pub(in crate::coord) driven: Vec<SagaInfo>,
    /// Those whose definition is not registered.
    pub(in crate::coord) unknown: Vec<String>,
    /// Those that do not fit the definition that is registered, and why.
    pub(in crate::coord) stuck: Vec<(String, String)>,
}

/// Drives every unfinished saga that is due, until told to stop; those that nobody was driving are cut
/// off.
pub(in crate::coord) fn drive_all(coord: &Coord, is_over: &dyn Fn() -> bool) -> Result<Driven> {
    let mut out = Driven::default();
    for id in Journal::unfinished(coord.engine())? {
        if is_over() {
            break;
        }
        // Another thread is at it, and will see to it.
        let Ok(_live) = Live::enter(coord, &id) else { continue };
        let Some(journal) = Journal::find(coord.engine(), &id)? else { continue };
        let Some(def) = coord.registry.sagas.get(&journal.record.name) else {
            out.unknown.push(id);
            continue;
        };
        if !is_due(coord, &journal) {
            continue;
        }
        match cut_off(coord, def, journal).and_then(|journal| drive(coord, def, journal)) {
            Ok(info) => out.driven.push(info),
            Err(e) if e.kind() == ErrorKind::Invalid => out.stuck.push((id, e.to_string())),
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

/// Whether there is something to do for a saga now.
fn is_due(coord: &Coord, journal: &Journal) -> bool {
    let (now, record) = (coord.now(), &journal.record);
    match journal.state {
        State::Running => true,
        State::Decided => policy::is_over(now, record.since, record.until),
        State::Compensating => record.undo.iter().any(|one| is_pending(one, now)),
        State::Committed | State::Compensated | State::Failed => false,
    }
}

pub(super) fn is_pending(one: &UndoRecord, now: i64) -> bool {
    one.state == UndoCode::Pending && policy::is_over(now, one.since, one.until)
}

/// Makes what has failed due now, and drives it if its definition is registered.
pub(crate) fn retry(coord: &Coord, id: &str) -> Result<SagaInfo> {
    let _live = Live::enter(coord, id)?;
    let mut journal = Journal::find(coord.engine(), id)?.ok_or_else(|| unknown(id))?;
    let def = coord.registry.sagas.get(&journal.record.name);
    match journal.state {
        State::Running => {}
        State::Decided | State::Compensating | State::Failed => {
            let now = coord.now();
            let next = journal.on(Event::PutBack, now, |record| {
                for one in record.undo.iter_mut().filter(|one| one.state != UndoCode::Done) {
                    (one.state, one.attempts) = (UndoCode::Pending, 0);
                    (one.since, one.until) = (now, now);
                }
            })?;
            write(coord, &journal, &next)?;
            journal = next;
        }
        State::Committed | State::Compensated => {
            let text = format!("saga {id} is finished, nothing of it has failed");
            return Err(Error::new(ErrorKind::Precondition, text)
                .with_hint("`withy saga show` says what became of it"));
        }
    }
    match def {
        Some(def) => drive(coord, def, cut_off(coord, def, journal)?),
        None => Ok(journal.info()),
    }
}

/// Removes the journals of sagas that ended well before a time.
pub(crate) fn prune(coord: &Coord, before: i64) -> Result<u64> {
    coord.publisher()?.update_state(|| {
        let old = Journal::finished(coord.engine())?.filter(|one| {
            let ended = |one: &Journal| one.record.since < before && one.state != State::Failed;
            one.as_ref().map_or(true, ended)
        });
        let mut rows = StateRows::new();
        for one in old {
            rows.extend(one?.removal());
        }
        let count = rows.len() as u64;
        Ok((rows, count))
    })
}

/// Removes the journal of a finished saga.
pub(crate) fn forget(coord: &Coord, id: &str) -> Result<SagaInfo> {
    let _live = Live::enter(coord, id)?;
    coord.publisher()?.update_state(|| {
        let journal = Journal::find(coord.engine(), id)?.ok_or_else(|| unknown(id))?;
        match journal.state {
            State::Committed | State::Compensated | State::Failed => {
                Ok((journal.removal(), journal.info()))
            }
            State::Running | State::Decided | State::Compensating => {
                let text = format!("saga {id} is not finished");
                Err(Error::new(ErrorKind::Precondition, text)
                    .with_hint("`withy saga show` says what it waits for"))
            }
        }
    })
}

/// What is known of a saga.
pub(crate) fn find(coord: &Coord, id: &str) -> Result<SagaInfo> {
    Journal::find(coord.engine(), id)?.map(|one| one.info()).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no saga {id}"))
        .with_hint("`withy saga` lists the sagas")
}

/// Drives a saga as far as it goes by itself now.
fn drive(coord: &Coord, def: &SagaDef, mut journal: Journal) -> Result<SagaInfo> {
    loop {
        match journal.state {
            State::Running | State::Decided => {
                let done = journal.record.done.len();
                journal = step(coord, def, journal)?;
                let is_stuck = journal.state == State::Decided && journal.record.done.len() == done;
                if is_stuck {
                    return Ok(journal.info());
                }
            }
            State::Compensating => return Ok(compensate(coord, def, journal)?.info()),
            State::Committed | State::Compensated | State::Failed => return Ok(journal.info()),
        }
    }
}

/// Takes note that nobody is driving a saga any more that is not decided: it is compensated.
fn cut_off(coord: &Coord, def: &SagaDef, journal: Journal) -> Result<Journal> {
    if journal.state != State::Running {
        return Ok(journal);
    }
    let (_, step) = next_step(def, &journal)?;
    let begun = journal.record.current.is_some();
    let why = if begun { format!("{}: {CUT_OFF}", step.name) } else { CUT_OFF.to_owned() };
    let next = failed(coord, &journal, Some(step).filter(|_| begun), why)?;
    write(coord, &journal, &next)?;
    Ok(next)
}
