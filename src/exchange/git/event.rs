//! What a stream says, command by command.

use super::text::Person;

/// One command of a stream, or one part of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A content; `len` bytes of it have just gone to the sink.
    Blob { mark: Option<u64>, len: u64 },
    /// A commit begins; its changes follow, then [`Event::CommitEnd`].
    Commit(Box<CommitHead>),
    /// One change of the commit that has begun.
    Change(Change),
    /// The commit is complete.
    CommitEnd,
    /// An annotated tag.
    Tag(Box<TagHead>),
    /// A ref set to a commit, or to nothing.
    Reset { reference: Vec<u8>, from: Option<Vec<u8>> },
    /// A second mark for a commit.
    Alias { mark: u64, to: Vec<u8> },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommitHead {
    pub(super) reference: Vec<u8>,
    pub(super) mark: Option<u64>,
    pub(super) original: Option<Vec<u8>>,
    pub(super) author: Option<Person>,
    pub(super) committer: Person,
    pub(super) encoding: Option<Vec<u8>>,
    /// Whether it had signatures, which are not kept.
    pub(super) signed: bool,
    pub(super) message: Vec<u8>,
    pub(super) from: Option<Vec<u8>>,
    pub(super) merges: Vec<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct TagHead {
    pub(super) name: Vec<u8>,
    pub(super) mark: Option<u64>,
    pub(super) from: Vec<u8>,
    pub(super) tagger: Option<Person>,
    pub(super) message: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Modify {
        mode: Mode,
        content: Content,
        path: Vec<u8>,
    },
    /// Of a file or of all below a path; the empty path is the whole tree.
    Delete(Vec<u8>),
    Copy {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    DeleteAll,
    /// A note on a commit, which is not kept.
    Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Executable,
    Symlink,
    Gitlink,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// These many bytes have just gone to the sink.
    Inline(u64),
    Mark(u64),
    Object(Vec<u8>),
}
