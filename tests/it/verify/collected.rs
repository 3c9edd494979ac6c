//! Stores of which something was let go: whole ones are clean, and damage to what is kept is found and named.

use std::ops::ControlFlow;
use std::path::Path;

use withy::{Check, ErrorKind, GcOptions, Setting, TagOptions};

use super::{Case, told, verify_at};
use crate::support::raw::Raw;
use crate::support::{Scratch, must_branch, must_delete, must_put, must_write};

/// On main, commits 1 to 16: `n` is each of them in turn, `old` is of the first, `gone` is deleted by the last. A tag is
/// at 4, a branch starts at 6, and the newest three are kept.
fn collected() -> Scratch {
    let mut store = Scratch::new();
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("branch=main count=3; count=1")).expect("a setting");
    let main = store.main().expect("main");
    must_write(&main, "first", &[("n", Some("n1")), ("old", Some("old")), ("gone", Some("gone"))]);
    for n in 2..=6 {
        must_put(&main, "n", &format!("n{n}"));
    }
    store.create_tag("four", "seq:4", TagOptions::default()).expect("a tag");
    must_branch(&store, "topic", "seq:6");
    for n in 7..=15 {
        must_put(&main, "n", &format!("n{n}"));
    }
    must_delete(&main, "gone");
    let topic = store.branch("topic").expect("topic");
    must_put(&topic, "own", "topic");
    let done = store.gc(GcOptions::default()).expect("a collection");
    assert_eq!(done.commits, 11, "of 16 on main the newest three, the tag and the fork are kept");
    drop((main, topic));
    store.close();
    store
}

fn old(key: &str, seq: u64) -> Vec<u8> {
    [&[0; 8], key.as_bytes(), &[0, 0], &(u64::MAX - seq).to_be_bytes()].concat()
}

fn log(seq: u64) -> Vec<u8> {
    [&seq.to_be_bytes()[..], &[0; 4]].concat()
}

/// What is gone of main: one floor, 14; 0, 4 and 6 are kept.
const GONE: [u8; 9] = [b'g', 0, 0, 0, 0, 0, 0, 0, 0];

#[rustfmt::skip]
const CASES: &[Case<fn(&Raw)>] = &[
    Case { name: "a version that only a tag shows is missing", check: Check::Rows, invariant: 60, says: "is missing", touches: &["four"],
        damage: |raw| raw.delete("history", &old("n", 4)) },
    Case { name: "a version is missing that no commit wrote which is kept", check: Check::Rows, invariant: 60, says: "what is shown before commit 16", touches: &["main"],
        damage: |raw| raw.delete("history", &old("gone", 1)) },
    Case { name: "a version has changed that no commit wrote which is kept", check: Check::Rows, invariant: 60, says: "what is shown before commit 16", touches: &["main"],
        damage: |raw| raw.edit("history", &old("gone", 1), |row| { let end = row.len() - 1; row[end] ^= 1 }) },
    Case { name: "the version that the first commit of those in a row replaced is missing", check: Check::Rows, invariant: 60, says: "what is shown before commit 14", touches: &["main"],
        damage: |raw| raw.delete("history", &old("n", 13)) },
    Case { name: "a version is in the way of one that a tag shows", check: Check::Rows, invariant: 10, says: "is not older than the version", touches: &["four"],
        damage: |raw| raw.put("history", &old("old", 3), b"\x11new") },
    Case { name: "a row of head has changed that no commit wrote which is kept", check: Check::Content, invariant: 6, says: "its newest commit says", touches: &["main"],
        damage: |raw| raw.edit("head", &[&[0; 8], &b"old"[..]].concat(), |row| { let end = row.len() - 1; row[end] ^= 1 }) },
    Case { name: "the record of a commit that a tag is at is missing", check: Check::Log, invariant: 1, says: "commit 4 of line 0 is missing", touches: &["four"],
        damage: |raw| raw.delete("log", &log(4)) },
    Case { name: "the root commit is missing", check: Check::Log, invariant: 1, says: "root commit", touches: &[],
        damage: |raw| raw.delete("log", &log(0)) },
    Case { name: "a commit is missing above the last gap", check: Check::Log, invariant: 1, says: "commit 15 is missing", touches: &[],
        damage: |raw| raw.delete("log", &log(15)) },
    Case { name: "a tag is said to be gone", check: Check::Refs, invariant: 64, says: "tag four is at commit 4", touches: &["four"],
        damage: |raw| edit_gone(raw, &[0, 6], 14) },
    Case { name: "a fork is said to be gone", check: Check::Lines, invariant: 11, says: "said to be gone", touches: &["topic"],
        damage: |raw| edit_gone(raw, &[0, 4], 14) },
    Case { name: "a commit is said to be kept, and is not there", check: Check::Log, invariant: 1, says: "commit 5 of line 0 is missing", touches: &["topic"],
        damage: |raw| edit_gone(raw, &[0, 4, 5, 6], 14) },
    Case { name: "more is said to be there than is", check: Check::Log, invariant: 1, says: "commit 12 of line 0 is missing", touches: &["main"],
        damage: |raw| edit_gone(raw, &[0, 4, 6], 12) },
    Case { name: "more is said to be gone than is", check: Check::Index, invariant: 1, says: "said to be gone", touches: &["main"],
        damage: |raw| edit_gone(raw, &[0, 4, 6], 16) },
    Case { name: "a head is said to be gone", check: Check::Index, invariant: 1, says: "said to be gone", touches: &["main"],
        damage: |raw| edit_gone(raw, &[0, 4, 6], 18) },
    Case { name: "what is kept is not in order", check: Check::Lines, invariant: 11, says: "is not in order", touches: &["main"],
        damage: |raw| edit_gone(raw, &[4, 0, 6], 14) },
    Case { name: "what is gone does not decode", check: Check::Form, invariant: 59, says: "does not decode", touches: &["main"],
        damage: |raw| raw.put("refs", &GONE, b"\x01\x09") },
    Case { name: "something is gone of no line", check: Check::Lines, invariant: 64, says: "which is not there", touches: &[],
        damage: |raw| { let row = raw.get("refs", &GONE); raw.put("refs", &[&b"g"[..], &99u64.to_be_bytes()].concat(), &row) } },
    Case { name: "a living line is said to be dead", check: Check::Refs, invariant: 64, says: "branch topic is on line", touches: &["topic"],
        damage: |raw| raw.put("refs", &[&b"g"[..], &1u64.to_be_bytes()].concat(), &[1, 0, 0, 0, 1]) },
    Case { name: "the start of the log does not decode", check: Check::Form, invariant: 59, says: "does not decode", touches: &[],
        damage: |raw| raw.put("meta", b"log-start", b"\x01") },
    Case { name: "the ids of commits that are kept are missing", check: Check::Index, invariant: 63, says: "is not what their ids are", touches: &[],
        damage: |raw| { let key = raw.keys("refs", b"i").remove(0); raw.edit("refs", &key, |row| { row.truncate(2); row[1] = 0 }) } },
];

