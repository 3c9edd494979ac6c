//! MERGE-11: cherry-pick, revert and rebase over every pair of acts.

use withy::{
    ConflictKind, MergeAction, MergeOptions, MergeOutcome, MergeReport, Resolution, Seq, Strategy,
};

use super::rules::{Act, Case, Cell, KEY, Net, Setup, Table, must_merge, verdict};
use crate::support::{must_branch, must_get, must_head, must_put, rows};

/// Resolutions that the table goes through, and none.
fn resolutions() -> Vec<Option<Resolution>> {
    vec![
        None,
        Some(Resolution::Ours),
        Some(Resolution::Theirs),
        Some(Resolution::Base),
        Some(Resolution::Value(b"by hand".to_vec())),
        Some(Resolution::Delete),
    ]
}

fn setups() -> Vec<Setup> {
    let mut out = Vec::new();
    for strategy in Strategy::ALL {
        for resolution in resolutions() {
            for strict in [false, true] {
                let resolution = resolution.clone();
                out.push(Setup { resolution, strict, ..Setup::strategy(strategy) });
            }
        }
    }
    out
}

/// The change of the key from one commit to another on top of what the target has.
struct Replay {
    net: Net,
    setup: Setup,
    what: String,
    before: Seq,
    commit: Seq,
}

impl Table {
    /// Checks a pick or revert of one commit that changes the key and nothing else.
    fn check_replay(
        &mut self,
        replay: &Replay,
        target: &withy::Branch,
        done: withy::Result<MergeReport>,
    ) {
        let Replay { net, setup, what, before, commit } = replay;
        let wanted = verdict(*net, setup);
        let head = must_head(target);
        let disputed = wanted.conflict.is_some() || wanted.settled.is_some();
        if setup.resolution.is_some() && !disputed {
            let error = done.expect_err(what);
            assert_eq!(error.keys(), [KEY.as_bytes()], "{what}: MERGE-6: refused by name");
            assert_eq!(head.seq, *before, "{what}: nothing is written");
            return;
        }
        let report = done.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        let changed = wanted.result.as_deref() != net.ours;
        let outcome = match (wanted.conflict, changed) {
            (Some(_), _) => MergeOutcome::Conflicts,
            (None, true) => MergeOutcome::Committed,
            (None, false) => MergeOutcome::UpToDate,
        };
        assert_eq!(report.outcome, outcome, "{what}: the outcome");
        assert!(!report.fast_forward, "{what}: it is none");
        assert_eq!(report.theirs, *commit, "{what}: what was looked at");
        assert_eq!(report.auto_resolved, wanted.auto_resolved, "{what}: alike on both sides");
        let conflicts: Vec<ConflictKind> = report.conflicts.iter().map(|one| one.kind).collect();
        assert_eq!(conflicts, Vec::from_iter(wanted.conflict), "{what}: the conflict");
        let settled: Vec<_> =
            report.settled.iter().map(|one| (one.conflict.kind, one.by.clone())).collect();
        assert_eq!(settled, Vec::from_iter(wanted.settled), "{what}: what was settled");
        for one in report.settled.iter().map(|one| &one.conflict).chain(&report.conflicts) {
            assert_eq!(one.bases[0].hash, self.hash(net.base), "{what}: the base");
            assert_eq!(one.ours.hash, self.hash(net.ours), "{what}: ours");
            assert_eq!(one.theirs.hash, self.hash(net.theirs), "{what}: theirs");
        }
        let dropped = if outcome == MergeOutcome::UpToDate { vec![*commit] } else { Vec::new() };
        assert_eq!(report.dropped, dropped, "{what}: what changes nothing is dropped, by name");
        let parents: Vec<Seq> = head.parents.iter().map(|parent| parent.seq).collect();
        match outcome {
            MergeOutcome::Committed => {
                assert_eq!(parents, [*before], "{what}: one parent");
                assert_eq!(report.commits, [head.seq], "{what}: one commit");
            }
            _ => assert_eq!(head.seq, *before, "{what}: nothing is written"),
        }
        let result = match outcome {
            MergeOutcome::Conflicts => net.ours.map(str::to_owned),
            _ => wanted.result,
        };
        assert_eq!(must_get(target, KEY), result, "{what}: what the key has");
        assert_eq!(must_get(target, "stays").as_deref(), Some("as it is"), "{what}: the rest");
    }
}

/// The acts that are one commit.
fn single(base: Cell) -> impl Iterator<Item = Act> {
    Act::ALL.into_iter().filter(move |act| act.writes(base).len() == 1)
}

