//! Records of feed cursors: how far a named reader of the feed has come, and who reads.

use bincode::{Decode, Encode};

/// A cursor. Its name is in its key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CursorRecord {
    /// Everything up to here is done.
    pub(crate) acked: u64,
    /// When it was made.
    pub(crate) created: i64,
    /// Only commits that were made on a branch of this name.
    pub(crate) branch: Option<String>,
    /// Only keys from this one up to `to`, or to the end.
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
    /// Number of its newest lease; no two leases of a store have the same.
    pub(crate) lease: u64,
    /// Absent once it is given up.
    pub(crate) holder: Option<HolderRecord>,
}

/// Who holds a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HolderRecord {
    pub(crate) owner: String,
    /// When the lease was taken or renewed, and when it lapses.
    pub(crate) since: i64,
    pub(crate) until: i64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::record;

    /// A record for golden bytes here and hostile ones elsewhere.
    pub(in crate::format) fn cursor() -> CursorRecord {
        CursorRecord {
            acked: 300,
            created: 1_000,
            branch: Some("main".into()),
            from: b"a".to_vec(),
            to: Some(b"b".to_vec()),
            lease: 7,
            holder: Some(HolderRecord { owner: "ann".into(), since: -1, until: 2 }),
        }
    }

    #[test]
    fn golden_cursors() {
        let want = b"\x01\xFB\x2C\x01\xFB\xD0\x07\x01\x04main\x01a\x01\x01b\x07\x01\x03ann\x01\x04";
        assert_eq!(record::encode(&cursor()), want, "one that is held");
        let free = CursorRecord {
            acked: 0,
            branch: None,
            from: Vec::new(),
            to: None,
            holder: None,
            ..cursor()
        };
        let want = b"\x01\x00\xFB\xD0\x07\x00\x00\x00\x07\x00";
        assert_eq!(record::encode(&free), want, "one of all keys that nobody holds");
    }
}
