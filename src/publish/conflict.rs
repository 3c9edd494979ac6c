//! First committer wins: what a transaction writes must be as it was when the transaction began.

use std::collections::BTreeSet;

use super::Publisher;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Place, Run};
use crate::id::LineId;
use crate::kv::show_key;
use crate::name::BranchName;
use crate::view::Found;

impl Publisher {
    /// Refuses if a key was written after what the transaction saw. `wanted` is sorted; `old` is what
    /// the branch's line, `line`, has of each key now.
    pub(super) fn check_conflicts(
        &self,
        branch: &BranchName,
        line: LineId,
        base: Place,
        wanted: &[&[u8]],
        old: &[Option<Found<'_>>],
    ) -> Result<()> {
        let head = self.graph.head(line)?.place;
        let mut lost = BTreeSet::new();
        match self.graph.first_parents(base, head)? {
            Some(runs) => {
                let mut absent = Vec::new();
                for (&key, old) in wanted.iter().zip(old) {
                    match old {
                        Some(old) if old.written_at(&self.graph)? > base.seq => {
                            lost.insert(key.to_vec());
                        }
                        Some(_) => {}
                        None => absent.push(key),
                    }
                }
                // A row says when it was written, a deletion too. Only below the branch's own line a
                // deletion may be gone, because layers were merged; the log knows of it.
                let fixed: Vec<Run> = runs.into_iter().filter(|run| run.line != line).collect();
                if !absent.is_empty() {
                    self.add_touched(&fixed, &absent, Decided::Passed, &mut lost)?;
                }
            }
            None => {
                // The branch was moved away from what the transaction saw: what counts is what one of
                // the two commits has in its history and the other has not.
                let difference = self.graph.difference(base, head)?;
                for runs in [&difference.only_first, &difference.only_second] {
                    self.add_touched(runs, wanted, Decided::Counted, &mut lost)?;
                }
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(conflict(branch, lost)) }
    }

    /// Adds those of some sorted keys that commits of these runs changed.
    fn add_touched(
        &self,
        runs: &[Run],
        wanted: &[&[u8]],
        decided: Decided,
        out: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        for seq in self.graph.commits_of(runs)? {
            self.graph.visit(
                seq,
                |_| {},
                |change| {
                    let counts = !change.decided || decided == Decided::Counted;
                    if counts && wanted.binary_search(&change.key.as_slice()).is_ok() {
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

fn conflict(branch: &BranchName, lost: BTreeSet<Vec<u8>>) -> Error {
    let named: Vec<_> = lost.iter().take(3).map(|key| show_key(key)).collect();
    let more = lost.len().saturating_sub(3);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text =
        format!("{}{rest} changed on {branch} since the transaction began", named.join(", "));
    Error::new(ErrorKind::Conflict, text)
        .with_hint("run the transaction again; `Store::run` does so by itself")
        .with_keys(lost.into_iter().collect())
}