#[test]
fn merge_11_a_cherry_pick_does_to_any_side_what_its_commit_did() {
    let mut table = Table::new();
    for setup in setups() {
        for base in [None, Some("v0")] {
            for (theirs, ours) in single(base).flat_map(|s| Act::ALL.map(|t| (s, t))) {
                let case = Case { base, ours, theirs };
                let pair = table.pair(&case, super::rules::Layout::Siblings);
                let (target, source) = (pair.ours.name().as_str(), pair.theirs.name().as_str());
                let replay = Replay {
                    net: case.net(),
                    what: format!("pick {case:?} {setup:?}"),
                    before: must_head(&pair.ours).seq,
                    commit: must_head(&pair.theirs).seq,
                    setup: setup.clone(),
                };
                let done = table.store.cherry_pick(target, &[source], setup.options());
                if done.as_ref().is_ok_and(|r| r.outcome == MergeOutcome::Committed) {
                    let (made, own) = (must_head(&pair.ours), must_head(&pair.theirs));
                    assert_eq!(made.author, own.author, "a pick keeps the author");
                    assert_eq!(made.message, own.message, "a pick keeps the message");
                }
                table.check_replay(&replay, &pair.ours, done);
            }
        }
    }
}

#[test]
fn merge_11_a_revert_takes_back_on_any_side_what_its_commit_did() {
    let mut table = Table::new();
    for setup in setups() {
        for base in [None, Some("v0")] {
            for (first, later) in single(base).flat_map(|s| Act::ALL.map(|t| (s, t))) {
                // The commit, and then what is done after it.
                let between = first.net(base);
                let case = Case { base, ours: first, theirs: Act::Nothing };
                let pair = table.pair(&case, super::rules::Layout::Siblings);
                let commit = must_head(&pair.ours).seq;
                // Setting what is there already changes nothing.
                let writes = later.writes(between);
                let writes = if writes == [between] { Vec::new() } else { writes };
                table.act(&pair.ours, &writes);
                let ours = writes.last().copied().unwrap_or(between);
                let replay = Replay {
                    net: Net { base: between, ours, theirs: base },
                    what: format!("revert {base:?} {first:?} {later:?} {setup:?}"),
                    before: must_head(&pair.ours).seq,
                    commit,
                    setup: setup.clone(),
                };
                let target = pair.ours.name().as_str();
                let done = table.store.revert(target, &[&format!("seq:{commit}")], setup.options());
                table.check_replay(&replay, &pair.ours, done);
            }
        }
    }
}

/// Each commit of the branch is applied to what those before it have come to.
#[test]
fn merge_11_a_rebase_replays_each_commit_on_any_side() {
    let mut table = Table::new();
    for strategy in Strategy::ALL {
        let setup = Setup::strategy(strategy);
        for case in Case::all() {
            // The branch is `ours`; it goes onto `theirs`, which is the side that receives.
            let pair = table.pair(&case, super::rules::Layout::Siblings);
            let what = format!("rebase {case:?} {setup:?}");
            let writes = case.ours.writes(case.base);
            let (branch, onto) = (pair.ours.name().as_str(), pair.theirs.name().as_str());
            let (before, there) = (must_head(&pair.ours), must_head(&pair.theirs));
            let old = rows(&pair.ours);
            let report = table.store.rebase(branch, onto, setup.options());
            let report = report.unwrap_or_else(|e| panic!("{what}: {e:?}"));
            let (mut from, mut now) = (case.base, case.theirs.net(case.base).map(str::to_owned));
            let (mut made, mut stopped) = (0, false);
            for to in &writes {
                let ours = ["x", "y", "z", "v0"].into_iter().find(|v| now.as_deref() == Some(v));
                let step = verdict(Net { base: from, ours, theirs: *to }, &setup);
                from = *to;
                if step.conflict.is_some() {
                    stopped = true;
                    break;
                }
                made += usize::from(step.result != now);
                now = step.result;
            }
            let outcome = match (stopped, pair.moved) {
                (_, (_, false)) => MergeOutcome::UpToDate,
                (_, (false, true)) => MergeOutcome::FastForward,
                (true, _) => MergeOutcome::Conflicts,
                // Nothing is left to be replayed: the branch moves.
                (false, _) if made == 0 => MergeOutcome::FastForward,
                (false, _) => MergeOutcome::Committed,
            };
            assert_eq!(report.outcome, outcome, "{what}: the outcome");
            match outcome {
                MergeOutcome::UpToDate | MergeOutcome::Conflicts => {
                    assert_eq!(must_head(&pair.ours), before, "{what}: nothing is written");
                    assert_eq!(rows(&pair.ours), old, "{what}: nothing is written");
                }
                _ => {
                    assert_eq!(report.commits.len(), made, "{what}: a commit for each change");
                    assert_eq!(report.dropped.len() + made, writes.len(), "{what}: or none");
                    assert_eq!(must_get(&pair.ours, KEY), now, "{what}: what the key has");
                    let base = table.store.merge_base(branch, onto).expect("a base");
                    assert_eq!(base, [there.seq], "{what}: it stands on the other side");
                }
            }
            assert_eq!(must_head(&pair.theirs), there, "{what}: the other side stays");
        }
    }
}

