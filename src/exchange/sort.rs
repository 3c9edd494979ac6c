//! Sorts more rows than fit into memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::path::Path;

use super::spool::Spool;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Bytes of a run that are read at once.
const BLOCK: usize = 256 << 10;

/// What a row takes in memory, about.
pub(super) fn size_of(pair: &Pair) -> usize {
    pair.0.len() + pair.1.len() + std::mem::size_of::<Pair>() + 32
}

/// Sorts by key. Of rows with one key the last stays; gives the number of those that went.
pub(super) fn sort_rows(rows: &mut Vec<Pair>) -> u64 {
    let before = rows.len();
    // Eight bytes of each key, after those that all begin with, settle nearly every comparison
    // without going to where the key is.
    let skip = shared(rows);
    let begin = |key: &[u8]| {
        let mut out = [0; 8];
        let rest = &key[skip..];
        let len = rest.len().min(8);
        out[..len].copy_from_slice(&rest[..len]);
        u64::from_be_bytes(out)
    };
    let mut order: Vec<(u64, usize)> =
        rows.iter().enumerate().map(|(at, row)| (begin(&row.0), at)).collect();
    order.sort_unstable_by(|a, b| {
        // The place is compared last: of equal keys the last that came stays last.
        a.0.cmp(&b.0).then_with(|| rows[a.1].0.cmp(&rows[b.1].0)).then(a.1.cmp(&b.1))
    });
    *rows = order.into_iter().map(|(_, at)| std::mem::take(&mut rows[at])).collect();
    rows.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    (before - rows.len()) as u64
}

/// How many bytes all keys begin with alike.
fn shared(rows: &[Pair]) -> usize {
    let Some((first, rest)) = rows.split_first() else { return 0 };
    rest.iter().fold(first.0.len(), |len, row| {
        let alike = first.0[..len].iter().zip(&row.0).take_while(|(a, b)| a == b);
        alike.count()
    })
}

/// Rows in any order, kept in sorted runs.
pub(super) struct Sorter {
    budget: usize,
    chunk: Vec<Pair>,
    size: usize,
    spool: Spool,
    /// Where each run begins and ends in the spool, oldest first.
    runs: Vec<(u64, u64)>,
    duplicates: u64,
}

impl Sorter {
    /// Keeps about `budget` bytes in memory, the rest in a file in `folder`.
    pub(super) fn new(folder: &Path, budget: usize) -> Self {
        let spool = Spool::new(folder, BLOCK);
        Self { budget, chunk: Vec::new(), size: 0, spool, runs: Vec::new(), duplicates: 0 }
    }

    /// Takes one row more. A later row replaces an earlier one with its key.
    pub(super) fn push(&mut self, pair: Pair) -> io::Result<()> {
        self.size += size_of(&pair);
        self.chunk.push(pair);
        if self.size > self.budget { self.spill() } else { Ok(()) }
    }

    /// The rows in order, each key once.
    pub(super) fn finish(mut self) -> io::Result<Merge> {
        self.spill()?;
        let mut merge = Merge {
            spool: self.spool,
            runs: Vec::with_capacity(self.runs.len()),
            heap: BinaryHeap::with_capacity(self.runs.len()),
            duplicates: self.duplicates,
        };
        // Many runs share one budget.
        let block = (self.budget / self.runs.len().max(1)).clamp(4 << 10, BLOCK);
        for (at, end) in self.runs {
            merge.runs.push(Run { at, end, block, buffer: Vec::new(), from: 0 });
            merge.refill(merge.runs.len() - 1)?;
        }
        Ok(merge)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.duplicates += sort_rows(&mut self.chunk);
        let begin = self.spool.len();
        for (key, value) in self.chunk.drain(..) {
            for part in [&key, &value] {
                let len = u32::try_from(part.len()).map_err(io::Error::other)?;
                self.spool.write_all(&len.to_le_bytes())?;
            }
            self.spool.write_all(&key)?;
            self.spool.write_all(&value)?;
        }
        self.size = 0;
        let end = self.spool.len();
        if end > begin {
            self.runs.push((begin, end));
        }
        Ok(())
    }
}

