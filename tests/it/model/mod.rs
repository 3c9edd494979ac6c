//! BR-2 against a model: random histories of a store beside a plain map for each commit.
//!
//! `WITHY_SEEDS=1000` runs more seeds than the normal run does, `WITHY_SEED=n` runs one again.

mod check;
mod dag;
pub(crate) mod graph;
mod ops;
mod refs;
mod txn;
pub(crate) mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Shape, World};

/// The seeds to run: those of the normal run, or as many as the environment says where that has 50.
fn seeds(normal: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match (number("WITHY_SEED"), number("WITHY_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..(count * normal).div_ceil(50)).collect(),
        (None, None) => (0..normal).collect(),
    }
}

/// Runs every seed; a failure names the seed and the last steps.
fn run(normal: u64, shape: fn(u64) -> Shape) {
    for seed in seeds(normal) {
        let mut world = World::new(seed, shape(seed));
        let Err(cause) = catch_unwind(AssertUnwindSafe(|| world.run())) else { continue };
        let what = cause
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| cause.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        let last = world.trace.len().saturating_sub(25);
        let steps = world.trace[last..].join("\n  ");
        panic!("{what}\nWITHY_SEED={seed} runs it again; the last steps were\n  {steps}");
    }
}

#[test]
fn br_2_random_histories_match_a_map_per_commit() {
    run(50, |seed| Shape { deep: seed % 3 == 1, steps: 140, ..Shape::default() });
}

#[test]
fn br_2_random_histories_with_merges_match_a_map_per_commit() {
    run(50, |seed| Shape { deep: seed % 5 == 1, merges: true, steps: 90, ..Shape::default() });
}

/// Long enough that the index of lines and ids is written to the store several times.
#[test]
fn br_2_long_histories_match_a_map_per_commit() {
    run(2, |seed| Shape { merges: seed % 2 == 1, crowded: true, steps: 36, ..Shape::default() });
}
