//! `withy rebase`

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::merged::{self, Asked};
use crate::merging::{self, Policy, Steps};

/// Replay the commits of the branch on top of another commit
///
/// All of them or none: if one has conflicts, the branch stays as it is until they are settled. Ours is
/// what it goes onto, theirs the commit that is replayed. Ends with exit code 1 if conflicts are left.
#[derive(Args)]
#[command(after_help = "\
A merge among the commits becomes one commit with what it changed. `withy undo` brings the branch back as \
it was.

Examples:
  withy rebase main
  withy rebase main --branch topic
  withy rebase v1.0 -s theirs
  withy rebase --continue             when `withy resolve` has settled the conflicts
  withy rebase --abort")]
pub(crate) struct Rebase {
    /// Where the commits go: a branch or any rev
    #[arg(required_unless_present = "step", conflicts_with = "step")]
    onto: Option<String>,
    #[command(flatten)]
    steps: Steps,
    #[command(flatten)]
    policy: Policy,
}

pub(crate) fn run(args: Rebase, app: &mut App) -> Result<Outcome> {
    let Some(onto) = &args.onto else {
        return args.steps.run("rebase", None, app);
    };
    let options = args.policy.options(None, app)?;
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let doing = || format!("rebase {branch} onto {onto}");
    let mut progress = merging::progress("rebase", app);
    let options = options.progress(|so_far| progress.tell(so_far));
    let rebased = store.rebase(&branch, onto, options);
    let report = rebased.map_err(|e| merging::refused(&store, &branch, e)).doing(doing)?;
    drop(progress);
    let asked = Asked { source: onto, no_open: args.policy.no_open };
    merged::tell(app, &store, asked, &report, None)
}
