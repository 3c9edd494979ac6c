//! What was purged: the audit records, and that no value is left of what they say is removed.

use super::found::{Findings, Site};
use crate::engine::Frozen;
use crate::format::refs::PurgeRecord;
use crate::format::{Family, keys, record};
use crate::id::Seq;

/// The audit records of purges that are done.
#[derive(Default)]
pub(super) struct Purges(Vec<PurgeRecord>);

impl Purges {
    /// INV-59: reads the audit records.
    pub(super) fn load(db: &Frozen<'_>, findings: &Findings) -> Self {
        let mut out = Vec::new();
        let upper = [keys::kind::PURGE + 1];
        let mut rows = db.look(Family::Refs, &[keys::kind::PURGE], Some(&upper));
        rows.seek_to_first();
        loop {
            let (key, value) = match rows.current() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(e) => {
                    findings.unreadable(Site::of(Family::Refs), &e);
                    break;
                }
            };
            let site = || Site::of(Family::Refs).key(key);
            match (keys::number_at(key, 1), key.len()) {
                (Ok(_), 9) => match record::decode::<PurgeRecord>("purge", value) {
                    Ok(purge) => out.extend(purge.done.then_some(purge)),
                    Err(e) => findings.malformed(site(), e),
                },
                _ => findings.malformed(site(), "the key of a purge"),
            }
            rows.next();
        }
        Self(out)
    }

    /// INV-71: whether no value of a key may be there that a commit wrote.
    pub(super) fn have(&self, key: &[u8], seq: Seq) -> bool {
        self.0.iter().any(|purge| {
            seq.get() <= purge.upto
                && purge.start.as_slice() <= key
                && purge.end.as_deref().is_none_or(|end| key < end)
        })
    }
}
