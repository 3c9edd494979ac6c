//! Where a change is put that could be told in several places.
//!
//! A run of added or removed lines between equal ones can be moved up and down without a change of
//! meaning: a second `}` was added before or after the first. Each run is moved as far down as it
//! goes, but if on its way it meets a change of the other text, it stays beside the last one it meets.
//! Whether two sides' changes touch depends on that, so it is done as git does it.

use std::ops::Range;

use super::histogram::Marked;

/// What one edit replaces in the base, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) base: Range<usize>,
    pub(super) side: Range<usize>,
}

/// The edits from `base` to `side`, first to last; between two of them is at least one common line.
pub(super) fn edits(mut base: Marked<'_>, mut side: Marked<'_>) -> Vec<Edit> {
    settle(&mut base, &side);
    settle(&mut side, &base);
    let (mut old, mut new) = (Some(base.first()), Some(side.first()));
    let mut edits = Vec::new();
    while let (Some(a), Some(b)) = (old, new) {
        (old, new) = (base.below(&a), side.below(&b));
        if !a.is_empty() || !b.is_empty() {
            edits.push(Edit { base: a, side: b });
        }
    }
    edits
}

/// The runs of changed lines, of which an empty one stands between each two common lines that follow
/// each other: so both texts have the same number of runs, and they belong together in order.
impl Marked<'_> {
    fn run_from(&self, start: usize) -> Range<usize> {
        let rest = &self.changed[start.min(self.changed.len())..];
        start..start + rest.iter().take_while(|&&changed| changed).count()
    }

    fn run_to(&self, end: usize) -> Range<usize> {
        end - self.changed[..end].iter().rev().take_while(|&&changed| changed).count()..end
    }

    fn first(&self) -> Range<usize> {
        self.run_from(0)
    }

    fn below(&self, run: &Range<usize>) -> Option<Range<usize>> {
        (run.end < self.lines.len()).then(|| self.run_from(run.end + 1))
    }

    fn above(&self, run: &Range<usize>) -> Option<Range<usize>> {
        run.start.checked_sub(1).map(|end| self.run_to(end))
    }

    /// The run moved up by a line, together with what it then touches.
    fn moved_up(&mut self, run: &Range<usize>) -> Option<Range<usize>> {
        let (before, last) = (run.start.checked_sub(1)?, run.end.checked_sub(1)?);
        if self.lines[before] != self.lines[last] {
            return None;
        }
        (self.changed[before], self.changed[last]) = (true, false);
        Some(self.run_to(before).start..last)
    }

    /// The run moved down by a line, together with what it then touches.
    fn moved_down(&mut self, run: &Range<usize>) -> Option<Range<usize>> {
        if self.lines.get(run.end)? != &self.lines[run.start] {
            return None;
        }
        (self.changed[run.start], self.changed[run.end]) = (false, true);
        Some(run.start + 1..self.run_from(run.end + 1).end)
    }
}

/// Puts every run of `text` in its place, beside those of `other`.
fn settle(text: &mut Marked<'_>, other: &Marked<'_>) {
    let (mut next, mut next_beside) = (Some(text.first()), Some(other.first()));
    while let (Some(run), Some(beside)) = (next, next_beside) {
        let (run, beside) =
            if run.is_empty() { (run, beside) } else { settle_run(text, other, (run, beside)) };
        (next, next_beside) = (text.below(&run), other.below(&beside));
    }
}

/// A run and the one beside it.
type Runs = (Range<usize>, Range<usize>);

fn settle_run(text: &mut Marked<'_>, other: &Marked<'_>, (mut run, mut beside): Runs) -> Runs {
    // Both texts have as many runs, so there is always a next one beside.
    let mut meets;
    loop {
        let size = run.len();
        while let Some(moved) = text.moved_up(&run) {
            run = moved;
            beside = other.above(&beside).unwrap_or(beside);
        }
        meets = !beside.is_empty();
        while let Some(moved) = text.moved_down(&run) {
            run = moved;
            beside = other.below(&beside).unwrap_or(beside);
            meets |= !beside.is_empty();
        }
        if run.len() == size {
            break;
        }
    }
    while meets && beside.is_empty() {
        let Some(moved) = text.moved_up(&run) else { break };
        run = moved;
        beside = other.above(&beside).unwrap_or(beside);
    }
    (run, beside)
}

#[cfg(test)]
mod tests {
    use super::super::histogram::diff;
    use super::{Edit, edits};

    fn between(old: &[usize], new: &[usize]) -> Vec<Edit> {
        let (a, b) = diff(old, new, 10);
        edits(a, b)
    }

    #[test]
    fn an_added_line_among_equal_ones_is_the_last_of_them() {
        assert_eq!(between(&[1, 2, 2, 3], &[1, 2, 2, 2, 3]), [Edit { base: 3..3, side: 3..4 }]);
    }

    #[test]
    fn equal_texts_have_no_edits() {
        assert_eq!(between(&[1, 2], &[1, 2]), []);
        assert_eq!(between(&[], &[]), []);
    }

    #[test]
    fn a_replaced_line_is_one_edit() {
        assert_eq!(between(&[1, 2, 3], &[1, 4, 3]), [Edit { base: 1..2, side: 1..2 }]);
    }
}