/// One sorted run that is being read.
struct Run {
    /// Where the next block begins in the spool.
    at: u64,
    end: u64,
    block: usize,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins.
    from: usize,
}

impl Run {
    fn take(&mut self, len: usize, spool: &mut Spool) -> io::Result<&[u8]> {
        if self.buffer.len() - self.from < len {
            self.buffer.drain(..self.from);
            self.from = 0;
            let have = self.buffer.len();
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let want = (len - have).max(self.block).min(left);
            self.buffer.resize(have + want, 0);
            spool.read_at(self.at, &mut self.buffer[have..])?;
            self.at += want as u64;
        }
        let bytes = self.buffer.get(self.from..self.from + len);
        self.from += len;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn next(&mut self, spool: &mut Spool) -> io::Result<Option<Pair>> {
        if self.from == self.buffer.len() && self.at == self.end {
            return Ok(None);
        }
        let mut lens = [0_usize; 2];
        for len in &mut lens {
            let bytes = self.take(4, spool)?;
            let bytes = bytes.try_into().map_err(io::Error::other)?;
            *len = usize::try_from(u32::from_le_bytes(bytes)).map_err(io::Error::other)?;
        }
        let key = self.take(lens[0], spool)?.to_vec();
        let value = self.take(lens[1], spool)?.to_vec();
        Ok(Some((key, value)))
    }
}

/// Sorted runs, merged: strictly increasing keys, the value of the newest run.
pub(super) struct Merge {
    spool: Spool,
    runs: Vec<Run>,
    /// The next row of each run: smallest key first, then the newest run.
    heap: BinaryHeap<Reverse<Next>>,
    duplicates: u64,
}

/// The first row of a run, by key, then by age of the run.
struct Next {
    key: Vec<u8>,
    run: usize,
    value: Vec<u8>,
}

impl Next {
    fn order(&self) -> (&[u8], Reverse<usize>) {
        (&self.key, Reverse(self.run))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}
impl Eq for Next {}
impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl Merge {
    /// Rows so far whose key came again later.
    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        if let Some((key, value)) = self.runs[run].next(&mut self.spool)? {
            self.heap.push(Reverse(Next { key, run, value }));
        }
        Ok(())
    }

    fn pop(&mut self) -> io::Result<Option<Pair>> {
        let Some(Reverse(first)) = self.heap.pop() else { return Ok(None) };
        self.refill(first.run)?;
        while self.heap.peek().is_some_and(|Reverse(next)| next.key == first.key) {
            if let Some(Reverse(older)) = self.heap.pop() {
                self.refill(older.run)?;
                self.duplicates += 1;
            }
        }
        Ok(Some((first.key, first.value)))
    }
}

impl Iterator for Merge {
    type Item = io::Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pop().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn rows_come_out_in_order_and_the_last_of_a_key_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut random = fastrand::Rng::with_seed(3);
        for budget in [1, 500, 5_000, 10_000_000] {
            let mut sorter = Sorter::new(dir.path(), budget);
            let mut model = BTreeMap::new();
            for n in 0..3_000_u32 {
                let key = random.u16(0..1_000).to_be_bytes()[random.usize(0..2)..].to_vec();
                let value = vec![n as u8; random.usize(0..40)];
                model.insert(key.clone(), value.clone());
                sorter.push((key, value)).expect("it is kept");
            }
            let mut merge = sorter.finish().expect("it is sorted");
            let rows: Vec<Pair> = merge.by_ref().map(|row| row.expect("it is read")).collect();
            assert_eq!(merge.duplicates(), 3_000 - rows.len() as u64, "the rest was replaced");
            assert_eq!(rows, model.into_iter().collect::<Vec<_>>(), "budget {budget}");
        }
    }

    #[test]
    fn a_value_larger_than_the_budget_is_sorted_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut sorter = Sorter::new(dir.path(), 100);
        let big = vec![7; 3 * BLOCK];
        for key in [b"b", b"a"] {
            sorter.push((key.to_vec(), big.clone())).expect("it is kept");
        }
        let rows: Vec<_> =
            sorter.finish().expect("sorted").map(|r| r.expect("it is read")).collect();
        assert_eq!(rows, [(b"a".to_vec(), big.clone()), (b"b".to_vec(), big)]);
    }
}
