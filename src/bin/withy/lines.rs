//! Two versions of a value, compared by lines.

use std::io::Write as _;
use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::fail::Result;
use crate::out::{Out, Paint};

/// How many lines differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct LineCounts {
    pub(crate) added: u64,
    pub(crate) removed: u64,
}

/// Looks for the shortest difference, but not for ever: then a longer one will do.
fn compare<'a>(before: &'a str, after: &'a str) -> TextDiff<'a, 'a, str> {
    TextDiff::configure().timeout(Duration::from_secs(2)).diff_lines(before, after)
}

/// Counts the lines that differ.
pub(crate) fn count(before: &str, after: &str) -> LineCounts {
    let diff = compare(before, after);
    let mut counts = LineCounts::default();
    for change in diff.iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => counts.added += 1,
            ChangeTag::Delete => counts.removed += 1,
            ChangeTag::Equal => {}
        }
    }
    counts
}

/// Writes a unified diff, without a header.
pub(crate) fn unified(out: &mut Out, before: &str, after: &str, context: usize) -> Result<()> {
    let diff = compare(before, after);
    // A value rarely ends in a newline: worth a word only where the two differ in it.
    let says_newline =
        !before.is_empty() && !after.is_empty() && before.ends_with('\n') != after.ends_with('\n');
    let mut unified = diff.unified_diff();
    unified.context_radius(context);
    for hunk in unified.iter_hunks() {
        writeln!(out, "{}", out.paint(Paint::Hunk, hunk.header()))?;
        for change in hunk.iter_changes() {
            let line = change.value();
            let bare = line.strip_suffix('\n').unwrap_or(line);
            let line = match change.tag() {
                ChangeTag::Insert => out.paint(Paint::Added, format_args!("+{bare}")),
                ChangeTag::Delete => out.paint(Paint::Removed, format_args!("-{bare}")),
                ChangeTag::Equal => format!(" {bare}"),
            };
            writeln!(out, "{line}")?;
            if says_newline && change.missing_newline() {
                writeln!(out, "\\ No newline at end of value")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_on_both_sides() {
        assert_eq!(count("a\nb\n", "a\nc\nd\n"), LineCounts { added: 2, removed: 1 });
        assert_eq!(count("", "a"), LineCounts { added: 1, removed: 0 });
        assert_eq!(count("a", "a"), LineCounts::default());
    }
}
