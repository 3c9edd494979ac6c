//! How far long work has come, told to the caller, who may stop it.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, TryLockError};

use crate::error::{Error, ErrorKind, Result};

/// How far long work has come: an import, an export, a merge, a check, a collection, a backup.
///
/// # Examples
/// ```
/// use std::ops::ControlFlow;
/// # let dir = tempfile::tempdir()?;
/// # let store = withy::Store::open(dir.path())?;
/// let mut calls = 0;
/// let options = withy::exchange::LoadOptions::default().progress(|so_far| {
///     calls += 1;
///     assert!(so_far.items <= 1);
///     ControlFlow::Continue(())
/// });
/// let rows = [Ok((b"pear".to_vec(), b"green".to_vec()))];
/// withy::exchange::load(&store, "main", rows, options)?;
/// assert!(calls > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done, in a word or two; empty for work of one stage.
    pub stage: &'static str,
    /// Rows, keys, commits or files done.
    pub items: u64,
    /// How many there are in all, where that is known; it may be an estimate.
    pub total_items: Option<u64>,
    /// Bytes of input read, or of output written.
    pub bytes: u64,
    /// How many there are in all, where that is known.
    pub total_bytes: Option<u64>,
}

/// What is called with the progress; `Break` stops the work.
pub(crate) type Callback<'a> = Box<dyn FnMut(Progress) -> ControlFlow<()> + 'a>;

/// Gives the options of long work, which have a field `meter`, the method that takes the callback. The text
/// says what becomes of work that the callback ends.
macro_rules! takes_progress {
    ($options:ident: $after:literal) => {
        impl<'a> $options<'a> {
            /// Calls this with the progress now and then; `Break` ends the work with
            /// [`Interrupted`](crate::ErrorKind::Interrupted).
            #[doc = $after]
            #[allow(clippy::double_must_use, reason = "some of the options are marked as a whole")]
            #[must_use]
            pub fn progress(
                mut self,
                call: impl FnMut($crate::progress::Progress) -> std::ops::ControlFlow<()> + 'a,
            ) -> Self {
                self.meter = $crate::progress::Meter::new(Box::new(call));
                self
            }
        }
    };
}
pub(crate) use takes_progress;

/// Calls the callback now and then.
#[derive(Default)]
pub(crate) struct Meter<'a> {
    callback: Option<Callback<'a>>,
    told: Progress,
    /// So much was done that does not count since the callback was called for it.
    pulses: u64,
}

/// A callback that clones of the same options share.
#[derive(Clone, Default)]
pub(crate) struct Shared<'a>(Option<Arc<SharedCallback<'a>>>);

type SharedCallback<'a> = dyn Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a;

impl fmt::Debug for Shared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.is_some()).finish()
    }
}

impl<'a> Shared<'a> {
    /// Where several pieces of work have the callback, those that find it being called are silent.
    pub(crate) fn new(call: impl FnMut(Progress) -> ControlFlow<()> + Send + 'a) -> Self {
        let call = Mutex::new(call);
        Self(Some(Arc::new(move |so_far| match call.try_lock() {
            Ok(mut call) => call(so_far),
            Err(TryLockError::Poisoned(call)) => call.into_inner()(so_far),
            Err(TryLockError::WouldBlock) => ControlFlow::Continue(()),
        })))
    }

    /// Calls it while one piece of work is done.
    pub(crate) fn meter(&self) -> Meter<'a> {
        match self.0.clone() {
            Some(call) => Meter::new(Box::new(move |so_far| call(so_far))),
            None => Meter::default(),
        }
    }
}

impl fmt::Debug for Meter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("told", &self.told).finish_non_exhaustive()
    }
}

impl<'a> Meter<'a> {
    /// Often enough to stop at once, seldom enough to cost nothing.
    const ITEMS: u64 = 1_000;
    const BYTES: u64 = 1 << 20;

    pub(crate) fn new(callback: Callback<'a>) -> Self {
        Self { callback: Some(callback), ..Self::default() }
    }

    /// Begins a stage of the work, and tells so.
    pub(crate) fn stage(
        &mut self,
        stage: &'static str,
        total_items: Option<u64>,
        total_bytes: Option<u64>,
    ) -> Result<()> {
        self.told = Progress { stage, total_items, total_bytes, ..Progress::default() };
        self.tell(0, 0)
    }

    /// Tells the progress if enough was done since the last time.
    pub(crate) fn step(&mut self, items: u64, bytes: u64) -> Result<()> {
        let enough = items >= self.told.items.saturating_add(Self::ITEMS)
            || bytes >= self.told.bytes.saturating_add(Self::BYTES);
        if enough { self.tell(items, bytes) } else { Ok(()) }
    }

    /// Says how many items there will be, by what is known now.
    pub(crate) fn expect(&mut self, total_items: u64) {
        self.told.total_items = Some(total_items);
    }

    /// Tells the same again if enough was done that does not count, so that it can be stopped.
    pub(crate) fn pulse(&mut self) -> Result<()> {
        self.pulses += 1;
        if self.pulses < Self::ITEMS {
            return Ok(());
        }
        self.pulses = 0;
        self.tell(self.told.items, self.told.bytes)
    }

    /// Tells the progress.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] if the caller wants no more.
    pub(crate) fn tell(&mut self, items: u64, bytes: u64) -> Result<()> {
        (self.told.items, self.told.bytes) = (items, bytes);
        match self.callback.as_mut().map(|call| call(self.told)) {
            Some(ControlFlow::Break(())) => {
                Err(Error::new(ErrorKind::Interrupted, "interrupted, the store is whole")
                    .because(io::Error::from(io::ErrorKind::Interrupted)))
            }
            Some(ControlFlow::Continue(())) | None => Ok(()),
        }
    }
}
