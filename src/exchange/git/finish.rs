//! The end of an import: which refs it sets, and whether it may.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::import::{Importer, Meaning};
use super::names::Kind;
use super::options::GitImported;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::name::{BranchName, TagName};
use crate::publish::{ImportRefs, ImportedTag};

impl Importer<'_, '_> {
    /// Sets the refs and ends the import; everything becomes visible at once.
    pub(super) fn finish(mut self) -> Result<GitImported> {
        let (mut branches, mut tags) = (BTreeMap::new(), BTreeMap::new());
        for (reference, at) in std::mem::take(&mut self.refs) {
            let Some(at) = at else { continue };
            self.done.notes.names += u64::from(self.names().changes(&reference));
            match self.names().kind(&reference)? {
                Kind::Branch(name) => {
                    unique(branches.insert(name.clone(), at).is_none(), "branch", name.as_str())?;
                }
                Kind::Tag(name) => {
                    unique(
                        tags.insert(name.clone(), bare(name.clone(), at)).is_none(),
                        "tag",
                        name.as_str(),
                    )?;
                }
                Kind::Other => self.done.notes.refs += 1,
            }
        }
        // An annotated tag may have been the ref of commits too.
        tags.extend(std::mem::take(&mut self.tags));
        if branches.is_empty() && tags.is_empty() && self.done.commits > 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the stream has commits and no branch or tag",
            )
            .with_hint("export with `git fast-export --all`"));
        }
        self.check_moves(&branches, &tags)?;
        self.write_marks()?;
        self.done.branches = branches.len() as u64;
        self.done.tags = tags.len() as u64;
        self.session.finish(ImportRefs {
            branches: branches.into_iter().collect(),
            tags: tags.into_values().collect(),
            // What may be moved has just been checked, under the session's lock.
            replace: true,
            ..ImportRefs::default()
        })?;
        Ok(self.done)
    }

    /// Refuses to move what exists, other than branches forward.
    fn check_moves(
        &self,
        branches: &BTreeMap<BranchName, Seq>,
        tags: &BTreeMap<TagName, ImportedTag>,
    ) -> Result<()> {
        if self.options.replace {
            return Ok(());
        }
        let present = |known: Result<Seq>| match known {
            Ok(seq) => Ok(Some(seq)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        };
        for (name, &new) in branches {
            let old = present(self.store.branch_info(name.as_str()).map(|info| info.head))?;
            if old.is_some_and(|old| !self.contains(new, old)) {
                let text = format!("branch {name} exists, and the stream does not go on from it");
                return Err(Error::new(ErrorKind::Exists, text)
                    .with_hint("import under a prefix, or allow branches to be replaced"));
            }
        }
        for (name, tag) in tags {
            let old = present(self.store.tag(name.as_str()).map(|info| info.seq))?;
            if old.is_some_and(|old| old != tag.seq) {
                return Err(Error::new(ErrorKind::Exists, format!("tag {name} exists"))
                    .with_hint("delete it, or allow tags to be replaced"));
            }
        }
        Ok(())
    }

    /// Whether `old` is `new` or comes before it.
    fn contains(&self, new: Seq, old: Seq) -> bool {
        if old == Seq::ROOT {
            return true;
        }
        let mut open = BTreeSet::from([new]);
        while let Some(seq) = open.pop_last() {
            if seq <= old {
                return seq == old;
            }
            open.extend(self.parents.get(&seq).into_iter().flatten());
        }
        false
    }

    fn write_marks(&mut self) -> Result<()> {
        let Some(output) = &mut self.options.marks else { return Ok(()) };
        let failed = |e| {
            Error::new(ErrorKind::Io, "cannot write the marks, nothing was imported").because(e)
        };
        for (mark, meaning) in self.marks.iter() {
            if let Meaning::Commit(seq) = meaning {
                let id = self.session.view(seq)?.commit().id;
                writeln!(output.0, ":{mark} {id} {seq}").map_err(failed)?;
            }
        }
        output.0.flush().map_err(failed)
    }
}

fn unique(is_new: bool, what: &str, name: &str) -> Result<()> {
    if is_new {
        return Ok(());
    }
    let text = format!("two refs of the stream would become {what} {name}");
    Err(Error::new(ErrorKind::Invalid, text).with_hint("rename one of them in git"))
}

/// A tag that says nothing of itself.
fn bare(name: TagName, seq: Seq) -> ImportedTag {
    ImportedTag { name, seq, description: String::new(), creator: String::new(), created: None }
}
