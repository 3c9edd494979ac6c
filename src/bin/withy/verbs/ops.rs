//! `withy ops`

use std::io::Write as _;

use clap::Args;
use withy::Operation;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::{Out, Paint};
use crate::text::escape;

/// List what was done to the store, newest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy ops
  withy ops -n 3 --json")]
pub(crate) struct Ops {
    /// Stop after this many operations
    #[arg(long, short = 'n', value_name = "OPERATIONS", default_value_t = 50)]
    limit: usize,
}

pub(crate) fn run(args: &Ops, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let operations = store.ops(args.limit).doing(|| "list operations".into())?;
    let mut out = app.paged()?;
    for operation in &operations {
        if app.globals.json {
            out.json(&as_json(operation).done())?;
        } else {
            let line = line(operation, &out);
            writeln!(out, "{line}")?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// The operation on one line.
pub(crate) fn line(operation: &Operation, out: &Out) -> String {
    let id = out.paint(Paint::Id, operation.id);
    let author = escape(operation.author.as_bytes());
    let line = format!("{id} {} {author} {}", operation.time, escape(operation.what.as_bytes()));
    line.trim_end().to_owned()
}

pub(crate) fn as_json(operation: &Operation) -> Object {
    Object::new()
        .with("id", operation.id.to_string())
        .with("time", operation.time.to_string())
        .with("author", operation.author.as_str())
        .with("what", operation.what.as_str())
}
