//! Time: the only place that asks the machine for it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, FixedOffset, SecondsFormat, TimeZone, Utc};

/// A moment in UTC, in milliseconds since 1970.
///
/// # Examples
/// ```
/// use withy::Timestamp;
/// let t: Timestamp = "2026-11-20T10:00:00Z".parse()?;
/// assert_eq!(t.to_string(), "2026-11-20T10:00:00Z");
/// assert_eq!(t, "2026-11-20T11:00:00+01:00".parse()?);
/// # Ok::<(), withy::ParseTimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The text is not a time such as `2026-11-20T10:00:00Z` or `2026-11-20`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time such as 2026-11-20T10:00:00Z or 2026-11-20 (UTC)")]
pub struct ParseTimeError;

impl Timestamp {
    /// The moment this many milliseconds after the start of 1970, UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970, UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(t) => f.pad(&t.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimeError;

    /// Reads RFC 3339, `YYYY-MM-DD[T ]HH:MM[:SS]` or `YYYY-MM-DD`, the last two in UTC. Years have four
    /// digits, in UTC too, so what is shown is read back.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        use chrono::{Datelike, NaiveDate, NaiveDateTime};
        let checked = |t: DateTime<Utc>| match t.year() {
            0..=9999 => Ok(Self(t.timestamp_millis())),
            _ => Err(ParseTimeError),
        };
        if let Ok(t) = DateTime::parse_from_rfc3339(text) {
            return checked(t.to_utc());
        }
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|shape| NaiveDateTime::parse_from_str(text, shape).ok())
            .or_else(day)
            .map_or(Err(ParseTimeError), |t| checked(t.and_utc()))
    }
}

/// A moment as a person wrote it down: UTC seconds and the offset of their clock.
///
/// # Examples
/// ```
/// use withy::ZonedTime;
/// let t = ZonedTime { seconds: 1_000_000_000, offset_minutes: 90 };
/// assert_eq!(t.to_string(), "2001-09-09T03:16:40+01:30");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZonedTime {
    /// Seconds since the start of 1970, UTC.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i16,
}

impl fmt::Display for ZonedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = FixedOffset::east_opt(i32::from(self.offset_minutes) * 60);
        match zone.and_then(|z| z.timestamp_opt(self.seconds, 0).single()) {
            Some(t) => f.pad(&t.to_rfc3339_opts(SecondsFormat::Secs, true)),
            None => write!(f, "{} s {:+} min", self.seconds, self.offset_minutes),
        }
    }
}

/// Where a store takes the time from. Give your own to [`OpenOptions::clock`](crate::OpenOptions::clock)
/// for tests; the store itself keeps times from running backwards.
///
/// # Examples
/// ```
/// use withy::{Clock, Timestamp};
/// struct Fixed;
/// impl Clock for Fixed {
///     fn now(&self) -> Timestamp { Timestamp::from_millis(1_000) }
/// }
/// assert_eq!(Fixed.now().to_string(), "1970-01-01T00:00:01Z");
/// ```
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
///
/// # Examples
/// ```
/// use withy::{Clock, SystemClock, Timestamp};
/// assert!(SystemClock.now() > Timestamp::from_millis(0));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Time that only goes forwards, for leases: what the clock on the wall shows does not matter to it.
/// Give your own to [`OpenOptions::monotonic`](crate::OpenOptions::monotonic) to let time pass in tests.
///
/// # Examples
/// ```
/// use withy::{Monotonic, SystemMonotonic};
/// let time = SystemMonotonic::default();
/// let first = time.elapsed();
/// assert!(time.elapsed() >= first);
/// ```
pub trait Monotonic: Send + Sync {
    /// How long it is since a moment that does not change. A smaller answer than an earlier one counts
    /// as the earlier one.
    fn elapsed(&self) -> Duration;
}

/// The time of the machine since this was made; setting its clock does not change it.
#[derive(Clone, Copy, Debug)]
pub struct SystemMonotonic(Stopwatch);

impl Default for SystemMonotonic {
    fn default() -> Self {
        Self(Stopwatch::start())
    }
}

impl Monotonic for SystemMonotonic {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Whether a wait is over: its end has come, or the clock was set back so far that it says nothing.
pub(crate) fn is_over(now: i64, since: i64, until: i64) -> bool {
    let wait = until.saturating_sub(since).max(0);
    now >= until || now < since.saturating_sub(wait)
}

/// A point after which waiting ends; immune to jumps of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "this is where waiting time enters")]
    pub(crate) fn after(wait: Duration) -> Self {
        let now = Instant::now();
        // A wait too long to be represented is a wait of a century.
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(now.checked_add(wait).unwrap_or_else(|| now + century))
    }

    /// What is left; `None` when it has passed.
    #[expect(clippy::disallowed_methods, reason = "this is where waiting time enters")]
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Measures how long something takes; never reaches stored data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "durations are for statistics and leases only")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_documented_shape() {
        let want = Timestamp::from_millis(1_795_168_800_000);
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20T10:00:00",
            "2026-11-20T10:00",
            "2026-11-20 10:00",
            "2026-11-20T12:00:00+02:00",
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        assert_eq!("yesterday".parse::<Timestamp>(), Err(ParseTimeError), "words are no time");
    }

    #[test]
    fn a_wait_ends_on_time_and_outlives_no_jump_of_the_clock() {
        assert!(!is_over(1_050, 1_000, 1_100), "half way");
        assert!(is_over(1_100, 1_000, 1_100), "at its end");
        assert!(!is_over(950, 1_000, 1_100), "a small step back waits at most as long again");
        assert!(is_over(899, 1_000, 1_100), "a large one ends it");
        assert!(is_over(i64::MIN, 1_000, i64::MAX - 1), "no wait overflows");
        assert!(is_over(5, 7, 7), "no wait at all is over whatever the clock says");
        assert!(!is_over(0, 0, i64::MAX), "a wait for ever");
    }
}
