//! What a verification has found.

use std::fmt;

use crate::id::Seq;
use crate::kv::show_key;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// RocksDB cannot read rows, because a checksum does not hold or a file is missing.
    Readable,
    /// A row has an unknown key, or does not decode.
    Form,
    /// Commits: gaps, parts, ids, parents, times, changes.
    Log,
    /// Fingerprints and counts of keys and rows.
    Content,
    /// Rows of `head` and `history` against what the commits say.
    Rows,
    /// Large values.
    Blobs,
    /// Lines: where they fork, and the layers that they are read through.
    Lines,
    /// Branches, tags, and the active branch.
    Refs,
    /// Pins, which keep commits from being collected.
    Pins,
    /// What merges have merged.
    Merges,
    /// The operation log.
    Operations,
    /// The index of commits, which can be made anew.
    Index,
    /// What is under way: open merges, messages, sagas, prepared transactions.
    State,
    /// The store's own settings.
    Meta,
}

impl Check {
    /// A word for it, as `withy verify --json` shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readable => "readable",
            Self::Form => "form",
            Self::Log => "log",
            Self::Content => "content",
            Self::Rows => "rows",
            Self::Blobs => "blobs",
            Self::Lines => "lines",
            Self::Refs => "refs",
            Self::Pins => "pins",
            Self::Merges => "merges",
            Self::Operations => "operations",
            Self::Index => "index",
            Self::State => "state",
            Self::Meta => "meta",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Readable | Self::Form | Self::Log | Self::Content | Self::Rows | Self::Blobs => {
                "keep a copy of the store and restore a backup; what is not named here can still be read and exported"
            }
            Self::Lines | Self::Refs | Self::Merges => {
                "do not write to what it touches; keep a copy of the store and restore a backup"
            }
            Self::Pins => {
                "collect no garbage and set no retention until it is mended; tags and branches can be made anew under the same names"
            }
            Self::Operations => {
                "data is not touched; `undo` and `redo` across this step are not safe"
            }
            Self::Index => {
                "data is not touched, but commits may not be found by id or number; keep a copy and restore a backup"
            }
            Self::State => {
                "committed data is not touched; end what it names (abort, discard, forget, roll back) and begin it again"
            }
            Self::Meta => {
                "keep a copy of the store; it may have been written by a newer version of withy"
            }
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that is wrong: what, where, and what it touches.
///
/// # Examples
/// See [`Store::verify`](crate::Store::verify).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of thing.
    pub check: Check,
    /// The number of the invariant that does not hold, see `docs/invariants.md`.
    pub invariant: u16,
    /// The family of rows it is in.
    pub family: &'static str,
    /// The line it is on.
    pub line: Option<u64>,
    /// The commit it is about.
    pub seq: Option<Seq>,
    /// The key it is about: of a user, or of the row where no user's key is in question.
    pub key: Option<Vec<u8>>,
    /// What is wrong, in words.
    pub what: String,
    /// Branches that read it, by name; at most 20.
    pub branches: Vec<String>,
    /// Tags that read it, by name; at most 20.
    pub tags: Vec<String>,
    /// How many branches and tags beyond those named read it.
    pub more: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        let mut at = Vec::new();
        if let Some(line) = self.line {
            at.push(format!("line {line}"));
        }
        if let Some(seq) = self.seq {
            at.push(format!("commit {seq}"));
        }
        if let Some(key) = &self.key {
            at.push(format!("key {}", show_key(key)));
        }
        at.insert(0, self.family.to_owned());
        write!(f, " ({})", at.join(", "))
    }
}

/// What a verification has come to.
///
/// # Examples
/// See [`Store::verify`](crate::Store::verify).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is wrong, the first ones in order of kind and place.
    pub findings: Vec<Finding>,
    /// How many things are wrong, those beyond the limit included.
    pub found: u64,
    /// The newest commit that was judged.
    pub latest: Seq,
    /// Commits judged.
    pub commits: u64,
    /// Versions of keys judged: rows of `head` and `history`.
    pub versions: u64,
    /// Lines judged.
    pub lines: u64,
    /// Large values judged.
    pub blobs: u64,
    /// Large values that nothing names any more, at least; no fault, they only take space.
    pub orphan_blobs: u64,
    /// Rows read, of all families.
    pub rows: u64,
    /// Files in the store's directory that belong to nobody, and what unfinished work has left; no
    /// fault.
    pub leftovers: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found == 0
    }
}
