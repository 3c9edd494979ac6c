//! Two participants and a log in memory, to which everything happens in turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use super::super::journal::Journal;
use super::super::phase::Phase;
use super::super::run::Protocol;
use super::super::{Decision, Participant, Standing, Vote};
use crate::clock::SystemClock;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{PhaseCode, TransactionRecord};

/// A path through all choices; the next one differs in the last choice that has more to offer.
#[derive(Default)]
pub(super) struct Choices {
    pub(super) path: Vec<(usize, usize)>,
    pub(super) at: usize,
    /// So many choices of a path may differ from the first one.
    pub(super) deviations: usize,
    /// Whether everything goes as it should from here on.
    pub(super) calm: bool,
}

impl Choices {
    fn pick(&mut self, of: usize) -> usize {
        let taken = self.path[..self.at].iter().filter(|(choice, _)| *choice > 0).count();
        if self.calm || (taken >= self.deviations && self.at >= self.path.len()) {
            return 0;
        }
        if self.at == self.path.len() {
            self.path.push((0, of));
        }
        let (choice, had) = self.path[self.at];
        assert_eq!(had, of, "the same path leads to the same choice");
        self.at += 1;
        choice
    }

    /// Goes to the next path; false if there is none.
    pub(super) fn next(&mut self) -> bool {
        (self.at, self.calm) = (0, false);
        while let Some((choice, of)) = self.path.pop() {
            let taken = self.path.iter().filter(|(choice, _)| *choice > 0).count();
            if choice + 1 < of && taken < self.deviations {
                self.path.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

thread_local! {
    pub(super) static CHOICES: RefCell<Choices> = RefCell::default();
}

fn pick(of: usize) -> usize {
    CHOICES.with_borrow_mut(|choices| choices.pick(of))
}

/// The process ends: what is on disk stays, all else is gone.
struct Crash;

fn crash() -> ! {
    resume_unwind(Box::new(Crash))
}

fn failure() -> Error {
    Error::new(ErrorKind::Io, "it does not answer")
}

/// A participant that does what it has to, unless it is kept from it.
pub(super) struct Memory {
    pub(super) name: &'static str,
    pub(super) disk: Mutex<Disk>,
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) standing: BTreeMap<String, Standing>,
    /// How often the work was committed.
    pub(super) effects: u32,
}

impl Memory {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, disk: Mutex::default() }
    }

    pub(super) fn on_disk<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        work(&mut self.disk.lock().expect("nobody panics while holding it"))
    }

    pub(super) fn really_prepare(&self, gid: &str) -> Result<()> {
        self.on_disk(|disk| match disk.standing.get(gid) {
            None => {
                disk.standing.insert(gid.to_owned(), Standing::Prepared);
                Ok(())
            }
            Some(_) => Err(Error::new(ErrorKind::Exists, "it is known already")),
        })
    }

    pub(super) fn really_end(&self, gid: &str, to: Standing) -> Result<()> {
        self.on_disk(|disk| match (disk.standing.get(gid), to) {
            (Some(now), to) if *now == to => Ok(()),
            (Some(Standing::Prepared), _) | (None, Standing::Aborted) => {
                disk.effects += u32::from(to == Standing::Committed);
                disk.standing.insert(gid.to_owned(), to);
                Ok(())
            }
            (None, _) => Err(Error::new(ErrorKind::NotFound, "it is not known")),
            (Some(_), _) => Err(Error::new(ErrorKind::Invalid, "it has ended the other way")),
        })
    }

    fn end(&self, gid: &str, to: Standing) -> Result<()> {
        match pick(6) {
            0 => self.really_end(gid, to),
            1 => Err(failure()),
            2 => self.really_end(gid, to).and(Err(failure())),
            // It says that it has done it, and has not.
            3 => Ok(()),
            4 => crash(),
            _ => {
                let _ = self.really_end(gid, to);
                crash()
            }
        }
    }
}

impl Participant for Memory {
    fn name(&self) -> &str {
        self.name
    }

    fn prepare(&self, gid: &str) -> Result<Vote> {
        match pick(6) {
            0 => self.really_prepare(gid).map(|()| Vote::Yes),
            1 => Ok(Vote::No(Error::new(ErrorKind::Precondition, "no"))),
            2 => Err(failure()),
            3 => self.really_prepare(gid).and(Err(failure())),
            4 => crash(),
            _ => {
                let _ = self.really_prepare(gid);
                crash()
            }
        }
    }

    fn commit(&self, gid: &str) -> Result<()> {
        self.end(gid, Standing::Committed)
    }

    fn abort(&self, gid: &str) -> Result<()> {
        self.end(gid, Standing::Aborted)
    }

    fn standing(&self, gid: &str) -> Result<Option<Standing>> {
        match pick(3) {
            0 => Ok(self.on_disk(|disk| disk.standing.get(gid).copied())),
            1 => Err(failure()),
            _ => crash(),
        }
    }

    fn forget(&self, gid: &str) -> Result<()> {
        let forget = || {
            self.on_disk(|disk| match disk.standing.get(gid) {
                Some(Standing::Prepared) => Err(Error::new(ErrorKind::Invalid, "it is prepared")),
                Some(_) | None => {
                    disk.standing.remove(gid);
                    Ok(())
                }
            })
        };
        match pick(4) {
            0 => forget(),
            1 => Err(failure()),
            2 => crash(),
            _ => {
                let _ = forget();
                crash()
            }
        }
    }

