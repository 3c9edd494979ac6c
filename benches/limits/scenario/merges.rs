//! The merge base of two sides with many merges, over 1,000,000 commits that come in as a git stream.

use std::fmt::Write as _;
use std::io::{BufReader, Read};

use withy::Durability;
use withy::exchange::{self, GitImportOptions};

use crate::data;
use crate::harness::{Goal, Measure, Report, Result, Row, Setting, median, settle, timed};

pub(crate) const ROWS: &[&str] = &["merge-base/2000-merges"];

/// Commits before the sides fork.
const COMMON: u64 = 1_000;
/// Commits of a side from one merge of a topic to the next, and those of the topic among them.
const STRETCH: u64 = 500;
const TOPIC: u64 = 20;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let commits = setting.sized(1_000_000);
    let store = data::open(&setting.fresh("withy")?, setting, Durability::Buffered)?;
    let stream = BufReader::new(Text { commits: Commits::new(commits), rest: Vec::new() });
    exchange::import_git(&store, stream, GitImportOptions::default())?;

    let fork = store.commit("main")?.seq;
    if store.latest().get() < commits || store.merge_base("left", "right")? != [fork] {
        return Err("the merge base is not where the sides forked".into());
    }
    let mut all = Vec::new();
    for _ in 0..setting.rounds {
        settle();
        let (took, _) = timed(|| Ok(store.merge_base("left", "right")?))?;
        all.push(took.as_secs_f64());
    }
    let limit = Goal::AtMost(Measure::Time(5e-3));
    report.add(Row::limit(ROWS[0], Measure::Time(median(all)), limit));
    Ok(())
}

/// The commits of the stream, one after the other: a common start, then stretches of the left and of
/// the right side in turn. In each, a topic forks, goes its way, and is merged.
struct Commits {
    total: u64,
    mark: u64,
    /// Newest marks of the left and of the right side.
    sides: [u64; 2],
    /// Newest mark of the topic of this stretch.
    topic: u64,
}

impl Commits {
    fn new(total: u64) -> Self {
        Self { total, mark: 0, sides: [COMMON; 2], topic: 0 }
    }
}

impl Iterator for Commits {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.mark == self.total {
            return None;
        }
        self.mark += 1;
        let mark = self.mark;
        if mark <= COMMON {
            let from = (mark > 1).then(|| mark - 1);
            return Some(text("main", mark, from, None));
        }
        let (stretch, at) = ((mark - COMMON - 1) / STRETCH, (mark - COMMON - 1) % STRETCH);
        let side = (stretch % 2) as usize;
        let name = ["left", "right"][side];
        let here = self.sides[side];
        if at < TOPIC {
            let from = if at == 0 { here } else { self.topic };
            self.topic = mark;
            return Some(text(&format!("topic/{stretch}"), mark, Some(from), None));
        }
        self.sides[side] = mark;
        let merged = (at == STRETCH - 1).then_some(self.topic);
        Some(text(name, mark, Some(here), merged))
    }
}

fn text(branch: &str, mark: u64, from: Option<u64>, merged: Option<u64>) -> String {
    let mut out = String::new();
    let value = mark.to_string();
    let time = 1_600_000_000 + mark;
    let mut line = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a string takes everything");
        out.push('\n');
    };
    line(format_args!("commit refs/heads/{branch}\nmark :{mark}"));
    line(format_args!("committer Bench <bench@example.org> {time} +0000\ndata 0"));
    if let Some(from) = from {
        line(format_args!("from :{from}"));
    }
    if let Some(merged) = merged {
        line(format_args!("merge :{merged}"));
    }
    line(format_args!("M 100644 inline row/{}\ndata {}\n{value}", mark % 10_000, value.len()));
    out
}

/// The same as bytes.
struct Text {
    commits: Commits,
    rest: Vec<u8>,
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.commits.by_ref().take(100).flat_map(String::into_bytes).collect();
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}
