//! OPS-2, OPS-8: files that say something about a store, damaged or missing, one by one. The store opens with
//! all that it had, or the open says what is wrong, and the salvage or the words on the error help.

use std::fs;
use std::path::{Path, PathBuf};

use withy::{CheckupOptions, ErrorKind, Store};

use super::{copy, cut, flip, name, newest, open_buffered, scratch, size};
use crate::support::{is_long, must_fail, must_get, must_put};

/// A closed store with a flushed commit and one that is in the log.
fn make(path: &Path) {
    let store = open_buffered(path);
    let main = store.main().expect("main");
    must_put(&main, "flushed", "one");
    store.compact().expect("compact");
    must_put(&main, "logged", "two");
}

#[track_caller]
fn must_have_all(path: &Path, when: &str) {
    let store = open_buffered(path);
    let main = store.main().expect("main");
    for (key, value) in [("flushed", "one"), ("logged", "two")] {
        assert_eq!(must_get(&main, key).as_deref(), Some(value), "{when}: all is there");
    }
    must_put(&main, "later", "value");
}

/// What is done to a file.
const DAMAGE: [&str; 4] = ["missing", "empty", "halved", "other text"];

fn damage(file: &Path, how: &str) {
    match how {
        "missing" => fs::remove_file(file).expect("rm"),
        "empty" => cut(file, 0),
        "halved" => cut(file, size(file) / 2),
        _ => fs::write(file, "nothing of what was here\n").expect("write"),
    }
}

/// Runs with a copy of a store for each damage, and each of some flipped bits, of one of its files.
fn with_each(file: impl Fn(&Path) -> PathBuf, check: impl Fn(&Path, &str)) {
    let dir = scratch();
    let whole = dir.path().join("whole");
    make(&whole);
    let path = dir.path().join("damaged");
    let bits = size(&file(&whole)) * 8;
    let step = (bits / if is_long() { 64 } else { 5 }).max(1) as usize;
    let flips = (0..bits).step_by(step).map(Some);
    for flipped in DAMAGE.iter().map(|_| None).chain(flips).enumerate() {
        copy(&whole, &path);
        let file = file(&path);
        let how = match flipped {
            (_, Some(bit)) => {
                flip(&file, bit);
                format!("bit {bit}")
            }
            (n, None) => {
                damage(&file, DAMAGE[n]);
                DAMAGE[n].to_owned()
            }
        };
        check(&path, &format!("{} {how}", name(&file)));
        fs::remove_dir_all(&path).expect("rm");
    }
}

/// It can be read and written without the file.
fn must_not_matter(file: impl Fn(&Path) -> PathBuf) {
    with_each(file, |path, when| {
        let reader = Store::options().read_only(true).open(path);
        let reader = reader.unwrap_or_else(|e| panic!("{when}: it can be read: {e:?}"));
        assert_eq!(reader.latest().get(), 2, "{when}: with all its commits");
        drop(reader);
        let found = Store::checkup(path, CheckupOptions::default()).expect("there is a store");
        assert_eq!(found.damage, [], "{when}: nothing is lost");
        must_have_all(path, when);
    });
}

#[test]
fn ops_2_a_store_does_without_the_files_that_rocksdb_writes_for_people() {
    must_not_matter(|path| path.join("IDENTITY"));
    must_not_matter(|path| {
        let names = fs::read_dir(path).expect("the directory can be read");
        let names = names.map(|entry| entry.expect("an entry").path());
        names.filter(|path| name(path).starts_with("OPTIONS-")).max().expect("there are options")
    });
}

#[test]
fn ops_2_a_store_does_without_the_text_of_its_lock_and_the_mark_of_what_is_synced() {
    must_not_matter(|path| path.join("withy.lock"));
    must_not_matter(|path| path.join("withy.synced"));
}

#[test]
fn ops_2_a_current_that_is_damaged_or_missing_is_named_and_written_again_by_salvage() {
    with_each(
        |path| path.join("CURRENT"),
        |path, when| {
            for read_only in [true, false] {
                let opened = Store::options().read_only(read_only).open(path);
                let refused = must_fail(opened, ErrorKind::Corrupt).to_string();
                let names_it = refused.contains("CURRENT") || refused.contains("database");
                assert!(names_it, "{when}: it is named: {refused}");
            }
            let found = Store::checkup(path, CheckupOptions::default()).expect("there is a store");
            assert_eq!(found.damage.len(), 1, "{when}: doctor names it: {:?}", found.damage);
            let report = Store::salvage(path).unwrap_or_else(|e| panic!("{when}: {e:?}"));
            assert_eq!((report.latest.get(), &report.lost[..]), (2, &[][..]), "{when}");
            let is_kept = report.aside == ["CURRENT"] || when.ends_with("missing");
            assert!(is_kept, "{when}: what it was is kept: {:?}", report.aside);
            must_have_all(path, when);
        },
    );
}

#[test]
fn ops_2_a_current_beside_two_manifests_is_not_guessed() {
    let dir = scratch();
    let path = dir.path().join("store");
    make(&path);
    let manifest = newest(&path, "").with_file_name("MANIFEST-999999");
    fs::copy(path.join("IDENTITY"), &manifest).expect("copy");
    fs::write(path.join("CURRENT"), "nonsense").expect("write");
    let refused = must_fail(Store::salvage(&path), ErrorKind::Corrupt);
    assert!(refused.to_string().contains("there are 2"), "{refused}");
    assert_eq!(fs::read(path.join("CURRENT")).expect("read"), b"nonsense", "nothing is changed");
}

#[test]
fn ops_2_a_marker_that_is_damaged_or_missing_never_makes_a_store_anew() {
    with_each(
        |path| path.join("withy.store"),
        |path, when| {
            let refused = Store::open(path);
            let Err(e) = refused else {
                drop(refused);
                return must_have_all(path, when);
            };
            assert_eq!(e.kind(), ErrorKind::Incompatible, "{when}: it is no store: {e:?}");
            assert!(e.hint().is_some_and(|hint| !hint.is_empty()), "{when}: and what to do");
            // What docs/operations.md says to do.
            fs::write(path.join("withy.store"), "withy store, format 1\n").expect("write");
            must_have_all(path, when);
        },
    );
}

#[test]
fn ops_2_a_salvage_that_was_stopped_is_named_and_goes_on() {
    let dir = scratch();
    let path = dir.path().join("store");
    make(&path);
    fs::write(path.join("withy.salvage"), "salvage-2026-01-01T00-00-00.000Z\n").expect("write");
    for read_only in [true, false] {
        let opened = Store::options().read_only(read_only).open(&path);
        let refused = must_fail(opened, ErrorKind::Corrupt);
        assert!(refused.to_string().contains("salvage"), "{refused}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("again")), "{refused:?}");
    }
    let found = Store::checkup(&path, CheckupOptions::default()).expect("there is a store");
    assert_eq!(found.damage.len(), 1, "doctor names it: {:?}", found.damage);
    let report = Store::salvage(&path).expect("it is ended");
    assert_eq!(report.done.len(), 1, "and told: {:?}", report.done);
    must_have_all(&path, "afterwards");
}
