//! `withy doctor`

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::Value;
use withy::{Checkup, CheckupOptions, Damage, RecoveryReport, SalvageReport, Store};

use crate::app::{App, plural};
use crate::fail::{Code, Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::out::Out;
use crate::progress::{Progress, size};

/// Look whether the store is whole, and save what can be saved
#[derive(Args)]
#[command(after_help = "\
Without options no file is changed, and a writer may go on. Looked at are the marker, the files, the logs \
and the manifest record by record, and the newest commit of each branch. Damage ends with exit code 4.

--salvage cuts a damaged log or manifest before the damage. Commits behind it are lost, acknowledged or \
not; the files as they were are kept in the directory salvage-TIME of the store.

Examples:
  withy doctor
  withy doctor --deep        every file and every row too
  withy doctor --salvage")]
pub(crate) struct Doctor {
    /// Read every data file and every row too
    #[arg(long, conflicts_with = "salvage")]
    deep: bool,
    /// Cut a damaged log or manifest before the damage, and keep what it was
    #[arg(long)]
    salvage: bool,
    /// Do not ask
    #[arg(long, requires = "salvage")]
    yes: bool,
}

pub(crate) fn run(args: &Doctor, app: &mut App) -> Result<Outcome> {
    let dir = app.store_dir()?;
    let doing = || format!("look at the store {}", dir.display());
    let mut progress = Progress::new("doctor", "item", None, app.globals.quiet);
    let options =
        CheckupOptions::default().deep(args.deep).progress(|so_far| progress.tell(so_far));
    let found = Store::checkup(&dir, options).doing(doing)?;
    drop(progress);
    if args.salvage && !found.damage.is_empty() {
        consent(args, &found)?;
        let report = Store::salvage(&dir).doing(|| format!("salvage {}", dir.display()))?;
        return salvaged(&report, app);
    }
    let mut out = app.out()?;
    if app.globals.json {
        out.json(&as_json(&found))?;
    } else {
        show(&found, &mut out)?;
    }
    out.finish()?;
    damaged(&found.damage)
}

/// Exit code 4 if something is wrong.
fn damaged(damage: &[Damage]) -> Result<Outcome> {
    if damage.is_empty() {
        return Ok(Outcome::Done);
    }
    let cause = format!("the store is damaged: {}", plural(damage.len() as u64, "fault"));
    Err(Failure::new(Code::Damaged, "look at the store", cause).hint(
        "keep a copy of it, then restore a backup, or try `withy doctor --salvage` for a log or manifest",
    ))
}

fn consent(args: &Doctor, found: &Checkup) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let on_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let first = found.damage.first().map(|damage| damage.what.as_str()).unwrap_or_default();
    if on_terminal {
        crate::out::complain(&format!("{first}\nCommits behind it will be lost. Go on? [y/N] "));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "yes") {
            return Ok(());
        }
    }
    Err(Failure::usage(
        "salvage the store",
        format!("nobody has said yes to losing commits: {first}"),
    )
    .hint("give --yes, after a copy of the store was made"))
}

fn show(found: &Checkup, out: &mut Out) -> Result<()> {
    if let Some(owner) = &found.owner {
        writeln!(out, "{:13} process {owner}", "writer")?;
    }
    for damage in &found.damage {
        writeln!(out, "{:13} {}", "damage", damage.what)?;
        if !damage.branches.is_empty() {
            writeln!(out, "{:13} it is read by branches {}", "", damage.branches.join(", "))?;
        }
    }
    let report = &found.recovery;
    for torn in &report.torn {
        let (file, at, bytes, why) = (&torn.file, torn.at, size(torn.bytes), &torn.why);
        writeln!(out, "{:13} {file} at byte {at}, {bytes}: {why}", "torn end")?;
    }
    if !found.damage.is_empty() {
        return Ok(());
    }
    let log = format!(
        "{} of {} in {}",
        plural(report.records, "record"),
        size(report.bytes),
        plural(report.logs, "file")
    );
    writeln!(out, "{:13} {log}", "log")?;
    writeln!(out, "{:13} seq:{}", "newest commit", report.latest)?;
    writeln!(out, "{:13} {}, the newest commit of each can be read", "branches", found.branches)?;
    if let Some(rows) = found.rows {
        writeln!(out, "{:13} {rows}, all can be read", "rows")?;
    }
    writeln!(out, "{:13} {} ms", "opened in", report.time.as_millis())?;
    writeln!(out, "no damage was found")?;
    Ok(())
}

fn salvaged(report: &SalvageReport, app: &mut App) -> Result<Outcome> {
    let mut out = app.out()?;
    if app.globals.json {
        let lost: Vec<Value> = report.lost.iter().map(|seq| seq.get().into()).collect();
        let object = Object::new()
            .with("dir", report.dir.clone())
            .with("aside", report.aside.clone())
            .with("done", report.done.clone())
            .with("latest", report.latest.get())
            .with("lost", lost)
            .with("damage", damage_json(&report.damage));
        out.json(&object.done())?;
    } else {
        for done in &report.done {
            writeln!(out, "{done}")?;
        }
        if !report.aside.is_empty() {
            writeln!(out, "kept as they were: {} in {}", report.aside.join(", "), report.dir)?;
        }
        writeln!(out, "the newest commit is seq:{}", report.latest)?;
        if let (Some(first), Some(last)) = (report.lost.first(), report.lost.last()) {
            let count = plural(report.lost.len() as u64, "commit");
            writeln!(
                out,
                "all after it are lost; can be read that there were: {count} from seq:{first} to seq:{last}"
            )?;
        }
        for damage in &report.damage {
            writeln!(out, "still wrong: {}", damage.what)?;
        }
    }
    out.finish()?;
    damaged(&report.damage)
}

fn as_json(found: &Checkup) -> Value {
    Object::new()
        .with("owner", found.owner.clone())
        .with("damage", damage_json(&found.damage))
        .with("recovery", recovery_json(&found.recovery))
        .with("branches", found.branches)
        .with_some("rows", found.rows)
        .done()
}

fn recovery_json(report: &RecoveryReport) -> Object {
    let torn = report.torn.iter().map(|torn| {
        Object::new()
            .with("file", torn.file.clone())
            .with("at", torn.at)
            .with("bytes", torn.bytes)
            .with("why", torn.why.clone())
            .done()
    });
    Object::new()
        .with("logs", report.logs)
        .with("records", report.records)
        .with("bytes", report.bytes)
        .with("latest", report.latest.get())
        .with("torn", torn.collect::<Vec<_>>())
        .with("millis", u64::try_from(report.time.as_millis()).unwrap_or(u64::MAX))
}

fn damage_json(all: &[Damage]) -> Vec<Value> {
    let one = |damage: &Damage| {
        Object::new()
            .with("file", damage.file.clone())
            .with("at", damage.at)
            .with("what", damage.what.clone())
            .with("branches", damage.branches.clone())
            .done()
    };
    all.iter().map(one).collect()
}
