//! JSON read so that nothing of it is lost: numbers as they are written, every member of an object.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// As deep as serde_json goes.
const DEEPEST: usize = 128;

/// A JSON value.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    /// A number, `true`, `false` or `null`, as written.
    Plain(&'a str),
    Text(String),
    List(Vec<Node<'a>>),
    /// The members in the order they were written, no name twice.
    Object(Vec<(String, Node<'a>)>),
}

/// Equal as JSON: the order of members does not matter; numbers are compared as written, so that `1.0`
/// for `1` is a change.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a.len() == b.len() && sorted(a) == sorted(b),
            (Self::Plain(_) | Self::Text(_) | Self::List(_) | Self::Object(_), _) => false,
        }
    }
}

fn sorted<'n, 'a>(members: &'n [(String, Node<'a>)]) -> Vec<&'n (String, Node<'a>)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
}

impl<'a> Node<'a> {
    /// Reads a value; in words what is wrong with it.
    pub(super) fn read(value: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(value).map_err(|_| "not UTF-8".to_owned())?;
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        Self::of(raw.get(), DEEPEST)
    }

    /// What a text that is known to be JSON stands for.
    fn of(text: &'a str, deeper: usize) -> Result<Self, String> {
        let deeper = deeper.checked_sub(1).ok_or("nested too deep")?;
        let wrong = |error: serde_json::Error| without_place(&error);
        match text.as_bytes().first() {
            Some(b'{') => {
                let mut json = serde_json::Deserializer::from_str(text);
                let members = (&mut json).deserialize_map(Members).map_err(wrong)?;
                let node = |(name, raw): (String, &'a RawValue)| {
                    Self::of(raw.get(), deeper).map(|node| (name, node))
                };
                members.into_iter().map(node).collect::<Result<_, _>>().map(Self::Object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                let node = |raw: &'a RawValue| Self::of(raw.get(), deeper);
                items.into_iter().map(node).collect::<Result<_, _>>().map(Self::List)
            }
            Some(b'"') => serde_json::from_str(text).map(Self::Text).map_err(wrong),
            _ => Ok(Self::Plain(text)),
        }
    }

    /// Writes the value: on one line, or with each level indented.
    pub(super) fn write(&self, indent: Option<&str>) -> String {
        let mut out = String::new();
        self.write_at(&mut out, indent, 0);
        out
    }

    fn write_at(&self, out: &mut String, indent: Option<&str>, level: usize) {
        let line = |out: &mut String, level: usize| {
            if let Some(indent) = indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(indent, level));
            }
        };
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    item.write_at(out, indent, level + 1);
                }
                if !items.is_empty() {
                    line(out, level);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, node)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    quote(name, out);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    node.write_at(out, indent, level + 1);
                }
                if !members.is_empty() {
                    line(out, level);
                }
                out.push('}');
            }
        }
    }
}

/// A text as a JSON string.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// The message alone: the line and column count from the start of a part.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Collects an object's members.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        let mut members = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("it has the member {name:?} twice")));
            }
            members.push((name, raw));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn what_is_read_is_written_again() {
        let text =
            r#"{"b":[1.00,-0,1e400,12345678901234567890123],"a":{"":null,"x":[]},"c":"\"é"}"#;
        let node = Node::read(text.as_bytes()).expect("it is JSON");
        assert_eq!(node.write(None), text);
        let pretty = node.write(Some("  "));
        assert!(pretty.starts_with("{\n  \"b\": [\n    1.00,\n"), "{pretty}");
        assert_eq!(Node::read(pretty.as_bytes()), Ok(node), "formatting has no meaning");
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        let refused = |text: &[u8]| Node::read(text).expect_err("it is refused");
        assert_eq!(refused(br#"[{"a":1,"a":1}]"#), "it has the member \"a\" twice");
        assert_eq!(refused(b"\xff"), "not UTF-8");
        assert_eq!(refused(b""), "not JSON: EOF while parsing a value at line 1 column 0");
        assert!(refused(b"{} {}").starts_with("not JSON: trailing characters"));
        assert_eq!(refused(br#""\ud800""#), "unexpected end of hex escape");
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(refused(deep.as_bytes()), "nested too deep");
    }

    #[test]
    fn names_that_serde_uses_itself_are_names() {
        let text = br#"{"$serde_json::private::Number":"1","$serde_json::private::RawValue":"2"}"#;
        assert_eq!(Node::read(text).expect("it is JSON").write(None).as_bytes(), text);
    }
}
