//! What every scenario needs: arguments, rounds that alternate, medians, goals, the table and the JSON.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is measured, and where.
pub(crate) struct Setting {
    /// Rows of the large stores.
    pub(crate) n: u64,
    /// How often each side is measured; the median counts.
    pub(crate) rounds: usize,
    /// Block cache of either side, in bytes.
    pub(crate) cache: usize,
    /// Scratch directory.
    pub(crate) dir: PathBuf,
    /// The fixed sizes of the limits (1,000,000 commits, 100,000 branches), cut down by `--quick`.
    pub(crate) scale: f64,
}

impl Setting {
    /// An empty directory for one store; the one that was there is gone.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        remove(&path)?;
        Ok(path)
    }

    /// One of the fixed sizes, cut down where asked.
    pub(crate) fn sized(&self, full: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(1)
    }
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

/// One quantity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    /// Seconds for one operation.
    Time(f64),
    /// Operations, rows or keys in one second.
    Rate(f64),
    Bytes(f64),
}

impl Measure {
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Time(v) | Self::Rate(v) | Self::Bytes(v) => v,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Time(_) => "s",
            Self::Rate(_) => "1/s",
            Self::Bytes(_) => "B",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::Time(s) if s < 1e-6 => format!("{:.0} ns", s * 1e9),
            Self::Time(s) if s < 1e-3 => format!("{:.2} µs", s * 1e6),
            Self::Time(s) if s < 1.0 => format!("{:.2} ms", s * 1e3),
            Self::Time(s) => format!("{s:.2} s"),
            Self::Rate(r) if r >= 1e6 => format!("{:.2} M/s", r / 1e6),
            Self::Rate(r) if r >= 1e3 => format!("{:.1} k/s", r / 1e3),
            Self::Rate(r) => format!("{r:.0} /s"),
            Self::Bytes(b) if b >= 1e6 => format!("{:.0} MiB", b / f64::from(1 << 20)),
            Self::Bytes(b) => format!("{b:.0} B"),
        };
        f.pad(&text)
    }
}

/// What has to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// At least this much of the speed of the other side.
    Speed(f64),
    /// At most this many times the time of the other side.
    Within(f64),
    AtMost(Measure),
    AtLeast(Measure),
}

impl Goal {
    fn reached(self, withy: Measure, ratio: Option<f64>) -> bool {
        match self {
            Self::Speed(least) => ratio.is_some_and(|r| r >= least),
            Self::Within(most) => ratio.is_some_and(|r| r <= most),
            Self::AtMost(most) => withy.number() <= most.number(),
            Self::AtLeast(least) => withy.number() >= least.number(),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Speed(r) => format!("≥ {r:.2} ×"),
            Self::Within(r) => format!("≤ {r:.2} ×"),
            Self::AtMost(m) => format!("≤ {m}"),
            Self::AtLeast(m) => format!("≥ {m}"),
        };
        f.pad(&text)
    }
}

/// One line of the result.
pub(crate) struct Row {
    name: &'static str,
    withy: Measure,
    against: Option<(String, Measure)>,
    ratio: Option<f64>,
    goal: Goal,
}

impl Row {
    /// withy against RocksDB, both as the time of one operation.
    pub(crate) fn speed(name: &'static str, pair: &Pair, goal: f64) -> Self {
        Self {
            name,
            withy: Measure::Time(pair.one),
            against: Some(("rocksdb".into(), Measure::Time(pair.other))),
            ratio: Some(pair.ratio),
            goal: Goal::Speed(goal),
        }
    }

    /// withy here against itself at another size, both as the time of one operation; `ratio` is how
    /// many times as long it takes here.
    pub(crate) fn growth(
        name: &'static str,
        here: f64,
        there: (&str, f64),
        ratio: f64,
        goal: f64,
    ) -> Self {
        Self {
            name,
            withy: Measure::Time(here),
            against: Some((there.0.to_owned(), Measure::Time(there.1))),
            ratio: Some(ratio),
            goal: Goal::Within(goal),
        }
    }

