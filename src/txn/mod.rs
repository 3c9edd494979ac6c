//! Transactions: views of branches as they were when it began, with its own writes over them.
//!
//! What is written is tracked by a RocksDB optimistic transaction, begun with the first write. The
//! values themselves wait here until the commit: a stored row holds its commit's sequence, which is
//! given then, so rows in RocksDB's buffer would be written twice.

mod branch;
mod buffer;
mod extras;
mod options;
mod prepare;
mod reads;
mod retry;
mod savepoints;

use std::sync::Arc;

pub use branch::TxnBranch;
pub use options::{Isolation, TxnOptions};
pub(crate) use retry::run;
pub use savepoints::Scope;

use crate::engine::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::kv::{Direction, KeyRange, check_key, check_value};
use crate::locks::{LockSession, LockTable};
use crate::name::BranchName;
use crate::publish::{
    Attached, CommitOptions, Committed, Limits, Part, Publisher, Request, StateRows, Timer,
};
use crate::view::{Read, Scan, View};
use buffer::{Buffer, open_buffer, open_first};
use options::{Used, check_time};
use savepoints::Savepoints;

/// An open transaction, on one branch or several.
///
/// At the default level, [`Isolation::Snapshot`], reads see the branch as it was when the transaction
/// began, and the transaction's own writes, in gets, scans and counts. First committer wins:
/// [`commit`](Self::commit) fails if a key that it writes was changed on the branch since it began.
/// Dropping it rolls it back.
///
/// It reads and writes the branch it was begun on; [`on`](Self::on) gives it others. All of it is
/// committed, or nothing.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{CommitOptions, Read};
/// let mut tx = store.begin("main")?;
/// tx.put("pear", "green")?;
/// assert_eq!(tx.get(b"pear")?.as_deref(), Some(&b"green"[..]));
/// assert_eq!(store.main()?.get(b"pear")?, None);
/// tx.commit(CommitOptions::default())?;
/// assert!(store.main()?.contains(b"pear")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// A finished transaction cannot be used:
/// ```compile_fail
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let tx = store.begin("main")?;
/// tx.rollback();
/// tx.commit(withy::CommitOptions::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a transaction does nothing until it is committed"]
pub struct Txn<'s> {
    publisher: &'s Arc<Publisher>,
    isolation: Isolation,
    limits: Limits,
    /// The newest commit of the store when it began, and the epoch of the refs.
    began: (Seq, u64),
    first: Buffer,
    others: Vec<Buffer>,
    tracked: Option<Transaction<'s>>,
    points: Savepoints,
    used: Used,
    messages: Vec<(String, Vec<u8>)>,
    compensations: Vec<(String, Vec<u8>)>,
    in_saga: bool,
    attached: Vec<Attached<'s>>,
    table: &'s Arc<LockTable>,
    /// It owns locks, once it has asked for one.
    locks: Option<LockSession>,
    /// The turn of purges as of which nothing at all may come before it.
    unmoved: Option<u64>,
    timer: Timer<'s>,
}

impl<'s> Txn<'s> {
    pub(crate) fn new(
        publisher: &'s Arc<Publisher>,
        table: &'s Arc<LockTable>,
        branch: BranchName,
        options: TxnOptions,
    ) -> Result<Self> {
        let limits = options.limits(publisher.limits());
        let timer = publisher.counters().open(limits.active)?;
        let (began, first) = match open_first(publisher, &branch, options.isolation) {
            Ok(opened) => opened,
            Err(e) => {
                timer.never_began();
                return Err(e);
            }
        };
        Ok(Self {
            publisher,
            isolation: options.isolation,
            limits,
            began,
            first,
            others: Vec::new(),
            tracked: None,
            points: Savepoints::default(),
            used: Used::default(),
            messages: Vec::new(),
            compensations: Vec::new(),
            in_saga: false,
            attached: Vec::new(),
            table,
            locks: None,
            unmoved: None,
            timer,
        })
    }

    /// The branch it was begun on.
    #[must_use]
    pub fn branch(&self) -> &BranchName {
        &self.first.branch
    }

    /// How it sees others.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The branch as it was when the transaction began.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be
    /// read.
    pub fn base(&self) -> Result<View> {
        View::new(self.publisher.graph(), self.first.at)
    }

