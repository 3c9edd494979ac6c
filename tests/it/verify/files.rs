//! OPS-6, INV-53: every byte of a data file counts, also where reading does without it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use withy::{Check, ErrorKind, Store, TagOptions, VerifyOptions};

use super::{told, verify_at};
use crate::support::{must_branch, must_fail, must_put};

/// Files of rows, by name.
fn tables(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).expect("the directory can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut out: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    out.sort();
    out
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("read");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("write");
}

/// A store with a branch, a tag, and a filter of some size.
fn make(path: &Path) {
    let store = Store::open(path).expect("open");
    let main = store.main().expect("main");
    let mut tx = store.begin("main").expect("begin");
    for n in 0..2_000 {
        tx.put(format!("key-{n:04}"), "v").expect("put");
    }
    tx.commit(withy::CommitOptions::default()).expect("commit");
    store.create_tag("v1", "main", TagOptions::default()).expect("tag");
    must_put(&main, "other", "value");
    drop(must_branch(&store, "topic", "main"));
    store.compact().expect("compact");
}

/// A place in a file that reading every row does without.
fn unread(store: &Path) -> (PathBuf, usize) {
    let quick = || Store::verify_at(store, VerifyOptions::default().quick(true).threads(1));
    for file in tables(store) {
        let len = fs::metadata(&file).expect("it is there").len() as usize;
        for at in (0..len).rev().step_by(len / 12 + 1) {
            flip(&file, at);
            let is_missed = quick().is_ok_and(|report| report.is_clean());
            flip(&file, at);
            if is_missed {
                return (file, at);
            }
        }
    }
    panic!("there is a filter");
}

#[test]
fn ops_6_a_flipped_bit_of_a_filter_is_found_and_named_with_file_and_branches() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    make(&path);
    let report = verify_at(&path);
    assert!(report.is_clean(), "before: {}", told(&report.findings));
    let (file, at) = unread(&path);
    flip(&file, at);
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let report = verify_at(&path);
    let [found] = &report.findings[..] else { panic!("one: {}", told(&report.findings)) };
    assert_eq!((found.check, found.invariant), (Check::Readable, 53), "{found}");
    assert!(found.what.contains(&name), "the file is named: {found}");
    assert_eq!(found.family, "head", "and the family: {found}");
    assert_eq!(found.branches, ["main", "topic"], "and who reads it: {found}");
    assert_eq!(found.tags, ["v1"], "and which tags: {found}");
    let of_branch = |name| Store::verify_at(&path, VerifyOptions::default().branch(name));
    assert_eq!(of_branch("topic").expect("verify").found, 1, "a branch that reads it is not clean");
    // A store that is open is looked at on the disk too, whatever its cache holds.
    let store = Store::open(&path).expect("opens");
    let report = store.verify(VerifyOptions::default()).expect("verify");
    assert_eq!(report.found, 1, "in an open store: {}", told(&report.findings));
}

#[test]
fn cli_4_reading_the_files_can_be_interrupted() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    make(&path);
    let stop = VerifyOptions::default().progress(|_| ControlFlow::Break(()));
    must_fail(Store::verify_at(&path, stop), ErrorKind::Interrupted);
    assert!(verify_at(&path).is_clean(), "and the store is whole");
}
