//! The commit graph: lines, commits on them, and what is reachable from where.
//!
//! A line is linear, so what a commit reaches on a line is always a run up to some sequence. That is
//! why every walk here hops from fork to fork and from merge to merge, never commit by commit.

mod commit;
mod gone;
mod index;
mod lines;
mod log;
mod purges;
mod readers;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

pub use commit::{Commit, CommitChange, CommitRef, Origin};
pub(crate) use gone::{Gone, Missing, gone_before};
pub(crate) use index::Tail;
pub(crate) use lines::Line;
use lines::Lines;
pub use log::Log;
pub(crate) use log::LogFilter;

pub(crate) use readers::{Keep, Reader, Readers};
pub(crate) use walk::{Difference, Run};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{Change, Header, read_first, read_further, try_read_changes};
use crate::format::merge::{MergeRecord, SettledRecord, read_first_details, read_further_details};
use crate::format::refs::{At, LineRecord};
use crate::format::{Family, keys, record};
use crate::id::{CommitId, Fingerprint, LineId, Seq};
use crate::kv::ChangeKind;

#[expect(clippy::disallowed_types, reason = "look-ups only, never iterated")]
type Known<V> = std::collections::HashMap<LineId, Arc<V>>;
type Cache<V> = RwLock<Known<V>>;
/// A cache is emptied when it holds this many lines.
const CACHED_LINES: usize = 1 << 16;

/// A commit's place: its line and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) line: LineId,
    pub(crate) seq: Seq,
}

impl Place {
    pub(crate) const ROOT: Self = Self { line: LineId::ROOT, seq: Seq::ROOT };
}

impl From<At> for Place {
    fn from(at: At) -> Self {
        Self { line: LineId::new(at.line), seq: Seq::new(at.seq) }
    }
}

impl From<Place> for At {
    fn from(place: Place) -> Self {
        Self { line: place.line.get(), seq: place.seq.get() }
    }
}

/// What is needed of a line's newest commit to write the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) place: Place,
    pub(crate) id: CommitId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) keys: u64,
    /// Rows of the line that was asked for, not of the line that the commit is on.
    pub(crate) rows: u64,
}

/// The graph as stored, with what was looked up lately in memory.
pub(crate) struct Graph {
    engine: Arc<Engine>,
    lines: Lines,
    heads: Cache<Head>,
    tail: RwLock<Tail>,
    plain: RwLock<PlainLines>,
    kept: gone::Kept,
    purges: purges::Purges,
}

/// Lines that are known to have no merge on them: most have none, and walks ask all the time.
#[derive(Default)]
struct PlainLines {
    /// Runs of such lines: the first and the last one.
    runs: BTreeMap<LineId, LineId>,
    /// Grows with every merge.
    epoch: u64,
}

impl PlainLines {
    fn run_of(&self, line: LineId) -> Option<(LineId, LineId)> {
        let (&first, &last) = self.runs.range(..=line).next_back()?;
        (line <= last).then_some((first, last))
    }
}