#[test]
fn merge_11_picks_are_planned_one_on_top_of_the_other_and_land_together() {
    let table = Table::new();
    let main = table.store.main().expect("main");
    let topic = must_branch(&table.store, "topic", "main");
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("a", "3")] {
        must_put(&topic, key, value);
    }
    let before = must_head(&main).seq;
    let revs = ["topic~4", "topic~3", "topic~2", "topic"];
    // Setting `a` from 2 to 3 follows 1 to 2, so it applies; `b` stays at its first value.
    let done = table.store.cherry_pick("main", &revs, MergeOptions::default()).expect("picks");
    assert_eq!((done.action, done.commits.len()), (MergeAction::CherryPick, 4), "one for each");
    assert_eq!(rows(&main), [("a".into(), "3".into()), ("b".into(), "1".into())], "all applied");
    table.store.undo().expect("an undo");
    assert_eq!(must_head(&main).seq, before, "UNDO-1: together they are one step of undo");
    // Without the commit between, the last one conflicts, and nothing of the others stays.
    let revs = ["topic~4", "topic~3", "topic"];
    let done = table.store.cherry_pick("main", &revs, MergeOptions::default()).expect("a report");
    assert_eq!(done.outcome, MergeOutcome::Conflicts, "the base of the last one is not there");
    assert_eq!(done.stopped_at, Some(must_head(&topic).seq), "it says which");
    assert_eq!(must_head(&main).seq, before, "all of them or none");
}

/// The rebased merge keeps `0` against the `1` that it remembers to have merged; `d` is not changed
/// anywhere after `main`, which both sides have.
#[test]
fn merge_9_what_a_rebased_merge_decided_is_known_to_later_merges() {
    let table = Table::new();
    let store = &table.store;
    let main = store.main().expect("main");
    let topic = must_branch(store, "topic", "main");
    must_put(&main, "d", "0");
    let other = must_branch(store, "other", "main");
    must_put(&other, "d", "1");
    must_put(&topic, "c", "1");
    must_merge(store, "topic", "other", MergeOptions::default());
    let ours = MergeOptions::default().strategy(Strategy::Ours);
    let report = store.rebase("topic", "main", ours).expect("a rebase");
    assert_eq!(report.settled.len(), 1, "d is in conflict, and main's value stays");
    must_put(&other, "unrelated", "1");
    let plan = store.plan_merge("topic", "other", MergeOptions::default()).expect("a plan");
    assert!(plan.report.conflicts.is_empty(), "it is settled");
    must_merge(store, "other", "topic", MergeOptions::default());
    assert_eq!(must_get(&other, "d").as_deref(), Some("0"), "as it was settled");
    must_merge(store, "topic", "other", MergeOptions::default());
    assert_eq!(rows(&topic), rows(&other), "the same both ways");
}

/// Both sides merged the other's old commit and decided for themselves; `main` then decided again. No
/// commit that `topic` does not have changes the key: only the merges know.
#[test]
fn merge_9_what_a_merge_decided_without_a_change_is_known_to_later_merges() {
    let table = Table::new();
    let store = &table.store;
    let main = store.main().expect("main");
    let topic = must_branch(store, "topic", "main");
    let ours = || MergeOptions::default().strategy(Strategy::Ours);
    let p = must_put(&main, "d", "main");
    let q = must_put(&topic, "d", "topic");
    must_merge(store, "topic", &format!("seq:{p}"), ours());
    must_merge(store, "main", &format!("seq:{q}"), ours());
    must_merge(store, "main", "topic", ours());
    must_put(&topic, "unrelated", "1");
    must_merge(store, "topic", "main", MergeOptions::default().strategy(Strategy::FastForward));
    assert_eq!(must_get(&topic, "d").as_deref(), Some("main"), "as main settled it last");
}
