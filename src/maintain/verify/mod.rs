//! Verification: everything that is stored, read once, and held against everything that must be true of
//! it. What is wrong is data, never a panic and never the end of the work.
//!
//! All of it is one state of the database, so writes go on meanwhile. Commits and rows are compared by
//! sums, not by sorting (see `sums`), so memory grows with the number of lines, branches and tags, and
//! not with rows, commits or values.

mod blobs;
mod commit;
mod content;
mod files;
mod found;
mod gone;
mod index;
mod lines;
mod log;
mod meta;
mod ops;
mod options;
mod pool;
mod prepared;
mod purges;
mod refs;
mod report;
mod rows;
mod scan;
mod state;
mod sums;
mod touches;
mod trace;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use options::VerifyOptions;
pub use report::{Check, Finding, VerifyReport};

use self::blobs::Named;
use self::content::Shown;
use self::found::{Findings, Site};
use self::lines::Lines;
use self::log::LogPass;
use self::meta::Fixed;
use self::refs::Names;
use self::rows::{Range, RowPass};
use self::sums::Sums;
use self::trace::Trace;
use crate::engine::{Engine, Frozen};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;
use crate::id::{LineId, Seq};
use crate::progress::Meter;

/// What every part of a verification needs.
pub(super) struct Context<'e> {
    db: Frozen<'e>,
    fixed: Fixed,
    threads: usize,
    quick: bool,
    rows: AtomicU64,
    bytes: AtomicU64,
    stopped: AtomicBool,
}

