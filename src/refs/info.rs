//! Branches, tags and operations, as the public sees them.

use crate::clock::Timestamp;
use crate::id::{CommitId, OpId, Seq};
use crate::name::{BranchName, TagName, matches_glob};

/// What is known of a branch.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let main = store.branch_info("main")?;
/// assert!(main.active);
/// assert_eq!(main.parent, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchInfo {
    /// Its name.
    pub name: BranchName,
    /// The branch it was made from, by its name at that time; none if it was made from another rev.
    pub parent: Option<String>,
    /// The commit it started at.
    pub created_seq: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub creator: String,
    /// Whether it is the active one.
    pub active: bool,
    /// Its newest commit.
    pub head: Seq,
}

/// What is known of a tag.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let tag = store.create_tag("v1", "main", withy::TagOptions::default())?;
/// assert_eq!(tag.seq, withy::Seq::ROOT);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagInfo {
    /// Its name.
    pub name: TagName,
    /// Sequence of the commit it names.
    pub seq: Seq,
    /// Id of the commit it names.
    pub commit: CommitId,
    /// What it stands for.
    pub description: String,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created: Timestamp,
}

/// The order of a list of tags.
///
/// # Examples
/// ```
/// let newest = withy::TagListOptions::default().order(withy::TagOrder::Seq).reverse(true).limit(1);
/// # drop(newest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TagOrder {
    /// By name.
    #[default]
    Name,
    /// By the time the tag was made.
    Time,
    /// By the sequence of the commit.
    Seq,
}

/// Which tags to list, and how.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{TagListOptions, TagOptions};
/// for name in ["v1.0", "v1.1", "v2.0"] {
///     store.create_tag(name, "main", TagOptions::default())?;
/// }
/// let v1 = store.tags(TagListOptions::default().pattern("v1.*"))?;
/// assert_eq!(v1.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TagListOptions {
    pub(crate) order: TagOrder,
    pub(crate) reverse: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) pattern: Option<String>,
}

impl TagListOptions {
    /// The order; by name unless told.
    #[must_use]
    pub fn order(mut self, order: TagOrder) -> Self {
        self.order = order;
        self
    }

    /// Whether the order is turned round.
    #[must_use]
    pub fn reverse(mut self, reverse: bool) -> Self {
        self.reverse = reverse;
        self
    }

    /// At most this many, counted after ordering.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Names that match: `*` stands for any run of characters, `?` for one.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// Filters, orders and cuts.
    pub(crate) fn apply(&self, mut tags: Vec<TagInfo>) -> Vec<TagInfo> {
        if let Some(pattern) = &self.pattern {
            tags.retain(|tag| matches_glob(pattern.as_bytes(), tag.name.as_str().as_bytes()));
        }
        match self.order {
            TagOrder::Name => tags.sort_by(|a, b| a.name.cmp(&b.name)),
            TagOrder::Time => tags.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name))),
            TagOrder::Seq => tags.sort_by(|a, b| (a.seq, &a.name).cmp(&(b.seq, &b.name))),
        }
        if self.reverse {
            tags.reverse();
        }
        tags.truncate(self.limit.unwrap_or(usize::MAX));
        tags
    }
}

/// One entry of the operation log.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// assert_eq!(store.ops(1)?[0].what, "commit to main");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its place in the log.
    pub id: OpId,
    /// When it was done.
    pub time: Timestamp,
    /// Who did it.
    pub author: String,
    /// What was done, such as `create branch topic`.
    pub what: String,
}
