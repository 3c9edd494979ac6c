//! Savepoints: what was written since each of them, so that it can be taken back.
//!
//! RocksDB keeps the tracked keys on its own stack of savepoints. Its C interface has no release, so a
//! released savepoint stays on that stack until one below it is rolled back to, or a new one takes its place.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::locks::LockMark;
use crate::txn::options::Used;

/// One step to take back.
pub(in crate::txn) enum Undo {
    /// A key of a buffer was written; what the transaction had for it before.
    Write { buffer: usize, key: Vec<u8>, before: Option<Option<Vec<u8>>> },
    /// A key of a buffer became tracked.
    Track { buffer: usize, key: Vec<u8> },
    /// A tracked key was read for update.
    Lock { buffer: usize, key: Vec<u8> },
}

impl Undo {
    /// Bytes of keys and values that it keeps for a write.
    fn bytes(&self) -> u64 {
        match self {
            Self::Write { key, before, .. } => {
                let value = before.iter().flatten().map(Vec::len).sum::<usize>();
                (key.len() + value) as u64
            }
            Self::Track { .. } | Self::Lock { .. } => 0,
        }
    }
}

/// What there was when a savepoint was set.
#[derive(Clone, Copy, Default)]
pub(in crate::txn) struct Marks {
    pub(in crate::txn) used: Used,
    pub(in crate::txn) messages: usize,
    pub(in crate::txn) compensations: usize,
    pub(in crate::txn) attached: usize,
    /// None if the transaction had asked for no lock yet.
    pub(in crate::txn) locks: Option<LockMark>,
}

struct Point {
    id: u64,
    name: Option<String>,
    marks: Marks,
    /// How long the journal was.
    journal: usize,
    /// Its place on RocksDB's stack; none if RocksDB tracked nothing yet.
    rocks: Option<usize>,
}

/// A savepoint on RocksDB's stack.
struct RocksPoint {
    /// How many keys were tracked when it was set.
    tracked: u64,
    /// Whether a savepoint of ours still stands for it.
    live: bool,
}

/// The savepoints of a transaction, oldest first.
#[derive(Default)]
pub(in crate::txn) struct Savepoints {
    stack: Vec<Point>,
    names: BTreeMap<String, usize>,
    journal: Vec<Undo>,
    /// Bytes of keys and values in the journal.
    kept_bytes: u64,
    /// Keys in the journal since the newest savepoint: their first state counts.
    noted: BTreeSet<(usize, Vec<u8>)>,
    rocks: Vec<RocksPoint>,
    /// How many keys RocksDB was asked to track so far.
    tracked: u64,
    next_id: u64,
}

/// What has to be taken back, newest first.
pub(in crate::txn) struct TakenBack {
    pub(in crate::txn) marks: Marks,
    pub(in crate::txn) undo: Vec<Undo>,
    /// Whether RocksDB tracked nothing at all then.
    pub(in crate::txn) untracked: bool,
}

impl Savepoints {
    /// Sets one; without a name it belongs to a scope. Its id is returned.
    pub(in crate::txn) fn set(
        &mut self,
        name: Option<&str>,
        marks: Marks,
        transaction: Option<&Transaction<'_>>,
    ) -> Result<u64> {
        if let Some(name) = name {
            if name.is_empty() {
                return Err(Error::new(ErrorKind::Invalid, "a savepoint needs a name"));
            }
            if self.names.contains_key(name) {
                let text = format!("there is a savepoint {name:?} already");
                return Err(Error::new(ErrorKind::Exists, text)
                    .with_hint("release it or roll back to it first, or use another name"));
            }
            self.names.insert(name.to_owned(), self.stack.len());
        }
        let rocks = transaction.map(|transaction| self.set_rocks(transaction));
        self.noted.clear();
        self.next_id += 1;
        self.stack.push(Point {
            id: self.next_id,
            name: name.map(str::to_owned),
            marks,
            journal: self.journal.len(),
            rocks,
        });
        Ok(self.next_id)
    }

