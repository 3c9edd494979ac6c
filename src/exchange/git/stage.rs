//! The tree of a commit while its changes come in, by git's rules for files and folders.

use std::collections::BTreeMap;

use super::super::spool::Spool;
use super::super::spool_failed;
use super::seen::{Seen, folders};
use crate::error::{Error, ErrorKind, Result};
use crate::view::{Read, View};

/// What a commit sets, and deletes (`None`).
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Where the content of a file is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the spool: where, and how long.
    Spool(u64, u64),
    /// In the parent, under this key.
    Parent(Vec<u8>),
}

/// What a commit changes against its first parent.
pub(super) struct Stage {
    /// Names of all commits before.
    seen: Seen,
    /// The parent's content; none if it is empty.
    parent: Option<View>,
    /// Nothing of the parent counts any more.
    cleared: bool,
    changes: BTreeMap<Vec<u8>, Option<Place>>,
}

impl Stage {
    pub(super) fn new(parent: Option<View>, seen: Seen) -> Self {
        let parent = parent.filter(|view| !view.is_empty());
        Self { seen, parent, cleared: false, changes: BTreeMap::new() }
    }

    /// Sets a file. A folder of its name goes, and so does a file where it needs a folder.
    pub(super) fn set(&mut self, path: Vec<u8>, place: Place) -> Result<()> {
        if self.seen.add(&path) && !self.is_file(&path)? {
            for below in self.below(&path)? {
                self.changes.insert(below, None);
            }
            for folder in folders(&path) {
                if self.is_file(folder)? {
                    self.changes.insert(folder.to_vec(), None);
                }
            }
        }
        self.changes.insert(path, Some(place));
        Ok(())
    }

    /// Removes a file, or a folder with all below it; the empty path is everything.
    pub(super) fn remove(&mut self, path: &[u8]) -> Result<()> {
        if path.is_empty() {
            self.clear();
        } else if !self.seen.may_be_folder(path) || self.is_file(path)? {
            self.changes.insert(path.to_vec(), None);
        } else {
            for below in self.below(path)? {
                self.changes.insert(below, None);
            }
        }
        Ok(())
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        self.cleared = true;
        self.changes.clear();
    }

    /// Copies a file, or a folder with all below it, over whatever is at `to`.
    pub(super) fn copy(&mut self, from: &[u8], to: &[u8]) -> Result<bool> {
        let found = self.files(from)?;
        self.put_all(found, from, to)
    }

    /// The same, and removes it from where it was.
    pub(super) fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<bool> {
        let found = self.files(from)?;
        self.remove(from)?;
        self.put_all(found, from, to)
    }

    fn put_all(&mut self, files: Vec<(Vec<u8>, Place)>, from: &[u8], to: &[u8]) -> Result<bool> {
        let any = !files.is_empty();
        self.remove(to)?;
        for (path, place) in files {
            self.set([to, &path[from.len()..]].concat(), place)?;
        }
        Ok(any)
    }

    /// The file of this name, or all files below it.
    fn files(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Place)>> {
        let paths = if self.is_file(path)? { vec![path.to_vec()] } else { self.below(path)? };
        let place = |path: Vec<u8>| match self.changes.get(&path) {
            Some(Some(place)) => (path, place.clone()),
            _ => (path.clone(), Place::Parent(path)),
        };
        Ok(paths.into_iter().map(place).collect())
    }

    fn is_file(&self, path: &[u8]) -> Result<bool> {
        match (self.changes.get(path), self.base()) {
            (Some(change), _) => Ok(change.is_some()),
            (None, Some(parent)) => parent.contains(path),
            (None, None) => Ok(false),
        }
    }

    /// The files below a folder.
    fn below(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>> {
        let prefix = [folder, b"/"].concat();
        let mut found = Vec::new();
        if let Some(parent) = self.base() {
            for row in parent.prefix(&prefix)? {
                let (path, _) = row?;
                if !self.changes.contains_key(&path) {
                    found.push(path);
                }
            }
        }
        let staged =
            self.changes.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        found.extend(staged.filter(|(_, change)| change.is_some()).map(|(path, _)| path.clone()));
        Ok(found)
    }

    /// The parent's content, as far as it still counts.
    fn base(&self) -> Option<&View> {
        self.parent.as_ref().filter(|_| !self.cleared)
    }

    /// The changes with their contents, and the names seen.
    pub(super) fn finish(mut self, spool: &mut Spool) -> Result<(Changes, Seen)> {
        if let (true, Some(parent)) = (self.cleared, &self.parent) {
            for row in parent.range(&crate::kv::KeyRange::all())? {
                self.changes.entry(row?.0).or_insert(None);
            }
        }
        let parent = self.parent.as_ref();
        let load = |(path, place)| {
            let content = match place {
                None => None,
                Some(Place::Parent(key)) => {
                    let content = parent.map(|view| view.get(&key)).transpose()?.flatten();
                    Some(content.ok_or_else(|| vanished(&key))?)
                }
                Some(Place::Spool(at, len)) => {
                    let len =
                        usize::try_from(len).map_err(|e| spool_failed(std::io::Error::other(e)))?;
                    let mut content = vec![0; len];
                    spool.read_at(at, &mut content).map_err(spool_failed)?;
                    Some(content)
                }
            };
            Ok((path, content))
        };
        let changes = self.changes.into_iter().map(load).collect::<Result<_>>()?;
        Ok((changes, self.seen))
    }
}

/// A file was seen in the parent and is not there: the store is damaged.
fn vanished(key: &[u8]) -> Error {
    let text = format!("{} was there and is not", crate::kv::show_key(key));
    Error::new(ErrorKind::Corrupt, text)
}
