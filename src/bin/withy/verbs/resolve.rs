//! `withy resolve`

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;
use withy::{Conflict, KeyRange, OpenConflict, Resolution, Store};

use crate::app::{App, plural};
use crate::conflicts::Labels;
use crate::editor;
use crate::fail::{Code, Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::merging::{command, none_left};
use crate::resolver;
use crate::text::name_of;

/// Settle conflicts of a merge that is open
///
/// Without arguments, on a terminal, goes through the conflicts one by one. What is settled is kept in
/// the store until the merge is continued or aborted, and can be settled anew until then.
#[derive(Args)]
#[command(after_help = "\
--prefix and --all leave alone what is settled already, but for --reset. --edit opens VISUAL or EDITOR \
with the text of both sides and git's conflict markers; where one side deleted the key, a text that is \
left empty deletes it.

Examples:
  withy resolve                       one by one, on a terminal
  withy resolve pear plum --ours
  withy resolve --prefix cache/ --theirs
  withy resolve --all --base
  withy resolve pear --value ripe
  withy resolve photo --file photo.jpg
  withy resolve plum --delete
  withy resolve notes/today --edit
  withy resolve pear --reset          not settled after all")]
pub(crate) struct Resolve {
    /// Keys whose conflicts are settled
    keys: Vec<OsString>,
    /// All conflicts on keys that start with this
    #[arg(long, short, value_name = "PREFIX", conflicts_with = "keys", requires = "how")]
    prefix: Option<OsString>,
    /// All conflicts
    #[arg(long, short, conflicts_with_all = ["keys", "prefix"], requires = "how")]
    all: bool,
    /// Take what the branch has
    #[arg(long, group = "how")]
    ours: bool,
    /// Take what comes in
    #[arg(long, group = "how")]
    theirs: bool,
    /// Take what it was before both sides changed it
    #[arg(long, group = "how")]
    base: bool,
    /// Take this value; `-` reads it from standard input as it is
    #[arg(long, group = "how", value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<OsString>,
    /// Take what a file holds, as it is
    #[arg(long, short, group = "how", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Delete the key
    #[arg(long, group = "how")]
    delete: bool,
    /// Edit the text of both sides
    #[arg(long, short, group = "how")]
    edit: bool,
    /// Take a resolution back
    #[arg(long, group = "how")]
    reset: bool,
}

impl Resolve {
    fn selects(&self) -> bool {
        self.all || self.prefix.is_some() || !self.keys.is_empty()
    }

    /// The one resolution for all that is selected, if it is not `--edit` or `--reset`.
    fn resolution(&self, app: &App) -> Result<Option<Resolution>> {
        Ok(Some(match (&self.value, &self.file) {
            (Some(value), _) if value == "-" => {
                let mut value = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut value);
                read.doing(|| "read the value from standard input".into())?;
                Resolution::Value(value)
            }
            (Some(value), _) => Resolution::Value(app.value(value)?),
            (None, Some(file)) => {
                let doing = || format!("read the value from {}", file.display());
                Resolution::Value(std::fs::read(file).doing(doing)?)
            }
            (None, None) if self.ours => Resolution::Ours,
            (None, None) if self.theirs => Resolution::Theirs,
            (None, None) if self.base => Resolution::Base,
            (None, None) if self.delete => Resolution::Delete,
            (None, None) => return Ok(None),
        }))
    }
}

pub(crate) fn run(args: &Resolve, app: &mut App) -> Result<Outcome> {
    let how = args.resolution(app)?;
    if how.is_none() && !args.edit && !args.reset {
        return interactive(args, app);
    }
    if !args.selects() {
        return Err(Failure::usage("settle conflicts", "it is not said which")
            .hint("name keys, or use --prefix PREFIX or --all"));
    }
    if args.edit {
        return edit(args, app);
    }
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let doing = || format!("settle conflicts of {branch}");
    let found = selected(&store, &branch, args, app)?;
    let settled: Vec<_> = found.into_iter().map(|one| one.conflict.key).collect();
    match &how {
        Some(how) => {
            let all = settled.iter().map(|key| (key.clone(), how.clone()));
            store.resolve_conflicts(&branch, all, None).doing(doing)?;
        }
        None => {
            for key in &settled {
                store
                    .resolve_range(&branch, &KeyRange::key(key.clone()), None, None)
                    .doing(doing)?;
            }
        }
    }
    let taken = how.as_ref().map_or("reset", Resolution::name);
    tell(&store, &branch, &settled, taken, app)
}

/// Goes through the conflicts on a terminal.
fn interactive(args: &Resolve, app: &mut App) -> Result<Outcome> {
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !args.selects() && !app.globals.json && !on_terminal {
        let cause = "the screen to settle them on needs a terminal";
        return Err(Failure::usage("settle conflicts", cause)
            .hint("name keys and how, such as `withy resolve KEY --ours`, or use --all --theirs"));
    }
    if args.selects() || app.globals.json {
        return Err(Failure::usage("settle conflicts", "it is not said how")
            .hint("use --ours, --theirs, --base, --value, --file, --delete, --edit or --reset"));
    }
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    resolver::run(&store, &branch, app)
}

