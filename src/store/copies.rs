//! Copies of the store, made while it is read and written.

use std::path::Path;
use std::sync::Arc;

use super::{Store, StoreId};
use crate::error::Result;
use crate::maintain::{
    BackupOptions, BackupWritten, Backups, CheckpointInfo, CheckpointOptions, Source,
};

impl Store {
    /// Makes a copy of the store that is a store itself, in a directory that is absent or empty.
    ///
    /// Reads and writes go on meanwhile. Everything that was acknowledged before the call is in the
    /// copy, whatever its durability; of what is written during it a prefix. The copy is made beside
    /// the target, in a directory of its name with `.new` at its end, and renamed once it is on disk: what is
    /// at the target is whole. A store that is open for reading only can be copied too, beside its writer.
    ///
    /// On the same disk sorted files are linked, not copied. So a checkpoint costs little time and space at
    /// first; it is no protection against a damaged disk: [`back_up`](Self::back_up) is.
    ///
    /// The copy has the id of this store. That is right for a copy that takes its place. If both go on as
    /// stores of their own, both deliver the messages that were in the outbox, with the same idempotency
    /// keys, both drive on sagas that were unfinished, and a coordinator must know only one of them.
    ///
    /// Cost: on the same disk a copy of the write-ahead log if that is below 4 MiB; a larger one is written
    /// to sorted files first, in a store that is open for writing. Everything on another disk.
    ///
    /// # Errors
    /// [`Exists`](crate::ErrorKind::Exists) if the target is there and not empty;
    /// [`Busy`](crate::ErrorKind::Busy) if another process is copying to it;
    /// [`Interrupted`](crate::ErrorKind::Interrupted) if the caller stops it;
    /// [`Halted`](crate::ErrorKind::Halted) or [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the
    /// store cannot be synced; [`Io`](crate::ErrorKind::Io) if the disk refuses. The store is as it was,
    /// there is nothing at the target, and what is left beside it goes with the next checkpoint to it.
    /// A process that is killed right after the copy had its name leaves an empty directory, which goes likewise.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{CheckpointOptions, Read, Store};
    /// let store = Store::open(dir.path().join("store"))?;
    /// store.main()?.put("pear", "green")?;
    /// store.checkpoint(dir.path().join("copy"), CheckpointOptions::default())?;
    /// store.main()?.put("pear", "yellow")?;
    /// let copy = Store::open(dir.path().join("copy"))?;
    /// assert_eq!(copy.main()?.get(b"pear")?.as_deref(), Some(&b"green"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint(
        &self,
        target: impl AsRef<Path>,
        options: CheckpointOptions<'_>,
    ) -> Result<CheckpointInfo> {
        let latest = self.latest();
        self.sync()?;
        let when = (latest, self.inner.clock.now());
        crate::maintain::checkpoint(self.engine(), target.as_ref(), when, options)
    }

    /// Adds a snapshot of the store to a backup: a directory with snapshots of this store, each content
    /// once. The directory is made if it is absent or empty.
    ///
    /// Reads and writes go on meanwhile, and a store that is open for reading only can be backed up too,
    /// beside its writer. Only what has changed since the last snapshot is read and written. Everything
    /// that was acknowledged before the call is in the snapshot, and it is on disk when this returns. It can be
    /// restored on its own: older ones may be pruned. See [`Backups`] for what can be done with it.
    ///
    /// Meanwhile the files of the store are linked in its directory, in `withy.staging`: until the backup is
    /// done, what the store replaces takes space.
    ///
    /// # Errors
    /// [`Incompatible`](crate::ErrorKind::Incompatible) if the directory is something else, or the
    /// backup of another store; [`Busy`](crate::ErrorKind::Busy) if another process uses the backup, or
    /// backs up this store; [`Interrupted`](crate::ErrorKind::Interrupted) if the caller stops it;
    /// [`Halted`](crate::ErrorKind::Halted) or [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown) if the
    /// store cannot be synced; [`Io`](crate::ErrorKind::Io) if a disk refuses. The store and the
    /// snapshots that are there are as they were; what was copied is used by the next run.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{BackupOptions, Store};
    /// let store = Store::open(dir.path().join("store"))?;
    /// let backup = dir.path().join("backup");
    /// let first = store.back_up(&backup, BackupOptions::default().message("first"))?;
    /// store.main()?.put("pear", "green")?;
    /// let second = store.back_up(&backup, BackupOptions::default())?;
    /// assert_eq!((first.info.number, second.info.number), (1, 2));
    /// assert_eq!(second.info.latest, store.latest());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn back_up(
        &self,
        dir: impl AsRef<Path>,
        options: BackupOptions<'_>,
    ) -> Result<BackupWritten> {
        let latest = self.latest();
        self.sync()?;
        let (engine, id) = (self.engine().as_ref(), self.inner.id.0);
        let source = Source { engine, id, latest, clock: Arc::clone(&self.inner.clock) };
        crate::maintain::create(dir.as_ref(), &source, options)
    }
}

impl Backups {
    /// The id of the store that is backed up here.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        StoreId(self.store_bytes())
    }
}
