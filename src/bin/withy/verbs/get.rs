//! `withy get`

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use withy::Read as _;

use crate::app::{App, plain};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::text::{as_text, name_of};

/// Show the value of a key
///
/// On a pipe or in a file a value comes out exactly as it is stored, unless --value-format is given; on
/// a terminal it ends in a newline, and what is not text is escaped.
#[derive(Args)]
#[command(after_help = "\
Several keys are shown as `key<TAB>value`, escaped, one on a line. Ends with exit code 1 if a key is \
absent.

Examples:
  withy get pear
  withy get pear --at main~3
  withy get photo > photo.jpg
  withy get pear plum
  withy get photo --value-format base64")]
pub(crate) struct Get {
    /// Keys
    #[arg(required = true, allow_negative_numbers = true)]
    keys: Vec<OsString>,
    /// As of this rev [default: the head of the branch]
    #[arg(long, value_name = "REV")]
    at: Option<String>,
}

pub(crate) fn run(args: &Get, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let (key_format, value_format) = (app.key_format()?, app.value_format()?);
    let keys = args.keys.iter().map(|key| app.key(key)).collect::<Result<Vec<_>>>()?;
    let rev = app.rev(&store, args.at.as_deref())?;
    let view = store.view(&rev).doing(|| format!("read at {rev}"))?;
    let mut out = app.out()?;
    let mut outcome = Outcome::Done;
    for key in &keys {
        let name = key_format.show(key);
        let value = view.get(key).doing(|| format!("get {}", name_of(key)))?;
        if value.is_none() {
            outcome = Outcome::No;
            app.deny(&format!("no key {} at {}", name_of(key), plain(&rev)));
        }
        if app.globals.json {
            let object = Object::new().bytes("key", key, key_format);
            out.json(&object.maybe_bytes("value", value.as_deref(), value_format).done())?;
            continue;
        }
        let Some(value) = value else { continue };
        if keys.len() > 1 {
            writeln!(out, "{name}\t{}", value_format.show(&value))?;
        } else if app.settings.flags.contains_key("value-format") {
            writeln!(out, "{}", value_format.show(&value))?;
        } else if !std::io::stdout().is_terminal() {
            out.write_all(&value)?;
        } else if let Some(text) = as_text(&value) {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            write!(out, "{text}{end}")?;
        } else {
            writeln!(out, "{}", value_format.show(&value))?;
        }
    }
    out.finish()?;
    Ok(outcome)
}
