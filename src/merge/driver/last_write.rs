//! Registers: the later commit wins.

use super::{DriverInput, DriverResult, MergeDriver};

/// The side that was written by the later commit wins, a deletion included.
///
/// Sides written by the same commit are equal; if not, it refuses. The base does not matter.
pub(super) struct LastWrite;

impl MergeDriver for LastWrite {
    fn name(&self) -> &str {
        "last-write/1"
    }

    fn settles_deletions(&self) -> bool {
        true
    }

    fn ignores_base(&self) -> bool {
        true
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        let later = if input.ours_at > input.theirs_at || input.ours == input.theirs {
            input.ours
        } else if input.theirs_at > input.ours_at {
            input.theirs
        } else {
            return Err(format!("commit {} gave both sides different values", input.ours_at));
        };
        Ok(later.map(<[u8]>::to_vec))
    }
}

#[cfg(test)]
mod tests {
    use super::{DriverInput, LastWrite, MergeDriver};
    use crate::id::Seq;

    #[test]
    fn the_later_commit_wins_with_a_deletion_too() {
        let input = DriverInput::new(b"k", Some(b"a"), Some(b"b"), None);
        let at =
            |ours, theirs| LastWrite.merge(&input.written_at(Seq::new(ours), Seq::new(theirs)));
        assert_eq!(at(2, 1), Ok(Some(b"b".to_vec())));
        assert_eq!(at(1, 2), Ok(None));
        assert_eq!(at(1, 1), Err("commit 1 gave both sides different values".into()));
    }
}
