//! Planning: from what the source changed to what becomes of the target. Reads, and writes nothing.
//!
//! Only keys that the source changed since the merge base can change the target, so they are all that
//! is looked at: what they were at the base and are at the source comes from the log, what they are at
//! the target from its rows, or from the log again where that is cheaper. A value that was purged is
//! absent here, whatever hash it has left in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bases::{Base, Folder, From, Value, Views};
use super::conflict::{Conflict, ConflictSide, SettledBy};
use super::driver::DriverInput;
use super::planned::{Case, Planned};
use super::policy::Policy;
use super::tally::Tally;
use crate::diff::{Net, Sides as NetSides, as_read, net_along, net_changes, net_of};
use crate::error::{ErrorKind, Result};
use crate::graph::{Difference, Graph, Place};
use crate::id::{Seq, ValueHash};
use crate::kv::KeyRange;
use crate::publish::{After, PlannedEdit};
use crate::sides::{ConflictKind, Resolution, Sides, Strategy, Verdict};
use crate::view::Finder;

/// Rows are read in groups of this many.
const GROUP: usize = 512;

/// What a sequence of steps has written so far, over the commit it started at.
pub(crate) type Overlay = BTreeMap<Vec<u8>, After>;

/// The target's side.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) place: Place,
    pub(super) own: Option<&'a Overlay>,
}

/// Plans merges, one or a sequence of them.
pub(crate) struct Planner<'g, 'a> {
    graph: &'g Arc<Graph>,
    policy: &'g Policy,
    views: Views<'g>,
    folder: Folder<'g>,
    pub(super) tally: Tally<'g, 'a>,
    /// The incoming commit.
    pub(super) at: Seq,
    /// Whether a change that is there already has been made already, and is not made twice.
    pub(super) repeats: bool,
}

impl<'g, 'a> Planner<'g, 'a> {
    pub(crate) fn new(graph: &'g Arc<Graph>, policy: &'g Policy, tally: Tally<'g, 'a>) -> Self {
        let (views, folder) = (Views::new(graph), Folder::new(graph, policy));
        Self { graph, policy, views, folder, tally, at: Seq::ROOT, repeats: false }
    }

    /// Plans the merge of one commit into another.
    pub(crate) fn merge(
        &mut self,
        ours: Place,
        theirs: Place,
        difference: &Difference,
    ) -> Result<Planned> {
        self.at = theirs.seq;
        self.tally.stage("read", None)?;
        let target = Target { place: ours, own: None };
        if let [base] = difference.bases.as_slice() {
            let changes = match self.graph.first_parents(*base, theirs)? {
                Some(runs) => {
                    match net_along(self.graph, &runs, &KeyRange::all(), &mut || self.tally.read())
                    {
                        Ok(net) if self.is_doubtful(&net) => {
                            let from = self.views.view(*base)?.clone();
                            as_read(&from, self.views.view(theirs)?, net, &mut || self.tally.read())
                        }
                        net => net,
                    }
                }
                None => {
                    let mut touched = BTreeSet::new();
                    self.touched(&difference.only_second, &mut touched)
                        .and_then(|()| self.net(touched, *base, theirs))
                }
            };
            let changes = match changes {
                // The way from the base is no longer kept: what differs is found by reading all.
                Err(e) if e.kind() == ErrorKind::HistoryGone => self.changes(*base, theirs)?,
                changes => changes?,
            };
            return self.apply(changes, *base, theirs, target, Some(difference));
        }
        let mut bases = difference.bases.clone();
        bases.sort_unstable_by_key(|place| place.seq);
        let touched = match self.touched_since(&bases, difference) {
            Err(e) if e.kind() == ErrorKind::HistoryGone => {
                self.differing_from(&bases, [ours, theirs])?
            }
            touched => touched?,
        };
        self.merge_over(touched, &bases, theirs, target)
    }