    /// Demands that nothing at all is committed to the branch before this, and nothing is purged: for
    /// changes that were made from the whole content of its base, and of other commits.
    pub(crate) fn demand_unmoved(&mut self) {
        self.unmoved = Some(self.publisher.graph().purge_turn());
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Limit`](crate::ErrorKind::Limit) if key or value is too long, or a limit of the transaction is
    /// reached; [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is. The transaction stays as it was.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<()> {
        self.write(0, key.into(), Some(value.into()))
    }

    /// Deletes a key; nothing happens if it is absent.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> Result<()> {
        self.write(0, key.into(), None)
    }

    /// Reads a key that the transaction rests on: the commit fails if another commit changes it, as if
    /// it were written here, even if nothing is written at all. At level `ReadCommitted` it must stay as
    /// it is read now, and is given as such when it is read for update again.
    ///
    /// # Errors
    /// As for [`put`](Self::put), and [`Io`](crate::ErrorKind::Io) or
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// # store.main()?.put("price", "3")?;
    /// use withy::{CommitOptions, ErrorKind};
    /// let mut tx = store.begin("main")?;
    /// let price = tx.get_for_update(b"price")?.expect("there is one");
    /// tx.put("bill", price)?;
    /// store.main()?.put("price", "4")?;
    /// let lost = tx.commit(CommitOptions::default()).expect_err("the bill would be wrong");
    /// assert_eq!(lost.keys(), [b"price"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_for_update(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read_for_update(0, key)
    }

    /// The same transaction on another branch, which it sees as it was when the transaction began.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such branch; [`Conflict`](ErrorKind::Conflict)
    /// if it was made or moved since the transaction began.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{BranchOptions, CommitOptions, Read};
    /// let audit = store.create_branch("audit", "main", BranchOptions::default())?;
    /// let mut tx = store.begin("main")?;
    /// tx.put("pear", "green")?;
    /// tx.on("audit")?.put("1", "ann added pear")?;
    /// tx.commit(CommitOptions::default())?;
    /// assert!(store.main()?.contains(b"pear")? && audit.contains(b"1")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(&mut self, branch: &str) -> Result<TxnBranch<'_, 's>> {
        if self.first.branch.as_str() == branch {
            return Ok(TxnBranch::new(self, 0));
        }
        let known = self.others.iter().position(|buffer| buffer.branch.as_str() == branch);
        if let Some(at) = known {
            return Ok(TxnBranch::new(self, at + 1));
        }
        let name = BranchName::new(branch)?;
        let (began, epoch) = self.began;
        let opened = open_buffer(self.publisher, &name, began, self.isolation)?;
        // Looked at after the branch was: what moved it before that is found.
        let moved = self.isolation != Isolation::ReadCommitted
            && self.publisher.refs().moved_since(epoch, branch);
        let Some(buffer) = opened.filter(|_| !moved) else {
            let text = format!("{branch} was made or moved since the transaction began");
            return Err(Error::new(ErrorKind::Conflict, text).with_hint("run it again"));
        };
        self.others.push(buffer);
        let last = self.others.len();
        Ok(TxnBranch::new(self, last))
    }

    fn buffer(&self, index: usize) -> &Buffer {
        match index.checked_sub(1) {
            None => &self.first,
            Some(other) => &self.others[other],
        }
    }

    fn buffer_mut(&mut self, index: usize) -> &mut Buffer {
        match index.checked_sub(1) {
            None => &mut self.first,
            Some(other) => &mut self.others[other],
        }
    }

    /// Refuses once the time is over.
    fn check_time(&self) -> Result<()> {
        match self.limits.time {
            None => Ok(()),
            Some(_) => check_time(self.timer.elapsed(), &self.limits),
        }
    }

    /// Refuses a read once the time is over, or what was read takes more than is allowed.
    fn check_read(&self) -> Result<()> {
        self.check_time()?;
        match (self.isolation, self.limits.bytes) {
            (Isolation::Serializable, Some(_)) => self.check_used(self.used),
            _ => Ok(()),
        }
    }

    /// Refuses what would take more than is allowed.
    fn check_used(&self, used: Used) -> Result<()> {
        let reads: u64 = match self.isolation {
            Isolation::Serializable if self.limits.bytes.is_some() => {
                self.first.read_bytes() + self.others.iter().map(Buffer::read_bytes).sum::<u64>()
            }
            _ => 0,
        };
        let bytes = used.bytes + self.points.kept_bytes() + reads;
        Used { bytes, ..used }.check(&self.limits)
    }

    fn write(&mut self, index: usize, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<()> {
        check_key(&key)?;
        check_value(value.as_deref().unwrap_or_default())?;
        self.check_time()?;
        let buffer = self.buffer(index);
        let len = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len) as u64;
        let replaced = buffer.own.get(&key);
        let mut used = self.used;
        used.operations += 1;
        used.bytes += len(&value);
        match replaced {
            Some(old) => used.bytes -= len(old),
            None => used.bytes += key.len() as u64,
        }
        self.check_used(used)?;
        if replaced.is_none() && buffer.tracks_writes() {
            self.track(index, &key)?;
        }
        let noting = self.points.any();
        let noted = noting.then(|| key.clone());
        let before = self.buffer_mut(index).own.insert(key, value);
        if let Some(key) = noted {
            self.points.note_write(index, &key, before);
        }
        self.used = used;
        Ok(())
    }

    /// Sees to it that RocksDB tracks a key.
    fn track(&mut self, index: usize, key: &[u8]) -> Result<()> {
        if self.buffer(index).tracked.contains_key(key) {
            return Ok(());
        }
        let transaction = match &self.tracked {
            Some(transaction) => transaction,
            None => self.tracked.insert(self.publisher.transaction()?),
        };
        let graph = self.publisher.graph();
        let buffer = match index.checked_sub(1) {
            None => &mut self.first,
            Some(other) => &mut self.others[other],
        };
        let tracked = buffer.track(graph, transaction, key)?;
        buffer.tracked.insert(key.to_vec(), tracked);
        self.points.note_tracked(index, key);
        Ok(())
    }

    fn read_for_update(&mut self, index: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.check_time()?;
        check_key(key)?;
        let publisher = self.publisher;
        self.buffer_mut(index).follow(publisher)?;
        self.track(index, key)?;
        let buffer = self.buffer_mut(index);
        let mut locked = true;
        if let Some(tracked) = buffer.tracked.get_mut(key) {
            locked = std::mem::replace(&mut tracked.locked, true);
        }
        if !locked {
            self.points.note_locked(index, key);
        }
        let buffer = self.buffer(index);
        match (buffer.own.get(key), buffer.tracked.get(key)) {
            (None, Some(tracked)) if self.isolation == Isolation::ReadCommitted => {
                Buffer::value(publisher.graph().engine(), tracked)
            }
            _ => buffer.get(publisher, key),
        }
    }

    /// How many keys it writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first.own.len() + self.others.iter().map(|buffer| buffer.own.len()).sum::<usize>()
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many puts and deletions were made, those aside that were rolled back.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.used.operations
    }

    /// Adds rows to the write of the commit. They are made under the commit lock, from the sequences
    /// of the commits that it makes; if that fails, nothing is written.
    pub(crate) fn attach(&mut self, rows: impl FnOnce(&[Seq]) -> Result<StateRows> + Send + 's) {
        self.attached.push(Box::new(rows));
    }

    /// Makes its writes durable: one commit on each branch that it changes, all of them or none. The
    /// newest of them is returned.
    ///
    /// Cost: what it writes, and at level `Serializable` the changes that others committed since it
    /// began.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict), naming the keys, if another commit changed a key that
    /// it rests on since the transaction began: one that it writes (not at level `ReadCommitted`), has
    /// read for update, or at level `Serializable` has read. Nothing is written, and the transaction can
    /// be run again. [`Limit`](crate::ErrorKind::Limit) if its time is over,
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost) if a lock of it has lapsed: nothing is written.
    /// [`Io`](crate::ErrorKind::Io) or [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the write
    /// failed: open the store again and look whether the commits are there.
    pub fn commit(self, options: CommitOptions) -> Result<Committed> {
        let made = self.commit_parts(options)?.into_iter().map(|(_, done)| done);
        Ok(made.rev().find(|done| done.seq().is_some()).unwrap_or(Committed::Unchanged))
    }

    /// [`commit`](Self::commit); says of each branch that it wrote to what came of it.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub fn commit_each(self, options: CommitOptions) -> Result<Vec<(BranchName, Committed)>> {
        self.commit_parts(options)
    }

    fn commit_parts(self, options: CommitOptions) -> Result<Vec<(BranchName, Committed)>> {
        let publisher = self.publisher;
        let (request, timer) = self.into_request(options)?;
        let wrote = |part: &Part| (part.branch.clone(), !part.writes.is_empty());
        let parts: Vec<_> = request.parts.iter().map(wrote).collect();
        let done = publisher.commit(request);
        timer.end(&done);
        let all = parts.into_iter().zip(done?);
        let told = all.filter(|((_, wrote), done)| *wrote || done.seq().is_some());
        Ok(told.map(|((branch, _), done)| (branch, done)).collect())
    }

    /// What is to be committed, and the clock that is stopped then.
    fn into_request(self, mut options: CommitOptions) -> Result<(Request<'s>, Timer<'s>)> {
        self.check_time()?;
        if let Some(locks) = self.locks {
            // They are let go of with the options, when the commit is visible.
            options = options.gate(Arc::new(move || Ok(Box::new(locks.pin()?))));
        }
        // A branch on which nothing was done is left alone, even if it is gone; an empty commit would be
        // one of the first branch.
        let first = options.allow_empty || !self.messages.is_empty() || !self.first.is_idle();
        let mut parts = Vec::with_capacity(1 + self.others.len());
        parts.extend(first.then(|| self.first.into_part(self.unmoved)));
        let others = self.others.into_iter().filter(|buffer| !buffer.is_idle());
        parts.extend(others.map(|buffer| buffer.into_part(None)));
        let (tracked, messages, attached) = (self.tracked, self.messages, self.attached);
        let request = Request { parts, options, tracked, messages, attached, ends: None };
        Ok((request, self.timer))
    }

    /// Ends it without a trace; dropping it does the same.
    pub fn rollback(self) {}
}

impl Read for Txn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.check_read()?;
        self.first.get(self.publisher, key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>> {
        self.check_read()?;
        self.first.scan(self.publisher, range, direction)
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.check_read()?;
        self.first.multi_get(self.publisher, keys)
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.check_read()?;
        self.first.count(self.publisher, range)
    }
}
