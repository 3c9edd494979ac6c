//! OPS-3: an export to a file, as the command line does it, whose calls fail. The file is the new one or what
//! it was before.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use withy::exchange::{LoadOptions, load};
use withy::{Durability, Store};

use super::shim;
use crate::support::is_long;

/// The process that exports to `out/rows.FORMAT` in a directory.
fn export(library: &Path, dir: &Path, format: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_withy"));
    command
        .current_dir(dir)
        .args(["--store", "store", "export", &format!("out/rows.{format}")])
        .env("LD_PRELOAD", library)
        .env("WITHY_SHIM_UNDER", dir.join("out"));
    command
}

/// All that is in the directory of exports.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir.join("out")).expect("the directory is read");
    let mut out: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("a file"))
        })
        .collect();
    out.sort();
    out
}

/// What a process that must come to its end says on standard error, and its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[test]
fn ops_3_an_export_whose_calls_fail_leaves_the_file_as_it_was() {
    let Some(library) = shim::library() else { return };
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let dir = scratch.path();
    let store = Store::options().durability(Durability::Buffered).open(dir.join("store"));
    let store = store.expect("the store opens");
    let row = |n: u32| Ok((format!("row/{n:06}").into_bytes(), format!("{n}").into_bytes()));
    load(&store, "main", (0..20_000).map(row), LoadOptions::default()).expect("it is loaded");
    store.close().expect("it closes");
    for format in ["jsonl", "csv", "git"] {
        let _ = fs::remove_dir_all(dir.join("out"));
        fs::create_dir(dir.join("out")).expect("mkdir");
        let count = dir.join("count");
        let done = export(library, dir, format).env("WITHY_SHIM_COUNT", &count).output();
        assert_eq!(said(&done.expect("it runs")).1, Some(0), "{format}: without faults");
        let whole = files(dir);
        let name = format!("rows.{format}");
        let old = vec![(name.clone(), b"what was there".to_vec())];
        let counts = fs::read_to_string(&count).expect("the calls were counted");
        for fault in ["ENOSPC write on", "EIO write once", "EIO rename once", "EIO open once"] {
            let [error, call, how] = fault.split(' ').collect::<Vec<_>>()[..] else { continue };
            let calls = counts.lines().find_map(|line| line.strip_prefix(call)).expect("a line");
            let calls: usize = calls.trim().parse().expect("a number");
            assert!(calls > 0, "{format}: there are calls of {call}");
            let stride = if is_long() { 1 } else { calls.div_ceil(3) };
            // The last ones, too: what is written as the file is closed.
            for number in (1..=calls).rev().step_by(stride) {
                fs::write(dir.join("out").join(&name), "what was there").expect("a file");
                let fail = format!("{error} {call} {number} {how}");
                let failed = export(library, dir, format).env("WITHY_SHIM_FAIL", &fail).output();
                let (text, code) = said(&failed.expect("it runs"));
                assert_eq!(code, Some(5), "{format}, {fail}: it is said: {text}");
                let verb = if call == "write" { "export" } else { "write out/" };
                assert!(text.starts_with(&format!("error: {verb}")), "{format}, {fail}: {text}");
                let reason = if error == "EIO" { "(os error 5)" } else { "(os error 28)" };
                assert!(text.contains(reason), "{format}, {fail}: and why: {text}");
                assert!(files(dir) == old, "{format}, {fail}: the file is as it was, and alone");
                let again = export(library, dir, format).output().expect("it runs");
                assert_eq!(said(&again).1, Some(0), "{format}, {fail}: the next run");
                assert!(files(dir) == whole, "{format}, {fail}: writes all of it");
            }
        }
    }
}
