//! Sums that show whether two sets of versions are the same, however many there are.
//!
//! The commits name versions by sequence, the rows hold them by key. Instead of sorting one after the
//! other, each side adds up a hash of each version, in as many sums as there are groups of keys. Where
//! the sums of a group agree the sets do; where they do not, only that group is looked at again.

use std::hash::{DefaultHasher, Hasher};

use super::rows::Item;
use crate::format::commit::FingerprintSum;
use crate::id::{Fingerprint, LineId};

/// Groups of keys: a power of two.
pub(super) const GROUPS: usize = 1 << 16;

/// Takes versions, from the log or from rows.
pub(super) trait Sink: Send {
    fn take(&mut self, item: &Item<'_>);
}

/// The group of a key on a line.
pub(super) fn group_of(line: LineId, key: &[u8]) -> usize {
    let hash = hash_key(line, key);
    (hash ^ (hash >> 29)) as usize & (GROUPS - 1)
}

fn hash_key(line: LineId, key: &[u8]) -> u64 {
    // Its keys are fixed, so the answer is the same each time; nothing of it is stored.
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(line.get());
    hasher.write(key);
    hasher.finish()
}

/// A sum for each group. The log adds, rows take away.
pub(super) struct Sums {
    groups: Vec<u128>,
    from_log: bool,
    pub(super) items: u64,
}

impl Sums {
    pub(super) fn new(from_log: bool) -> Self {
        Self { groups: vec![0; GROUPS], from_log, items: 0 }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.groups.iter_mut().zip(&other.groups) {
            *sum = sum.wrapping_add(*more);
        }
        self.items += other.items;
    }

    /// The groups in which the two sides differ.
    pub(super) fn unequal(&self) -> Vec<usize> {
        (0..GROUPS).filter(|&group| self.groups[group] != 0).collect()
    }
}

impl Sink for Sums {
    fn take(&mut self, item: &Item<'_>) {
        let hash = hash_item(item);
        let sum = &mut self.groups[group_of(item.line, item.key)];
        *sum = if self.from_log { sum.wrapping_add(hash) } else { sum.wrapping_sub(hash) };
        self.items += 1;
    }
}

/// A hash of a version: line, key, commit, what was there before, and what is now.
fn hash_item(item: &Item<'_>) -> u128 {
    let [b0, b1, ..] = item.before.unwrap_or_default();
    let [a0, a1, ..] = item.after.unwrap_or_default();
    let some = u64::from(item.before.is_some()) | u64::from(item.after.is_some()) << 1;
    let words = [hash_key(item.line, item.key), item.seq.get(), some, b0, b1, a0, a1];
    let mix = |seed: u64, factor: u64| {
        let step = |hash: u64, word: u64| {
            let hash = (hash ^ word).wrapping_mul(factor);
            hash ^ (hash >> 32)
        };
        words.into_iter().fold(seed, step)
    };
    let high = mix(0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93);
    let low = mix(0xC2B2_AE3D_27D4_EB4F, 0xA076_1D64_78BD_642F);
    u128::from(high) << 64 | u128::from(low)
}

/// What the rows of a line come to: how many, and what they change against what is below the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineSum {
    pub(super) rows: u64,
    pub(super) keys: i64,
    pub(super) sum: FingerprintSum,
}

impl Default for LineSum {
    fn default() -> Self {
        Self { rows: 0, keys: 0, sum: FingerprintSum::new(Fingerprint::EMPTY) }
    }
}

impl LineSum {
    pub(super) fn add(&mut self, other: &Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        self.keys += other.keys;
        self.sum.add_sum(other.sum);
    }

    /// Takes back what [`row`](Self::row) took: the number of rows may go below zero, and comes back when
    /// sums are added.
    pub(super) fn take_back(&mut self, below: Option<[u64; 4]>, now: Option<[u64; 4]>) {
        self.rows = self.rows.wrapping_sub(2);
        self.row(now, below);
    }

    /// Takes what the line shows of a key, and what is below.
    pub(super) fn row(&mut self, below: Option<[u64; 4]>, now: Option<[u64; 4]>) {
        self.rows = self.rows.wrapping_add(1);
        if let Some(below) = below {
            self.keys -= 1;
            self.sum.remove_summand(below);
        }
        if let Some(now) = now {
            self.keys += 1;
            self.sum.add_summand(now);
        }
    }
}
