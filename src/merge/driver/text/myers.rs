//! Myers' diff in linear space, for areas in which every common line is frequent.
//!
//! The published algorithm: search from both ends until the searches meet, split there, go on with both
//! halves. Before it, lines that the other text lacks are left out, and so are frequent lines in the
//! midst of such. Which of several shortest edits is found is the one git finds.

use std::cmp::Reverse;
use std::ops::Range;

use super::histogram::{Area, Marked};

/// A search that took this many edits is cut off where it got furthest.
const LEAST_CUT_OFF: usize = 256;
/// How far around a frequent line its neighbours are looked at.
const WINDOW: usize = 100;

/// How often each line is in an area of either text; all zero between uses, so that an area costs what
/// it holds and not what the texts hold.
pub(super) struct Counts {
    old: Vec<usize>,
    new: Vec<usize>,
}

impl Counts {
    /// For lines numbered below `distinct`.
    pub(super) fn new(distinct: usize) -> Self {
        Self { old: vec![0; distinct], new: vec![0; distinct] }
    }

    /// Marks the lines of an area that are in one text alone.
    pub(super) fn diff(&mut self, a: &mut Marked<'_>, b: &mut Marked<'_>, area: &Area) {
        let (old, new) = (&a.lines[area.old.clone()], &b.lines[area.new.clone()]);
        let head = old.iter().zip(new).take_while(|(x, y)| x == y).count();
        let tail = old[head..].iter().rev().zip(new[head..].iter().rev());
        let tail = tail.take_while(|(x, y)| x == y).count();
        old.iter().for_each(|&line| self.old[line] += 1);
        new.iter().for_each(|&line| self.new[line] += 1);
        let a_kept = kept(old, &self.new, head..old.len() - tail);
        let b_kept = kept(new, &self.old, head..new.len() - tail);
        old.iter().for_each(|&line| self.old[line] = 0);
        new.iter().for_each(|&line| self.new[line] = 0);

        let (a_flags, b_flags) =
            (&mut a.changed[area.old.clone()], &mut b.changed[area.new.clone()]);
        a_flags[head..old.len() - tail].fill(true);
        b_flags[head..new.len() - tail].fill(true);
        let a_lines: Vec<usize> = a_kept.iter().map(|&at| old[at]).collect();
        let b_lines: Vec<usize> = b_kept.iter().map(|&at| new[at]).collect();
        for (x, y) in common(&a_lines, &b_lines) {
            a_flags[a_kept[x]] = false;
            b_flags[b_kept[y]] = false;
        }
    }
}

/// A power of two near the square root.
fn rough_root(number: usize) -> usize {
    1 << (usize::BITS - number.leading_zeros()).div_ceil(2)
}

/// Positions of the lines worth comparing: those the other text has, but not the frequent ones that
/// stand among many it lacks.
fn kept(lines: &[usize], in_other: &[usize], within: Range<usize>) -> Vec<usize> {
    let frequent = rough_root(lines.len()).min(1024);
    let count = |at: usize| in_other[lines[at]];
    let worth = |at: usize| {
        let (mut lacking, mut often) = (0_usize, 2_usize);
        let mut lacking_on = |side: &mut dyn Iterator<Item = usize>| {
            let before = lacking;
            for at in side {
                match count(at) {
                    0 => lacking += 1,
                    n if n >= frequent => often += 1,
                    _ => break,
                }
            }
            lacking > before
        };
        let first = within.start.max(at.saturating_sub(WINDOW));
        let end = within.end.min(at + WINDOW + 1);
        let amid = lacking_on(&mut (first..at).rev()) && lacking_on(&mut (at + 1..end));
        !amid || often * 3 >= lacking
    };
    within
        .clone()
        .filter(|&at| match count(at) {
            0 => false,
            n => n < frequent || worth(at),
        })
        .collect()
}

/// Pairs of positions of common lines, ascending on both sides within each piece.
fn common(a: &[usize], b: &[usize]) -> Vec<(usize, usize)> {
    let mut search = Search::new(a, b);
    let mut pairs = Vec::new();
    let mut rest = vec![(0..a.len(), 0..b.len())];
    while let Some((mut x, mut y)) = rest.pop() {
        while !x.is_empty() && !y.is_empty() && a[x.start] == b[y.start] {
            pairs.push((x.start, y.start));
            (x.start, y.start) = (x.start + 1, y.start + 1);
        }
        while !x.is_empty() && !y.is_empty() && a[x.end - 1] == b[y.end - 1] {
            (x.end, y.end) = (x.end - 1, y.end - 1);
            pairs.push((x.end, y.end));
        }
        if !x.is_empty() && !y.is_empty() {
            let (i, j) = search.middle(&x, &y);
            rest.push((x.start..i, y.start..j));
            rest.push((i..x.end, j..y.end));
        }
    }
    pairs
}

