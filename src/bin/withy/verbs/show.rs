//! `withy show`

use std::io::Write as _;

use clap::Args;
use serde_json::Value;
use withy::{KeyRange, MergeAction, MergeDetails, Seq, Store};

use crate::app::{App, plural};
use crate::changes::{Changed, Formats, Style};
use crate::commits::{self, Names};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::{self, Object};
use crate::merged::settled_json;
use crate::out::{Out, Paint};
use crate::text::Format;

/// Show commits with what they changed
#[derive(Args)]
#[command(after_help = "\
Changes are those against the first parent; if that is no longer kept, their names only. Of a merge, squash, pick, revert or rebase it also says where \
it came from, and what settled the keys that both sides had changed. The value of a key at a commit: \
`withy get KEY --at REV`.

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
        let changed = Changed::by(&store, &commit, &KeyRange::all(), &args.style).doing(doing)?;
        if app.globals.json {
            let entries = changed.into_json(&args.style, formats).doing(doing)?;
            let object = json::commit(&commit);
            let merge = details(&store, rev)?.map(|details| details_json(&details, formats.key));
            let object = object.with_some("merge", merge.map(Object::done));
            out.json(&object.with("changes", Value::Array(entries)).done())?;
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        for line in commits::block(&commit, &names, &out) {
            writeln!(out, "{line}")?;
        }
        if let Some(details) = details(&store, rev)? {
            write_details(&details, formats.key, &mut out)?;
        }
        changed.show(&mut out, &args.style, formats)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// How a commit came about, if it is a merge, squash, pick, revert or rebase.
fn details(store: &Store, rev: &str) -> Result<Option<MergeDetails>> {
    store.merge_details(rev).doing(|| format!("show {rev}"))
}

fn write_details(details: &MergeDetails, format: Format, out: &mut Out) -> Result<()> {
    let MergeDetails { action, source, strategy, .. } = details;
    let id = out.paint(Paint::Id, format!("seq:{} {}", source.seq, source.id.short()));
    let bases: Vec<String> = details.bases.iter().map(|seq| format!("seq:{seq}")).collect();
    let is_merge = matches!(action, MergeAction::Merge | MergeAction::Squash);
    let base = match (is_merge, bases.len()) {
        (false, _) => String::new(),
        (true, 1) => format!(", merge base {}", bases.join(" ")),
        (true, _) => format!(", merge bases {}", bases.join(" ")),
    };
    let strict = if details.strict { ", strict" } else { "" };
    let alike = match details.auto_resolved {
        0 => String::new(),
        count => format!(", {} changed alike", plural(count, "key")),
    };
    writeln!(out, "{action} of {id}{base}, strategy {strategy}{strict}{alike}")?;
    for one in &details.settled {
        let (kind, key) = (one.conflict.kind, format.show(&one.conflict.key));
        writeln!(out, "  {kind} {key}: {}", one.by)?;
    }
    writeln!(out)?;
    Ok(())
}

fn details_json(details: &MergeDetails, format: Format) -> Object {
    let source = &details.source;
    let source = Object::new().with("seq", source.seq.get()).with("id", source.id.to_string());
    let bases: Vec<u64> = details.bases.iter().copied().map(Seq::get).collect();
    let settled = details.settled.iter().map(|one| settled_json(one, format).done());
    Object::new()
        .with("action", details.action.to_string())
        .with("source", source)
        .with("bases", bases)
        .with("strategy", details.strategy.name())
        .with("strict", details.strict)
        .with("changed_alike", details.auto_resolved)
        .with("settled", settled.collect::<Vec<_>>())
}
