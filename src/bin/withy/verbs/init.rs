//! `withy init`

use std::path::PathBuf;

use clap::Args;
use withy::{Create, ErrorKind, Seq, Store};

use crate::app::{App, STORE_DIR, open_read_at};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;

/// Make a store
///
/// The store is the directory `.withy` in DIR (default: here), or the directory that --store names. A
/// store that is there already stays as it is.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy init
  withy init data
  withy --store /srv/fruit init")]
pub(crate) struct Init {
    /// Directory in which to make `.withy`
    dir: Option<PathBuf>,
    /// Bytes from which a value is kept apart and stored once; fixed for the life of the store
    #[arg(long, value_name = "BYTES")]
    blob_threshold: Option<usize>,
}

pub(crate) fn run(args: &Init, app: &mut App) -> Result<Outcome> {
    let dir = match (&args.dir, app.named_store()) {
        (Some(dir), _) => dir.join(STORE_DIR),
        (None, Some(store)) => store,
        (None, None) => PathBuf::from(STORE_DIR),
    };
    let doing = || format!("make a store in {}", dir.display());
    let mut options = Store::options().create(Create::New).author(app.author()).wait(app.wait()?);
    if let Some(bytes) = args.blob_threshold {
        options = options.blob_threshold(bytes);
    }
    let (store, is_new) = match options.open(&dir) {
        Err(e) if e.kind() == ErrorKind::Exists => (open_read_at(&dir)?, false),
        made => (made.doing(doing)?, true),
    };
    let path = std::fs::canonicalize(&dir).unwrap_or(dir);
    let object = Object::new()
        .with("store", path.display().to_string())
        .with("id", store.id().to_string())
        .with("created", is_new);
    app.say(app.out()?, object, |_| match is_new {
        // It had lost its marker.
        true if store.latest() > Seq::ROOT => {
            format!("the store in {} has its marker again", path.display())
        }
        true => format!("made an empty store in {}", path.display()),
        false => format!("there is a store in {} already", path.display()),
    })?;
    Ok(Outcome::Done)
}
