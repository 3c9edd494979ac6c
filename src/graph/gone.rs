//! What is gone of the graph: commits that retention has let go, and those that are kept among them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Graph, Place, Readers};
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::read_first;
use crate::format::refs::{GoneRecord, meta};
use crate::format::{Family, keys, record};
use crate::id::{LineId, Seq};
use crate::kv::KeyRange;

/// What is gone of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone(GoneRecord);

impl Gone {
    pub(crate) fn new(record: GoneRecord) -> Self {
        Self(record)
    }

    pub(crate) fn record(&self) -> &GoneRecord {
        &self.0
    }

    pub(crate) fn into_record(self) -> GoneRecord {
        self.0
    }

    /// Whether everything is there that a commit of the line shows.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.is_kept(seq) || (self.is_within(seq) && self.0.floors.iter().all(|f| f.1 <= seq.get()))
    }

    /// Whether anything at all is there of a commit: its record, and what it shows of some keys.
    pub(crate) fn has(&self, seq: Seq) -> bool {
        self.is_kept(seq) || (self.is_within(seq) && self.lowest() <= seq)
    }

    /// Whether what a commit did to a key is there, and what the key was before.
    pub(crate) fn holds_change(&self, key: &[u8], seq: Seq) -> bool {
        self.is_within(seq) && self.floor(key) <= seq
    }

    /// Whether a commit is kept though others around it may be gone.
    fn is_kept(&self, seq: Seq) -> bool {
        !self.0.dead && self.0.kept.binary_search(&seq.get()).is_ok()
    }

    fn is_within(&self, seq: Seq) -> bool {
        !self.0.dead && self.0.top.is_none_or(|top| seq.get() <= top)
    }

    /// Commits below this one are gone, but for those that are kept.
    pub(crate) fn lowest(&self) -> Seq {
        // Keys that no prefix covers have no floor.
        let covers_all = self.0.floors.first().is_some_and(|(prefix, _)| prefix.is_empty());
        let lowest = self.0.floors.iter().map(|floor| floor.1).min().filter(|_| covers_all);
        Seq::new(lowest.unwrap_or(0))
    }

    /// The floor of a key: at this commit and above it is there.
    pub(crate) fn floor(&self, key: &[u8]) -> Seq {
        let covers = self.0.floors.iter().rev().find(|(prefix, _)| key.starts_with(prefix));
        Seq::new(covers.map_or(0, |floor| floor.1))
    }

    /// The keys that a commit shows no more.
    pub(crate) fn missing(&self, seq: Seq) -> Missing {
        if self.holds(seq) { Missing::default() } else { Missing(self.0.floors.clone(), seq) }
    }

    /// Whether a version is needed: one that was there from a commit on, until `next` replaced it.
    pub(crate) fn needs(&self, key: &[u8], from: Seq, next: Option<Seq>) -> bool {
        if self.0.dead {
            return false;
        }
        // One that is replaced at the very floor stays: it is what that commit changed.
        let above = match next {
            Some(next) => next >= self.floor(key),
            None => true,
        };
        // A line may have come to its end below what was gone of it before: then nothing is between.
        let is_between = |top| from.get() <= top && self.floor(key).get() <= top;
        if above && self.0.top.is_none_or(is_between) {
            return true;
        }
        let at = self.0.kept.partition_point(|kept| *kept < from.get());
        self.0.kept.get(at).is_some_and(|kept| next.is_none_or(|next| *kept < next.get()))
    }
}

impl Gone {
    /// The newest moment of a line that begins with this commit of which every reader of it sees what was
    /// written by then, or something newer. None if nothing is read of the line.
    pub(crate) fn hidden_upto(&self, first: Seq) -> Option<Seq> {
        // What the floor itself has replaced is still shown.
        let run = self.has_run(first).then(|| Seq::new(self.lowest().get().saturating_sub(1)));
        run.into_iter().chain(self.first_kept()).min()
    }

    /// The first commit of a line that begins with this one of which anything is there, the root aside.
    pub(crate) fn first_there(&self, first: Seq) -> Option<Seq> {
        let run = self.has_run(first).then(|| self.lowest().max(first));
        run.into_iter().chain(self.first_kept()).min()
    }

