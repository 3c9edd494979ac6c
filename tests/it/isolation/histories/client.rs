//! One client of a random history: does the operations it is given, in one of several ways, and says
//! what it read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adya::r#gen::{Kind, TxnOp};
use adya::run::Outcome;
use withy::{
    Batch, BranchOptions, CommitOptions, DeleteOptions, Direction, Error, ErrorKind, Isolation,
    KeyRange, MergeOptions, MergeOutcome, Read, Seq, Strategy, TagOptions, Txn,
};

use super::super::at;
use super::Mode;
use crate::support::{Scratch, must_branch};

const BRANCHES: [&str; 3] = ["main", "east", "east/deep"];

/// What each operation read, if it is a read.
type Reads = Vec<Option<Vec<i64>>>;

/// What the clients of one run have in common.
pub(super) struct Shared {
    store: Scratch,
    kind: Kind,
    mode: Mode,
    seed: u64,
    clients: AtomicU64,
    /// The sequence at which each value was written to its key.
    told: Mutex<BTreeMap<(i64, i64), i64>>,
    faults: Mutex<Vec<String>>,
}

impl Shared {
    pub(super) fn new(kind: Kind, mode: Mode, seed: u64) -> Self {
        let store = Scratch::new();
        must_branch(&store, BRANCHES[1], BRANCHES[0]);
        must_branch(&store, BRANCHES[2], BRANCHES[1]);
        Self {
            store,
            kind,
            mode,
            seed,
            clients: AtomicU64::new(0),
            told: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub(super) fn told(&self) -> BTreeMap<(i64, i64), i64> {
        self.told.lock().expect("nobody panics with it").clone()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().expect("nobody panics with it").clone()
    }
}

pub(super) struct Client {
    shared: Arc<Shared>,
    rng: fastrand::Rng,
    number: u64,
    made: u64,
}

fn branch_of(key: i64) -> &'static str {
    BRANCHES[usize::try_from(key).expect("keys count from zero") % BRANCHES.len()]
}

fn stored(key: i64) -> Vec<u8> {
    format!("k/{key}").into_bytes()
}

fn key_of(op: TxnOp) -> i64 {
    match op {
        TxnOp::Append(key, _) | TxnOp::Write(key, _) | TxnOp::Read(key) => key,
    }
}

fn is_read(op: TxnOp) -> bool {
    matches!(op, TxnOp::Read(_))
}

/// The numbers that a key holds: a list, or one for a register.
fn numbers(value: Option<Vec<u8>>) -> Vec<i64> {
    let text = String::from_utf8(value.unwrap_or_default()).expect("values are text");
    let number = |n: &str| n.parse().unwrap_or_else(|_| panic!("{n:?} was taken back, and seen"));
    text.split(',').filter(|n| !n.is_empty()).map(number).collect()
}

/// A list with one more.
fn appended(value: Option<Vec<u8>>, number: i64) -> Vec<u8> {
    let mut out = value.unwrap_or_default();
    if !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(number.to_string().as_bytes());
    out
}

impl adya::run::Client for Client {
    fn txn(&mut self, ops: &[TxnOp]) -> Outcome {
        if self.rng.u8(0..40) == 0
            && let Err(e) = self.chore()
        {
            self.fault(&e);
        }
        match self.attempt(ops) {
            Ok(Some(reads)) => Outcome::Ok(reads),
            Ok(None) => Outcome::Fail("given up".to_owned()),
            Err(e) => {
                if e.kind() != ErrorKind::Conflict {
                    self.fault(&e);
                }
                Outcome::Fail(e.to_string())
            }
        }
    }
}

impl Client {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let number = shared.clients.fetch_add(1, Ordering::Relaxed);
        let rng = fastrand::Rng::with_seed(shared.seed * 1_000 + number);
        Self { shared: Arc::clone(shared), rng, number, made: 0 }
    }

    fn fault(&self, e: &Error) {
        self.shared.faults.lock().expect("nobody panics with it").push(format!("{e:?}"));
    }

    /// Lets others come in between.
    fn pause(&mut self) {
        match self.rng.u8(0..6) {
            0 => std::thread::sleep(Duration::from_micros(self.rng.u64(1..150))),
            1 | 2 => std::thread::yield_now(),
            _ => {}
        }
    }

