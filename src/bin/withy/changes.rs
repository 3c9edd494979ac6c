//! Changed keys: as patches, statistics, names or JSON.

use std::io::Write as _;

use clap::Args;
use serde_json::Value;
use withy::{
    ChangeKind, Commit, CommitChange, Diff, DiffEntry, DiffOptions, ErrorKind, KeyRange, Seq,
    Store, ValueHash,
};

use crate::app::plural;
use crate::fail::{Doing as _, Result};
use crate::json::{Object, kind};
use crate::lines::{self, LineCounts};
use crate::out::{Out, Paint};
use crate::text::{Format, as_text};

/// How changes are shown; the first that is set counts.
#[derive(Args, Clone, Debug)]
pub(crate) struct Style {
    /// Show only the names of changed keys
    #[arg(long, group = "style")]
    pub(crate) name_only: bool,
    /// Show only the names, with A (added), M (modified) or D (deleted)
    #[arg(long, group = "style")]
    pub(crate) name_status: bool,
    /// Show how much of each value changed
    #[arg(long, group = "style")]
    pub(crate) stat: bool,
    /// Lines of context around each change
    #[arg(long, short = 'U', value_name = "LINES", default_value_t = 3)]
    pub(crate) unified: usize,
}

impl Style {
    /// Statistics.
    pub(crate) fn stat() -> Self {
        Self { name_only: false, name_status: false, stat: true, unified: 0 }
    }

    /// Whether values do not matter.
    pub(crate) fn is_names(&self) -> bool {
        self.name_only || self.name_status
    }
}

/// Formats of keys and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formats {
    pub(crate) key: Format,
    pub(crate) value: Format,
}

/// What a commit changed.
pub(crate) enum Changed {
    /// Against its first parent.
    Values(Box<Diff>),
    /// The parent is no longer kept: what it had is not known.
    Names(Vec<CommitChange>),
}

impl Changed {
    /// Reads it, for keys in a range. The root of the store changes nothing.
    pub(crate) fn by(
        store: &Store,
        commit: &Commit,
        range: &KeyRange,
        style: &Style,
    ) -> withy::Result<Self> {
        let parent = commit.parents.first().map_or(commit.seq, |parent| parent.seq);
        let options = DiffOptions::default().range(range.clone()).names_only(style.is_names());
        let rev = |seq: Seq| format!("seq:{seq}");
        match store.diff(&rev(parent), &rev(commit.seq), options) {
            Err(e) if e.kind() == ErrorKind::HistoryGone => {
                let mut changes = store.changes(commit.seq)?;
                changes.retain(|change| range.contains(&change.key));
                Ok(Self::Names(changes))
            }
            diff => Ok(Self::Values(Box::new(diff?))),
        }
    }

    /// Writes it for people; says whether there was anything.
    pub(crate) fn show(self, out: &mut Out, style: &Style, formats: Formats) -> Result<bool> {
        let changes = match self {
            Self::Values(mut diff) => return show(out, &mut *diff, style, formats),
            Self::Names(changes) => changes,
        };
        if !style.is_names() {
            writeln!(out, "(what was before is no longer kept: names only)")?;
        }
        for change in &changes {
            let key = formats.key.show(&change.key);
            match (style.name_only, style.name_status) {
                (true, _) => writeln!(out, "{key}")?,
                (_, true) => writeln!(out, "{}\t{key}", letter(change.kind))?,
                _ => {
                    let title = format!("{} {key}", change.kind);
                    writeln!(out, "{}", out.paint(Paint::Heading, title))?;
                }
            }
        }
        Ok(!changes.is_empty())
    }

    /// As JSON; without values where what was before is not known.
    pub(crate) fn into_json(self, style: &Style, formats: Formats) -> withy::Result<Vec<Value>> {
        match self {
            Self::Values(diff) => diff.map(|entry| Ok(as_json(&entry?, style, formats))).collect(),
            Self::Names(changes) => Ok(changes
                .iter()
                .map(|change| named(&change.key, change.kind, formats).done())
                .collect()),
        }
    }
}

fn named(key: &[u8], of: ChangeKind, formats: Formats) -> Object {
    Object::new().bytes("key", key, formats.key).with("kind", kind(of))
}

type Entries<'a> = dyn Iterator<Item = withy::Result<DiffEntry>> + 'a;

/// Writes changes for people; says whether there were any.
pub(crate) fn show(
    out: &mut Out,
    entries: &mut Entries<'_>,
    style: &Style,
    formats: Formats,
) -> Result<bool> {
    if style.stat {
        return show_stat(out, entries, formats);
    }
    let mut any = false;
    for entry in entries {
        let entry = entry.doing(|| "compare".into())?;
        any = true;
        if style.is_names() {
            let key = formats.key.show(&entry.key);
            match style.name_status {
                true => writeln!(out, "{}\t{key}", letter(entry.kind))?,
                false => writeln!(out, "{key}")?,
            }
        } else {
            show_patch(out, &entry, style.unified, formats)?;
        }
    }
    Ok(any)
}