    fn set_rocks(&mut self, transaction: &Transaction<'_>) -> usize {
        match self.rocks.last_mut() {
            // A released one that says the same.
            Some(top) if !top.live && top.tracked == self.tracked => top.live = true,
            _ => {
                transaction.set_savepoint();
                self.rocks.push(RocksPoint { tracked: self.tracked, live: true });
            }
        }
        self.rocks.len() - 1
    }

    /// The names, in the order in which they were set.
    pub(in crate::txn) fn names(&self) -> impl Iterator<Item = &str> {
        self.stack.iter().filter_map(|point| point.name.as_deref())
    }

    /// Where a name stands.
    pub(in crate::txn) fn find(&self, name: &str) -> Result<usize> {
        self.names.get(name).copied().ok_or_else(|| {
            let error = Error::new(ErrorKind::NotFound, format!("no savepoint {name:?}"));
            let mut known = self.names().peekable();
            match known.peek() {
                None => error.with_hint("none is set"),
                Some(_) => {
                    error.with_hint(format!("set are {}", known.collect::<Vec<_>>().join(", ")))
                }
            }
        })
    }

    /// Where the savepoint with an id stands; none if it is gone.
    pub(in crate::txn) fn find_id(&self, id: u64) -> Option<usize> {
        self.stack.iter().rposition(|point| point.id == id)
    }

    /// Whether changes have to be noted.
    pub(in crate::txn) fn any(&self) -> bool {
        !self.stack.is_empty()
    }

    /// Says that a key is about to be written.
    pub(in crate::txn) fn note_write(
        &mut self,
        buffer: usize,
        key: &[u8],
        before: Option<Option<Vec<u8>>>,
    ) {
        if self.noted.insert((buffer, key.to_vec())) {
            let undo = Undo::Write { buffer, key: key.to_vec(), before };
            self.kept_bytes += undo.bytes();
            self.journal.push(undo);
        }
    }

    /// Bytes of keys and values that are kept to be put back.
    pub(in crate::txn) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// Says that RocksDB tracks one more key.
    pub(in crate::txn) fn note_tracked(&mut self, buffer: usize, key: &[u8]) {
        self.tracked += 1;
        if self.any() {
            self.journal.push(Undo::Track { buffer, key: key.to_vec() });
        }
    }

    /// Says that a tracked key is read for update from now on.
    pub(in crate::txn) fn note_locked(&mut self, buffer: usize, key: &[u8]) {
        if self.any() {
            self.journal.push(Undo::Lock { buffer, key: key.to_vec() });
        }
    }

    /// Removes a savepoint and all newer ones, and keeps what was done since.
    pub(in crate::txn) fn release(&mut self, at: usize) {
        for point in self.stack.drain(at..) {
            if let Some(name) = &point.name {
                self.names.remove(name);
            }
            if let Some(rocks) = point.rocks.and_then(|rocks| self.rocks.get_mut(rocks)) {
                rocks.live = false;
            }
        }
        self.noted.clear();
        if self.stack.is_empty() {
            self.journal.clear();
            self.kept_bytes = 0;
        }
    }

    /// Removes a savepoint and all newer ones; says what has to be taken back.
    pub(in crate::txn) fn roll_back(
        &mut self,
        at: usize,
        transaction: Option<&Transaction<'_>>,
    ) -> Result<TakenBack> {
        let (marks, journal, rocks) = {
            let point = &self.stack[at];
            (point.marks, point.journal, point.rocks)
        };
        match rocks {
            None => self.rocks.clear(),
            Some(rocks) => {
                while self.rocks.len() > rocks {
                    if let Some(transaction) = transaction {
                        transaction.rollback_to_savepoint()?;
                    }
                    self.rocks.pop();
                }
            }
        }
        let undo: Vec<Undo> = self.journal.drain(journal..).rev().collect();
        self.kept_bytes -= undo.iter().map(Undo::bytes).sum::<u64>();
        let untracked = undo.iter().filter(|undo| matches!(undo, Undo::Track { .. })).count();
        self.tracked -= untracked as u64;
        self.release(at);
        Ok(TakenBack { marks, undo, untracked: rocks.is_none() })
    }
}
