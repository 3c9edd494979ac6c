//! Purges, as those have to know them who plan changes from what is stored.
//!
//! A purge goes from row to row. Whoever reads a key of its range meanwhile may find a value at one commit,
//! and nothing at another one that has the same value. So nobody plans from that: merges wait for the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Graph;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::refs::{PurgeRecord, meta};
use crate::format::{Family, keys, record};
use crate::kv::KeyRange;

/// The ranges of keys of which values were purged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purged(Arc<Vec<KeyRange>>);

impl Purged {
    /// Whether nothing ever was.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether values of a key may have been: then hashes in the log do not tell what reads find.
    pub(crate) fn covers(&self, key: &[u8]) -> bool {
        self.0.iter().any(|range| range.contains(key))
    }
}

/// All purges, and the one that has begun and not ended.
#[derive(Default)]
pub(super) struct Purges {
    all: RwLock<Purged>,
    /// How often one has begun or ended.
    turn: AtomicU64,
    under_way: RwLock<Option<KeyRange>>,
}

impl Purges {
    pub(super) fn load(engine: &Engine) -> Result<Self> {
        let (out, mut all, mut last) = (Self::default(), Vec::new(), None);
        let mut rows = engine.iter_prefix(Family::Refs, &[keys::kind::PURGE]);
        rows.seek_to_first();
        while let Some((_, row)) = rows.current()? {
            let purge: PurgeRecord = record::decode("purge", row)?;
            last = Some(purge.range());
            all.extend(last.clone());
            rows.next();
        }
        drop(rows);
        *out.all.write().unwrap_or_else(PoisonError::into_inner) = Purged(Arc::new(all));
        if engine.get(Family::Meta, meta::PURGE)?.is_some() {
            out.set(last);
        }
        Ok(out)
    }

    fn set(&self, range: Option<KeyRange>) {
        *self.under_way.write().unwrap_or_else(PoisonError::into_inner) = range;
        self.turn.fetch_add(1, Ordering::AcqRel);
    }
}

impl Graph {
    /// Of which keys values were purged.
    pub(crate) fn purged(&self) -> Purged {
        self.purges.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that from now on values of a range are purged. Called under the commit lock.
    pub(crate) fn begin_purge(&self, range: KeyRange) {
        let mut all = self.purges.all.write().unwrap_or_else(PoisonError::into_inner);
        if !all.0.contains(&range) {
            let ranges = all.0.iter().chain([&range]).cloned();
            *all = Purged(Arc::new(ranges.collect()));
        }
        drop(all);
        self.purges.set(Some(range));
    }

    /// Says that it is done, or has not begun after all.
    pub(crate) fn end_purge(&self) {
        self.purges.set(None);
    }

    /// A number that changes with each purge that begins or ends.
    pub(crate) fn purge_turn(&self) -> u64 {
        self.purges.turn.load(Ordering::Acquire)
    }

    /// Refuses to go on from what is stored while values are purged from it.
    pub(crate) fn must_not_be_purging(&self) -> Result<()> {
        let under_way = self.purges.under_way.read().unwrap_or_else(PoisonError::into_inner);
        if under_way.is_none() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Busy, "a purge is under way").with_hint(
            "run it again when that has ended; a purge that was stopped goes on with the next, or when the store is opened",
        ))
    }
}
