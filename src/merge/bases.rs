//! Values at merge bases. Where several best common ancestors disagree on a key, they are merged for
//! that key alone, as they would have been: against their own common ancestors, and so on.
//!
//! Bases are folded in order of sequence, whichever side asks, so the result is the same in both
//! directions. (The idea is git's recursive merge, at the grain of a key.)

use std::collections::BTreeMap;
use std::sync::Arc;

use super::driver::DriverInput;
use super::policy::Policy;
use crate::error::Result;
use crate::graph::{Graph, Place};
use crate::id::{Seq, ValueHash};
use crate::publish::After;
use crate::view::{Found, Read, View, find};

/// A value, by its hash, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) hash: Option<ValueHash>,
    pub(super) from: From,
}

#[derive(Clone, Debug)]
pub(super) enum From {
    View(Place),
    /// Merged from several bases, or written by a step before.
    Made(Option<Arc<[u8]>>),
}

impl Value {
    pub(super) fn at(hash: Option<ValueHash>, place: Place) -> Self {
        Self { hash, from: From::View(place) }
    }

    /// What a key becomes that is given this value.
    pub(super) fn to_after(&self) -> After {
        match (&self.from, self.hash) {
            (_, None) | (From::Made(None), _) => After::Deleted,
            (From::View(place), Some(hash)) => After::Stored { hash, place: *place },
            (From::Made(Some(value)), Some(hash)) => {
                After::Made { hash, value: Box::from(&value[..]) }
            }
        }
    }
}

/// What the bases of a merge have of a key.
#[derive(Clone, Debug)]
pub(super) enum Base {
    Known(Value),
    /// Several values that differ, and nothing to merge them by.
    Disputed(Vec<Value>),
}

impl Base {
    pub(super) fn values(&self) -> &[Value] {
        match self {
            Self::Known(value) => std::slice::from_ref(value),
            Self::Disputed(values) => values,
        }
    }
}

/// Views of commits, made once each.
pub(super) struct Views<'g> {
    graph: &'g Arc<Graph>,
    known: BTreeMap<Place, View>,
}

impl<'g> Views<'g> {
    pub(super) fn new(graph: &'g Arc<Graph>) -> Self {
        Self { graph, known: BTreeMap::new() }
    }

    pub(super) fn view(&mut self, place: Place) -> Result<&View> {
        use std::collections::btree_map::Entry;
        Ok(match self.known.entry(place) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(View::new(self.graph, place)?),
        })
    }

    /// The bytes of a value.
    pub(super) fn bytes(&mut self, key: &[u8], value: &Value) -> Result<Option<Vec<u8>>> {
        match (&value.from, value.hash) {
            (_, None) => Ok(None),
            (From::View(place), Some(_)) => self.view(*place)?.get(key),
            (From::Made(made), Some(_)) => Ok(made.as_deref().map(<[u8]>::to_vec)),
        }
    }

    /// The commit that gave a key its value, or deleted it.
    pub(super) fn written_at(&mut self, key: &[u8], value: &Value) -> Result<Option<Seq>> {
        let graph = self.graph;
        let From::View(place) = value.from else { return Ok(None) };
        let view = self.view(place)?;
        let found: Option<Found<'_>> = find(view.engine(), view.layers(), key)?;
        found.map(|found| found.written_at(graph)).transpose()
    }
}

/// Folds several bases into one value a key.
pub(super) struct Folder<'g> {
    graph: &'g Graph,
    policy: &'g Policy,
    /// Best common ancestors of pairs, each found once.
    pairs: BTreeMap<(Place, Place), Vec<Place>>,
}

impl<'g> Folder<'g> {
    pub(super) fn new(graph: &'g Graph, policy: &'g Policy) -> Self {
        Self { graph, policy, pairs: BTreeMap::new() }
    }

