//! The log: every commit by itself, and against its parents.

use std::collections::BTreeMap;

use super::Context;
use super::commit::{Judge, Parent};
use super::found::{Findings, Site};
use super::gone::{Needed, first_indexed};
use super::lines::Lines;
use super::report::Check;
use super::scan::Walk;
use super::sums::Sink;
use crate::format::commit::{Header, read_first, read_further};
use crate::format::{Family, keys};
use crate::graph::Place;
use crate::id::{LineId, Seq};

/// What a run of the log says of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnLine {
    first: Seq,
    /// The first parent of that commit.
    parent: Option<Place>,
    bulk: bool,
    last: Parent,
    /// The newest of them that is not above what is there.
    shown: Option<Seq>,
    indexed: (u64, u64),
}

/// What a run of the log comes to.
#[derive(Default)]
pub(super) struct Run {
    lines: BTreeMap<LineId, OnLine>,
    /// Times of its first and last commits.
    times: Option<((Seq, i64), (Seq, i64))>,
    pub(super) commits: u64,
    /// Commits whose record is damaged: their rows cannot be judged.
    pub(super) broken: Vec<Seq>,
}

/// So many damaged commits are remembered by a run.
const MANY_BROKEN: usize = 4_096;

/// One pass over a run of the log.
pub(super) struct LogPass<'a, S> {
    pub(super) context: &'a Context<'a>,
    pub(super) findings: &'a Findings,
    pub(super) lines: &'a Lines,
    pub(super) sink: S,
    pub(super) run: Run,
    /// A commit whose parts are not judged.
    skipped: Option<Seq>,
    /// What must be there of the line that was asked for last.
    needed: (LineId, Needed),
}

impl<'a, S: Sink> LogPass<'a, S> {
    pub(super) fn new(
        context: &'a Context<'a>,
        findings: &'a Findings,
        lines: &'a Lines,
        sink: S,
    ) -> Self {
        let needed = (LineId::ROOT, Needed::of(context, lines, LineId::ROOT));
        Self { context, findings, lines, sink, run: Run::default(), skipped: None, needed }
    }

    /// Judges the commits from one to another, both included.
    pub(super) fn judge(&mut self, from: Seq, to: Seq) {
        let (lower, upper) = (keys::log(from, 0), keys::log(to.next(), 0));
        let mut walk = Walk::new(self.context, self.findings, Family::Log, (&lower, Some(&upper)));
        let mut expected = from;
        let mut judge: Option<Judge> = None;
        while walk.advance() {
            let (key, value) = walk.row();
            let (seq, part) = match keys::log_parts(key) {
                Ok(Some(parts)) if key.len() == 12 => parts,
                _ => {
                    self.findings.malformed(Site::of(Family::Log).key(key), "the key of a commit");
                    continue;
                }
            };
            if let Some(open) = judge.as_mut().filter(|open| open.seq == seq) {
                self.further(open, part, value);
                continue;
            }
            if self.skipped == Some(seq) {
                continue;
            }
            if let Some(open) = judge.take() {
                self.close(open);
            }
            self.gap(expected, seq);
            expected = seq.next();
            judge = self.open(seq, part, value);
        }
        if let Some(open) = judge.take() {
            self.close(open);
        }
        if !self.context.is_stopped() {
            self.gap(expected, to.next());
        }
    }

    /// INV-1: no commit is missing between two that are there, but for those that are gone. Which of these
    /// must be there is held against the index.
    fn gap(&self, expected: Seq, seq: Seq) {
        let expected = expected.max(self.context.fixed.log_start);
        if seq > expected {
            let last = Seq::new(seq.get() - 1);
            let what = match expected == last {
                true => format!("commit {expected} is missing from the log"),
                false => format!("commits {expected} to {last} are missing from the log"),
            };
            self.findings.add(Check::Log, 1, Site::commit(expected), what);
        }
    }

    fn broken(&mut self, seq: Seq) {
        if self.run.broken.len() < MANY_BROKEN {
            self.run.broken.push(seq);
        }
    }

    fn open(&mut self, seq: Seq, part: u32, value: &[u8]) -> Option<Judge> {
        if part != 0 {
            let what = format!("the first part of commit {seq} is missing");
            self.findings.add(Check::Log, 61, Site::commit(seq), what);
            self.broken(seq);
            return None;
        }
        let (header, changes) = match read_first(value) {
            Ok(read) => read,
            Err(e) => {
                self.findings.malformed(Site::commit(seq), e);
                self.broken(seq);
                return None;
            }
        };
        let line = LineId::new(header.line);
        if !self.context.is_there(Place { line, seq }) {
            // What is left of a commit that is gone is no fault.
            self.skipped = Some(seq);
            return None;
        }
        self.time(seq, header.time);
        self.need(line);
        if !self.lines.judges(line) {
            self.note(seq, &header);
            self.skipped = Some(seq);
            return None;
        }
        self.run.commits += 1;
        let parent = self.parent(seq, &header);
        if self.lines.get(line).is_none() {
            let what = format!("commit {seq} is on line {line}, which is not there");
            self.findings.add(Check::Log, 64, Site::commit(seq).line(line), what);
        }
        self.note(seq, &header);
        let needed = self.needed.1.clone();
        let mut judge = Judge::new((seq, header), parent, needed, self.context.quick);
        judge.part(changes, (self.context, self.findings), &mut self.sink);
        if let (true, parts) = judge.header.changes_at.parts() {
            self.bulk(&mut judge, parts);
        }
        Some(judge)
    }

