//! Conflicts for people and for programs.

use std::io::Write as _;

use withy::{
    Conflict, ConflictKind, ConflictSide, ErrorKind, MergeAction, OpenConflict, OpenMerge,
    Resolution, Seq, Store,
};

use crate::app::plural;
use crate::changes::Formats;
use crate::fail::{Doing as _, Result};
use crate::json::Object;
use crate::merging::describe;
use crate::out::{Out, Paint};
use crate::text::{Format, as_text, escape, name_of};

/// What the two sides of a conflict are called.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Labels {
    /// The names for an operation on `target`, at the incoming commit `at`.
    pub(crate) fn new(action: MergeAction, target: &str, source: &str, at: Seq) -> Self {
        let (ours, theirs) = match action {
            MergeAction::Merge | MergeAction::Squash => (target, source.to_owned()),
            // The commits of the branch come to the one that it goes onto.
            MergeAction::Rebase => (source, format!("seq:{at}")),
            MergeAction::Revert => (target, format!("revert of seq:{at}")),
            _ => (target, format!("seq:{at}")),
        };
        Self { ours: ours.to_owned(), theirs }
    }

    /// The names for what is open.
    pub(crate) fn of(open: &OpenMerge, at: Seq) -> Self {
        Self::new(open.action, open.target.as_str(), &open.source, at)
    }

    /// The key, and what is to be known of its conflict.
    pub(crate) fn tell(&self, conflict: &Conflict, format: Format) -> String {
        let key = format.show(&conflict.key);
        let Self { ours, theirs } = self;
        let what = match (conflict.kind, &conflict.refused) {
            (ConflictKind::DeleteModify, None) => {
                format!(", deleted in {theirs}, modified in {ours}")
            }
            (ConflictKind::ModifyDelete, None) => {
                format!(", modified in {theirs}, deleted in {ours}")
            }
            (_, None) => String::new(),
            (_, Some((driver, why))) => format!(", driver {driver}: {}", escape(why.as_bytes())),
        };
        format!("{key}{what}")
    }
}

/// What is open, on one line.
pub(crate) fn heading(open: &OpenMerge) -> String {
    let by = match open.creator.as_str() {
        "" => String::new(),
        creator => format!(" by {}", escape(creator.as_bytes())),
    };
    let at = match (open.action, open.incoming.len()) {
        (MergeAction::Merge | MergeAction::Squash, _)
        | (MergeAction::CherryPick | MergeAction::Revert, 1) => String::new(),
        _ => format!(" at seq:{}", open.at),
    };
    let (left, done) = (plural(open.unresolved, "conflict"), open.resolved);
    format!("{}{at} (begun {}{by}): {left} left, {done} settled", describe(open), open.created)
}

/// A note that the branch has moved since the conflicts were found.
pub(crate) fn moved(store: &Store, open: &OpenMerge) -> Option<String> {
    let branch = open.target.as_str();
    let head = store.commit(&format!("heads/{branch}")).ok()?.seq;
    (head != open.ours).then(|| {
        format!(
            "{branch} has moved since, from seq:{} to seq:{head}: the conflicts are those of now",
            open.ours
        )
    })
}

/// What is open, as JSON.
pub(crate) fn open_json(open: &OpenMerge) -> Object {
    let incoming: Vec<u64> = open.incoming.iter().map(|seq| seq.get()).collect();
    Object::new()
        .with("branch", open.target.as_str())
        .with("action", open.action.to_string())
        .with("source", open.source.as_str())
        .with("incoming", incoming)
        .with("ours", open.ours.get())
        .with("at", open.at.get())
        .with("unresolved", open.unresolved)
        .with("resolved", open.resolved)
        .with("creator", open.creator.as_str())
        .with("created", open.created.to_string())
}

/// The value of a side; `None` if no commit has it.
pub(crate) fn value_of(
    store: &Store,
    conflict: &Conflict,
    side: ConflictSide,
) -> Result<Option<Option<Vec<u8>>>> {
    match store.conflict_value(conflict, side) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        value => value.map(Some).doing(|| format!("read {}", name_of(&conflict.key))),
    }
}

