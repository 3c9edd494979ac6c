//! `withy redo`

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::verbs::ops;

/// Do again what was undone
///
/// Steps are redone in the order in which they were done, until something else has been done.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy undo
  withy redo")]
pub(crate) struct Redo {
    /// How many steps
    #[arg(long = "steps", short = 'n', value_name = "STEPS", default_value_t = 1)]
    steps: usize,
}

pub(crate) fn run(args: &Redo, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    for _ in 0..args.steps {
        let operation = store.redo().doing(|| "redo".into())?;
        app.say(app.out()?, ops::as_json(&operation), |out| {
            format!("redone: {}", ops::line(&operation, out))
        })?;
    }
    Ok(Outcome::Done)
}
