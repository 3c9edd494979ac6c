//! The write-ahead logs, read before RocksDB opens them: RocksDB stops at the first record that it
//! cannot read and takes that for the end, whatever comes behind.

use std::ops::RangeInclusive;
use std::path::Path;

use super::logfile::{Bad, LogFile, Step};
use super::manifest::{Input, unreadable};
use crate::error::Result;

/// The front of a batch: its first sequence and the number of its writes.
const BATCH_HEAD: usize = 12;
/// Why a record is refused that follows nothing.
const GAP: &str = "what was written right before this record is missing";
/// A record of this database has a sequence that is at most so far from the last one.
const PLAUSIBLE: u64 = 1 << 40;

/// Where a log cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFault {
    /// Name of the file.
    pub(crate) file: String,
    pub(crate) number: u64,
    pub(crate) bad: Bad,
    /// Where the last whole record before it ends.
    pub(crate) whole: u64,
    /// Bytes behind that, in this log and in those after it.
    pub(crate) lost: u64,
    /// File and place of a record behind it that is as it was written.
    pub(crate) valid_behind: Option<(String, u64)>,
    /// The record here is whole, and what was written before it is nowhere.
    pub(crate) is_gap: bool,
}

/// What the logs hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogScan {
    /// Numbers of the logs that are needed.
    pub(crate) logs: Vec<u64>,
    /// Whole records up to the first fault, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// RocksDB's sequence numbers of the first and the last write in them.
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<u64>,
    pub(crate) fault: Option<LogFault>,
}

/// The name of a log.
pub(crate) fn log_name(number: u64) -> String {
    format!("{number:06}.log")
}

/// First and last sequence of a batch; `None` if it writes nothing.
pub(super) fn sequences(batch: &[u8]) -> Option<Option<(u64, u64)>> {
    let (first, rest) = batch.split_first_chunk::<8>()?;
    let first = u64::from_le_bytes(*first);
    let count = u64::from(u32::from_le_bytes(*rest.first_chunk::<4>()?));
    if count == 0 {
        return Some(None);
    }
    Some(Some((first, first.checked_add(count - 1)?)))
}

