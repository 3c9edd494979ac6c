//! RocksDB's manifest, read before RocksDB opens it: which files belong to the database, and which
//! logs it needs.

use std::collections::BTreeMap;
use std::path::Path;

use super::logfile::{Bad, LogFile, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::format::Family;

/// A data file of sorted rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) family: u32,
    pub(crate) level: u64,
    pub(crate) size: u64,
    /// First and last key, without what RocksDB adds to them.
    pub(crate) keys: (Vec<u8>, Vec<u8>),
    /// CRC-32C of the whole file, if it was written with one.
    pub(crate) checksum: Option<u32>,
}

/// A file of large values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlobFile {
    /// How many it holds, and how many of those nobody needs.
    values: u64,
    unused: u64,
    pub(crate) size: u64,
    pub(crate) checksum: Option<u32>,
}

/// What a file of large values has around them: 30 bytes in front and 32 behind.
const BLOB_FRAME: u64 = 62;
/// What RocksDB calls the checksum of a file.
const CHECKSUM: &[u8] = b"FileChecksumCrc32c";

/// A checksum as it is stored, unless it is another kind.
fn checksum(value: &[u8], method: &[u8]) -> Option<u32> {
    let value = value.try_into().ok().filter(|_| method == CHECKSUM)?;
    Some(u32::from_be_bytes(value))
}

/// What the manifest says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Name of the file.
    pub(crate) name: String,
    /// Where its last whole record ends, and how long it is.
    pub(crate) whole: u64,
    pub(crate) len: u64,
    pub(crate) fault: Option<Bad>,
    /// Whether something is as it was written behind the fault.
    pub(crate) valid_behind: bool,
    /// Name and oldest log of each family.
    pub(crate) families: BTreeMap<u32, (String, u64)>,
    pub(crate) tables: BTreeMap<u64, Table>,
    pub(crate) blobs: BTreeMap<u64, BlobFile>,
    pub(crate) last_sequence: u64,
    /// Logs that were ended and put on disk, with how long they were then at least.
    pub(crate) ended_logs: BTreeMap<u64, u64>,
    /// Logs below this one need not be there.
    ended_from: u64,
    kept_log: u64,
}

impl Manifest {
    /// The name of the manifest, as `CURRENT` has it.
    pub(super) fn named(store: &Path) -> Result<String> {
        let current = std::fs::read(store.join("CURRENT")).map_err(|e| unreadable("CURRENT", e))?;
        let name = std::str::from_utf8(&current).ok().and_then(|text| text.strip_suffix('\n'));
        let name = name.filter(|name| {
            let number = name.strip_prefix("MANIFEST-").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        let name = name.ok_or_else(|| damaged("the file CURRENT does not name a manifest"))?;
        Ok(name.to_owned())
    }

    /// Reads the manifest that `CURRENT` names.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if there is none, or a record that is whole makes no sense.
    pub(crate) fn read(store: &Path) -> Result<Self> {
        let name = &Self::named(store)?;
        let mut file = LogFile::open(&store.join(name)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                damaged(format!("{name}, which the file CURRENT names, is missing")).because(e)
            }
            _ => unreadable(name, e),
        })?;
        let mut out = Self { name: name.to_owned(), len: file.len(), ..Self::default() };
        out.families.insert(0, ("default".to_owned(), 0));
        let mut body = Vec::new();
        loop {
            match file.next(usize::MAX, &mut body).map_err(|e| unreadable(name, e))? {
                Step::Record { end } => {
                    out.apply(&body).ok_or_else(|| {
                        let at = out.whole;
                        damaged(format!("{name}: the record at byte {at} makes no sense"))
                    })?;
                    out.whole = end;
                }
                Step::End => return Ok(out),
                Step::Bad(bad) => {
                    let behind = file.valid_behind(bad.at, |_| true);
                    out.valid_behind = behind.map_err(|e| unreadable(name, e))?.is_some();
                    let zeros = file.is_zero_from(bad.at).map_err(|e| unreadable(name, e))?;
                    // Space that was given to the file and not written yet when the power went.
                    out.fault = Some(Bad { is_torn: bad.is_torn || zeros, ..bad });
                    return Ok(out);
                }
            }
        }
    }

    /// The oldest log with data that is in no other file.
    pub(crate) fn oldest_log(&self) -> u64 {
        let needed = self.families.values().map(|(_, log)| *log).min().unwrap_or(0);
        needed.max(self.kept_log)
    }

