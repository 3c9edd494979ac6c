//! The commits that several revs reach, newest first, each with whether it is asked for.

use std::collections::BTreeSet;

use withy::{Commit, KeyRange, Seq, Store, Timestamp};

use crate::fail::{Doing as _, Result};

/// Which commits are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) range: Option<KeyRange>,
    pub(crate) author: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) first_parent: bool,
}

/// A walk over the commit graph. A parent is always older than its child, so the newest commit that
/// is left has no child that is left.
pub(crate) struct Walk<'s> {
    store: &'s Store,
    left: BTreeSet<Seq>,
    filter: Filter,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(store: &'s Store, from: BTreeSet<Seq>, filter: Filter) -> Self {
        Self { store, left: from, filter }
    }

    /// The next commit, the parents to follow, and whether it is asked for.
    pub(crate) fn next(&mut self) -> Result<Option<(Commit, Vec<Seq>, bool)>> {
        let Some(seq) = self.left.pop_last() else { return Ok(None) };
        let commit =
            self.store.commit(&format!("seq:{seq}")).doing(|| format!("read seq:{seq}"))?;
        let followed = if self.filter.first_parent { 1 } else { usize::MAX };
        let parents: Vec<Seq> = commit.parents.iter().take(followed).map(|p| p.seq).collect();
        self.left.extend(&parents);
        let is_wanted = self.admits(&commit)?;
        Ok(Some((commit, parents, is_wanted)))
    }

    fn admits(&self, commit: &Commit) -> Result<bool> {
        let Filter { range, author, since, until, .. } = &self.filter;
        if author.as_ref().is_some_and(|name| !commit.author.contains(name.as_str()))
            || since.is_some_and(|since| commit.when() < since)
            || until.is_some_and(|until| commit.when() > until)
        {
            return Ok(false);
        }
        let Some(range) = range else { return Ok(true) };
        let doing = || format!("read the changes of seq:{}", commit.seq);
        let changes = self.store.changes(commit.seq).doing(doing)?;
        Ok(changes.iter().any(|change| range.contains(&change.key)))
    }
}
