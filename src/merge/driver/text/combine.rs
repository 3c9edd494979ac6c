//! Two lists of edits to one base, combined as git does it.
//!
//! Edits that have at least one common line between them stand side by side; edits that overlap or
//! touch are a conflict, unless both sides made the same one.

use std::ops::Range;

use super::slide::Edit;

/// Which side's lines a part of the result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    Ours,
    Theirs,
    /// Neither: what the sides have here differs.
    Conflict,
}

/// A part in which a side changed something: where it is in all three texts. What stands between two
/// parts is the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) take: Take,
    pub(super) base: Range<usize>,
    pub(super) ours: Range<usize>,
    pub(super) theirs: Range<usize>,
}

/// Where a position of the base, behind all edits so far, is on a side.
#[derive(Clone, Copy, Default)]
struct Shift {
    base: usize,
    side: usize,
}

impl Shift {
    fn after(edit: &Edit) -> Self {
        Self { base: edit.base.end, side: edit.side.end }
    }

    fn range(self, base: &Range<usize>) -> Range<usize> {
        // An edit that began before the last one of the other side ended becomes one part with what is
        // already there, which has the right start.
        let at = |position: usize| (position + self.side).saturating_sub(self.base);
        at(base.start)..at(base.end)
    }
}

/// What an edit becomes if its side replaced `base`, which is at least what the edit replaces. Where
/// that reaches back over another edit of the side, the start does not count, as above.
fn widened(edit: &Edit, base: &Range<usize>) -> Range<usize> {
    let before = edit.base.start - base.start;
    let after = base.end - edit.base.end;
    edit.side.start.saturating_sub(before)..edit.side.end + after
}

/// Adds a part; one that touches the part before it becomes one with it.
fn push(parts: &mut Vec<Part>, part: Part) {
    match parts.last_mut() {
        Some(last) if part.ours.start <= last.ours.end || part.theirs.start <= last.theirs.end => {
            if last.take != part.take {
                last.take = Take::Conflict;
            }
            last.base.end = part.base.end;
            last.ours.end = part.ours.end;
            last.theirs.end = part.theirs.end;
        }
        _ => parts.push(part),
    }
}

/// The parts of the merge of two sides, given as lines and as edits to the base. What both sides
/// changed in the same way is no part, for there both have the same lines.
pub(super) fn combine(ours: (&[usize], &[Edit]), theirs: (&[usize], &[Edit])) -> Vec<Part> {
    let ((our_lines, mut ours), (their_lines, mut theirs)) = (ours, theirs);
    let (mut ours_by, mut theirs_by) = (Shift::default(), Shift::default());
    let mut parts = Vec::new();
    loop {
        let (a, b) = (ours.first(), theirs.first());
        let (takes_a, takes_b) = match (a, b) {
            (None, None) => break,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some(a), Some(b)) => (a.base.end <= b.base.end, b.base.end <= a.base.end),
        };
        match (a, b) {
            (Some(a), b) if b.is_none_or(|b| a.base.end < b.base.start) => {
                let (base, ours) = (a.base.clone(), a.side.clone());
                let theirs = theirs_by.range(&base);
                push(&mut parts, Part { take: Take::Ours, base, ours, theirs });
            }
            (a, Some(b)) if a.is_none_or(|a| b.base.end < a.base.start) => {
                let (base, theirs) = (b.base.clone(), b.side.clone());
                let ours = ours_by.range(&base);
                push(&mut parts, Part { take: Take::Theirs, base, ours, theirs });
            }
            (Some(a), Some(b)) => {
                let same =
                    a.base == b.base && our_lines[a.side.clone()] == their_lines[b.side.clone()];
                if !same {
                    let base = a.base.start.min(b.base.start)..a.base.end.max(b.base.end);
                    let (ours, theirs) = (widened(a, &base), widened(b, &base));
                    push(&mut parts, Part { take: Take::Conflict, base, ours, theirs });
                }
            }
            _ => {}
        }
        if let (true, Some((edit, rest))) = (takes_a, ours.split_first()) {
            (ours_by, ours) = (Shift::after(edit), rest);
        }
        if let (true, Some((edit, rest))) = (takes_b, theirs.split_first()) {
            (theirs_by, theirs) = (Shift::after(edit), rest);
        }
    }
    for part in &mut parts {
        // Several edits on each side that come to the same.
        if part.take == Take::Conflict
            && our_lines[part.ours.clone()] == their_lines[part.theirs.clone()]
        {
            part.take = Take::Ours;
        }
    }
    parts
}
