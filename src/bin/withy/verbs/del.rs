//! `withy del`

use std::ffi::OsString;

use clap::Args;
use withy::{Batch, Read as _};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Outcome, Result};
use crate::text::name_of;
use crate::verbs::put::Conditions;

/// Delete keys, as one commit
#[derive(Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Ends with exit code 1 if none of the keys was there.

Examples:
  withy del pear
  withy del pear plum -m 'all eaten'
  withy del pear --if-value yellow
  withy del --prefix fruit/"
)]
pub(crate) struct Del {
    /// Keys
    #[arg(required_unless_present = "prefix", allow_negative_numbers = true)]
    keys: Vec<OsString>,
    /// Delete every key that starts with this
    #[arg(long, value_name = "PREFIX", conflicts_with = "keys")]
    prefix: Option<OsString>,
    #[command(flatten)]
    conditions: Conditions,
    /// Message of the commit [default: `delete KEY`]
    #[arg(long, short)]
    message: Option<String>,
}

pub(crate) fn run(args: Del, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let expect = args.conditions.expect(app)?;
    let branch = app.branch(&store)?;
    let handle = store.branch(&branch).doing(|| "delete".into())?;
    let mut keys = Vec::new();
    for key in &args.keys {
        keys.push(app.key(key)?);
    }
    let mut what = match keys.as_slice() {
        [key] => name_of(key),
        _ => plural(keys.len() as u64, "key"),
    };
    if let Some(prefix) = &args.prefix {
        let prefix = app.key(prefix)?;
        what = format!("prefix {}", name_of(&prefix));
        for row in handle.prefix(&prefix).doing(|| format!("scan {what}"))? {
            keys.push(row.doing(|| format!("scan {what}"))?.0);
        }
    }
    let mut batch = Batch::new();
    for key in keys {
        batch.delete_if(key, expect.clone());
    }
    let options = app.commit_options(args.message, || format!("delete {what}"))?;
    let committed = handle.write(batch, options).doing(|| format!("delete {what}"))?;
    if committed.seq().is_none() {
        app.unchanged(&branch, "has none of the keys")?;
        return Ok(Outcome::No);
    }
    app.report(&store, &branch, committed)?;
    Ok(Outcome::Done)
}
