//! `withy branch`

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::Args;
use withy::{BranchInfo, BranchOptions, DeleteOptions, OpenMerge, Store};

use crate::app::{App, plural};
use crate::commits::{self, Names};
use crate::conflicts::{heading, open_json};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::merging::describe;
use crate::out::Paint;
use crate::text::{escape, glob};

/// List, create, delete, rename or describe branches
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy branch                        list; * is the active one
  withy branch topic                  create, from the active branch
  withy branch fix v1.0               create, from any rev
  withy branch -v --list 'topic/*'
  withy branch -d topic               delete, if main has all of it
  withy branch -D topic               delete anyway
  withy branch -m topic fruit
  withy branch --describe fruit 'prices of fruit'
  withy branch --show fruit")]
pub(crate) struct Branch {
    /// Branch to create; without it, list
    #[arg(group = "action")]
    name: Option<String>,
    /// Where it starts [default: the head of the branch]
    #[arg(requires = "name")]
    rev: Option<String>,
    /// List branches, those that match PATTERN
    #[arg(long, short, group = "action", value_name = "PATTERN", num_args = 0..=1, default_missing_value = "*")]
    list: Option<String>,
    /// Delete branches that are merged
    #[arg(long, short, group = "action", value_name = "NAME", num_args = 1..)]
    delete: Vec<String>,
    /// Delete branches, merged or not
    #[arg(short = 'D', long, group = "action", value_name = "NAME", num_args = 1..)]
    force_delete: Vec<String>,
    /// With --delete: the branch that must have all of it [default: main]
    #[arg(long, value_name = "NAME", requires = "delete")]
    merged_into: Option<String>,
    /// Rename a branch, by default the one worked on
    #[arg(long = "move", short = 'm', group = "action", num_args = 1..=2, value_names = ["OLD", "NEW"])]
    rename: Vec<String>,
    /// Set the description of a branch
    #[arg(long, group = "action", num_args = 2, value_names = ["NAME", "TEXT"])]
    describe: Vec<String>,
    /// Show all about a branch
    #[arg(long, group = "action", value_name = "NAME")]
    show: Option<String>,
    /// With NAME: its description
    #[arg(long, value_name = "TEXT", requires = "name")]
    description: Option<String>,
    /// Show the head of each branch
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: Branch, app: &mut App) -> Result<Outcome> {
    if let Some(name) = &args.show {
        show(name, app)?;
    } else if let Some(name) = &args.name {
        create(name, &args, app)?;
    } else if !args.delete.is_empty() || !args.force_delete.is_empty() {
        delete(&args, app)?;
    } else if let [first, rest @ ..] = args.rename.as_slice() {
        rename(first, rest.first(), app)?;
    } else if let [name, text] = args.describe.as_slice() {
        let store = app.open_write()?;
        store.describe_branch(name, text).doing(|| format!("describe branch {name}"))?;
        tell(app, &store, name, &format!("described branch {name}"))?;
    } else {
        list(args.list.as_deref().unwrap_or("*"), args.verbose, app)?;
    }
    Ok(Outcome::Done)
}

fn create(name: &str, args: &Branch, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let from = app.rev(&store, args.rev.as_deref())?;
    let mut options = BranchOptions::default().creator(app.author());
    if let Some(text) = &args.description {
        options = options.description(text.as_str());
    }
    store.create_branch(name, &from, options).doing(|| format!("create branch {name}"))?;
    tell(app, &store, name, &format!("created branch {name}"))
}

fn delete(args: &Branch, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let is_forced = !args.force_delete.is_empty();
    for name in args.delete.iter().chain(&args.force_delete) {
        let mut options = DeleteOptions::default().force(is_forced);
        if let Some(into) = &args.merged_into {
            options = options.merged_into(into.as_str());
        }
        let doing = || format!("delete branch {name}");
        let head = store.branch_info(name).doing(doing)?.head;
        let deleted = store.delete_branch(name, options).map_err(|e| {
            let wants_force = e.hint().is_some_and(|hint| hint.contains("force"));
            let hint = format!("`withy branch -D {name}` deletes it all the same");
            if wants_force { e.with_hint(hint) } else { e }
        });
        deleted.doing(doing)?;
        let object = Object::new().with("deleted", name.as_str()).with("head", head.get());
        app.say(app.out()?, object, |_| format!("deleted branch {name} (was seq:{head})"))?;
    }
    Ok(())
}

