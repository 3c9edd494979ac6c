//! Inputs that count what is read from them.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

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
