//! Loading rows: few as an ordinary commit, many through sorted files that are ingested.

use std::cell::Cell;
use std::iter;

use super::sort::{Pair, Sorter, size_of, sort_rows};
use super::{LoadOptions, Loaded, check_row, spool_failed};
use crate::error::{ErrorKind, Result};
use crate::id::Seq;
use crate::kv::{Batch, KeyRange};
use crate::name::BranchName;
use crate::progress::Meter;
use crate::publish::{CommitOptions, Committed, ImportRefs, ImportSession};
use crate::store::Store;
use crate::view::Read;

/// With fewer rows than this, an ordinary commit is as fast.
const FEW: usize = 10_000;

/// Puts rows on a branch, as one commit.
///
/// Rows may come in any order; of several with one key the last wins. What the branch has besides
/// stays. Many rows are written as sorted files that RocksDB takes over as they are; until the end
/// nothing is visible. While they are written nobody else can write.
///
/// More rows than [`LoadOptions::memory`] holds are passed through if they come in order of keys to a
/// branch that is empty; else they are sorted in a temporary file first.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no such branch and [`LoadOptions::from`] is not set;
/// [`Limit`](ErrorKind::Limit) for a key or value out of bounds; errors of `rows`, as they are;
/// [`Io`](ErrorKind::Io) if the progress callback broke off, or a disk is full. After an error the
/// store is as it was before.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Read, exchange::{LoadOptions, load}};
/// let rows = (0..20_000_u32).map(|n| Ok((n.to_be_bytes().to_vec(), b"new".to_vec())));
/// let loaded = load(&store, "imported", rows, LoadOptions::default().from("main"))?;
/// assert_eq!(loaded.rows, 20_000);
/// assert_eq!(store.view("imported")?.len(), 20_000);
/// assert_eq!(store.view("main")?.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load(
    store: &Store,
    branch: &str,
    rows: impl IntoIterator<Item = Result<Pair>>,
    options: LoadOptions<'_>,
) -> Result<Loaded> {
    let bytes = Cell::new(0);
    let mut number = 0;
    let rows = rows.into_iter().map(|row| {
        let (key, value) = row?;
        number += 1;
        bytes.set(bytes.get() + (key.len() + value.len()) as u64);
        check_row(number, &key, &value)?;
        Ok((key, value))
    });
    load_counted(store, branch, rows, &bytes, options)
}

/// The same for checked rows whose bytes are counted elsewhere.
pub(super) fn load_counted(
    store: &Store,
    branch: &str,
    rows: impl Iterator<Item = Result<Pair>>,
    bytes: &Cell<u64>,
    options: LoadOptions<'_>,
) -> Result<Loaded> {
    let LoadOptions { author, message, from, memory, meter } = options;
    let mut commit = CommitOptions::default().message(message);
    if let Some(author) = author {
        commit = commit.author(author);
    }
    let target = Target { store, name: BranchName::new(branch)?, from, commit, memory };
    let exists = target.head()?.1;
    let mut source = Source { rows, count: 0, bytes, meter };
    let mut first = Chunk::read(&mut source, memory)?;
    let mut duplicates = 0;
    if first.is_all && !first.is_sorted {
        duplicates = sort_rows(&mut first.rows);
        first.is_sorted = true;
    }
    let commit = if exists && first.is_all && first.rows.len() < FEW {
        source.tell()?;
        target.write(first.rows)?
    } else if first.is_sorted {
        target.stream(first, &mut source, &mut duplicates)?
    } else {
        target.sort(first.rows.into_iter().map(Ok), &mut source, &mut duplicates)?
    };
    Ok(Loaded { rows: source.count, duplicates, bytes: bytes.get(), commit })
}

/// Rows that are counted as they come.
struct Source<'a, I> {
    rows: I,
    count: u64,
    bytes: &'a Cell<u64>,
    meter: Meter<'a>,
}

impl<I: Iterator<Item = Result<Pair>>> Source<'_, I> {
    fn next(&mut self) -> Option<Result<Pair>> {
        let row = self.rows.next()?;
        self.count += 1;
        Some(row.and_then(|row| {
            self.meter.step(self.count, self.bytes.get())?;
            Ok(row)
        }))
    }

    fn tell(&mut self) -> Result<()> {
        self.meter.tell(self.count, self.bytes.get())
    }
}

/// The first rows, as many as memory should hold.
struct Chunk {
    rows: Vec<Pair>,
    is_sorted: bool,
    is_all: bool,
}

impl Chunk {
    fn read<I>(source: &mut Source<'_, I>, memory: usize) -> Result<Self>
    where
        I: Iterator<Item = Result<Pair>>,
    {
        let mut chunk = Self { rows: Vec::new(), is_sorted: true, is_all: false };
        let mut size = 0;
        while size <= memory {
            let Some(row) = source.next() else {
                chunk.is_all = true;
                break;
            };
            let row = row?;
            size += size_of(&row);
            chunk.is_sorted &= chunk.rows.last().is_none_or(|last| last.0 < row.0);
            chunk.rows.push(row);
        }
        Ok(chunk)
    }
}

/// Where the rows go.
struct Target<'s> {
    store: &'s Store,
    name: BranchName,
    from: Option<String>,
    commit: CommitOptions,
    memory: usize,
}