/// One change as JSON; `null` stands for absence.
pub(crate) fn as_json(entry: &DiffEntry, style: &Style, formats: Formats) -> Value {
    let object = named(&entry.key, entry.kind, formats);
    if style.is_names() {
        return object.done();
    }
    object
        .maybe_bytes("before", entry.before.as_deref(), formats.value)
        .maybe_bytes("after", entry.after.as_deref(), formats.value)
        .done()
}

const fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'M',
        ChangeKind::Deleted => 'D',
    }
}

fn show_patch(out: &mut Out, entry: &DiffEntry, context: usize, formats: Formats) -> Result<()> {
    let title = format!("{} {}", entry.kind, formats.key.show(&entry.key));
    writeln!(out, "{}", out.paint(Paint::Heading, title))?;
    let (before, after) = (entry.before.as_deref(), entry.after.as_deref());
    if let (Format::Text, Some(before), Some(after)) =
        (formats.value, text_or_nothing(before), text_or_nothing(after))
    {
        return lines::unified(out, before, after, context);
    }
    if formats.value != Format::Text {
        let show = |v: &[u8]| formats.value.show(v);
        let (before, after) = (before.map(show), after.map(show));
        return lines::unified(
            out,
            &before.unwrap_or_default(),
            &after.unwrap_or_default(),
            context,
        );
    }
    for (sign, paint, value) in [('-', Paint::Removed, before), ('+', Paint::Added, after)] {
        if let Some(value) = value {
            let line = format!("{sign}{}", describe(value));
            writeln!(out, "{}", out.paint(paint, line))?;
        }
    }
    Ok(())
}

/// The value as text, an absent one as none at all; `None` if it is not text.
fn text_or_nothing(value: Option<&[u8]>) -> Option<&str> {
    value.map_or(Some(""), as_text)
}

/// A value that is not text.
fn describe(value: &[u8]) -> String {
    format!(
        "binary, {}, blake3 {}",
        plural(value.len() as u64, "byte"),
        ValueHash::of(value).short()
    )
}

/// How one value changed.
enum Change {
    Lines(LineCounts),
    Bytes(Option<usize>, Option<usize>),
}

fn show_stat(out: &mut Out, entries: &mut Entries<'_>, formats: Formats) -> Result<bool> {
    let mut rows = Vec::new();
    let mut kinds = [0_u64; 3];
    let mut total = LineCounts::default();
    for entry in entries {
        let entry = entry.doing(|| "compare".into())?;
        kinds[entry.kind as usize] += 1;
        let (before, after) = (entry.before.as_deref(), entry.after.as_deref());
        let change = match (text_or_nothing(before), text_or_nothing(after)) {
            (Some(before), Some(after)) => {
                let counts = lines::count(before, after);
                total.added += counts.added;
                total.removed += counts.removed;
                Change::Lines(counts)
            }
            _ => Change::Bytes(before.map(<[u8]>::len), after.map(<[u8]>::len)),
        };
        rows.push((formats.key.show(&entry.key), change));
    }
    if rows.is_empty() {
        return Ok(false);
    }
    write_stat(out, &rows)?;
    let [added, modified, deleted] = kinds;
    writeln!(
        out,
        " {} changed ({added} added, {modified} modified, {deleted} deleted), {}(+), {}(-)",
        plural(added + modified + deleted, "key"),
        plural(total.added, "insertion"),
        plural(total.removed, "deletion"),
    )?;
    Ok(true)
}

fn write_stat(out: &mut Out, rows: &[(String, Change)]) -> Result<()> {
    const BAR: u64 = 40;
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    let most = rows.iter().map(|(_, change)| match change {
        Change::Lines(counts) => counts.added + counts.removed,
        Change::Bytes(..) => 0,
    });
    let most = most.max().unwrap_or_default();
    let digits = most.to_string().len();
    for (key, change) in rows {
        match change {
            Change::Lines(LineCounts { added, removed }) => {
                let bar = |count: u64| match most > BAR {
                    // Something is shown for every change, however small.
                    true => (count * BAR).div_ceil(most),
                    false => count,
                };
                let repeat =
                    |sign: &str, count: u64| sign.repeat(usize::try_from(bar(count)).unwrap_or(0));
                let plus = out.paint(Paint::Added, repeat("+", *added));
                let minus = out.paint(Paint::Removed, repeat("-", *removed));
                writeln!(out, " {key:width$} | {:digits$} {plus}{minus}", added + removed)?;
            }
            Change::Bytes(before, after) => {
                let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
                writeln!(out, " {key:width$} | Bin {before} -> {after} bytes")?;
            }
        }
    }
    Ok(())
}
