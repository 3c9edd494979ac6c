//! TPC-2: a coordinator and several stores, without crashes.

use std::sync::atomic::{AtomicBool, Ordering};

use withy::{
    CommitOptions, Coordinator, Error, ErrorKind, Participant, PendingPhase, Read, Standing, Store,
    StoreParticipant, Vote,
};

use super::prepared;
use crate::support::{Scratch, must_fail, must_get, must_put};

/// A participant that can be away.
struct Away<'p>(StoreParticipant<'p>, AtomicBool);

impl<'p> Away<'p> {
    fn new(inner: StoreParticipant<'p>) -> Self {
        Self(inner, AtomicBool::new(false))
    }

    fn ask<T>(&self, ask: impl FnOnce() -> withy::Result<T>) -> withy::Result<T> {
        if self.1.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Io, "the line is dead"));
        }
        ask()
    }
}

impl Participant for Away<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn prepare(&self, gid: &str) -> withy::Result<Vote> {
        let vote = self.ask(|| self.0.prepare(gid));
        // From here on nobody reaches it.
        self.1.store(true, Ordering::SeqCst);
        vote
    }
    fn commit(&self, gid: &str) -> withy::Result<()> {
        self.ask(|| self.0.commit(gid))
    }
    fn abort(&self, gid: &str) -> withy::Result<()> {
        self.ask(|| self.0.abort(gid))
    }
    fn standing(&self, gid: &str) -> withy::Result<Option<Standing>> {
        self.ask(|| self.0.standing(gid))
    }
    fn forget(&self, gid: &str) -> withy::Result<()> {
        self.ask(|| self.0.forget(gid))
    }
    fn holds(&self) -> withy::Result<Vec<(String, Standing)>> {
        self.ask(|| self.0.holds())
    }
}

fn put<'p>(name: &str, store: &Store, value: &'p str) -> StoreParticipant<'p> {
    StoreParticipant::new(name, store).work("main", move |tx| tx.put("k", value))
}

fn value(store: &Store) -> Option<String> {
    must_get(&store.main().expect("main"), "k")
}

/// Nothing is prepared, and nothing remembered.
fn is_clean(store: &Store) -> bool {
    prepared(store).is_empty() && store.ended_prepared().expect("the list").is_empty()
}

#[test]
fn tpc_2_all_stores_commit_or_none() {
    let [log, bank, shop] = [(); 3].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&log);
    let done = coordinator.run(&[&put("bank", &bank, "1"), &put("shop", &shop, "1")]);
    let done = done.expect("it runs");
    assert!(done.is_committed() && done.unfinished.is_empty(), "all have done it: {done:?}");
    assert_eq!((value(&bank).as_deref(), value(&shop).as_deref()), (Some("1"), Some("1")), "both");

    let refuse = StoreParticipant::new("shop", &shop)
        .work("main", |_| Err(Error::new(ErrorKind::Precondition, "sold out")));
    let done = coordinator.run(&[&put("bank", &bank, "2"), &refuse]).expect("it runs");
    assert!(!done.is_committed() && done.unfinished.is_empty(), "one has refused: {done:?}");
    let (who, why) = done.refused.expect("the reason is told");
    assert_eq!((&*who, &*why.to_string()), ("shop", "sold out"), "and whose it is");
    assert_eq!((value(&bank).as_deref(), value(&shop).as_deref()), (Some("1"), Some("1")), "none");

    must_fail(bank.commit_prepared(&done.gid), ErrorKind::NotFound);
    assert!(is_clean(&bank) && is_clean(&shop), "outcomes are forgotten once all have done it");
    assert_eq!(coordinator.pending().ok(), Some(vec![]), "and the log is empty");
}

#[test]
fn tpc_2_a_conflict_or_a_held_key_is_a_refusal_that_can_be_tried_again() {
    let [bank, shop] = [(); 2].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&bank);
    let shop_main = shop.main().expect("main");
    let late = StoreParticipant::new("shop", &shop).work("main", |tx| {
        tx.put("k", "mine")?;
        shop_main.put("k", "theirs").map(|_| ())
    });
    let done = coordinator.run(&[&put("bank", &bank, "1"), &late]).expect("it runs");
    let (_, why) = done.refused.expect("it was refused");
    assert_eq!((why.kind(), why.is_retryable()), (ErrorKind::Conflict, true), "another was first");
    super::must_prepare(&shop, "holder", |tx| tx.put("k", "held"));
    let done = coordinator.run(&[&put("bank", &bank, "1"), &put("shop", &shop, "1")]);
    let (_, why) = done.expect("it runs").refused.expect("it was refused");
    assert_eq!((why.kind(), why.is_retryable()), (ErrorKind::Busy, true), "somebody holds it");
    assert_eq!(value(&bank), None, "the coordinator's own store has done nothing");
    let idle = StoreParticipant::new("shop", &shop);
    let done = coordinator.run(&[&put("bank", &bank, "1"), &idle]).expect("it runs");
    assert!(!done.is_committed(), "a participant without work cannot take part");
    must_fail(coordinator.run(&[]), ErrorKind::Invalid);
    must_fail(coordinator.run(&[&idle, &put("shop", &bank, "1")]), ErrorKind::Invalid);
    assert_eq!(prepared(&shop), ["holder"], "what others have prepared is left alone");
    assert!(is_clean(&bank), "nothing else is left");
}

