//! Identifiers: each one is a type of its own, so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

/// Position of a commit in the whole store.
///
/// Strictly increasing, one per commit, never reused. The sequence of a parent is always below that
/// of its child, so sequences are also a topological order of the commit graph.
///
/// # Examples
/// ```
/// use withy::Seq;
/// assert_eq!(Seq::ROOT.get(), 0);
/// assert_eq!(Seq::new(7).to_string(), "7");
/// assert!(Seq::new(7) < Seq::new(8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// The empty commit that every store starts with.
    pub const ROOT: Self = Self(0);
    /// Above every sequence that a store can give.
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// The sequence with this number; whether a store has such a commit is another matter.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sequence after this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run of commits that one branch writes to; the prefix of all its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct LineId(u64);

impl LineId {
    /// The line that the root commit is on.
    pub(crate) const ROOT: Self = Self(0);

    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes bytes as lower-case hexadecimal digits.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// Reads 64 hexadecimal digits.
fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(out)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The value with these 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                let mut all = self.to_string();
                all.truncate(12);
                all
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;
            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                read_hex(text).map(Self).ok_or(ParseHashError)
            }
        }
    };
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct ParseHashError;

hash_type! {
    /// Id of a commit: BLAKE3 over its canonical form, which holds hashes of values, not values.
    ///
    /// # Examples
    /// ```
    /// let id: withy::CommitId = "00".repeat(32).parse()?;
    /// assert_eq!(id.short(), "000000000000");
    /// # Ok::<(), withy::ParseHashError>(())
    /// ```
    CommitId
}

hash_type! {
    /// Fingerprint of all the key-value pairs visible at a commit, whatever the history.
    ///
    /// # Examples
    /// ```
    /// let none: withy::Fingerprint = "00".repeat(32).parse()?;
    /// assert_eq!(none, withy::Fingerprint::EMPTY);
    /// # Ok::<(), withy::ParseHashError>(())
    /// ```
    Fingerprint
}

impl Fingerprint {
    /// The fingerprint of no content at all.
    pub const EMPTY: Self = Self([0; 32]);
}

hash_type! {
    /// BLAKE3 of a value.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(withy::ValueHash::of(b"pear"), withy::ValueHash::of(b"pear"));
    /// ```
    ValueHash
}

impl ValueHash {
    /// The hash of this value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(*blake3::hash(value).as_bytes())
    }
}

/// One step of the operation log: a commit, or a move of refs after it.
///
/// Shown as `SEQ` for the commit itself and `SEQ.N` for the `N`th other operation after that commit.
///
/// # Examples
/// ```
/// let id: withy::OpId = "120.3".parse()?;
/// assert_eq!(id.to_string(), "120.3");
/// assert_eq!("120".parse::<withy::OpId>()?.to_string(), "120");
/// # Ok::<(), withy::ParseOpIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    pub(crate) seq: Seq,
    pub(crate) step: u64,
}

/// The text is not an operation id such as `120` or `120.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an operation id such as 120 or 120.3")]
pub struct ParseOpIdError;

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            0 => self.seq.fmt(f),
            step => write!(f, "{}.{step}", self.seq),
        }
    }
}

impl FromStr for OpId {
    type Err = ParseOpIdError;
    fn from_str(text: &str) -> Result<Self, ParseOpIdError> {
        let (seq, step) = text.split_once('.').unwrap_or((text, "0"));
        let number = |digits: &str| digits.parse().map_err(|_| ParseOpIdError);
        Ok(Self { seq: Seq::new(number(seq)?), step: number(step)? })
    }
}
