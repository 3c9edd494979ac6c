//! Sagas, as users see them.

use std::fmt;

use super::journal;
use crate::clock::Timestamp;
use crate::coord::Coord;
use crate::engine::Rows;
use crate::error::Result;
use crate::format::Family;
use crate::format::coord::{OutcomeCode, PhaseCode, UndoCode};
use crate::format::keys::{self, saga};

/// How far a saga is. Which way it goes is its [`SagaOutcome`].
///
/// # Examples
/// ```
/// assert_eq!(withy::SagaPhase::Compensating.to_string(), "compensating");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SagaPhase {
    /// Its steps are run.
    Running,
    /// What its steps did is taken back.
    Compensating,
    /// Nothing is left to do.
    Finished,
}

/// Which way a saga goes or went, once that is decided.
///
/// # Examples
/// ```
/// use withy::SagaOutcome;
/// assert_eq!(SagaOutcome::CompensatedWithFailures.to_string(), "compensated with failures");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SagaOutcome {
    /// All steps are done, or will be.
    Committed,
    /// All that was done is taken back, or will be.
    Compensated,
    /// What was done is taken back, but for compensations that were given up.
    CompensatedWithFailures,
}

/// What became of a compensation.
///
/// # Examples
/// ```
/// assert_eq!(withy::CompensationState::GivenUp.to_string(), "given up");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompensationState {
    /// It is not run yet, or is to be tried again.
    Pending,
    /// It is done.
    Done,
    /// It has failed as often as the policy allows.
    GivenUp,
}

impl fmt::Display for SagaPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Finished => "finished",
        })
    }
}

impl fmt::Display for SagaOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Committed => "committed",
            Self::Compensated => "compensated",
            Self::CompensatedWithFailures => "compensated with failures",
        })
    }
}

impl fmt::Display for CompensationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::GivenUp => "given up",
        })
    }
}

impl SagaPhase {
    pub(super) const fn of(code: PhaseCode) -> Self {
        match code {
            PhaseCode::Running => Self::Running,
            PhaseCode::Compensating => Self::Compensating,
            PhaseCode::Finished => Self::Finished,
        }
    }

    pub(super) const fn code(self) -> PhaseCode {
        match self {
            Self::Running => PhaseCode::Running,
            Self::Compensating => PhaseCode::Compensating,
            Self::Finished => PhaseCode::Finished,
        }
    }
}

impl SagaOutcome {
    pub(super) const fn of(code: OutcomeCode) -> Self {
        match code {
            OutcomeCode::Committed => Self::Committed,
            OutcomeCode::Compensated => Self::Compensated,
            OutcomeCode::CompensatedWithFailures => Self::CompensatedWithFailures,
        }
    }

    pub(super) const fn code(self) -> OutcomeCode {
        match self {
            Self::Committed => OutcomeCode::Committed,
            Self::Compensated => OutcomeCode::Compensated,
            Self::CompensatedWithFailures => OutcomeCode::CompensatedWithFailures,
        }
    }
}

impl CompensationState {
    pub(super) const fn of(code: UndoCode) -> Self {
        match code {
            UndoCode::Pending => Self::Pending,
            UndoCode::Done => Self::Done,
            UndoCode::GivenUp => Self::GivenUp,
        }
    }
}

/// A saga: what it is, how far it is, and which way it goes.
///
/// # Examples
/// See [`SagaDef`](crate::SagaDef).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SagaInfo {
    /// The id that it was started with.
    pub id: String,
    /// The name of its definition.
    pub name: String,
    /// The branch that its steps write to.
    pub branch: String,
    /// The input that it was started with.
    pub input: Vec<u8>,
    /// How far it is.
    pub phase: SagaPhase,
    /// Which way it goes or went; none as long as that is not decided.
    pub outcome: Option<SagaOutcome>,
    /// The step that was begun last, unless it is done.
    pub step: Option<String>,
    /// Steps that are done, in order.
    pub done: Vec<String>,
    /// How often `step` was begun.
    pub attempts: u32,
    /// Why a step failed last, with its name in front.
    pub error: Option<String>,
    /// When it goes on by itself, if it waits after a failure.
    pub due: Option<Timestamp>,
    /// When it was started.
    pub created: Timestamp,
    /// When its journal was last written.
    pub changed: Timestamp,
    /// Its compensations, in the order in which they are run: newest first. None once it is decided that
    /// it goes forward.
    pub compensations: Vec<CompensationInfo>,
}

/// A compensation of a saga.
///
/// # Examples
/// See [`SagaInfo`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompensationInfo {
    /// Its name.
    pub name: String,
    /// The step that it takes back.
    pub step: String,
    /// What it was registered with.
    pub args: Vec<u8>,
    /// Whether it is not known if the step had its effect.
    pub in_doubt: bool,
    /// What became of it.
    pub state: CompensationState,
    /// How often it was begun.
    pub attempts: u32,
    /// Why it failed last.
    pub error: Option<String>,
    /// When it is tried again, if it has failed.
    pub due: Option<Timestamp>,
}

/// The sagas of a store: those that are unfinished, then those that are finished, each by id.
///
/// # Examples
/// See [`Store::sagas`](crate::Store::sagas).
pub struct Sagas<'s> {
    unfinished: Rows<'s>,
    finished: Rows<'s>,
    at: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    Unfinished,
    Finished,
}

impl<'s> Sagas<'s> {
    pub(crate) fn new(coord: &'s Coord) -> Self {
        let rows = |kind| coord.engine().iter_prefix(Family::State, &keys::saga_rows(kind));
        Self { unfinished: rows(saga::UNFINISHED), finished: rows(saga::FINISHED), at: Part::Start }
    }

    fn read(&mut self) -> Result<Option<SagaInfo>> {
        match self.at {
            Part::Start => {
                self.unfinished.seek_to_first();
                self.at = Part::Unfinished;
            }
            Part::Unfinished => self.unfinished.next(),
            Part::Finished => self.finished.next(),
        }
        if self.at == Part::Unfinished {
            if let Some((key, row)) = self.unfinished.current()? {
                return journal::read(key, row).map(Some);
            }
            self.finished.seek_to_first();
            self.at = Part::Finished;
        }
        self.finished.current()?.map(|(key, row)| journal::read(key, row)).transpose()
    }
}

impl Iterator for Sagas<'_> {
    type Item = Result<SagaInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
