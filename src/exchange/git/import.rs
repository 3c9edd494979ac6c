//! A `git fast-export` stream becomes commits, branches and tags of a store.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::super::spool::Spool;
use super::super::{input_failed, line_error, spool_failed};
use super::event::{Change, CommitHead, Content, Event, Mode, TagHead};
use super::marks::Marks;
use super::names::{Kind, Names};
use super::options::{GitImportOptions, GitImported};
use super::seen::Seen;
use super::stage::{Changes, Place, Stage};
use super::stream::{Fault, StreamReader, shown};
use super::text::{self, Person};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Origin;
use crate::id::Seq;
use crate::name::TagName;
use crate::publish::{ImportSession, ImportedTag, NewCommit};
use crate::store::Store;

/// File contents up to this size in total need no temporary file.
const SPOOL_BUFFER: usize = 8 << 20;

/// Imports a `git fast-export` stream: commits with their parents, merges too, as they are, authors,
/// committers, times, messages, branches and tags. Paths become keys, contents values.
///
/// A commit of git without parents gets the store's root as its parent. An annotated tag keeps its
/// message and tagger as description and creator. Names and messages stay byte for byte, the line
/// feed at the end included, so a later [`export_git`](super::export_git) gives the same commits.
/// What cannot be kept is counted in [`GitImported::notes`]: modes other than 100644, submodules,
/// notes, signatures, refs that are neither branches nor tags. `from` may name a mark, a branch or
/// tag of the stream, an original id of the stream, or a branch that the store has already.
///
/// All or nothing: until the end nothing is visible, and nobody else can write. Contents are kept in
/// a temporary file in the store's directory, not in memory; a single commit's changes are in memory.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for a line that breaks the rules of the stream, or a name those of
/// branches or tags, with its number and the reason; [`Exists`](ErrorKind::Exists) if a branch would
/// be moved other than forward, or a tag at all, without [`GitImportOptions::replace`];
/// [`ReadOnly`](ErrorKind::ReadOnly) if the store is; [`Io`](ErrorKind::Io) if the progress callback
/// broke off, or a file could not be read or written. After an error the store is as it was before.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{Read, exchange::{GitImportOptions, import_git}};
/// let stream = b"blob
/// mark :1
/// data 5
/// green
/// commit refs/heads/main
/// mark :2
/// committer Ann <ann@example.org> 1479340800 +0100
/// data 6
/// Plant
/// M 100644 :1 pear
/// ";
/// let mut marks = Vec::new();
/// let done = import_git(&store, &stream[..], GitImportOptions::default().marks(&mut marks))?;
/// assert_eq!((done.commits, done.branches), (1, 1));
/// assert_eq!(store.main()?.get(b"pear")?, Some(b"green".to_vec()));
/// let commit = store.commit("main")?;
/// assert_eq!(String::from_utf8(marks)?, format!(":2 {} 1\n", commit.id));
///
/// let bad = import_git(&store, &b"commit refs/heads/main\nnonsense\n"[..], Default::default());
/// assert_eq!(bad.unwrap_err().to_string(), "line 2: the commit has no committer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import_git(
    store: &Store,
    input: impl BufRead,
    options: GitImportOptions<'_>,
) -> Result<GitImported> {
    let session = store.import("import git stream")?;
    let mut importer = Importer {
        store,
        session,
        options,
        spool: Spool::new(store.path(), SPOOL_BUFFER),
        seen: Seen::default(),
        marks: Marks::new(),
        originals: BTreeMap::new(),
        refs: BTreeMap::new(),
        tags: BTreeMap::new(),
        parents: BTreeMap::new(),
        done: GitImported::default(),
    };
    let mut reader = StreamReader::new(input);
    while let Some(event) = importer.next(&mut reader)? {
        importer.event(event, &mut reader)?;
        importer.options.meter.step(importer.done.commits, reader.bytes())?;
    }
    importer.done.bytes = reader.bytes();
    importer.options.meter.tell(importer.done.commits, reader.bytes())?;
    importer.finish()
}

/// What a mark stands for.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Commit(Seq),
    /// Where in the spool, and how long.
    Content(u64, u64),
}

/// An import being read.
pub(super) struct Importer<'s, 'o> {
    pub(super) store: &'s Store,
    pub(super) session: ImportSession<'s>,
    pub(super) options: GitImportOptions<'o>,
    spool: Spool,
    seen: Seen,
    pub(super) marks: Marks<Meaning>,
    originals: BTreeMap<Vec<u8>, Seq>,
    /// Where each ref of the stream is now; `None` once it was reset to nothing.
    pub(super) refs: BTreeMap<Vec<u8>, Option<Seq>>,
    pub(super) tags: BTreeMap<TagName, ImportedTag>,
    pub(super) parents: BTreeMap<Seq, Vec<Seq>>,
    pub(super) done: GitImported,
}

impl Importer<'_, '_> {
    fn next(&mut self, reader: &mut StreamReader<impl BufRead>) -> Result<Option<Event>> {
        reader.next(&mut self.spool).map_err(fault)
    }

