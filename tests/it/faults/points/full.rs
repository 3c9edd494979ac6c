//! OPS-3: jobs on a disk with little room, from none at all on until there is enough of it.
//!
//! By default the room grows by a factor, with `WITHY_LONG=1` by 16 KiB. There is space again afterwards.

use std::fs;
use std::io::Write as _;

use withy::ErrorKind;

use super::jobs::Job;
use super::refused::{commit_on, must_be_of_disk, must_have_acked, shown_after};
use super::state::State;
use super::{Template, jobs, must_open};
use crate::full_disk::SmallDisk;
use crate::support::is_long;

/// MiB of the disk: RocksDB cannot reserve space for its log beforehand on one as small as this.
const DISK: u32 = 32;

/// The room that is tried next.
fn more(room: u64) -> u64 {
    if is_long() { room + (16 << 10) } else { room + room / 2 + (16 << 10) }
}

impl Template {
    /// Whether the job comes to its end with so much room.
    fn has_room(&self, disk: &SmallDisk, room: u64) -> bool {
        let when = format!("{}, {} KiB are free", self.job.name, room >> 10);
        let path = self.copy_to(disk.path().join("around"));
        let store = must_open(&path);
        let filler = disk.fill_up_to(room);
        let done = (self.job.run)(&store);
        let mut halted = false;
        if let Err(e) = &done {
            let kind = must_be_of_disk(e, &when);
            halted = kind != ErrorKind::Io;
            let text = format!("{e:?}, {:?}", e.hint()).to_lowercase();
            let told = text.contains("no space left") || text.contains("free some space");
            assert!(told || e.kind() == ErrorKind::Halted, "{when}: in words: {e:?}");
            let shown = shown_after(&store, self.job, kind);
            let right = State::may_show(&shown, &self.before, &self.after, self.job);
            assert!(right, "{when}, {e:?}: reads go on: {shown:#?}");
        }
        let mend = || fs::remove_file(&filler).expect("there is space");
        let acked = commit_on(&store, halted, mend, &when);
        drop(store);
        must_have_acked(&path, &acked, &when);
        self.check(&path, done.is_ok(), &when);
        done.is_ok()
    }
}

/// Does the jobs of some groups with more and more room.
fn fill(is_meant: impl Fn(&Job) -> bool) {
    for job in jobs().filter(|job| is_meant(job)) {
        let Some(disk) = SmallDisk::mount(DISK) else { return };
        let template = Template::make(job);
        let (mut room, mut tried) = (0, 1);
        while !template.has_room(&disk, room) {
            room = more(room);
            assert!(room <= u64::from(DISK) << 20, "{}: the whole disk is not enough", job.name);
            tried += 1;
        }
        let text = format!("{}: {tried} tried, {} KiB are enough\n", job.name, room >> 10);
        let _ = std::io::stderr().write_all(text.as_bytes());
        let writes = !["pruning", "verification of a backup"].contains(&job.name);
        assert_eq!(room > 0, writes, "{}: whether it needs room", job.name);
    }
}

#[test]
fn ops_3_commits_merges_and_refs_on_a_full_disk_are_whole_or_absent() {
    let groups = ["commit", "merge", "cursors", "refs", "prepared"];
    // Each of the last two takes one write of some bytes.
    let groups = if is_long() { &groups[..] } else { &groups[..3] };
    fill(|job| groups.contains(&job.group));
}

#[test]
fn ops_3_an_import_on_a_full_disk_is_whole_or_absent() {
    fill(|job| job.group == "import");
}

#[test]
fn ops_3_a_collection_on_a_full_disk_is_gone_on_with() {
    fill(|job| job.group == "gc");
}

#[test]
fn ops_3_a_purge_on_a_full_disk_is_finished_by_the_next_open() {
    fill(|job| job.group == "purge");
}

#[test]
fn ops_3_a_compaction_on_a_full_disk_is_not_said_to_be_done() {
    fill(|job| ["compaction", "overlay"].contains(&job.group));
}

#[test]
fn ops_3_a_copy_on_a_full_disk_is_whole_or_absent() {
    fill(|job| job.group == "copies");
}
