//! Read layers: several fixed layers of a line, merged into one. What a reader sees does not change.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Publisher;
use crate::engine::WriteSet;
use crate::error::Result;
use crate::format::refs::{At, LayerRecord, LineRecord, meta};
use crate::format::row::Cell;
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::LineId;
use crate::kv::{Direction, KeyRange};
use crate::view::{ScanRow, Scanner};

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
        let engine = self.engine();
        let (top, bottom) = (group[0], group[group.len() - 1]);
        let line = {
            let mut writer = self.lock()?;
            let line = Self::new_line(&mut writer);
            let mut set = WriteSet::default();
            let stored = LineRecord { fork: None, layers: Vec::new(), layer_rows: 0 };
            engine.put(&mut set, Family::Refs, &keys::line(line), &record::encode(&stored));
            engine.put(&mut set, Family::Meta, &unfinished(line), &[]);
            engine.write(set)?;
            line
        };
        let mut scanner = Scanner::new(engine, group, &KeyRange::all(), Direction::Forward, None);
        let (mut set, mut key, mut row, mut rows) =
            (WriteSet::default(), Vec::new(), Vec::new(), 0);
        while let Some((user_key, version)) = scanner.next_version()? {
            let cell = match &version.row {
                None => Cell::Deleted,
                Some(ScanRow::Inline(value)) => Cell::Inline(value),
                Some(ScanRow::Blob { hash, len }) => Cell::Blob { hash: *hash, len: *len },
                Some(ScanRow::Purged { hash }) => Cell::Purged { hash: *hash },
            };
            keys::head_into(line, &user_key, &mut key);
            let seq = self.graph.birth(version.place.line, version.place.seq)?;
            cell.write_head(seq, &mut row);
            engine.put(&mut set, Family::Head, &key, &row);
            rows += 1;
            if set.size() >= SET_BYTES {
                if self.is_stopping() {
                    return Ok(None);
                }
                let _writer = self.lock()?;
                engine.write(std::mem::take(&mut set))?;
            }
        }
        let made = LayerRecord { line: line.get() };
        let stored = LineRecord { fork: None, layers: Vec::new(), layer_rows: rows };
        engine.put(&mut set, Family::Refs, &keys::line(line), &record::encode(&stored));
        let name = keys::layer((top.line, top.seq), bottom.line);
        engine.put(&mut set, Family::Refs, &name, &record::encode(&made));
        engine.delete(&mut set, Family::Meta, &unfinished(line));
        let _writer = self.lock()?;
        engine.write(set)?;
        Ok(Some(made))
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

fn unfinished(line: LineId) -> Vec<u8> {
    [meta::UNFINISHED, &line.get().to_be_bytes()].concat()
}
