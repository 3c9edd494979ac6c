//! What is verified, and who hears of it.

use crate::progress::{Meter, takes_progress};

/// How a store is verified. Every choice has a default.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::VerifyOptions;
/// let report = store.verify(VerifyOptions::default().quick(true).threads(1))?;
/// assert!(report.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifyOptions<'a> {
    pub(super) branch: Option<String>,
    pub(super) quick: bool,
    pub(super) threads: Option<usize>,
    pub(super) max_findings: usize,
    pub(super) meter: Meter<'a>,
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        Self {
            branch: None,
            quick: false,
            threads: None,
            max_findings: 1_000,
            meter: Meter::default(),
        }
    }
}

impl<'a> VerifyOptions<'a> {
    /// Verifies only what a branch reads: its line and those below it, with their commits and rows.
    /// Every branch and all that belongs to none, unless told.
    pub fn branch(mut self, name: impl Into<String>) -> Self {
        self.branch = Some(name.into());
        self
    }

    /// Leaves hashes out: every row is read, against RocksDB's checksums, and must decode and refer to
    /// what exists, but values, ids, fingerprints and the checksums of whole files are not worked out
    /// anew.
    pub fn quick(mut self, quick: bool) -> Self {
        self.quick = quick;
        self
    }

    /// How many threads read; as many as the machine has, unless told.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// So many findings are kept, 1,000 unless told; the rest is counted.
    pub fn max_findings(mut self, findings: usize) -> Self {
        self.max_findings = findings;
        self
    }
}

takes_progress!(VerifyOptions: "Nothing is changed by it.");
