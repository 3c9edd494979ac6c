//! The changefeed: commits with their changes, in commit order.

pub(crate) mod cursor;

use std::sync::Arc;

use crate::clock::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::format::commit::read_first;
use crate::format::{Family, keys};
use crate::graph::{Commit, Graph, gone_before};
use crate::id::Seq;
use crate::kv::{ChangeKind, KeyRange};
use crate::publish::Publisher;
use crate::view::{Read, View};

/// Which commits a feed gives.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{FeedOptions, KeyRange, Seq};
/// store.main()?.put("fruit/pear", "green")?;
/// store.main()?.put("tree/oak", "old")?;
/// let fruit = FeedOptions::default().branch("main").range(KeyRange::prefix("fruit/"));
/// assert_eq!(store.feed(Seq::ROOT, fruit)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FeedOptions {
    branch: Option<String>,
    range: KeyRange,
    limit: Option<usize>,
    names_only: bool,
}

impl FeedOptions {
    /// Only commits made on the branch that had this name at the time. Such a feed does not miss what
    /// other branches have lost.
    #[must_use]
    pub fn branch(mut self, name: impl Into<String>) -> Self {
        self.branch = Some(name.into());
        self
    }

    /// Only changes of keys in this range, and only commits with such changes.
    #[must_use]
    pub fn range(mut self, range: KeyRange) -> Self {
        self.range = range;
        self
    }

    /// At most this many commits.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether values are left out, and not read.
    #[must_use]
    pub fn names_only(mut self, names_only: bool) -> Self {
        self.names_only = names_only;
        self
    }
}

/// One change of a [`FeedEvent`].
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let event = store.feed(withy::Seq::ROOT, Default::default())?.next().expect("one commit")?;
/// assert_eq!(event.changes[0].value.as_deref(), Some(&b"green"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedChange {
    /// The key.
    pub key: Vec<u8>,
    /// What the commit did to it.
    pub kind: ChangeKind,
    /// The value it set; `None` for a deletion, or if values are left out.
    pub value: Option<Vec<u8>>,
}

/// One commit of the feed, whole.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let event = store.feed(withy::Seq::ROOT, Default::default())?.next().expect("one commit")?;
/// assert_eq!((event.commit.seq.get(), event.changes.len()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedEvent {
    /// The commit.
    pub commit: Commit,
    /// Its changes, in key order, as far as the options want them.
    pub changes: Vec<FeedChange>,
}

/// Commits after a position, oldest first; see [`Store::feed`](crate::Store::feed).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// store.main()?.put("pear", "green")?;
/// let mut feed = store.feed(withy::Seq::ROOT, Default::default())?;
/// assert_eq!(feed.next().expect("one commit")?.commit.seq, feed.position());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Feed {
    graph: Arc<Graph>,
    position: Seq,
    /// The newest commit that may be given: acknowledged when the feed was opened.
    upto: Seq,
    options: FeedOptions,
    given: usize,
}

