//! What was left unfinished: who holds what, and how it ends.

use super::journal::Journal;
use super::participant::{Participant, Standing};
use super::phase::Event;
use super::run::{
    Decision, Protocol, Unfinished, check_names, decision_of, is_awaited, tell, unfinished,
};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::prepared::{AckCode, PhaseCode, TransactionRecord};

/// What a recovery has done.
///
/// # Examples
/// See [`Coordinator`](crate::Coordinator).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Transactions that are now committed at all their participants.
    pub committed: Vec<String>,
    /// Transactions that are now aborted at all their participants.
    pub aborted: Vec<String>,
    /// Transactions that a participant held though nothing was decided about them any more: aborted there.
    pub orphans: Vec<(String, String)>,
    /// Participants that could not be finished, for each transaction that waits for them.
    pub unfinished: Vec<Unfinished>,
}

/// A transaction that is not finished.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Coordinator, Store};
/// let store = Store::open(dir.path())?;
/// assert_eq!(Coordinator::open(&store).pending()?, []);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingTransaction {
    /// Its name.
    pub gid: String,
    /// How far it has come.
    pub phase: PendingPhase,
    /// Its participants, and whether each has been seen to have done what was decided.
    pub participants: Vec<(String, bool)>,
    /// When it was begun.
    pub begun: Timestamp,
    /// Why it is aborted; empty otherwise.
    pub reason: String,
}

/// How far a transaction that is not finished has come.
///
/// # Examples
/// See [`PendingTransaction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PendingPhase {
    /// Participants are asked; a recovery aborts it, unless somebody is at work on it.
    Preparing,
    /// Decided: all commit.
    Committing,
    /// Decided: all abort.
    Aborting,
}

impl PendingTransaction {
    fn stored(gid: String, record: TransactionRecord) -> Self {
        let phase = match record.phase {
            PhaseCode::Preparing => PendingPhase::Preparing,
            PhaseCode::Committing => PendingPhase::Committing,
            PhaseCode::Aborting => PendingPhase::Aborting,
        };
        let TransactionRecord { participants, begun, reason, .. } = record;
        let seen = |(name, ack)| (name, ack == AckCode::Acknowledged);
        let participants = participants.into_iter().map(seen).collect();
        Self { gid, phase, participants, begun: Timestamp::from_millis(begun), reason }
    }
}

impl<J: Journal> Protocol<J> {
    pub(super) fn pending(&self) -> Result<Vec<PendingTransaction>> {
        self.list(is_awaited)
    }

    pub(super) fn written_off(&self) -> Result<Vec<PendingTransaction>> {
        self.list(|record| !is_awaited(record))
    }

    fn list(&self, is_listed: fn(&TransactionRecord) -> bool) -> Result<Vec<PendingTransaction>> {
        let all = self.journal.all()?.into_iter().filter(|(_, record)| is_listed(record));
        Ok(all.map(|(gid, record)| PendingTransaction::stored(gid, record)).collect())
    }

    pub(super) fn recover(&self, participants: &[&dyn Participant]) -> Result<Recovery> {
        check_names(participants)?;
        let mut out = Recovery::default();
        // Asked before the log is read: what they hold was written down before they were asked to prepare,
        // so what the log does not have by then is over.
        let (mut present, mut held): (Vec<&dyn Participant>, Vec<_>) = Default::default();
        let mut away = Vec::new();
        for participant in participants {
            match participant.holds() {
                Ok(holds) => {
                    present.push(*participant);
                    held.extend(holds.into_iter().map(|(gid, at)| (*participant, gid, at)));
                }
                Err(e) => away.push((participant.name(), e.to_string())),
            }
        }
        for (gid, _) in self.journal.all()? {
            if self.is_live(&gid) {
                continue;
            }
            let decided = self.decide(&gid, Event::Refused, "nobody was at work on it any more")?;
            let Some(record) = decided else { continue };
            let (mut left, is_finished) = self.carry_out(&gid, &record, &present);
            for one in &mut left {
                if let Some((_, why)) = away.iter().find(|(name, _)| *name == one.participant) {
                    one.reason.clone_from(why);
                }
            }
            if is_finished {
                match decision_of(&record) {
                    Decision::Commit => out.committed.push(gid),
                    Decision::Abort => out.aborted.push(gid),
                }
            }
            out.unfinished.append(&mut left);
        }
        for (participant, gid, standing) in held {
            if self.journal.gave(&gid) && !self.is_live(&gid) && self.journal.find(&gid)?.is_none()
            {
                self.end_orphan(participant, gid, standing, &mut out);
            }
        }
        Ok(out)
    }

    /// Ends what a participant has of a transaction that the log does not know. What was committed is in
    /// the log until all have done it, so whoever still holds it has to abort.
    fn end_orphan(
        &self,
        participant: &dyn Participant,
        gid: String,
        standing: Standing,
        out: &mut Recovery,
    ) {
        let name = participant.name();
        if standing == Standing::Prepared {
            // It may have been finished and forgotten since the participant was asked.
            match participant.standing(&gid) {
                Ok(Some(Standing::Prepared)) => {
                    if let Err(reason) = tell(participant, &gid, Decision::Abort) {
                        out.unfinished.push(unfinished(&gid, name, reason));
                        return;
                    }
                    out.orphans.push((gid.clone(), name.to_owned()));
                }
                Ok(_) => {}
                Err(e) => {
                    out.unfinished.push(unfinished(&gid, name, e.to_string()));
                    return;
                }
            }
        }
        let _ = participant.forget(&gid);
    }
}
