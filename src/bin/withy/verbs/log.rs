//! `withy log`

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;

use clap::Args;
use withy::{Commit, KeyRange, LogOptions, Seq, Store, TagListOptions, Timestamp};

use crate::app::App;
use crate::changes::{Changed, Formats, Style};
use crate::commits::{self, Names};
use crate::fail::{Doing as _, Outcome, Result};
use crate::graph::Graph;
use crate::json;
use crate::out::Out;
use crate::verbs::diff;
use crate::walk::{Ends, Filter, Walk};
use crate::when;

/// Show commits, newest first
#[derive(Args)]
#[command(after_help = "\
A time is 2026-11-20T10:00:00Z, 2026-11-20 (UTC), or '2 hours ago'. --author NAME shows only commits \
by authors that contain NAME.

Examples:
  withy log -n 10
  withy log --graph --oneline --all
  withy log main..topic
  withy log topic --since '2 days ago' --author ada
  withy log --prefix fruit/ --patch
  withy log --json")]
pub(crate) struct Log {
    /// Where to start, or `A..B`: what B has and A has not [default: the head of the branch]
    rev: Option<String>,
    /// Start from the heads of all branches
    #[arg(long, short, conflicts_with = "rev")]
    all: bool,
    /// Stop after this many commits
    #[arg(long, short = 'n', value_name = "COMMITS")]
    limit: Option<usize>,
    /// Draw the graph of commits beside them
    #[arg(long, conflicts_with = "json")]
    graph: bool,
    /// One line for each commit
    #[arg(long)]
    oneline: bool,
    /// Only commits made at or after this time
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Only commits made at or before this time
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// Only commits that change this key
    #[arg(long, short, value_name = "KEY")]
    key: Option<OsString>,
    /// Only commits that change a key that starts with this
    #[arg(long, short = 'P', value_name = "PREFIX", conflicts_with = "key")]
    prefix: Option<OsString>,
    /// Follow only the first parent of merges
    #[arg(long)]
    first_parent: bool,
    /// Show what each commit changed
    #[arg(long, short)]
    patch: bool,
    #[command(flatten)]
    style: Style,
}

impl Log {
    fn range(&self, app: &App) -> Result<Option<KeyRange>> {
        Ok(match (&self.key, &self.prefix) {
            (Some(key), _) => Some(KeyRange::key(app.key(key)?)),
            (None, Some(prefix)) => Some(KeyRange::prefix(app.key(prefix)?)),
            (None, None) => None,
        })
    }

    fn shows_changes(&self) -> bool {
        self.patch || self.style.is_names() || self.style.stat
    }
}

pub(crate) fn run(args: &Log, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let formats = Formats { key: app.key_format()?, value: app.value_format()? };
    let filter = Filter {
        range: args.range(app)?,
        author: app.globals.author.clone(),
        since: args.since,
        until: args.until,
        first_parent: args.first_parent,
    };
    let names = if app.globals.json { Names::default() } else { Names::load(&store)? };
    let range = filter.range.clone().unwrap_or_default();
    let out = app.paged()?;
    let mut page = Page { out, args, store: &store, names, formats, range, json: app.globals.json };
    let limit = args.limit.unwrap_or(usize::MAX);
    let range = args.rev.as_deref().map(diff::range).transpose()?.flatten();
    if args.graph || args.all || range.is_some() {
        let ends = match range {
            Some((without, from)) => {
                Ends { from: one_rev(&store, app, from)?, without: one_rev(&store, app, without)? }
            }
            None if args.all => Ends { from: every_ref(&store)?, ..Ends::default() },
            None => Ends { from: one_rev(&store, app, args.rev.as_deref())?, ..Ends::default() },
        };
        walk(&mut page, Walk::new(&store, ends, filter), limit)?;
    } else {
        let rev = app.rev(&store, args.rev.as_deref())?;
        let doing = || format!("read the log of {rev}");
        for commit in store.log(&rev, options(filter).limit(limit)).doing(doing)? {
            let lines = page.lines(&commit.doing(doing)?)?;
            page.write(lines)?;
        }
    }
    page.out.finish()?;
    Ok(Outcome::Done)
}