/// A conflict with the values of all its sides.
pub(crate) fn as_json(
    store: &Store,
    conflict: &Conflict,
    key: Format,
    value: Format,
) -> Result<Object> {
    let side = |side: ConflictSide| -> Result<Object> {
        let object = Object::new()
            .with("seq", side.at.map(Seq::get))
            .with("hash", side.hash.map(|hash| hash.to_string()));
        Ok(match value_of(store, conflict, side)? {
            Some(bytes) => object.maybe_bytes("value", bytes.as_deref(), value),
            None => object,
        })
    };
    let mut bases = Vec::new();
    for base in &conflict.bases {
        bases.push(side(*base)?.done());
    }
    let refused = conflict.refused.as_ref();
    let refused = refused.map(|(driver, why)| {
        Object::new().with("driver", driver.as_str()).with("why", why.as_str()).done()
    });
    Ok(Object::new()
        .bytes("key", &conflict.key, key)
        .with("kind", conflict.kind.to_string())
        .with("bases", bases)
        .with("ours", side(conflict.ours)?.done())
        .with("theirs", side(conflict.theirs)?.done())
        .with_some("refused", refused))
}

/// How a conflict of what is open is to be settled: `ours by bob`.
pub(crate) fn resolution(one: &OpenConflict) -> Option<String> {
    let made = one.resolution.as_ref()?;
    let by = match made.by.as_str() {
        "" => String::new(),
        by => format!(" by {}", escape(by.as_bytes())),
    };
    Some(format!("{}{by}", made.resolution.name()))
}

/// Writes the values of all sides.
pub(crate) fn write_sides(
    store: &Store,
    conflict: &Conflict,
    labels: &Labels,
    formats: Formats,
    out: &mut Out,
) -> Result<()> {
    let bases = conflict.bases.iter().map(|base| ("base", "", *base));
    let sides = [
        ("ours", labels.ours.as_str(), conflict.ours),
        ("theirs", &labels.theirs, conflict.theirs),
    ];
    for (name, label, side) in bases.chain(sides) {
        let label = if label.is_empty() { String::new() } else { format!(" {label}") };
        let at = side.at.map(|at| format!(" seq:{at}")).unwrap_or_default();
        // A commit that is its own label is named once.
        let at = if label == at { String::new() } else { at };
        let title = out.paint(Paint::Hunk, format!("{name}{label}{at}"));
        match value_of(store, conflict, side)? {
            None => writeln!(out, "  {title}: merged from several bases")?,
            Some(None) if side.at.is_some() => writeln!(out, "  {title}: deleted")?,
            Some(None) => writeln!(out, "  {title}: absent")?,
            Some(Some(value)) => {
                writeln!(out, "  {title}:")?;
                write_value(&value, formats.value, out)?;
            }
        }
    }
    Ok(())
}

/// Writes the value that a conflict is settled to, if it is one of its own.
pub(crate) fn write_chosen(one: &OpenConflict, format: Format, out: &mut Out) -> Result<()> {
    let Some(Resolution::Value(value)) = one.resolution.as_ref().map(|made| &made.resolution)
    else {
        return Ok(());
    };
    let title = out.paint(Paint::Added, "settled");
    writeln!(out, "  {title}:")?;
    write_value(value, format, out)
}

/// A value: text as it is, line by line, other bytes escaped.
fn write_value(value: &[u8], format: Format, out: &mut Out) -> Result<()> {
    match (format, as_text(value)) {
        (Format::Text, Some("")) => writeln!(out, "    (empty)")?,
        (Format::Text, Some(text)) => {
            for line in text.lines() {
                writeln!(out, "{}", format!("    {line}").trim_end())?;
            }
        }
        _ => writeln!(out, "    {}", format.show(value))?,
    }
    Ok(())
}
