//! Reading: the only place, beside `publish`, that decodes rows of families `head` and `history`.
//!
//! A view is a list of layers, newest first: a line and the sequence up to which it counts. A key is
//! what the first layer says that knows it. A row of `head` above a layer's sequence was written
//! later; what it replaced is in `history`.

mod finder;
mod history;
mod layers;
mod read;
mod scan;

use std::sync::Arc;

pub(crate) use finder::Finder;
pub use history::{History, Version};
pub(crate) use layers::{Layers, head_of, layers_at};
pub use read::Read;
pub(crate) use read::sorted_multi_get;
pub use scan::Scan;
pub(crate) use scan::{Own, ScanRow, Scanner, Version as ScanVersion, Watch};

use crate::engine::{Engine, Slice};
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::{Cell, read_head, read_history};
use crate::format::{Family, keys};
use crate::graph::{Commit, Graph, Keep, Missing, Place, Reader};
use crate::id::{Fingerprint, LineId, Seq, ValueHash};
use crate::kv::{Direction, KeyRange};

/// A version of a key that was found on a line.
pub(crate) struct Found<'e> {
    pub(crate) line: LineId,
    row: Row<'e>,
}

/// Still in RocksDB's memory, or copied.
enum Row<'e> {
    Head(Slice<'e>),
    CopiedHead(Vec<u8>),
    History(Seq, Vec<u8>),
}

impl Found<'_> {
    /// The stored sequence and what the version holds; see [`Graph::birth`] for sequence 0.
    pub(crate) fn read(&self) -> Result<(Seq, Cell<'_>)> {
        Ok(match &self.row {
            Row::Head(row) => read_head(row)?,
            Row::CopiedHead(row) => read_head(row)?,
            Row::History(seq, row) => (*seq, read_history(row)?),
        })
    }

    /// A row of family `head` that was read on a line.
    pub(crate) fn copied_head(line: LineId, row: &[u8]) -> Found<'static> {
        Found { line, row: Row::CopiedHead(row.to_vec()) }
    }

    /// The same, holding nothing of RocksDB's.
    pub(crate) fn into_copied(self) -> Found<'static> {
        let row = match self.row {
            Row::Head(row) => Row::CopiedHead(row.to_vec()),
            Row::CopiedHead(row) => Row::CopiedHead(row),
            Row::History(seq, row) => Row::History(seq, row),
        };
        Found { line: self.line, row }
    }

    /// The sequence of the commit that wrote the version.
    pub(crate) fn written_at(&self, graph: &Graph) -> Result<Seq> {
        graph.birth(self.line, self.read()?.0)
    }
}

/// The value in a cell; `None` for a deletion, and for a value that was purged.
pub(crate) fn value_of(engine: &Engine, cell: &Cell<'_>) -> Result<Option<Vec<u8>>> {
    match cell {
        Cell::Deleted | Cell::Purged { .. } => Ok(None),
        Cell::Inline(value) => Ok(Some(value.to_vec())),
        Cell::Blob { hash, len } => blob(engine, hash, *len).map(Some),
    }
}

fn blob(engine: &Engine, hash: &ValueHash, len: u64) -> Result<Vec<u8>> {
    let fault = |what: &str| {
        Error::new(ErrorKind::Corrupt, format!("large value {} {what}", hash.short()))
            .with_hint("the store is damaged; keep a copy of it and restore a backup")
    };
    let row = engine.get_large(&keys::blob_content(hash))?.ok_or_else(|| fault("is missing"))?;
    if row.len() as u64 != len {
        return Err(fault("has another length than its rows say"));
    }
    Ok(row)
}

/// The version of a key that these layers show, a deletion included.
pub(crate) fn find<'e>(
    engine: &'e Engine,
    layers: &[Place],
    key: &[u8],
) -> Result<Option<Found<'e>>> {
    for layer in layers {
        let row = keys::with_head(layer.line, key, |stored| engine.get(Family::Head, stored))?;
        let Some(row) = row else { continue };
        if read_head(&row)?.0 <= layer.seq {
            return Ok(Some(Found { line: layer.line, row: Row::Head(row) }));
        }
        if let Some(found) = find_old(engine, *layer, key)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The newest version of a key on a layer's line that was replaced after the layer's sequence.
fn find_old<'e>(engine: &'e Engine, layer: Place, key: &[u8]) -> Result<Option<Found<'e>>> {
    let prefix = keys::history_prefix(layer.line, key);
    let mut rows = engine.iter_prefix(Family::History, &prefix);
    rows.seek(&keys::history(layer.line, key, layer.seq));
    match rows.current()? {
        Some((stored, value)) => {
            let row = Row::History(keys::history_seq(stored)?, value.to_vec());
            Ok(Some(Found { line: layer.line, row }))
        }
        None => Ok(None),
    }
}

/// The versions of many keys, sorted, that these layers show.
pub(crate) fn find_many<'e, K: AsRef<[u8]>>(
    engine: &'e Engine,
    layers: &[Place],
    wanted: &[K],
) -> Result<Vec<Option<Found<'e>>>> {
    if let [key] = wanted {
        return Ok(vec![find(engine, layers, key.as_ref())?]);
    }
    // Looked up one by one: a caller with many more to come has a finder of its own.
    Finder::new(engine, layers, 0).find(wanted)
}

