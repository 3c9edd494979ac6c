//! Errors by name, and whether one is the one that was expected.

use std::collections::BTreeSet;
use std::error::Error as _;

use withy::{Error, ErrorKind};

use super::command::Trouble;
use super::words::show_word;
use crate::fail::{Code, code_of};
use crate::text::Format;

/// The kinds of errors, by the names that scripts use.
const KINDS: [(&str, ErrorKind); 16] = [
    ("busy", ErrorKind::Busy),
    ("conflict", ErrorKind::Conflict),
    ("corrupt", ErrorKind::Corrupt),
    ("deadlock", ErrorKind::Deadlock),
    ("exists", ErrorKind::Exists),
    ("halted", ErrorKind::Halted),
    ("history-gone", ErrorKind::HistoryGone),
    ("incompatible", ErrorKind::Incompatible),
    ("invalid", ErrorKind::Invalid),
    ("io", ErrorKind::Io),
    ("lease-lost", ErrorKind::LeaseLost),
    ("limit", ErrorKind::Limit),
    ("not-found", ErrorKind::NotFound),
    ("outcome-unknown", ErrorKind::OutcomeUnknown),
    ("precondition", ErrorKind::Precondition),
    ("read-only", ErrorKind::ReadOnly),
];

/// The names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// The kind of this name, by its name in the table.
pub(super) fn kind(name: &str) -> Option<&'static str> {
    kinds().find(|known| *known == name)
}

/// What a kind is called.
pub(super) fn name_of(kind: ErrorKind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("other", |(name, _)| name)
}

/// The message with its causes.
pub(super) fn message(e: &Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// Whether an error says something of the script, and not of the store or the machine.
pub(super) fn is_ordinary(e: &Error) -> bool {
    matches!(code_of(e.kind()), Code::Usage | Code::Again)
}

impl Trouble {
    /// Whether this is the error that is expected.
    pub(super) fn fits(&self, e: &Error) -> bool {
        match self {
            Self::Conflict(keys) => {
                let set = |keys: &[Vec<u8>]| keys.iter().cloned().collect::<BTreeSet<_>>();
                e.kind() == ErrorKind::Conflict && (keys.is_empty() || set(keys) == set(e.keys()))
            }
            Self::Error(kind, text) => {
                name_of(e.kind()) == *kind
                    && text.as_ref().is_none_or(|text| message(e).contains(text.as_str()))
            }
        }
    }

    /// What is expected, for people.
    pub(super) fn describe(&self, format: Format) -> String {
        match self {
            Self::Conflict(keys) if keys.is_empty() => "a conflict".into(),
            Self::Conflict(keys) => format!("a conflict about {}", list(keys, format)),
            Self::Error(kind, None) => format!("an error: {kind}"),
            Self::Error(kind, Some(text)) => format!("an error: {kind}, with `{text}`"),
        }
    }
}

/// What was found instead of what was expected, for people.
pub(super) fn found(e: &Error, format: Format) -> String {
    match e.kind() {
        ErrorKind::Conflict => format!("a conflict about {}", list(e.keys(), format)),
        kind => format!("an error: {}, {}", name_of(kind), message(e)),
    }
}

fn list(keys: &[Vec<u8>], format: Format) -> String {
    match keys {
        [] => "no key by name".into(),
        keys => keys.iter().map(|key| show_word(key, format)).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_conflict_is_about_just_these_keys() {
        let keys = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let e = Error::new(ErrorKind::Conflict, "lost").with_keys(keys(&["a", "b"]));
        assert!(Trouble::Conflict(Vec::new()).fits(&e), "any keys will do");
        assert!(Trouble::Conflict(keys(&["b", "a"])).fits(&e), "their order does not matter");
        assert!(!Trouble::Conflict(keys(&["a"])).fits(&e), "one is missing");
        assert!(!Trouble::Conflict(keys(&["a", "b", "c"])).fits(&e), "one is too many");
        let busy = Error::new(ErrorKind::Busy, "held");
        assert!(!Trouble::Conflict(Vec::new()).fits(&busy), "another kind");
    }

    #[test]
    fn an_expected_error_is_known_by_kind_and_text() {
        let e = Error::new(ErrorKind::Limit, "too many operations")
            .because(std::io::Error::other("the limit is 3"));
        let error = |kind: &str, text: Option<&str>| {
            Trouble::Error(kind_or_panic(kind), text.map(str::to_owned))
        };
        assert!(error("limit", None).fits(&e));
        assert!(error("limit", Some("limit is 3")).fits(&e), "causes count too");
        assert!(!error("limit", Some("bytes")).fits(&e), "another limit");
        assert!(!error("busy", None).fits(&e), "another kind");
        assert!(kinds().is_sorted(), "they are listed in this order");
    }

    #[test]
    fn help_names_every_kind() {
        use clap::Args as _;
        let verb = crate::verbs::txn::Txn::augment_args(clap::Command::new("txn"));
        let verb = verb.get_after_help().expect("it has one").to_string();
        let topic = super::super::help::text(Some("expect")).expect("it is a topic");
        for kind in kinds() {
            assert!(verb.contains(kind), "`withy help txn` names {kind}");
            assert!(topic.contains(kind), "`help expect` names {kind}");
        }
    }

    fn kind_or_panic(name: &str) -> &'static str {
        kind(name).expect("the name is in the table")
    }
}
