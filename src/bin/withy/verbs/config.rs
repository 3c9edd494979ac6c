//! `withy config`

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use withy::{KeyPattern, MergeRules, Setting, Store, Strategy};

use crate::app::App;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::merging::{read_pattern, show_pattern};
use crate::settings::{SETTINGS, Source, environment, find};
use crate::text::{Format, escape};

/// Show or change settings that are kept in the store
///
/// A flag beats an environment variable, that beats the store, that beats the default.
#[derive(Args)]
#[command(after_help = "\
The store can keep author, durability, limits, and how keys are merged. Limits are max-branches, and for \
transactions that programs or `withy txn` begin: max-transactions (open at once), max-operations, \
max-transaction-bytes, transaction-time (milliseconds). Merging: merge-driver:PATTERN (text, json, counter, set or last-write) and merge-strategy:PATTERN (ours, theirs, manual or \
fast-forward). A PATTERN is a prefix of keys, PREFIX*SUFFIX, or nothing for all keys; the longest that \
fits counts. The environment can give author, durability and the limits, and color, key-format, pager, \
value-format and wait, as WITHY_AUTHOR, WITHY_MAX_BRANCHES and so on. Ends with exit code 1 if a setting has no \
value.

What `withy gc` keeps: retention (rules such as `branch=main age=30d count=100`, `prefix=tmp/ count=1` or \
`forever`, with `;` between them), undo-age (such as 30d), max-tags (the oldest over this go) and keep-tags \
(so many of the newest never go); only the store gives these.

Examples:
  withy config --list                 all settings, and where they come from
  withy config author
  withy config author 'Ada <ada@example.org>'
  withy config durability buffered
  withy config --unset durability
  withy config max-operations 10000
  withy config retention 'age=30d count=100'
  withy config 'merge-driver:notes/*.txt' text
  withy config merge-strategy:cache/ theirs
  withy config merge-strategy: manual")]
pub(crate) struct Config {
    /// Setting
    #[arg(required_unless_present_any = ["list", "unset"])]
    name: Option<String>,
    /// New value
    #[arg(requires = "name")]
    value: Option<String>,
    /// List all settings, and where they come from
    #[arg(long, short, conflicts_with_all = ["name", "unset"])]
    list: bool,
    /// Remove a setting from the store
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    unset: Option<String>,
}

pub(crate) fn run(args: &Config, app: &mut App) -> Result<Outcome> {
    let changed = args.unset.as_ref().or(args.name.as_ref().filter(|_| args.value.is_some()));
    if let Some(name) = changed
        && let Some(rule) = Rule::of(name)?
    {
        return change_rule(&rule, name, args.value.as_deref(), app);
    }
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
            Ok(removed(was_set, name, app))
        }
        (name, _, None) => show(name.as_deref(), app),
    }
}

/// Sets a rule for merges, or takes it away.
fn change_rule(rule: &Rule, name: &str, value: Option<&str>, app: &mut App) -> Result<Outcome> {
    let word = if value.is_some() { "set" } else { "unset" };
    let doing = || format!("{word} {name}");
    let store = app.open_write()?;
    let was_set = rule.value(&store.merge_rules().doing(doing)?).is_some();
    rule.set(&store, value).doing(doing)?;
    Ok(if value.is_some() { Outcome::Done } else { removed(was_set, name, app) })
}

/// Tells if there was nothing to remove.
fn removed(was_set: bool, name: &str, app: &App) -> Outcome {
    if was_set {
        return Outcome::Done;
    }
    app.deny(&format!("{name} is not set in the store"));
    Outcome::No
}

/// The setting of this name, if a store can hold it.
fn stored(name: &str) -> Result<Setting> {
    match find(name) {
        Some(known) if name.parse::<Setting>().is_err() => {
            let cause = format!("{name} is not kept in the store");
            Err(Failure::usage(format!("change {name}"), cause)
                .hint(format!("use the option --{name}, or set {} in the environment", known.env)))
        }
        _ => name
            .parse::<Setting>()
            .map_err(|e| e.with_hint(known(true)))
            .doing(|| format!("change {name}")),
    }
}

/// The names there are, for a hint.
fn known(only_stored: bool) -> String {
    let settings = SETTINGS.iter().filter(|s| !only_stored || s.name.parse::<Setting>().is_ok());
    let store = (!only_stored).then_some("store");
    let names: Vec<&str> = settings.map(|setting| setting.name).chain(store).collect();
    format!("the settings are {}, {DRIVER}PATTERN, {STRATEGY}PATTERN", names.join(", "))
}

