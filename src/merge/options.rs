//! What a caller says of a merge.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::conflict::Conflict;
use super::driver::{MergeDriver, NO_DRIVER, Registry};
use super::open::OpenResolution;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::format::merge::RulesRecord;
use crate::id::Seq;
use crate::kv::{check_key, check_value, show_key};
use crate::publish::{CommitOptions, MAX_AUTHOR_LEN, check_text};
use crate::sides::{Resolution, Strategy};

/// Which keys a rule of a merge is for: those that start with a prefix and, if it has one, end with a
/// suffix.
///
/// As text, one `*` stands between the two: `notes/` is every key that starts so, `*.json` every key
/// that ends so, `notes/*.json` both. The longest prefix wins; among equal ones the longest suffix.
///
/// # Examples
/// ```
/// use withy::KeyPattern;
/// let notes = KeyPattern::from("notes/*.json");
/// assert!(notes.matches(b"notes/today.json"));
/// assert!(!notes.matches(b"notes/today.txt"));
/// assert!(KeyPattern::from("").matches(b"any key"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KeyPattern {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
}

impl KeyPattern {
    /// Keys that start with these bytes, whatever they are.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), suffix: Vec::new() }
    }

    /// Keys that start with some bytes and, after them, end with others.
    #[must_use]
    pub fn new(prefix: impl Into<Vec<u8>>, suffix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), suffix: suffix.into() }
    }

    /// Whether a key is one of them.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        key.strip_prefix(self.prefix.as_slice()).is_some_and(|rest| rest.ends_with(&self.suffix))
    }

    /// What its keys start with, and what they end with.
    ///
    /// # Examples
    /// ```
    /// use withy::KeyPattern;
    /// assert_eq!(KeyPattern::from("notes/*.json").parts(), (&b"notes/"[..], &b".json"[..]));
    /// ```
    #[must_use]
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (&self.prefix, &self.suffix)
    }

    /// Smallest first: what is to win.
    fn rank(&self) -> std::cmp::Reverse<(usize, usize)> {
        std::cmp::Reverse((self.prefix.len(), self.suffix.len()))
    }
}

impl From<&str> for KeyPattern {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<&[u8]> for KeyPattern {
    fn from(text: &[u8]) -> Self {
        match text.iter().position(|&b| b == b'*') {
            Some(star) => Self::new(&text[..star], &text[star + 1..]),
            None => Self::prefix(text),
        }
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.suffix.is_empty() { "" } else { "*" };
        write!(f, "{}{star}{}", show_key(&self.prefix), show_key(&self.suffix))
    }
}

/// Whether a merge may move the target to the source without a commit.
///
/// # Examples
/// ```
/// use withy::{FastForward, MergeOptions};
/// let options = MergeOptions::default().fast_forward(FastForward::Never);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FastForward {
    /// If the target has not moved since the merge base.
    #[default]
    Allowed,
    /// The merge is refused if it would need a commit.
    Only,
    /// A merge commit is always made.
    Never,
}

/// How a merge, cherry-pick, revert or rebase is done. Every choice has a default; what the store's
/// settings say of strategies and drivers holds where nothing is said here.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{MergeOptions, Read, Resolution, Strategy};
/// # let topic = store.create_branch("topic", "main", Default::default())?;
/// # topic.put("pear", "yellow")?; topic.put("log/1", "x")?; topic.put("hits", "2")?;
/// # let main = store.main()?;
/// # main.put("pear", "green")?; main.put("log/1", "y")?; main.put("hits", "3")?;
/// let options = MergeOptions::default()
///     .strategy_for("log/", Strategy::Theirs)
///     .driver_for("hits", "counter")
///     .resolve("pear", Resolution::Ours);
/// let report = store.merge("main", "topic", options)?;
/// assert!(report.conflicts.is_empty());
/// assert_eq!(main.get(b"hits")?.as_deref(), Some(&b"5"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MergeOptions {
    pub(super) strategy: Option<Strategy>,
    pub(super) strategies: Vec<(KeyPattern, Strategy)>,
    pub(super) drivers: Vec<(KeyPattern, Option<String>)>,
    pub(super) resolutions: Vec<(Vec<u8>, Resolution, Option<Conflict>)>,
    pub(super) fast_forward: FastForward,
    pub(super) strict: bool,
    pub(super) squash: bool,
    pub(super) keep_open: bool,
    pub(super) mainline: Option<u32>,
    pub(super) commit: CommitOptions,
    pub(super) has_message: bool,
}

impl MergeOptions {
    /// Who decides conflicts; as the store's settings say, or nobody ([`Strategy::Manual`]), unless
    /// told.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// Who decides conflicts of some keys. The longest prefix wins, and goes before
    /// [`strategy`](Self::strategy).
    pub fn strategy_for(mut self, keys: impl Into<KeyPattern>, strategy: Strategy) -> Self {
        self.strategies.push((keys.into(), strategy));
        self
    }

    /// The driver that merges values of some keys. The longest prefix wins; it goes before the
    /// strategy, and after resolutions.
    pub fn driver_for(mut self, keys: impl Into<KeyPattern>, driver: impl Into<String>) -> Self {
        self.drivers.push((keys.into(), Some(driver.into())));
        self
    }

