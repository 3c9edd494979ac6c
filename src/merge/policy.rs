//! What decides a merge: resolutions, drivers and strategies, from its options and the store's rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conflict::Conflict;
use super::driver::{MergeDriver, NO_DRIVER, Registry};
use super::open::OpenResolution;
use super::options::{KeyPattern, MergeOptions, MergeRules};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::kv::{check_key, check_value, show_key};
use crate::publish::{MAX_AUTHOR_LEN, check_text};
use crate::sides::{Resolution, Strategy};

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
        options: &MergeOptions<'_>,
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
