//! Files in RocksDB's log format, read front to back: write-ahead logs and manifests.
//!
//! A file is cut into blocks of 32 KiB. A record is one fragment, or several that fill their blocks;
//! a fragment is a masked CRC-32C (4 bytes), the length (2, little-endian), a type (1), and its bytes. Fewer than 7 bytes at the end of a block are zeros.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

pub(super) const BLOCK: usize = 32 << 10;
pub(super) const HEADER: usize = 7;
/// What is read at once.
const CHUNK: usize = 32 * BLOCK;
/// So many blocks behind a fault are searched byte by byte; further ones at their start.
const SEARCHED: u64 = 4;

/// What a fragment is of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    First,
    Middle,
    Last,
    /// About the log itself: holds no data.
    Note,
}

impl Kind {
    /// Recycled files (5 to 8, 11, 131) and compressed ones (9) are not used: a type that says so is
    /// another one, with a bit flipped.
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Full,
            2 => Self::First,
            3 => Self::Middle,
            4 => Self::Last,
            10 | 130 => Self::Note,
            _ => return None,
        })
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// Where the fragment starts that is wrong.
    pub(crate) at: u64,
    pub(crate) why: &'static str,
    /// The file ends within the record, as it does if the writer was stopped in the middle of it.
    pub(crate) is_torn: bool,
}

/// A step through a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole record, from its first byte to behind its last one.
    Record {
        end: u64,
    },
    /// The end of the file, where a record ends.
    End,
    Bad(Bad),
}

/// A fragment that is as it was written: its kind, and how many bytes it has.
struct Fragment {
    kind: Kind,
    len: usize,
}

/// A file that is being read.
pub(super) struct LogFile {
    file: File,
    /// What of it is read; it may grow meanwhile.
    len: u64,
    /// A part of it, which starts at a block.
    chunk: Vec<u8>,
    start: u64,
    at: u64,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len, chunk: Vec::new(), start: 0, at: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads the next record; up to `keep` bytes of it are put into `body`.
    pub(super) fn next(&mut self, keep: usize, body: &mut Vec<u8>) -> io::Result<Step> {
        body.clear();
        let mut is_open = false;
        loop {
            self.skip_trailer();
            if self.at >= self.len {
                // Not where the record starts: its pieces that are there are not behind it.
                let why = "the record goes on behind the end of the file";
                let torn = Step::Bad(Bad { at: self.len, why, is_torn: true });
                return Ok(if is_open { torn } else { Step::End });
            }
            let at = self.at;
            let room = self.load(at)?;
            let bytes = &self.chunk[(at - self.start) as usize..][..room.0];
            let fragment = match parse(bytes, room.1) {
                Ok(fragment) => fragment,
                Err((why, is_torn)) => return Ok(Step::Bad(Bad { at, why, is_torn })),
            };
            let content = &bytes[HEADER..HEADER + fragment.len];
            self.at += (HEADER + fragment.len) as u64;
            let is_first = matches!(fragment.kind, Kind::Full | Kind::First);
            match fragment.kind {
                Kind::Note if !is_open => continue,
                _ if is_first == is_open || fragment.kind == Kind::Note => {
                    let why = "the pieces of a record do not fit together";
                    return Ok(Step::Bad(Bad { at, why, is_torn: false }));
                }
                _ => {}
            }
            body.extend_from_slice(&content[..content.len().min(keep - body.len())]);
            is_open = matches!(fragment.kind, Kind::First | Kind::Middle);
            if !is_open {
                return Ok(Step::Record { end: self.at });
            }
        }
    }

    /// Where behind a fault something is as it was written: a record that starts with `plausible`
    /// bytes, or a piece of one at the start of a block.
    pub(super) fn valid_behind(
        &mut self,
        fault: u64,
        plausible: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<u64>> {
        let block = BLOCK as u64;
        let searched = (fault / block + SEARCHED) * block;
        let mut at = fault + 1;
        while at + HEADER as u64 <= self.len {
            let (avail, room) = self.load(at)?;
            let bytes = &self.chunk[(at - self.start) as usize..][..avail];
            if let Ok(found) = parse(bytes, room) {
                let content = &bytes[HEADER..HEADER + found.len];
                // Only a block starts with a later piece of a record.
                let starts = matches!(found.kind, Kind::Full | Kind::First) && plausible(content);
                if starts || at.is_multiple_of(block) {
                    return Ok(Some(at));
                }
            }
            at = if at < searched { at + 1 } else { (at / block + 1) * block };
        }
        Ok(None)
    }

    /// Goes on at a place that [`valid_behind`](Self::valid_behind) has found.
    pub(super) fn seek(&mut self, at: u64) {
        self.at = at;
    }

    /// Whether the file holds zeros only from here on: space that was given and never written.
    pub(super) fn is_zero_from(&mut self, from: u64) -> io::Result<bool> {
        let mut at = from;
        while at < self.len {
            let (avail, _) = self.load(at)?;
            let bytes = &self.chunk[(at - self.start) as usize..][..avail];
            if bytes.iter().any(|&b| b != 0) {
                return Ok(false);
            }
            at += avail as u64;
        }
        Ok(true)
    }

    /// The one bit of the fragment that starts here whose change makes it as it was written; none if
    /// there is no such bit, or more than one.
    pub(super) fn flipped_bit(&mut self, at: u64) -> io::Result<Option<u64>> {
        if at >= self.len {
            return Ok(None);
        }
        let (avail, room) = self.load(at)?;
        let mut bytes = self.chunk[(at - self.start) as usize..][..avail].to_vec();
        let in_header = (0..HEADER.min(avail) * 8).filter(|bit| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let is_right = parse(&bytes, room).is_ok();
            bytes[bit / 8] ^= 1 << (bit % 8);
            is_right
        });
        let mut found: Vec<usize> = in_header.collect();
        found.extend(flipped_content(&bytes));
        Ok(match found[..] {
            [bit] => Some(at * 8 + bit as u64),
            _ => None,
        })
    }

