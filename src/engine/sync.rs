//! Group sync: whoever waits for the disk first syncs for all that wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;

/// What is written and what is on disk.
pub(crate) struct GroupSync {
    /// Number of writes done, and of those that are on disk.
    writes: AtomicU64,
    synced_writes: AtomicU64,
    /// Newest commit written, and newest on disk.
    written: AtomicU64,
    synced: AtomicU64,
    /// Whether a leader is syncing right now.
    leading: Mutex<bool>,
    done: Condvar,
}

impl GroupSync {
    /// Everything up to here is on disk already.
    pub(crate) fn new(latest: Seq) -> Self {
        Self {
            writes: AtomicU64::new(0),
            synced_writes: AtomicU64::new(0),
            written: AtomicU64::new(latest.get()),
            synced: AtomicU64::new(latest.get()),
            leading: Mutex::new(false),
            done: Condvar::new(),
        }
    }

    /// Says that a write is done, and with it everything up to commit `seq`; the number of the write
    /// is what to wait for. The caller holds the commit lock.
    pub(crate) fn wrote(&self, seq: Seq) -> u64 {
        // In this order: who sees the commit and waits for the newest write waits for this one.
        let write = self.writes.fetch_add(1, Ordering::AcqRel) + 1;
        self.written.store(seq.get(), Ordering::Release);
        write
    }

    /// The number of the newest write.
    pub(crate) fn newest(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    pub(crate) fn written(&self) -> Seq {
        Seq::new(self.written.load(Ordering::Acquire))
    }

    pub(crate) fn synced(&self) -> Seq {
        Seq::new(self.synced.load(Ordering::Acquire))
    }

    /// Returns once a write and all before it are on disk.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`] if the sync failed, here or in the leader: what was written may
    /// or may not be found after a reopen.
    pub(crate) fn wait(&self, engine: &Engine, write: u64) -> Result<()> {
        let mut leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        while self.synced_writes.load(Ordering::Acquire) < write {
            engine.check().map_err(|e| unknown().because(e))?;
            if *leading {
                leading = self.done.wait(leading).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            *leading = true;
            drop(leading);
            // Read before the sync: what is written later may miss it.
            let seq = self.written();
            let upto = self.newest();
            let synced = engine.sync();
            leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
            *leading = false;
            if synced.is_ok() {
                self.synced_writes.fetch_max(upto, Ordering::AcqRel);
                self.synced.fetch_max(seq.get(), Ordering::AcqRel);
            }
            self.done.notify_all();
            synced.map_err(|e| unknown().because(e))?;
        }
        Ok(())
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the disk did not confirm the write")
        .with_hint("open the store again and look; everything acknowledged earlier is safe")
}
