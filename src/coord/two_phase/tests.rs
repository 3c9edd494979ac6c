//! The protocol over everything that can happen to two participants and the log: all answers, all
//! failures, and a crash before and after each step. Nothing here is random.

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::journal::Journal;
use super::run::Protocol;
use super::{Decision, Participant, Standing, Vote};
use crate::clock::SystemClock;
use crate::error::{ErrorKind, Result};
use crate::format::prepared::{AckCode, PhaseCode, TransactionRecord};
use world::{CHOICES, Choices, Log, Memory, World};

/// A way to end what was left unfinished.
type Recover = fn(&World);

fn recover(world: &World) {
    let done = world.coordinator().recover(&world.all()).expect("nothing is in its way");
    assert_eq!(done.unfinished, [], "all participants are there");
}

/// Tells everybody the same, whatever the log says.
fn end_all(world: &World, to: Standing) {
    for side in [&world.bank, &world.shop] {
        let held = side.on_disk(|disk| disk.standing.clone());
        for (gid, now) in held.into_iter().filter(|(gid, _)| gid.starts_with("log.")) {
            if now == Standing::Prepared {
                side.really_end(&gid, to).expect("it is prepared");
            }
            side.on_disk(|disk| disk.standing.remove(&gid));
        }
    }
    world.log.0.lock().expect("nobody panics while holding it").rows.clear();
}

/// Goes through all paths; the number of them, and the first fault.
fn explore(deviations: usize, recoveries: usize, last: Recover) -> (u64, Option<String>) {
    CHOICES.set(Choices { deviations, ..Choices::default() });
    let mut paths = 0;
    loop {
        let world = World::new();
        let told = world.run();
        for _ in 0..recoveries {
            let recover = || world.coordinator().recover(&world.all());
            let _ = catch_unwind(AssertUnwindSafe(recover));
        }
        CHOICES.with_borrow_mut(|choices| choices.calm = true);
        last(&world);
        paths += 1;
        let path = || CHOICES.with_borrow(|choices| format!("{:?}", choices.path));
        if let Some(fault) = world.fault(told) {
            return (paths, Some(format!("{fault}, on path {}", path())));
        }
        if !CHOICES.with_borrow_mut(Choices::next) {
            return (paths, None);
        }
    }
}

#[test]
fn tpc_2_whatever_happens_all_end_the_same_way() {
    let (paths, fault) = explore(usize::MAX, 0, recover);
    assert_eq!(fault, None, "every path ends well");
    assert!(paths > 2_000, "all of them were tried: {paths}");
}

#[test]
fn tpc_2_whatever_happens_while_recovering_all_end_the_same_way() {
    let (paths, fault) = explore(3, 2, recover);
    assert_eq!(fault, None, "every path ends well");
    assert!(paths > 10_000, "all of them were tried: {paths}");
}

#[test]
fn tpc_2_recoveries_that_ask_nobody_would_be_seen() {
    let (_, fault) = explore(1, 0, |world| end_all(world, Standing::Aborted));
    assert!(fault.is_some(), "one that aborts everything");
    let (_, fault) = explore(1, 0, |world| end_all(world, Standing::Committed));
    assert!(fault.is_some(), "one that commits everything");
}

#[test]
fn tpc_2_a_participant_that_is_away_stays_listed_and_is_finished_later() {
    CHOICES.set(Choices { calm: true, ..Choices::default() });
    let world = World::new();
    let gid = world.log.begin(record(PhaseCode::Committing), &mut |_| {}).expect("a log");
    for side in [&world.bank, &world.shop] {
        side.really_prepare(&gid).expect("it is free");
    }
    let coordinator = world.coordinator();
    let done = coordinator.recover(&[&world.bank]).expect("it recovers");
    assert_eq!((done.unfinished.len(), &*done.unfinished[0].participant), (1, "shop"), "the one");
    let bank = world.bank.on_disk(|disk| disk.standing.get(&gid).copied());
    assert_eq!(bank, Some(Standing::Committed), "done, and remembered while shop is away");
    let pending = coordinator.pending().expect("a log");
    assert_eq!(pending[0].participants, [("bank".into(), true), ("shop".into(), false)], "listed");
    let done = coordinator.recover(&world.all()).expect("it recovers");
    assert_eq!((done.committed, done.unfinished), (vec![gid], vec![]), "finished");
    assert_eq!(world.fault(Some(Decision::Commit)).as_deref(), None, "all is well");
}

#[test]
fn tpc_2_not_found_is_never_taken_for_success() {
    CHOICES.set(Choices { calm: true, ..Choices::default() });
    let world = World::new();
    let gid = world.log.begin(record(PhaseCode::Committing), &mut |_| {}).expect("a log");
    world.bank.really_prepare(&gid).expect("it is free");
    let coordinator = world.coordinator();
    for _ in 0..2 {
        let done = coordinator.recover(&world.all()).expect("it recovers");
        let [one] = &done.unfinished[..] else { panic!("shop has lost it: {done:?}") };
        assert_eq!(
            (&*one.participant, &*one.reason),
            ("shop", "it is not known"),
            "and that shows"
        );
    }
    let again = coordinator.write_off(&gid, "sho");
    assert_eq!(again.map_err(|e| e.kind()), Err(ErrorKind::NotFound), "names are exact");
    assert_eq!(coordinator.write_off(&gid, "shop").ok(), Some(Decision::Commit), "by hand only");
    assert_eq!(coordinator.pending().ok(), Some(vec![]), "then it is over");
}

