//! The reads that every kind of view offers.

use super::{Scan, get_many};
use crate::engine::Engine;
use crate::error::Result;
use crate::graph::Place;
use crate::kv::{Direction, KeyRange};

/// Reading: the same operations on a past commit ([`View`](crate::View)), a branch's head
/// ([`Branch`](crate::Branch)) and an open transaction ([`Txn`](crate::Txn)).
///
/// Cost: a get at the head of a branch is one look-up in RocksDB, and one quick miss more for each
/// layer of ancestors that the key is not in; at an older commit one seek more for a key that was
/// changed since. A scan reads what it returns.
///
/// # Errors
/// Every method: [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store
/// cannot be read. Nothing is changed by a read.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{KeyRange, Read};
/// let main = store.main()?;
/// main.put("fruit/pear", "green")?;
/// main.put("fruit/plum", "blue")?;
/// main.put("tree/oak", "old")?;
/// assert!(main.contains(b"tree/oak")?);
/// assert_eq!(main.prefix(b"fruit/")?.count(), 2);
/// assert_eq!(main.count(&KeyRange::all())?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Read {
    /// The value of a key; `None` if it is absent.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The pairs of a range in key order, forward or backward.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>>;

    /// The values of several keys, in the order of the keys.
    fn multi_get(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// How many keys are in a range.
    fn count(&self, range: &KeyRange) -> Result<u64> {
        let mut count = 0;
        for row in self.scan(range, Direction::Forward)? {
            row?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether a key is present.
    fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The pairs of a range in key order.
    fn range(&self, range: &KeyRange) -> Result<Scan<'_>> {
        self.scan(range, Direction::Forward)
    }

    /// The pairs whose keys start with these bytes, in key order.
    fn prefix(&self, prefix: &[u8]) -> Result<Scan<'_>> {
        self.scan(&KeyRange::prefix(prefix), Direction::Forward)
    }
}

/// Reads many keys in one sorted pass, and puts the answers back in the caller's order.
pub(crate) fn sorted_multi_get(
    engine: &Engine,
    layers: &[Place],
    wanted: &[&[u8]],
) -> Result<Vec<Option<Vec<u8>>>> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_unstable_by_key(|&i| wanted[i]);
    let sorted: Vec<&[u8]> = order.iter().map(|&i| wanted[i]).collect();
    let mut out = vec![None; wanted.len()];
    for (i, value) in order.into_iter().zip(get_many(engine, layers, &sorted)?) {
        out[i] = value;
    }
    Ok(out)
}
