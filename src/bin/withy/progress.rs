//! Progress of long work on standard error: rate and remaining time, on a terminal only.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;

use withy::{Clock as _, SystemClock};

use crate::app::plural;
use crate::out::complain;
use crate::signals;

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
    /// What is being done; its name changes as the work goes on.
    stage: &'static str,
    start: i64,
    drawn: i64,
    is_shown: bool,
    #[cfg(feature = "fault")]
    hold: Hold,
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
        Self {
            what,
            item,
            total,
            stage: "",
            start: now,
            drawn: now,
            is_shown,
            #[cfg(feature = "fault")]
            hold: Hold::given(),
        }
    }

    /// Draws how far the work has come, unless that was done just now; says whether it may go on.
    ///
    /// From the first call on Ctrl-C ends the work and not the process. Before there may be nothing to
    /// look at it: an import waits for someone who types.
    pub(crate) fn tell(&mut self, so_far: withy::Progress) -> ControlFlow<()> {
        signals::watch();
        #[cfg(feature = "fault")]
        self.hold.pass();
        if signals::is_wanted() {
            return ControlFlow::Break(());
        }
        let now = SystemClock.now().as_millis();
        if self.stage != so_far.stage {
            // Rate and remaining time are those of the stage.
            (self.stage, self.start) = (so_far.stage, now);
        }
        if self.is_shown && now - self.drawn >= EVERY_MS {
            self.drawn = now;
            let line = self.line(so_far, now - self.start);
            complain(&format!("\r{line}\x1b[K"));
        }
        ControlFlow::Continue(())
    }

    fn line(&self, so_far: withy::Progress, elapsed_ms: i64) -> String {
        let withy::Progress { stage, items, bytes, .. } = so_far;
        let elapsed = u64::try_from(elapsed_ms).unwrap_or_default().max(1);
        let per_second = |count: u64| count.saturating_mul(1_000) / elapsed;
        let mut line = match stage {
            "" => format!("{}: ", self.what),
            same if same == self.what => format!("{same}: "),
            part => format!("{}, {part}: ", self.what),
        };
        match so_far.total_items.filter(|total| *total > 0) {
            Some(total) => line.push_str(&format!("{items} of {}", plural(total, self.item))),
            None => line.push_str(&plural(items, self.item)),
        }
        let rates = (per_second(items), size(per_second(bytes)));
        if bytes == 0 {
            line.push_str(&format!(" ({}/s)", rates.0));
        } else {
            line.push_str(&format!(", {} ({}/s, {}/s)", size(bytes), rates.0, rates.1));
        }
        let by_bytes = so_far.total_bytes.or(self.total).map(|total| (bytes, total));
        let by_items = so_far.total_items.map(|total| (items, total));
        let known = by_bytes.filter(|(_, total)| *total > 0).or(by_items);
        if let Some((done, total)) = known.filter(|(_, total)| *total > 0) {
            let percent = (u128::from(done) * 100 / u128::from(total)).min(100);
            let left = total.saturating_sub(done) / per_second(done).max(1);
            line.push_str(&format!(", {percent} %, {} left", plural(left, "second")));
        }
        line
    }
}

/// Holds the work at one of its calls, for tests of signals: the variable has the number of the call, the first
/// being 1, and the path of a named pipe. It is held until the pipe has been opened for writing, and closed.
#[cfg(feature = "fault")]
#[derive(Debug)]
struct Hold {
    calls: u64,
    at: Option<(u64, std::path::PathBuf)>,
}

#[cfg(feature = "fault")]
impl Hold {
    const VARIABLE: &str = "WITHY_HOLD";

    fn given() -> Self {
        let given = std::env::var(Self::VARIABLE).ok();
        let at = given.as_deref().and_then(|text| text.split_once(' '));
        let at = at.and_then(|(call, path)| Some((call.parse().ok()?, path.into())));
        Self { calls: 0, at }
    }

    fn pass(&mut self) {
        self.calls += 1;
        if let Some((_, path)) = self.at.as_ref().filter(|(call, _)| *call == self.calls) {
            let _ = std::fs::read(path);
        }
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
        let so_far = |items, bytes| {
            let mut progress = withy::Progress::default();
            (progress.items, progress.bytes) = (items, bytes);
            progress
        };
        assert_eq!(
            progress.line(so_far(10, 1024), 1_000),
            "import: 10 rows, 1.0 KiB (10/s, 1.0 KiB/s), 25 %, 3 seconds left"
        );
        let progress = Progress::new("backup", "file", None, true);
        let mut copied = so_far(1, 2048);
        copied.stage = "copy";
        (copied.total_items, copied.total_bytes) = (Some(4), Some(4096));
        assert_eq!(
            progress.line(copied, 1_000),
            "backup, copy: 1 of 4 files, 2.0 KiB (1/s, 2.0 KiB/s), 50 %, 1 second left"
        );
        copied.bytes = 0;
        copied.total_bytes = None;
        assert_eq!(
            progress.line(copied, 1_000),
            "backup, copy: 1 of 4 files (1/s), 25 %, 3 seconds left"
        );
        copied.bytes = 2048;
        assert_eq!(
            progress.line(copied, 1_000),
            "backup, copy: 1 of 4 files, 2.0 KiB (1/s, 2.0 KiB/s), 25 %, 3 seconds left"
        );
    }
}
