//! `withy feed`

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use withy::{
    ChangeKind, CursorOptions, FeedEvent, FeedOptions, FollowOptions, KeyRange, Seq, Store,
};

use crate::app::{App, seconds};
use crate::changes::Formats;
use crate::commits::{self, Names};
use crate::cursors::{self, Asked, CursorArgs};
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
  withy feed --follow --timeout 5
  withy feed --cursor mirror --ack
  withy feed --cursor mirror --lease 86400 -n 100
  withy feed --cursor mirror --lease 86400 --ack=120
  withy feed --cursors")]
pub(crate) struct Feed {
    /// Start after this sequence [default: 0]; `latest` is the newest there is. With --cursor: where a new
    /// one starts [default: latest]
    #[arg(long, value_name = "SEQ", value_parser = position)]
    after: Option<Position>,
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
    #[command(flatten)]
    cursors: CursorArgs,
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
    match args.cursors.asked() {
        Some(Asked::List) => return cursors::list(app),
        Some(Asked::Delete(name)) => return cursors::delete(app, name),
        Some(Asked::Read(name)) => return read_with(args, app, name),
        None => {}
    }
    let store = app.open_read()?;
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
    let after = match args.after {
        Some(Position::Latest) => store.latest(),
        Some(Position::After(seq)) => seq,
        None => Seq::ROOT,
    };
    let options = options.limit(args.limit.unwrap_or(usize::MAX));
    if args.follow {
        drop(store);
        return follow(app, (after, options), timeout, shape);
    }
    let mut out = app.paged()?;
    for event in store.feed(after, options).doing(doing)? {
        write(&mut out, &event.doing(doing)?, shape)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// Goes on with what comes, until none has come for as long as `timeout`, or the limit is reached.
fn follow(
    app: &App,
    (after, options): (Seq, FeedOptions),
    timeout: Option<Duration>,
    shape: Shape,
) -> Result<Outcome> {
    let every = FollowOptions::default().every(POLL);
    let mut follower = Store::follow(app.store_dir()?, every).doing(doing)?;
    let mut news = follower.subscribe(after, options).doing(doing)?;
    let mut out = app.out()?;
    loop {
        // What is there is written together, and shown before waiting.
        let event = match news.next_timeout(Duration::ZERO).doing(doing)? {
            Some(event) => Some(event),
            None => {
                out.flush()?;
                news.next_timeout(timeout.unwrap_or(Duration::MAX)).doing(doing)?
            }
        };
        match event {
            Some(event) => write(&mut out, &event, shape)?,
            None => break,
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// Reads with a cursor.
fn read_with(args: &Feed, app: &mut App, name: &str) -> Result<Outcome> {
    // The formats may be kept in the store.
    drop(app.open_read()?);
    let shape = Shape {
        formats: Formats { key: app.key_format()?, value: app.value_format()? },
        is_json: app.globals.json,
        is_names: args.name_only,
    };
    let mut options = CursorOptions::default().names_only(args.name_only);
    if let Some(Position::After(seq)) = args.after {
        options = options.after(seq);
    }
    if let Some(branch) = &app.globals.branch {
        options = options.branch(branch.as_str());
    }
    if let Some(prefix) = &args.prefix {
        options = options.range(KeyRange::prefix(app.key(prefix)?));
    }
    let limit = args.limit.unwrap_or(usize::MAX);
    args.cursors.read(
        app,
        name,
        options,
        (limit, |out: &mut Out, event: &FeedEvent| write(out, event, shape)),
    )
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
