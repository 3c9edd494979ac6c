//! The scenarios of `fixtures/merge`, each with its report beside it as a snapshot.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use insta::{Settings, assert_snapshot};
use withy::testing::Scenario;
use withy::{ConflictKind, ErrorKind, Strategy, driver_fn, drivers};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/merge")
}

/// Files of `fixtures/merge` that end so, by the rest of their names.
fn files(extension: &str) -> Vec<String> {
    let entries = fs::read_dir(directory()).expect("directory is there");
    let paths = entries.map(|entry| entry.expect("entry can be read").path());
    let named = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    let name = |path: PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str());
        name.expect("names are text").to_owned()
    };
    let mut names: Vec<String> = named.map(name).collect();
    names.sort();
    names
}

fn must_run(name: &str) -> String {
    let path = directory().join(name).with_extension("scenario");
    let done = Scenario::load(&path).and_then(|scenario| scenario.run());
    done.unwrap_or_else(|e| panic!("{e}")).to_string()
}

#[test]
fn every_scenario_comes_to_what_its_snapshot_says() {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(directory());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let (mut wrong, mut contradictions) = (Vec::new(), Vec::new());
    let names = files("scenario");
    // Most of the time of a scenario goes by waiting for the disk.
    let reports = names.chunks(8).flat_map(|names| {
        std::thread::scope(|scope| {
            let running = names.iter().map(|name| scope.spawn(|| must_run(name)));
            let running: Vec<_> = running.collect();
            running.into_iter().map(|one| one.join().expect("it is told above")).collect::<Vec<_>>()
        })
    });
    for (name, report) in names.iter().zip(reports) {
        let loud = report.lines().filter(|line| line.trim_start().starts_with("! "));
        contradictions.extend(loud.map(|line| format!("{name}: {line}")));
        // All of them are looked at before the test fails, so that one review is enough.
        let looked_at = catch_unwind(AssertUnwindSafe(|| {
            settings.bind(|| assert_snapshot!(name.as_str(), report));
        }));
        wrong.extend(looked_at.err().map(|_| name));
    }
    assert!(contradictions.is_empty(), "withy contradicts itself: {contradictions:#?}");
    assert!(wrong.is_empty(), "other reports than before: {wrong:?}; see `cargo insta review`");
}

#[test]
fn no_snapshot_is_left_without_its_scenario() {
    assert_eq!(
        files("snap"),
        files("scenario"),
        "each scenario has a snapshot, and each its scenario"
    );
}

#[test]
fn every_kind_meets_every_strategy_and_every_driver() {
    let all = drivers::all();
    let names = all.iter().filter_map(|driver| driver.name().split('/').next());
    for driver in names.chain(["none"]) {
        let path = directory().join(format!("kinds-{driver}.snap"));
        let report = fs::read_to_string(path).expect("there is a file for each driver");
        let cells: Vec<&str> = report.split("=== ").skip(1).collect();
        assert_eq!(cells.len(), Strategy::ALL.len(), "{driver}: a cell for each strategy");
        for (cell, strategy) in cells.iter().zip(Strategy::ALL) {
            assert!(cell.starts_with(&format!("strategy {strategy}")), "{driver}: {strategy}");
            // The cell that it refers to is looked at itself.
            if cell.contains(": as under strategy ") {
                continue;
            }
            for kind in ConflictKind::ALL {
                assert!(cell.contains(&format!(": {kind}")), "{driver}, {strategy}: no {kind}");
            }
        }
    }
}

#[test]
fn a_scenario_gives_the_same_report_every_time() {
    for name in ["criss-cross", "open-pick", "large-values"] {
        assert_eq!(must_run(name), must_run(name), "{name}: nothing in it varies");
    }
}

#[test]
fn a_driver_of_ones_own_is_asked() {
    let text = "[base]\nscore = 1\n[ours]\nscore = 5\nword = a\n[theirs]\nscore = 7\nword = b\n\
                [merge]\ndriver = largest\n";
    let largest = driver_fn("largest/1", |_base, ours, theirs| {
        let digits = [ours, theirs].concat().iter().all(u8::is_ascii_digit);
        if digits { Ok(ours.max(theirs).to_vec()) } else { Err("it takes numbers only".into()) }
    });
    let report = Scenario::parse(text).unwrap().driver(largest).run().unwrap();
    assert_snapshot!(report.report(), @"
    merge theirs into ours
      conflicts, nothing written
      merge base: base#1
      settled:
        score: modify/modify, driver largest/1
          base, base#1 = 1
          ours, ours#1 = 5
          theirs, theirs#1 = 7
          result = 7
      conflicts:
        word: add/add
          base: absent
          ours, ours#1 = a
          theirs, theirs#1 = b
          largest/1 refuses: it takes numbers only
      the rest would be: modified score
      content: as before
    ");
    let unknown = Scenario::parse(text).unwrap().run().unwrap();
    assert!(unknown.report().contains("refused: no merge driver \"largest\""), "{unknown}");
}

#[test]
fn the_example_of_the_docs_comes_to_what_they_say() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing-merges.md");
    let docs = fs::read_to_string(docs).unwrap();
    let blocks: Vec<&str> = docs
        .split("```text\n")
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .filter(|block| block.starts_with("Two shops"))
        .collect();
    let [scenario, report] = blocks.as_slice() else { panic!("it and its report: {blocks:?}") };
    assert_eq!(Scenario::parse(scenario).unwrap().run().unwrap().report(), *report);
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.scenario");
    let fault = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let done = Scenario::load(&path).and_then(|scenario| scenario.run());
        let error = done.expect_err("it is refused");
        let text = error.to_string();
        let text = text.strip_prefix(path.to_str().unwrap()).expect("it names the file").to_owned();
        (error.kind(), text)
    };
    let invalid = |text: &str| (ErrorKind::Invalid, text.to_owned());
    assert_eq!(fault(b"[ours]\nk = \xff\n"), invalid(":2: not UTF-8"));
    assert_eq!(fault(b"[ours]\ndelete k\n"), invalid(":1: this changes nothing on ours"));
    assert_eq!(
        fault(b"[ours]\nk = 1\n[theirs from main]\nk = 2\n[merge]\nquiet = yes\n"),
        (ErrorKind::Precondition, ":5: merge theirs into ours has conflicts: k".into())
    );
    assert_eq!(fault(b"[a]\nk = 1\n[a from main]\n"), invalid(":3: a is there already"));
    let (kind, text) = fault(b"[a from nowhere]\nk = 1\n");
    assert_eq!(kind, ErrorKind::NotFound, "{text}");
    assert!(text.starts_with(":1: "), "{text}");
    fs::remove_file(&path).unwrap();
    let missing = Scenario::load(&path).expect_err("there is no file");
    assert_eq!(missing.kind(), ErrorKind::Io, "{missing}");
}
