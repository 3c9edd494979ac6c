//! Letting go: what a collection decides and removes is written under the commit lock too.

use std::sync::{MutexGuard, PoisonError};

use super::Publisher;
use crate::engine::WriteSet;
use crate::error::Result;
use crate::format::refs::{CollectRecord, GoneRecord, meta};
use crate::format::{Family, keys, record};
use crate::graph::{Gone, Readers};
use crate::id::{LineId, OpId, Seq, ValueHash};

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

impl LettingGo {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.layers.is_empty()
    }
}

/// As of when it is planned what to let go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// Refs have not moved since then.
    pub(crate) epoch: u64,
    /// The newest commit.
    pub(crate) newest: Seq,
    /// Lines from here on were made later.
    pub(crate) next_line: LineId,
}

/// Notes the large values that work under way names, for as long as it lives.
pub(crate) struct Watch<'a>(&'a Publisher);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.0.named.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Watch<'_> {
    /// The large values that were named since the last call. The caller holds the commit lock, or asks
    /// again when it does.
    pub(crate) fn take(&self) -> Vec<ValueHash> {
        let mut named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.as_mut().map(std::mem::take).unwrap_or_default()
    }
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

    /// Begins to note the large values that resolutions and prepared transactions name; one at a time.
    /// What commits name is in the log.
    pub(crate) fn watch(&self) -> Result<Watch<'_>> {
        let _writer = self.lock()?;
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
        Ok(Watch(self))
    }

    /// Says that work under way names a large value. The caller holds the commit lock.
    pub(super) fn note_named(&self, hash: ValueHash) {
        if let Some(named) = self.named.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            named.push(hash);
        }
    }

    /// Where planning of what to let go begins.
    pub(crate) fn begin_letting_go(&self) -> Result<Begun> {
        // Under the lock, so that no import is half way.
        let writer = self.lock()?;
        let (epoch, newest) = (self.refs.epoch(), writer.latest);
        Ok(Begun { epoch, newest, next_line: writer.next_line })
    }

    /// Decides under the commit lock, while nobody can begin to read either, what is let go; from the
    /// return on nobody comes to it any more. Nothing is done if refs have moved since planning began, or
    /// `confirm` gives no plan: then false.
    pub(crate) fn let_go(
        &self,
        begun: Begun,
        confirm: impl FnOnce(&Readers) -> Result<Option<LettingGo>>,
    ) -> Result<bool> {
        let writer = self.lock()?;
        if self.refs.epoch() != begun.epoch {
            return Ok(false);
        }
        let engine = self.engine();
        let done = self.graph.with_readers(|readers| -> Result<Option<bool>> {
            let Some(plan) = confirm(readers)? else { return Ok(None) };
            if plan.is_empty() {
                return Ok(Some(false));
            }
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
            // From now on there is something to remove.
            let collect = record::encode(&CollectRecord { phase: 0, at: Vec::new() });
            engine.put(&mut set, Family::Meta, meta::COLLECT, &collect);
            engine.write(set)?;
            self.graph.indexed();
            let lines = plan.lines.into_iter();
            self.graph.set_gone(lines.map(|(line, gone)| (line, Some(Gone::new(gone)))));
            // Whoever has looked layers up looks again.
            self.refs.moved([]);
            Ok(Some(true))
        })?;
        if done != Some(true) {
            return Ok(done.is_some());
        }
        let write = self.wrote(&writer);
        drop(writer);
        // Nothing is removed before it is on disk that it is gone.
        self.sync.wait(engine, write)?;
        Ok(true)
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
