//! Read layers: several fixed layers of a line, merged into one. What a reader sees does not change.

use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Publisher;
use crate::engine::WriteSet;
use crate::error::Result;
use crate::format::refs::{At, LayerRecord, LineRecord, meta};
use crate::format::row::Cell;
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{LineId, Seq};
use crate::kv::{Direction, KeyRange};
use crate::view::{ScanRow, ScanVersion, Scanner};

/// More layers than this are worth merging.
pub(crate) const MAX_LAYERS: usize = 4;
/// Lines that wait to be looked at; more are looked at when they are read or asked for.
const MAX_WAITING: usize = 1 << 16;
/// Rows are written in sets of about this many bytes, so that commits go on in between.
const SET_BYTES: usize = 1 << 20;

/// Lines with many layers, waiting for overlay compaction.
#[derive(Default)]
pub(crate) struct DeepLines {
    waiting: Mutex<(Vec<LineId>, bool)>,
    bell: Condvar,
}

impl DeepLines {
    pub(super) fn note(&self, line: LineId, layers: usize) {
        if layers > MAX_LAYERS {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.0.len() < MAX_WAITING {
                waiting.0.push(line);
                self.bell.notify_one();
            }
        }
    }
}

impl Publisher {
    /// The next line with many layers; `None` once [`stop_deep`](Self::stop_deep) was called.
    pub(crate) fn next_deep(&self) -> Option<LineId> {
        let mut waiting = self.deep.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if waiting.1 {
                return None;
            }
            if let Some(line) = waiting.0.pop() {
                drop(waiting);
                // The line was noted under the commit lock; once that is free, its row is written.
                drop(self.writer.lock().unwrap_or_else(PoisonError::into_inner));
                return Some(line);
            }
            let wait = self.deep.bell.wait_timeout(waiting, Duration::from_secs(60));
            waiting = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the waiting in [`next_deep`](Self::next_deep), for good.
    pub(crate) fn stop_deep(&self) {
        self.deep.waiting.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.deep.bell.notify_all();
    }

    /// Whether [`stop_deep`](Self::stop_deep) was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.deep.waiting.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// The read layer that was made of this run of layers, if one was.
    pub(crate) fn find_layer(&self, group: &[Place]) -> Result<Option<LayerRecord>> {
        let (Some(top), Some(bottom)) = (group.first(), group.last()) else { return Ok(None) };
        let row =
            self.engine().get(Family::Refs, &keys::layer((top.line, top.seq), bottom.line))?;
        Ok(row.map(|row| record::decode("read layer", &row)).transpose()?)
    }

    /// Makes one read layer of a run of fixed layers. Deletions stay in it, for they say when a key went.
    /// `None` if the store is being closed meanwhile; what was written is then removed at open.
    pub(crate) fn make_layer(&self, group: &[Place]) -> Result<Option<LayerRecord>> {
        let (top, bottom) = (group[0], group[group.len() - 1]);
        let mut layer = LayerRows::begin(self)?;
        let mut scanner = layer.scan(group);
        while let Some((key, version)) = scanner.next_version()? {
            layer.put(&key, &version)?;
            if layer.set.size() >= SET_BYTES {
                if self.is_stopping() {
                    return Ok(None);
                }
                layer.flush()?;
            }
        }
        let made = LayerRecord { line: layer.line.get() };
        let name = keys::layer((top.line, top.seq), bottom.line);
        self.engine().put(&mut layer.set, Family::Refs, &name, &record::encode(&made));
        let _writer = self.lock()?;
        self.engine().write(layer.finish())?;
        Ok(Some(made))
    }

    /// Flattens a line of which nothing is read below a commit: from there on it is read through one layer
    /// of its own, with what it has not written itself up to that commit. Deletions among `old` are left
    /// out: nobody needs to know of them. `bottom` gives the lowest line that a layer was made of; `pause` is called with
    /// the bytes written, and may end it. The caller sees to it that no other layers are made meanwhile.
    ///
    /// Cost: the rows of the layers.
    pub(crate) fn flatten(
        &self,
        (line, upto): (LineId, Seq),
        old: Range<Seq>,
        bottom: impl Fn(LineId) -> LineId,
        mut pause: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let stored = self.graph.line(line)?;
        let mut layer = LayerRows::begin(self)?;
        let mut scanner = layer.scan(&stored.layers);
        let mut own = layer.scan(&[Place { line, seq: upto }]);
        let mut covered = own.next_version()?.map(|(key, _)| key);
        while let Some((key, version)) = scanner.next_version()? {
            while covered.as_ref().is_some_and(|covered| *covered < key) {
                covered = own.next_version()?.map(|(key, _)| key);
            }
            let Place { line, seq } = version.place;
            let is_old = version.row.is_none() && old.contains(&self.graph.birth(line, seq)?);
            if covered.as_ref() != Some(&key) && !is_old {
                layer.put(&key, &version)?;
            }
            if layer.set.size() >= SET_BYTES {
                let bytes = layer.set.size() as u64;
                layer.flush()?;
                if let Err(stopped) = pause(bytes) {
                    layer.abandon()?;
                    return Err(stopped);
                }
            }
        }
        let flat = Place { line: layer.line, seq: upto };
        let next = layer.line.next();
        let mut set = layer.finish();
        let mut changed = self.relay(&mut set, (LineId::ROOT, next), (line, flat), &bottom)?;
        let _writer = self.lock()?;
        // Those that have forked since the layer was begun.
        let newer = (next, LineId::new(u64::MAX));
        changed.extend(self.relay(&mut set, newer, (line, flat), &bottom)?);
        self.engine().write(set)?;
        changed.into_iter().for_each(|line| self.graph.forget_line(line));
        self.refs.moved([]);
        Ok(())
    }

    /// Writes the layers of lines, of those from one to another, that are read through a line which was
    /// flattened; says which.
    fn relay(
        &self,
        set: &mut WriteSet,
        (from, to): (LineId, LineId),
        (line, flat): (LineId, Place),
        bottom: impl Fn(LineId) -> LineId,
    ) -> Result<Vec<LineId>> {
        let engine = self.engine();
        let mut out = Vec::new();
        let mut rows = engine.iter(Family::Refs, &keys::line(from), Some(&keys::line(to)));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let id = LineId::new(keys::number_at(key, 1)?);
            let mut stored: LineRecord = record::decode("line", value)?;
            let is_of = |layer: &At| bottom(LineId::new(layer.line)) == line;
            let own = (id == line).then_some(0);
            if let Some(left) = own.or(stored.layers.iter().position(is_of).map(|at| at + 1)) {
                stored.layers.truncate(left);
                stored.layers.push(flat.into());
                engine.put(set, Family::Refs, key, &record::encode(&stored));
                out.push(id);
            }
            rows.next();
        }
        Ok(out)
    }

