//! Cherry-picks, reverts and rebases, each step held against the reference.

use std::collections::BTreeSet;

use withy::{ErrorKind, MergeAction, MergeOutcome, MergeReport};

use super::merges::{hash, simple, simple_settled, wanted};
use super::reference::{Dispute, Map, Policy, ThreeWay};
use super::world::World;
use crate::support::must_fail;

/// One commit to be replayed.
struct Step {
    commit: usize,
    /// The changes are those from here to there.
    changes: (usize, usize),
    remembered: Vec<usize>,
    /// What it merged, as far as it is there already.
    there: Vec<usize>,
}

/// What a sequence of steps must come to.
#[derive(Default)]
struct Replayed {
    made: Vec<(Map, Vec<usize>)>,
    dropped: Vec<usize>,
    steps: Vec<ThreeWay>,
    stopped_at: Option<usize>,
}

impl World {
    fn replayed(&self, onto: usize, steps: &[Step], policy: &Policy) -> Replayed {
        let mut out = Replayed::default();
        let mut content = self.dag.content(onto).clone();
        for step in steps {
            let (from, to) = step.changes;
            let mut taken = BTreeSet::new();
            for &there in step.there.iter().filter(|&&there| !self.dag.reaches(from, there)) {
                let plan = self.dag.merged(from, there, policy);
                let merged = plan.changes.into_iter().map(|(key, _, after)| (key, after));
                let disputed = plan.open.into_iter().map(|dispute| (dispute.key, dispute.theirs));
                let as_there = merged.chain(disputed).filter(|(k, v)| self.dag.cell(to, k) == *v);
                taken.extend(as_there.map(|(key, _)| key));
            }
            let plan = self.dag.applied(&content, step.changes, policy, &taken);
            let was_empty = self.dag.content(from) == self.dag.content(to);
            let changed = !plan.changes.is_empty();
            let open = !plan.open.is_empty();
            let next = plan.content.clone();
            out.steps.push(plan);
            if open {
                out.stopped_at = Some(step.commit);
                return out;
            }
            if !changed && step.remembered.is_empty() && !was_empty {
                out.dropped.push(step.commit);
                continue;
            }
            content = next;
            out.made.push((content.clone(), step.remembered.clone()));
        }
        out
    }

    pub(crate) fn cherry_pick(&mut self) {
        self.pick(MergeAction::CherryPick);
    }

    pub(crate) fn revert(&mut self) {
        self.pick(MergeAction::Revert);
    }

    fn pick(&mut self, action: MergeAction) {
        let target = self.any_branch();
        let revs: Vec<(String, usize)> =
            (0..self.rng.usize(1..4)).map(|_| self.any_rev()).collect();
        let (mut policy, mut options) = self.any_policy();
        let mainline = (self.rng.u8(0..6) == 0).then(|| self.rng.u32(1..3));
        if let Some(parent) = mainline {
            options = options.mainline(parent);
        }
        let onto = self.names.branches[&target];
        let names: Vec<&str> = revs.iter().map(|(rev, _)| rev.as_str()).collect();
        self.note(format!(
            "{action} {revs:?} on {target} ({onto}), parent {mainline:?}, {policy:?}"
        ));
        let call = |world: &Self, options| match action {
            MergeAction::Revert => world.store.revert(&target, &names, options),
            _ => world.store.cherry_pick(&target, &names, options),
        };
        let once: BTreeSet<usize> = revs.iter().map(|&(_, commit)| commit).collect();
        if once.len() < revs.len() {
            must_fail(call(self, options), ErrorKind::Invalid);
            return;
        }
        let mut steps = Vec::new();
        for &(_, commit) in &revs {
            let number = mainline.unwrap_or(1) as usize - 1;
            let Some(&parent) = self.dag.nodes[commit].parents.get(number) else {
                must_fail(call(self, options), ErrorKind::Invalid);
                return;
            };
            let changes = match action {
                MergeAction::Revert => (commit, parent),
                _ => (parent, commit),
            };
            steps.push(Step { commit, changes, remembered: Vec::new(), there: Vec::new() });
        }
        if let ([_], true) = (steps.as_slice(), self.rng.bool()) {
            let plan = self.replayed(onto, &steps, &policy);
            let disputes: Vec<Dispute> = plan.steps.iter().flat_map(ThreeWay::disputes).collect();
            options = self.any_resolutions(&disputes, &mut policy, options);
        }
        let expected = self.replayed(onto, &steps, &policy);
        let report = call(self, options).unwrap_or_else(|e| panic!("{action}: {e:?}"));
        self.check_replay(&report, &expected);
        let last = expected.stopped_at.unwrap_or(steps.last().expect("there is one").commit);
        assert_eq!(report.theirs.get() as usize, last, "the last one that was looked at");
        if expected.stopped_at.is_some() {
            return;
        }
        let outcome = match expected.made.is_empty() {
            true => MergeOutcome::UpToDate,
            false => MergeOutcome::Committed,
        };
        assert_eq!(report.outcome, outcome, "the outcome");
        if !expected.made.is_empty() {
            self.sequence(&target, onto, expected, &report);
        }
    }

