//! The one public error: what was being done, why it failed, and what to do next.

use std::error::Error as StdError;
use std::fmt;

/// What a caller can do about an [`Error`].
///
/// # Examples
/// ```
/// use withy::{Error, ErrorKind};
/// let e = Error::new(ErrorKind::NotFound, "no branch pear");
/// assert_eq!(e.kind(), ErrorKind::NotFound);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another writer got there first; run the transaction again. Nothing of it was written.
    Conflict,
    /// A conditional write found something else than it expected. Nothing was written.
    Precondition,
    /// Something else holds what is needed; try again later. Nothing was written.
    Busy,
    /// Owners of locks waited for each other, and this one gave way; let go of everything and run it
    /// again. Nothing was written.
    Deadlock,
    /// A lock is no longer held: its lease lapsed, or it was released. Take it again, and read again
    /// what it protects. Nothing was written.
    LeaseLost,
    /// The request itself is wrong; fix the call. Nothing was written.
    Invalid,
    /// A name, rev, file or store does not exist.
    NotFound,
    /// The name is taken. Nothing was written.
    Exists,
    /// A limit would be passed; the message names it. Nothing was written.
    Limit,
    /// The position is older than the history that is kept.
    HistoryGone,
    /// The store was opened for reading only.
    ReadOnly,
    /// Stored bytes break a rule of the format; run `verify`.
    Corrupt,
    /// Not a store, or one of a format that this version does not know.
    Incompatible,
    /// A durable write failed earlier; reopen the store. Reads go on.
    Halted,
    /// The write failed after it may have become durable; reopen and look.
    OutcomeUnknown,
    /// The caller stopped the work; the message says what state the data is in.
    Interrupted,
    /// The operating system refused a read or write; the message says what state the data is in.
    Io,
}

/// What the library returns when something is wrong.
///
/// [`Display`](fmt::Display) is one sentence for a person; the causes follow as
/// [`source`](StdError::source)s, and [`hint`](Error::hint) says what to do next.
///
/// # Examples
/// ```
/// use withy::{Error, ErrorKind};
/// let e = Error::new(ErrorKind::Limit, "key of 70000 bytes is over the limit of 65536 bytes")
///     .with_hint("shorten the key");
/// assert_eq!(e.to_string(), "key of 70000 bytes is over the limit of 65536 bytes");
/// assert_eq!(e.hint(), Some("shorten the key"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    keys: Vec<Vec<u8>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of most calls.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind; the message is one sentence without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            keys: Vec::new(),
            source: None,
        }))
    }

    /// The same error with its cause attached.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// The same error with advice: what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error, naming the keys it is about.
    #[must_use]
    pub fn with_keys(mut self, keys: Vec<Vec<u8>>) -> Self {
        self.0.keys = keys;
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do next, where there is advice.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The keys it is about: those in conflict, or whose condition failed.
    #[must_use]
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.0.keys
    }

    /// Whether running the same transaction again can succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Conflict | ErrorKind::Busy | ErrorKind::Deadlock)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
