//! Rows of `head` and `history`, line by line and key by key: each version with the one before it.

use std::collections::BTreeSet;

use super::Context;
use super::blobs::Named;
use super::content::{Seen, Shown};
use super::found::{Findings, Site};
use super::gone::{Must, Needed};
use super::lines::{Line, Lines};
use super::report::Check;
use super::scan::Walk;
use super::sums::Sink;
use crate::format::commit::fingerprint_of;
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Corrupt, Family, keys};
use crate::graph::Place;
use crate::id::{LineId, Seq};
use crate::kv::check_key;

/// A version of a key: the commit that wrote it, and what the fingerprint counts before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'k> {
    pub(super) line: LineId,
    pub(super) seq: Seq,
    pub(super) key: &'k [u8],
    pub(super) before: Option<[u64; 4]>,
    pub(super) after: Option<[u64; 4]>,
}

/// A version while the one before it is awaited.
#[derive(Clone, Copy)]
struct Newer {
    seq: Seq,
    after: Option<[u64; 4]>,
    in_head: bool,
}

/// One pass over a range of rows.
pub(super) struct RowPass<'a, S> {
    context: &'a Context<'a>,
    findings: &'a Findings,
    lines: &'a Lines,
    named: &'a Named,
    pub(super) sink: S,
    pub(super) shown: Shown,
    pub(super) versions: u64,
    /// The line and key that the pass is at, and the versions of it that are not done.
    line: LineId,
    known: Option<Line>,
    needed: Needed,
    seen: Seen,
    layers: Vec<Place>,
    is_layer: bool,
    key: Vec<u8>,
    newer: Option<Newer>,
    head: Option<[u64; 4]>,
    has_head: bool,
    /// Lines that are not there, so that each is named once.
    strange: BTreeSet<LineId>,
}

/// Where a range of rows begins and ends, as keys of `head`; no end is the end of the family.
pub(super) type Range = (Vec<u8>, Option<Vec<u8>>);

impl<'a, S: Sink> RowPass<'a, S> {
    pub(super) fn new(
        context: &'a Context<'a>,
        findings: &'a Findings,
        (lines, named): (&'a Lines, &'a Named),
        sink: S,
    ) -> Self {
        Self {
            context,
            findings,
            lines,
            named,
            sink,
            shown: Shown::default(),
            versions: 0,
            line: LineId::new(u64::MAX),
            known: None,
            needed: Needed::default(),
            seen: Seen::default(),
            layers: Vec::new(),
            is_layer: false,
            key: Vec::new(),
            newer: None,
            head: None,
            has_head: false,
            strange: BTreeSet::new(),
        }
    }

    /// Judges the rows of a range: those of `head`, and those of `history` of the same lines and keys.
    pub(super) fn judge(&mut self, (from, to): &Range) {
        let bounds = (from.as_slice(), to.as_deref());
        let mut heads = Walk::new(self.context, self.findings, Family::Head, bounds);
        let (from, to) = (in_history(from), to.as_deref().map(in_history));
        let bounds = (from.as_slice(), to.as_deref());
        let mut olds = Walk::new(self.context, self.findings, Family::History, bounds);
        let mut more_heads = heads.advance();
        let mut old = self.next_old(&mut olds);
        while more_heads || old.is_some() {
            let head_key = more_heads.then(|| heads.key());
            // The head first where both have the key: it is the newest version.
            let is_head = match (&head_key, &old) {
                (Some(head), Some((old, _))) => *head <= old.as_slice(),
                (Some(_), None) => true,
                (None, _) => false,
            };
            if is_head {
                let (stored, value) = heads.row();
                self.head(stored, value);
                more_heads = heads.advance();
            } else if let Some((stored, seq)) = old.take() {
                self.old(&stored, seq, olds.row().1);
                old = self.next_old(&mut olds);
            }
        }
        self.end_key();
    }

    /// The next row of `history`: line and key as in `head`, and its sequence.
    fn next_old(&mut self, olds: &mut Walk<'_>) -> Option<(Vec<u8>, Seq)> {
        while olds.advance() {
            match keys::history_parts(olds.key()) {
                Ok((stored, seq)) => return Some((stored, seq)),
                Err(e) => self.findings.malformed(Site::of(Family::History).key(olds.key()), e),
            }
        }
        None
    }