    /// The keys that either side changed or decided since several bases.
    fn touched_since(
        &mut self,
        bases: &[Place],
        difference: &Difference,
    ) -> Result<BTreeSet<Vec<u8>>> {
        let mut touched = BTreeSet::new();
        self.touched(&difference.only_second, &mut touched)?;
        self.touched(&difference.only_first, &mut touched)?;
        // Where the bases differ, a side may have merged them without a word.
        if let Some((&first, others)) = bases.split_first() {
            for &other in others {
                let between = self.graph.difference(first, other)?;
                self.touched(&between.only_first, &mut touched)?;
                self.touched(&between.only_second, &mut touched)?;
            }
        }
        Ok(touched)
    }

    /// The keys in which the sides and the bases are not all alike, found by reading all of them.
    fn differing_from(&mut self, bases: &[Place], sides: [Place; 2]) -> Result<BTreeSet<Vec<u8>>> {
        let mut out = BTreeSet::new();
        let Some((&first, others)) = bases.split_first() else { return Ok(out) };
        for &place in others.iter().chain(&sides) {
            out.extend(self.changes(first, place)?.into_keys());
        }
        Ok(out)
    }

    /// Adds the keys that the commits of these runs changed or decided.
    fn touched(&mut self, runs: &[crate::graph::Run], out: &mut BTreeSet<Vec<u8>>) -> Result<()> {
        for seq in self.graph.commits_of(runs)? {
            self.graph.try_visit(
                seq,
                |_| {},
                |change| {
                    out.insert(change.key);
                    self.tally.read()
                },
            )?;
        }
        Ok(())
    }

    /// Whether the log alone does not tell what reads find, because values of some keys were purged.
    fn is_doubtful(&self, net: &Net) -> bool {
        let purged = self.graph.purged();
        !purged.is_empty() && net.keys().any(|key| purged.covers(key))
    }

    /// What some keys have at two commits, where that differs.
    fn net(&mut self, keys: BTreeSet<Vec<u8>>, from: Place, to: Place) -> Result<Net> {
        let from = self.views.view(from)?.clone();
        let keys: Vec<_> = keys.into_iter().collect();
        self.tally.stage("read", Some(keys.len()))?;
        net_of(&from, self.views.view(to)?, &keys, &mut || self.tally.read())
    }

    /// Plans what one set of changes does to the target: those from `base` to `theirs`.
    pub(super) fn apply(
        &mut self,
        mut changes: Net,
        base: Place,
        theirs: Place,
        target: Target<'_>,
        difference: Option<&Difference>,
    ) -> Result<Planned> {
        changes.retain(|_, (before, after)| before != after);
        let mut planned = Planned::default();
        self.tally.stage("plan", Some(changes.len()))?;
        let logged = match difference {
            Some(difference) => self.target_changes(&changes, base, target, difference)?,
            None => None,
        };
        let ours = self.views.view(target.place)?.clone();
        let mut ours = ours.finder(changes.len());
        let mut changes = changes.into_iter();
        let mut group: Vec<(Vec<u8>, NetSides)> = Vec::new();
        loop {
            group.clear();
            group.extend(changes.by_ref().take(GROUP));
            if group.is_empty() {
                return Ok(planned);
            }
            let values = match &logged {
                // What the target did not touch is as at the base.
                Some(logged) => group
                    .iter()
                    .map(|(key, (b, _))| match logged.get(key) {
                        Some(hash) => Value::at(*hash, target.place),
                        None => Value::at(*b, target.place),
                    })
                    .collect(),
                None => {
                    let keys: Vec<&[u8]> = group.iter().map(|(key, _)| key.as_slice()).collect();
                    target_values(&mut ours, target, &keys)?
                }
            };
            for ((key, (b, s)), ours) in group.drain(..).zip(values) {
                self.tally.decided()?;
                if ours.hash == b && s != b {
                    // The common case, without more ado: only the source changed it.
                    let after = match s {
                        Some(hash) => After::Stored { hash, place: theirs },
                        None => After::Deleted,
                    };
                    planned.edits.push(PlannedEdit { key, before: b, after });
                    continue;
                }
                let case = Case {
                    key: &key,
                    base: Base::Known(Value::at(b, base)),
                    ours,
                    theirs: Value::at(s, theirs),
                    noted: false,
                };
                self.decide(case, &mut planned)?;
            }
        }
    }

