//! `docs/isolation.md` names the test behind each of its claims; a name that no test has is a claim
//! that nobody checks.

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
    assert!(names.len() >= 50, "each cell of the table names its test: {}", names.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "docs/isolation.md names tests that do not exist: {missing:#?}");
}
