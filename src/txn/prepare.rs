//! Preparing a transaction: the first half of a commit in two phases.

use super::{Isolation, Txn};
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::IsolationCode;
use crate::publish::{CommitOptions, PrepareAs};

impl Txn<'_> {
    /// Makes it durable under a name without making it visible: from here on it can be committed or
    /// rolled back, whatever happens, until one of it is asked for with
    /// [`Store::commit_prepared`](crate::Store::commit_prepared) or
    /// [`Store::rollback_prepared`](crate::Store::rollback_prepared), in this process or another one.
    ///
    /// It is checked as a commit is. Until it ends it holds what it writes, what it has read for update,
    /// and at level `Serializable` whatever it has read: others that write to these keys on these
    /// branches get [`Busy`](crate::ErrorKind::Busy) at once, and the branches cannot be moved or deleted.
    /// Path locks are let go. It is on disk when this returns, also in a store that is `Buffered`.
    ///
    /// The name, of 1 to 200 printable ASCII characters, is taken until the outcome is
    /// [forgotten](crate::Store::forget_prepared).
    ///
    /// Cost: as for a commit of the same keys.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) as for [`commit`](Self::commit);
    /// [`Busy`](crate::ErrorKind::Busy) if another prepared transaction holds what this one writes, or is
    /// going to write what this one has to find again; [`Exists`](crate::ErrorKind::Exists) if the name is
    /// taken; [`Invalid`](crate::ErrorKind::Invalid) if it is none, or if this is a step of a saga or
    /// acknowledges messages of the outbox. Nothing is
    /// prepared then, and the transaction is rolled back. Otherwise as for `commit`.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = withy::Store::open(dir.path())?;
    /// use withy::{CommitOptions, ErrorKind, Read};
    /// let main = store.main()?;
    /// let mut tx = store.begin("main")?;
    /// tx.put("pear", "green")?;
    /// tx.prepare("order-17", CommitOptions::default())?;
    ///
    /// assert!(!main.contains(b"pear")?, "nobody sees it yet");
    /// let held = main.put("pear", "yellow").expect_err("and nobody else may write it");
    /// assert_eq!(held.kind(), ErrorKind::Busy);
    ///
    /// store.commit_prepared("order-17")?;
    /// assert!(main.contains(b"pear")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepare(self, gid: &str, options: CommitOptions) -> Result<()> {
        if self.in_saga {
            let text =
                "a step of a saga cannot be prepared: its journal is written with its commit";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let (publisher, isolation) = (self.publisher, self.isolation.into());
        let (request, timer) = self.into_request(options)?;
        let done = publisher.prepare(request, PrepareAs { gid, isolation });
        timer.end(&done);
        done
    }
}

impl From<Isolation> for IsolationCode {
    fn from(level: Isolation) -> Self {
        match level {
            Isolation::ReadCommitted => Self::ReadCommitted,
            Isolation::Snapshot => Self::Snapshot,
            Isolation::Serializable => Self::Serializable,
        }
    }
}

impl From<IsolationCode> for Isolation {
    fn from(code: IsolationCode) -> Self {
        match code {
            IsolationCode::ReadCommitted => Self::ReadCommitted,
            IsolationCode::Snapshot => Self::Snapshot,
            IsolationCode::Serializable => Self::Serializable,
        }
    }
}
