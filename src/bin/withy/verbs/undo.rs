//! `withy undo`

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::verbs::ops;

/// Take back the last operation
///
/// Every commit and every move of a branch or tag is one step; undone steps can be redone until something
/// else is done. `withy ops` lists them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy reset v1.0
  withy undo
  withy redo")]
pub(crate) struct Undo {
    /// How many steps
    #[arg(long = "steps", short = 'n', value_name = "STEPS", default_value_t = 1)]
    steps: usize,
}

pub(crate) fn run(args: &Undo, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    for _ in 0..args.steps {
        let operation = store.undo().doing(|| "undo".into())?;
        app.say(app.out()?, ops::as_json(&operation), |out| {
            format!("undone: {}", ops::line(&operation, out))
        })?;
    }
    Ok(Outcome::Done)
}