    /// Puts new layers in the place of old ones that show the same.
    pub(crate) fn replace_layers(&self, line: LineId, old: &[Place], new: &[Place]) -> Result<()> {
        let _writer = self.lock()?;
        let now = self.graph.line(line)?;
        if *now.layers != *old {
            return Ok(());
        }
        let stored = LineRecord {
            fork: now.fork.map(At::from),
            layers: new.iter().copied().map(At::from).collect(),
            layer_rows: 0,
        };
        let mut set = WriteSet::default();
        self.engine().put(&mut set, Family::Refs, &keys::line(line), &record::encode(&stored));
        self.engine().write(set)?;
        self.graph.forget_line(line);
        self.refs.moved([]);
        Ok(())
    }
}

/// The rows of a read layer on their way to the store. What is not finished is removed at the next open.
struct LayerRows<'p> {
    publisher: &'p Publisher,
    line: LineId,
    rows: u64,
    set: WriteSet,
    key: Vec<u8>,
    row: Vec<u8>,
}

impl<'p> LayerRows<'p> {
    fn begin(publisher: &'p Publisher) -> Result<Self> {
        let engine = publisher.engine();
        let mut writer = publisher.lock()?;
        let line = Publisher::new_line(&mut writer);
        let mut set = WriteSet::default();
        let stored = LineRecord { fork: None, layers: Vec::new(), layer_rows: 0 };
        engine.put(&mut set, Family::Refs, &keys::line(line), &record::encode(&stored));
        engine.put(&mut set, Family::Meta, &unfinished(line), &[]);
        engine.write(set)?;
        let set = WriteSet::default();
        Ok(Self { publisher, line, rows: 0, set, key: Vec::new(), row: Vec::new() })
    }

    fn scan(&self, layers: &[Place]) -> Scanner<'p> {
        let engine = self.publisher.engine();
        Scanner::new(engine, layers, &KeyRange::all(), Direction::Forward, None)
    }

    fn put(&mut self, key: &[u8], version: &ScanVersion) -> Result<()> {
        let cell = match &version.row {
            None => Cell::Deleted,
            Some(ScanRow::Inline(value)) => Cell::Inline(value),
            Some(ScanRow::Blob { hash, len }) => Cell::Blob { hash: *hash, len: *len },
            Some(ScanRow::Purged { hash }) => Cell::Purged { hash: *hash },
        };
        keys::head_into(self.line, key, &mut self.key);
        let Place { line, seq } = version.place;
        cell.write_head(self.publisher.graph.birth(line, seq)?, &mut self.row);
        self.publisher.engine().put(&mut self.set, Family::Head, &self.key, &self.row);
        self.rows += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let _writer = self.publisher.lock()?;
        self.publisher.engine().write(std::mem::take(&mut self.set))
    }

    /// Leaves the rows to the next collection, which removes what nothing is read through.
    fn abandon(mut self) -> Result<()> {
        let engine = self.publisher.engine();
        engine.delete(&mut self.set, Family::Meta, &unfinished(self.line));
        self.flush()
    }

    /// What is left to write, so that the layer is there.
    fn finish(mut self) -> WriteSet {
        let engine = self.publisher.engine();
        let stored = LineRecord { fork: None, layers: Vec::new(), layer_rows: self.rows };
        engine.put(&mut self.set, Family::Refs, &keys::line(self.line), &record::encode(&stored));
        engine.delete(&mut self.set, Family::Meta, &unfinished(self.line));
        self.set
    }
}

fn unfinished(line: LineId) -> Vec<u8> {
    [meta::UNFINISHED, &line.get().to_be_bytes()].concat()
}
