//! Value drivers: three values of a key in, one out.
//!
//! A driver is asked about a key that both sides changed, in different ways, and for which nobody made
//! a resolution. What it settles is no conflict. Results depend on the values alone, so the same merge
//! gives the same result everywhere; `tests/it/merge/laws.rs` holds every driver to its laws.

mod counter;
mod json;
mod last_write;
mod set;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use text::{MarkerLabels, TextMerge, has_markers, merge_text};

use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;

/// What a driver is given: one key's values on the three sides of a merge.
///
/// # Examples
/// ```
/// use withy::{DriverInput, drivers};
/// let input = DriverInput::new(b"hits", Some(b"5"), Some(b"7"), Some(b"6"));
/// assert_eq!(drivers::counter().merge(&input), Ok(Some(b"8".to_vec())));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DriverInput<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value at the merge base; `None` if it is absent there.
    pub base: Option<&'a [u8]>,
    /// The target's value; `None`, if it deleted the key, is given only to drivers that settle deletions.
    pub ours: Option<&'a [u8]>,
    /// The source's value; `None` as for `ours`.
    pub theirs: Option<&'a [u8]>,
    /// The commit that gave the target its value.
    pub ours_at: Seq,
    /// The commit that gave the source its value.
    pub theirs_at: Seq,
}

impl<'a> DriverInput<'a> {
    /// Values of a key, both sides as if written by the same commit.
    #[must_use]
    pub fn new(
        key: &'a [u8],
        base: Option<&'a [u8]>,
        ours: Option<&'a [u8]>,
        theirs: Option<&'a [u8]>,
    ) -> Self {
        Self { key, base, ours, theirs, ours_at: Seq::ROOT, theirs_at: Seq::ROOT }
    }

    /// The same, with the commits that gave the two sides their values.
    #[must_use]
    pub fn written_at(mut self, ours: Seq, theirs: Seq) -> Self {
        (self.ours_at, self.theirs_at) = (ours, theirs);
        self
    }

    /// The same with ours and theirs changed over.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self {
            ours: self.theirs,
            theirs: self.ours,
            ours_at: self.theirs_at,
            theirs_at: self.ours_at,
            ..self
        }
    }
}

/// What a driver says: the merged value (`None` to delete the key), or in words why it cannot; then the
/// key is a conflict.
pub type DriverResult = std::result::Result<Option<Vec<u8>>, String>;

/// Merges values of keys that both sides changed.
///
/// It may be asked while the commit lock is held, so it must not write to the store.
///
/// Results must depend on the input alone. Unless [`directional`](Self::directional) says otherwise,
/// changing the sides over must not change the result, and a side that has the base's value must yield.
///
/// # Examples
/// ```
/// use withy::{DriverInput, DriverResult, MergeDriver};
///
/// /// The larger value wins.
/// struct Largest;
///
/// impl MergeDriver for Largest {
///     fn name(&self) -> &str {
///         "largest/1"
///     }
///     fn ignores_base(&self) -> bool {
///         true
///     }
///     fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
///         Ok(input.ours.max(input.theirs).map(<[u8]>::to_vec))
///     }
/// }
/// assert_eq!(Largest.merge(&DriverInput::new(b"k", None, Some(b"a"), Some(b"b"))), Ok(Some(b"b".to_vec())));
/// ```
pub trait MergeDriver: Send + Sync {
    /// Its name and version, such as `counter/1`. Recorded in the merge commit: another result for the
    /// same values needs another version.
    fn name(&self) -> &str;

    /// Whether it is also asked where one side deleted the key. Else that is always a conflict.
    fn settles_deletions(&self) -> bool {
        false
    }

    /// Whether it is also asked where both sides made the same change: two increments are two. Else
    /// that change is taken once.
    fn adds_up(&self) -> bool {
        false
    }

    /// Whether it needs no value of the base, so that it is asked even if several bases disagree.
    fn ignores_base(&self) -> bool {
        false
    }

    /// Whether its result may depend on which side is which.
    fn directional(&self) -> bool {
        false
    }

    /// The merged value.
    fn merge(&self, input: &DriverInput<'_>) -> DriverResult;
}

/// A driver from a closure over base, ours and theirs; see [`driver_fn`].
struct FnDriver<F> {
    name: String,
    merge: F,
}

impl<F> MergeDriver for FnDriver<F>
where
    F: Fn(Option<&[u8]>, &[u8], &[u8]) -> std::result::Result<Vec<u8>, String> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        match (input.ours, input.theirs) {
            // A side that changed nothing yields, whatever the closure thinks of it.
            (Some(side), Some(changed)) | (Some(changed), Some(side))
                if input.base == Some(side) =>
            {
                Ok(Some(changed.to_vec()))
            }
            (Some(ours), Some(theirs)) => (self.merge)(input.base, ours, theirs).map(Some),
            _ => Err("one side deleted the key".into()),
        }
    }
}