/// The filter, for the library.
fn options(filter: Filter) -> LogOptions {
    let mut options = LogOptions::default().first_parent(filter.first_parent);
    if let Some(range) = filter.range {
        options = options.range(range);
    }
    if let Some(author) = filter.author {
        options = options.author(author);
    }
    if let Some(since) = filter.since {
        options = options.since(since);
    }
    if let Some(until) = filter.until {
        options = options.until(until);
    }
    options
}

fn one_rev(store: &Store, app: &App, rev: Option<&str>) -> Result<BTreeSet<Seq>> {
    let rev = app.rev(store, rev)?;
    let commit = store.commit(&rev).doing(|| format!("read the log of {rev}"))?;
    Ok(BTreeSet::from([commit.seq]))
}

fn every_ref(store: &Store) -> Result<BTreeSet<Seq>> {
    let branches = store.branches().doing(|| "list branches".into())?;
    let tags = store.tags(TagListOptions::default()).doing(|| "list tags".into())?;
    Ok(branches.iter().map(|b| b.head).chain(tags.iter().map(|t| t.seq)).collect())
}

/// Writes what a walk comes by, with the graph beside it if that is wanted. Lines run through all
/// commits, also those that are not asked for.
fn walk(page: &mut Page<'_>, mut walk: Walk<'_>, limit: usize) -> Result<()> {
    let mut graph = Graph::new();
    let mut shown = 0;
    while shown < limit {
        let Some((commit, parents, is_wanted)) = walk.next()? else { break };
        shown += usize::from(is_wanted);
        let text = if is_wanted { page.lines(&commit)? } else { Vec::new() };
        if !page.args.graph || page.json {
            page.write(text)?;
            continue;
        }
        let rows = match is_wanted {
            true => graph.commit(commit.seq, &parents),
            false => graph.skip(commit.seq, &parents),
        };
        let count = text.len().max(rows.len());
        let text = text.into_iter().chain(std::iter::repeat(String::new()));
        let lines = rows.prefixes().zip(text).take(count);
        let lines = lines.map(|(prefix, text)| format!("{prefix}{text}").trim_end().to_owned());
        page.write(lines.collect())?;
    }
    Ok(())
}

/// What is written, and how.
struct Page<'a> {
    out: Out,
    args: &'a Log,
    store: &'a Store,
    names: Names,
    formats: Formats,
    range: KeyRange,
    json: bool,
}

impl Page<'_> {
    /// The text of one commit, changes apart.
    fn lines(&mut self, commit: &Commit) -> Result<Vec<String>> {
        if self.json {
            return Ok(vec![json::commit(commit).done().to_string()]);
        }
        let mut lines = match self.args.oneline {
            true => vec![commits::oneline(commit, &self.names, &self.out)],
            false => commits::block(commit, &self.names, &self.out),
        };
        if let (true, Some(parent)) = (self.args.shows_changes(), commit.parents.first()) {
            lines.extend(self.changes(commit, parent.seq)?);
        }
        Ok(lines)
    }

    /// What the commit changed against its first parent.
    fn changes(&mut self, commit: &Commit, parent: Seq) -> Result<Vec<String>> {
        let doing = || format!("compare seq:{parent} and seq:{}", commit.seq);
        let changed =
            Changed::by(self.store, commit, &self.range, &self.args.style).doing(doing)?;
        let mut text = self.out.buffer();
        let any = changed.show(&mut text, &self.args.style, self.formats)?;
        let text = text.into_text();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if any && !self.args.oneline {
            lines.push(String::new());
        }
        Ok(lines)
    }

    fn write(&mut self, lines: Vec<String>) -> Result<()> {
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}
