//! How a collection is asked for, and what it says.

use crate::progress::{Meter, takes_progress};

/// How to collect.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::GcOptions;
/// let gentle = GcOptions::default().bytes_per_second(1 << 20).compact(false);
/// assert_eq!(store.gc(gentle)?.commits, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct GcOptions<'a> {
    pub(super) bytes_per_second: Option<u64>,
    pub(super) compact: bool,
    pub(super) meter: Meter<'a>,
}

impl Default for GcOptions<'_> {
    fn default() -> Self {
        Self { bytes_per_second: None, compact: true, meter: Meter::default() }
    }
}

impl<'a> GcOptions<'a> {
    /// Removes about so many bytes of keys a second at most, and compacts about so many of data, so that
    /// others have the disk; as fast as it goes unless told.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes);
        self
    }

    /// Whether files are compacted at the end, so that what was removed leaves the disk; yes unless told.
    /// Otherwise it leaves as RocksDB compacts by itself.
    pub fn compact(mut self, compact: bool) -> Self {
        self.compact = compact;
        self
    }
}

takes_progress!(GcOptions:
    "While files are compacted it is called after each 64 MiB or so. The next run goes on from there.");

/// What a collection has removed.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{GcOptions, Setting};
/// let main = store.main()?;
/// for value in ["green", "yellow", "brown"] {
///     main.put("pear", value)?;
/// }
/// store.set_config(Setting::Retention, Some("count=1"))?;
/// assert_eq!(store.gc(GcOptions::default())?.commits, 2);
/// assert!(store.view("main~1").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// Rows that were looked at.
    pub examined: u64,
    /// Rows that were removed.
    pub rows: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
    /// Commits that are no longer kept.
    pub commits: u64,
    /// Lines of commits that nothing led to any more.
    pub lines: u64,
    /// Operations that can no longer be undone.
    pub operations: u64,
    /// Large values that nothing named any more.
    pub values: u64,
    /// Whether an earlier run, which was interrupted, was finished first.
    pub resumed: bool,
    /// Whether branches and tags moved so often that nothing new could be decided: run it again.
    pub postponed: bool,
}