    fn skip_trailer(&mut self) {
        let room = BLOCK - (self.at % BLOCK as u64) as usize;
        if room < HEADER {
            self.at += room as u64;
        }
    }

    /// Has the block of `at` in memory. The bytes of it from there on that the file has, and that there
    /// would be if it were full.
    fn load(&mut self, at: u64) -> io::Result<(usize, usize)> {
        let room = BLOCK - (at % BLOCK as u64) as usize;
        let held = self.start..self.start + self.chunk.len() as u64;
        if !held.contains(&at) {
            self.start = at - at % BLOCK as u64;
            let want = (CHUNK as u64).min(self.len - self.start) as usize;
            self.chunk.resize(want, 0);
            self.file.seek(SeekFrom::Start(self.start))?;
            self.file.read_exact(&mut self.chunk)?;
        }
        let avail = (self.len - at).min(room as u64) as usize;
        Ok((avail, room))
    }
}

/// The fragment at the front of what is left of a block; else what is wrong, and whether it is only that
/// the file ends too early.
fn parse(bytes: &[u8], room: usize) -> Result<Fragment, (&'static str, bool)> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(("the header of a record is not complete", true));
    };
    let expected = unmask(u32::from_le_bytes([header[0], header[1], header[2], header[3]]));
    let len = usize::from(u16::from_le_bytes([header[4], header[5]]));
    if header[6] == 0 && len == 0 {
        return Err(("there are zeros where a record should be", false));
    }
    let Some(kind) = Kind::of(header[6]) else {
        return Err(("the type of a record is not known", false));
    };
    if HEADER + len > room {
        return Err(("the length of a record is impossible", false));
    }
    if HEADER + len > bytes.len() {
        // What is left of the file is all of the record if its length is what is wrong.
        let is_whole = crc32c::crc32c(&bytes[6..]) == expected;
        return Err(match is_whole {
            true => ("the length of a record is not that of its bytes", false),
            false => ("the file ends within a record", true),
        });
    }
    if crc32c::crc32c(&bytes[6..HEADER + len]) != expected {
        return Err(("the checksum of a record does not match", false));
    }
    Ok(Fragment { kind, len })
}

/// The bit behind the header that must be changed for the checksum of a fragment to match. There is at most
/// one: a CRC-32C tells any two bits of so few bytes apart.
fn flipped_content(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER>()?;
    let end = HEADER + usize::from(u16::from_le_bytes([header[4], header[5]]));
    let content = bytes.get(6..end)?;
    let stored = unmask(u32::from_le_bytes([header[0], header[1], header[2], header[3]]));
    let difference = crc32c::crc32c(content) ^ stored;
    // What a changed bit does to the checksum, in the last byte first; a byte behind it changes that.
    let mut change: [u32; 8] =
        std::array::from_fn(|bit| crc32c::crc32c(&[1 << bit]) ^ crc32c::crc32c(&[0]));
    let zero = crc32c::crc32c_append(0, &[0]);
    for at in (HEADER..end).rev() {
        if let Some(bit) = change.iter().position(|&change| change == difference) {
            return Some(at * 8 + bit);
        }
        change = change.map(|change| crc32c::crc32c_append(change, &[0]) ^ zero);
    }
    None
}

/// RocksDB stores checksums turned and moved, so that checksums of checksums stay good.
fn unmask(stored: u32) -> u32 {
    stored.wrapping_sub(0xA282_EAD8).rotate_right(17)
}

/// The other way round.
#[cfg(any(test, feature = "fault"))]
pub(super) fn mask(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
#[path = "logfile_tests.rs"]
mod tests;
