//! Text, by lines, with the answers of `git merge`.
//!
//! The parts: [`histogram`] and [`myers`] find the lines that two texts share, [`slide`] puts changes
//! that could stand in several places where git puts them, [`mod@combine`] joins two sides' changes.

mod combine;
mod histogram;
mod myers;
mod slide;

use std::collections::BTreeMap;

use self::combine::{Part, Take, combine};
use super::{DriverInput, DriverResult, MergeDriver};

/// As in git: a zero byte among the first so many makes a value binary.
const BINARY_CHECK: usize = 8000;
/// The length of a conflict marker in a text that has no such lines itself.
const MARKER: usize = 7;

/// Merges lines: changes with a common line between them are combined, changes that meet are refused.
///
/// The answer, clean or not, and the clean text are those of `git merge` (merge-ort, histogram diff,
/// the same as `git merge-file --diff-algorithm=histogram`): no difference was found on the generated
/// triples of `tests/it/merge/text.rs`. Plain `git merge-file`, which uses Myers' diff, answers
/// otherwise than `git merge`, and so than this, on about one in a hundred of those triples. Only where
/// git's own search for common lines gives up at its cost limits, in texts of many thousand lines with
/// hardly a rare line, may the answer be another one.
///
/// A zero byte among the first 8000 makes a value binary, and it is refused. Equal sides, and a side
/// that left the base as it was, are settled whatever the bytes.
pub(super) struct Text;

impl MergeDriver for Text {
    fn name(&self) -> &str {
        "text/1"
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        let (Some(ours), Some(theirs)) = (input.ours, input.theirs) else {
            return Err("one side deleted the key".into());
        };
        if ours == theirs || input.base == Some(theirs) {
            return Ok(Some(ours.to_vec()));
        }
        if input.base == Some(ours) {
            return Ok(Some(theirs.to_vec()));
        }
        let base = input.base.unwrap_or_default();
        let is_binary = |value: &[u8]| value.iter().take(BINARY_CHECK).any(|&byte| byte == 0);
        if [base, ours, theirs].into_iter().any(is_binary) {
            return Err("not text".into());
        }
        let merge = Merge::new(base, ours, theirs);
        let mut conflicts = merge.parts.iter().filter(|part| part.take == Take::Conflict);
        let Some(first) = conflicts.next() else {
            return Ok(Some(merge.write(|_, _, _| {})));
        };
        Err(match (input.base, conflicts.count()) {
            (None, _) => "both sides added it, with different text".into(),
            (_, 0) => format!("changes meet at line {} of the base", first.base.start + 1),
            (_, more) => format!(
                "changes meet in {} places, first at line {} of the base",
                more + 1,
                first.base.start + 1
            ),
        })
    }
}

/// What the conflict markers of [`merge_text`] say about the three versions.
///
/// # Examples
/// ```
/// let labels = withy::MarkerLabels::new("main", "base", "topic");
/// assert_eq!(labels.theirs, "topic");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MarkerLabels<'a> {
    /// Follows `<<<<<<<`.
    pub ours: &'a str,
    /// Follows `|||||||`.
    pub base: &'a str,
    /// Follows `>>>>>>>`.
    pub theirs: &'a str,
}

impl<'a> MarkerLabels<'a> {
    /// Labels for the three versions, usually revs. Line ends in them are written as spaces.
    #[must_use]
    pub const fn new(ours: &'a str, base: &'a str, theirs: &'a str) -> Self {
        Self { ours, base, theirs }
    }
}

/// A text merged by [`merge_text`].
///
/// # Examples
/// ```
/// use withy::{MarkerLabels, merge_text};
/// let labels = MarkerLabels::new("ours", "base", "theirs");
/// let merge = merge_text(Some(b"1\n2\n3\n"), b"0\n1\n2\n3\n", b"1\n2\n3\n4\n", &labels);
/// assert_eq!(merge.text, b"0\n1\n2\n3\n4\n");
/// assert_eq!(merge.conflicts, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextMerge {
    /// The merged text, with markers around what is in conflict.
    pub text: Vec<u8>,
    /// How many places are in conflict; with none, `text` is what the driver `text` gives.
    pub conflicts: usize,
}

