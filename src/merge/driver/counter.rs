//! Counters: both sides' differences are added.

use super::{DriverInput, DriverResult, MergeDriver};

/// Adds what both sides added to a signed 64-bit number in ASCII; an absent base is 0.
///
/// Written as an optional `-` and digits, with at most one line end after them; leading zeros are read,
/// not written. The result has a line end if both sides have one.
pub(super) struct Counter;

impl MergeDriver for Counter {
    fn name(&self) -> &str {
        "counter/1"
    }

    fn adds_up(&self) -> bool {
        true
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        let (Some(ours), Some(theirs)) = (input.ours, input.theirs) else {
            return Err("one side deleted the key".into());
        };
        let base = input.base.map_or(Ok(0), |base| number(base, "the base"))?;
        let sum = number(ours, "ours")? + number(theirs, "theirs")? - base;
        let sum =
            i64::try_from(sum).map_err(|_| format!("the sum {sum} does not fit into 64 bits"))?;
        let end = if ours.ends_with(b"\n") && theirs.ends_with(b"\n") { "\n" } else { "" };
        Ok(Some(format!("{sum}{end}").into_bytes()))
    }
}

/// Wide enough for the sum of three of them.
fn number(value: &[u8], side: &str) -> Result<i128, String> {
    let line = value.strip_suffix(b"\n").unwrap_or(value);
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(format!("{side} is not a whole number"));
    }
    let parsed = std::str::from_utf8(line).ok().and_then(|text| text.parse::<i64>().ok());
    parsed.map(i128::from).ok_or_else(|| format!("{side} does not fit into 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::{Counter, DriverInput, MergeDriver};

    fn sum(base: Option<&str>, ours: &str, theirs: &str) -> Result<String, String> {
        let [ours, theirs] = [ours, theirs].map(|side| Some(side.as_bytes()));
        let merged =
            Counter.merge(&DriverInput::new(b"k", base.map(str::as_bytes), ours, theirs))?;
        Ok(String::from_utf8_lossy(&merged.unwrap_or_default()).into_owned())
    }

    #[test]
    fn differences_are_added() {
        assert_eq!(sum(Some("5"), "7", "4"), Ok("6".into()));
        assert_eq!(sum(None, "7", "4"), Ok("11".into()));
        assert_eq!(sum(Some("-3"), "-3", "007"), Ok("7".into()));
        assert_eq!(sum(None, "-0", "-0"), Ok("0".into()));
    }

    #[test]
    fn a_line_end_is_kept_if_both_sides_have_it() {
        assert_eq!(sum(Some("5"), "7\n", "4\n"), Ok("6\n".into()));
        assert_eq!(sum(Some("5\n"), "7\n", "4"), Ok("6".into()));
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for bad in ["", "-", "+1", " 1", "1 ", "1\n\n", "1\r\n", "0x1", "1.0", "--1", "\n"] {
            assert_eq!(sum(None, bad, "1"), Err("ours is not a whole number".into()), "{bad:?}");
        }
        assert_eq!(
            sum(None, "1", "9223372036854775808"),
            Err("theirs does not fit into 64 bits".into())
        );
    }

    #[test]
    fn only_the_result_must_fit() {
        let (least, most) = (i64::MIN.to_string(), i64::MAX.to_string());
        assert_eq!(sum(Some(&most), &most, &most), Ok(most.clone()));
        assert_eq!(sum(Some(&least), &least, "0"), Ok("0".into()));
        assert_eq!(
            sum(None, &most, "1"),
            Err("the sum 9223372036854775808 does not fit into 64 bits".into())
        );
    }
}
