//! Reading with a cursor.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Feed, FeedEvent, FeedOptions, Subscription};
use super::info::range_of;
use super::{check_start, find, held, row};
use crate::clock::{Deadline, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{CursorRecord, HolderRecord};
use crate::id::Seq;
use crate::publish::Publisher;

/// A named reader of the feed whose place is kept in the store; see
/// [`Store::cursor`](crate::Store::cursor).
///
/// Every commit is given at least once, in order: whoever opens the cursor next starts after the last
/// position that was [acknowledged](Self::ack). Reading renews the lease when half of it is over, so
/// does acknowledging; who does neither for longer calls [`renew`](Self::renew). A lease that has lapsed
/// and that nobody has taken can still be renewed.
///
/// Dropping the handle leaves the lease as it is: it outlives the process, and keeps what follows for
/// the next run of the same owner. [`release`](Self::release) gives it up.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{CursorOptions, Seq};
/// store.main()?.put("pear", "green")?;
/// let mut cursor = store.cursor("mirror", CursorOptions::default().after(Seq::ROOT))?;
/// for event in cursor.next_batch(100)? {
///     println!("{} changes", event.changes.len());
///     cursor.ack(event.commit.seq)?;
/// }
/// assert_eq!(cursor.acked(), Seq::new(1));
/// cursor.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cursor {
    publisher: Arc<Publisher>,
    name: String,
    news: Subscription,
    names_only: bool,
    acked: Seq,
    /// Number of its lease.
    lease: u64,
    holder: HolderRecord,
    /// How long its lease lasts, in milliseconds.
    length: i64,
}

impl Cursor {
    pub(super) fn new(
        publisher: &Arc<Publisher>,
        name: &str,
        (stored, length): (CursorRecord, i64),
        names_only: bool,
    ) -> Result<Self> {
        let news = subscribe(publisher, &stored, names_only)?;
        let acked = Seq::new(stored.acked);
        let holder = stored.holder.ok_or_else(|| lost(name, None))?;
        let (publisher, name, lease) = (Arc::clone(publisher), name.to_owned(), stored.lease);
        Ok(Self { publisher, name, news, names_only, acked, lease, holder, length })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who this handle reads for.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.holder.owner
    }

