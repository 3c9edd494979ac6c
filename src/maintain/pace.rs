//! Copying that tells how far it is, can be stopped, and leaves the disk to others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::engine::files::{self, refused};
use crate::engine::{Point, fault};
use crate::error::Result;
use crate::progress::Meter;

/// What is copied between two looks at the clock.
const BLOCK: u64 = 1 << 20;
/// No pause is longer than this: whoever stops the work does not wait.
const PAUSE: Duration = Duration::from_millis(100);

/// The work of one copy: its progress, and how many bytes a second it may take.
pub(super) struct Job<'a> {
    meter: Meter<'a>,
    rate: Option<u64>,
    watch: Stopwatch,
    items: u64,
    bytes: u64,
}

impl<'a> Job<'a> {
    pub(super) fn new(meter: Meter<'a>, rate: Option<u64>) -> Self {
        let rate = rate.map(|rate| rate.max(1));
        Self { meter, rate, watch: Stopwatch::start(), items: 0, bytes: 0 }
    }

    /// Begins a stage of so many files and bytes.
    pub(super) fn stage(&mut self, stage: &'static str, items: u64, bytes: u64) -> Result<()> {
        (self.items, self.bytes, self.watch) = (0, 0, Stopwatch::start());
        self.meter.stage(stage, Some(items), Some(bytes))
    }

    /// A file is done.
    pub(super) fn done(&mut self) -> Result<()> {
        self.items += 1;
        self.meter.tell(self.items, self.bytes)
    }

    /// So many rows and bytes of a stage that counts by itself are done.
    pub(super) fn tell(&mut self, items: u64, bytes: u64) -> Result<()> {
        self.meter.tell(items, bytes)
    }

    /// Bytes were handled; waits until the next ones may be.
    pub(super) fn moved(&mut self, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        let Some(rate) = self.rate else { return self.meter.step(self.items, self.bytes) };
        let nanos = u128::from(self.bytes) * 1_000_000_000 / u128::from(rate);
        let due = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        while let Some(left) = due.checked_sub(self.watch.elapsed()).filter(|d| !d.is_zero()) {
            std::thread::sleep(left.min(PAUSE));
            self.meter.tell(self.items, self.bytes)?;
        }
        Ok(())
    }

    /// How many bytes to handle before the next look at the clock.
    fn block(&self) -> u64 {
        self.rate.map_or(BLOCK, |rate| (rate / 10).clamp(4 << 10, BLOCK))
    }

    /// Reads exactly so many bytes.
    pub(super) fn read(
        &mut self,
        from: &mut File,
        size: u64,
        out: &mut Vec<u8>,
    ) -> io::Result<Result<()>> {
        out.clear();
        while (out.len() as u64) < size {
            let want = self.block().min(size - out.len() as u64);
            let got = from.take(want).read_to_end(out)? as u64;
            if let Err(stopped) = self.moved(got) {
                return Ok(Err(stopped));
            }
            if got < want {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Ok(()))
    }

    /// Copies a file, synced; it appears whole.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let (mut source, unfinished) =
            (File::open(from).map_err(|e| refused("cannot read", from, e))?, files::beside(to));
        let io = |e| refused("cannot write", to, e);
        let made = fault::file(Point::Create, &unfinished, || File::create(&unfinished));
        let mut target = made.map_err(io)?;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let read = (&mut source).take(self.block()).read_to_end(&mut buffer);
            let got = read.map_err(|e| refused("cannot read", from, e))?;
            if got == 0 {
                break;
            }
            fault::file(Point::FileWrite, &unfinished, || target.write_all(&buffer)).map_err(io)?;
            self.moved(got as u64)?;
        }
        fault::file(Point::FileSync, &unfinished, || target.sync_all())
            .and_then(|()| fault::file(Point::Rename, to, || std::fs::rename(&unfinished, to)))
            .map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_takes_no_more_bytes_a_second_than_it_may() {
        let mut job = Job::new(Meter::default(), Some(1 << 20));
        let watch = Stopwatch::start();
        (0..4).try_for_each(|_| job.moved(64 << 10)).expect("nobody stops it");
        assert!(watch.elapsed() >= Duration::from_millis(240), "a quarter of the rate takes 1/4 s");
        let mut free = Job::new(Meter::default(), None);
        let watch = Stopwatch::start();
        (0..1_000).try_for_each(|_| free.moved(1 << 30)).expect("nobody stops it");
        assert!(watch.elapsed() < Duration::from_secs(1), "without a rate it does not wait");
    }
}
