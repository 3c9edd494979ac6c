//! One branch's part of a transaction: what it sees of the branch, and what it writes to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Isolation;
use super::reads::ReadLog;
use crate::engine::{Engine, Transaction};
use crate::error::Result;
use crate::format::{Family, keys};
use crate::graph::{Graph, Keep, Place, Reader};
use crate::id::{LineId, Seq};
use crate::kv::{Direction, KeyRange, Write};
use crate::name::BranchName;
use crate::publish::{Locked, Part, Publisher, Seen};
use crate::view::{
    Found, Layers, Own, Scan, Scanner, find, get, head_of, layers_at, sorted_multi_get,
};

/// A key that RocksDB tracks for a transaction.
pub(super) struct Tracked {
    /// What it was then.
    pub(super) row: Option<Found<'static>>,
    /// The branch's newest commit that the transaction rests on as to this key.
    pub(super) base: Place,
    /// Whether it was read for update.
    pub(super) locked: bool,
}

/// What a transaction sees of a branch and writes to it.
pub(super) struct Buffer {
    pub(super) branch: BranchName,
    pub(super) line: LineId,
    pub(super) at: Place,
    layers: Layers,
    /// What it reads, and what came after, is not let go while it is open.
    _keep: Keep,
    pub(super) own: Own,
    pub(super) tracked: BTreeMap<Vec<u8>, Tracked>,
    /// At level `Serializable`: what was read.
    reads: Option<Box<Mutex<ReadLog>>>,
    /// At level `ReadCommitted`: each read looks at the newest state.
    follows: bool,
}

impl Buffer {
    pub(super) fn new(
        branch: BranchName,
        (line, at): (LineId, Place),
        (keep, layers): (Keep, Layers),
        isolation: Isolation,
    ) -> Self {
        let serializable = isolation == Isolation::Serializable;
        Self {
            branch,
            line,
            at,
            layers,
            _keep: keep,
            own: Own::new(),
            tracked: BTreeMap::new(),
            reads: serializable.then(Box::default),
            follows: isolation == Isolation::ReadCommitted,
        }
    }

    /// The line that reads go to: as of the snapshot, or as of now.
    fn line_now(&self, publisher: &Publisher) -> Result<LineId> {
        match self.follows {
            true => Ok(LineId::new(publisher.refs().branch(self.branch.as_str())?.line)),
            false => Ok(self.line),
        }
    }

    /// What a get reads through.
    fn layers(&self, publisher: &Publisher) -> Result<Layers> {
        if !self.follows {
            return Ok(Layers::clone(&self.layers));
        }
        // All rows of the line, whatever the sequence: one get sees one committed state.
        layers_at(publisher.graph(), Place { line: self.line_now(publisher)?, seq: Seq::MAX }, 1)
    }

    pub(super) fn get(&self, publisher: &Publisher, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.own.get(key) {
            return Ok(value.clone());
        }
        if let Some(reads) = &self.reads {
            reads.lock().unwrap_or_else(PoisonError::into_inner).add_key(key);
        }
        let engine = publisher.graph().engine();
        match self.follows {
            true => get(engine, &self.layers(publisher)?, key),
            false => get(engine, &self.layers, key),
        }
    }

    /// The values of several keys, all of one moment.
    pub(super) fn multi_get(
        &self,
        publisher: &Publisher,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let unwritten: Vec<&[u8]> =
            keys.iter().copied().filter(|key| !self.own.contains_key(*key)).collect();
        if let Some(reads) = &self.reads {
            let mut reads = reads.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.iter().for_each(|key| reads.add_key(key));
        }
        let layers = self.layers_at_once(publisher)?;
        let read = sorted_multi_get(publisher.graph().engine(), &layers, &unwritten)?;
        let mut read = read.into_iter();
        let value = |key: &&[u8]| match self.own.get(*key) {
            Some(value) => value.clone(),
            None => read.next().flatten(),
        };
        Ok(keys.iter().map(value).collect())
    }

    pub(super) fn scan<'t>(
        &'t self,
        publisher: &'t Publisher,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<Scan<'t>> {
        let scanner = self.scanner(publisher, range, direction)?;
        Ok(match &self.reads {
            Some(reads) => Scan::watched(scanner, ReadLog::watch(reads, range, direction)),
            None => Scan::new(scanner),
        })
    }

    pub(super) fn count(&self, publisher: &Publisher, range: &KeyRange) -> Result<u64> {
        if let Some(reads) = &self.reads {
            reads.lock().unwrap_or_else(PoisonError::into_inner).add_range(range);
        }
        self.scanner(publisher, range, Direction::Forward)?.count()
    }

    fn scanner<'t>(
        &'t self,
        publisher: &'t Publisher,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<Scanner<'t>> {
        let engine = publisher.graph().engine();
        let layers = self.layers_at_once(publisher)?;
        Ok(Scanner::new(engine, &layers, range, direction, Some(&self.own)))
    }

    /// What several rows are read through that have to be of one moment.
    fn layers_at_once(&self, publisher: &Publisher) -> Result<Layers> {
        match self.follows {
            true => Ok(head_of(publisher.graph(), self.line_now(publisher)?)?.1),
            false => Ok(Layers::clone(&self.layers)),
        }
    }

    /// Memory that the record of reads takes, about.
    pub(super) fn read_bytes(&self) -> u64 {
        let reads = self.reads.as_ref();
        reads.map_or(0, |reads| reads.lock().unwrap_or_else(PoisonError::into_inner).bytes() as u64)
    }

    /// Whether writes to it are tracked, so that the first one to commit wins.
    pub(super) fn tracks_writes(&self) -> bool {
        !self.follows
    }

