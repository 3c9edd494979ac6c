//! Transactions: a view of the branch's head when it began, with the transaction's own writes over it.
//!
//! What is written is tracked by a RocksDB optimistic transaction, begun with the first write; the
//! commit goes through it. The values themselves wait here until then: a stored row holds its commit's
//! sequence, which is given at the commit only, so rows in RocksDB's buffer would be written twice.

mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use retry::run;

use crate::engine::Transaction;
use crate::error::Result;
use crate::format::{Family, keys};
use crate::graph::{Graph, Place};
use crate::id::LineId;
use crate::kv::{Direction, KeyRange, Write, check_key, check_value};
use crate::name::BranchName;
use crate::publish::{CommitOptions, Committed, Publisher, Seen};
use crate::view::{Found, Layers, Own, Read, Scan, Scanner, View, find, get, head_of};

/// An open transaction on one branch, at snapshot isolation.
///
/// Reads see the branch as it was when the transaction began, and the transaction's own writes, in
/// gets, scans and counts. First committer wins: [`commit`](Self::commit) fails if a key that it
/// writes was changed on the branch since it began. Dropping it rolls it back.
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
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = withy::Store::open(dir.path()).unwrap();
/// let tx = store.begin("main").unwrap();
/// tx.rollback();
/// tx.commit(withy::CommitOptions::default()).unwrap();
/// ```
#[must_use = "a transaction does nothing until it is committed"]
pub struct Txn<'s> {
    publisher: &'s Arc<Publisher>,
    branch: BranchName,
    line: LineId,
    graph: &'s Arc<Graph>,
    at: Place,
    layers: Layers,
    own: Own,
    /// What each key that it writes was when it was tracked.
    replaced: BTreeMap<Vec<u8>, Option<Found<'static>>>,
    tracked: Option<Transaction<'s>>,
    unmoved: bool,
}

impl<'s> Txn<'s> {
    pub(crate) fn new(
        publisher: &'s Arc<Publisher>,
        branch: BranchName,
        line: LineId,
    ) -> Result<Self> {
        let graph = publisher.graph();
        let (at, layers) = head_of(graph, line)?;
        let (own, replaced) = (Own::new(), BTreeMap::new());
        Ok(Self {
            publisher,
            branch,
            line,
            graph,
            at,
            layers,
            own,
            replaced,
            tracked: None,
            unmoved: false,
        })
    }

    /// The branch it is on.
    #[must_use]
    pub fn branch(&self) -> &BranchName {
        &self.branch
    }

    /// The branch as it was when the transaction began.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be
    /// read.
    pub fn base(&self) -> Result<View> {
        View::new(self.graph, self.at)
    }

    /// Demands that nothing at all is committed to the branch before this: for changes that were made
    /// from the whole content of its base.
    pub(crate) fn demand_unmoved(&mut self) {
        self.unmoved = true;
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Limit`](crate::ErrorKind::Limit) if key or value is too long,
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is. The transaction stays as it was.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<()> {
        let value = value.into();
        check_value(&value)?;
        self.write(key.into(), Some(value))
    }

    /// Deletes a key; nothing happens if it is absent.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> Result<()> {
        self.write(key.into(), None)
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<()> {
        check_key(&key)?;
        if !self.own.contains_key(&key) {
            let tracked = match &self.tracked {
                Some(tracked) => tracked,
                None => self.tracked.insert(self.publisher.transaction()?),
            };
            let row =
                keys::with_head(self.line, &key, |stored| tracked.track(Family::Head, stored))?;
            let found = match row {
                Some(row) => Some(Found::copied_head(self.line, &row)),
                // Below its own line nothing changes any more.
                None => {
                    let below = &self.graph.line(self.line)?.layers;
                    find(self.graph.engine(), below, &key)?.map(Found::into_copied)
                }
            };
            self.replaced.insert(key.clone(), found);
        }
        self.own.insert(key, value);
        Ok(())
    }

    /// How many keys it writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Makes its writes one commit.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict), naming the keys, if another commit changed one of
    /// them on this branch since the transaction began; nothing is written, and the transaction can be
    /// run again. [`Io`](crate::ErrorKind::Io) or
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the write failed: open the store again
    /// and look whether the commit is there.
    pub fn commit(self, options: CommitOptions) -> Result<Committed> {
        let writes = self
            .own
            .into_iter()
            .map(|(key, value)| (key, Write { value, expects: Vec::new() }))
            .collect();
        let rows = self.replaced.into_values().collect();
        let (at, line, unmoved) = (self.at, self.line, self.unmoved);
        let seen = Seen { at, line, unmoved, rows, tracked: self.tracked };
        self.publisher.commit(&self.branch, &writes, options, Some(seen))
    }

    /// Ends it without a trace; dropping it does the same.
    pub fn rollback(self) {}

    fn scanner(&self, range: &KeyRange, direction: Direction) -> Scanner<'_> {
        Scanner::new(self.graph.engine(), &self.layers, range, direction, Some(&self.own))
    }
}

impl Read for Txn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.own.get(key) {
            Some(value) => Ok(value.clone()),
            None => get(self.graph.engine(), &self.layers, key),
        }
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>> {
        Ok(Scan::new(self.scanner(range, direction)))
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.scanner(range, Direction::Forward).count()
    }
}
