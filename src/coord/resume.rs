//! What is taken up again when a store is opened, and the thread that goes on with it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::saga::{Driven, SagaInfo, drive_all};
use super::{Coord, outbox};
use crate::error::{Error, ErrorKind, Result};

/// What was taken up again: when the store was opened, or by [`Store::resume`](crate::Store::resume).
///
/// # Examples
/// See [`Store::resumed`](crate::Store::resumed).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// Messages of the outbox that were claimed when the store was closed; they are due again, or, if
    /// that was their last attempt, become dead letters when they are to be claimed.
    pub claims: u64,
    /// Sagas that were driven on, and how far they came.
    pub sagas: Vec<SagaInfo>,
    /// Ids of unfinished sagas whose definition is not registered. They stay as they are.
    pub unknown: Vec<String>,
    /// Ids of sagas that do not fit the definition that is registered, and why. They stay as they are.
    pub stuck: Vec<(String, String)>,
}

/// Takes up what was left unfinished when the store was closed.
pub(crate) fn resume(coord: &Coord) -> Result<Resumed> {
    let claims = outbox::recover(coord)?;
    Ok(Resumed { claims, ..go_on(coord)? })
}

/// Drives every saga that is due.
pub(crate) fn go_on(coord: &Coord) -> Result<Resumed> {
    let Driven { driven, unknown, stuck } = drive_all(coord, &|| false)?;
    Ok(Resumed { sagas: driven, unknown, stuck, ..Resumed::default() })
}

/// The thread that delivers messages and drives sagas when they are due.
pub(crate) struct Background {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the system gives no thread.
    pub(crate) fn start(coord: Coord, every: Duration) -> Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let told = Arc::clone(&stop);
        let work = move || {
            let (lock, bell) = &*told;
            let is_over = || *lock.lock().unwrap_or_else(PoisonError::into_inner);
            while !is_over() {
                // What cannot be written now is still there next time; a failed write has latched the
                // store, and whoever uses it is told.
                let _ = outbox::deliver(&coord, &is_over);
                let _ = drive_all(&coord, &is_over);
                let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = bell.wait_timeout_while(guard, every, |is_over| !*is_over);
            }
        };
        let thread = std::thread::Builder::new().name("withy-coord".into()).spawn(work);
        let thread = thread.map_err(|e| {
            Error::new(ErrorKind::Io, format!("the background has no thread: {e}"))
                .with_hint("look at the limits of the system on threads and memory")
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        // An action may hold the last handle of the store; then this is the thread itself.
        let own = std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}
