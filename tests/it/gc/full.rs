//! Collection and purge on a disk that does not take the files they write anew: they say so, and come to
//! their end once there is space.

use std::ops::Range;
use std::path::Path;

use withy::{
    Batch, Branch, CommitOptions, DeleteOptions, ErrorKind, GcOptions, KeyRange, PurgeOptions,
    Read, Setting, Store,
};

use super::purge::{found_in, secret};
use crate::full_disk::SmallDisk;
use crate::support::{must_branch, must_fail, must_get, must_put, must_verify};

/// Puts so many MiB of rows that do not compress on a branch.
fn fill(branch: &Branch, pieces: Range<u64>) {
    for piece in pieces {
        let mut batch = Batch::new();
        for n in 0..1 << 10 {
            let mut random = fastrand::Rng::with_seed(piece << 10 | n);
            let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 10).collect();
            batch.put(format!("row/{piece:03}/{n:04}"), value);
        }
        branch.write(batch, CommitOptions::default()).expect("it is written");
    }
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the directory");
    entries.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum()
}

#[test]
fn ops_7_a_purge_that_the_disk_has_no_room_for_is_not_done_until_there_is() {
    let Some(disk) = SmallDisk::mount(200) else { return };
    let secrets = KeyRange::prefix("secret/");
    let store = Store::open(disk.store()).expect("open");
    let main = store.main().expect("main");
    fill(&main, 0..24);
    must_put(&main, "secret/a", &secret(1));
    must_put(&main, "z", "1");
    store.compact().expect("one file has all of it");
    drop((main, store));
    let store = Store::open(disk.store()).expect("it opens with a short log");
    let main = store.main().expect("main");
    assert!(found_in(&disk.store()) > 0, "the disk has it");
    let filler = disk.fill_up_to(13 << 20);
    let full = must_fail(store.purge(&secrets, PurgeOptions::default()), ErrorKind::Io);
    assert!(full.to_string().starts_with("cannot compact the store: "), "it says so: {full}");
    assert!(full.hint().is_some_and(|hint| hint.contains("free some space")), "and what to do");
    let is_done = |store: &Store| {
        let purges = store.purges().expect("the purges");
        purges.iter().map(|purge| purge.is_done).collect::<Vec<_>>()
    };
    assert_eq!(is_done(&store), [false], "it is under way");
    assert_eq!(must_get(&main, "secret/a"), None, "reads find nothing");
    must_put(&main, "z", "2");
    assert!(found_in(&disk.store()) > 0, "the disk has it still");
    drop((main, store));

    let store = Store::open(disk.store()).expect("it opens on the full disk");
    assert!(store.recovery().purging, "and tells that it could not go on");
    assert_eq!(is_done(&store), [false], "it is under way");
    let main = store.main().expect("main");
    must_put(&main, "z", "3");
    drop((main, store));

    std::fs::remove_file(filler).expect("there is space");
    let store = Store::open(disk.store()).expect("open");
    assert!(!store.recovery().purging, "now it has come to its end");
    assert_eq!(is_done(&store), [true], "and says so");
    assert_eq!(found_in(&disk.store()), 0, "nothing is left on the disk");
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "z"), Some("3".into()), "what was acknowledged meanwhile");
    assert_eq!(main.prefix(b"row/").expect("a scan").count(), 24 << 10, "all else is there");
    must_verify(&store);
}

#[test]
fn ops_7_a_collection_that_the_disk_has_no_room_for_is_gone_on_with() {
    let Some(disk) = SmallDisk::mount(200) else { return };
    let store = Store::open(disk.store()).expect("open");
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    let main = store.main().expect("main");
    fill(&main, 0..13);
    fill(&must_branch(&store, "load", "main"), 13..43);
    // The newest commit of a store stays.
    must_put(&main, "z", "0");
    store.delete_branch("load", DeleteOptions::default().force(true)).expect("it is deleted");
    store.compact().expect("one file has all of it");
    drop((main, store));
    let store = Store::open(disk.store()).expect("it opens with a short log");
    let main = store.main().expect("main");
    let before = size(&disk.store());
    let filler = disk.fill_up_to(9 << 20);
    let full = must_fail(store.gc(GcOptions::default()), ErrorKind::Io);
    assert!(full.to_string().starts_with("cannot compact the store: "), "it says so: {full}");
    must_put(&main, "z", "1");
    std::fs::remove_file(filler).expect("there is space");
    let done = store.gc(GcOptions::default()).expect("a collection");
    assert!(done.resumed, "it goes on");
    assert!(size(&disk.store()) < before / 2, "the space is given back");
    assert_eq!(must_get(&main, "z"), Some("1".into()), "what was acknowledged meanwhile");
    assert_eq!(main.prefix(b"row/").expect("a scan").count(), 13 << 10, "all else is there");
    must_verify(&store);
}
