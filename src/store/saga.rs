//! Sagas: several commits, and what takes them back.

use super::{OpenOptions, Store};
use crate::clock::Timestamp;
use crate::coord::{self, Resumed, RetryPolicy, SagaDef, SagaInfo, Sagas, saga};
use crate::error::Result;

impl OpenOptions {
    /// Registers a saga, to be started with [`Store::start_saga`]. Those of its name that were left
    /// unfinished are driven to their end while the store is opened.
    ///
    /// # Examples
    /// See [`SagaDef`].
    pub fn saga(mut self, saga: SagaDef) -> Self {
        self.coord.sagas.push(saga);
        self
    }

    /// How often, and after what pauses, a compensation is tried again that fails. A step behind the
    /// decision is tried after the same pauses, for as long as it takes.
    pub fn saga_retries(mut self, policy: RetryPolicy) -> Self {
        self.coord.saga_retries = policy;
        self
    }
}

impl Store {
    /// Starts a saga and drives it as far as it goes: to its end, or to a step or compensation that has
    /// failed and is to be tried again later.
    ///
    /// `id` names this saga for good; a second one of that id is refused, so whoever is not sure whether
    /// it was started can start it again. If the process ends meanwhile, the next opening of the store
    /// goes on: forward if the saga was decided, else back. Cost: two writes a step, one of them its
    /// commit.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no saga of this name is registered;
    /// [`Exists`](crate::ErrorKind::Exists) if there is a saga of this id;
    /// [`Invalid`](crate::ErrorKind::Invalid) or [`Limit`](crate::ErrorKind::Limit) if the id is none or
    /// the input is too long: nothing is written. Else as for a commit: then the saga stays where it is,
    /// and is driven on by the next opening of the store or [`resume`](Self::resume). That a step fails
    /// is no error of this: the answer says so.
    ///
    /// # Examples
    /// See [`SagaDef`].
    pub fn start_saga(&self, name: &str, id: &str, input: impl Into<Vec<u8>>) -> Result<SagaInfo> {
        saga::start(&self.inner.coord, name, id, input.into())
    }

    /// All sagas that the store knows: unfinished ones, then finished ones; read as they are asked for.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use withy::{SagaDef, SagaPhase, Store};
    /// let hello = SagaDef::new("hello").step("say", |step| Ok(step.txn().put("hello", "1")?));
    /// let store = Store::options().saga(hello).open(dir.path())?;
    /// store.start_saga("hello", "1", "")?;
    /// let saga = store.sagas().next().expect("one")?;
    /// assert_eq!((saga.id.as_str(), saga.phase), ("1", SagaPhase::Finished));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sagas(&self) -> Sagas<'_> {
        Sagas::new(&self.inner.coord)
    }

    /// What is known of a saga.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none of this id.
    pub fn saga(&self, id: &str) -> Result<SagaInfo> {
        saga::find(&self.inner.coord, id)
    }

    /// Drives all sagas that are due: those that wait after a failure, and those that were left unfinished
    /// by an error of the store. What is being driven by other threads is left to them.
    ///
    /// # Errors
    /// As for [`start_saga`](Self::start_saga).
    pub fn resume(&self) -> Result<Resumed> {
        coord::go_on(&self.inner.coord)
    }

    /// Makes everything of a saga that has failed due now, compensations that were given up too, counts
    /// attempts anew, and drives it if its definition is registered. One that was left before its decision
    /// is compensated.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such saga;
    /// [`Precondition`](crate::ErrorKind::Precondition) if it is finished and nothing has failed;
    /// [`Busy`](crate::ErrorKind::Busy) if it is being driven. Else as for
    /// [`start_saga`](Self::start_saga).
    pub fn retry_saga(&self, id: &str) -> Result<SagaInfo> {
        saga::retry(&self.inner.coord, id)
    }

    /// Forgets a saga that is finished, whatever its outcome; its id is free again. Gives what it was.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such saga;
    /// [`Precondition`](crate::ErrorKind::Precondition) if it is not finished.
    pub fn forget_saga(&self, id: &str) -> Result<SagaInfo> {
        saga::forget(&self.inner.coord, id)
    }

    /// Forgets all sagas that had ended before a time, and says how many; those with compensations that
    /// were given up are kept.
    ///
    /// # Errors
    /// As for a commit; nothing is forgotten.
    pub fn prune_sagas(&self, before: Timestamp) -> Result<u64> {
        saga::prune(&self.inner.coord, before.as_millis())
    }
}
