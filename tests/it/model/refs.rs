//! Moves of refs: branches, tags, undo and redo.

use withy::{BranchOptions, DeleteOptions, Error, ErrorKind, TagOptions};

use super::graph::ancestors;
use super::world::{Names, World};
use crate::support::must_fail;

const BRANCHES: [&str; 9] = ["b0", "b1", "b2", "b3", "b4", "x", "x/y", "x/y/z", "a-b.c"];
const TAGS: [&str; 5] = ["v0", "v1", "v.2", "b0", "x"];

impl World {
    /// A name that a branch may have; in a deep history mostly a new one.
    pub(crate) fn any_name(&mut self) -> String {
        if self.shape.deep && self.rng.u8(0..3) > 0 {
            return format!("d{}", self.rng.u32(0..40));
        }
        BRANCHES[self.rng.usize(0..BRANCHES.len())].to_owned()
    }

    pub(crate) fn create_branch(&mut self) {
        let name = self.any_name();
        let (mut rev, mut at) = self.any_rev();
        if self.shape.deep && self.rng.u8(0..4) > 0 {
            rev = self.any_branch();
            at = self.names.branches[&rev];
        }
        self.note(format!("branch {name} at {rev} ({at})"));
        let made = self.store.create_branch(&name, &rev, BranchOptions::default());
        if self.names.branches.contains_key(&name) {
            must_fail(made.map(|_| ()), ErrorKind::Exists);
            return;
        }
        made.unwrap_or_else(|e| panic!("branch {name} at {rev}: {e:?}"));
        let info = self.store.branch_info(&name).expect("it is there");
        assert_eq!(info.created_seq.get(), at as u64, "BR-4: a branch knows where it began");
        let mut names = self.names.clone();
        names.branches.insert(name.clone(), at);
        self.newest_branch = name;
        self.did(names);
        let future = format!("seq:{}", self.newest() + 1);
        let absent = self.store.create_branch("future", &future, BranchOptions::default());
        must_fail(absent.map(|_| ()), ErrorKind::NotFound);
    }

    pub(crate) fn delete_branch(&mut self) {
        let name = if self.rng.u8(0..6) == 0 { self.any_name() } else { self.any_branch() };
        let force = self.rng.u8(0..3) > 0;
        self.note(format!("delete branch {name}, force {force}"));
        let gone = self.store.delete_branch(&name, DeleteOptions::default().force(force));
        let Some(&head) = self.names.branches.get(&name) else {
            must_fail(gone, ErrorKind::NotFound);
            return;
        };
        let merged = ancestors(&self.nodes, self.names.branches["main"]).contains(&head);
        let open = self.more.open.contains_key(&name);
        let kept = name == "main" || name == self.names.active;
        if kept || !(force || (merged && !open)) {
            must_fail(gone, ErrorKind::Invalid);
            return;
        }
        gone.unwrap_or_else(|e| panic!("delete branch {name}: {e:?}"));
        self.more.open.remove(&name);
        let mut names = self.names.clone();
        names.branches.remove(&name);
        self.did(names);
    }

    pub(crate) fn rename_branch(&mut self) {
        let (name, to) = (self.any_branch(), self.any_name());
        if self.more.open.contains_key(&name) {
            return;
        }
        self.note(format!("rename branch {name} to {to}"));
        let renamed = self.store.rename_branch(&name, &to);
        if name == "main" {
            must_fail(renamed, ErrorKind::Invalid);
        } else if name == to {
            renamed.expect("nothing to do");
        } else if self.names.branches.contains_key(&to) {
            must_fail(renamed, ErrorKind::Exists);
        } else {
            renamed.unwrap_or_else(|e| panic!("rename {name} to {to}: {e:?}"));
            let mut names = self.names.clone();
            let head = names.branches.remove(&name).expect("it was there");
            names.branches.insert(to.clone(), head);
            if names.active == name {
                names.active = to;
            }
            self.did(names);
        }
    }

    pub(crate) fn switch(&mut self) {
        let name = self.any_branch();
        self.note(format!("switch to {name}"));
        self.store.switch(&name).expect("a switch");
        if self.names.active != name {
            let mut names = self.names.clone();
            names.active = name;
            self.did(names);
        }
    }

