//! Moves of refs: branches, tags and the active branch, each step of them one atomic write with its
//! entry in the operation log.

use std::collections::BTreeSet;

use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::{Publisher, Writer};
use crate::engine::WriteSet;
use crate::error::{Error, ErrorKind, Result};
use crate::format::merge::OpenRecord;
use crate::format::refs::{
    BranchRecord, OpKind, OperationRecord, RefEdit, RefName, RefState, TagRecord, meta, pin,
};
use crate::format::{Family, keys, record};
use crate::graph::{Graph, Place};
use crate::id::{LineId, OpId, Seq};
use crate::name::{BranchName, TagName};
use crate::refs::Refs;

/// What one operation does to refs. Built under the commit lock, against what is stored.
pub(crate) struct MovePlan<'p> {
    publisher: &'p Publisher,
    writer: &'p mut Writer,
    set: WriteSet,
    edits: Vec<RefEdit>,
    new_lines: Vec<(LineId, Place)>,
    /// Branches that may move though keys of theirs are held, because none of those changes.
    passed: BTreeSet<BranchName>,
    /// The time of the operation.
    pub(crate) time: i64,
}

impl Publisher {
    /// Runs one operation on refs and writes it; nothing is written if it changes nothing. The plan
    /// also says, in words, what is done.
    pub(crate) fn move_refs<T>(
        &self,
        author: Option<&str>,
        plan: impl FnOnce(&mut MovePlan<'_>) -> Result<(String, T)>,
    ) -> Result<T> {
        let author = author.unwrap_or(&self.settings.author);
        check_text("author", author, MAX_AUTHOR_LEN)?;
        let mut writer = self.lock()?;
        let mut moves = MovePlan::new(self, &mut writer);
        let (what, out) = plan(&mut moves)?;
        let written = moves.write(OpKind::Do, author, what)?;
        drop(writer);
        if let Some((_, write)) = written {
            self.settle(write, None)?;
        }
        Ok(out)
    }
}

impl Publisher {
    /// Sets a row of family `meta`, or removes it; no step of undo.
    pub(crate) fn set_meta(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let writer = self.lock()?;
        let mut set = WriteSet::default();
        match value {
            Some(value) => self.engine().put(&mut set, Family::Meta, key, value),
            None => self.engine().delete(&mut set, Family::Meta, key),
        }
        self.engine().write(set)?;
        let write = self.wrote(&writer);
        drop(writer);
        self.settle(write, None)
    }
}

impl<'p> MovePlan<'p> {
    pub(super) fn new(publisher: &'p Publisher, writer: &'p mut Writer) -> Self {
        let time = publisher.time(writer);
        let (set, edits, new_lines) = (WriteSet::default(), Vec::new(), Vec::new());
        Self { publisher, writer, set, edits, new_lines, passed: BTreeSet::new(), time }
    }

    /// Goes on with a set of writes that was begun elsewhere.
    pub(super) fn with_set(
        publisher: &'p Publisher,
        writer: &'p mut Writer,
        set: WriteSet,
    ) -> Self {
        Self { set, ..Self::new(publisher, writer) }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.publisher.graph
    }

    pub(crate) fn refs(&self) -> &Refs {
        &self.publisher.refs
    }

    pub(crate) fn author<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        given.unwrap_or(&self.publisher.settings.author)
    }

    /// A new line that starts at a commit.
    pub(crate) fn fork(&mut self, place: Place) -> Result<LineId> {
        let line = Publisher::new_line(self.writer);
        self.publisher.write_line(&mut self.set, line, place)?;
        self.new_lines.push((line, place));
        Ok(line)
    }

    /// The newest commit of a line that may be as new as this plan.
    fn head_of(&self, line: LineId) -> Result<Place> {
        match self.new_lines.iter().find(|(new, _)| *new == line) {
            Some((_, fork)) => Ok(*fork),
            None => Ok(self.graph().head(line)?.place),
        }
    }

    /// Adds the blocks of the index that are due.
    pub(super) fn index(&mut self) -> Result<bool> {
        self.publisher.graph.write_due_blocks(&mut self.set)
    }

