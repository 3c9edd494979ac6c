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

use super::file::{Content, Edit, Found};
use super::trace::Op;

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
            self.files[*file].edit(edit);
        }
    }

    fn sync_begins(&mut self, fd: u64) {
        let Some((path, entry)) = self.open.get(&fd) else { return };
        let syncing = match entry {
            Entry::File(file) => Syncing::File(*file, self.files[*file].edited()),
            Entry::Dir => Syncing::Dir(path.clone(), self.names_gone + self.name_edits.len()),
        };
        self.syncing.push((fd, syncing));
    }

    fn sync_ends(&mut self, fd: u64) {
        // Of two at a time on one file the older is taken: it promises less.
        let Some(at) = self.syncing.iter().position(|(of, _)| *of == fd) else { return };
        let (_, syncing) = self.syncing.remove(at);
        let is_log = |(path, _): &(PathBuf, Entry)| path.extension().is_some_and(|e| e == "log");
        if self.lies && self.open.get(&fd).is_some_and(is_log) {
            return;
        }
        match syncing {
            Syncing::File(file, upto) => self.files[file].synced(upto),
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
    pub(super) fn cut(&self, random: &mut fastrand::Rng, from: &Path, to: &Path) -> Holes {
        let mut names = self.sure_names.clone();
        let kept = random.usize(0..=self.name_edits.len());
        for edit in &self.name_edits[..kept] {
            edit.apply(&mut names);
        }
        let mut found = BTreeMap::new();
        let mut holes = Holes::default();
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
                    // A file of two names holds the same under both.
                    let found: &Found =
                        found.entry(*file).or_insert_with(|| self.files[*file].found(random));
                    fs::write(&target, &found.bytes).expect("a file is written");
                    holes.note(inside, found);
                }
            }
        }
        holes
    }

    /// What the process has said so far, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Names and bytes below a directory are those of another disk: where that was read after the end
    /// of the process, the trace has missed nothing.
    pub(super) fn must_be(&self, other: &Self, dir: &Path) {
        let below = |disk: &Self| -> BTreeMap<PathBuf, Option<Vec<u8>>> {
            let names = disk.names.iter().filter(|(path, _)| path.starts_with(dir));
            let bytes = |entry: &Entry| match entry {
                Entry::File(file) => Some(disk.files[*file].seen()),
                Entry::Dir => None,
            };
            names.map(|(path, entry)| (path.clone(), bytes(entry))).collect()
        };
        let (traced, there) = (below(self), below(other));
        let (names, found) = (traced.keys(), there.keys());
        assert!(names.clone().eq(found.clone()), "all names: {names:?}, {found:?}");
        for (path, bytes) in &there {
            assert!(traced[path] == *bytes, "{} is as it was traced", path.display());
        }
    }

    /// Takes in what is below a directory, all of it on disk.
    pub(super) fn take(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).expect("the directory is read") {
            let path = entry.expect("an entry").path();
            let entry = match path.is_dir() {
                true => {
                    self.take(&path);
                    Entry::Dir
                }
                false => {
                    self.files.push(Content::sure(fs::read(&path).expect("a file is read")));
                    Entry::File(self.files.len() - 1)
                }
            };
            self.names.insert(path.clone(), entry);
            self.sure_names.insert(path, entry);
        }
    }
}

/// Where the store of a cut has lost something, and has something that was written later.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// In a manifest.
    pub(super) manifest: bool,
    /// Between two logs, of which the older one is short.
    pub(super) logs: bool,
    short_log: bool,
}

impl Holes {
    /// Files come in the order of their names.
    fn note(&mut self, path: &Path, found: &Found) {
        if path.parent() != Some(Path::new("store")) {
            return;
        }
        let name = path.file_name().expect("a name").to_string_lossy();
        self.manifest |= name.starts_with("MANIFEST-") && found.has_hole;
        if name.ends_with(".log") {
            self.logs |= self.short_log && found.holds_any;
            self.short_log |= found.is_short;
        }
    }
}
