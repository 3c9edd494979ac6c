//! OPS-2: the power goes while several records of the manifest are not on disk yet, and leaves a later one
//! without an earlier one. A salvage cuts it there, if nothing is lost by that.

use std::fs;
use std::path::{Path, PathBuf};

use withy::exchange::{LoadOptions, load};
use withy::{ErrorKind, Store};

use super::manifest::{contents, manifest, must_be_right, starts, write};
use super::{copy, name, open_buffered, scratch, size, start_again};
use crate::support::must_fail;

/// A store as the power has left it in the middle of `work`: every file that there was before and after, and
/// how long the manifest was before.
fn cut_off(dir: &Path, work: impl FnOnce(&Store)) -> (PathBuf, u64) {
    let (live, path) = (dir.join("live"), dir.join("left"));
    drop(open_buffered(&live));
    let store = open_buffered(&live);
    write(&store, 1..=20);
    let before = dir.join("before");
    copy(&live, &before);
    let len = size(&manifest(&live));
    work(&store);
    copy(&live, &path);
    // Nothing was removed, for that comes after the manifest is on disk.
    for entry in fs::read_dir(&before).expect("the directory") {
        let file = entry.expect("an entry").path();
        if !path.join(name(&file)).exists() {
            fs::copy(&file, path.join(name(&file))).expect("copy");
        }
    }
    start_again(&path);
    (path, len)
}

/// Puts zeros, or other bytes, in the place of a record.
fn damage(path: &Path, (start, end): (u64, u64), zeros: bool) {
    let file = manifest(path);
    let mut bytes = fs::read(&file).expect("read");
    let (start, end) = (start as usize, end as usize);
    assert!(end < bytes.len(), "a record is behind it");
    match zeros {
        true => bytes[start..end].fill(0),
        false => bytes[start + 7..end].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x55),
    }
    fs::write(&file, bytes).expect("write");
}

/// Nobody opens it as it is; which commit is the newest that a salvage leaves. None if it says that something is
/// lost or wrong, or refuses, and leaves every byte where it was.
fn salvage(path: &Path, when: &str) -> Option<u64> {
    let whole = contents(path);
    for read_only in [true, false] {
        must_fail(Store::options().read_only(read_only).open(path), ErrorKind::Corrupt);
    }
    match Store::salvage(path) {
        // What is lost or still wrong is told.
        Ok(report) => {
            let is_right = report.damage.is_empty() && report.lost.is_empty();
            is_right.then_some(report.latest.get())
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{when}: {e:?}");
            assert!(contents(path) == whole, "{when}: every byte is where it was");
            None
        }
    }
}

#[test]
fn ops_2_a_record_of_the_manifest_without_the_one_before_it_is_cut_off_by_a_salvage() {
    let dir = scratch();
    let (left, before) = cut_off(dir.path(), |store| store.compact().expect("compact"));
    let starts: Vec<u64> =
        starts(&manifest(&left)).into_iter().filter(|start| *start >= before).collect();
    assert!(starts.len() > 4, "several records came: {starts:?}");
    let path = dir.path().join("damaged");
    let mut mended = 0;
    let records = starts.windows(2).map(|record| (record[0], record[1]));
    let last = starts[starts.len() - 2];
    // Of the last one, the beginning.
    let records = records.take(starts.len() - 2).chain([(last, last + 9)]);
    for (n, record) in records.enumerate() {
        for zeros in [true, false] {
            let when = format!("record {n}, zeros: {zeros}");
            copy(&left, &path);
            damage(&path, record, zeros);
            // Of a later step files of before it are gone: then it is refused.
            if salvage(&path, &when).is_some() {
                assert_eq!(must_be_right(&path, &when), 20, "{when}: nothing is lost");
                mended += 1;
            }
            fs::remove_dir_all(&path).expect("rm");
        }
    }
    assert!(mended >= 2, "a flush that was not on disk is done again: {mended}");
}

#[test]
fn ops_2_rows_that_were_taken_in_are_not_cut_off_with_their_name() {
    let dir = scratch();
    let (left, before) = cut_off(dir.path(), |store| {
        let row = |n: u32| Ok((format!("row/{n:05}").into_bytes(), vec![b'v'; 30]));
        load(
            store,
            "loaded",
            (0..30_000).map(row),
            LoadOptions::default().from("main").memory(1 << 16),
        )
        .expect("it is loaded");
    });
    let starts: Vec<u64> =
        starts(&manifest(&left)).into_iter().filter(|start| *start >= before).collect();
    let path = dir.path().join("damaged");
    let mut refused = 0;
    for record in starts.windows(2).take(starts.len().saturating_sub(2)) {
        copy(&left, &path);
        damage(&path, (record[0], record[1]), false);
        match salvage(&path, "a load") {
            Some(_) => {
                let store = open_buffered(&path);
                let loaded = store.view("loaded").expect("the branch is there");
                assert_eq!(loaded.len(), 30_005, "all of its rows are");
            }
            None => refused += 1,
        }
        fs::remove_dir_all(&path).expect("rm");
    }
    assert!(refused > 0, "the load was one of them: {starts:?}");
}
