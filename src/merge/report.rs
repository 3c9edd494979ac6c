//! What came of a merge, or would.

use super::conflict::{Conflict, MergeAction, Settled};
use super::planned::Planned;
use crate::diff::DiffCounts;
use crate::id::{Seq, ValueHash};
use crate::kv::ChangeKind;
use crate::name::BranchName;
use crate::publish::PlannedEdit;

/// How a merge, cherry-pick, revert or rebase ended.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeOptions, MergeOutcome};
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("pear", "green")?;
/// let first = store.merge("main", "topic", MergeOptions::default())?;
/// let again = store.merge("main", "topic", MergeOptions::default())?;
/// assert_eq!((first.outcome, again.outcome), (MergeOutcome::FastForward, MergeOutcome::UpToDate));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeOutcome {
    /// The target has it all already; nothing was written.
    UpToDate,
    /// The target was moved to the source, or to what a rebase goes onto; no commit was made.
    FastForward,
    /// Commits were made.
    Committed,
    /// There are conflicts that nobody has settled; the target is as it was.
    Conflicts,
}

/// What came of a merge, cherry-pick, revert or rebase.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::MergeOptions;
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("pear", "green")?;
/// store.main()?.put("plum", "blue")?;
/// let report = store.merge("main", "topic", MergeOptions::default())?;
/// assert_eq!(report.changes.expect("it is no fast-forward").added, 1);
/// assert_eq!(report.commits, [store.main()?.head()?.seq]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeReport {
    /// The operation.
    pub action: MergeAction,
    /// The branch that it was done to.
    pub target: BranchName,
    /// How it ended.
    pub outcome: MergeOutcome,
    /// Whether the target was moved to the source without a commit, or was there already.
    pub fast_forward: bool,
    /// The target's newest commit before.
    pub ours: Seq,
    /// The incoming commit: what was merged; for picks and reverts the last one that was looked at;
    /// what a rebase goes onto.
    pub theirs: Seq,
    /// The merge bases.
    pub bases: Vec<Seq>,
    /// The target's newest commit after. In a plan: as before.
    pub head: Seq,
    /// The commits that were made, oldest first.
    pub commits: Vec<Seq>,
    /// The incoming commits that changed nothing any more, so that no commit was made of them.
    pub dropped: Vec<Seq>,
    /// How the target's keys were changed; `None` for a fast-forward, which does not look.
    pub changes: Option<DiffCounts>,
    /// How many keys both sides changed alike.
    pub auto_resolved: u64,
    /// The keys that both sides changed in different ways and that were settled, and by what.
    pub settled: Vec<Settled>,
    /// The conflicts that nobody has settled. If there is one, nothing was written to the target.
    pub conflicts: Vec<Conflict>,
    /// The incoming commit that the conflicts are about.
    pub stopped_at: Option<Seq>,
    /// Whether the conflicts are kept in the store, to be resolved and continued.
    pub open: bool,
}

impl MergeReport {
    pub(super) fn new(action: MergeAction, target: &BranchName, ours: Seq, theirs: Seq) -> Self {
        Self {
            action,
            target: target.clone(),
            outcome: MergeOutcome::UpToDate,
            fast_forward: false,
            ours,
            theirs,
            bases: Vec::new(),
            head: ours,
            commits: Vec::new(),
            dropped: Vec::new(),
            changes: Some(DiffCounts::default()),
            auto_resolved: 0,
            settled: Vec::new(),
            conflicts: Vec::new(),
            stopped_at: None,
            open: false,
        }
    }

    /// Takes over what a plan says, but for its edits.
    pub(super) fn add(&mut self, planned: &mut Planned) {
        let counts = self.changes.get_or_insert_default();
        for edit in &planned.edits {
            match kind_of(edit) {
                Some(ChangeKind::Added) => counts.added += 1,
                Some(ChangeKind::Modified) => counts.modified += 1,
                Some(ChangeKind::Deleted) => counts.deleted += 1,
                None => {}
            }
        }
        self.auto_resolved += planned.auto_resolved;
        self.settled.extend(planned.settled.iter().cloned());
        self.conflicts = std::mem::take(&mut planned.conflicts);
    }
}

fn kind_of(edit: &PlannedEdit) -> Option<ChangeKind> {
    ChangeKind::of(edit.before.is_some(), edit.after.hash().is_some())
}

/// A key that a merge would change.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{ChangeKind, MergeOptions};
/// store.create_branch("topic", "main", Default::default())?.put("pear", "green")?;
/// let plan = store.plan_merge("main", "topic", MergeOptions::default())?;
/// assert_eq!((plan.changes[0].key.as_slice(), plan.changes[0].kind), (&b"pear"[..], ChangeKind::Added));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeChange {
    /// The key.
    pub key: Vec<u8>,
    /// What would happen to it.
    pub kind: ChangeKind,
    /// Hash of its value before.
    pub before: Option<ValueHash>,
    /// Hash of its value after.
    pub after: Option<ValueHash>,
}

/// What a merge would do; nothing of it is written. See [`Store::plan_merge`].
///
/// [`Store::plan_merge`]: crate::Store::plan_merge
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeOptions, MergeOutcome};
/// store.create_branch("topic", "main", Default::default())?.put("pear", "green")?;
/// let plan = store.plan_merge("main", "topic", MergeOptions::default())?;
/// assert_eq!(plan.report.outcome, MergeOutcome::FastForward);
/// assert_eq!(store.main()?.head()?.seq, withy::Seq::ROOT);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePlan {
    /// What the merge would report.
    pub report: MergeReport,
    /// The keys that it would change, by key; if there are conflicts, the rest of them.
    pub changes: Vec<MergeChange>,
}

impl MergeChange {
    pub(super) fn of(edit: &PlannedEdit) -> Option<Self> {
        let kind = kind_of(edit)?;
        Some(Self { key: edit.key.clone(), kind, before: edit.before, after: edit.after.hash() })
    }
}
