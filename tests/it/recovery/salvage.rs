//! `doctor`: what is wrong is named, and what can be saved is, with the damaged files kept as they were.

use std::fs;
use std::path::Path;
use std::process::Command;

use withy::{CheckupOptions, ErrorKind, GcOptions, Setting, Store};

use super::{copy, cut, flip, name, newest, open_buffered, scratch, size};
use crate::support::{must_fail, must_put, rows};

fn check(path: &Path) -> withy::Checkup {
    Store::checkup(path, CheckupOptions::default()).expect("there is a store")
}

#[test]
fn ops_2_salvage_keeps_the_damaged_log_aside_and_says_what_was_lost() {
    let dir = scratch();
    let path = dir.path().join("store");
    drop(open_buffered(&path));
    let store = open_buffered(&path);
    let main = store.main().expect("main");
    let log = newest(&path, ".log");
    let mut starts = vec![size(&log)];
    for n in 0..10 {
        must_put(&main, &format!("key-{n}"), "value");
        starts.push(size(&log));
    }
    drop((main, store));
    flip(&log, starts[6] * 8 + 70);
    let damaged = fs::read(&log).expect("read");
    let found = check(&path);
    let file = found.damage[0].file.clone();
    assert_eq!((file, found.damage[0].at), (Some(name(&log)), Some(starts[6])), "what is wrong");
    assert!(found.owner.is_none(), "nobody writes");

    let report = Store::salvage(&path).expect("it can be salvaged");
    assert_eq!(report.latest.get(), 6, "what is before the damage is left");
    let lost: Vec<u64> = report.lost.iter().map(|seq| seq.get()).collect();
    assert_eq!(lost, [8, 9, 10], "what can be read behind it is named");
    assert_eq!(report.damage, [], "and the store is whole");
    let aside = path.join(&report.dir).join(name(&log));
    assert_eq!(fs::read(aside).expect("read"), damaged, "the damaged log is kept as it was");
    assert_eq!(check(&path).damage, [], "doctor finds nothing more");
    let store = Store::open(&path).expect("opens");
    assert_eq!(rows(&store.main().expect("main")).len(), 6, "with its rows");
    must_put(&store.main().expect("main"), "key", "value");
    assert!(check(&path).owner.is_some(), "who writes is named");
    must_fail(Store::salvage(&path), ErrorKind::Busy);
}

#[test]
fn ops_2_what_retention_has_let_go_is_no_damage_to_a_salvage() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = open_buffered(&path);
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("count=2")).expect("a setting");
    let main = store.main().expect("main");
    for n in 0..10 {
        must_put(&main, "key", &format!("{n}"));
    }
    store.gc(GcOptions::default()).expect("it is collected");
    must_fail(store.view("seq:3"), ErrorKind::HistoryGone);
    let log = newest(&path, ".log");
    let end = size(&log);
    must_put(&main, "key", "last");
    drop((main, store));
    let report = Store::salvage(&path).expect("there is nothing to do");
    assert_eq!((report.done, report.damage), (vec![], vec![]), "of a whole store");
    flip(&log, end * 8 + 70);
    let report = Store::salvage(&path).expect("it can be salvaged");
    assert_eq!(report.latest.get(), 10, "what is before the damage is left");
    assert_eq!(report.damage, [], "and nothing is wrong with it");
}

#[test]
fn ops_2_salvage_mends_a_log_that_is_cut_or_missing_and_a_current_that_is_wrong() {
    let dir = scratch();
    let whole = dir.path().join("whole");
    drop(Store::open(&whole).expect("open"));
    let store = Store::open(&whole).expect("open");
    must_put(&store.main().expect("main"), "first", "value");
    let start = size(&newest(&whole, ".log"));
    must_put(&store.main().expect("main"), "second", "value");
    drop(store);
    for (what, left) in [("cut", 1), ("missing", 0), ("current", 2)] {
        let path = dir.path().join(what);
        copy(&whole, &path);
        match what {
            "cut" => cut(&newest(&path, ".log"), start),
            "missing" => fs::remove_file(newest(&path, ".log")).expect("rm"),
            _ => flip(&path.join("CURRENT"), 77),
        }
        must_fail(Store::open(&path), ErrorKind::Corrupt);
        let report = Store::salvage(&path).expect("it can be salvaged");
        assert_eq!(report.latest.get(), left, "{what}: what is left");
        assert!(!report.done.is_empty(), "{what}: what was done is told");
        let store = Store::open(&path).expect("opens");
        assert_eq!(store.latest().get(), left, "{what}: and stays");
    }
}

#[test]
fn ops_2_damage_in_data_is_named_with_file_and_branches_and_left_alone() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = open_buffered(&path);
    let main = store.main().expect("main");
    for n in 0..50 {
        must_put(&main, &format!("key-{n}"), &"x".repeat(100));
    }
    store.compact().expect("compact");
    drop((main, store));
    let mut named = 0;
    for entry in fs::read_dir(&path).expect("the directory can be read") {
        let file = entry.expect("an entry").path();
        if !file.to_string_lossy().ends_with(".sst") {
            continue;
        }
        flip(&file, 300);
        let deep = CheckupOptions::default().deep(true);
        let found = Store::checkup(&path, deep).expect("there is a store");
        let of = found.damage.iter().find(|d| d.file == Some(name(&file)));
        let of = of.unwrap_or_else(|| panic!("{} is named: {:?}", name(&file), found.damage));
        named += usize::from(of.branches == ["main"]);
        flip(&file, 300);
    }
    assert!(named > 0, "the branches that read it are named");
    let file = newest(&path, ".sst");
    fs::remove_file(&file).expect("rm");
    let refused = must_fail(Store::salvage(&path), ErrorKind::Corrupt);
    assert!(refused.to_string().contains(&name(&file)), "{refused}");
}

#[test]
fn cli_3_doctor_ends_with_4_on_damage_and_salvages_with_consent() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::open(&path).expect("open");
    must_put(&store.main().expect("main"), "key", "value");
    drop(store);
    let withy = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_withy"))
            .arg("--store")
            .arg(&path)
            .args(args)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.code(), text, String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, text, _) = withy(&["doctor", "--deep"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("no damage was found\n"), "{text}");
    let log = newest(&path, ".log");
    flip(&log, size(&log) * 8 - 20);
    let (code, text, error) = withy(&["doctor"]);
    assert_eq!(code, Some(4), "{text}{error}");
    assert!(text.contains(&format!("the file {} is damaged at byte ", name(&log))), "{text}");
    let (code, text, _) = withy(&["doctor", "--json"]);
    assert_eq!(code, Some(4), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["damage"][0]["file"], name(&log), "{text}");
    let (code, _, error) = withy(&["doctor", "--salvage"]);
    assert_eq!(code, Some(2), "without consent nothing is done: {error}");
    let (code, text, error) = withy(&["doctor", "--salvage", "--yes"]);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("kept as they were: "), "{text}");
    let (code, text, _) = withy(&["doctor"]);
    assert_eq!((code, text.contains("newest commit seq:0")), (Some(0), true), "{text}");
}
