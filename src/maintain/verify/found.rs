//! Where findings come together: the first ones in order are kept, the rest is counted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::report::{Check, Finding};
use crate::error::Error;
use crate::format::Family;
use crate::id::{LineId, Seq};

/// Where something is, and what it touches if that is known at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) family: &'static str,
    pub(super) line: Option<LineId>,
    pub(super) seq: Option<Seq>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) branch: Option<String>,
    pub(super) tag: Option<String>,
}

impl Site {
    pub(super) fn of(family: Family) -> Self {
        Self { family: family.name(), ..Self::default() }
    }

    pub(super) fn commit(seq: Seq) -> Self {
        Self::of(Family::Log).seq(seq)
    }

    pub(super) fn line(mut self, line: LineId) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn seq(mut self, seq: Seq) -> Self {
        self.seq = Some(seq);
        self
    }

    pub(super) fn key(mut self, key: &[u8]) -> Self {
        self.key = Some(key.to_vec());
        self
    }

    pub(super) fn branch(mut self, name: &str) -> Self {
        self.branch = Some(name.to_owned());
        self
    }

    pub(super) fn tag(mut self, name: &str) -> Self {
        self.tag = Some(name.to_owned());
        self
    }
}

/// Branches and tags that read what is wrong, where that is known at once.
#[derive(Default)]
pub(super) struct Touched {
    branches: Vec<String>,
    tags: Vec<String>,
    more: u64,
}

impl Touched {
    /// So many names are listed of each kind.
    pub(super) const MOST: usize = 20;

    pub(super) fn new<'n>(
        branches: impl Iterator<Item = &'n String>,
        tags: impl Iterator<Item = &'n String>,
    ) -> Self {
        let (mut branches, mut tags): (Vec<_>, Vec<_>) =
            (branches.cloned().collect(), tags.cloned().collect());
        let beyond = |names: &[String]| names.len().saturating_sub(Self::MOST) as u64;
        let more = beyond(&branches) + beyond(&tags);
        branches.truncate(Self::MOST);
        tags.truncate(Self::MOST);
        Self { branches, tags, more }
    }
}

/// All findings so far.
pub(super) struct Findings {
    kept: Mutex<BTreeSet<Finding>>,
    found: AtomicU64,
    limit: usize,
    muted: bool,
}

impl Findings {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), found: AtomicU64::new(0), limit, muted: false }
    }

    /// One that forgets everything: for rows that are read a second time.
    pub(super) fn muted() -> Self {
        Self { muted: true, ..Self::new(0) }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Adds a finding: the kind, the invariant that does not hold, where, and what.
    pub(super) fn add(&self, check: Check, invariant: u16, site: Site, what: impl Into<String>) {
        let touched = Touched {
            branches: site.branch.iter().cloned().collect(),
            tags: site.tag.iter().cloned().collect(),
            more: 0,
        };
        self.add_touching((check, invariant), site, what, touched);
    }

    /// Adds a finding of which is known what it touches.
    pub(super) fn add_touching(
        &self,
        (check, invariant): (Check, u16),
        site: Site,
        what: impl Into<String>,
        touched: Touched,
    ) {
        if self.muted {
            return;
        }
        let finding = Finding {
            check,
            invariant,
            family: site.family,
            line: site.line.map(LineId::get),
            seq: site.seq,
            key: site.key,
            what: what.into(),
            branches: touched.branches,
            tags: touched.tags,
            more: touched.more,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.insert(finding) {
            self.found.fetch_add(1, Ordering::Relaxed);
        }
        if kept.len() > self.limit {
            kept.pop_last();
        }
    }

    /// Counts findings that are not kept one by one.
    pub(super) fn count(&self, more: u64) {
        self.found.fetch_add(more, Ordering::Relaxed);
    }

    /// A row that cannot be read.
    pub(super) fn unreadable(&self, site: Site, e: &Error) {
        self.add(Check::Readable, 59, site, format!("rows cannot be read: {}", told(e)));
    }

    /// A row that does not decode.
    pub(super) fn malformed(&self, site: Site, why: impl std::fmt::Display) {
        self.add(Check::Form, 59, site, format!("a row does not decode: {why}"));
    }

    pub(super) fn into_sorted(self) -> (Vec<Finding>, u64) {
        let kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        (kept.into_iter().collect(), self.found.into_inner())
    }
}

/// An error with its causes.
pub(super) fn told(e: &Error) -> String {
    let mut out = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        out.push_str(": ");
        out.push_str(&cause.to_string());
        source = cause.source();
    }
    out
}
