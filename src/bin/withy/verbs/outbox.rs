//! `withy outbox`

use std::io::Write as _;

use clap::{Args, Subcommand};
use withy::{MessageId, MessageState, OutboxMessage};

use crate::app::App;
use crate::fail::{Doing as _, Failure, Outcome, Result};
use crate::json::Object;
use crate::out::{Out, Paint};
use crate::text::{escape, shorten};

/// List, show, put back or discard the messages that commits have left for the outside
#[derive(Args)]
#[command(after_help = "\
Messages are delivered by the program that registered an action for their topic, not from here. A message \
that has failed too often is a dead letter, and stays until it is put back or discarded.

Examples:
  withy outbox                   what waits for delivery
  withy outbox list --topic mail
  withy outbox dead              what was given up, and why
  withy outbox show 12.0
  withy outbox retry 12.0        due now, its attempts counted anew
  withy outbox discard 12.0      undelivered")]
pub(crate) struct Outbox {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// List messages that wait for delivery
    List {
        /// Only those of this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
    },
    /// List messages that were given up
    Dead {
        /// Only those of this topic
        #[arg(long, value_name = "TOPIC")]
        topic: Option<String>,
    },
    /// Show all about a message
    Show {
        /// Id of the message, such as 12.0
        id: String,
    },
    /// Put back a dead letter, or make a message due that waits
    Retry {
        /// Id of the message, such as 12.0
        id: String,
    },
    /// Remove a message undelivered
    Discard {
        /// Id of the message, such as 12.0
        id: String,
    },
}

pub(crate) fn run(args: &Outbox, app: &mut App) -> Result<Outcome> {
    match &args.what {
        None => list(None, false, app)?,
        Some(What::List { topic }) => list(topic.as_deref(), false, app)?,
        Some(What::Dead { topic }) => list(topic.as_deref(), true, app)?,
        Some(What::Show { id }) => show(id, app)?,
        Some(What::Retry { id }) => retry(id, app)?,
        Some(What::Discard { id }) => discard(id, app)?,
    }
    Ok(Outcome::Done)
}

fn parse(id: &str) -> Result<MessageId> {
    id.parse().map_err(|e: withy::ParseMessageIdError| {
        Failure::usage(format!("read id {}", escape(id.as_bytes())), e.to_string())
            .hint("`withy outbox` lists the messages with their ids")
    })
}

fn list(topic: Option<&str>, dead: bool, app: &mut App) -> Result<()> {
    let store = app.open_read()?;
    let outbox = store.outbox();
    let messages = if dead { outbox.dead_letters(topic) } else { outbox.messages(topic) };
    let format = app.value_format()?;
    let mut out = app.paged()?;
    for message in messages {
        let message = message.doing(|| "list messages".into())?;
        if app.globals.json {
            out.json(&as_json(&message, app)?.done())?;
            continue;
        }
        let id = out.paint(Paint::Id, message.id);
        let (topic, state) = (escape(message.topic.as_bytes()), words(&message));
        let payload = shorten(&format.show(&message.payload), 60);
        writeln!(out, "{}", format!("{id} {topic} {state}  {payload}").trim_end())?;
    }
    out.finish()
}

/// The state of a message in words.
fn words(message: &OutboxMessage) -> String {
    match &message.state {
        MessageState::Waiting { until } => {
            format!("waiting until {until} after attempt {}", message.attempts)
        }
        MessageState::Claimed { worker, until } => {
            format!("claimed by {} until {until}", escape(worker.as_bytes()))
        }
        MessageState::Dead { since } => {
            format!("dead since {since} after attempt {}", message.attempts)
        }
        _ => "ready".to_owned(),
    }
}

fn show(id: &str, app: &mut App) -> Result<()> {
    let id = parse(id)?;
    let store = app.open_read()?;
    let message = store.outbox().message(id).doing(|| format!("show message {id}"))?;
    let mut out = app.out()?;
    if app.globals.json {
        out.json(&as_json(&message, app)?.done())?;
        return out.finish();
    }
    write_all(&message, app, &mut out)?;
    out.finish()
}

fn write_all(message: &OutboxMessage, app: &App, out: &mut Out) -> Result<()> {
    let rows = [
        ("message", out.paint(Paint::Id, message.id)),
        ("topic", escape(message.topic.as_bytes())),
        ("state", words(message)),
        ("commit", format!("seq:{}", message.id.seq)),
        ("enqueued", message.enqueued.to_string()),
        ("key", message.idempotency_key.clone()),
        ("payload", app.value_format()?.show(&message.payload)),
    ];
    for (name, value) in rows {
        writeln!(out, "{}", format!("{name:9} {value}").trim_end())?;
    }
    if let Some(error) = &message.error {
        writeln!(out, "{:9} {}", "error", escape(error.as_bytes()))?;
    }
    Ok(())
}

fn retry(id: &str, app: &mut App) -> Result<()> {
    let id = parse(id)?;
    let store = app.open_write()?;
    let doing = || format!("put back message {id}");
    store.outbox().retry(id).doing(doing)?;
    let message = store.outbox().message(id).doing(doing)?;
    let topic = escape(message.topic.as_bytes());
    app.say(app.out()?, as_json(&message, app)?, |_| {
        format!("message {id} is due; the program with an action for topic {topic} delivers it")
    })
}

fn discard(id: &str, app: &mut App) -> Result<()> {
    let id = parse(id)?;
    let store = app.open_write()?;
    let doing = || format!("discard message {id}");
    let message = store.outbox().message(id).doing(doing)?;
    store.outbox().discard(id).doing(doing)?;
    let object = Object::new()
        .with("discarded", id.to_string())
        .with("topic", message.topic.as_str())
        .bytes("payload", &message.payload, app.value_format()?);
    let topic = escape(message.topic.as_bytes());
    app.say(app.out()?, object, |_| format!("discarded message {id} of topic {topic}"))
}

fn as_json(message: &OutboxMessage, app: &App) -> Result<Object> {
    let (state, worker, until, since) = match &message.state {
        MessageState::Waiting { until } => ("waiting", None, Some(until), None),
        MessageState::Claimed { worker, until } => ("claimed", Some(worker), Some(until), None),
        MessageState::Dead { since } => ("dead", None, None, Some(since)),
        _ => ("ready", None, None, None),
    };
    Ok(Object::new()
        .with("id", message.id.to_string())
        .with("topic", message.topic.as_str())
        .bytes("payload", &message.payload, app.value_format()?)
        .with("enqueued", message.enqueued.to_string())
        .with("idempotency_key", message.idempotency_key.as_str())
        .with("state", state)
        .with("attempts", message.attempts)
        .with_some("worker", worker.map(String::as_str))
        .with_some("until", until.map(ToString::to_string))
        .with_some("since", since.map(ToString::to_string))
        .with_some("error", message.error.as_deref()))
}