/// The conflicts that are meant.
fn selected(store: &Store, branch: &str, args: &Resolve, app: &App) -> Result<Vec<OpenConflict>> {
    let doing = || format!("settle conflicts of {branch}");
    let prefix = args.prefix.as_ref().map(|prefix| app.key(prefix)).transpose()?;
    let range = prefix.clone().map_or_else(KeyRange::all, KeyRange::prefix);
    let mut all = store.conflicts(branch, &range).doing(doing)?;
    let hint = format!("`{}` lists the conflicts", command(store, branch, "conflicts"));
    // Those of commits that are passed are settled for good until the branch moves.
    let open = store.open_merge(branch).doing(doing)?;
    if let Some(open) = open {
        all.retain(|one| one.at == open.at || one.resolution.is_none());
    }
    if let Some(prefix) = &prefix
        && all.is_empty()
    {
        let cause = format!("none is on a key that starts with {}", name_of(prefix));
        return Err(Failure::usage(doing(), cause).hint(hint));
    }
    if args.keys.is_empty() {
        all.retain(|one| args.reset == one.resolution.is_some());
        return Ok(all);
    }
    let mut out: Vec<OpenConflict> = Vec::new();
    for key in &args.keys {
        let key = app.key(key)?;
        if out.iter().any(|one| one.conflict.key == key) {
            continue;
        }
        let found = all.iter().find(|one| one.conflict.key == key);
        let Some(found) = found.cloned() else {
            let cause = format!("{} is not in conflict", name_of(&key));
            let hint = match all.iter().any(|one| one.conflict.key.starts_with(&key)) {
                true => format!("for all keys that start with it: `--prefix {}`", name_of(&key)),
                false => hint,
            };
            return Err(Failure::usage(doing(), cause).hint(hint));
        };
        if args.reset && found.resolution.is_none() {
            let cause = format!("{} is not settled", name_of(&key));
            return Err(Failure::usage(doing(), cause));
        }
        out.push(found);
    }
    Ok(out)
}

/// Says what was settled, and what is left.
fn tell(
    store: &Store,
    branch: &str,
    settled: &[Vec<u8>],
    taken: &str,
    app: &App,
) -> Result<Outcome> {
    let doing = || format!("read what is open on {branch}");
    let Some(open) = store.open_merge(branch).doing(doing)? else {
        return Ok(Outcome::Done);
    };
    let object = Object::new()
        .with("branch", branch)
        .with("settled", settled.len())
        .with("taken", taken)
        .with("unresolved", open.unresolved)
        .with("resolved", open.resolved);
    app.say(app.out()?, object, |_| {
        let left = match open.unresolved {
            0 => none_left(store, &open),
            _ => format!("{} left", plural(open.unresolved, "conflict")),
        };
        if settled.is_empty() {
            return format!("nothing to settle; {left}");
        }
        let what = match settled {
            [one] => name_of(one),
            all => plural(all.len() as u64, "conflict"),
        };
        let done = if taken == "reset" { "took back" } else { "settled" };
        let how = if taken == "reset" { String::new() } else { format!(": {taken}") };
        format!("{done} {what}{how}; {left}")
    })?;
    Ok(Outcome::Done)
}

/// Edits conflicts one by one. The store is not held while an editor is open.
fn edit(args: &Resolve, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let branch = app.branch(&store)?;
    let found = selected(&store, &branch, args, app)?;
    drop(store);
    for one in found {
        let store = app.open_read()?;
        let doing = || format!("edit {}", name_of(&one.conflict.key));
        let Some(open) = store.open_merge(&branch).doing(doing)? else { break };
        let labels = Labels::of(&open, one.at);
        let draft = editor::draft(&store, &one, &labels)?;
        drop(store);
        let (resolution, kept) = editor::edit(&one.conflict.key, &draft)?;
        let store = app.open_write()?;
        let keep = |failure: Failure| {
            failure.hint(format!("the text is kept in {}", kept.path().display()))
        };
        let taken = save(&store, &branch, &one.conflict, resolution).map_err(keep)?;
        kept.close().doing(doing)?;
        tell(&store, &branch, std::slice::from_ref(&one.conflict.key), taken, app)?;
    }
    Ok(Outcome::Done)
}

/// Settles a conflict, if it is still about the same values.
fn save(
    store: &Store,
    branch: &str,
    conflict: &Conflict,
    resolution: Resolution,
) -> Result<&'static str> {
    let doing = || format!("settle {}", name_of(&conflict.key));
    let range = KeyRange::key(conflict.key.clone());
    let now = store.conflicts(branch, &range).doing(doing)?;
    if !now.iter().any(|one| one.conflict == *conflict) {
        return Err(Failure::new(Code::Again, doing(), "its values have changed meanwhile"));
    }
    let taken = resolution.name();
    store.resolve_conflicts(branch, [(conflict.key.clone(), resolution)], None).doing(doing)?;
    Ok(taken)
}
