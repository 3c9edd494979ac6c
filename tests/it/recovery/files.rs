//! Files that are missing or say something else: errors that name them, and nothing changed.

use std::fs;
use std::path::Path;

use withy::{ErrorKind, Store};

use super::{copy, flip, name, newest, open_buffered, scratch, size};
use crate::support::{must_fail, must_put};

/// A closed store with sorted files, a file of large values, and a log.
fn store_with_all(path: &Path) {
    let store = open_buffered(path);
    let main = store.main().expect("main");
    must_put(&main, "large", &"x".repeat(50_000));
    must_put(&main, "small", "y");
    store.compact().expect("compact");
    must_put(&main, "new", "z");
}

/// Both ways to open it are refused, and say this.
#[track_caller]
fn must_refuse(path: &Path, text: &str) {
    let open = |read_only| Store::options().read_only(read_only).open(path);
    for read_only in [false, true] {
        let refused = must_fail(open(read_only), ErrorKind::Corrupt);
        assert!(refused.to_string().contains(text), "{text}: {refused}");
        assert!(refused.hint().is_some_and(|hint| !hint.is_empty()), "{text}: and what to do");
    }
}

#[test]
fn ops_8_a_file_that_is_missing_is_named() {
    let dir = scratch();
    let whole = dir.path().join("whole");
    store_with_all(&whole);
    for suffix in [".sst", ".blob", ".log"] {
        let path = dir.path().join(&suffix[1..]);
        copy(&whole, &path);
        let file = newest(&path, suffix);
        fs::remove_file(&file).expect("rm");
        must_refuse(&path, &name(&file));
    }
    let manifest = fs::read_to_string(whole.join("CURRENT")).expect("CURRENT");
    let manifest = manifest.trim_end();
    let path = dir.path().join("manifest");
    copy(&whole, &path);
    fs::remove_file(path.join(manifest)).expect("rm");
    must_refuse(&path, &format!("{manifest}, which the file CURRENT names, is missing"));
    for text in ["", "MANIFEST-\n", "MANIFEST-000001", "nonsense\n", "../MANIFEST-000005\n"] {
        fs::write(path.join("CURRENT"), text).expect("write");
        must_refuse(&path, "the file CURRENT does not name a manifest");
    }
}

#[test]
fn ops_8_a_data_file_of_another_length_is_named() {
    let dir = scratch();
    let path = dir.path().join("store");
    store_with_all(&path);
    for suffix in [".sst", ".blob"] {
        let file = newest(&path, suffix);
        let bytes = fs::read(&file).expect("read");
        for len in [bytes.len() - 1, bytes.len() + 1, 0] {
            super::cut(&file, len as u64);
            let file = name(&file);
            must_refuse(&path, &format!("has {len} bytes instead of {}", bytes.len()));
            must_refuse(&path, &file);
        }
        fs::write(&file, bytes).expect("write");
    }
    drop(Store::open(&path).expect("with all of its files it opens"));
}

#[test]
fn ops_2_a_flipped_bit_in_the_manifest_is_refused_with_file_and_offset() {
    let dir = scratch();
    let path = dir.path().join("store");
    store_with_all(&path);
    let manifest = fs::read_to_string(path.join("CURRENT")).expect("CURRENT");
    let file = path.join(manifest.trim_end());
    let bytes = fs::read(&file).expect("read");
    let types = super::manifest::starts(&file).into_iter().map(|start| (start + 6) * 8 + 2);
    let types = types.filter(|bit| bit / 8 < bytes.len() as u64);
    for bit in (0..size(&file) * 8).step_by(31).chain(types) {
        flip(&file, bit);
        let refused = must_fail(Store::open(&path), ErrorKind::Corrupt);
        let text = refused.to_string();
        let named = text.contains(manifest.trim_end()) && text.contains("at byte");
        assert!(named, "bit {bit}: file and offset are named: {text}");
        must_fail(Store::options().read_only(true).open(&path), ErrorKind::Corrupt);
        flip(&file, bit);
    }
    Store::open(&path).expect("a refused open changes nothing");
}

#[test]
fn ops_1_a_manifest_with_a_torn_end_is_recovered() {
    let dir = scratch();
    let path = dir.path().join("store");
    store_with_all(&path);
    let manifest = fs::read_to_string(path.join("CURRENT")).expect("CURRENT");
    let file = path.join(manifest.trim_end());
    let mut bytes = fs::read(&file).expect("read");
    // The front of a record that the process was stopped in.
    bytes.extend([1, 2, 3, 4, 200, 0, 1, 9, 9, 9]);
    fs::write(&file, bytes).expect("write");
    let store = Store::open(&path).expect("the store opens");
    assert_eq!(store.latest().get(), 3, "with all its commits");
}
