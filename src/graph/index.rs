//! Which commits are on which line, and which commit has which id.
//!
//! The log is keyed by sequence alone, so the feed is one range read and a commit costs one row. What
//! a line holds is derived: newest commits are kept in memory, older ones in blocks that are written
//! once enough have come together. What is not in a block yet is read from the log at open.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::{Graph, Place};
use crate::engine::{Engine, WriteSet};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::read_first;
use crate::format::refs::{IdsRecord, IndexRecord, meta};
use crate::format::{Family, keys, record};
use crate::id::{CommitId, LineId, Seq};

/// Most commits in a block; blocks are written when this many are not in one yet.
const BLOCK_COMMITS: usize = 4096;
/// ... or when their records take this many bytes, which is what an open has to read.
const BLOCK_BYTES: u64 = 16 << 20;

/// The commits that are not in a block yet.
#[derive(Debug)]
pub(crate) struct Tail {
    /// All commits up to here are in blocks.
    indexed: Seq,
    latest: Seq,
    /// Sequence and first bytes of the id of each commit, and the line it is on.
    ids: Vec<(u64, Seq)>,
    lines: BTreeMap<LineId, Vec<Seq>>,
    bytes: u64,
}

fn id_start(id: &CommitId) -> u64 {
    u64::from_be_bytes(*id.as_bytes().first_chunk().expect("an id has 32 bytes"))
}

impl Tail {
    /// Reads the log from where the blocks end.
    pub(crate) fn load(engine: &Engine) -> Result<Self> {
        let indexed = match engine.get(Family::Meta, meta::INDEXED)? {
            Some(row) => Seq::new(record::decode("index position", &row)?),
            None => Seq::ROOT,
        };
        let mut tail =
            Self { indexed, latest: indexed, ids: Vec::new(), lines: BTreeMap::new(), bytes: 0 };
        let end = keys::log(Seq::new(keys::LAST_SEQ), 0);
        let mut rows = engine.iter(Family::Log, &keys::log(indexed.next(), 0), Some(&end));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let Some((seq, _)) = keys::log_parts(key)? else { break };
            let (header, _) = read_first(value)?;
            let place = Place { line: LineId::new(header.line), seq };
            tail.push(place, &header.commit_id(), value.len() as u64);
            // The further parts of a large commit are stepped over, not read.
            rows.next();
            if let (false, 1..) = header.changes_at.parts() {
                rows.seek(&keys::log(seq.next(), 0));
            }
        }
        Ok(tail)
    }

    pub(crate) fn latest(&self) -> Seq {
        self.latest
    }

    pub(crate) fn push(&mut self, place: Place, id: &CommitId, bytes: u64) {
        self.ids.push((id_start(id), place.seq));
        self.lines.entry(place.line).or_default().push(place.seq);
        self.latest = place.seq;
        self.bytes += bytes;
    }

    /// Forgets the commits of a line.
    pub(super) fn forget(&mut self, line: LineId) {
        self.lines.remove(&line);
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= BLOCK_COMMITS || self.bytes >= BLOCK_BYTES
    }
}

impl Graph {
    /// Adds the blocks that are due to a set of writes; [`indexed`](Self::indexed) follows once it
    /// is written. The caller holds the commit lock.
    pub(crate) fn write_due_blocks(&self, set: &mut WriteSet) -> Result<bool> {
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        if !tail.is_full() {
            return Ok(false);
        }
        self.write_blocks(&tail, set)?;
        Ok(true)
    }

    /// The same, whether they are due or not: what is gone from the log must be known to its line.
    pub(crate) fn write_all_blocks(&self, set: &mut WriteSet) -> Result<()> {
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        if tail.ids.is_empty() { Ok(()) } else { self.write_blocks(&tail, set) }
    }

    fn write_blocks(&self, tail: &Tail, set: &mut WriteSet) -> Result<()> {
        for (&line, seqs) in &tail.lines {
            let mut before =
                self.blocks(line, Seq::MAX)?.map_or(0, |b| b.before + b.seqs.len() as u64);
            for block in seqs.chunks(BLOCK_COMMITS) {
                let mut last = 0;
                let delta = |seq: &Seq| seq.get() - std::mem::replace(&mut last, seq.get());
                let stored = IndexRecord { before, deltas: block.iter().map(delta).collect() };
                let key = keys::index(line, Seq::new(last));
                self.engine.put(set, Family::Refs, &key, &record::encode(&stored));
                before += block.len() as u64;
            }
        }
        for block in tail.ids.chunks(BLOCK_COMMITS) {
            let mut ids: Vec<_> = block.iter().map(|&(id, seq)| (id, seq.get())).collect();
            let last = block.last().map_or(Seq::ROOT, |&(_, seq)| seq);
            ids.sort_unstable();
            let stored = record::encode(&IdsRecord { ids });
            self.engine.put(set, Family::Refs, &keys::commit_ids(last), &stored);
        }
        self.engine.put(set, Family::Meta, meta::INDEXED, &record::encode(&tail.latest.get()));
        Ok(())
    }

