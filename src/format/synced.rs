//! How far the store is on disk for sure: one of the two slots of the file `withy.synced`.
//!
//! The slots are written in turn, each in a sector of its own, so a torn write leaves the other one.

use super::{Corrupt, Cursor};

/// The file beside the database.
pub(crate) const SYNCED_FILE: &str = "withy.synced";
/// Bytes of a slot.
pub(crate) const SLOT: usize = 64;
/// Where the slots are.
pub(crate) const SLOTS: [u64; 2] = [0, 4096];

const VERSION: u8 = 1;
const RECORD: &str = "mark of what is on disk";
/// What the checksum covers, and where it is.
const COVERED: usize = 48;

/// What the store knew to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Grows with each write of a slot; the slot with the higher one counts.
    pub(crate) turn: u64,
    /// RocksDB's sequence number up to which the log is on disk.
    pub(crate) sequence: u64,
    /// Which run of the machine it was written in; zeros if the system does not say.
    pub(crate) boot: [u8; 16],
}

impl Synced {
    pub(crate) fn encode(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[0] = VERSION;
        out[1..9].copy_from_slice(&self.turn.to_be_bytes());
        out[9..17].copy_from_slice(&self.sequence.to_be_bytes());
        out[17..33].copy_from_slice(&self.boot);
        let hash = blake3::hash(&out[..COVERED]);
        out[COVERED..].copy_from_slice(&hash.as_bytes()[..SLOT - COVERED]);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(RECORD, bytes);
        let covered: [u8; COVERED] = cursor.array("slot")?;
        let sum: [u8; SLOT - COVERED] = cursor.array("checksum")?;
        if blake3::hash(&covered).as_bytes()[..SLOT - COVERED] != sum {
            return Err(Corrupt { record: RECORD, at: COVERED, want: "checksum" });
        }
        let mut cursor = Cursor::new(RECORD, &covered);
        let [version] = cursor.array("version")?;
        if version != VERSION {
            return Err(Corrupt { record: RECORD, at: 0, want: "known version" });
        }
        let (turn, sequence) = (cursor.u64("turn")?, cursor.u64("sequence")?);
        Ok(Self { turn, sequence, boot: cursor.array("run of the machine")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Synced = Synced { turn: 3, sequence: 0x0102_0304, boot: [0xAB; 16] };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_a_slot() {
        let bytes = SAMPLE.encode();
        assert_eq!(
            hex(&bytes[..COVERED]),
            "0100000000000000030000000001020304abababababababababababababababab\
             000000000000000000000000000000",
            "docs/format.md, byte by byte"
        );
        assert_eq!(hex(&bytes[COVERED..]), "e48fccd3f237e7310e92d2e73641a8f2", "BLAKE3 of them");
        assert_eq!(Synced::decode(&bytes), Ok(SAMPLE), "and back");
    }

    #[test]
    fn a_damaged_slot_is_never_read() {
        let good = SAMPLE.encode();
        for bit in 0..SLOT * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Synced::decode(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..SLOT {
            assert!(Synced::decode(&good[..len]).is_err(), "cut to {len} bytes");
        }
    }
}
