//! How far an import or export has come, told to the caller, who may stop it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result};

/// How far an import or export has come.
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
    /// Rows or commits done.
    pub items: u64,
    /// Bytes of input read, or of output written.
    pub bytes: u64,
}

/// What is called with the progress; `Break` stops the work.
pub(super) type Callback<'a> = Box<dyn FnMut(Progress) -> ControlFlow<()> + 'a>;

/// Calls the callback now and then.
#[derive(Default)]
pub(super) struct Meter<'a> {
    callback: Option<Callback<'a>>,
    told: Progress,
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

    pub(super) fn new(callback: Callback<'a>) -> Self {
        Self { callback: Some(callback), told: Progress::default() }
    }

    /// Tells the progress if enough was done since the last time.
    pub(super) fn step(&mut self, items: u64, bytes: u64) -> Result<()> {
        let enough = items >= self.told.items.saturating_add(Self::ITEMS)
            || bytes >= self.told.bytes.saturating_add(Self::BYTES);
        if enough { self.tell(items, bytes) } else { Ok(()) }
    }

    /// Tells the progress.
    pub(super) fn tell(&mut self, items: u64, bytes: u64) -> Result<()> {
        self.told = Progress { items, bytes };
        match self.callback.as_mut().map(|call| call(self.told)) {
            Some(ControlFlow::Break(())) => {
                Err(Error::new(ErrorKind::Io, "interrupted, the store is as it was before")
                    .because(io::Error::from(io::ErrorKind::Interrupted)))
            }
            Some(ControlFlow::Continue(())) | None => Ok(()),
        }
    }
}

/// An input that counts its bytes, and refuses a single record that is absurdly long.
pub(super) struct Metered<R> {
    input: R,
    total: Rc<Cell<u64>>,
    /// Bytes of the present record.
    record: u64,
    last: u8,
}

/// The longest value and key in hexadecimal, and what is around them.
const MAX_RECORD: u64 =
    2 * (crate::kv::MAX_VALUE_LEN as u64 + crate::kv::MAX_KEY_LEN as u64) + (1 << 20);

impl<R> Metered<R> {
    pub(super) fn new(input: R, total: Rc<Cell<u64>>) -> Self {
        Self { input, total, record: 0, last: 0 }
    }

    /// A new record begins.
    pub(super) fn begin(&mut self) {
        self.record = 0;
    }

    /// Bytes read so far.
    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    /// Whether the last of them was a line feed.
    pub(super) fn ends_line(&self) -> bool {
        self.last == b'\n'
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        self.total.set(self.total.get() + bytes);
        self.record += bytes;
        if self.record > MAX_RECORD {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "one record is over {MAX_RECORD} bytes: is a closing quote or line end missing?"
                ),
            ));
        }
        Ok(())
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.input.read(out)?;
        self.last = out[..bytes].last().copied().unwrap_or(self.last);
        self.count(bytes)?;
        Ok(bytes)
    }
}

impl<R: BufRead> Metered<R> {
    /// Reads a line with its line feed; an empty one is the end.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        self.begin();
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let feed = buffer.iter().position(|&b| b == b'\n');
            let take = feed.map_or(buffer.len(), |at| at + 1);
            out.extend_from_slice(&buffer[..take]);
            self.input.consume(take);
            self.count(take)?;
            if feed.is_some() || take == 0 {
                return Ok(());
            }
        }
    }
}
