//! Many sorted keys of one view, group after group.
//!
//! Where the wanted keys lie close together among a layer's rows, stepping an iterator from one to the
//! next is several times as cheap as looking each of them up; where they do not, it is dearer. Each
//! layer finds out by itself.

use super::{Found, Row, find_old};
use crate::engine::{Engine, Rows};
use crate::error::Result;
use crate::format::row::{Cell, read_head};
use crate::format::{Family, keys};
use crate::graph::Place;
use crate::id::ValueHash;

/// So many steps cost about what a look-up does.
const STEPS: usize = 5;
/// After so many keys a layer decides how it is read.
const TRIED: u32 = 12;
/// For fewer keys than this it is not worth finding out.
const MANY: usize = 400;

/// Reads keys in rising order, over as many calls as it takes.
pub(crate) struct Finder<'e> {
    engine: &'e Engine,
    layers: Vec<Layer<'e>>,
    buffer: Vec<u8>,
}

struct Layer<'e> {
    place: Place,
    head: Stepper<'e>,
    /// Opened after `head`, so that it has everything that `head` shows to be replaced.
    history: Option<Stepper<'e>>,
}

/// An iterator over one family of a line that is moved to rising keys.
struct Stepper<'e> {
    family: Family,
    place: Place,
    rows: Option<Rows<'e>>,
    tried: u32,
    stepped: u32,
}

impl<'e> Stepper<'e> {
    fn new(family: Family, place: Place) -> Self {
        Self { family, place, rows: None, tried: 0, stepped: 0 }
    }

    /// Whether stepping has turned out dearer than looking up.
    fn is_sparse(&self) -> bool {
        self.tried >= TRIED && self.stepped * 4 < self.tried * 3
    }

    /// The first row at or after a stored key. Keys must rise from call to call.
    fn at(&mut self, engine: &'e Engine, wanted: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
        let fresh = self.rows.is_none();
        let rows = self.rows.get_or_insert_with(|| {
            engine.iter_prefix(self.family, &keys::line_prefix(self.place.line))
        });
        if fresh {
            rows.seek(wanted);
        }
        let mut steps = 0;
        while rows.current()?.is_some_and(|(key, _)| key < wanted) {
            if steps == STEPS {
                rows.seek(wanted);
                break;
            }
            steps += 1;
            rows.next();
        }
        self.tried += 1;
        self.stepped += u32::from(steps < STEPS);
        rows.current()
    }
}

impl<'e> Finder<'e> {
    /// For about this many keys in all.
    pub(crate) fn new(engine: &'e Engine, layers: &[Place], total: usize) -> Self {
        let layer = |&place: &Place| {
            let mut head = Stepper::new(Family::Head, place);
            if total < MANY {
                head.tried = TRIED;
            }
            Layer { place, head, history: None }
        };
        Self { engine, layers: layers.iter().map(layer).collect(), buffer: Vec::new() }
    }

    /// The versions of some sorted keys, all above those of the calls before; deletions included.
    pub(crate) fn find<K: AsRef<[u8]>>(&mut self, wanted: &[K]) -> Result<Vec<Option<Found<'e>>>> {
        let mut out: Vec<Option<Found<'e>>> = Vec::new();
        out.resize_with(wanted.len(), || None);
        let mut open: Vec<usize> = (0..wanted.len()).collect();
        for layer in &mut self.layers {
            if open.is_empty() {
                break;
            }
            let mut left = Vec::new();
            let mut sparse = open.len();
            for (n, &i) in open.iter().enumerate() {
                if layer.head.is_sparse() {
                    sparse = n;
                    break;
                }
                let key = wanted[i].as_ref();
                match layer.step(self.engine, key, &mut self.buffer)? {
                    Some(found) => out[i] = Some(found),
                    None => left.push(i),
                }
            }
            for group in open[sparse..].chunks(512) {
                for (&i, found) in
                    group.iter().zip(layer.look_up(self.engine, wanted, group, &mut self.buffer)?)
                {
                    match found {
                        Some(found) => out[i] = Some(found),
                        None => left.push(i),
                    }
                }
            }
            open = left;
        }
        Ok(out)
    }

    /// The hashes of the values of some sorted keys, none of purged values, as for [`find`](Self::find).
    pub(crate) fn hashes<K: AsRef<[u8]>>(
        &mut self,
        wanted: &[K],
    ) -> Result<Vec<Option<ValueHash>>> {
        self.cells(wanted, |cell| cell.hash().filter(|_| cell.is_present()))
    }

    /// What `take` makes of the cells of some sorted keys, as for [`find`](Self::find).
    pub(crate) fn cells<K: AsRef<[u8]>, T>(
        &mut self,
        wanted: &[K],
        take: impl Fn(&Cell<'_>) -> Option<T>,
    ) -> Result<Vec<Option<T>>> {
        let found = self.find(wanted)?;
        let one = |found: Option<Found<'_>>| match found {
            Some(found) => Ok(take(&found.read()?.1)),
            None => Ok(None),
        };
        found.into_iter().map(one).collect()
    }
}

impl<'e> Layer<'e> {
    fn step(
        &mut self,
        engine: &'e Engine,
        key: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Found<'e>>> {
        let place = self.place;
        keys::head_into(place.line, key, buffer);
        let Some((stored, row)) = self.head.at(engine, buffer)? else { return Ok(None) };
        if stored != buffer.as_slice() {
            return Ok(None);
        }
        if read_head(row)?.0 <= place.seq {
            return Ok(Some(Found { line: place.line, row: Row::CopiedHead(row.to_vec()) }));
        }
        let history = self.history.get_or_insert_with(|| Stepper::new(Family::History, place));
        if history.is_sparse() {
            return find_old(engine, place, key);
        }
        let wanted = keys::history(place.line, key, place.seq);
        let prefix = &wanted[..wanted.len() - 8];
        match history.at(engine, &wanted)? {
            Some((stored, row)) if stored.starts_with(prefix) => {
                let row = Row::History(keys::history_seq(stored)?, row.to_vec());
                Ok(Some(Found { line: place.line, row }))
            }
            _ => Ok(None),
        }
    }

    /// Looks some keys up, each by itself.
    fn look_up<K: AsRef<[u8]>>(
        &mut self,
        engine: &'e Engine,
        wanted: &[K],
        open: &[usize],
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<Option<Found<'e>>>> {
        let place = self.place;
        // One buffer for all keys.
        let mut ends = Vec::with_capacity(open.len());
        buffer.clear();
        for &i in open {
            buffer.extend_from_slice(&keys::line_prefix(place.line));
            buffer.extend_from_slice(wanted[i].as_ref());
            ends.push(buffer.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let rows = engine
            .multi_get(Family::Head, starts.zip(&ends).map(|(from, &to)| &buffer[from..to]))?;
        let mut out = Vec::with_capacity(open.len());
        for (&i, row) in open.iter().zip(rows) {
            out.push(match row {
                Some(row) if read_head(&row)?.0 <= place.seq => {
                    Some(Found { line: place.line, row: Row::Head(row) })
                }
                Some(_) => find_old(engine, place, wanted[i].as_ref())?,
                None => None,
            });
        }
        Ok(out)
    }
}
