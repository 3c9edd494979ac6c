//! What every value driver has to keep to.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Seq;
use crate::merge::{DriverInput, MergeDriver};

/// Checks that a driver keeps the laws of value drivers, on all combinations of some values.
///
/// - Its name has a version.
/// - The same values give the same result.
/// - Changing the sides over changes nothing, unless it is [`directional`](MergeDriver::directional).
/// - A side that has the base's value yields, unless the driver
///   [`ignores_base`](MergeDriver::ignores_base).
/// - Equal sides are not refused.
///
/// The samples are values that the driver can read, as it would write them: 4 to 10 are enough. Cost:
/// some calls of the driver for each three of them.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid), naming the law and the values, if one is broken.
///
/// # Examples
/// ```
/// use withy::{driver_fn, drivers, testing::check_driver_laws};
/// check_driver_laws(&*drivers::counter(), &["0", "7", "-2"])?;
///
/// let ours = driver_fn("mine/1", |_base, ours, _theirs| Ok(ours.to_vec()));
/// let broken = check_driver_laws(&*ours, &["a", "b"]).expect_err("it prefers a side");
/// assert_eq!(
///     broken.to_string(),
///     "mine/1: changing the sides over must change nothing: \
///      base (absent), ours a, theirs b give a"
/// );
/// # Ok::<(), withy::Error>(())
/// ```
pub fn check_driver_laws<V: AsRef<[u8]>>(driver: &dyn MergeDriver, samples: &[V]) -> Result<()> {
    check_driver_laws_by(driver, samples, |a, b| a == b)
}

/// The same, for a driver whose values can mean the same though their bytes differ.
///
/// # Errors
/// As for [`check_driver_laws`].
///
/// # Examples
/// ```
/// use withy::{drivers, testing::check_driver_laws_by};
/// let number = |value: &[u8]| String::from_utf8_lossy(value).trim_end().parse::<i64>().ok();
/// // The driver writes no leading zeros.
/// check_driver_laws_by(&*drivers::counter(), &["007", "8"], |a, b| number(a) == number(b))?;
/// # Ok::<(), withy::Error>(())
/// ```
pub fn check_driver_laws_by<V: AsRef<[u8]>>(
    driver: &dyn MergeDriver,
    samples: &[V],
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<()> {
    let versioned = driver.name().split_once('/').is_some_and(|(name, version)| {
        !name.is_empty() && !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())
    });
    if !versioned {
        let text = format!("{}: its name must have a version, such as pear/1", driver.name());
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    let values: Vec<Option<&[u8]>> =
        std::iter::once(None).chain(samples.iter().map(|value| Some(value.as_ref()))).collect();
    let laws = Laws { driver, same: &same };
    for &base in &values {
        for &ours in &values {
            for &theirs in &values {
                let deleted = ours.is_none() || theirs.is_none();
                let absent = base.is_none() || (ours.is_none() && theirs.is_none());
                // What it is never asked about.
                if deleted && (absent || !driver.settles_deletions()) {
                    continue;
                }
                let input = DriverInput::new(b"key", base, ours, theirs);
                laws.check(&input.written_at(Seq::new(1), Seq::new(2)))?;
                laws.check(&input.written_at(Seq::new(2), Seq::new(1)))?;
            }
        }
    }
    Ok(())
}

struct Laws<'d> {
    driver: &'d dyn MergeDriver,
    same: &'d dyn Fn(&[u8], &[u8]) -> bool,
}