impl<'s> Target<'s> {
    /// The commit to go on from, and whether it is the head of the branch.
    fn head(&self) -> Result<(Seq, bool)> {
        match (self.store.branch_info(self.name.as_str()), &self.from) {
            (Ok(info), _) => Ok((info.head, true)),
            (Err(e), Some(rev)) if e.kind() == ErrorKind::NotFound => {
                Ok((self.store.commit(rev)?.seq, false))
            }
            (Err(e), _) => Err(e),
        }
    }

    /// A few rows on a branch that exists.
    fn write(&self, rows: Vec<Pair>) -> Result<Committed> {
        let mut batch = Batch::new();
        for (key, value) in rows {
            batch.put(key, value);
        }
        self.store.branch(self.name.as_str())?.write(batch, self.commit.clone())
    }

    /// Sorted rows, then the rest of the source, which is hoped to be sorted too.
    fn stream<I>(
        &self,
        first: Chunk,
        source: &mut Source<'_, I>,
        duplicates: &mut u64,
    ) -> Result<Committed>
    where
        I: Iterator<Item = Result<Pair>>,
    {
        let (mut session, head) = self.begin()?;
        if !first.is_all && !session.view(head)?.is_empty() {
            // Rows that change nothing leave no trace in the load, so it could not be taken back as
            // below. Each row is compared with an old one here: to sort them is little beside that.
            drop(session);
            return self.sort(first.rows.into_iter().map(Ok), source, duplicates);
        }
        let mut last = first.rows.last().map_or_else(Vec::new, |row| row.0.clone());
        let mut stray = None;
        let rest = iter::from_fn(|| match source.next()? {
            Ok(row) if row.0 <= last => {
                stray = Some(row);
                None
            }
            Ok(row) => {
                last.clear();
                last.extend_from_slice(&row.0);
                Some(Ok(row))
            }
            Err(e) => Some(Err(e)),
        });
        let rows = first.rows.into_iter().map(Ok).chain(rest);
        let seq = session.bulk(head, self.name.as_str(), &self.commit, rows)?;
        let (Some(stray), Some(seq)) = (stray, seq) else {
            source.tell()?;
            return self.finish(session, head, seq);
        };
        // Not sorted after all: take back what was loaded, and sort it together with the rest.
        let loaded = session.view(seq)?;
        let rows = loaded.range(&KeyRange::all())?.chain(iter::once(Ok(stray)));
        let sorter = self.sorter(rows)?;
        drop(session);
        self.ingest(sorter, source, duplicates)
    }

    /// Rows in any order, then the rest of the source.
    fn sort<I>(
        &self,
        first: impl Iterator<Item = Result<Pair>>,
        source: &mut Source<'_, I>,
        duplicates: &mut u64,
    ) -> Result<Committed>
    where
        I: Iterator<Item = Result<Pair>>,
    {
        self.ingest(self.sorter(first)?, source, duplicates)
    }

    fn sorter(&self, mut rows: impl Iterator<Item = Result<Pair>>) -> Result<Sorter> {
        let mut sorter = Sorter::new(self.store.path(), self.memory);
        rows.try_for_each(|row| sorter.push(row?).map_err(spool_failed))?;
        Ok(sorter)
    }

    fn ingest<I>(
        &self,
        mut sorter: Sorter,
        source: &mut Source<'_, I>,
        duplicates: &mut u64,
    ) -> Result<Committed>
    where
        I: Iterator<Item = Result<Pair>>,
    {
        while let Some(row) = source.next() {
            sorter.push(row?).map_err(spool_failed)?;
        }
        source.tell()?;
        let mut rows = sorter.finish().map_err(spool_failed)?;
        let (mut session, head) = self.begin()?;
        let sorted = rows.by_ref().map(|row| row.map_err(spool_failed));
        let seq = session.bulk(head, self.name.as_str(), &self.commit, sorted)?;
        *duplicates += rows.duplicates();
        self.finish(session, head, seq)
    }

    fn begin(&self) -> Result<(ImportSession<'s>, Seq)> {
        let session = self.store.import(&format!("load {}", self.name))?;
        // Under the session's lock, so it stays the head.
        let head = self.head()?.0;
        Ok((session, head))
    }

    fn finish(&self, session: ImportSession<'_>, head: Seq, seq: Option<Seq>) -> Result<Committed> {
        let branches = vec![(self.name.clone(), seq.unwrap_or(head))];
        session.finish(ImportRefs { branches, replace: true, ..ImportRefs::default() })?;
        Ok(seq.map_or(Committed::Unchanged, Committed::At))
    }
}