    /// The log that was the newest when a family was last written to files.
    pub(crate) fn newest_named_log(&self) -> u64 {
        self.families.values().map(|(_, log)| *log).max().unwrap_or(0)
    }

    /// The log that was opened with the manifest: RocksDB makes it right before, and numbers are given once.
    pub(super) fn first_log(&self) -> Option<u64> {
        let number: u64 = self.name.strip_prefix("MANIFEST-")?.parse().ok()?;
        number.checked_sub(1)
    }

    /// A family that it does not name, or not yet.
    pub(super) fn missing_family(&self) -> Option<&'static str> {
        let has = |name: &str| self.families.values().any(|(known, _)| known == name);
        Family::ALL.iter().map(|family| family.name()).find(|name| !has(name))
    }

    /// The name of a family.
    pub(crate) fn family(&self, id: u32) -> &str {
        self.families.get(&id).map_or("", |(name, _)| name)
    }

    /// The files of large values that are needed.
    pub(crate) fn needed_blobs(&self) -> impl Iterator<Item = (u64, &BlobFile)> + '_ {
        let needed = self.blobs.iter().filter(|(_, blob)| blob.unused < blob.values);
        needed.map(|(number, blob)| (*number, blob))
    }

    /// Takes one edit in; `None` if it breaks the format.
    fn apply(&mut self, edit: &[u8]) -> Option<()> {
        let mut input = Input(edit);
        let (mut family, mut log, mut name, mut is_drop) = (0, None, None, false);
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        while !input.0.is_empty() {
            match input.number()? {
                1 => _ = input.bytes()?,
                2 => log = Some(input.number()?),
                3 | 9 | 203 | 300 => _ = input.number()?,
                4 => self.last_sequence = self.last_sequence.max(input.number()?),
                5 => {
                    let _ = (input.number()?, input.bytes()?);
                }
                6 => gone.push((input.number()?, input.number()?)),
                10 => self.kept_log = self.kept_log.max(input.number()?),
                103 => new.push(self.table(&mut input)?),
                200 => family = u32::try_from(input.number()?).ok()?,
                201 => name = Some(String::from_utf8(input.bytes()?.to_vec()).ok()?),
                202 => is_drop = true,
                400 => {
                    let (number, values) = (input.number()?, input.number()?);
                    let size = input.number()?.saturating_add(BLOB_FRAME);
                    let (method, value) = (input.bytes()?, input.bytes()?);
                    input.custom_fields()?;
                    let checksum = checksum(value, method);
                    self.blobs.insert(number, BlobFile { values, unused: 0, size, checksum });
                }
                401 => {
                    let (number, unused) = (input.number()?, input.number()?);
                    input.number()?;
                    input.custom_fields()?;
                    let blob = self.blobs.entry(number).or_default();
                    blob.unused = blob.unused.saturating_add(unused);
                }
                8199 => self.end_log(Input(input.bytes()?))?,
                8200 => {
                    self.ended_from = self.ended_from.max(Input(input.bytes()?).number()?);
                    self.ended_logs = self.ended_logs.split_off(&self.ended_from);
                }
                // What may be passed over says how long it is.
                tag if tag & (1 << 13) != 0 => _ = input.bytes()?,
                _ => return None,
            }
        }
        for (_, number) in gone {
            self.tables.remove(&number);
        }
        for (number, table) in new {
            self.tables.insert(number, Table { family, ..table });
        }
        if is_drop {
            self.families.remove(&family);
            return Some(());
        }
        let known = self.families.entry(family).or_default();
        if let Some(name) = name {
            known.0 = name;
        }
        known.1 = known.1.max(log.unwrap_or(0));
        Some(())
    }

    /// A log that was ended, or put on disk further than before.
    fn end_log(&mut self, mut input: Input<'_>) -> Option<()> {
        let number = input.number()?;
        loop {
            match input.number()? {
                1 => return Some(()),
                2 => {
                    let size = input.number()?;
                    if number >= self.ended_from {
                        let known = self.ended_logs.entry(number).or_default();
                        *known = size.max(*known);
                    }
                }
                _ => return None,
            }
        }
    }

    fn table(&mut self, input: &mut Input<'_>) -> Option<(u64, Table)> {
        let (level, number, size) = (input.number()?, input.number()?, input.number()?);
        let (first, last) = (input.bytes()?, input.bytes()?);
        let _ = (input.number()?, input.number()?);
        let (mut value, mut method): (&[u8], &[u8]) = (&[], &[]);
        loop {
            match input.number()? {
                1 => break,
                7 => value = input.bytes()?,
                8 => method = input.bytes()?,
                3 => {
                    let log = u64::from_le_bytes(input.bytes()?.try_into().ok()?);
                    self.kept_log = self.kept_log.max(log);
                }
                _ => _ = input.bytes()?,
            }
        }
        let user = |key: &[u8]| key.get(..key.len().checked_sub(8)?).map(<[u8]>::to_vec);
        let (keys, checksum) = ((user(first)?, user(last)?), checksum(value, method));
        Some((number, Table { family: 0, level, size, keys, checksum }))
    }
}

