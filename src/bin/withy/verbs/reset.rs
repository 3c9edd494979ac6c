//! `withy reset`

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;

/// Move a branch to another commit
///
/// Nothing is lost: `withy undo` brings the branch back.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy reset @~1
  withy reset --branch topic v1.0
  withy undo")]
pub(crate) struct Reset {
    /// Where the branch shall point
    rev: String,
}

pub(crate) fn run(args: &Reset, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let rev = &args.rev;
    store.reset(&branch, rev).doing(|| format!("reset {branch} to {rev}"))?;
    let head = store.commit(&format!("heads/{branch}")).doing(|| format!("read {branch}"))?;
    let object = Object::new()
        .with("branch", branch.as_str())
        .with("seq", head.seq.get())
        .with("id", head.id.to_string());
    app.say(app.out()?, object, |_| {
        format!("{branch} is now at seq:{} {}", head.seq, head.id.short())
    })?;
    Ok(Outcome::Done)
}