impl Laws<'_> {
    fn check(&self, input: &DriverInput<'_>) -> Result<()> {
        let result = self.driver.merge(input);
        if self.driver.merge(input) != result {
            return Err(self.broken(input, "the same values must give the same result"));
        }
        let merged = result.as_ref().ok().map(Option::as_deref);
        if !self.driver.directional() {
            let swapped = self.driver.merge(&input.swapped()).ok();
            if !self.agree(merged, swapped.as_ref().map(Option::as_deref)) {
                return Err(self.broken(input, "changing the sides over must change nothing"));
            }
        }
        if !self.driver.ignores_base() {
            for (side, other) in [(input.ours, input.theirs), (input.theirs, input.ours)] {
                if input.base.is_some() && side == input.base && !self.agree(merged, Some(other)) {
                    let law = "a side that has the base's value must yield";
                    return Err(self.broken(input, law));
                }
            }
        }
        if input.ours == input.theirs && merged.is_none() {
            return Err(self.broken(input, "equal sides must not be refused"));
        }
        Ok(())
    }

    fn agree(&self, a: Option<Option<&[u8]>>, b: Option<Option<&[u8]>>) -> bool {
        match (a, b) {
            (Some(Some(a)), Some(Some(b))) => (self.same)(a, b),
            (a, b) => a == b,
        }
    }

    fn broken(&self, input: &DriverInput<'_>, law: &str) -> Error {
        let show = |value: Option<&[u8]>| match value {
            Some(value) => super::text::show_word(value),
            None => "(absent)".to_owned(),
        };
        let result = match self.driver.merge(input) {
            Ok(value) => format!("give {}", show(value.as_deref())),
            Err(why) => format!("are refused: {why}"),
        };
        let sides = [input.base, input.ours, input.theirs].map(show);
        let [base, ours, theirs] = sides;
        let name = self.driver.name();
        let text = format!("{name}: {law}: base {base}, ours {ours}, theirs {theirs} {result}");
        Error::new(ErrorKind::Invalid, text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::check_driver_laws;
    use crate::merge::{DriverInput, DriverResult, MergeDriver, driver_fn, drivers};

    #[test]
    fn the_drivers_that_withy_brings_keep_them() {
        let samples: [(_, &[&str]); 5] = [
            (drivers::text(), &["", "a\n", "a\nb\n", "b\n", "a\nc\nb\n"]),
            (drivers::json(), &["{}", "{\"a\":1}", "{\"a\":2}", "{\"b\":1}", "[]", "1"]),
            (drivers::counter(), &["0", "1", "-7", "100"]),
            (drivers::set(), &["", "a\n", "a\nb\n", "b\nc\n"]),
            (drivers::last_write(), &["", "a", "b"]),
        ];
        for (driver, samples) in samples {
            check_driver_laws(&*driver, samples).expect("it keeps them");
        }
    }

    /// Asks no base, and does not say so.
    struct Largest;

    impl MergeDriver for Largest {
        fn name(&self) -> &str {
            "largest/1"
        }
        fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
            Ok(input.ours.max(input.theirs).map(<[u8]>::to_vec))
        }
    }

    #[test]
    fn each_broken_law_is_named() {
        let asked = AtomicU8::new(0);
        let cases = [
            (driver_fn("plain", |_, ours, _| Ok(ours.to_vec())), "have a version"),
            (
                driver_fn("moody/1", move |_, _, _| {
                    Ok(vec![asked.fetch_add(1, Ordering::Relaxed)])
                }),
                "the same values must give the same result",
            ),
            (
                driver_fn("longest/1", |_, ours, theirs| {
                    Ok(if ours.len() >= theirs.len() { ours } else { theirs }.to_vec())
                }),
                "changing the sides over must change nothing",
            ),
            (
                Arc::new(Largest) as Arc<dyn MergeDriver>,
                "a side that has the base's value must yield",
            ),
            (
                driver_fn("picky/1", |base, ours, theirs| match base {
                    Some(base) if base == ours => Ok(theirs.to_vec()),
                    Some(base) if base == theirs => Ok(ours.to_vec()),
                    _ => Err("both changed it".into()),
                }),
                "equal sides must not be refused",
            ),
        ];
        for (driver, law) in cases {
            let broken = check_driver_laws(&*driver, &["a", "b"]).expect_err(law).to_string();
            assert!(broken.contains(law), "{broken}");
        }
    }
}