#[test]
fn tpc_f20_one_that_was_written_off_and_comes_back_prepared_is_told_what_was_decided() {
    CHOICES.set(Choices { calm: true, ..Choices::default() });
    for phase in [PhaseCode::Committing, PhaseCode::Aborting] {
        let world = World::new();
        let gid = world.log.begin(record(phase), &mut |_| {}).expect("a log");
        for side in [&world.bank, &world.shop] {
            side.really_prepare(&gid).expect("it is free");
        }
        let coordinator = world.coordinator();
        coordinator.recover(&[&world.bank]).expect("it recovers");
        let busy = coordinator.forget(&gid).map_err(|e| e.kind());
        assert_eq!(busy, Err(ErrorKind::Busy), "what is waited for is not forgotten");
        let decision = coordinator.write_off(&gid, "shop").expect("it is away");
        assert_eq!(coordinator.pending().ok(), Some(vec![]), "nobody waits for it any more");
        let kept = coordinator.written_off().expect("a log");
        let is_kept = kept.iter().any(|one| one.gid == gid);
        assert_eq!(is_kept, decision == Decision::Commit, "an abort needs no row");
        let again = coordinator.recover(&[&world.bank]).expect("it recovers");
        assert_eq!(again, super::Recovery::default(), "it is no news while shop is away");
        let back = coordinator.recover(&world.all()).expect("it recovers");
        assert_eq!(back.unfinished, [], "shop does what was decided");
        assert_eq!(world.fault(Some(decision)).as_deref(), None, "both ended the same way");
        assert_eq!(coordinator.written_off().ok(), Some(vec![]), "then it is over");
    }
}

#[test]
fn tpc_f20_what_was_written_off_can_be_forgotten_and_is_presumed_aborted_then() {
    CHOICES.set(Choices { calm: true, ..Choices::default() });
    let world = World::new();
    let gid = world.log.begin(record(PhaseCode::Committing), &mut |_| {}).expect("a log");
    for side in [&world.bank, &world.shop] {
        side.really_prepare(&gid).expect("it is free");
    }
    let coordinator = world.coordinator();
    coordinator.recover(&[&world.bank]).expect("it recovers");
    coordinator.write_off(&gid, "shop").expect("it is away");
    coordinator.forget(&gid).expect("by hand only");
    assert_eq!(coordinator.written_off().ok(), Some(vec![]), "it is gone");
    let unknown = coordinator.forget(&gid).map_err(|e| e.kind());
    assert_eq!(unknown, Err(ErrorKind::NotFound), "a second time there is nothing");
    let done = coordinator.recover(&world.all()).expect("it recovers");
    assert_eq!(done.orphans, [(gid, "shop".to_owned())], "as documented");
}

#[test]
fn tpc_2_a_transaction_that_is_being_run_is_not_recovered() {
    /// Recovers while it is asked to prepare.
    struct Meddler<'p>(Memory, &'p Protocol<Log>);
    impl Participant for Meddler<'_> {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn prepare(&self, gid: &str) -> Result<Vote> {
            let vote = self.0.prepare(gid);
            let done = self.1.recover(&[&self.0]).expect("it recovers");
            assert_eq!(done, super::Recovery::default(), "it lets it be");
            vote
        }
        fn commit(&self, gid: &str) -> Result<()> {
            self.0.commit(gid)
        }
        fn abort(&self, gid: &str) -> Result<()> {
            self.0.abort(gid)
        }
        fn standing(&self, gid: &str) -> Result<Option<Standing>> {
            self.0.standing(gid)
        }
        fn forget(&self, gid: &str) -> Result<()> {
            self.0.forget(gid)
        }
        fn holds(&self) -> Result<Vec<(String, Standing)>> {
            self.0.holds()
        }
    }
    CHOICES.set(Choices { calm: true, ..Choices::default() });
    let coordinator = Protocol::new(Log::default(), Arc::new(SystemClock));
    let meddler = Meddler(Memory::new("bank"), &coordinator);
    let done = coordinator.run(&[&meddler]).expect("it runs");
    assert!(done.is_committed(), "nobody aborted it");
    // Another process would: there only the log counts, and the one that comes later has to bow to it.
    let other = Protocol::new(Log::default(), Arc::new(SystemClock));
    let gid = other.journal.begin(record(PhaseCode::Preparing), &mut |_| {}).expect("a log");
    let shop = Memory::new("shop");
    other.recover(&[&shop, &Memory::new("bank")]).expect("it recovers");
    let late = shop.really_prepare(&gid);
    assert!(late.is_ok(), "all is forgotten there by now, so a late prepare is possible");
    let done = other.recover(&[&shop]).expect("it recovers");
    assert_eq!(done.orphans, [(gid, "shop".to_owned())], "and is found and aborted");
}

#[test]
fn tpc_2_names_are_there_and_differ() {
    let coordinator = Protocol::new(Log::default(), Arc::new(SystemClock));
    let (one, two, none) = (Memory::new("bank"), Memory::new("bank"), Memory::new(""));
    for wrong in [&[][..], &[&one as &dyn Participant, &two], &[&none]] {
        let refused = coordinator.run(wrong).map(|_| ()).map_err(|e| e.kind());
        assert_eq!(refused, Err(ErrorKind::Invalid), "refused before anything is written");
    }
    assert_eq!(coordinator.pending().ok(), Some(vec![]), "nothing is");
}

fn record(phase: PhaseCode) -> TransactionRecord {
    let participants = ["bank", "shop"].map(|name| (name.to_owned(), AckCode::Awaited)).into();
    TransactionRecord { phase, participants, begun: 0, reason: String::new() }
}
