//! Merges that wait: listed, settled piece by piece, continued, forgotten.

use std::collections::BTreeSet;

use super::open::{self, Open, OpenConflict, OpenMerge, Wanted, none_open};
use super::options::{ContinueOptions, MergeOptions};
use super::policy::{Resolved, refused};
use super::report::MergeReport;
use super::run::{Job, Merger};
use crate::error::{Error, Result};
use crate::format::merge::OpenConflictRecord;
use crate::graph::Place;
use crate::id::Seq;
use crate::kv::{KeyRange, check_key};
use crate::name::BranchName;
use crate::progress::Meter;
use crate::publish::{CommitOptions, MAX_AUTHOR_LEN, Publisher, StateRows, check_text};
use crate::sides::Resolution;

/// Resolutions for conflicts of an open merge.
pub(crate) enum Made<'a> {
    Keys(Vec<(Vec<u8>, Resolution)>),
    /// One for all conflicts in a range; none takes theirs back.
    Range(&'a KeyRange, Option<Resolution>),
}

impl Merger<'_> {
    /// Goes on with the merge that is open on a branch.
    pub(crate) fn proceed(
        &self,
        publisher: &Publisher,
        target: &BranchName,
        options: ContinueOptions<'_>,
    ) -> Result<MergeReport> {
        let ContinueOptions { commit, mut meter } = options;
        let open = self.load(target, Wanted::All)?;
        let action = open.record.action.into();
        let source = open.record.source.clone();
        let options = MergeOptions::from_record(action, &open.record.options, &commit);
        let incoming = open::places(&open.record);
        let open = Some(open);
        let job = Job { action, target, source: &source, incoming, options: &options, open };
        self.land(publisher, &job, &mut meter)
    }

    fn load(&self, target: &BranchName, wanted: Wanted<'_>) -> Result<Open> {
        Open::load(self.graph.engine(), target.as_str(), wanted)?.ok_or_else(|| none_open(target))
    }

    /// Forgets the merge that is open on a branch.
    pub(crate) fn abort(&self, publisher: &Publisher, target: &BranchName) -> Result<OpenMerge> {
        publisher.update_state(|| {
            let open = self.load(target, Wanted::All)?;
            let rows = open::difference(target.as_str(), Some(&open), None);
            Ok((rows, open.describe(target.clone())))
        })
    }

    /// The merge that is open on a branch.
    pub(crate) fn open_merge(&self, target: &BranchName) -> Result<Option<OpenMerge>> {
        let open = Open::load(self.graph.engine(), target.as_str(), Wanted::All)?;
        Ok(open.map(|open| open.describe(target.clone())))
    }

    /// All open merges, by branch.
    pub(crate) fn open_merges(&self) -> Result<Vec<OpenMerge>> {
        let mut out = Vec::new();
        for name in Open::branches(self.graph.engine())? {
            out.extend(self.open_merge(&BranchName::new(&name)?)?);
        }
        Ok(out)
    }

    /// The conflicts of the merge that is open on a branch, against where the branch is now.
    pub(crate) fn conflicts(
        &self,
        target: &BranchName,
        head: Place,
        range: &KeyRange,
    ) -> Result<Vec<OpenConflict>> {
        let engine = self.graph.engine();
        let open = self.load(target, Wanted::All)?;
        let mut all = if Place::from(open.record.ours) == head {
            open.list(engine)?
        } else {
            self.conflicts_now(target, head, open)?.0
        };
        all.retain(|one| range.contains(&one.conflict.key));
        Ok(all)
    }

    /// The conflicts as they are after the target has moved, and the incoming commit that those which
    /// are not settled are about.
    fn conflicts_now(
        &self,
        target: &BranchName,
        head: Place,
        open: Open,
    ) -> Result<(Vec<OpenConflict>, Option<Seq>, BTreeSet<Seq>)> {
        let action = open.record.action.into();
        let source = open.record.source.clone();
        let options =
            MergeOptions::from_record(action, &open.record.options, &CommitOptions::default());
        let incoming = open::places(&open.record);
        let job =
            Job { action, target, source: &source, incoming, options: &options, open: Some(open) };
        let policy = self.policy(&job)?;
        let draft = self.draft(&job, &policy, head, &mut Meter::default())?;
        let stopped_at = draft.report.stopped_at;
        let at = stopped_at.unwrap_or(head.seq);
        let mut out: Vec<OpenConflict> = Vec::new();
        for (at, conflict) in draft.resolved {
            let resolution = policy.resolution(at, &conflict.key).map(Resolved::describe);
            out.push(OpenConflict { conflict, at, resolution });
        }
        let unresolved = draft.report.conflicts.into_iter();
        out.extend(unresolved.map(|conflict| OpenConflict { conflict, at, resolution: None }));
        out.sort_by(|a, b| (a.at, &a.conflict.key).cmp(&(b.at, &b.conflict.key)));
        Ok((out, stopped_at, draft.visited))
    }

    /// Settles conflicts of the merge that is open on a branch; says how many.
    pub(crate) fn resolve(
        &self,
        publisher: &Publisher,
        target: &BranchName,
        made: Made<'_>,
        by: Option<&str>,
    ) -> Result<u64> {
        let by = by.unwrap_or(self.author);
        check_text("author", by, MAX_AUTHOR_LEN)?;
        publisher.update_state(|| {
            self.graph.must_not_be_purging()?;
            let head = publisher.branch_head(target)?;
            let mut rows = StateRows::new();
            let mut old = self.load(target, Wanted::None)?;
            let mut new;
            if Place::from(old.record.ours) == head {
                // Only the conflicts in question are read, however many there are.
                old = match &made {
                    Made::Range(range, _) => self.load(target, Wanted::Range(range))?,
                    Made::Keys(all) => {
                        let keys: Vec<&[u8]> = all.iter().map(|(key, _)| key.as_slice()).collect();
                        self.load(target, Wanted::Keys(&keys))?
                    }
                };
                new = old.clone();
            } else {
                old = self.load(target, Wanted::All)?;
                new = self.refresh(publisher, target, head, old.clone(), &mut rows)?;
            }
            let count = self.settle(&mut new, &made, by, publisher, &mut rows)?;
            rows.extend(open::difference(target.as_str(), Some(&old), Some(&new)));
            Ok((rows, count))
        })
    }

    /// An open merge with its conflicts as they are now.
    fn refresh(
        &self,
        publisher: &Publisher,
        target: &BranchName,
        head: Place,
        old: Open,
        rows: &mut StateRows,
    ) -> Result<Open> {
        let mut new = old.clone();
        new.record.ours = head.into();
        new.conflicts.clear();
        let (conflicts, stopped_at, visited) = self.conflicts_now(target, head, old.clone())?;
        // Steps that are not reached now keep what was settled for them.
        let kept = |place: &(Seq, Vec<u8>), one: &OpenConflictRecord| {
            one.resolution.is_some() && !visited.contains(&place.0)
        };
        let later = old.conflicts.into_iter().filter(|(place, one)| kept(place, one));
        new.conflicts.extend(later);
        // Incoming commits come in the order that was asked for, which need not be that of sequences.
        new.record.at = stopped_at.map_or(new.record.at, Seq::get);
        for one in conflicts {
            let resolution = match &one.resolution {
                None => None,
                Some(made) => {
                    let resolved = Resolved::again(made);
                    Some(open::write_resolution(&resolved, publisher.blob_threshold(), rows)?)
                }
            };
            let stored = OpenConflictRecord { conflict: (&one.conflict).into(), resolution };
            new.conflicts.insert((one.at, one.conflict.key), stored);
        }
        Ok(new)
    }

    fn settle(
        &self,
        open: &mut Open,
        made: &Made<'_>,
        by: &str,
        publisher: &Publisher,
        rows: &mut StateRows,
    ) -> Result<u64> {
        let time = self.now;
        let at = Seq::new(open.record.at);
        let mut settle = |one: &mut OpenConflictRecord, resolution: Option<&Resolution>| {
            one.resolution = match resolution {
                None => None,
                Some(resolution) => {
                    let resolution = resolution.clone();
                    let resolved = Resolved { resolution, made_for: None, by: by.to_owned(), time };
                    Some(open::write_resolution(&resolved, publisher.blob_threshold(), rows)?)
                }
            };
            Ok::<_, Error>(())
        };
        let mut wrong = Vec::new();
        let mut no_base = Vec::new();
        let mut count = 0;
        let takes_base = |resolution: &Resolution| *resolution == Resolution::Base;
        match made {
            Made::Keys(all) => {
                let mut seen = BTreeSet::new();
                for (key, resolution) in all {
                    check_key(key)?;
                    if !seen.insert(key) {
                        return Err(refused(vec![key.clone()], "two resolutions for one key"));
                    }
                    match open.conflicts.get_mut(&(at, key.clone())) {
                        None => wrong.push(key.clone()),
                        Some(one) if takes_base(resolution) && one.conflict.bases.len() > 1 => {
                            no_base.push(key.clone());
                        }
                        Some(one) => settle(one, Some(resolution))?,
                    }
                    count += 1;
                }
            }
            Made::Range(range, resolution) => {
                let inside = |(one_at, key): &(Seq, Vec<u8>)| *one_at == at && range.contains(key);
                for (place, one) in &mut open.conflicts {
                    if !inside(place) {
                        continue;
                    }
                    if resolution.as_ref().is_some_and(takes_base) && one.conflict.bases.len() > 1 {
                        no_base.push(place.1.clone());
                        continue;
                    }
                    settle(one, resolution.as_ref())?;
                    count += 1;
                }
            }
        }
        if !wrong.is_empty() {
            return Err(refused(wrong, "not in conflict")
                .with_hint("`withy conflicts` lists the conflicts"));
        }
        if !no_base.is_empty() {
            return Err(refused(no_base, "the merge bases disagree, so there is no base value")
                .with_hint("take another side, or give a value"));
        }
        Ok(count)
    }
}