    /// Says that the blocks of [`write_due_blocks`](Self::write_due_blocks) are written.
    pub(crate) fn indexed(&self) {
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        tail.indexed = tail.latest;
        tail.ids.clear();
        tail.lines.clear();
        tail.bytes = 0;
    }

    /// The newest commit of a line at or before a sequence, without looking at its fork.
    pub(crate) fn on_line(&self, line: LineId, seq: Seq) -> Result<Option<Seq>> {
        if line == LineId::ROOT && seq == Seq::ROOT {
            return Ok(Some(Seq::ROOT));
        }
        {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(seqs) = tail.lines.get(&line) {
                let upto = seqs.partition_point(|&s| s <= seq);
                if upto > 0 {
                    return Ok(Some(seqs[upto - 1]));
                }
            }
        }
        let found = self.blocks(line, seq)?.map(|block| block.seqs[block.upto - 1]);
        Ok(found.or((line == LineId::ROOT).then_some(Seq::ROOT)))
    }

    /// The newest block of a line with a commit at or before a sequence.
    fn blocks(&self, line: LineId, seq: Seq) -> Result<Option<Block>> {
        let lower = keys::index(line, Seq::ROOT);
        let upper = keys::index(line.next(), Seq::ROOT);
        let mut rows = self.engine.iter(Family::Refs, &lower, Some(&upper));
        // The block that ends at or after the sequence may hold it; if all of it is later, or there
        // is none, the one before it is asked.
        rows.seek(&keys::index(line, seq));
        if rows.current()?.is_none() {
            rows.seek_to_last();
        }
        while let Some((_, value)) = rows.current()? {
            let block = Block::read(value, seq)?;
            if block.upto > 0 {
                return Ok(Some(block));
            }
            rows.prev();
        }
        Ok(None)
    }

    /// The commits of a line in `(after, upto]`, oldest first.
    pub(crate) fn commits_between(&self, line: LineId, after: Seq, upto: Seq) -> Result<Vec<Seq>> {
        self.some_between(line, after, upto, usize::MAX)
    }

    /// The same, or more than `limit` of them.
    pub(super) fn some_between(
        &self,
        line: LineId,
        after: Seq,
        upto: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        let inside = |seq: &Seq| *seq > after && *seq <= upto;
        // The tail is looked at first: blocks written meanwhile then repeat it, never miss it.
        let newer: Vec<Seq> = {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            let seqs = tail.lines.get(&line).map_or(&[][..], Vec::as_slice);
            let from = seqs.partition_point(|seq| *seq <= after);
            seqs[from..].iter().copied().take_while(inside).collect()
        };
        let mut out = Vec::new();
        if newer.first().is_none_or(|first| after.next() < *first) {
            let upper = keys::index(line.next(), Seq::ROOT);
            let mut rows =
                self.engine.iter(Family::Refs, &keys::index(line, after.next()), Some(&upper));
            rows.seek_to_first();
            while let Some((_, value)) = rows.current()? {
                let block = Block::read(value, Seq::MAX)?;
                out.extend(block.seqs.iter().copied().filter(inside));
                if block.seqs.last().is_some_and(|last| *last >= upto) || out.len() > limit {
                    break;
                }
                rows.next();
            }
        }
        let known = out.last().copied();
        out.extend(newer.into_iter().filter(|seq| known.is_none_or(|k| *seq > k)));
        Ok(out)
    }

    /// The first commit of a line that is above a sequence.
    pub(crate) fn first_on(&self, line: LineId, after: Seq) -> Result<Option<Seq>> {
        // The tail is looked at first: what leaves it meanwhile is in a block by then.
        let newer = {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            let seqs = tail.lines.get(&line).map_or(&[][..], Vec::as_slice);
            seqs.iter().copied().find(|seq| *seq > after)
        };
        let upper = keys::index(line.next(), Seq::ROOT);
        let mut rows =
            self.engine.iter(Family::Refs, &keys::index(line, after.next()), Some(&upper));
        rows.seek_to_first();
        match rows.current()? {
            Some((_, value)) => {
                Ok(Block::read(value, Seq::MAX)?.seqs.into_iter().find(|seq| *seq > after))
            }
            None => Ok(newer),
        }
    }

