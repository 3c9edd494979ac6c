//! What a commit is asked for: writes on one or several branches, and what they rest on.

use super::reads::ReadSet;
use super::{CommitOptions, StateRows};
use crate::engine::Transaction;
use crate::error::Result;
use crate::graph::Place;
use crate::id::{LineId, Seq};
use crate::kv::Write;
use crate::name::BranchName;
use crate::view::Found;

/// Commits to make together: all of them, or none.
#[derive(Default)]
pub(crate) struct Request<'t> {
    /// One for each branch.
    pub(crate) parts: Vec<Part>,
    pub(crate) options: CommitOptions,
    /// RocksDB's side of the transaction: it tracks what the parts have looked at in order to write.
    pub(crate) tracked: Option<Transaction<'t>>,
    /// Messages of the outbox: topic and payload. A commit is made for them, if nothing changes.
    pub(crate) messages: Vec<(String, Vec<u8>)>,
    /// More rows for the same write.
    pub(crate) attached: Vec<Attached<'t>>,
    /// The prepared transaction that these are the commits of: what it holds is free afterwards.
    pub(crate) ends: Option<&'t str>,
}

/// Makes rows that go into the write of a commit, under the commit lock, from the sequences of the
/// commits that are made. If it fails, nothing is written.
pub(crate) type Attached<'t> = Box<dyn FnOnce(&[Seq]) -> Result<StateRows> + Send + 't>;

/// What becomes one commit of one branch.
pub(crate) struct Part {
    pub(crate) branch: BranchName,
    /// By key.
    pub(crate) writes: Vec<(Vec<u8>, Write)>,
    /// What a transaction saw; absent for writes that rest on nothing.
    pub(crate) seen: Option<Seen>,
}

/// What a transaction saw of a branch.
pub(crate) struct Seen {
    /// The branch's newest commit when it began.
    pub(crate) at: Place,
    /// The branch's line then.
    pub(crate) line: LineId,
    /// If given, nothing at all may have been committed to the branch since, whatever the keys, and no purge
    /// may have begun or ended since this turn.
    pub(crate) unmoved: Option<u64>,
    /// Whether the writes fail if another commit came first; else the last one to commit wins.
    pub(crate) first_wins: bool,
    /// What each key that is written was when it was tracked, in the order of the writes; nothing if
    /// they were not.
    pub(crate) rows: Vec<Option<Found<'static>>>,
    /// Keys that were read for update: by what they rest on, then by key.
    pub(crate) locked: Vec<Locked>,
    /// What was read, if it has to be as it was.
    pub(crate) reads: ReadSet,
}

/// A key that was read for update.
pub(crate) struct Locked {
    pub(crate) key: Vec<u8>,
    /// The branch's newest commit as of which it was read.
    pub(crate) base: Place,
    /// What it was when it was tracked.
    pub(crate) row: Option<Found<'static>>,
}

/// Rows of written keys and of keys read for update, as they were tracked.
pub(super) type TrackedRows = (Vec<Option<Found<'static>>>, Vec<Option<Found<'static>>>);

impl Part {
    pub(super) fn take_rows(&mut self) -> Option<TrackedRows> {
        let seen = self.seen.as_mut()?;
        let locked = seen.locked.iter_mut().map(|locked| locked.row.take()).collect();
        Some((std::mem::take(&mut seen.rows), locked))
    }

    /// Whether it writes nothing, and rests on nothing.
    pub(super) fn is_idle(&self) -> bool {
        let rests = |seen: &Seen| !seen.locked.is_empty() || !seen.reads.is_empty();
        self.writes.is_empty() && !self.seen.as_ref().is_some_and(rests)
    }

    pub(super) fn locked(&self) -> &[Locked] {
        self.seen.as_ref().map_or(&[], |seen| &seen.locked)
    }

    pub(super) fn keys(&self) -> Vec<&[u8]> {
        self.writes.iter().map(|(key, _)| key.as_slice()).collect()
    }
}
