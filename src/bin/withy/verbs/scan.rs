//! `withy scan`

use std::ffi::OsString;
use std::io::Write as _;
use std::ops::Bound;

use clap::Args;
use withy::{Direction, KeyRange, Read as _};

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;

/// List keys and values in key order
#[derive(Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Each row is `key<TAB>value`, both escaped. With --json each row is an object on a line, which \
`withy import` and `withy apply` read.

Examples:
  withy scan
  withy scan --prefix fruit/ --reverse -n 10
  withy scan --from a --to c --keys-only
  withy scan --at v1.0 --count"
)]
pub(crate) struct Scan {
    #[command(flatten)]
    range: Range,
    /// From the last key to the first
    #[arg(long, short)]
    reverse: bool,
    /// Stop after this many rows
    #[arg(long, short = 'n', value_name = "ROWS")]
    limit: Option<usize>,
    /// Show keys only
    #[arg(long, short)]
    keys_only: bool,
    /// Show only how many keys there are
    #[arg(long, short, conflicts_with_all = ["reverse", "limit", "keys_only"])]
    count: bool,
    /// As of this rev [default: the head of the branch]
    #[arg(long, value_name = "REV")]
    at: Option<String>,
}

/// Which keys.
#[derive(Args, Clone, Debug)]
pub(crate) struct Range {
    /// Only keys that start with this
    #[arg(long, short, value_name = "PREFIX")]
    pub(crate) prefix: Option<OsString>,
    /// Only this key and larger ones
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<OsString>,
    /// Only keys smaller than this one
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<OsString>,
}

impl Range {
    pub(crate) fn keys(&self, app: &App) -> Result<KeyRange> {
        let bound = |key: &Option<OsString>| key.as_deref().map(|key| app.key(key)).transpose();
        let lower = bound(&self.from)?.map_or(Bound::Unbounded, Bound::Included);
        let upper = bound(&self.to)?.map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange::new(lower, upper);
        Ok(match bound(&self.prefix)? {
            Some(prefix) => range.intersect(&KeyRange::prefix(prefix)),
            None => range,
        })
    }
}

pub(crate) fn run(args: &Scan, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let (key_format, value_format) = (app.key_format()?, app.value_format()?);
    let range = args.range.keys(app)?;
    let rev = app.rev(&store, args.at.as_deref())?;
    let doing = || format!("scan at {rev}");
    let view = store.view(&rev).doing(doing)?;
    if args.count {
        let mut out = app.out()?;
        let count = view.count(&range).doing(doing)?;
        match app.globals.json {
            true => out.json(&Object::new().with("count", count).done())?,
            false => writeln!(out, "{count}")?,
        }
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let mut out = app.paged()?;
    let direction = if args.reverse { Direction::Backward } else { Direction::Forward };
    let rows = view.scan(&range, direction).doing(doing)?;
    for row in rows.take(args.limit.unwrap_or(usize::MAX)) {
        let (key, value) = row.doing(doing)?;
        if app.globals.json {
            let object = Object::new().bytes("key", &key, key_format);
            let object =
                if args.keys_only { object } else { object.bytes("value", &value, value_format) };
            out.json(&object.done())?;
        } else if args.keys_only {
            writeln!(out, "{}", key_format.show(&key))?;
        } else {
            writeln!(out, "{}\t{}", key_format.show(&key), value_format.show(&value))?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}
