//! `withy conflicts`

use std::ffi::OsString;
use std::io::Write as _;

use clap::Args;
use withy::{KeyRange, OpenConflict, OpenMerge, Store};

use crate::app::App;
use crate::changes::Formats;
use crate::conflicts::{self, Labels};
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::merging::{existing_branch, no_merge, none_left, none_open, some_left};
use crate::out::{Out, Paint};
use crate::text::name_of;

/// List the conflicts of a merge that is open, with how they are settled
///
/// Ends with exit code 1 if conflicts are left. What is listed is what there is now, also if the branch
/// has moved since the merge was begun.
#[derive(Args)]
#[command(after_help = "\
Picks, reverts and rebases that have stopped are listed too.

Examples:
  withy conflicts
  withy conflicts --unresolved --prefix fruit/
  withy conflicts pear                with the values of base, ours and theirs
  withy conflicts -v
  withy conflicts --all               what is open on any branch
  withy conflicts --json
  withy conflicts && withy merge --continue")]
pub(crate) struct Conflicts {
    /// Show these, with the values of all sides
    keys: Vec<OsString>,
    /// List what is open on all branches
    #[arg(long, short, conflicts_with_all = ["keys", "prefix", "unresolved", "verbose"])]
    all: bool,
    /// Only keys that start with this
    #[arg(long, short, value_name = "PREFIX", conflicts_with = "keys")]
    prefix: Option<OsString>,
    /// Only those that are not settled
    #[arg(long, short)]
    unresolved: bool,
    /// Show the values of all sides
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Conflicts, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    if args.all {
        return list_open(&store, app);
    }
    let branch = existing_branch(&store, app)?;
    let doing = || format!("list the conflicts of {branch}");
    let Some(open) = store.open_merge(&branch).doing(doing)? else {
        if !args.keys.is_empty() {
            return Err(none_open("show conflicts".into(), &branch));
        }
        app.deny(&no_merge(&branch));
        return Ok(Outcome::Done);
    };
    let all = store.conflicts(&branch, &KeyRange::all()).doing(doing)?;
    let unresolved = all.iter().filter(|one| one.resolution.is_none()).count();
    let outcome = if unresolved > 0 { Outcome::No } else { Outcome::Done };
    // As it is now, not as it was when the branch had not moved.
    let mut open = open;
    (open.unresolved, open.resolved) = (unresolved as u64, (all.len() - unresolved) as u64);
    // Of a series of commits, several may be about one key.
    let is_series = all.iter().any(|one| one.at != open.at);
    let shown = chosen(all, args, app)?;
    let mut out = app.paged()?;
    let (key, value) = (app.key_format()?, app.value_format()?);
    if app.globals.json {
        for one in &shown {
            out.json(&as_json(&store, &open, one, Formats { key, value })?.done())?;
        }
    } else {
        let title = out.paint(Paint::Heading, conflicts::heading(&open));
        writeln!(out, "{title}")?;
        if let Some(moved) = conflicts::moved(&store, &open) {
            writeln!(out, "{moved}")?;
        }
        let is_verbose = args.verbose || !args.keys.is_empty();
        let page = Page { store: &store, open: &open, is_verbose, is_series };
        for one in &shown {
            page.write(one, Formats { key, value }, &mut out)?;
        }
    }
    out.finish()?;
    if unresolved == 0 && !app.globals.json {
        app.deny(&format!("hint: {}", none_left(&store, &open)));
    }
    Ok(outcome)
}

/// The conflicts that are asked for.
fn chosen(all: Vec<OpenConflict>, args: &Conflicts, app: &App) -> Result<Vec<OpenConflict>> {
    let mut keys = Vec::new();
    for key in &args.keys {
        let key = app.key(key)?;
        if !all.iter().any(|one| one.conflict.key == key) {
            let cause = "there is no conflict on it";
            return Err(Failure::usage(format!("show {}", name_of(&key)), cause)
                .hint("`withy conflicts` lists them"));
        }
        keys.push(key);
    }
    let prefix = args.prefix.as_ref().map(|prefix| app.key(prefix)).transpose()?;
    let range = prefix.map_or_else(KeyRange::all, KeyRange::prefix);
    let wanted = |one: &OpenConflict| {
        let key = &one.conflict.key;
        (keys.is_empty() || keys.contains(key))
            && range.contains(key)
            && (!args.unresolved || one.resolution.is_none())
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// How conflicts are written.
struct Page<'a> {
    store: &'a Store,
    open: &'a OpenMerge,
    /// With the values of all sides.
    is_verbose: bool,
    /// They are of several commits.
    is_series: bool,
}

impl Page<'_> {
    fn write(&self, one: &OpenConflict, formats: Formats, out: &mut Out) -> Result<()> {
        let labels = Labels::of(self.open, one.at);
        let told = labels.tell(&one.conflict, formats.key);
        let at = if self.is_series { format!(" at seq:{}", one.at) } else { String::new() };
        let line = format!("{}: {told}{at}", one.conflict.kind);
        match conflicts::resolution(one) {
            Some(how) => {
                let how = out.paint(Paint::Added, format!("settled: {how}"));
                writeln!(out, "  {line} ({how})")?;
            }
            None => writeln!(out, "{} {line}", out.paint(Paint::Removed, "U"))?,
        }
        if self.is_verbose {
            conflicts::write_sides(self.store, &one.conflict, &labels, formats, out)?;
            conflicts::write_chosen(one, formats.value, out)?;
        }
        Ok(())
    }
}

fn as_json(
    store: &Store,
    open: &OpenMerge,
    one: &OpenConflict,
    formats: Formats,
) -> Result<Object> {
    let object = conflicts::as_json(store, &one.conflict, formats.key, formats.value)?
        .with("branch", open.target.as_str())
        .with("at", one.at.get());
    let Some(made) = &one.resolution else {
        return Ok(object.with("resolution", serde_json::Value::Null));
    };
    let resolution = Object::new()
        .with("taken", made.resolution.name())
        .with("author", made.by.as_str())
        .with("time", made.time.to_string());
    let resolution = match &made.resolution {
        withy::Resolution::Value(value) => resolution.bytes("value", value, formats.value),
        _ => resolution,
    };
    Ok(object.with("resolution", resolution))
}

/// What is open on all branches.
fn list_open(store: &Store, app: &App) -> Result<Outcome> {
    let all = store.open_merges().doing(|| "list what is open".into())?;
    let mut out = app.paged()?;
    for open in &all {
        match app.globals.json {
            true => out.json(&conflicts::open_json(open).done())?,
            false => {
                let next = match open.unresolved {
                    0 => none_left(store, open),
                    _ => some_left(store, open.target.as_str(), open.action),
                };
                writeln!(out, "{}\n  {next}", conflicts::heading(open))?;
            }
        }
    }
    out.finish()?;
    Ok(if all.iter().any(|open| open.unresolved > 0) { Outcome::No } else { Outcome::Done })
}
