//! The three-way algebra: what becomes of a value that two sides may have changed. Knows no stores.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// One thing as the merge base, the target and the source have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    pub(crate) base: T,
    /// The target: the side that receives.
    pub(crate) ours: T,
    /// The source: the side that comes in.
    pub(crate) theirs: T,
}

/// What three values come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The source changed nothing: what the target has stays.
    Keep,
    /// Only the source changed it.
    Take,
    /// Both made the same change.
    Same,
    /// Both changed it, in different ways.
    Disputed,
}

impl<T: PartialEq> Sides<T> {
    pub(crate) fn verdict(&self) -> Verdict {
        if self.theirs == self.base {
            Verdict::Keep
        } else if self.ours == self.theirs {
            Verdict::Same
        } else if self.ours == self.base {
            Verdict::Take
        } else {
            Verdict::Disputed
        }
    }
}

/// What the two sides of a merge did to a key that they disagree on.
///
/// The first word is what the source did, the second what the target did.
///
/// # Examples
/// ```
/// assert_eq!(withy::ConflictKind::DeleteModify.to_string(), "delete/modify");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConflictKind {
    /// Both changed it, to different values. Under `strict` also: both made the same change.
    ModifyModify,
    /// The source deleted it, the target modified it.
    DeleteModify,
    /// The source modified it, the target deleted it.
    ModifyDelete,
    /// Both added it, with different values; no base has it.
    AddAdd,
}

impl ConflictKind {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::ModifyModify, Self::DeleteModify, Self::ModifyDelete, Self::AddAdd];

    /// The kind, from who has a value.
    pub(crate) fn of(in_a_base: bool, in_ours: bool, in_theirs: bool) -> Self {
        match (in_a_base, in_ours, in_theirs) {
            (_, true, false) => Self::DeleteModify,
            (_, false, true) => Self::ModifyDelete,
            (false, true, true) => Self::AddAdd,
            (true, true, true) | (_, false, false) => Self::ModifyModify,
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ModifyModify => "modify/modify",
            Self::DeleteModify => "delete/modify",
            Self::ModifyDelete => "modify/delete",
            Self::AddAdd => "add/add",
        })
    }
}

/// Who decides a key that both sides changed in different ways. What only one side changed merges under
/// every strategy.
///
/// # Examples
/// ```
/// use withy::Strategy;
/// assert_eq!("theirs".parse::<Strategy>()?, Strategy::Theirs);
/// assert_eq!(Strategy::FastForward.to_string(), "fast-forward");
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Strategy {
    /// The target's value stays.
    Ours,
    /// The source's value is taken.
    Theirs,
    /// Somebody has to: without a resolution nothing is written, and all conflicts are reported.
    #[default]
    Manual,
    /// Nobody: the merge succeeds only if there is no conflict, and is never left open.
    FastForward,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Theirs, Self::Manual, Self::FastForward];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Manual => "manual",
            Self::FastForward => "fast-forward",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Strategy {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("no merge strategy {name:?}"))
                .with_hint("the strategies are ours, theirs, manual and fast-forward")
        })
    }
}

/// How one conflict is settled by hand.
///
/// # Examples
/// ```
/// use withy::{MergeOptions, Resolution};
/// let options = MergeOptions::default().resolve("pear", Resolution::Value(b"ripe".to_vec()));
/// # drop(options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// What the target has, a deletion included.
    Ours,
    /// What the source has, a deletion included.
    Theirs,
    /// What the merge base has, absence included.
    Base,
    /// This value.
    Value(Vec<u8>),
    /// The key is deleted.
    Delete,
}

impl Resolution {
    /// Its name: what is taken.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Base => "base",
            Self::Value(_) => "value",
            Self::Delete => "delete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_equal_and_different_has_one_verdict() {
        let mut disputed = 0;
        for (base, ours, theirs) in (0..64).map(|n| (n % 4, n / 4 % 4, n / 16)) {
            let verdict = Sides { base, ours, theirs }.verdict();
            let back = Sides { base, ours: theirs, theirs: ours }.verdict();
            let swapped = match verdict {
                Verdict::Keep if ours == base => Verdict::Keep,
                Verdict::Keep => Verdict::Take,
                Verdict::Take => Verdict::Keep,
                Verdict::Same => Verdict::Same,
                Verdict::Disputed => Verdict::Disputed,
            };
            assert_eq!(back, swapped, "{base} {ours} {theirs}: sides changed over");
            match verdict {
                Verdict::Keep => assert_eq!(theirs, base, "an untouched source yields"),
                Verdict::Take => assert_eq!(ours, base, "an untouched target yields"),
                Verdict::Same => assert_eq!(ours, theirs, "the same change"),
                Verdict::Disputed => disputed += 1,
            }
        }
        assert_eq!(disputed, 24, "three different values of four");
    }
}
