//! Everything at once against plain maps, one for each commit: writes, transactions, branches, tags,
//! merges, undo, bulk loads, cursors, collections, purges, copies, and crashes in the middle of each.
//!
//! Two kinds of crash. In most the disk stops at a step of some operation, and the store is opened again:
//! as cheap as a reopen, so there are several for each seed, and a twin of the store tells what the
//! operation would have come to. In one seed of five a process that works through the seed is killed at
//! a random moment (SIGKILL), and its store is what the model goes on with.
//!
//! `WITHY_SEEDS=1000` runs so many seeds, half of them in each test; `WITHY_SEED=n` runs one again, and
//! tells all of its steps if it fails.

mod crash;
mod kept;
mod kill;
mod state;
mod steps;
mod upkeep;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use state::More;

use crate::model::world::{OPTIONS, Shape, World};
use crate::support::{Scratch, must_verify};

fn shape() -> Shape {
    Shape { everything: true, steps: 45, ..Shape::default() }
}

fn world(seed: u64) -> World {
    World::in_store(seed, shape(), Scratch::with(OPTIONS))
}

/// One seed; how often each kind of step was done.
fn run(seed: u64, trace: &mut Vec<String>) -> Counts {
    let mut world = if seed % 5 == 3 { kill::killed(seed, trace) } else { world(seed) };
    let done = catch_unwind(AssertUnwindSafe(|| {
        for step in 0..world.shape.steps {
            if world.dice.u8(0..12) == 0 {
                world.crash();
            } else {
                world.step();
                world.check_refs();
            }
            if step % 20 == 19 {
                world.check_some();
            }
        }
        world.observe();
        world.check_all();
        must_verify(&world.store);
        world.reopen();
        world.check_all();
    }));
    *trace = std::mem::take(&mut world.trace);
    for line in trace.iter() {
        let kind = line.split([' ', ',']).next().unwrap_or_default().to_owned();
        *world.counts.entry(kind).or_default() += 1;
    }
    if let Err(cause) = done {
        std::panic::resume_unwind(cause);
    }
    std::mem::take(&mut world.counts)
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(30),
    }
}

/// How often each kind of step was done.
type Counts = BTreeMap<String, u64>;

/// Runs every other seed; a failure names the seed and the last steps.
fn run_half(first: usize) -> Counts {
    let mut counts = Counts::new();
    for seed in seeds().skip(first).step_by(2) {
        let mut trace = Vec::new();
        let done = catch_unwind(AssertUnwindSafe(|| run(seed, &mut trace)));
        let done = done.unwrap_or_else(|cause| {
            let what = crash::words(&*cause);
            let told = if seeds().count() == 1 { trace.len() } else { 30 };
            let steps = trace[trace.len().saturating_sub(told)..].join("\n  ");
            panic!("{what}\nWITHY_SEED={seed} runs it again; the last steps were\n  {steps}");
        });
        for (kind, count) in done {
            *counts.entry(kind).or_default() += count;
        }
    }
    counts
}

/// Says to who looks at the output what was done.
fn tell(counts: &Counts) {
    let told = format!("{} seeds in two halves, one of them: {counts:?}\n", seeds().count());
    let _ = std::io::stderr().write_all(told.as_bytes());
}

#[test]
fn everything_at_once_matches_a_map_per_commit_even_seeds() {
    tell(&run_half(0));
}

#[test]
fn everything_at_once_matches_a_map_per_commit_odd_seeds() {
    tell(&run_half(1));
}
