//! Ordered keys. Stored keys sort as their parts do; a test proves it for each shape.

use super::{Corrupt, Cursor};
use crate::id::{LineId, OpId, Seq, ValueHash};

/// First byte of the log keys that hold the changes of a bulk load; above every sequence.
const BULK: u8 = 0xFF;
/// Largest sequence that a store can give: the bulk keys are above it.
pub(crate) const LAST_SEQ: u64 = (BULK as u64) << 56;

/// `line, key`
pub(crate) fn head(line: LineId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + key.len());
    head_into(line, key, &mut out);
    out
}

/// [`head`], into a buffer that is used again.
pub(crate) fn head_into(line: LineId, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.reserve(8 + key.len());
    out.extend_from_slice(&line.get().to_be_bytes());
    out.extend_from_slice(key);
}

/// Runs `use_key` on [`head`]; short keys are put together on the stack.
pub(crate) fn with_head<T>(line: LineId, key: &[u8], use_key: impl FnOnce(&[u8]) -> T) -> T {
    const SHORT: usize = 120;
    if key.len() > SHORT {
        return use_key(&head(line, key));
    }
    let mut buffer = [0; 8 + SHORT];
    buffer[..8].copy_from_slice(&line.get().to_be_bytes());
    buffer[8..8 + key.len()].copy_from_slice(key);
    use_key(&buffer[..8 + key.len()])
}

/// The user key in a key of family `head`.
pub(crate) fn head_user_key(stored: &[u8]) -> Result<&[u8], Corrupt> {
    let mut cursor = Cursor::new("head key", stored);
    cursor.u64("line")?;
    Ok(cursor.rest())
}

/// The prefix of all rows of a line, in families `head` and `history`.
pub(crate) fn line_prefix(line: LineId) -> [u8; 8] {
    line.get().to_be_bytes()
}

/// `line, escape(key) 00 00`: the prefix of all old versions of a key on a line.
pub(crate) fn history_prefix(line: LineId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + key.len() + 10);
    out.extend_from_slice(&line.get().to_be_bytes());
    for &byte in key {
        out.push(byte);
        // Each 00 is followed by FF, so the terminator 00 00 is unique and order is kept.
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
    out
}

/// `line, escape(key) 00 00, desc(seq)`: by key, then newest version first.
pub(crate) fn history(line: LineId, key: &[u8], seq: Seq) -> Vec<u8> {
    let mut out = history_prefix(line, key);
    out.extend_from_slice(&(u64::MAX - seq.get()).to_be_bytes());
    out
}

/// The sequence at the end of a key of family `history`.
pub(crate) fn history_seq(stored: &[u8]) -> Result<Seq, Corrupt> {
    let fault = Corrupt { record: "history key", at: stored.len(), want: "sequence" };
    let (_, seq) = stored.split_last_chunk::<8>().ok_or(fault)?;
    Ok(Seq::new(u64::MAX - u64::from_be_bytes(*seq)))
}

/// Line and key as in family `head`, and the sequence, of a whole key of family `history`.
pub(crate) fn history_parts(stored: &[u8]) -> Result<(Vec<u8>, Seq), Corrupt> {
    let fault = |at, want| Corrupt { record: "history key", at, want };
    let seq = history_seq(stored)?;
    let (line, rest) = stored.split_first_chunk::<8>().ok_or(fault(0, "line"))?;
    let mut out = line.to_vec();
    let mut at = 0;
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (Some(0), Some(0xFF)) => {
                out.push(0);
                at += 2;
            }
            (Some(0), Some(0)) if rest.len() == at + 10 => return Ok((out, seq)),
            (Some(0) | None, _) => return Err(fault(8 + at, "end of the key")),
            (Some(&byte), _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// The sequence of merge details, or the line of a part of a bulk load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Bulk(LineId),
    Details(Seq),
}

/// What a key behind all commits of the log belongs to.
pub(crate) fn behind_log(stored: &[u8]) -> Result<Behind, Corrupt> {
    if stored.starts_with(&[BULK, BULK]) {
        Ok(Behind::Details(Seq::new(number_at(stored, 2)?)))
    } else {
        Ok(Behind::Bulk(LineId::new(number_at(stored, 1)?)))
    }
}

/// `seq, part`
pub(crate) fn log(seq: Seq, part: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&seq.get().to_be_bytes());
    out[8..].copy_from_slice(&part.to_be_bytes());
    out
}

