//! A directory against a manifest that ends too early: what is gone of it, and what is there that the
//! manifest does not name.

use std::path::Path;

use super::files;
use super::manifest::Manifest;
use super::recovery::{blob_name, table_name};
use super::wal;
use crate::error::Result;

/// Something that was there, or in use, where the manifest ends, and is not there any more; in words.
pub(super) fn gone(store: &Path, manifest: &Manifest) -> Result<Option<String>> {
    if let Some(family) = manifest.missing_family() {
        return Ok(Some(format!("what it says of family {family} is gone")));
    }
    let files = manifest.tables.keys().map(|n| table_name(*n));
    let mut files = files.chain(manifest.needed_blobs().map(|(n, _)| blob_name(n)));
    if let Some(file) = files.find(|file| !store.join(file).exists()) {
        return Ok(Some(format!("{file}, which was in use before, is gone")));
    }
    // Logs are let go from the oldest on. Before the first flush the manifest says from which number on
    // they are needed, not which one it is.
    let (oldest, first) = (manifest.oldest_log(), manifest.first_log());
    let found = wal::logs_from(store, oldest)?.into_iter().next();
    let expected = if first.is_some_and(|first| oldest < first) { first } else { Some(oldest) };
    if found.is_some() && (found == Some(oldest) || found == expected) {
        return Ok(None);
    }
    let log = wal::log_name(expected.unwrap_or(oldest));
    Ok(Some(format!("{log}, which was needed then, is gone")))
}

/// Data files that the manifest does not name.
pub(super) fn unnamed(store: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let mut names = files::names(store)?;
    names.retain(|name| match name.rsplit_once('.') {
        Some((n, "sst")) => n.parse().is_ok_and(|n| !manifest.tables.contains_key(&n)),
        Some((n, "blob")) => n.parse().is_ok_and(|n| !manifest.blobs.contains_key(&n)),
        _ => false,
    });
    Ok(names)
}
