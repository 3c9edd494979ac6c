//! Prepared transactions: durable, held, and to be committed or rolled back by whoever knows their name.
//!
//! All of them wait for the disk, whatever the store's durability is: a promise to commit that a power
//! failure takes back is none, and neither is an outcome.

mod begin;
mod end;

use std::ops::Bound;

pub(crate) use begin::PrepareAs;
pub(crate) use end::IfUnknown;

use super::held::{Held, Holds};
use super::{Part, ReadSet, StateRows};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{
    OutcomeRecord, PreparedMessage, PreparedPart, PreparedRecord, ReadRecord, outcome_key, part_of,
    parts_prefix, prepared_key,
};
use crate::format::row::read_history;
use crate::format::{Family, keys, record};
use crate::kv::{KeyRange, Write};
use crate::name::BranchName;
use crate::view::value_of;

/// Longest name of a prepared transaction, in bytes.
const MAX_GID_LEN: usize = 200;

/// How a name stands with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GidState {
    Unknown,
    Prepared,
    Finished(OutcomeRecord),
}

/// Refuses what cannot be the name of a prepared transaction.
pub(crate) fn check_gid(gid: &str) -> Result<()> {
    let fault = match gid.len() {
        0 => "it is empty",
        1..=MAX_GID_LEN if gid.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => return Ok(()),
        1..=MAX_GID_LEN => "only printable ASCII is allowed",
        _ => "it is over 200 bytes",
    };
    let shown = crate::kv::show_key(gid.as_bytes());
    let text = format!("{shown:?} cannot name a prepared transaction: {fault}");
    Err(Error::new(ErrorKind::Invalid, text))
}

/// How a name stands, as it is stored.
pub(crate) fn gid_state(engine: &Engine, gid: &str) -> Result<GidState> {
    if engine.get(Family::State, &prepared_key(gid))?.is_some() {
        return Ok(GidState::Prepared);
    }
    match engine.get(Family::State, &outcome_key(gid))? {
        Some(row) => Ok(GidState::Finished(record::decode("outcome", &row)?)),
        None => Ok(GidState::Unknown),
    }
}

/// The rows of one kind, by name.
fn named<T: record::Stored>(
    engine: &Engine,
    kind: u8,
    what: &'static str,
) -> Result<Vec<(String, T)>> {
    let mut out = Vec::new();
    let mut rows = engine.iter_prefix(Family::State, &[kind]);
    rows.seek_to_first();
    while let Some((stored, row)) = rows.current()? {
        out.push((keys::name_of(stored)?.to_owned(), record::decode(what, row)?));
        rows.next();
    }
    Ok(out)
}

/// All prepared transactions, by name.
pub(crate) fn all_prepared(engine: &Engine) -> Result<Vec<(String, PreparedRecord)>> {
    named(engine, keys::state::PREPARED, "prepared transaction")
}

/// All outcomes that are remembered, by name.
pub(crate) fn all_outcomes(engine: &Engine) -> Result<Vec<(String, OutcomeRecord)>> {
    named(engine, keys::state::OUTCOME, "outcome")
}

fn unknown(gid: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no prepared transaction {gid}"))
        .with_hint("`withy prepared` lists what is prepared, `--all` what is remembered too")
}

fn ended(gid: &str, outcome: &OutcomeRecord) -> Error {
    let how = if outcome.commits.is_some() { "committed" } else { "rolled back" };
    Error::new(ErrorKind::Invalid, format!("prepared transaction {gid} was {how}"))
        .with_hint("what has ended stays as it is")
}

/// A prepared transaction as it is stored, with everything beside it.
struct Stored {
    record: PreparedRecord,
    /// The keys of its rows.
    rows: Vec<Vec<u8>>,
    branches: Vec<StoredBranch>,
    messages: Vec<PreparedMessage>,
}

#[derive(Default)]
struct StoredBranch {
    writes: Vec<(Vec<u8>, Write)>,
    kept: Vec<Vec<u8>>,
    reads: ReadSet,
}

/// Which values are read with a prepared transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Read,
    /// The keys are enough.
    Left,
}