impl Graph {
    /// Reads what is not in the index yet.
    pub(crate) fn open(engine: Arc<Engine>) -> Result<Self> {
        let tail = RwLock::new(Tail::load(&engine)?);
        let (lines, heads, plain) = (Lines::default(), Cache::default(), RwLock::default());
        let (kept, purges) = (gone::Kept::load(&engine)?, purges::Purges::load(&engine)?);
        Ok(Self { engine, lines, heads, tail, plain, kept, purges })
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The newest commit of the store.
    pub(crate) fn latest(&self) -> Seq {
        self.tail.read().unwrap_or_else(PoisonError::into_inner).latest()
    }

    /// A line's record.
    pub(crate) fn line(&self, id: LineId) -> Result<Arc<Line>> {
        self.lines.get(id, || {
            let row = self
                .engine
                .get(Family::Refs, &keys::line(id))?
                .ok_or_else(|| missing("line", id.get()))?;
            let stored: LineRecord = record::decode("line", &row)?;
            // Lines fork from older ones, so every walk down a chain comes to its end.
            if stored.fork.is_some_and(|fork| fork.line >= id.get()) {
                return Err(missing("fork of line", id.get()));
            }
            Ok(Line::from(stored))
        })
    }

    /// Forgets a line's record, because a new one was written.
    pub(crate) fn forget_line(&self, id: LineId) {
        self.lines.forget(&[id]);
    }

    /// The newest commit of a line; where it forked, if it has none of its own.
    pub(crate) fn head(&self, line: LineId) -> Result<Arc<Head>> {
        if let Some(head) = self.heads.read().unwrap_or_else(PoisonError::into_inner).get(&line) {
            return Ok(Arc::clone(head));
        }
        loop {
            let place = self.at_or_before(line, Seq::MAX)?;
            let header = self.header(place.seq)?;
            let head = Arc::new(Head {
                place,
                id: header.commit_id(),
                fingerprint: header.content(),
                keys: header.keys,
                rows: if place.line == line { header.rows } else { 0 },
            });
            let mut cache = self.heads.write().unwrap_or_else(PoisonError::into_inner);
            // A commit that is published meanwhile sets the cache itself, so only an empty place is
            // filled; and only with what is still the newest, for the cache may have been emptied since.
            if let Some(newer) = cache.get(&line) {
                return Ok(Arc::clone(newer));
            }
            if self.at_or_before(line, Seq::MAX)? != place {
                continue;
            }
            if cache.len() >= CACHED_LINES {
                cache.clear();
            }
            cache.insert(line, Arc::clone(&head));
            return Ok(head);
        }
    }

    /// Whether a line is known to have no merge on it.
    fn is_plain(&self, line: LineId) -> bool {
        self.plain.read().unwrap_or_else(PoisonError::into_inner).run_of(line).is_some()
    }

    /// A number that grows with every merge.
    fn merge_epoch(&self) -> u64 {
        self.plain.read().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Says that no line after `below`, up to this one, had a merge on it as of an epoch.
    fn found_plain(&self, below: Option<LineId>, line: LineId, epoch: u64) {
        let mut plain = self.plain.write().unwrap_or_else(PoisonError::into_inner);
        // A merge that was written meanwhile may be on one of them.
        if plain.epoch == epoch {
            let last = plain.runs.entry(below.map_or(LineId::ROOT, LineId::next)).or_insert(line);
            *last = line.max(*last);
        }
    }

    /// Says that a merge was written, before anybody can come to it.
    pub(crate) fn merged(&self, line: LineId) {
        let mut plain = self.plain.write().unwrap_or_else(PoisonError::into_inner);
        plain.epoch += 1;
        if let Some((first, last)) = plain.run_of(line) {
            plain.runs.remove(&first);
            if first < line {
                plain.runs.insert(first, LineId::new(line.get() - 1));
            }
            if line < last {
                plain.runs.insert(line.next(), last);
            }
        }
    }

    /// Says that a commit was written. The caller holds the commit lock.
    pub(crate) fn wrote(&self, head: Head, bytes: u64) {
        let line = head.place.line;
        let id = head.id;
        // The tail first: whoever sees the new head must find its commit.
        self.tail.write().unwrap_or_else(PoisonError::into_inner).push(head.place, &id, bytes);
        self.heads.write().unwrap_or_else(PoisonError::into_inner).insert(line, Arc::new(head));
    }

    /// Forgets all that is in memory, after commits were taken back.
    pub(crate) fn reload(&self) -> Result<()> {
        let fresh = Tail::load(&self.engine)?;
        *self.tail.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.heads.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.lines.forget_all();
        self.plain.write().unwrap_or_else(PoisonError::into_inner).runs.clear();
        Ok(())
    }

    /// The newest commit of a line at or before a sequence; where it forked, if none is.
    pub(crate) fn at_or_before(&self, mut line: LineId, mut seq: Seq) -> Result<Place> {
        loop {
            if let Some(seq) = self.on_line(line, seq)? {
                return Ok(Place { line, seq });
            }
            match self.line(line)?.fork {
                Some(fork) => (line, seq) = (fork.line, seq.min(fork.seq)),
                None => return Ok(Place::ROOT),
            }
        }
    }

    /// The commit that wrote a row with this sequence on a line. Rows of a bulk load carry sequence 0:
    /// they belong to the first commit of their line.
    pub(crate) fn birth(&self, line: LineId, seq: Seq) -> Result<Seq> {
        if seq > Seq::ROOT {
            return Ok(seq);
        }
        let after = self.line(line)?.fork.map_or(Seq::ROOT, |fork| fork.seq);
        self.first_on(line, after)?.ok_or_else(|| missing("first commit of line", line.get()))
    }

    /// A commit's header.
    pub(crate) fn header(&self, seq: Seq) -> Result<Header> {
        match self.find_header(seq)? {
            Some(header) => Ok(header),
            None => Err(self.no_commit(seq)),
        }
    }

    /// A commit's header; `None` if there is none.
    pub(crate) fn find_header(&self, seq: Seq) -> Result<Option<Header>> {
        let row = self.engine.get(Family::Log, &keys::log(seq, 0))?;
        Ok(row.map(|row| read_first(&row).map(|(header, _)| header)).transpose()?)
    }

    /// The error for a commit that is not in the log: it was let go, or the store is damaged.
    fn no_commit(&self, seq: Seq) -> Error {
        match self.log_start() {
            Ok(start) if seq <= start => self.is_gone(seq),
            Ok(_) => missing("commit", seq.get()),
            Err(e) => e,
        }
    }

    /// A commit as the public sees it: one that is gone is not there, though its record may be yet.
    pub(crate) fn commit(&self, seq: Seq) -> Result<Commit> {
        let header = self.header(seq)?;
        self.check_there(Place { line: LineId::new(header.line), seq })?;
        Ok(Commit::new(seq, header))
    }

    /// Commits by falling sequences; those that lie close together cost a step each, not a look-up.
    pub(crate) fn commits(&self, seqs: &[Seq]) -> Result<Vec<Commit>> {
        /// So many steps cost what a seek does.
        const NEAR: u64 = 8;
        let (Some(&newest), Some(&oldest)) = (seqs.first(), seqs.last()) else {
            return Ok(Vec::new());
        };
        let end = keys::log(newest, 1);
        let mut rows = self.engine.iter(Family::Log, &keys::log(oldest, 0), Some(&end));
        rows.seek_to_last();
        let mut out = Vec::with_capacity(seqs.len());
        for &seq in seqs {
            let wanted = keys::log(seq, 0);
            let mut steps = 0;
            loop {
                let (key, value) = rows.current()?.ok_or_else(|| self.no_commit(seq))?;
                if key == wanted {
                    out.push(Commit::new(seq, read_first(value)?.0));
                    break;
                }
                if key < wanted.as_slice() || steps > NEAR {
                    rows.seek(&wanted);
                    let found = rows.current()?.is_some_and(|(key, _)| key == wanted);
                    if !found {
                        return Err(self.no_commit(seq));
                    }
                } else {
                    rows.prev();
                    steps += 1;
                }
            }
        }
        Ok(out)
    }

    /// A commit's place.
    pub(crate) fn place(&self, seq: Seq) -> Result<Place> {
        Ok(Place { line: LineId::new(self.header(seq)?.line), seq })
    }

    /// Visits a commit's header and then each of its changes, in key order.
    pub(crate) fn visit(
        &self,
        seq: Seq,
        header: impl FnOnce(Header),
        mut each: impl FnMut(Change),
    ) -> Result<()> {
        self.try_visit(seq, header, |change| {
            each(change);
            Ok(())
        })
    }

    /// The same, until the caller wants no more.
    pub(crate) fn try_visit(
        &self,
        seq: Seq,
        header: impl FnOnce(Header),
        mut each: impl FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        let row =
            self.engine.get(Family::Log, &keys::log(seq, 0))?.ok_or_else(|| self.no_commit(seq))?;
        let (read, changes) = read_first(&row)?;
        try_read_changes(changes, &mut each)?;
        let (at, line) = (read.changes_at, LineId::new(read.line));
        header(read);
        let visited = match at.parts() {
            (false, 0) => Ok(()),
            (false, further) => {
                self.visit_parts(&keys::log(seq, 1), &keys::log(seq.next(), 0), further, &mut each)
            }
            (true, parts) => self.visit_parts(
                &keys::bulk_log(line, 0),
                &keys::bulk_log(line.next(), 0),
                parts,
                &mut each,
            ),
        };
        match self.gone(line) {
            // Its parts may be on their way out.
            Some(gone) if !gone.has(seq) => match visited {
                Err(e) if e.kind() != ErrorKind::Interrupted => Err(self.is_gone(seq)),
                visited => visited,
            },
            _ => visited,
        }
    }

    /// What a commit did to keys against its first parent, in key order.
    pub(crate) fn changes(&self, seq: Seq) -> Result<Vec<CommitChange>> {
        let mut out = Vec::new();
        let each = |change: Change| {
            let (before, after) = (change.before(), change.after());
            if let Some(kind) = ChangeKind::of(before.is_some(), after.is_some()) {
                out.push(CommitChange { key: change.key, kind, before, after });
            }
        };
        self.visit(seq, |_| {}, each)?;
        Ok(out)
    }

    /// How the merge that made a commit came about; `None` if none did.
    pub(crate) fn merge_details(
        &self,
        seq: Seq,
    ) -> Result<Option<(MergeRecord, Vec<SettledRecord>)>> {
        let Some((parts, _)) = self.header(seq)?.changes_at.details() else { return Ok(None) };
        let part = |number: u32| {
            let row = self.engine.get(Family::Log, &keys::merge_details(seq, number))?;
            row.ok_or_else(|| missing("part of merge", seq.get()))
        };
        let (head, mut settled) = read_first_details(&part(0)?)?;
        for number in 1..parts {
            settled.extend(read_further_details(&part(number)?)?);
        }
        if settled.len() as u64 != head.settled {
            return Err(missing("settled conflict of merge", seq.get()));
        }
        Ok(Some((head, settled)))
    }

    fn visit_parts(
        &self,
        from: &[u8],
        to: &[u8],
        parts: u32,
        each: &mut impl FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        let mut rows = self.engine.iter(Family::Log, from, Some(to));
        rows.seek_to_first();
        let mut seen = 0;
        while let Some((_, part)) = rows.current()? {
            try_read_changes(read_further(part)?, &mut *each)?;
            seen += 1;
            rows.next();
        }
        if seen == parts { Ok(()) } else { Err(missing("part of a commit", u64::from(seen))) }
    }
}

/// Something that the store refers to is not there.
fn missing(what: &str, number: u64) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what} {number} is missing from the store"))
        .with_hint("the store is damaged; keep a copy of it and restore a backup")
}
