//! Commits, branches and tags of a store become a `git fast-export` stream.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::output_failed;
use super::marks::Marks;
use super::options::{GitExportOptions, GitExported};
use super::seen::{Seen, folders};
use super::text::{DateFormat, Person, is_key_path, person};
use super::write::{CommitParts, StreamWriter};
use crate::clock::{Timestamp, ZonedTime};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Commit;
use crate::id::{CommitId, Seq, ValueHash};
use crate::kv::{ChangeKind, Direction, KeyRange, show_key};
use crate::refs::{TagInfo, TagListOptions};
use crate::store::Store;
use crate::view::{Read, View};

/// So many different contents are remembered, so that each is written once.
const MAX_KNOWN: usize = 1_000_000;

/// Writes branches and tags with their whole histories as a `git fast-export` stream.
///
/// Commits come in order of sequence, each once, with parents, author, committer, times and message
/// as they were imported, or with the store's own time. Keys become paths with mode 100644. The root
/// of the store, which is empty, is left out. Tags with a description become annotated tags. Commits that
/// are no longer kept whole are left out too: a commit whose first parent is one of them is written with
/// all its keys, and starts a history of its own. Purged values are left out.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) for a branch or tag that is not there;
/// [`Invalid`](ErrorKind::Invalid) for a key that git cannot have as a path, such as `a//b` or `a`
/// beside `a/b`; [`Io`](ErrorKind::Io) if the output refuses bytes, or the progress callback broke
/// off. The stream promises an end, so one that was broken off is not taken for a whole one.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path().join("a"))?;
/// use withy::{BranchOptions, Store, exchange::{export_git, import_git}};
/// store.main()?.put("pear", "green")?;
/// store.create_branch("topic", "main", BranchOptions::default())?;
/// store.branch("topic")?.put("plum", "blue")?;
/// let mut stream = Vec::new();
/// export_git(&store, &mut stream, Default::default())?;
///
/// let copy = Store::open(dir.path().join("b"))?;
/// import_git(&copy, &stream[..], Default::default())?;
/// assert_eq!(copy.view("topic")?.fingerprint(), store.view("topic")?.fingerprint());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_git(
    store: &Store,
    output: impl Write,
    options: GitExportOptions<'_>,
) -> Result<GitExported> {
    let refs = Refs::choose(store, &options)?;
    let order = refs.order(store)?;
    let writer = StreamWriter::new(output).map_err(output_failed)?;
    let mut exporter = Exporter {
        store,
        options,
        writer,
        next: 1,
        commits: Marks::new(),
        contents: BTreeMap::new(),
        seen: Seen::default(),
        done: GitExported::default(),
    };
    exporter.options.meter.tell(0, 0)?;
    for (seq, label) in order {
        exporter.commit(seq, &refs.names[label])?;
        exporter.options.meter.step(exporter.done.commits, exporter.writer.bytes())?;
    }
    exporter.refs(&refs)?;
    exporter.finish()
}

/// The branches and tags to export.
struct Refs {
    branches: Vec<(String, Seq)>,
    tags: Vec<TagInfo>,
    /// Full names of all of them, branches first: labels for commits.
    names: Vec<String>,
}

impl Refs {
    fn choose(store: &Store, options: &GitExportOptions<'_>) -> Result<Self> {
        let everything = options.branches.is_none() && options.tags.is_none();
        let branches = if everything {
            store.branches()?
        } else {
            let chosen = options.branches.iter().flatten();
            chosen.map(|name| store.branch_info(name)).collect::<Result<_>>()?
        };
        let tags = if everything {
            store.tags(TagListOptions::default())?
        } else {
            options.tags.iter().flatten().map(|name| store.tag(name)).collect::<Result<_>>()?
        };
        let branches: Vec<_> = branches.into_iter().map(|b| (b.name.to_string(), b.head)).collect();
        let heads = branches.iter().map(|(name, _)| format!("refs/heads/{name}"));
        let names = heads.chain(tags.iter().map(|tag| format!("refs/tags/{}", tag.name))).collect();
        Ok(Self { branches, tags, names })
    }

    /// Every commit that is reachable, oldest first, with the index of a name that reaches it.
    fn order(&self, store: &Store) -> Result<Vec<(Seq, usize)>> {
        let heads = self.branches.iter().map(|(_, head)| *head);
        let heads = heads.chain(self.tags.iter().map(|tag| tag.seq)).enumerate();
        let mut open = BTreeMap::new();
        for (label, seq) in heads {
            open.entry(seq).or_insert(label);
        }
        let mut order = Vec::new();
        // Parents have lower sequences: each commit is met once, after all that reach it.
        while let Some((seq, label)) = open.pop_last() {
            if seq == Seq::ROOT {
                continue;
            }
            let Some(parents) = parents(store, seq)? else { continue };
            order.push((seq, label));
            for parent in parents {
                open.entry(parent).or_insert(label);
            }
        }
        order.reverse();
        Ok(order)
    }
}

