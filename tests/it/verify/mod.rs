//! OPS-6: whatever is damaged is found and named with what it touches; whole stores of every shape are
//! clean.

mod clean;
mod collected;
mod damage;
mod files;
mod large;
mod world;

use withy::{Finding, Store, VerifyOptions, VerifyReport};

/// Verifies what is on disk.
pub(crate) fn verify_at(path: &std::path::Path) -> VerifyReport {
    Store::verify_at(path, VerifyOptions::default()).expect("the database can be opened")
}

/// All findings, one a line.
pub(crate) fn told(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("  INV-{} {}: {f}\n", f.invariant, f.check)).collect()
}
