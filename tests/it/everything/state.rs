//! What the model knows besides commits and refs, and all of it at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use withy::{Setting, TagListOptions};

use super::kept::{ALL, Policy};
use crate::model::world::{Map, Names, Node, World};

/// What a store has besides commits and refs.
#[derive(Clone, Debug, Default)]
pub(crate) struct More {
    /// Commits of which something is gone: a bit for each key that is not shown any more.
    pub(crate) gone: BTreeMap<usize, u32>,
    /// Keys that were purged at some time.
    pub(crate) purged: BTreeSet<Vec<u8>>,
    /// Branches with an open merge, with the commits of both sides when it was opened.
    pub(crate) open: BTreeMap<String, (usize, usize)>,
    /// Commits that anything but the commit after them on their branch has led to.
    pub(crate) met: BTreeSet<usize>,
    /// Whether there was a collection, so that logs and histories may be shorter.
    pub(crate) collected: bool,
    /// Whether operations are gone, so that not all can be taken back.
    pub(crate) cut: bool,
    pub(crate) purges: usize,
    /// What is acknowledged, and whether somebody has the lease.
    pub(super) cursors: BTreeMap<String, (usize, bool)>,
    /// After which position all was there when the lease of a cursor was taken.
    pub(super) leased: BTreeMap<String, usize>,
    pub(super) policy: Policy,
    /// Entries of the operation log.
    pub(super) ops: usize,
    /// What each snapshot of the backup must be.
    pub(super) snapshots: BTreeMap<u64, Copied>,
    /// The states since this began to be a list, the first one among them.
    pub(super) passed: Option<Vec<Past>>,
    /// How many states there were.
    pub(super) marks: u64,
    /// Whether each state is told to who reads this process's output.
    pub(super) tells: bool,
}

impl More {
    /// Whether all that a commit shows is there.
    pub(crate) fn is_whole(&self, seq: usize) -> bool {
        !self.gone.contains_key(&seq)
    }

    /// Whether nothing of a commit is there.
    pub(crate) fn is_gone(&self, seq: usize) -> bool {
        self.gone.get(&seq) == Some(&ALL)
    }
}

/// The model at one moment.
#[derive(Clone, Debug)]
pub(super) struct Past {
    nodes: Vec<Node>,
    pub(super) names: Names,
    done: Vec<(Names, Names)>,
    undone: Vec<(Names, Names)>,
    newest_branch: String,
    pub(super) more: More,
}

/// What a copy of a store must show.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) names: Names,
    pub(super) contents: BTreeMap<String, Arc<Map>>,
    pub(super) latest: usize,
}

impl World {
    /// The model as it is.
    pub(super) fn save(&self) -> Past {
        Past {
            nodes: self.nodes.clone(),
            names: self.names.clone(),
            done: self.done.clone(),
            undone: self.undone.clone(),
            newest_branch: self.newest_branch.clone(),
            more: self.more.clone(),
        }
    }

    /// The model as it was.
    pub(super) fn load_past(&mut self, past: Past) {
        let (passed, tells) = (self.more.passed.take(), self.more.tells);
        self.nodes = past.nodes;
        self.names = past.names;
        self.done = past.done;
        self.undone = past.undone;
        self.newest_branch = past.newest_branch;
        self.more = More { passed, tells, ..past.more };
    }

    /// Refs have moved, in one operation.
    pub(crate) fn moved(&mut self) {
        self.more.ops += 1;
        self.meet();
        self.mark();
    }

    /// The store has come to another state, by one write.
    pub(super) fn mark(&mut self) {
        self.more.marks += 1;
        if let Some(mut passed) = self.more.passed.take() {
            passed.push(self.save());
            self.more.passed = Some(passed);
        }
        if self.more.tells {
            crate::support::process::say(&format!("{}\n", self.more.marks));
        }
    }

    /// Remembers what refs lead to now that is not just the commit after the last one.
    fn meet(&mut self) {
        let Some((before, after)) = self.done.last() else { return };
        let mut met: Vec<usize> = after.tags.values().copied().collect();
        for (name, &seq) in &after.branches {
            let old = before.branches.get(name).copied();
            let node = &self.nodes[seq];
            let follows = |old: usize| node.parents.first() == Some(&old) && node.branch == *name;
            if old.is_none_or(|old| old != seq && !follows(old)) {
                met.extend(old.into_iter().chain([seq]));
                met.extend(node.parents.first());
            }
        }
        self.more.met.extend(met);
    }

    /// Whether a branch or a tag is at a commit.
    pub(crate) fn is_named(&self, seq: usize) -> bool {
        self.names.branches.values().chain(self.names.tags.values()).any(|&at| at == seq)
    }

    /// What a copy that is made now must show.
    pub(super) fn copied(&self) -> Copied {
        let content =
            |(name, &seq): (&String, &usize)| (name.clone(), self.nodes[seq].content.clone());
        let contents = self.names.branches.iter().map(content).collect();
        Copied { names: self.names.clone(), contents, latest: self.newest() }
    }

    /// Where the store is not as the model was at a moment; content apart.
    pub(super) fn differs(&self, past: &Past, collects: bool) -> Option<String> {
        let store = &self.store;
        let mut found = Vec::new();
        let mut hold = |what: &str, is: String, was: String| {
            if is != was {
                found.push(format!("{what}: {is} is not {was}"));
            }
        };
        let branches: BTreeMap<String, usize> = store
            .branches()
            .expect("branches")
            .into_iter()
            .map(|info| (info.name.to_string(), info.head.get() as usize))
            .collect();
        hold("branches", format!("{branches:?}"), format!("{:?}", past.names.branches));
        let tags: BTreeMap<String, usize> = store
            .tags(TagListOptions::default())
            .expect("tags")
            .into_iter()
            .map(|info| (info.name.to_string(), info.seq.get() as usize))
            .collect();
        hold("tags", format!("{tags:?}"), format!("{:?}", past.names.tags));
        hold("active", store.active().expect("one").to_string(), past.names.active.clone());
        hold("newest", store.latest().to_string(), (past.nodes.len() - 1).to_string());
        let ops = store.ops(usize::MAX).expect("operations").len();
        if !collects {
            hold("operations", ops.to_string(), past.more.ops.to_string());
        }
        let open: Vec<String> =
            store.open_merges().expect("merges").iter().map(|one| one.target.to_string()).collect();
        hold(
            "merges",
            format!("{open:?}"),
            format!("{:?}", past.more.open.keys().collect::<Vec<_>>()),
        );
        let cursors: BTreeMap<String, (usize, bool)> = store
            .cursors()
            .expect("cursors")
            .into_iter()
            .map(|info| (info.name, (info.acked.get() as usize, info.until.is_some())))
            .collect();
        hold("cursors", format!("{cursors:?}"), format!("{:?}", past.more.cursors));
        let purges = store.purges().expect("records").len();
        hold("purges", purges.to_string(), past.more.purges.to_string());
        for (setting, value) in past.more.policy.settings() {
            let is = store.config(setting).expect("a setting");
            hold(Setting::name(setting), format!("{is:?}"), format!("{value:?}"));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}
