//! `withy verify`

use std::io::Write as _;

use clap::Args;
use serde_json::Value;
use withy::{Finding, Store, VerifyOptions, VerifyReport};

use crate::app::{App, plural};
use crate::fail::{Code, Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::out::Out;
use crate::progress::{Progress, size};
use crate::text::Format;

/// Check that the store is whole
#[derive(Args)]
#[command(after_help = "\
Reads everything that is stored, as it is on disk, and compares it with everything that must be true of \
it: checksums of rows and of whole files, rows, commits and their ids, fingerprints, counts, branches, tags, pins, indexes, large \
values, what is under way. Each finding says what is wrong, where, and which branches and tags read it.

Works beside a process that writes, changes nothing, and can be interrupted. Exit code 0: all is well; \
4: the store is damaged.

Examples:
  withy verify
  withy verify --quick
  withy verify --branch topic
  withy verify --json")]
pub(crate) struct Verify {
    /// Read every row, but do not work out hashes, ids, fingerprints and checksums of whole files
    #[arg(long)]
    quick: bool,
    /// Number of threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// List at most this many findings
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_findings: usize,
}

pub(crate) fn run(args: &Verify, app: &mut App) -> Result<Outcome> {
    let dir = app.store_dir()?;
    let mut progress = Progress::new("verify", "row", None, app.globals.quiet);
    let mut bytes = 0;
    let mut options = VerifyOptions::default()
        .quick(args.quick)
        .max_findings(args.max_findings)
        .progress(|so_far| {
            bytes = so_far.bytes;
            progress.tell(so_far)
        });
    if let Some(threads) = args.threads {
        options = options.threads(threads);
    }
    if let Some(branch) = &app.globals.branch {
        options = options.branch(branch.as_str());
    }
    let report = Store::verify_at(&dir, options).doing(|| format!("verify {}", dir.display()))?;
    drop(progress);
    let mut out = app.out()?;
    if app.globals.json {
        for finding in &report.findings {
            out.json(&Value::from(json(finding)))?;
        }
        out.json(&summary(&report, bytes).done())?;
    } else {
        tell(&mut out, &report, bytes, app.globals.quiet)?;
    }
    out.finish()?;
    if report.is_clean() {
        return Ok(Outcome::Done);
    }
    let what = plural(report.found, "finding");
    let failure = Failure::new(Code::Damaged, "verify", format!("the store is damaged: {what}"));
    Err(failure
        .hint("keep a copy of the store before anything else, and see what each finding advises"))
}

fn tell(out: &mut Out, report: &VerifyReport, bytes: u64, quiet: bool) -> Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}: {finding}", finding.check)?;
        let mut names: Vec<String> =
            finding.branches.iter().map(|name| format!("branch {name}")).collect();
        names.extend(finding.tags.iter().map(|name| format!("tag {name}")));
        if finding.more > 0 {
            names.push(format!("{} more", finding.more));
        }
        if !names.is_empty() {
            writeln!(out, "  touches {}", names.join(", "))?;
        }
        writeln!(out, "  {}", finding.check.advice())?;
    }
    let listed = report.findings.len() as u64;
    if report.found > listed {
        writeln!(out, "and {} more", report.found - listed)?;
    }
    for left in &report.leftovers {
        writeln!(out, "left over, no fault: {left}")?;
    }
    if !quiet {
        writeln!(
            out,
            "{}: {}, {}, {}, {}; {} read",
            if report.is_clean() { "all is well" } else { "judged" },
            plural(report.commits, "commit"),
            plural(report.versions, "version"),
            plural(report.lines, "line"),
            plural(report.blobs, "large value"),
            size(bytes)
        )?;
        if report.orphan_blobs > 0 {
            writeln!(out, "{} named by nobody", plural(report.orphan_blobs, "large value"))?;
        }
    }
    Ok(())
}

fn json(finding: &Finding) -> Object {
    Object::new()
        .with("check", finding.check.name())
        .with("invariant", finding.invariant)
        .with("what", finding.what.as_str())
        .with("family", finding.family)
        .with_some("line", finding.line)
        .with_some("seq", finding.seq.map(withy::Seq::get))
        .maybe_bytes("key", finding.key.as_deref(), Format::Text)
        .with("branches", finding.branches.clone())
        .with("tags", finding.tags.clone())
        .with("more", finding.more)
        .with("advice", finding.check.advice())
}

fn summary(report: &VerifyReport, bytes: u64) -> Object {
    Object::new()
        .with("clean", report.is_clean())
        .with("found", report.found)
        .with("latest", report.latest.get())
        .with("commits", report.commits)
        .with("versions", report.versions)
        .with("lines", report.lines)
        .with("large_values", report.blobs)
        .with("orphans", report.orphan_blobs)
        .with("rows", report.rows)
        .with("bytes", bytes)
        .with("leftovers", report.leftovers.clone())
}
