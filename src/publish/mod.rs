//! Writing: the only place that makes commits and moves refs, each in one atomic write under one lock.
//!
//! In order: take the lock, see that no earlier write failed, read what is replaced, check, give the
//! sequence, write unsynced, make it visible, let the lock go, and only then wait for the disk.

mod build;
mod bulk;
mod collect;
mod commit;
mod conflict;
mod counters;
mod expect;
mod fences;
mod held;
mod import;
mod init;
mod land;
mod layers;
mod moves;
mod options;
mod planned;
mod prepared;
mod reads;
mod request;
mod undo;
mod values;

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use build::Details;
pub(crate) use collect::{Begun, LettingGo, Watch};
pub(crate) use counters::Timer;
pub(crate) use import::{ImportRefs, ImportSession, ImportedTag, NewCommit};
pub(crate) use init::{create, drop_unfinished, recover, remove_leftovers};
pub(crate) use land::{Landing, MergeCommit, Plan, Planning, StateRows};
pub(crate) use layers::MAX_LAYERS;
pub(crate) use moves::MovePlan;
pub use options::{CommitOptions, Committed};
pub(crate) use options::{Gates, MAX_AUTHOR_LEN, check_text};
pub(crate) use planned::{After, PlannedEdit};
pub(crate) use prepared::{
    GidState, IfUnknown, PrepareAs, all_outcomes, all_prepared, check_gid, gid_state,
};
pub(crate) use reads::ReadSet;
pub(crate) use request::{Attached, Locked, Part, Request, Seen};

use crate::clock::{Clock, Deadline};
use crate::engine::{Engine, GroupSync, WriteSet};
use crate::error::Result;
use crate::format::keys;
use crate::graph::{Graph, Place};
use crate::id::{LineId, OpId, Seq, ValueHash};
use crate::kv::Durability;
use crate::refs::{Entry, Refs};

/// What is fixed while the store is open.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) author: String,
    pub(crate) blob_threshold: usize,
    pub(crate) max_branches: Option<u64>,
    pub(crate) limits: Limits,
}

/// What one transaction may take, and how many may be open; no limit where none is given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) active: Option<u64>,
    pub(crate) operations: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) time: Option<Duration>,
}

/// What the holder of the commit lock may change.
pub(crate) struct Writer {
    /// Newest commit, and the one before which nothing new is given.
    latest: Seq,
    next_line: LineId,
    /// Newest entry of the operation log.
    last_op: OpId,
    last_time: i64,
    branches: Option<u64>,
    /// What prepared transactions hold.
    held: held::Held,
}

/// The one door to the disk.
pub(crate) struct Publisher {
    graph: Arc<Graph>,
    refs: Arc<Refs>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    writer: Mutex<Writer>,
    sync: GroupSync,
    /// Wakes who waits for new commits.
    news: (Mutex<()>, Condvar),
    /// How many of them there are: a bell that nobody hears costs a system call all the same.
    waiting: AtomicUsize,
    /// New lines with more layers than reads should fall through.
    deep: layers::DeepLines,
    upkeep: Mutex<()>,
    collecting: Mutex<()>,
    /// Large values that work under way has named, while a collection wants to know.
    named: Mutex<Option<Vec<ValueHash>>>,
    counters: counters::Counters,
}

impl Publisher {
    pub(crate) fn open(
        graph: Arc<Graph>,
        refs: Arc<Refs>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self> {
        let latest = graph.latest();
        let last_line =
            graph.engine().last_with_prefix(crate::format::Family::Refs, &[keys::kind::LINE])?;
        let next_line = match last_line {
            Some((key, _)) => LineId::new(keys::number_at(&key, 1)?).next(),
            None => LineId::ROOT.next(),
        };
        let last_op = refs.last_operation(latest)?;
        let mut last_time = graph.header(latest)?.time;
        if let Some(Entry::Refs(op)) = refs.operation(last_op)? {
            last_time = last_time.max(op.time);
        }
        let held = held::Held::load(graph.engine())?;
        let writer = Writer { latest, next_line, last_op, last_time, branches: None, held };
        Ok(Self {
            graph,
            refs,
            clock,
            settings,
            writer: Mutex::new(writer),
            sync: GroupSync::new(latest),
            news: (Mutex::new(()), Condvar::new()),
            waiting: AtomicUsize::new(0),
            deep: layers::DeepLines::default(),
            upkeep: Mutex::default(),
            collecting: Mutex::default(),
            named: Mutex::default(),
            counters: counters::Counters::default(),
        })
    }

    pub(crate) fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// What commits have come to since the store was opened.
    pub(crate) fn counters(&self) -> &counters::Counters {
        &self.counters
    }

    /// From how many bytes on values are stored once under their hash.
    pub(crate) fn blob_threshold(&self) -> usize {
        self.settings.blob_threshold
    }

    /// What transactions may take unless they say otherwise.
    pub(crate) fn limits(&self) -> Limits {
        self.settings.limits
    }

    pub(crate) fn refs(&self) -> &Arc<Refs> {
        &self.refs
    }

    /// What the store's clock says.
    pub(crate) fn now(&self) -> crate::clock::Timestamp {
        self.clock.now()
    }

    /// Who does what names nobody.
    pub(crate) fn author(&self) -> &str {
        &self.settings.author
    }

    /// A RocksDB transaction, to track what is written.
    pub(crate) fn transaction(&self) -> Result<crate::engine::Transaction<'_>> {
        self.engine().transaction()
    }