/// A driver from a closure over base, ours and theirs. The name must have a version: `largest/1`.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{MergeOptions, Read, Store, driver_fn};
/// let largest = driver_fn("largest/1", |_base, ours, theirs| Ok(ours.max(theirs).to_vec()));
/// let store = Store::options().driver(largest).open(dir.path())?;
/// store.set_merge_driver("high/", Some("largest"))?;
/// # let topic = store.create_branch("topic", "main", Default::default())?;
/// topic.put("high/score", "7")?;
/// store.main()?.put("high/score", "5")?;
/// store.merge("main", "topic", MergeOptions::default())?;
/// assert_eq!(store.main()?.get(b"high/score")?.as_deref(), Some(&b"7"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn driver_fn<F>(name: impl Into<String>, merge: F) -> Arc<dyn MergeDriver>
where
    F: Fn(Option<&[u8]>, &[u8], &[u8]) -> std::result::Result<Vec<u8>, String>
        + Send
        + Sync
        + 'static,
{
    Arc::new(FnDriver { name: name.into(), merge })
}

/// The drivers that withy brings along.
pub mod drivers {
    use std::sync::Arc;

    use super::MergeDriver;

    /// `text`: merges by lines, as git does. Changes that meet are a conflict.
    #[must_use]
    pub fn text() -> Arc<dyn MergeDriver> {
        Arc::new(super::text::Text)
    }

    /// `json`: merges objects by member, and arrays of objects that have an `id` by that; other arrays
    /// are one value.
    #[must_use]
    pub fn json() -> Arc<dyn MergeDriver> {
        Arc::new(super::json::Json)
    }

    /// `counter`: a signed 64-bit number in ASCII; both sides' differences are added.
    #[must_use]
    pub fn counter() -> Arc<dyn MergeDriver> {
        Arc::new(super::counter::Counter)
    }

    /// `set`: one member a line; a member is in if a side added it, and out if a side removed it.
    #[must_use]
    pub fn set() -> Arc<dyn MergeDriver> {
        Arc::new(super::set::Set)
    }

    /// `last-write`: the side that was written by the later commit wins, a deletion included.
    #[must_use]
    pub fn last_write() -> Arc<dyn MergeDriver> {
        Arc::new(super::last_write::LastWrite)
    }

    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Arc<dyn MergeDriver>> {
        vec![text(), json(), counter(), set(), last_write()]
    }
}

/// The drivers a store knows, by name without version.
#[derive(Clone)]
pub(crate) struct Registry {
    by_name: BTreeMap<String, Arc<dyn MergeDriver>>,
}

/// The name, in settings, for keys that no driver merges.
pub(crate) const NO_DRIVER: &str = "none";

/// `counter` of `counter/1`.
fn plain(name: &str) -> &str {
    name.split_once('/').map_or(name, |(plain, _)| plain)
}

impl Registry {
    /// Refuses a driver whose name has no version.
    pub(crate) fn new(own: &[Arc<dyn MergeDriver>]) -> Result<Self> {
        for driver in own {
            let name = driver.name();
            let whole = name.split_once('/').is_some_and(|(plain, version)| {
                !plain.is_empty() && !version.is_empty() && plain != NO_DRIVER && name.len() <= 256
            });
            if !whole {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("{name:?} is no name for a driver"),
                )
                .with_hint("a name and a version, such as counter/1"));
            }
        }
        let all = drivers::all().into_iter().chain(own.iter().cloned());
        let by_name = all.map(|driver| (plain(driver.name()).to_owned(), driver)).collect();
        Ok(Self { by_name })
    }

    /// The name of a known driver, without version.
    pub(crate) fn plain_name(&self, name: &str) -> Result<String> {
        if name == NO_DRIVER {
            return Ok(name.to_owned());
        }
        self.find(name).map(|driver| plain(driver.name()).to_owned())
    }

    /// The driver of this name, given with or without version.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<dyn MergeDriver>> {
        let found = self.by_name.get(plain(name));
        found.filter(|driver| !name.contains('/') || driver.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            Error::new(ErrorKind::Invalid, format!("no merge driver {name:?}"))
                .with_hint(format!("the drivers are {}", known.join(", ")))
        })
    }
}