/// The sequence and part of a log key; `None` for a part of a bulk load.
pub(crate) fn log_parts(stored: &[u8]) -> Result<Option<(Seq, u32)>, Corrupt> {
    let mut cursor = Cursor::new("log key", stored);
    let seq = cursor.u64("sequence")?;
    let part = u32::from_be_bytes(cursor.array("part")?);
    Ok((seq < LAST_SEQ).then_some((Seq::new(seq), part)))
}

/// `FF, line, part`: the changes of the bulk load that made this line.
pub(crate) fn bulk_log(line: LineId, part: u32) -> [u8; 13] {
    let mut out = [BULK; 13];
    out[1..9].copy_from_slice(&line.get().to_be_bytes());
    out[9..].copy_from_slice(&part.to_be_bytes());
    out
}

/// `FF, FF, seq, part`: how the merge with this sequence came about. No line has a number that large.
pub(crate) fn merge_details(seq: Seq, part: u32) -> [u8; 14] {
    let mut out = [BULK; 14];
    out[2..10].copy_from_slice(&seq.get().to_be_bytes());
    out[10..].copy_from_slice(&part.to_be_bytes());
    out
}

/// `m, branch`: the merge that is open on a branch.
pub(crate) fn open_merge(branch: &str) -> Vec<u8> {
    refs(state::MERGE, &[branch.as_bytes()])
}

/// `c, branch, 00`: all conflicts of the merge that is open on a branch.
pub(crate) fn open_conflicts(branch: &str) -> Vec<u8> {
    refs(state::CONFLICT, &[branch.as_bytes(), &[0]])
}

/// `c, branch, 00, seq, key`: a conflict on a key, about the incoming commit with this sequence.
pub(crate) fn open_conflict(branch: &str, at: Seq, key: &[u8]) -> Vec<u8> {
    refs(state::CONFLICT, &[branch.as_bytes(), &[0], &be(at.get()), key])
}

/// The sequence and the user key in a key of [`open_conflict`]; `prefix` is [`open_conflicts`].
pub(crate) fn open_conflict_parts<'k>(
    stored: &'k [u8],
    prefix: &[u8],
) -> Result<(Seq, &'k [u8]), Corrupt> {
    let at = number_at(stored, prefix.len())?;
    Ok((Seq::new(at), &stored[prefix.len() + 8..]))
}

/// The name in a key of family `state` that is a kind, a name, `00` and more.
pub(crate) fn name_before_nul(stored: &[u8]) -> Result<&str, Corrupt> {
    let fault = Corrupt { record: "state key", at: 1, want: "name" };
    let end = stored.iter().position(|byte| *byte == 0);
    let name = end.and_then(|end| stored.get(1..end));
    name.and_then(|name| std::str::from_utf8(name).ok()).ok_or(fault)
}

/// Prefix of all messages of the outbox that wait for delivery, or of other rows about messages.
pub(crate) fn outbox(rows: u8) -> [u8; 2] {
    [state::OUTBOX, rows]
}

/// `o, rows, topic, 00`: the rows of a topic, in the order in which its messages were committed.
pub(crate) fn outbox_topic(rows: u8, topic: &str) -> Vec<u8> {
    refs(state::OUTBOX, &[&[rows], topic.as_bytes(), &[0]])
}

/// `o, m, topic, 00, seq, number`: a message of the commit with this sequence. Of a transaction over
/// several branches it is the newest commit; the number counts its messages of all topics from 0.
pub(crate) fn message(topic: &str, seq: Seq, number: u32) -> Vec<u8> {
    outbox_row(outbox::MESSAGE, topic, seq, number)
}

