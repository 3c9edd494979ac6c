//! The bytes on disk, as code. Byte tables for people are in `docs/format.md`; golden tests pin them.
//!
//! | family    | key                                  | value                          | written by        |
//! |-----------|--------------------------------------|--------------------------------|-------------------|
//! | `head`    | line, key                            | tag, seq, value or blob hash   | publish           |
//! | `history` | line, escape(key) 00 00, desc(seq)   | tag, value or blob hash        | publish           |
//! | `log`     | seq, part                            | commit header and changes      | publish           |
//! | `log`     | FF, line, part                       | changes of a bulk load         | publish           |
//! | `log`     | FF, FF, seq, part                    | how a merge came about         | publish           |
//! | `blob`    | BLAKE3 of the value, 0               | length                         | publish           |
//! | `blob`    | BLAKE3 of the value, 1               | the value                      | publish           |
//! | `refs`    | `b`, name                            | branch                         | publish           |
//! | `refs`    | `t`, name                            | tag                            | publish           |
//! | `refs`    | `l`, line                            | line: fork and read layers     | publish, overlay  |
//! | `refs`    | `o`, seq, step                       | one entry of the operation log | publish           |
//! | `refs`    | `p`, seq, kind, owner                | pin (empty)                    | publish           |
//! | `refs`    | `m`, line, seq                       | further parents of a merge     | publish           |
//! | `refs`    | `x`, line, last seq                  | commits of a line (derived)    | publish           |
//! | `refs`    | `i`, last seq                        | ids of a block (derived)       | publish           |
//! | `refs`    | `y`, line, seq, bottom line          | read layer made by overlay     | overlay           |
//! | `refs`    | `g`, line                            | what is gone of a line         | gc                |
//! | `refs`    | `u`, number                          | audit record of a purge        | purge             |
//! | `state`   | `m`, branch                          | a merge that is still open     | publish           |
//! | `state`   | `c`, branch, 00, seq, key            | a conflict of an open merge    | publish           |
//! | `state`   | `o`, `m`, topic, 00, seq, number     | a message of the outbox        | publish           |
//! | `state`   | `o`, `a`, topic, 00, seq, number     | attempts to deliver it         | coord             |
//! | `state`   | `o`, `d`, topic, 00, seq, number     | a message that was given up    | coord             |
//! | `state`   | `s`, `u`, id                         | journal of a saga              | coord             |
//! | `state`   | `s`, `f`, id                         | that of a finished one         | coord             |
//! | `state`   | `p`, gid                             | a prepared transaction         | publish           |
//! | `state`   | `w`, gid, 00, part, ...              | what it writes, holds, sends   | publish           |
//! | `state`   | `f`, gid                             | what became of a prepared one  | publish           |
//! | `state`   | `t`, gid                             | a coordinator's transaction    | coord             |
//! | `state`   | `t`                                  | number of its newest one       | coord             |
//! | `state`   | `u`, name                            | a cursor of the feed           | feed              |
//! | `state`   | `u`                                  | number of the newest lease     | feed              |
//! | `meta`    | fixed names                          | version, id, settings, fences  | open, publish     |
//!
//! Beside the database, the file `withy.synced` says how far the log is on disk (`synced`).
//!
//! A backup directory has files of its own, see `backup`: `withy.backup` (marker), `snapshots/<number>`
//! (record, BLAKE3) and `files/<2 digits>/<BLAKE3>` (content), all written by maintain.
//!
//! All numbers in keys are big-endian, so keys sort as numbers do. Every value starts with a version.

pub(crate) mod backup;
pub(crate) mod commit;
pub(crate) mod coord;
pub(crate) mod cursor;
#[cfg(test)]
mod hostile;
pub(crate) mod keys;
pub(crate) mod merge;
pub(crate) mod prepared;
pub(crate) mod record;
pub(crate) mod refs;
pub(crate) mod row;
pub(crate) mod synced;

use crate::error::{Error, ErrorKind};

/// The format that this version of withy writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// First bytes of the file that marks a directory as a store.
pub(crate) const MAGIC: &str = "withy store, format ";

/// Column families of a store; RocksDB's `default` stays empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Head,
    History,
    Log,
    Blob,
    Refs,
    State,
    Meta,
}

impl Family {
    pub(crate) const ALL: [Self; 7] =
        [Self::Head, Self::History, Self::Log, Self::Blob, Self::Refs, Self::State, Self::Meta];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::History => "history",
            Self::Log => "log",
            Self::Blob => "blob",
            Self::Refs => "refs",
            Self::State => "state",
            Self::Meta => "meta",
        }
    }
}

/// Stored bytes that break a rule of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record}: no valid {want} at byte {at}")]
pub(crate) struct Corrupt {
    pub(crate) record: &'static str,
    pub(crate) at: usize,
    pub(crate) want: &'static str,
}

impl From<Corrupt> for Error {
    fn from(fault: Corrupt) -> Self {
        Self::new(ErrorKind::Corrupt, format!("cannot read a stored {}", fault.record))
            .because(fault)
            .with_hint("the store is damaged; keep a copy of it and restore a backup")
    }
}

/// Reads fixed pieces off the front of a record.
pub(crate) struct Cursor<'a> {
    record: &'static str,
    all: usize,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(record: &'static str, bytes: &'a [u8]) -> Self {
        Self { record, all: bytes.len(), rest: bytes }
    }

    pub(crate) fn fault(&self, want: &'static str) -> Corrupt {
        Corrupt { record: self.record, at: self.all - self.rest.len(), want }
    }

    pub(crate) fn array<const N: usize>(&mut self, want: &'static str) -> Result<[u8; N], Corrupt> {
        let (front, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.fault(want))?;
        self.rest = rest;
        Ok(*front)
    }

    pub(crate) fn bytes(&mut self, len: usize, want: &'static str) -> Result<&'a [u8], Corrupt> {
        let (front, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.fault(want))?;
        self.rest = rest;
        Ok(front)
    }

    pub(crate) fn u64(&mut self, want: &'static str) -> Result<u64, Corrupt> {
        self.array(want).map(u64::from_be_bytes)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}
