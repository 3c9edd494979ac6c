//! `withy feed`

use std::ffi::OsString;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use withy::{ChangeKind, Clock as _, FeedEvent, FeedOptions, KeyRange, Seq, SystemClock};

use crate::app::{App, open_read_at, seconds};
use crate::changes::Formats;
use crate::commits::{self, Names};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::{self, Object};
use crate::out::{Out, Paint};
use crate::text::shorten;

/// Follow the changes of the store, oldest first
///
/// Each commit comes once, with all its changes together, in the order in which they were made.
#[derive(Args)]
#[command(after_help = "\
The sequence of the last commit read is the position to go on from with --after.

Examples:
  withy feed
  withy feed --after 120 --json
  withy feed --after latest --follow
  withy feed --branch topic --prefix fruit/ -n 10
  withy feed --follow --timeout 5")]
pub(crate) struct Feed {
    /// Start after this sequence; `latest` is the newest there is
    #[arg(long, value_name = "SEQ", default_value = "0", value_parser = position)]
    after: Position,
    /// Only changes of keys that start with this
    #[arg(long, short, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Leave out values
    #[arg(long)]
    name_only: bool,
    /// Stop after this many commits
    #[arg(long, short = 'n', value_name = "COMMITS")]
    limit: Option<usize>,
    /// Wait for further commits
    #[arg(long, short)]
    follow: bool,
    /// With --follow: end when no commit has come for so long
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    timeout: Option<String>,
}

/// Where a feed starts.
#[derive(Clone, Copy, Debug)]
enum Position {
    Latest,
    After(Seq),
}

fn position(text: &str) -> Result<Position, String> {
    if text == "latest" {
        return Ok(Position::Latest);
    }
    let digits = text.strip_prefix("seq:").unwrap_or(text);
    let seq = digits.parse().map_err(|_| "not a sequence such as 120, nor `latest`".to_owned())?;
    Ok(Position::After(Seq::new(seq)))
}

/// How often a store is looked at again.
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &Feed, app: &mut App) -> Result<Outcome> {
    let mut store = app.open_read()?;
    let dir = app.store_dir()?;
    let shape = Shape {
        formats: Formats { key: app.key_format()?, value: app.value_format()? },
        is_json: app.globals.json,
        is_names: args.name_only,
    };
    let mut options = FeedOptions::default().names_only(args.name_only);
    if let Some(branch) = &app.globals.branch {
        options = options.branch(branch.as_str());
    }
    if let Some(prefix) = &args.prefix {
        options = options.range(KeyRange::prefix(app.key(prefix)?));
    }
    let timeout = args.timeout.as_deref().map(seconds).transpose()?;
    let mut after = match args.after {
        Position::Latest => store.latest(),
        Position::After(seq) => seq,
    };
    let mut out = if args.follow { app.out()? } else { app.paged()? };
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut quiet_since = SystemClock.now();
    while left > 0 {
        let mut feed = store.feed(after, options.clone().limit(left)).doing(doing)?;
        for event in &mut feed {
            let event = event.doing(doing)?;
            left -= 1;
            quiet_since = SystemClock.now();
            write(&mut out, &event, shape)?;
        }
        after = feed.position();
        drop(feed);
        if !args.follow || left == 0 {
            break;
        }
        out.flush()?;
        let waited = SystemClock.now().as_millis() - quiet_since.as_millis();
        let waited = Duration::from_millis(u64::try_from(waited).unwrap_or_default());
        if timeout.is_some_and(|timeout| waited >= timeout) {
            break;
        }
        thread::sleep(timeout.map_or(POLL, |timeout| POLL.min(timeout.saturating_sub(waited))));
        // An open for reading sees the store as it was then: open it again.
        drop(store);
        store = open_read_at(&dir)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn doing() -> String {
    "read the feed".to_owned()
}

/// How events are written.
#[derive(Clone, Copy, Debug)]
struct Shape {
    formats: Formats,
    is_json: bool,
    is_names: bool,
}

fn write(out: &mut Out, event: &FeedEvent, shape: Shape) -> Result<()> {
    if shape.is_json {
        let changes = event.changes.iter().map(|change| {
            let object = Object::new()
                .bytes("key", &change.key, shape.formats.key)
                .with("kind", json::kind(change.kind));
            let value = change.value.as_deref();
            match shape.is_names {
                true => object.done(),
                false => object.maybe_bytes("value", value, shape.formats.value).done(),
            }
        });
        let changes = Value::Array(changes.collect());
        return out.json(&json::commit(&event.commit).with("changes", changes).done());
    }
    let line = commits::oneline(&event.commit, &Names::default(), out);
    writeln!(out, "{line}")?;
    let branch = out.paint(Paint::Ref, &event.commit.branch);
    writeln!(out, "  on {branch} at {}", event.commit.time)?;
    for change in &event.changes {
        let (sign, paint) = match change.kind {
            ChangeKind::Added => ('+', Paint::Added),
            ChangeKind::Modified => ('~', Paint::Hunk),
            ChangeKind::Deleted => ('-', Paint::Removed),
        };
        let mut line = format!("{sign} {}", shape.formats.key.show(&change.key));
        if let Some(value) = &change.value {
            line.push('\t');
            line.push_str(&shorten(&shape.formats.value.show(value), 72));
        }
        writeln!(out, "  {}", out.paint(paint, line))?;
    }
    Ok(())
}
