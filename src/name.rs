//! Names of branches and tags: checked once, at the border.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Longest branch or tag name, in bytes.
const MAX_LEN: usize = 128;
/// Words that mean something else wherever a rev is read.
const RESERVED: [&str; 4] = ["HEAD", "FETCH_HEAD", "ORIG_HEAD", "@"];

/// A branch name that has passed [`BranchName::new`]; nothing else can make one.
///
/// 1 to 128 of `[A-Za-z0-9_/.-]`, by git's rules for refs: no component that starts with `.` or ends
/// with `.lock`, no `..`, no empty component, no leading `-`, no trailing `/` or `.`; `HEAD`,
/// `FETCH_HEAD`, `ORIG_HEAD` and `@` are reserved.
///
/// # Examples
/// ```
/// use withy::BranchName;
/// assert_eq!(BranchName::new("topic/pears")?.as_str(), "topic/pears");
/// assert!(BranchName::new("topic..pears").is_err());
/// # Ok::<(), withy::Error>(())
/// ```
/// Kinds of names do not mix:
/// ```compile_fail
/// let tag = withy::TagName::new("v1").expect("valid");
/// let branch: withy::BranchName = tag;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(Arc<str>);

impl BranchName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), saying which rule the name breaks.
    pub fn new(raw: &str) -> Result<Self> {
        match branch_fault(raw) {
            None => Ok(Self(raw.into())),
            Some(fault) => Err(refused("branch", raw, fault)),
        }
    }

    /// The branch that every store starts with.
    #[must_use]
    pub fn main() -> Self {
        Self("main".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A tag name that has passed [`TagName::new`]: 1 to 128 of `[A-Za-z0-9_.-]`.
///
/// Git's rules for refs hold here too, as for [`BranchName`].
///
/// # Examples
/// ```
/// use withy::TagName;
/// assert_eq!(TagName::new("v1.0")?.as_str(), "v1.0");
/// assert!(TagName::new("v1/0").is_err());
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(Arc<str>);

impl TagName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), saying which rule the name breaks.
    pub fn new(raw: &str) -> Result<Self> {
        let fault = if raw.contains('/') { Some("`/` is not allowed") } else { branch_fault(raw) };
        match fault {
            None => Ok(Self(raw.into())),
            Some(fault) => Err(refused("tag", raw, fault)),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn refused(what: &str, raw: &str, fault: &str) -> Error {
    let shown: String = raw.chars().take(MAX_LEN + 1).collect();
    Error::new(ErrorKind::Invalid, format!("{shown:?} is not a valid {what} name: {fault}"))
        .with_hint("use 1 to 128 letters, digits, `_`, `.` and `-`, as git allows them")
}

/// The rule that a name breaks, if any.
fn branch_fault(raw: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_/.-".contains(&b);
    if raw.is_empty() {
        return Some("it is empty");
    }
    if RESERVED.contains(&raw) {
        return Some("it is reserved");
    }
    if raw.len() > MAX_LEN {
        return Some("it is over 128 bytes");
    }
    if !raw.bytes().all(allowed) {
        return Some("a character is not allowed");
    }
    if raw.starts_with('-') {
        return Some("it starts with `-`");
    }
    if raw.contains("..") {
        return Some("it contains `..`");
    }
    if raw.ends_with('.') {
        return Some("it ends with `.`");
    }
    raw.split('/').find_map(|part| {
        if part.is_empty() {
            Some("it has an empty component")
        } else if part.starts_with('.') {
            Some("a component starts with `.`")
        } else if part.ends_with(".lock") {
            Some("a component ends with `.lock`")
        } else {
            None
        }
    })
}

/// Longest topic, name or id of coordination, in bytes.
const MAX_LABEL_LEN: usize = 256;

/// Checks a topic of the outbox, the name of a saga, step or compensation, or the id of a saga: 1 to 256
/// bytes without control characters.
pub(crate) fn check_label(what: &str, raw: &str) -> Result<()> {
    let fault = match raw {
        "" => "it is empty".to_owned(),
        _ if raw.len() > MAX_LABEL_LEN => format!("it is over {MAX_LABEL_LEN} bytes"),
        _ if raw.chars().any(char::is_control) => "it has a control character".to_owned(),
        _ => return Ok(()),
    };
    let mut shown = raw.escape_debug().to_string();
    if shown.len() > 2 * MAX_LABEL_LEN {
        shown = format!("{} ...", shown.chars().take(80).collect::<String>());
    }
    let text = format!("\"{shown}\" is not a valid {what}: {fault}");
    Err(Error::new(ErrorKind::Invalid, text))
}

/// Whether a name matches a pattern of `*` and `?`. Linear: on a miss only the last `*` takes more.
pub(crate) fn matches_glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == b'?' || *c == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn br_3_names_follow_the_rules_of_git() {
        for good in ["main", "a", "a/b", "a.b", "a-b_c", "0", "x".repeat(128).as_str(), "a/-b"] {
            assert!(BranchName::new(good).is_ok(), "{good} is allowed");
        }
        let long = "x".repeat(129);
        let bad = [
            "",
            "HEAD",
            "FETCH_HEAD",
            "ORIG_HEAD",
            "@",
            "-a",
            "a..b",
            "a/",
            "/a",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a b",
            "a~b",
            "a^b",
            "a:b",
            "ä",
            "a\0b",
            &long,
        ];
        for name in bad {
            assert!(BranchName::new(name).is_err(), "{name:?} is refused");
        }
    }

    #[test]
    fn tag_1_a_tag_name_has_no_slash() {
        assert!(TagName::new("v1.0-rc_2").is_ok(), "a plain tag name is allowed");
        for name in ["v1/0", "", "HEAD", "-v", "a..b", "x.lock"] {
            assert!(TagName::new(name).is_err(), "{name:?} is refused");
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        let hits = [
            ("*", "v1"),
            ("v?", "v1"),
            ("v*1", "v1.0.1"),
            ("", ""),
            ("*.*", "a.b"),
            ("a**b", "ab"),
        ];
        for (pattern, name) in hits {
            assert!(matches_glob(pattern.as_bytes(), name.as_bytes()), "{pattern} matches {name}");
        }
        for (pattern, name) in [("v?", "v"), ("v", "v1"), ("*1", "v12"), ("", "v"), ("a*b", "abc")]
        {
            assert!(
                !matches_glob(pattern.as_bytes(), name.as_bytes()),
                "{pattern} does not match {name}"
            );
        }
    }
}
