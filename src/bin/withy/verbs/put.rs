//! `withy put`

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use withy::{Batch, Expect, Seq};

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::text::name_of;

/// Set a key to a value, as one commit
#[derive(Args)]
#[command(after_help = "\
A value that is set already changes nothing: no commit is made. A condition that does not hold ends \
with exit code 3, and nothing is written.

Examples:
  withy put pear green
  withy put pear yellow -m 'it is ripe' --if-value green
  withy put photo --file photo.jpg
  date | withy put now -
  withy put '\\x00\\xff' 'two\\nlines'
  withy --key-format hex put 00ff value")]
pub(crate) struct Put {
    /// Key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// Value; `-` reads it from standard input as it is
    #[arg(required_unless_present = "file", allow_negative_numbers = true)]
    value: Option<OsString>,
    /// Read the value from a file as it is
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "value")]
    file: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
    /// Message of the commit [default: `put KEY`]
    #[arg(long, short)]
    message: Option<String>,
}

/// What must hold for a write to happen.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(crate) struct Conditions {
    /// Only if the key is absent
    #[arg(long)]
    if_absent: bool,
    /// Only if the key is present
    #[arg(long)]
    if_present: bool,
    /// Only if the key was last changed by the commit with this sequence
    #[arg(long, value_name = "SEQ")]
    if_seq: Option<u64>,
    /// Only if the key has this value
    #[arg(long, value_name = "VALUE")]
    if_value: Option<OsString>,
}

impl Conditions {
    pub(crate) fn expect(&self, app: &App) -> Result<Expect> {
        Ok(match (self.if_absent, self.if_present, self.if_seq, &self.if_value) {
            (true, _, _, _) => Expect::Absent,
            (_, true, _, _) => Expect::Present,
            (_, _, Some(seq), _) => Expect::Seq(Seq::new(seq)),
            (_, _, _, Some(value)) => Expect::Value(app.value(value)?),
            _ => Expect::Any,
        })
    }
}

pub(crate) fn run(args: Put, app: &mut App) -> Result<Outcome> {
    let store = app.open_write()?;
    let key = app.key(&args.key)?;
    let name = name_of(&key);
    let value = match (&args.file, &args.value) {
        (Some(file), _) => {
            std::fs::read(file).doing(|| format!("read the value from {}", file.display()))?
        }
        (None, Some(value)) if value == "-" => {
            let mut value = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut value);
            read.doing(|| "read the value from standard input".into())?;
            value
        }
        (None, Some(value)) => app.value(value)?,
        (None, None) => Vec::new(),
    };
    let mut batch = Batch::new();
    batch.put_if(key, value, args.conditions.expect(app)?);
    let options = app.commit_options(args.message, || format!("put {name}"))?;
    let branch = app.branch(&store)?;
    let handle = store.branch(&branch).doing(|| format!("put {name}"))?;
    let committed = handle.write(batch, options).doing(|| format!("put {name}"))?;
    app.report(&store, &branch, committed)?;
    Ok(Outcome::Done)
}
