//! Times on the command line: as the library reads them, or as git users write them.

use withy::{Clock as _, SystemClock, Timestamp};

/// Reads `2026-11-20T10:00:00Z`, `2026-11-20`, `now`, `yesterday`, `2 hours ago` or `2.hours.ago`.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let before = ago(text).ok_or_else(|| {
        "not a time such as 2026-11-20T10:00:00Z, 2026-11-20 or \"2 hours ago\"".to_owned()
    })?;
    Ok(Timestamp::from_millis(SystemClock.now().as_millis().saturating_sub(before)))
}

/// How long ago a text says, in milliseconds.
fn ago(text: &str) -> Option<i64> {
    const SECOND: i64 = 1_000;
    const DAY: i64 = 24 * 3_600 * SECOND;
    let words: Vec<&str> = text.split([' ', '.']).filter(|w| !w.is_empty()).collect();
    let (count, unit) = match words.as_slice() {
        ["now"] => return Some(0),
        ["yesterday"] => return Some(DAY),
        [count, unit, "ago"] => (count.parse::<i64>().ok()?, unit),
        _ => return None,
    };
    let one = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3_600 * SECOND,
        "day" => DAY,
        "week" => 7 * DAY,
        "month" => 30 * DAY,
        "year" => 365 * DAY,
        _ => return None,
    };
    count.checked_mul(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_relative() {
        assert_eq!(ago("2 hours ago"), Some(7_200_000));
        assert_eq!(ago("1.day.ago"), Some(86_400_000));
        assert_eq!(ago("yesterday"), ago("1 day ago"));
        assert_eq!(ago("soon"), None, "the future is not among them");
        assert!(parse("2026-11-20").is_ok(), "a day is a time");
        assert!(parse("pear").is_err(), "a fruit is not");
    }
}
