//! `withy checkpoint`

use std::path::PathBuf;

use clap::Args;
use withy::CheckpointOptions;

use crate::app::{App, plural};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::progress::{Progress, size};
use crate::units::byte_size;

/// Copy the store, while it is used, to a directory that is a store itself
///
/// On the same disk files are linked: the copy is quick, and takes space only as the store goes on. It is
/// no protection against a damaged disk; `withy backup` is. The target must be absent or empty; it appears
/// once it is whole.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy checkpoint ../before-upgrade
  withy checkpoint /mnt/other/copy --rate 50M
  withy --store ../before-upgrade log")]
pub(crate) struct Checkpoint {
    /// Directory of the copy
    target: PathBuf,
    /// Copy no more bytes a second than this to another disk, such as 50M
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    rate: Option<u64>,
}

pub(crate) fn run(args: &Checkpoint, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let mut progress = Progress::new("checkpoint", "file", None, app.globals.quiet);
    let mut options = CheckpointOptions::default().progress(|so_far| progress.tell(so_far));
    if let Some(rate) = args.rate {
        options = options.bytes_per_second(rate);
    }
    let made = store.checkpoint(&args.target, options);
    let made = made.doing(|| format!("copy the store to {}", args.target.display()))?;
    drop(progress);
    let object = Object::new()
        .with("path", made.path.display().to_string())
        .with("latest", made.latest.get())
        .with("files", made.files)
        .with("bytes", made.bytes);
    app.say(app.out()?, object, |_| {
        let (files, bytes) = (plural(made.files, "file"), size(made.bytes));
        format!(
            "copied the store up to seq:{} to {} ({files}, {bytes})",
            made.latest,
            args.target.display()
        )
    })?;
    Ok(Outcome::Done)
}
