//! Laws of merges on generated sides: they commute where they do not overlap, and what was settled stays.

use fastrand::Rng;
use withy::{MergeOptions, Resolution, Store, Strategy};

use super::number;
use crate::support::{Scratch, must_branch, must_get, must_put, must_write, rows};

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn seeds() -> std::ops::Range<u64> {
    match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(50),
    }
}

/// Writes some of these keys, values or deletions.
fn scribble(random: &mut Rng, store: &Store, branch: &str, keys: &[&str]) {
    let branch = store.branch(branch).expect("it is there");
    for _ in 0..random.usize(1..4) {
        let mut changes = vec![("touched", None)];
        changes.extend(keys.iter().filter_map(|key| {
            let value = [None, Some("1"), Some("2"), Some("3")][random.usize(0..4)];
            random.bool().then_some((*key, value))
        }));
        let mark = random.u32(..).to_string();
        changes[0] = (branch.name().as_str(), Some(mark.as_str()));
        must_write(&branch, "scribble", &changes);
    }
}

fn must_merge(store: &Store, target: &str, source: &str, strategy: Strategy) {
    let options = MergeOptions::default().strategy(strategy);
    let report = store.merge(target, source, options).expect("a merge");
    assert!(report.conflicts.is_empty(), "{strategy} leaves no conflict");
}

#[test]
fn merge_9_merges_that_do_not_overlap_commute() {
    for seed in seeds() {
        let random = &mut Rng::with_seed(seed);
        let store = Scratch::new();
        scribble(random, &store, "main", &KEYS);
        for name in ["left", "right", "one", "two"] {
            must_branch(&store, name, "main");
        }
        let (ones, twos) = KEYS.split_at(random.usize(1..KEYS.len()));
        scribble(random, &store, "one", ones);
        scribble(random, &store, "two", twos);
        // The target may have changed anything, in the same way for both orders.
        scribble(random, &store, "left", &KEYS);
        store.reset("right", "left").expect("a reset");
        let strategy = if random.bool() { Strategy::Ours } else { Strategy::Theirs };
        for (target, sources) in [("left", ["one", "two"]), ("right", ["two", "one"])] {
            for source in sources {
                must_merge(&store, target, source, strategy);
            }
        }
        let both = ["left", "right"].map(|name| rows(&store.branch(name).expect("it is there")));
        assert_eq!(both[0], both[1], "the order of sources does not matter, WITHY_SEED={seed}");
        must_merge(&store, "left", "right", Strategy::FastForward);
        let after = rows(&store.branch("left").expect("left"));
        assert_eq!(after, both[0], "and both merge to the same, WITHY_SEED={seed}");
    }
}

#[test]
fn merge_9_a_settled_conflict_does_not_come_back() {
    for seed in seeds() {
        let random = &mut Rng::with_seed(seed);
        let store = Scratch::new();
        let main = store.main().expect("main");
        must_put(&main, "key", "base");
        let topic = must_branch(&store, "topic", "main");
        must_put(&topic, "key", "theirs");
        must_put(&main, "key", "ours");
        let taken = [
            Resolution::Ours,
            Resolution::Theirs,
            Resolution::Base,
            Resolution::Delete,
            Resolution::Value(b"other".to_vec()),
        ];
        let taken = taken[random.usize(0..taken.len())].clone();
        let squash = random.u8(0..4) == 0;
        let options = MergeOptions::default().resolve("key", taken).squash(squash);
        store.merge("main", "topic", options).expect("a merge");
        let settled = must_get(&main, "key");
        // Unrelated changes on both sides, and merges to and fro.
        for round in 0..random.usize(1..6) {
            let (branch, other) = if random.bool() { ("main", "topic") } else { ("topic", "main") };
            if random.bool() {
                let name = format!("{branch} {round}");
                must_put(&store.branch(branch).expect("it is there"), &name, "unrelated");
            }
            must_merge(&store, branch, other, Strategy::FastForward);
        }
        let (first, second) = if random.bool() { ("main", "topic") } else { ("topic", "main") };
        must_merge(&store, first, second, Strategy::FastForward);
        must_merge(&store, second, first, Strategy::FastForward);
        for branch in [&main, &topic] {
            let name = branch.name();
            assert_eq!(
                must_get(branch, "key"),
                settled,
                "as settled, on {name}, WITHY_SEED={seed}"
            );
        }
        assert_eq!(rows(&main), rows(&topic), "both sides have everything, WITHY_SEED={seed}");
    }
}
