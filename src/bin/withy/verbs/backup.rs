//! `withy backup`

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use withy::{
    BackupFault, BackupInfo, BackupOptions, Backups, PruneOptions, RestoreOptions,
    VerifyBackupOptions,
};

use crate::app::{App, plural};
use crate::fail::{Code, Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::out::{Paint, complain};
use crate::progress::{Progress, size};
use crate::text::first_line;
use crate::units::{age, byte_size};

/// Back up the store while it is used, verify and prune backups, restore one
///
/// A backup is a directory with snapshots of one store, best on another disk. Each content is kept once, so
/// a snapshot takes the space of what is new. All of this works while another process writes to the store.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup create /mnt/backup/fruit -m nightly
  withy backup list /mnt/backup/fruit
  withy backup verify /mnt/backup/fruit
  withy backup prune /mnt/backup/fruit --keep 7 --keep-within 30d
  withy backup restore /mnt/backup/fruit ../restored --snapshot 3")]
pub(crate) struct Backup {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Create(Create),
    List(List),
    Verify(Verify),
    Prune(Prune),
    Restore(Restore),
}

/// Add a snapshot of the store; make the backup if the directory is absent or empty
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup create /mnt/backup/fruit
  withy backup create /mnt/backup/fruit -m 'before the upgrade' --rate 50M")]
struct Create {
    /// Directory of the backup
    dir: PathBuf,
    /// What the snapshot is made for
    #[arg(long, short, default_value = "")]
    message: String,
    /// Read no more bytes of the store a second than this, such as 50M
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    rate: Option<u64>,
}

/// List the snapshots, oldest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup list /mnt/backup/fruit
  withy backup list /mnt/backup/fruit --json | tail -1")]
struct List {
    /// Directory of the backup
    dir: PathBuf,
}

/// Read every byte of all snapshots, or of one, and compare it with its hash
///
/// Damaged contents are moved aside, to names that end in .damaged, so that the next `backup create` stores
/// them anew if the store still has them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup verify /mnt/backup/fruit
  withy backup verify /mnt/backup/fruit --snapshot 3")]
struct Verify {
    /// Directory of the backup
    dir: PathBuf,
    /// Only this snapshot
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// Read no more bytes a second than this, such as 50M
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    rate: Option<u64>,
}

/// Remove snapshots, and contents that none is left to need
///
/// A snapshot stays if one of the rules keeps it; the newest always does. Without a rule all stay, and only
/// what interrupted backups have left is removed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup prune /mnt/backup/fruit --keep 7
  withy backup prune /mnt/backup/fruit --keep 3 --keep-within 30d --dry-run")]
struct Prune {
    /// Directory of the backup
    dir: PathBuf,
    /// Keep this many of the newest
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u64>,
    /// Keep those that are no older than this, such as 12h, 30d or 8w
    #[arg(long, value_name = "AGE", value_parser = age)]
    keep_within: Option<Duration>,
    /// Only say what would be removed
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// Make a store of a snapshot, in a directory that is absent or empty
///
/// Every byte is compared with its hash, and the store is opened and verified, before the directory becomes
/// a store. An interrupted restore goes on when it is run again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy backup restore /mnt/backup/fruit ../restored
  withy backup restore /mnt/backup/fruit ../restored --snapshot 3
  withy --store ../restored log")]
struct Restore {
    /// Directory of the backup
    dir: PathBuf,
    /// Directory of the new store
    target: PathBuf,
    /// This snapshot [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// Do not verify the restored store: faster, and what was wrong when it was backed up is no obstacle
    #[arg(long)]
    quick: bool,
    /// Copy no more bytes a second than this, such as 50M
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    rate: Option<u64>,
}

pub(crate) fn run(args: &Backup, app: &mut App) -> Result<Outcome> {
    match &args.what {
        What::Create(args) => create(args, app),
        What::List(args) => list(args, app),
        What::Verify(args) => verify(args, app),
        What::Prune(args) => prune(args, app),
        What::Restore(args) => restore(args, app),
    }
}

fn open(dir: &PathBuf) -> Result<Backups> {
    Backups::open(dir).doing(|| format!("open the backup {}", dir.display()))
}

fn create(args: &Create, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let wait = app.wait()?;
    let mut progress = Progress::new("backup", "file", None, app.globals.quiet);
    let mut options = BackupOptions::default()
        .message(args.message.as_str())
        .wait(wait)
        .progress(|so_far| progress.tell(so_far));
    if let Some(rate) = args.rate {
        options = options.bytes_per_second(rate);
    }
    let made = store.back_up(&args.dir, options);
    let made = made.doing(|| format!("back up the store to {}", args.dir.display()))?;
    drop(progress);
    let object = object(&made.info)
        .with("bytes_read", made.bytes_read)
        .with("bytes_written", made.bytes_written);
    app.say(app.out()?, object, |_| {
        let BackupInfo { number, latest, .. } = made.info;
        let (new, bytes) = (size(made.bytes_written), size(made.info.bytes));
        format!("snapshot {number}: the store up to seq:{latest}, {bytes}, {new} of it new")
    })?;
    Ok(Outcome::Done)
}

/// What is told of a snapshot.
fn object(info: &BackupInfo) -> Object {
    Object::new()
        .with("snapshot", info.number)
        .with("time", info.time.to_string())
        .with("latest", info.latest.get())
        .with("message", info.message.as_str())
        .with("files", info.files)
        .with("bytes", info.bytes)
}

fn list(args: &List, app: &App) -> Result<Outcome> {
    let backups = open(&args.dir)?;
    let doing = || format!("list the backup {}", args.dir.display());
    let mut out = app.paged()?;
    for info in backups.list().doing(doing)? {
        if app.globals.json {
            out.json(&object(&info).done())?;
            continue;
        }
        let number = out.paint(Paint::Id, info.number);
        let message = first_line(&info.message, 72);
        let line =
            format!("{number} {} seq:{} {} {message}", info.time, info.latest, size(info.bytes));
        writeln!(out, "{}", line.trim_end())?;
    }
    out.finish()?;
    let damaged = backups.damaged().doing(doing)?;
    match damaged.first() {
        None => Ok(Outcome::Done),
        Some((_, e)) => Err(crate::fail::from_library(e, doing())),
    }
}

fn verify(args: &Verify, app: &App) -> Result<Outcome> {
    let backups = open(&args.dir)?;
    let mut progress = Progress::new("verify", "content", None, app.globals.quiet);
    let mut options = VerifyBackupOptions::default().progress(|so_far| progress.tell(so_far));
    if let Some(rate) = args.rate {
        options = options.bytes_per_second(rate);
    }
    if let Some(number) = args.snapshot {
        options = options.snapshot(number);
    }
    let report = backups.verify(options);
    let doing = || format!("verify the backup {}", args.dir.display());
    let report = report.doing(doing)?;
    drop(progress);
    let faults: Vec<_> = report.faults.iter().map(|fault| fault_object(fault).done()).collect();
    let object = Object::new()
        .with("snapshots", report.snapshots)
        .with("contents", report.contents)
        .with("bytes", report.bytes)
        .with("unnamed", report.unnamed)
        .with("faults", faults);
    if report.snapshots == 0 {
        // Nothing that it could give back: whoever looks after backups must hear of it.
        let cause = format!("there is no snapshot in {}", args.dir.display());
        return Err(
            Failure::new(Code::Usage, doing(), cause).hint("`withy backup create` makes one")
        );
    }
    if report.faults.is_empty() {
        app.say(app.out()?, object, |_| {
            let (snapshots, contents) =
                (plural(report.snapshots, "snapshot"), plural(report.contents, "content"));
            format!("{snapshots} whole: {contents}, {}", size(report.bytes))
        })?;
        return Ok(Outcome::Done);
    }
    if app.globals.json {
        app.say(app.out()?, object, |_| String::new())?;
    } else if !app.globals.quiet {
        for fault in &report.faults {
            let BackupFault { path, what, snapshots, moved_to, .. } = fault;
            let moved = moved_to.as_ref().map(|to| format!("; moved to {}", to.display()));
            let (path, numbers) = (path.display(), numbers(snapshots));
            complain(&format!(
                "damaged: {path}: {what} ({numbers}){}\n",
                moved.unwrap_or_default()
            ));
        }
    }
    let cause = format!("{} damaged", plural(report.faults.len() as u64, "file"));
    Err(Failure::new(Code::Damaged, doing(), cause)
        .hint("back up again: what the store still has comes back; then verify again"))
}

fn fault_object(fault: &BackupFault) -> Object {
    Object::new()
        .with("path", fault.path.display().to_string())
        .with("what", fault.what.as_str())
        .with("snapshots", fault.snapshots.clone())
        .with("moved_to", fault.moved_to.as_ref().map(|path| path.display().to_string()))
}

/// `snapshot 3`, `snapshots 3, 4`.
fn numbers(all: &[u64]) -> String {
    let list: Vec<String> = all.iter().map(u64::to_string).collect();
    let word = if all.len() == 1 { "snapshot" } else { "snapshots" };
    format!("{word} {}", list.join(", "))
}

fn prune(args: &Prune, app: &App) -> Result<Outcome> {
    let backups = open(&args.dir)?;
    let mut progress = Progress::new("prune", "content", None, app.globals.quiet);
    let mut options =
        PruneOptions::default().dry_run(args.dry_run).progress(|so_far| progress.tell(so_far));
    if let Some(keep) = args.keep {
        options = options.keep(keep);
    }
    if let Some(within) = args.keep_within {
        options = options.keep_within(within);
    }
    let pruned = backups.prune(options);
    let pruned = pruned.doing(|| format!("prune the backup {}", args.dir.display()))?;
    drop(progress);
    let object = Object::new()
        .with("removed", pruned.snapshots.clone())
        .with("contents", pruned.contents)
        .with("bytes", pruned.bytes);
    let object = if args.dry_run { object.with("dry_run", true) } else { object };
    app.say(app.out()?, object, |_| {
        let what = match pruned.snapshots.as_slice() {
            [] => "no snapshot".to_owned(),
            some => numbers(some),
        };
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let contents = plural(pruned.contents, "content");
        format!("{verb} {what}, {contents}, {}", size(pruned.bytes))
    })?;
    Ok(Outcome::Done)
}

fn restore(args: &Restore, app: &App) -> Result<Outcome> {
    let backups = open(&args.dir)?;
    let mut progress = Progress::new("restore", "file", None, app.globals.quiet);
    let mut options =
        RestoreOptions::default().quick(args.quick).progress(|so_far| progress.tell(so_far));
    if let Some(number) = args.snapshot {
        options = options.snapshot(number);
    }
    if let Some(rate) = args.rate {
        options = options.bytes_per_second(rate);
    }
    let restored = backups.restore(&args.target, options);
    let restored = restored.doing(|| format!("restore to {}", args.target.display()))?;
    drop(progress);
    let object = object(&restored.info)
        .with("store", args.target.display().to_string())
        .with("newest", restored.latest.get())
        .with("branches", restored.branches);
    app.say(app.out()?, object, |_| {
        let branches = match restored.branches {
            1 => "1 branch".to_owned(),
            n => format!("{n} branches"),
        };
        let (number, latest) = (restored.info.number, restored.latest);
        let target = args.target.display();
        format!("restored snapshot {number} to {target}: {branches}, up to seq:{latest}")
    })?;
    Ok(Outcome::Done)
}
