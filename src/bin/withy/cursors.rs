//! `withy feed` with a cursor: the place of the reader is kept in the store.

use std::io::Write as _;

use clap::Args;
use withy::{Cursor, CursorInfo, CursorOptions, ErrorKind, FeedEvent, Seq};

use crate::app::{App, seconds};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::out::{Out, Paint};

/// Who reads if nobody is named: one script at a time.
const OWNER: &str = "withy feed";
/// So many commits are read at once.
const BATCH: usize = 256;

/// The options about cursors.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cursors")]
pub(crate) struct CursorArgs {
    /// Read with a named cursor: after what was acknowledged last
    #[arg(long, value_name = "NAME", conflicts_with_all = ["follow", "timeout"])]
    cursor: Option<String>,
    /// Who reads; the same owner takes its own lease again at once
    #[arg(long, value_name = "OWNER", requires = "cursor")]
    owner: Option<String>,
    /// Keep the cursor, and what it has still to read, for so long after this run
    #[arg(long, value_name = "SECONDS", requires = "cursor")]
    lease: Option<String>,
    /// Acknowledge what was printed; with a sequence print nothing, and acknowledge everything up to it
    #[arg(long, value_name = "SEQ", num_args = 0..=1, require_equals = true, requires = "cursor")]
    ack: Option<Option<u64>>,
    /// Set the cursor to a position first; what is before it counts as acknowledged
    #[arg(long, value_name = "SEQ", requires = "cursor")]
    reset: Option<u64>,
    /// List the cursors
    #[arg(long, conflicts_with_all = ["cursor", "delete_cursor", "follow"])]
    cursors: bool,
    /// Delete a cursor, whoever reads with it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cursor", "follow"])]
    delete_cursor: Option<String>,
}

/// What is asked of cursors.
pub(crate) enum Asked<'a> {
    Read(&'a str),
    List,
    Delete(&'a str),
}

impl CursorArgs {
    /// What is asked; `None` for a plain feed.
    pub(crate) fn asked(&self) -> Option<Asked<'_>> {
        match (&self.cursor, &self.delete_cursor) {
            (Some(name), _) => Some(Asked::Read(name)),
            (_, Some(name)) => Some(Asked::Delete(name)),
            _ => self.cursors.then_some(Asked::List),
        }
    }

    /// Reads with a cursor; `write` prints an event.
    pub(crate) fn read(
        &self,
        app: &mut App,
        name: &str,
        options: CursorOptions,
        (limit, mut write): (usize, impl FnMut(&mut Out, &FeedEvent) -> Result<()>),
    ) -> Result<Outcome> {
        let store = app.open_write()?;
        let owner = self.owner.as_deref().unwrap_or(OWNER);
        let mut options = options.owner(owner);
        if let Some(lease) = &self.lease {
            options = options.lease(seconds(lease)?);
        }
        let doing = || format!("read with cursor {name}");
        let opened = store.cursor(name, options);
        let is_held = opened.as_ref().is_err_and(|e| e.kind() == ErrorKind::Busy);
        let mut cursor = opened.doing(doing).map_err(|failure| match is_held {
            // Waiting for the store does not help here.
            true => failure.hint("try again then, or use a cursor of another name"),
            false => failure,
        })?;
        if let Some(seq) = self.reset {
            cursor.reset(Seq::new(seq)).doing(doing)?;
        }
        match self.ack {
            Some(Some(seq)) => acknowledge(&mut cursor, Seq::new(seq)).doing(doing)?,
            _ => {
                let mut out = app.out()?;
                let mut left = limit;
                while left > 0 {
                    let batch = cursor.next_batch(left.min(BATCH)).doing(doing)?;
                    batch.iter().try_for_each(|event| write(&mut out, event))?;
                    left -= batch.len();
                    // What nobody has got is not done.
                    out.flush()?;
                    if self.ack.is_some() && cursor.position() > cursor.acked() {
                        cursor.ack(cursor.position()).doing(doing)?;
                    }
                    if batch.is_empty() {
                        break;
                    }
                }
                out.finish()?;
            }
        }
        match self.lease {
            Some(_) => cursor.renew(),
            None => cursor.release(),
        }
        .doing(doing)?;
        Ok(Outcome::Done)
    }
}

/// Goes up to a commit and acknowledges it.
fn acknowledge(cursor: &mut Cursor, upto: Seq) -> withy::Result<()> {
    while cursor.position() < upto {
        let distance = upto.get() - cursor.position().get();
        let limit = usize::try_from(distance).unwrap_or(BATCH).min(BATCH);
        if cursor.next_batch(limit)?.is_empty() {
            break;
        }
    }
    cursor.ack(upto)
}

/// Lists all cursors.
pub(crate) fn list(app: &mut App) -> Result<Outcome> {
    let store = app.open_read()?;
    let cursors = store.cursors().doing(|| "list the cursors".into())?;
    let mut out = app.paged()?;
    for cursor in &cursors {
        if app.globals.json {
            out.json(&json(cursor, app)?.done())?;
        } else {
            tell(&mut out, cursor, app)?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// Deletes one.
pub(crate) fn delete(app: &mut App, name: &str) -> Result<Outcome> {
    let store = app.open_write()?;
    store.delete_cursor(name).doing(|| format!("delete cursor {name}"))?;
    if !app.globals.quiet {
        let mut out = app.out()?;
        writeln!(out, "deleted cursor {name}")?;
        out.finish()?;
    }
    Ok(Outcome::Done)
}

fn json(cursor: &CursorInfo, app: &App) -> Result<Object> {
    let format = app.key_format()?;
    let from = match cursor.range.lower() {
        std::ops::Bound::Included(from) => Some(from),
        _ => None,
    };
    let to = match cursor.range.upper() {
        std::ops::Bound::Excluded(to) => Some(to),
        _ => None,
    };
    Ok(Object::new()
        .with("name", cursor.name.as_str())
        .with("acked", cursor.acked.get())
        .with("created", cursor.created.to_string())
        .with("branch", cursor.branch.clone())
        .maybe_bytes("from", from, format)
        .maybe_bytes("to", to, format)
        .with("holder", cursor.holder.clone())
        .with("until", cursor.until.map(|until| until.to_string())))
}

fn tell(out: &mut Out, cursor: &CursorInfo, app: &App) -> Result<()> {
    let name = out.paint(Paint::Ref, &cursor.name);
    write!(out, "{name}\tafter {}", cursor.acked)?;
    if let Some(branch) = &cursor.branch {
        write!(out, ", branch {branch}")?;
    }
    if !cursor.range.is_all() {
        let format = app.key_format()?;
        if let std::ops::Bound::Included(from) = cursor.range.lower() {
            write!(out, ", keys from {}", format.show(from))?;
        }
        if let std::ops::Bound::Excluded(to) = cursor.range.upper() {
            write!(out, ", keys below {}", format.show(to))?;
        }
    }
    match (&cursor.holder, cursor.until) {
        (Some(holder), Some(until)) => writeln!(out, ", held by {holder} until {until}")?,
        (_, Some(until)) => writeln!(out, ", lapsed at {until}")?,
        (_, None) => writeln!(out, ", free")?,
    }
    Ok(())
}
