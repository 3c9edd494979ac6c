//! Fencing numbers of locks: which of them have been handed out, over the life of the store.

use super::Publisher;
use crate::engine::WriteSet;
use crate::error::{Error, ErrorKind, Result};
use crate::format::refs::meta;
use crate::format::{Family, record};
use crate::kv::Durability;

impl Publisher {
    /// Reserves so many fencing numbers and gives the first one. They are on disk as reserved before
    /// this returns, whatever the store's durability: a number that was seen is never given again.
    pub(crate) fn reserve_fences(&self, count: u64) -> Result<u64> {
        let writer = self.lock()?;
        let first: u64 = match self.engine().get(Family::Meta, meta::LOCK_FENCES)? {
            Some(row) => record::decode("fencing numbers", &row)?,
            None => 1,
        };
        let next = first.checked_add(count).ok_or_else(|| {
            Error::new(ErrorKind::Limit, "the store has given out all fencing numbers there are")
        })?;
        let mut set = WriteSet::default();
        self.engine().put(&mut set, Family::Meta, meta::LOCK_FENCES, &record::encode(&next));
        self.engine().write(set)?;
        let write = self.wrote(&writer);
        drop(writer);
        self.settle(write, Some(Durability::Sync))?;
        Ok(first)
    }
}