    /// A quantity with a limit of its own.
    pub(crate) fn limit(name: &'static str, withy: Measure, goal: Goal) -> Self {
        Self { name, withy, against: None, ratio: None, goal }
    }

    /// The same with what RocksDB does for comparison, which the goal does not speak of.
    pub(crate) fn beside(mut self, label: &str, other: Measure) -> Self {
        if let (Measure::Rate(here), Measure::Rate(there)) = (self.withy, other) {
            self.ratio = Some(here / there);
        }
        self.against = Some((label.to_owned(), other));
        self
    }

    fn reached(&self) -> bool {
        self.goal.reached(self.withy, self.ratio)
    }

    fn json(&self) -> Value {
        json!({
            "row": self.name,
            "withy": self.withy.number(),
            "unit": self.withy.unit(),
            "against": self.against.as_ref().map(|(label, m)| json!({ "what": label, "value": m.number() })),
            "ratio": self.ratio,
            "goal": self.goal.to_string(),
            "reached": self.reached(),
        })
    }
}

/// Collects the rows that were asked for and prints them as they come.
pub(crate) struct Report {
    only: Vec<String>,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(only: Vec<String>) -> Self {
        Self { only, rows: Vec::new() }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    pub(crate) fn head(&self) {
        println!(
            "{:<24} {:>11}  {:<22} {:>7}  {:<12} reached",
            "row", "withy", "against", "ratio", "goal"
        );
    }

    pub(crate) fn add(&mut self, row: Row) {
        if !self.wants(row.name) {
            return;
        }
        let against = row.against.as_ref().map(|(label, m)| format!("{label} {m}"));
        println!(
            "{:<24} {:>11}  {:<22} {:>7}  {:<12} {}",
            row.name,
            row.withy,
            against.unwrap_or_default(),
            row.ratio.map(|r| format!("{r:.2}")).unwrap_or_default(),
            row.goal,
            if row.reached() { "yes" } else { "NO" },
        );
        self.rows.push(row);
    }

    /// Prints the last line; the number of rows that are short of their goal.
    pub(crate) fn close(&self) -> usize {
        let short = self.rows.iter().filter(|row| !row.reached()).count();
        println!("{} of {} rows reached", self.rows.len() - short, self.rows.len());
        short
    }

    pub(crate) fn json(&self, setting: &Setting) -> Value {
        json!({
            "n": setting.n,
            "rounds": setting.rounds,
            "cache_bytes": setting.cache,
            "scale": setting.scale,
            "cores": std::thread::available_parallelism().map(usize::from).unwrap_or(0),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

/// How long some work takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let out = work()?;
    Ok((start.elapsed(), out))
}

/// Seconds for one of `count` operations.
pub(crate) fn each(count: u64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (took, ()) = timed(work)?;
    Ok(took.as_secs_f64() / count as f64)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Two sides, each as the median of its rounds, in seconds.
pub(crate) struct Pair {
    pub(crate) one: f64,
    pub(crate) other: f64,
    /// Median over the rounds of `other / one`: what slows both sides of a round cancels out.
    pub(crate) ratio: f64,
}

/// Measures two sides in turn, each first in every second round, each with a quiet process.
pub(crate) fn alternate(
    rounds: usize,
    mut one: impl FnMut(usize) -> Result<f64>,
    mut other: impl FnMut(usize) -> Result<f64>,
) -> Result<Pair> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for turn in 0..2 {
            settle();
            if (round + turn) % 2 == 0 {
                ones.push(one(round)?);
            } else {
                others.push(other(round)?);
            }
        }
    }
    let ratios = ones.iter().zip(&others).map(|(one, other)| other / one).collect();
    Ok(Pair { ratio: median(ratios), one: median(ones), other: median(others) })
}

/// Waits until background work of either side has ended, so that nobody pays for the other.
pub(crate) fn settle() {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut last = cpu_ticks();
    let mut quiet = 0;
    while quiet < 3 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(40));
        let now = cpu_ticks();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}

/// Processor time of this process in ticks of the system; always the same where it cannot be read.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum()
}
