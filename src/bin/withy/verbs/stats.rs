//! `withy stats`

use std::io::Write as _;

use clap::Args;

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::progress::size;

/// Show what the store holds
#[derive(Args)]
#[command(after_help = "\
Disk use is that of data files, without the log of the newest writes.

Examples:
  withy stats
  withy stats --json")]
pub(crate) struct Stats {}

pub(crate) fn run(_: &Stats, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let stats = store.stats().doing(|| "count".into())?;
    let path = store.path().display().to_string();
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
            .with("disk_bytes", stats.disk_bytes);
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
        ("disk", size(stats.disk_bytes)),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:13} {value}")?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}