    /// Whether anything is there of a line that begins with this commit but commits that are kept by themselves.
    fn has_run(&self, first: Seq) -> bool {
        let is_read = |top| self.lowest().get() <= top && first.get() <= top;
        !self.0.dead && self.0.top.is_none_or(is_read)
    }

    fn first_kept(&self) -> Option<Seq> {
        self.0.kept.iter().copied().find(|seq| *seq > 0).map(Seq::new)
    }
}

/// The keys that a commit shows no more: those with a floor above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing(Vec<(Vec<u8>, u64)>, Seq);

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a key that is gone.
    pub(crate) fn check(&self, key: &[u8]) -> Result<()> {
        let covers = self.0.iter().rev().find(|(prefix, _)| key.starts_with(prefix));
        match covers {
            Some((_, floor)) if *floor > self.1.get() => Err(gone(self.1, Some(Seq::new(*floor)))),
            _ => Ok(()),
        }
    }

    /// Refuses a range in which keys may be gone.
    pub(crate) fn check_range(&self, range: &KeyRange) -> Result<()> {
        for (prefix, floor) in &self.0 {
            // All of the range may be under a longer prefix, which is looked at by itself.
            let inner = |(longer, _): &(Vec<u8>, u64)| {
                longer.len() > prefix.len() && range.is_within_prefix(longer)
            };
            if *floor > self.1.get() && range.meets_prefix(prefix) && !self.0.iter().any(inner) {
                return Err(gone(self.1, Some(Seq::new(*floor))));
            }
        }
        Ok(())
    }
}

/// The error for what retention has let go.
pub(crate) fn gone(seq: Seq, first: Option<Seq>) -> Error {
    let error = Error::new(ErrorKind::HistoryGone, format!("commit {seq} is no longer kept"));
    match first {
        Some(first) => error.with_hint(format!("history is kept from commit {first} on")),
        None => error.with_hint("`withy log` shows what is kept"),
    }
}

/// The error for a feed after a position that is before what is kept; names the first one.
pub(crate) fn gone_before(after: Seq, start: Seq) -> Error {
    let text = format!("the history after position {after} is gone; {start} is the first one");
    Error::new(ErrorKind::HistoryGone, text).with_hint(format!(
        "read the branches as they are, at {start} or later, then the feed after that"
    ))
}

/// What is gone of all lines, and what this process is reading.
#[derive(Default)]
pub(super) struct Kept {
    lines: RwLock<BTreeMap<LineId, Arc<Gone>>>,
    /// Whether anything is gone at all.
    any: AtomicBool,
    pub(super) readers: Mutex<Readers>,
    /// How often it was planned what to let go.
    pub(super) plans: AtomicU64,
}

impl Kept {
    pub(super) fn load(engine: &Engine) -> Result<Self> {
        let mut lines = BTreeMap::new();
        let mut rows = engine.iter_prefix(Family::Refs, &[keys::kind::GONE]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let stored: GoneRecord = record::decode("what is gone of a line", value)?;
            lines.insert(LineId::new(keys::number_at(key, 1)?), Arc::new(Gone(stored)));
            rows.next();
        }
        let any = AtomicBool::new(!lines.is_empty());
        let (lines, readers) = (RwLock::new(lines), Mutex::default());
        Ok(Self { lines, any, readers, plans: AtomicU64::new(0) })
    }
}

impl Graph {
    /// What is gone of a line; `None` if nothing is.
    pub(crate) fn gone(&self, line: LineId) -> Option<Arc<Gone>> {
        if !self.kept.any.load(Ordering::Acquire) {
            return None;
        }
        self.kept.lines.read().unwrap_or_else(PoisonError::into_inner).get(&line).cloned()
    }

