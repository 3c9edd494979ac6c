//! OPS-4: large values are in files that a reader opens late, when its writer may have replaced them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use withy::{ErrorKind, GcOptions, KeyRange, PurgeOptions, Read, Setting, Store};

use crate::ownership::{listing, scratch};
use crate::support::{must_fail, must_verify, rows};

/// The files of large values.
fn files(store: &Path) -> BTreeSet<PathBuf> {
    let all = listing(store).into_iter().map(|(file, ..)| file);
    all.filter(|file| file.extension().is_some_and(|end| end == "blob")).collect()
}

fn large(number: u32) -> String {
    format!("large value {number} ").repeat(5_000)
}

fn set(store: &Store, setting: Setting, value: &str) {
    store.set_config(setting, Some(value)).expect("a setting");
}

/// Writes all files of large values anew, as a purge does.
fn replace(store: &Store, path: &Path) {
    let old = files(path);
    assert!(!old.is_empty(), "there are files of large values");
    store.main().expect("main").put("secret", large(0)).expect("it is put");
    store.purge(&KeyRange::prefix("secret"), PurgeOptions::default()).expect("purged");
    assert!(files(path).is_disjoint(&old), "none of them is there any more");
}

fn three(path: &Path) -> Store {
    let store = Store::open(path).expect("it opens");
    let main = store.main().expect("main");
    (1..4).for_each(|n| {
        main.put(format!("key/{n}"), large(n)).expect("it is put");
    });
    store.compact().expect("all is in files");
    store
}

#[test]
fn ops_4_a_reader_finds_large_values_that_the_writer_has_moved() {
    let (_dir, path) = scratch();
    let store = three(&path);
    let readers = [0; 2].map(|_| Store::options().read_only(true).open(&path).expect("it opens"));
    let expected: Vec<_> = (1..4).map(|n| (format!("key/{n}"), large(n))).collect();
    // The second time, the files are gone in which it was found the first time.
    for time in 1..=2 {
        replace(&store, &path);
        for reader in &readers {
            let found = rows(&reader.main().expect("main"));
            assert!(found == expected, "as it was when it was opened, after {time} purges");
            must_verify(reader);
        }
    }
    must_verify(&store);
}

#[test]
fn ops_4_a_reader_is_told_that_a_large_value_was_collected() {
    let (_dir, path) = scratch();
    let store = three(&path);
    let reader = Store::options().read_only(true).open(&path).expect("it opens");
    let main = store.main().expect("main");
    set(&store, Setting::Retention, "count=1");
    set(&store, Setting::UndoAge, "0s");
    (1..4).for_each(|n| {
        main.put(format!("key/{n}"), "small").expect("it is put");
    });
    store.gc(GcOptions::default()).expect("collected");
    replace(&store, &path);
    let refused = must_fail(reader.main().expect("main").get(b"key/1"), ErrorKind::Io);
    assert!(refused.to_string().contains("a file is not there any more"), "{refused}");
    let hint = refused.hint().expect("what to do");
    assert!(hint.contains("a reader beside a writer opens the store again"), "{hint}");
    must_verify(&reader);
    let again = Store::options().read_only(true).open(&path).expect("it opens");
    assert_eq!(again.main().expect("main").get(b"key/1").expect("it reads"), Some(b"small".into()));
}
