//! One commit: its parts, its changes, its id, and what it says of its content.

use super::Context;
use super::found::{Findings, Site};
use super::gone::{Must, Needed};
use super::lines::Lines;
use super::report::Check;
use super::rows::Item;
use super::sums::Sink;
use crate::format::commit::{
    Change, FingerprintSum, Header, IdHasher, fingerprint_of, read_changes,
};
use crate::format::merge::{read_first_details, read_further_details};
use crate::format::{Family, keys, record};
use crate::graph::Place;
use crate::id::{Fingerprint, LineId, Seq};
use crate::kv::{check_key, show_key};

/// What is needed of a commit to judge its children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub(super) line: LineId,
    pub(super) seq: Seq,
    pub(super) id: [u8; 32],
    fingerprint: Fingerprint,
    keys: u64,
    rows: u64,
}

impl Parent {
    pub(super) fn of(seq: Seq, header: &Header) -> Self {
        Self {
            line: LineId::new(header.line),
            seq,
            id: header.id,
            fingerprint: header.content(),
            keys: header.keys,
            rows: header.rows,
        }
    }
}

/// A commit while its parts are read.
pub(super) struct Judge {
    pub(super) seq: Seq,
    pub(super) line: LineId,
    pub(super) header: Header,
    parent: Option<Parent>,
    /// Whether its changes are not all known.
    pub(super) broken: bool,
    /// Whether its parts are not one behind the other.
    misplaced: bool,
    quick: bool,
    needed: Needed,
    hasher: IdHasher,
    sum: FingerprintSum,
    keys: i128,
    changes: u64,
    /// Changes that are rows: all but what was only decided.
    versions: u64,
    further: u32,
    last: Vec<u8>,
}

impl Judge {
    pub(super) fn new(
        (seq, header): (Seq, Header),
        parent: Option<Parent>,
        needed: Needed,
        quick: bool,
    ) -> Self {
        let start = parent.map_or(Fingerprint::EMPTY, |parent| parent.fingerprint);
        Self {
            seq,
            line: LineId::new(header.line),
            broken: false,
            misplaced: false,
            quick,
            needed,
            hasher: IdHasher::new(),
            sum: FingerprintSum::new(start),
            keys: parent.map_or(0, |parent| i128::from(parent.keys)),
            changes: 0,
            versions: 0,
            further: 0,
            last: Vec::new(),
            header,
            parent,
        }
    }

    fn site(&self) -> Site {
        Site::commit(self.seq).line(self.line)
    }

    /// A further part has come.
    pub(super) fn further(&mut self, part: u32) {
        self.further += 1;
        self.misplaced |= part != self.further;
    }

