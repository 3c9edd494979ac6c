//! JSON, by member.

mod three_way;
mod tree;

use self::three_way::{Sides, merge};
use self::tree::Node;
use super::{DriverInput, DriverResult, MergeDriver};

/// Merges objects by member, at every depth.
///
/// - A member that one side added, changed or removed is so in the result. Changed on both sides
///   differently, or removed on one and changed on the other, it refuses, with the place as a JSON
///   pointer. An absent base, of the whole or of a member, counts as an empty object or list where both
///   sides have one.
/// - A list is merged by id if on all sides that have it every item is an object with an `id` of its
///   own, a text or number; the path then has `[id=7]`. The order is that of the side that changed it;
///   changed on both, it refuses. What was added stays behind the item it was added behind. Any other
///   list is one value.
/// - Members are in the base's order, added ones behind them.
/// - Numbers stay as they are written, and count as changed if they are written otherwise. Members
///   given twice, and nesting deeper than 128, are refused.
/// - If the result is equal to one side's value, it is that side's bytes. Else it has lines if a side
///   has, indented as both sides are, or by two spaces; and a line end if a side has.
pub(super) struct Json;

impl MergeDriver for Json {
    fn name(&self) -> &str {
        "json/1"
    }

    fn merge(&self, input: &DriverInput<'_>) -> DriverResult {
        let (Some(our_bytes), Some(their_bytes)) = (input.ours, input.theirs) else {
            return Err("one side deleted the key".into());
        };
        let read = |value, side| Node::read(value).map_err(|why| format!("{side}: {why}"));
        let base = input.base.map(|base| read(base, "the base")).transpose()?;
        let (ours, theirs) = (read(our_bytes, "ours")?, read(their_bytes, "theirs")?);
        let sides = Sides { base: base.as_ref(), ours: Some(&ours), theirs: Some(&theirs) };
        let Some(merged) = merge("", sides)? else {
            return Err("nothing is left".into());
        };
        let bytes = match (merged == ours, merged == theirs) {
            // Only written in two ways: the new one, or the same one whichever side it is on.
            (true, true) if input.base == Some(our_bytes) => their_bytes.to_vec(),
            (true, true) if input.base == Some(their_bytes) => our_bytes.to_vec(),
            (true, true) => our_bytes.min(their_bytes).to_vec(),
            (true, false) => our_bytes.to_vec(),
            (false, true) => their_bytes.to_vec(),
            (false, false) => written(&merged, our_bytes, their_bytes),
        };
        Ok(Some(bytes))
    }
}

fn written(merged: &Node<'_>, ours: &[u8], theirs: &[u8]) -> Vec<u8> {
    let indents = [indent(ours), indent(theirs)];
    let indent = match &indents {
        [None, None] => None,
        [Some(a), Some(b)] if a != b => Some("  "),
        [Some(one), _] | [None, Some(one)] => Some(one.as_str()),
    };
    let mut text = merged.write(indent);
    if ours.ends_with(b"\n") || theirs.ends_with(b"\n") {
        text.push('\n');
    }
    text.into_bytes()
}

/// What the second line starts with; none if there is but one.
fn indent(value: &[u8]) -> Option<String> {
    let second = value.trim_ascii().split(|&byte| byte == b'\n').nth(1)?;
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    Some(second.iter().take_while(is_blank).map(|&byte| char::from(byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::{DriverInput, Json, MergeDriver};

    fn merged(base: Option<&str>, ours: &str, theirs: &str) -> Result<String, String> {
        let [a, b] = [ours, theirs].map(|side| Some(side.as_bytes()));
        let input = DriverInput::new(b"k", base.map(str::as_bytes), a, b);
        let result = Json.merge(&input);
        if result.is_ok() {
            assert_eq!(result, Json.merge(&input.swapped()), "the sides are alike");
        }
        result.map(|value| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned())
    }

    #[test]
    fn members_are_merged_at_every_depth() {
        let base = Some(r#"{"a":1,"b":{"c":2,"d":3}}"#);
        let ours = r#"{"a":1,"b":{"c":20,"d":3},"o":true}"#;
        let theirs = r#"{"b":{"c":2},"n":null,"m":1.00}"#;
        assert_eq!(
            merged(base, ours, theirs),
            Ok(r#"{"b":{"c":20},"n":null,"m":1.00,"o":true}"#.into())
        );
    }

    #[test]
    fn a_conflict_is_named_by_its_place() {
        let base = Some(r#"{"a":{"x/y":1}}"#);
        assert_eq!(
            merged(base, r#"{"a":{"x/y":2}}"#, r#"{"a":{}}"#),
            Err("/a/x~1y: deleted on one side, changed on the other".into())
        );
        assert_eq!(
            merged(Some("1"), "2", "3"),
            Err("the value: changed on both sides, differently".into())
        );
        assert_eq!(
            merged(None, r#"{"a":1}"#, r#"{"a":2}"#),
            Err("/a: added on both sides, differently".into())
        );
        let broken = merged(None, "{", "1").expect_err("it is refused");
        assert!(broken.starts_with("ours: not JSON: EOF"), "{broken}");
    }

    #[test]
    fn lists_with_ids_are_merged_by_them() {
        let base = Some(r#"[{"id":1,"n":1},{"id":2,"n":2},{"id":3}]"#);
        let ours = r#"[{"id":1,"n":10},{"id":"o"},{"id":2,"n":2},{"id":3}]"#;
        let theirs = r#"[{"id":3},{"id":1,"n":1},{"id":"t"},{"id":"s"}]"#;
        assert_eq!(
            merged(base, ours, theirs),
            Ok(r#"[{"id":3},{"id":1,"n":10},{"id":"o"},{"id":"t"},{"id":"s"}]"#.into())
        );
        assert_eq!(
            merged(Some(r#"[{"id":1,"n":1}]"#), r#"[{"id":1,"n":2}]"#, "[]"),
            Err("[id=1]: deleted on one side, changed on the other".into())
        );
    }

    #[test]
    fn other_lists_are_one_value() {
        let base = Some(r#"{"l":[1],"m":0}"#);
        assert_eq!(
            merged(base, r#"{"l":[1,2],"m":0}"#, r#"{"l":[3],"m":0}"#),
            Err("/l: changed on both sides, differently".into())
        );
        assert_eq!(
            merged(base, r#"{"l":[1,2],"m":0}"#, r#"{"l":[1],"m":1}"#),
            Ok(r#"{"l":[1,2],"m":1}"#.into())
        );
    }

    #[test]
    fn the_result_is_written_as_the_sides_are() {
        let base = Some("{}");
        assert_eq!(
            merged(base, "{\n\t\"a\": 1\n}\n", r#"{"b":[]}"#),
            Ok("{\n\t\"a\": 1,\n\t\"b\": []\n}\n".into())
        );
        assert_eq!(merged(Some("{}"), "{ }", r#"{ "b" : 1 }"#), Ok(r#"{ "b" : 1 }"#.into()));
    }
}
