//! The row that says how far a saga is, and what it becomes with each event.

use std::sync::Arc;

use super::info::{CompensationInfo, CompensationState, SagaInfo, SagaOutcome, SagaPhase};
use super::state::{Event, State};
use crate::clock::Timestamp;
use crate::coord::Coord;
use crate::coord::key::idempotency_key;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::{SagaRecord, UndoCode, UndoRecord};
use crate::format::keys::{self, saga};
use crate::format::{Corrupt, Family, record};
use crate::id::Seq;
use crate::publish::StateRows;

/// A saga as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) record: SagaRecord,
}

/// The key of a saga's row: unfinished ones stand apart, so that only these are read at open.
fn key(id: &str, state: State) -> Vec<u8> {
    let kind = match state.parts().0 {
        SagaPhase::Running | SagaPhase::Compensating => saga::UNFINISHED,
        SagaPhase::Finished => saga::FINISHED,
    };
    keys::saga(kind, id)
}

impl Journal {
    pub(super) fn parse(id: &str, row: &[u8]) -> Result<Self> {
        let record: SagaRecord = record::decode("saga", row)?;
        let phase = SagaPhase::of(record.phase);
        let state = State::of(phase, record.outcome.map(SagaOutcome::of));
        let state = state.ok_or(Corrupt { record: "saga", at: 0, want: "phase and outcome" })?;
        Ok(Self { id: id.to_owned(), state, record })
    }

    /// The saga of this id, finished or not.
    pub(super) fn find(engine: &Engine, id: &str) -> Result<Option<Self>> {
        for kind in [saga::UNFINISHED, saga::FINISHED] {
            if let Some(row) = engine.get(Family::State, &keys::saga(kind, id))? {
                return Self::parse(id, &row).map(Some);
            }
        }
        Ok(None)
    }

    /// Ids of the sagas that are not finished, in order.
    pub(super) fn unfinished(engine: &Engine) -> Result<Vec<String>> {
        let prefix = keys::saga_rows(saga::UNFINISHED);
        let mut rows = engine.iter_prefix(Family::State, &prefix);
        rows.seek_to_first();
        let mut out = Vec::new();
        while let Some((key, _)) = rows.current()? {
            out.push(keys::saga_id(key)?.to_owned());
            rows.next();
        }
        Ok(out)
    }

    /// The sagas that are finished, by id.
    pub(super) fn finished(engine: &Engine) -> Result<impl Iterator<Item = Result<Self>> + '_> {
        let mut rows = engine.iter_prefix(Family::State, &keys::saga_rows(saga::FINISHED));
        rows.seek_to_first();
        Ok(std::iter::from_fn(move || {
            let next = || match rows.current()? {
                Some((key, row)) => Self::parse(keys::saga_id(key)?, row).map(Some),
                None => Ok(None),
            };
            let found = next().transpose();
            if found.is_some() {
                rows.next();
            }
            found
        }))
    }

    /// The saga after an event; what else changes is up to `change`.
    pub(super) fn on(
        &self,
        event: Event,
        now: i64,
        change: impl FnOnce(&mut SagaRecord),
    ) -> Result<Self> {
        let state = self.state.on(event).ok_or_else(|| {
            let text = format!("saga {} is {:?}, so {event:?} cannot be", self.id, self.state);
            Error::new(ErrorKind::Precondition, text)
        })?;
        let mut record = self.record.clone();
        let (phase, outcome) = state.parts();
        (record.phase, record.outcome) = (phase.code(), outcome.map(SagaOutcome::code));
        (record.since, record.until) = (now, now);
        change(&mut record);
        Ok(Self { id: self.id.clone(), state, record })
    }

    /// The rows that make this of what it was before; `None` for one that is new.
    ///
    /// Called under the commit lock: if something else is stored than was read, nothing is written.
    pub(super) fn rows(&self, engine: &Engine, before: Option<&Self>) -> Result<StateRows> {
        let stored = Self::find(engine, &self.id)?;
        if stored.as_ref().map(|one| &one.record) != before.map(|one| &one.record) {
            let text = format!("the journal of saga {} was changed meanwhile", self.id);
            return Err(Error::new(ErrorKind::Precondition, text));
        }
        let new = key(&self.id, self.state);
        let mut out = vec![];
        if let Some(old) = before.map(|one| key(&self.id, one.state)).filter(|old| *old != new) {
            out.push((Family::State, old, None));
        }
        out.push((Family::State, new, Some(record::encode(&self.record))));
        Ok(out)
    }

    /// The rows that remove it.
    pub(super) fn removal(&self) -> StateRows {
        vec![(Family::State, key(&self.id, self.state), None)]
    }

    pub(super) fn info(&self) -> SagaInfo {
        let record = &self.record;
        let (phase, outcome) = self.state.parts();
        let compensations: Vec<_> = record.undo.iter().rev().map(compensation).collect();
        let due = match phase {
            SagaPhase::Running => waits(record.since, record.until),
            SagaPhase::Compensating => compensations.iter().filter_map(|one| one.due).min(),
            SagaPhase::Finished => None,
        };
        SagaInfo {
            id: self.id.clone(),
            name: record.name.clone(),
            branch: record.branch.clone(),
            input: record.input.clone(),
            phase,
            outcome,
            step: record.current.clone(),
            done: record.done.clone(),
            attempts: record.attempts,
            error: said(&record.error),
            due,
            created: Timestamp::from_millis(record.created),
            changed: Timestamp::from_millis(record.since),
            compensations,
        }
    }
}

/// A saga as users see it, from its row.
pub(super) fn read(key: &[u8], row: &[u8]) -> Result<SagaInfo> {
    Ok(Journal::parse(keys::saga_id(key)?, row)?.info())
}

fn compensation(row: &UndoRecord) -> CompensationInfo {
    CompensationInfo {
        name: row.name.clone(),
        step: row.step.clone(),
        args: row.args.clone(),
        in_doubt: row.in_doubt,
        state: CompensationState::of(row.state),
        attempts: row.attempts,
        error: said(&row.error),
        due: waits(row.since, row.until).filter(|_| row.state == UndoCode::Pending),
    }
}

fn said(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn waits(since: i64, until: i64) -> Option<Timestamp> {
    (until > since).then(|| Timestamp::from_millis(until))
}

/// Writes the journal by itself.
pub(super) fn write(coord: &Coord, before: &Journal, after: &Journal) -> Result<()> {
    coord.publisher()?.update_state(|| Ok((after.rows(coord.engine(), Some(before))?, ())))
}

/// Makes the journal part of a commit: a step's effects and the note of them are one write.
pub(super) fn with_commit<'s>(
    coord: &'s Coord,
    before: &Arc<Journal>,
    next: Journal,
) -> impl FnOnce(&[Seq]) -> Result<StateRows> + 's {
    let before = Arc::clone(before);
    move |_| next.rows(coord.engine(), Some(&before))
}

/// The key that each try of a step or compensation carries.
pub(super) fn key_of(
    coord: &Coord,
    journal: &Journal,
    kind: &str,
    index: usize,
    name: &str,
) -> String {
    let parts: [&[u8]; 5] = [
        journal.id.as_bytes(),
        &journal.record.created.to_be_bytes(),
        kind.as_bytes(),
        &(index as u64).to_be_bytes(),
        name.as_bytes(),
    ];
    idempotency_key(&coord.store_id, "saga", &parts)
}
