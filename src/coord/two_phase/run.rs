//! A transaction from its beginning to its end, if nothing comes in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::{Journal, StoreJournal};
use super::participant::{Participant, Standing, Vote};
use super::phase::{Event, Phase};
use super::recover::{PendingTransaction, Recovery};
use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{AckCode, PhaseCode, TransactionRecord};
use crate::publish::Publisher;

/// Commits over several stores, and other [`Participant`]s, all or none.
///
/// Its log is in a store, which may be one of the participants'. The decision is on disk before the first
/// participant is told to commit. After a crash, of any of them and at any point,
/// [`recover`](Self::recover) has all participants end the same way; one that is away stays listed in
/// [`pending`](Self::pending) and is finished when it is there again.
///
/// Cloning it is cheap, and clones may be used from many threads. Each participant in a run is another
/// store or service: what one store does in a run is one transaction, over several branches if need be.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{Coordinator, Read, Store, StoreParticipant};
/// let bank = Store::open(dir.path().join("bank"))?;
/// let shop = Store::open(dir.path().join("shop"))?;
/// let coordinator = Coordinator::open(&bank);
/// // What an earlier process left behind is finished first.
/// coordinator.recover(&[&StoreParticipant::new("bank", &bank), &StoreParticipant::new("shop", &shop)])?;
///
/// let pay = StoreParticipant::new("bank", &bank).work("main", |tx| tx.put("ann", "90"));
/// let ship = StoreParticipant::new("shop", &shop).work("main", |tx| tx.put("order/1", "paid"));
/// let done = coordinator.run(&[&pay, &ship])?;
/// assert!(done.is_committed());
/// assert!(shop.main()?.contains(b"order/1")? && coordinator.pending()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Coordinator {
    protocol: Arc<Protocol<StoreJournal>>,
}

/// What was decided for all participants of a transaction.
///
/// # Examples
/// See [`Coordinator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// All commit.
    Commit,
    /// All abort.
    Abort,
}

/// What came of a transaction over several participants.
///
/// # Examples
/// See [`Coordinator`].
#[derive(Debug)]
#[must_use = "a transaction may have been aborted"]
#[non_exhaustive]
pub struct Coordinated {
    /// Its name: the participants know it by that.
    pub gid: String,
    /// What was decided; that is on disk and final.
    pub decision: Decision,
    /// Why it was aborted: the participant that did not promise to commit, and what it said.
    pub refused: Option<(String, Error)>,
    /// Participants that have not been seen to have done what was decided: they are asked again by
    /// [`Coordinator::recover`], and listed by [`Coordinator::pending`] until then.
    pub unfinished: Vec<Unfinished>,
}

impl Coordinated {
    /// Whether all participants commit, now or when they are there again.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.decision == Decision::Commit
    }
}

/// A participant that has not been seen to have done what was decided.
///
/// # Examples
/// See [`Coordinator`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The transaction.
    pub gid: String,
    /// The participant's name.
    pub participant: String,
    /// What keeps it from being finished.
    pub reason: String,
}

impl Coordinator {
    pub(crate) fn new(
        engine: Arc<Engine>,
        publisher: Option<Arc<Publisher>>,
        clock: Arc<dyn Clock>,
        store: &str,
    ) -> Self {
        let journal = StoreJournal::new(engine, publisher, store);
        Self { protocol: Arc::new(Protocol::new(journal, clock)) }
    }

    /// Has all participants prepare, and then, if all have promised to, commit; else abort. They are
    /// asked in the order given, and no further once one has refused.
    ///
    /// Cost: besides what the participants do, three writes to the log, each synced.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if there are no participants or two of one name,
    /// [`ReadOnly`](ErrorKind::ReadOnly) if the coordinator's store is: nobody was asked. Any other error
    /// means that the log cannot be written: what becomes of the transaction is then not decided, or not
    /// known, and [`recover`](Self::recover) ends it once the store is open again.
    /// A refusal is no error; see [`Coordinated`].
    pub fn run(&self, participants: &[&dyn Participant]) -> Result<Coordinated> {
        self.protocol.run(participants)
    }