    /// The commit this many steps back on first parents; `None` if there are not that many.
    pub(crate) fn back(&self, mut place: Place, mut steps: u64) -> Result<Option<Place>> {
        loop {
            let (found, seen) = self.back_on_line(place, steps)?;
            if let Some(seq) = found {
                return Ok(Some(Place { line: place.line, seq }));
            }
            steps -= seen;
            match self.line(place.line)?.fork {
                Some(fork) => place = fork,
                None => return Ok((steps == 0).then_some(Place::ROOT)),
            }
        }
    }

    /// The commit of the line this many steps back, or how many there are.
    fn back_on_line(&self, place: Place, steps: u64) -> Result<(Option<Seq>, u64)> {
        let mut seen = 0;
        let mut below = place.seq.next();
        {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(seqs) = tail.lines.get(&place.line) {
                let upto = seqs.partition_point(|&s| s < below);
                if steps < upto as u64 {
                    return Ok((Some(seqs[upto - 1 - steps as usize]), seen));
                }
                seen = upto as u64;
                below = below.min(seqs[0]);
            }
        }
        let lower = keys::index(place.line, Seq::ROOT);
        let upper = keys::index(place.line.next(), Seq::ROOT);
        let mut rows = self.engine.iter(Family::Refs, &lower, Some(&upper));
        rows.seek(&keys::index(place.line, below));
        if rows.current()?.is_none() {
            rows.seek_to_last();
        }
        while let Some((_, value)) = rows.current()? {
            let block = Block::read(value, Seq::MAX)?;
            let upto = block.seqs.partition_point(|&s| s < below);
            if steps - seen < upto as u64 {
                return Ok((Some(block.seqs[upto - 1 - (steps - seen) as usize]), seen));
            }
            seen += upto as u64;
            rows.prev();
        }
        Ok((None, seen))
    }

    /// The commits whose id starts with these hexadecimal digits, at most two.
    pub(crate) fn by_id(&self, digits: &str, visible: Seq) -> Result<Vec<Seq>> {
        let bad =
            || Error::new(ErrorKind::Invalid, format!("{digits} is not the start of a commit id"));
        let head = &digits[..digits.len().min(16)];
        let low = u64::from_str_radix(head, 16).map_err(|_| bad())? << (4 * (16 - head.len()));
        let high = low | (u64::MAX.checked_shr(4 * head.len() as u32).unwrap_or(0));
        let mut found: Vec<Seq> = {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            tail.ids
                .iter()
                .filter(|(id, _)| (low..=high).contains(id))
                .map(|&(_, seq)| seq)
                .collect()
        };
        let mut rows = self.engine.iter_prefix(Family::Refs, &[keys::kind::COMMIT_IDS]);
        rows.seek_to_first();
        while let Some((_, value)) = rows.current()? {
            let block: IdsRecord = record::decode("commit ids", value)?;
            let from = block.ids.partition_point(|&(id, _)| id < low);
            found.extend(
                block.ids[from..]
                    .iter()
                    .take_while(|(id, _)| *id <= high)
                    .map(|&(_, seq)| Seq::new(seq)),
            );
            rows.next();
        }
        found.push(Seq::ROOT);
        // An import may be writing or taking back what is above.
        found.retain(|seq| *seq <= visible);
        found.sort_unstable();
        found.dedup();
        let mut out = Vec::new();
        for seq in found {
            // Its id may be in the index for longer than the commit is kept.
            let header = self.find_header(seq)?;
            if header.is_some_and(|h| h.commit_id().to_string().starts_with(digits)) {
                out.push(seq);
            }
            if out.len() == 2 {
                break;
            }
        }
        Ok(out)
    }
}

/// One block of a line's commits.
struct Block {
    before: u64,
    seqs: Vec<Seq>,
    /// How many of them are at or before the sequence that was asked for.
    upto: usize,
}

impl Block {
    fn read(value: &[u8], seq: Seq) -> Result<Self> {
        let stored: IndexRecord = record::decode("index block", value)?;
        let mut last = 0u64;
        let seqs: Vec<Seq> = stored
            .deltas
            .iter()
            .map(|delta| {
                last = last.wrapping_add(*delta);
                Seq::new(last)
            })
            .collect();
        let upto = seqs.partition_point(|&s| s <= seq);
        Ok(Self { before: stored.before, seqs, upto })
    }
}