    /// Sets a branch, or removes it.
    pub(crate) fn set_branch(
        &mut self,
        name: &BranchName,
        after: Option<BranchRecord>,
    ) -> Result<()> {
        let before = self.refs().find_branch(name.as_str())?;
        if before.as_deref() == after.as_ref() {
            return Ok(());
        }
        if before.is_none() && after.is_some() {
            self.check_branch_limit()?;
        }
        let stays = before.as_ref().map(|b| b.line) == after.as_ref().map(|a| a.line);
        if !stays && !self.passed.contains(name) {
            self.writer.held.check_move(name.as_str())?;
        }
        let key = keys::branch(name.as_str());
        let engine = self.publisher.engine();
        match &after {
            Some(record) => {
                check_text("description", &record.description, MAX_MESSAGE_LEN)?;
                check_text("creator", &record.creator, MAX_AUTHOR_LEN)?;
                engine.put(&mut self.set, Family::Refs, &key, &record::encode(record));
            }
            None => {
                engine.delete(&mut self.set, Family::Refs, &key);
                self.drop_open_merge(name.as_str())?;
            }
        }
        let state = |plan: &Self, record: BranchRecord| -> Result<RefState> {
            let head = plan.head_of(LineId::new(record.line))?;
            Ok(RefState::Branch(record, head.seq.get()))
        };
        let before = before.map(|b| state(self, (*b).clone())).transpose()?;
        let after = after.map(|a| state(self, a)).transpose()?;
        self.edits.push(RefEdit { name: RefName::Branch(name.to_string()), before, after });
        Ok(())
    }

    /// Lets a branch move on to what was planned for it, unless that changes a key that is held.
    pub(super) fn pass_held(&mut self, name: &BranchName, way: (Place, Place)) -> Result<()> {
        let held = &self.writer.held;
        if held.has(name.as_str()) {
            let mut changed = BTreeSet::new();
            let wanted = |key: &[u8]| held.holds(name.as_str(), key);
            self.publisher.add_between(way, wanted, &mut changed)?;
            held.check_writes(name.as_str(), changed.iter().map(Vec::as_slice))?;
            self.passed.insert(name.clone());
        }
        Ok(())
    }

    /// Drops the merge that is open on a branch: what is made under the name later has no part in it.
    fn drop_open_merge(&mut self, branch: &str) -> Result<()> {
        let engine = self.publisher.engine();
        let key = keys::open_merge(branch);
        let Some(row) = engine.get(Family::State, &key)? else { return Ok(()) };
        let open: OpenRecord = record::decode("open merge", &row)?;
        engine.delete(&mut self.set, Family::State, &key);
        for at in open.theirs.iter().chain([&open.ours]) {
            let pin = keys::pin(Seq::new(at.seq), pin::MERGE, branch.as_bytes());
            engine.delete(&mut self.set, Family::Refs, &pin);
        }
        let mut rows = engine.iter_prefix(Family::State, &keys::open_conflicts(branch));
        rows.seek_to_first();
        while let Some((stored, _)) = rows.current()? {
            engine.delete(&mut self.set, Family::State, stored);
            rows.next();
        }
        Ok(())
    }

    /// Sets a tag and its pin, or removes both.
    pub(crate) fn set_tag(&mut self, name: &TagName, after: Option<TagRecord>) -> Result<()> {
        let before = self.refs().find_tag(name.as_str())?;
        if before == after {
            return Ok(());
        }
        let key = keys::tag(name.as_str());
        let owner = name.as_str().as_bytes();
        let engine = self.publisher.engine();
        if let Some(old) = &before {
            engine.delete(
                &mut self.set,
                Family::Refs,
                &keys::pin(Seq::new(old.at.seq), pin::TAG, owner),
            );
        }
        match &after {
            Some(record) => {
                check_text("description", &record.description, MAX_MESSAGE_LEN)?;
                check_text("creator", &record.creator, MAX_AUTHOR_LEN)?;
                self.publisher.graph.check_whole(record.at.into())?;
                engine.put(&mut self.set, Family::Refs, &key, &record::encode(record));
                let pin = keys::pin(Seq::new(record.at.seq), pin::TAG, owner);
                engine.put(&mut self.set, Family::Refs, &pin, &[]);
            }
            None => engine.delete(&mut self.set, Family::Refs, &key),
        }
        let name = RefName::Tag(name.to_string());
        self.edits.push(RefEdit {
            name,
            before: before.map(RefState::Tag),
            after: after.map(RefState::Tag),
        });
        Ok(())
    }

    /// Makes a branch the active one.
    pub(crate) fn set_active(&mut self, name: &BranchName) -> Result<()> {
        let before = self.refs().active()?;
        if before == *name {
            return Ok(());
        }
        let stored = record::encode(&name.to_string());
        self.publisher.engine().put(&mut self.set, Family::Meta, meta::ACTIVE, &stored);
        self.edits.push(RefEdit {
            name: RefName::Active,
            before: Some(RefState::Active(before.to_string())),
            after: Some(RefState::Active(name.to_string())),
        });
        Ok(())
    }

