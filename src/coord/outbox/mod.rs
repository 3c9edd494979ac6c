//! The outbox: messages stored in the same write as a commit, delivered at least once and in order.
//!
//! The commit writes one row for a message, which never changes. What comes of it is in a row beside it,
//! absent until the first claim. Both go with the acknowledgement; a message that is given up becomes a
//! row of its own, so dead letters never stand between a topic and its next message.
//!
//! Only the oldest message of a topic can be claimed: the order of a topic is that of its commits, and a
//! message that fails holds up its topic, and no other, until it is delivered or given up.

mod deliver;
mod heads;
mod message;
mod rows;
mod work;

use std::time::Duration;

pub use deliver::Delivered;
pub(crate) use deliver::deliver;
pub(super) use heads::Heads;
use message::Claim;
pub use message::{Delivery, MessageId, MessageState, OutboxMessage, ParseMessageIdError};
pub use rows::OutboxMessages;
pub(super) use work::recover;

use super::Coord;
use super::policy::is_over;
use crate::error::{Error, ErrorKind, Result};
use crate::format::coord::AttemptsRecord;
use crate::format::keys::outbox;
use crate::name::check_label;
use crate::txn::Txn;

/// The messages that commits have left for the outside: what [`Store::outbox`](crate::Store::outbox) gives.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use withy::{CommitOptions, Store};
/// let store = Store::options()
///     .action("mail", |message| {
///         // Here it is sent, with `message.idempotency_key()` for a receiver that asks twice.
///         assert_eq!(message.payload(), b"order 7 is paid");
///         Ok(())
///     })
///     .open(dir.path())?;
/// store.run("main", CommitOptions::default(), |tx| {
///     tx.put("order/7", "paid")?;
///     tx.enqueue("mail", "order 7 is paid")
/// })?;
/// assert_eq!(store.deliver_outbox()?.delivered, 1);
/// assert!(store.outbox().messages(None).next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Outbox<'s> {
    coord: &'s Coord,
}

impl<'s> Outbox<'s> {
    pub(crate) fn new(coord: &'s Coord) -> Self {
        Self { coord }
    }