    fn holds(&self) -> Result<Vec<(String, Standing)>> {
        match pick(3) {
            0 => Ok(self.on_disk(|disk| disk.standing.clone().into_iter().collect())),
            1 => Err(failure()),
            _ => crash(),
        }
    }
}

/// A log in memory, with the same failures.
#[derive(Clone, Default)]
pub(super) struct Log(pub(super) Arc<Mutex<LogDisk>>);

#[derive(Default)]
pub(super) struct LogDisk {
    pub(super) last: u64,
    pub(super) rows: BTreeMap<String, TransactionRecord>,
    /// Every decision that was ever written.
    pub(super) decided: BTreeMap<String, PhaseCode>,
}

impl Log {
    fn write<T>(&self, work: impl FnOnce(&mut LogDisk) -> T) -> Result<T> {
        let mut work = Some(work);
        let mut really = || {
            let work = work.take().expect("it is done once");
            work(&mut self.0.lock().expect("nobody panics while holding it"))
        };
        match pick(5) {
            0 => Ok(really()),
            1 => Err(failure()),
            2 => {
                really();
                Err(failure())
            }
            3 => crash(),
            _ => {
                really();
                crash()
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&LogDisk) -> T) -> T {
        read(&self.0.lock().expect("nobody panics while holding it"))
    }
}

impl Journal for Log {
    fn begin(&self, record: TransactionRecord, known: &mut dyn FnMut(&str)) -> Result<String> {
        self.write(|disk| {
            disk.last += 1;
            let gid = format!("log.{}", disk.last);
            known(&gid);
            disk.rows.insert(gid.clone(), record);
            gid
        })
    }

    fn find(&self, gid: &str) -> Result<Option<TransactionRecord>> {
        Ok(self.read(|disk| disk.rows.get(gid).cloned()))
    }

    fn all(&self) -> Result<Vec<(String, TransactionRecord)>> {
        Ok(self.read(|disk| disk.rows.clone().into_iter().collect()))
    }

    fn change(
        &self,
        gid: &str,
        change: &mut dyn FnMut(&mut TransactionRecord) -> Phase,
    ) -> Result<Option<TransactionRecord>> {
        self.write(|disk| {
            let mut record = disk.rows.get(gid)?.clone();
            let Some(phase) = change(&mut record).code() else {
                disk.rows.remove(gid);
                return None;
            };
            record.phase = phase;
            if phase != PhaseCode::Preparing {
                let before = disk.decided.insert(gid.to_owned(), phase);
                assert!(before.is_none_or(|before| before == phase), "what is decided stays");
            }
            disk.rows.insert(gid.to_owned(), record.clone());
            Some(record)
        })
    }

    fn gave(&self, gid: &str) -> bool {
        gid.starts_with("log.")
    }
}

/// A log, two participants, and one that another coordinator has prepared.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) bank: Memory,
    pub(super) shop: Memory,
}

impl World {
    pub(super) fn new() -> Self {
        let world =
            Self { log: Log::default(), bank: Memory::new("bank"), shop: Memory::new("shop") };
        world.bank.really_prepare("other.1").expect("it is free");
        world
    }

    /// A coordinator as a fresh process has it.
    pub(super) fn coordinator(&self) -> Protocol<Log> {
        Protocol::new(self.log.clone(), Arc::new(SystemClock))
    }

    pub(super) fn all(&self) -> [&dyn Participant; 2] {
        [&self.bank, &self.shop]
    }

    /// Runs a transaction; what was said of it, if anything.
    pub(super) fn run(&self) -> Option<Decision> {
        let run = || self.coordinator().run(&self.all());
        let done = catch_unwind(AssertUnwindSafe(run)).ok()?.ok()?;
        for one in &done.unfinished {
            let pending = self.log.read(|disk| disk.rows.contains_key(&one.gid));
            // Unless all had been told, and only the log could not say whether that is written.
            let log = one.reason.starts_with("log: ");
            assert!(pending || log, "who has not finished stays listed: {one:?}");
        }
        Some(done.decision)
    }

    /// What is wrong after a recovery that nothing came in between of.
    pub(super) fn fault(&self, told: Option<Decision>) -> Option<String> {
        let decided = self.log.read(|disk| disk.decided.values().next().copied());
        let wanted = u32::from(decided == Some(PhaseCode::Committing));
        for side in [&self.bank, &self.shop] {
            let (effects, mut standing) =
                side.on_disk(|disk| (disk.effects, disk.standing.clone()));
            if effects != wanted {
                return Some(format!("{} has it {effects} times, not {wanted}", side.name));
            }
            let other = standing.remove("other.1");
            if side.name == "bank" && other != Some(Standing::Prepared) {
                return Some("what another coordinator has prepared was touched".to_owned());
            }
            if !standing.is_empty() {
                return Some(format!("{} is left with {standing:?}", side.name));
            }
        }
        if self.log.read(|disk| !disk.rows.is_empty()) {
            return Some("the log is left with a transaction".to_owned());
        }
        match (told, wanted) {
            (Some(Decision::Commit), 0) | (Some(Decision::Abort), 1) => {
                Some("it has not ended as the caller was told".to_owned())
            }
            _ => None,
        }
    }
}