    /// No driver for some keys, whatever the store's settings say.
    pub fn no_driver_for(mut self, keys: impl Into<KeyPattern>) -> Self {
        self.drivers.push((keys.into(), None));
        self
    }

    /// How the conflict on a key is settled. It goes before driver and strategy.
    pub fn resolve(mut self, key: impl Into<Vec<u8>>, resolution: Resolution) -> Self {
        self.resolutions.push((key.into(), resolution, None));
        self
    }

    /// How this very conflict is settled: refused if the values are others by the time of the merge.
    pub fn resolve_conflict(mut self, conflict: &Conflict, resolution: Resolution) -> Self {
        self.resolutions.push((conflict.key.clone(), resolution, Some(conflict.clone())));
        self
    }

    /// Whether the target may be moved without a commit; it may, unless told.
    pub fn fast_forward(mut self, fast_forward: FastForward) -> Self {
        self.fast_forward = fast_forward;
        self
    }

    /// Whether every key that both sides changed is a conflict, even if both made the same change.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Whether the merge commit has one parent only. It remembers what it merged all the same: later
    /// merges go on from there.
    pub fn squash(mut self, squash: bool) -> Self {
        self.squash = squash;
        self
    }

    /// Whether what has unresolved conflicts is kept in the store, to be resolved and continued.
    pub fn keep_open(mut self, keep_open: bool) -> Self {
        self.keep_open = keep_open;
        self
    }

    /// Against which parent, counted from 1, the changes of a merge commit are picked or reverted; the
    /// first unless told.
    pub fn mainline(mut self, parent: u32) -> Self {
        self.mainline = Some(parent);
        self
    }

    /// Who makes the commit; the store's author unless told. Picks and rebases keep the authors of
    /// their commits.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.commit = self.commit.author(author);
        self
    }

    /// What is said of the commit; what is merged into what unless told.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.commit = self.commit.message(message);
        self.has_message = true;
        self
    }

    /// What the commit survives; as the store unless told.
    pub fn durability(mut self, durability: crate::kv::Durability) -> Self {
        self.commit = self.commit.durability(durability);
        self
    }

    /// Changes what is said of the commit.
    pub(crate) fn map_commit(
        mut self,
        change: impl FnOnce(CommitOptions) -> CommitOptions,
    ) -> Self {
        self.commit = change(self.commit);
        self
    }
}

/// Rules for merges that a store keeps for its keys; see [`Store::merge_rules`].
///
/// [`Store::merge_rules`]: crate::Store::merge_rules
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.set_merge_driver("notes/", Some("text"))?;
/// let rules = store.merge_rules()?;
/// assert_eq!(rules.drivers[0].1, "text");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeRules {
    /// Who decides conflicts of which keys.
    pub strategies: Vec<(KeyPattern, Strategy)>,
    /// Which driver merges values of which keys, by its name without version; `none` for none.
    pub drivers: Vec<(KeyPattern, String)>,
}

impl MergeRules {
    pub(crate) fn set_driver(&mut self, keys: KeyPattern, driver: Option<String>) {
        self.drivers.retain(|(pattern, _)| *pattern != keys);
        self.drivers.extend(driver.map(|driver| (keys, driver)));
        self.drivers.sort_by(|a, b| a.0.parts().cmp(&b.0.parts()));
    }

    pub(crate) fn set_strategy(&mut self, keys: KeyPattern, strategy: Option<Strategy>) {
        self.strategies.retain(|(pattern, _)| *pattern != keys);
        self.strategies.extend(strategy.map(|strategy| (keys, strategy)));
        self.strategies.sort_by(|a, b| a.0.parts().cmp(&b.0.parts()));
    }
}

impl From<RulesRecord> for MergeRules {
    fn from(record: RulesRecord) -> Self {
        let pattern = |(prefix, suffix)| KeyPattern { prefix, suffix };
        let strategies = record.strategies.into_iter();
        let drivers = record.drivers.into_iter();
        Self {
            strategies: strategies.map(|(parts, code)| (pattern(parts), code.into())).collect(),
            drivers: drivers.map(|(parts, name)| (pattern(parts), name)).collect(),
        }
    }
}

impl From<&MergeRules> for RulesRecord {
    fn from(rules: &MergeRules) -> Self {
        let parts = |pattern: &KeyPattern| (pattern.prefix.clone(), pattern.suffix.clone());
        let (strategies, drivers) = (rules.strategies.iter(), rules.drivers.iter());
        Self {
            strategies: strategies.map(|(keys, one)| (parts(keys), (*one).into())).collect(),
            drivers: drivers.map(|(keys, name)| (parts(keys), name.clone())).collect(),
        }
    }
}

