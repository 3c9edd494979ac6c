//! What a caller says of a merge.

use std::fmt;
use std::ops::ControlFlow;

use super::conflict::Conflict;
use crate::format::merge::RulesRecord;
use crate::kv::show_key;
use crate::progress::{Meter, Progress, Shared, takes_progress};
use crate::publish::CommitOptions;
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
    pub(super) fn rank(&self) -> std::cmp::Reverse<(usize, usize)> {
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
pub struct MergeOptions<'a> {
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
    pub(super) told: Shared<'a>,
}

impl<'a> MergeOptions<'a> {
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

    /// Calls this with the progress now and then: keys read, decided and written; `Break` ends the work with
    /// [`Interrupted`](crate::ErrorKind::Interrupted), and nothing of it is written. After the last call
    /// it cannot be stopped. Clones of the options share the callback; work that finds it being called by
    /// another thread does without.
    ///
    /// While the merge is written, while one that is to stay open is planned, and where the branch has moved so
    /// often that the plan is made under the lock, other writers wait: a callback that writes to the same
    /// store then waits for itself.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::ops::ControlFlow;
    /// use withy::{ErrorKind, MergeOptions, Read};
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("pear", "yellow")?;
    /// store.main()?.put("plum", "blue")?;
    /// let stop = MergeOptions::default().progress(|so_far| match so_far.stage {
    ///     "write" => ControlFlow::Break(()),
    ///     _ => ControlFlow::Continue(()),
    /// });
    /// let stopped = store.merge("main", "topic", stop).expect_err("it was stopped");
    /// assert_eq!(stopped.kind(), ErrorKind::Interrupted);
    /// assert!(!store.main()?.contains(b"pear")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn progress(mut self, call: impl FnMut(Progress) -> ControlFlow<()> + Send + 'a) -> Self {
        self.told = Shared::new(call);
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

/// How an open merge goes on: what is said of the commit, and who is told the progress. Made from
/// [`CommitOptions`].
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// # use std::ops::ControlFlow;
/// # use withy::{MergeOptions, Resolution};
/// use withy::{CommitOptions, ContinueOptions};
/// # let topic = store.create_branch("topic", "main", Default::default())?;
/// # topic.put("pear", "yellow")?;
/// # store.main()?.put("pear", "green")?;
/// # store.merge("main", "topic", MergeOptions::default().keep_open(true))?;
/// # store.resolve_conflicts("main", [("pear", Resolution::Theirs)], None)?;
/// let mut keys = 0;
/// let options = ContinueOptions::from(CommitOptions::default().author("ann")).progress(|so_far| {
///     keys = so_far.items;
///     ControlFlow::Continue(())
/// });
/// store.continue_merge("main", options)?;
/// assert_eq!(keys, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ContinueOptions<'a> {
    pub(super) commit: CommitOptions,
    pub(super) meter: Meter<'a>,
}

impl From<CommitOptions> for ContinueOptions<'_> {
    fn from(commit: CommitOptions) -> Self {
        Self { commit, meter: Meter::default() }
    }
}

takes_progress!(ContinueOptions: "Nothing is written then, and what is open stays as it was. Other writers wait \
    all the time, so a callback that writes to the same store waits for itself.");

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