    /// Does the operations in one of the ways that they can be done; `None` if it gives up by itself.
    fn attempt(&mut self, ops: &[TxnOp]) -> Result<Option<Reads>, Error> {
        let level = match self.shared.mode {
            Mode::Apart => return self.apart(ops),
            Mode::At(level) => level,
        };
        let one_branch = ops.iter().all(|op| branch_of(key_of(*op)) == branch_of(key_of(ops[0])));
        let writes: Vec<i64> =
            ops.iter().filter(|op| !is_read(**op)).map(|op| key_of(*op)).collect();
        let blind = writes.len() == ops.len() && self.shared.kind == Kind::RwRegister;
        // A merge checks what it writes, as a snapshot does.
        let checked = ops.iter().all(|op| writes.contains(&key_of(*op)));
        let way = self.rng.u8(0..10);
        if one_branch && writes.is_empty() && way < 4 {
            self.view(ops).map(Some)
        } else if one_branch && blind && way < 4 {
            self.batch(ops).map(Some)
        } else if one_branch && !writes.is_empty() && checked && way < 2 {
            self.merge(ops).map(Some)
        } else {
            self.transaction(ops, level)
        }
    }

    fn transaction(&mut self, ops: &[TxnOp], level: Isolation) -> Result<Option<Reads>, Error> {
        let shared = Arc::clone(&self.shared);
        let mut tx = shared.store.begin_with(branch_of(key_of(ops[0])), at(level))?;
        let mut reads = Vec::new();
        for &op in ops {
            self.pause();
            if self.rng.u8(0..20) == 0 {
                self.take_back(&mut tx, op)?;
            }
            reads.push(self.operate(&mut tx, op, level)?);
        }
        self.pause();
        if self.rng.u8(0..30) == 0 {
            tx.rollback();
            return Ok(None);
        }
        let done = tx.commit(CommitOptions::default())?;
        self.tell(ops, done.seq());
        Ok(Some(reads))
    }

    /// One operation of a transaction, on the branch of its key.
    fn operate(
        &mut self,
        tx: &mut Txn<'_>,
        op: TxnOp,
        level: Isolation,
    ) -> Result<Option<Vec<i64>>, Error> {
        let key = stored(key_of(op));
        let first = tx.branch().as_str() == branch_of(key_of(op));
        if let TxnOp::Read(_) = op {
            let value = if first && self.rng.bool() {
                self.read(tx, &key)?
            } else {
                self.read(&tx.on(branch_of(key_of(op)))?, &key)?
            };
            return Ok(Some(numbers(value)));
        }
        let mut on = tx.on(branch_of(key_of(op)))?;
        let value = match op {
            TxnOp::Append(_, number) => {
                // What was read plainly may be old at read committed, and would be lost.
                let for_update = level == Isolation::ReadCommitted || self.rng.bool();
                let now = if for_update { on.get_for_update(&key)? } else { on.get(&key)? };
                self.pause();
                appended(now, number)
            }
            TxnOp::Write(_, number) | TxnOp::Read(number) => number.to_string().into_bytes(),
        };
        on.put(key, value)?;
        Ok(None)
    }

    /// Reads one key in one of the ways there are.
    fn read(&mut self, view: &impl Read, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let direction = if self.rng.bool() { Direction::Forward } else { Direction::Backward };
        match self.rng.u8(0..5) {
            0 => view.multi_get(&[key]).map(|mut values| values.remove(0)),
            1 => {
                let mut rows = view.scan(&KeyRange::key(key), direction)?;
                rows.next().transpose().map(|row| row.map(|(_, value)| value))
            }
            _ => view.get(key),
        }
    }

    /// Writes something and takes it back.
    fn take_back(&mut self, tx: &mut Txn<'_>, op: TxnOp) -> Result<(), Error> {
        tx.savepoint("aside")?;
        let mut on = tx.on(branch_of(key_of(op)))?;
        on.put(stored(key_of(op)), "never")?;
        on.delete(stored(key_of(op) + 3))?;
        self.pause();
        tx.rollback_to("aside")
    }

    /// Reads of one branch, in a view of it.
    fn view(&mut self, ops: &[TxnOp]) -> Result<Reads, Error> {
        let shared = Arc::clone(&self.shared);
        let view = shared.store.branch(branch_of(key_of(ops[0])))?.view()?;
        let mut reads = Vec::new();
        for &op in ops {
            self.pause();
            reads.push(Some(numbers(self.read(&view, &stored(key_of(op)))?)));
        }
        Ok(reads)
    }

