//! Named readers of the feed.

use super::Store;
use crate::error::Result;
use crate::feed::cursor::{self, Cursor, CursorInfo, CursorOptions};
use crate::id::Seq;

impl Store {
    /// Makes or opens a cursor: a named reader of the feed whose place is kept in the store. One at a time
    /// holds it, by a lease; while the lease lasts, [`gc`](Self::gc) keeps everything after the
    /// acknowledged position, on every branch. Times are those of the store's clock; a lease lasts for
    /// twice its length at most, however the clock is set.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy), naming owner and end of the lease, if another holds it;
    /// [`Invalid`](crate::ErrorKind::Invalid) if it was made for another branch or range, or a name or
    /// the lease is none; for a new one [`HistoryGone`](crate::ErrorKind::HistoryGone) if commits after
    /// its start are no longer kept, and [`NotFound`](crate::ErrorKind::NotFound) if that is in the
    /// future; [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is. Nothing is changed then. Else
    /// as for a commit.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CursorOptions, ErrorKind};
    /// let mut ann = store.cursor("mirror", CursorOptions::default().owner("ann"))?;
    /// let ben = store.cursor("mirror", CursorOptions::default().owner("ben"));
    /// assert_eq!(ben.err().map(|e| e.kind()), Some(ErrorKind::Busy));
    /// store.main()?.put("pear", "green")?;
    /// assert_eq!(ann.next_batch(10)?.len(), 1);
    /// ann.ack(ann.position())?;
    /// ann.release()?;
    /// let mut ben = store.cursor("mirror", CursorOptions::default().owner("ben"))?;
    /// assert!(ben.next_batch(10)?.is_empty(), "ann has done it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cursor(&self, name: &str, options: CursorOptions) -> Result<Cursor> {
        cursor::open(self.publisher()?, name, options)
    }

    /// All cursors, by name.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    ///
    /// # Examples
    /// See [`CursorInfo`].
    pub fn cursors(&self) -> Result<Vec<CursorInfo>> {
        cursor::list(self.engine(), self.inner.clock.now())
    }

    /// Deletes a cursor, whoever holds it: they find the lease lost.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none of this name; else as for a commit.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::ErrorKind;
    /// let mut cursor = store.cursor("mirror", Default::default())?;
    /// store.delete_cursor("mirror")?;
    /// assert_eq!(cursor.renew().err().map(|e| e.kind()), Some(ErrorKind::LeaseLost));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_cursor(&self, name: &str) -> Result<()> {
        cursor::delete(self.publisher()?, name)
    }

    /// The first position from which the feed is whole: every commit after it is kept.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) or [`Corrupt`](crate::ErrorKind::Corrupt) if the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// assert_eq!(store.feed_start()?, withy::Seq::ROOT);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn feed_start(&self) -> Result<Seq> {
        self.graph().log_start()
    }
}