impl Feed {
    pub(crate) fn new(
        graph: Arc<Graph>,
        after: Seq,
        upto: Seq,
        options: FeedOptions,
    ) -> Result<Self> {
        if after > upto {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("position {after} is in the future, the newest commit is {upto}"),
            ));
        }
        Ok(Self { graph, position: after, upto, options, given: 0 })
    }

    /// Everything up to here has been given or passed over: where to go on.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Goes on where it is in a later state of the same store.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if that ends before the position: commits were lost that it has given.
    pub(crate) fn go_on(&mut self, graph: &Arc<Graph>, upto: Seq) -> Result<()> {
        let after = self.position;
        let next = Self::new(Arc::clone(graph), after, upto, std::mem::take(&mut self.options))?;
        *self = Self { given: self.given, ..next };
        Ok(())
    }

    /// Whether as many were given as were asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.given >= limit)
    }

    fn step(&mut self) -> Result<Option<FeedEvent>> {
        if self.is_full() || self.position >= self.upto {
            return Ok(None);
        }
        let engine = Arc::clone(self.graph.engine());
        let end = keys::log(self.upto.next(), 0);
        let mut rows = engine.iter(Family::Log, &keys::log(self.position.next(), 0), Some(&end));
        rows.seek_to_first();
        while let Some((key, value)) = rows.current()? {
            let Some((seq, part)) = keys::log_parts(key)? else { break };
            if part == 0 {
                self.first_is_next(seq)?;
                let (header, _) = read_first(value)?;
                let mut event = None;
                if self.options.branch.as_ref().is_none_or(|name| *name == header.branch) {
                    event = match self.event(Commit::new(seq, header)) {
                        // Its record is there for a while longer than its values.
                        Err(e) if e.kind() == ErrorKind::HistoryGone => {
                            return Err(self.values_gone(seq, e)?);
                        }
                        event => event?,
                    };
                }
                // Not before: whoever goes on after an error goes on with this commit.
                self.position = seq;
                if event.is_some() {
                    self.given += 1;
                    return Ok(event);
                }
            }
            rows.next();
        }
        drop(rows);
        // What was committed last may be the first to go.
        self.first_is_next(self.upto.next())?;
        self.position = self.upto;
        Ok(None)
    }

    /// A feed never skips: what follows a position is the commit after it, or its history is gone. Commits
    /// that it is not about may be missing, if they are gone.
    fn first_is_next(&self, seq: Seq) -> Result<()> {
        let after = self.position;
        if seq == after.next() {
            return Ok(());
        }
        if self.graph.log_start()?.next() < seq {
            let text = format!("a commit after {after} and before {seq} is missing from the log");
            return Err(Error::new(ErrorKind::Corrupt, text)
                .with_hint("the store is damaged; run `verify`"));
        }
        let is_own = match &self.options.branch {
            Some(name) => self.graph.log_start_of(name)? > after,
            None => true,
        };
        if is_own { Err(self.gone()?) } else { Ok(()) }
    }

    /// The error for a commit whose record is there, but not all of its values.
    fn values_gone(&self, seq: Seq, e: Error) -> Result<Error> {
        let start = self.graph.feed_start(self.options.branch.as_deref())?;
        // Retention by prefix lets values go before commits.
        let start = if start < seq { self.graph.whole_start()? } else { start };
        Ok(if start < seq { e } else { gone_before(self.position, start) })
    }

    /// The error that names the first position after which everything is there.
    fn gone(&self) -> Result<Error> {
        let start = self.graph.feed_start(self.options.branch.as_deref())?;
        Ok(gone_before(self.position, start))
    }

    fn event(&self, commit: Commit) -> Result<Option<FeedEvent>> {
        let all = self.options.range.is_all();
        let wanted: Vec<_> = self
            .graph
            .changes(commit.seq)?
            .into_iter()
            .filter(|change| all || self.options.range.contains(&change.key))
            .collect();
        if wanted.is_empty() && !all {
            return Ok(None);
        }
        let values = if self.options.names_only {
            vec![None; wanted.len()]
        } else {
            let view = View::in_part(&self.graph, self.graph.place(commit.seq)?)?;
            let names: Vec<&[u8]> = wanted.iter().map(|change| change.key.as_slice()).collect();
            view.multi_get(&names)?
        };
        let changes = wanted
            .into_iter()
            .zip(values)
            .map(|(change, value)| FeedChange { key: change.key, kind: change.kind, value })
            .collect();
        Ok(Some(FeedEvent { commit, changes }))
    }
}

impl Iterator for Feed {
    type Item = Result<FeedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.upto = self.position;
        }
        step.transpose()
    }
}

/// A feed that waits for new commits; see [`Store::subscribe`](crate::Store::subscribe).
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// let mut news = store.subscribe(store.latest(), Default::default())?;
/// assert!(news.next_timeout(Duration::from_millis(1))?.is_none());
/// store.main()?.put("pear", "green")?;
/// let event = news.next_timeout(Duration::from_secs(5))?.expect("a commit");
/// assert_eq!(event.commit.seq.get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    publisher: Arc<Publisher>,
    feed: Feed,
}

impl Subscription {
    pub(crate) fn new(publisher: Arc<Publisher>, feed: Feed) -> Self {
        Self { publisher, feed }
    }

    /// The next commit; `None` if none comes in time.
    ///
    /// # Errors
    /// [`ErrorKind::HistoryGone`] if commits after the position are no longer kept;
    /// [`ErrorKind::Io`] or [`ErrorKind::Corrupt`] if the store cannot be read.
    pub fn next_timeout(&mut self, wait: std::time::Duration) -> Result<Option<FeedEvent>> {
        let deadline = Deadline::after(wait);
        loop {
            if let Some(event) = self.feed.step()? {
                return Ok(Some(event));
            }
            if self.feed.is_full() {
                return Ok(None);
            }
            self.feed.upto = self.publisher.acknowledged()?;
            if self.feed.upto > self.feed.position {
                continue;
            }
            // Behind a failed write nothing new is acknowledged.
            self.publisher.check()?;
            let Some(left) = deadline.left() else { return Ok(None) };
            self.publisher.wait_beyond(self.feed.position, left);
        }
    }

    /// Everything up to here has been given or passed over: where to go on.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.feed.position
    }
}
