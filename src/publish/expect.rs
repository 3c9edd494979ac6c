//! Conditional writes: what a key must be before it is written.

use super::Publisher;
use crate::error::{Error, ErrorKind, Result};
use crate::format::row::Cell;
use crate::id::ValueHash;
use crate::kv::{Expect, show_key};
use crate::view::Found;

impl Publisher {
    /// Refuses if a conditional write finds something else than it expects.
    pub(super) fn check_expected(
        &self,
        key: &[u8],
        expect: &Expect,
        old: Option<&Found<'_>>,
    ) -> Result<()> {
        let found = match old {
            Some(old) => Some((old.written_at(&self.graph)?, old.read()?.1)),
            None => None,
        };
        let present = found.as_ref().is_some_and(|(_, cell)| cell.is_present());
        let (holds, wanted) = match expect {
            Expect::Any => return Ok(()),
            Expect::Absent => (!present, "absent".to_owned()),
            Expect::Present => (present, "present".to_owned()),
            Expect::Seq(seq) => (
                found.as_ref().is_some_and(|(at, _)| at == seq),
                format!("last changed by commit {seq}"),
            ),
            Expect::Value(value) => {
                let same = match &found {
                    Some((_, cell)) => {
                        cell.is_present() && cell.hash() == Some(ValueHash::of(value))
                    }
                    None => false,
                };
                (
                    same,
                    format!("a value of {} bytes, {}", value.len(), ValueHash::of(value).short()),
                )
            }
        };
        if holds {
            return Ok(());
        }
        let actual = match &found {
            None => "absent".to_owned(),
            Some((seq, Cell::Deleted)) => format!("absent since commit {seq}"),
            Some((_, Cell::Purged { .. })) => "absent: its value was purged".to_owned(),
            Some((seq, cell)) => {
                let hash = cell.hash().map(|hash| hash.short()).unwrap_or_default();
                let len = match cell {
                    Cell::Inline(value) => value.len() as u64,
                    Cell::Blob { len, .. } => *len,
                    Cell::Deleted | Cell::Purged { .. } => 0,
                };
                format!("a value of {len} bytes, {hash}, last changed by commit {seq}")
            }
        };
        Err(Error::new(
            ErrorKind::Precondition,
            format!("{}: expected {wanted}, found {actual}", show_key(key)),
        )
        .with_hint("nothing was written; read the key again and decide anew")
        .with_keys(vec![key.to_vec()]))
    }
}