/// The parents of a commit; none if anything of the commit is no longer kept.
fn parents(store: &Store, seq: Seq) -> Result<Option<Vec<Seq>>> {
    let read = || -> Result<Vec<Seq>> {
        let view = store.view(&format!("seq:{seq}"))?;
        view.check_whole()?;
        Ok(view.commit().parents.iter().map(|parent| parent.seq).collect())
    };
    match read() {
        Err(e) if e.kind() == ErrorKind::HistoryGone => Ok(None),
        found => found.map(Some),
    }
}

struct Exporter<'s, 'o, W> {
    store: &'s Store,
    options: GitExportOptions<'o>,
    writer: StreamWriter<W>,
    /// The next free mark.
    next: u64,
    /// Sequence of each commit that was written, and its mark and id.
    commits: Marks<(u64, CommitId)>,
    contents: BTreeMap<ValueHash, u64>,
    seen: Seen,
    done: GitExported,
}

impl<W: Write> Exporter<'_, '_, W> {
    fn commit(&mut self, seq: Seq, reference: &str) -> Result<()> {
        let view = self.store.view(&format!("seq:{seq}"))?;
        let commit = view.commit().clone();
        let (mut gone, mut set) = (Vec::new(), Vec::new());
        let parent = commit.parents.first().map_or(Seq::ROOT, |parent| parent.seq);
        if parent == Seq::ROOT || self.commits.get(parent.get()).is_some() {
            for change in self.store.changes(seq)? {
                check_path(&change.key)?;
                match (change.kind, change.after) {
                    (ChangeKind::Deleted, _) | (_, None) => gone.push(change.key),
                    (kind, Some(hash)) => {
                        let is_new = kind == ChangeKind::Added;
                        let mark = self.file(&view, &change.key, (hash, is_new))?;
                        set.extend(mark.map(|mark| (mark, change.key)));
                    }
                }
            }
        } else {
            for row in view.scan(&KeyRange::all(), Direction::Forward)? {
                let (key, value) = row?;
                check_path(&key)?;
                let mark = self.file(&view, &key, (ValueHash::of(&value), true))?;
                set.extend(mark.map(|mark| (mark, key)));
            }
            self.done.cut += 1;
        }
        let mark = self.mark();
        self.commits.set(seq.get(), (mark, commit.id));
        self.head(&commit, mark, reference)
            .and_then(|()| {
                // Deletions first: the name of a file may become that of a folder.
                gone.iter().try_for_each(|path| self.writer.delete(path))?;
                set.iter().try_for_each(|(mark, path)| self.writer.modify(*mark, path))?;
                self.writer.end()
            })
            .map_err(output_failed)?;
        self.done.commits += 1;
        Ok(())
    }

    /// The mark of a key's content; none if it was purged.
    fn file(
        &mut self,
        view: &View,
        key: &[u8],
        (hash, is_new): (ValueHash, bool),
    ) -> Result<Option<u64>> {
        // Every tree is built up from nothing here, so no name is missed.
        if is_new && self.seen.add(key) {
            check_folders(view, key)?;
        }
        self.content(view, key, hash)
    }

    /// The mark of a content, which is written first if it is new.
    fn content(&mut self, view: &View, key: &[u8], hash: ValueHash) -> Result<Option<u64>> {
        // Another key may have the same content, and not be purged.
        if view.graph().purged().covers(key) && !view.contains(key)? {
            return Ok(None);
        }
        if let Some(mark) = self.contents.get(&hash) {
            return Ok(Some(*mark));
        }
        let Some(content) = view.get(key)? else {
            let text = format!("{} has no value where its commit set one", show_key(key));
            return Err(Error::new(ErrorKind::Corrupt, text));
        };
        let mark = self.mark();
        self.writer.blob(mark, &content).map_err(output_failed)?;
        // A commit may have many.
        self.options.meter.step(self.done.commits, self.writer.bytes())?;
        self.done.contents += 1;
        if self.contents.len() < MAX_KNOWN {
            self.contents.insert(hash, mark);
        }
        Ok(Some(mark))
    }