    /// Writes to one branch, as one batch.
    fn batch(&mut self, ops: &[TxnOp]) -> Result<Reads, Error> {
        let mut batch = Batch::new();
        for &op in ops {
            if let TxnOp::Write(key, number) = op {
                batch.put(stored(key), number.to_string());
            }
        }
        let branch = self.shared.store.branch(branch_of(key_of(ops[0])))?;
        let done = branch.write(batch, CommitOptions::default())?;
        self.tell(ops, done.seq());
        Ok(vec![None; ops.len()])
    }

    /// A branch of the branch, on which every operation is a commit, merged back.
    fn merge(&mut self, ops: &[TxnOp]) -> Result<Reads, Error> {
        let shared = Arc::clone(&self.shared);
        let target = branch_of(key_of(ops[0]));
        self.made += 1;
        let name = format!("work/{}/{}", self.number, self.made);
        let side = shared.store.create_branch(&name, target, BranchOptions::default())?;
        let mut reads = Vec::new();
        for &op in ops {
            self.pause();
            let key = stored(key_of(op));
            match op {
                TxnOp::Read(_) => reads.push(Some(numbers(side.get(&key)?))),
                TxnOp::Append(_, number) => {
                    side.put(key.clone(), appended(side.get(&key)?, number))?;
                    reads.push(None);
                }
                TxnOp::Write(_, number) => {
                    side.put(key, number.to_string())?;
                    reads.push(None);
                }
            }
        }
        let options = MergeOptions::default().strategy(Strategy::FastForward);
        let report = shared.store.merge(target, &name, options);
        shared.store.delete_branch(&name, DeleteOptions::default().force(true))?;
        let report = report?;
        if report.outcome == MergeOutcome::Conflicts {
            return Err(Error::new(ErrorKind::Conflict, "the merge has conflicts"));
        }
        self.tell(ops, Some(report.head));
        Ok(reads)
    }

    /// Each operation by itself; some that are called failed have been done.
    fn apart(&mut self, ops: &[TxnOp]) -> Result<Option<Reads>, Error> {
        let shared = Arc::clone(&self.shared);
        let mut reads = Vec::new();
        for &op in ops {
            self.pause();
            let (branch, key) = (shared.store.branch(branch_of(key_of(op)))?, stored(key_of(op)));
            reads.push(match op {
                TxnOp::Read(_) => Some(numbers(branch.get(&key)?)),
                TxnOp::Write(_, number) => branch.put(key, number.to_string()).map(|_| None)?,
                TxnOp::Append(_, number) => {
                    shared.store.run(branch.name().as_str(), CommitOptions::default(), |tx| {
                        let now = tx.get(&key)?;
                        tx.put(key.clone(), appended(now, number))
                    })?;
                    None
                }
            });
        }
        Ok((self.rng.u8(0..20) > 0).then_some(reads))
    }

    /// Remembers at which sequence the values were written.
    fn tell(&self, ops: &[TxnOp], seq: Option<Seq>) {
        let Some(seq) = seq else { return };
        let mut told = self.shared.told.lock().expect("nobody panics with it");
        for &op in ops {
            if let TxnOp::Append(key, number) | TxnOp::Write(key, number) = op {
                told.insert((key, number), i64::try_from(seq.get()).expect("few commits"));
            }
        }
    }

    /// Something that changes no key of the history, but moves a branch, or makes work for it.
    fn chore(&mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let target = BRANCHES[self.rng.usize(0..BRANCHES.len())];
        self.made += 1;
        let name = format!("chore-{}-{}", self.number, self.made);
        match self.rng.u8(0..4) {
            0 => {
                shared.store.create_tag(&name, target, TagOptions::default())?;
            }
            1 => shared.store.compact_overlays(target)?,
            _ => {
                let side = shared.store.create_branch(&name, target, BranchOptions::default())?;
                side.put(format!("noise/{name}"), "1")?;
                self.pause();
                shared.store.merge(target, &name, MergeOptions::default())?;
                shared.store.delete_branch(&name, DeleteOptions::default().force(true))?;
            }
        }
        Ok(())
    }
}
