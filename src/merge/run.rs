//! Merges from beginning to end: drafted against a head, then landed, kept open, or only shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conflict::{Conflict, MergeAction, Settled, SettledBy};
use super::driver::Registry;
use super::open::{self, Open, Wanted};
use super::options::{FastForward, MergeOptions, MergeRules};
use super::plan::Planner;
use super::planned::Planned;
use super::policy::{Policy, refused};
use super::report::{MergeChange, MergeOutcome, MergePlan, MergeReport};
use super::tally::Tally;
use crate::diff::net_changes;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::ParentRecord;
use crate::format::merge::{MergeRecord, OpenConflictRecord, OpenRecord, SettledRecord};
use crate::graph::{Graph, Place};
use crate::id::Seq;
use crate::kv::{ChangeKind, KeyRange};
use crate::name::BranchName;
use crate::progress::Meter;
use crate::publish::{
    Details, Landing, MergeCommit, Plan, PlannedEdit, Planning, Publisher, StateRows,
};
use crate::sides::Strategy;
use crate::view::View;

/// Merges into the branches of one store.
pub(crate) struct Merger<'s> {
    pub(crate) graph: &'s Arc<Graph>,
    pub(crate) registry: &'s Registry,
    pub(crate) rules: MergeRules,
    /// Who does what names nobody, and the time.
    pub(crate) author: &'s str,
    pub(crate) now: i64,
}

/// What is to be done to a branch.
pub(super) struct Job<'a> {
    pub(super) action: MergeAction,
    pub(super) target: &'a BranchName,
    /// What comes in, as it was named.
    pub(super) source: &'a str,
    pub(super) incoming: Vec<Place>,
    pub(super) options: &'a MergeOptions<'a>,
    /// The open merge that this goes on with.
    pub(super) open: Option<Open>,
}

/// What a job comes to against a head.
pub(super) struct Draft {
    pub(super) report: MergeReport,
    pub(super) body: Body,
    /// Keys of resolutions that were used.
    pub(super) used: BTreeSet<Vec<u8>>,
    pub(super) stale: Vec<Vec<u8>>,
    pub(super) ambiguous: Vec<Vec<u8>>,
    /// Conflicts that resolutions have settled, with the incoming commit that brought them.
    pub(super) resolved: Vec<(Seq, Conflict)>,
    /// The incoming commits that it has come to.
    pub(super) visited: BTreeSet<Seq>,
}

pub(super) enum Body {
    Nothing,
    Move(Place),
    Commit(Box<MergeCommit>),
    Sequence(Place, Vec<MergeCommit>),
    /// There are conflicts; what else would have been changed.
    Stopped(Vec<PlannedEdit>),
}

impl Draft {
    pub(super) fn new(report: MergeReport) -> Self {
        Self {
            report,
            body: Body::Nothing,
            used: BTreeSet::new(),
            stale: Vec::new(),
            ambiguous: Vec::new(),
            resolved: Vec::new(),
            visited: BTreeSet::new(),
        }
    }

    /// Takes over what a plan says, but for its edits.
    pub(super) fn add(&mut self, at: Seq, planned: &mut Planned) {
        self.visited.insert(at);
        let by_hand = |one: &&Settled| matches!(one.by, SettledBy::Resolution { .. });
        let resolved = planned.settled.iter().filter(by_hand);
        self.resolved.extend(resolved.map(|one| (at, one.conflict.clone())));
        // Only conflicts that may be looked at again carry values.
        planned.settled.iter_mut().for_each(|one| one.conflict.made.clear());
        self.report.add(planned);
        self.used.append(&mut planned.used);
        self.stale.append(&mut planned.stale);
        self.ambiguous.append(&mut planned.ambiguous);
        if !self.report.conflicts.is_empty() {
            self.report.outcome = MergeOutcome::Conflicts;
            self.report.stopped_at = Some(at);
        }
    }
}

