//! Scans: a merge of the layers' rows, newest layer first where several know a key.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{find_old, value_of};
use crate::engine::{Engine, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::{Cell, read_head};
use crate::format::{Family, keys};
use crate::graph::{Keep, Place};
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::{Direction, KeyRange};

/// The writes of an open transaction; `None` for a deletion.
pub(crate) type Own = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One version of one key, as a scan comes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanRow {
    Inline(Vec<u8>),
    Blob {
        hash: ValueHash,
        len: u64,
    },
    /// Reads pass it over.
    Purged {
        hash: ValueHash,
    },
}

impl ScanRow {
    /// What is not a deletion, purged values included.
    pub(crate) fn of(cell: &Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Deleted => None,
            Cell::Purged { hash } => Some(Self::Purged { hash: *hash }),
            Cell::Inline(value) => Some(Self::Inline(value.to_vec())),
            Cell::Blob { hash, len } => Some(Self::Blob { hash: *hash, len: *len }),
        }
    }

    /// What a read finds.
    pub(crate) fn present(cell: &Cell<'_>) -> Option<Self> {
        if cell.is_present() { Self::of(cell) } else { None }
    }

    pub(crate) fn is_purged(&self) -> bool {
        matches!(self, Self::Purged { .. })
    }

    pub(crate) fn hash(&self) -> ValueHash {
        match self {
            Self::Inline(value) => ValueHash::of(value),
            Self::Blob { hash, .. } | Self::Purged { hash } => *hash,
        }
    }

    pub(crate) fn into_value(self, engine: &Engine) -> Result<Vec<u8>> {
        match self {
            Self::Inline(value) => Ok(value),
            Self::Blob { hash, len } => {
                Ok(value_of(engine, &Cell::Blob { hash, len })?.expect("a blob is no deletion"))
            }
            Self::Purged { hash } => {
                let text = format!("value {} was purged", hash.short());
                Err(Error::new(ErrorKind::HistoryGone, text)
                    .with_hint("`withy purge --list` says when, by whom and why"))
            }
        }
    }
}

/// What a scan makes of a version: given the line it was found on with its stored sequence, and what
/// it holds; `None` to pass it over.
trait Take<T>: Fn(Place, &Cell<'_>) -> Option<T> + Copy {}
impl<T, F: Fn(Place, &Cell<'_>) -> Option<T> + Copy> Take<T> for F {}

/// The rows of one layer in a range, those written after the layer's sequence replaced by what was
/// there.
struct Layer<'a> {
    engine: &'a Engine,
    place: Place,
    rows: Rows<'a>,
    direction: Direction,
}

impl<'a> Layer<'a> {
    fn new(engine: &'a Engine, place: Place, range: &KeyRange, direction: Direction) -> Self {
        let lower = keys::head(place.line, &range.start());
        let upper = match range.end() {
            Some(end) => keys::head(place.line, &end),
            None => keys::line_prefix(place.line.next()).to_vec(),
        };
        // RocksDB refuses bounds that cross; such a range is empty.
        let mut rows = engine.iter(Family::Head, &lower, Some(upper.as_slice().max(&lower)));
        match direction {
            Direction::Forward => rows.seek_to_first(),
            Direction::Backward => rows.seek_to_last(),
        }
        Self { engine, place, rows, direction }
    }

    fn advance(&mut self) {
        match self.direction {
            Direction::Forward => self.rows.next(),
            Direction::Backward => self.rows.prev(),
        }
    }

    fn key(&self) -> Result<Option<&[u8]>> {
        Ok(match self.rows.current()? {
            Some((stored, _)) => Some(keys::head_user_key(stored)?),
            None => None,
        })
    }

    /// The key it is at, and what the layer says of it: `None` if it knew nothing of it at its
    /// sequence, `Some(None)` for what `take` passes over.
    #[expect(clippy::type_complexity, reason = "a key, and three things to say of it")]
    fn pair<T>(&self, take: impl Take<T>) -> Result<Option<(&[u8], Option<Option<T>>)>> {
        let Some((stored, value)) = self.rows.current()? else { return Ok(None) };
        let key = keys::head_user_key(stored)?;
        let (seq, cell) = read_head(value)?;
        if seq <= self.place.seq {
            return Ok(Some((key, Some(take(Place { seq, ..self.place }, &cell)))));
        }
        let Some(found) = find_old(self.engine, self.place, key)? else {
            return Ok(Some((key, None)));
        };
        let (seq, cell) = found.read()?;
        Ok(Some((key, Some(take(Place { seq, ..self.place }, &cell)))))
    }
}

/// Rows of several layers in key order.
pub(crate) struct Scanner<'a> {
    engine: &'a Engine,
    layers: Vec<Layer<'a>>,
    own: Option<OwnRows<'a>>,
    direction: Direction,
}