    /// What the target has of the keys in `changes`, from its log, if that is cheaper than its rows.
    fn target_changes(
        &mut self,
        changes: &Net,
        base: Place,
        target: Target<'_>,
        difference: &Difference,
    ) -> Result<Option<BTreeMap<Vec<u8>, Option<ValueHash>>>> {
        /// Fewer rows than this are read at once.
        const FEW: usize = 256;
        if changes.len() < FEW || self.is_doubtful(changes) || target.own.is_some() {
            return Ok(None);
        }
        let Some(runs) = self.graph.first_parents(base, target.place)? else { return Ok(None) };
        // A commit costs about a row, a change in it a fifth of one.
        let Some(commits) = self.graph.commits_within(&runs, changes.len() / 2)? else {
            return Ok(None);
        };
        debug_assert!(!difference.bases.is_empty(), "a target has a base in common with a source");
        let mut left = changes.len() * 4;
        let mut out = BTreeMap::new();
        for seq in commits.into_iter().rev() {
            let mut seen = 0;
            let visited = self.graph.try_visit(
                seq,
                |_| {},
                |change| {
                    seen += 1;
                    // Newest first, so what is there already is newer.
                    if !change.decided && changes.contains_key(&change.key) {
                        let after = change.after();
                        out.entry(change.key).or_insert(after);
                    }
                    self.tally.pulse()
                },
            );
            match visited {
                Err(e) if e.kind() == ErrorKind::HistoryGone => return Ok(None),
                visited => visited?,
            }
            left = left.saturating_sub(seen);
            if left == 0 {
                return Ok(None);
            }
        }
        Ok(Some(out))
    }

    /// Plans a merge against several bases.
    fn merge_over(
        &mut self,
        touched: BTreeSet<Vec<u8>>,
        bases: &[Place],
        theirs: Place,
        target: Target<'_>,
    ) -> Result<Planned> {
        let mut planned = Planned::default();
        let touched: Vec<Vec<u8>> = touched.into_iter().collect();
        let total = touched.len();
        self.tally.stage("plan", Some(total))?;
        let mut view = |place| self.views.view(place).cloned();
        let (ours, source) = (view(target.place)?, view(theirs)?);
        let base_views = bases.iter().map(|&base| view(base)).collect::<Result<Vec<_>>>()?;
        let (mut ours, mut source) = (ours.finder(total), source.finder(total));
        let mut found: Vec<_> = base_views.iter().map(|base| base.finder(total)).collect();
        for group in touched.chunks(GROUP) {
            let keys: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
            let ours = target_values(&mut ours, target, &keys)?;
            let sources = source.hashes(group)?;
            let at_bases = found.iter_mut().map(|base| base.hashes(group));
            let at_bases = at_bases.collect::<Result<Vec<_>>>()?;
            for (i, (&key, ours)) in keys.iter().zip(ours).enumerate() {
                self.tally.decided()?;
                let first = at_bases.first().and_then(|hashes| hashes[i]);
                let agree = at_bases.iter().all(|hashes| hashes[i] == first);
                let theirs = Value::at(sources[i], theirs);
                if agree && ours.hash == first && theirs.hash == first {
                    continue;
                }
                let base = match bases.first() {
                    Some(&place) if agree && !self.policy.adds_up(key) => {
                        Base::Known(Value::at(first, place))
                    }
                    _ => self.folder.fold(&mut self.views, key, bases)?,
                };
                self.decide(Case { key, base, ours, theirs, noted: !agree }, &mut planned)?;
            }
        }
        Ok(planned)
    }

