//! `withy purge`

use std::ffi::OsString;
use std::io::Write as _;
use std::ops::Bound;

use clap::Args;
use withy::{KeyRange, PurgeOptions, PurgeReport};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::progress::Progress;
use crate::text::{first_line, name_of};

/// Remove the values of a key, or of a prefix, from all of history
///
/// Branches that have such keys get a commit that deletes them. Then no commit shows a value of theirs any
/// more, and no file of the store has one. Keys and hashes of values stay, for commits rest on them.
#[derive(Args)]
#[command(after_help = "\
This cannot be undone. It does not reach copies: checkpoints, backups, exports, messages of the outbox. A \
value that is short can be guessed from its hash.

Examples:
  withy purge password --yes --reason 'it leaked'
  withy purge --prefix customer/7/ --yes
  withy purge --list                  all purges, with who, when and why")]
pub(crate) struct Purge {
    /// Key
    #[arg(required_unless_present_any = ["prefix", "list"], allow_negative_numbers = true)]
    key: Option<OsString>,
    /// Every key that starts with this
    #[arg(long, value_name = "PREFIX", conflicts_with = "key")]
    prefix: Option<OsString>,
    /// Why; it is kept in the record of the purge
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// List all purges instead
    #[arg(long, short, conflicts_with_all = ["key", "prefix", "reason", "yes"])]
    list: bool,
}

pub(crate) fn run(args: &Purge, app: &mut App) -> Result<Outcome> {
    if args.list {
        return list(app);
    }
    if args.prefix.as_ref().is_some_and(|prefix| prefix.is_empty()) {
        let cause = "an empty prefix is that of every key";
        return Err(Failure::usage("purge", cause).hint("name the prefixes one by one"));
    }
    let range = match (&args.key, &args.prefix) {
        (_, Some(prefix)) => KeyRange::prefix(app.key(prefix)?),
        (Some(key), None) => KeyRange::key(app.key(key)?),
        (None, None) => return Err(Failure::usage("purge", "no key is given")),
    };
    let what = show_range(&range);
    if !args.yes {
        let cause = "this removes values from all of history, and cannot be undone";
        return Err(Failure::usage(format!("purge {what}"), cause).hint("add --yes to do it"));
    }
    let store = app.open_write()?;
    let mut progress = Progress::new("purge", "row", None, app.globals.quiet);
    let options = PurgeOptions::default()
        .author(app.author())
        .reason(args.reason.as_str())
        .progress(|so_far| progress.tell(so_far));
    let done = store.purge(&range, options).doing(|| format!("purge {what}"))?;
    drop(progress);
    app.say(app.out()?, object(&done, app), |_| {
        let mut text = format!("purged {what}: {}", counts(&done));
        let commits: Vec<String> = done.commits.iter().map(|seq| format!("seq:{seq}")).collect();
        if !commits.is_empty() {
            text.push_str(&format!("; deleted by {}", commits.join(", ")));
        }
        text
    })?;
    Ok(Outcome::Done)
}

fn list(app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let all = store.purges().doing(|| "list purges".into())?;
    let mut out = app.out()?;
    for purge in &all {
        if app.globals.json {
            out.json(&object(purge, app).done())?;
            continue;
        }
        let (number, time, range) = (purge.number, purge.time, show_range(&purge.range));
        write!(
            out,
            "{number} {time} {} {range}: {}",
            name_of(purge.author.as_bytes()),
            counts(purge)
        )?;
        if !purge.is_done {
            write!(out, ", under way")?;
        }
        let reason = first_line(&purge.reason, usize::MAX);
        if reason.is_empty() { writeln!(out)? } else { writeln!(out, ": {reason}")? }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn counts(purge: &PurgeReport) -> String {
    let versions = plural(purge.versions, "version");
    match purge.values {
        0 => versions,
        values => format!("{versions}, {}", plural(values, "large value")),
    }
}

/// The first key of a range, and the first one behind it.
fn bounds(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let start = match range.lower() {
        Bound::Included(lo) => lo.to_vec(),
        Bound::Excluded(lo) => [lo, b"\0"].concat(),
        Bound::Unbounded => Vec::new(),
    };
    let end = match range.upper() {
        Bound::Included(hi) => Some([hi, b"\0"].concat()),
        Bound::Excluded(hi) => Some(hi.to_vec()),
        Bound::Unbounded => None,
    };
    (start, end)
}

/// A range as it is asked for.
fn show_range(range: &KeyRange) -> String {
    let (start, end) = bounds(range);
    match &end {
        Some(end) if *end == [start.as_slice(), b"\0"].concat() => name_of(&start),
        None if start.is_empty() => "every key".to_owned(),
        end if bounds(&KeyRange::prefix(&start)).1 == *end => format!("prefix {}", name_of(&start)),
        Some(end) => format!("keys from {} to before {}", name_of(&start), name_of(end)),
        None => format!("keys from {}", name_of(&start)),
    }
}

fn object(purge: &PurgeReport, app: &App) -> Object {
    let (start, end) = bounds(&purge.range);
    let format = app.key_format().unwrap_or_default();
    let commits: Vec<u64> = purge.commits.iter().map(|seq| seq.get()).collect();
    Object::new()
        .with("number", purge.number)
        .with("time", purge.time.to_string())
        .with("author", purge.author.as_str())
        .with("reason", purge.reason.as_str())
        .bytes("from", &start, format)
        .maybe_bytes("to", end.as_deref(), format)
        .with("upto", purge.upto.get())
        .with("commits", commits)
        .with("versions", purge.versions)
        .with("values", purge.values)
        .with("done", purge.is_done)
}
