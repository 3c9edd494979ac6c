//! Landing: what was planned against a branch becomes durable if the branch is still where it was.
//!
//! Plans are made without the commit lock. If the target has moved by the time the lock is there, the
//! plan is made again, at last under the lock; so a merge is never lost and never overwrites.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use super::build::{Build, Details, Meta, New, Ready};
use super::import::{ImportRefs, NewCommit};
use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::planned::PlannedEdit;
use super::values::{Replaced, Values, counted, views_of};
use super::{CommitOptions, Gates, MovePlan, Publisher, Writer};
use crate::engine::WriteSet;
use crate::error::Result;
use crate::format::Family;
use crate::format::refs::{BranchRecord, OpKind};
use crate::graph::{Head, Origin, Place};
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::Durability;
use crate::name::BranchName;
use crate::progress::Meter;
use crate::view::Finder;

/// Values are read and written in groups of this many.
pub(super) const GROUP: usize = 512;
/// More changes than this go through sorted files, onto a line of their own.
const MANY_EDITS: usize = 250_000;
/// ... and so do more bytes than this.
const MANY_BYTES: usize = 128 << 20;
/// So often a plan is made without the lock.
const FREE_PLANS: usize = 4;

/// Rows to write along: a value to set, or none to remove the row.
pub(crate) type StateRows = Vec<(Family, Vec<u8>, Option<Vec<u8>>)>;

/// A commit that was planned against a commit of its branch.
#[derive(Debug, Default)]
pub(crate) struct MergeCommit {
    /// What it was planned against; its first parent.
    pub(crate) target: Place,
    /// Parents after the first.
    pub(crate) further: Vec<Place>,
    /// Commits that it merges without having them as parents.
    pub(crate) remembered: Vec<Place>,
    /// By key.
    pub(crate) edits: Vec<PlannedEdit>,
    /// Keys decided against a further parent, by key.
    pub(crate) decided: Vec<Vec<u8>>,
    pub(crate) details: Option<Details>,
    pub(crate) origin: Option<Origin>,
    pub(crate) options: CommitOptions,
}

/// What a plan wants done.
#[derive(Debug)]
pub(crate) enum Landing {
    /// No commit; rows of family `state` alone, if any.
    Stop(StateRows),
    /// One commit.
    Commit(Box<MergeCommit>, StateRows),
    /// The branch moves to a commit.
    Move(Place, StateRows),
    /// The branch moves to what these commits, one after the other, make of another commit. All of
    /// them or none are there.
    Sequence(Place, Vec<MergeCommit>, StateRows),
}

/// What goes with a commit: rows of family `state`, and what is said of it, and by whom.
type Beside = (StateRows, String, Option<String>);

/// Tells how many of the planned changes are written.
pub(super) struct Written<'m, 'a> {
    meter: &'m mut Meter<'a>,
    edits: u64,
}

/// Where plans are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planning {
    /// Without the commit lock, and under it only if the branch keeps moving.
    Free,
    /// Under the commit lock, because they depend on more than the branch.
    Locked,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landed {
    /// The commits that were made, oldest first.
    pub(crate) commits: Vec<Seq>,
    /// The branch's newest commit now.
    pub(crate) head: Seq,
}

/// A plan, with what the caller wants to know of it.
pub(crate) struct Plan<T> {
    pub(crate) landing: Landing,
    /// Says in words what is done.
    pub(crate) what: String,
    /// Who does it; the store's author if nobody is named.
    pub(crate) author: Option<String>,
    /// What it survives; as the store unless told.
    pub(crate) durability: Option<Durability>,
    /// What must let it through if it writes anything.
    pub(crate) gates: Gates,
    pub(crate) told: T,
}

impl<'m, 'a> Written<'m, 'a> {
    pub(super) fn begin(
        meter: &'m mut Meter<'a>,
        stage: &'static str,
        edits: usize,
    ) -> Result<Self> {
        meter.stage(stage, Some(edits as u64), None)?;
        Ok(Self { meter, edits: 0 })
    }

