//! The lock table: the state behind a mutex, waiting, and the supply of fencing numbers.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::{Asker, NO_TICKET, State};
use super::stats::Counters;
use super::{Deadlock, HeldLock, LockOptions, LockPath, LockSession, LockStats};
use crate::clock::{Clock, Deadline, Monotonic, Stopwatch};
use crate::error::{Error, ErrorKind, Result};

/// Reserves so many fencing numbers for good, and gives the first of them.
pub(crate) type Reserve = Box<dyn Fn(u64) -> Result<u64> + Send + Sync>;

/// Checked by a commit under the commit lock; what it gives is kept until the commit is visible.
pub(crate) type Gate = Arc<dyn Fn() -> Result<Box<dyn Any + Send>> + Send + Sync>;

/// How many fencing numbers are reserved at a time: each time costs a write that is synced.
const BLOCK: u64 = 1 << 16;

/// All locks of a store.
///
/// The commit lock may be held when this one is taken, so it is never the other way round: numbers,
/// which are reserved under the commit lock, are fetched before. Who holds the commit lock asks for no
/// lock here.
pub(crate) struct LockTable {
    state: Mutex<State>,
    /// Held while numbers are reserved, so that one thread does it for all.
    reserving: Mutex<()>,
    reserve: Reserve,
    time: Arc<dyn Monotonic>,
    counters: Arc<Counters>,
}

/// Locks that stay as they are while a write relies on them.
pub(crate) struct Pin {
    table: Arc<LockTable>,
    fences: Vec<u64>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.table.state().unpin(&self.fences);
    }
}

impl LockTable {
    pub(crate) fn new(reserve: Reserve, time: Arc<dyn Monotonic>, clock: Arc<dyn Clock>) -> Self {
        let counters = Arc::new(Counters::default());
        let state = Mutex::new(State::new(Arc::clone(&counters), clock));
        Self { state, reserving: Mutex::new(()), reserve, time, counters }
    }

    /// A new owner, younger than all there are.
    pub(crate) fn owner(self: &Arc<Self>, name: &str) -> LockSession {
        LockSession::new(Arc::clone(self), self.state().new_owner(name))
    }

    /// All that is held.
    pub(crate) fn held(&self) -> Vec<HeldLock> {
        self.state().list()
    }

    /// The deadlocks that were broken last, the oldest first.
    pub(crate) fn deadlocks(&self) -> Vec<Deadlock> {
        self.state().deadlocks.iter().cloned().collect()
    }

    pub(crate) fn stats(&self) -> LockStats {
        self.counters.read()
    }

    /// Says that these locks of an owner still count, and keeps them from lapsing until the answer is
    /// dropped.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseLost`] if one of them no longer counts.
    pub(crate) fn pin(self: &Arc<Self>, locks: &[(u64, LockPath)]) -> Result<Pin> {
        self.state().pin(locks)?;
        let fences = locks.iter().map(|(fence, _)| *fence).collect();
        Ok(Pin { table: Arc::clone(self), fences })
    }

    /// The same for all that an owner was granted and has not let go of.
    pub(super) fn pin_all(self: &Arc<Self>, owner: u64) -> Result<Pin> {
        let fences = self.state().pin_all(owner)?;
        Ok(Pin { table: Arc::clone(self), fences })
    }

    /// The state as of now.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tick(self.time.elapsed());
        state
    }

    /// The state, with so many fencing numbers to spare.
    fn supplied(&self, count: u64) -> Result<MutexGuard<'_, State>> {
        loop {
            let state = self.state();
            if state.spare() >= count {
                return Ok(state);
            }
            drop(state);
            let _alone = self.reserving.lock().unwrap_or_else(PoisonError::into_inner);
            if self.state().spare() < count {
                let block = count.max(BLOCK);
                let first = (self.reserve)(block)?;
                self.state().supply(first, block)?;
            }
        }
    }

    /// Grants all that is asked for at one moment, or nothing; waits for that moment.
    pub(super) fn request(&self, asker: Asker, options: LockOptions) -> Result<Vec<u64>> {
        let mut state = self.supplied(asker.claims.len() as u64)?;
        if let Some(fences) = state.grant_at_once(&asker) {
            return Ok(fences);
        }
        if options.wait.is_zero() {
            Counters::add(&self.counters.timeouts);
            return Err(busy(&state, &asker, NO_TICKET));
        }
        Counters::add(&self.counters.waited);
        let (deadline, watch) = (Deadline::after(options.wait), Stopwatch::start());
        let asker = Arc::new(asker);
        let (ticket, bell) = state.enqueue(Arc::clone(&asker));
        let answer = loop {
            if let Some(answer) = state.answer(ticket) {
                break answer;
            }
            let Some(left) = deadline.left() else {
                Counters::add(&self.counters.timeouts);
                let why = busy(&state, &asker, ticket);
                state.refuse(ticket, why);
                state.work_off();
                continue;
            };
            // Nobody rings when a lease lapses.
            let pause = state.next_lapse().map_or(left, |lapse| left.min(lapse));
            state = bell.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            state.tick(self.time.elapsed());
        };
        self.counters.waited_for(watch.elapsed());
        answer
    }
}

/// What a request is refused with whose time is over.
fn busy(state: &State, asker: &Asker, ticket: u64) -> Error {
    let none = Default::default();
    let passes = state.requests.get(&ticket).map_or(&none, |request| &request.passes);
    let found = state.blocks(asker, ticket, passes, |claim, owner, block| {
        ControlFlow::Break((claim.clone(), owner, block))
    });
    let ControlFlow::Break((claim, owner, block)) = found else {
        return Error::new(ErrorKind::Busy, "the time to wait for the lock is over");
    };
    let (kind, path) = (claim.kind, claim.path.as_str());
    let why = state.told(owner, block).unwrap_or_default();
    let text = format!("cannot lock {path:?} ({kind}): {why}");
    Error::new(ErrorKind::Busy, text).with_hint("wait longer, or try again later")
}
