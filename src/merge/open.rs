//! Open merges: conflicts that wait in the store until people have settled them.
//!
//! Stored are what was asked for, the conflicts as they were found, and the resolutions made so far.
//! Nothing of the merge itself is: it is planned anew whenever it goes on, so what has moved meanwhile
//! is seen, and a resolution counts for the values that it was made for and no others.

use std::collections::BTreeMap;

use super::conflict::{Conflict, MergeAction};
use super::options::{FastForward, KeyPattern, MergeOptions};
use super::policy::Resolved;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::merge::{
    ChoiceCode, OpenConflictRecord, OpenOptionsRecord, OpenRecord, ResolutionRecord,
};
use crate::format::refs::pin;
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{Seq, ValueHash};
use crate::kv::{KeyRange, check_value};
use crate::name::BranchName;
use crate::progress::Shared;
use crate::publish::{CommitOptions, StateRows};
use crate::sides::Resolution;

/// A merge, cherry-pick, revert or rebase that waits for its conflicts to be settled.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeOptions, Resolution};
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("pear", "yellow")?;
/// store.main()?.put("pear", "green")?;
/// store.merge("main", "topic", MergeOptions::default().keep_open(true))?;
/// let open = store.open_merge("main")?.expect("it has a conflict");
/// assert_eq!((open.source.as_str(), open.unresolved, open.resolved), ("topic", 1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenMerge {
    /// The branch that it is done to.
    pub target: BranchName,
    /// The operation.
    pub action: MergeAction,
    /// What comes in, as it was named.
    pub source: String,
    /// The commits that come in; for a rebase the one that it goes onto.
    pub incoming: Vec<Seq>,
    /// The target's newest commit when the conflicts were found.
    pub ours: Seq,
    /// The incoming commit that the conflicts are about.
    pub at: Seq,
    /// How many conflicts are not settled.
    pub unresolved: u64,
    /// How many conflicts are settled by a resolution.
    pub resolved: u64,
    /// Who began it.
    pub creator: String,
    /// When it was begun.
    pub created: Timestamp,
}

/// A conflict of an open merge.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// # use withy::{KeyRange, MergeOptions, Resolution};
/// # let topic = store.create_branch("topic", "main", Default::default())?;
/// # topic.put("pear", "yellow")?;
/// # store.main()?.put("pear", "green")?;
/// # store.merge("main", "topic", MergeOptions::default().keep_open(true))?;
/// store.resolve_conflicts("main", [("pear", Resolution::Theirs)], None)?;
/// let conflicts = store.conflicts("main", &KeyRange::all())?;
/// assert_eq!(conflicts[0].resolution.as_ref().expect("made").resolution, Resolution::Theirs);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenConflict {
    /// The key and what the sides have.
    pub conflict: Conflict,
    /// The incoming commit that it is about.
    pub at: Seq,
    /// How it is to be settled, if that is known.
    pub resolution: Option<OpenResolution>,
}

/// A resolution for a conflict of an open merge.
///
/// # Examples
/// See [`OpenConflict`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenResolution {
    /// What is taken.
    pub resolution: Resolution,
    /// Who said so.
    pub by: String,
    /// When.
    pub time: Timestamp,
}

/// An open merge as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) record: OpenRecord,
    pub(super) conflicts: BTreeMap<(Seq, Vec<u8>), OpenConflictRecord>,
}

/// Which conflicts are read with an open merge.
pub(super) enum Wanted<'w> {
    None,
    All,
    /// Those on some keys that the incoming commit brings at which the merge has stopped.
    Keys(&'w [&'w [u8]]),
    /// The same for a range.
    Range(&'w KeyRange),
}

impl Open {
    /// The merge that is open on a branch, with some of its conflicts.
    pub(super) fn load(engine: &Engine, branch: &str, wanted: Wanted<'_>) -> Result<Option<Self>> {
        let Some(row) = engine.get(Family::State, &keys::open_merge(branch))? else {
            return Ok(None);
        };
        let record: OpenRecord = record::decode("open merge", &row)?;
        let prefix = keys::open_conflicts(branch);
        let at = Seq::new(record.at);
        let mut conflicts = BTreeMap::new();
        let mut rows = match wanted {
            Wanted::None => return Ok(Some(Self { record, conflicts })),
            Wanted::Keys(wanted) => {
                for key in wanted {
                    let stored = keys::open_conflict(branch, at, key);
                    if let Some(row) = engine.get(Family::State, &stored)? {
                        let one = record::decode("open conflict", &row)?;
                        conflicts.insert((at, key.to_vec()), one);
                    }
                }
                return Ok(Some(Self { record, conflicts }));
            }
            Wanted::All => engine.iter_prefix(Family::State, &prefix),
            Wanted::Range(range) => {
                let lower = keys::open_conflict(branch, at, &range.start());
                let upper = match range.end() {
                    Some(end) => keys::open_conflict(branch, at, &end),
                    None => keys::open_conflict(branch, at.next(), &[]),
                };
                // RocksDB refuses bounds that cross; such a range is empty.
                engine.iter(Family::State, &lower, Some(upper.as_slice().max(&lower)))
            }
        };
        rows.seek_to_first();
        while let Some((stored, value)) = rows.current()? {
            let (at, key) = keys::open_conflict_parts(stored, &prefix)?;
            conflicts.insert((at, key.to_vec()), record::decode("open conflict", value)?);
            rows.next();
        }
        Ok(Some(Self { record, conflicts }))
    }

