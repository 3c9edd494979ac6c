//! What a merge must come to, from the rules alone: ancestors as sets, three values a key, whole maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use withy::{ConflictKind, Resolution, SettledBy, Strategy};

/// What is visible at a commit.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a key has at a commit.
pub(crate) type Cell = Option<Vec<u8>>;

/// A commit.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The first is the one that the changes are against.
    pub(crate) parents: Vec<usize>,
    /// What it merged without having it as a parent.
    pub(crate) remembered: Vec<usize>,
    pub(crate) content: Arc<Map>,
    /// Itself, and all that it has merged in any way.
    reaches: BTreeSet<usize>,
}

/// All commits, by sequence.
pub(crate) struct Dag {
    pub(crate) nodes: Vec<Node>,
}

/// What the merge bases have of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    One(Cell),
    /// They differ, and none of them gave way.
    Several(Vec<Cell>),
}

/// Who decides.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) strategy: Strategy,
    pub(crate) by_prefix: Vec<(Vec<u8>, Strategy)>,
    pub(crate) resolutions: BTreeMap<Vec<u8>, Resolution>,
    pub(crate) strict: bool,
}

/// A key on which the two sides disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dispute {
    pub(crate) key: Vec<u8>,
    pub(crate) kind: ConflictKind,
    pub(crate) bases: Vec<Cell>,
    pub(crate) ours: Cell,
    pub(crate) theirs: Cell,
}

/// What two sides come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreeWay {
    pub(crate) content: Map,
    /// Keys that are not as the target had them: before and after.
    pub(crate) changes: Vec<(Vec<u8>, Cell, Cell)>,
    pub(crate) auto_resolved: u64,
    pub(crate) settled: Vec<(Dispute, SettledBy, Cell)>,
    pub(crate) open: Vec<Dispute>,
    /// Keys whose resolution wants a base value that there is not.
    pub(crate) ambiguous: Vec<Vec<u8>>,
    /// Keys that only the target changed.
    pub(crate) only_ours: Vec<Vec<u8>>,
}

impl ThreeWay {
    /// All keys that were in dispute, settled or not.
    pub(crate) fn disputes(&self) -> Vec<Dispute> {
        let settled = self.settled.iter().map(|(dispute, _, _)| dispute);
        settled.chain(&self.open).cloned().collect()
    }
}

/// What a merge must come to.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    UpToDate { same: bool },
    FastForward,
    Diverged(ThreeWay),
}

impl Policy {
    pub(crate) fn strategy_for(&self, key: &[u8]) -> Strategy {
        let matching = self.by_prefix.iter().filter(|(prefix, _)| key.starts_with(prefix));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        longest.map_or(self.strategy, |(_, strategy)| *strategy)
    }
}

fn kind(bases: &[Cell], ours: &Cell, theirs: &Cell) -> ConflictKind {
    if ours.is_some() && theirs.is_none() {
        ConflictKind::DeleteModify
    } else if ours.is_none() && theirs.is_some() {
        ConflictKind::ModifyDelete
    } else if bases.iter().all(Option::is_none) {
        ConflictKind::AddAdd
    } else {
        ConflictKind::ModifyModify
    }
}

/// Three values for each key of three maps.
pub(crate) fn three_way(
    keys: &BTreeSet<Vec<u8>>,
    ours: &Map,
    theirs: &Map,
    policy: &Policy,
    mut base: impl FnMut(&[u8]) -> Base,
) -> ThreeWay {
    let mut out = ThreeWay::default();
    for key in keys {
        let (t, s) = (ours.get(key).cloned(), theirs.get(key).cloned());
        let base = base(key);
        let result = match &base {
            Base::One(b) if s == *b => {
                if t != *b {
                    out.only_ours.push(key.clone());
                }
                t.clone()
            }
            _ if s == t && !policy.strict => {
                out.auto_resolved += 1;
                t.clone()
            }
            Base::One(b) if t == *b => s,
            _ => settle(key, &base, (&t, &s), policy, &mut out),
        };
        if result != t {
            out.changes.push((key.clone(), t, result.clone()));
        }
        if let Some(value) = result {
            out.content.insert(key.clone(), value);
        }
    }
    out
}

fn settle(
    key: &[u8],
    base: &Base,
    (ours, theirs): (&Cell, &Cell),
    policy: &Policy,
    out: &mut ThreeWay,
) -> Cell {
    let bases = match base {
        Base::One(value) => vec![value.clone()],
        Base::Several(values) => values.clone(),
    };
    let (ours, theirs) = (ours.clone(), theirs.clone());
    let kind = kind(&bases, &ours, &theirs);
    let dispute = Dispute { key: key.to_vec(), kind, bases, ours, theirs };
    let (ours, theirs) = (dispute.ours.clone(), dispute.theirs.clone());
    let (by, result) = match policy.resolutions.get(key) {
        Some(resolution) => {
            let taken = resolution.name();
            let result = match (resolution, base) {
                (Resolution::Ours, _) => ours,
                (Resolution::Theirs, _) => theirs,
                (Resolution::Delete, _) => None,
                (Resolution::Value(value), _) => Some(value.clone()),
                (Resolution::Base, Base::One(value)) => value.clone(),
                (Resolution::Base, Base::Several(_)) => {
                    out.ambiguous.push(key.to_vec());
                    return ours;
                }
            };
            (SettledBy::Resolution { taken, by: "tester".to_owned() }, result)
        }
        None => match policy.strategy_for(key) {
            Strategy::Ours => (SettledBy::Strategy(Strategy::Ours), ours),
            Strategy::Theirs => (SettledBy::Strategy(Strategy::Theirs), theirs),
            Strategy::Manual | Strategy::FastForward => {
                out.open.push(dispute);
                return ours;
            }
        },
    };
    out.settled.push((dispute, by, result.clone()));
    result
}

