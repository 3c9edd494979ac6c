//! MERGE against a model: random histories beside a graph of whole maps, where every merge is worked out
//! from the rules.
//!
//! `WITHY_SEEDS=1000` runs more seeds than the normal run does, `WITHY_SEED=n` runs one again;
//! `WITHY_STEPS=400` makes longer histories.

mod import;
mod laws;
mod merges;
pub(crate) mod reference;
mod replays;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs every seed; a failure names the seed and what led to it.
fn run(make: fn(u64) -> World) {
    let seeds = match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(50),
    };
    for seed in seeds {
        let mut world = make(seed);
        if let Some(steps) = number("WITHY_STEPS") {
            world.steps = steps as usize;
        }
        let Err(cause) = catch_unwind(AssertUnwindSafe(|| world.run())) else { continue };
        let what = cause
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| cause.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        let steps = world.told().join("\n  ");
        panic!("{what}\nWITHY_SEED={seed} runs it again; what led to it:\n  {steps}");
    }
}

#[test]
fn merge_1_random_histories_merge_as_the_rules_say() {
    run(|seed| World::new(seed, 0));
}

/// So many keys that plans read them in groups, and the target's from its log.
#[test]
fn merge_1_random_histories_of_many_keys_merge_as_the_rules_say() {
    run(|seed| {
        let mut world = World::new(seed, 700);
        world.steps = 14;
        world
    });
}