impl Merger<'_> {
    pub(super) fn policy(&self, job: &Job<'_>) -> Result<Policy> {
        let mut policy =
            Policy::new(job.options, &self.rules, self.registry, (self.author, self.now))?;
        if let Some(open) = &job.open {
            policy.stored = open.resolutions(self.graph.engine())?;
        }
        Ok(policy)
    }

    /// Does a job, or keeps its conflicts.
    pub(super) fn land(
        &self,
        publisher: &Publisher,
        job: &Job<'_>,
        meter: &mut Meter<'_>,
    ) -> Result<MergeReport> {
        let planning = match job.options.keep_open || job.open.is_some() {
            true => Planning::Locked,
            false => Planning::Free,
        };
        let policy = self.policy(job)?;
        let (mut report, landed) = publisher.land(job.target, planning, meter, |head, meter| {
            match &job.open {
                Some(open) => self.refuse_changed(job.target, open)?,
                None if job.options.keep_open => self.refuse_second(job.target)?,
                None => {}
            }
            self.plan_landing(publisher, (job, &policy), head, meter)
        })?;
        report.head = landed.head;
        report.commits = landed.commits;
        Ok(report)
    }

    /// An open merge was read before the lock was there: others may have settled conflicts since.
    fn refuse_changed(&self, target: &BranchName, open: &Open) -> Result<()> {
        let now = Open::load(self.graph.engine(), target.as_str(), Wanted::All)?;
        if now.as_ref() == Some(open) {
            return Ok(());
        }
        let what = format!("somebody else went on with the merge that is open on {target}");
        Err(Error::new(ErrorKind::Conflict, what).with_hint("look at its conflicts, then go on"))
    }

    fn refuse_second(&self, target: &BranchName) -> Result<()> {
        match Open::load(self.graph.engine(), target.as_str(), Wanted::None)? {
            None => Ok(()),
            Some(open) => {
                let open = open.describe(target.clone());
                let what = format!("{} of {} is open on {target}", open.action, open.source);
                Err(Error::new(ErrorKind::Exists, what)
                    .with_hint("settle and continue it, or abort it"))
            }
        }
    }

    fn plan_landing(
        &self,
        publisher: &Publisher,
        (job, policy): (&Job<'_>, &Policy),
        head: Place,
        meter: &mut Meter<'_>,
    ) -> Result<Plan<MergeReport>> {
        let mut draft = self.draft(job, policy, head, meter)?;
        let what = match job.action {
            MergeAction::Merge | MergeAction::Squash => {
                format!("{} {} into {}", job.action, job.source, job.target)
            }
            MergeAction::CherryPick | MergeAction::Revert => {
                format!("{} {} on {}", job.action, job.source, job.target)
            }
            MergeAction::Rebase => format!("rebase {} onto {}", job.target, job.source),
        };
        let over = |rows| open::difference(job.target.as_str(), job.open.as_ref(), rows);
        let landing = match std::mem::replace(&mut draft.body, Body::Nothing) {
            Body::Nothing => Landing::Stop(over(None)),
            Body::Move(to) => Landing::Move(to, over(None)),
            Body::Commit(commit) => Landing::Commit(commit, over(None)),
            Body::Sequence(onto, commits) => Landing::Sequence(onto, commits, over(None)),
            Body::Stopped(_) if self.may_stay_open(job, policy, &draft) => {
                draft.report.open = true;
                let mut rows = StateRows::new();
                let open = self.open_state(publisher, job, policy, head, &draft, &mut rows)?;
                rows.extend(over(Some(&open)));
                Landing::Stop(rows)
            }
            Body::Stopped(_) => Landing::Stop(StateRows::new()),
        };
        let author = job.options.commit.author.clone();
        let durability = job.options.commit.durability;
        let gates = job.options.commit.gates.clone();
        Ok(Plan { landing, what, author, durability, gates, told: draft.report })
    }

    fn may_stay_open(&self, job: &Job<'_>, policy: &Policy, draft: &Draft) -> bool {
        let never = |one: &Conflict| policy.strategy_of(&one.key) == Strategy::FastForward;
        job.options.keep_open && !draft.report.conflicts.iter().any(never)
    }

    /// What is kept of a merge that has stopped.
    fn open_state(
        &self,
        publisher: &Publisher,
        job: &Job<'_>,
        policy: &Policy,
        head: Place,
        draft: &Draft,
        rows: &mut StateRows,
    ) -> Result<Open> {
        let at = draft.report.stopped_at.unwrap_or(head.seq);
        let mut conflicts = std::collections::BTreeMap::new();
        for conflict in &draft.report.conflicts {
            let one = OpenConflictRecord { conflict: conflict.into(), resolution: None };
            conflicts.insert((at, conflict.key.clone()), one);
        }
        for (at, conflict) in &draft.resolved {
            let Some(resolved) = policy.resolution(*at, &conflict.key) else { continue };
            let made = open::write_resolution(resolved, publisher.blob_threshold(), rows)?;
            let one = OpenConflictRecord { conflict: conflict.into(), resolution: Some(made) };
            conflicts.insert((*at, conflict.key.clone()), one);
        }
        // Steps that are not reached this time keep what was settled for them.
        for (place, one) in job.open.iter().flat_map(|open| &open.conflicts) {
            if one.resolution.is_some() && !draft.visited.contains(&place.0) {
                conflicts.insert(place.clone(), one.clone());
            }
        }
        let (creator, created) = match &job.open {
            Some(open) => (open.record.creator.clone(), open.record.created),
            None => {
                let author = job.options.commit.author.as_deref().unwrap_or(self.author);
                (author.to_owned(), self.now)
            }
        };
        let record = OpenRecord {
            action: job.action.into(),
            source: job.source.to_owned(),
            theirs: job.incoming.iter().copied().map(Into::into).collect(),
            ours: head.into(),
            at: at.get(),
            options: job.options.to_record(),
            creator,
            created,
        };
        Ok(Open { record, conflicts })
    }

    /// What a job comes to against a head; resolutions that do not fit are refused.
    pub(super) fn draft(
        &self,
        job: &Job<'_>,
        policy: &Policy,
        head: Place,
        meter: &mut Meter<'_>,
    ) -> Result<Draft> {
        meter.stage("read", None, None)?;
        let draft = match (job.action, job.incoming.first()) {
            (MergeAction::Merge | MergeAction::Squash, Some(&theirs)) => {
                self.draft_merge((job, policy), head, theirs, meter)?
            }
            (MergeAction::Rebase, Some(&onto)) => {
                self.draft_rebase(job, policy, head, onto, meter)?
            }
            _ => self.draft_picks(job, policy, head, meter)?,
        };
        let Draft { used, stale, ambiguous, .. } = &draft;
        let given = |keys: &[Vec<u8>]| -> Vec<Vec<u8>> {
            keys.iter().filter(|key| policy.given.contains_key(*key)).cloned().collect()
        };
        let (stale, ambiguous) = (given(stale), given(ambiguous));
        if !stale.is_empty() {
            return Err(refused(stale, "the values have changed since the resolution was made"));
        }
        if !ambiguous.is_empty() {
            return Err(refused(ambiguous, "the merge bases disagree, so there is no base value"));
        }
        let unused: Vec<_> =
            policy.given.keys().filter(|key| !used.contains(*key)).cloned().collect();
        // What a sequence has not come to yet may still need them.
        let sequence = !matches!(job.action, MergeAction::Merge | MergeAction::Squash);
        let may_come = sequence && draft.report.stopped_at.is_some();
        if !unused.is_empty() && !may_come {
            return Err(refused(unused, "there is a resolution, but no conflict"));
        }
        Ok(draft)
    }

    fn draft_merge(
        &self,
        (job, policy): (&Job<'_>, &Policy),
        head: Place,
        theirs: Place,
        meter: &mut Meter<'_>,
    ) -> Result<Draft> {
        let report = MergeReport::new(job.action, job.target, head.seq, theirs.seq);
        let mut draft = Draft::new(report);
        let difference = self.graph.difference(head, theirs)?;
        draft.report.bases = difference.bases.iter().map(|base| base.seq).collect();
        if difference.only_second.is_empty() {
            draft.report.fast_forward = head == theirs;
            return Ok(draft);
        }
        let may_move = difference.only_first.is_empty()
            && job.options.fast_forward != FastForward::Never
            && job.action == MergeAction::Merge;
        if may_move {
            draft.report.outcome = MergeOutcome::FastForward;
            draft.report.fast_forward = true;
            draft.report.changes = None;
            draft.body = Body::Move(theirs);
            return Ok(draft);
        }
        if job.options.fast_forward == FastForward::Only && job.action == MergeAction::Squash {
            let what = "a squash makes a commit, so it is never a fast-forward";
            return Err(
                Error::new(ErrorKind::Precondition, what).with_hint("demand one of the two")
            );
        }
        if job.options.fast_forward == FastForward::Only {
            let what = format!("{} has moved since it parted from {}", job.target, job.source);
            return Err(Error::new(ErrorKind::Precondition, what)
                .with_hint("merge without demanding a fast-forward, or rebase first"));
        }
        let mut planner = Planner::new(self.graph, policy, Tally::new(meter));
        let mut planned = planner.merge(head, theirs, &difference)?;
        draft.add(theirs.seq, &mut planned);
        if draft.report.outcome == MergeOutcome::Conflicts {
            draft.body = Body::Stopped(planned.edits);
            return Ok(draft);
        }
        draft.report.outcome = MergeOutcome::Committed;
        let (further, remembered) = match job.action {
            MergeAction::Squash => (Vec::new(), vec![theirs]),
            _ => (vec![theirs], Vec::new()),
        };
        let mut options = job.options.commit.clone();
        if !job.options.has_message {
            let verb = if job.action == MergeAction::Squash { "Squash" } else { "Merge" };
            options.message = format!("{verb} {} into {}", job.source, job.target);
        }
        let details = self.details((job, policy), theirs, &draft.report.bases, &planned)?;
        draft.body = Body::Commit(Box::new(MergeCommit {
            target: head,
            further,
            remembered,
            edits: planned.edits,
            decided: planned.decided,
            details: Some(details),
            origin: None,
            options,
        }));
        Ok(draft)
    }

    /// How a commit came about, for its record.
    pub(super) fn details(
        &self,
        (job, policy): (&Job<'_>, &Policy),
        source: Place,
        bases: &[Seq],
        planned: &Planned,
    ) -> Result<Details> {
        let by = job.options.commit.author.as_deref().unwrap_or(self.author);
        let settled: Vec<SettledRecord> = planned.settled.iter().map(Into::into).collect();
        let theirs = ParentRecord {
            line: source.line.get(),
            seq: source.seq.get(),
            id: self.graph.header(source.seq)?.id,
        };
        let head = MergeRecord {
            action: job.action.into(),
            theirs,
            bases: bases.iter().map(|seq| seq.get()).collect(),
            strategy: policy.strategy.into(),
            strict: policy.strict,
            by: by.to_owned(),
            auto_resolved: planned.auto_resolved,
            settled: settled.len() as u64,
        };
        Ok(Box::new((head, settled)))
    }

    /// Merges a commit into a branch.
    pub(crate) fn merge(
        &self,
        publisher: &Publisher,
        target: &BranchName,
        (source, theirs): (&str, Place),
        options: &MergeOptions<'_>,
    ) -> Result<MergeReport> {
        let job = merge_job(target, source, theirs, options);
        self.land(publisher, &job, &mut options.told.meter())
    }

    /// What merging a commit into a branch would do.
    pub(crate) fn plan(
        &self,
        target: &BranchName,
        head: Place,
        (source, theirs): (&str, Place),
        options: &MergeOptions<'_>,
    ) -> Result<MergePlan> {
        if options.keep_open {
            self.refuse_second(target)?;
        }
        let job = merge_job(target, source, theirs, options);
        self.show(&job, head)
    }

    /// What a job would do.
    pub(super) fn show(&self, job: &Job<'_>, head: Place) -> Result<MergePlan> {
        let policy = self.policy(job)?;
        let mut meter = job.options.told.meter();
        let Draft { mut report, body, .. } = self.draft(job, &policy, head, &mut meter)?;
        let changes: Vec<MergeChange> = match &body {
            Body::Nothing => Vec::new(),
            Body::Move(to) => {
                let (from, to) = (View::new(self.graph, head)?, View::new(self.graph, *to)?);
                let net = net_changes(&from, &to, &KeyRange::all(), &mut || meter.pulse())?;
                net.into_iter()
                    .filter_map(|(key, (before, after))| {
                        let kind = ChangeKind::of(before.is_some(), after.is_some())?;
                        Some(MergeChange { key, kind, before, after })
                    })
                    .collect()
            }
            Body::Commit(commit) => commit.edits.iter().filter_map(MergeChange::of).collect(),
            Body::Stopped(edits) => edits.iter().filter_map(MergeChange::of).collect(),
            Body::Sequence(_, commits) => {
                let edits = commits.iter().flat_map(|commit| &commit.edits);
                edits.filter_map(MergeChange::of).collect()
            }
        };
        if report.changes.is_none() {
            let counts = report.changes.insert(crate::diff::DiffCounts::default());
            for change in &changes {
                match change.kind {
                    ChangeKind::Added => counts.added += 1,
                    ChangeKind::Modified => counts.modified += 1,
                    ChangeKind::Deleted => counts.deleted += 1,
                }
            }
        }
        Ok(MergePlan { report, changes })
    }

    /// Picks or reverts commits, or rebases a branch.
    pub(crate) fn replay(
        &self,
        publisher: &Publisher,
        action: MergeAction,
        target: &BranchName,
        (source, incoming): (&str, Vec<Place>),
        options: &MergeOptions<'_>,
    ) -> Result<MergeReport> {
        let job = Job { action, target, source, incoming, options, open: None };
        self.land(publisher, &job, &mut options.told.meter())
    }
}

fn merge_job<'a>(
    target: &'a BranchName,
    source: &'a str,
    theirs: Place,
    options: &'a MergeOptions<'a>,
) -> Job<'a> {
    let action = if options.squash { MergeAction::Squash } else { MergeAction::Merge };
    Job { action, target, source, incoming: vec![theirs], options, open: None }
}
