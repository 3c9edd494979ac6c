//! Revs: text that names a commit.
//!
//! | rev | names |
//! |---|---|
//! | `main` | head of a branch; a tag or the start of a commit id, if there is no such branch |
//! | `heads/main`, `tags/v1` | the branch, the tag, whatever else has the name |
//! | `@`, `HEAD` | head of the active branch |
//! | `seq:120` | the commit with this sequence |
//! | `1f0c` | the commit whose id starts so (four or more hexadecimal digits) |
//! | `main@{2026-11-20T10:00:00Z}` | what the branch, as it is now, had as newest commit then |
//! | `REV~3` | three first parents back |
//! | `REV^2` | the second parent; `REV^` is the first |

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Place};
use crate::id::{LineId, Seq};
use crate::refs::Refs;

/// Shortest start of a commit id that is looked up.
const MIN_ID_DIGITS: usize = 4;

/// What is needed to resolve revs.
pub(crate) struct Resolver<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) refs: &'a Refs,
    pub(crate) visible: Seq,
    pub(crate) now: Timestamp,
}

impl Resolver<'_> {
    /// The commit that a rev names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it names none, [`ErrorKind::HistoryGone`] if it names one that is gone,
    /// [`ErrorKind::Invalid`] if it is not a rev or names several.
    pub(crate) fn resolve(&self, rev: &str) -> Result<Place> {
        let end = [rev.find('~'), rev.find('^'), rev.find("@{")].into_iter().flatten().min();
        let (base, mut rest) = rev.split_at(end.unwrap_or(rev.len()));
        let mut place = match (base, rest.starts_with("@{")) {
            ("", true) => self.base("@", rev)?,
            (base, _) => self.base(base, rev)?,
        };
        if let Some(time) = rest.strip_prefix("@{") {
            let (time, after) =
                time.split_once('}').ok_or_else(|| malformed(rev, "`@{` without `}`"))?;
            if !self.is_branch(base)? {
                return Err(malformed(rev, "a time goes with a branch only"));
            }
            rest = after;
            place = self.at_time(place, time, rev)?;
        }
        while let Some(step) = rest.chars().next() {
            if !matches!(step, '~' | '^') {
                return Err(malformed(rev, "expected `~`, `^` or the end"));
            }
            let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest[1..].split_at(digits);
            let number: u64 = if number.is_empty() {
                1
            } else {
                number.parse().map_err(|_| malformed(rev, "the number is too large"))?
            };
            place = if step == '^' {
                self.parent(place, number, rev)?
            } else {
                self.graph
                    .back(place, number)?
                    .ok_or_else(|| absent(format!("{rev}: history does not go back that far")))?
            };
            rest = after;
        }
        self.graph.check_there(place)?;
        Ok(place)
    }

    /// Whether a base that names a commit names it by a branch.
    fn is_branch(&self, base: &str) -> Result<bool> {
        Ok(matches!(base, "" | "@" | "HEAD")
            || base.starts_with("heads/")
            || self.refs.find_branch(base)?.is_some())
    }

    fn base(&self, base: &str, rev: &str) -> Result<Place> {
        if matches!(base, "@" | "HEAD") {
            return self.branch_head(self.refs.active()?.as_str());
        }
        if let Some(name) = base.strip_prefix("heads/")
            && self.refs.find_branch(base)?.is_none()
        {
            return self.branch_head(name);
        }
        if let Some(name) = base.strip_prefix("tags/")
            && self.refs.find_branch(base)?.is_none()
        {
            let tag =
                self.refs.find_tag(name)?.ok_or_else(|| absent(format!("no tag {name:?}")))?;
            return Ok(tag.at.into());
        }
        if let Some(number) = base.strip_prefix("seq:") {
            let digits = number.bytes().all(|b| b.is_ascii_digit()).then_some(number);
            let seq = digits.and_then(|digits| digits.parse().ok());
            return self
                .seq(Seq::new(seq.ok_or_else(|| malformed(rev, "no number after `seq:`"))?));
        }
        if base.is_empty() {
            return Err(malformed(rev, "it is empty"));
        }
        if self.refs.find_branch(base)?.is_some() {
            return self.branch_head(base);
        }
        if let Some(tag) = self.refs.find_tag(base)? {
            return Ok(tag.at.into());
        }
        if (MIN_ID_DIGITS..=64).contains(&base.len()) && base.bytes().all(|b| b.is_ascii_hexdigit())
        {
            let found = self.graph.by_id(&base.to_ascii_lowercase(), self.visible)?;
            match found.as_slice() {
                [] => {}
                [seq] => return self.graph.place(*seq),
                _ => {
                    return Err(
                        malformed(rev, "several commit ids start so").with_hint("give more digits")
                    );
                }
            }
        }
        Err(absent(format!("no branch, tag or commit {base:?}")))
    }

    fn branch_head(&self, name: &str) -> Result<Place> {
        Ok(self.graph.head(LineId::new(self.refs.branch(name)?.line))?.place)
    }

    /// The commit with this sequence.
    pub(crate) fn seq(&self, seq: Seq) -> Result<Place> {
        let newest = self.visible;
        if seq > newest {
            return Err(absent(format!("commit {seq} is not there, the newest is {newest}")));
        }
        let place = self.graph.place(seq)?;
        self.graph.check_there(place)?;
        Ok(place)
    }

    fn parent(&self, place: Place, number: u64, rev: &str) -> Result<Place> {
        if number == 0 {
            return Ok(place);
        }
        let header = self.graph.header(place.seq)?;
        let at = usize::try_from(number - 1).ok();
        let parent = at.and_then(|at| header.parents.get(at)).ok_or_else(|| {
            absent(format!("{rev}: commit {} has {} parents", place.seq, header.parents.len()))
        })?;
        Ok(Place { line: LineId::new(parent.line), seq: Seq::new(parent.seq) })
    }

    /// The newest commit at or before a time on the first parents of a commit. Times never run
    /// backwards in a store, so the sequence is found by halving.
    fn at_time(&self, head: Place, text: &str, rev: &str) -> Result<Place> {
        let time: Timestamp =
            text.parse().map_err(|e| malformed(rev, "the time cannot be read").because(e))?;
        // A clock that was set back does not put commits that are there into the future.
        let newest = Timestamp::from_millis(self.graph.header(self.visible)?.time);
        if time > self.now.max(newest) {
            return Err(absent(format!("{rev}: the time is in the future")));
        }
        let last = self.graph.last_until(time, head.seq)?;
        let place = self.graph.at_or_before(head.line, last)?;
        // When commits were made that are gone is not known.
        match self.graph.find_header(place.seq)? {
            Some(_) => Ok(place),
            None => Err(self.graph.is_gone(place.seq)),
        }
    }
}

fn absent(message: String) -> Error {
    Error::new(ErrorKind::NotFound, message)
        .with_hint("`withy branch`, `withy tag` and `withy log` list what there is")
}

fn malformed(rev: &str, fault: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{rev:?} is not a rev: {fault}")).with_hint(
        "a rev is a branch, a tag, `@`, `seq:N`, `NAME@{TIME}` or a commit id, then `~N` or `^N`",
    )
}
