//! The operation log: commits, which stand for themselves, and entries for every other move of a ref.
//!
//! An entry's id is the newest commit at its time and a step above zero; step zero is that commit.
//! Undo and redo are entries too: each says what the stack of undoable operations is after it, so
//! nothing has to be replayed.

use super::{Operation, Refs};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::format::commit::{Header, read_first};
use crate::format::refs::{OpAt, OpKind, OperationRecord, meta};
use crate::format::{Family, keys, record};
use crate::id::{OpId, Seq};

impl From<OpAt> for OpId {
    fn from(at: OpAt) -> Self {
        Self { seq: Seq::new(at.seq), step: at.step }
    }
}

impl From<OpId> for OpAt {
    fn from(id: OpId) -> Self {
        Self { seq: id.seq.get(), step: id.step }
    }
}

/// One operation, with what undo needs of it.
pub(crate) enum Entry {
    Commit(Box<Header>),
    Refs(Box<OperationRecord>),
}

impl Refs {
    /// The operation with this id.
    ///
    /// `None` also if it is no longer kept.
    pub(crate) fn operation(&self, id: OpId) -> Result<Option<Entry>> {
        if self.gone()?.is_some_and(|gone| id <= gone) {
            return Ok(None);
        }
        if id.step == 0 {
            let row = self.engine.get(Family::Log, &keys::log(id.seq, 0))?;
            return Ok(row
                .map(|row| read_first(&row).map(|(header, _)| Entry::Commit(Box::new(header))))
                .transpose()?);
        }
        let row = self.engine.get(Family::Refs, &keys::operation(id))?;
        Ok(row
            .map(|row| record::decode("operation", &row).map(|r| Entry::Refs(Box::new(r))))
            .transpose()?)
    }

    /// The newest operation that is no longer kept.
    fn gone(&self) -> Result<Option<OpId>> {
        let Some(row) = self.engine.get(Family::Meta, meta::OPS_START)? else { return Ok(None) };
        let (seq, step) = record::decode("start of the operation log", &row)?;
        Ok(Some(OpId { seq: Seq::new(seq), step }))
    }

    /// The newest operation at or before a commit: the last entry after it, or the commit itself. One
    /// that is no longer kept counts, so that its id is not given again.
    pub(crate) fn last_operation(&self, seq: Seq) -> Result<OpId> {
        let prefix = &keys::operation(OpId { seq, step: 0 })[..9];
        let found = match self.engine.last_with_prefix(Family::Refs, prefix)? {
            Some((key, _)) => OpId { seq, step: keys::number_at(&key, 9)? },
            None => OpId { seq, step: 0 },
        };
        Ok(self.gone()?.filter(|gone| gone.seq == seq).map_or(found, |gone| gone.max(found)))
    }

    /// The operation before this one; `None` before the first.
    pub(crate) fn before(&self, id: OpId, entry: &Entry) -> Result<Option<OpId>> {
        match entry {
            _ if id == (OpId { seq: Seq::ROOT, step: 0 }) => Ok(None),
            Entry::Commit(_) => self.last_operation(Seq::new(id.seq.get() - 1)).map(Some),
            Entry::Refs(op) if op.since < id.seq.get() => {
                self.last_operation(Seq::new(op.since)).map(Some)
            }
            Entry::Refs(_) => Ok(Some(OpId { seq: id.seq, step: id.step - 1 })),
        }
    }

    /// What an undo takes back, if this is the newest operation.
    pub(crate) fn undoable(&self, id: OpId) -> Result<Option<OpId>> {
        Ok(match self.operation(id)? {
            _ if id == (OpId { seq: Seq::ROOT, step: 0 }) => None,
            None => None,
            Some(Entry::Commit(_)) => Some(id),
            Some(Entry::Refs(op)) => match op.kind {
                OpKind::Do => Some(id),
                OpKind::Undo { next, .. } => next.map(OpId::from),
                OpKind::Redo { target, .. } => match self.operation(target.into())? {
                    Some(Entry::Refs(undo)) => match undo.kind {
                        OpKind::Undo { target, .. } => Some(target.into()),
                        OpKind::Do | OpKind::Redo { .. } => None,
                    },
                    Some(Entry::Commit(_)) | None => None,
                },
            },
        })
    }

    /// The undo that a redo does again, if this is the newest operation.
    pub(crate) fn redoable(&self, id: OpId) -> Result<Option<OpId>> {
        Ok(match self.operation(id)? {
            Some(Entry::Refs(op)) => match op.kind {
                OpKind::Do => None,
                OpKind::Undo { .. } => Some(id),
                OpKind::Redo { redo, .. } => redo.map(OpId::from),
            },
            Some(Entry::Commit(_)) | None => None,
        })
    }

    /// The newest operations up to `latest`, newest first.
    pub(crate) fn operations(&self, latest: Seq, limit: usize) -> Result<Vec<Operation>> {
        let mut out = Vec::new();
        let mut next = Some(self.last_operation(latest)?);
        while let Some(id) = next.filter(|_| out.len() < limit) {
            let Some(entry) = self.operation(id)? else { break };
            next = self.before(id, &entry)?;
            if next.is_some() {
                out.push(describe(id, &entry));
            }
        }
        Ok(out)
    }
}

/// An operation, as the public sees it.
pub(crate) fn describe(id: OpId, entry: &Entry) -> Operation {
    match entry {
        Entry::Commit(header) => Operation {
            id,
            time: Timestamp::from_millis(header.time),
            author: header.author.clone(),
            what: format!("commit to {}", header.branch),
        },
        Entry::Refs(op) => Operation {
            id,
            time: Timestamp::from_millis(op.time),
            author: op.author.clone(),
            what: op.what.clone(),
        },
    }
}