/// The two searches: how far each diagonal, position in `a` minus position in `b`, was followed.
struct Search<'a> {
    a: &'a [usize],
    b: &'a [usize],
    forth: Vec<isize>,
    back: Vec<isize>,
    cut_off: usize,
}

/// The diagonals a search has reached; one more on either side with each edit, or one fewer at the rim.
struct Fan {
    low: isize,
    high: isize,
}

impl Fan {
    fn widen(&mut self, rim: (isize, isize), reached: &mut [isize], zero: isize, beyond: isize) {
        if self.low > rim.0 {
            self.low -= 1;
            reached[(self.low - 1 + zero) as usize] = beyond;
        } else {
            self.low += 1;
        }
        if self.high < rim.1 {
            self.high += 1;
            reached[(self.high + 1 + zero) as usize] = beyond;
        } else {
            self.high -= 1;
        }
    }

    fn contains(&self, diagonal: isize) -> bool {
        (self.low..=self.high).contains(&diagonal)
    }

    /// Every other diagonal, from the highest.
    fn diagonals(&self) -> impl Iterator<Item = isize> + use<> {
        let low = self.low;
        std::iter::successors(Some(self.high), |d| Some(d - 2)).take_while(move |&d| d >= low)
    }
}

impl<'a> Search<'a> {
    fn new(a: &'a [usize], b: &'a [usize]) -> Self {
        let width = a.len() + b.len() + 3;
        let cut_off = rough_root(width).max(LEAST_CUT_OFF);
        Self { a, b, forth: vec![0; width], back: vec![0; width], cut_off }
    }

    /// A point on a shortest way through `x` and `y`, or a good one where that is too dear to find.
    fn middle(&mut self, x: &Range<usize>, y: &Range<usize>) -> (usize, usize) {
        let (x0, x1) = (x.start as isize, x.end as isize);
        let (y0, y1) = (y.start as isize, y.end as isize);
        let zero = self.b.len() as isize + 1;
        let rim = (x0 - y1, x1 - y0);
        let slot = |diagonal: isize| (diagonal + zero) as usize;
        let equal = |i: isize, d: isize| self.a[i as usize] == self.b[(i - d) as usize];
        let point = |i: isize, d: isize| (i as usize, (i - d) as usize);
        let odd = (x0 - y0 - x1 + y1) % 2 != 0;
        let mut ahead = Fan { low: x0 - y0, high: x0 - y0 };
        let mut behind = Fan { low: x1 - y1, high: x1 - y1 };
        self.forth[slot(x0 - y0)] = x0;
        self.back[slot(x1 - y1)] = x1;
        for _ in 0..self.cut_off {
            ahead.widen(rim, &mut self.forth, zero, -1);
            for d in ahead.diagonals() {
                let (left, right) = (self.forth[slot(d - 1)], self.forth[slot(d + 1)]);
                let mut i = (left + 1).max(right);
                while i < x1 && i - d < y1 && equal(i, d) {
                    i += 1;
                }
                self.forth[slot(d)] = i;
                if odd && behind.contains(d) && self.back[slot(d)] <= i {
                    return point(i, d);
                }
            }
            behind.widen(rim, &mut self.back, zero, isize::MAX);
            for d in behind.diagonals() {
                let (left, right) = (self.back[slot(d - 1)], self.back[slot(d + 1)]);
                let mut i = left.min(right - 1);
                while i > x0 && i - d > y0 && equal(i - 1, d) {
                    i -= 1;
                }
                self.back[slot(d)] = i;
                if !odd && ahead.contains(d) && i <= self.forth[slot(d)] {
                    return point(i, d);
                }
            }
        }
        // Too dear: split where one of the searches got furthest, measured in lines of both texts.
        let inside = |i: isize, d: isize| i.min(y1 + d).min(x1).max(x0).max(y0 + d);
        let done = |&(i, d): &(isize, isize)| 2 * i - d;
        let far = ahead.diagonals().map(|d| (inside(self.forth[slot(d)], d), d));
        let near = behind.diagonals().map(|d| (inside(self.back[slot(d)], d), d));
        // The first of the best on either side.
        let far = far.min_by_key(|at| Reverse(done(at)));
        let near = near.min_by_key(done);
        let best = far.into_iter().chain(near).max_by_key(|at| {
            let gain = (done(at) - x0 - y0).max(x1 + y1 - done(at));
            (gain, Some(*at) == near)
        });
        match best.map(|(i, d)| point(i, d)) {
            Some(at) if at != (x.start, y.start) && at != (x.end, y.end) => at,
            // Whatever happens, both halves are smaller.
            _ => (x.end, y.start),
        }
    }
}
