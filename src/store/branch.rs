//! A handle on a branch: reads and writes at its head.

use std::sync::{Arc, PoisonError, RwLock};

use super::Store;
use crate::error::Result;
use crate::graph::{Commit, Place, Reader};
use crate::id::{LineId, Seq};
use crate::kv::{Batch, Direction, KeyRange};
use crate::name::BranchName;
use crate::publish::{CommitOptions, Committed, Part};
use crate::txn::Txn;
use crate::view::{Layers, Read, Scan, Scanner, View, get, head_of, layers_at};

/// A branch by its name. Reads see its head at that moment; [`view`](Self::view) holds it still.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{BranchOptions, Read};
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// let topic = store.create_branch("topic", "main", BranchOptions::default())?;
/// topic.delete("pear")?;
/// assert!(main.contains(b"pear")?);
/// assert!(!topic.contains(b"pear")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Branch {
    store: Store,
    name: BranchName,
    /// The layers of the head, as of an epoch of the refs.
    layers: RwLock<(u64, Layers)>,
}

impl Clone for Branch {
    fn clone(&self) -> Self {
        let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self { store: self.store.clone(), name: self.name.clone(), layers: RwLock::new(layers) }
    }
}

impl Branch {
    pub(super) fn new(store: &Store, name: BranchName) -> Result<Self> {
        let epoch = store.refs().epoch();
        let layers = RwLock::new((epoch, newest_layers(store, &name)?));
        Ok(Self { store: store.clone(), name, layers })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &BranchName {
        &self.name
    }

    /// Reads through the layers that show its newest rows: all of its line, whatever the sequence.
    fn with_layers<T>(&self, read: impl FnOnce(&[Place]) -> Result<T>) -> Result<T> {
        let epoch = self.store.refs().epoch();
        {
            let known = self.layers.read().unwrap_or_else(PoisonError::into_inner);
            if known.0 == epoch {
                return read(&known.1);
            }
        }
        let layers = newest_layers(&self.store, &self.name)?;
        *self.layers.write().unwrap_or_else(PoisonError::into_inner) = (epoch, Arc::clone(&layers));
        read(&layers)
    }

    /// The data as of its newest commit, held still.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the branch is deleted meanwhile.
    pub fn view(&self) -> Result<View> {
        View::new(self.store.graph(), self.head_place()?)
    }

    /// Its newest commit.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn head(&self) -> Result<Commit> {
        self.store.graph().commit(self.head_place()?.seq)
    }

    fn head_place(&self) -> Result<Place> {
        let line = LineId::new(self.store.refs().branch(self.name.as_str())?.line);
        Ok(self.store.graph().head(line)?.place)
    }

    /// Sets one key, as a commit of its own.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn put(&self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Result<Committed> {
        let mut batch = Batch::new();
        batch.put(key, value);
        self.write(batch, CommitOptions::default())
    }

    /// Deletes one key, as a commit of its own.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn delete(&self, key: impl Into<Vec<u8>>) -> Result<Committed> {
        let mut batch = Batch::new();
        batch.delete(key);
        self.write(batch, CommitOptions::default())
    }

    /// Makes a batch one commit. Operations that change nothing are dropped; if none is left, nothing
    /// is written.
    ///
    /// # Errors
    /// [`Precondition`](crate::ErrorKind::Precondition) if a condition of the batch does not hold,
    /// [`Limit`](crate::ErrorKind::Limit) if a key, value or text is too long,
    /// [`NotFound`](crate::ErrorKind::NotFound) if the branch is deleted meanwhile,
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is: nothing is written.
    /// [`Halted`](crate::ErrorKind::Halted) if an earlier write failed. [`Io`](crate::ErrorKind::Io)
    /// or [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if this one fails: the commit is whole
    /// or absent, open the store again and look.
    pub fn write(&self, batch: Batch, options: CommitOptions) -> Result<Committed> {
        let writes = batch.into_checked()?.into_iter().collect();
        let part = Part { branch: self.name.clone(), writes, seen: None };
        self.store.publisher()?.commit_alone(part, options)
    }

    /// Begins a transaction on it.
    ///
    /// # Errors
    /// As for [`Store::begin`].
    pub fn begin(&self) -> Result<Txn<'_>> {
        self.store.begin(self.name.as_str())
    }
}

fn newest_layers(store: &Store, name: &BranchName) -> Result<Layers> {
    let line = LineId::new(store.refs().branch(name.as_str())?.line);
    // One row is enough to say that the line must be asked: it may get rows at any time.
    layers_at(store.graph(), Place { line, seq: Seq::MAX }, 1)
}

impl Read for Branch {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        loop {
            let plans = self.store.graph().plans();
            let value = self.with_layers(|layers| get(self.store.engine(), layers, key));
            // What it was read through may have been let go meanwhile.
            if self.store.graph().plans() == plans {
                return value;
            }
        }
    }

    /// The scan shows the branch as of the moment it is begun.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>> {
        let find = || {
            let line = LineId::new(self.store.refs().branch(self.name.as_str())?.line);
            let (place, layers) = head_of(self.store.graph(), line)?;
            Ok((Reader { place, layers: Arc::clone(&layers), since: None }, layers))
        };
        let (keep, layers) = self.store.graph().keep(find)?;
        let scanner = Scanner::new(self.store.engine(), &layers, range, direction, None);
        Ok(Scan::keeping(scanner, keep))
    }

    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.view()?.multi_get(keys)
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.view()?.count(range)
    }
}
