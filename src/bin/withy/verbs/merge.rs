//! `withy merge`

use clap::Args;
use withy::{DiffOptions, FastForward, MergeOutcome};

use crate::app::App;
use crate::changes::{self, Formats, Style};
use crate::fail::{Doing as _, Outcome, Result};
use crate::merged::{self, Asked};
use crate::merging::{self, Policy, Steps};

/// Merge a rev into the branch
///
/// Keys that one side changed, or both alike, merge by themselves. Of others, a resolution, a driver or
/// a strategy decides; what nobody decides is a conflict, and the merge stays open until it is settled.
/// Ends with exit code 1 if conflicts are left.
#[derive(Args)]
#[command(after_help = "\
Ours is the branch, theirs is SOURCE. Drivers and strategies can be kept in the store: \
`withy config merge-driver:notes/ text`.

Examples:
  withy merge topic
  withy merge topic --dry-run
  withy merge topic -s theirs
  withy merge topic --strategy-for cache/=theirs --driver 'notes/*.txt=text'
  withy merge topic --driver =text    for all keys
  withy merge topic --resolve pear=ours --resolve-value plum=ripe
  withy merge topic --ff-only
  withy merge topic --squash -m 'All about pears'
  withy merge --status
  withy merge --continue              when `withy resolve` has settled the conflicts
  withy merge --abort")]
pub(crate) struct Merge {
    /// What is merged: a branch or any rev
    #[arg(required_unless_present = "step", conflicts_with = "step")]
    source: Option<String>,
    #[command(flatten)]
    steps: Steps,
    /// Refuse if it takes a commit
    #[arg(long, group = "how", conflicts_with = "step")]
    ff_only: bool,
    /// Make a merge commit even if the branch could just move
    #[arg(long, group = "how", conflicts_with = "step")]
    no_ff: bool,
    /// Make a commit with one parent, that remembers what it merged
    #[arg(long, group = "how", conflicts_with = "step")]
    squash: bool,
    #[command(flatten)]
    policy: Policy,
    /// Say what would be done, and write nothing
    #[arg(long, conflicts_with = "step")]
    dry_run: bool,
    /// Show how much of each value changed
    #[arg(long, conflicts_with_all = ["dry_run", "json", "step"])]
    stat: bool,
    /// Message of the commit [default: `Merge SOURCE into BRANCH`]
    #[arg(long, short, conflicts_with_all = ["abort", "status"])]
    message: Option<String>,
}

pub(crate) fn run(args: Merge, app: &mut App) -> Result<Outcome> {
    let Some(source) = &args.source else {
        return args.steps.run("merge", args.message, app);
    };
    let fast_forward = match (args.ff_only, args.no_ff) {
        (true, _) => FastForward::Only,
        (_, true) => FastForward::Never,
        _ => FastForward::Allowed,
    };
    let asked = Asked { source, no_open: args.policy.no_open };
    let options = args.policy.options(args.message, app)?;
    let options = options.fast_forward(fast_forward).squash(args.squash);
    let store = if args.dry_run { app.open_read()? } else { app.open_write()? };
    let branch = app.branch(&store)?;
    let doing = || format!("merge {source} into {branch}");
    let mut progress = merging::progress("merge", app);
    let options = options.progress(|so_far| progress.tell(so_far));
    if args.dry_run {
        let plan = store.plan_merge(&branch, source, options).doing(doing)?;
        drop(progress);
        return merged::tell(app, &store, asked, &plan.report, Some(&plan));
    }
    let merged = store.merge(&branch, source, options);
    let report = merged.map_err(|e| merging::refused(&store, &branch, e)).doing(doing)?;
    drop(progress);
    let outcome = merged::tell(app, &store, asked, &report, None)?;
    let moved = matches!(report.outcome, MergeOutcome::FastForward | MergeOutcome::Committed);
    if args.stat && moved && !app.globals.quiet {
        let formats = Formats { key: app.key_format()?, value: app.value_format()? };
        let (from, to) = (format!("seq:{}", report.ours), format!("seq:{}", report.head));
        let mut diff = store.diff(&from, &to, DiffOptions::default()).doing(doing)?;
        let mut out = app.out()?;
        changes::show(&mut out, &mut diff, &Style::stat(), formats)?;
        out.finish()?;
    }
    Ok(outcome)
}
