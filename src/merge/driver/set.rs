//! Sets: what a side added is in, what a side removed is out.

use std::collections::BTreeSet;

use super::{DriverInput, DriverResult, MergeDriver};

/// Merges sets of lines, which may be any bytes; an absent base is the empty set.
///
/// The result is sorted by bytes, each member once and ended by a line end; the empty set is the empty
/// value. An empty line is a member. It always has an answer.
pub(super) struct Set;

impl MergeDriver for Set {
    fn name(&self) -> &str {
        "set/1"
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        let (Some(ours), Some(theirs)) = (input.ours, input.theirs) else {
            return Err("one side deleted the key".into());
        };
        let (base, ours, theirs) =
            (members(input.base.unwrap_or_default()), members(ours), members(theirs));
        let stays = |member: &&&[u8]| {
            let sides = (ours.contains(**member), theirs.contains(**member));
            if base.contains(**member) { sides.0 && sides.1 } else { sides.0 || sides.1 }
        };
        let result = ours.union(&theirs).filter(stays).flat_map(|member| [member, &b"\n"[..]]);
        Ok(Some(result.flatten().copied().collect()))
    }
}

fn members(value: &[u8]) -> BTreeSet<&[u8]> {
    let lines = value.split_inclusive(|&byte| byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::{DriverInput, MergeDriver, Set};

    fn merged(base: Option<&str>, ours: &str, theirs: &str) -> String {
        let [ours, theirs] = [ours, theirs].map(|side| Some(side.as_bytes()));
        let input = DriverInput::new(b"k", base.map(str::as_bytes), ours, theirs);
        let value = Set.merge(&input).expect("a set always merges").expect("it is not deleted");
        String::from_utf8_lossy(&value).into_owned()
    }

    #[test]
    fn additions_and_removals_of_both_sides_count() {
        assert_eq!(merged(Some("a\nb\n"), "b\nc\n", "d\na\nb"), "b\nc\nd\n");
        assert_eq!(merged(None, "b\na", "a"), "a\nb\n");
    }

    #[test]
    fn the_empty_set_is_the_empty_value_and_an_empty_line_a_member() {
        assert_eq!(merged(Some("a"), "", "a\n"), "");
        assert_eq!(merged(None, "\n", ""), "\n");
    }
}
