//! The commit graph, looked at in the most simple way.

use std::collections::BTreeSet;

use super::world::Node;

/// A commit and its first parents, newest first.
pub(crate) fn first_parents(nodes: &[Node], from: usize) -> Vec<usize> {
    let mut out = vec![from];
    let mut at = from;
    while let Some(&parent) = nodes[at].parents.first() {
        out.push(parent);
        at = parent;
    }
    out
}

/// A commit and all its ancestors.
pub(crate) fn ancestors(nodes: &[Node], from: usize) -> BTreeSet<usize> {
    let mut out = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        if out.insert(at) {
            next.extend(&nodes[at].parents);
        }
    }
    out
}

/// The common ancestors that are no ancestors of other common ones, newest first.
pub(crate) fn merge_bases(nodes: &[Node], first: usize, second: usize) -> Vec<usize> {
    let common: BTreeSet<usize> =
        ancestors(nodes, first).intersection(&ancestors(nodes, second)).copied().collect();
    // An ancestor of a common one is common too, so each that is below another is a parent of one.
    let below: BTreeSet<usize> = common.iter().flat_map(|&at| nodes[at].parents.clone()).collect();
    let mut out: Vec<usize> = common.difference(&below).copied().collect();
    out.reverse();
    out
}

/// The keys that a commit changed, against any of its parents, which only one of the two reaches.
pub(crate) fn touched(nodes: &[Node], first: usize, second: usize) -> BTreeSet<Vec<u8>> {
    let (first, second) = (ancestors(nodes, first), ancestors(nodes, second));
    let mut out = BTreeSet::new();
    for &at in first.symmetric_difference(&second) {
        let now = &nodes[at].counted;
        for then in nodes[at].parents.iter().map(|&parent| &nodes[parent].counted) {
            let differs = |key: &&Vec<u8>| now.get(*key) != then.get(*key);
            out.extend(now.keys().chain(then.keys()).filter(differs).cloned());
        }
    }
    out
}