    /// Takes the changes of a part.
    pub(super) fn part(
        &mut self,
        changes: &[u8],
        (context, findings): (&Context<'_>, &Findings),
        sink: &mut impl Sink,
    ) {
        if !self.quick {
            self.hasher.part(changes);
        }
        let read = read_changes(changes, |change| {
            self.change(&change, (context, findings), sink);
        });
        if let Err(e) = read {
            findings.malformed(self.site(), e);
            self.broken = true;
        }
    }

    fn change(
        &mut self,
        change: &Change,
        (context, findings): (&Context<'_>, &Findings),
        sink: &mut impl Sink,
    ) {
        let last = self.changes.checked_sub(1).map(|_| self.last.as_slice());
        let fault =
            inv5_change(last, change, || context.fixed.purges.are_before(self.seq, &change.key));
        if let Some(fault) = fault {
            let what =
                format!("commit {}: the change of {} {fault}", self.seq, show_key(&change.key));
            findings.add(Check::Log, 5, self.site().key(&change.key), what);
        }
        self.changes += 1;
        self.last.clone_from(&change.key);
        // What is put again after it was purged has equal hashes, and is a row.
        if change.decided && change.before == change.after {
            return;
        }
        self.versions += 1;
        self.keys += i128::from(change.after.is_some()) - i128::from(change.before.is_some());
        if self.quick {
            return;
        }
        let before = change.before().map(|hash| fingerprint_of(&change.key, &hash));
        let after = change.after().map(|hash| fingerprint_of(&change.key, &hash));
        if let Some(before) = before {
            self.sum.remove_summand(before);
        }
        if let Some(after) = after {
            self.sum.add_summand(after);
        }
        let before = match self.needed.must(&change.key, self.seq, after.is_none()) {
            Must::Whole => before,
            Must::Alone => None,
            Must::Nothing => return,
        };
        sink.take(&Item { line: self.line, seq: self.seq, key: &change.key, before, after });
    }

    /// Judges the whole; true if its rows cannot be judged by it.
    pub(super) fn finish(
        mut self,
        context: &Context<'_>,
        findings: &Findings,
        lines: &Lines,
    ) -> bool {
        let id = std::mem::take(&mut self.hasher).finish(self.seq, &self.header);
        let (seq, header) = (self.seq, &self.header);
        let mut broken = self.broken;
        let fault = |check, invariant, what: String| {
            findings.add(check, invariant, self.site(), format!("commit {seq} {what}"));
        };
        let (bulk, parts) = header.changes_at.parts();
        let wanted = if bulk { 0 } else { parts };
        if self.further != wanted || self.misplaced {
            if !bulk {
                fault(
                    Check::Log,
                    61,
                    format!("has {wanted} further parts, of which {} are there", self.further),
                );
            }
            broken = true;
        }
        if !broken && header.changes != self.changes {
            fault(
                Check::Log,
                5,
                format!("says that it has {} changes, and has {}", header.changes, self.changes),
            );
        }
        if !broken && !self.quick {
            if id != header.commit_id() {
                fault(Check::Log, 7, "has another id than follows from what is stored".to_owned());
            }
            let known = self.parent.is_some() || seq == Seq::ROOT;
            if known && self.sum.get() != header.content() {
                fault(
                    Check::Content,
                    6,
                    "has another fingerprint than its changes come to".to_owned(),
                );
            }
        }
        let known = self.parent.is_some() || seq == Seq::ROOT;
        if !broken && known && self.keys != i128::from(header.keys) {
            fault(
                Check::Content,
                6,
                format!("counts {} keys, its changes come to {}", header.keys, self.keys),
            );
        }
        let rows = self.parent.filter(|parent| parent.line == self.line).map_or(0, |p| p.rows);
        let most = rows.saturating_add(self.versions);
        if !broken && known && !(rows..=most).contains(&header.rows) {
            fault(
                Check::Content,
                66,
                format!(
                    "counts {} rows on its line, after {rows} and {} changes",
                    header.rows, self.versions
                ),
            );
        }
        self.merge(context, findings, lines);
        broken
    }

    /// INV-32, INV-33: what the commit merged, and how that came about.
    fn merge(&self, context: &Context<'_>, findings: &Findings, lines: &Lines) {
        let further: Vec<Place> = self
            .header
            .parents
            .iter()
            .skip(1)
            .map(|p| Place { line: LineId::new(p.line), seq: Seq::new(p.seq) })
            // Lines that are gone are taken out of the row.
            .filter(|place| lines.get(place.line).is_some())
            .collect();
        if !further.is_empty() {
            let row = context.get(Family::Refs, &keys::merge(self.line, self.seq), findings);
            let merged: Option<Vec<crate::format::refs::At>> =
                row.and_then(|row| record::decode("merge", &row).ok());
            let merged: Vec<Place> = merged
                .unwrap_or_default()
                .into_iter()
                .map(Place::from)
                .filter(|place| lines.get(place.line).is_some())
                .collect();
            if !merged.starts_with(&further) {
                let what = format!(
                    "commit {} has more than one parent, and its row of merges does not name them",
                    self.seq
                );
                findings.add(Check::Merges, 32, self.site(), what);
            }
        }
        let Some((parts, hash)) = self.header.changes_at.details() else { return };
        if self.quick {
            return;
        }
        if let Some(fault) = self.details(context, findings, parts, hash) {
            let what = format!("the details of the merge of commit {} {fault}", self.seq);
            findings.add(Check::Merges, 33, self.site(), what);
        }
    }

    fn details(
        &self,
        context: &Context<'_>,
        findings: &Findings,
        parts: u32,
        hash: [u8; 32],
    ) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        let (mut settled, mut wanted) = (0, 0);
        for number in 0..parts {
            let Some(row) =
                context.get(Family::Log, &keys::merge_details(self.seq, number), findings)
            else {
                return Some(format!("have {parts} parts, of which part {number} is missing"));
            };
            hasher.update(&row);
            let read = match number {
                0 => read_first_details(&row).map(|(head, first)| {
                    wanted = head.settled;
                    first.len()
                }),
                _ => read_further_details(&row).map(|more| more.len()),
            };
            match read {
                Ok(more) => settled += more as u64,
                Err(e) => return Some(format!("do not decode: {e}")),
            }
        }
        if *hasher.finalize().as_bytes() != hash {
            return Some("do not hash to what the commit says".to_owned());
        }
        let extra = context.get(Family::Log, &keys::merge_details(self.seq, parts), findings);
        (settled != wanted || extra.is_some())
            .then(|| format!("say {wanted} conflicts, and have {settled}"))
    }
}

/// INV-5: what is wrong with a change that comes after one of another key. The very value that a purge
/// has removed may be put again.
fn inv5_change(
    last: Option<&[u8]>,
    change: &Change,
    was_purged: impl FnOnce() -> bool,
) -> Option<&'static str> {
    if check_key(&change.key).is_err() {
        return Some("has a key that no user can have written");
    }
    if last.is_some_and(|last| last >= change.key.as_slice()) {
        return Some("is not in order");
    }
    if change.decided || change.before != change.after {
        return None;
    }
    (change.after.is_none() || !was_purged()).then_some("changes nothing")
}
