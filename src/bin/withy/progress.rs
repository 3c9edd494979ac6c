//! Progress of long work on standard error: rate and remaining time, on a terminal only.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use withy::{Clock as _, SystemClock, exchange};

use crate::app::plural;
use crate::out::complain;

/// Draws at most this often.
const EVERY_MS: i64 = 100;

/// A line on the terminal that is redrawn as work goes on.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    /// What is counted besides bytes.
    item: &'static str,
    /// Bytes in all, if that is known.
    total: Option<u64>,
    start: i64,
    drawn: i64,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new(
        what: &'static str,
        item: &'static str,
        total: Option<u64>,
        quiet: bool,
    ) -> Self {
        let now = SystemClock.now().as_millis();
        let is_shown = !quiet && io::stderr().is_terminal();
        Self { what, item, total, start: now, drawn: now, is_shown }
    }

    /// Draws how far the work has come, unless that was done just now.
    pub(crate) fn tell(&mut self, so_far: exchange::Progress) -> ControlFlow<()> {
        let now = SystemClock.now().as_millis();
        if self.is_shown && now - self.drawn >= EVERY_MS {
            self.drawn = now;
            let line = self.line(so_far.items, so_far.bytes, now - self.start);
            complain(&format!("\r{line}\x1b[K"));
        }
        ControlFlow::Continue(())
    }

    fn line(&self, items: u64, bytes: u64, elapsed_ms: i64) -> String {
        let elapsed = u64::try_from(elapsed_ms).unwrap_or_default().max(1);
        let per_second = |count: u64| count.saturating_mul(1_000) / elapsed;
        let rate = per_second(bytes);
        let mut line = format!(
            "{}: {}, {} ({}/s, {}/s)",
            self.what,
            plural(items, self.item),
            size(bytes),
            per_second(items),
            size(rate)
        );
        if let Some(total) = self.total.filter(|total| *total > 0) {
            let percent = bytes.saturating_mul(100) / total;
            let left = total.saturating_sub(bytes) / rate.max(1);
            line.push_str(&format!(", {percent} %, {} left", plural(left, "second")));
        }
        line
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            complain("\r\x1b[K");
        }
    }
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scale = 1;
    while bytes / scale >= 1024 && unit + 1 < UNITS.len() {
        scale *= 1024;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes} B");
    }
    let tenths = u128::from(bytes) * 10 / u128::from(scale);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }

    #[test]
    fn cli_4_progress_says_rate_and_remaining_time() {
        let progress = Progress::new("import", "row", Some(4096), true);
        assert_eq!(
            progress.line(10, 1024, 1_000),
            "import: 10 rows, 1.0 KiB (10/s, 1.0 KiB/s), 25 %, 3 seconds left"
        );
    }
}