    pub(crate) fn reset(&mut self) {
        let name = self.any_branch();
        let (rev, at) = self.any_rev();
        self.note(format!("reset {name} to {rev} ({at})"));
        self.store.reset(&name, &rev).unwrap_or_else(|e| panic!("reset {name} {rev}: {e:?}"));
        if self.names.branches[&name] != at {
            let mut names = self.names.clone();
            names.branches.insert(name, at);
            self.did(names);
        }
    }

    pub(crate) fn create_tag(&mut self) {
        let name = TAGS[self.rng.usize(0..TAGS.len())];
        let (rev, at) = self.any_rev();
        let force = self.rng.u8(0..3) == 0;
        self.note(format!("tag {name} at {rev} ({at}), force {force}"));
        let made = self.store.create_tag(name, &rev, TagOptions::default().force(force));
        if !force && self.names.tags.contains_key(name) {
            must_fail(made, ErrorKind::Exists);
            return;
        }
        let info = made.unwrap_or_else(|e| panic!("tag {name} at {rev}: {e:?}"));
        assert_eq!(info.seq.get(), at as u64, "TAG-1: a tag names the commit of its rev");
        let mut names = self.names.clone();
        names.tags.insert(name.to_owned(), at);
        self.did(names);
    }

    pub(crate) fn delete_tag(&mut self) {
        let name = TAGS[self.rng.usize(0..TAGS.len())];
        self.note(format!("delete tag {name}"));
        let gone = self.store.delete_tag(name);
        if !self.names.tags.contains_key(name) {
            must_fail(gone, ErrorKind::NotFound);
            return;
        }
        gone.expect("it is deleted");
        let mut names = self.names.clone();
        names.tags.remove(name);
        self.did(names);
    }

    pub(crate) fn undo(&mut self) {
        self.note("undo");
        let undone = self.store.undo().map(|_| ());
        let Some((before, after)) = self.done.pop() else {
            must_fail(undone, ErrorKind::NotFound);
            return;
        };
        if self.is_forgotten(&undone) {
            return self.done.clear();
        }
        assert_eq!(self.names, after, "the model undoes what was done last");
        if self.goes_to(&before, undone, "undo") {
            self.more.met.extend(before.branches.values());
            self.undone.push((before, after));
            self.moved();
        } else {
            self.done.push((before, after));
        }
    }

    pub(crate) fn redo(&mut self) {
        self.note("redo");
        let redone = self.store.redo().map(|_| ());
        let Some((before, after)) = self.undone.pop() else {
            must_fail(redone, ErrorKind::NotFound);
            return;
        };
        if self.is_forgotten(&redone) {
            return self.undone.clear();
        }
        if self.goes_to(&after, redone, "redo") {
            self.more.met.extend(after.branches.values());
            self.done.push((before, after));
            self.moved();
        } else {
            self.undone.push((before, after));
        }
    }

    /// Whether the operation log does not go back to an operation any more.
    fn is_forgotten(&self, done: &Result<(), Error>) -> bool {
        self.more.cut && matches!(done, Err(e) if e.kind() == ErrorKind::NotFound)
    }

    /// Whether refs went to where they were; they must, unless a commit there is gone or a merge is open.
    fn goes_to(&mut self, to: &Names, done: Result<(), Error>, what: &str) -> bool {
        let removed = |name: &&String| !to.branches.contains_key(*name);
        let is_open = self.more.open.keys().any(|name| removed(&name));
        let moved = |(name, seq): &(&String, &usize)| self.names.branches.get(*name) != Some(*seq);
        let there: Vec<usize> = to.branches.iter().filter(moved).map(|(_, &seq)| seq).collect();
        let tags = to.tags.iter().filter(|(name, seq)| self.names.tags.get(*name) != Some(*seq));
        let there = || there.iter().copied().chain(tags.clone().map(|(_, &seq)| seq));
        match done {
            Ok(()) => {
                assert!(!is_open, "{what}: a branch with an open merge stays");
                let gone = there().find(|&seq| self.more.is_gone(seq));
                assert_eq!(gone, None, "{what}: what is gone does not come back");
                self.names = to.clone();
                true
            }
            Err(e) if is_open => {
                assert_eq!(e.kind(), ErrorKind::Invalid, "{what}: a merge is open: {e:?}");
                false
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::HistoryGone, "{what}: only if it is gone: {e:?}");
                assert!(!there().all(|seq| self.more.is_whole(seq)), "{what}: all is there: {e:?}");
                false
            }
        }
    }
}
