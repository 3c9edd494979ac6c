//! What a caller can choose, and what they are told at the end.

use std::fmt;
use std::io::Write;

use crate::progress::{Meter, takes_progress};

/// An output that can be shown in `Debug`.
pub(super) struct Sink<'a>(pub(super) Box<dyn Write + 'a>);

impl fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// How a stream is imported.
///
/// # Examples
/// ```
/// use withy::exchange::GitImportOptions;
/// let mut marks = Vec::new();
/// let options = GitImportOptions::default().prefix("upstream/").marks(&mut marks);
/// # let _ = options;
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GitImportOptions<'a> {
    pub(super) prefix: String,
    pub(super) replace: bool,
    pub(super) fix_names: bool,
    pub(super) marks: Option<Sink<'a>>,
    pub(super) meter: Meter<'a>,
}

impl<'a> GitImportOptions<'a> {
    /// Puts this before the name of every branch.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Whether branches and tags that exist may be moved to where the stream has them. Without it
    /// they may only go forward.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Whether characters that a name may not have become `-`, instead of an error.
    #[must_use]
    pub fn fix_names(mut self, fix: bool) -> Self {
        self.fix_names = fix;
        self
    }

    /// Writes which mark became which commit: one line `:MARK COMMIT-ID SEQUENCE` each, by mark.
    #[must_use]
    pub fn marks(mut self, output: impl Write + 'a) -> Self {
        self.marks = Some(Sink(Box::new(output)));
        self
    }
}

takes_progress!(GitImportOptions: "It counts commits and bytes read. Nothing of the import stays then.");

/// What an import of a stream did.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let stream = b"commit refs/heads/topic\ncommitter A <a> 0 +0000\ndata 0\n";
/// let done = withy::exchange::import_git(&store, &stream[..], Default::default())?;
/// assert_eq!((done.commits, done.branches, done.notes.is_empty()), (1, 1, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitImported {
    /// Commits made.
    pub commits: u64,
    /// Those among them with more than one parent.
    pub merges: u64,
    /// File contents read.
    pub contents: u64,
    /// Branches set.
    pub branches: u64,
    /// Tags set.
    pub tags: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// What could not be kept.
    pub notes: GitNotes,
}

/// How often something of a stream could not be kept as it was.
///
/// # Examples
/// ```
/// assert!(withy::exchange::GitNotes::default().is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitNotes {
    /// Files that were executable or symbolic links; their content was kept.
    pub modes: u64,
    /// Submodules, which were left out.
    pub submodules: u64,
    /// Notes on commits, which were left out.
    pub commit_notes: u64,
    /// Commits with a signature, which was left out.
    pub signatures: u64,
    /// Names and messages that were not UTF-8, and were converted as well as possible.
    pub texts: u64,
    /// Refs that are neither branch nor tag, and tags of something else than a commit: left out.
    pub refs: u64,
    /// Names in which characters were replaced.
    pub names: u64,
}

impl GitNotes {
    /// Whether everything was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is exported, and how.
///
/// # Examples
/// ```
/// use withy::exchange::GitExportOptions;
/// let options = GitExportOptions::default().branches(["main"]).tags(["v1"]);
/// # let _ = options;
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GitExportOptions<'a> {
    pub(super) branches: Option<Vec<String>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) marks: Option<Sink<'a>>,
    pub(super) meter: Meter<'a>,
}

impl<'a> GitExportOptions<'a> {
    /// Only these branches; and no tags, unless [`tags`](Self::tags) names some. All branches and
    /// tags if neither is called.
    #[must_use]
    pub fn branches<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.branches = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only these tags; and no branches, unless [`branches`](Self::branches) names some.
    #[must_use]
    pub fn tags<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.tags = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Writes which mark is which commit, in the form of [`GitImportOptions::marks`].
    #[must_use]
    pub fn marks(mut self, output: impl Write + 'a) -> Self {
        self.marks = Some(Sink(Box::new(output)));
        self
    }
}

takes_progress!(GitExportOptions:
    "It counts commits and bytes written. What was written until then is not a whole export.");

/// What an export wrote.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let mut out = Vec::new();
/// let done = withy::exchange::export_git(&store, &mut out, Default::default())?;
/// assert_eq!((done.commits, done.left_out), (0, 1), "git has no branch without a commit");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitExported {
    /// Commits written.
    pub commits: u64,
    /// Contents written.
    pub contents: u64,
    /// Branches set.
    pub branches: u64,
    /// Tags set.
    pub tags: u64,
    /// Branches and tags at the root of the store: git cannot have them.
    pub left_out: u64,
    /// Commits that start a history of their own because the one before is no longer kept.
    pub cut: u64,
    /// Bytes written.
    pub bytes: u64,
}