impl Dag {
    pub(crate) fn new() -> Self {
        let mut dag = Self { nodes: Vec::new() };
        dag.add(Vec::new(), Vec::new(), Map::new());
        dag
    }

    /// Adds a commit; its sequence.
    pub(crate) fn add(
        &mut self,
        parents: Vec<usize>,
        remembered: Vec<usize>,
        content: Map,
    ) -> usize {
        let seq = self.nodes.len();
        let mut reaches = BTreeSet::from([seq]);
        for &below in parents.iter().chain(&remembered) {
            reaches.extend(&self.nodes[below].reaches);
        }
        self.nodes.push(Node { parents, remembered, content: Arc::new(content), reaches });
        seq
    }

    pub(crate) fn content(&self, at: usize) -> &Map {
        &self.nodes[at].content
    }

    pub(crate) fn cell(&self, at: usize, key: &[u8]) -> Cell {
        self.nodes[at].content.get(key).cloned()
    }

    pub(crate) fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[from].reaches.contains(&to)
    }

    /// A commit and its first parents, newest first.
    pub(crate) fn first_parents(&self, from: usize) -> Vec<usize> {
        let parent = |&at: &usize| self.nodes[at].parents.first().copied();
        std::iter::successors(Some(from), parent).collect()
    }

    /// The commit that gave a key what it has, or took it away; none if it never had anything.
    pub(crate) fn written_at(&self, at: usize, key: &[u8]) -> Option<usize> {
        let chain = self.first_parents(at);
        let changed = |pair: &&[usize]| self.cell(pair[0], key) != self.cell(pair[1], key);
        chain.windows(2).find(changed).map(|pair| pair[0])
    }

    /// What the merge of some commits, and one more, have in common, but for what others of these
    /// have below them; lowest first.
    pub(crate) fn bases(&self, merged: &[usize], one: usize) -> Vec<usize> {
        let reached: BTreeSet<usize> =
            merged.iter().flat_map(|&at| &self.nodes[at].reaches).copied().collect();
        let common: BTreeSet<usize> =
            reached.intersection(&self.nodes[one].reaches).copied().collect();
        let below: BTreeSet<usize> = common
            .iter()
            .flat_map(|&at| self.nodes[at].parents.iter().chain(&self.nodes[at].remembered))
            .copied()
            .collect();
        common.difference(&below).copied().collect()
    }

    /// Ruling 3: several bases are folded in order of sequence, each against what it has in common
    /// with those before it.
    fn base_of(&self, key: &[u8], set: &[usize], known: &mut BTreeMap<Vec<usize>, Base>) -> Base {
        if let Some(base) = known.get(set) {
            return base.clone();
        }
        let base = match set {
            [] => Base::One(None),
            [one] => Base::One(self.cell(*one, key)),
            [rest @ .., last] => {
                let next = self.cell(*last, key);
                match self.base_of(key, rest, known) {
                    Base::Several(mut values) => {
                        if !values.contains(&next) {
                            values.push(next);
                        }
                        Base::Several(values)
                    }
                    Base::One(before) if before == next => Base::One(next),
                    Base::One(before) => {
                        let below = self.bases(rest, *last);
                        match self.base_of(key, &below, known) {
                            Base::One(below) if below == before => Base::One(next),
                            Base::One(below) if below == next => Base::One(before),
                            _ => Base::Several(vec![before, next]),
                        }
                    }
                }
            }
        };
        known.insert(set.to_vec(), base.clone());
        base
    }

    /// The merge of a source into a target that have diverged.
    pub(crate) fn merged(&self, target: usize, source: usize, policy: &Policy) -> ThreeWay {
        let bases = self.bases(&[target], source);
        let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
        for &at in bases.iter().chain([&target, &source]) {
            keys.extend(self.content(at).keys().cloned());
        }
        three_way(&keys, self.content(target), self.content(source), policy, |key| {
            self.base_of(key, &bases, &mut BTreeMap::new())
        })
    }

    /// The merge of a source into a target.
    pub(crate) fn merge(
        &self,
        target: usize,
        source: usize,
        policy: &Policy,
        may_move: bool,
    ) -> Expected {
        if self.reaches(target, source) {
            Expected::UpToDate { same: target == source }
        } else if may_move && self.reaches(source, target) {
            Expected::FastForward
        } else {
            Expected::Diverged(self.merged(target, source, policy))
        }
    }

    /// The changes from one commit to another, on top of some content.
    pub(crate) fn applied(
        &self,
        onto: &Map,
        (from, to): (usize, usize),
        policy: &Policy,
        without: &BTreeSet<Vec<u8>>,
    ) -> ThreeWay {
        let mut keys: BTreeSet<Vec<u8>> = onto.keys().cloned().collect();
        keys.extend(self.content(from).keys().cloned());
        keys.extend(self.content(to).keys().cloned());
        three_way(&keys, onto, self.content(to), policy, |key| {
            Base::One(self.cell(if without.contains(key) { to } else { from }, key))
        })
    }
}