    fn further(&mut self, open: &mut Judge, part: u32, value: &[u8]) {
        match read_further(value) {
            Ok(changes) => {
                open.further(part);
                open.part(changes, (self.context, self.findings), &mut self.sink);
            }
            Err(e) => {
                self.findings.malformed(Site::commit(open.seq).line(open.line), e);
                open.broken = true;
            }
        }
    }

    /// The changes of a bulk load, which lie under its line.
    fn bulk(&mut self, judge: &mut Judge, parts: u32) {
        let (lower, upper) = (keys::bulk_log(judge.line, 0), keys::bulk_log(judge.line.next(), 0));
        let mut walk = Walk::new(self.context, self.findings, Family::Log, (&lower, Some(&upper)));
        let mut seen = 0;
        while walk.advance() {
            let (key, value) = walk.row();
            let whole = key == keys::bulk_log(judge.line, seen);
            match read_further(value) {
                Ok(changes) if whole => {
                    judge.part(changes, (self.context, self.findings), &mut self.sink)
                }
                _ => break,
            }
            seen += 1;
        }
        if seen != parts && !self.context.is_stopped() {
            let what = format!(
                "commit {} is a bulk load of {parts} parts, of which {seen} are there",
                judge.seq
            );
            self.findings.add(Check::Log, 61, Site::commit(judge.seq).line(judge.line), what);
            judge.broken = true;
        }
    }

    fn close(&mut self, judge: Judge) {
        let seq = judge.seq;
        if judge.finish(self.context, self.findings, self.lines) {
            self.broken(seq);
        }
    }

    /// Looks up what must be there of a line.
    fn need(&mut self, line: LineId) {
        if self.needed.0 != line {
            self.needed = (line, Needed::of(self.context, self.lines, line));
        }
    }

    /// INV-3: times never run backwards.
    fn time(&mut self, seq: Seq, time: i64) {
        let times = self.run.times.get_or_insert(((seq, time), (seq, time)));
        check_times(self.findings, times.1, (seq, time));
        times.1 = (seq, time);
    }

    /// Remembers a commit as the newest of its line.
    fn note(&mut self, seq: Seq, header: &Header) {
        let line = LineId::new(header.line);
        let indexed = seq > Seq::ROOT && seq <= self.context.fixed.indexed;
        let last = Parent::of(seq, header);
        let first = header.parents.first();
        let entry = self.run.lines.entry(line).or_insert_with(|| OnLine {
            first: seq,
            parent: first.map(|p| Place { line: LineId::new(p.line), seq: Seq::new(p.seq) }),
            bulk: header.changes_at.parts().0,
            last,
            shown: None,
            indexed: (0, 0),
        });
        entry.last = last;
        if self.needed.1.is_within(seq) {
            entry.shown = Some(seq);
        }
        if indexed {
            entry.indexed.0 += 1;
            entry.indexed.1 = entry.indexed.1.wrapping_add(mixed(seq));
        }
    }

    /// The first parent, and whether the parents are as they must be: INV-2, INV-4.
    fn parent(&mut self, seq: Seq, header: &Header) -> Option<Parent> {
        let line = LineId::new(header.line);
        let site = || Site::commit(seq).line(line);
        if header.parents.is_empty() != (seq == Seq::ROOT) {
            let what = format!("commit {seq} has {} parents", header.parents.len());
            self.findings.add(Check::Log, 4, site(), what);
            return None;
        }
        let mut first = None;
        for (i, stored) in header.parents.iter().enumerate() {
            let place = Place { line: LineId::new(stored.line), seq: Seq::new(stored.seq) };
            if place.seq >= seq {
                let what = format!("commit {seq} has parent {}, which is not older", place.seq);
                self.findings.add(Check::Log, 2, site(), what);
                continue;
            }
            if !self.context.is_there(place) {
                continue;
            }
            let known = self.run.lines.get(&place.line).map(|one| one.last);
            let parent = known.filter(|last| last.seq == place.seq).or_else(|| {
                let header = self.context.header(place.seq, self.findings)?;
                Some(Parent::of(place.seq, &header))
            });
            let Some(parent) = parent else { continue };
            if parent.line != place.line || parent.id != stored.id {
                let what = format!(
                    "commit {seq} names parent {} with another id or line than it has",
                    place.seq
                );
                self.findings.add(Check::Log, 7, site(), what);
            }
            if i == 0 {
                if let Some(before) = self.run.lines.get(&line) {
                    check_first_parent(
                        self.findings,
                        seq,
                        place,
                        Place { line, seq: before.last.seq },
                    );
                }
                first = Some(parent);
            }
        }
        first
    }
}

