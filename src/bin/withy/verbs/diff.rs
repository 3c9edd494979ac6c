//! `withy diff`

use std::ffi::OsString;

use clap::Args;
use withy::{DiffOptions, KeyRange, Store};

use crate::app::{App, plain};
use crate::changes::{self, Formats, Style};
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;

/// Compare two revs
///
/// Values that are text are compared line by line, others are shown by length and hash.
#[derive(Args)]
#[command(after_help = "\
With one REV: from it to the head of the branch. `A...B` is what B did since its merge base with A, the \
newest if there are several. What one commit changed: `withy show`.

Examples:
  withy diff main topic
  withy diff v1.0..v1.1 --stat
  withy diff main...topic
  withy diff v1.0 @ --prefix fruit/
  withy diff @~1 @ --json
  withy diff main topic --exit-code --name-only")]
pub(crate) struct Diff {
    /// `A B`, `A..B`, `A...B` (from where they forked), or only `A`
    #[arg(required = true, num_args = 1..=2, value_name = "REV")]
    revs: Vec<String>,
    /// Only keys that start with this
    #[arg(long, short, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Only this key
    #[arg(long, short, value_name = "KEY", conflicts_with = "prefix")]
    key: Option<OsString>,
    /// Stop after this many keys
    #[arg(long, short = 'n', value_name = "KEYS")]
    limit: Option<usize>,
    #[command(flatten)]
    style: Style,
    /// End with exit code 1 if something differs
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(args: &Diff, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let formats = Formats { key: app.key_format()?, value: app.value_format()? };
    let (from, to) = ends(args, &store, app)?;
    let range = match (&args.key, &args.prefix) {
        (Some(key), _) => KeyRange::key(app.key(key)?),
        (None, Some(prefix)) => KeyRange::prefix(app.key(prefix)?),
        (None, None) => KeyRange::all(),
    };
    let doing = || format!("compare {from} and {to}");
    let mut out = app.paged()?;
    let mut any = false;
    if app.globals.json && args.style.stat {
        let counts = store.diff_counts(&from, &to, &range).doing(doing)?;
        any = counts.added + counts.modified + counts.deleted > 0;
        let object = Object::new()
            .with("added", counts.added)
            .with("modified", counts.modified)
            .with("deleted", counts.deleted);
        out.json(&object.done())?;
    } else {
        let mut options = DiffOptions::default().range(range).names_only(args.style.is_names());
        if let Some(limit) = args.limit {
            options = options.limit(limit);
        }
        let mut diff = store.diff(&from, &to, options).doing(doing)?;
        if app.globals.json {
            for entry in diff {
                any = true;
                out.json(&changes::as_json(&entry.doing(doing)?, &args.style, formats))?;
            }
        } else {
            any = changes::show(&mut out, &mut diff, &args.style, formats)?;
        }
    }
    out.finish()?;
    Ok(if any && args.exit_code { Outcome::No } else { Outcome::Done })
}

/// The two commits to compare.
fn ends(args: &Diff, store: &Store, app: &App) -> Result<(String, String)> {
    let one = match args.revs.as_slice() {
        [from, to] => return Ok((from.clone(), to.clone())),
        [one] => one,
        _ => return Err(Failure::usage("compare", "give one or two revs")),
    };
    if let Some((ours, theirs)) = one.split_once("...") {
        let side = |rev: &str| app.rev(store, (!rev.is_empty()).then_some(rev));
        let (ours, theirs) = (side(ours)?, side(theirs)?);
        let doing = || format!("compare {ours} and {theirs}");
        let bases = store.merge_base(&ours, &theirs).doing(doing)?;
        let Some(base) = bases.iter().max() else {
            return Err(Failure::usage(doing(), "they have no merge base"));
        };
        if bases.len() > 1 {
            let (ours, theirs, count) = (plain(&ours), plain(&theirs), bases.len());
            app.deny(&format!(
                "warning: {ours} and {theirs} have {count} merge bases; compared with the newest, seq:{base}"
            ));
        }
        return Ok((format!("seq:{base}"), theirs));
    }
    match split(one) {
        Some((from, to)) => Ok((app.rev(store, from)?, app.rev(store, to)?)),
        None => Ok((one.clone(), app.rev(store, None)?)),
    }
}

/// `A..B`; a side that is left out is the head of the branch.
pub(crate) fn split(revs: &str) -> Option<(Option<&str>, Option<&str>)> {
    let (from, to) = revs.split_once("..")?;
    Some(((!from.is_empty()).then_some(from), (!to.is_empty()).then_some(to)))
}

/// The ends of `A..B`, where `A...B` means nothing.
pub(crate) fn range(revs: &str) -> Result<Option<(Option<&str>, Option<&str>)>> {
    if let Some((from, to)) = revs.split_once("...") {
        let cause = "`A...B` is for `withy diff` only";
        return Err(Failure::usage(format!("read {revs}"), cause)
            .hint(format!("`{from}..{to}` is what B has and A has not")));
    }
    Ok(split(revs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dots_separate_revs() {
        assert_eq!(split("a..b"), Some((Some("a"), Some("b"))));
        assert_eq!(split("a.."), Some((Some("a"), None)));
        assert_eq!(split("a.b"), None, "one dot is part of a name");
    }
}