#[test]
fn tpc_2_a_store_that_is_away_stays_listed_and_is_finished_later() {
    let [mut log, bank, mut shop] = [(); 3].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&log);
    let away = Away::new(put("shop", &shop, "1"));
    let done = coordinator.run(&[&put("bank", &bank, "1"), &away]).expect("it runs");
    assert!(done.is_committed(), "it had promised, so all commit");
    let [one] = &done.unfinished[..] else { panic!("shop is away: {done:?}") };
    assert_eq!((&*one.participant, &*one.reason), ("shop", "the line is dead"), "that is told");
    assert_eq!(value(&bank).as_deref(), Some("1"), "whoever is there has done it");
    drop(away);
    drop(coordinator);
    log.reopen();
    shop.reopen();
    let coordinator = Coordinator::open(&log);
    let pending = coordinator.pending().expect("the list");
    assert_eq!(pending[0].phase, PendingPhase::Committing, "listed, in a new process too");
    let participants = [("bank".to_owned(), true), ("shop".to_owned(), false)];
    assert_eq!(pending[0].participants, participants, "by their exact names");

    let only_bank = StoreParticipant::new("bank", &bank);
    let done = coordinator.recover(&[&only_bank]).expect("it recovers");
    assert_eq!(done.unfinished[0].reason, "it is away", "still");
    let wrong = StoreParticipant::new("Shop", &shop);
    let done = coordinator.recover(&[&only_bank, &wrong]).expect("it recovers");
    assert_eq!(done.unfinished[0].participant, "shop", "names are exact");
    assert_eq!(prepared(&shop), [pending[0].gid.as_str()], "and what it holds is not touched");
    let held = shop.main().expect("main").put("k", "other");
    must_fail(held, ErrorKind::Busy);

    let shop_again = StoreParticipant::new("shop", &shop);
    let done = coordinator.recover(&[&only_bank, &shop_again]).expect("it recovers");
    assert_eq!((done.committed.len(), done.unfinished.len()), (1, 0), "now it is finished");
    assert_eq!(value(&shop).as_deref(), Some("1"), "the same way");
    assert!(is_clean(&bank) && is_clean(&shop), "nothing is left");
    let again = coordinator.recover(&[&only_bank, &shop_again]).expect("it recovers");
    assert_eq!(again, withy::Recovery::default(), "and nothing is left to do");
}

#[test]
fn tpc_2_orphans_of_this_coordinator_are_aborted_and_those_of_others_left_alone() {
    let [log, other, bank] = [(); 3].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&log);
    // Names as this coordinator and another one give them, without a word in any log.
    let mine = format!("{}.{:016x}", log.id(), 77);
    let theirs = format!("{}.{:016x}", other.id(), 77);
    let names = [mine.as_str(), theirs.as_str(), "by hand"];
    for (n, gid) in names.iter().enumerate() {
        super::must_prepare(&bank, gid, |tx| tx.put(format!("k{n}"), "v"));
    }
    let participant = StoreParticipant::new("bank", &bank);
    let done = coordinator.recover(&[&participant]).expect("it recovers");
    assert_eq!(done.orphans, [(mine.clone(), "bank".to_owned())], "its own is aborted");
    let mut left = [theirs.as_str(), "by hand"];
    left.sort_unstable();
    assert_eq!(prepared(&bank), left, "the others are left alone");
    must_put(&bank.main().expect("main"), "k0", "free");
    assert_eq!(bank.ended_prepared().expect("the list"), [], "and forgotten");
}

#[test]
fn tpc_2_an_abort_bars_a_prepare_that_comes_late() {
    let bank = Scratch::new();
    let participant = put("bank", &bank, "1");
    participant.abort("g").expect("it need not be known");
    assert_eq!(participant.standing("g").ok(), Some(Some(Standing::Aborted)), "it is remembered");
    let late = participant.prepare("g").expect("it answers");
    assert!(!late.is_yes(), "a late prepare is refused: {late:?}");
    must_fail(participant.commit("g"), ErrorKind::Invalid);
    must_fail(participant.commit("never heard of"), ErrorKind::NotFound);
    assert_eq!((prepared(&bank), value(&bank)), (vec![], None), "nothing was done");
}