    /// Ends everything that was left unfinished: what was decided is done, what was not is aborted, and
    /// that at all participants alike. Those that are away stay listed.
    ///
    /// To be called after a start, with all participants there are, before or while new transactions are
    /// run; and again whenever one comes back.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if two participants have one name; what keeps the log from being
    /// read or written. What a participant cannot do is no error: it is in the [`Recovery`].
    ///
    /// # Examples
    /// See [`Coordinator`].
    pub fn recover(&self, participants: &[&dyn Participant]) -> Result<Recovery> {
        self.protocol.recover(participants)
    }

    /// The transactions that are not finished, oldest first; those that are just being run too.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn pending(&self) -> Result<Vec<PendingTransaction>> {
        self.protocol.pending()
    }

    /// No longer waits for a participant: for one that will never be there again, or that somebody has put
    /// right by hand. Says what was decided.
    ///
    /// If that was to commit, it stays in the log, listed by [`written_off`](Self::written_off): should the
    /// participant come back and still hold the transaction, the next recovery that has it commits it
    /// there. If it comes back and holds nothing, nothing more is asked of it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no such transaction is pending, or it has no participant of
    /// that name; [`Busy`](ErrorKind::Busy) while nothing is decided. Nothing is changed then.
    pub fn write_off(&self, gid: &str, participant: &str) -> Result<Decision> {
        self.protocol.write_off(gid, participant)
    }

    /// The committed transactions that wait for nobody, and are kept for participants that were written
    /// off, oldest first. They stay until a recovery has met those, or until [`forget`](Self::forget).
    ///
    /// # Errors
    /// As for [`pending`](Self::pending).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{Coordinator, Store};
    /// let store = Store::open(dir.path())?;
    /// assert_eq!(Coordinator::open(&store).written_off()?, []);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn written_off(&self) -> Result<Vec<PendingTransaction>> {
        self.protocol.written_off()
    }

    /// Forgets a transaction that is kept for participants that were written off. One that comes back
    /// after that and still holds it is told to abort, as with all that the log does not know: only for
    /// participants that cannot come back.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the log does not have it; [`Busy`](ErrorKind::Busy) while it
    /// waits for a participant. Nothing is changed then.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{Coordinator, ErrorKind, Store};
    /// let store = Store::open(dir.path())?;
    /// let refused = Coordinator::open(&store).forget("1").map_err(|e| e.kind());
    /// assert_eq!(refused, Err(ErrorKind::NotFound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(&self, gid: &str) -> Result<()> {
        self.protocol.forget(gid)
    }
}

/// The protocol, over whatever keeps its log.
pub(super) struct Protocol<J> {
    pub(super) journal: J,
    clock: Arc<dyn Clock>,
    /// Transactions that somebody in this process is at work on.
    live: Mutex<BTreeSet<String>>,
}

/// A transaction that is being worked on, and no longer is when this is dropped, whatever happens.
struct Live<'p, J: Journal>(&'p Protocol<J>, String);

impl<J: Journal> Drop for Live<'_, J> {
    fn drop(&mut self) {
        self.0.live().remove(&self.1);
    }
}