/// The logs from this number on, oldest first.
pub(super) fn logs_from(store: &Path, oldest: u64) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(store).map_err(|e| unreadable("the directory", e))? {
        let name = entry.map_err(|e| unreadable("the directory", e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        out.extend(number.filter(|&number: &u64| number >= oldest));
    }
    out.sort_unstable();
    Ok(out)
}

/// Reads the logs from this number on, up to the first fault, and looks what is behind that. The list
/// of files says that everything up to sequence `known` was written: a sequence that is in no log is in a
/// file that was taken in, or in one that a log was written to before it was removed.
pub(crate) fn scan(store: &Path, oldest: u64, known: u64) -> Result<LogScan> {
    let mut out = LogScan { logs: logs_from(store, oldest)?, ..LogScan::default() };
    let logs = out.logs.clone();
    for (n, &number) in logs.iter().enumerate() {
        let name = log_name(number);
        let mut file = LogFile::open(&store.join(&name)).map_err(|e| unreadable(&name, e))?;
        let Some((bad, whole)) = read(&mut file, &name, known, &mut out)? else { continue };
        let mut fault = LogFault {
            number,
            bad,
            whole,
            lost: file.len() - whole,
            valid_behind: None,
            is_gap: bad.why == GAP,
            file: name.clone(),
        };
        let last = out.last.unwrap_or(0);
        let here = file.valid_behind(bad.at, |head| is_plausible(head, last));
        fault.valid_behind = here.map_err(|e| unreadable(&name, e))?.map(|at| (name, at));
        // A log that was torn in its first record held nothing, and is not removed at once: the next one
        // goes on after what the list of files knew by then.
        let before = match out.last {
            Some(last) => last..=last,
            None if bad.is_torn && whole == 0 => 0..=known,
            None => 0..=0,
        };
        if look_behind(store, &logs[n + 1..], before, &mut fault)? {
            // The next log starts where this one ends, so what is bad here was never all of a write.
            continue;
        }
        out.fault = Some(fault);
        break;
    }
    Ok(out)
}

/// Reads one log; `Some` at a fault, and where the last record before it ends.
fn read(
    file: &mut LogFile,
    name: &str,
    known: u64,
    out: &mut LogScan,
) -> Result<Option<(Bad, u64)>> {
    let (mut whole, mut head) = (0, Vec::with_capacity(BATCH_HEAD));
    loop {
        let step = file.next(BATCH_HEAD, &mut head).map_err(|e| unreadable(name, e))?;
        let end = match step {
            Step::Record { end } => end,
            Step::End => return Ok(None),
            Step::Bad(bad) => return Ok(Some((bad, whole))),
        };
        let follows = |first| out.last.is_none_or(|last| first > last);
        let has_all_before = |first| first <= out.last.unwrap_or(0).max(known) + 1;
        match sequences(&head) {
            Some(Some((first, _))) if follows(first) && !has_all_before(first) => {
                return Ok(Some((Bad { at: whole, why: GAP, is_torn: false }, whole)));
            }
            Some(Some((first, last))) if follows(first) => {
                out.first = out.first.or(Some(first));
                out.last = Some(last);
            }
            Some(None) => {}
            Some(Some(_)) | None => {
                let why = "a record is out of order";
                return Ok(Some((Bad { at: whole, why, is_torn: false }, whole)));
            }
        }
        (out.records, out.bytes) = (out.records + 1, out.bytes + (end - whole));
        whole = end;
    }
}

/// Looks into the logs behind a fault. True if the next one goes on exactly where the good records end,
/// which is `before` it.
fn look_behind(
    store: &Path,
    logs: &[u64],
    before: RangeInclusive<u64>,
    fault: &mut LogFault,
) -> Result<bool> {
    let mut goes_on = false;
    let last = *before.start();
    for (n, &number) in logs.iter().enumerate() {
        let name = log_name(number);
        let mut file = LogFile::open(&store.join(&name)).map_err(|e| unreadable(&name, e))?;
        fault.lost += file.len();
        if file.len() == 0 {
            continue;
        }
        let mut head = Vec::new();
        let step = file.next(BATCH_HEAD, &mut head).map_err(|e| unreadable(&name, e))?;
        let first = sequences(&head).flatten().map(|(first, _)| first);
        match step {
            Step::Record { .. } if first.is_some() => {
                let follows = first.is_some_and(|first| first > 0 && before.contains(&(first - 1)));
                goes_on |= n == 0 && fault.valid_behind.is_none() && follows;
                fault.valid_behind.get_or_insert((name, 0));
            }
            _ => {
                let at = file.valid_behind(0, |head| is_plausible(head, last));
                let at = at.map_err(|e| unreadable(&name, e))?;
                if let (None, Some(at)) = (&fault.valid_behind, at) {
                    fault.valid_behind = Some((name, at));
                }
            }
        }
    }
    Ok(goes_on)
}

/// Whether this may be the front of a batch that came after sequence `last`. A value that looks like a
/// log is none.
fn is_plausible(head: &[u8], last: u64) -> bool {
    match sequences(head) {
        // A first piece that is too short to tell.
        None => head.len() < BATCH_HEAD && !head.is_empty(),
        Some(None) => false,
        Some(Some((first, _))) => first > last && first - last < PLAUSIBLE,
    }
}

/// Sequences of the commits whose records a batch writes; `family` is the number of family `log`. A
/// batch that breaks the format gives those before that.
pub(super) fn commits_in(batch: &[u8], family: u32) -> Vec<u64> {
    let mut out = Vec::new();
    let mut rest = Input(batch.get(BATCH_HEAD..).unwrap_or_default());
    while let Some((in_family, key)) = next_write(&mut rest) {
        // The record of a commit is under its sequence and the number of the part.
        if let ([seq @ .., _, _, _, _], true) = (key, in_family == u64::from(family))
            && let Ok(seq) = <[u8; 8]>::try_from(seq)
            && seq[0] != 0xFF
        {
            out.push(u64::from_be_bytes(seq));
        }
    }
    out
}

/// Family and key of the next write of a batch; `None` at its end.
fn next_write<'a>(input: &mut Input<'a>) -> Option<(u64, &'a [u8])> {
    loop {
        let (&tag, rest) = input.0.split_first()?;
        input.0 = rest;
        let family = if matches!(tag, 0x04 | 0x05 | 0x08 | 0x0E) { input.number()? } else { 0 };
        match tag {
            // A deletion.
            0x00 | 0x04 | 0x07 | 0x08 => return Some((family, input.bytes()?)),
            // A value, or the deletion of a range.
            0x01 | 0x05 | 0x0E | 0x0F => {
                let key = input.bytes()?;
                input.bytes()?;
                return Some((family, key));
            }
            0x03 => _ = input.bytes()?,
            0x0D => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch as RocksDB writes it: a put in family 3, a deletion, a put in family 7.
    fn batch() -> Vec<u8> {
        let mut out = vec![9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        out.extend([0x05, 3, 12, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 2, b'v', b'v']);
        out.extend([0x04, 3, 1, b'k']);
        out.extend([0x05, 7, 1, b'k', 1, b'v']);
        out
    }

    #[test]
    fn a_batch_names_its_sequences_and_its_commits() {
        assert_eq!(sequences(&batch()), Some(Some((9, 11))), "the first of three writes is 9");
        assert_eq!(commits_in(&batch(), 3), [42], "the record of a commit has a key of 12 bytes");
        assert_eq!(commits_in(&batch(), 7), [0; 0], "in its own family only");
    }

    #[test]
    fn hostile_batches_end_without_a_panic() {
        let good = batch();
        for len in 0..good.len() {
            let found = commits_in(&good[..len], 3);
            assert!(found.len() <= 1, "cut to {len}: no more than there is");
        }
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
            let _ = (sequences(&bytes), commits_in(&bytes, 3));
        }
    }
}
