//! The values of one conflict as lines: what each version has, and what it changed.

use std::time::Duration;

use similar::{DiffTag, TextDiff};

use crate::app::plural;
use crate::text::{Format, as_text, escape};

/// How much of a value is shown.
const MAX_BYTES: usize = 64 * 1024;
const MAX_LINES: usize = 2000;
/// How many bytes, or characters of another notation, are on a line of what is not text.
const BYTES_A_LINE: usize = 16;
const CHARS_A_LINE: usize = 64;
const TAB: usize = 4;

/// One version of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Absent,
    Value(Vec<u8>),
    /// It was merged from several bases, and no commit has it.
    Lost,
}

/// The versions of one conflict, each with a title.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    /// Several if the bases disagree.
    pub(super) bases: Vec<(String, Version)>,
    pub(super) ours: (String, Version),
    pub(super) theirs: (String, Version),
}

/// What is special about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Same,
    /// A side has it and the base has not.
    New,
    /// The base has it, and this side has not, or neither.
    GoneInOurs,
    GoneInTheirs,
    GoneInBoth,
    /// It is not of the value.
    Remark,
}

impl Mark {
    /// What stands in front of the line.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Same | Self::Remark => " ",
            Self::New => "+",
            Self::GoneInOurs => "o",
            Self::GoneInTheirs => "t",
            Self::GoneInBoth => "-",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PaneLine {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// What is shown of one version, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pane {
    pub(super) title: String,
    /// Length and kind of the value.
    pub(super) about: String,
    pub(super) lines: Vec<PaneLine>,
}

impl Pane {
    /// How many lines there are, and the longest.
    pub(super) fn extent(&self) -> (usize, usize) {
        let longest = self.lines.iter().map(|line| line.text.chars().count()).max();
        (self.lines.len(), longest.unwrap_or_default())
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.lines.push(PaneLine { mark: Mark::Remark, text: text.into() });
    }
}

/// The panes of base, ours and theirs.
pub(super) fn panes(versions: &Versions, format: Format) -> [Pane; 3] {
    let mut all: Vec<Shown> = versions.bases.iter().map(|(_, v)| Shown::of(v, format)).collect();
    all.extend([&versions.ours, &versions.theirs].map(|(_, v)| Shown::of(v, format)));
    tell_ends(&mut all);
    let (Some(theirs), Some(ours)) = (all.pop(), all.pop()) else { return Default::default() };
    let mut base = Pane { title: "base".into(), ..Pane::default() };
    let [mut our_marks, mut their_marks] =
        [&ours, &theirs].map(|side| vec![Mark::Same; side.lines.len()]);
    match (versions.bases.as_slice(), all.pop()) {
        ([(title, version)], Some(shown)) if *version != Version::Absent => {
            let mut gone = vec![Mark::Same; shown.lines.len()];
            compare(&shown, &ours, (&mut gone, Mark::GoneInOurs), &mut our_marks);
            compare(&shown, &theirs, (&mut gone, Mark::GoneInTheirs), &mut their_marks);
            base = shown.into_pane(title, &gone);
        }
        (bases, last) => {
            // Nothing to compare with but each other.
            compare(&ours, &theirs, (&mut our_marks, Mark::New), &mut their_marks);
            for ((title, _), shown) in bases.iter().zip(all.into_iter().chain(last)) {
                let same = vec![Mark::Same; shown.lines.len()];
                let pane = shown.into_pane(title, &same);
                if let [_] = bases {
                    base = pane;
                } else {
                    base.remark(format!("{title} {}", pane.about).trim_end().to_owned());
                    base.lines.extend(pane.lines);
                }
            }
            if bases.len() > 1 {
                base.about = format!("{} disagree", plural(bases.len() as u64, "base"));
            }
        }
    }
    [
        base,
        ours.into_pane(&versions.ours.0, &our_marks),
        theirs.into_pane(&versions.theirs.0, &their_marks),
    ]
}

/// A version as lines.
struct Shown {
    lines: Vec<String>,
    /// Whether the last line has an end, if it is text, and all of it is shown.
    has_end: Option<bool>,
    /// What is said after the lines, or instead of them.
    remarks: Vec<String>,
    about: String,
}

impl Shown {
    fn of(version: &Version, format: Format) -> Self {
        let bare = |text: &str| Self {
            lines: Vec::new(),
            has_end: None,
            remarks: vec![text.to_owned()],
            about: String::new(),
        };
        let value = match version {
            Version::Absent => return bare("(absent)"),
            Version::Lost => return bare("(merged from several bases, no commit has it)"),
            Version::Value(value) if value.is_empty() => return bare("(empty)"),
            Version::Value(value) => value,
        };
        let head = cut(value);
        let (mut lines, kind): (Vec<String>, _) = match (format, as_text(head)) {
            (Format::Text, Some(text)) => (text.split('\n').map(printable).collect(), ""),
            (Format::Text, None) => (head.chunks(BYTES_A_LINE).map(escape).collect(), "not text, "),
            (Format::Hex | Format::Base64, _) => {
                let text: Vec<char> = format.show(head).chars().collect();
                (text.chunks(CHARS_A_LINE).map(|line| line.iter().collect()).collect(), "")
            }
        };
        let mut remarks = Vec::new();
        let is_text = format == Format::Text && kind.is_empty();
        let ends = is_text && head.ends_with(b"\n");
        if ends {
            lines.pop();
        }
        let has_end = (is_text && head.len() == value.len()).then_some(ends);
        if head.len() < value.len() || lines.len() > MAX_LINES {
            lines.truncate(MAX_LINES);
            remarks.push("(cut here)".to_owned());
        }
        let about = format!("{kind}{}", plural(value.len() as u64, "byte"));
        Self { lines, has_end, remarks, about }
    }

