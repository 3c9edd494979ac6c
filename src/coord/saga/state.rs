//! The protocol of a saga as one table.

use super::info::{SagaOutcome, SagaPhase};

/// Where a saga is: phase and outcome, as far as they go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its steps run, and nothing is decided.
    Running,
    /// The deciding step is done: it only goes forward.
    Decided,
    /// What was done is being taken back.
    Compensating,
    /// All steps are done.
    Committed,
    /// All is taken back.
    Compensated,
    /// Some compensations were given up.
    Failed,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A step is begun.
    Begun,
    /// A step is done that is neither the deciding nor the last one.
    Done,
    /// The deciding step is done.
    Decision,
    /// The last step is done.
    LastDone,
    /// A step has failed, or was cut off by the end of its process.
    Failed,
    /// A compensation was tried, and others are left.
    Tried,
    /// The last compensation is done, and none was given up.
    AllUndone,
    /// The last compensation is done or given up, and some were given up.
    GivenUp,
    /// Somebody wants it to be tried again.
    PutBack,
}

impl State {
    #[cfg(test)]
    const ALL: [Self; 6] = [
        Self::Running,
        Self::Decided,
        Self::Compensating,
        Self::Committed,
        Self::Compensated,
        Self::Failed,
    ];

    /// The state after an event; none if it cannot happen in this one.
    pub(super) const fn on(self, event: Event) -> Option<Self> {
        use Event as E;
        use State as S;
        match (self, event) {
            (S::Running, E::Begun | E::Done) => Some(S::Running),
            (S::Running, E::Decision) => Some(S::Decided),
            (S::Running | S::Decided, E::LastDone) => Some(S::Committed),
            (S::Running, E::Failed) => Some(S::Compensating),
            // Nothing takes a decision back.
            (S::Decided, E::Begun | E::Done | E::Failed | E::PutBack) => Some(S::Decided),
            (S::Compensating, E::Tried | E::PutBack) => Some(S::Compensating),
            (S::Running | S::Compensating, E::AllUndone) => Some(S::Compensated),
            (S::Compensating, E::GivenUp) => Some(S::Failed),
            (S::Failed, E::PutBack) => Some(S::Compensating),
            (S::Running, E::Tried | E::GivenUp | E::PutBack)
            | (S::Decided, E::Decision | E::Tried | E::AllUndone | E::GivenUp)
            | (S::Compensating, E::Begun | E::Done | E::Decision | E::LastDone | E::Failed)
            | (
                S::Failed,
                E::Begun
                | E::Done
                | E::Decision
                | E::LastDone
                | E::Failed
                | E::Tried
                | E::AllUndone
                | E::GivenUp,
            )
            | (
                S::Committed | S::Compensated,
                E::Begun
                | E::Done
                | E::Decision
                | E::LastDone
                | E::Failed
                | E::Tried
                | E::AllUndone
                | E::GivenUp
                | E::PutBack,
            ) => None,
        }
    }

    pub(super) const fn parts(self) -> (SagaPhase, Option<SagaOutcome>) {
        use {SagaOutcome as O, SagaPhase as P};
        match self {
            Self::Running => (P::Running, None),
            Self::Decided => (P::Running, Some(O::Committed)),
            Self::Compensating => (P::Compensating, Some(O::Compensated)),
            Self::Committed => (P::Finished, Some(O::Committed)),
            Self::Compensated => (P::Finished, Some(O::Compensated)),
            Self::Failed => (P::Finished, Some(O::CompensatedWithFailures)),
        }
    }

    /// The state of a phase and an outcome; none if they do not go together.
    pub(super) const fn of(phase: SagaPhase, outcome: Option<SagaOutcome>) -> Option<Self> {
        use {SagaOutcome as O, SagaPhase as P};
        match (phase, outcome) {
            (P::Running, None) => Some(Self::Running),
            (P::Running, Some(O::Committed)) => Some(Self::Decided),
            (P::Compensating, Some(O::Compensated)) => Some(Self::Compensating),
            (P::Finished, Some(O::Committed)) => Some(Self::Committed),
            (P::Finished, Some(O::Compensated)) => Some(Self::Compensated),
            (P::Finished, Some(O::CompensatedWithFailures)) => Some(Self::Failed),
            (P::Running, Some(O::Compensated | O::CompensatedWithFailures))
            | (P::Compensating, None | Some(O::Committed | O::CompensatedWithFailures))
            | (P::Finished, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 9] = [
        Event::Begun,
        Event::Done,
        Event::Decision,
        Event::LastDone,
        Event::Failed,
        Event::Tried,
        Event::AllUndone,
        Event::GivenUp,
        Event::PutBack,
    ];

    #[test]
    fn saga_1_phase_and_outcome_say_the_state_and_nothing_else_does() {
        for state in State::ALL {
            let (phase, outcome) = state.parts();
            assert_eq!(State::of(phase, outcome), Some(state), "{state:?} is stored and read");
        }
    }

    #[test]
    fn saga_1_a_decision_is_never_taken_back_and_an_end_is_an_end() {
        for event in EVENTS {
            let after = State::Decided.on(event);
            let forward = [None, Some(State::Decided), Some(State::Committed)];
            assert!(forward.contains(&after), "decided, then {event:?}: {after:?}");
            for end in [State::Committed, State::Compensated] {
                assert_eq!(end.on(event), None, "{end:?} is not left by {event:?}");
            }
            let after = State::Compensating.on(event);
            assert!(
                !matches!(after, Some(State::Running | State::Decided | State::Committed)),
                "what is taken back is never gone on with, not by {event:?}"
            );
        }
    }
}