    /// Has RocksDB track a key, and keeps what it is.
    pub(super) fn track(
        &self,
        graph: &Graph,
        transaction: &Transaction<'_>,
        key: &[u8],
    ) -> Result<Tracked> {
        let (line, mut base) = (self.line, self.at);
        if self.follows {
            base = head_of(graph, line)?.0;
        }
        let row = self.read_tracked(graph, transaction, key)?;
        if self.follows
            && let Some(row) = &row
        {
            // A commit may have come between the look at the head and the look at the row.
            let written = row.written_at(graph)?;
            if written > base.seq {
                base = Place { line, seq: written };
            }
        }
        Ok(Tracked { row, base, locked: false })
    }

    fn read_tracked(
        &self,
        graph: &Graph,
        transaction: &Transaction<'_>,
        key: &[u8],
    ) -> Result<Option<Found<'static>>> {
        let row =
            keys::with_head(self.line, key, |stored| transaction.track(Family::Head, stored))?;
        if let Some(row) = row {
            return Ok(Some(Found::copied_head(self.line, &row)));
        }
        // Below its own line nothing changes any more.
        let below = &graph.line(self.line)?.layers;
        Ok(find(graph.engine(), below, key)?.map(Found::into_copied))
    }

    /// Goes on where the branch is now, if the transaction follows it and has not tied itself down.
    pub(super) fn follow(&mut self, publisher: &Publisher) -> Result<()> {
        let line = self.line_now(publisher)?;
        if line != self.line && self.tracked.is_empty() {
            let (at, layers) = head_of(publisher.graph(), line)?;
            (self.line, self.at, self.layers) = (line, at, layers);
        }
        Ok(())
    }

    /// The value that a tracked row holds.
    pub(super) fn value(engine: &Engine, tracked: &Tracked) -> Result<Option<Vec<u8>>> {
        match &tracked.row {
            Some(row) => crate::view::value_of(engine, &row.read()?.1),
            None => Ok(None),
        }
    }

    /// Whether a commit need not look at it.
    pub(super) fn is_idle(&self) -> bool {
        let unread = self
            .reads
            .as_ref()
            .is_none_or(|reads| reads.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        self.own.is_empty() && self.tracked.is_empty() && unread
    }

    /// What is to be committed of it.
    pub(super) fn into_part(self, unmoved: Option<u64>) -> Part {
        let mut tracked = self.tracked;
        let mut rows = Vec::new();
        let mut writes = Vec::with_capacity(self.own.len());
        let mut locked = Vec::new();
        for (key, value) in self.own {
            if let Some(tracked) = tracked.remove(&key) {
                if self.follows {
                    // The write itself is not checked, what it was made from is.
                    let row = tracked.row;
                    locked.push(Locked { key: key.clone(), base: tracked.base, row });
                } else {
                    rows.push(tracked.row);
                }
            }
            writes.push((key, Write { value, expects: Vec::new() }));
        }
        let rest = tracked.into_iter().filter(|(_, tracked)| tracked.locked);
        locked.extend(rest.map(|(key, Tracked { row, base, .. })| Locked { key, base, row }));
        // Keys that rest on the same commit stand together, and are sorted among themselves.
        locked.sort_by(|a, b| (a.base, &a.key).cmp(&(b.base, &b.key)));
        let reads = self
            .reads
            .map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner).into_set());
        let seen = Seen {
            at: self.at,
            line: self.line,
            unmoved,
            first_wins: !self.follows,
            rows,
            locked,
            reads: reads.unwrap_or_default(),
        };
        Part { branch: self.branch, writes, seen: Some(seen) }
    }
}

/// The moment as of which a transaction sees everything, and what it sees of its first branch: the newest
/// commit of the store, and the epoch of the refs.
pub(super) fn open_first(
    publisher: &Publisher,
    branch: &BranchName,
    isolation: Isolation,
) -> Result<((Seq, u64), Buffer)> {
    loop {
        // In this order: a ref that moves in between is found to have moved since.
        let epoch = publisher.refs().epoch();
        let began = publisher.visible();
        let first = open_buffer(publisher, branch, began, isolation)?;
        // A branch that was moved meanwhile is not what it was as of `began`.
        let moved = publisher.refs().moved_since(epoch, branch.as_str());
        if let Some(first) = first.filter(|_| !moved) {
            return Ok(((began, epoch), first));
        }
    }
}

/// What a transaction sees of a branch: its newest commit that belongs to the snapshot. `None` if the
/// branch started after that.
pub(super) fn open_buffer(
    publisher: &Publisher,
    branch: &BranchName,
    began: Seq,
    isolation: Isolation,
) -> Result<Option<Buffer>> {
    let graph = publisher.graph();
    let find = || {
        let line = LineId::new(publisher.refs().branch(branch.as_str())?.line);
        let (mut at, mut layers) = head_of(graph, line)?;
        let mut is_later = false;
        if at.seq > began && isolation != Isolation::ReadCommitted {
            // A commit came since.
            is_later = graph.line(line)?.fork.is_some_and(|fork| fork.seq > began);
            at = graph.at_or_before(line, began)?;
            layers = layers_at(graph, at, graph.header(at.seq)?.rows)?;
        }
        let reader = Reader { place: at, layers: Layers::clone(&layers), since: Some(began) };
        Ok((reader, (!is_later).then_some((line, at, layers))))
    };
    let (keep, found) = graph.keep(find)?;
    let buffer =
        |(line, at, layers)| Buffer::new(branch.clone(), (line, at), (keep, layers), isolation);
    Ok(found.map(buffer))
}