    fn event(&mut self, event: Event, reader: &mut StreamReader<impl BufRead>) -> Result<()> {
        let line = reader.event_line();
        match event {
            Event::Blob { mark, len } => {
                self.done.contents += 1;
                if let Some(mark) = mark {
                    self.marks.set(mark, Meaning::Content(self.spool.len() - len, len));
                }
            }
            Event::Commit(head) => self.commit(*head, reader)?,
            Event::Reset { reference, from } => {
                self.kind(&reference, line)?;
                let at = match from {
                    Some(from) => self.resolve(&from, line)?,
                    None => None,
                };
                self.refs.insert(reference, at);
            }
            Event::Tag(tag) => self.tag(*tag, line)?,
            Event::Alias { mark, to } => {
                if let Some(seq) = self.resolve(&to, line)? {
                    self.marks.set(mark, Meaning::Commit(seq));
                }
            }
            Event::Change(_) | Event::CommitEnd => {
                unreachable!("the parts of a commit are read right after it begins")
            }
        }
        Ok(())
    }

    fn commit(&mut self, head: CommitHead, reader: &mut StreamReader<impl BufRead>) -> Result<()> {
        let line = reader.event_line();
        let branch = match self.kind(&head.reference, line)? {
            Kind::Branch(name) => name.to_string(),
            Kind::Tag(_) | Kind::Other => String::from_utf8_lossy(&head.reference).into_owned(),
        };
        let first = match &head.from {
            Some(from) => self.resolve(from, line)?,
            None => self.refs.get(&head.reference).copied().flatten(),
        };
        let mut parents = vec![first.unwrap_or(Seq::ROOT)];
        for other in &head.merges {
            let other = self.resolve(other, line)?;
            // A parent that is named twice counts once.
            parents.extend(other.filter(|seq| !parents.contains(seq)));
        }
        let changes = self.changes(parents[0], reader)?;
        self.done.merges += u64::from(parents.len() > 1);
        self.done.notes.signatures += u64::from(head.signed);
        let committer = self.person(&head.committer);
        let author = head.author.as_ref().map_or_else(|| committer.clone(), |a| self.person(a));
        let authored = head.author.as_ref().unwrap_or(&head.committer).when;
        let message = self.message(head.message, head.encoding.as_deref());
        let origin = Origin { authored, committer, committed: head.committer.when };
        let seq = self.session.commit(NewCommit {
            parents: parents.clone(),
            changes,
            branch,
            author,
            message,
            origin: Some(origin),
            ..NewCommit::default()
        });
        let seq = seq.map_err(|e| match e.kind() {
            ErrorKind::Limit => Error::new(ErrorKind::Limit, format!("line {line}: {e}")),
            _ => e,
        })?;
        self.parents.insert(seq, parents);
        self.refs.insert(head.reference, Some(seq));
        if let Some(mark) = head.mark {
            self.marks.set(mark, Meaning::Commit(seq));
        }
        if let Some(original) = head.original {
            self.originals.insert(original, seq);
        }
        self.done.commits += 1;
        Ok(())
    }

    /// Reads the changes of a commit.
    fn changes(&mut self, parent: Seq, reader: &mut StreamReader<impl BufRead>) -> Result<Changes> {
        if parent != Seq::ROOT && !self.parents.contains_key(&parent) {
            self.seen.give_up();
        }
        let mut stage: Option<Stage> = None;
        while let Some(Event::Change(change)) = self.next(reader)? {
            let stage = match &mut stage {
                Some(stage) => stage,
                none => {
                    let view = (parent != Seq::ROOT).then(|| self.session.view(parent));
                    none.insert(Stage::new(view.transpose()?, std::mem::take(&mut self.seen)))
                }
            };
            let missing = |path: &[u8]| {
                line_error(reader.event_line(), &format!("nothing is at {}", shown(path)))
            };
            match change {
                Change::Modify { mode, content, path } => {
                    self.modify(stage, mode, &content, path, reader.event_line())?;
                }
                Change::Delete(path) => stage.remove(&path)?,
                Change::Copy { from, to } if !stage.copy(&from, &to)? => {
                    return Err(missing(&from));
                }
                Change::Rename { from, to } if !stage.rename(&from, &to)? => {
                    return Err(missing(&from));
                }
                Change::Copy { .. } | Change::Rename { .. } => {}
                Change::DeleteAll => stage.clear(),
                Change::Note => self.done.notes.commit_notes += 1,
            }
        }
        let Some(stage) = stage else { return Ok(BTreeMap::new()) };
        let (changes, seen) = stage.finish(&mut self.spool)?;
        self.seen = seen;
        Ok(changes)
    }

