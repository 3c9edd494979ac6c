//! `withy cherry-pick`

use clap::Args;
use withy::{MergeOptions, Store};

use crate::app::App;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::merged::{self, Asked};
use crate::merging::{self, Policy, Steps};
use crate::verbs::diff::range;
use crate::walk::{Ends, Filter, Walk};

/// Apply the changes of commits again, on the branch
///
/// Each becomes a commit with the author and message of the original. All of them or none: if one has
/// conflicts, it waits until they are settled. Ends with exit code 1 if conflicts are left.
#[derive(Args)]
#[command(after_help = "\
`A..B` stands for the commits on the first parents of B that A does not have, oldest first. The changes \
of a merge are those against its first parent, unless --mainline says otherwise.

Examples:
  withy cherry-pick topic~1
  withy cherry-pick main..topic
  withy cherry-pick topic -s theirs
  withy cherry-pick seq:120 --mainline 2
  withy cherry-pick --continue        when `withy resolve` has settled the conflicts
  withy cherry-pick --abort")]
pub(crate) struct CherryPick {
    #[command(flatten)]
    picks: Picks,
}

/// What is picked or reverted.
#[derive(Args)]
pub(crate) struct Picks {
    /// Commits, or ranges `A..B`
    #[arg(value_name = "REV", required_unless_present = "step", conflicts_with = "step")]
    pub(crate) revs: Vec<String>,
    #[command(flatten)]
    pub(crate) steps: Steps,
    /// Which parent of a merge its changes are against, from 1
    #[arg(long, value_name = "PARENT", conflicts_with = "step")]
    mainline: Option<u32>,
    #[command(flatten)]
    policy: Policy,
    /// Message, if it is one commit [default: made of that of the commit]
    #[arg(long, short, conflicts_with_all = ["abort", "status"])]
    pub(crate) message: Option<String>,
}

impl Picks {
    pub(crate) fn asked<'a>(&self, source: &'a str) -> Asked<'a> {
        Asked { source, no_open: self.policy.no_open }
    }

    pub(crate) fn options(&self, revs: &[String], app: &App) -> Result<MergeOptions<'static>> {
        if revs.len() > 1 && self.message.is_some() {
            let cause = "one message is given for several commits";
            return Err(Failure::usage("read --message", cause).hint("leave it out"));
        }
        let options = self.policy.options(self.message.clone(), app)?;
        Ok(match self.mainline {
            Some(parent) => options.mainline(parent),
            None => options,
        })
    }
}

pub(crate) fn run(args: CherryPick, app: &mut App) -> Result<Outcome> {
    let args = args.picks;
    if args.steps.any() {
        return args.steps.run("cherry-pick", args.message, app);
    }
    let store = app.open_write()?;
    let branch = app.branch(&store)?;
    let revs = expand(&store, &args.revs, app)?;
    let options = args.options(&revs, app)?;
    let source = args.revs.join(" ");
    let doing = || format!("cherry-pick {source} on {branch}");
    let names: Vec<&str> = revs.iter().map(String::as_str).collect();
    let mut progress = merging::progress("cherry-pick", app);
    let options = options.progress(|so_far| progress.tell(so_far));
    let picked = store.cherry_pick(&branch, &names, options);
    let report = picked.map_err(|e| merging::refused(&store, &branch, e)).doing(doing)?;
    drop(progress);
    merged::tell(app, &store, args.asked(&source), &report, None)
}

/// The commits that revs and ranges stand for, those of a range oldest first.
pub(crate) fn expand(store: &Store, revs: &[String], app: &App) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for rev in revs {
        let Some((without, from)) = range(rev)? else {
            out.push(rev.clone());
            continue;
        };
        let doing = || format!("read {rev}");
        let one = |side: Option<&str>| -> Result<_> {
            Ok(store.commit(&app.rev(store, side)?).doing(doing)?.seq)
        };
        let ends = Ends { from: [one(from)?].into(), without: [one(without)?].into() };
        let filter = Filter { first_parent: true, ..Filter::default() };
        let mut walk = Walk::new(store, ends, filter);
        let mut found = Vec::new();
        while let Some((commit, _, _)) = walk.next()? {
            found.push(format!("seq:{}", commit.seq));
        }
        if found.is_empty() {
            return Err(Failure::usage(doing(), "there is no commit in it")
                .hint("`A..B` is what B has and A has not"));
        }
        out.extend(found.into_iter().rev());
    }
    Ok(out)
}