    /// Messages that wait for delivery or are being delivered, of one topic or of all.
    ///
    /// They come topic by topic, each in the order of its commits; read as they are asked for.
    pub fn messages(&self, topic: Option<&str>) -> OutboxMessages<'s> {
        OutboxMessages::new(self.coord, outbox::MESSAGE, topic)
    }

    /// Messages that were given up, of one topic or of all: dead letters. They stay until they are put
    /// back with [`retry`](Self::retry) or removed with [`discard`](Self::discard).
    pub fn dead_letters(&self, topic: Option<&str>) -> OutboxMessages<'s> {
        OutboxMessages::new(self.coord, outbox::DEAD, topic)
    }

    /// One message, whether it waits or is dead. Cost: two lookups for each topic.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none of this id, or none any more; else as for
    /// reading a store.
    pub fn message(&self, id: MessageId) -> Result<OutboxMessage> {
        match work::find(self.coord, id)? {
            Some(work::Found::Pending { topic, message, attempts }) => {
                Ok(rows::of_pending(self.coord, &topic, id, (message, attempts)))
            }
            Some(work::Found::Dead { topic, row }) => {
                Ok(rows::of_dead(self.coord, &topic, id, row))
            }
            None => Err(unknown(id)),
        }
    }

    /// Claims the oldest message that is due, of a topic or of any, for `lease`.
    ///
    /// A message is due if it is the oldest of its topic, is not claimed, and does not wait after a
    /// failure. A claim whose lease has ended counts as a failure of that attempt, and can be taken over;
    /// if it was the last attempt by the [`RetryPolicy`](crate::RetryPolicy) of the store that claims (the
    /// one given when it was opened here), the message is a dead letter instead. So a program that
    /// claims by hand is to be given the policy of those that deliver.
    /// Among topics the message of the oldest commit comes first. Cost: a seek for each topic, one
    /// more each if none is named, and one write.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the topic or the name of the worker is none; else as for a
    /// commit. Nothing is claimed.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::CommitOptions;
    /// store.run("main", CommitOptions::default(), |tx| tx.enqueue("mail", "hello"))?;
    /// let outbox = store.outbox();
    /// let delivery = outbox.claim(Some("mail"), "worker 1", Duration::from_secs(30))?.expect("one");
    /// assert!(outbox.claim(None, "worker 2", Duration::from_secs(30))?.is_none(), "it is taken");
    /// outbox.ack(&delivery)?;
    /// assert_eq!(outbox.messages(None).count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim(
        &self,
        topic: Option<&str>,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Delivery>> {
        check_label("worker", worker)?;
        topic.map_or(Ok(()), |topic| check_label("topic", topic))?;
        match topic {
            Some(topic) => work::claim(self.coord, &[topic], worker, lease),
            None => {
                let all = work::topics(self.coord)?;
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                work::claim(self.coord, &all, worker, lease)
            }
        }
    }

    /// Extends a claim to `lease` from now, for work that takes longer.
    ///
    /// # Errors
    /// [`Precondition`](ErrorKind::Precondition) if the claim was taken over, or the message is gone;
    /// nothing is written. Else as for a commit.
    pub fn renew(&self, delivery: &mut Delivery, lease: Duration) -> Result<()> {
        work::renew(self.coord, delivery, lease)
    }

    /// Says that a message was delivered; it is removed.
    ///
    /// A claim whose lease has ended still counts, as long as nobody has taken it over.
    ///
    /// # Errors
    /// [`Precondition`](ErrorKind::Precondition) if the claim was taken over, or the message is gone;
    /// nothing is written. Else as for a commit; after [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) the
    /// message may be delivered again.
    pub fn ack(&self, delivery: &Delivery) -> Result<()> {
        work::ack(self.coord, &delivery.claim)
    }

    /// Makes the acknowledgement part of a transaction: what it writes and the end of the message are
    /// one commit, so the effect in the store is there exactly once.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the transaction is one of another store; it stays as it was.
    /// The commit of the transaction fails with [`Precondition`](ErrorKind::Precondition) if the claim
    /// was taken over or the message is gone; nothing is written.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use std::time::Duration;
    /// use withy::{CommitOptions, Read};
    /// store.run("main", CommitOptions::default(), |tx| tx.enqueue("count", "one"))?;
    /// let outbox = store.outbox();
    /// let delivery = outbox.claim(None, "worker", Duration::from_secs(30))?.expect("one");
    /// let mut tx = store.begin("main")?;
    /// tx.put("counted", delivery.payload())?;
    /// outbox.ack_in(&delivery, &mut tx)?;
    /// tx.commit(CommitOptions::default())?;
    /// assert!(store.main()?.contains(b"counted")?);
    /// assert_eq!(outbox.messages(None).count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ack_in(&self, delivery: &Delivery, tx: &mut Txn<'s>) -> Result<()> {
        if !tx.is_of(self.coord.publisher()?) {
            // Its rows would be taken out of that store, where other messages may have the same keys.
            let text = "the transaction is one of another store than the outbox";
            return Err(Error::new(ErrorKind::Invalid, text)
                .with_hint("acknowledge with `Outbox::ack` once the transaction is committed"));
        }
        let (coord, claim) = (self.coord, delivery.claim.clone());
        tx.attach(move |_| work::ack_rows(coord, &claim));
        Ok(())
    }

    /// Says that an attempt has failed, and why. The message is due again after the pause that the
    /// [`RetryPolicy`](crate::RetryPolicy) gives, or is dead if that was the last attempt; the answer
    /// says which.
    ///
    /// # Errors
    /// As for [`ack`](Self::ack).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use std::time::Duration;
    /// use withy::{CommitOptions, MessageState, RetryPolicy, Store};
    /// let store = Store::options().outbox_retries(RetryPolicy::default().attempts(1)).open(dir.path())?;
    /// store.run("main", CommitOptions::default(), |tx| tx.enqueue("mail", "hello"))?;
    /// let delivery = store.outbox().claim(None, "worker", Duration::from_secs(30))?.expect("one");
    /// let state = store.outbox().fail(&delivery, "no such address")?;
    /// assert!(matches!(state, MessageState::Dead { .. }));
    /// let letter = store.outbox().dead_letters(None).next().expect("one")?;
    /// assert_eq!(letter.error.as_deref(), Some("no such address"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fail(&self, delivery: &Delivery, error: &str) -> Result<MessageState> {
        work::fail(self.coord, &delivery.claim, error)
    }

    /// Puts a dead letter back, or makes a message due that waits after a failure; its attempts are
    /// counted anew. A dead letter comes back where it was: it is older than what waits in its topic, so
    /// it is the next.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such message; [`Busy`](ErrorKind::Busy) if it is
    /// claimed. Nothing is changed.
    pub fn retry(&self, id: MessageId) -> Result<()> {
        work::retry(self.coord, id)
    }

    /// Removes a message undelivered, dead or not.
    ///
    /// # Errors
    /// As for [`retry`](Self::retry).
    pub fn discard(&self, id: MessageId) -> Result<()> {
        work::discard(self.coord, id)
    }
}

/// Whether a message can be claimed.
fn is_free(attempts: Option<&AttemptsRecord>, now: i64) -> bool {
    attempts.is_none_or(|one| is_over(now, one.since, one.until))
}

fn unknown(id: MessageId) -> Error {
    Error::new(ErrorKind::NotFound, format!("no message {id} in the outbox"))
        .with_hint("it may have been delivered; `withy outbox` lists those that wait")
}

/// The claim is not the one that counts any more.
fn stale(claim: &Claim) -> Error {
    let text = format!("the claim of message {} of topic {} is over", claim.id, claim.topic);
    Error::new(ErrorKind::Precondition, text)
        .with_hint("someone else has it, or has settled it; drop this delivery")
}