/// A version as [`Scanner::next_version`] gives it; no row for a deletion.
pub(crate) struct Version {
    pub(crate) place: Place,
    pub(crate) row: Option<ScanRow>,
}

/// Where the writes of an open transaction are.
const UNSTORED: Place = Place { line: LineId::ROOT, seq: Seq::MAX };

/// The rows of an open transaction.
struct OwnRows<'a> {
    rows: Box<dyn Iterator<Item = OwnRow<'a>> + Send + 'a>,
    current: Option<OwnRow<'a>>,
}

/// A key, and what the transaction wrote to it.
type OwnRow<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

impl<'a> OwnRows<'a> {
    fn new(own: &'a Own, range: &KeyRange, direction: Direction) -> Self {
        let lo = Bound::Included(range.start());
        let hi = range.end().map_or(Bound::Unbounded, Bound::Excluded);
        let crossing = matches!((&lo, &hi), (Bound::Included(lo), Bound::Excluded(hi)) if lo >= hi);
        let mut rows: Box<dyn Iterator<Item = OwnRow<'a>> + Send> = match direction {
            _ if crossing => Box::new(std::iter::empty()),
            Direction::Forward => Box::new(own.range((lo, hi))),
            Direction::Backward => Box::new(own.range((lo, hi)).rev()),
        };
        let current = rows.next();
        Self { rows, current }
    }
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        layers: &[Place],
        range: &KeyRange,
        direction: Direction,
        own: Option<&'a Own>,
    ) -> Self {
        let layers =
            layers.iter().map(|&place| Layer::new(engine, place, range, direction)).collect();
        let own = own.filter(|own| !own.is_empty()).map(|own| OwnRows::new(own, range, direction));
        Self { engine, layers, own, direction }
    }

    pub(crate) fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// The next key that is present, with what `take` makes of its version.
    fn step<T>(&mut self, take: impl Take<T>) -> Result<Option<(Vec<u8>, T)>> {
        loop {
            if let ([layer], None) = (self.layers.as_mut_slice(), &self.own) {
                // One line, nothing to merge.
                let Some((key, said)) = layer.pair(take)? else { return Ok(None) };
                let found = said.flatten().map(|row| (key.to_vec(), row));
                layer.advance();
                match found {
                    Some(found) => return Ok(Some(found)),
                    None => continue,
                }
            }
            let Some(key) = self.lowest()? else { return Ok(None) };
            if let Some(row) = self.consume(&key, take)? {
                return Ok(Some((key, row)));
            }
        }
    }

    /// The key that comes next, in any layer.
    fn lowest(&self) -> Result<Option<Vec<u8>>> {
        let mut best: Option<&[u8]> =
            self.own.as_ref().and_then(|own| own.current).map(|(k, _)| k.as_slice());
        for layer in &self.layers {
            let Some(key) = layer.key()? else { continue };
            let first = match self.direction {
                Direction::Forward => best.is_none_or(|best| key < best),
                Direction::Backward => best.is_none_or(|best| key > best),
            };
            if first {
                best = Some(key);
            }
        }
        Ok(best.map(<[u8]>::to_vec))
    }

    /// Steps every layer over `key`; what the newest of those that know it says.
    fn consume<T>(&mut self, key: &[u8], take: impl Take<T>) -> Result<Option<T>> {
        let mut said: Option<Option<T>> = None;
        if let Some(own) = &mut self.own
            && let Some((_, value)) = own.current.filter(|(own_key, _)| own_key.as_slice() == key)
        {
            let cell = value.as_deref().map_or(Cell::Deleted, Cell::Inline);
            said = Some(take(UNSTORED, &cell));
            own.current = own.rows.next();
        }
        for layer in &mut self.layers {
            if layer.key()? == Some(key) {
                if said.is_none() {
                    said = layer.pair(take)?.and_then(|(_, said)| said);
                }
                layer.advance();
            }
        }
        Ok(said.flatten())
    }

    /// The next pair.
    pub(crate) fn next_row(&mut self) -> Result<Option<(Vec<u8>, ScanRow)>> {
        self.step(|_, cell| ScanRow::present(cell))
    }

    /// The next pair, or purged value.
    pub(crate) fn next_known(&mut self) -> Result<Option<(Vec<u8>, ScanRow)>> {
        self.step(|_, cell| ScanRow::of(cell))
    }

    /// The next version, deletions included, with the line it was found on and its stored sequence.
    pub(crate) fn next_version(&mut self) -> Result<Option<(Vec<u8>, Version)>> {
        self.step(|place, cell| Some(Version { place, row: ScanRow::of(cell) }))
    }

    /// How many keys are left.
    pub(crate) fn count(mut self) -> Result<u64> {
        let mut count = 0;
        while self.step(|_, cell| cell.is_present().then_some(()))?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Pairs of a view in key order; see [`Read::scan`](crate::Read::scan).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::Read;
/// let main = store.main()?;
/// main.put("pear", "green")?;
/// for pair in main.prefix(b"p")? {
///     let (key, value) = pair?;
///     assert_eq!((key.as_slice(), value.as_slice()), (&b"pear"[..], &b"green"[..]));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Scan<'a> {
    scanner: Option<Scanner<'a>>,
    watched: Option<Watched<'a>>,
    _keep: Option<Keep>,
}

