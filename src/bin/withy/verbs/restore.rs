//! `withy restore`

use std::ffi::OsString;

use clap::Args;
use withy::KeyRange;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::text::name_of;

/// Bring back the content of a rev, as one new commit
#[derive(Args)]
#[command(after_help = "\
History stays; to move a branch without a new commit use `withy reset`.

Examples:
  withy restore v1.0
  withy restore main~3 --prefix fruit/
  withy restore @~1 --key pear")]
pub(crate) struct Restore {
    /// Where the content comes from
    rev: String,
    /// Only keys that start with this
    #[arg(long, short, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Only this key
    #[arg(long, short, value_name = "KEY", conflicts_with = "prefix")]
    key: Option<OsString>,
    /// Message of the commit [default: `restore REV`]
    #[arg(long, short)]
    message: Option<String>,
}

pub(crate) fn run(args: Restore, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let mut what = format!("restore {}", args.rev);
    let range = match (&args.key, &args.prefix) {
        (Some(key), _) => {
            let key = app.key(key)?;
            what.push_str(&format!(", key {}", name_of(&key)));
            KeyRange::key(key)
        }
        (None, Some(prefix)) => {
            let prefix = app.key(prefix)?;
            what.push_str(&format!(", prefix {}", name_of(&prefix)));
            KeyRange::prefix(prefix)
        }
        (None, None) => KeyRange::all(),
    };
    let options = app.commit_options(args.message, || what.clone())?;
    let restored = store.restore(&branch, &args.rev, &range, options);
    let committed = restored.doing(|| what)?;
    app.report(&store, &branch, committed)?;
    Ok(Outcome::Done)
}
