//! Letting go: what a collection decides and removes is written under the commit lock too.

use std::sync::{MutexGuard, PoisonError};

use super::Publisher;
use crate::engine::WriteSet;
use crate::error::Result;
use crate::format::refs::{GoneRecord, meta};
use crate::format::{Family, keys, record};
use crate::graph::{Gone, Readers};
use crate::id::{LineId, OpId, Seq};

/// What is let go from now on.
#[derive(Default)]
pub(crate) struct LettingGo {
    /// Lines of which more is gone than before.
    pub(crate) lines: Vec<(LineId, GoneRecord)>,
    /// Keys of family `refs` of read layers that nothing is read through.
    pub(crate) layers: Vec<Vec<u8>>,
    /// The newest commit that is gone.
    pub(crate) log_start: Seq,
}

impl Publisher {
    /// Held by whatever removes what is stored: one collection or purge at a time.
    pub(crate) fn collecting(&self) -> MutexGuard<'_, ()> {
        self.collecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whatever rearranges lines: overlay compaction, and planning what to let go.
    pub(crate) fn upkeep(&self) -> MutexGuard<'_, ()> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides under the commit lock, while nobody can begin to read either, what is let go; from the
    /// return on nobody comes to it any more. Nothing is done if refs have moved since an epoch: `None`.
    pub(crate) fn let_go<T>(
        &self,
        epoch: u64,
        plan: impl FnOnce(&Readers) -> Result<(LettingGo, T)>,
    ) -> Result<Option<T>> {
        let writer = self.lock()?;
        if self.refs.epoch() != epoch {
            return Ok(None);
        }
        let engine = self.engine();
        let out = self.graph.with_readers(|readers| -> Result<T> {
            let (plan, out) = plan(readers)?;
            let mut set = WriteSet::default();
            for (line, gone) in &plan.lines {
                engine.put(&mut set, Family::Refs, &keys::gone(*line), &record::encode(gone));
            }
            for layer in &plan.layers {
                engine.delete(&mut set, Family::Refs, layer);
            }
            self.graph.write_all_blocks(&mut set)?;
            let start = plan.log_start.max(self.graph.log_start()?).get();
            engine.put(&mut set, Family::Meta, meta::LOG_START, &record::encode(&start));
            engine.write(set)?;
            self.graph.indexed();
            let lines = plan.lines.into_iter();
            self.graph.set_gone(lines.map(|(line, gone)| (line, Some(Gone::new(gone)))));
            // Whoever has looked layers up looks again.
            self.refs.moved([]);
            Ok(out)
        })?;
        let write = self.wrote(&writer);
        drop(writer);
        // Nothing is removed before it is on disk that it is gone.
        self.sync.wait(engine, write)?;
        Ok(Some(out))
    }

    /// Writes what `make` puts together under the commit lock, unsynced: removals can be done again.
    pub(crate) fn remove(&self, make: impl FnOnce(&mut WriteSet) -> Result<()>) -> Result<()> {
        let _writer = self.lock()?;
        let mut set = WriteSet::default();
        make(&mut set)?;
        if set.is_empty() { Ok(()) } else { self.engine().write(set) }
    }

    /// Removes all rows of lines that are gone whole, and forgets them. The caller has removed what the
    /// log and the refs have of them.
    pub(crate) fn drop_lines(&self, dead: &[LineId]) -> Result<()> {
        let _writer = self.lock()?;
        let engine = self.engine();
        for &line in dead {
            let (from, to) = (keys::line_prefix(line), keys::line_prefix(line.next()));
            for family in [Family::Head, Family::History] {
                engine.drop_range(family, &from, &to)?;
            }
        }
        let mut set = WriteSet::default();
        for &line in dead {
            engine.delete(&mut set, Family::Refs, &keys::line(line));
            engine.delete(&mut set, Family::Refs, &keys::gone(line));
        }
        engine.write(set)?;
        self.graph.forget_lines(dead);
        Ok(())
    }

    /// The newest operation that is gone.
    pub(crate) fn operations_gone(&self) -> Result<Option<OpId>> {
        let Some(row) = self.engine().get(Family::Meta, meta::OPS_START)? else { return Ok(None) };
        let (seq, step): (u64, u64) = record::decode("start of the operation log", &row)?;
        Ok(Some(OpId { seq: Seq::new(seq), step }))
    }

    /// Says that operations up to this one are gone.
    pub(crate) fn let_operations_go(&self, newest: OpId) -> Result<()> {
        let key = record::encode(&(newest.seq.get(), newest.step));
        self.remove(|set| {
            self.engine().put(set, Family::Meta, meta::OPS_START, &key);
            Ok(())
        })
    }
}
