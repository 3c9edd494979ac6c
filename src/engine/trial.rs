//! A copy of a store's files on which a salvage is tried, so that one that cannot help changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, FileKind, MARKER};
use super::{Point, fault};
use crate::error::Result;
use crate::format::synced::SYNCED_FILE;

/// Its directory in the store.
const TRIAL: &str = "salvage-trial";

/// The copy; it goes away when it is dropped.
pub(crate) struct Trial(PathBuf);

impl Trial {
    /// Makes it. Files of data, which nobody changes, get a second name; the others are copied.
    pub(crate) fn make(store: &Path) -> Result<Self> {
        Self::clear(store)?;
        let trial = Self(store.join(TRIAL));
        files::make_dir(&trial.0).map_err(|e| files::refused("cannot make", &trial.0, e))?;
        for name in files::names(store)? {
            let (from, to) = (store.join(&name), trial.0.join(&name));
            let is_table = match FileKind::of(&name) {
                Some(kind) => kind == FileKind::Table,
                None if name == MARKER || name == SYNCED_FILE => false,
                None => continue,
            };
            let is_linked =
                is_table && fault::file(Point::Link, &to, || fs::hard_link(&from, &to)).is_ok();
            if !is_linked {
                fault::file(Point::FileWrite, &to, || fs::copy(&from, &to))
                    .map_err(|e| files::refused("cannot copy", &from, e))?;
            }
        }
        Ok(trial)
    }

    /// Removes one that was left by a run that was stopped.
    pub(crate) fn clear(store: &Path) -> Result<()> {
        let path = store.join(TRIAL);
        if !path.exists() {
            return Ok(());
        }
        fault::file(Point::Remove, &path, || fs::remove_dir_all(&path))
            .map_err(|e| files::refused("cannot remove", &path, e))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What is left is removed by the next salvage.
        let _ = fs::remove_dir_all(&self.0);
    }
}