    /// Commits one after the other on another commit, and the branch there.
    fn sequence(&mut self, branch: &str, onto: usize, expected: Replayed, report: &MergeReport) {
        let mut at = onto;
        let mut made = Vec::new();
        for (content, remembered) in expected.made {
            at = self.dag.add(vec![at], remembered, content);
            made.push(at);
        }
        let commits: Vec<usize> = report.commits.iter().map(|seq| seq.get() as usize).collect();
        assert_eq!(commits, made, "MERGE-11: the commits that were made");
        self.moved(branch, at);
    }

    fn check_replay(&self, report: &MergeReport, expected: &Replayed) {
        let sum = |count: fn(&ThreeWay) -> usize| expected.steps.iter().map(count).sum::<usize>();
        let auto = sum(|plan| plan.auto_resolved as usize);
        assert_eq!(report.auto_resolved as usize, auto, "MERGE-2: both alike are counted");
        let counts = report.changes.unwrap_or_default();
        let count = counts.added + counts.modified + counts.deleted;
        assert_eq!(count as usize, sum(|plan| plan.changes.len()), "changed keys are counted");
        let settled: Vec<_> = expected
            .steps
            .iter()
            .flat_map(|plan| &plan.settled)
            .map(|(dispute, by, result)| (wanted(dispute), by.clone(), hash(result)))
            .collect();
        assert_eq!(simple_settled(&report.settled), settled, "what was settled, and by what");
        let conflicts: Vec<_> = report.conflicts.iter().map(simple).collect();
        let open: Vec<_> = expected.steps.iter().flat_map(|plan| &plan.open).map(wanted).collect();
        assert_eq!(conflicts, open, "the conflicts");
        let stopped = report.stopped_at.map(|seq| seq.get() as usize);
        assert_eq!(stopped, expected.stopped_at, "the commit that the conflicts are about");
        let dropped: Vec<usize> = report.dropped.iter().map(|seq| seq.get() as usize).collect();
        assert_eq!(dropped, expected.dropped, "those that changed nothing any more");
        assert_eq!(report.outcome == MergeOutcome::Conflicts, stopped.is_some(), "the outcome");
    }

    pub(crate) fn rebase(&mut self) {
        let branch = self.any_branch();
        let (rev, onto) = self.any_rev();
        let (policy, options) = self.any_policy();
        let head = self.names.branches[&branch];
        self.note(format!("rebase {branch} ({head}) onto {rev} ({onto}), {policy:?}"));
        let report = self.store.rebase(&branch, &rev, options);
        let report = report.unwrap_or_else(|e| panic!("rebase: {e:?}"));
        if self.dag.reaches(onto, head) {
            let moves = onto != head;
            let outcome = if moves { MergeOutcome::FastForward } else { MergeOutcome::UpToDate };
            assert_eq!(report.outcome, outcome, "there is nothing to replay");
            if moves {
                self.moved(&branch, onto);
            }
            return;
        }
        let chain = self.dag.first_parents(head);
        let own: Vec<usize> =
            chain.iter().copied().take_while(|&at| !self.dag.reaches(onto, at)).collect();
        if chain.get(own.len()) == Some(&onto) {
            assert_eq!(report.outcome, MergeOutcome::UpToDate, "it is there already");
            return;
        }
        let steps: Vec<Step> = own
            .into_iter()
            .rev()
            .map(|commit| {
                let node = &self.dag.nodes[commit];
                let merged = node.parents[1..].iter().chain(&node.remembered).copied();
                let remembered = merged.filter(|&at| !self.dag.reaches(onto, at)).collect();
                let merged = node.parents[1..].iter().chain(&node.remembered);
                let there = merged.flat_map(|&at| self.dag.bases(&[at], onto)).collect();
                Step { commit, changes: (node.parents[0], commit), remembered, there }
            })
            .collect();
        let expected = self.replayed(onto, &steps, &policy);
        self.check_replay(&report, &expected);
        if expected.stopped_at.is_some() {
            return;
        }
        let outcome = match expected.made.is_empty() {
            true => MergeOutcome::FastForward,
            false => MergeOutcome::Committed,
        };
        assert_eq!(report.outcome, outcome, "the outcome");
        self.sequence(&branch, onto, expected, &report);
    }
}