    fn head(&mut self, stored: &[u8], value: &[u8]) {
        if !self.enter(stored, Family::Head) {
            return;
        }
        match read_head(value) {
            Ok((seq, cell)) => self.version(seq, &cell, Family::Head),
            Err(e) => self.fault(Family::Head, e),
        }
    }

    fn old(&mut self, stored: &[u8], seq: Seq, value: &[u8]) {
        if !self.enter(stored, Family::History) {
            return;
        }
        if self.is_layer {
            let what = format!("line {} is a read layer, and has history", self.line);
            self.findings.add(Check::Lines, 13, self.site(Family::History), what);
            return;
        }
        match read_history(value) {
            Ok(cell) => self.version(seq, &cell, Family::History),
            Err(e) => self.fault(Family::History, e),
        }
    }

    fn site(&self, family: Family) -> Site {
        Site::of(family).line(self.line).key(&self.key)
    }

    fn fault(&mut self, family: Family, e: Corrupt) {
        self.findings.malformed(self.site(family), e);
    }

    /// Goes to a line and key; false if its rows are not judged.
    fn enter(&mut self, stored: &[u8], family: Family) -> bool {
        let Some((line, key)) = stored.split_first_chunk::<8>() else {
            self.findings.malformed(Site::of(family).key(stored), "a key without a line");
            return false;
        };
        let line = LineId::new(u64::from_be_bytes(*line));
        if line != self.line {
            self.end_key();
            self.enter_line(line, family);
        } else if key != self.key {
            self.end_key();
        }
        if self.known.is_none() {
            return false;
        }
        if self.key != key {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        if check_key(key).is_err() {
            self.findings.malformed(self.site(family), "no user can have written such a key");
            return false;
        }
        true
    }

    fn enter_line(&mut self, line: LineId, family: Family) {
        self.line = line;
        self.key.clear();
        self.known = self.lines.get(line).filter(|_| self.lines.judges(line)).copied();
        self.layers.clear();
        self.needed = Needed::of(self.context, self.lines, line);
        self.seen = Seen::at(self.needed.points());
        self.is_layer = self.lines.made.contains_key(&line) || self.lines.is_unnamed(line);
        if let Some(made) = self.lines.made.get(&line) {
            // One that nobody uses has nothing to be judged by but itself.
            self.layers = made.used.as_ref().map(|used| used.layers.clone()).unwrap_or_default();
        } else if self.known.is_some_and(|known| known.below.is_some()) {
            let row = self.context.get(Family::Refs, &keys::line(line), self.findings);
            let record: Option<crate::format::refs::LineRecord> =
                row.and_then(|row| crate::format::record::decode("line", &row).ok());
            let layers = record.map(|record| record.layers).unwrap_or_default();
            self.layers = layers.into_iter().map(Place::from).collect();
        }
        let there = self.lines.get(line).is_some() || self.context.fixed.ignores(line);
        if !there && self.strange.insert(line) {
            let what = format!("there are rows of line {line}, which is not there");
            self.findings.add(Check::Rows, 64, Site::of(family).line(line), what);
        }
    }

    /// Takes the next older version of the key.
    fn version(&mut self, stored: Seq, cell: &Cell<'_>, family: Family) {
        let in_head = family == Family::Head;
        self.versions += 1;
        // Sequence 0 stands for the bulk load that made the line.
        let known = self.known.unwrap_or_default();
        let seq = match stored {
            Seq::ROOT => known.first.filter(|_| known.bulk || self.is_layer).unwrap_or(Seq::ROOT),
            seq => seq,
        };
        if seq == Seq::ROOT {
            let what = format!(
                "a row of line {} says that a bulk load wrote it, but none made the line",
                self.line
            );
            self.findings.add(Check::Rows, 12, self.site(family), what);
        }
        if let Cell::Blob { hash, len } = cell {
            let fault = self.named.name(self.context, self.findings, hash, Some(*len));
            if let Some(fault) = fault {
                self.findings.add(Check::Blobs, 14, self.site(family).seq(seq), fault);
            }
        }
        if cell.is_present() && self.context.fixed.purges.have(&self.key, seq) {
            let what = "a value is there that was purged from all of history";
            self.findings.add(Check::Rows, 71, self.site(family).seq(seq), what);
        }
        let hash = cell.hash_unless(self.context.quick);
        let after = hash.map(|hash| fingerprint_of(&self.key, &hash));
        if let Some(newer) = self.newer.take() {
            if newer.seq <= seq {
                let what = format!(
                    "a row of history is not older than the version of commit {} that replaced it",
                    newer.seq
                );
                self.findings.add(Check::Rows, 10, self.site(family).seq(seq), what);
            }
            self.emit(newer, after);
        } else if !in_head {
            let what = "an old version is there, and no row of head that replaced it";
            self.findings.add(Check::Rows, 10, self.site(family).seq(seq), what);
        }
        if in_head {
            (self.head, self.has_head) = (after, true);
        }
        self.seen.version(seq, after);
        self.newer = Some(Newer { seq, after, in_head });
    }

    /// Ends a key: what is below its oldest version is what the layers show.
    fn end_key(&mut self) {
        let Some(oldest) = self.newer.take() else { return };
        let has_head = std::mem::take(&mut self.has_head);
        let head = self.head.take();
        let below = match self.context.quick {
            true => None,
            false => self.below(),
        };
        if !self.is_layer {
            self.emit(oldest, below);
        }
        if has_head || oldest.in_head {
            self.shown.newest(self.line, below, head);
        }
        self.shown.at_points(self.line, below, &mut self.seen);
    }

    fn emit(&mut self, version: Newer, before: Option<[u64; 4]>) {
        if !self.context.quick {
            let Newer { seq, after, .. } = version;
            let before = match self.needed.must(&self.key, seq, after.is_none()) {
                Must::Whole => before,
                Must::Alone => None,
                Must::Nothing => return,
            };
            self.sink.take(&Item { line: self.line, seq, key: &self.key, before, after });
        }
    }

    /// What the layers below the line show of the key.
    fn below(&self) -> Option<[u64; 4]> {
        for layer in &self.layers {
            let stored = keys::head(layer.line, &self.key);
            let Some(row) = self.context.get(Family::Head, &stored, self.findings) else {
                continue;
            };
            let Ok((seq, cell)) = read_head(&row) else { continue };
            if seq <= layer.seq {
                return cell.hash().map(|hash| fingerprint_of(&self.key, &hash));
            }
            let prefix = keys::history_prefix(layer.line, &self.key);
            let lower = keys::history(layer.line, &self.key, layer.seq);
            let upper = crate::kv::after_prefix(&prefix);
            let mut rows = self.context.db.look(Family::History, &lower, upper.as_deref());
            rows.seek_to_first();
            if let Ok(Some((_, value))) = rows.current() {
                let cell = read_history(value).ok()?;
                return cell.hash().map(|hash| fingerprint_of(&self.key, &hash));
            }
        }
        None
    }
}

/// The place in `history` that belongs to one in `head`.
fn in_history(stored: &[u8]) -> Vec<u8> {
    match stored.split_first_chunk::<8>() {
        Some((line, key)) if !key.is_empty() => {
            keys::history_prefix(LineId::new(u64::from_be_bytes(*line)), key)
        }
        _ => stored.to_vec(),
    }
}

/// Ranges that together are all rows of the lines to be judged: cut where data files begin, and at lines.
pub(super) fn ranges(context: &Context<'_>, lines: &Lines) -> Vec<Range> {
    let mut cuts = context.db.engine().file_starts(Family::Head);
    cuts.retain(|cut| cut.len() >= 8);
    let step = (lines.all().len() / (4 * context.threads)).max(1);
    let starts = lines.all().iter().step_by(step);
    cuts.extend(starts.map(|line| keys::line_prefix(line.id).to_vec()));
    cuts.push(Vec::new());
    cuts.sort_unstable();
    cuts.dedup();
    let ends = cuts.iter().skip(1).cloned().map(Some).chain([None]);
    let all: Vec<Range> = cuts.iter().cloned().zip(ends).collect();
    if lines.is_all() {
        return all;
    }
    let judged = lines.all().iter().filter(|line| lines.judges(line.id));
    let of =
        |id: LineId| (keys::line_prefix(id).to_vec(), Some(keys::line_prefix(id.next()).to_vec()));
    judged.map(|line| of(line.id)).collect()
}
