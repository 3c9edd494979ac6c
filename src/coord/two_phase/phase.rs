//! The states of a transaction over several participants, and what moves it from one to the next.

use crate::format::prepared::PhaseCode;

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Participants are asked. Whoever comes to it later and finds nobody at work on it aborts it.
    Preparing,
    /// It is decided that all commit.
    Committing,
    /// It is decided that all abort.
    Aborting,
    /// All have done what was decided; nothing of it is in the log any more.
    Finished,
}

/// What happens to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Every participant has promised that it can commit.
    AllPrepared,
    /// One has not, or nobody is left who asks them.
    Refused,
    /// Every participant has been seen to have done what was decided.
    AllAcknowledged,
}

impl Phase {
    /// The state after an event; `None` where it must not happen. What is decided stays decided.
    pub(super) fn on(self, event: Event) -> Option<Self> {
        use {Event as E, Phase as P};
        match (self, event) {
            (P::Preparing, E::AllPrepared) => Some(P::Committing),
            (P::Preparing, E::Refused) => Some(P::Aborting),
            (P::Committing | P::Aborting, E::AllAcknowledged) => Some(P::Finished),
            // Repeats are harmless.
            (P::Committing, E::AllPrepared) => Some(P::Committing),
            (P::Aborting, E::Refused) => Some(P::Aborting),
            (P::Finished, E::AllAcknowledged) => Some(P::Finished),
            (P::Preparing, E::AllAcknowledged)
            | (P::Committing, E::Refused)
            | (P::Aborting, E::AllPrepared)
            | (P::Finished, E::AllPrepared | E::Refused) => None,
        }
    }

    /// As it is stored; `None` if nothing of it is.
    pub(super) fn code(self) -> Option<PhaseCode> {
        match self {
            Self::Preparing => Some(PhaseCode::Preparing),
            Self::Committing => Some(PhaseCode::Committing),
            Self::Aborting => Some(PhaseCode::Aborting),
            Self::Finished => None,
        }
    }
}

impl From<PhaseCode> for Phase {
    fn from(code: PhaseCode) -> Self {
        match code {
            PhaseCode::Preparing => Self::Preparing,
            PhaseCode::Committing => Self::Committing,
            PhaseCode::Aborting => Self::Aborting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 4] =
        [Phase::Preparing, Phase::Committing, Phase::Aborting, Phase::Finished];
    const EVENTS: [Event; 3] = [Event::AllPrepared, Event::Refused, Event::AllAcknowledged];

    #[test]
    fn tpc_2_a_decision_is_never_turned() {
        for first in EVENTS {
            for second in EVENTS {
                for third in EVENTS {
                    let mut seen = vec![Phase::Preparing];
                    for event in [first, second, third] {
                        let now = *seen.last().expect("it has a first one");
                        seen.extend(now.on(event));
                    }
                    let commits = seen.contains(&Phase::Committing);
                    let aborts = seen.contains(&Phase::Aborting);
                    assert!(!(commits && aborts), "{first:?} {second:?} {third:?}: {seen:?}");
                    let finished = seen.contains(&Phase::Finished);
                    assert!(!finished || commits || aborts, "nothing ends without a decision");
                }
            }
        }
    }

    #[test]
    fn tpc_2_an_event_that_repeats_changes_nothing() {
        for phase in PHASES {
            for event in EVENTS {
                if let Some(next) = phase.on(event) {
                    assert_eq!(next.on(event), Some(next), "{phase:?} {event:?} twice");
                }
            }
        }
    }

    #[test]
    fn phases_are_stored_and_read_back() {
        for phase in PHASES {
            let back = phase.code().map(Phase::from);
            assert_eq!(back.unwrap_or(Phase::Finished), phase, "only the end is not stored");
        }
    }
}
