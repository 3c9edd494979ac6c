//! MERGE-6: every resolution on every cell, and those that are refused.

use withy::{ErrorKind, MergeOptions, MergeOutcome, MergeReport, Resolution, Store, Strategy};

use super::rules::{Case, KEY, Layout, Setup, Table, must_merge};
use crate::support::{must_branch, must_fail, must_get, must_head, must_put, rows};

fn all() -> [Resolution; 5] {
    [
        Resolution::Ours,
        Resolution::Theirs,
        Resolution::Base,
        Resolution::Value(b"by hand".to_vec()),
        Resolution::Delete,
    ]
}

/// What is in no conflict is refused by the same table.
#[test]
fn merge_6_a_resolution_beats_the_strategy_and_must_have_a_conflict() {
    let mut table = Table::new();
    for resolution in all() {
        for strategy in Strategy::ALL {
            for case in Case::all() {
                let resolution = Some(resolution.clone());
                let setup = Setup { resolution, ..Setup::strategy(strategy) };
                table.check(&case, &setup, Layout::Siblings);
            }
        }
    }
}

#[test]
fn merge_6_a_strict_merge_takes_resolutions_for_equal_changes() {
    let mut table = Table::new();
    for resolution in all() {
        for case in Case::all() {
            let resolution = Some(resolution.clone());
            let setup = Setup { resolution, strict: true, ..Setup::default() };
            table.check(&case, &setup, Layout::Deep);
        }
    }
}

#[test]
fn merge_6_a_squash_takes_resolutions() {
    let mut table = Table::new();
    for resolution in all() {
        for case in Case::all() {
            let resolution = Some(resolution.clone());
            let setup = Setup { resolution, squash: true, ..Setup::default() };
            table.check(&case, &setup, Layout::Child);
        }
    }
}

/// Everything that a refused merge must leave as it is.
fn state(store: &Store, target: &str) -> (withy::Commit, Vec<(String, String)>, usize, usize) {
    let branch = store.branch(target).expect("it is there");
    let (ops, open) = (store.ops(100_000).expect("a list"), store.open_merges().expect("a list"));
    (must_head(&branch), rows(&branch), ops.len(), open.len())
}

/// A store whose `topic` and `main` dispute `a`, `b` and `c`; main alone changed `m`, topic `t`.
fn disputed() -> crate::support::Scratch {
    let store = crate::support::Scratch::new();
    let main = store.main().expect("main");
    for key in ["a", "b", "c", "m", "t"] {
        must_put(&main, key, "base");
    }
    let topic = must_branch(&store, "topic", "main");
    for key in ["a", "b", "c", "t"] {
        must_put(&topic, key, "theirs");
    }
    for key in ["a", "b", "c", "m"] {
        must_put(&main, key, "ours");
    }
    store
}

fn refused(store: &Store, options: MergeOptions, keys: &[&str], why: &str) {
    let before = state(store, "main");
    for options in [options.clone(), options.clone().keep_open(true), options.squash(true)] {
        let planned = store.plan_merge("main", "topic", options.clone());
        let planned = must_fail(planned, ErrorKind::Precondition);
        let error = must_fail(store.merge("main", "topic", options), ErrorKind::Precondition);
        assert_eq!(error.to_string(), planned.to_string(), "a plan is refused alike");
        let named: Vec<&[u8]> = error.keys().iter().map(Vec::as_slice).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(named, keys, "MERGE-6: refused by name: {error}");
        assert!(error.to_string().contains(why), "{error} says {why:?}");
        assert_eq!(state(store, "main"), before, "MERGE-6: nothing is written");
    }
}

#[test]
fn merge_6_resolutions_for_keys_that_are_not_in_conflict_are_refused() {
    let store = disputed();
    let given = MergeOptions::default().strategy(Strategy::Ours);
    let given = given.resolve("a", Resolution::Theirs);
    let wrong = given.clone().resolve("t", Resolution::Ours).resolve("m", Resolution::Delete);
    refused(
        &store,
        wrong.resolve("nowhere", Resolution::Theirs),
        &["m", "nowhere", "t"],
        "conflict",
    );
    let done = must_merge(&store, "main", "topic", given);
    assert_eq!(done.outcome, MergeOutcome::Committed, "without them it merges");
}