    fn engine(&self) -> &Arc<Engine> {
        self.graph.engine()
    }

    /// Takes the commit lock, and refuses if an earlier write failed.
    fn lock(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Only now: the write that failed may have held the lock.
        self.engine().check()?;
        Ok(writer)
    }

    /// The newest commit that may be seen.
    pub(crate) fn visible(&self) -> Seq {
        self.sync.written()
    }

    /// The newest commit that a feed may show: on disk, if the store promises that.
    pub(crate) fn acknowledged(&self) -> Result<Seq> {
        let written = self.sync.written();
        if self.settings.durability == Durability::Sync && self.sync.synced() < written {
            // Commits that did not ask for it wait for no sync, so whoever reads the feed does.
            if self.sync.wait(self.engine(), self.sync.newest()).is_err() {
                // After a failed sync reads go on, up to what is on disk for sure.
                return Ok(self.sync.synced());
            }
        }
        Ok(written)
    }

    /// Refuses once a write has failed.
    pub(crate) fn check(&self) -> Result<()> {
        self.engine().check()
    }

    /// Waits until a commit after `seq` may be seen, or the time is over.
    pub(crate) fn wait_beyond(&self, seq: Seq, wait: Duration) {
        let deadline = Deadline::after(wait);
        let (lock, bell) = &self.news;
        let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // With the fence in `wrote`: either this look sees the commit, or the writer sees the waiter.
        fence(Ordering::SeqCst);
        while self.sync.written() <= seq {
            let Some(left) = deadline.left() else { break };
            guard = bell.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Makes what was written visible and wakes waiting readers; the number is for
    /// [`settle`](Self::settle).
    fn wrote(&self, writer: &Writer) -> u64 {
        let write = self.sync.wrote(writer.latest);
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            // The lock is taken so that no reader falls asleep between its look and its wait.
            drop(self.news.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.news.1.notify_all();
        }
        write
    }

    /// Waits for the disk, if the durability asks for it. Called without the lock.
    fn settle(&self, write: u64, durability: Option<Durability>) -> Result<()> {
        match durability.unwrap_or(self.settings.durability) {
            Durability::Sync => self.sync.wait(self.engine(), write),
            Durability::Buffered => Ok(()),
        }
    }

    /// Puts everything written so far on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync.wait(self.engine(), self.sync.newest())
    }

    /// The time for the next commit or operation: never before the last one.
    fn time(&self, writer: &mut Writer) -> i64 {
        writer.last_time = writer.last_time.max(self.clock.now().as_millis());
        writer.last_time
    }

    /// Gives a number for a new line.
    fn new_line(writer: &mut Writer) -> LineId {
        let line = writer.next_line;
        writer.next_line = line.next();
        line
    }

    /// Adds a line that starts at a commit to a set of writes: its record and its pin.
    fn write_line(&self, set: &mut WriteSet, line: LineId, fork: Place) -> Result<()> {
        use crate::format::refs::{At, LineRecord, pin};
        use crate::format::{Family, record};
        self.graph.check_whole(fork)?;
        let rows = self.graph.header(fork.seq)?.rows;
        let layers = crate::view::layers_at(&self.graph, fork, rows)?;
        let stored = LineRecord {
            fork: Some(fork.into()),
            layers: layers.iter().copied().map(At::from).collect(),
            layer_rows: 0,
        };
        self.deep.note(line, stored.layers.len());
        let engine = self.engine();
        engine.put(set, Family::Refs, &keys::line(line), &record::encode(&stored));
        let owner = line.get().to_be_bytes();
        engine.put(set, Family::Refs, &keys::pin(fork.seq, pin::LINE, &owner), &[]);
        Ok(())
    }
}
