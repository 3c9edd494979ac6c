//! First committer wins: what a transaction writes, and what it has read where that counts, must be as
//! it was when the transaction began.

use std::collections::BTreeSet;

use super::commit::Due;
use super::reads::ReadSet;
use super::{Part, Publisher};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Place, Run};
use crate::kv::show_key;
use crate::name::BranchName;
use crate::view::Found;

impl Publisher {
    /// Refuses if what a part rests on is not as it was. `known` says up to where the reads of each
    /// part were looked at already.
    pub(super) fn check_conflicts(
        &self,
        due: &[Due<'_, '_>],
        known: &[Option<Place>],
    ) -> Result<()> {
        let mut lost = Vec::new();
        for (due, known) in due.iter().zip(known) {
            let Some(seen) = &due.part.seen else { continue };
            let is_moved = |turn| seen.at != due.head.place || turn != self.graph.purge_turn();
            if seen.unmoved.is_some_and(is_moved) {
                let text = format!("{} moved on since the transaction began", due.part.branch);
                return Err(Error::new(ErrorKind::Conflict, text).with_hint("run it again"));
            }
            let mut keys = BTreeSet::new();
            if seen.first_wins {
                let pairs: Vec<_> = due.part.keys().into_iter().zip(&due.rows).collect();
                self.add_written(due, seen.at, &pairs, &mut keys)?;
            }
            let locked: Vec<_> = seen.locked.iter().zip(&due.locked).collect();
            for group in locked.chunk_by(|(a, _), (b, _)| a.base == b.base) {
                let pairs: Vec<_> =
                    group.iter().map(|(locked, row)| (locked.key.as_slice(), *row)).collect();
                self.add_written(due, group[0].0.base, &pairs, &mut keys)?;
            }
            self.add_read(&seen.reads, (known.unwrap_or(seen.at), due.head.place), &mut keys)?;
            if !keys.is_empty() {
                lost.push((&due.part.branch, keys));
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(conflict(lost)) }
    }

    /// Looks without the commit lock at what a part has read, so that little is left to be done under
    /// it. The commit up to which all is as it was; `None` if that has to be found out under the lock.
    pub(super) fn check_early(&self, part: &Part) -> Result<Option<Place>> {
        let Some(seen) = part.seen.as_ref().filter(|seen| !seen.reads.is_empty()) else {
            return Ok(None);
        };
        let head = self.branch_head(&part.branch)?;
        let mut lost = BTreeSet::new();
        if self.graph.first_parents(seen.at, head)?.is_some() {
            self.add_read(&seen.reads, (seen.at, head), &mut lost)?;
            if lost.is_empty() {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Adds those keys that were written after `base`. The keys are sorted, and come with what the
    /// branch's line has of them now.
    fn add_written(
        &self,
        due: &Due<'_, '_>,
        base: Place,
        pairs: &[(&[u8], &Option<Found<'_>>)],
        lost: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let head = due.head.place;
        if pairs.is_empty() || head == base {
            return Ok(());
        }
        let wanted = |key: &[u8]| pairs.binary_search_by(|(k, _)| (*k).cmp(key)).is_ok();
        let Some(runs) = self.graph.first_parents(base, head)? else {
            return self.add_differing(base, head, wanted, lost);
        };
        let mut absent = BTreeSet::new();
        for (key, row) in pairs {
            match row {
                Some(row) if row.written_at(&self.graph)? > base.seq => {
                    lost.insert(key.to_vec());
                }
                Some(_) => {}
                None => {
                    absent.insert(*key);
                }
            }
        }
        // A row says when it was written, a deletion too. Only below the branch's own line a deletion
        // may be gone, because layers were merged; the log knows of it.
        let fixed: Vec<Run> = runs.into_iter().filter(|run| run.line != due.line).collect();
        if absent.is_empty() {
            return Ok(());
        }
        self.add_touched(&fixed, |key| absent.contains(key), Decided::Passed, lost)
    }

    /// Adds those keys of a read set that commits between two places changed.
    fn add_read(
        &self,
        reads: &ReadSet,
        (base, head): (Place, Place),
        lost: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        if reads.is_empty() || head == base {
            return Ok(());
        }
        self.add_between((base, head), |key| reads.contains(key), lost)
    }

    /// Adds the wanted keys that may differ between two commits of a branch.
    pub(super) fn add_between(
        &self,
        (base, head): (Place, Place),
        wanted: impl Fn(&[u8]) -> bool,
        lost: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        match self.graph.first_parents(base, head)? {
            Some(runs) => self.add_touched(&runs, wanted, Decided::Passed, lost),
            None => self.add_differing(base, head, wanted, lost),
        }
    }

    /// The branch was moved away from what the transaction saw: what counts is what one of the two
    /// commits has in its history and the other has not.
    fn add_differing(
        &self,
        base: Place,
        head: Place,
        wanted: impl Fn(&[u8]) -> bool,
        lost: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let difference = self.graph.difference(base, head)?;
        for runs in [&difference.only_first, &difference.only_second] {
            self.add_touched(runs, &wanted, Decided::Counted, lost)?;
        }
        Ok(())
    }

    /// Adds the wanted keys that commits of these runs changed.
    fn add_touched(
        &self,
        runs: &[Run],
        wanted: impl Fn(&[u8]) -> bool,
        decided: Decided,
        out: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        for seq in self.graph.commits_of(runs)? {
            self.graph.visit(
                seq,
                |_| {},
                |change| {
                    let counts = !change.decided || decided == Decided::Counted;
                    if counts && wanted(&change.key) {
                        out.insert(change.key);
                    }
                },
            )?;
        }
        Ok(())
    }
}

/// Whether a key that a merge decided, and so left as its first parent had it, counts as changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decided {
    Counted,
    Passed,
}

fn conflict(lost: Vec<(&BranchName, BTreeSet<Vec<u8>>)>) -> Error {
    let changed: Vec<String> = lost
        .iter()
        .map(|(branch, keys)| {
            let named: Vec<_> = keys.iter().take(3).map(|key| show_key(key)).collect();
            let more = keys.len().saturating_sub(3);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{rest} changed on {branch}", named.join(", "))
        })
        .collect();
    let text = format!("{} since the transaction began", changed.join("; "));
    Error::new(ErrorKind::Conflict, text)
        .with_hint("run the transaction again; `Store::run` does so by itself")
        .with_keys(lost.into_iter().flat_map(|(_, keys)| keys).collect())
}
