//! Merges, each held against the reference: the plan, the report, the commit, and the laws.

use std::collections::BTreeMap;

use withy::{
    Conflict, ConflictSide, ContinueOptions, ErrorKind, FastForward, KeyRange, MergeAction,
    MergeOptions, MergeOutcome, MergePlan, MergeReport, Resolution, Seq, SettledBy, Strategy,
    ValueHash,
};

use super::reference::{Cell, Dispute, Expected, Map, Policy, ThreeWay};
use super::world::{World, put};
use crate::support::must_fail;

pub(crate) fn hash(cell: &Cell) -> Option<ValueHash> {
    cell.as_deref().map(ValueHash::of)
}

/// A merge that is asked for.
struct Asked {
    target: String,
    rev: String,
    source: usize,
    policy: Policy,
    fast_forward: FastForward,
    squash: bool,
    options: MergeOptions<'static>,
}

impl World {
    pub(crate) fn any_policy(&mut self) -> (Policy, MergeOptions<'static>) {
        let any = |rng: &mut fastrand::Rng| Strategy::ALL[rng.usize(0..Strategy::ALL.len())];
        let strategy = any(&mut self.rng);
        let strict = self.rng.u8(0..8) == 0;
        let mut options = MergeOptions::default().strategy(strategy).strict(strict);
        let mut by_prefix = BTreeMap::new();
        while self.rng.u8(0..4) == 0 {
            let prefix: &[u8] =
                [&b"a"[..], b"ab", b"ab.", b"b", b"many/", b""][self.rng.usize(0..6)];
            by_prefix.insert(prefix.to_vec(), any(&mut self.rng));
        }
        for (prefix, strategy) in &by_prefix {
            options = options.strategy_for(withy::KeyPattern::prefix(prefix.clone()), *strategy);
        }
        let by_prefix = by_prefix.into_iter().collect();
        (Policy { strategy, by_prefix, resolutions: BTreeMap::new(), strict }, options)
    }