    /// What becomes of one key.
    fn decide(&mut self, case: Case<'_>, planned: &mut Planned) -> Result<()> {
        let verdict = match &case.base {
            Base::Known(base) => {
                Sides { base: base.hash, ours: case.ours.hash, theirs: case.theirs.hash }.verdict()
            }
            // Values that the bases dispute equal neither side.
            Base::Disputed(_) if case.ours.hash == case.theirs.hash => Verdict::Same,
            Base::Disputed(_) => Verdict::Disputed,
        };
        match verdict {
            Verdict::Keep => {
                if case.noted && case.ours.hash != case.theirs.hash {
                    planned.decided.push(case.key.to_vec());
                }
                Ok(())
            }
            Verdict::Take => {
                planned.edits.push(PlannedEdit {
                    key: case.key.to_vec(),
                    before: case.ours.hash,
                    after: case.theirs.to_after(),
                });
                Ok(())
            }
            Verdict::Same if !self.policy.strict => {
                if self.policy.adds_up(case.key) && !self.repeats {
                    let conflict = self.conflict(&case)?;
                    if let Some(Ok((name, made))) = self.drive(&case, &conflict)? {
                        let after = made.map_or(After::Deleted, After::made);
                        planned.settled(&case, conflict, SettledBy::Driver(name), after);
                        return Ok(());
                    }
                }
                planned.auto_resolved += 1;
                Ok(())
            }
            Verdict::Same | Verdict::Disputed => self.settle(&case, planned),
        }
    }

    /// Settles a disputed key: resolution before driver before strategy.
    fn settle(&mut self, case: &Case<'_>, planned: &mut Planned) -> Result<()> {
        let mut conflict = self.conflict(case)?;
        if let Some(resolved) = self.policy.resolution(self.at, case.key) {
            let fits = resolved.made_for.as_ref().is_none_or(|was| was.same_values(&conflict));
            let after = match &resolved.resolution {
                Resolution::Ours => Some(case.ours.to_after()),
                Resolution::Theirs => Some(case.theirs.to_after()),
                Resolution::Delete => Some(After::Deleted),
                Resolution::Value(value) => Some(After::made(value.clone())),
                Resolution::Base => match &case.base {
                    Base::Known(base) => Some(base.to_after()),
                    Base::Disputed(_) => None,
                },
            };
            match after {
                _ if !fits => planned.stale.push(case.key.to_vec()),
                None => planned.ambiguous.push(case.key.to_vec()),
                Some(after) => {
                    let taken = resolved.resolution.name();
                    let by = SettledBy::Resolution { taken, by: resolved.by.clone() };
                    planned.used.insert(case.key.to_vec());
                    planned.settled(case, conflict, by, after);
                    return Ok(());
                }
            }
        }
        match self.drive(case, &conflict)? {
            Some(Ok((name, made))) => {
                let after = made.map_or(After::Deleted, After::made);
                planned.settled(case, conflict, SettledBy::Driver(name), after);
                return Ok(());
            }
            Some(Err(refused)) => conflict.refused = Some(refused),
            None => {}
        }
        let strategy = self.policy.strategy_of(case.key);
        let after = match strategy {
            Strategy::Ours => case.ours.to_after(),
            Strategy::Theirs => case.theirs.to_after(),
            Strategy::Manual | Strategy::FastForward => {
                planned.conflicts.push(conflict);
                return Ok(());
            }
        };
        planned.settled(case, conflict, SettledBy::Strategy(strategy), after);
        Ok(())
    }

