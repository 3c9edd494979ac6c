//! Branches, tags, the active branch, and the operation log: reading them. `publish` writes them.

mod info;
mod ops;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use info::{BranchInfo, Operation, TagInfo, TagListOptions, TagOrder};
pub(crate) use ops::{Entry, describe};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::refs::{BranchRecord, TagRecord, meta};
use crate::format::{Family, keys, record};
use crate::name::BranchName;

#[expect(clippy::disallowed_types, reason = "look-ups only, never iterated")]
type Cache = RwLock<std::collections::HashMap<String, Arc<BranchRecord>>>;
/// The cache is emptied when it holds this many branches.
const CACHED: usize = 1 << 14;

/// Refs as stored, with the branches that were looked up lately in memory.
pub(crate) struct Refs {
    engine: Arc<Engine>,
    cache: Cache,
    /// Grows with every move of a ref.
    epoch: AtomicU64,
    recent: Mutex<Recent>,
}

/// So many moves of branches are remembered: some megabytes.
const REMEMBERED: usize = 1 << 16;

/// Branches that were moved lately, oldest first, each with the epoch since which it is where it is.
#[derive(Default)]
struct Recent {
    moves: VecDeque<(u64, String)>,
    /// Moves up to this epoch may be forgotten.
    forgotten: u64,
}

impl Refs {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let (cache, epoch, recent) = (Cache::default(), AtomicU64::new(0), Mutex::default());
        Self { engine, cache, epoch, recent }
    }

    /// A number that grows with every move of a ref.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Forgets what is in memory, after refs were written, these branches among them. The caller holds
    /// the commit lock.
    pub(crate) fn moved(&self, branches: impl IntoIterator<Item = String>) {
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch() + 1;
        recent.moves.extend(branches.into_iter().map(|name| (epoch, name)));
        while recent.moves.len() > REMEMBERED {
            recent.forgotten = recent.moves.pop_front().map_or(epoch, |(epoch, _)| epoch);
        }
        self.epoch.store(epoch, Ordering::Release);
        cache.clear();
    }

    /// Forgets what is in memory, after who knows what was written. The caller holds the commit lock.
    pub(crate) fn all_moved(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).forgotten = self.epoch() + 1;
        self.moved([]);
    }

    /// Whether a branch may have been moved, made or deleted after an epoch.
    pub(crate) fn moved_since(&self, epoch: u64, branch: &str) -> bool {
        if self.epoch() == epoch {
            return false;
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.forgotten > epoch
            || recent.moves.iter().rev().take_while(|(at, _)| *at > epoch).any(|(_, b)| b == branch)
    }

    /// A branch's record.
    pub(crate) fn find_branch(&self, name: &str) -> Result<Option<Arc<BranchRecord>>> {
        let epoch = {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = cache.get(name) {
                return Ok(Some(Arc::clone(found)));
            }
            self.epoch()
        };
        let Some(row) = self.engine.get(Family::Refs, &keys::branch(name))? else {
            return Ok(None);
        };
        let found: Arc<BranchRecord> = Arc::new(record::decode("branch", &row)?);
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        // What was read may be old if a ref moved meanwhile; then it is not kept.
        if self.epoch() == epoch {
            if cache.len() >= CACHED {
                cache.clear();
            }
            cache.insert(name.to_owned(), Arc::clone(&found));
        }
        Ok(Some(found))
    }

    /// A branch's record.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none of this name.
    pub(crate) fn branch(&self, name: &str) -> Result<Arc<BranchRecord>> {
        self.find_branch(name)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no branch {name:?}"))
                .with_hint("`withy branch` lists the branches")
        })
    }

    /// A tag's record.
    pub(crate) fn find_tag(&self, name: &str) -> Result<Option<TagRecord>> {
        match self.engine.get(Family::Refs, &keys::tag(name))? {
            Some(row) => Ok(Some(record::decode("tag", &row)?)),
            None => Ok(None),
        }
    }

    /// All branches by name.
    pub(crate) fn branches(&self) -> Result<Vec<(String, BranchRecord)>> {
        self.all(keys::kind::BRANCH, "branch")
    }

    /// All tags by name.
    pub(crate) fn tags(&self) -> Result<Vec<(String, TagRecord)>> {
        self.all(keys::kind::TAG, "tag")
    }

    fn all<T: record::Stored>(&self, kind: u8, what: &'static str) -> Result<Vec<(String, T)>> {
        let mut out = Vec::new();
        let mut rows = self.engine.iter_prefix(Family::Refs, &[kind]);
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            out.push((keys::name_of(key)?.to_owned(), record::decode(what, value)?));
            rows.next();
        }
        Ok(out)
    }

    /// The active branch: the default of the command line.
    pub(crate) fn active(&self) -> Result<BranchName> {
        let row = self.engine.get(Family::Meta, meta::ACTIVE)?;
        match row {
            Some(row) => BranchName::new(&record::decode::<String>("active branch", &row)?),
            None => Ok(BranchName::main()),
        }
    }
}