    /// Resolutions for some of these disputes.
    pub(crate) fn any_resolutions(
        &mut self,
        disputes: &[Dispute],
        policy: &mut Policy,
        mut options: MergeOptions<'static>,
    ) -> MergeOptions<'static> {
        for dispute in disputes {
            if self.rng.bool() || policy.resolutions.contains_key(&dispute.key) {
                continue;
            }
            let resolution = self.any_resolution(dispute);
            options = options.resolve(dispute.key.clone(), resolution.clone());
            policy.resolutions.insert(dispute.key.clone(), resolution);
        }
        options
    }

    fn any_resolution(&mut self, dispute: &Dispute) -> Resolution {
        match self.rng.u8(0..5) {
            0 => Resolution::Ours,
            1 => Resolution::Theirs,
            2 if dispute.bases.len() == 1 => Resolution::Base,
            2 | 3 => Resolution::Delete,
            _ => Resolution::Value(self.any_value()),
        }
    }

    pub(crate) fn merge(&mut self) {
        let target = self.any_branch();
        let (rev, source) = self.any_rev();
        let (mut policy, mut options) = self.any_policy();
        let fast_forward = match self.rng.u8(0..10) {
            0 => FastForward::Only,
            1 | 2 => FastForward::Never,
            _ => FastForward::Allowed,
        };
        let squash = self.rng.u8(0..6) == 0;
        options = options.fast_forward(fast_forward).squash(squash);
        let ours = self.names.branches[&target];
        let may_move = fast_forward != FastForward::Never && !squash;
        let first = self.dag.merge(ours, source, &policy, may_move);
        if let Expected::Diverged(plan) = &first
            && self.rng.u8(0..3) == 0
        {
            options = self.any_resolutions(&plan.disputes(), &mut policy, options);
        }
        self.note(format!(
            "merge {rev} ({source}) into {target} ({ours}), squash {squash}, {fast_forward:?}, \
             {policy:?}"
        ));
        let asked = Asked { target, rev, source, policy, fast_forward, squash, options };
        let expected = self.dag.merge(ours, source, &asked.policy, may_move);
        self.check_laws(ours, source, &asked);
        if self.rng.u8(0..6) == 0 {
            self.refused_resolutions(&asked, &expected);
        }
        self.do_merge(&asked, &expected);
    }

    /// MERGE-6: what does not fit is refused by name.
    fn refused_resolutions(&mut self, asked: &Asked, expected: &Expected) {
        if asked.fast_forward == FastForward::Only {
            return;
        }
        let key = self.any_key();
        let disputed = match expected {
            Expected::Diverged(plan) => plan.disputes().into_iter().find(|one| one.key == key),
            _ => None,
        };
        let clean = asked.options.clone();
        let (options, twice) = match (&disputed, asked.policy.resolutions.contains_key(&key)) {
            (_, true) => (clean.resolve(key.clone(), Resolution::Delete), true),
            (None, false) => (clean.resolve(key.clone(), Resolution::Delete), false),
            (Some(one), false) if one.bases.len() > 1 => {
                (clean.resolve(key.clone(), Resolution::Base), false)
            }
            (Some(_), false) => return,
        };
        let refused = self.store.merge(&asked.target, &asked.rev, options);
        let error = must_fail(refused, ErrorKind::Precondition);
        assert_eq!(error.keys(), [key], "MERGE-6: refused by name, twice {twice}");
        self.check_branches();
    }

    fn do_merge(&mut self, asked: &Asked, expected: &Expected) {
        let (target, rev) = (&asked.target, &asked.rev);
        let ours = self.names.branches[target];
        let only = asked.fast_forward == FastForward::Only;
        if let (Expected::Diverged(_), true) = (expected, only) {
            let refused = self.store.merge(target, rev, asked.options.clone());
            must_fail(refused, ErrorKind::Precondition);
            return;
        }
        let plan = self.store.plan_merge(target, rev, asked.options.clone()).expect("a plan");
        let keep = matches!(expected, Expected::Diverged(plan) if !plan.open.is_empty())
            && self.rng.u8(0..3) == 0;
        if keep && let Expected::Diverged(expected) = expected {
            return self.merge_in_pieces(asked, expected);
        }
        let report = self.store.merge(target, rev, asked.options.clone()).expect("a report");
        self.check_plan(&plan, &report, (ours, asked.source), expected);
        self.check_report(&report, asked, expected);
        match expected {
            Expected::UpToDate { .. } => {}
            Expected::FastForward => self.moved(target, asked.source),
            Expected::Diverged(expected) if expected.open.is_empty() => {
                self.landed(asked, &report, expected);
            }
            Expected::Diverged(_) => {}
        }
    }

    /// The merge commit.
    fn landed(&mut self, asked: &Asked, report: &MergeReport, expected: &ThreeWay) {
        let ours = self.names.branches[&asked.target];
        let (parents, remembered) = match asked.squash {
            true => (vec![ours], vec![asked.source]),
            false => (vec![ours, asked.source], Vec::new()),
        };
        let seq = self.dag.add(parents.clone(), remembered, expected.content.clone());
        self.moved(&asked.target, seq);
        assert_eq!(report.commits, [Seq::new(seq as u64)], "one commit is made");
        let commit = self.store.commit(&format!("seq:{seq}")).expect("the commit is there");
        let stored: Vec<usize> = commit.parents.iter().map(|p| p.seq.get() as usize).collect();
        assert_eq!(stored, parents, "MERGE-8: the parents of the merge commit");
        let details = self.store.merge_details(&format!("seq:{seq}")).expect("details");
        let details = details.expect("it is a merge");
        assert_eq!(details.settled, report.settled, "MERGE-7: how each was settled is kept");
        assert_eq!(details.bases, report.bases, "the bases are kept");
        assert_eq!(details.auto_resolved, report.auto_resolved, "the count is kept");
        assert_eq!(details.source.seq.get() as usize, asked.source, "what was merged is kept");
        let again = self.store.plan_merge(&asked.target, &asked.rev, MergeOptions::default());
        let again = again.expect("a plan").report.outcome;
        assert_eq!(again, MergeOutcome::UpToDate, "MERGE-9: merging again finds nothing to do");
    }

    /// Keeps the conflicts in the store, settles them one after the other, and goes on.
    fn merge_in_pieces(&mut self, asked: &Asked, expected: &ThreeWay) {
        let (target, rev) = (&asked.target, &asked.rev);
        let ours = self.names.branches[target];
        let options = asked.options.clone().keep_open(true);
        let report = self.store.merge(target, rev, options).expect("a report");
        let never = |one: &Dispute| asked.policy.strategy_for(&one.key) == Strategy::FastForward;
        let stays = !expected.open.iter().any(never);
        assert_eq!(report.outcome, MergeOutcome::Conflicts, "there are conflicts");
        assert_eq!(report.open, stays, "a merge that must not conflict is never left open");
        if !stays {
            return;
        }
        self.note("... left open");
        let mut policy = asked.policy.clone();
        let mut left = expected.open.clone();
        while let Some(dispute) = left.pop() {
            let resolution = self.any_resolution(&dispute);
            policy.resolutions.insert(dispute.key.clone(), resolution.clone());
            let made = [(dispute.key.clone(), resolution)];
            let count = self.store.resolve_conflicts(target, made, None).expect("it is settled");
            assert_eq!(count, 1, "one is settled");
            if self.rng.u8(0..6) == 0 {
                self.store.reopen();
            }
            let open = self.store.open_merge(target).expect("it can be read").expect("it is open");
            assert_eq!(open.unresolved as usize, left.len(), "MERGE-7: what is left is counted");
        }
        let listed = self.store.conflicts(target, &KeyRange::all()).expect("a list");
        let by_hand = policy.resolutions.len();
        assert_eq!(listed.len(), by_hand, "settled ones are listed too");
        let report = self
            .store
            .continue_merge(target, ContinueOptions::default())
            .expect("the merge goes on");
        let expected = Expected::Diverged(self.dag.merged(ours, asked.source, &policy));
        let asked = Asked {
            target: asked.target.clone(),
            rev: asked.rev.clone(),
            options: asked.options.clone(),
            policy,
            ..*asked
        };
        self.check_report(&report, &asked, &expected);
        if let Expected::Diverged(expected) = &expected {
            self.landed(&asked, &report, expected);
        }
        assert_eq!(self.store.open_merges().expect("a list"), [], "nothing is open any more");
    }

    /// A plan of it, in which nothing is refused.
    fn planned(&self, target: usize, source: usize, strategy: Strategy) -> (MergePlan, Map) {
        let name = self.names.branches.iter().find(|(_, at)| **at == target);
        let name = name.expect("it is the head of a branch").0;
        let options = MergeOptions::default().strategy(strategy);
        let plan = self.store.plan_merge(name, &format!("seq:{source}"), options).expect("a plan");
        let mut content = self.dag.content(target).clone();
        for change in &plan.changes {
            let ours = self.dag.cell(target, &change.key);
            let theirs = self.dag.cell(source, &change.key);
            let known = [ours, theirs].into_iter().find(|cell| hash(cell) == change.after);
            put(&mut content, &change.key, known.expect("a side has it"));
        }
        (plan, content)
    }

    /// What holds of any two sides, whatever they are.
    fn check_laws(&self, ours: usize, source: usize, asked: &Asked) {
        let plain = |strategy| Policy {
            strategy,
            by_prefix: Vec::new(),
            resolutions: BTreeMap::new(),
            strict: false,
        };
        let (plan, theirs) = self.planned(ours, source, Strategy::Theirs);
        if plan.report.outcome != MergeOutcome::UpToDate {
            let reference = self.dag.merged(ours, source, &plain(Strategy::Theirs));
            if reference.only_ours.is_empty() {
                assert_eq!(theirs, *self.dag.content(source), "nothing else was changed");
            }
        }
        let Some((name, _)) = self.names.branches.iter().find(|(_, at)| **at == source) else {
            return;
        };
        let (_, back) = self.planned(source, ours, Strategy::Ours);
        assert_eq!(
            theirs, back,
            "{name} into {} by theirs is {} into {name} by ours",
            asked.target, asked.target
        );
    }

    fn check_plan(
        &self,
        plan: &MergePlan,
        report: &MergeReport,
        (ours, source): (usize, usize),
        expected: &Expected,
    ) {
        let mut same = plan.report.clone();
        same.head = report.head;
        same.commits.clone_from(&report.commits);
        if expected_moves(expected) {
            same.changes = None;
        }
        assert_eq!(&same, report, "MERGE-5: a plan reports what the merge then reports");
        let changes: Vec<_> =
            plan.changes.iter().map(|c| (c.key.clone(), c.before, c.after)).collect();
        let wanted: Vec<_> = match expected {
            Expected::UpToDate { .. } => Vec::new(),
            Expected::FastForward => {
                let (from, to) = (self.dag.content(ours), self.dag.content(source));
                let mut keys: Vec<&Vec<u8>> = from.keys().chain(to.keys()).collect();
                keys.sort();
                keys.dedup();
                let cells = keys.into_iter().map(|key| (key.clone(), from.get(key), to.get(key)));
                let changed = cells.filter(|(_, before, after)| before != after);
                changed.map(|(key, b, a)| (key, hash(&b.cloned()), hash(&a.cloned()))).collect()
            }
            Expected::Diverged(plan) => {
                plan.changes.iter().map(|(key, b, a)| (key.clone(), hash(b), hash(a))).collect()
            }
        };
        assert_eq!(changes, wanted, "MERGE-5: a plan lists the changes");
    }

    fn check_report(&self, report: &MergeReport, asked: &Asked, expected: &Expected) {
        let action = if asked.squash { MergeAction::Squash } else { MergeAction::Merge };
        assert_eq!(report.action, action, "the action");
        let bases = report.bases.iter().map(|seq| seq.get() as usize).rev();
        let bases: Vec<usize> = bases.collect();
        let ours = report.ours.get() as usize;
        assert_eq!(report.theirs.get() as usize, asked.source, "theirs is the source");
        assert_eq!(bases, self.dag.bases(&[ours], asked.source), "MERGE-9: all best ancestors");
        let wanted = match expected {
            Expected::UpToDate { same } => {
                assert_eq!(report.fast_forward, *same, "ruling 2: flagged if they are the same");
                MergeOutcome::UpToDate
            }
            Expected::FastForward => {
                assert!(report.fast_forward, "MERGE-4: flagged");
                MergeOutcome::FastForward
            }
            Expected::Diverged(plan) => {
                assert!(!report.fast_forward, "it is none");
                self.check_three_way(report, plan, (ours, asked.source));
                if plan.open.is_empty() { MergeOutcome::Committed } else { MergeOutcome::Conflicts }
            }
        };
        assert_eq!(report.outcome, wanted, "the outcome");
    }

    /// Counts, conflicts and what was settled.
    fn check_three_way(&self, report: &MergeReport, plan: &ThreeWay, sides: (usize, usize)) {
        assert_eq!(report.auto_resolved, plan.auto_resolved, "MERGE-2: both alike are counted");
        let counts = report.changes.expect("a merge counts its changes");
        let count = |want: fn(&Cell, &Cell) -> bool| {
            plan.changes.iter().filter(|(_, before, after)| want(before, after)).count() as u64
        };
        assert_eq!(counts.added, count(|b, a| b.is_none() && a.is_some()), "added keys");
        assert_eq!(counts.modified, count(|b, a| b.is_some() && a.is_some()), "modified keys");
        assert_eq!(counts.deleted, count(|b, a| b.is_some() && a.is_none()), "deleted keys");
        let conflicts: Vec<_> = report.conflicts.iter().map(simple).collect();
        assert_eq!(conflicts, plan.open.iter().map(wanted).collect::<Vec<_>>(), "the conflicts");
        let settled: Vec<_> = report
            .settled
            .iter()
            .map(|one| (simple(&one.conflict), one.by.clone(), one.result))
            .collect();
        let wanted: Vec<_> = plan
            .settled
            .iter()
            .map(|(dispute, by, result)| (wanted(dispute), by.clone(), hash(result)))
            .collect();
        assert_eq!(settled, wanted, "MERGE-7: what was settled, and by what");
        let all = report.settled.iter().map(|one| &one.conflict).chain(&report.conflicts);
        for conflict in all {
            self.check_origin(conflict, sides);
        }
    }

    /// MERGE-7: where each side came from.
    fn check_origin(&self, conflict: &Conflict, (ours, source): (usize, usize)) {
        let at = |side: ConflictSide| side.at.map(|seq| seq.get() as usize);
        let key = &conflict.key;
        assert_eq!(at(conflict.ours), self.dag.written_at(ours, key), "who wrote ours");
        assert_eq!(at(conflict.theirs), self.dag.written_at(source, key), "who wrote theirs");
        for side in conflict.bases.iter().chain([&conflict.ours, &conflict.theirs]) {
            let value = self.store.conflict_value(conflict, *side).expect("it can be read");
            assert_eq!(hash(&value), side.hash, "the value of a side can be read");
        }
    }
}

type Simple =
    (Vec<u8>, withy::ConflictKind, Vec<Option<ValueHash>>, Option<ValueHash>, Option<ValueHash>);

/// What a conflict is about.
pub(crate) fn simple(conflict: &Conflict) -> Simple {
    let bases = conflict.bases.iter().map(|side| side.hash).collect();
    (conflict.key.clone(), conflict.kind, bases, conflict.ours.hash, conflict.theirs.hash)
}

/// What a conflict must be about.
pub(crate) fn wanted(dispute: &Dispute) -> Simple {
    let bases = dispute.bases.iter().map(hash).collect();
    (dispute.key.clone(), dispute.kind, bases, hash(&dispute.ours), hash(&dispute.theirs))
}

/// What was settled, and by what.
pub(crate) fn simple_settled(
    all: &[withy::Settled],
) -> Vec<(Simple, SettledBy, Option<ValueHash>)> {
    all.iter().map(|one| (simple(&one.conflict), one.by.clone(), one.result)).collect()
}

fn expected_moves(expected: &Expected) -> bool {
    matches!(expected, Expected::FastForward)
}
