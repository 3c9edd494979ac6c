//! Messages that commits leave for the outside.

use std::time::Duration;

use super::{OpenOptions, Store};
use crate::coord::{
    Action, ActionResult, Delivered, Delivery, Outbox, Registry, Resumed, RetryPolicy, SagaDef,
};
use crate::error::Result;
use crate::txn::Txn;

/// What a program registers for coordination when it opens a store.
#[derive(Clone, Default)]
pub(super) struct CoordOptions {
    actions: Vec<(String, Action)>,
    pub(super) sagas: Vec<SagaDef>,
    outbox_retries: RetryPolicy,
    pub(super) saga_retries: RetryPolicy,
    pub(super) background: Option<Duration>,
}

impl CoordOptions {
    pub(super) fn registry(&self) -> Result<Registry> {
        Registry::new(&self.actions, &self.sagas, (self.outbox_retries, self.saga_retries))
    }
}

impl OpenOptions {
    /// Registers what is done with the messages of a topic, outside of the store.
    ///
    /// [`Store::deliver_outbox`] calls it for each message, in the order of their commits; the message is
    /// removed if it returns `Ok`, and tried again later if not, or if it panics. It may be called again
    /// for a message that was delivered, if the process ended before that was noted: the receiver can tell
    /// by the [`idempotency_key`](Delivery::idempotency_key).
    ///
    /// # Examples
    /// See [`Outbox`].
    pub fn action(
        mut self,
        topic: impl Into<String>,
        action: impl Fn(&Delivery) -> ActionResult + Send + Sync + 'static,
    ) -> Self {
        self.coord.actions.push((topic.into(), Action::Outside(std::sync::Arc::new(action))));
        self
    }

    /// Registers what is done with the messages of a topic in the store itself: the action writes to a
    /// transaction on a branch, and its commit also removes the message. So the effect is there exactly
    /// once, whatever happens. The action may be called again if its commit loses a race.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{CommitOptions, Read, Store};
    /// let store = Store::options()
    ///     .action_in_store("count", "main", |_, tx| {
    ///         let n = tx.get(b"n")?.map_or(0, |n| n[0]);
    ///         Ok(tx.put("n", vec![n + 1])?)
    ///     })
    ///     .open(dir.path())?;
    /// for _ in 0..3 {
    ///     store.run("main", CommitOptions::default(), |tx| tx.enqueue("count", ""))?;
    /// }
    /// store.deliver_outbox()?;
    /// assert_eq!(store.main()?.get(b"n")?, Some(vec![3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn action_in_store(
        mut self,
        topic: impl Into<String>,
        branch: impl Into<String>,
        action: impl Fn(&Delivery, &mut Txn<'_>) -> ActionResult + Send + Sync + 'static,
    ) -> Self {
        let action = Action::InStore(branch.into(), std::sync::Arc::new(action));
        self.coord.actions.push((topic.into(), action));
        self
    }

    /// How often, and after what pauses, messages are delivered again whose action fails.
    pub fn outbox_retries(mut self, policy: RetryPolicy) -> Self {
        self.coord.outbox_retries = policy;
        self
    }

    /// Delivers messages and drives sagas in a thread of its own, whenever they are due; it looks so
    /// often. Not unless told: then [`Store::deliver_outbox`] and [`Store::resume`] do it when they are
    /// called. The thread ends when the store is closed, after the action or step that it is at. If the
    /// system gives no thread, the store is not opened: [`Io`](crate::ErrorKind::Io).
    pub fn deliver_in_background(mut self, every: Duration) -> Self {
        self.coord.background = Some(every);
        self
    }
}

impl Store {
    /// The messages that commits have left with [`Txn::enqueue`].
    ///
    /// # Examples
    /// See [`Outbox`].
    #[must_use]
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox::new(&self.inner.coord)
    }

    /// Delivers all messages that are due and for whose topic an action was registered, in the order of
    /// their commits, until none is left.
    ///
    /// A message whose action fails holds up its topic until it is due again; other topics go on. Several
    /// threads may do this at the same time: each topic is delivered by one of them at a time. Cost:
    /// two writes a message, and for each two seeks a topic.
    ///
    /// # Errors
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) if the store is; else as for a commit. Messages that were
    /// delivered before stay so, and others wait. What an action returns is no error of this: it is kept
    /// with the message.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{CommitOptions, Store};
    /// let store = Store::options().action("mail", |_| Err("no network".into())).open(dir.path())?;
    /// store.run("main", CommitOptions::default(), |tx| tx.enqueue("mail", "hello"))?;
    /// let round = store.deliver_outbox()?;
    /// assert_eq!((round.delivered, round.failed), (0, 1));
    /// let message = store.outbox().messages(None).next().expect("it is kept")?;
    /// assert_eq!(message.error.as_deref(), Some("no network"));
    /// assert!(round.next.is_some(), "and tried again then");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn deliver_outbox(&self) -> Result<Delivered> {
        crate::coord::outbox::deliver(&self.inner.coord, &|| false)
    }

    /// What was taken up again when the store was opened.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use std::time::Duration;
    /// use withy::{CommitOptions, Store};
    /// let store = Store::open(dir.path())?;
    /// store.run("main", CommitOptions::default(), |tx| tx.enqueue("mail", "hello"))?;
    /// let claimed = store.outbox().claim(None, "worker", Duration::from_secs(3600))?;
    /// drop((claimed, store));
    /// let store = Store::open(dir.path())?;
    /// assert_eq!(store.resumed().claims, 1, "the worker cannot answer any more");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn resumed(&self) -> &Resumed {
        &self.inner.resumed
    }
}