/// Is told what a scan came by.
pub(crate) trait Watch {
    /// The scan is over: the last key that it gave, and whether it went to the end of its range.
    fn ended(&mut self, last: Option<&[u8]>, complete: bool);
}

/// A scan that somebody watches.
struct Watched<'a> {
    watch: Box<dyn Watch + Send + 'a>,
    last: Option<Vec<u8>>,
    complete: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(scanner: Scanner<'a>) -> Self {
        Self { scanner: Some(scanner), watched: None, _keep: None }
    }

    /// A scan that keeps what it reads from being let go.
    pub(crate) fn keeping(scanner: Scanner<'a>, keep: Keep) -> Self {
        Self { _keep: Some(keep), ..Self::new(scanner) }
    }

    /// A scan that tells, when it is dropped, what it came by.
    pub(crate) fn watched(scanner: Scanner<'a>, watch: Box<dyn Watch + Send + 'a>) -> Self {
        let watched = Watched { watch, last: None, complete: false };
        Self { scanner: Some(scanner), watched: Some(watched), _keep: None }
    }

    fn note(&mut self, key: Option<&[u8]>) {
        let Some(watched) = &mut self.watched else { return };
        match (key, &mut watched.last) {
            (Some(key), Some(last)) => {
                last.clear();
                last.extend_from_slice(key);
            }
            (Some(key), last) => *last = Some(key.to_vec()),
            (None, _) => watched.complete = true,
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.watch.ended(self.last.as_deref(), self.complete);
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let scanner = self.scanner.as_mut()?;
        let engine = scanner.engine();
        let row = match scanner.next_row() {
            Ok(Some((key, row))) => row.into_value(engine).map(|value| (key, value)),
            Ok(None) => {
                self.scanner = None;
                self.note(None);
                return None;
            }
            Err(e) => Err(e),
        };
        match &row {
            Ok((key, _)) => self.note(Some(key)),
            Err(_) => {
                self.scanner = None;
                self.note(None);
            }
        }
        Some(row)
    }
}
