//! What a plan hands over to be written.

use crate::graph::Place;
use crate::id::ValueHash;

/// A key that a plan changes.
#[derive(Clone, Debug)]
pub(crate) struct PlannedEdit {
    pub(crate) key: Vec<u8>,
    /// Hash of the value it replaces, at the commit that the plan was made against; none if that was purged.
    pub(crate) before: Option<ValueHash>,
    pub(crate) after: After,
}

/// What a key becomes. Stored values are read when they are written, not before.
#[derive(Clone, Debug)]
pub(crate) enum After {
    Deleted,
    /// The value it has at this commit.
    Stored {
        hash: ValueHash,
        place: Place,
    },
    Made {
        hash: ValueHash,
        value: Box<[u8]>,
    },
}

impl After {
    pub(crate) fn made(value: Vec<u8>) -> Self {
        Self::Made { hash: ValueHash::of(&value), value: value.into() }
    }

    pub(crate) fn hash(&self) -> Option<ValueHash> {
        match self {
            Self::Deleted => None,
            Self::Stored { hash, .. } | Self::Made { hash, .. } => Some(*hash),
        }
    }
}
