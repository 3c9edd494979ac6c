//! Large values: each is two rows, its content hashes to its key, and who names one finds it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Context;
use super::found::{Findings, Site};
use super::report::Check;
use super::scan::Walk;
use crate::format::{Family, keys, record};
use crate::id::ValueHash;

/// So many damaged ones are remembered.
const MANY: usize = 1 << 14;

/// Which large values are named, as far as that fits into a few MiB; and which are damaged.
pub(super) struct Named {
    /// A Bloom filter: a value that is not in it is named by nobody.
    words: Vec<AtomicU64>,
    pub(super) damaged: BTreeSet<ValueHash>,
}

impl Named {
    /// For about this many values: 16 bits for each, 4 MiB at most.
    pub(super) fn new(values: u64) -> Self {
        let words = (values / 4 + 64).next_power_of_two().min(1 << 19) as usize;
        let words = std::iter::repeat_with(|| AtomicU64::new(0)).take(words).collect();
        Self { words, damaged: BTreeSet::new() }
    }

    /// The places of a hash in the filter.
    fn bits(&self, hash: &ValueHash) -> impl Iterator<Item = (usize, u64)> {
        let chunks = hash.as_bytes().as_chunks::<8>().0;
        let mask = self.words.len() - 1;
        chunks.iter().map(move |chunk| {
            let bits = u64::from_le_bytes(*chunk);
            ((bits >> 6) as usize & mask, 1 << (bits & 63))
        })
    }

    fn has(&self, hash: &ValueHash) -> bool {
        self.bits(hash).all(|(i, bit)| self.words[i].load(Ordering::Relaxed) & bit != 0)
    }

    /// Says that somebody names a value; what is wrong with it, if anything is.
    pub(super) fn name(
        &self,
        context: &Context<'_>,
        findings: &Findings,
        hash: &ValueHash,
        len: Option<u64>,
    ) -> Option<String> {
        for (i, bit) in self.bits(hash) {
            self.words[i].fetch_or(bit, Ordering::Relaxed);
        }
        let short = hash.short();
        if self.damaged.contains(hash) {
            return Some(format!("the large value {short} that it names is damaged"));
        }
        let Some(row) = context.get(Family::Blob, &keys::blob_length(hash), findings) else {
            return Some(format!("the large value {short} that it names is missing"));
        };
        let stored: Option<u64> = record::decode("length of a large value", &row).ok();
        let differs = len.is_some() && stored.is_some() && stored != len;
        differs.then(|| {
            format!("the large value {short} that it names has another length than it says")
        })
    }
}

/// What a range of large values comes to.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) count: u64,
    pub(super) damaged: Vec<ValueHash>,
}

/// INV-62: judges the large values whose hashes begin with this byte.
pub(super) fn judge(context: &Context<'_>, findings: &Findings, first: u8) -> Judged {
    let mut out = Judged::default();
    let mut walk = Walk::prefix(context, findings, Family::Blob, &[first]);
    let mut awaited: Option<(ValueHash, Option<u64>)> = None;
    let mut damaged = |hash: ValueHash, what: &str| {
        let what = format!("large value {} {what}", hash.short());
        findings.add(Check::Blobs, 62, Site::of(Family::Blob).key(hash.as_bytes()), what);
        if out.damaged.len() < MANY {
            out.damaged.push(hash);
        }
    };
    let mut count = 0;
    while walk.advance() {
        if walk.is_collected() {
            awaited = None;
            continue;
        }
        let (key, value) = walk.row();
        let (hash, kind) = match key.split_first_chunk::<32>() {
            Some((hash, [kind @ (0 | 1)])) => (ValueHash::from_bytes(*hash), *kind),
            _ => {
                findings.malformed(Site::of(Family::Blob).key(key), "the key of a large value");
                continue;
            }
        };
        if let Some((before, _)) = awaited.filter(|(before, _)| kind == 0 || *before != hash) {
            damaged(before, "has a length and no content");
            awaited = None;
        }
        if kind == 0 {
            count += 1;
            match record::decode::<u64>("length of a large value", value) {
                Ok(len) => awaited = Some((hash, Some(len))),
                Err(e) => {
                    findings.malformed(Site::of(Family::Blob).key(key), e);
                    awaited = Some((hash, None));
                }
            }
            continue;
        }
        match awaited.take() {
            None => damaged(hash, "has a content and no length"),
            Some((_, Some(len))) if len != value.len() as u64 => {
                damaged(hash, "has another length than is stored");
            }
            Some(_) if !context.quick && ValueHash::of(value) != hash => {
                damaged(hash, "has another content than its hash says");
            }
            Some(_) => {}
        }
    }
    if let Some((hash, _)) = awaited.filter(|_| !context.is_stopped()) {
        damaged(hash, "has a length and no content");
    }
    out.count = count;
    out
}

/// How many large values nobody names, at least. Their contents are stepped over.
pub(super) fn orphans(context: &Context<'_>, findings: &Findings, named: &Named) -> u64 {
    let mut walk = Walk::new(context, findings, Family::Blob, (&[], None));
    let mut orphans = 0;
    let mut more = walk.advance();
    while more {
        let Some((hash, _)) = walk.key().split_first_chunk::<32>() else {
            more = walk.advance();
            continue;
        };
        orphans += u64::from(!named.has(&ValueHash::from_bytes(*hash)));
        let mut behind = hash.to_vec();
        behind.push(2);
        more = walk.jump(&behind);
    }
    orphans
}
