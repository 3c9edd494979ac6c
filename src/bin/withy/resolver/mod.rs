//! Settles conflicts one by one on a terminal.

use withy::Store;

use crate::app::App;
use crate::fail::{Failure, Outcome, Result};

// PLACEHOLDER: the interactive resolver takes the place of this file.
/// Lets a person go through the conflicts of what is open on a branch.
pub(crate) fn run(_: &Store, branch: &str, _: &mut App) -> Result<Outcome> {
    let cause = "there is no resolver for terminals yet";
    Err(Failure::usage(format!("settle the conflicts of {branch}"), cause)
        .hint("say how: `withy resolve KEY --ours`, --theirs, --base, --value, --delete or --edit"))
}