    /// The branches with an open merge.
    pub(super) fn branches(engine: &Engine) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut rows = engine.iter_prefix(Family::State, &[keys::state::MERGE]);
        rows.seek_to_first();
        while let Some((stored, _)) = rows.current()? {
            out.push(keys::name_of(stored)?.to_owned());
            rows.next();
        }
        Ok(out)
    }

    /// As the public sees it.
    pub(super) fn describe(&self, target: BranchName) -> OpenMerge {
        let record = &self.record;
        let at = Seq::new(record.at);
        let resolved = self.conflicts.values().filter(|one| one.resolution.is_some()).count();
        OpenMerge {
            target,
            action: record.action.into(),
            source: record.source.clone(),
            incoming: record.theirs.iter().map(|place| Seq::new(place.seq)).collect(),
            ours: Seq::new(record.ours.seq),
            at,
            unresolved: (self.conflicts.len() - resolved) as u64,
            resolved: resolved as u64,
            creator: record.creator.clone(),
            created: Timestamp::from_millis(record.created),
        }
    }

    /// The resolutions that were made, and for what.
    pub(super) fn resolutions(
        &self,
        engine: &Engine,
    ) -> Result<BTreeMap<(Seq, Vec<u8>), Resolved>> {
        let mut out = BTreeMap::new();
        for ((at, key), one) in &self.conflicts {
            let Some(made) = &one.resolution else { continue };
            let resolved = Resolved {
                resolution: read_resolution(engine, made)?,
                made_for: Some(Conflict::stored(key.clone(), one.conflict.clone())),
                by: made.by.clone(),
                time: made.time,
            };
            out.insert((*at, key.clone()), resolved);
        }
        Ok(out)
    }

    /// The conflicts, as the public sees them.
    pub(super) fn list(self, engine: &Engine) -> Result<Vec<OpenConflict>> {
        let one = |((at, key), stored): ((Seq, Vec<u8>), OpenConflictRecord)| {
            let resolution = match &stored.resolution {
                None => None,
                Some(made) => Some(OpenResolution {
                    resolution: read_resolution(engine, made)?,
                    by: made.by.clone(),
                    time: Timestamp::from_millis(made.time),
                }),
            };
            Ok(OpenConflict { conflict: Conflict::stored(key, stored.conflict), at, resolution })
        };
        self.conflicts.into_iter().map(one).collect()
    }
}

fn read_resolution(engine: &Engine, made: &ResolutionRecord) -> Result<Resolution> {
    Ok(match made.choice {
        ChoiceCode::Ours => Resolution::Ours,
        ChoiceCode::Theirs => Resolution::Theirs,
        ChoiceCode::Base => Resolution::Base,
        ChoiceCode::Delete => Resolution::Delete,
        ChoiceCode::Value => Resolution::Value(match (&made.value, made.blob) {
            (Some(value), _) => value.clone(),
            (None, Some((hash, len))) => {
                let cell =
                    crate::format::row::Cell::Blob { hash: ValueHash::from_bytes(hash), len };
                crate::view::value_of(engine, &cell)?.unwrap_or_default()
            }
            (None, None) => {
                return Err(Error::new(ErrorKind::Corrupt, "a resolution has lost its value"));
            }
        }),
    })
}

/// A resolution as it is stored. A large value goes to the rows: it is kept once under its hash.
pub(super) fn write_resolution(
    resolved: &Resolved,
    threshold: usize,
    rows: &mut StateRows,
) -> Result<ResolutionRecord> {
    let mut out = ResolutionRecord {
        choice: (&resolved.resolution).into(),
        value: None,
        blob: None,
        by: resolved.by.clone(),
        time: resolved.time,
    };
    if let Resolution::Value(value) = &resolved.resolution {
        check_value(value)?;
        if value.len() >= threshold {
            let (hash, len) = (ValueHash::of(value), value.len() as u64);
            out.blob = Some((*hash.as_bytes(), len));
            rows.push((
                Family::Blob,
                keys::blob_length(&hash).to_vec(),
                Some(record::encode(&len)),
            ));
            rows.push((Family::Blob, keys::blob_content(&hash).to_vec(), Some(value.clone())));
        } else {
            out.value = Some(value.clone());
        }
    }
    Ok(out)
}

