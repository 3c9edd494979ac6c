//! Names of refs in a stream, as names of branches and tags.

use std::borrow::Cow;

use crate::error::Result;
use crate::name::{BranchName, TagName};

/// What a ref of a stream is in a store.
pub(super) enum Kind {
    Branch(BranchName),
    Tag(TagName),
    /// Something else: notes, stashes, remote branches, `HEAD`.
    Other,
}

/// How names are taken over.
pub(super) struct Names<'a> {
    /// Goes before the name of each branch.
    pub(super) prefix: &'a str,
    /// Whether characters that are not allowed become `-`.
    pub(super) fix: bool,
}

impl Names<'_> {
    /// What the ref is; an error if its name breaks the rules.
    pub(super) fn kind(&self, reference: &[u8]) -> Result<Kind> {
        let text = String::from_utf8_lossy(reference);
        if let Some(name) = text.strip_prefix("refs/heads/") {
            let name = format!("{}{name}", self.prefix);
            return BranchName::new(&self.fixed(&name, "_.-/")).map(Kind::Branch);
        }
        if let Some(name) = text.strip_prefix("refs/tags/") {
            return TagName::new(&self.fixed(name, "_.-")).map(Kind::Tag);
        }
        Ok(Kind::Other)
    }

    /// Whether the name is not taken over as it is, the prefix apart.
    pub(super) fn changes(&self, reference: &[u8]) -> bool {
        let text = String::from_utf8_lossy(reference);
        let name = text.strip_prefix("refs/heads/").map(|name| (name, "_.-/"));
        let name = name.or_else(|| text.strip_prefix("refs/tags/").map(|name| (name, "_.-")));
        name.is_some_and(|(name, others)| self.fixed(name, others) != name)
    }

    fn fixed<'n>(&self, name: &'n str, others: &str) -> Cow<'n, str> {
        let good = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        if !self.fix || name.chars().all(good) {
            return name.into();
        }
        name.chars().map(|c| if good(c) { c } else { '-' }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &Names<'_>, reference: &str) -> String {
        match names.kind(reference.as_bytes()) {
            Ok(Kind::Branch(name)) => format!("branch {name}"),
            Ok(Kind::Tag(name)) => format!("tag {name}"),
            Ok(Kind::Other) => "other".into(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn refs_become_branches_and_tags() {
        let plain = Names { prefix: "up/", fix: false };
        assert_eq!(shown(&plain, "refs/heads/a/b"), "branch up/a/b");
        assert_eq!(shown(&plain, "refs/tags/v1"), "tag v1", "tags get no prefix");
        assert_eq!(shown(&plain, "refs/notes/commits"), "other");
        assert_eq!(shown(&plain, "HEAD"), "other");
        let refused = shown(&plain, "refs/heads/a#b");
        assert!(refused.starts_with("\"up/a#b\" is not a valid branch name"), "{refused}");
        assert!(!plain.changes(b"refs/heads/a/b"), "a prefix is not a change");
        let fixing = Names { prefix: "", fix: true };
        assert_eq!(shown(&fixing, "refs/heads/a#b/\u{e4}"), "branch a-b/-");
        assert_eq!(shown(&fixing, "refs/tags/release/1"), "tag release-1");
        assert!(fixing.changes(b"refs/tags/release/1"), "it is counted");
    }
}
