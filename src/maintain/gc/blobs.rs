//! Large values that no row names any more.
//!
//! All rows that can name one are read, and the hashes noted in a bitmap of fixed size; what is not in it
//! is removed. A value that only seems to be named stays until a later run, whose bitmap differs.

use super::{Collector, Phase};
use crate::error::Result;
use crate::format::merge::OpenConflictRecord;
use crate::format::prepared::is_write;
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Family, keys, record};
use crate::id::{Seq, ValueHash};
use crate::publish::{Publisher, Watch};

/// Bits of the bitmap: 16 MiB.
const BITS: u64 = 1 << 27;
/// So many values are removed at a time.
const GROUP: usize = 4096;

/// Hashes that were seen; it may say yes to others, never no to one of them.
struct Seen {
    bits: Vec<u64>,
    salt: u64,
}

impl Seen {
    fn new(salt: u64) -> Self {
        Self { bits: vec![0; (BITS / 64) as usize], salt }
    }

    fn places(&self, hash: &[u8; 32]) -> [u64; 2] {
        let mut words = [0; 2];
        for (word, bytes) in words.iter_mut().zip(hash.as_chunks::<8>().0) {
            *word = (u64::from_be_bytes(*bytes) ^ self.salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            *word = (*word >> 32) % BITS;
        }
        words
    }

    fn add(&mut self, hash: &[u8; 32]) {
        for place in self.places(hash) {
            self.bits[(place / 64) as usize] |= 1 << (place % 64);
        }
    }

    fn has(&self, hash: &[u8; 32]) -> bool {
        self.places(hash)
            .iter()
            .all(|place| self.bits[(place / 64) as usize] & (1 << (place % 64)) != 0)
    }
}

impl Collector<'_> {
    /// Removes large values that no row names.
    pub(super) fn blobs(&mut self) -> Result<()> {
        let engine = self.engine();
        let mut any = engine.iter(Family::Blob, &[], None);
        any.seek_to_first();
        if any.current()?.is_none() {
            return Ok(());
        }
        drop(any);
        // What commits after this one name is found in the log, what work under way names from now on is noted.
        let publisher = self.publisher();
        let (watch, mut known) = (publisher.watch()?, publisher.visible());
        let mut seen = Seen::new(known.get());
        note_under_way(&engine, &mut |hash| seen.add(hash))?;
        // In this order: a version moves from `head` to `history`, never back while it is needed.
        for family in [Family::Head, Family::History] {
            let mut rows = engine.iter_once(family, &[], None);
            rows.seek_to_first();
            while let Some((_, row)) = rows.current()? {
                let cell = match family {
                    Family::Head => read_head(row)?.1,
                    _ => read_history(row)?,
                };
                if let Cell::Blob { hash, .. } = cell {
                    seen.add(hash.as_bytes());
                }
                self.examined(row.len())?;
                rows.next();
            }
        }
        let mut rows = engine.iter_once(Family::Blob, &[], None);
        rows.seek_to_first();
        let mut group = Vec::new();
        while let Some((stored, _)) = rows.current()? {
            let hash: Option<&[u8; 32]> = stored.first_chunk();
            if let Some(hash) = hash.filter(|hash| !seen.has(hash)) {
                group.push(*hash);
                group.dedup();
            }
            rows.next();
            if group.len() > GROUP {
                self.drop_blobs(&watch, (&mut seen, &mut known), &mut group)?;
            }
        }
        self.drop_blobs(&watch, (&mut seen, &mut known), &mut group)
    }

    /// Removes some large values, unless somebody has named them meanwhile.
    fn drop_blobs(
        &mut self,
        watch: &Watch<'_>,
        (seen, known): (&mut Seen, &mut Seq),
        group: &mut Vec<[u8; 32]>,
    ) -> Result<()> {
        let publisher = self.publisher();
        let engine = self.engine();
        let (mut count, mut bytes) = (0, 0);
        // Most of them before the lock is taken, the rest under it.
        note_commits(publisher, known, &mut |hash| seen.add(hash))?;
        publisher.remove(|set| {
            note_commits(publisher, known, &mut |hash| seen.add(hash))?;
            watch.take().iter().for_each(|hash| seen.add(hash.as_bytes()));
            for hash in group.drain(..) {
                if seen.has(&hash) {
                    continue;
                }
                let hash = ValueHash::from_bytes(hash);
                let length = keys::blob_length(&hash);
                if let Some(row) = engine.get(Family::Blob, &length)? {
                    let length: u64 = record::decode("length of a large value", &row)?;
                    bytes += length;
                }
                engine.delete(set, Family::Blob, &length);
                engine.delete(set, Family::Blob, &keys::blob_content(&hash));
                count += 1;
            }
            Ok(())
        })?;
        self.report.values += count;
        self.removed(count, usize::try_from(bytes).unwrap_or(usize::MAX));
        if count > 0 {
            self.touched.insert(Family::Blob);
        }
        self.note_phase(Phase::Blobs, &[])?;
        self.pause(bytes)
    }
}

/// Notes the large values that commits after one have named, up to now.
pub(in crate::maintain) fn note_commits(
    publisher: &Publisher,
    known: &mut Seq,
    note: &mut impl FnMut(&[u8; 32]),
) -> Result<()> {
    let newest = publisher.visible();
    while *known < newest {
        *known = known.next();
        let graph = publisher.graph();
        graph.visit(
            *known,
            |_| {},
            |change| change.after().iter().for_each(|h| note(h.as_bytes())),
        )?;
    }
    Ok(())
}

/// Notes the large values of open merges and prepared transactions.
pub(in crate::maintain) fn note_under_way(
    engine: &crate::engine::Engine,
    note: &mut impl FnMut(&[u8; 32]),
) -> Result<()> {
    let mut rows = engine.iter_prefix(Family::State, &[keys::state::CONFLICT]);
    rows.seek_to_first();
    while let Some((_, row)) = rows.current()? {
        let conflict: OpenConflictRecord = record::decode("conflict", row)?;
        if let Some((hash, _)) = conflict.resolution.and_then(|resolution| resolution.blob) {
            note(&hash);
        }
        rows.next();
    }
    let mut rows = engine.iter_prefix(Family::State, &[keys::state::PREPARED_PART]);
    rows.seek_to_first();
    while let Some((stored, row)) = rows.current()? {
        if is_write(stored)
            && let Cell::Blob { hash, .. } = read_history(row)?
        {
            note(hash.as_bytes());
        }
        rows.next();
    }
    Ok(())
}
