//! `withy history`

use std::ffi::OsString;
use std::io::Write as _;

use clap::Args;
use withy::Seq;

use crate::app::{App, plain};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json;
use crate::out::Paint;
use crate::text::{as_text, escape, name_of};

/// Show every version of a key, newest first
#[derive(Args)]
#[command(after_help = "\
Each line: commit, time, author, kind of change, value. Where retention has let older versions go, it \
ends, and says so. Ends with exit code 1 if the key never was.

Examples:
  withy history pear
  withy history pear -n 3 --at topic
  withy history pear --json")]
pub(crate) struct History {
    /// Key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// As of this rev [default: the head of the branch]
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    /// Stop after this many versions
    #[arg(long, short = 'n', value_name = "VERSIONS")]
    limit: Option<usize>,
}

pub(crate) fn run(args: &History, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let key = app.key(&args.key)?;
    let format = app.value_format()?;
    let rev = app.rev(&store, args.at.as_deref())?;
    let doing = || format!("read the history of {}", name_of(&key));
    let mut versions = store.history(&rev, &key).doing(doing)?;
    let mut out = app.paged()?;
    let mut outcome = Outcome::No;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut shown = 0;
    for version in versions.by_ref().take(limit) {
        shown += 1;
        let version = version.doing(doing)?;
        outcome = Outcome::Done;
        let commit = &version.commit;
        if app.globals.json {
            let object = json::commit(commit).with("kind", json::kind(version.kind));
            out.json(&object.maybe_bytes("value", version.value.as_deref(), format).done())?;
            continue;
        }
        let id = out.paint(Paint::Id, format_args!("seq:{} {}", commit.seq, commit.id.short()));
        let author = escape(commit.author.as_bytes());
        let value = version.value.as_deref().map(|v| summary(v, format)).unwrap_or_default();
        // An author may be of several words, so something has to end it.
        let by = if author.is_empty() { author } else { format!(" {author}:") };
        let line = format!("{id} {}{by} {} {value}", commit.when(), version.kind);
        writeln!(out, "{}", line.trim_end())?;
    }
    out.finish()?;
    if versions.is_truncated() && shown < limit {
        let which = if shown == 0 { "versions" } else { "older versions" };
        app.deny(&format!("{which} of {} are no longer kept", name_of(&key)));
        return Ok(Outcome::Done);
    }
    if outcome == Outcome::No {
        let start = store.feed_start().doing(doing)?;
        let before = match start == Seq::ROOT {
            true => "nor before".to_owned(),
            false => format!("nor in what is kept of its history; all of it is after seq:{start}"),
        };
        app.deny(&format!("no key {} at {}, {before}", name_of(&key), plain(&rev)));
    }
    Ok(outcome)
}

/// A value on one line, cut where it is long.
fn summary(value: &[u8], format: crate::text::Format) -> String {
    const SHOWN: usize = 60;
    if format == crate::text::Format::Text && as_text(value).is_none() {
        return format!("({} bytes, binary)", value.len());
    }
    let shown = format.show(value);
    if shown.chars().count() <= SHOWN {
        return shown;
    }
    let start: String = shown.chars().take(SHOWN).collect();
    format!("{start}... ({} bytes)", value.len())
}
