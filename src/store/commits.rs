//! Reading history: commits, logs, versions, differences, the feed.

use super::Store;
use crate::clock::Timestamp;
use crate::diff::{Diff, DiffCounts, DiffOptions, counts};
use crate::error::Result;
use crate::feed::{Feed, FeedOptions, Subscription};
use crate::graph::{Commit, CommitChange, Log, LogFilter};
use crate::id::Seq;
use crate::kv::{KeyRange, check_key};
use crate::view::History;

/// Which commits a log shows.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{KeyRange, LogOptions};
/// store.main()?.put("fruit/pear", "green")?;
/// store.main()?.put("tree/oak", "old")?;
/// let fruit = LogOptions::default().range(KeyRange::prefix("fruit/")).limit(10);
/// assert_eq!(store.log("main", fruit)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    filter: LogFilter,
}

impl LogOptions {
    /// Only commits that change a key in this range.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.filter.range = Some(range);
        self
    }

    /// Only commits whose author contains this text.
    #[must_use]
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.filter.author = Some(author.into());
        self
    }

    /// Only commits made at this time or later; see [`Commit::when`].
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.filter.since = Some(since);
        self
    }

    /// Only commits made at this time or earlier; see [`Commit::when`].
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Self {
        self.filter.until = Some(until);
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.filter.limit = Some(limit);
        self
    }

    /// Whether only first parents are followed.
    #[must_use]
    pub fn first_parent(mut self, first_parent: bool) -> Self {
        self.filter.first_parent = first_parent;
        self
    }
}

impl Store {
    /// The commit that a rev names.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn commit(&self, rev: &str) -> Result<Commit> {
        self.graph().commit(self.resolve(rev)?.seq)
    }

    /// A rev and all its ancestors, newest first. Cost: one look-up for each commit.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn log(&self, rev: &str, options: LogOptions) -> Result<Log> {
        Ok(Log::new(self.graph().clone(), self.resolve(rev)?.seq, options.filter))
    }

    /// What a commit changed against its first parent, in key order.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such commit.
    pub fn changes(&self, seq: Seq) -> Result<Vec<CommitChange>> {
        let place = self.resolver().seq(seq)?;
        self.graph().changes(place.seq)
    }

    /// All versions of a key up to a rev, newest first, back across forks. Cost: one range read on
    /// each line that the branch was forked from, however many commits there are.
    ///
    /// # Errors
    /// As for [`view`](Self::view); [`Limit`](crate::ErrorKind::Limit) if the key is empty or too long.
    pub fn history(&self, rev: &str, key: &[u8]) -> Result<History> {
        check_key(key)?;
        let place = self.resolve(rev)?;
        History::new(self.graph(), place, key)
    }

    /// The net differences from one rev to another, in key order. Cost: the changes on the way, not
    /// the size of the store.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn diff(&self, from: &str, to: &str, options: DiffOptions) -> Result<Diff> {
        Diff::new(self.view(from)?, self.view(to)?, &options)
    }

    /// How many keys differ between two revs. Cost: as for [`diff`](Self::diff), without values.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn diff_counts(&self, from: &str, to: &str, range: &KeyRange) -> Result<DiffCounts> {
        counts(&self.view(from)?, &self.view(to)?, range)
    }

    /// The best common ancestors of two revs, newest first: those that are no ancestors of others.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// store.main()?.put("pear", "green")?;
    /// let topic = store.create_branch("topic", "main", Default::default())?;
    /// topic.put("plum", "blue")?;
    /// store.main()?.put("pear", "yellow")?;
    /// assert_eq!(store.merge_base("main", "topic")?, [withy::Seq::new(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge_base(&self, first: &str, second: &str) -> Result<Vec<Seq>> {
        let difference = self.graph().difference(self.resolve(first)?, self.resolve(second)?)?;
        Ok(difference.bases.into_iter().map(|place| place.seq).collect())
    }

    /// Whether the first rev is the second one or an ancestor of it.
    ///
    /// # Errors
    /// As for [`view`](Self::view).
    pub fn is_ancestor(&self, ancestor: &str, of: &str) -> Result<bool> {
        self.graph().is_ancestor(self.resolve(ancestor)?, self.resolve(of)?)
    }

    /// The commits after a position, in commit order, each once and whole, up to the newest one that
    /// is acknowledged now. In a `Sync` store every commit it gives is on disk; in a store that is open
    /// for reading only it also gives what the writer has written and not synced yet.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the position is in the future;
    /// [`HistoryGone`](crate::ErrorKind::HistoryGone), from the iterator, if commits after it are no longer
    /// kept; of a feed of one branch, if commits of that branch are.
    pub fn feed(&self, after: Seq, options: FeedOptions) -> Result<Feed> {
        let upto = match &self.inner.publisher {
            Some(publisher) => publisher.acknowledged()?,
            None => self.inner.fixed,
        };
        Feed::new(self.graph().clone(), after, upto, options)
    }

    /// The commits after a position, and then new ones as they come.
    ///
    /// # Errors
    /// As for [`feed`](Self::feed); [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is open for
    /// reading only: nothing new comes there.
    pub fn subscribe(&self, after: Seq, options: FeedOptions) -> Result<Subscription> {
        let publisher = self.publisher()?.clone();
        Ok(Subscription::new(publisher, self.feed(after, options)?))
    }
}
