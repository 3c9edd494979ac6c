//! Settings that live in the store. What is given at open goes before them, defaults come after.

use super::Store;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::refs::meta;
use crate::format::{Family, record};
use crate::kv::Durability;
use crate::maintain::gc::{Retention, parse_age};

/// A setting that a store can hold.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::Setting;
/// store.set_config(Setting::Author, Some("ann"))?;
/// assert_eq!(store.config(Setting::Author)?.as_deref(), Some("ann"));
/// assert_eq!("max-branches".parse::<Setting>()?, Setting::MaxBranches);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// `author`: who makes commits that name nobody.
    Author,
    /// `durability`: `sync` or `buffered`.
    Durability,
    /// `max-branches`: at most this many branches.
    MaxBranches,
    /// `max-transactions`: at most this many open transactions.
    MaxTransactions,
    /// `max-operations`: at most this many puts and deletions in one transaction.
    MaxOperations,
    /// `max-transaction-bytes`: at most this many bytes of keys and values in one transaction.
    MaxTransactionBytes,
    /// `transaction-time`: a transaction must commit within this many milliseconds.
    TransactionTime,
    /// `retention`: how much of their past branches keep, see [`Retention`].
    Retention,
    /// `undo-age`: operations younger than this can be undone, such as `30d`; older ones only until the
    /// next [`gc`](Store::gc).
    UndoAge,
    /// `max-tags`: [`gc`](Store::gc) deletes the oldest tags while there are more than this.
    MaxTags,
    /// `keep-tags`: so many of the newest tags it never deletes.
    KeepTags,
}

impl Setting {
    /// All settings, by name.
    pub const ALL: [Self; 11] = [
        Self::Author,
        Self::Durability,
        Self::MaxBranches,
        Self::MaxTransactions,
        Self::MaxOperations,
        Self::MaxTransactionBytes,
        Self::TransactionTime,
        Self::Retention,
        Self::UndoAge,
        Self::MaxTags,
        Self::KeepTags,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Durability => "durability",
            Self::MaxBranches => "max-branches",
            Self::MaxTransactions => "max-transactions",
            Self::MaxOperations => "max-operations",
            Self::MaxTransactionBytes => "max-transaction-bytes",
            Self::TransactionTime => "transaction-time",
            Self::Retention => "retention",
            Self::UndoAge => "undo-age",
            Self::MaxTags => "max-tags",
            Self::KeepTags => "keep-tags",
        }
    }

    /// What holds if nobody says otherwise.
    #[must_use]
    pub const fn default_value(self) -> &'static str {
        match self {
            Self::Author => "",
            Self::Durability => "sync",
            Self::MaxBranches
            | Self::MaxTransactions
            | Self::MaxOperations
            | Self::MaxTransactionBytes
            | Self::TransactionTime
            | Self::MaxTags => "unlimited",
            Self::Retention => "forever",
            Self::UndoAge => "30d",
            Self::KeepTags => "0",
        }
    }

    fn check(self, value: &str) -> Result<()> {
        let fault = match self {
            Self::Author if value.len() > 4096 => Some("it is over 4096 bytes"),
            Self::Durability if !matches!(value, "sync" | "buffered") => {
                Some("use sync or buffered")
            }
            Self::Retention => return value.parse::<Retention>().map(|_| ()),
            Self::UndoAge => return parse_age(value).map(|_| ()),
            Self::Author | Self::Durability => None,
            Self::MaxBranches
            | Self::MaxTransactions
            | Self::MaxOperations
            | Self::MaxTransactionBytes
            | Self::TransactionTime
            | Self::MaxTags
            | Self::KeepTags => value.parse::<u64>().is_err().then_some("use a whole number"),
        };
        match fault {
            None => Ok(()),
            Some(fault) => Err(Error::new(
                ErrorKind::Invalid,
                format!("{value:?} is no value for {}: {fault}", self.name()),
            )),
        }
    }
}

impl std::str::FromStr for Setting {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|setting| setting.name()).collect();
            Error::new(ErrorKind::Invalid, format!("no setting {name:?}"))
                .with_hint(format!("the settings are {}", known.join(", ")))
        })
    }
}

fn key(setting: Setting) -> Vec<u8> {
    [meta::CONFIG, setting.name().as_bytes()].concat()
}

/// A setting, as stored.
pub(super) fn read(engine: &Engine, setting: Setting) -> Result<Option<String>> {
    match engine.get(Family::Meta, &key(setting))? {
        Some(row) => Ok(Some(record::decode("setting", &row)?)),
        None => Ok(None),
    }
}

/// A stored number; `None` for no limit.
pub(super) fn number(engine: &Engine, setting: Setting) -> Result<Option<u64>> {
    Ok(read(engine, setting)?.and_then(|text| text.parse().ok()))
}

/// The stored durability.
pub(super) fn durability(engine: &Engine) -> Result<Option<Durability>> {
    Ok(read(engine, Setting::Durability)?.map(|value| match value.as_str() {
        "buffered" => Durability::Buffered,
        _ => Durability::Sync,
    }))
}

impl Store {
    /// A setting that lives in the store; `None` if the default holds.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) or [`Corrupt`](ErrorKind::Corrupt) if the store cannot be read.
    pub fn config(&self, setting: Setting) -> Result<Option<String>> {
        read(self.engine(), setting)
    }

    /// Sets a setting, or goes back to the default. It counts from the next open on.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the value is none for this setting; nothing is changed then.
    pub fn set_config(&self, setting: Setting, value: Option<&str>) -> Result<()> {
        value.map_or(Ok(()), |value| setting.check(value))?;
        let stored = value.map(|value| record::encode(&value));
        self.publisher()?.set_meta(&key(setting), stored.as_deref())
    }
}