#[test]
fn merge_6_two_resolutions_for_one_key_are_refused() {
    let store = disputed();
    let given = MergeOptions::default().resolve("a", Resolution::Ours);
    let given = given.resolve("b", Resolution::Ours).resolve("b", Resolution::Ours);
    refused(&store, given.resolve("c", Resolution::Ours), &["b"], "two resolutions");
}

#[test]
fn merge_6_resolutions_for_values_that_have_changed_are_refused() {
    let store = disputed();
    let plan = |store: &Store| -> MergeReport {
        store.plan_merge("main", "topic", MergeOptions::default()).expect("a plan").report
    };
    let conflicts = plan(&store).conflicts;
    let resolved = |resolution: Resolution| {
        conflicts.iter().fold(MergeOptions::default(), |options, conflict| {
            options.resolve_conflict(conflict, resolution.clone())
        })
    };
    must_put(&store.main().expect("main"), "a", "newer");
    must_put(&store.branch("topic").expect("topic"), "c", "newer");
    for resolution in all() {
        refused(&store, resolved(resolution), &["a", "c"], "changed");
    }
    must_put(&store.main().expect("main"), "a", "ours");
    must_put(&store.branch("topic").expect("topic"), "c", "theirs");
    let report = must_merge(&store, "main", "topic", resolved(Resolution::Theirs));
    assert_eq!(report.outcome, MergeOutcome::Committed, "the values are the same again");
    for key in ["a", "b", "c"] {
        assert_eq!(must_get(&store.main().expect("main"), key).as_deref(), Some("theirs"), "{key}");
    }
}

/// One that was made for a conflict that is gone.
#[test]
fn merge_6_a_resolution_for_a_conflict_that_is_gone_is_refused() {
    let store = disputed();
    let report = store.plan_merge("main", "topic", MergeOptions::default()).expect("a plan").report;
    let first = MergeOptions::default().strategy(Strategy::Ours);
    let first = first.resolve_conflict(&report.conflicts[0], Resolution::Theirs);
    must_put(&store.main().expect("main"), "a", "theirs");
    refused(&store, first, &["a"], "");
}

#[test]
fn merge_6_a_base_value_that_the_bases_dispute_cannot_be_taken() {
    let store = crate::support::Scratch::new();
    let (main, topic) = (store.main().expect("main"), must_branch(&store, "topic", "main"));
    must_put(&main, KEY, "1");
    must_put(&topic, KEY, "2");
    // Each takes the other's commit and stays with its own value: two bases that disagree.
    let (ours, theirs) = (must_head(&main).seq, must_head(&topic).seq);
    let keep = || MergeOptions::default().strategy(Strategy::Ours);
    must_merge(&store, "main", &format!("seq:{theirs}"), keep());
    must_merge(&store, "topic", &format!("seq:{ours}"), keep());
    let plan = store.plan_merge("main", "topic", MergeOptions::default()).expect("a plan").report;
    assert_eq!(plan.bases, [theirs, ours], "MERGE-9: all best common ancestors");
    assert_eq!(plan.conflicts[0].bases.len(), 2, "ruling 3: all base values");
    let base = MergeOptions::default().resolve(KEY, Resolution::Base);
    refused(&store, base, &[KEY], "bases disagree");
    let given = MergeOptions::default().resolve(KEY, Resolution::Theirs);
    must_merge(&store, "main", "topic", given);
    assert_eq!(must_get(&main, KEY).as_deref(), Some("2"), "a side can be taken");
}

#[test]
fn merge_6_values_and_keys_over_the_limit_are_refused() {
    let store = disputed();
    let before = state(&store, "main");
    for key in [Vec::new(), vec![b'k'; withy::MAX_KEY_LEN + 1]] {
        let options = MergeOptions::default().resolve(key, Resolution::Ours);
        assert!(store.merge("main", "topic", options).is_err(), "KV-1: no such key");
    }
    assert_eq!(state(&store, "main"), before, "nothing is written");
}