/// Everything that decides a merge, resolved: options before settings before defaults.
pub(crate) struct Policy {
    pub(super) strategy: Strategy,
    strategies: Vec<(KeyPattern, Strategy)>,
    drivers: Vec<(KeyPattern, Option<Arc<dyn MergeDriver>>)>,
    /// Resolutions that were given for this merge.
    pub(super) given: BTreeMap<Vec<u8>, Resolved>,
    /// Resolutions that were made for conflicts of an open merge, with the incoming commit.
    pub(super) stored: BTreeMap<(Seq, Vec<u8>), Resolved>,
    pub(super) strict: bool,
}

/// A resolution, and what it was made for.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(super) resolution: Resolution,
    pub(super) made_for: Option<Conflict>,
    pub(super) by: String,
    pub(super) time: i64,
}

impl Resolved {
    /// As the public sees it.
    pub(super) fn describe(&self) -> OpenResolution {
        let (resolution, by) = (self.resolution.clone(), self.by.clone());
        OpenResolution { resolution, by, time: Timestamp::from_millis(self.time) }
    }

    /// What [`describe`](Self::describe) was made from.
    pub(super) fn again(made: &OpenResolution) -> Self {
        let (resolution, by) = (made.resolution.clone(), made.by.clone());
        Self { resolution, made_for: None, by, time: made.time.as_millis() }
    }
}

impl Policy {
    pub(crate) fn new(
        options: &MergeOptions,
        rules: &MergeRules,
        registry: &Registry,
        (author, now): (&str, i64),
    ) -> Result<Self> {
        let mut strategies = options.strategies.clone();
        let mut drivers = Vec::new();
        for (pattern, name) in &options.drivers {
            let driver = name.as_deref().map(|name| registry.find(name).cloned()).transpose()?;
            drivers.push((pattern.clone(), driver));
        }
        strategies.sort_by_key(|(pattern, _)| pattern.rank());
        drivers.sort_by_key(|(pattern, _)| pattern.rank());
        // What the store says comes behind all that is said here, however long its prefix.
        let mut stored_drivers = Vec::new();
        for (pattern, name) in &rules.drivers {
            let driver = match name.as_str() {
                NO_DRIVER => None,
                name => Some(registry.find(name)?.clone()),
            };
            stored_drivers.push((pattern.clone(), driver));
        }
        stored_drivers.sort_by_key(|(pattern, _)| pattern.rank());
        drivers.extend(stored_drivers);
        if options.strategy.is_none() {
            let mut stored = rules.strategies.clone();
            stored.sort_by_key(|(pattern, _)| pattern.rank());
            strategies.extend(stored);
        }
        let whole = KeyPattern::default();
        let stored = rules.strategies.iter().find(|(pattern, _)| *pattern == whole);
        let by = options.commit.author.as_deref().unwrap_or(author);
        check_text("author", by, MAX_AUTHOR_LEN)?;
        let mut given = BTreeMap::new();
        let mut twice = Vec::new();
        for (key, resolution, made_for) in &options.resolutions {
            check_key(key)?;
            if let Resolution::Value(value) = resolution {
                check_value(value)?;
            }
            let (resolution, made_for) = (resolution.clone(), made_for.clone());
            let resolved = Resolved { resolution, made_for, by: by.to_owned(), time: now };
            if given.insert(key.clone(), resolved).is_some() {
                twice.push(key.clone());
            }
        }
        if !twice.is_empty() {
            return Err(refused(twice, "two resolutions for one key"));
        }
        let strategy =
            options.strategy.or(stored.map(|(_, strategy)| *strategy)).unwrap_or_default();
        let stored = BTreeMap::new();
        Ok(Self { strategy, strategies, drivers, given, stored, strict: options.strict })
    }

    /// How the conflict on a key is to be settled that an incoming commit brings.
    pub(super) fn resolution(&self, at: Seq, key: &[u8]) -> Option<&Resolved> {
        if !self.stored.is_empty()
            && let Some(found) = self.stored.get(&(at, key.to_vec()))
        {
            return Some(found);
        }
        self.given.get(key)
    }

    /// Who decides a conflict on this key.
    pub(super) fn strategy_of(&self, key: &[u8]) -> Strategy {
        let found = self.strategies.iter().find(|(pattern, _)| pattern.matches(key));
        found.map_or(self.strategy, |(_, strategy)| *strategy)
    }

    /// Whether the same change on both sides of this key counts twice.
    pub(super) fn adds_up(&self, key: &[u8]) -> bool {
        self.driver_of(key).is_some_and(|driver| driver.adds_up())
    }

    /// Who merges values of this key.
    pub(super) fn driver_of(&self, key: &[u8]) -> Option<&Arc<dyn MergeDriver>> {
        let found = self.drivers.iter().find(|(pattern, _)| pattern.matches(key));
        found.and_then(|(_, driver)| driver.as_ref())
    }
}

/// Resolutions that cannot be used, by name.
pub(super) fn refused(mut keys: Vec<Vec<u8>>, why: &str) -> Error {
    keys.sort();
    let named: Vec<_> = keys.iter().take(3).map(|key| show_key(key)).collect();
    let more = keys.len().saturating_sub(3);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Error::new(ErrorKind::Precondition, format!("{}{rest}: {why}", named.join(", ")))
        .with_hint("nothing was written; merge again without, and look at the conflicts")
        .with_keys(keys)
}