/// Merges three texts by lines and marks what is in conflict, for a person to edit.
///
/// The markers are git's (style `diff3`, with the base's lines); they are longer than seven characters
/// if a line of the texts looks like one. The markers end in CR LF if the first line of every text does.
/// An absent base counts as empty. Bytes are taken as they are: a text need not be UTF-8.
///
/// Cost: sorting the lines, then linear in the lines unless few are rare.
///
/// # Examples
/// ```
/// use withy::{MarkerLabels, merge_text};
/// let labels = MarkerLabels::new("main", "base", "topic");
/// let merge = merge_text(Some(b"a\nb\n"), b"a\nour b\n", b"a\ntheir b\n", &labels);
/// assert_eq!(merge.conflicts, 1);
/// assert_eq!(
///     String::from_utf8_lossy(&merge.text),
///     "a\n<<<<<<< main\nour b\n||||||| base\nb\n=======\ntheir b\n>>>>>>> topic\n"
/// );
/// ```
#[must_use]
pub fn merge_text(
    base: Option<&[u8]>,
    ours: &[u8],
    theirs: &[u8],
    labels: &MarkerLabels<'_>,
) -> TextMerge {
    let merge = Merge::new(base.unwrap_or_default(), ours, theirs);
    let Merge { base, ours, theirs, parts } = &merge;
    let all = || [ours, base, theirs].into_iter().flatten().copied();
    let longest = all().filter_map(marker).map(|(_, length)| length).max();
    let length = longest.map_or(MARKER, |longest| longest + 1);
    let mut ended = [ours, base, theirs].into_iter().filter_map(|lines| lines.first());
    let end = if ended.all(|line| line.ends_with(b"\r\n")) { "\r\n" } else { "\n" };
    let mark = |out: &mut Vec<u8>, sign: &str, label: &str| {
        let label = label.replace(['\r', '\n'], " ");
        let space = if label.is_empty() { "" } else { " " };
        out.extend_from_slice(format!("{}{space}{label}{end}", sign.repeat(length)).as_bytes());
    };
    let lines = |out: &mut Vec<u8>, lines: &[&[u8]]| {
        out.extend(lines.iter().copied().flatten());
        if lines.last().is_some_and(|line| !line.ends_with(b"\n")) {
            out.extend_from_slice(end.as_bytes());
        }
    };
    let text = merge.write(|out, part, merge| {
        mark(out, "<", labels.ours);
        lines(out, &merge.ours[part.ours.clone()]);
        mark(out, "|", labels.base);
        lines(out, &merge.base[part.base.clone()]);
        mark(out, "=", "");
        lines(out, &merge.theirs[part.theirs.clone()]);
        mark(out, ">", labels.theirs);
    });
    let conflicts = parts.iter().filter(|part| part.take == Take::Conflict).count();
    TextMerge { text, conflicts }
}

/// Whether a text has conflict markers left in it: lines of `<`, `=` and `>` in this order, of one
/// length of at least seven.
///
/// # Examples
/// ```
/// use withy::{MarkerLabels, has_markers, merge_text};
/// let labels = MarkerLabels::new("ours", "base", "theirs");
/// assert!(has_markers(&merge_text(None, b"a\n", b"b\n", &labels).text));
/// assert!(!has_markers(b"Title\n=======\n"));
/// ```
#[must_use]
pub fn has_markers(text: &[u8]) -> bool {
    // By length, how far it got: 1 after `<`, 2 after `=`.
    let mut open = BTreeMap::new();
    for (sign, length) in split(text).filter_map(marker) {
        match (sign, open.get(&length)) {
            (b'<', _) => drop(open.insert(length, 1)),
            (b'=', Some(1)) => drop(open.insert(length, 2)),
            (b'>', Some(2)) => return true,
            _ => {}
        }
    }
    false
}

/// The sign and length of a line that could be a conflict marker.
fn marker(line: &[u8]) -> Option<(u8, usize)> {
    let sign = *line.first().filter(|sign| b"<|=>".contains(sign))?;
    let length = line.iter().take_while(|&&byte| byte == sign).count();
    let ends = line.get(length).is_none_or(u8::is_ascii_whitespace);
    (length >= MARKER && ends).then_some((sign, length))
}

fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

/// Three texts by lines, and the parts of their merge.
struct Merge<'a> {
    base: Vec<&'a [u8]>,
    ours: Vec<&'a [u8]>,
    theirs: Vec<&'a [u8]>,
    parts: Vec<Part>,
}

impl<'a> Merge<'a> {
    fn new(base: &'a [u8], ours: &'a [u8], theirs: &'a [u8]) -> Self {
        let [base, ours, theirs] = [base, ours, theirs].map(|text| split(text).collect::<Vec<_>>());
        let mut known = BTreeMap::new();
        let [b, o, t] = [&base, &ours, &theirs].map(|lines| {
            let mut number = |line: &&'a [u8]| {
                let next = known.len();
                *known.entry(*line).or_insert(next)
            };
            lines.iter().map(&mut number).collect::<Vec<usize>>()
        });
        let edits = |side: &[usize]| {
            let (base, side) = histogram::diff(&b, side, known.len());
            slide::edits(base, side)
        };
        let parts = combine((&o, &edits(&o)), (&t, &edits(&t)));
        Self { base, ours, theirs, parts }
    }

    /// The merged text; `conflict` writes what stands for a part in conflict.
    fn write(&self, conflict: impl Fn(&mut Vec<u8>, &Part, &Self)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut done = 0;
        for part in &self.parts {
            out.extend(self.ours[done..part.ours.start].iter().copied().flatten());
            match part.take {
                Take::Ours => out.extend(self.ours[part.ours.clone()].iter().copied().flatten()),
                Take::Theirs => {
                    out.extend(self.theirs[part.theirs.clone()].iter().copied().flatten());
                }
                Take::Conflict => conflict(&mut out, part, self),
            }
            done = part.ours.end;
        }
        out.extend(self.ours[done..].iter().copied().flatten());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{DriverInput, MarkerLabels, MergeDriver, Text, has_markers, merge_text};

    const LABELS: MarkerLabels<'_> = MarkerLabels::new("ours", "base", "theirs");

    fn merged(base: &[u8], ours: &[u8], theirs: &[u8]) -> super::DriverResult {
        Text.merge(&DriverInput::new(b"k", Some(base), Some(ours), Some(theirs)))
    }

    #[test]
    fn changes_that_touch_are_a_conflict() {
        let refused = merged(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nB\nc\n");
        assert_eq!(refused, Err("changes meet at line 1 of the base".into()));
        let apart = merged(b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n");
        assert_eq!(apart, Ok(Some(b"A\nb\nC\n".to_vec())));
    }

    #[test]
    fn values_with_a_zero_byte_are_not_text() {
        assert_eq!(merged(b"a\0", b"b\0", b"c\0"), Err("not text".into()));
        assert_eq!(
            merged(b"\xff\n2\n3\n", b"1\n2\n3\n", b"\xff\n2\n\xfe\n"),
            Ok(Some(b"1\n2\n\xfe\n".to_vec()))
        );
    }

    #[test]
    fn markers_are_longer_than_any_in_the_text() {
        let ours = b"<<<<<<< x\nours\n".as_slice();
        let merge = merge_text(None, ours, b"theirs", &LABELS);
        assert_eq!(
            String::from_utf8_lossy(&merge.text),
            "<<<<<<<< ours\n<<<<<<< x\nours\n|||||||| base\n========\ntheirs\n>>>>>>>> theirs\n"
        );
        assert!(has_markers(&merge.text), "what was marked is found");
    }

    #[test]
    fn markers_end_as_lines_do() {
        let merge = merge_text(Some(b"a\r\n"), b"b\r\n", b"c\r\n", &LABELS);
        assert_eq!(merge.text.iter().filter(|&&byte| byte == b'\r').count(), 7);
    }

    #[test]
    fn an_empty_side_of_an_added_text_yields() {
        let input = DriverInput::new(b"k", None, Some(b""), Some(b"x\n"));
        assert_eq!(Text.merge(&input), Ok(Some(b"x\n".to_vec())));
    }
}
