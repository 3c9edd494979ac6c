//! Conflicts, and how they were settled, as data.

use crate::error::Result;
use crate::format::merge::{
    ActionCode, ByRecord, ChoiceCode, ConflictRecord, KindCode, MergeRecord, SettledRecord,
    SideRecord, StrategyCode,
};
use crate::graph::CommitRef;
use crate::id::{CommitId, Seq, ValueHash};
use crate::sides::{ConflictKind, Resolution, Strategy};

/// One side of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictSide {
    /// Hash of its value; `None` if the key is absent.
    pub hash: Option<ValueHash>,
    /// The commit that gave it the value, or deleted it; `None` if it never had one, or if no commit
    /// has the value: it was merged from several bases, or made by a step before in a sequence.
    pub at: Option<Seq>,
}

/// A key that the two sides of a merge changed in different ways.
///
/// Ours is always the target, the side that receives. [`Store::conflict_value`] reads the values.
///
/// [`Store::conflict_value`]: crate::Store::conflict_value
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{ConflictKind, MergeOptions};
/// let main = store.main()?;
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// main.put("pear", "green")?;
/// topic.put("pear", "yellow")?;
/// let report = store.merge("main", "topic", MergeOptions::default())?;
/// let conflict = &report.conflicts[0];
/// assert_eq!((conflict.key.as_slice(), conflict.kind), (&b"pear"[..], ConflictKind::AddAdd));
/// assert_eq!(store.conflict_value(conflict, conflict.theirs)?, Some(b"yellow".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The key.
    pub key: Vec<u8>,
    /// What the sides did.
    pub kind: ConflictKind,
    /// What the merge base has; several if there are several bases that disagree.
    pub bases: Vec<ConflictSide>,
    /// What the target has.
    pub ours: ConflictSide,
    /// What the source has.
    pub theirs: ConflictSide,
    /// The driver that could not merge the values, and why.
    pub refused: Option<(String, String)>,
    /// Values of sides that no commit has: those that were merged from several bases, or made by a step
    /// before in a sequence.
    pub(crate) made: Vec<Vec<u8>>,
}

impl Conflict {
    /// Whether it is about the same values, wherever they came from.
    pub(crate) fn same_values(&self, other: &Self) -> bool {
        let hashes = |sides: &[ConflictSide]| sides.iter().map(|s| s.hash).collect::<Vec<_>>();
        self.key == other.key
            && hashes(&self.bases) == hashes(&other.bases)
            && self.ours.hash == other.ours.hash
            && self.theirs.hash == other.theirs.hash
    }
}

/// By what a key was settled that both sides changed.
///
/// # Examples
/// ```
/// use withy::{SettledBy, Strategy};
/// assert_eq!(SettledBy::Strategy(Strategy::Ours).to_string(), "strategy ours");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettledBy {
    /// The strategy for its prefix.
    Strategy(Strategy),
    /// A value driver, by its name and version; so it was no conflict.
    Driver(String),
    /// A resolution: what was taken, and by whom, if that is known.
    Resolution {
        /// `ours`, `theirs`, `base`, `value` or `delete`.
        taken: &'static str,
        /// Who made it; may be empty.
        by: String,
    },
}

impl std::fmt::Display for SettledBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Strategy(strategy) => write!(f, "strategy {strategy}"),
            Self::Driver(name) => write!(f, "driver {name}"),
            Self::Resolution { taken, by } if by.is_empty() => write!(f, "resolution {taken}"),
            Self::Resolution { taken, by } => write!(f, "resolution {taken} by {by}"),
        }
    }
}

/// A key that both sides changed, and what became of it.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeOptions, SettledBy, Strategy, ValueHash};
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("pear", "yellow")?;
/// store.main()?.put("pear", "green")?;
/// let report = store.merge("main", "topic", MergeOptions::default().strategy(Strategy::Theirs))?;
/// let settled = &report.settled[0];
/// assert_eq!(settled.by, SettledBy::Strategy(Strategy::Theirs));
/// assert_eq!(settled.result, Some(ValueHash::of(b"yellow")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// What the sides have.
    pub conflict: Conflict,
    /// By what it was settled.
    pub by: SettledBy,
    /// Hash of the value it was settled to; `None` for a deletion.
    pub result: Option<ValueHash>,
}

/// What kind of operation brings changes of other commits to a branch.
///
/// # Examples
/// ```
/// assert_eq!(withy::MergeAction::CherryPick.to_string(), "cherry-pick");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MergeAction {
    /// A commit with two parents.
    Merge,
    /// A commit with one parent that remembers what it merged.
    Squash,
    /// The changes of commits, again.
    CherryPick,
    /// The changes of commits, taken back.
    Revert,
    /// The commits of a branch, again, on top of another commit.
    Rebase,
}

impl std::fmt::Display for MergeAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::CherryPick => "cherry-pick",
            Self::Revert => "revert",
            Self::Rebase => "rebase",
        })
    }
}

/// How a merge commit came about, as it is stored with the commit.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeAction, MergeOptions, Seq};
/// let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("pear", "yellow")?;
/// store.main()?.put("plum", "blue")?;
/// store.merge("main", "topic", MergeOptions::default())?;
/// let details = store.merge_details("main")?.expect("it is a merge");
/// assert_eq!((details.action, details.bases.as_slice()), (MergeAction::Merge, &[Seq::ROOT][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeDetails {
    /// The operation.
    pub action: MergeAction,
    /// What was merged, picked, reverted or rebased.
    pub source: CommitRef,
    /// The merge bases.
    pub bases: Vec<Seq>,
    /// The strategy for keys without one of their own.
    pub strategy: Strategy,
    /// Whether keys that both sides changed alike counted as conflicts.
    pub strict: bool,
    /// Who did it. For picks and rebases that need not be the author of the commit.
    pub by: String,
    /// How many keys both sides changed alike.
    pub auto_resolved: u64,
    /// The keys that both sides changed in different ways, by key, and how each was settled.
    pub settled: Vec<Settled>,
}

