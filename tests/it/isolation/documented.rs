//! `docs/isolation.md` and `docs/coordination.md` name the test behind each of their claims; a name that
//! no test has is a claim that nobody checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The words in backticks that look like the full name of a test of this directory.
fn named(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| word.starts_with("isolation::") && !word.contains(' ')).collect()
}

/// Whether the file that the path of modules leads to has a test with this name.
fn exists(name: &str) -> bool {
    let Some((modules, test)) = name.rsplit_once("::") else { return false };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(modules.replace("::", "/"));
    let text = fs::read_to_string(path.with_extension("rs"))
        .or_else(|_| fs::read_to_string(path.join("mod.rs")));
    text.is_ok_and(|text| text.contains(&format!("#[test]\nfn {test}()")))
}

#[test]
fn every_test_that_docs_isolation_names_exists() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/isolation.md");
    let text = fs::read_to_string(docs).expect("docs/isolation.md");
    let names = named(&text);
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells: usize =
        rows.map(|row| row.matches("prevented").count() + row.matches("allowed").count()).sum();
    let shown: BTreeSet<&&str> =
        names.iter().filter(|name| name.starts_with("isolation::anomalies::")).collect();
    assert!(cells >= 50 && shown.len() >= cells, "{cells} cells and {} tests", shown.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/isolation.md names tests that do not exist: {missing:#?}");
}

/// The text of every file below a directory.
fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|end| end == "rs") {
            out.push_str(&fs::read_to_string(path).expect("a source file"));
        }
    }
}

#[test]
fn every_test_that_docs_coordination_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/coordination.md")).expect("docs/coordination.md");
    let mut all = String::new();
    sources(&root.join("tests/it"), &mut all);
    sources(&root.join("src"), &mut all);
    // In the tables of failure cases, words with three underscores or more are names of tests, or how
    // several of them begin.
    let rows = text.lines().filter(|line| line.starts_with('|') && line.contains("-F"));
    let words: Vec<&str> = rows
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(|word| word.rsplit("::").next().unwrap_or(word))
        .filter(|word| word.matches('_').count() >= 3 && !word.contains(['(', ' ', '/']))
        .collect();
    assert!(words.len() >= 40, "each failure case names its test: {}", words.len());
    let missing: Vec<&str> =
        words.into_iter().filter(|word| !all.contains(&format!("fn {word}"))).collect();
    assert!(missing.is_empty(), "docs/coordination.md names tests that do not exist: {missing:#?}");
}
