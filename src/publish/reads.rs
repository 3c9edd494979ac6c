//! What a serializable transaction has read: keys and ranges, as intervals of keys that do not overlap.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::kv::KeyRange;

/// A set of keys, kept as half-open intervals: from a key up to another, or to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadSet {
    intervals: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl ReadSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Memory that the bounds take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one key.
    pub(crate) fn add_key(&mut self, key: &[u8]) {
        if !self.contains(key) {
            let mut end = key.to_vec();
            end.push(0);
            self.add(key.to_vec(), Some(end));
        }
    }

    /// Adds all keys of a range.
    pub(crate) fn add_range(&mut self, range: &KeyRange) {
        self.add(range.start(), range.end());
    }

    /// Adds the keys from `start` up to `end`, which is not one of them; intervals that touch become
    /// one. Cost: the intervals that are swallowed.
    fn add(&mut self, mut start: Vec<u8>, mut end: Option<Vec<u8>>) {
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        if let Some((below, reach)) = self.intervals.range(..=start.clone()).next_back()
            && reach.as_ref().is_none_or(|reach| *reach >= start)
        {
            start = below.clone();
        }
        loop {
            let next = self.intervals.range(start.clone()..).next();
            let Some((first, reach)) = next else { break };
            if end.as_ref().is_some_and(|end| first > end) {
                break;
            }
            end = match (end, reach) {
                (Some(end), Some(reach)) => Some(end.max(reach.clone())),
                _ => None,
            };
            let first = first.clone();
            let reach = self.intervals.remove(&first).flatten();
            self.bytes -= size(&first, reach.as_ref());
        }
        self.bytes += size(&start, end.as_ref());
        self.intervals.insert(start, end);
    }

    /// Whether it holds a key.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.intervals
            .range::<[u8], _>(upto)
            .next_back()
            .is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < end.as_slice()))
    }

    /// The intervals in order: first key, and the first one behind.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.intervals.iter().map(|(start, end)| (start.as_slice(), end.as_deref()))
    }
}

/// What an interval takes, with its place in the tree.
fn size(start: &[u8], end: Option<&Vec<u8>>) -> usize {
    start.len() + end.map_or(0, Vec::len) + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key of up to two letters of a small alphabet.
    fn universe() -> Vec<Vec<u8>> {
        let letters = [0u8, 1, 255];
        let mut keys: Vec<Vec<u8>> = letters.iter().map(|&a| vec![a]).collect();
        keys.extend(letters.iter().flat_map(|&a| letters.map(|b| vec![a, b])));
        keys.sort();
        keys
    }

    #[test]
    fn txn_1_a_read_set_holds_exactly_what_was_added() {
        let keys = universe();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut set = ReadSet::default();
            let mut added: Vec<KeyRange> = Vec::new();
            for _ in 0..random.usize(..6) {
                let (a, b) = (random.choice(&keys).expect("some"), random.choice(&keys));
                let b = b.expect("some").clone();
                let range = match random.u8(..5) {
                    0 => KeyRange::key(a.clone()),
                    1 => KeyRange::prefix(a),
                    2 => KeyRange::new(Bound::Included(a.clone()), Bound::Unbounded),
                    3 => KeyRange::new(Bound::Excluded(a.clone()), Bound::Included(b)),
                    _ => KeyRange::new(Bound::Included(a.clone()), Bound::Excluded(b)),
                };
                set.add_range(&range);
                added.push(range);
            }
            for key in &keys {
                let wanted = added.iter().any(|range| range.contains(key));
                assert_eq!(set.contains(key), wanted, "{key:?} in {set:?} made of {added:?}");
            }
            let ends: Vec<_> = set.intervals().collect();
            let apart = ends.windows(2).all(|two| two[0].1.is_some_and(|end| end < two[1].0));
            assert!(apart, "intervals neither overlap nor touch: {set:?}");
            let bytes: usize =
                set.intervals.iter().map(|(start, end)| size(start, end.as_ref())).sum();
            assert_eq!(set.bytes(), bytes, "the bytes add up");
        }
    }
}