    /// What the driver for a key says, if there is one to ask: its name and the value, or its refusal.
    #[expect(clippy::type_complexity, reason = "the two things that a driver can say")]
    fn drive(
        &mut self,
        case: &Case<'_>,
        conflict: &Conflict,
    ) -> Result<Option<std::result::Result<(String, Option<Vec<u8>>), (String, String)>>> {
        let Some(driver) = self.policy.driver_of(case.key) else { return Ok(None) };
        let both = case.ours.hash.is_some() && case.theirs.hash.is_some();
        let same = case.ours.hash == case.theirs.hash;
        if (same && !driver.adds_up()) || !(both || driver.settles_deletions()) {
            return Ok(None);
        }
        let base = match &case.base {
            Base::Known(base) => self.views.bytes(case.key, base)?,
            Base::Disputed(_) if driver.ignores_base() => None,
            Base::Disputed(_) => {
                let why = "the merge bases have different values".to_owned();
                return Ok(Some(Err((driver.name().to_owned(), why))));
            }
        };
        let ours = self.views.bytes(case.key, &case.ours)?;
        let theirs = self.views.bytes(case.key, &case.theirs)?;
        // A driver may count on values where the hashes say that there are some.
        let sides = [(&case.ours, &ours), (&case.theirs, &theirs)];
        if sides.iter().any(|(side, bytes)| side.hash.is_some() && bytes.is_none()) {
            let why = "a value was purged".to_owned();
            return Ok(Some(Err((driver.name().to_owned(), why))));
        }
        let input = DriverInput::new(case.key, base.as_deref(), ours.as_deref(), theirs.as_deref())
            .written_at(
                conflict.ours.at.unwrap_or(Seq::ROOT),
                conflict.theirs.at.unwrap_or(Seq::ROOT),
            );
        let name = driver.name().to_owned();
        Ok(Some(match driver.merge(&input) {
            Ok(made) if made.as_ref().is_some_and(|v| v.len() > crate::kv::MAX_VALUE_LEN) => {
                Err((name, "the merged value is too long".to_owned()))
            }
            Ok(made) => Ok((name, made)),
            Err(why) => Err((name, why)),
        }))
    }

    fn conflict(&mut self, case: &Case<'_>) -> Result<Conflict> {
        let mut side = |value: &Value| -> Result<ConflictSide> {
            Ok(ConflictSide { hash: value.hash, at: self.views.written_at(case.key, value)? })
        };
        let bases = case.base.values().iter().map(&mut side).collect::<Result<Vec<_>>>()?;
        let (ours, theirs) = (side(&case.ours)?, side(&case.theirs)?);
        let all = case.base.values().iter().chain([&case.ours, &case.theirs]);
        let made = all.filter_map(|value| match &value.from {
            From::Made(made) => made.as_deref().map(<[u8]>::to_vec),
            From::View(_) => None,
        });
        let made = made.collect();
        let in_a_base = bases.iter().any(|base| base.hash.is_some());
        let kind = ConflictKind::of(in_a_base, ours.hash.is_some(), theirs.hash.is_some());
        Ok(Conflict { key: case.key.to_vec(), kind, bases, ours, theirs, refused: None, made })
    }

    /// The changes from one commit to another, whatever way they lie.
    pub(super) fn changes(&mut self, from: Place, to: Place) -> Result<Net> {
        let from = self.views.view(from)?.clone();
        net_changes(&from, self.views.view(to)?, &KeyRange::all(), &mut || self.tally.read())
    }
}

/// What the target has of some sorted keys.
fn target_values(ours: &mut Finder<'_>, target: Target<'_>, keys: &[&[u8]]) -> Result<Vec<Value>> {
    let hashes = ours.hashes(keys)?;
    let stored = hashes.into_iter().map(|hash| Value::at(hash, target.place));
    let Some(own) = target.own else { return Ok(stored.collect()) };
    let value = |(key, stored): (&&[u8], Value)| match own.get(*key) {
        None => stored,
        Some(After::Deleted) => Value { hash: None, from: From::Made(None) },
        Some(After::Stored { hash, place }) => Value::at(Some(*hash), *place),
        Some(After::Made { hash, value }) => {
            Value { hash: Some(*hash), from: From::Made(Some(Arc::from(&value[..]))) }
        }
    };
    Ok(keys.iter().zip(stored).map(value).collect())
}