/// Bytes of an edit that are still to be read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    /// Seven bits a byte, lowest first.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut out = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            out |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(out);
            }
        }
        None
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(front)
    }

    /// Fields with a tag, up to tag 0.
    fn custom_fields(&mut self) -> Option<()> {
        while self.number()? != 0 {
            self.bytes()?;
        }
        Some(())
    }
}

/// An error about damage; what to do is the same in all cases.
pub(super) fn damaged(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, text).with_hint(
        "look with `withy doctor`; restore a backup, or save what can be with `withy doctor --salvage`",
    )
}

/// A file of the database cannot be read.
pub(super) fn unreadable(name: &str, cause: std::io::Error) -> Error {
    if cause.kind() == std::io::ErrorKind::NotFound {
        return damaged(format!("the file {name} of the store is missing")).because(cause);
    }
    Error::new(ErrorKind::Io, format!("cannot read {name} of the store")).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_edits_are_refused_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let len = random.usize(0..60);
            let mut edit: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
            let tags: [&[u8]; 9] =
                [&[1], &[2], &[4], &[5], &[6], &[10], &[103], &[0x87, 0x40], &[0x88, 0x40]];
            let tag = tags[random.usize(..tags.len())];
            edit.splice(..tag.len().min(edit.len()), tag.iter().copied());
            // It may be taken or refused; what counts is that it ends.
            let _ = Manifest::default().apply(&edit);
        }
    }

    #[test]
    fn an_edit_says_which_logs_were_ended() {
        let mut manifest = Manifest::default();
        // Logs 4 and 5, the second one not on disk; log 4 again, and longer; then log 6.
        let edits: [&[u8]; 5] = [
            &[0x87, 0x40, 4, 4, 2, 100, 1],
            &[0x87, 0x40, 2, 5, 1],
            &[0x87, 0x40, 5, 4, 2, 0xC8, 0x01, 1],
            // They may come in any order.
            &[0x87, 0x40, 4, 4, 2, 120, 1],
            &[0x87, 0x40, 4, 6, 2, 7, 1],
        ];
        edits.iter().for_each(|edit| manifest.apply(edit).expect("the edit is right"));
        assert_eq!(manifest.ended_logs, BTreeMap::from([(4, 200), (6, 7)]), "with their lengths");
        manifest.apply(&[0x88, 0x40, 1, 6]).expect("the edit is right");
        assert_eq!(manifest.ended_logs, BTreeMap::from([(6, 7)]), "older ones are gone");
        manifest.apply(edits[0]).expect("the edit is right");
        assert_eq!(manifest.ended_logs.len(), 1, "and do not come back");
        assert!(manifest.apply(&[0x87, 0x40, 3, 4, 9, 1]).is_none(), "an unknown field");
    }

    #[test]
    fn an_edit_adds_and_removes_files() {
        let mut manifest = Manifest::default();
        // Family 9 is `head`, needs log 5, and has file 7 on level 0 with the keys from a to z.
        let zeros = [0; 8];
        let add = [
            &[0xC8, 0x01, 9, 0xC9, 0x01, 4][..],
            b"head",
            &[2, 5, 103, 0, 7, 42, 9, b'a'],
            &zeros,
            &[9, b'z'],
            &zeros,
            &[1, 3, 1],
        ]
        .concat();
        manifest.apply(&add).expect("the edit is right");
        assert_eq!(manifest.family(9), "head", "its family");
        assert_eq!(manifest.oldest_log(), 5, "and the log it needs");
        let table = &manifest.tables[&7];
        assert_eq!((table.size, &table.keys), (42, &(b"a".to_vec(), b"z".to_vec())), "the file");
        manifest.apply(&[6, 0, 7]).expect("the edit is right");
        assert!(manifest.tables.is_empty(), "and it is gone");
    }
}
