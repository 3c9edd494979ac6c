//! Followers: readers that keep up with a writer in another process.
//!
//! A follower opens the store for reading again whenever its files have changed, with the same cache. So
//! each state that it shows is that of one open, consistent in itself, and views of earlier states go on
//! showing them.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{OpenOptions, Store};
use crate::clock::Deadline;
use crate::engine::{EngineOptions, Mode, Stamp, stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::{Feed, FeedEvent, FeedOptions};
use crate::id::Seq;
use crate::view::View;

/// How a store is followed.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let writer = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::{FollowOptions, Store};
/// let options = FollowOptions::default().every(Duration::from_millis(5)).cache_bytes(16 << 20);
/// let follower = Store::follow(dir.path(), options)?;
/// assert!(follower.store().is_read_only());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FollowOptions {
    every: Duration,
    cache_bytes: usize,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self { every: Duration::from_millis(50), cache_bytes: 64 << 20 }
    }
}

impl FollowOptions {
    /// How often it looks for new commits while it waits; 20 times a second unless told.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(1));
        self
    }

    /// Memory for data read from disk, in bytes, shared by all states that are open; 64 MiB unless told.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }
}

/// A reader that keeps up with a writer in another process; see [`Store::follow`].
///
/// It shows one state of the store until [`refresh`](Self::refresh) finds a newer one; handles and views
/// of a state go on showing that state.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let writer = withy::Store::open(dir.path())?;
/// use withy::{Read, Store};
/// writer.main()?.put("pear", "green")?;
/// let mut follower = Store::follow(dir.path(), Default::default())?;
/// let before = follower.view("main")?;
/// writer.main()?.put("pear", "yellow")?;
/// assert!(follower.refresh()?);
/// assert_eq!(follower.view("main")?.get(b"pear")?.as_deref(), Some(&b"yellow"[..]));
/// assert_eq!(before.get(b"pear")?.as_deref(), Some(&b"green"[..]), "a view stays as it is");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follower {
    path: PathBuf,
    engine: EngineOptions,
    every: Duration,
    store: Store,
    /// How the files were before the newest open.
    stamp: Stamp,
}

impl Follower {
    fn open(path: &Path, options: &FollowOptions) -> Result<Self> {
        let engine = EngineOptions::new(Mode::Read, options.cache_bytes);
        let open = OpenOptions::default().read_only(true);
        // What is not a store is refused in words.
        super::open::must_be_store(path)?;
        let before = stamp(path);
        let store = open.open_with_cache(path, &engine)?;
        Ok(Self { path: path.to_owned(), engine, every: options.every, store, stamp: before })
    }

    /// The store as of the newest state that was found. It can be cloned and kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The data as of any rev, in that state.
    ///
    /// # Errors
    /// As for [`Store::view`].
    pub fn view(&self, rev: &str) -> Result<View> {
        self.store.view(rev)
    }

    /// Goes on to the state that the store is in now; says whether it may be another one.
    ///
    /// Cost: a look at the directory if nothing was written; else an open for reading, which reads what
    /// the writer's log holds that is not in data files yet: up to 256 MiB beside a busy writer.
    ///
    /// # Errors
    /// [`Incompatible`](ErrorKind::Incompatible) if another store is in the directory now; else as for
    /// [`OpenOptions::open`]. The follower stays in the state that it was in.
    pub fn refresh(&mut self) -> Result<bool> {
        let now = stamp(&self.path);
        if now == self.stamp {
            return Ok(false);
        }
        super::open::must_be_store(&self.path)?;
        let open = OpenOptions::default().read_only(true);
        let store = open.open_with_cache(&self.path, &self.engine)?;
        if store.id() != self.store.id() {
            let text = format!("another store is in {} now", self.path.display());
            return Err(Error::new(ErrorKind::Incompatible, text).with_hint("follow it anew"));
        }
        (self.store, self.stamp) = (store, now);
        Ok(true)
    }

    /// Waits until there is a commit after this one, or the time is over; says whether there is.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let writer = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// let mut follower = withy::Store::follow(dir.path(), Default::default())?;
    /// let newest = follower.store().latest();
    /// assert!(!follower.wait_beyond(newest, Duration::from_millis(1))?);
    /// writer.main()?.put("pear", "green")?;
    /// assert!(follower.wait_beyond(newest, Duration::from_secs(5))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_beyond(&mut self, seq: Seq, wait: Duration) -> Result<bool> {
        let deadline = Deadline::after(wait);
        loop {
            if self.store.latest() > seq {
                return Ok(true);
            }
            if self.refresh()? {
                continue;
            }
            let Some(left) = deadline.left() else { return Ok(false) };
            thread::sleep(left.min(self.every));
        }
    }

    /// The commits after a position, and then new ones as the writer makes them. It may give a commit a
    /// moment before it is on disk.
    ///
    /// # Errors
    /// As for [`Store::feed`].
    pub fn subscribe(&mut self, after: Seq, options: FeedOptions) -> Result<FollowerFeed<'_>> {
        let feed = self.store.feed(after, options)?;
        Ok(FollowerFeed { follower: self, feed })
    }
}

/// The feed of a store that another process writes to; see [`Follower::subscribe`].
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let writer = withy::Store::open(dir.path())?;
/// use std::time::Duration;
/// use withy::{Seq, Store};
/// let mut follower = Store::follow(dir.path(), Default::default())?;
/// let mut news = follower.subscribe(Seq::ROOT, Default::default())?;
/// assert!(news.next_timeout(Duration::from_millis(1))?.is_none());
/// writer.main()?.put("pear", "green")?;
/// let event = news.next_timeout(Duration::from_secs(5))?.expect("a commit");
/// assert_eq!(event.commit.seq, news.position());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FollowerFeed<'f> {
    follower: &'f mut Follower,
    feed: Feed,
}

impl FollowerFeed<'_> {
    /// The next commit; `None` if none comes in time, or as many were given as were asked for.
    ///
    /// # Errors
    /// [`HistoryGone`](ErrorKind::HistoryGone), naming the first position, if commits after the position
    /// are no longer kept; [`NotFound`](ErrorKind::NotFound) if the store has lost commits that were
    /// given, as a crash does to those that were not on disk; else as for [`Follower::refresh`]. The
    /// position stays where it is.
    pub fn next_timeout(&mut self, wait: Duration) -> Result<Option<FeedEvent>> {
        let deadline = Deadline::after(wait);
        loop {
            if let Some(event) = self.feed.next().transpose()? {
                return Ok(Some(event));
            }
            if self.feed.is_full() {
                return Ok(None);
            }
            let position = self.feed.position();
            if !self.follower.wait_beyond(position, deadline.left().unwrap_or_default())? {
                return Ok(None);
            }
            let store = &self.follower.store;
            self.feed.go_on(store.graph(), store.latest())?;
        }
    }

    /// Everything up to here has been given or passed over: where to go on.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.feed.position()
    }
}

impl Store {
    /// Follows a store that another process writes to, or may write to. No file is changed, and the writer
    /// does not know of it: what it lets go is gone at the next [`refresh`](Follower::refresh), while
    /// views of earlier states stay exact.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`] for reading.
    ///
    /// # Examples
    /// See [`Follower`].
    pub fn follow(path: impl AsRef<Path>, options: FollowOptions) -> Result<Follower> {
        Follower::open(path.as_ref(), &options)
    }
}