/// The rows that make one state of an open merge out of another.
pub(super) fn difference(branch: &str, old: Option<&Open>, new: Option<&Open>) -> StateRows {
    let mut rows = StateRows::new();
    let pins = |open: &Open| -> Vec<Vec<u8>> {
        let record = &open.record;
        let all = record.theirs.iter().chain(std::iter::once(&record.ours));
        all.map(|at| keys::pin(Seq::new(at.seq), pin::MERGE, branch.as_bytes())).collect()
    };
    let (old_pins, new_pins) =
        (old.map(pins).unwrap_or_default(), new.map(pins).unwrap_or_default());
    for gone in old_pins.iter().filter(|pin| !new_pins.contains(pin)) {
        rows.push((Family::Refs, gone.clone(), None));
    }
    for come in new_pins.iter().filter(|pin| !old_pins.contains(pin)) {
        rows.push((Family::Refs, come.clone(), Some(Vec::new())));
    }
    if old.map(|open| &open.record) != new.map(|open| &open.record) {
        let value = new.map(|open| record::encode(&open.record));
        rows.push((Family::State, keys::open_merge(branch), value));
    }
    let none = BTreeMap::new();
    let (old, new) = (old.map_or(&none, |o| &o.conflicts), new.map_or(&none, |n| &n.conflicts));
    for (at, key) in old.keys().filter(|key| !new.contains_key(*key)) {
        rows.push((Family::State, keys::open_conflict(branch, *at, key), None));
    }
    for ((at, key), one) in new {
        if old.get(&(*at, key.clone())) != Some(one) {
            let row = record::encode(one);
            rows.push((Family::State, keys::open_conflict(branch, *at, key), Some(row)));
        }
    }
    rows
}

impl MergeOptions<'_> {
    /// What of the options has to be known when the merge goes on.
    pub(super) fn to_record(&self) -> OpenOptionsRecord {
        let parts = |pattern: &KeyPattern| {
            let (prefix, suffix) = pattern.parts();
            (prefix.to_vec(), suffix.to_vec())
        };
        OpenOptionsRecord {
            strategy: self.strategy.map(Into::into),
            strategies: self
                .strategies
                .iter()
                .map(|(pattern, strategy)| (parts(pattern), (*strategy).into()))
                .collect(),
            drivers: self
                .drivers
                .iter()
                .map(|(pattern, driver)| (parts(pattern), driver.clone()))
                .collect(),
            strict: self.strict,
            no_ff: self.fast_forward == FastForward::Never,
            mainline: self.mainline,
            author: self.commit.author.clone(),
            message: self.has_message.then(|| self.commit.message.clone()),
        }
    }

    /// The options of an open merge, and what is said when it goes on.
    pub(super) fn from_record(
        action: MergeAction,
        record: &OpenOptionsRecord,
        now: &CommitOptions,
    ) -> Self {
        let pattern =
            |(prefix, suffix): &(Vec<u8>, Vec<u8>)| KeyPattern::new(prefix.clone(), suffix.clone());
        let mut commit = now.clone();
        commit.author = commit.author.or_else(|| record.author.clone());
        let said = record.message.clone().filter(|_| commit.message.is_empty());
        let has_message = said.is_some() || !commit.message.is_empty();
        if let Some(message) = said {
            commit.message = message;
        }
        Self {
            strategy: record.strategy.map(Into::into),
            strategies: record
                .strategies
                .iter()
                .map(|(parts, strategy)| (pattern(parts), (*strategy).into()))
                .collect(),
            drivers: record
                .drivers
                .iter()
                .map(|(parts, driver)| (pattern(parts), driver.clone()))
                .collect(),
            resolutions: Vec::new(),
            fast_forward: match record.no_ff {
                true => FastForward::Never,
                false => FastForward::Allowed,
            },
            strict: record.strict,
            squash: action == MergeAction::Squash,
            keep_open: true,
            mainline: record.mainline,
            commit,
            has_message,
            told: Shared::default(),
        }
    }
}

/// There is no open merge on a branch.
pub(super) fn none_open(branch: &BranchName) -> Error {
    Error::new(ErrorKind::NotFound, format!("no merge is open on {branch}"))
        .with_hint("`withy conflicts --all` lists the open merges")
}

/// The places of a stored record.
pub(super) fn places(record: &OpenRecord) -> Vec<Place> {
    record.theirs.iter().copied().map(Place::from).collect()
}