impl<J: Journal> Protocol<J> {
    pub(super) fn new(journal: J, clock: Arc<dyn Clock>) -> Self {
        Self { journal, clock, live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_live(&self, gid: &str) -> bool {
        self.live().contains(gid)
    }

    pub(super) fn run(&self, participants: &[&dyn Participant]) -> Result<Coordinated> {
        if participants.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a transaction needs a participant"));
        }
        check_names(participants)?;
        let record = TransactionRecord {
            phase: PhaseCode::Preparing,
            participants: participants
                .iter()
                .map(|p| (p.name().to_owned(), AckCode::Awaited))
                .collect(),
            begun: self.clock.now().as_millis(),
            reason: String::new(),
        };
        let mut live = None;
        let gid = self.journal.begin(record, &mut |gid| {
            // Before anybody else can see it: a recovery would take it for one that was left behind.
            self.live().insert(gid.to_owned());
            live = Some(Live(self, gid.to_owned()));
        })?;
        let refused = ask(participants, &gid);
        let (event, reason) = match &refused {
            None => (Event::AllPrepared, String::new()),
            Some((name, e)) => (Event::Refused, format!("{name}: {e}")),
        };
        let decided = self.decide(&gid, event, &reason)?;
        // If somebody else has ended it meanwhile, they found it undecided, and aborted it.
        let decision = decided.as_ref().map_or(Decision::Abort, decision_of);
        let unfinished = match decided {
            Some(record) => self.carry_out(&gid, &record, participants).0,
            None => Vec::new(),
        };
        Ok(Coordinated { gid, decision, refused, unfinished })
    }

    /// Writes down what is decided, unless something else is; what the log says then.
    pub(super) fn decide(
        &self,
        gid: &str,
        event: Event,
        reason: &str,
    ) -> Result<Option<TransactionRecord>> {
        self.journal.change(gid, &mut |record| {
            let now = Phase::from(record.phase);
            match now.on(event) {
                Some(next) => {
                    if next != now {
                        record.reason = reason.to_owned();
                    }
                    next
                }
                None => now,
            }
        })
    }

    /// Tells participants what is decided, and writes down who has done it. Those who have not, with the
    /// reason; and whether all have done it, so that nothing of it is in the log any more.
    pub(super) fn carry_out(
        &self,
        gid: &str,
        record: &TransactionRecord,
        participants: &[&dyn Participant],
    ) -> (Vec<Unfinished>, bool) {
        let find = |name: &str| participants.iter().copied().find(|p| p.name() == name);
        let mut left = Vec::new();
        let mut done = BTreeSet::new();
        let mut as_decided = true;
        for (name, ack) in &record.participants {
            let told = match (ack, find(name)) {
                (AckCode::Acknowledged, _) | (AckCode::WrittenOff, None) => continue,
                (AckCode::Awaited, None) => Err("it is away".to_owned()),
                (AckCode::Awaited, Some(one)) => tell(one, gid, decision_of(record)),
                (AckCode::WrittenOff, Some(one)) => {
                    tell_late(one, gid, decision_of(record)).map(|did| as_decided &= did)
                }
            };
            match told {
                Ok(()) => {
                    done.insert(name.as_str());
                }
                Err(reason) => left.push(unfinished(gid, name, reason)),
            }
        }
        let now = match self.acknowledge(gid, &done, AckCode::Acknowledged) {
            Ok(now) => now,
            // All is decided and told; that it was told is found out again.
            Err(e) => {
                left.extend(done.iter().map(|name| unfinished(gid, name, format!("log: {e}"))));
                return (left, false);
            }
        };
        if now.is_none() {
            // All have done it, even if somebody else has seen that first, and had them forget it.
            left.clear();
        }
        // Nobody is told twice who has done it, so it may be forgotten there once nobody is waited for.
        if now.as_ref().is_none_or(|record| !is_awaited(record)) {
            let acks = &now.as_ref().unwrap_or(record).participants;
            let is_done = |ack| now.is_none() || ack == AckCode::Acknowledged;
            for one in acks.iter().filter(|(_, ack)| is_done(*ack)).filter_map(|(n, _)| find(n)) {
                // What stays remembered is found and forgotten by a later recovery.
                let _ = one.forget(gid);
            }
        }
        (left, now.is_none() && as_decided)
    }

    /// Writes down what is known of participants; what the log says then, `None` once all have done what
    /// was decided.
    fn acknowledge(
        &self,
        gid: &str,
        names: &BTreeSet<&str>,
        to: AckCode,
    ) -> Result<Option<TransactionRecord>> {
        self.journal.change(gid, &mut |record| {
            for (name, ack) in &mut record.participants {
                // What was seen to be done stays done.
                if names.contains(name.as_str()) && *ack != AckCode::Acknowledged {
                    *ack = to;
                }
            }
            let now = Phase::from(record.phase);
            let all = record.participants.iter().all(|(_, ack)| *ack == AckCode::Acknowledged);
            now.on(Event::AllAcknowledged).filter(|_| all).unwrap_or(now)
        })
    }

    /// One transaction of the log.
    fn known(&self, gid: &str) -> Result<TransactionRecord> {
        self.journal.find(gid)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no transaction {gid} is pending"))
                .with_hint("look at the list of those that are")
        })
    }

    pub(super) fn write_off(&self, gid: &str, participant: &str) -> Result<Decision> {
        let record = self.known(gid)?;
        if record.phase == PhaseCode::Preparing {
            return Err(Error::new(ErrorKind::Busy, format!("{gid} is not decided yet"))
                .with_hint("recover first"));
        }
        if !record.participants.iter().any(|(name, _)| name == participant) {
            let text = format!("{participant} has no part in {gid}");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let decision = decision_of(&record);
        // What the log does not know has to abort, so only a commit must be kept for one that comes back.
        let to = match decision {
            Decision::Commit => AckCode::WrittenOff,
            Decision::Abort => AckCode::Acknowledged,
        };
        self.acknowledge(gid, &BTreeSet::from([participant]), to)?;
        Ok(decision)
    }

    pub(super) fn forget(&self, gid: &str) -> Result<()> {
        self.known(gid)?;
        let left = self.journal.change(gid, &mut |record| {
            let now = Phase::from(record.phase);
            match is_awaited(record) {
                true => now,
                false => now.on(Event::AllAcknowledged).unwrap_or(now),
            }
        })?;
        match left {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Busy, format!("{gid} waits for participants"))
                .with_hint("recover with them, or write them off")),
        }
    }
}

