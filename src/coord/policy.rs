//! How often, and after what pauses, something that failed is tried again.

pub(super) use crate::clock::is_over;
use std::time::Duration;

/// How often, and after what pauses, something that failed is tried again by itself.
///
/// After the n-th failure it waits `first` × 2^(n-1), at most `longest`. After `attempts` failures it is
/// given up: a message becomes a dead letter, a compensation stays failed, until someone puts it back.
///
/// Waits are kept in the store as times of its clock. If the clock is set back, a wait is over once the
/// clock shows a time before its start by more than the wait is long; so a clock that was set back makes
/// a wait at most twice as long, or ends it early, and never holds it for the length of the jump.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use withy::RetryPolicy;
/// let policy = RetryPolicy::default().attempts(5).first(Duration::from_millis(100));
/// assert_eq!(policy.pause(1), Duration::from_millis(100));
/// assert_eq!(policy.pause(4), Duration::from_millis(800));
/// assert_eq!(policy.pause(40), Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    first: Duration,
    longest: Duration,
}

impl Default for RetryPolicy {
    /// Ten attempts, a second after the first failure, at most an hour between two.
    fn default() -> Self {
        Self { attempts: 10, first: Duration::from_secs(1), longest: Duration::from_secs(3600) }
    }
}

impl RetryPolicy {
    /// So many attempts, then it is given up; at least one. Ten unless told.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The pause after the first failure; a second unless told.
    pub fn first(mut self, pause: Duration) -> Self {
        self.first = pause;
        self
    }

    /// The longest pause; an hour unless told.
    pub fn longest(mut self, pause: Duration) -> Self {
        self.longest = pause;
        self
    }

    /// The pause after this many failures.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
        let pause = doubled.and_then(|times| self.first.checked_mul(times));
        pause.map_or(self.longest, |pause| pause.min(self.longest))
    }

    /// Whether so many attempts are all there are.
    pub(super) fn is_spent(&self, attempts: u32) -> bool {
        attempts >= self.attempts
    }

    /// When it is due after an attempt that does not count; not at once, or it would be tried without end.
    pub(super) fn not_now(&self, now: i64) -> i64 {
        const LEAST: Duration = Duration::from_millis(100);
        after(now, self.pause(1).max(LEAST))
    }

    /// When it is due after this many failures, the last one now.
    pub(super) fn due(&self, now: i64, failures: u32) -> i64 {
        after(now, self.pause(failures))
    }
}

/// So much later.
pub(super) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let pauses: Vec<u64> = (0..14).map(|n| policy.pause(n).as_secs()).collect();
        let want = [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600];
        assert_eq!(pauses, want, "one second, doubled, at most an hour");
        assert_eq!(policy.pause(u32::MAX), Duration::from_secs(3600), "however many there are");
        assert!(!policy.is_spent(9) && policy.is_spent(10), "ten attempts");
    }
}