/// A row about a message: see [`mod@outbox`].
pub(crate) fn outbox_row(rows: u8, topic: &str, seq: Seq, number: u32) -> Vec<u8> {
    let number = number.to_be_bytes();
    refs(state::OUTBOX, &[&[rows], topic.as_bytes(), &[0], &be(seq.get()), &number])
}

/// Topic, sequence and number in a key of [`outbox_row`].
pub(crate) fn outbox_parts(stored: &[u8]) -> Result<(&str, Seq, u32), Corrupt> {
    let fault = |at, want| Corrupt { record: "outbox key", at, want };
    let end = stored.iter().position(|byte| *byte == 0).ok_or(fault(stored.len(), "topic"))?;
    let topic = stored.get(2..end).and_then(|topic| std::str::from_utf8(topic).ok());
    let topic = topic.ok_or(fault(2, "topic"))?;
    let mut rest = Cursor::new("outbox key", &stored[end + 1..]);
    let (seq, number) = (rest.u64("sequence")?, u32::from_be_bytes(rest.array("number")?));
    if rest.rest().is_empty() {
        Ok((topic, Seq::new(seq), number))
    } else {
        Err(fault(end + 13, "end"))
    }
}

/// `s, u, id`, or `s, f, id` once it is finished: the journal of a saga.
pub(crate) fn saga(rows: u8, id: &str) -> Vec<u8> {
    refs(state::SAGA, &[&[rows], id.as_bytes()])
}

/// The prefix of all sagas that are unfinished, or finished.
pub(crate) fn saga_rows(rows: u8) -> [u8; 2] {
    [state::SAGA, rows]
}

/// The id in a key of [`saga()`].
pub(crate) fn saga_id(stored: &[u8]) -> Result<&str, Corrupt> {
    let id = stored.get(2..).and_then(|id| std::str::from_utf8(id).ok());
    id.ok_or(Corrupt { record: "saga key", at: 2, want: "id" })
}

/// The row that says that a blob is there, and how long it is.
pub(crate) fn blob_length(hash: &ValueHash) -> [u8; 33] {
    let mut out = [0; 33];
    out[..32].copy_from_slice(hash.as_bytes());
    out
}

/// The row that holds a blob.
pub(crate) fn blob_content(hash: &ValueHash) -> [u8; 33] {
    let mut out = blob_length(hash);
    out[32] = 1;
    out
}

/// `u, name`: a cursor of the feed. Without a name: the number of the newest lease.
pub(crate) fn cursor(name: &str) -> Vec<u8> {
    let mut out = vec![state::CURSOR];
    out.extend_from_slice(name.as_bytes());
    out
}

/// Kinds of rows in family `state`.
pub(crate) mod state {
    pub(crate) const MERGE: u8 = b'm';
    pub(crate) const CONFLICT: u8 = b'c';
    pub(crate) const OUTBOX: u8 = b'o';
    pub(crate) const SAGA: u8 = b's';
    pub(crate) const PREPARED: u8 = b'p';
    pub(crate) const PREPARED_PART: u8 = b'w';
    pub(crate) const OUTCOME: u8 = b'f';
    pub(crate) const TRANSACTION: u8 = b't';
    pub(crate) const CURSOR: u8 = b'u';
}

/// Rows about messages of the outbox.
pub(crate) mod outbox {
    /// A message that waits for delivery.
    pub(crate) const MESSAGE: u8 = b'm';
    /// What came of it so far.
    pub(crate) const ATTEMPTS: u8 = b'a';
    /// A message that was given up.
    pub(crate) const DEAD: u8 = b'd';
}

/// Rows of sagas.
pub(crate) mod saga {
    pub(crate) const UNFINISHED: u8 = b'u';
    pub(crate) const FINISHED: u8 = b'f';
}