    fn into_pane(self, title: &str, marks: &[Mark]) -> Pane {
        let lines = self.lines.into_iter().zip(marks);
        let mut pane = Pane {
            title: title.to_owned(),
            about: self.about,
            lines: lines.map(|(text, &mark)| PaneLine { mark, text }).collect(),
        };
        for remark in self.remarks {
            pane.remark(remark);
        }
        pane
    }
}

/// Says which texts end in a newline, if not all of them are alike.
fn tell_ends(all: &mut [Shown]) {
    let has = |end: bool| all.iter().any(|one| one.has_end == Some(end));
    if has(true) && has(false) {
        for one in all.iter_mut().filter(|one| one.has_end == Some(true)) {
            one.remarks.push("(ends in a newline)".to_owned());
        }
    }
}

/// The start of a value, without half a character at its end.
fn cut(value: &[u8]) -> &[u8] {
    let head = &value[..value.len().min(MAX_BYTES)];
    match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_none() && head.len() < value.len() => &head[..e.valid_up_to()],
        _ => head,
    }
}

/// A line without what a terminal would act on.
fn printable(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        let from = out.len();
        match c {
            '\t' => out.extend(std::iter::repeat_n(' ', TAB - column % TAB)),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
        column += out[from..].chars().count();
    }
    out
}

/// Marks the lines that only one of two versions has.
fn compare(before: &Shown, after: &Shown, (gone, mark): (&mut [Mark], Mark), new: &mut [Mark]) {
    let [before, after] =
        [before, after].map(|shown| shown.lines.iter().map(String::as_str).collect::<Vec<_>>());
    // It must not hold up the keys: then a longer difference will do.
    let diff =
        TextDiff::configure().timeout(Duration::from_millis(200)).diff_slices(&before, &after);
    for op in diff.ops() {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        for one in &mut gone[op.old_range()] {
            *one = if *one == Mark::Same { mark } else { Mark::GoneInBoth };
        }
        new[op.new_range()].fill(Mark::New);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(base: &[&[u8]], ours: &[u8], theirs: &[u8]) -> [Vec<String>; 3] {
        let value = |bytes: &[u8]| Version::Value(bytes.to_vec());
        let versions = Versions {
            bases: base.iter().map(|one| ("base".into(), value(one))).collect(),
            ours: ("ours".into(), value(ours)),
            theirs: ("theirs".into(), value(theirs)),
        };
        panes(&versions, Format::Text).map(|pane| {
            pane.lines.iter().map(|line| format!("{}{}", line.mark.sign(), line.text)).collect()
        })
    }

    #[test]
    fn lines_say_who_changed_them() {
        let [base, ours, theirs] = shown(&[b"1\n2\n3\n4"], b"1\na\n3\nb", b"1\n2\nc\nd");
        assert_eq!(base, [" 1", "o2", "t3", "-4"]);
        assert_eq!(ours, [" 1", "+a", " 3", "+b"]);
        assert_eq!(theirs, [" 1", " 2", "+c", "+d"]);
    }

    #[test]
    fn without_one_base_the_sides_are_compared() {
        let [base, ours, theirs] = shown(&[b"x", b"y"], b"1\n2", b"1\n3");
        assert_eq!(base, [" base 1 byte", " x", " base 1 byte", " y"], "every base is listed");
        assert_eq!(ours, [" 1", "+2"]);
        assert_eq!(theirs, [" 1", "+3"]);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_never_shown() {
        let [base, ours, theirs] = shown(&[b"a\tb\r\n"], b"\x1b[2J\xff", b"");
        assert_eq!(base, ["-a   b\\r"]);
        assert_eq!(ours, ["+\\x1b[2J\\xff"]);
        assert_eq!(theirs, [" (empty)"]);
    }

    #[test]
    fn only_a_different_end_is_told() {
        let [base, ours, _] = shown(&[b"a\n"], b"b\n", b"c\n");
        assert_eq!([base, ours], [["-a"], ["+b"]]);
        let [_, ours, theirs] = shown(&[b"a"], b"a\n", b"c");
        assert_eq!(ours, [" a", " (ends in a newline)"]);
        assert_eq!(theirs, ["+c"]);
    }

    #[test]
    fn a_large_value_is_cut_between_characters() {
        let large = "ä".repeat(MAX_BYTES).into_bytes();
        let mut value = b"x".to_vec();
        value.extend(large);
        let version = Version::Value(value);
        let shown = Shown::of(&version, Format::Text);
        assert_eq!(shown.lines[0].chars().count(), MAX_BYTES / 2, "half a character is left out");
        assert_eq!(shown.remarks, ["(cut here)"]);
        assert_eq!(shown.about, "131073 bytes", "the length is that of the value");
    }
}
