//! `withy show`

use std::io::Write as _;

use clap::Args;
use serde_json::Value;
use withy::DiffOptions;

use crate::app::App;
use crate::changes::{self, Formats, Style};
use crate::commits::{self, Names};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json;

/// Show commits with what they changed
#[derive(Args)]
#[command(after_help = "\
Changes are those against the first parent. The value of a key at a commit: `withy get KEY --at REV`.

Examples:
  withy show
  withy show v1.0 --stat
  withy show main~2 main~1 --name-only
  withy show seq:120 --json")]
pub(crate) struct Show {
    /// Commits [default: the head of the branch]
    revs: Vec<String>,
    #[command(flatten)]
    style: Style,
}

pub(crate) fn run(args: &Show, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let formats = Formats { key: app.key_format()?, value: app.value_format()? };
    let mut revs = args.revs.clone();
    if revs.is_empty() {
        revs.push(app.rev(&store, None)?);
    }
    let names = if app.globals.json { Names::default() } else { Names::load(&store)? };
    let mut out = app.paged()?;
    for (index, rev) in revs.iter().enumerate() {
        let doing = || format!("show {rev}");
        let commit = store.commit(rev).doing(doing)?;
        // The root commit has no parent; against itself it changes nothing.
        let parent = commit.parents.first().map_or(commit.seq, |p| p.seq);
        let options = DiffOptions::default().names_only(args.style.is_names());
        let (from, to) = (format!("seq:{parent}"), format!("seq:{}", commit.seq));
        let mut diff = store.diff(&from, &to, options).doing(doing)?;
        if app.globals.json {
            let mut entries = Vec::new();
            for entry in diff {
                entries.push(changes::as_json(&entry.doing(doing)?, &args.style, formats));
            }
            out.json(&json::commit(&commit).with("changes", Value::Array(entries)).done())?;
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        for line in commits::block(&commit, &names, &out) {
            writeln!(out, "{line}")?;
        }
        changes::show(&mut out, &mut diff, &args.style, formats)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}
