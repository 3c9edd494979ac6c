//! Rows of families `head` and `history`: one version of one key.

use super::{Corrupt, Cursor};
use crate::id::{Seq, ValueHash};

/// High half of the tag byte: the version of the row format.
const VERSION: u8 = 0x10;
const DELETED: u8 = VERSION;
const INLINE: u8 = VERSION | 1;
const BLOB: u8 = VERSION | 2;
const PURGED: u8 = VERSION | 3;

/// What a version of a key holds; values borrow from the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Deleted,
    Inline(&'a [u8]),
    /// Kept once in family `blob`.
    Blob {
        hash: ValueHash,
        len: u64,
    },
    /// A value that was removed from all of history; what commits say of it can still be checked.
    Purged {
        hash: ValueHash,
    },
}

impl Cell<'_> {
    /// Whether a read finds a value.
    pub(crate) fn is_present(&self) -> bool {
        matches!(self, Self::Inline(_) | Self::Blob { .. })
    }

    /// The hash of the value, also of one that was purged; `None` for a deletion.
    pub(crate) fn hash(&self) -> Option<ValueHash> {
        match self {
            Self::Deleted => None,
            Self::Inline(value) => Some(ValueHash::of(value)),
            Self::Blob { hash, .. } | Self::Purged { hash } => Some(*hash),
        }
    }

    /// [`hash`](Self::hash), or none at all if hashes are left out.
    pub(crate) fn hash_unless(&self, left_out: bool) -> Option<ValueHash> {
        if left_out { None } else { self.hash() }
    }

    fn write(&self, seq: Option<Seq>, out: &mut Vec<u8>) {
        out.clear();
        if let Self::Inline(value) = self {
            out.reserve(9 + value.len());
        }
        out.push(match self {
            Self::Deleted => DELETED,
            Self::Inline(_) => INLINE,
            Self::Blob { .. } => BLOB,
            Self::Purged { .. } => PURGED,
        });
        if let Some(seq) = seq {
            out.extend_from_slice(&seq.get().to_be_bytes());
        }
        match self {
            Self::Deleted => {}
            Self::Inline(value) => out.extend_from_slice(value),
            Self::Blob { hash, len } => {
                out.extend_from_slice(hash.as_bytes());
                out.extend_from_slice(&len.to_be_bytes());
            }
            Self::Purged { hash } => out.extend_from_slice(hash.as_bytes()),
        }
    }

    /// Writes a row of family `head` into a buffer that is used again.
    pub(crate) fn write_head(&self, seq: Seq, out: &mut Vec<u8>) {
        self.write(Some(seq), out);
    }

    /// Writes a row of family `history` into a buffer that is used again.
    pub(crate) fn write_history(&self, out: &mut Vec<u8>) {
        self.write(None, out);
    }
}

fn cell<'a>(tag: u8, mut cursor: Cursor<'a>) -> Result<Cell<'a>, Corrupt> {
    let cell = match tag {
        DELETED => Cell::Deleted,
        INLINE => return Ok(Cell::Inline(cursor.rest())),
        BLOB => {
            let hash = ValueHash::from_bytes(cursor.array("blob hash")?);
            Cell::Blob { hash, len: cursor.u64("blob length")? }
        }
        PURGED => Cell::Purged { hash: ValueHash::from_bytes(cursor.array("purged hash")?) },
        _ => return Err(Corrupt { record: "row", at: 0, want: "tag" }),
    };
    match cursor.rest() {
        [] => Ok(cell),
        _ => Err(Corrupt { record: "row", at: 0, want: "end" }),
    }
}

/// Reads a row of family `head`.
pub(crate) fn read_head(bytes: &[u8]) -> Result<(Seq, Cell<'_>), Corrupt> {
    let mut cursor = Cursor::new("row", bytes);
    let [tag] = cursor.array("tag")?;
    let seq = Seq::new(cursor.u64("sequence")?);
    Ok((seq, cell(tag, cursor)?))
}

/// Reads a row of family `history`; its sequence is in the key.
pub(crate) fn read_history(bytes: &[u8]) -> Result<Cell<'_>, Corrupt> {
    let mut cursor = Cursor::new("row", bytes);
    let [tag] = cursor.array("tag")?;
    cell(tag, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_row(cell: Cell<'_>, seq: u64) -> Vec<u8> {
        let mut out = Vec::new();
        cell.write_head(Seq::new(seq), &mut out);
        out
    }

    #[test]
    fn golden_rows() {
        assert_eq!(head_row(Cell::Deleted, 258), [0x10, 0, 0, 0, 0, 0, 0, 1, 2], "a deletion");
        assert_eq!(head_row(Cell::Inline(b"pe"), 1), *b"\x11\0\0\0\0\0\0\0\x01pe", "a value");
        let hash = ValueHash::from_bytes([7; 32]);
        let mut want = vec![0x12];
        want.extend([7; 32]);
        want.extend([0, 0, 0, 0, 0, 0, 0x40, 0]);
        let mut out = Vec::new();
        Cell::Blob { hash, len: 16384 }.write_history(&mut out);
        assert_eq!(out, want, "a large value, in history");
        Cell::Purged { hash }.write_history(&mut out);
        assert_eq!(out, [&[0x13][..], &[7; 32]].concat(), "a purged value, in history");
    }

    #[test]
    fn rows_read_back_and_every_cut_is_a_fault() {
        let blob = Cell::Blob { hash: ValueHash::of(b"x"), len: 99 };
        let purged = Cell::Purged { hash: ValueHash::of(b"x") };
        assert!(!purged.is_present() && purged.hash().is_some(), "absent, but not forgotten");
        for cell in [Cell::Deleted, Cell::Inline(b""), Cell::Inline(b"value"), blob, purged] {
            let row = head_row(cell, 5);
            assert_eq!(read_head(&row), Ok((Seq::new(5), cell)), "what was written");
        }
        let row = head_row(blob, 5);
        for row in [row, head_row(purged, 5)] {
            for cut in 0..row.len() {
                assert!(read_head(&row[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(read_head(&[0x21; 20]).is_err(), "an unknown version is refused");
    }
}
