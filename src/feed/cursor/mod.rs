//! Named cursors of the feed: a reader's place is kept in the store, and only one reads at a time.
//!
//! A cursor is a row of family `state`. Whoever takes it gets a lease with a number above all earlier
//! ones; every later write of theirs is refused once the row has another number. While the lease lasts,
//! collection keeps all that comes after the acknowledged position.

mod handle;
mod info;
mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use handle::Cursor;
pub use info::CursorInfo;
pub use options::CursorOptions;

use crate::clock::{Timestamp, is_over};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::cursor::{CursorRecord, HolderRecord};
use crate::format::{Family, keys, record};
use crate::graph::{Graph, gone_before};
use crate::id::Seq;
use crate::name::check_label;
use crate::publish::{Publisher, StateRows};

/// The cursor of this name, as it is stored.
fn find(engine: &Engine, name: &str) -> Result<Option<CursorRecord>> {
    let row = engine.get(Family::State, &keys::cursor(name))?;
    Ok(row.map(|row| record::decode("cursor", &row)).transpose()?)
}

/// All cursors, by name.
fn all(engine: &Engine) -> Result<Vec<(String, CursorRecord)>> {
    let mut out = Vec::new();
    let mut rows = engine.iter_prefix(Family::State, &[keys::state::CURSOR]);
    rows.seek_to_first();
    while let Some((key, value)) = rows.current()? {
        let name = keys::name_of(key)?;
        if !name.is_empty() {
            out.push((name.to_owned(), record::decode("cursor", value)?));
        }
        rows.next();
    }
    Ok(out)
}

fn row(name: &str, stored: &CursorRecord) -> (Family, Vec<u8>, Option<Vec<u8>>) {
    (Family::State, keys::cursor(name), Some(record::encode(stored)))
}

/// Who holds a cursor at a time; nobody once the lease has lapsed.
fn holder(stored: &CursorRecord, now: Timestamp) -> Option<&HolderRecord> {
    let holder = stored.holder.as_ref()?;
    (!is_over(now.as_millis(), holder.since, holder.until)).then_some(holder)
}

/// The lowest position that a cursor with a lease has acknowledged: nothing after it may go. The caller
/// holds the commit lock, or asks again when it does.
pub(crate) fn pinned(engine: &Engine, now: Timestamp) -> Result<Option<Seq>> {
    let stored = all(engine)?;
    let held = stored.iter().filter(|(_, stored)| holder(stored, now).is_some());
    Ok(held.map(|(_, stored)| Seq::new(stored.acked)).min())
}

/// All cursors as users see them.
pub(crate) fn list(engine: &Engine, now: Timestamp) -> Result<Vec<CursorInfo>> {
    let stored = all(engine)?;
    Ok(stored.into_iter().map(|(name, stored)| CursorInfo::new(name, stored, now)).collect())
}

/// Removes a cursor, whoever holds it.
pub(crate) fn delete(publisher: &Publisher, name: &str) -> Result<()> {
    let engine = publisher.graph().engine();
    publisher.update_state(|| match find(engine, name)? {
        Some(_) => Ok((vec![(Family::State, keys::cursor(name), None)], ())),
        None => Err(Error::new(ErrorKind::NotFound, format!("no cursor {name}"))
            .with_hint("`withy feed --cursors` lists the cursors")),
    })
}

/// Makes a cursor or opens it, and takes its lease.
pub(crate) fn open(
    publisher: &Arc<Publisher>,
    name: &str,
    options: CursorOptions,
) -> Result<Cursor> {
    check_label("name of a cursor", name)?;
    let owner = options.owner.clone().unwrap_or_else(unnamed_owner);
    check_label("owner of a cursor", &owner)?;
    let length = options.lease_millis()?;
    let newest = publisher.acknowledged()?;
    let stored = publisher.update_state(|| {
        let (engine, now) = (publisher.graph().engine(), publisher.now());
        let mut stored = match find(engine, name)? {
            Some(stored) => {
                check_free(name, &stored, &owner, now)?;
                options.check_filter(name, &stored)?;
                stored
            }
            None => fresh(publisher.graph(), &options, (newest, now))?,
        };
        let number = next_lease(engine)?;
        stored.lease = number;
        stored.holder = Some(held(&owner, now, length));
        let number = (Family::State, keys::cursor(""), Some(record::encode(&number)));
        let rows: StateRows = vec![number, row(name, &stored)];
        Ok((rows, stored))
    })?;
    Cursor::new(publisher, name, (stored, length), options.names_only)
}

/// A cursor that was not there before.
fn fresh(
    graph: &Graph,
    options: &CursorOptions,
    (newest, now): (Seq, Timestamp),
) -> Result<CursorRecord> {
    let acked = options.after.unwrap_or(newest);
    check_start(graph, options.branch.as_deref(), (acked, newest))?;
    let range = options.range.clone().unwrap_or_default();
    Ok(CursorRecord {
        acked: acked.get(),
        created: now.as_millis(),
        branch: options.branch.clone(),
        from: range.start(),
        to: range.end(),
        lease: 0,
        holder: None,
    })
}

/// Refuses a position in the future, or one after which commits are missing.
fn check_start(graph: &Graph, branch: Option<&str>, (after, newest): (Seq, Seq)) -> Result<()> {
    if after > newest {
        let text = format!("position {after} is in the future, the newest commit is {newest}");
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let missing = match branch {
        Some(name) => graph.log_start_of(name)?,
        None => graph.log_start()?,
    };
    match after < missing {
        true => Err(gone_before(after, graph.feed_start(branch)?)),
        false => Ok(()),
    }
}

/// Refuses a cursor that someone else holds.
fn check_free(name: &str, stored: &CursorRecord, owner: &str, now: Timestamp) -> Result<()> {
    match holder(stored, now) {
        Some(holder) if holder.owner != owner => {
            let until = Timestamp::from_millis(holder.until);
            let text = format!("cursor {name} is held by {} until {until}", holder.owner);
            Err(Error::new(ErrorKind::Busy, text)
                .with_hint("try again then, or use a cursor of another name"))
        }
        _ => Ok(()),
    }
}

fn held(owner: &str, now: Timestamp, length: i64) -> HolderRecord {
    let since = now.as_millis();
    HolderRecord { owner: owner.to_owned(), since, until: since.saturating_add(length) }
}

/// The number after that of the newest lease.
fn next_lease(engine: &Engine) -> Result<u64> {
    let last: u64 = match engine.get(Family::State, &keys::cursor(""))? {
        Some(row) => record::decode("number of the newest lease", &row)?,
        None => 0,
    };
    last.checked_add(1).ok_or_else(|| Error::new(ErrorKind::Limit, "no lease numbers are left"))
}

/// An owner that no other handle has.
fn unnamed_owner() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("process {}, reader {number}", std::process::id())
}
