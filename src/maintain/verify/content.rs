//! Content: what the rows of a line come to, against what its commits say of it.
//!
//! The commits of a line go on from each other, so that its newest one stands for all. Where some are gone,
//! those that no other leads to are judged too, in the same pass over the rows: each version of a key is
//! what a run of such commits shows, so it is added where the run begins and taken back behind its end.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::found::{Findings, Site};
use super::gone::Needed;
use super::lines::{Line, Lines, Used};
use super::report::Check;
use super::sums::LineSum;
use crate::format::Family;
use crate::format::commit::{FingerprintSum, Header};
use crate::graph::Place;
use crate::id::{Fingerprint, LineId, Seq};

/// What the rows of lines show.
#[derive(Default)]
pub(super) struct Shown {
    /// With the newest version of each key.
    newest: BTreeMap<LineId, LineSum>,
    /// At points of the line, each as the difference to the one before.
    points: BTreeMap<(LineId, Seq), LineSum>,
}

impl Shown {
    pub(super) fn add(&mut self, other: &Self) {
        for (line, sum) in &other.newest {
            self.newest.entry(*line).or_default().add(sum);
        }
        for (point, sum) in &other.points {
            self.points.entry(*point).or_default().add(sum);
        }
    }

    /// Takes what a line shows of a key, and what is below.
    pub(super) fn newest(&mut self, line: LineId, below: Option<[u64; 4]>, now: Option<[u64; 4]>) {
        self.newest.entry(line).or_default().row(below, now);
    }

    /// Takes what the points of a line show of a key, and what is below.
    pub(super) fn at_points(&mut self, line: LineId, below: Option<[u64; 4]>, seen: &mut Seen) {
        for (from, behind, now) in seen.runs.drain(..) {
            if let Some(point) = seen.points.get(from) {
                self.points.entry((line, *point)).or_default().row(below, now);
            }
            if let Some(point) = seen.points.get(behind) {
                self.points.entry((line, *point)).or_default().take_back(below, now);
            }
        }
        seen.open = seen.points.len();
    }
}

/// The versions of one key that the points of a line show.
#[derive(Default)]
pub(super) struct Seen {
    points: Vec<Seq>,
    /// Points from here on have their version.
    open: usize,
    /// First point, the one behind the last, and what they show.
    runs: Vec<(usize, usize, Option<[u64; 4]>)>,
}

impl Seen {
    pub(super) fn at(points: Vec<Seq>) -> Self {
        Self { open: points.len(), points, runs: Vec::new() }
    }

    /// Takes the next older version.
    pub(super) fn version(&mut self, seq: Seq, now: Option<[u64; 4]>) {
        if self.open == 0 {
            return;
        }
        let from = self.points.partition_point(|point| *point < seq).min(self.open);
        if from < self.open {
            self.runs.push((from, self.open, now));
            self.open = from;
        }
    }
}

/// INV-6, INV-66: what the rows of each line come to is what its newest commit says, and so do those of
/// its commits that are kept by themselves.
pub(super) fn check(
    context: &Context<'_>,
    findings: &Findings,
    lines: &Lines,
    (shown, doubtful): (&Shown, &BTreeSet<LineId>),
) {
    for line in lines.all().iter().filter(|line| lines.judges(line.id)) {
        if context.is_stopped() {
            return;
        }
        // What the layer of a flattened line shows stands for all that is below it.
        let newest = |line: LineId| shown.newest.get(&line).copied().unwrap_or_default();
        let flat = |below: Place| lines.flat.contains_key(&below.line).then(|| newest(below.line));
        let sum = newest(line.id);
        // Whose rows are wrong has been named already.
        let compare = !context.quick && !doubtful.contains(&line.id);
        match lines.made.get(&line.id) {
            Some(made) => {
                if let Some(used) = &made.used {
                    check_rows(findings, line, sum);
                    let base = used
                        .below
                        .map(|below| flat(below).map_or(Below::Commit(below), Below::Flat));
                    check_layer(context, findings, line, (used, base, sum, compare));
                }
            }
            None if lines.flat.contains_key(&line.id) => check_rows(findings, line, sum),
            // Nobody uses it: it only takes space.
            None if lines.is_unnamed(line.id) && line.last.is_none() => {}
            None => {
                let needed = Needed::of(context, lines, line.id);
                let below = line.below.filter(|_| line.is_flat);
                let compare = compare && below.is_none_or(|below| !doubtful.contains(&below.line));
                let flat = below.and_then(flat);
                let judge = Judge { context, findings, line, needed, flat, compare };
                if !judge.needed.has_top() {
                    judge.newest(sum);
                }
                judge.points(shown);
            }
        }
    }
}

/// What lies below a read layer.
enum Below {
    Commit(Place),
    /// All that is left there.
    Flat(LineSum),
}

/// A line while its content is judged.
struct Judge<'a> {
    context: &'a Context<'a>,
    findings: &'a Findings,
    line: &'a Line,
    needed: Needed,
    /// What is below it, if it was flattened.
    flat: Option<LineSum>,
    compare: bool,
}