    fn head(&mut self, commit: &Commit, mark: u64, reference: &str) -> io::Result<()> {
        let of = |parent: Seq| self.commits.get(parent.get()).map(|(mark, _)| mark);
        let (first, others) = match commit.parents.split_first() {
            Some((first, others)) => (of(first.seq), others),
            None => (None, &[][..]),
        };
        let merges: Vec<u64> = others.iter().filter_map(|parent| of(parent.seq)).collect();
        let own = zoned(commit.time);
        let (authored, committer, committed) = match &commit.origin {
            Some(origin) => (origin.authored, origin.committer.as_str(), origin.committed),
            None => (own, commit.author.as_str(), own),
        };
        if first.is_none() {
            // Else the commit before it on that name would become its parent.
            self.writer.clear(reference)?;
        }
        self.writer.commit(&CommitParts {
            reference,
            mark,
            author: &Person { name: git_name(&commit.author), when: authored },
            committer: &Person { name: git_name(committer), when: committed },
            message: commit.message.as_bytes(),
            from: first,
            merges: &merges,
        })
    }

    fn refs(&mut self, refs: &Refs) -> Result<()> {
        for (name, head) in &refs.branches {
            let Some((mark, _)) = self.commits.get(head.get()) else {
                self.done.left_out += 1;
                continue;
            };
            self.writer.reset(&format!("refs/heads/{name}"), mark).map_err(output_failed)?;
            self.done.branches += 1;
        }
        for tag in &refs.tags {
            let Some((mark, _)) = self.commits.get(tag.seq.get()) else {
                self.done.left_out += 1;
                continue;
            };
            if tag.description.is_empty() {
                self.writer.reset(&format!("refs/tags/{}", tag.name), mark)
            } else {
                let tagger = Person { name: git_name(&tag.creator), when: zoned(tag.created) };
                self.writer.tag(tag.name.as_str(), mark, &tagger, tag.description.as_bytes())
            }
            .map_err(output_failed)?;
            self.done.tags += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<GitExported> {
        if let Some(output) = &mut self.options.marks {
            let mut marks: Vec<_> =
                self.commits.iter().map(|(seq, (mark, id))| (mark, id, seq)).collect();
            marks.sort_unstable_by_key(|(mark, ..)| *mark);
            let failed = |e| Error::new(ErrorKind::Io, "cannot write the marks").because(e);
            for (mark, id, seq) in marks {
                writeln!(output.0, ":{mark} {id} {seq}").map_err(failed)?;
            }
            output.0.flush().map_err(failed)?;
        }
        self.done.bytes = self.writer.finish().map_err(output_failed)?;
        self.options.meter.tell(self.done.commits, self.done.bytes)?;
        Ok(self.done)
    }

    fn mark(&mut self) -> u64 {
        let mark = self.next;
        self.next += 1;
        mark
    }
}

fn zoned(time: Timestamp) -> ZonedTime {
    ZonedTime { seconds: time.as_millis().div_euclid(1_000), offset_minutes: 0 }
}

/// A name as git wants it: `Name <mail>`, with an empty mail where there is none.
fn git_name(name: &str) -> Vec<u8> {
    let whole = format!("{name} 0 +0000");
    if !name.contains(['\n', '\0']) && person(whole.as_bytes(), DateFormat::Raw).is_ok() {
        return name.into();
    }
    let plain: String = name.chars().filter(|c| !matches!(c, '<' | '>' | '\n' | '\0')).collect();
    if plain.is_empty() { b"<>".to_vec() } else { format!("{plain} <>").into() }
}

/// Refuses a key that git cannot have as a path.
fn check_path(key: &[u8]) -> Result<()> {
    let special = |part: &[u8]| matches!(part, b"." | b"..") || part.eq_ignore_ascii_case(b".git");
    let fault = if key.contains(&0) {
        "it has a zero byte"
    } else if !is_key_path(key) {
        "it has an empty component"
    } else if key.split(|&b| b == b'/').any(special) {
        "a component is `.`, `..` or `.git`"
    } else {
        return Ok(());
    };
    Err(no_path(key, fault))
}

/// Refuses a key that is the folder of another, or below another: git has files or folders.
fn check_folders(view: &View, key: &[u8]) -> Result<()> {
    for folder in folders(key) {
        if view.contains(folder)? {
            return Err(no_path(key, &format!("there is also {}", show_key(folder))));
        }
    }
    match view.prefix(&[key, b"/"].concat())?.next().transpose()? {
        Some((below, _)) => Err(no_path(key, &format!("there is also {}", show_key(&below)))),
        None => Ok(()),
    }
}

fn no_path(key: &[u8], fault: &str) -> Error {
    let text = format!("key {} cannot be a path in git: {fault}", show_key(key));
    Error::new(ErrorKind::Invalid, text).with_hint("export the rows as JSON Lines instead")
}
