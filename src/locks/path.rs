//! Lock paths: what a lock is on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::kv::MAX_KEY_LEN;

/// A path of components that are separated by `/`: what a lock is on.
///
/// The leading slash may be left out; repeated and trailing slashes are ignored; `/` is the root, which
/// is above everything. Paths are compared by component: `/a` is above `/a/b`, not above `/ab`. A path
/// needs no key of that name: locks are advisory.
///
/// # Examples
/// ```
/// use withy::LockPath;
/// let path = LockPath::new("fruit//pear/")?;
/// assert_eq!(path.as_str(), "/fruit/pear");
/// assert!(LockPath::new("/fruit")?.covers(&path));
/// assert!(!LockPath::new("/fru")?.covers(&path));
/// assert!(LockPath::new("/fruit/../pear").is_err());
/// # Ok::<(), withy::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// With a slash at either end, so that what is below a path is what starts with its text.
pub struct LockPath(Arc<str>);

impl LockPath {
    /// Longest path in bytes, as [`as_str`](Self::as_str) shows it: that of the longest key.
    pub const MAX_LEN: usize = MAX_KEY_LEN;
    /// Most components of a path.
    pub const MAX_DEPTH: usize = 256;

    /// Reads a path. Cost: its length.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if it is empty or has a component `.` or `..`;
    /// [`Limit`](ErrorKind::Limit) if it is longer or deeper than may be.
    pub fn new(raw: &str) -> Result<Self> {
        if raw.is_empty() {
            let fault = Error::new(ErrorKind::Invalid, "a lock path must not be empty");
            return Err(fault.with_hint("the path above everything is /"));
        }
        let mut text = String::with_capacity(raw.len() + 2);
        text.push('/');
        let mut depth = 0_usize;
        for part in raw.split('/').filter(|part| !part.is_empty()) {
            if matches!(part, "." | "..") {
                let fault = format!("lock path {raw:?} has a component {part:?}");
                let fault = Error::new(ErrorKind::Invalid, fault);
                return Err(fault.with_hint("write out the path from the root"));
            }
            text.push_str(part);
            text.push('/');
            depth += 1;
        }
        let path = Self(text.into());
        let len = path.as_str().len();
        let limit = |what: String| Err(Error::new(ErrorKind::Limit, what));
        match (len, depth) {
            (len, _) if len > Self::MAX_LEN => {
                let most = Self::MAX_LEN;
                limit(format!("lock path of {len} bytes is over the limit of {most} bytes"))
            }
            (_, depth) if depth > Self::MAX_DEPTH => {
                let most = Self::MAX_DEPTH;
                limit(format!("lock path of {depth} components is over the limit of {most}"))
            }
            _ => Ok(path),
        }
    }

    /// The path above everything.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The path with a slash in front and none behind; `/` for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self.0.strip_suffix('/') {
            Some("") | None => "/",
            Some(text) => text,
        }
    }

    /// Its components, the topmost first; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The path right above; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (above, _) = self.as_str().rsplit_once('/')?;
        (self.text() != "/").then(|| Self(format!("{above}/").into()))
    }

    /// Whether `other` is this path or below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(self.text())
    }

    /// The text that paths are ordered by: what this path covers follows it without a gap.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The texts of the paths above it, the root first.
    pub(super) fn above(&self) -> impl Iterator<Item = &str> {
        let own = self.0.len();
        self.0
            .match_indices('/')
            .map(move |(at, _)| &self.0[..=at])
            .filter(move |above| above.len() < own)
    }
}

impl fmt::Display for LockPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for LockPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for LockPath {
    type Err = Error;
    fn from_str(raw: &str) -> Result<Self> {
        Self::new(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> LockPath {
        LockPath::new(raw).unwrap_or_else(|e| panic!("{raw:?} is a path: {e:?}"))
    }

    #[test]
    fn ruling_9_slashes_in_front_twice_and_behind_mean_nothing() {
        for raw in ["a/b", "/a/b", "//a//b//", "a/b/"] {
            assert_eq!(path(raw).as_str(), "/a/b", "{raw} is the same path");
        }
        for raw in ["/", "//"] {
            assert_eq!((path(raw).as_str(), path(raw).parent()), ("/", None), "{raw} is the root");
        }
        assert_eq!(path("/"), LockPath::root(), "which has a name");
    }

    #[test]
    fn ruling_9_dots_and_nothing_at_all_are_refused() {
        for raw in ["", ".", "..", "/a/../b", "a/.", "/./a"] {
            let kind = LockPath::new(raw).map_err(|e| e.kind());
            assert_eq!(kind, Err(ErrorKind::Invalid), "{raw:?} is no path");
        }
        for raw in ["...", "/.a", "/a./b", "a..b"] {
            assert!(LockPath::new(raw).is_ok(), "{raw:?} only has dots in its names");
        }
    }

    #[test]
    fn length_and_depth_have_limits() {
        let longest = "x".repeat(LockPath::MAX_LEN - 1);
        assert_eq!(path(&longest).as_str().len(), LockPath::MAX_LEN, "slash included");
        let deepest = "x/".repeat(LockPath::MAX_DEPTH);
        assert_eq!(path(&deepest).components().count(), LockPath::MAX_DEPTH, "the deepest path");
        for raw in [longest + "x", deepest + "x"] {
            let kind = LockPath::new(&raw).map_err(|e| e.kind());
            assert_eq!(kind, Err(ErrorKind::Limit), "{} bytes are over a limit", raw.len());
        }
    }

    #[test]
    fn what_is_above_and_below_goes_by_components() {
        let above: Vec<_> = path("/a/b/c").above().map(str::to_owned).collect();
        assert_eq!(above, ["/", "/a/", "/a/b/"], "the root first, itself not");
        assert_eq!(path("/a/b").parent(), Some(path("/a")), "one up");
        assert_eq!(path("/a").parent(), Some(LockPath::root()), "the root is above all");
        assert!(path("/a").covers(&path("/a/b")) && path("/a").covers(&path("/a")), "a subtree");
        assert!(!path("/a").covers(&path("/ab")), "a longer name is another component");
        assert!(LockPath::root().covers(&path("/ab")), "the root covers everything");
    }
}
