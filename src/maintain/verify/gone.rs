//! What was let go: which commits and versions must be there still, and whether what is said of that can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use super::found::{Findings, Site};
use super::lines::Lines;
use super::report::Check;
use super::scan::numbered;
use crate::engine::Frozen;
use crate::format::refs::{GoneRecord, IndexRecord};
use crate::format::{Family, keys, record};
use crate::graph::{Gone, Place};
use crate::id::{LineId, Seq};

/// What must be there of a version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Must {
    /// It is there, and so is the one before it.
    Whole,
    /// It is there; the one before it may be gone.
    Alone,
    /// It may be gone.
    Nothing,
}

/// What must be there of a line's versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Needed {
    gone: Option<Arc<Gone>>,
    /// Nothing is below the line, so that a deletion may hide nothing.
    bare: bool,
}

impl Needed {
    pub(super) fn of(context: &Context<'_>, lines: &Lines, line: LineId) -> Self {
        let bare = lines.get(line).is_none_or(|line| line.below.is_none());
        Self { gone: context.fixed.gone.get(&line).cloned(), bare }
    }

    /// What must be there of the version that a commit wrote of a key. The log and the rows ask the same.
    pub(super) fn must(&self, key: &[u8], seq: Seq, is_deletion: bool) -> Must {
        let Some(gone) = &self.gone else { return Must::Whole };
        let record = gone.record();
        let within = record.top.is_none_or(|top| seq.get() <= top);
        let above = seq >= gone.floor(key);
        // What the floor's own commit and all above it have replaced is there too.
        if within && above && !record.dead {
            return Must::Whole;
        }
        let hides = is_deletion && self.bare && !above;
        let is_kept = !record.dead && record.kept.binary_search(&seq.get()).is_ok();
        if is_kept && !hides { Must::Alone } else { Must::Nothing }
    }

    /// Where the content of the line is judged besides that of its newest commit: at commits that no
    /// chain of others leads to, and where a line ends that goes on no more. In order.
    pub(super) fn points(&self) -> Vec<Seq> {
        let Some(gone) = self.gone.as_ref().filter(|gone| !gone.record().dead) else {
            return Vec::new();
        };
        let record = gone.record();
        // Nothing is at the end of a line that has come to lie below what was gone before.
        let top = record.top.filter(|top| gone.lowest().get() <= *top);
        let mut points: Vec<Seq> = record.kept.iter().copied().chain(top).map(Seq::new).collect();
        points.sort_unstable();
        points.dedup();
        points
    }

    /// Whether the newest commits are gone: then the rows need not show what the last one says.
    pub(super) fn has_top(&self) -> bool {
        self.gone.as_ref().is_some_and(|gone| gone.record().top.is_some())
    }

    /// Whether fewer rows may be there than were written.
    pub(super) fn may_lack_rows(&self) -> bool {
        self.gone.is_some()
    }

    /// Whether all is there that a commit shows.
    pub(super) fn holds(&self, seq: Seq) -> bool {
        self.gone.as_ref().is_none_or(|gone| gone.holds(seq))
    }

    /// Whether a commit is not above the newest that is there.
    pub(super) fn is_within(&self, seq: Seq) -> bool {
        let top = self.gone.as_ref().and_then(|gone| gone.record().top);
        top.is_none_or(|top| seq.get() <= top)
    }
}

/// Reads what is said to be gone of each line.
pub(super) fn load(db: &Frozen<'_>, findings: &Findings) -> BTreeMap<LineId, Arc<Gone>> {
    let of_line = |site: Site, line| site.line(LineId::new(line));
    let kind = (keys::kind::GONE, "what is gone of a line", of_line as fn(Site, u64) -> Site);
    let gone: Vec<(u64, GoneRecord)> = numbered(db, findings, kind);
    gone.into_iter().map(|(line, gone)| (LineId::new(line), Arc::new(Gone::new(gone)))).collect()
}

/// INV-11, INV-64: what is said to be gone is of lines that are there, and in order.
pub(super) fn check(context: &Context<'_>, findings: &Findings, lines: &Lines) {
    for (&line, gone) in &context.fixed.gone {
        let site = || Site::of(Family::Refs).line(line).key(&keys::gone(line));
        let record = gone.record();
        // A line that is gone whole may be half removed.
        if !record.dead && lines.get(line).is_none() && !context.fixed.ignores(line) {
            let what = format!("something is said to be gone of line {line}, which is not there");
            findings.add(Check::Lines, 64, site(), what);
        }
        let sorted =
            record.floors.is_sorted_by(|a, b| a.0 < b.0) && record.kept.is_sorted_by(|a, b| a < b);
        let highest = record.floors.iter().map(|floor| floor.1).max().unwrap_or(0);
        let apart = |seq: &u64| *seq < highest || record.top.is_some_and(|top| *seq > top);
        if !sorted || !record.kept.iter().all(apart) || (record.dead && !record.kept.is_empty()) {
            let what = format!("what is said to be gone of line {line} is not in order");
            findings.add(Check::Lines, 11, site(), what);
        }
    }
    // Nothing is gone that everybody comes to.
    if context.header(Seq::ROOT, findings).is_none() && context.fixed.log_start > Seq::ROOT {
        findings.add(Check::Log, 1, Site::commit(Seq::ROOT), "the root commit is missing");
    }
}

/// INV-1: names the commits of a line that are not gone and have no record, though the index names them.
/// Whether any is missing.
pub(super) fn name_missing(context: &Context<'_>, findings: &Findings, line: LineId) -> bool {
    let mut any = false;
    each_indexed(context, line, |seq| {
        // Above that no commit is missing, or it was found where the log is read.
        if seq < context.fixed.log_start
            && context.is_there(Place { line, seq })
            && context.get(Family::Log, &keys::log(seq, 0), findings).is_none()
        {
            let what = format!("commit {seq} of line {line} is missing from the log");
            findings.add(Check::Log, 1, Site::commit(seq).line(line), what);
            any = true;
        }
        true
    });
    any
}

/// The first commit of a line by the index, which names commits that are gone too.
pub(super) fn first_indexed(context: &Context<'_>, line: LineId) -> Option<Seq> {
    let mut first = None;
    each_indexed(context, line, |seq| {
        first = Some(seq);
        false
    });
    first
}

/// Calls `each` with the commits that the index names of a line, in order, until it says no.
fn each_indexed(context: &Context<'_>, line: LineId, mut each: impl FnMut(Seq) -> bool) {
    let (lower, upper) = (keys::index(line, Seq::ROOT), keys::index(line.next(), Seq::ROOT));
    let mut rows = context.db.look(Family::Refs, &lower, Some(&upper));
    rows.seek_to_first();
    // What cannot be read or does not decode is found where the index is judged.
    while let Ok(Some((_, value))) = rows.current() {
        let Ok(block) = record::decode::<IndexRecord>("index block", value) else { return };
        let mut seq = 0u64;
        for delta in block.deltas {
            seq = seq.wrapping_add(delta);
            if !each(Seq::new(seq)) {
                return;
            }
        }
        rows.next();
    }
}

impl Context<'_> {
    /// Whether a commit's record must be there.
    pub(super) fn is_there(&self, place: Place) -> bool {
        self.fixed.gone.get(&place.line).is_none_or(|gone| gone.has(place.seq))
    }

    /// Whether everything must be there that a commit shows.
    pub(super) fn is_whole(&self, place: Place) -> bool {
        self.fixed.gone.get(&place.line).is_none_or(|gone| gone.holds(place.seq))
    }
}
