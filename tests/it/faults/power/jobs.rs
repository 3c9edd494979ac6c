//! The power goes while one operation is at work, of those that are stopped at each step elsewhere too: what
//! is left is the old state or the new one, and the new one if the operation had come back.

use std::path::Path;

use super::super::content::scratch;
use super::super::points::{self, Job, Template};
use super::super::shim;
use super::disk::Disk;
use super::trace::{Op, kinds};
use super::{Traced, cut_at, salvage_if_refused, tell};
use crate::support::is_long;
use crate::support::process::say;

/// Name the store and the job of the process that is traced.
const STORE: &str = "WITHY_TEST_POWER_STORE";
const JOB: &str = "WITHY_TEST_POWER_JOB";

/// Not a test by itself: the process that is traced.
#[test]
fn worker() {
    let (Ok(path), Ok(name)) = (std::env::var(STORE), std::env::var(JOB)) else { return };
    let job = points::jobs().find(|job| job.name == name).expect("a job");
    let store = points::must_open(Path::new(&path));
    say("\nbegin\n");
    (job.run)(&store).expect("the job is done");
    say("done\n");
    store.close().expect("it closes");
}

/// Where in a trace something was said.
fn place_of(ops: &[Op], line: &str) -> usize {
    let says = |op: &Op| matches!(op, Op::Said(bytes) if bytes == line.as_bytes());
    ops.iter().position(says).expect("it was said")
}

/// Places to cut at: some right after the job has come back, and others behind something of each kind.
fn places(random: &mut fastrand::Rng, ops: &[Op], count: usize) -> Vec<usize> {
    let (begin, done) = (place_of(ops, "\nbegin\n"), place_of(ops, "done\n"));
    let mut kinds: Vec<Vec<usize>> = kinds(ops).into_values().collect();
    kinds.iter_mut().for_each(|places| places.retain(|&place| place > begin));
    kinds.retain(|places| !places.is_empty());
    let mut out = vec![done + 1; 1 + count / 4];
    while out.len() < count {
        let places = &kinds[random.usize(..kinds.len())];
        out.push(places[random.usize(..places.len())]);
    }
    out.sort_unstable();
    out
}

/// Cuts so often, in so many traces.
fn cut_job(library: &Path, job: &'static Job, cuts: usize, traces: usize) {
    let template = Template::make(job);
    let dir = scratch();
    let (mut acknowledged, mut salvaged) = (0, 0);
    for seed in 0..traces {
        let store = template.copy();
        let around = store.parent().expect("a directory").to_owned();
        let mut disk = Disk::default();
        disk.take(&around);
        let traced = Traced { library, test: "faults::power::jobs::worker", around: &around };
        let place = store.to_str().expect("a path of text");
        let ops = traced.run(dir.path(), &[(STORE, place), (JOB, job.name)]);
        let mut whole = Disk::default();
        whole.take(&around);
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut done = 0;
        for place in places(&mut random, &ops, cuts / traces) {
            ops[done..place].iter().for_each(|op| disk.step(op));
            done = place;
            let when = format!("{}, trace {seed}, cut at {place} of {}", job.name, ops.len());
            cut_at(&disk, &mut random, (&around, dir.path()), &when, |path, holes| {
                let is_done = disk.text().contains("\ndone\n");
                acknowledged += u32::from(is_done);
                salvaged += u32::from(salvage_if_refused(path, holes.manifest).is_some());
                if is_done {
                    template.must_be_done(path, &when);
                }
                template.check(path, is_done, &when);
            });
        }
        ops[done..].iter().for_each(|op| disk.step(op));
        disk.must_be(&whole, &around);
    }
    tell(&format!(
        "{cuts} power cuts, {}: {acknowledged} when it was done, 0 lost; {salvaged} salvaged\n",
        job.name
    ));
}

fn cut_group(group: &str) {
    let Some(library) = shim::library() else { return };
    for job in points::jobs().filter(|job| job.group == group) {
        match is_long() {
            true => cut_job(library, job, 200, 4),
            false => cut_job(library, job, 3, 1),
        }
    }
}

#[test]
fn ops_7_a_power_cut_in_a_collection_leaves_what_is_kept_and_the_next_ends_it() {
    cut_group("gc");
}

#[test]
fn ops_7_a_power_cut_in_a_purge_leaves_all_or_nothing_of_what_is_purged() {
    cut_group("purge");
}

#[test]
fn ops_5_a_power_cut_in_a_copy_leaves_it_whole_or_absent_and_the_store_as_it_was() {
    cut_group("copies");
}

#[test]
fn ops_1_a_power_cut_in_an_import_leaves_it_whole_or_absent() {
    cut_group("import");
}

#[test]
fn ops_1_a_power_cut_in_an_overlay_compaction_changes_nothing_that_is_read() {
    cut_group("overlay");
}

#[test]
fn ops_1_a_power_cut_in_a_prepared_transaction_leaves_it_prepared_or_ended() {
    cut_group("prepared");
}