    /// What these commits, which are sorted by sequence, come to for a key.
    pub(super) fn fold(
        &mut self,
        views: &mut Views<'_>,
        key: &[u8],
        set: &[Place],
    ) -> Result<Base> {
        // An explicit stack: histories may criss-cross as often as they like.
        let mut known: BTreeMap<Vec<Place>, Base> = BTreeMap::new();
        let mut open = vec![set.to_vec()];
        while let Some(top) = open.last() {
            if known.contains_key(top) {
                open.pop();
                continue;
            }
            let folded = match top.as_slice() {
                [] => Base::Known(Value { hash: None, from: From::Made(None) }),
                [one] => Base::Known(value_at(views, key, *one)?),
                [rest @ .., last] => {
                    let Some(before) = known.get(rest) else {
                        let rest = rest.to_vec();
                        open.push(rest);
                        continue;
                    };
                    let next = value_at(views, key, *last)?;
                    if let Base::Known(before) = before
                        && before.hash == next.hash
                        && !self.policy.adds_up(key)
                    {
                        Base::Known(before.clone())
                    } else {
                        let below = self.common(rest, *last)?;
                        let Some(base) = known.get(&below) else {
                            open.push(below);
                            continue;
                        };
                        self.join(views, key, base, before, next)?
                    }
                }
            };
            let top = open.pop().expect("the loop saw it");
            known.insert(top, folded);
        }
        Ok(known.remove(set).expect("the stack began with it"))
    }

    /// One base more: the values before it, and what it has, against what is below both.
    fn join(
        &self,
        views: &mut Views<'_>,
        key: &[u8],
        base: &Base,
        before: &Base,
        next: Value,
    ) -> Result<Base> {
        let before = match before {
            Base::Known(before) => before,
            Base::Disputed(values) => {
                let mut values = values.clone();
                if values.iter().all(|value| value.hash != next.hash) {
                    values.push(next);
                }
                return Ok(Base::Disputed(values));
            }
        };
        if let Base::Known(base) = base {
            if base.hash == before.hash {
                return Ok(Base::Known(next));
            }
            if base.hash == next.hash {
                return Ok(Base::Known(before.clone()));
            }
        }
        if let Some(driver) = self.policy.driver_of(key)
            && (driver.settles_deletions() || (before.hash.is_some() && next.hash.is_some()))
            && (driver.ignores_base() || matches!(base, Base::Known(_)))
        {
            let base = match base {
                Base::Known(base) => views.bytes(key, base)?,
                Base::Disputed(_) => None,
            };
            let (ours, theirs) = (views.bytes(key, before)?, views.bytes(key, &next)?);
            let (ours_at, theirs_at) =
                (views.written_at(key, before)?, views.written_at(key, &next)?);
            let input = DriverInput::new(key, base.as_deref(), ours.as_deref(), theirs.as_deref())
                .written_at(ours_at.unwrap_or(Seq::ROOT), theirs_at.unwrap_or(Seq::ROOT));
            if let Ok(made) = driver.merge(&input) {
                let hash = made.as_deref().map(ValueHash::of);
                // A value that a commit has keeps its commit: `last-write` asks for that.
                if let Some(side) = [before, &next].into_iter().find(|side| side.hash == hash) {
                    return Ok(Base::Known(side.clone()));
                }
                return Ok(Base::Known(Value { hash, from: From::Made(made.map(Arc::from)) }));
            }
        }
        if before.hash == next.hash {
            return Ok(Base::Known(next));
        }
        Ok(Base::Disputed(vec![before.clone(), next]))
    }

    /// The best common ancestors of what was folded and the next one, sorted by sequence.
    fn common(&mut self, folded: &[Place], next: Place) -> Result<Vec<Place>> {
        let mut all = Vec::new();
        for &one in folded {
            let found = match self.pairs.get(&(one, next)) {
                Some(found) => found,
                None => {
                    let bases = self.graph.difference(one, next)?.bases;
                    self.pairs.entry((one, next)).or_insert(bases)
                }
            };
            all.extend_from_slice(found);
        }
        all.sort_unstable_by_key(|place| place.seq);
        all.dedup();
        if folded.len() > 1 {
            let mut best = Vec::new();
            for (i, &one) in all.iter().enumerate() {
                let mut covered = false;
                for &later in &all[i + 1..] {
                    covered = covered || self.graph.is_ancestor(one, later)?;
                }
                if !covered {
                    best.push(one);
                }
            }
            all = best;
        }
        Ok(all)
    }
}

fn value_at(views: &mut Views<'_>, key: &[u8], place: Place) -> Result<Value> {
    Ok(Value::at(views.view(place)?.hash(key)?, place))
}
