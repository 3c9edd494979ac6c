//! Claims by path, so that what stands in the way of one is found without looking at the others.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::{LockKind, LockPath};

/// What a lock is or would be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) path: LockPath,
    pub(super) kind: LockKind,
}

/// Claims, each with a number and its owner.
pub(super) struct Tree {
    nodes: BTreeMap<Arc<str>, Node>,
    /// How many claims of one path and kind are looked at.
    enough: usize,
}

/// The claims on one path: owners by number.
#[derive(Default)]
struct Node {
    points: BTreeMap<u64, u64>,
    subtrees: BTreeMap<u64, u64>,
}

impl Node {
    fn of(&mut self, kind: LockKind) -> &mut BTreeMap<u64, u64> {
        match kind {
            LockKind::Point => &mut self.points,
            LockKind::Subtree => &mut self.subtrees,
        }
    }

    fn all(&self, enough: usize) -> impl Iterator<Item = (&u64, &u64)> {
        self.points.iter().take(enough).chain(self.subtrees.iter().take(enough))
    }
}

impl Tree {
    /// For locks that are held. All on one path have the same owner, so one of each kind is enough.
    pub(super) fn of_locks() -> Self {
        Self { nodes: BTreeMap::new(), enough: 1 }
    }

    /// For requests that wait.
    pub(super) fn of_requests() -> Self {
        Self { nodes: BTreeMap::new(), enough: usize::MAX }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn insert(&mut self, claim: &Claim, number: u64, owner: u64) {
        self.nodes.entry(claim.path.shared()).or_default().of(claim.kind).insert(number, owner);
    }

    pub(super) fn remove(&mut self, claim: &Claim, number: u64) {
        let Some(node) = self.nodes.get_mut(claim.path.text()) else { return };
        node.of(claim.kind).remove(&number);
        if node.points.is_empty() && node.subtrees.is_empty() {
            self.nodes.remove(claim.path.text());
        }
    }

    /// Shows number and owner of each claim that cannot be held together with this one by another
    /// owner: those on its path, subtrees above it, and, if it is a subtree, all below it.
    ///
    /// Cost: a look-up for each component, and what is shown.
    pub(super) fn against<B>(
        &self,
        claim: &Claim,
        mut see: impl FnMut(u64, u64) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for above in claim.path.above() {
            let Some(node) = self.nodes.get(above) else { continue };
            node.subtrees
                .iter()
                .take(self.enough)
                .try_for_each(|(&number, &owner)| see(number, owner))?;
        }
        let text = claim.path.text();
        match claim.kind {
            LockKind::Point => {
                let Some(node) = self.nodes.get(text) else { return ControlFlow::Continue(()) };
                node.all(self.enough).try_for_each(|(&number, &owner)| see(number, owner))
            }
            LockKind::Subtree => self
                .nodes
                .range::<str, _>((Bound::Included(text), Bound::Unbounded))
                .take_while(|(path, _)| path.starts_with(text))
                .flat_map(|(_, node)| node.all(self.enough))
                .try_for_each(|(&number, &owner)| see(number, owner)),
        }
    }
}
