//! From a transaction to rows that wait, and what they hold.

use std::collections::BTreeSet;

use super::super::build::put_blob;
use super::super::held::Holds;
use super::super::options::{MAX_AUTHOR_LEN, MAX_MESSAGE_LEN, check_text};
use super::super::{Part, Publisher, Request};
use super::{GidState, check_gid, ended, gid_state};
use crate::engine::WriteSet;
use crate::error::{Error, ErrorKind, Result};
use crate::format::prepared::{
    IsolationCode, PreparedBranch, PreparedMessage, PreparedPart, PreparedRecord, ReadRecord,
    part_key, prepared_key,
};
use crate::format::row::Cell;
use crate::format::{Family, record};
use crate::id::ValueHash;
use crate::kv::Durability;

/// What a transaction is prepared as.
pub(crate) struct PrepareAs<'a> {
    pub(crate) gid: &'a str,
    pub(crate) isolation: IsolationCode,
}

impl Publisher {
    /// Makes what a transaction has done durable under a name, and holds it, if it could be committed now.
    pub(crate) fn prepare(&self, request: Request<'_>, how: PrepareAs<'_>) -> Result<()> {
        let Request { mut parts, options, tracked, messages, attached, .. } = request;
        let PrepareAs { gid, isolation } = how;
        check_gid(gid)?;
        if !attached.is_empty() {
            let text = "rows that a commit makes cannot be prepared";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let author = options.author.as_deref().unwrap_or(&self.settings.author);
        check_text("author", author, MAX_AUTHOR_LEN)?;
        check_text("message", &options.message, MAX_MESSAGE_LEN)?;
        // A branch on which nothing was done is left alone; the first one may get a commit all the same.
        let first = options.allow_empty || !messages.is_empty();
        let mut number = 0;
        parts.retain(|part| {
            number += 1;
            (first && number == 1) || !part.is_idle()
        });
        let known: Vec<_> =
            parts.iter().map(|part| self.check_early(part)).collect::<Result<_>>()?;

        let mut guard = self.lock()?;
        let _passed = options.gates.pass()?;
        let writer = &mut *guard;
        self.check_free(gid)?;
        writer.held.check_parts(&parts)?;
        parts.iter().try_for_each(|part| writer.held.check_kept(part))?;
        let rows: Vec<_> = parts.iter_mut().map(Part::take_rows).collect();
        let due = self.gather(&parts, rows, tracked)?;
        self.check_conflicts(&due, &known)?;
        let bases: Vec<_> = due.iter().map(|due| due.head.place).collect();
        drop(due);

        let mut set = WriteSet::default();
        let count = self.put_prepared_parts(&mut set, gid, &parts)?;
        let count = count + self.put_prepared_messages(&mut set, gid, messages);
        let branch = |(part, head): (&Part, _)| PreparedBranch {
            name: part.branch.to_string(),
            base: part.seen.as_ref().map_or(head, |seen| seen.at).into(),
            writes: part.writes.len() as u64,
        };
        let record = PreparedRecord {
            author: author.to_owned(),
            message: options.message.clone(),
            allow_empty: options.allow_empty,
            isolation,
            time: self.time(writer),
            branches: parts.iter().zip(bases).map(branch).collect(),
            parts: count,
        };
        let row = record::encode(&record);
        self.engine().put(&mut set, Family::State, &prepared_key(gid), &row);
        self.engine().write(set)?;
        for part in parts {
            let (branch, holds) = Holds::of(part);
            writer.held.add(gid, branch.as_str(), holds);
        }
        let write = self.wrote(writer);
        drop(guard);
        self.settle(write, Some(Durability::Sync))
    }

    /// Refuses a name that is prepared or remembered.
    fn check_free(&self, gid: &str) -> Result<()> {
        match gid_state(self.engine(), gid)? {
            GidState::Unknown => Ok(()),
            GidState::Prepared => {
                let text = format!("transaction {gid} is prepared already");
                Err(Error::new(ErrorKind::Exists, text))
            }
            GidState::Finished(outcome) => {
                let text = format!("the name {gid} is taken by a transaction that has ended");
                Err(Error::new(ErrorKind::Exists, text)
                    .with_hint("it is free once its outcome is forgotten")
                    .because(ended(gid, &outcome)))
            }
        }
    }

    /// Adds the rows of messages that wait for the commit; says how many.
    fn put_prepared_messages(
        &self,
        set: &mut WriteSet,
        gid: &str,
        messages: Vec<(String, Vec<u8>)>,
    ) -> u64 {
        let count = messages.len() as u64;
        for (number, (topic, payload)) in (0u64..).zip(messages) {
            let key = part_key(gid, &PreparedPart::Message(number));
            let message = PreparedMessage { topic, payload };
            self.engine().put(set, Family::State, &key, &record::encode(&message));
        }
        count
    }

    /// Adds the rows of what a transaction writes and holds; says how many.
    fn put_prepared_parts(&self, set: &mut WriteSet, gid: &str, parts: &[Part]) -> Result<u64> {
        let engine = self.engine();
        let mut count = 0;
        let mut row = Vec::new();
        let mut blobs = BTreeSet::new();
        for (at, part) in (0u32..).zip(parts) {
            let mut put = |set: &mut WriteSet, part: PreparedPart<'_>, row: &[u8]| {
                engine.put(set, Family::State, &part_key(gid, &part), row);
                count += 1;
            };
            for (key, write) in &part.writes {
                let cell = match &write.value {
                    None => Cell::Deleted,
                    Some(value) if value.len() < self.settings.blob_threshold => {
                        Cell::Inline(value)
                    }
                    Some(value) => {
                        let hash = ValueHash::of(value);
                        if blobs.insert(hash) {
                            self.note_named(hash);
                            put_blob(engine, set, &hash, value)?;
                        }
                        Cell::Blob { hash, len: value.len() as u64 }
                    }
                };
                cell.write_history(&mut row);
                put(set, PreparedPart::Write(at, key), &row);
            }
            let Some(seen) = &part.seen else { continue };
            for locked in &seen.locked {
                put(set, PreparedPart::Kept(at, &locked.key), &[]);
            }
            for (number, (from, to)) in (0u64..).zip(seen.reads.intervals()) {
                let read = ReadRecord { from: from.to_vec(), to: to.map(<[u8]>::to_vec) };
                put(set, PreparedPart::Read(at, number), &record::encode(&read));
            }
        }
        Ok(count)
    }
}