/// INV-3 between a commit and the one before it.
fn check_times(findings: &Findings, before: (Seq, i64), now: (Seq, i64)) {
    if now.1 < before.1 {
        let what =
            format!("commit {} is older by its time than commit {} before it", now.0, before.0);
        findings.add(Check::Log, 3, Site::commit(now.0), what);
    }
}

/// INV-4: the first parent is the commit before on the line, or the fork.
fn check_first_parent(findings: &Findings, seq: Seq, named: Place, before: Place) {
    if named != before {
        let what = format!(
            "the first parent of commit {seq} is commit {}, before it comes commit {}",
            named.seq, before.seq
        );
        findings.add(Check::Log, 4, Site::commit(seq).line(before.line), what);
    }
}

/// Spreads sequences, so that sums of different ones differ.
pub(super) fn mixed(seq: Seq) -> u64 {
    let mut hash = seq.get().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// Puts the runs of the log together: what each says of a line goes on from the one before.
pub(super) fn join(context: &Context<'_>, findings: &Findings, runs: &[Run], lines: &mut Lines) {
    let mut before: Option<(Seq, i64)> = None;
    for run in runs {
        if let (Some(before), Some((first, _))) = (before, run.times) {
            check_times(findings, before, first);
        }
        before = run.times.map(|(_, last)| last).or(before);
        for (&id, on) in &run.lines {
            let Some(line) = lines.get_mut(id) else { continue };
            let last = line.last.map(|seq| Place { line: id, seq });
            let parent = on.parent.filter(|parent| context.is_there(*parent));
            if let (Some(parent), Some(expected)) = (parent, last.or(line.fork)) {
                check_first_parent(findings, on.first, parent, expected);
            }
            if line.fork.is_none() && line.last.is_none() && id != LineId::ROOT {
                let what = format!("line {id} has commits, and no fork");
                findings.add(Check::Lines, 64, Site::of(Family::Refs).line(id), what);
            }
            if line.first.is_none() {
                (line.first, line.bulk) = (Some(on.first), on.bulk);
            }
            line.last = Some(on.last.seq);
            line.shown = on.shown.or(line.shown);
            line.indexed.0 += on.indexed.0;
            line.indexed.1 = line.indexed.1.wrapping_add(on.indexed.1);
        }
    }
}

/// Sets the first commit of lines of which something is gone: it may be one that is, and rows of a bulk load
/// say no other. Called once the log was read.
pub(super) fn find_first(context: &Context<'_>, lines: &mut Lines) {
    for &id in context.fixed.gone.keys() {
        let Some(first) = first_indexed(context, id) else { continue };
        let Some(line) = lines.get_mut(id).filter(|line| line.first != Some(first)) else {
            continue;
        };
        // Whether that was a bulk load is gone with it.
        (line.first, line.bulk) = (Some(first), true);
    }
}

/// INV-61: parts of bulk loads and details of merges belong to commits.
pub(super) fn check_owners(context: &Context<'_>, findings: &Findings, lines: &Lines) {
    let lower = keys::log(Seq::new(keys::LAST_SEQ), 0);
    let mut walk = Walk::new(context, findings, Family::Log, (&lower, None));
    let mut more = walk.advance();
    while more {
        let key = walk.key().to_vec();
        let site = Site::of(Family::Log).key(&key);
        let number = |at| keys::number_at(&key, at).unwrap_or(u64::MAX);
        more = match (key.len(), key.get(1)) {
            (14, Some(0xFF)) => {
                let seq = Seq::new(number(2));
                let header = context.header(seq, findings);
                let line = header.as_ref().map(|header| LineId::new(header.line));
                // What is behind the log is removed after the commit it belongs to.
                let is_gone = line.map_or(seq < context.fixed.log_start, |line| {
                    !context.is_there(Place { line, seq })
                });
                let details = header.map(|h| h.changes_at.details().is_some());
                if seq <= context.fixed.latest && details != Some(true) && !is_gone {
                    let what =
                        format!("details of a merge belong to no merge: commit {seq} is none");
                    findings.add(Check::Log, 61, site, what);
                }
                walk.jump(&keys::merge_details(seq.next(), 0))
            }
            (13, _) => {
                let id = LineId::new(number(1));
                let bulk = lines.get(id).is_some_and(|line| line.bulk);
                if !bulk && !context.fixed.ignores(id) {
                    let what = format!("parts of a bulk load belong to no commit of line {id}");
                    findings.add(Check::Log, 61, site.line(id), what);
                }
                walk.jump(&keys::bulk_log(id.next(), 0))
            }
            _ => {
                findings.malformed(site, "an unknown key");
                walk.advance()
            }
        };
    }
}
