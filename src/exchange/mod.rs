//! Import and export: rows as JSON Lines, CSV or TSV, whole histories as `git fast-export` streams.
//!
//! | call | from | to |
//! |---|---|---|
//! | [`load`] | any iterator of keys and values | one commit |
//! | [`import_jsonl`], [`export_jsonl`] | JSON Lines | one commit, and back |
//! | [`import_csv`], [`export_csv`] | CSV, TSV | one commit, and back |
//! | [`import_git`], [`export_git`] | `git fast-export` stream | commits, branches, tags, and back |
//!
//! All inputs are [`BufRead`](std::io::BufRead), all outputs [`Write`](std::io::Write). An import is
//! all or nothing: an error names the line and the reason, and leaves the store as it was. What does
//! not fit into memory goes to a file without a name in the store's directory, which is gone when
//! the import ends. Every call can tell its [`Progress`], and be stopped from there.
//!
//! # Examples
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let store = withy::Store::open(dir.path())?;
//! use withy::{Read, exchange};
//! let stream = b"commit refs/heads/main
//! committer A U Thor <a@example.org> 1479340800 +0100
//! data 6
//! Plant
//! M 100644 inline fruit/pear
//! data 5
//! green
//! ";
//! exchange::import_git(&store, &stream[..], Default::default())?;
//! assert_eq!(store.main()?.get(b"fruit/pear")?, Some(b"green".to_vec()));
//! assert_eq!(store.commit("main")?.author, "A U Thor <a@example.org>");
//!
//! let mut out = Vec::new();
//! exchange::export_jsonl(&store.view("main")?, &mut out, Default::default())?;
//! assert_eq!(out, b"{\"key\":\"fruit/pear\",\"value\":\"green\"}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::kv::{check_key, check_value};
use crate::progress::{Meter, takes_progress};
use crate::publish::Committed;

mod bulk;
mod csv;
mod encoding;
#[cfg(feature = "fault")]
#[doc(hidden)]
pub mod fuzz;
mod git;
mod jsonl;
mod meter;
mod sort;
mod spool;

pub use bulk::load;
pub use csv::{CsvExport, CsvOptions, CsvValues, export_csv, import_csv};
pub use encoding::{DecodeError, Encoding};
pub use git::{
    GitExportOptions, GitExported, GitImportOptions, GitImported, GitNotes, export_git, import_git,
};
pub use jsonl::{JsonlOptions, export_jsonl, import_jsonl};

pub use crate::progress::Progress;

/// How rows are loaded.
///
/// # Examples
/// ```
/// use withy::exchange::LoadOptions;
/// let options = LoadOptions::default().author("Ann").message("Load the table").from("main");
/// # let _ = options;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct LoadOptions<'a> {
    author: Option<String>,
    message: String,
    from: Option<String>,
    memory: usize,
    meter: Meter<'a>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            author: None,
            message: String::new(),
            from: None,
            memory: 64 << 20,
            meter: Meter::default(),
        }
    }
}

impl<'a> LoadOptions<'a> {
    /// The author of the commit; the store's own author if it is not set.
    #[must_use]
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// The message of the commit; empty if it is not set.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Creates the branch at this rev if there is none of the name.
    #[must_use]
    pub fn from(mut self, rev: impl Into<String>) -> Self {
        self.from = Some(rev.into());
        self
    }

    /// About how many bytes of rows to keep in memory; 64 MiB if it is not set.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }
}

takes_progress!(LoadOptions: "Nothing is written then.");

/// What a load did.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let row = |value: &str| Ok((b"pear".to_vec(), value.as_bytes().to_vec()));
/// let loaded = withy::exchange::load(&store, "main", [row("a"), row("b")], Default::default())?;
/// assert_eq!((loaded.rows, loaded.duplicates), (2, 1));
/// assert_eq!(loaded.commit.seq(), Some(withy::Seq::new(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Rows read.
    pub rows: u64,
    /// Rows among them whose key came again later, and which therefore do not count.
    pub duplicates: u64,
    /// Bytes of input read; for [`load`], of keys and values.
    pub bytes: u64,
    /// The commit; none if the rows changed nothing.
    pub commit: Committed,
}

/// What an export of rows wrote.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let mut out = Vec::new();
/// let done = withy::exchange::export_jsonl(&store.view("main")?, &mut out, Default::default())?;
/// assert_eq!((done.rows, done.bytes), (1, out.len() as u64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// A bad line, by number and reason.
fn line_error(line: u64, reason: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("line {line}: {reason}"))
}

/// Refuses a row that no store can hold, naming its line.
fn check_row(line: u64, key: &[u8], value: &[u8]) -> Result<()> {
    let checked = check_key(key).and_then(|()| check_value(value));
    checked.map_err(|e| Error::new(e.kind(), format!("line {line}: {e}")))
}

fn input_failed(line: u64, cause: io::Error) -> Error {
    let text = format!("cannot read the input after line {line}, nothing was imported");
    Error::new(ErrorKind::Io, text).because(cause)
}

fn output_failed(cause: io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot write the export, it is not complete").because(cause)
}

fn spool_failed(cause: impl Into<io::Error> + fmt::Debug) -> Error {
    let text = "cannot use a temporary file in the store's directory, nothing was imported";
    Error::new(ErrorKind::Io, text).because(cause.into())
}
