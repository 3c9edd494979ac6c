//! `withy stats`

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::progress::size;

/// Show what the store holds
#[derive(Args)]
#[command(after_help = "\
Disk use is that of all files of the store; the newest writes are in its log, not yet in data files. \
How transactions went is counted by the process that runs them: `withy txn --stats`.

Examples:
  withy stats
  withy stats --json")]
pub(crate) struct Stats {}

pub(crate) fn run(_: &Stats, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let stats = store.stats().doing(|| "count".into())?;
    let open = store.open_merges().doing(|| "count".into())?.len();
    let path = store.path().display().to_string();
    let disk = disk_use(store.path())?;
    let mut out = app.out()?;
    if app.globals.json {
        let object = Object::new()
            .with("store", path)
            .with("id", store.id().to_string())
            .with("format", store.format_version())
            .with("latest", stats.latest.get())
            .with("branches", stats.branches)
            .with("tags", stats.tags)
            .with("keys", stats.keys)
            .with("open_merges", open)
            .with("disk_bytes", disk)
            .with("data_bytes", stats.disk_bytes);
        out.json(&object.done())?;
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let rows = [
        ("store", path),
        ("id", store.id().to_string()),
        ("format", store.format_version().to_string()),
        ("newest commit", format!("seq:{}", stats.latest)),
        ("branches", stats.branches.to_string()),
        ("tags", stats.tags.to_string()),
        ("keys", format!("{} on the active branch", stats.keys)),
        ("disk", format!("{}, {} of it in data files", size(disk), size(stats.disk_bytes))),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:13} {value}")?;
    }
    if open > 0 {
        writeln!(out, "{:13} {open}, see `withy conflicts --all`", "open merges")?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// The size of all files of the store.
fn disk_use(dir: &Path) -> Result<u64> {
    let doing = || format!("measure {}", dir.display());
    let mut total = 0;
    for entry in fs::read_dir(dir).doing(doing)? {
        match entry.doing(doing)?.metadata() {
            Ok(data) if data.is_file() => total += data.len(),
            Ok(_) => {}
            // A writer may have replaced the file just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).doing(doing),
        }
    }
    Ok(total)
}
