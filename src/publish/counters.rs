//! Counts and durations of transactions; written and read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::error::{Error, ErrorKind, Result};

/// Counters that every transaction moves, and every commit that is one by itself.
#[derive(Default)]
pub(crate) struct Counters {
    begun: AtomicU64,
    committed: AtomicU64,
    aborted: AtomicU64,
    conflicts: AtomicU64,
    /// Transactions that are open now; batches are none.
    active: AtomicU64,
    longest_nanos: AtomicU64,
    total_nanos: AtomicU64,
    durations: Histogram,
}

impl Counters {
    /// Begins what is one commit by itself.
    pub(crate) fn begin(&self) -> Timer<'_> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Timer {
            counters: self,
            watch: Stopwatch::start(),
            open: false,
            ended: false,
            counted: true,
        }
    }

    /// Begins a transaction that stays open for a while.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] if so many are open already.
    pub(crate) fn open(&self, limit: Option<u64>) -> Result<Timer<'_>> {
        let below = |open: u64| limit.is_none_or(|limit| open < limit).then_some(open + 1);
        if self.active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_err() {
            let limit = limit.unwrap_or_default();
            let text = format!("the limit of {limit} open transactions is reached");
            return Err(Error::new(ErrorKind::Limit, text)
                .with_hint("end one of them, or raise max-transactions"));
        }
        let mut timer = self.begin();
        timer.open = true;
        Ok(timer)
    }

    /// What they say now.
    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let longest = read(&self.longest_nanos);
        let [p50_nanos, p99_nanos] = self.durations.at_or_below([50, 99]).map(|n| n.min(longest));
        Counts {
            begun: read(&self.begun),
            committed: read(&self.committed),
            aborted: read(&self.aborted),
            conflicts: read(&self.conflicts),
            active: read(&self.active),
            longest_nanos: longest,
            total_nanos: read(&self.total_nanos),
            p50_nanos,
            p99_nanos,
        }
    }
}

/// What the counters say at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) begun: u64,
    pub(crate) committed: u64,
    pub(crate) aborted: u64,
    pub(crate) conflicts: u64,
    pub(crate) active: u64,
    pub(crate) longest_nanos: u64,
    pub(crate) total_nanos: u64,
    pub(crate) p50_nanos: u64,
    pub(crate) p99_nanos: u64,
}

/// One transaction being measured; dropped before its end it counts as aborted.
pub(crate) struct Timer<'a> {
    counters: &'a Counters,
    watch: Stopwatch,
    open: bool,
    ended: bool,
    /// Whether it is one of those that statistics are made of.
    counted: bool,
}

impl Timer<'_> {
    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Takes back that it was begun: nothing came of it.
    pub(crate) fn never_began(mut self) {
        self.ended = true;
        self.counted = false;
        self.counters.begun.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn end<T>(mut self, done: &Result<T>) {
        self.ended = true;
        let counters = self.counters;
        match done {
            Ok(_) => counters.committed.fetch_add(1, Ordering::Relaxed),
            Err(e) => {
                if e.kind() == ErrorKind::Conflict {
                    counters.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                counters.aborted.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let counters = self.counters;
        if !self.ended {
            counters.aborted.fetch_add(1, Ordering::Relaxed);
        }
        if self.open {
            counters.active.fetch_sub(1, Ordering::Relaxed);
        }
        if !self.counted {
            return;
        }
        let nanos = u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        counters.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
        counters.total_nanos.fetch_add(nanos, Ordering::Relaxed);
        counters.durations.add(nanos);
    }
}

/// Each power of two is cut into this many steps, so a quantile is at most an eighth too high.
const STEPS: usize = 8;
/// Steps of all powers up to the largest number.
const BUCKETS: usize = 62 * STEPS;

/// Counts of numbers by size.
struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    fn bucket(number: u64) -> usize {
        let number = number.max(STEPS as u64);
        let power = number.ilog2() as usize - 3;
        let step = (number >> power) as usize - STEPS;
        power * STEPS + step
    }

    /// The largest number in a bucket.
    fn top(bucket: usize) -> u64 {
        let (power, step) = (bucket / STEPS, (bucket % STEPS) as u128);
        let above = (STEPS as u128 + step + 1) << power;
        u64::try_from(above - 1).unwrap_or(u64::MAX)
    }

    fn add(&self, number: u64) {
        self.0[Self::bucket(number)].fetch_add(1, Ordering::Relaxed);
    }

    /// For each share, in percent and rising: a number that so many of them are at or below.
    fn at_or_below<const N: usize>(&self, shares: [u64; N]) -> [u64; N] {
        let counts: Vec<u64> = self.0.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let mut out = [0; N];
        let (mut seen, mut next) = (0, 0);
        for (bucket, count) in counts.into_iter().enumerate() {
            seen += count;
            while next < N
                && count > 0
                && u128::from(seen) * 100 >= u128::from(all) * u128::from(shares[next])
            {
                out[next] = Self::top(bucket);
                next += 1;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_1_a_quantile_is_at_most_an_eighth_too_high() {
        let histogram = Histogram::default();
        for number in 1..=10_000u64 {
            histogram.add(number * 1_000);
        }
        for (share, exact) in [(1, 100_000), (50, 5_000_000), (99, 9_900_000), (100, 10_000_000)] {
            let [found] = histogram.at_or_below([share]);
            assert!((exact..=exact + exact / 8).contains(&found), "{share} %: {found} for {exact}");
        }
    }

    #[test]
    fn stat_1_every_number_has_a_bucket() {
        for number in (0..64).map(|bit| 1u64 << bit).chain([0, 7, 8, 9, u64::MAX]) {
            let bucket = Histogram::bucket(number);
            assert!(Histogram::top(bucket) >= number, "{number} is in bucket {bucket}");
            assert!(bucket == 0 || Histogram::top(bucket - 1) < number, "and in no lower one");
        }
        assert_eq!(Histogram::default().at_or_below([50]), [0], "nothing was counted");
    }

    #[test]
    fn stat_1_what_is_dropped_counts_as_aborted_and_frees_its_place() {
        let counters = Counters::default();
        let first = counters.open(Some(1)).expect("one is allowed");
        assert!(counters.open(Some(1)).is_err(), "a second one is not");
        assert_eq!(counters.read().active, 1, "one is open");
        drop(first);
        let counts = counters.read();
        assert_eq!((counts.begun, counts.aborted, counts.active), (1, 1, 0), "it is over");
        assert!(counters.open(Some(1)).is_ok(), "and the place is free");
    }
}
