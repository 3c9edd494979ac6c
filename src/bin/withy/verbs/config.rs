//! `withy config`

use std::io::Write as _;

use clap::Args;
use withy::Setting;

use crate::app::App;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::settings::{SETTINGS, Source, environment, find};
use crate::text::escape;

/// Show or change settings that are kept in the store
///
/// A flag beats an environment variable, that beats the store, that beats the default.
#[derive(Args)]
#[command(after_help = "\
The store can keep author, durability and max-branches. The environment can give these, and color,
key-format, pager, value-format and wait, as WITHY_AUTHOR, WITHY_COLOR and so on. Ends with exit code 1
if a setting has no value.

Examples:
  withy config --list                 all settings, and where each value comes from
  withy config author
  withy config author 'Ada <ada@example.org>'
  withy config durability buffered
  withy config --unset durability")]
pub(crate) struct Config {
    /// Setting
    #[arg(required_unless_present_any = ["list", "unset"])]
    name: Option<String>,
    /// New value
    #[arg(requires = "name")]
    value: Option<String>,
    /// List all settings, and where each value comes from
    #[arg(long, short, conflicts_with_all = ["name", "unset"])]
    list: bool,
    /// Remove a setting from the store
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    unset: Option<String>,
}

pub(crate) fn run(args: &Config, app: &mut App) -> Result<Outcome> {
    match (&args.name, &args.value, &args.unset) {
        (Some(name), Some(value), _) => {
            let setting = stored(name)?;
            let store = app.open_write()?;
            store.set_config(setting, Some(value)).doing(|| format!("set {name}"))?;
            Ok(Outcome::Done)
        }
        (_, _, Some(name)) => {
            let setting = stored(name)?;
            let store = app.open_write()?;
            let was_set = app.settings.stored.contains_key(setting.name());
            store.set_config(setting, None).doing(|| format!("unset {name}"))?;
            Ok(if was_set { Outcome::Done } else { Outcome::No })
        }
        (name, _, None) => show(name.as_deref(), app),
    }
}

/// The setting of this name, if a store can hold it.
fn stored(name: &str) -> Result<Setting> {
    match find(name) {
        Some(known) if name.parse::<Setting>().is_err() => {
            let cause = format!("{name} is not kept in the store");
            Err(Failure::usage(format!("change {name}"), cause)
                .hint(format!("use the option --{name}, or set {} in the environment", known.env)))
        }
        _ => name.parse::<Setting>().doing(|| format!("change {name}")),
    }
}

/// One setting as it is in force.
struct Row {
    name: String,
    value: String,
    source: Source,
    /// The variable, if it comes from the environment.
    variable: &'static str,
}

fn show(name: Option<&str>, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let mut rows = rows(app);
    rows.push(store_row(app)?);
    drop(store);
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = app.out()?;
    if let Some(name) = name {
        let found = rows.iter().find(|row| row.name == name && !row.value.is_empty());
        if let Some(row) = found {
            match app.globals.json {
                true => out.json(&as_json(row).done())?,
                false => writeln!(out, "{}", escape(row.value.as_bytes()))?,
            }
        }
        out.finish()?;
        return Ok(if found.is_some() { Outcome::Done } else { Outcome::No });
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    for row in &rows {
        if app.globals.json {
            out.json(&as_json(row).done())?;
            continue;
        }
        let value = escape(row.value.as_bytes());
        let source = match row.source {
            Source::Environment => format!("environment {}", row.variable),
            other => other.as_str().to_owned(),
        };
        writeln!(out, "{:width$} = {value} ({source})", row.name)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn rows(app: &App) -> Vec<Row> {
    let known = SETTINGS.iter().map(|setting| {
        let (value, source) = app.settings.get(setting);
        Row { name: setting.name.to_owned(), value, source, variable: setting.env }
    });
    known.collect()
}

/// Which store it is, and who said so.
fn store_row(app: &App) -> Result<Row> {
    let source = match (&app.globals.store, environment("WITHY_STORE")) {
        (Some(_), _) => Source::Flag,
        (None, Some(_)) => Source::Environment,
        (None, None) => Source::Default,
    };
    let value = app.store_dir()?.display().to_string();
    Ok(Row { name: "store".into(), value, source, variable: "WITHY_STORE" })
}

fn as_json(row: &Row) -> Object {
    Object::new()
        .with("name", row.name.as_str())
        .with("value", row.value.as_str())
        .with("source", row.source.as_str())
        .with_some("variable", (row.source == Source::Environment).then_some(row.variable))
}
