//! Histories as `git fast-export` streams, both ways.

mod event;
mod export;
mod finish;
mod import;
mod marks;
mod names;
mod options;
mod seen;
mod stage;
mod stream;
mod text;
mod write;

pub use export::export_git;
pub use import::import_git;
pub use options::{GitExportOptions, GitExported, GitImportOptions, GitImported, GitNotes};

/// Reads a stream up to its end or its first fault, and keeps nothing.
#[cfg(feature = "fault")]
pub(super) fn read_all(bytes: &[u8]) {
    let mut reader = stream::StreamReader::new(bytes);
    while let Ok(Some(_)) = reader.next(&mut std::io::sink()) {}
}