impl Context<'_> {
    /// Counts rows that were read.
    fn count(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn counted(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Verifies a database.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the branch that was named is not there; [`ErrorKind::Interrupted`] if the
/// caller wants no more. What is wrong with the store is no error.
pub(crate) fn verify(engine: &Engine, mut options: VerifyOptions<'_>) -> Result<VerifyReport> {
    let findings = Findings::new(options.max_findings);
    let db = engine.freeze();
    let fixed = Fixed::load(&db, &findings);
    let machine = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let context = Context {
        db,
        fixed,
        threads: options.threads.unwrap_or_else(machine),
        quick: options.quick,
        rows: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    };
    let estimate = |family| engine.property(family, "rocksdb.estimate-num-keys");
    let total = Family::ALL.into_iter().filter_map(estimate).sum();
    options.meter.stage("verify", Some(total), None)?;
    let mut work = Work::new(&context, &findings, options.branch.as_deref())?;
    let mut report = work.run(&mut options.meter)?;
    let names = work.names;
    let lines = work.lines;
    let (mut found, count) = findings.into_sorted();
    touches::add(&context, &names, &lines, &mut found);
    report.findings = found;
    report.found = count;
    (report.rows, _) = context.counted();
    options.meter.tell(report.rows, context.counted().1)?;
    Ok(report)
}

/// A verification while it runs.
struct Work<'a> {
    context: &'a Context<'a>,
    findings: &'a Findings,
    names: Names,
    lines: Lines,
    named: Named,
    sums: Sums,
    broken: BTreeSet<Seq>,
}

impl<'a> Work<'a> {
    fn new(context: &'a Context<'a>, findings: &'a Findings, branch: Option<&str>) -> Result<Self> {
        let names = Names::load(context, findings);
        let mut lines = Lines::load(context, findings);
        if let Some(branch) = branch {
            let line = names.branches.get(branch).copied().ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("no branch {branch:?}"))
                    .with_hint("`withy branch` lists the branches")
            })?;
            lines.restrict(line);
        }
        let blobs = context.db.engine().property(Family::Blob, "rocksdb.estimate-num-keys");
        let named = Named::new(blobs.unwrap_or_default());
        let broken = BTreeSet::new();
        Ok(Self { context, findings, names, lines, named, sums: Sums::new(true), broken })
    }

    fn run(&mut self, meter: &mut Meter<'_>) -> Result<VerifyReport> {
        let (context, findings) = (self.context, self.findings);
        let mut report = VerifyReport { latest: context.fixed.latest, ..VerifyReport::default() };
        report.lines = self.lines.all().iter().filter(|l| self.lines.judges(l.id)).count() as u64;
        if !context.quick {
            files::check(context, findings, (&self.names, &self.lines), meter)?;
        }
        report.blobs = self.blobs(meter)?;
        report.commits = self.log(meter)?;
        report.versions = self.rows(meter)?;
        let (names, lines) = (&self.names, &self.lines);
        // Each of these is small beside the rows; the caller is asked between them.
        let small: [&(dyn Fn() + Sync); 7] = [
            &|| gone::check(context, findings, lines),
            &|| refs::check(context, findings, names, lines),
            &|| {
                if lines.is_all() {
                    log::check_owners(context, findings, lines)
                }
            },
            &|| {
                if lines.is_all() {
                    ops::check(context, findings)
                }
            },
            &|| {
                if lines.is_all() {
                    index::check(context, findings, lines)
                }
            },
            &|| {
                if lines.is_all() {
                    state::check(context, findings, names, &self.named)
                }
            },
            &|| {
                if lines.is_all() {
                    meta::check(context, findings)
                }
            },
        ];
        pool::run(context, meter, small.to_vec(), |check| check())?;
        if lines.is_all() {
            let orphans = vec![()];
            let count = |()| blobs::orphans(context, findings, &self.named);
            report.orphan_blobs = pool::run(context, meter, orphans, count)?.into_iter().sum();
            context.fixed.leftovers(&mut report.leftovers);
            let path = context.db.engine().path();
            meta::strange_files(context, path, &mut report.leftovers);
        }
        Ok(report)
    }

    /// Large values come first: who names a damaged one is touched by it.
    fn blobs(&mut self, meter: &mut Meter<'_>) -> Result<u64> {
        let (context, findings) = (self.context, self.findings);
        let all = (0..=u8::MAX).collect();
        let judged =
            pool::run(context, meter, all, |first| blobs::judge(context, findings, first))?;
        let count = judged.iter().map(|one| one.count).sum();
        self.named.damaged.extend(judged.into_iter().flat_map(|one| one.damaged));
        Ok(count)
    }

    /// Runs of the log for several threads, in order.
    fn runs(&self) -> Vec<(Seq, Seq)> {
        let (first, last) = (Seq::ROOT.get(), self.context.fixed.latest.get());
        let pieces = 8 * self.context.threads as u64;
        let step = (last.saturating_sub(first) / pieces).max(1_000);
        let starts = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        starts.map(|from| (Seq::new(from), Seq::new(last.min(from + step - 1)))).collect()
    }

    fn log(&mut self, meter: &mut Meter<'_>) -> Result<u64> {
        let (runs, lines) = (self.runs(), &self.lines);
        let (context, findings) = (self.context, self.findings);
        let all = Mutex::new(&mut self.sums);
        let runs = pool::run(context, meter, runs, |(from, to)| {
            let mut pass = LogPass::new(context, findings, lines, Sums::new(true));
            pass.judge(from, to);
            all.lock().unwrap_or_else(PoisonError::into_inner).add(&pass.sink);
            pass.run
        })?;
        self.broken.extend(runs.iter().flat_map(|run| run.broken.iter().copied()));
        let commits = runs.iter().map(|run| run.commits).sum();
        log::join(context, findings, &runs, &mut self.lines);
        log::find_first(context, &mut self.lines);
        Ok(commits)
    }

    fn rows(&mut self, meter: &mut Meter<'_>) -> Result<u64> {
        let (context, findings) = (self.context, self.findings);
        let (lines, named) = (&self.lines, &self.named);
        let ranges = rows::ranges(context, lines);
        let all: Mutex<(&mut Sums, Shown)> = Mutex::new((&mut self.sums, Shown::default()));
        let versions = pool::run(context, meter, ranges.clone(), |range: Range| {
            let mut pass = RowPass::new(context, findings, (lines, named), Sums::new(false));
            pass.judge(&range);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.0.add(&pass.sink);
            all.1.add(&pass.shown);
            pass.versions
        })?;
        let versions = versions.into_iter().sum();
        let (_, shown) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        let doubtful = self.trace(meter, &ranges)?;
        content::check(context, findings, &self.lines, (&shown, &doubtful));
        Ok(versions)
    }

    /// Reads again what the commits and the rows do not agree on, and names it; the lines it is on.
    fn trace(&self, meter: &mut Meter<'_>, ranges: &[Range]) -> Result<BTreeSet<LineId>> {
        let unequal = self.sums.unequal();
        if unequal.is_empty() {
            return Ok(BTreeSet::new());
        }
        let groups = trace::choose(&unequal, self.sums.items, self.findings.limit());
        let looked_at = groups.iter().filter(|chosen| **chosen).count();
        self.findings.count((unequal.len() - looked_at) as u64);
        let muted = Findings::muted();
        let (context, lines, named) = (self.context, &self.lines, &self.named);
        let from_log = pool::run(context, meter, self.runs(), |(from, to)| {
            let mut pass = LogPass::new(context, &muted, lines, Trace::new(&groups));
            pass.judge(from, to);
            pass.sink
        })?;
        let from_rows = pool::run(context, meter, ranges.to_vec(), |range: Range| {
            let mut pass = RowPass::new(context, &muted, (lines, named), Trace::new(&groups));
            pass.judge(&range);
            pass.sink
        })?;
        let join = |traces: Vec<Trace<'_>>| {
            let mut all = Trace::new(&groups);
            traces.into_iter().for_each(|one| all.versions.extend(one.versions));
            all
        };
        let (from_log, from_rows) = (join(from_log), join(from_rows));
        Ok(trace::compare(self.findings, &from_log, &from_rows, &self.broken))
    }
}

/// INV-59: names rows of a family whose kind, their first byte, is not known.
fn unknown_kinds(context: &Context<'_>, findings: &Findings, family: Family, known: &[u8]) {
    let mut walk = scan::Walk::new(context, findings, family, (&[], None));
    let mut more = walk.advance();
    while more {
        let kind = walk.key().first().copied();
        more = match kind.filter(|kind| known.contains(kind)) {
            Some(kind) => walk.jump(&[kind + 1]),
            None => {
                findings.malformed(Site::of(family).key(walk.key()), "a kind that nobody knows");
                walk.advance()
            }
        };
    }
}
