//! A process that works through a seed is killed; another one, which has the model, goes on with its store.

use std::io::BufRead as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use super::{shape, world};
use crate::model::world::{OPTIONS, World};
use crate::support::process::{begin, say};
use crate::support::{Scratch, TickingClock};

/// Names the directory and the seed of the process that is killed.
const DIR: &str = "WITHY_TEST_EVERYTHING";
const SEED: &str = "WITHY_TEST_EVERYTHING_SEED";

/// Not a test by itself: the process that is killed.
#[test]
fn worker() {
    let (Ok(dir), Ok(seed)) = (std::env::var(DIR), std::env::var(SEED)) else { return };
    let seed: u64 = seed.parse().expect("a number");
    let dir = tempfile::tempdir_in(dir).expect("a directory is made");
    let mut world =
        World::in_store(seed, shape(), Scratch::in_dir(dir, TickingClock::new(), OPTIONS));
    world.more.tells = true;
    say("\nbegin\n");
    for _ in 0..world.shape.steps {
        world.step();
        world.check_refs();
    }
    say("end\n");
    // It waits for its end.
    std::thread::sleep(Duration::from_secs(600));
}

/// Runs a process on a seed and kills it; how many states it had acknowledged.
fn kill_one(dir: &Path, seed: u64, after: Duration) -> u64 {
    let (mut child, mut lines) = begin(
        "everything::kill::worker",
        &[(DIR, &*dir.to_string_lossy()), (SEED, &seed.to_string())],
    );
    let reader = std::thread::spawn(move || {
        let (mut marks, mut line) = (0, String::new());
        // A line without its end was cut off.
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            marks = line.trim_end().parse().unwrap_or(marks);
            line.clear();
        }
        marks
    });
    std::thread::sleep(after);
    assert!(child.try_wait().expect("it can be asked").is_none(), "the process is still at work");
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
    reader.join().expect("what it said was read")
}

/// The world of a seed after a kill somewhere in its steps: with the store of the process that was killed.
/// If it does not come to that, `trace` has the steps.
pub(super) fn killed(seed: u64, trace: &mut Vec<String>) -> World {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let mut world = world(seed);
    let after = Duration::from_micros(world.dice.u64(500..250_000));
    let acked = kill_one(dir.path(), seed, after);
    // The same steps again tell what it did, up to the one that was under way.
    let mut before = world.save();
    let mut passed = vec![before.clone()];
    let mut steps = 0;
    let done = catch_unwind(AssertUnwindSafe(|| {
        while world.more.marks <= acked && steps < world.shape.steps {
            before = world.save();
            world.more.passed = Some(vec![before.clone()]);
            world.step();
            world.check_refs();
            passed = world.more.passed.take().expect("it was begun");
            steps += 1;
        }
    }));
    if let Err(cause) = done {
        *trace = std::mem::take(&mut world.trace);
        std::panic::resume_unwind(cause);
    }
    world.note(format!("killed after {acked} acknowledged states, in step {steps}"));
    let at = passed.iter().rposition(|past| past.more.marks <= acked).expect("the first one");
    world.kept.clear();
    let clock = TickingClock::at(world.store.clock().peek());
    take_out(dir.path());
    world.store = Scratch::in_dir(dir, clock, OPTIONS);
    // Its backup has the same snapshots under the same numbers.
    before.more.snapshots = passed[at].more.snapshots.clone();
    world.go_on_from(&before, &passed[at..]);
    *world.counts.entry("(kill)".to_owned()).or_default() += 1;
    world
}

/// Moves what the process has made out of its own directory.
fn take_out(dir: &Path) {
    let own =
        std::fs::read_dir(dir).expect("a directory").next().expect("its own").expect("an entry");
    for entry in std::fs::read_dir(own.path()).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::rename(&path, dir.join(name)).expect("it is moved");
    }
}