    /// Puts a ref back to a state it had. A branch's line may have grown since; then it gets a new
    /// line that starts where it was.
    pub(super) fn put_back(&mut self, name: &RefName, state: Option<&RefState>) -> Result<()> {
        match (name, state) {
            (RefName::Branch(name), None) => {
                // It would go with the branch, and with it what people have settled.
                if self.publisher.engine().get(Family::State, &keys::open_merge(name))?.is_some() {
                    let what = format!("cannot take back branch {name}: a merge is open on it");
                    return Err(Error::new(ErrorKind::Invalid, what)
                        .with_hint("continue it or abort it first"));
                }
                self.set_branch(&BranchName::new(name)?, None)
            }
            (RefName::Branch(name), Some(RefState::Branch(record, head))) => {
                let line = LineId::new(record.line);
                let mut record = record.clone();
                if self.head_of(line)?.seq.get() != *head {
                    let place = self.graph().at_or_before(line, Seq::new(*head))?;
                    record.line = self.fork(place)?.get();
                }
                self.set_branch(&BranchName::new(name)?, Some(record))
            }
            (RefName::Tag(name), None) => self.set_tag(&TagName::new(name)?, None),
            (RefName::Tag(name), Some(RefState::Tag(record))) => {
                self.set_tag(&TagName::new(name)?, Some(record.clone()))
            }
            (RefName::Active, Some(RefState::Active(active))) => {
                self.set_active(&BranchName::new(active)?)
            }
            (RefName::Active, None)
            | (RefName::Branch(_), Some(RefState::Tag(_) | RefState::Active(_)))
            | (RefName::Tag(_), Some(RefState::Branch(..) | RefState::Active(_)))
            | (RefName::Active, Some(RefState::Branch(..) | RefState::Tag(_))) => Err(Error::new(
                ErrorKind::Corrupt,
                "an entry of the operation log mixes kinds of refs",
            )),
        }
    }

    fn check_branch_limit(&mut self) -> Result<()> {
        let Some(limit) = self.publisher.settings.max_branches else { return Ok(()) };
        let stored = match self.writer.branches {
            Some(count) => count,
            None => self.refs().branches()?.len() as u64,
        };
        self.writer.branches = Some(stored);
        let net: i64 = self.edits.iter().map(branch_difference).sum();
        if stored.saturating_add_signed(net) < limit {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, format!("the limit of {limit} branches is reached"))
            .with_hint("delete branches that are no longer needed, or raise the limit"))
    }

    /// Writes the plan with its entry in the operation log. The number is for
    /// [`Publisher::settle`]; `None` if there was nothing to do.
    pub(super) fn write(
        self,
        kind: OpKind,
        author: &str,
        what: String,
    ) -> Result<Option<(OpId, u64)>> {
        let since = self.writer.latest;
        self.write_since(kind, author, what, since)
    }

    /// [`write`](Self::write), for an operation that the commits above `since` are part of.
    pub(super) fn write_since(
        mut self,
        kind: OpKind,
        author: &str,
        what: String,
        since: Seq,
    ) -> Result<Option<(OpId, u64)>> {
        if self.edits.is_empty() && since == self.writer.latest {
            return Ok(None);
        }
        let id = OpId { seq: self.writer.latest, step: self.writer.last_op.step + 1 };
        let edits = std::mem::take(&mut self.edits);
        let net: i64 = edits.iter().map(branch_difference).sum();
        let branches: Vec<String> = edits.iter().filter_map(moved_branch).collect();
        let entry = OperationRecord {
            kind,
            time: self.time,
            author: author.to_owned(),
            what,
            since: since.get(),
            edits,
        };
        let publisher = self.publisher;
        let engine = publisher.engine();
        engine.put(&mut self.set, Family::Refs, &keys::operation(id), &record::encode(&entry));
        // Said before the write too: whoever reads the new refs from disk finds that they have moved.
        publisher.refs.moved(branches.iter().cloned());
        engine.write(self.set)?;
        self.writer.last_op = id;
        if let Some(count) = &mut self.writer.branches {
            *count = count.saturating_add_signed(net);
        }
        publisher.refs.moved(branches);
        Ok(Some((id, publisher.wrote(self.writer))))
    }
}

/// The branch that an edit moves, if it moves one.
fn moved_branch(edit: &RefEdit) -> Option<String> {
    match &edit.name {
        RefName::Branch(name) => Some(name.clone()),
        RefName::Tag(_) | RefName::Active => None,
    }
}

/// One for a branch that comes, minus one for a branch that goes.
fn branch_difference(edit: &RefEdit) -> i64 {
    match (&edit.name, &edit.before, &edit.after) {
        (RefName::Branch(_), None, Some(_)) => 1,
        (RefName::Branch(_), Some(_), None) => -1,
        _ => 0,
    }
}
