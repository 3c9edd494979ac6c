//! Which lines two texts share: the histogram diff, as `git merge` runs it.
//!
//! The run of common lines that has the rarest line, the longest such run first, splits both texts; the
//! parts before and after it are split in the same way. Where every common line is frequent, Myers'
//! diff takes over. Ties are broken as in git, since which lines are shared decides which changes meet.

use std::ops::Range;

use super::myers::Counts;

/// Lines that occur more often than this anchor nothing.
const FREQUENT: usize = 64;
/// Ends a chain of occurrences.
const NONE: usize = usize::MAX;

/// A text as numbers, one a line, equal for equal lines; and which of its lines the other text lacks.
#[derive(Debug)]
pub(super) struct Marked<'a> {
    pub(super) lines: &'a [usize],
    pub(super) changed: Vec<bool>,
}

/// Two texts, or a part of each.
#[derive(Clone, Debug)]
pub(super) struct Area {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

impl Area {
    fn is_one_sided(&self) -> bool {
        self.old.is_empty() || self.new.is_empty()
    }
}

/// Why an area could not be split by its rarest lines.
struct TooFrequent;

/// Where the lines of an area's old part are.
struct Index {
    /// First occurrence by line.
    first: Vec<usize>,
    /// Number of occurrences by line.
    count: Vec<usize>,
    /// Next occurrence of the line at a position.
    next: Vec<usize>,
    /// Steps left before everything counts as frequent, which bounds the cost.
    budget: usize,
}

/// Marks the lines that are in one text alone. `distinct` is above every number in both.
pub(super) fn diff<'a>(
    old: &'a [usize],
    new: &'a [usize],
    distinct: usize,
) -> (Marked<'a>, Marked<'a>) {
    let mut a = Marked { lines: old, changed: vec![false; old.len()] };
    let mut b = Marked { lines: new, changed: vec![false; new.len()] };
    let mut index = Index {
        first: vec![NONE; distinct],
        count: vec![0; distinct],
        next: vec![NONE; old.len()],
        budget: 10_000_000 + 200 * (old.len() + new.len()),
    };
    let mut counts = Counts::new(distinct);
    let mut rest = vec![Area { old: 0..old.len(), new: 0..new.len() }];
    while let Some(area) = rest.pop() {
        let split = if area.is_one_sided() { Ok(None) } else { index.split(old, new, &area) };
        match split {
            Ok(Some(run)) => {
                let Area { old, new } = area;
                rest.push(Area { old: old.start..run.old.start, new: new.start..run.new.start });
                rest.push(Area { old: run.old.end..old.end, new: run.new.end..new.end });
            }
            Ok(None) => {
                a.changed[area.old].fill(true);
                b.changed[area.new].fill(true);
            }
            Err(TooFrequent) => counts.diff(&mut a, &mut b, &area),
        }
    }
    (a, b)
}

impl Index {
    fn fill(&mut self, old: &[usize], area: &Area) {
        for at in area.old.clone().rev() {
            let line = old[at];
            self.next[at] = self.first[line];
            self.first[line] = at;
            self.count[line] += 1;
        }
        self.budget = self.budget.saturating_sub(area.old.len() + area.new.len());
    }

    fn clear(&mut self, old: &[usize], area: &Area) {
        for &line in &old[area.old.clone()] {
            self.first[line] = NONE;
            self.count[line] = 0;
        }
    }

    /// The run of common lines to split an area at; none if no line is common.
    fn split(
        &mut self,
        old: &[usize],
        new: &[usize],
        area: &Area,
    ) -> Result<Option<Area>, TooFrequent> {
        self.fill(old, area);
        let mut best: Option<Area> = None;
        let mut rarest = FREQUENT + 1;
        let mut any_common = false;
        let mut at = area.new.start;
        while at < area.new.end && self.budget > 0 {
            let mut next_at = at + 1;
            let count = self.count[new[at]];
            any_common |= count > 0;
            let mut found = if count <= rarest { self.first[new[at]] } else { NONE };
            while found != NONE {
                let (run, rare) = self.grow(old, new, area, (found, at));
                next_at = next_at.max(run.new.end);
                let longest = best.as_ref().map_or(1, |best| best.old.len());
                found = self.next[found];
                while found < run.old.end {
                    found = self.next[found];
                }
                if run.old.len() > longest || rare < rarest {
                    best = Some(run);
                    rarest = rare;
                }
            }
            at = next_at;
        }
        self.clear(old, area);
        let stopped = at < area.new.end;
        if stopped || (any_common && rarest > FREQUENT) { Err(TooFrequent) } else { Ok(best) }
    }

    /// The common run around a pair of equal lines, and how often its rarest line occurs.
    fn grow(
        &mut self,
        old: &[usize],
        new: &[usize],
        area: &Area,
        (a, b): (usize, usize),
    ) -> (Area, usize) {
        let before = old[area.old.start..a].iter().rev().zip(new[area.new.start..b].iter().rev());
        let before = before.take_while(|(x, y)| x == y).count();
        let after = old[a..area.old.end].iter().zip(&new[b..area.new.end]);
        let after = after.take_while(|(x, y)| x == y).count();
        let run = Area { old: a - before..a + after, new: b - before..b + after };
        self.budget = self.budget.saturating_sub(run.old.len());
        let rare = old[run.old.clone()].iter().map(|&line| self.count[line]).min();
        (run, rare.unwrap_or(NONE))
    }
}

#[cfg(test)]
mod tests {
    use super::diff;

    fn changed(old: &[usize], new: &[usize]) -> (Vec<bool>, Vec<bool>) {
        let (a, b) = diff(old, new, 10);
        (a.changed, b.changed)
    }

    #[test]
    fn rare_lines_are_the_anchors() {
        // 9 is the only line that is unique; the 1s around it do not pull it apart.
        let (a, b) = changed(&[1, 1, 9, 1], &[9, 1, 1, 1]);
        assert_eq!((a, b), (vec![true, true, false, false], vec![false, false, true, true]));
    }

    #[test]
    fn texts_without_a_common_line_change_as_a_whole() {
        assert_eq!(changed(&[1, 2], &[3]), (vec![true; 2], vec![true; 1]));
        assert_eq!(changed(&[], &[3]), (vec![], vec![true; 1]));
    }

    #[test]
    fn frequent_lines_alone_are_left_to_myers() {
        let old = vec![1; 100];
        let mut new = old.clone();
        new.insert(50, 2);
        let (a, b) = changed(&old, &new);
        assert_eq!(a, vec![false; 100], "no line is gone");
        assert_eq!(b.iter().filter(|&&added| added).count(), 1, "one line is new");
    }
}
