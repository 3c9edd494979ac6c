//! `withy prepared`

use std::io::Write as _;

use clap::{Args, Subcommand};
use withy::{Coordinator, PendingPhase, PendingTransaction, PreparedTransaction, Standing, Store};

use crate::app::{App, plural};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::{Out, Paint};
use crate::text::{escape, first_line};

/// List prepared transactions, commit them or roll them back
///
/// A prepared transaction is durable, and holds its keys until it is ended: whoever else writes them is
/// refused. Coordinators end their own; this is for those whose coordinator will not come back.
#[derive(Args)]
#[command(after_help = "\
Examples:
  withy prepared                      what is prepared
  withy prepared --all                and what has ended and is still remembered
  withy prepared commit order-17
  withy prepared rollback order-17
  withy prepared forget order-17      once nobody will ask how it has ended
  withy prepared pending              what the coordinator in this store has not finished")]
pub(crate) struct Prepared {
    #[command(subcommand)]
    action: Option<Action>,
    /// List those too that have ended and are still remembered
    #[arg(long, short)]
    all: bool,
}

#[derive(Subcommand)]
enum Action {
    /// List what is prepared, as `withy prepared` does
    List {
        /// List those too that have ended and are still remembered
        #[arg(long, short)]
        all: bool,
    },
    /// Commit a prepared transaction
    Commit {
        /// Its name
        gid: String,
    },
    /// Roll a prepared transaction back
    Rollback {
        /// Its name
        gid: String,
    },
    /// Forget how a prepared transaction has ended
    Forget {
        /// Its name
        gid: String,
    },
    /// List what the coordinator in this store has not finished
    Pending,
}

pub(crate) fn run(args: &Prepared, app: &mut App) -> Result<Outcome> {
    match &args.action {
        None => list(args.all, app),
        Some(Action::List { all }) => list(args.all || *all, app),
        Some(Action::Pending) => pending(app),
        Some(Action::Commit { gid }) => {
            let store = app.open_write()?;
            let done = store.commit_prepared(gid).doing(|| format!("commit {}", shown(gid)))?;
            let seq = done.seq().map(|seq| seq.get());
            let object = ended(gid, Standing::Committed).with_some("seq", seq);
            app.say(app.out()?, object, |out| match seq {
                Some(seq) => {
                    let id = out.paint(Paint::Id, format!("seq:{seq}"));
                    format!("committed {} as {id}", shown(gid))
                }
                None => format!("committed {}: it changes nothing", shown(gid)),
            })?;
            Ok(Outcome::Done)
        }
        Some(Action::Rollback { gid }) => {
            let store = app.open_write()?;
            store.rollback_prepared(gid).doing(|| format!("roll back {}", shown(gid)))?;
            let object = ended(gid, Standing::Aborted);
            app.say(app.out()?, object, |_| format!("rolled back {}", shown(gid)))?;
            Ok(Outcome::Done)
        }
        Some(Action::Forget { gid }) => {
            let store = app.open_write()?;
            if !store.forget_prepared(gid).doing(|| format!("forget {}", shown(gid)))? {
                app.deny(&format!("nothing is known of {}", shown(gid)));
                return Ok(Outcome::No);
            }
            let object = Object::new().with("gid", gid.as_str()).with("forgotten", true);
            app.say(app.out()?, object, |_| format!("forgot {}", shown(gid)))?;
            Ok(Outcome::Done)
        }
    }
}

fn shown(gid: &str) -> String {
    escape(gid.as_bytes())
}

fn ended(gid: &str, standing: Standing) -> Object {
    Object::new().with("gid", gid).with("standing", standing.to_string())
}

fn list(all: bool, app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let doing = || "list prepared transactions".to_owned();
    let prepared = store.list_prepared().doing(doing)?;
    let known = if all { store.ended_prepared().doing(doing)? } else { Vec::new() };
    let mut out = app.paged()?;
    for one in &prepared {
        if app.globals.json {
            out.json(&as_json(one).done())?;
        } else {
            let line = line(one, &out);
            writeln!(out, "{line}")?;
        }
    }
    for (gid, standing) in &known {
        if app.globals.json {
            out.json(&ended(gid, *standing).done())?;
        } else {
            let id = out.paint(Paint::Id, shown(gid));
            writeln!(out, "{id} {standing}")?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn line(one: &PreparedTransaction, out: &Out) -> String {
    let id = out.paint(Paint::Id, shown(&one.gid));
    let branches: Vec<String> = one
        .branches
        .iter()
        .map(|(name, keys)| format!("{name} ({})", plural(*keys, "key")))
        .collect();
    let author = escape(one.author.as_bytes());
    let (branches, message) = (branches.join(", "), first_line(&one.message, 72));
    let line = format!("{id} prepared {} {author} {branches} {message}", one.prepared);
    line.trim_end().to_owned()
}

fn as_json(one: &PreparedTransaction) -> Object {
    let branches = one
        .branches
        .iter()
        .map(|(name, keys)| Object::new().with("branch", name.as_str()).with("keys", *keys).done());
    ended(&one.gid, Standing::Prepared)
        .with("time", one.prepared.to_string())
        .with("author", one.author.as_str())
        .with("message", one.message.as_str())
        .with("isolation", one.isolation.to_string())
        .with("branches", branches.collect::<Vec<_>>())
}

fn pending(app: &mut App) -> Result<Outcome> {
    let store: Store = app.open_read()?;
    let all = Coordinator::open(&store).pending();
    let all = all.doing(|| "list pending transactions".into())?;
    let mut out = app.paged()?;
    for one in &all {
        if app.globals.json {
            out.json(&pending_json(one).done())?;
        } else {
            let id = out.paint(Paint::Id, &one.gid);
            let names = one.participants.iter().map(|(name, done)| {
                let state = if *done { "done" } else { "waiting" };
                format!("{} ({state})", escape(name.as_bytes()))
            });
            let names = names.collect::<Vec<_>>().join(", ");
            writeln!(out, "{id} {} {} {names}", phase(one.phase), one.begun)?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn phase(phase: PendingPhase) -> &'static str {
    match phase {
        PendingPhase::Preparing => "preparing",
        PendingPhase::Committing => "committing",
        PendingPhase::Aborting => "aborting",
    }
}

fn pending_json(one: &PendingTransaction) -> Object {
    let participants = one
        .participants
        .iter()
        .map(|(name, done)| Object::new().with("name", name.as_str()).with("done", *done).done());
    Object::new()
        .with("gid", one.gid.as_str())
        .with("phase", phase(one.phase))
        .with("time", one.begun.to_string())
        .with("reason", one.reason.as_str())
        .with("participants", participants.collect::<Vec<_>>())
}