const DRIVER: &str = "merge-driver:";
const STRATEGY: &str = "merge-strategy:";

/// A setting about merges of some keys.
enum Rule {
    Driver(KeyPattern),
    Strategy(KeyPattern),
}

impl Rule {
    /// The rule of this name, if it is one.
    fn of(name: &str) -> Result<Option<Self>> {
        let pattern = |text: &str| read_pattern(text.as_bytes(), Format::Text);
        Ok(match (name.strip_prefix(DRIVER), name.strip_prefix(STRATEGY)) {
            (Some(text), _) => Some(Self::Driver(pattern(text)?)),
            (_, Some(text)) => Some(Self::Strategy(pattern(text)?)),
            (None, None) => None,
        })
    }

    fn set(&self, store: &Store, value: Option<&str>) -> withy::Result<()> {
        match self {
            Self::Driver(keys) => store.set_merge_driver(keys.clone(), value),
            Self::Strategy(keys) => {
                let strategy = value.map(str::parse::<Strategy>).transpose()?;
                store.set_merge_strategy(keys.clone(), strategy)
            }
        }
    }

    /// What the store says.
    fn value(&self, rules: &MergeRules) -> Option<String> {
        match self {
            Self::Driver(keys) => {
                let found = rules.drivers.iter().find(|(pattern, _)| pattern == keys);
                found.map(|(_, driver)| driver.clone())
            }
            Self::Strategy(keys) => {
                let found = rules.strategies.iter().find(|(pattern, _)| pattern == keys);
                found.map(|(_, strategy)| strategy.to_string())
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Driver(keys) => format!("{DRIVER}{}", show_pattern(keys)),
            Self::Strategy(keys) => format!("{STRATEGY}{}", show_pattern(keys)),
        }
    }
}

/// What the store says of merges, and what holds for all other keys.
fn rule_rows(store: &Store) -> Result<Vec<Row>> {
    let rules = store.merge_rules().doing(|| "read the settings of merges".into())?;
    let drivers = rules.drivers.iter().map(|(keys, _)| Rule::Driver(keys.clone()));
    let strategies = rules.strategies.iter().map(|(keys, _)| Rule::Strategy(keys.clone()));
    let row = |name, value, source| Row { name, value, source, variable: "" };
    let mut rows: Vec<Row> = drivers
        .chain(strategies)
        .map(|rule| row(rule.name(), rule.value(&rules).unwrap_or_default(), Source::Store))
        .collect();
    if rows.iter().all(|row| row.name != STRATEGY) {
        rows.push(row(STRATEGY.to_owned(), Strategy::default().to_string(), Source::Default));
    }
    Ok(rows)
}

/// One setting as it is in force.
struct Row {
    name: String,
    value: String,
    source: Source,
    /// The variable, if it comes from the environment.
    variable: &'static str,
}

impl Row {
    /// Where the value comes from, in words.
    fn origin(&self) -> String {
        match self.source {
            Source::Environment => format!("environment {}", self.variable),
            other => other.as_str().to_owned(),
        }
    }
}

fn show(name: Option<&str>, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let mut rows = rows(app);
    rows.push(store_row(app)?);
    rows.extend(rule_rows(&store)?);
    drop(store);
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = app.out()?;
    if let Some(name) = name {
        let rule = Rule::of(name)?;
        let canonical = rule.as_ref().map_or_else(|| name.to_owned(), Rule::name);
        let found = rows.iter().find(|row| row.name == canonical);
        if found.is_none() && rule.is_none() {
            let cause = format!("no setting {name:?}");
            return Err(Failure::usage(format!("show {name}"), cause).hint(known(false)));
        }
        let Some(row) = found.filter(|row| !row.value.is_empty()) else {
            app.deny(&format!("{canonical} is not set"));
            return Ok(Outcome::No);
        };
        match app.globals.json {
            true => out.json(&as_json(row).done())?,
            false if std::io::stdout().is_terminal() => {
                writeln!(out, "{} ({})", escape(row.value.as_bytes()), row.origin())?;
            }
            false => writeln!(out, "{}", escape(row.value.as_bytes()))?,
        }
        out.finish()?;
        return Ok(Outcome::Done);
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    for row in &rows {
        if app.globals.json {
            out.json(&as_json(row).done())?;
            continue;
        }
        let value = escape(row.value.as_bytes());
        writeln!(out, "{:width$} = {value} ({})", row.name, row.origin())?;
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
