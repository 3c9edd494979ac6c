//! Scenario files of merge conflicts, and reports of what becomes of them; with the feature `testing`.
//!
//! A scenario is a small text file: commits, a merge of them, and what is said of it. It runs in a
//! store of its own, and its report is the same on every machine and at any time, so it can be kept as a
//! snapshot. `docs/testing-merges.md` has the format in full.
//!
//! ```
//! use withy::testing::Scenario;
//!
//! let scenario = Scenario::parse(
//!     "Both sides change the colour.
//!
//!      [base]
//!      pear = green
//!      [ours]
//!      pear = red
//!      [theirs]
//!      pear = yellow
//!      [merge]
//!      strategy = theirs",
//! )?;
//! let report = scenario.run()?.to_string();
//! assert!(report.contains("pear: modify/modify, strategy theirs"), "{report}");
//! // insta::assert_snapshot!(report);
//! # Ok::<(), withy::Error>(())
//! ```

#[cfg(feature = "fault")]
pub mod fault;
#[cfg(feature = "fault")]
#[doc(hidden)]
pub mod fuzz;
mod laws;
mod operate;
mod page;
mod parse;
mod run;
mod settings;
mod step;
mod text;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use laws::{check_driver_laws, check_driver_laws_by};

use crate::error::{Error, ErrorKind, Result};
use crate::merge::MergeDriver;
use step::{Matrix, Step};

/// A merge to be tried out: commits, operations on them, and what is said of these.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("hits.scenario");
/// # std::fs::write(&path, "[base]\nhits = 1\n[ours]\nhits = 2\n[theirs]\nhits = 4\n[merge]\ndriver = counter\n")?;
/// use withy::testing::Scenario;
/// let report = Scenario::load(&path)?.run()?;
/// assert!(report.report().contains("hits = 5"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a scenario does nothing until it is run"]
pub struct Scenario {
    /// What errors call it.
    file: String,
    about: Vec<String>,
    steps: Vec<Step>,
    matrix: Matrix,
    drivers: Vec<Arc<dyn MergeDriver>>,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be read; else as for [`parse`](Self::parse).
    ///
    /// # Examples
    /// See [`Scenario`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            Error::new(ErrorKind::Io, format!("cannot read the scenario {file}")).because(e)
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            parse::fault(&file, line, "not UTF-8").with_hint("write other bytes as \"\\xff\"")
        })?;
        parse::scenario(&file, text)
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), naming the line, if it is not one.
    ///
    /// # Examples
    /// ```
    /// use withy::testing::Scenario;
    /// let fault = Scenario::parse("[base]\npear green\n").expect_err("no `=`");
    /// assert_eq!(fault.to_string(), "scenario:2: expected `KEY = VALUE` or `delete KEY`");
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        parse::scenario("scenario", text)
    }

    /// Makes a value driver known that the scenario names.
    ///
    /// # Examples
    /// ```
    /// use withy::{driver_fn, testing::Scenario};
    /// let largest = driver_fn("largest/1", |_base, ours, theirs| Ok(ours.max(theirs).to_vec()));
    /// let text = "[ours]\nscore = 5\n[theirs]\nscore = 7\n[merge]\ndriver score = largest\n";
    /// let report = Scenario::parse(text)?.driver(largest).run()?;
    /// assert!(report.report().contains("score: add/add, driver largest/1"));
    /// # Ok::<(), withy::Error>(())
    /// ```
    pub fn driver(mut self, driver: Arc<dyn MergeDriver>) -> Self {
        self.drivers.push(driver);
        self
    }

    /// Runs it in a store of its own, which is gone afterwards; once for each cell of its matrix.
    ///
    /// That an operation is refused or leaves conflicts is part of the report.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) and others, naming the line, if a commit cannot be made or a
    /// quiet operation does not succeed; [`Io`](ErrorKind::Io) if there is no room for the store.
    ///
    /// # Examples
    /// See [`Scenario`].
    pub fn run(&self) -> Result<ScenarioReport> {
        run::all(self).map(ScenarioReport)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Scenario");
        out.field("file", &self.file).field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

/// What became of a scenario, as text for people and for snapshots: the same whenever it is run.
///
/// Commits are called by their branch and number: `ours#1` is the first on `ours`.
///
/// # Examples
/// ```
/// use withy::testing::Scenario;
/// let report = Scenario::parse("[theirs]\npear = green\n")?.run()?;
/// assert_eq!(
///     report.to_string(),
///     "merge theirs into ours
///   fast-forward
///   merge base: root
///   head: theirs#1
///   changed: added pear
///   content:
///     pear = green
/// "
/// );
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioReport(String);

impl ScenarioReport {
    /// Its text.
    #[must_use]
    pub fn report(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScenarioReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