/// Writes that all keys of main have one floor, and which commits are kept below.
fn edit_gone(raw: &Raw, kept: &[u8], floor: u8) {
    let row = raw.get("refs", &GONE);
    assert_eq!(row, [1, 1, 0, 14, 3, 0, 4, 6, 0, 0], "what was written of it");
    let count = u8::try_from(kept.len()).expect("a few");
    let row = [&[1, 1, 0, floor, count], kept, &[0, 0]].concat();
    raw.put("refs", &GONE, &row);
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("the directory can be made");
    for entry in std::fs::read_dir(from).expect("the store is there") {
        let entry = entry.expect("the entry can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
    }
}

#[test]
fn ops_6_damage_to_what_a_collection_has_kept_is_found_and_named() {
    let store = collected();
    let clean = verify_at(&store.path());
    assert!(clean.is_clean(), "nothing is wrong:\n{}", told(&clean.findings));
    assert_eq!(clean.commits, 7, "six that are kept of main with the root, and that of topic");
    let mut failures = String::new();
    for case in CASES {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let path = dir.path().join("store");
        copy(&store.path(), &path);
        let raw = Raw::open(&path);
        (case.damage)(&raw);
        drop(raw);
        let report = verify_at(&path);
        failures.extend(case.missed(&report));
    }
    assert!(failures.is_empty(), "damage is named:\n{failures}");
}

#[test]
fn ops_6_a_store_is_clean_wherever_a_collection_was_stopped() {
    for stop in 0u32.. {
        let store = Scratch::new();
        store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
        let main = store.main().expect("main");
        for n in 0..4 {
            let name = format!("t{n}");
            let topic = must_branch(&store, &name, "main");
            must_put(&topic, "n", &name);
            must_put(&main, "n", &n.to_string());
            must_put(&main, "m", &n.to_string());
            must_delete(&main, "m");
            if n < 3 {
                store
                    .delete_branch(&name, withy::DeleteOptions::default().force(true))
                    .expect("it goes");
            }
        }
        store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
        let mut calls = 0;
        let options = GcOptions::default().compact(false).progress(|_| {
            calls += 1;
            if calls > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let done = store.gc(options);
        crate::support::must_verify(&store);
        match done {
            Ok(_) => return assert!(stop > 5, "it can be stopped in several places"),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Interrupted, "{e:?}"),
        }
    }
}