/// Whether a transaction waits for a participant, or for a decision.
pub(super) fn is_awaited(record: &TransactionRecord) -> bool {
    let mut acks = record.participants.iter().map(|(_, ack)| *ack);
    record.phase == PhaseCode::Preparing || acks.any(|ack| ack == AckCode::Awaited)
}

/// Tells a participant that was written off, if it still waits for that; whether it has done what was
/// decided. One that holds nothing was put right by hand, or has lost it: that was accepted.
fn tell_late(
    participant: &dyn Participant,
    gid: &str,
    decision: Decision,
) -> std::result::Result<bool, String> {
    match participant.standing(gid) {
        Ok(Some(Standing::Prepared)) => tell(participant, gid, decision).map(|()| true),
        Ok(Some(Standing::Committed)) => Ok(decision == Decision::Commit),
        Ok(Some(Standing::Aborted) | None) => Ok(decision == Decision::Abort),
        Err(e) => Err(e.to_string()),
    }
}

/// Asks participants to prepare, one after the other, until one refuses.
fn ask(participants: &[&dyn Participant], gid: &str) -> Option<(String, Error)> {
    participants.iter().find_map(|participant| match participant.prepare(gid) {
        Ok(Vote::Yes) => None,
        Ok(Vote::No(e)) | Err(e) => Some((participant.name().to_owned(), e)),
    })
}

/// Tells a participant what is decided, and looks whether it has done it.
///
/// What the call itself returns does not count: it may have failed after it was done, and "there is no
/// such transaction" may mean anything. Only what the participant remembers does.
pub(super) fn tell(
    participant: &dyn Participant,
    gid: &str,
    decision: Decision,
) -> std::result::Result<(), String> {
    let (told, wanted) = match decision {
        Decision::Commit => (participant.commit(gid), Standing::Committed),
        Decision::Abort => (participant.abort(gid), Standing::Aborted),
    };
    match (participant.standing(gid), told) {
        (Ok(Some(now)), _) if now == wanted => Ok(()),
        (Ok(_) | Err(_), Err(e)) => Err(e.to_string()),
        (Err(e), Ok(())) => Err(e.to_string()),
        (Ok(Some(now)), Ok(())) => Err(format!("it is {now} there, and has to be {wanted}")),
        (Ok(None), Ok(())) => Err(format!("it is not known there, and has to be {wanted}")),
    }
}

pub(super) fn unfinished(gid: &str, participant: &str, reason: String) -> Unfinished {
    Unfinished { gid: gid.to_owned(), participant: participant.to_owned(), reason }
}

/// What a transaction that is decided comes to. One that is not has only one way left.
pub(super) fn decision_of(record: &TransactionRecord) -> Decision {
    match record.phase {
        PhaseCode::Committing => Decision::Commit,
        PhaseCode::Preparing | PhaseCode::Aborting => Decision::Abort,
    }
}

/// Names are what the log knows participants by.
pub(super) fn check_names(participants: &[&dyn Participant]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match participants.iter().find(|p| p.name().is_empty() || !seen.insert(p.name())) {
        None => Ok(()),
        Some(p) if p.name().is_empty() => {
            Err(Error::new(ErrorKind::Invalid, "a participant needs a name"))
        }
        Some(p) => {
            Err(Error::new(ErrorKind::Invalid, format!("two participants are named {}", p.name())))
        }
    }
}
