//! Undo and redo: new operations that put refs back to what they were.

use super::{MovePlan, Publisher};
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::Header;
use crate::format::refs::{BranchRecord, OpAt, OpKind};
use crate::graph::Place;
use crate::id::{LineId, OpId, Seq};
use crate::name::BranchName;
use crate::refs::{Entry, Operation, describe};

impl Publisher {
    /// Takes the newest operation back that is not taken back yet.
    pub(crate) fn undo(&self, author: Option<&str>) -> Result<Operation> {
        let mut writer = self.lock()?;
        let last = writer.last_op;
        let nothing = || {
            Error::new(ErrorKind::NotFound, "there is nothing to undo")
                .with_hint("`withy ops` lists what was done")
        };
        let target = self.refs.undoable(last)?.ok_or_else(nothing)?;
        let entry = self.refs.operation(target)?.ok_or_else(nothing)?;
        let next = match self.refs.before(target, &entry)? {
            Some(before) => self.refs.undoable(before)?,
            None => None,
        };
        let redo = self.refs.redoable(last)?;
        let mut plan = MovePlan::new(self, &mut writer);
        match &entry {
            Entry::Commit(header) => plan.take_back(target.seq, header)?,
            Entry::Refs(op) => {
                for edit in op.edits.iter().rev() {
                    plan.put_back(&edit.name, edit.before.as_ref())?;
                }
            }
        }
        let undone = describe(target, &entry);
        let kind = OpKind::Undo {
            target: target.into(),
            next: next.map(OpAt::from),
            redo: redo.map(OpAt::from),
        };
        let author = author.unwrap_or(&self.settings.author);
        let written = plan.write(kind, author, format!("undo {target}: {}", undone.what))?;
        drop(writer);
        if let Some((_, write)) = written {
            self.settle(write, None)?;
        }
        Ok(undone)
    }

    /// Does the operation again that the newest undo took back.
    pub(crate) fn redo(&self, author: Option<&str>) -> Result<Operation> {
        let mut writer = self.lock()?;
        let nothing = || {
            Error::new(ErrorKind::NotFound, "there is nothing to redo").with_hint(
                "only what was undone last, with no other operation since, can be redone",
            )
        };
        let target = self.refs.redoable(writer.last_op)?.ok_or_else(nothing)?;
        let Some(Entry::Refs(undo)) = self.refs.operation(target)? else { return Err(nothing()) };
        let OpKind::Undo { target: undone, redo, .. } = undo.kind else { return Err(nothing()) };
        let undone = OpId::from(undone);
        let entry = self.refs.operation(undone)?.ok_or_else(nothing)?;
        let again = describe(undone, &entry);
        let mut plan = MovePlan::new(self, &mut writer);
        for edit in undo.edits.iter().rev() {
            plan.put_back(&edit.name, edit.before.as_ref())?;
        }
        let author = author.unwrap_or(&self.settings.author);
        let kind = OpKind::Redo { target: target.into(), redo };
        let written = plan.write(kind, author, format!("redo {undone}: {}", again.what))?;
        drop(writer);
        if let Some((_, write)) = written {
            self.settle(write, None)?;
        }
        Ok(again)
    }
}

impl MovePlan<'_> {
    /// Moves the branch that a commit was made on back to the commit before it.
    fn take_back(&mut self, seq: Seq, header: &Header) -> Result<()> {
        let name = BranchName::new(&header.branch)?;
        let now = self.refs().branch(name.as_str())?;
        let head = self.graph().head(LineId::new(now.line))?.place;
        let parent = header
            .parents
            .first()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "the root commit cannot be undone"))?;
        if head.seq != seq {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("branch {name} is at commit {}, the operation log says {seq}", head.seq),
            ));
        }
        let place = Place { line: LineId::new(parent.line), seq: Seq::new(parent.seq) };
        let line = self.fork(place)?.get();
        self.set_branch(&name, Some(BranchRecord { line, ..(*now).clone() }))
    }
}