impl Judge<'_> {
    fn site(&self) -> Site {
        Site::of(Family::Head).line(self.line.id)
    }

    /// The newest commit.
    fn newest(&self, sum: LineSum) {
        let Some(seq) = self.line.last else {
            if sum.rows > 0 {
                let what = format!("line {} has {} rows and no commit", self.line.id, sum.rows);
                self.findings.add(Check::Content, 66, self.site(), what);
            }
            return;
        };
        if let Some(header) = self.context.header(seq, self.findings) {
            self.commit((seq, &header), sum, "its newest commit");
        }
    }

    /// Commits that no others lead to.
    fn points(&self, shown: &Shown) {
        let mut sum = LineSum::default();
        for point in self.needed.points() {
            if let Some(change) = shown.points.get(&(self.line.id, point)) {
                sum.add(change);
            }
            // Where the line ends is between two commits, or at one.
            let is_top = self.needed.is_within(point) && !self.needed.is_within(point.next());
            let seq = match self.line.shown.filter(|_| is_top) {
                Some(shown) => shown,
                None => point,
            };
            // One whose record is missing was named where the index is judged.
            let header = match self.needed.holds(seq) {
                true => self.context.header(seq, self.findings),
                false => None,
            };
            let on_line = |header: &Header| header.line == self.line.id.get();
            if let Some(header) = header.filter(on_line) {
                self.commit((seq, &header), sum, &format!("commit {seq}"));
            }
        }
    }

    /// One commit, and what the rows show at it.
    fn commit(&self, (seq, header): (Seq, &Header), sum: LineSum, whose: &str) {
        let (id, site) = (self.line.id, self.site().seq(seq));
        // Deletions that hide nothing may be gone.
        let lack = if self.needed.may_lack_rows() { header.rows } else { 0 };
        if sum.rows > header.rows || sum.rows.saturating_add(lack) < header.rows {
            let what = format!("line {id} has {} rows, {whose} counts {}", sum.rows, header.rows);
            self.findings.add(Check::Content, 66, site.clone(), what);
        }
        let (base, keys) = match (self.flat, self.line.fork) {
            (Some(flat), _) => (flat.sum, i128::from(flat.keys)),
            (None, None) => (FingerprintSum::new(Fingerprint::EMPTY), 0),
            (None, Some(fork)) => match self.context.header(fork.seq, self.findings) {
                Some(fork) => (FingerprintSum::new(fork.content()), i128::from(fork.keys)),
                None => return,
            },
        };
        let mut content = sum.sum;
        content.add_sum(base);
        let keys = keys + i128::from(sum.keys);
        let differs = content.get() != header.content() || keys != i128::from(header.keys);
        if self.compare && differs {
            let what = format!(
                "the rows of line {id} come to {keys} keys and another content than {whose} says, {} keys",
                header.keys
            );
            self.findings.add(Check::Content, 6, site, what);
        }
    }
}

/// INV-13: a read layer has as many rows as its line says.
fn check_rows(findings: &Findings, line: &Line, sum: LineSum) {
    if sum.rows != line.layer_rows {
        let what = format!(
            "read layer {} has {} rows, and should have {}",
            line.id, sum.rows, line.layer_rows
        );
        findings.add(Check::Lines, 13, Site::of(Family::Head).line(line.id), what);
    }
}

/// INV-13: a read layer shows, with what is below it, what its first line shows.
fn check_layer(
    context: &Context<'_>,
    findings: &Findings,
    line: &Line,
    (used, base, sum, compare): (&Used, Option<Below>, LineSum, bool),
) {
    let Some(shows) = context.header(used.shows.seq, findings) else { return };
    let base = match base {
        None => FingerprintSum::new(Fingerprint::EMPTY),
        Some(Below::Flat(sum)) => sum.sum,
        Some(Below::Commit(below)) => match context.header(below.seq, findings) {
            Some(header) => FingerprintSum::new(header.content()),
            None => return,
        },
    };
    let mut content = sum.sum;
    content.add_sum(base);
    if compare && content.get() != shows.content() {
        let what =
            format!("read layer {} shows something else than commit {}", line.id, used.shows.seq);
        findings.add(Check::Lines, 13, Site::of(Family::Head).line(line.id), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_shows_the_newest_version_up_to_it() {
        let points: Vec<Seq> = [3, 5, 6, 9, 12].map(Seq::new).to_vec();
        let line = LineId::new(7);
        let summand = |n: u64| Some([n, 0, 0, 0]);
        // Versions of two keys, newest first; the second one has nothing up to the first point.
        let keys: [(&[u64], Option<[u64; 4]>); 2] =
            [(&[10, 9, 4, 1], None), (&[11, 5], summand(1))];
        let mut shown = Shown::default();
        let mut seen = Seen::at(points.clone());
        for (versions, below) in keys {
            for &seq in versions {
                seen.version(Seq::new(seq), summand(seq));
            }
            shown.at_points(line, below, &mut seen);
        }
        let mut sum = LineSum::default();
        for point in points {
            if let Some(change) = shown.points.get(&(line, point)) {
                sum.add(change);
            }
            let mut expected = LineSum::default();
            for (versions, below) in keys {
                if let Some(seq) = versions.iter().find(|seq| **seq <= point.get()) {
                    expected.row(below, summand(*seq));
                }
            }
            let told = |sum: LineSum| (sum.rows, sum.keys, sum.sum.get());
            assert_eq!(told(sum), told(expected), "what is shown at {point}");
        }
    }
}