/// Kinds of rows in family `refs`.
pub(crate) mod kind {
    pub(crate) const BRANCH: u8 = b'b';
    pub(crate) const TAG: u8 = b't';
    pub(crate) const LINE: u8 = b'l';
    pub(crate) const OPERATION: u8 = b'o';
    pub(crate) const PIN: u8 = b'p';
    pub(crate) const MERGE: u8 = b'm';
    pub(crate) const INDEX: u8 = b'x';
    pub(crate) const COMMIT_IDS: u8 = b'i';
    pub(crate) const LAYER: u8 = b'y';
    pub(crate) const GONE: u8 = b'g';
    pub(crate) const PURGE: u8 = b'u';
}

pub(super) fn refs(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    out.push(kind);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

pub(super) fn be(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn branch(name: &str) -> Vec<u8> {
    refs(kind::BRANCH, &[name.as_bytes()])
}

/// In family `meta`: the newest commit that is gone of those made on a branch of this name.
pub(crate) fn log_start_of(branch: &str) -> Vec<u8> {
    [super::refs::meta::LOG_START_OF, branch.as_bytes()].concat()
}

pub(crate) fn tag(name: &str) -> Vec<u8> {
    refs(kind::TAG, &[name.as_bytes()])
}

pub(crate) fn line(line: LineId) -> Vec<u8> {
    refs(kind::LINE, &[&be(line.get())])
}

pub(crate) fn operation(id: OpId) -> Vec<u8> {
    refs(kind::OPERATION, &[&be(id.seq.get()), &be(id.step)])
}

pub(crate) fn pin(seq: Seq, owner_kind: u8, owner: &[u8]) -> Vec<u8> {
    refs(kind::PIN, &[&be(seq.get()), &[owner_kind], owner])
}

pub(crate) fn merge(line: LineId, seq: Seq) -> Vec<u8> {
    refs(kind::MERGE, &[&be(line.get()), &be(seq.get())])
}

pub(crate) fn index(line: LineId, last: Seq) -> Vec<u8> {
    refs(kind::INDEX, &[&be(line.get()), &be(last.get())])
}

pub(crate) fn commit_ids(last: Seq) -> Vec<u8> {
    refs(kind::COMMIT_IDS, &[&be(last.get())])
}

/// `u, number`: the audit record of a purge.
pub(crate) fn purge(number: u64) -> Vec<u8> {
    refs(kind::PURGE, &[&be(number)])
}

pub(crate) fn layer(top: (LineId, Seq), bottom: LineId) -> Vec<u8> {
    refs(kind::LAYER, &[&be(top.0.get()), &be(top.1.get()), &be(bottom.get())])
}

/// `g, line`: what is gone of a line.
pub(crate) fn gone(line: LineId) -> Vec<u8> {
    refs(kind::GONE, &[&be(line.get())])
}

/// The name in a branch or tag key.
pub(crate) fn name_of(stored: &[u8]) -> Result<&str, Corrupt> {
    let name = stored.get(1..).unwrap_or_default();
    std::str::from_utf8(name).map_err(|e| Corrupt {
        record: "ref key",
        at: 1 + e.valid_up_to(),
        want: "name",
    })
}

/// The number after the kind: line of a line key, sequence of an operation key.
pub(crate) fn number_at(stored: &[u8], at: usize) -> Result<u64, Corrupt> {
    let fault = Corrupt { record: "ref key", at, want: "number" };
    let bytes = stored.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or(fault)?;
    Ok(u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keys_sort_by_line_key_and_newest_first() {
        let bytes = [0u8, 1, 0xFE, 0xFF];
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for _ in 0..3 {
            keys = keys
                .iter()
                .flat_map(|k| {
                    let longer = bytes.iter().map(|&b| [k.as_slice(), &[b]].concat());
                    std::iter::once(k.clone()).chain(longer).collect::<Vec<_>>()
                })
                .collect();
        }
        keys.sort();
        keys.dedup();
        let mut stored = Vec::new();
        for line in [0, 1, 256] {
            for key in &keys {
                for seq in [u64::MAX - 1, 256, 255, 1, 0] {
                    stored.push(history(LineId::new(line), key, Seq::new(seq)));
                }
            }
        }
        assert!(stored.is_sorted(), "stored order is line, key, newest first");
        stored.dedup();
        assert_eq!(stored.len(), 3 * keys.len() * 5, "no two versions share a key");
    }

    #[test]
    fn the_parts_of_a_history_key_come_back() {
        for key in [&b"a"[..], b"", b"\0", b"\0\0", b"\0\xFF\0", b"a\xFF\0b", b"\xFF\xFF"] {
            let stored = history(LineId::new(7), key, Seq::new(9));
            let parts = history_parts(&stored);
            assert_eq!(parts, Ok((head(LineId::new(7), key), Seq::new(9))), "{key:?}");
            for cut in 0..stored.len() {
                assert!(history_parts(&stored[..cut]).is_err(), "{key:?} cut at {cut}");
            }
        }
        assert!(history_parts(&[0; 30]).is_err(), "the key ends before its end");
    }

    #[test]
    fn no_key_is_in_the_history_of_another() {
        let prefix = history_prefix(LineId::new(1), b"a");
        for other in [&b"a\0"[..], b"a\0\0", b"a\0\xFF", b"ab", b"a\xFF"] {
            let stored = history(LineId::new(1), other, Seq::new(1));
            assert!(!stored.starts_with(&prefix), "{other:?} is not a version of a");
        }
    }

    #[test]
    fn conflicts_of_an_open_merge_stay_among_themselves() {
        let prefix = open_conflicts("a");
        for other in ["ab", "a/b", "a.", "A"] {
            let stored = open_conflict(other, Seq::new(1), b"k");
            assert!(!stored.starts_with(&prefix), "{other} is another branch");
        }
        let stored = open_conflict("a", Seq::new(7), b"\0k");
        assert!(stored.starts_with(&prefix), "its own");
        assert_eq!(open_conflict_parts(&stored, &prefix), Ok((Seq::new(7), &b"\0k"[..])), "parts");
        assert!(open_conflict_parts(&prefix, &prefix).is_err(), "a short key is a fault");
    }

    #[test]
    fn messages_sort_by_topic_and_then_in_the_order_of_their_commits() {
        let mut stored = Vec::new();
        for topic in ["a", "a b", "a/b", "ab", "b"] {
            for (seq, number) in [(1, 0), (1, 1), (2, 0), (256, 0), (256, u32::MAX)] {
                stored.push(message(topic, Seq::new(seq), number));
                let parts = outbox_parts(&stored[stored.len() - 1]);
                assert_eq!(parts, Ok((topic, Seq::new(seq), number)), "the parts come back");
            }
        }
        assert!(stored.is_sorted(), "by topic, sequence, number");
        let of_a = outbox_topic(outbox::MESSAGE, "a");
        assert_eq!(stored.iter().filter(|key| key.starts_with(&of_a)).count(), 5, "only its own");
        let whole = message("a", Seq::new(1), 0);
        assert!(outbox_parts(&whole[..whole.len() - 1]).is_err(), "a short key is a fault");
        assert!(outbox_parts(&[whole, vec![0]].concat()).is_err(), "and so is a long one");
    }

    #[test]
    fn log_keys_tell_commits_from_bulk_loads() {
        let stored = log(Seq::new(5), 2);
        assert_eq!(log_parts(&stored), Ok(Some((Seq::new(5), 2))), "a commit's part");
        let bulk = bulk_log(LineId::new(9), 1);
        assert_eq!(log_parts(&bulk), Ok(None), "a bulk load's part");
        assert!(
            bulk.as_slice() > log(Seq::new(LAST_SEQ - 1), u32::MAX).as_slice(),
            "bulk keys come last"
        );
        let details = merge_details(Seq::new(5), 2);
        assert_eq!(log_parts(&details), Ok(None), "details of a merge");
        let last_line = LineId::new(u64::MAX >> 8);
        assert!(
            details.as_slice() > bulk_log(last_line, u32::MAX).as_slice(),
            "details come behind all bulk loads"
        );
        assert!(log_parts(&stored[..5]).is_err(), "a short key is a fault, not a panic");
    }
}
