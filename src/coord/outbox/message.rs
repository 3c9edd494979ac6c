//! Messages, as users see them.

use std::fmt;
use std::str::FromStr;

use super::super::key::idempotency_key;
use crate::clock::Timestamp;
use crate::format::coord::MessageRecord;
use crate::id::Seq;

/// Names a message of the outbox: its commit, and its place among the messages of the transaction.
///
/// # Examples
/// ```
/// use withy::{MessageId, Seq};
/// let id: MessageId = "12.3".parse()?;
/// assert_eq!((id.seq, id.number), (Seq::new(12), 3));
/// assert_eq!(id.to_string(), "12.3");
/// # Ok::<(), withy::ParseMessageIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The commit that it was stored with; of a transaction over several branches the newest.
    pub seq: Seq,
    /// Counts the messages of the transaction, from 0.
    pub number: u32,
}

/// The text is not the id of a message, such as `12.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a message, such as 12.0")]
pub struct ParseMessageIdError;

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.seq, self.number))
    }
}

impl FromStr for MessageId {
    type Err = ParseMessageIdError;

    fn from_str(text: &str) -> Result<Self, ParseMessageIdError> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (seq, number) = text.split_once('.').ok_or(ParseMessageIdError)?;
        if !digits(seq) || !digits(number) {
            return Err(ParseMessageIdError);
        }
        let seq = seq.parse().map(Seq::new).map_err(|_| ParseMessageIdError)?;
        Ok(Self { seq, number: number.parse().map_err(|_| ParseMessageIdError)? })
    }
}

/// What a message waits for.
///
/// # Examples
/// See [`OutboxMessage`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageState {
    /// To be claimed, once those before it in its topic are gone.
    Ready,
    /// To be due again after a failure.
    Waiting {
        /// When it is due.
        until: Timestamp,
    },
    /// For the answer of a worker.
    Claimed {
        /// Who has claimed it.
        worker: String,
        /// When the lease ends.
        until: Timestamp,
    },
    /// For somebody to put it back or discard it: a dead letter.
    Dead {
        /// When it was given up.
        since: Timestamp,
    },
}

/// A message of the outbox.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// use withy::{CommitOptions, MessageState};
/// store.run("main", CommitOptions::default(), |tx| {
///     tx.put("order/7", "paid")?;
///     tx.enqueue("mail", "order 7 is paid")
/// })?;
/// let message = store.outbox().messages(None).next().expect("one message")?;
/// assert_eq!((message.topic.as_str(), &message.payload[..]), ("mail", &b"order 7 is paid"[..]));
/// assert_eq!((message.id.to_string().as_str(), message.state), ("1.0", MessageState::Ready));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxMessage {
    /// Its id.
    pub id: MessageId,
    /// Its topic.
    pub topic: String,
    /// Its content.
    pub payload: Vec<u8>,
    /// When its commit was made.
    pub enqueued: Timestamp,
    /// The same for each delivery of this message, and for no other message: 32 hexadecimal digits.
    pub idempotency_key: String,
    /// How often it was claimed since it was enqueued, or put back by hand.
    pub attempts: u32,
    /// What it waits for.
    pub state: MessageState,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A message that was claimed, to be delivered and acknowledged.
///
/// # Examples
/// See [`Outbox::claim`](crate::Outbox::claim).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a claimed message holds up its topic until it is acknowledged or fails"]
pub struct Delivery {
    pub(super) claim: Claim,
    pub(super) payload: Vec<u8>,
    pub(super) enqueued: Timestamp,
    pub(super) idempotency_key: String,
    pub(super) attempt: u32,
    pub(super) until: Timestamp,
}

/// Which claim of which message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) topic: String,
    pub(super) id: MessageId,
    /// No two claims of a message have the same number.
    pub(super) number: u64,
}

impl Delivery {
    /// The id of the message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.claim.id
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.claim.topic
    }

    /// Its content.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// When its commit was made.
    #[must_use]
    pub fn enqueued(&self) -> Timestamp {
        self.enqueued
    }

    /// The same for each delivery of this message, and for no other message: 32 hexadecimal digits. A
    /// receiver that keeps the keys it has seen does each thing once, however often it is told.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    /// Which attempt this is, from 1; putting it back by hand starts anew.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the lease ends, as it was when it was claimed or last renewed.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

/// The key of a message, which each of its deliveries carries.
pub(super) fn key_of(store: &[u8; 16], topic: &str, id: MessageId, row: &MessageRecord) -> String {
    let parts: [&[u8]; 5] = [
        topic.as_bytes(),
        &id.seq.get().to_be_bytes(),
        &id.number.to_be_bytes(),
        &row.enqueued.to_be_bytes(),
        &row.payload,
    ];
    idempotency_key(store, "outbox", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_with_a_dot_are_an_id() {
        assert_eq!("1.0".parse(), Ok(MessageId { seq: Seq::new(1), number: 0 }));
        for text in ["", "1", "1.", ".1", "+1.0", "1.-0", "1.0.0", "1.4294967296", "a.b", "1 .0"] {
            assert_eq!(text.parse::<MessageId>(), Err(ParseMessageIdError), "{text:?}");
        }
    }
}
