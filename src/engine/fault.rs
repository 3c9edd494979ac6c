//! The steps that change the disk, and what can be made to go wrong at each of them.
//!
//! Whoever changes a file or the database does it in [`step`] or [`file`]. Without the feature `fault`
//! these run what they are given, and that is all. With it, a plan can end the process before or after
//! any of the steps, or let one fail, as a disk would.

use std::io;
use std::path::Path;

use crate::error::Result;

/// A kind of step that changes what is on disk.
///
/// # Examples
/// ```
/// use withy::testing::fault::Point;
/// assert_eq!("sync".parse::<Point>()?, Point::Sync);
/// assert_eq!(Point::ALL.len(), 14);
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    not(feature = "fault"),
    allow(dead_code, unreachable_pub, reason = "for who wants steps to fail")
)]
#[non_exhaustive]
pub enum Point {
    /// A batch is written to the database.
    Write,
    /// The write-ahead log is put on disk.
    Sync,
    /// Sorted files are taken in.
    Ingest,
    /// A range of rows is removed.
    DropRange,
    /// Rows in memory are written to files.
    Flush,
    /// Files of the database are merged.
    Compact,
    /// A copy of the database is made beside it.
    Checkpoint,
    /// A sorted file is ended.
    SortedFile,
    /// A file or a directory is made.
    Create,
    /// Bytes are written to a file.
    FileWrite,
    /// A file or a directory is put on disk.
    FileSync,
    /// A file or a directory gets another name.
    Rename,
    /// A file or a directory is removed.
    Remove,
    /// A file gets a second name.
    Link,
}

/// Runs a step of the database below `store`.
#[inline]
pub(crate) fn step<T>(point: Point, store: &Path, run: impl FnOnce() -> Result<T>) -> Result<T> {
    #[cfg(feature = "fault")]
    return plan::step(point, store, run);
    #[cfg(not(feature = "fault"))]
    {
        let _ = (point, store);
        run()
    }
}

/// Runs a step on the file or directory `path`.
#[inline]
pub(crate) fn file<T>(
    point: Point,
    path: &Path,
    run: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    #[cfg(feature = "fault")]
    return plan::file(point, path, run);
    #[cfg(not(feature = "fault"))]
    {
        let _ = (point, path);
        run()
    }
}

#[cfg(feature = "fault")]
mod plan;
#[cfg(feature = "fault")]
pub use plan::{Action, Injected, Moment, PLAN_VARIABLE, Plan, inject};