    /// Until when the lease lasts, as far as this handle knows.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.holder.until)
    }

    /// Everything up to here has been given or passed over.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.news.position()
    }

    /// Everything up to here is done.
    #[must_use]
    pub fn acked(&self) -> Seq {
        self.acked
    }

    /// The next commits, at most `limit`; none if there is no new one. Commits that the cursor is not
    /// about are passed over: acknowledge [`position`](Self::position) to be done with them too.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if another has taken the cursor, or it was deleted;
    /// [`HistoryGone`](ErrorKind::HistoryGone), naming the first position, if the lease had lapsed and
    /// what follows is no longer kept: [`reset`](Self::reset) goes on there. Otherwise as for
    /// [`Subscription::next_timeout`]. What was read before the error comes again: the position stays
    /// where it was.
    pub fn next_batch(&mut self, limit: usize) -> Result<Vec<FeedEvent>> {
        let before = self.position();
        let batch = self.batch(limit);
        if batch.is_err() {
            self.news.feed.position = before;
        }
        batch
    }

    fn batch(&mut self, limit: usize) -> Result<Vec<FeedEvent>> {
        let mut out = Vec::new();
        while out.len() < limit {
            match self.next_timeout(Duration::ZERO)? {
                Some(event) => out.push(event),
                None => break,
            }
        }
        Ok(out)
    }

    /// The next commit; `None` if none comes in time. The lease is renewed meanwhile.
    ///
    /// # Errors
    /// As for [`next_batch`](Self::next_batch).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// let mut cursor = store.cursor("mirror", Default::default())?;
    /// assert!(cursor.next_timeout(Duration::from_millis(1))?.is_none());
    /// store.main()?.put("pear", "green")?;
    /// let event = cursor.next_timeout(Duration::from_secs(5))?.expect("a commit");
    /// assert_eq!(event.commit.seq, cursor.position());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_timeout(&mut self, wait: Duration) -> Result<Option<FeedEvent>> {
        let deadline = Deadline::after(wait);
        let part = Duration::from_millis(u64::try_from(self.length / 3).unwrap_or(1).max(1));
        loop {
            self.renew_if_due()?;
            let left = deadline.left().unwrap_or_default();
            if let Some(event) = self.news.next_timeout(left.min(part))? {
                return Ok(Some(event));
            }
            if deadline.left().is_none() {
                return Ok(None);
            }
        }
    }

    /// Says that everything up to a commit is done, and renews the lease. Whoever opens the cursor next
    /// starts after it. Cost: one small write, as durable as commits of the store are.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if it is below what was acknowledged or above what was given;
    /// [`LeaseLost`](ErrorKind::LeaseLost) if another has taken the cursor, or it was deleted. Nothing is
    /// changed then. Else as for a commit.
    pub fn ack(&mut self, seq: Seq) -> Result<()> {
        let (acked, given) = (self.acked, self.position());
        if seq < acked || seq > given {
            let name = &self.name;
            let text = match seq < acked {
                true => {
                    format!("cursor {name} has acknowledged {acked} already, {seq} is before it")
                }
                false => format!("cursor {name} has been given commits up to {given}, not {seq}"),
            };
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        self.update(Some(seq))
    }

    /// Makes the lease last for its whole length from now on.
    ///
    /// # Errors
    /// [`LeaseLost`](ErrorKind::LeaseLost) if another has taken the cursor, or it was deleted. Else as
    /// for a commit.
    pub fn renew(&mut self) -> Result<()> {
        self.update(None)
    }

    /// Goes on after another position, back or forth, and counts everything up to it as done.
    /// [`Store::feed_start`](crate::Store::feed_start) is the first one that can be had.
    ///
    /// # Errors
    /// [`HistoryGone`](ErrorKind::HistoryGone), naming the first position, if commits after it are
    /// missing; [`NotFound`](ErrorKind::NotFound) if it is in the future; else as for
    /// [`renew`](Self::renew). Nothing is changed then.
    pub fn reset(&mut self, after: Seq) -> Result<()> {
        let newest = self.publisher.acknowledged()?;
        let publisher = Arc::clone(&self.publisher);
        let stored = self.write(|stored| {
            check_start(publisher.graph(), stored.branch.as_deref(), (after, newest))?;
            stored.acked = after.get();
            Ok(())
        })?;
        self.news = subscribe(&self.publisher, &stored, self.names_only)?;
        Ok(())
    }

    /// Gives the lease up. The cursor stays, and keeps nothing any more: until it is opened again,
    /// collection may pass it.
    ///
    /// # Errors
    /// As for [`renew`](Self::renew).
    pub fn release(self) -> Result<()> {
        self.publisher.update_state(|| {
            let mut stored = self.stored()?;
            stored.holder = None;
            Ok((vec![row(&self.name, &stored)], ()))
        })
    }

    fn renew_if_due(&mut self) -> Result<()> {
        let (now, since) = (self.publisher.now().as_millis(), self.holder.since);
        if now < since || now >= since.saturating_add(self.length / 2) {
            self.renew()?;
        }
        Ok(())
    }

    fn update(&mut self, acked: Option<Seq>) -> Result<()> {
        self.write(|stored| {
            if let Some(acked) = acked {
                stored.acked = acked.get();
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// Changes the row, if the lease still counts, and renews it.
    fn write(
        &mut self,
        change: impl FnOnce(&mut CursorRecord) -> Result<()>,
    ) -> Result<CursorRecord> {
        let stored = self.publisher.update_state(|| {
            let mut stored = self.stored()?;
            change(&mut stored)?;
            let now = self.publisher.now();
            stored.holder = Some(held(&self.holder.owner, now, self.length));
            Ok((vec![row(&self.name, &stored)], stored))
        })?;
        self.acked = Seq::new(stored.acked);
        if let Some(holder) = &stored.holder {
            self.holder = holder.clone();
        }
        Ok(stored)
    }

    /// The row, if the lease still counts. Called under the commit lock.
    fn stored(&self) -> Result<CursorRecord> {
        match find(self.publisher.graph().engine(), &self.name)? {
            Some(stored) if stored.lease == self.lease => Ok(stored),
            other => Err(lost(&self.name, other.as_ref())),
        }
    }
}

fn subscribe(
    publisher: &Arc<Publisher>,
    stored: &CursorRecord,
    names_only: bool,
) -> Result<Subscription> {
    let mut options = FeedOptions::default().range(range_of(stored)).names_only(names_only);
    if let Some(branch) = &stored.branch {
        options = options.branch(branch.as_str());
    }
    let graph = Arc::clone(publisher.graph());
    let feed = Feed::new(graph, Seq::new(stored.acked), publisher.acknowledged()?, options)?;
    Ok(Subscription::new(Arc::clone(publisher), feed))
}

fn lost(name: &str, stored: Option<&CursorRecord>) -> Error {
    let text = match stored {
        None => format!("cursor {name} was deleted"),
        Some(CursorRecord { holder: Some(holder), .. }) => {
            format!("the lease of cursor {name} was lost: {} has taken it", holder.owner)
        }
        Some(_) => format!("the lease of cursor {name} was lost: another has had it"),
    };
    Error::new(ErrorKind::LeaseLost, text)
        .with_hint("open the cursor again; what was not acknowledged comes once more")
}
