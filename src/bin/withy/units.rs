//! Sizes and ages, as people write them.

use std::time::Duration;

/// Reads a number of bytes, such as 4096, 64K, 50M or 1.5G: K, M and G are powers of 1024.
pub(crate) fn byte_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of bytes such as 4096, 64K or 50M");
    let trimmed = text.trim().trim_end_matches(['b', 'B']).trim_end_matches(['i', 'I']);
    let shift = match trimmed.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        _ => 0,
    };
    let number = if shift == 0 { trimmed } else { &trimmed[..trimmed.len() - 1] };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).filter(|&n| n > 0).ok_or_else(wrong);
    }
    let parts: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = parts * f64::from(1_u32 << shift);
    // What is written with a point is small enough to be exact; anything else is none.
    if !(1.0..=1e15).contains(&bytes) {
        return Err(wrong());
    }
    format!("{bytes:.0}").parse().map_err(|_| wrong())
}

/// Reads an age: a number and s, m, h, d or w.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not an age such as 90m, 12h, 30d or 8w");
    let trimmed = text.trim();
    let unit = match trimmed.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        Some('w') => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = trimmed[..trimmed.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64K", 64 << 10),
            ("50M", 50 << 20),
            ("1.5G", 3 << 29),
            ("2MiB", 2 << 20),
        ] {
            assert_eq!(byte_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "x", "-1", "1T", "K", "99999999999G", "nan", "é"] {
            assert!(byte_size(text).is_err(), "{text:?} is none");
        }
    }

    #[test]
    fn ages_are_read_as_they_are_written() {
        assert_eq!(age("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        for text in ["", "d", "5", "-1d", "1.5h", "1y", "99999999999999999w", "5é"] {
            assert!(age(text).is_err(), "{text:?} is none");
        }
    }
}
