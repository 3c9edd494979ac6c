//! `withy revert`

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::merged;
use crate::merging;
use crate::verbs::cherry_pick::{Picks, expand};

/// Take the changes of commits back, as new commits
///
/// All of them or none: if one has conflicts with what came later, it waits until they are settled. Ends
/// with exit code 1 if conflicts are left.
#[derive(Args)]
#[command(after_help = "\
`A..B` stands for the commits on the first parents of B that A does not have, newest first. To go back \
to an earlier state as a whole: `withy restore`, `withy reset` or `withy undo`.

Examples:
  withy revert @
  withy revert v1.0..
  withy revert seq:120 --mainline 1   a merge: what it brought to its first parent
  withy revert topic~2 -s theirs
  withy revert --continue             when `withy resolve` has settled the conflicts
  withy revert --abort")]
pub(crate) struct Revert {
    #[command(flatten)]
    picks: Picks,
}

pub(crate) fn run(args: Revert, app: &mut App) -> Result<Outcome> {
    let args = args.picks;
    if args.steps.any() {
        return args.steps.run("revert", args.message, app);
    }
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let mut revs = Vec::new();
    for rev in &args.revs {
        let range = expand(&store, std::slice::from_ref(rev), app)?;
        revs.extend(range.into_iter().rev());
    }
    let options = args.options(&revs, app)?;
    let source = args.revs.join(" ");
    let doing = || format!("revert {source} on {branch}");
    let names: Vec<&str> = revs.iter().map(String::as_str).collect();
    let mut progress = merging::progress("revert", app);
    let options = options.progress(|so_far| progress.tell(so_far));
    let reverted = store.revert(&branch, &names, options);
    let report = reverted.map_err(|e| merging::refused(&store, &branch, e)).doing(doing)?;
    drop(progress);
    merged::tell(app, &store, args.asked(&source), &report, None)
}
