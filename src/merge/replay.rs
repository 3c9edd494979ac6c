//! Cherry-pick, revert and rebase: the changes of commits, again or backwards, on another commit.
//!
//! A sequence is planned whole before anything of it is written: each step sees what the steps before
//! it have planned. So it lands as one, or stops with nothing but conflicts.

use std::collections::BTreeSet;

use super::conflict::MergeAction;
use super::plan::{Overlay, Planner, Target};
use super::policy::Policy;
use super::report::{MergeOutcome, MergeReport};
use super::run::{Body, Draft, Job, Merger};
use super::tally::Tally;
use crate::diff::Net;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::Header;
use crate::graph::{Commit, Place};
use crate::id::{LineId, Seq};
use crate::progress::Meter;
use crate::publish::MergeCommit;

/// So much of the first line of a message stands in the message of its revert.
const SUBJECT_CHARS: usize = 200;

/// One commit to be replayed.
struct Step {
    commit: Place,
    header: Header,
    /// The changes are those from here ...
    base: Place,
    /// ... to here.
    theirs: Place,
    /// What the commit merged, to be remembered by what becomes of it.
    remembered: Vec<Place>,
    /// Commits that it merged and that what it is replayed on has already.
    there: Vec<Place>,
}

fn parent(header: &Header, number: usize) -> Option<Place> {
    let parent = header.parents.get(number)?;
    Some(Place { line: LineId::new(parent.line), seq: Seq::new(parent.seq) })
}

