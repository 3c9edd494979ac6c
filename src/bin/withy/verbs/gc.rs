//! `withy gc`

use clap::Args;
use withy::{GcOptions, GcReport};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::progress::{Progress, size};
use crate::units::byte_size;

/// Remove what nothing needs any more
///
/// Goes: commits that the setting `retention` lets go, what no branch or tag leads to and nobody can undo
/// any more (`undo-age`), tags over `max-tags`, large values that no key has. Branches, tags, open merges,
/// prepared transactions and what is being read stay exactly as they are.
#[derive(Args)]
#[command(after_help = "\
It can be stopped at any time, and goes on the next time. Without a setting `retention` no commit of a \
branch goes.

Examples:
  withy config retention 'age=30d count=100'
  withy config retention 'branch=main forever; age=7d'
  withy gc
  withy gc --rate 1M                  slowly, so that others have the disk")]
pub(crate) struct Gc {
    /// Remove about this many bytes of keys a second at most, and compact about as many of data, such as 1M
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    rate: Option<u64>,
    /// Leave the files as they are: the space is given back bit by bit
    #[arg(long)]
    no_compact: bool,
}

pub(crate) fn run(args: &Gc, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let mut progress = Progress::new("gc", "row", None, app.globals.quiet);
    let mut options =
        GcOptions::default().compact(!args.no_compact).progress(|so_far| progress.tell(so_far));
    if let Some(rate) = args.rate {
        options = options.bytes_per_second(rate);
    }
    let done = store.gc(options).doing(|| "collect".into())?;
    drop(progress);
    let object = Object::new()
        .with("examined", done.examined)
        .with("rows", done.rows)
        .with("bytes", done.bytes)
        .with("commits", done.commits)
        .with("lines", done.lines)
        .with("operations", done.operations)
        .with("values", done.values)
        .with("resumed", done.resumed)
        .with("postponed", done.postponed);
    app.say(app.out()?, object, |_| words(&done))?;
    Ok(Outcome::Done)
}

/// What was removed, in words.
fn words(done: &GcReport) -> String {
    let mut text = if done.rows == 0 {
        "nothing to remove".to_owned()
    } else {
        format!("removed {}, {}", plural(done.rows, "row"), size(done.bytes))
    };
    let counts = [
        (done.commits, "commit"),
        (done.lines, "line of commits"),
        (done.operations, "operation"),
        (done.values, "large value"),
    ];
    let named: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| match what {
            "line of commits" if count > 1 => format!("{count} lines of commits"),
            what => plural(count, what),
        })
        .collect();
    if !named.is_empty() {
        text.push_str(&format!(": {}", named.join(", ")));
    }
    if done.resumed {
        text.push_str("\nan earlier run was finished first");
    }
    if done.postponed {
        text.push_str("\nbranches moved all the time; run it again for the rest");
    }
    text
}