    /// Lines of which something is gone.
    pub(crate) fn gone_lines(&self) -> BTreeMap<LineId, Arc<Gone>> {
        self.kept.lines.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what was written of lines; `None` for one that is no more.
    pub(crate) fn set_gone(&self, lines: impl IntoIterator<Item = (LineId, Option<Gone>)>) {
        let mut known = self.kept.lines.write().unwrap_or_else(PoisonError::into_inner);
        for (line, gone) in lines {
            match gone {
                Some(gone) => known.insert(line, Arc::new(gone)),
                None => known.remove(&line),
            };
        }
        self.kept.any.store(!known.is_empty(), Ordering::Release);
    }

    /// Forgets lines whose rows are removed.
    pub(crate) fn forget_lines(&self, dead: &[LineId]) {
        self.set_gone(dead.iter().map(|line| (*line, None)));
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        self.lines.forget(dead);
        for line in dead {
            tail.forget(*line);
            heads.remove(line);
        }
    }

    /// Refuses a commit that is gone, or of which a part is.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`].
    pub(crate) fn check_whole(&self, place: Place) -> Result<()> {
        match self.gone(place.line) {
            Some(gone) if !gone.holds(place.seq) => Err(self.is_gone(place.seq)),
            _ => Ok(()),
        }
    }

    /// Refuses a commit that is gone, whether its record is still there or not.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`].
    pub(crate) fn check_there(&self, place: Place) -> Result<()> {
        match self.gone(place.line) {
            Some(gone) if !gone.has(place.seq) => Err(self.is_gone(place.seq)),
            _ => Ok(()),
        }
    }

    /// The newest commit that is gone; above it the log has no gap.
    pub(crate) fn log_start(&self) -> Result<Seq> {
        match self.engine.get(Family::Meta, meta::LOG_START)? {
            Some(row) => Ok(Seq::new(record::decode("start of the log", &row)?)),
            None => Ok(Seq::ROOT),
        }
    }

    /// The newest commit that is gone of those that were made on the branch that had this name at the
    /// time. While a collection is under way, others may be gone that are not counted yet.
    pub(crate) fn log_start_of(&self, branch: &str) -> Result<Seq> {
        match self.engine.get(Family::Meta, &keys::log_start_of(branch))? {
            Some(row) => Ok(Seq::new(record::decode("start of a branch's log", &row)?)),
            None => Ok(Seq::ROOT),
        }
    }

    /// The newest commit of a line that is gone, given what is.
    pub(crate) fn newest_gone(&self, line: LineId, gone: &Gone) -> Result<Seq> {
        self.newest_lost(line, gone, (Gone::has, gone.lowest()))
    }

    /// The newest commit of all lines of which anything is gone: above it every value is there.
    pub(crate) fn whole_start(&self) -> Result<Seq> {
        let mut newest = Seq::ROOT;
        for (line, gone) in self.gone_lines() {
            let highest = gone.0.floors.iter().map(|floor| floor.1).max().unwrap_or(0);
            let lost = self.newest_lost(line, &gone, (Gone::holds, Seq::new(highest)))?;
            newest = newest.max(lost);
        }
        Ok(newest)
    }

    /// The newest commit of a line that is not there; between a floor and the top all are.
    fn newest_lost(
        &self,
        line: LineId,
        gone: &Gone,
        (is_there, floor): (fn(&Gone, Seq) -> bool, Seq),
    ) -> Result<Seq> {
        let mut upto = Seq::MAX;
        while let Some(seq) = self.on_line(line, upto)? {
            if !is_there(gone, seq) {
                return Ok(seq);
            }
            let next = if floor <= seq && gone.is_within(seq) { floor } else { seq };
            match next.get().checked_sub(1) {
                Some(below) => upto = Seq::new(below),
                None => break,
            }
        }
        Ok(Seq::ROOT)
    }

    /// The first position from which a feed is whole: of all branches, or of those that had this name.
    pub(crate) fn feed_start(&self, branch: Option<&str>) -> Result<Seq> {
        let all = self.log_start()?;
        match branch {
            // What is decided and not removed yet has no name.
            Some(name) if self.engine.get(Family::Meta, meta::COLLECT)?.is_none() => {
                Ok(all.min(self.log_start_of(name)?))
            }
            _ => Ok(all),
        }
    }

    /// The newest commit up to `upto` that was made at a time or before; commits that are gone after
    /// that one, and may have been made before the time or after it, count with it.
    pub(crate) fn last_until(&self, time: Timestamp, upto: Seq) -> Result<Seq> {
        let (mut low, mut high) = (0, upto.get());
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.first_kept(Seq::new(middle), Seq::new(high))? {
                Some((seq, made)) if made <= time.as_millis() => low = seq.get(),
                Some(_) | None => high = middle - 1,
            }
        }
        // Up to the next one that is there, and was made later.
        let next = self.first_kept(Seq::new(low + 1), upto)?;
        Ok(next.map_or(upto, |(seq, _)| Seq::new(seq.get() - 1)))
    }