/// The value of a key.
pub(crate) fn get(engine: &Engine, layers: &[Place], key: &[u8]) -> Result<Option<Vec<u8>>> {
    // As `find`, with the row decoded once: this is the read that everything waits for.
    for layer in layers {
        let row = keys::with_head(layer.line, key, |stored| engine.get(Family::Head, stored))?;
        let Some(row) = row else { continue };
        let (seq, cell) = read_head(&row)?;
        if seq <= layer.seq {
            return value_of(engine, &cell);
        }
        if let Some(found) = find_old(engine, *layer, key)? {
            return value_of(engine, &found.read()?.1);
        }
    }
    Ok(None)
}

/// The values of sorted keys.
pub(crate) fn get_many<K: AsRef<[u8]>>(
    engine: &Engine,
    layers: &[Place],
    wanted: &[K],
) -> Result<Vec<Option<Vec<u8>>>> {
    find_many(engine, layers, wanted)?
        .into_iter()
        .map(|found| match found {
            Some(found) => value_of(engine, &found.read()?.1),
            None => Ok(None),
        })
        .collect()
}

/// The store's data as of one commit. It never changes, and cloning it is cheap.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::Read;
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// let before = main.view()?;
/// main.put("pear", "yellow")?;
/// assert_eq!(before.get(b"pear")?.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct View {
    graph: Arc<Graph>,
    layers: Layers,
    place: Place,
    commit: Arc<Commit>,
    /// Keys that retention has let go.
    missing: Arc<Missing>,
    _keep: Arc<Keep>,
}

impl View {
    /// The view as of a commit, which must be whole.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`] if it is gone, or a part of it is.
    pub(crate) fn new(graph: &Arc<Graph>, place: Place) -> Result<Self> {
        let view = Self::in_part(graph, place)?;
        if !view.missing.is_empty() {
            graph.check_whole(place)?;
        }
        Ok(view)
    }

    /// The view as of a commit of which a part may be gone; to read such a key is an error.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`] if it is gone.
    pub(crate) fn in_part(graph: &Arc<Graph>, place: Place) -> Result<Self> {
        let find = || {
            let header = graph.header(place.seq)?;
            let layers = layers_at(graph, place, header.rows)?;
            let reader = Reader { place, layers: Arc::clone(&layers), since: None };
            Ok((reader, (header, layers)))
        };
        let (keep, (header, layers)) = graph.keep(find)?;
        let missing = graph.gone(place.line).map(|gone| gone.missing(place.seq));
        let commit = Arc::new(Commit::new(place.seq, header));
        Ok(Self {
            graph: Arc::clone(graph),
            layers,
            place,
            commit,
            missing: Arc::new(missing.unwrap_or_default()),
            _keep: Arc::new(keep),
        })
    }

    /// Refuses if any part of it is gone.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if self.missing.is_empty() { Ok(()) } else { self.graph.check_whole(self.place) }
    }

    /// The commit whose data this is.
    #[must_use]
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// How many keys there are, those whose values were [purged](crate::Store::purge) included.
    /// Cost: none, the commit knows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.commit.keys
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fingerprint of the content: equal fingerprints, equal content, whatever the history.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.commit.fingerprint
    }

    /// The hash of a key's value, without reading a large value.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] or [`ErrorKind::Corrupt`] if the store cannot be read.
    pub fn hash(&self, key: &[u8]) -> Result<Option<ValueHash>> {
        self.missing.check(key)?;
        match find(self.engine(), &self.layers, key)? {
            Some(found) => {
                Ok(Some(found.read()?.1).filter(Cell::is_present).and_then(|c| c.hash()))
            }
            None => Ok(None),
        }
    }

    pub(crate) fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The commit as what a next one is written after, on a line of its own.
    pub(crate) fn head(&self) -> crate::graph::Head {
        let commit = &self.commit;
        let (id, fingerprint, keys) = (commit.id, commit.fingerprint, commit.keys);
        crate::graph::Head { place: self.place, id, fingerprint, keys, rows: 0 }
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.graph.engine()
    }

    /// Reads about this many of its keys in rising order.
    pub(crate) fn finder(&self, total: usize) -> Finder<'_> {
        Finder::new(self.engine(), &self.layers, total)
    }

    pub(crate) fn scanner(&self, range: &KeyRange, direction: Direction) -> Scanner<'_> {
        Scanner::new(self.graph.engine(), &self.layers, range, direction, None)
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.missing.check(key)?;
        get(self.engine(), &self.layers, key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Result<Scan<'_>> {
        self.missing.check_range(range)?;
        Ok(Scan::new(self.scanner(range, direction)))
    }

    fn multi_get(&self, wanted: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        wanted.iter().try_for_each(|key| self.missing.check(key))?;
        sorted_multi_get(self.engine(), &self.layers, wanted)
    }

    fn count(&self, range: &KeyRange) -> Result<u64> {
        self.missing.check_range(range)?;
        // Commits count purged values, reads do not.
        if range.is_all() && self.graph.purged().is_empty() {
            Ok(self.len())
        } else {
            self.scanner(range, Direction::Forward).count()
        }
    }
}
