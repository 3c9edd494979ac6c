//! What is in a directory: a store, nothing, or something else; and the errors that say so.

use std::fs;
use std::path::Path;

use crate::engine::LOCK_FILE;
use crate::engine::files::MARKER;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FORMAT_VERSION, MAGIC};
use crate::maintain::RESTORING;

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Store,
    Nothing,
}

/// Says what keeps a directory from being a store that can be opened.
pub(super) fn look_for_store(path: &Path) -> Result<()> {
    match look(path)? {
        Found::Store => Ok(()),
        Found::Nothing => Err(no_store(path)),
    }
}

/// What is in a directory.
pub(super) fn look(path: &Path) -> Result<Found> {
    let text = match fs::read_to_string(path.join(MARKER)) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return look_unmarked(path),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Err(not_a_store(path)),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(not_a_store(path)),
        Err(e) => return Err(io("cannot read", &path.join(MARKER), e)),
    };
    let version = format_in(&text).ok_or_else(|| not_a_store(path))?;
    check_version(version, path)?;
    Ok(Found::Store)
}

/// The format that the text of a marker names.
pub(crate) fn format_in(text: &str) -> Option<u32> {
    let number = text.strip_suffix('\n')?.strip_prefix(MAGIC)?;
    let is_number = number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|_| is_number)
}

/// A directory without a marker is free if it is absent or empty, or if a store was being made in it.
fn look_unmarked(path: &Path) -> Result<Found> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Err(not_a_store(path)),
        Err(e) => return Err(io("cannot read", path, e)),
    };
    let mut empty = true;
    for entry in entries {
        let name = entry.map_err(|e| io("cannot read", path, e))?.file_name();
        if name == LOCK_FILE {
            return Ok(Found::Nothing);
        }
        empty = false;
    }
    if empty { Ok(Found::Nothing) } else { Err(not_a_store(path)) }
}

pub(super) fn check_version(version: u32, path: &Path) -> Result<()> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    let shown = path.display();
    Err(Error::new(
        ErrorKind::Incompatible,
        format!(
            "{shown} has format {version}, this version of withy knows format {FORMAT_VERSION}"
        ),
    )
    .with_hint("use a version of withy that knows this format"))
}

pub(super) fn is_there(path: &Path) -> Error {
    Error::new(ErrorKind::Exists, format!("{} is a store already", path.display()))
}

pub(super) fn no_store(path: &Path) -> Error {
    if path.join("CURRENT").exists() {
        // One that was being made, or one that has lost it.
        let text = format!("the store in {} has no file {MARKER}", path.display());
        return Error::new(ErrorKind::NotFound, text)
            .with_hint("`withy --store DIR init` writes it; all that is in the store stays");
    }
    Error::new(ErrorKind::NotFound, format!("there is no store in {}", path.display()))
        .with_hint("`withy init` makes one")
}

pub(super) fn not_a_store(path: &Path) -> Error {
    let hint = match path.join(".withy").join(MARKER) {
        _ if path.join(RESTORING).exists() => {
            "a restore to it was interrupted: run it again, and it goes on".to_owned()
        }
        marker if marker.exists() => {
            format!("there is a store in {}", path.join(".withy").display())
        }
        _ => "give the directory of a store, or one that is empty".to_owned(),
    };
    Error::new(ErrorKind::Incompatible, format!("{} is not a withy store", path.display()))
        .with_hint(hint)
}

pub(super) fn io(what: &str, path: &Path, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{what} {}", path.display())).because(cause)
}