    /// The first commit between two that is in the log, and its time.
    fn first_kept(&self, from: Seq, upto: Seq) -> Result<Option<(Seq, i64)>> {
        if from > upto {
            return Ok(None);
        }
        if let Some(header) = self.find_header(from)? {
            return Ok(Some((from, header.time)));
        }
        let end = keys::log(upto.next(), 0);
        let mut rows = self.engine.iter(Family::Log, &keys::log(from, 0), Some(&end));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let Some((seq, part)) = keys::log_parts(key)? else { break };
            if part == 0 {
                return Ok(Some((seq, read_first(value)?.0.time)));
            }
            rows.next();
        }
        Ok(None)
    }

    /// The error for a commit that is gone.
    pub(crate) fn is_gone(&self, seq: Seq) -> Error {
        match self.log_start() {
            Ok(start) => gone(seq, Some(start.next())),
            Err(e) => e,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(floors: &[(&str, u64)], kept: &[u64], top: Option<u64>) -> Gone {
        let floors = floors.iter().map(|(p, s)| (p.as_bytes().to_vec(), *s)).collect();
        Gone(GoneRecord { floors, kept: kept.to_vec(), top, dead: false })
    }

    #[test]
    fn a_version_is_needed_if_any_kept_commit_shows_it() {
        let seq = Seq::new;
        let cases = [
            (0, vec![], None),
            (5, vec![], None),
            (5, vec![2], None),
            (9, vec![2, 4], Some(9)),
            (11, vec![], Some(9)),
            (11, vec![2, 6], Some(9)),
            (11, vec![2, 10], Some(9)),
            (0, vec![10], Some(6)),
        ];
        for (floor, kept, top) in cases {
            let gone = line(&[("", floor)], &kept, top);
            for from in 1..12u64 {
                for next in (from + 1..13).map(Some).chain([None]) {
                    let shown = |at: u64| from <= at && next.is_none_or(|next| at < next);
                    let whole = |at: u64| gone.holds(seq(at));
                    let must = (1..20).any(|at| shown(at) && whole(at));
                    let needs = gone.needs(b"k", seq(from), next.map(seq));
                    assert!(
                        needs || !must,
                        "{floor} {kept:?} {top:?}: {from} to {next:?} is shown"
                    );
                    // The one that the floor's own commit replaced may stay, no other.
                    let spared = next == Some(floor) && top.is_none_or(|top| from <= top);
                    assert!(
                        !needs || must || spared,
                        "{floor} {kept:?} {top:?}: {from} to {next:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_longest_prefix_says_what_is_gone() {
        let gone = line(&[("", 10), ("a", 20), ("ab", 5)], &[3], None);
        assert!(gone.holds(Seq::new(20)) && gone.holds(Seq::new(3)), "whole");
        assert!(!gone.holds(Seq::new(19)) && gone.has(Seq::new(19)), "in part");
        assert!(gone.has(Seq::new(5)) && !gone.has(Seq::new(4)), "not at all");
        let missing = gone.missing(Seq::new(15));
        assert!(missing.check(b"b").is_ok() && missing.check(b"abc").is_ok(), "these are there");
        assert!(missing.check(b"ac").is_err() && missing.check(b"a").is_err(), "these are gone");
        for (prefix, there) in [("b", true), ("ab", true), ("abc", true), ("a", false), ("", false)]
        {
            let range = KeyRange::prefix(prefix);
            assert_eq!(missing.check_range(&range).is_ok(), there, "the range of {prefix:?}");
        }
        assert!(gone.missing(Seq::new(3)).is_empty(), "a kept commit misses nothing");
    }
}