#[test]
fn tpc_2_an_outcome_that_somebody_forced_by_hand_is_told_and_not_hidden() {
    let [log, bank, shop] = [(); 3].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&log);
    let away = Away::new(put("shop", &shop, "1"));
    let done = coordinator.run(&[&put("bank", &bank, "1"), &away]).expect("it runs");
    shop.rollback_prepared(&done.gid).expect("by hand, against what was decided");
    let all: [&dyn Participant; 2] =
        [&StoreParticipant::new("bank", &bank), &StoreParticipant::new("shop", &shop)];
    let recovery = coordinator.recover(&all).expect("it recovers");
    let [one] = &recovery.unfinished[..] else { panic!("shop differs: {recovery:?}") };
    assert!(one.reason.ends_with("was rolled back"), "that is told: {}", one.reason);
    must_fail(coordinator.write_off(&done.gid, "shops"), ErrorKind::NotFound);
    let decision = coordinator.write_off(&done.gid, "shop").expect("somebody has put it right");
    assert_eq!(decision, withy::Decision::Commit, "what was decided is told");
    assert_eq!(coordinator.pending().ok(), Some(vec![]), "then it is over");
    coordinator.recover(&all).expect("it recovers");
    assert!(is_clean(&bank) && is_clean(&shop), "and forgotten everywhere");
}

#[test]
fn tpc_2_a_commit_names_its_transaction_unless_it_was_given_a_message() {
    let [bank, shop] = [(); 2].map(|()| Scratch::new());
    let pay = StoreParticipant::new("bank", &bank).work("main", |tx| tx.put("k", "1"));
    let ship = StoreParticipant::new("shop", &shop).work("main", |tx| tx.put("k", "1"));
    let ship = ship.commit_options(CommitOptions::default().message("ship"));
    let done = Coordinator::open(&bank).run(&[&pay, &ship]).expect("it runs");
    assert!(done.is_committed(), "{done:?}");
    let message = |store: &Scratch| store.commit("main").expect("a commit").message;
    assert_eq!(message(&bank), format!("two-phase commit {}", done.gid), "it says what it is");
    assert_eq!(message(&shop), "ship", "as it was asked for");
}

#[test]
fn tpc_f20_a_store_that_was_written_off_and_comes_back_prepared_ends_as_the_others_did() {
    let [mut log, bank, shop] = [(); 3].map(|()| Scratch::new());
    let coordinator = Coordinator::open(&log);
    let away = Away::new(put("shop", &shop, "1"));
    let done = coordinator.run(&[&put("bank", &bank, "1"), &away]).expect("it runs");
    coordinator.write_off(&done.gid, "shop").expect("it is away for good, it seems");
    assert_eq!(coordinator.pending().ok(), Some(vec![]), "nobody waits for it");
    drop(coordinator);
    log.reopen();
    let coordinator = Coordinator::open(&log);
    let kept = coordinator.written_off().expect("the list");
    assert_eq!(kept[0].participants[1], ("shop".to_owned(), false), "kept, in a new process too");
    let all: [&dyn Participant; 2] =
        [&StoreParticipant::new("bank", &bank), &StoreParticipant::new("shop", &shop)];
    let recovery = coordinator.recover(&all).expect("it recovers");
    assert_eq!(recovery.committed, [done.gid], "shop is back and does what was decided");
    assert_eq!(recovery.orphans, [], "it is no orphan");
    assert_eq!((value(&bank), value(&shop)), (Some("1".into()), Some("1".into())), "equal");
    assert!(is_clean(&bank) && is_clean(&shop), "nothing is left");
    assert_eq!(coordinator.written_off().ok(), Some(vec![]), "nor in the log");
}

#[test]
fn tpc_2_every_handle_is_the_same_coordinator_and_a_reader_lists() {
    let [log, bank] = [(); 2].map(|()| Scratch::new());
    let (one, two) = (Coordinator::open(&log), Coordinator::open(&log));
    let all = StoreParticipant::new("bank", &bank);
    let work = StoreParticipant::new("bank", &bank).work("main", |tx| {
        let done = two.recover(&[&all])?;
        assert_eq!(done, withy::Recovery::default(), "what is being run is left alone");
        let reader = Store::options().read_only(true).open(log.path())?;
        let pending = Coordinator::open(&reader).pending()?;
        assert_eq!(pending[0].phase, PendingPhase::Preparing, "a reader sees it");
        let refused = Coordinator::open(&reader).run(&[&all]).map(|_| ()).map_err(|e| e.kind());
        assert_eq!(refused, Err(ErrorKind::ReadOnly), "and cannot run any");
        tx.put("k", "1")
    });
    let work = work.commit_options(CommitOptions::default().author("ann").message("both"));
    let done = one.run(&[&work]).expect("it runs");
    assert!(done.is_committed(), "{done:?}");
    assert_eq!(bank.commit("main").expect("a commit").author, "ann", "as it was asked for");
    assert!(bank.main().expect("main").contains(b"k").expect("it is read"), "it is there");
}