fn hash(stored: Option<[u8; 32]>) -> Option<ValueHash> {
    stored.map(ValueHash::from_bytes)
}

fn raw(hash: Option<ValueHash>) -> Option<[u8; 32]> {
    hash.map(|hash| *hash.as_bytes())
}

impl From<SideRecord> for ConflictSide {
    fn from(side: SideRecord) -> Self {
        Self { hash: hash(side.hash), at: side.at.map(Seq::new) }
    }
}

impl From<ConflictSide> for SideRecord {
    fn from(side: ConflictSide) -> Self {
        Self { hash: raw(side.hash), at: side.at.map(Seq::get) }
    }
}

macro_rules! same_names {
    ($($word:ident, $code:ident: $($name:ident)+;)+) => {$(
        impl From<$word> for $code {
            fn from(word: $word) -> Self {
                match word { $($word::$name => Self::$name,)+ }
            }
        }
        impl From<$code> for $word {
            fn from(code: $code) -> Self {
                match code { $($code::$name => Self::$name,)+ }
            }
        }
    )+};
}

same_names! {
    ConflictKind, KindCode: ModifyModify DeleteModify ModifyDelete AddAdd;
    Strategy, StrategyCode: Ours Theirs Manual FastForward;
    MergeAction, ActionCode: Merge Squash CherryPick Revert Rebase;
}

impl From<&Resolution> for ChoiceCode {
    fn from(resolution: &Resolution) -> Self {
        match resolution {
            Resolution::Ours => Self::Ours,
            Resolution::Theirs => Self::Theirs,
            Resolution::Base => Self::Base,
            Resolution::Value(_) => Self::Value,
            Resolution::Delete => Self::Delete,
        }
    }
}

/// What a stored choice is called.
pub(super) fn choice_name(choice: ChoiceCode) -> &'static str {
    match choice {
        ChoiceCode::Ours => "ours",
        ChoiceCode::Theirs => "theirs",
        ChoiceCode::Base => "base",
        ChoiceCode::Value => "value",
        ChoiceCode::Delete => "delete",
    }
}

fn choice_code(name: &str) -> ChoiceCode {
    match name {
        "ours" => ChoiceCode::Ours,
        "theirs" => ChoiceCode::Theirs,
        "base" => ChoiceCode::Base,
        "delete" => ChoiceCode::Delete,
        _ => ChoiceCode::Value,
    }
}

impl From<&Conflict> for ConflictRecord {
    fn from(conflict: &Conflict) -> Self {
        Self {
            kind: conflict.kind.into(),
            bases: conflict.bases.iter().copied().map(SideRecord::from).collect(),
            ours: conflict.ours.into(),
            theirs: conflict.theirs.into(),
            refused: conflict.refused.clone(),
            made: conflict.made.clone(),
        }
    }
}

impl Conflict {
    pub(super) fn stored(key: Vec<u8>, record: ConflictRecord) -> Self {
        Self {
            key,
            kind: record.kind.into(),
            bases: record.bases.into_iter().map(ConflictSide::from).collect(),
            ours: record.ours.into(),
            theirs: record.theirs.into(),
            refused: record.refused,
            made: record.made,
        }
    }
}

impl From<&Settled> for SettledRecord {
    fn from(settled: &Settled) -> Self {
        let by = match &settled.by {
            SettledBy::Strategy(strategy) => ByRecord::Strategy((*strategy).into()),
            SettledBy::Driver(name) => ByRecord::Driver(name.clone()),
            SettledBy::Resolution { taken, by } => {
                ByRecord::Resolution { choice: choice_code(taken), by: by.clone() }
            }
        };
        // What a commit says of itself is kept for good, so it holds hashes, not values.
        let conflict = ConflictRecord { made: Vec::new(), ..(&settled.conflict).into() };
        Self { key: settled.conflict.key.clone(), conflict, by, result: raw(settled.result) }
    }
}

impl From<SettledRecord> for Settled {
    fn from(record: SettledRecord) -> Self {
        let by = match record.by {
            ByRecord::Strategy(code) => SettledBy::Strategy(code.into()),
            ByRecord::Driver(name) => SettledBy::Driver(name),
            ByRecord::Resolution { choice, by } => {
                SettledBy::Resolution { taken: choice_name(choice), by }
            }
        };
        let conflict = Conflict::stored(record.key, record.conflict);
        Self { conflict, by, result: hash(record.result) }
    }
}

impl MergeDetails {
    pub(crate) fn stored(head: &MergeRecord, settled: Vec<SettledRecord>) -> Result<Self> {
        let (seq, id) = (Seq::new(head.theirs.seq), CommitId::from_bytes(head.theirs.id));
        Ok(Self {
            action: head.action.into(),
            source: CommitRef { seq, id },
            bases: head.bases.iter().copied().map(Seq::new).collect(),
            strategy: head.strategy.into(),
            strict: head.strict,
            by: head.by.clone(),
            auto_resolved: head.auto_resolved,
            settled: settled.into_iter().map(Settled::from).collect(),
        })
    }
}
