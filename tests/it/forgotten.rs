//! A test file that nobody declares is never run; here that is a failure.

use std::fs;
use std::path::Path;

/// The files below `dir` whose module is not declared by the file above them.
fn undeclared(dir: &Path, declared_in: &Path, out: &mut Vec<String>) {
    let text = fs::read_to_string(declared_in).unwrap_or_default();
    let declares = |name: &str| {
        text.lines().map(str::trim).any(|line| {
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) == Some(name)
        })
    };
    for entry in fs::read_dir(dir).expect("directory is there") {
        let path = entry.expect("entry can be read").path();
        let name = path.file_stem().and_then(|s| s.to_str()).expect("names are text").to_owned();
        if path == declared_in {
            continue;
        }
        if path.is_dir() {
            let inner = path.join("mod.rs");
            let beside = path.with_extension("rs");
            let above = if inner.exists() { inner } else { beside };
            // A directory without Rust files holds data.
            let holds_code = fs::read_dir(&path).expect("directory is there").any(|e| {
                e.expect("entry can be read").path().extension().is_some_and(|e| e == "rs")
            });
            if holds_code {
                if !declares(&name) {
                    out.push(format!("{}: no `mod {name};`", path.display()));
                }
                undeclared(&path, &above, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !declares(&name) {
            out.push(format!("{}: no `mod {name};`", path.display()));
        }
    }
}

#[test]
fn every_test_file_is_declared() {
    let it = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut out = Vec::new();
    undeclared(&it, &it.join("main.rs"), &mut out);
    assert!(out.is_empty(), "a file that is not declared is never run:\n{}", out.join("\n"));
}

#[test]
fn every_fixture_directory_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("fixtures/README.md")).expect("fixtures/README.md");
    for entry in fs::read_dir(root.join("fixtures")).expect("directory is there") {
        let name = entry.expect("entry can be read").file_name();
        let name = name.to_str().expect("names are text");
        assert!(
            name == "README.md" || readme.contains(name),
            "fixtures/README.md says what {name} is for"
        );
    }
}
