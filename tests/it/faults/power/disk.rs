//! A disk as it may be found after the power went off.
//!
//! What a file holds is sure up to the last sync of it that had ended; of what was written since, any part
//! may be there: all, none, a beginning, single writes, sectors of 512 or 4096 bytes, or zeros where the
//! file has become longer. Names are kept as by a file system with an ordered journal: the changes of names reach the disk
//! in order, and those up to the last sync of their directory are sure. A sync of a file says nothing of
//! its name. That is less than ext4, XFS and btrfs promise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Op;

/// A change of what a file holds.
#[derive(Clone, Debug)]
enum Edit {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Extend(u64),
}

/// What a name stands for: a file by number, or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(usize),
    Dir,
}

#[derive(Clone, Debug)]
enum NameEdit {
    Set(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameEdit {
    fn is_in(&self, dir: &Path) -> bool {
        let inside = |path: &Path| path.parent() == Some(dir);
        match self {
            Self::Set(path, _) | Self::Remove(path) => inside(path),
            Self::Rename(from, to) => inside(from) || inside(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Set(path, entry) => drop(names.insert(path.clone(), *entry)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                let below: Vec<PathBuf> =
                    names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in below {
                    if let (Some(entry), Ok(rest)) = (names.remove(&path), path.strip_prefix(from))
                    {
                        let target =
                            if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                        names.insert(target, entry);
                    }
                }
            }
        }
    }
}

/// What a file holds for sure, and what was done to it since.
#[derive(Debug, Default)]
struct Content {
    sure: Vec<u8>,
    edits: Vec<Edit>,
    /// How many edits were dropped from the front, because they are sure.
    gone: usize,
}

/// A sync that goes on: of which file or directory, and up to where it reaches.
#[derive(Debug)]
enum Syncing {
    File(usize, usize),
    Dir(PathBuf, usize),
}

/// The disk while the trace is replayed.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: Vec<Content>,
    /// Names as the process sees them.
    names: BTreeMap<PathBuf, Entry>,
    sure_names: BTreeMap<PathBuf, Entry>,
    name_edits: Vec<NameEdit>,
    names_gone: usize,
    open: BTreeMap<u64, (PathBuf, Entry)>,
    syncing: Vec<(u64, Syncing)>,
    /// What the process has said so far.
    pub(super) said: Vec<u8>,
    /// Whether it is a disk that lies: syncs of the write-ahead log do nothing.
    pub(super) lies: bool,
}

impl Disk {
    /// Goes on by one step of the trace.
    pub(super) fn step(&mut self, op: &Op) {
        match op {
            Op::Open { fd, path, created, emptied, dir } => {
                self.opened(*fd, path, *created, *emptied, *dir);
            }
            Op::Close(fd) => drop(self.open.remove(fd)),
            Op::Write { fd, at, bytes } => self.edit(*fd, Edit::Write(*at, bytes.clone())),
            Op::SetLen(fd, len) => self.edit(*fd, Edit::SetLen(*len)),
            Op::Extend(fd, len) => self.edit(*fd, Edit::Extend(*len)),
            Op::SyncBegins(fd) => self.sync_begins(*fd),
            Op::SyncEnds(fd) => self.sync_ends(*fd),
            Op::Rename(from, to) => self.name(NameEdit::Rename(from.clone(), to.clone())),
            Op::Link(from, to) => {
                if let Some(entry) = self.names.get(from).copied() {
                    self.name(NameEdit::Set(to.clone(), entry));
                }
            }
            Op::Remove(path) => self.name(NameEdit::Remove(path.clone())),
            Op::MakeDir(path) => self.name(NameEdit::Set(path.clone(), Entry::Dir)),
            Op::Said(bytes) => self.said.extend_from_slice(bytes),
        }
    }

    fn name(&mut self, edit: NameEdit) {
        edit.apply(&mut self.names);
        self.name_edits.push(edit);
    }

    fn opened(&mut self, fd: u64, path: &Path, created: bool, emptied: bool, dir: bool) {
        let entry = match self.names.get(path).copied() {
            Some(entry) => entry,
            None if dir => Entry::Dir,
            None => {
                assert!(created, "{} is known", path.display());
                self.files.push(Content::default());
                let entry = Entry::File(self.files.len() - 1);
                self.name(NameEdit::Set(path.to_owned(), entry));
                entry
            }
        };
        self.open.insert(fd, (path.to_owned(), entry));
        if emptied && !created {
            self.edit(fd, Edit::SetLen(0));
        }
    }

    fn edit(&mut self, fd: u64, edit: Edit) {
        if let Some((_, Entry::File(file))) = self.open.get(&fd) {
            self.files[*file].edits.push(edit);
        }
    }

    fn sync_begins(&mut self, fd: u64) {
        let Some((path, entry)) = self.open.get(&fd) else { return };
        let syncing = match entry {
            Entry::File(file) => {
                let content = &self.files[*file];
                Syncing::File(*file, content.gone + content.edits.len())
            }
            Entry::Dir => Syncing::Dir(path.clone(), self.names_gone + self.name_edits.len()),
        };
        self.syncing.push((fd, syncing));
    }

    fn sync_ends(&mut self, fd: u64) {
        // Of two at a time on one file the older is taken: it promises less.
        let Some(at) = self.syncing.iter().position(|(of, _)| *of == fd) else { return };
        let is_log = |(path, _): &(PathBuf, Entry)| path.extension().is_some_and(|e| e == "log");
        if self.lies && self.open.get(&fd).is_some_and(is_log) {
            return;
        }
        match self.syncing.remove(at).1 {
            Syncing::File(file, upto) => {
                let content = &mut self.files[file];
                let count = upto.saturating_sub(content.gone);
                for edit in content.edits.drain(..count) {
                    apply(&mut content.sure, &edit);
                }
                content.gone += count;
            }
            Syncing::Dir(dir, upto) => {
                let count = upto.saturating_sub(self.names_gone);
                let last = self.name_edits[..count].iter().rposition(|edit| edit.is_in(&dir));
                let count = last.map_or(0, |last| last + 1);
                for edit in self.name_edits.drain(..count) {
                    edit.apply(&mut self.sure_names);
                }
                self.names_gone += count;
            }
        }
    }

    /// Makes files as they may be found if the power goes off now: what was below `from`, below `to`.
    pub(super) fn cut(&self, random: &mut fastrand::Rng, from: &Path, to: &Path) {
        let mut names = self.sure_names.clone();
        let kept = random.usize(0..=self.name_edits.len());
        for edit in &self.name_edits[..kept] {
            edit.apply(&mut names);
        }
        fs::create_dir_all(to).expect("a directory is made");
        // In order, so that a directory comes before what is in it.
        for (path, entry) in &names {
            let Ok(inside) = path.strip_prefix(from) else { continue };
            let target = to.join(inside);
            if !target.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match entry {
                Entry::Dir => fs::create_dir_all(&target).expect("a directory is made"),
                Entry::File(file) => {
                    let bytes = self.files[*file].found(random);
                    fs::write(&target, bytes).expect("a file is written");
                }
            }
        }
    }
}

impl Content {
    /// What may be found in the file.
    fn found(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut out = self.sure.clone();
        match random.u32(0..4) {
            // All of it had been written, as by chance, or none.
            0 => self.edits.iter().for_each(|edit| apply(&mut out, edit)),
            1 => {}
            // The beginning, and a part of the next write.
            2 => {
                let kept = random.usize(0..=self.edits.len());
                self.edits[..kept].iter().for_each(|edit| apply(&mut out, edit));
                if let Some(Edit::Write(at, bytes)) = self.edits.get(kept) {
                    tear(random, &mut out, *at, bytes);
                }
            }
            // Any of it.
            _ => {
                for edit in &self.edits {
                    match edit {
                        Edit::Write(at, bytes) => match random.u32(0..4) {
                            0 => apply(&mut out, edit),
                            1 => tear(random, &mut out, *at, bytes),
                            2 => zero(&mut out, self.sure.len() as u64, *at, bytes.len() as u64),
                            _ => {}
                        },
                        Edit::SetLen(_) | Edit::Extend(_) => {
                            if random.bool() {
                                apply(&mut out, edit);
                            }
                        }
                    }
                }
            }
        }
        out
    }
}

/// Space that the file was given for a write, and nothing in it. What was there before is not lost by that.
fn zero(out: &mut Vec<u8>, sure: u64, at: u64, len: u64) {
    let from = at.max(sure);
    if let Some(len) = (at + len).checked_sub(from) {
        let len = usize::try_from(len).expect("a write is small");
        apply(out, &Edit::Write(from, vec![0; len]));
    }
}

/// Writes some of the sectors that a write touches.
fn tear(random: &mut fastrand::Rng, out: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let sector = if random.bool() { 512 } else { 4096 };
    let beginning = random.bool();
    let mut done = 0;
    while done < bytes.len() {
        let place = at + done as u64;
        let room = usize::try_from(sector - place % sector).expect("a sector is small");
        let end = bytes.len().min(done + room);
        if random.bool() {
            apply(out, &Edit::Write(place, bytes[done..end].to_vec()));
        } else if beginning {
            return;
        }
        done = end;
    }
}

fn apply(out: &mut Vec<u8>, edit: &Edit) {
    let len = |len: u64| usize::try_from(len).expect("files are small");
    match edit {
        Edit::Write(at, bytes) => {
            let (from, to) = (len(*at), len(*at) + bytes.len());
            if out.len() < to {
                out.resize(to, 0);
            }
            out[from..to].copy_from_slice(bytes);
        }
        Edit::SetLen(to) => out.resize(len(*to), 0),
        Edit::Extend(to) => out.resize(out.len().max(len(*to)), 0),
    }
}