impl Stored {
    fn load(engine: &Engine, gid: &str, record: PreparedRecord, values: Values) -> Result<Self> {
        let damaged = |what: &str| {
            let text = format!("prepared transaction {gid} {what}");
            Error::new(ErrorKind::Corrupt, text)
                .with_hint("the store is damaged; keep a copy of it and restore a backup")
        };
        let mut branches: Vec<StoredBranch> = Vec::new();
        branches.resize_with(record.branches.len(), StoredBranch::default);
        let mut messages = Vec::new();
        let mut stored_keys = vec![prepared_key(gid)];
        let prefix = parts_prefix(gid);
        let mut rows = engine.iter_prefix(Family::State, &prefix);
        rows.seek_to_first();
        while let Some((stored, row)) = rows.current()? {
            let part = part_of(stored, &prefix)?;
            let at = match part {
                PreparedPart::Write(at, _)
                | PreparedPart::Kept(at, _)
                | PreparedPart::Read(at, _) => at,
                PreparedPart::Message(_) => 0,
            };
            let Some(branch) = branches.get_mut(at as usize) else {
                return Err(damaged("has keys of a branch that it does not name"));
            };
            match part {
                PreparedPart::Write(_, key) => {
                    let cell = read_history(row)?;
                    let value = match values {
                        Values::Read => value_of(engine, &cell)?,
                        Values::Left => None,
                    };
                    branch.writes.push((key.to_vec(), Write { value, expects: Vec::new() }));
                }
                PreparedPart::Kept(_, key) => branch.kept.push(key.to_vec()),
                PreparedPart::Read(..) => {
                    let ReadRecord { from, to } = record::decode("keys that were read", row)?;
                    let to = to.map_or(Bound::Unbounded, Bound::Excluded);
                    branch.reads.add_range(&KeyRange::new(Bound::Included(from), to));
                }
                PreparedPart::Message(_) => {
                    messages.push(record::decode("prepared message", row)?);
                }
            }
            stored_keys.push(stored.to_vec());
            rows.next();
        }
        if stored_keys.len() as u64 != record.parts.saturating_add(1) {
            return Err(damaged("has lost a part"));
        }
        Ok(Self { record, rows: stored_keys, branches, messages })
    }

    fn find(engine: &Engine, gid: &str, values: Values) -> Result<Option<Self>> {
        let Some(row) = engine.get(Family::State, &prepared_key(gid))? else { return Ok(None) };
        let record = record::decode("prepared transaction", &row)?;
        Self::load(engine, gid, record, values).map(Some)
    }

    /// The rows that end it.
    fn ended(&self, gid: &str, outcome: &OutcomeRecord) -> StateRows {
        let gone = self.rows.iter().map(|key| (Family::State, key.clone(), None));
        let outcome = (Family::State, outcome_key(gid), Some(record::encode(outcome)));
        gone.chain([outcome]).collect()
    }
}

impl Held {
    /// What all prepared transactions of a store hold.
    pub(super) fn load(engine: &Engine) -> Result<Self> {
        let mut held = Self::default();
        for (gid, record) in all_prepared(engine)? {
            let stored = Stored::load(engine, &gid, record, Values::Left)?;
            for (named, branch) in stored.record.branches.iter().zip(stored.branches) {
                let writes = branch.writes.into_iter().map(|(key, _)| key).collect();
                let holds = Holds { writes, kept: branch.kept, reads: branch.reads };
                held.add(&gid, &named.name, holds);
            }
        }
        Ok(held)
    }
}

impl Held {
    /// Refuses parts that write what a prepared transaction holds.
    pub(super) fn check_parts(&self, parts: &[Part]) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        parts.iter().try_for_each(|part| {
            let keys = part.writes.iter().map(|(key, _)| key.as_slice());
            self.check_writes(part.branch.as_str(), keys)
        })
    }

    /// Refuses a part that has read what a prepared transaction is going to write.
    fn check_kept(&self, part: &Part) -> Result<()> {
        let Some(seen) = &part.seen else { return Ok(()) };
        let locked = part.locked().iter().map(|locked| locked.key.as_slice());
        self.check_reads(part.branch.as_str(), locked, &seen.reads)
    }
}

impl Holds {
    /// What a part holds once it is prepared.
    fn of(part: Part) -> (BranchName, Self) {
        let writes = part.writes.into_iter().map(|(key, _)| key).collect();
        let mut holds = Self { writes, ..Self::default() };
        if let Some(seen) = part.seen {
            holds.kept = seen.locked.into_iter().map(|locked| locked.key).collect();
            holds.reads = seen.reads;
        }
        (part.branch, holds)
    }
}