fn rename(first: &str, second: Option<&String>, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let (old, new) = match second {
        Some(new) => (first.to_owned(), new.as_str()),
        None => (app.branch(&store)?, first),
    };
    store.rename_branch(&old, new).doing(|| format!("rename branch {old} to {new}"))?;
    tell(app, &store, new, &format!("renamed branch {old} to {new}"))
}

/// Says what was done to a branch.
fn tell(app: &App, store: &Store, name: &str, what: &str) -> Result<()> {
    let info = store.branch_info(name).doing(|| format!("read branch {name}"))?;
    let text = format!("{what} at seq:{}", info.head);
    app.say(app.out()?, as_json(&info), |_| text)
}

fn show(name: &str, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let info = store.branch_info(name).doing(|| format!("show branch {name}"))?;
    let open = store.open_merge(name).doing(|| format!("show branch {name}"))?;
    let mut out = app.out()?;
    if app.globals.json {
        let open = open.as_ref().map(|open| open_json(open).done());
        out.json(&as_json(&info).with_some("open_merge", open).done())?;
        return out.finish();
    }
    writeln!(out, "branch      {}", out.paint(Paint::Ref, &info.name))?;
    writeln!(out, "head        seq:{}", info.head)?;
    writeln!(out, "active      {}", if info.active { "yes" } else { "no" })?;
    if let Some(parent) = &info.parent {
        writeln!(out, "parent      {parent}")?;
    }
    writeln!(out, "created     {} at seq:{}", info.created, info.created_seq)?;
    if !info.creator.is_empty() {
        writeln!(out, "creator     {}", escape(info.creator.as_bytes()))?;
    }
    if !info.description.is_empty() {
        writeln!(out, "description {}", escape(info.description.as_bytes()))?;
    }
    if let Some(open) = &open {
        writeln!(out, "open        {}", heading(open))?;
    }
    out.finish()
}

/// What is open, by branch.
fn open_merges(store: &Store) -> Result<BTreeMap<String, OpenMerge>> {
    let all = store.open_merges().doing(|| "list what is open".into())?;
    Ok(all.into_iter().map(|open| (open.target.to_string(), open)).collect())
}

/// What is said of a branch on which something is open.
fn note(open: Option<&OpenMerge>) -> String {
    let Some(open) = open else { return String::new() };
    format!(" ({} is open, {} left)", describe(open), plural(open.unresolved, "conflict"))
}

fn list(pattern: &str, verbose: bool, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let branches = store.branches().doing(|| "list branches".into())?;
    let branches: Vec<_> = branches.iter().filter(|b| glob(pattern, b.name.as_str())).collect();
    let open = open_merges(&store)?;
    let mut out = app.paged()?;
    let width = branches.iter().map(|b| b.name.as_str().len()).max().unwrap_or_default();
    for info in branches {
        if app.globals.json {
            let open = open.get(info.name.as_str()).map(|open| open_json(open).done());
            out.json(&as_json(info).with_some("open_merge", open).done())?;
            continue;
        }
        let mark = if info.active { '*' } else { ' ' };
        let name = &info.name;
        if !verbose {
            let name = if info.active { out.paint(Paint::Ref, name) } else { name.to_string() };
            writeln!(out, "{mark} {name}{}", note(open.get(info.name.as_str())))?;
            continue;
        }
        let head = format!("seq:{}", info.head);
        let head = store.commit(&head).doing(|| format!("read commit {head}"))?;
        let head = commits::oneline(&head, &Names::default(), &out);
        let note = note(open.get(name.as_str()));
        writeln!(out, "{mark} {name:width$} {head}{note}")?;
    }
    out.finish()
}

fn as_json(info: &BranchInfo) -> Object {
    Object::new()
        .with("name", info.name.as_str())
        .with("parent", info.parent.as_ref().map(ToString::to_string))
        .with("created_seq", info.created_seq.get())
        .with("created", info.created.to_string())
        .with("creator", info.creator.as_str())
        .with("description", info.description.as_str())
        .with("active", info.active)
        .with("head", info.head.get())
}