    pub(super) fn more(&mut self, group: &[PlannedEdit]) -> Result<()> {
        self.edits += group.len() as u64;
        self.meter.step(self.edits, 0)
    }

    /// Asks for the last time whether to go on.
    pub(super) fn end(self) -> Result<()> {
        self.meter.tell(self.edits, 0)
    }
}

impl MergeCommit {
    pub(super) fn meta(
        &mut self,
        publisher: &Publisher,
        branch: &str,
        time: i64,
        grouped: bool,
    ) -> Result<Meta> {
        let author = self.options.author.as_deref().unwrap_or(&publisher.settings.author);
        check_text("author", author, MAX_AUTHOR_LEN)?;
        check_text("message", &self.options.message, MAX_MESSAGE_LEN)?;
        Ok(Meta {
            author: author.to_owned(),
            message: std::mem::take(&mut self.options.message),
            branch: branch.to_owned(),
            origin: self.origin.take().map(Into::into),
            time,
            further: std::mem::take(&mut self.further),
            remembered: std::mem::take(&mut self.remembered),
            details: self.details.take(),
            grouped,
        })
    }
}

impl Publisher {
    /// Makes a plan against the newest commit of a branch, and does what it says.
    pub(crate) fn land<T>(
        &self,
        branch: &BranchName,
        planning: Planning,
        meter: &mut Meter<'_>,
        mut make: impl FnMut(Place, &mut Meter<'_>) -> Result<Plan<T>>,
    ) -> Result<(T, Landed)> {
        let timer = self.counters.begin();
        let done = self.land_untimed(branch, planning, meter, &mut make);
        timer.end(&done);
        done
    }

    /// Writes rows of family `state`, made under the lock from what is stored.
    pub(crate) fn update_state<T>(
        &self,
        make: impl FnOnce() -> Result<(StateRows, T)>,
    ) -> Result<T> {
        self.update_state_as(None, make)
    }

    /// The same, with a durability of its own.
    pub(crate) fn update_state_as<T>(
        &self,
        durability: Option<Durability>,
        make: impl FnOnce() -> Result<(StateRows, T)>,
    ) -> Result<T> {
        let writer = self.lock()?;
        let (rows, out) = make()?;
        if rows.is_empty() {
            return Ok(out);
        }
        let mut set = WriteSet::default();
        self.put_rows(&mut set, &rows);
        self.engine().write(set)?;
        let write = self.wrote(&writer);
        drop(writer);
        self.settle(write, durability)?;
        Ok(out)
    }

    fn land_untimed<T>(
        &self,
        branch: &BranchName,
        planning: Planning,
        meter: &mut Meter<'_>,
        make: &mut impl FnMut(Place, &mut Meter<'_>) -> Result<Plan<T>>,
    ) -> Result<(T, Landed)> {
        let free = if planning == Planning::Locked { 0 } else { FREE_PLANS };
        for _ in 0..free {
            let (turn, head) = (self.graph.purge_turn(), self.branch_head(branch)?);
            let plan = make(head, meter)?;
            if matches!(&plan.landing, Landing::Stop(rows) if rows.is_empty()) {
                // Nothing is to be written, so it is right as of the moment it was made.
                return Ok((plan.told, Landed { commits: Vec::new(), head: head.seq }));
            }
            let writer = self.lock()?;
            if self.branch_head(branch)? == head && self.graph.purge_turn() == turn {
                return self.land_locked(writer, branch, (head, plan), meter);
            }
        }
        let writer = self.lock()?;
        let head = self.branch_head(branch)?;
        let plan = make(head, meter)?;
        self.land_locked(writer, branch, (head, plan), meter)
    }

    /// The newest commit of a branch.
    pub(crate) fn branch_head(&self, branch: &BranchName) -> Result<Place> {
        Ok(self.head_of_branch(branch)?.1.place)
    }

    fn head_of_branch(&self, branch: &BranchName) -> Result<(LineId, Arc<Head>)> {
        let line = LineId::new(self.refs.branch(branch.as_str())?.line);
        Ok((line, self.graph.head(line)?))
    }

    fn land_locked<T>(
        &self,
        mut writer: MutexGuard<'_, Writer>,
        branch: &BranchName,
        (head, plan): (Place, Plan<T>),
        meter: &mut Meter<'_>,
    ) -> Result<(T, Landed)> {
        let Plan { landing, what, author, durability, gates, told } = plan;
        let _passed = gates.pass()?;
        if !matches!(landing, Landing::Move(..)) {
            self.graph.must_not_be_purging()?;
        }
        let stopped = |seq| Landed { commits: Vec::new(), head: seq };
        let landed = match landing {
            Landing::Stop(rows) => {
                let mut set = WriteSet::default();
                self.put_rows(&mut set, &rows);
                self.engine().write(set)?;
                let write = self.wrote(&writer);
                drop(writer);
                self.settle(write, None)?;
                stopped(head.seq)
            }
            Landing::Move(to, rows) => {
                let author = author.unwrap_or_else(|| self.settings.author.clone());
                check_text("author", &author, MAX_AUTHOR_LEN)?;
                let mut set = WriteSet::default();
                self.put_rows(&mut set, &rows);
                let mut moves = MovePlan::with_set(self, &mut writer, set);
                moves.pass_held(branch, (head, to))?;
                let record = moves.refs().branch(branch.as_str())?;
                let line = moves.fork(to)?.get();
                moves.set_branch(branch, Some(BranchRecord { line, ..(*record).clone() }))?;
                let written = moves.write(OpKind::Do, &author, what)?;
                drop(writer);
                if let Some((_, write)) = written {
                    self.settle(write, durability)?;
                }
                stopped(to.seq)
            }
            Landing::Commit(commit, rows) => {
                self.land_commit(writer, branch, *commit, (rows, what, author), meter)?
            }
            Landing::Sequence(onto, commits, rows) => {
                self.land_sequence(writer, branch, (onto, commits), (rows, what, author), meter)?
            }
        };
        Ok((told, landed))
    }

    fn land_commit(
        &self,
        mut guard: MutexGuard<'_, Writer>,
        branch: &BranchName,
        mut commit: MergeCommit,
        beside: Beside,
        meter: &mut Meter<'_>,
    ) -> Result<Landed> {
        let writer = &mut *guard;
        let changed = commit.edits.iter().map(|edit| edit.key.as_slice());
        writer.held.check_writes(branch.as_str(), changed)?;
        let Some((mut set, ready)) = self.build_merge(writer, branch, &mut commit, meter)? else {
            return self.land_bulk(guard, branch, commit, beside, meter);
        };
        self.put_rows(&mut set, &beside.0);
        let seq = ready.head.place.seq;
        let write = self.write_commits(writer, set, vec![ready])?;
        drop(guard);
        self.settle(write, commit.options.durability)?;
        Ok(Landed { commits: vec![seq], head: seq })
    }

    /// All rows of one commit; `None` if they are too many for one batch.
    fn build_merge(
        &self,
        writer: &mut Writer,
        branch: &BranchName,
        commit: &mut MergeCommit,
        meter: &mut Meter<'_>,
    ) -> Result<Option<(WriteSet, Ready)>> {
        if commit.edits.len() > MANY_EDITS {
            return Ok(None);
        }
        let (line, head) = self.head_of_branch(branch)?;
        let own = [Place { line, seq: Seq::MAX }];
        let has_rows = head.place.line == line && head.rows > 0;
        let mut written = Written::begin(meter, "write", commit.edits.len())?;
        let mut set = WriteSet::default();
        let mut build = Build::new(self, writer.latest.next(), line, &head, commit.decided.clone());
        let views = views_of(&self.graph, &commit.edits)?;
        let mut values = Values::new(&views, commit.edits.len());
        let mut own = Finder::new(self.engine(), &own, commit.edits.len());
        let target = counted(&self.graph, head.place, &commit.edits)?;
        let mut counted = Replaced::new(target.as_ref(), commit.edits.len());
        for group in commit.edits.chunks(GROUP) {
            written.more(group)?;
            let keys: Vec<&[u8]> = group.iter().map(|edit| edit.key.as_slice()).collect();
            // What is replaced has to be known only where it is moved to history: on this very line.
            let mut replaced = match has_rows {
                true => own.find(&keys)?,
                false => Vec::new(),
            }
            .into_iter();
            let rows = values.read(group)?.into_iter().zip(counted.read(group)?);
            for (edit, (row, before)) in group.iter().zip(rows) {
                let old = replaced.next().flatten();
                let new = New::row(row.as_ref(), edit.after.hash());
                build.replace(&mut set, &edit.key, new, old.as_ref(), before)?;
            }
            if set.size() > MANY_BYTES {
                return Ok(None);
            }
        }
        written.end()?;
        let time = self.time(writer);
        let meta = commit.meta(self, branch.as_str(), time, false)?;
        let ready = build.finish(&mut set, meta)?;
        Ok(Some((set, ready)))
    }

    /// Lands a commit through sorted files, on a line of its own.
    fn land_bulk(
        &self,
        writer: MutexGuard<'_, Writer>,
        branch: &BranchName,
        mut commit: MergeCommit,
        (rows, what, author): Beside,
        meter: &mut Meter<'_>,
    ) -> Result<Landed> {
        let mut session = self.import_locked(writer, &what)?;
        let seq = session.bulk_merge(branch.as_str(), &mut commit, meter)?;
        let branches = vec![(branch.clone(), seq)];
        let tags = Vec::new();
        session.finish(ImportRefs { rows, author, branches, tags, replace: true })?;
        Ok(Landed { commits: vec![seq], head: seq })
    }

    /// Lands commits one after the other on another commit, and then moves the branch there.
    fn land_sequence(
        &self,
        writer: MutexGuard<'_, Writer>,
        branch: &BranchName,
        (onto, commits): (Place, Vec<MergeCommit>),
        (rows, what, author): Beside,
        meter: &mut Meter<'_>,
    ) -> Result<Landed> {
        let mut session = self.import_locked(writer, &what)?;
        let mut made = Vec::new();
        let edits = commits.iter().map(|commit| commit.edits.len()).sum();
        let mut written = Written::begin(meter, "write", edits)?;
        let mut parent = onto.seq;
        for commit in commits {
            let author = commit.options.author.as_deref().unwrap_or(&self.settings.author);
            let mut changes = BTreeMap::new();
            let views = views_of(&self.graph, &commit.edits)?;
            let mut values = Values::new(&views, commit.edits.len());
            for group in commit.edits.chunks(GROUP) {
                written.more(group)?;
                for (edit, row) in group.iter().zip(values.read(group)?) {
                    let value = row.filter(|row| !row.is_purged());
                    let value = value.map(|row| row.into_value(self.engine())).transpose()?;
                    changes.insert(edit.key.clone(), value);
                }
            }
            parent = session.commit(NewCommit {
                parents: vec![parent],
                changes,
                branch: branch.to_string(),
                author: author.to_owned(),
                message: commit.options.message,
                origin: commit.origin,
                remembered: commit.remembered,
                details: commit.details,
            })?;
            made.push(parent);
        }
        written.end()?;
        let branches = vec![(branch.clone(), parent)];
        let tags = Vec::new();
        session.finish(ImportRefs { rows, author, branches, tags, replace: true })?;
        Ok(Landed { commits: made, head: parent })
    }

    /// Adds rows to a set of writes.
    pub(super) fn put_rows(&self, set: &mut WriteSet, rows: &StateRows) {
        for (family, key, value) in rows {
            if let (Family::Blob, Some(hash), Some(_)) = (family, key.first_chunk(), value) {
                self.note_named(ValueHash::from_bytes(*hash));
            }
            match value {
                Some(value) => self.engine().put(set, *family, key, value),
                None => self.engine().delete(set, *family, key),
            }
        }
    }
}
