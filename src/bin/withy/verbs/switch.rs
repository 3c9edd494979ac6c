//! `withy switch`

use clap::Args;
use withy::BranchOptions;

use crate::app::App;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;

/// Make another branch the active one
#[derive(Args)]
#[command(after_help = "\
The active branch is what commands work on without --branch.

Examples:
  withy switch topic
  withy switch -c topic
  withy switch -c fix v1.0")]
pub(crate) struct Switch {
    /// Branch
    #[arg(required_unless_present = "create")]
    name: Option<String>,
    /// Make the branch first, from REV or the head of the branch
    #[arg(long, short, num_args = 1..=2, value_names = ["NAME", "REV"], conflicts_with = "name")]
    create: Vec<String>,
}

pub(crate) fn run(args: &Switch, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let (name, from) = match (&args.name, args.create.as_slice()) {
        (Some(name), _) => (name, None),
        (None, [name]) => (name, Some(None)),
        (None, [name, from, ..]) => (name, Some(Some(from.as_str()))),
        (None, []) => return Err(Failure::usage("switch", "no branch is named")),
    };
    let is_new = from.is_some();
    if let Some(from) = from {
        let from = app.rev(&store, from)?;
        let options = BranchOptions::default().creator(app.author());
        store.create_branch(name, &from, options).doing(|| format!("create branch {name}"))?;
    }
    store.switch(name).doing(|| format!("switch to {name}"))?;
    let object = Object::new().with("branch", name.as_str()).with("created", is_new);
    app.say(app.out()?, object, |_| match is_new {
        true => format!("switched to new branch {name}"),
        false => format!("switched to {name}"),
    })?;
    Ok(Outcome::Done)
}
