//! The limits of `docs/architecture.md`, each measured against RocksDB, or against itself at another
//! size, in the same run.
//!
//! ```text
//! cargo bench --bench limits -- [--n 1000000] [--quick] [--only PART]... [--rounds 9] [--json FILE] [--dir DIR]
//! ```
//!
//! `--only get` runs the rows whose names contain `get`; `--list` names them. Every scenario checks its
//! own data before it measures. Both sides run in turn, each with a quiet machine, and medians count.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod data;
mod harness;
mod scenario;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use harness::{Report, Result, Setting, settle};

struct Args {
    setting: Setting,
    only: Vec<String>,
    json: Option<PathBuf>,
    list: bool,
    // The scratch directory goes away with it.
    _scratch: tempfile::TempDir,
}

fn args() -> Result<Args> {
    let (mut n, mut rounds, mut scale) = (1_000_000, 9, 1.0);
    let (mut only, mut json, mut list) = (Vec::new(), None, false);
    let mut dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut rest = std::env::args().skip(1);
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--n" => n = value()?.replace('_', "").parse()?,
            "--rounds" => rounds = value()?.parse()?,
            "--only" => only.push(value()?),
            "--json" => json = Some(PathBuf::from(value()?)),
            "--dir" => dir = PathBuf::from(value()?),
            "--quick" => (n, rounds, scale) = (50_000, 3, 0.05),
            "--list" => list = true,
            // Cargo adds it.
            "--bench" => {}
            _ => return Err(format!("no such option: {arg}").into()),
        }
    }
    std::fs::create_dir_all(&dir)?;
    let scratch = tempfile::Builder::new().prefix("limits-").tempdir_in(&dir)?;
    let setting = Setting { n, rounds, cache: 256 << 20, dir: scratch.path().to_owned(), scale };
    Ok(Args { setting, only, json, list, _scratch: scratch })
}

fn run() -> Result<()> {
    let args = args()?;
    if args.list {
        scenario::ALL.iter().flat_map(|s| s.rows).for_each(|row| println!("{row}"));
        return Ok(());
    }
    let mut report = Report::new(args.only);
    println!(
        "{} rows of 16 B + 100 B, {} MiB block cache on either side, medians of {} rounds",
        args.setting.n,
        args.setting.cache >> 20,
        args.setting.rounds,
    );
    report.head();
    let mut failed = Vec::new();
    for scenario in scenario::ALL {
        if scenario.rows.iter().any(|row| report.wants(row)) {
            // A scenario that finds its data wrong does not keep the others from being measured.
            if let Err(e) = (scenario.run)(&args.setting, &mut report) {
                failed.push(format!("{}: {e}", scenario.rows[0]));
                println!("{:<24} FAILED: {e}", scenario.rows[0]);
            }
            // What one scenario left to be deleted is not to be paid for by the next one.
            for entry in std::fs::read_dir(&args.setting.dir)? {
                harness::remove(&entry?.path())?;
            }
            settle();
        }
    }
    report.close();
    if let Some(path) = args.json {
        std::fs::write(path, format!("{:#}\n", report.json(&args.setting)))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

/// What this process does if another one of the bench has started it.
fn child() -> Option<Result<()>> {
    let mut args = std::env::args().skip(1);
    (args.next()? == scenario::merge_many::CHILD).then(|| {
        let args: Vec<String> = args.collect();
        println!("{}", scenario::merge_many::child(&args)?);
        Ok(())
    })
}

fn main() -> ExitCode {
    match child().unwrap_or_else(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: cannot measure: {e}");
            ExitCode::FAILURE
        }
    }
}
