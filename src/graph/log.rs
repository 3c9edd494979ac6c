//! The commits that a commit reaches, newest first.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Commit, Graph};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::id::Seq;
use crate::kv::KeyRange;

/// Which commits a log shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFilter {
    pub(crate) range: Option<KeyRange>,
    pub(crate) author: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) limit: Option<usize>,
    pub(crate) first_parent: bool,
}

/// A stream of commits, newest first; see [`Store::log`](crate::Store::log).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// store.main()?.put("plum", "blue")?;
/// let seqs: Vec<u64> =
///     store.log("main", withy::LogOptions::default())?.map(|c| c.map(|c| c.seq.get())).collect::<Result<_, _>>()?;
/// assert_eq!(seqs, [2, 1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Log {
    graph: Arc<Graph>,
    /// What is reached and not shown yet; a child is always above its parents.
    next: BTreeSet<Seq>,
    filter: LogFilter,
    shown: usize,
}

impl Log {
    pub(crate) fn new(graph: Arc<Graph>, from: Seq, filter: LogFilter) -> Self {
        Self { graph, next: BTreeSet::from([from]), filter, shown: 0 }
    }

    fn admits(&self, commit: &Commit) -> Result<bool> {
        let filter = &self.filter;
        if filter.author.as_ref().is_some_and(|name| !commit.author.contains(name.as_str()))
            || filter.since.is_some_and(|since| commit.when() < since)
            || filter.until.is_some_and(|until| commit.when() > until)
        {
            return Ok(false);
        }
        let Some(range) = &filter.range else { return Ok(true) };
        let mut hit = ControlFlow::Continue(());
        self.graph.visit(
            commit.seq,
            |_| {},
            |change| {
                // A put of the very value that was purged has equal hashes.
                if range.contains(&change.key) && !change.decided {
                    hit = ControlFlow::Break(());
                }
            },
        )?;
        Ok(hit.is_break())
    }

    fn step(&mut self) -> Result<Option<Commit>> {
        while self.filter.limit.is_none_or(|limit| self.shown < limit) {
            let Some(seq) = self.next.pop_last() else { break };
            // What retention has let go ends the way there.
            let commit = match self.graph.commit(seq) {
                Err(e) if e.kind() == ErrorKind::HistoryGone => continue,
                found => found?,
            };
            let followed = if self.filter.first_parent { 1 } else { usize::MAX };
            self.next.extend(commit.parents.iter().take(followed).map(|parent| parent.seq));
            if self.admits(&commit)? {
                self.shown += 1;
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }
}

impl Iterator for Log {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Result<Commit>> {
        let step = self.step();
        if step.is_err() {
            self.next.clear();
        }
        step.transpose()
    }
}
