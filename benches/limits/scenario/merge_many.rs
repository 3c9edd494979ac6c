//! Large merges: of 20,000 edits with 20,000 others, and the memory for one of 1,000,000 changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use withy::{Branch, BranchOptions, Durability, KeyRange, MergeOptions, MergeOutcome, Read, Store};
use withy::{MergeReport, Strategy};

use crate::data::{self, FILL, check, fill};
use crate::harness::{Goal, Measure, Report, Result, Row, Setting, median, settle, timed};

const EDITS: &str = "merge/20000";
const MEMORY: &str = "merge/1000000";
pub(crate) const ROWS: &[&str] = &[EDITS, MEMORY];

/// Tells the process that it is to merge a store, and to say what that took.
pub(crate) const CHILD: &str = "--merge-child";

/// Rows of a commit.
const COMMIT: usize = 100;
/// A row that only main has.
const OWN: u64 = 1 << 40;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    if report.wants(EDITS) {
        let store = data::open(&setting.fresh("edits")?, setting, Durability::Buffered)?;
        fill(&store.main()?, setting.n)?;
        let count = setting.sized(20_000);
        let mut all = Vec::new();
        for round in 0..setting.rounds as u64 {
            all.push(merge_edits(&store, setting.n, count, round)?);
        }
        let limit = Goal::AtMost(Measure::Time(100e-3));
        report.add(Row::limit(EDITS, Measure::Time(median(all)), limit));
    }
    if report.wants(MEMORY) {
        let (took, peak) = memory(setting)?;
        let limit = Goal::AtMost(Measure::Bytes((1_u64 << 30) as f64));
        let row = Row::limit(MEMORY, Measure::Bytes(peak), limit);
        report.add(row.beside("in", Measure::Time(took)));
    }
    Ok(())
}

/// Makes two branches of main, edits random rows on either, and merges the one into the other; seconds
/// that the merge takes.
fn merge_edits(store: &Store, n: u64, count: u64, round: u64) -> Result<f64> {
    let mut random = fastrand::Rng::with_seed(round);
    let mut side = |name: &str, version: u64| -> Result<(Branch, BTreeMap<u64, u64>)> {
        let mut rows = BTreeMap::new();
        while (rows.len() as u64) < count {
            rows.insert(random.u64(0..n), version);
        }
        let branch =
            store.create_branch(&format!("{name}/{round}"), "main", BranchOptions::default())?;
        let picked: Vec<_> = rows.iter().map(|(&i, &version)| (i, version)).collect();
        for rows in picked.chunks(COMMIT) {
            data::commit(&branch, rows.iter().copied())?;
        }
        Ok((branch, rows))
    };
    let (target, mut rows) = side("left", 1)?;
    let (source, theirs) = side("right", 2)?;
    let both = theirs.keys().filter(|i| rows.contains_key(i)).count();
    settle();
    let options = MergeOptions::default().strategy(Strategy::Theirs);
    let (took, report) =
        timed(|| Ok(store.merge(target.name().as_str(), source.name().as_str(), options)?))?;
    if report.settled.len() != both {
        return Err(format!("{} of {both} conflicts are settled", report.settled.len()).into());
    }
    verify_changes(&report, count)?;
    rows.extend(theirs);
    for (&i, &version) in &rows {
        check(&target, i, Some(version))?;
    }
    Ok(took.as_secs_f64())
}

fn verify_changes(report: &MergeReport, want: u64) -> Result<()> {
    let counts = report.changes.unwrap_or_default();
    let changed = counts.added + counts.modified + counts.deleted;
    if report.outcome == MergeOutcome::Committed && changed == want {
        return Ok(());
    }
    Err(format!("{changed} of {want} changes are merged: {:?}", report.outcome).into())
}

/// Merges that many changes in a process of its own; its seconds and its largest memory.
fn memory(setting: &Setting) -> Result<(f64, f64)> {
    let path = setting.fresh("memory")?;
    let count = setting.sized(1_000_000);
    {
        let store = data::open(&path, setting, Durability::Buffered)?;
        let main = store.main()?;
        fill(&main, setting.n)?;
        let topic = store.create_branch("topic", "main", BranchOptions::default())?;
        for from in (0..count).step_by(FILL as usize) {
            data::commit(&topic, (from..count.min(from + FILL)).map(|i| (i, 1)))?;
        }
        // So that it is no fast-forward.
        data::commit(&main, [(OWN, 1)])?;
        settle();
    }
    let child = Command::new(std::env::current_exe()?)
        .arg(CHILD)
        .arg(&path)
        .args([setting.n, count, setting.cache as u64].map(|number| number.to_string()))
        .output()?;
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    if !child.status.success() {
        return Err(format!("the merge failed: {}", String::from_utf8_lossy(&child.stderr)).into());
    }
    let (took, peak) = said.trim().split_once(' ').ok_or("the merge said nothing")?;
    Ok((took.parse()?, peak.parse()?))
}

/// What the child does; it prints its seconds and its largest memory.
pub(crate) fn child(args: &[String]) -> Result<String> {
    let [path, n, count, cache] = args else { return Err("store and sizes are needed".into()) };
    let (n, count): (u64, u64) = (n.parse()?, count.parse()?);
    let setting = Setting { n, rounds: 1, cache: cache.parse()?, dir: path.into(), scale: 1.0 };
    let store = data::open(Path::new(path), &setting, Durability::Buffered)?;
    let (took, report) = timed(|| Ok(store.merge("main", "topic", MergeOptions::default())?))?;
    let peak = largest_memory()?;
    verify_changes(&report, count)?;
    let main = store.main()?;
    for i in (0..n.max(count)).step_by(997) {
        check(&main, i, Some(u64::from(i < count)))?;
    }
    check(&main, OWN, Some(1))?;
    if main.count(&KeyRange::all())? != n.max(count) + 1 {
        return Err("rows are missing after the merge".into());
    }
    Ok(format!("{} {peak}", took.as_secs_f64()))
}

/// The most memory that this process has had, in bytes.
fn largest_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(number.parse::<u64>()? << 10)
}