    fn modify(
        &mut self,
        stage: &mut Stage,
        mode: Mode,
        content: &Content,
        path: Vec<u8>,
        line: u64,
    ) -> Result<()> {
        match mode {
            Mode::File => {}
            Mode::Executable | Mode::Symlink => self.done.notes.modes += 1,
            Mode::Gitlink => {
                self.done.notes.submodules += 1;
                // A submodule takes the place of what was there.
                return stage.remove(&path);
            }
        }
        let (at, len) = match content {
            Content::Inline(len) => {
                self.done.contents += 1;
                (self.spool.len() - len, *len)
            }
            Content::Mark(mark) => match self.marks.get(*mark) {
                Some(Meaning::Content(at, len)) => (at, len),
                Some(Meaning::Commit(_)) => {
                    return Err(line_error(
                        line,
                        &format!("mark :{mark} is a commit, not a content"),
                    ));
                }
                None => return Err(line_error(line, &format!("mark :{mark} is not known"))),
            },
            Content::Object(id) => {
                let why = format!("the content of object {} is not in the stream", shown(id));
                return Err(line_error(line, &why)
                    .with_hint("export without `--no-data`, and with all objects"));
            }
        };
        stage.set(path, Place::Spool(at, len))
    }

    fn tag(&mut self, tag: TagHead, line: u64) -> Result<()> {
        let reference = [b"refs/tags/", tag.name.as_slice()].concat();
        let Kind::Tag(name) = self.kind(&reference, line)? else { return Ok(()) };
        if let Some(Meaning::Content(..)) = text::mark(&tag.from).and_then(|m| self.marks.get(m)) {
            self.done.notes.refs += 1;
            return Ok(());
        }
        let Some(seq) = self.resolve(&tag.from, line)? else {
            return Err(line_error(line, &format!("tag {name} is of nothing")));
        };
        if let Some(mark) = tag.mark {
            self.marks.set(mark, Meaning::Commit(seq));
        }
        let creator = tag.tagger.as_ref().map_or_else(String::new, |tagger| self.person(tagger));
        let millis =
            |tagger: &Person| Timestamp::from_millis(tagger.when.seconds.saturating_mul(1_000));
        let created = tag.tagger.as_ref().map(millis);
        let description = self.message(tag.message, None);
        let set = ImportedTag { name: name.clone(), seq, description, creator, created };
        self.tags.insert(name, set);
        Ok(())
    }

    /// The commit that `from`, `merge` or `to` names; `None` for git's all-zero id.
    fn resolve(&self, name: &[u8], line: u64) -> Result<Option<Seq>> {
        if name.starts_with(b":") {
            return match text::mark(name).and_then(|mark| self.marks.get(mark)) {
                Some(Meaning::Commit(seq)) => Ok(Some(seq)),
                Some(Meaning::Content(..)) => Err(line_error(
                    line,
                    &format!("mark {} is a content, not a commit", shown(name)),
                )),
                None => Err(line_error(line, &format!("mark {} is not known", shown(name)))),
            };
        }
        if name.len() >= 40 && name.iter().all(|&b| b == b'0') {
            return Ok(None);
        }
        let plain = name.strip_suffix(b"^0").unwrap_or(name);
        if let Some(Some(seq)) = self.refs.get(plain) {
            return Ok(Some(*seq));
        }
        if let Some(seq) = self.originals.get(plain) {
            return Ok(Some(*seq));
        }
        if let Ok(Kind::Branch(branch)) = self.names().kind(plain) {
            match self.store.branch_info(branch.as_str()) {
                Ok(info) => return Ok(Some(info.head)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Err(line_error(
            line,
            &format!("{} is not a commit of the stream or the store", shown(name)),
        ))
    }

    /// What a ref of the stream is here; an error if its name breaks the rules.
    fn kind(&self, reference: &[u8], line: u64) -> Result<Kind> {
        self.names().kind(reference).map_err(|e| {
            let text = format!("line {line}: {e}");
            Error::new(e.kind(), text).with_hint("let the import fix names, or rename it in git")
        })
    }

    pub(super) fn names(&self) -> Names<'_> {
        Names { prefix: &self.options.prefix, fix: self.options.fix_names }
    }

    fn person(&mut self, person: &Person) -> String {
        let name = self.utf8(person.name.clone());
        // Authors without a mail, such as withy's own, are written with an empty one.
        match name.strip_suffix(" <>") {
            Some(plain) if !plain.is_empty() => plain.into(),
            _ => name,
        }
    }

    fn message(&mut self, message: Vec<u8>, encoding: Option<&[u8]>) -> String {
        let latin = encoding.is_some_and(|name| {
            [&b"ISO-8859-1"[..], b"ISO8859-1", b"latin1", b"latin-1"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        });
        if latin {
            self.done.notes.texts += u64::from(!message.is_ascii());
            return message.into_iter().map(char::from).collect();
        }
        self.utf8(message)
    }

    fn utf8(&mut self, text: Vec<u8>) -> String {
        String::from_utf8(text).unwrap_or_else(|e| {
            self.done.notes.texts += 1;
            String::from_utf8_lossy(e.as_bytes()).into_owned()
        })
    }
}

fn fault(fault: Fault) -> Error {
    match fault {
        Fault::Input { line, source } => input_failed(line, source),
        Fault::Sink(source) => spool_failed(source),
        Fault::Syntax { line, reason } => line_error(line, &reason),
    }
}
