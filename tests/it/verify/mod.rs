//! OPS-6: whatever is damaged is found and named with what it touches; whole stores of every shape are
//! clean.

mod clean;
mod collected;
mod damage;
mod files;
mod flattened;
mod large;
mod world;

use withy::{Check, Finding, Store, VerifyOptions, VerifyReport};

/// Verifies what is on disk.
pub(crate) fn verify_at(path: &std::path::Path) -> VerifyReport {
    Store::verify_at(path, VerifyOptions::default()).expect("the database can be opened")
}

/// All findings, one a line.
pub(crate) fn told(findings: &[Finding]) -> String {
    findings.iter().map(|f| format!("  INV-{} {}: {f}\n", f.invariant, f.check)).collect()
}

/// What is done to a store, and what of it must be found.
struct Case<D> {
    name: &'static str,
    damage: D,
    check: Check,
    invariant: u16,
    /// Words of the finding.
    says: &'static str,
    /// Branches and tags that must be among those it touches.
    touches: &'static [&'static str],
}

impl<D> Case<D> {
    /// What was found instead, if the damage was not.
    fn missed(&self, report: &VerifyReport) -> Option<String> {
        let found = report.findings.iter().any(|finding| {
            let touched = || finding.branches.iter().chain(&finding.tags);
            (finding.check, finding.invariant) == (self.check, self.invariant)
                && finding.what.contains(self.says)
                && self.touches.iter().all(|name| touched().any(|touched| touched == name))
        });
        let touches = |f: &Finding| format!("    {:?} {:?}\n", f.branches, f.tags);
        (!found).then(|| {
            let touches: String = report.findings.iter().map(touches).collect();
            format!("{}: found instead\n{}{touches}", self.name, told(&report.findings))
        })
    }
}
