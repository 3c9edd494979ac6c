//! What was purged: the audit records, and that no value is left of what they say is removed.

use super::found::Findings;
use super::scan::numbered;
use crate::engine::Frozen;
use crate::format::keys;
use crate::format::refs::PurgeRecord;
use crate::id::Seq;

/// The audit records of purges.
#[derive(Default)]
pub(super) struct Purges(Vec<PurgeRecord>);

impl Purges {
    /// INV-59: reads the audit records.
    pub(super) fn load(db: &Frozen<'_>, findings: &Findings) -> Self {
        let purges = numbered(db, findings, (keys::kind::PURGE, "a purge", |site, _| site));
        Self(purges.into_iter().map(|(_, purge)| purge).collect())
    }

    /// INV-71: whether no value of a key may be there that a commit wrote.
    pub(super) fn have(&self, key: &[u8], seq: Seq) -> bool {
        self.0.iter().any(|purge| purge.done && seq.get() <= purge.upto && is_of(purge, key))
    }

    /// Whether values of a key were purged that are older than a commit, or are being purged.
    pub(super) fn are_before(&self, seq: Seq, key: &[u8]) -> bool {
        self.0.iter().any(|purge| purge.upto < seq.get() && is_of(purge, key))
    }
}

/// Whether a purge is of a key.
fn is_of(purge: &PurgeRecord, key: &[u8]) -> bool {
    purge.start.as_slice() <= key && purge.end.as_deref().is_none_or(|end| key < end)
}
