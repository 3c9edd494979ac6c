//! Imports: many commits, on lines that nobody can reach until the import is finished.
//!
//! A marker row says from which line and sequence on everything belongs to the import. If it does not
//! come to its end, all of that is removed: at once when the session is dropped, else at the next open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use super::build::{Details, Meta, New, Ready};
use super::bulk::{Load, Loaded};
use super::init::{recover, remove_leftovers};
use super::land::{GROUP, MergeCommit, StateRows, Written};
use super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::values::{Replaced, Values, counted, views_of};
use super::{CommitOptions, MovePlan, Publisher, Writer};
use crate::clock::Timestamp;
use crate::engine::WriteSet;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::{ChangesAt, Header, OriginRecord, write_first};
use crate::format::refs::{BranchRecord, ImportRecord, OpKind, TagRecord, meta};
use crate::format::{Family, keys, record};
use crate::graph::{Head, Origin, Place};
use crate::id::{LineId, Seq, ValueHash};
use crate::kv::{check_key, check_value};
use crate::name::{BranchName, TagName};
use crate::progress::Meter;
use crate::view::View;

/// A commit to import.
#[derive(Debug, Default)]
pub(crate) struct NewCommit {
    /// Its parents; the first is the one that the changes are against.
    pub(crate) parents: Vec<Seq>,
    /// Values to set, and keys to delete (`None`); what changes nothing is dropped.
    pub(crate) changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Name of the branch it was made on.
    pub(crate) branch: String,
    /// Who made it.
    pub(crate) author: String,
    /// What they said of it.
    pub(crate) message: String,
    /// What its own history says of committer and times.
    pub(crate) origin: Option<Origin>,
    /// Commits that were merged without becoming parents.
    pub(crate) remembered: Vec<Place>,
    /// How it came about, if a merge of any kind made it.
    pub(crate) details: Option<Details>,
}

/// A tag to set when an import ends.
#[derive(Clone, Debug)]
pub(crate) struct ImportedTag {
    /// Its name.
    pub(crate) name: TagName,
    /// The commit.
    pub(crate) seq: Seq,
    /// What it stands for.
    pub(crate) description: String,
    /// Who made it.
    pub(crate) creator: String,
    /// When it was made; now, if not known.
    pub(crate) created: Option<Timestamp>,
}

/// The refs that an import ends with.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImportRefs {
    /// Rows to write along.
    pub(crate) rows: StateRows,
    /// Who does it; the store's author if nobody is named.
    pub(crate) author: Option<String>,
    /// Branches to make, or to move if `replace` is set.
    pub(crate) branches: Vec<(BranchName, Seq)>,
    /// Tags to make, or to move if `replace` is set.
    pub(crate) tags: Vec<ImportedTag>,
    /// Whether refs that exist may be moved.
    pub(crate) replace: bool,
}

/// An import being written; see the module.
pub(crate) struct ImportSession<'p> {
    publisher: &'p Publisher,
    writer: MutexGuard<'p, Writer>,
    first_line: LineId,
    before: Seq,
    time_before: i64,
    files: u32,
    what: String,
    ended: bool,
}

impl Publisher {
    /// Starts an import. It holds the commit lock until it is finished or dropped.
    pub(crate) fn import(&self, what: &str) -> Result<ImportSession<'_>> {
        self.import_locked(self.lock()?, what)
    }

    /// [`import`](Self::import), for who has the lock already.
    pub(super) fn import_locked<'p>(
        &'p self,
        writer: MutexGuard<'p, Writer>,
        what: &str,
    ) -> Result<ImportSession<'p>> {
        let (first_line, before) = (writer.next_line, writer.latest);
        let marker = ImportRecord { first_line: first_line.get(), first_seq: before.next().get() };
        let mut set = WriteSet::default();
        self.engine().put(&mut set, Family::Meta, meta::IMPORT, &record::encode(&marker));
        self.engine().write(set)?;
        let time_before = writer.last_time;
        let what = what.to_owned();
        Ok(ImportSession {
            publisher: self,
            writer,
            first_line,
            before,
            time_before,
            files: 0,
            what,
            ended: false,
        })
    }
}

