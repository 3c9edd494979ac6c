//! `withy saga`

use std::io::Write as _;

use clap::{Args, Subcommand};
use serde_json::Value;
use withy::{CompensationInfo, SagaInfo, SagaPhase};

use crate::app::App;
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::{Out, Paint};
use crate::text::escape;

/// List, show, retry or forget sagas
#[derive(Args)]
#[command(after_help = "\
Sagas are driven by the program that registers their definition, not from here: `retry` only makes what \
has failed due.

Examples:
  withy saga                   all of them, unfinished ones first
  withy saga list --unfinished
  withy saga show order/7      how far it is, and what has failed
  withy saga retry order/7     also compensations that were given up
  withy saga forget order/7    once it is finished; its id is free again")]
pub(crate) struct Saga {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// List sagas
    List {
        /// Only those that are not finished
        #[arg(long)]
        unfinished: bool,
    },
    /// Show all about a saga
    Show {
        /// Id of the saga
        id: String,
    },
    /// Make everything of a saga due that has failed
    Retry {
        /// Id of the saga
        id: String,
    },
    /// Forget a saga that is finished
    Forget {
        /// Id of the saga
        id: String,
    },
}

pub(crate) fn run(args: &Saga, app: &mut App) -> Result<Outcome> {
    match &args.what {
        None => list(false, app)?,
        Some(What::List { unfinished }) => list(*unfinished, app)?,
        Some(What::Show { id }) => show(id, app)?,
        Some(What::Retry { id }) => retry(id, app)?,
        Some(What::Forget { id }) => forget(id, app)?,
    }
    Ok(Outcome::Done)
}

fn list(unfinished: bool, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let mut out = app.paged()?;
    for saga in store.sagas() {
        let saga = saga.doing(|| "list sagas".into())?;
        if unfinished && saga.phase == SagaPhase::Finished {
            break;
        }
        if app.globals.json {
            out.json(&as_json(&saga, app)?.done())?;
            continue;
        }
        let id = out.paint(Paint::Id, escape(saga.id.as_bytes()));
        let error = saga.error.as_ref().map(|error| format!(": {}", escape(error.as_bytes())));
        let (name, state) = (escape(saga.name.as_bytes()), words(&saga));
        writeln!(out, "{id} {name} {state}{}", error.unwrap_or_default())?;
    }
    out.finish()
}

/// Phase, outcome and time in words.
fn words(saga: &SagaInfo) -> String {
    let due = saga.due.map_or(String::new(), |due| format!(", due {due}"));
    match outcome(saga) {
        Some(outcome) => format!("{}, {outcome}{due}", saga.phase),
        None => format!("{}{due}", saga.phase),
    }
}

/// How it has ended. Which way it goes is decided before that, but would read as if it were there.
fn outcome(saga: &SagaInfo) -> Option<String> {
    let outcome = saga.outcome.filter(|_| saga.phase == SagaPhase::Finished);
    outcome.map(|outcome| outcome.to_string())
}

/// How far it is.
fn phase(saga: &SagaInfo) -> String {
    match (saga.phase, saga.outcome) {
        (SagaPhase::Running, Some(_)) => format!("{}, will not be taken back", saga.phase),
        (phase, _) => phase.to_string(),
    }
}

fn show(id: &str, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let saga = store.saga(id).doing(|| format!("show saga {}", escape(id.as_bytes())))?;
    let mut out = app.out()?;
    if app.globals.json {
        out.json(&as_json(&saga, app)?.done())?;
        return out.finish();
    }
    write_all(&saga, app, &mut out)?;
    out.finish()
}

fn write_all(saga: &SagaInfo, app: &App, out: &mut Out) -> Result<()> {
    let mut rows = vec![
        ("saga", out.paint(Paint::Id, escape(saga.id.as_bytes()))),
        ("name", escape(saga.name.as_bytes())),
        ("branch", escape(saga.branch.as_bytes())),
        ("phase", phase(saga)),
    ];
    rows.extend(outcome(saga).map(|outcome| ("outcome", outcome)));
    let done: Vec<String> = saga.done.iter().map(|s| escape(s.as_bytes())).collect();
    rows.push(("done", done.join(", ")));
    if let Some(step) = &saga.step {
        let step = escape(step.as_bytes());
        rows.push(("step", format!("{step}, attempt {}", saga.attempts)));
    }
    rows.extend(saga.error.as_ref().map(|error| ("error", escape(error.as_bytes()))));
    rows.extend(saga.due.map(|due| ("due", due.to_string())));
    rows.push(("started", saga.created.to_string()));
    rows.push(("changed", saga.changed.to_string()));
    rows.push(("input", app.value_format()?.show(&saga.input)));
    for (name, value) in rows {
        writeln!(out, "{}", format!("{name:9} {value}").trim_end())?;
    }
    if !saga.compensations.is_empty() {
        writeln!(out, "compensations, newest first:")?;
    }
    for one in &saga.compensations {
        writeln!(out, "  {}", line(one))?;
    }
    Ok(())
}

/// A compensation on one line.
fn line(one: &CompensationInfo) -> String {
    let mut line = format!("{} of {}", escape(one.name.as_bytes()), escape(one.step.as_bytes()));
    if one.in_doubt {
        line.push_str(", in doubt");
    }
    line.push_str(&format!(": {}", one.state));
    if one.attempts > 0 {
        line.push_str(&format!(", attempt {}", one.attempts));
    }
    if let Some(error) = &one.error {
        line.push_str(&format!(": {}", escape(error.as_bytes())));
    }
    line
}

fn retry(id: &str, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let shown = escape(id.as_bytes());
    let saga = store.retry_saga(id).doing(|| format!("retry saga {shown}"))?;
    let name = escape(saga.name.as_bytes());
    app.say(app.out()?, as_json(&saga, app)?, |_| {
        format!("saga {shown} is due; the program that registers {name} drives it on")
    })
}

fn forget(id: &str, app: &mut App) -> Result<()> {
    let store = app.open_write()?;
    let shown = escape(id.as_bytes());
    let saga = store.forget_saga(id).doing(|| format!("forget saga {shown}"))?;
    let object = Object::new().with("forgotten", id).with("name", saga.name.as_str());
    app.say(app.out()?, object, |_| format!("forgot saga {shown} ({})", words(&saga)))
}

fn as_json(saga: &SagaInfo, app: &App) -> Result<Object> {
    let format = app.value_format()?;
    let compensations: Vec<Value> = saga
        .compensations
        .iter()
        .map(|one| {
            Object::new()
                .with("name", one.name.as_str())
                .with("step", one.step.as_str())
                .bytes("args", &one.args, format)
                .with("in_doubt", one.in_doubt)
                .with("state", one.state.to_string())
                .with("attempts", one.attempts)
                .with_some("due", one.due.map(|due| due.to_string()))
                .with_some("error", one.error.as_deref())
                .done()
        })
        .collect();
    Ok(Object::new()
        .with("id", saga.id.as_str())
        .with("name", saga.name.as_str())
        .with("branch", saga.branch.as_str())
        .bytes("input", &saga.input, format)
        .with("phase", saga.phase.to_string())
        .with("outcome", saga.outcome.map(|outcome| outcome.to_string()))
        .with("done", saga.done.clone())
        .with("step", saga.step.as_deref())
        .with("attempts", saga.attempts)
        .with_some("error", saga.error.as_deref())
        .with_some("due", saga.due.map(|due| due.to_string()))
        .with("started", saga.created.to_string())
        .with("changed", saga.changed.to_string())
        .with("compensations", compensations))
}
