//! The commits that several revs reach, newest first, each with whether it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use withy::{Commit, ErrorKind, KeyRange, Seq, Store, Timestamp};

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

/// Where a walk starts, and which commits it leaves out with all before them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) from: BTreeSet<Seq>,
    pub(crate) without: BTreeSet<Seq>,
}

/// A walk over the commit graph. A parent is always older than its child, so the newest commit that
/// is left has no child that is left. Where retention has let history go, a way ends.
pub(crate) struct Walk<'s> {
    store: &'s Store,
    /// Commits that are reached and not passed, and whether they are asked for.
    left: BTreeMap<Seq, bool>,
    /// How many of them are.
    wanted: usize,
    /// Those of them that were read.
    read: BTreeMap<Seq, Commit>,
    without: BTreeSet<Seq>,
    /// Whether a way of what is left out has ended too early to say what else is.
    is_cut: bool,
    filter: Filter,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(store: &'s Store, ends: Ends, filter: Filter) -> Self {
        let without = ends.without.clone();
        let (left, read) = (BTreeMap::new(), BTreeMap::new());
        let mut walk = Self { store, left, wanted: 0, read, without, is_cut: false, filter };
        ends.from.into_iter().for_each(|seq| walk.reach(seq, true));
        ends.without.into_iter().for_each(|seq| walk.reach(seq, false));
        walk
    }

    /// Reads a commit; false if it is no longer kept.
    fn read(&mut self, seq: Seq) -> Result<bool> {
        if self.read.contains_key(&seq) {
            return Ok(true);
        }
        match self.store.commit(&format!("seq:{seq}")) {
            Err(e) if e.kind() == ErrorKind::HistoryGone => Ok(false),
            found => {
                self.read.insert(seq, found.doing(|| format!("read commit seq:{seq}"))?);
                Ok(true)
            }
        }
    }

    /// Whether what is left out reaches a commit by a way that is no longer kept.
    fn is_left_out(&self, seq: Seq) -> Result<bool> {
        let (of, doing) = (|seq| format!("seq:{seq}"), || format!("look for seq:{seq}"));
        for end in self.without.iter().filter(|_| self.is_cut) {
            if self.store.is_ancestor(&of(seq), &of(*end)).doing(doing)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is left out by one way stays left out.
    fn reach(&mut self, seq: Seq, is_wanted: bool) {
        let before = self.left.get(&seq).copied();
        let after = before.unwrap_or(true) && is_wanted;
        self.left.insert(seq, after);
        self.wanted += usize::from(after);
        self.wanted -= usize::from(before == Some(true));
    }

    /// The next commit, the parents to follow, and whether it is asked for.
    pub(crate) fn next(&mut self) -> Result<Option<(Commit, Vec<Seq>, bool)>> {
        while self.wanted > 0 {
            let Some((seq, is_inside)) = self.left.pop_last() else { break };
            self.wanted -= usize::from(is_inside);
            if !self.read(seq)? {
                continue;
            }
            let Some(commit) = self.read.remove(&seq) else { continue };
            let is_inside = is_inside && !self.is_left_out(seq)?;
            // What is left out is so with everything before it, first parents or not.
            let followed = if self.filter.first_parent && is_inside { 1 } else { usize::MAX };
            let mut parents = Vec::new();
            for parent in commit.parents.iter().take(followed).map(|parent| parent.seq) {
                if self.read(parent)? {
                    self.reach(parent, is_inside);
                    parents.push(parent);
                } else {
                    self.is_cut |= !is_inside;
                }
            }
            if is_inside {
                let inside = parents.into_iter().filter(|parent| self.left[parent]).collect();
                let is_wanted = self.admits(&commit)?;
                return Ok(Some((commit, inside, is_wanted)));
            }
        }
        Ok(None)
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