impl ImportSession<'_> {
    /// A view of a commit, imported ones included.
    pub(crate) fn view(&self, seq: Seq) -> Result<View> {
        let graph = &self.publisher.graph;
        View::new(graph, graph.place(seq)?)
    }

    /// The line and head that a child of `parent` goes to: on, if it is the newest of a line made by
    /// this import, else a new line.
    fn line_for(&mut self, set: &mut WriteSet, parent: Place) -> Result<(LineId, Head)> {
        let graph = &self.publisher.graph;
        if parent.line >= self.first_line {
            let head = graph.head(parent.line)?;
            if head.place == parent {
                return Ok((parent.line, *head));
            }
        }
        let line = Publisher::new_line(&mut self.writer);
        self.publisher.write_line(set, line, parent)?;
        let header = graph.header(parent.seq)?;
        let (id, fingerprint) = (header.commit_id(), header.content());
        Ok((line, Head { place: parent, id, fingerprint, keys: header.keys, rows: 0 }))
    }

    fn place(&self, seq: Seq) -> Result<Place> {
        let latest = self.writer.latest;
        if seq > latest {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("no commit {seq}, the newest is {latest}"),
            ));
        }
        self.publisher.graph.place(seq)
    }

    /// Times of commits never run backwards in a store; what an import says is kept in its origin.
    fn time(&mut self, origin: Option<&OriginRecord>) -> i64 {
        match origin {
            Some(origin) => {
                let now = self.publisher.clock.now().as_millis();
                let said = origin.committed.0.saturating_mul(1000).min(now);
                self.writer.last_time = self.writer.last_time.max(said);
                self.writer.last_time
            }
            None => self.publisher.time(&mut self.writer),
        }
    }

    /// Adds a commit.
    pub(crate) fn commit(&mut self, new: NewCommit) -> Result<Seq> {
        check_text("author", &new.author, MAX_AUTHOR_LEN)?;
        check_text("message", &new.message, MAX_MESSAGE_LEN)?;
        for (key, value) in &new.changes {
            check_key(key)?;
            value.as_deref().map_or(Ok(()), check_value)?;
        }
        let Some((&first, further)) = new.parents.split_first() else {
            return Err(Error::new(ErrorKind::Invalid, "an imported commit needs a parent"));
        };
        let first = self.place(first)?;
        let mut others = Vec::new();
        for &seq in further {
            let place = self.place(seq)?;
            if place != first && !others.contains(&place) {
                others.push(place);
            }
        }
        let merged: Vec<Place> = others.iter().chain(&new.remembered).copied().collect();
        let decided = self.decided(first, &merged, &new.changes)?;
        let mut set = WriteSet::default();
        let (line, head) = self.line_for(&mut set, first)?;
        let origin = new.origin.map(OriginRecord::from);
        let meta = Meta {
            author: new.author,
            message: new.message,
            branch: new.branch,
            // What is replayed is made now, whatever its original says.
            time: self.time(origin.as_ref().filter(|_| new.details.is_none())),
            origin,
            further: others,
            remembered: new.remembered,
            details: new.details,
            grouped: true,
        };
        let ready = self.publisher.commit_changes(
            &self.writer,
            &mut set,
            line,
            &head,
            &new.changes,
            (decided, meta),
        )?;
        self.publisher.engine().write(set)?;
        let seq = ready.head.place.seq;
        self.publisher.done(&mut self.writer, ready);
        Ok(seq)
    }

    /// The keys that a merge decided against what it merged, a further parent or not: changed there
    /// and not on the first parent's side alone, and not taken over. A later merge must know of them.
    fn decided(
        &self,
        first: Place,
        others: &[Place],
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>> {
        let graph = &self.publisher.graph;
        let mut out = BTreeSet::new();
        for &other in others {
            let difference = graph.difference(first, other)?;
            let mut touched = BTreeSet::new();
            for seq in graph.commits_of(&difference.only_second)? {
                graph.visit(
                    seq,
                    |_| {},
                    |change| {
                        touched.insert(change.key);
                    },
                )?;
            }
            let (ours, theirs) = (View::new(graph, first)?, View::new(graph, other)?);
            for key in touched {
                let result = match changes.get(&key) {
                    Some(value) => value.as_deref().map(ValueHash::of),
                    None => ours.hash(&key)?,
                };
                if result != theirs.hash(&key)? {
                    out.insert(key);
                }
            }
        }
        Ok(out.into_iter().collect())
    }

    /// Adds one commit of sorted rows, through sorted files that RocksDB takes in as they are.
    ///
    /// Keys must be strictly increasing. `None` if no row changes anything.
    pub(crate) fn bulk(
        &mut self,
        parent: Seq,
        branch: &str,
        options: &CommitOptions,
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>,
    ) -> Result<Option<Seq>> {
        let author =
            options.author.clone().unwrap_or_else(|| self.publisher.settings.author.clone());
        check_text("author", &author, MAX_AUTHOR_LEN)?;
        check_text("message", &options.message, MAX_MESSAGE_LEN)?;
        let parent = self.place(parent)?;
        let base = View::new(&self.publisher.graph, parent)?;
        let mut set = WriteSet::default();
        let line = Publisher::new_line(&mut self.writer);
        self.publisher.write_line(&mut set, line, parent)?;
        let mut load = Load::new(self.publisher, &mut self.files, line, &base)?;
        load.rows(rows)?;
        let Some(loaded) = load.finish()? else { return Ok(None) };
        let meta = Meta {
            author,
            message: options.message.clone(),
            branch: branch.to_owned(),
            time: self.time(None),
            grouped: true,
            ..Meta::default()
        };
        self.end_bulk(set, line, base.head(), loaded, meta).map(Some)
    }

    /// Adds one commit of planned changes, as [`bulk`](Self::bulk) does.
    pub(super) fn bulk_merge(
        &mut self,
        branch: &str,
        commit: &mut MergeCommit,
        meter: &mut Meter<'_>,
    ) -> Result<Seq> {
        let base = View::new(&self.publisher.graph, commit.target)?;
        let mut set = WriteSet::default();
        let line = Publisher::new_line(&mut self.writer);
        self.publisher.write_line(&mut set, line, commit.target)?;
        let mut load = Load::new(self.publisher, &mut self.files, line, &base)?;
        load.set_decided(std::mem::take(&mut commit.decided));
        let edits = std::mem::take(&mut commit.edits);
        let views = views_of(&self.publisher.graph, &edits)?;
        let mut written = Written::begin(meter, "write files", edits.len())?;
        let mut values = Values::new(&views, edits.len());
        let target = counted(&self.publisher.graph, commit.target, &edits)?;
        let mut counted = Replaced::new(target.as_ref(), edits.len());
        for group in edits.chunks(GROUP) {
            written.more(group)?;
            let rows = values.read(group)?.into_iter().zip(counted.read(group)?);
            for (edit, (row, before)) in group.iter().zip(rows) {
                let new = New::row(row.as_ref(), edit.after.hash());
                load.edit(&edit.key, new, before)?;
            }
        }
        written.end()?;
        let loaded = load
            .finish()?
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a large merge has no changes"))?;
        let time = self.time(None);
        let meta = commit.meta(self.publisher, branch, time, true)?;
        self.end_bulk(set, line, base.head(), loaded, meta)
    }

    /// Takes in the files of a bulk load, and writes its commit.
    fn end_bulk(
        &mut self,
        mut set: WriteSet,
        line: LineId,
        parent: Head,
        loaded: Loaded,
        meta: Meta,
    ) -> Result<Seq> {
        let publisher = self.publisher;
        let seq = self.writer.latest.next();
        let mut changes_at = ChangesAt::Bulk { parts: loaded.parts };
        if let Some(details) = &meta.details {
            changes_at = publisher.write_details(&mut set, seq, details, changes_at)?;
        }
        let mut header = Header {
            id: [0; 32],
            line: line.get(),
            parents: publisher.parents(&parent, &meta.further)?,
            time: meta.time,
            author: meta.author,
            message: meta.message,
            branch: meta.branch,
            origin: meta.origin,
            grouped: true,
            fingerprint: *loaded.sum.get().as_bytes(),
            keys: loaded.keys,
            rows: loaded.rows,
            changes: loaded.changes,
            changes_at,
        };
        let id = loaded.hasher.finish(seq, &header);
        header.id = *id.as_bytes();
        publisher.write_merge(&mut set, Place { line, seq }, &meta.further, &meta.remembered);
        let engine = Arc::clone(publisher.engine());
        // What is taken in is on disk at once, so the marker that would remove it must be there first.
        engine.sync()?;
        let between = engine.between_captures();
        engine.ingest(Family::Head, loaded.head_files)?;
        engine.ingest(Family::Log, loaded.log_files)?;
        let row = write_first(&header, &[]);
        engine.put(&mut set, Family::Log, &keys::log(seq, 0), &row);
        engine.write(set)?;
        drop(between);
        let fingerprint = header.content();
        let (keys, rows) = (loaded.keys, loaded.rows);
        let head = Head { place: Place { line, seq }, id, fingerprint, keys, rows };
        let merges = !(meta.further.is_empty() && meta.remembered.is_empty());
        let ready = Ready { head, merges, log_bytes: row.len() as u64 };
        publisher.done(&mut self.writer, ready);
        Ok(seq)
    }

    /// Sets the refs and makes everything visible, in one write; on disk when it returns.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] if a ref exists and may not be moved. The import is then taken back.
    pub(crate) fn finish(mut self, refs: ImportRefs) -> Result<()> {
        let publisher = self.publisher;
        let mut set = WriteSet::default();
        publisher.engine().delete(&mut set, Family::Meta, meta::IMPORT);
        publisher.put_rows(&mut set, &refs.rows);
        let places: Vec<Place> =
            refs.branches.iter().map(|(_, seq)| self.place(*seq)).collect::<Result<_>>()?;
        let mut taken = BTreeSet::new();
        let first_line = self.first_line;
        let mut plan = MovePlan::with_set(publisher, &mut self.writer, set);
        for ((name, _), place) in refs.branches.iter().zip(places) {
            let now = plan.refs().find_branch(name.as_str())?;
            if now.is_some() && !refs.replace {
                return Err(exists("branch", name.as_str()));
            }
            if let Some(now) = &now {
                let head = plan.graph().head(LineId::new(now.line))?.place;
                if head == place {
                    continue;
                }
                plan.pass_held(name, (head, place))?;
            }
            let newest = plan.graph().head(place.line)?.place == place;
            let line = if place.line >= first_line && newest && taken.insert(place.line) {
                place.line
            } else {
                plan.fork(place)?
            };
            let record = match now {
                Some(now) => BranchRecord { line: line.get(), ..(*now).clone() },
                None => BranchRecord {
                    line: line.get(),
                    parent: None,
                    created_seq: place.seq.get(),
                    created: plan.time,
                    description: String::new(),
                    creator: plan.author(None).to_owned(),
                },
            };
            plan.set_branch(name, Some(record))?;
        }
        for tag in &refs.tags {
            if !refs.replace && plan.refs().find_tag(tag.name.as_str())?.is_some() {
                return Err(exists("tag", tag.name.as_str()));
            }
            let record = TagRecord {
                at: plan.graph().place(tag.seq)?.into(),
                created: tag.created.map_or(plan.time, Timestamp::as_millis),
                description: tag.description.clone(),
                creator: tag.creator.clone(),
            };
            plan.set_tag(&tag.name, Some(record))?;
        }
        // Nothing of a large import is left for the next open to read.
        let indexed = plan.index()?;
        let author = refs.author.unwrap_or_else(|| publisher.settings.author.clone());
        let written = plan.write_since(OpKind::Do, &author, self.what.clone(), self.before)?;
        if indexed {
            publisher.graph.indexed();
        }
        self.ended = written.is_some();
        if self.ended {
            // The files were moved into the store; if the directory stays, the next open removes it.
            let _ = remove_leftovers(publisher.engine().path());
        }
        drop(self);
        written.map_or(Ok(()), |(_, write)| publisher.sync.wait(publisher.engine(), write))
    }

    /// Removes everything that the session has written.
    fn take_back(&mut self) -> Result<()> {
        let publisher = self.publisher;
        // First the files: on a full disk they make the room that the rest needs.
        remove_leftovers(publisher.engine().path())?;
        publisher.engine().check()?;
        recover(publisher.engine())?;
        publisher.graph.reload()?;
        publisher.refs.all_moved();
        self.writer.latest = self.before;
        // Numbers of lines are not given again: who has seen one of them may still be at work on it.
        self.writer.last_time = self.time_before;
        self.writer.last_op = publisher.refs.last_operation(self.before)?;
        Ok(())
    }
}

fn exists(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Exists, format!("{what} {name} exists already"))
        .with_hint("import under another name, or allow the import to replace refs")
}

impl Drop for ImportSession<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // If this fails too, the marker stays, and the next open removes what is left.
            let _ = self.take_back();
        }
    }
}
