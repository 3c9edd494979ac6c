//! Exit codes and the errors that lead to them.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;

use withy::ErrorKind;

/// How a run ended, when nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit code 0.
    Done,
    /// The answer is no: exit code 1.
    No,
}

/// What the exit code says about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The command is wrong: its form, a name, a rev, its input.
    Usage = 2,
    /// Someone else was first, or holds the store: try again.
    Again = 3,
    /// The store is damaged, or is not one that this version reads.
    Damaged = 4,
    /// Anything else.
    Other = 5,
    /// The user stopped long work.
    Interrupted = crate::signals::EXIT as isize,
}

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of the output has gone away: no error.
    PipeClosed,
    /// An error, as it is shown.
    Error(Box<Report>),
}

/// `error: <doing>: <cause>`, then `hint: ...`.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Code,
    doing: String,
    cause: String,
    hint: Option<String>,
}

/// What most functions of the command line return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An error that has its cause here, not in the library.
    pub(crate) fn new(code: Code, doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::Error(Box::new(Report { code, doing: doing.into(), cause: cause.into(), hint: None }))
    }

    /// A mistake in the command.
    pub(crate) fn usage(doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(Code::Usage, doing, cause)
    }

    /// The same error with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Error(report) = &mut self {
            report.hint = Some(hint.into());
        }
        self
    }
}

impl Report {
    /// The text for standard error.
    pub(crate) fn lines(&self) -> String {
        let mut text = format!("error: {}: {}\n", self.doing, self.cause);
        if let Some(hint) = &self.hint {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        text
    }
}

/// Writing to standard output failed.
impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::new(Code::Other, "write the output", e.to_string()),
        }
    }
}

/// Says what was being done when a call failed.
pub(crate) trait Doing<T> {
    /// The error as a [`Failure`], with what was being done in front.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for withy::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| from_library(&e, what()))
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| {
            let code = match e.kind() {
                io::ErrorKind::NotFound => Code::Usage,
                _ => Code::Other,
            };
            Failure::new(code, what(), e.to_string())
        })
    }
}

/// An error of the library as a [`Failure`], with what was being done in front.
pub(crate) fn from_library(e: &withy::Error, doing: String) -> Failure {
    if pipe_closed(e) {
        return Failure::PipeClosed;
    }
    let mut cause = e.to_string();
    // Who stopped the work need not be told that it was stopped.
    let mut source = e.source().filter(|_| e.kind() != ErrorKind::Interrupted);
    while let Some(inner) = source {
        // Writing to a String cannot fail.
        let _ = write!(cause, ": {inner}");
        source = inner.source();
    }
    let hint = match e.kind() {
        // The library speaks of its options; here they are flags.
        ErrorKind::Busy if e.keys().is_empty() => advice(e),
        _ => e.hint().map(str::to_owned).or_else(|| advice(e)),
    };
    let report = Report { code: code_of(e.kind()), doing, cause, hint };
    Failure::Error(Box::new(report))
}

/// An export streams to standard output through the library, so a closed pipe comes back as its error.
fn pipe_closed(e: &withy::Error) -> bool {
    let mut source = e.source();
    while let Some(inner) = source {
        if inner.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        {
            return true;
        }
        source = inner.source();
    }
    false
}

/// The exit code for each kind of error; a new kind counts as "other" until it is placed here.
pub(crate) fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Conflict
        | ErrorKind::Precondition
        | ErrorKind::Busy
        | ErrorKind::Deadlock
        | ErrorKind::LeaseLost => Code::Again,
        ErrorKind::Invalid
        | ErrorKind::NotFound
        | ErrorKind::Exists
        | ErrorKind::Limit
        | ErrorKind::HistoryGone => Code::Usage,
        ErrorKind::Corrupt | ErrorKind::Incompatible => Code::Damaged,
        ErrorKind::Interrupted => Code::Interrupted,
        _ => Code::Other,
    }
}

/// What to do next, where the library does not say.
fn advice(e: &withy::Error) -> Option<String> {
    let text = match e.kind() {
        ErrorKind::Conflict => "someone else changed the same keys first; run the command again",
        ErrorKind::Busy => "use --wait SECONDS to wait until the store is free",
        ErrorKind::Precondition => "nothing was written; read the key again, then decide",
        ErrorKind::OutcomeUnknown => "run `withy log -n 1` to see whether it was written",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = withy::Error::new(ErrorKind::Busy, "the store is held by process 7")
            .because(io::Error::other("lock file"));
        let Failure::Error(report) = from_library(&error, "open the store".into()) else {
            panic!("an error is reported");
        };
        assert_eq!(
            report.lines(),
            "error: open the store: the store is held by process 7: lock file\n\
             hint: use --wait SECONDS to wait until the store is free\n"
        );
        assert_eq!(report.code, Code::Again, "busy means: try again");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = withy::Error::new(ErrorKind::Io, "cannot write").because(closed);
        assert!(matches!(from_library(&error, "export".into()), Failure::PipeClosed), "quiet end");
    }
}
