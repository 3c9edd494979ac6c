//! The JSON shapes of `--json`; docs/cli.md describes them.

use serde_json::{Map, Value};
use withy::{ChangeKind, Commit};

use crate::text::{Format, base64, hex};

/// An object whose members keep their order.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a member unless there is nothing to say.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds bytes: as `name` if they are UTF-8 and text is wanted, else as `name_hex` or `name_base64`.
    pub(crate) fn bytes(self, name: &str, bytes: &[u8], format: Format) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        match (format, text) {
            (Format::Text, Some(text)) => self.with(name, text),
            (Format::Hex, _) => self.with(&format!("{name}_hex"), hex(bytes)),
            (Format::Text | Format::Base64, _) => {
                self.with(&format!("{name}_base64"), base64(bytes))
            }
        }
    }

    /// Adds bytes that may be absent; `null` if they are.
    pub(crate) fn maybe_bytes(self, name: &str, bytes: Option<&[u8]>, format: Format) -> Self {
        match bytes {
            Some(bytes) => self.bytes(name, bytes, format),
            None => self.with(name, Value::Null),
        }
    }

    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.done()
    }
}

/// A commit without its changes.
pub(crate) fn commit(commit: &Commit) -> Object {
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|p| Object::new().with("seq", p.seq.get()).with("id", p.id.to_string()).done())
        .collect();
    let object = Object::new()
        .with("seq", commit.seq.get())
        .with("id", commit.id.to_string())
        .with("parents", parents)
        .with("branch", commit.branch.to_string())
        .with("author", commit.author.to_string())
        .with("message", commit.message.to_string())
        .with("time", commit.time.to_string());
    let object = match &commit.origin {
        Some(origin) => object
            .with("authored", origin.authored.to_string())
            .with("committer", origin.committer.to_string())
            .with("committed", origin.committed.to_string()),
        None => object,
    };
    object
        .with("changed", commit.changes)
        .with("keys", commit.keys)
        .with("fingerprint", commit.fingerprint.to_string())
}

/// The word for a kind of change.
pub(crate) fn kind(kind: ChangeKind) -> String {
    kind.to_string()
}