impl Merger<'_> {
    fn step(&self, action: MergeAction, commit: Place, mainline: Option<u32>) -> Result<Step> {
        let header = self.graph.header(commit.seq)?;
        let number = mainline.unwrap_or(1);
        let count = header.parents.len();
        let found = (number as usize).checked_sub(1).and_then(|number| parent(&header, number));
        let found = found.ok_or_else(|| {
            let seq = commit.seq;
            let text = match count {
                0 => format!("seq:{seq} is the root, which changes nothing"),
                1 => format!("seq:{seq} has one parent, there is no parent {number}"),
                _ => format!("seq:{seq} has {count} parents, there is no parent {number}"),
            };
            Error::new(ErrorKind::Invalid, text)
        })?;
        let (base, theirs) = match action {
            MergeAction::Revert => (commit, found),
            _ => (found, commit),
        };
        let (remembered, there) = (Vec::new(), Vec::new());
        Ok(Step { commit, header, base, theirs, remembered, there })
    }

    /// Picks or reverts commits, one after the other.
    pub(super) fn draft_picks(
        &self,
        job: &Job<'_>,
        policy: &Policy,
        head: Place,
        meter: &mut Meter<'_>,
    ) -> Result<Draft> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = job.incoming.iter().find(|place| !seen.insert(**place)) {
            let what = format!("seq:{} is given twice", twice.seq);
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let steps: Vec<Step> = job
            .incoming
            .iter()
            .map(|&commit| self.step(job.action, commit, job.options.mainline))
            .collect::<Result<_>>()?;
        let last = job.incoming.last().map_or(head.seq, |place| place.seq);
        let report = MergeReport::new(job.action, job.target, head.seq, last);
        let mut draft = Draft::new(report);
        let mut commits = self.replay_steps((job, policy), head, steps, &mut draft, meter)?;
        if draft.report.outcome == MergeOutcome::Conflicts {
            return Ok(draft);
        }
        match commits.len() {
            0 => {}
            1 => {
                draft.report.outcome = MergeOutcome::Committed;
                draft.body = Body::Commit(Box::new(commits.remove(0)));
            }
            _ => {
                draft.report.outcome = MergeOutcome::Committed;
                draft.body = Body::Sequence(head, commits);
            }
        }
        Ok(draft)
    }

    /// Replays the commits of a branch on another commit: those on its first parents that the other
    /// commit does not have. A merge among them is replayed as what it changed against its first
    /// parent, and what becomes of it remembers what it merged.
    pub(super) fn draft_rebase(
        &self,
        job: &Job<'_>,
        policy: &Policy,
        head: Place,
        onto: Place,
        meter: &mut Meter<'_>,
    ) -> Result<Draft> {
        let mut draft = Draft::new(MergeReport::new(job.action, job.target, head.seq, onto.seq));
        let difference = self.graph.difference(onto, head)?;
        draft.report.bases = difference.bases.iter().map(|base| base.seq).collect();
        let (commits, below) = self.graph.first_parents_in(head, &difference.only_second)?;
        if below == onto || (commits.is_empty() && difference.only_first.is_empty()) {
            return Ok(draft);
        }
        if difference.bases == [head] {
            draft.report.outcome = MergeOutcome::FastForward;
            draft.report.fast_forward = true;
            draft.report.changes = None;
            draft.body = Body::Move(onto);
            return Ok(draft);
        }
        let mut steps = Vec::new();
        for place in commits {
            let mut step = self.step(MergeAction::Rebase, place, None)?;
            for other in self.graph.merged_by(place)? {
                let common = self.graph.difference(other, onto)?.bases;
                if common != [other] {
                    step.remembered.push(other);
                }
                step.there.extend(common);
            }
            steps.push(step);
        }
        let commits = self.replay_steps((job, policy), onto, steps, &mut draft, meter)?;
        if draft.report.outcome == MergeOutcome::Conflicts {
            return Ok(draft);
        }
        if commits.is_empty() {
            // Nothing is left to be replayed.
            draft.report.outcome = MergeOutcome::FastForward;
            draft.report.fast_forward = true;
            draft.report.changes = None;
            draft.body = Body::Move(onto);
        } else {
            draft.report.outcome = MergeOutcome::Committed;
            draft.body = Body::Sequence(onto, commits);
        }
        Ok(draft)
    }

    /// Plans steps on a commit, each on top of the one before.
    fn replay_steps(
        &self,
        (job, policy): (&Job<'_>, &Policy),
        onto: Place,
        steps: Vec<Step>,
        draft: &mut Draft,
        meter: &mut Meter<'_>,
    ) -> Result<Vec<MergeCommit>> {
        let tally = Tally::of_steps(meter, steps.len())?;
        let mut planner = Planner::new(self.graph, policy, tally);
        let mut written = Overlay::new();
        let mut out = Vec::new();
        let single = steps.len() == 1;
        for (done, step) in steps.into_iter().enumerate() {
            let mut changes = planner.changes(step.base, step.theirs)?;
            let was_empty = changes.is_empty();
            for &there in &step.there {
                self.leave_out(&mut planner, step.base, there, &mut changes)?;
            }
            planner.at = step.commit.seq;
            planner.repeats = job.action != MergeAction::Rebase;
            let target = Target { place: onto, own: Some(&written) };
            let mut planned = planner.apply(changes, step.base, step.theirs, target, None)?;
            if job.action != MergeAction::Rebase {
                draft.report.theirs = step.commit.seq;
                draft.report.bases = vec![step.base.seq];
            }
            planner.tally.step(done + 1)?;
            draft.add(step.commit.seq, &mut planned);
            if draft.report.outcome == MergeOutcome::Conflicts {
                draft.body = Body::Stopped(planned.edits);
                return Ok(out);
            }
            // A commit that was empty from the start says something all the same.
            if planned.edits.is_empty() && step.remembered.is_empty() && !was_empty {
                draft.report.dropped.push(step.commit.seq);
                continue;
            }
            for edit in &planned.edits {
                written.insert(edit.key.clone(), edit.after.clone());
            }
            let details = self.details((job, policy), step.commit, &[step.base.seq], &planned)?;
            let mut commit = self.replayed(job, &step, single);
            commit.target = onto;
            commit.edits = planned.edits;
            commit.details = Some(details);
            out.push(commit);
        }
        Ok(out)
    }

    /// Leaves out what a merge took over from a commit that is there already: what merging that commit
    /// gives by itself, and what the commit has where somebody had to decide.
    fn leave_out(
        &self,
        planner: &mut Planner<'_, '_>,
        first: Place,
        there: Place,
        changes: &mut Net,
    ) -> Result<()> {
        let difference = self.graph.difference(first, there)?;
        if difference.only_second.is_empty() {
            return Ok(());
        }
        planner.tally.aside = true;
        let taken = planner.merge(first, there, &difference);
        planner.tally.aside = false;
        let taken = taken?;
        let edits = taken.edits.into_iter().map(|edit| (edit.key, edit.after.hash()));
        let disputed = taken.conflicts.into_iter().map(|one| (one.key, one.theirs.hash));
        for (key, hash) in edits.chain(disputed) {
            if changes.get(&key).is_some_and(|(_, after)| *after == hash) {
                changes.remove(&key);
            }
        }
        Ok(())
    }

    /// What is said of the commit that a step makes.
    fn replayed(&self, job: &Job<'_>, step: &Step, single: bool) -> MergeCommit {
        let header = &step.header;
        let mut options = job.options.commit.clone();
        let own_message = single && job.options.has_message;
        let mut origin = None;
        match job.action {
            MergeAction::Revert => {
                if !own_message {
                    let subject = header.message.lines().next().unwrap_or_default();
                    let subject: String = subject.chars().take(SUBJECT_CHARS).collect();
                    let id = header.commit_id();
                    options.message = format!("Revert \"{subject}\"\n\nThis reverts commit {id}.");
                }
            }
            _ => {
                if !own_message {
                    options.message = header.message.clone();
                }
                options.author = Some(header.author.clone());
                origin = Commit::new(step.commit.seq, header.clone()).origin;
            }
        }
        let remembered = step.remembered.clone();
        MergeCommit { origin, options, remembered, ..MergeCommit::default() }
    }
}
