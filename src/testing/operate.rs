//! One operation of a scenario: done, looked at, and written down.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Page;
use super::run::{Chosen, World};
use super::step::Action;
use super::text::show_word;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Seq, ValueHash};
use crate::kv::ChangeKind;
use crate::merge::{
    Conflict, ConflictSide, DriverInput, MergeAction, MergeOptions, MergeOutcome, MergePlan,
    MergeReport, Settled, SettledBy,
};
use crate::publish::CommitOptions;
use crate::store::Store;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Does an operation and writes down what came of it.
pub(super) fn operate(
    world: &mut World,
    action: &Action,
    chosen: Chosen,
    page: &mut Page,
) -> Result<()> {
    let target = action.target().clone();
    let quiet = chosen.quiet;
    let given = chosen.values.clone();
    let before = world.content(&target)?;
    let dry = plan(&world.store, action, &chosen.options);
    let done = perform(&world.store, action, chosen);
    if quiet {
        let report = done?;
        if let Some(report) = &report {
            if report.outcome == MergeOutcome::Conflicts {
                let keys: Vec<String> =
                    report.conflicts.iter().map(|one| show_word(&one.key)).collect();
                let text = format!("{action} has conflicts: {}", keys.join(", "));
                return Err(Error::new(ErrorKind::Precondition, text));
            }
            report.commits.iter().for_each(|&seq| world.number(&target, seq));
        }
        return Ok(());
    }
    page.gap();
    page.line(0, &action.to_string());
    match &done {
        Ok(Some(report)) => {
            report.commits.iter().for_each(|&seq| world.number(&target, seq));
            let after = world.content(&target)?;
            let (before, after) = (&before, &after);
            Sheet { world, page, before, after, given: &given }.report(report, dry.as_ref())?;
            if matches!(report.action, MergeAction::Merge | MergeAction::Squash)
                && report.outcome == MergeOutcome::Committed
            {
                again(world, action, page);
            }
        }
        Ok(None) => page.line(1, "done"),
        Err(error) => {
            page.line(1, &format!("refused: {error}"));
            if !error.keys().is_empty() {
                let keys: Vec<String> = error.keys().iter().map(|key| show_word(key)).collect();
                page.line(1, &format!("keys: {}", keys.join(", ")));
            }
            if dry.as_ref().is_some_and(|dry| !same_error(dry, error)) {
                page.line(1, "! the dry run says something else");
            }
        }
    }
    if !matches!(&done, Ok(Some(_))) && world.content(&target)? != before {
        page.line(1, "! the content has changed all the same");
    }
    Ok(())
}

fn same_error(dry: &Result<MergePlan>, error: &Error) -> bool {
    dry.as_ref().err().is_some_and(|dry| dry.to_string() == error.to_string())
}

/// What a merge would do, before it is done.
fn plan(store: &Store, action: &Action, options: &MergeOptions<'_>) -> Option<Result<MergePlan>> {
    match action {
        Action::Merge { source, target } | Action::Squash { source, target } => {
            Some(store.plan_merge(target.as_str(), source, options.clone()))
        }
        _ => None,
    }
}

fn perform(store: &Store, action: &Action, chosen: Chosen) -> Result<Option<MergeReport>> {
    let options = chosen.options;
    let target = action.target().as_str();
    let revs: Vec<&str> = action.revs().iter().map(String::as_str).collect();
    match action {
        Action::Merge { source, .. } | Action::Squash { source, .. } => {
            store.merge(target, source, options)
        }
        Action::Pick { .. } => store.cherry_pick(target, &revs, options),
        Action::Revert { .. } => store.revert(target, &revs, options),
        Action::Rebase { onto, .. } => store.rebase(target, onto, options),
        Action::Continue { .. } => {
            if !chosen.resolutions.is_empty() {
                store.resolve_conflicts(target, chosen.resolutions, None)?;
            }
            store.continue_merge(target, CommitOptions::default())
        }
        Action::Abort { .. } => return store.abort_merge(target).map(|_| None),
    }
    .map(Some)
}

/// That there is nothing to do a second time.
fn again(world: &World, action: &Action, page: &mut Page) {
    match plan(&world.store, action, &MergeOptions::default()) {
        Some(Ok(plan)) => page.line(1, &format!("again: {}", outcome(&plan.report))),
        Some(Err(error)) => page.line(1, &format!("again: refused: {error}")),
        None => {}
    }
}

fn outcome(report: &MergeReport) -> &'static str {
    match (report.outcome, report.fast_forward) {
        (MergeOutcome::UpToDate, false) => "up to date",
        (MergeOutcome::UpToDate, true) => "up to date, as a fast-forward",
        (MergeOutcome::FastForward, true) => "fast-forward",
        (MergeOutcome::FastForward, false) => "! fast-forward, not flagged as such",
        (MergeOutcome::Committed, false) => "committed",
        (MergeOutcome::Committed, true) => "! committed, flagged as a fast-forward",
        (MergeOutcome::Conflicts, _) if report.open => "conflicts, kept open",
        (MergeOutcome::Conflicts, _) => "conflicts, nothing written",
    }
}

/// What is known when the report of an operation is written down.
struct Sheet<'a> {
    world: &'a World,
    page: &'a mut Page,
    before: &'a Content,
    after: &'a Content,
    /// Values of resolutions.
    given: &'a [Vec<u8>],
}

impl Sheet<'_> {
    fn report(&mut self, report: &MergeReport, dry: Option<&Result<MergePlan>>) -> Result<()> {
        self.page.line(1, outcome(report));
        self.history(report)?;
        let changed = changes(self.before, self.after);
        if !changed.is_empty() {
            self.page.line(1, &format!("changed: {}", list(&changed)));
        } else if report.outcome == MergeOutcome::Committed {
            self.page.line(1, "changed: nothing");
        }
        if report.auto_resolved > 0 {
            self.page.line(1, &format!("alike on both sides: {}", report.auto_resolved));
        }
        self.settled(report)?;
        self.conflicts(report)?;
        match dry {
            Some(Ok(plan)) => self.compare(plan, report, &changed),
            Some(Err(_)) => self.page.line(1, "! the dry run is refused"),
            None => {}
        }
        if report.outcome == MergeOutcome::Conflicts || changed.is_empty() {
            let state =
                if changed.is_empty() { "content: as before" } else { "! the content has changed" };
            self.page.line(1, state);
            return Ok(());
        }
        let word = if self.after.is_empty() { "content: nothing" } else { "content:" };
        self.page.line(1, word);
        for (key, value) in self.after {
            self.page.value(2, &show_word(key), value);
        }
        Ok(())
    }

    /// Where it came from, and the commits that were made.
    fn history(&mut self, report: &MergeReport) -> Result<()> {
        let names = |all: &[Seq]| all.iter().map(|&seq| self.world.name(seq)).collect::<Vec<_>>();
        let bases = names(&report.bases).join(", ");
        match report.bases.len() {
            0 => {}
            1 => self.page.line(1, &format!("merge base: {bases}")),
            _ => self.page.line(1, &format!("merge bases: {bases}")),
        }
        for &seq in &report.commits {
            let commit = self.world.store.commit(&format!("seq:{seq}"))?;
            let parents: Vec<Seq> = commit.parents.iter().map(|parent| parent.seq).collect();
            let word = if parents.len() == 1 { "parent" } else { "parents" };
            let parents = names(&parents).join(", ");
            self.page.line(1, &format!("commit: {}, {word} {parents}", self.world.name(seq)));
        }
        let stored = self.world.store.branch(report.target.as_str())?.head()?.seq;
        if stored != report.head {
            self.page.line(1, &format!("! the head is {}", self.world.name(stored)));
        }
        if report.head != report.ours && !report.commits.contains(&report.head) {
            self.page.line(1, &format!("head: {}", self.world.name(report.head)));
        }
        if !report.dropped.is_empty() {
            let dropped = names(&report.dropped).join(", ");
            self.page.line(1, &format!("changes nothing any more: {dropped}"));
        }
        self.details(report)
    }

    /// What is stored with the commits is what is reported.
    fn details(&mut self, report: &MergeReport) -> Result<()> {
        let mut settled = Vec::new();
        let mut alike = 0;
        for &seq in &report.commits {
            match self.world.store.merge_details(&format!("seq:{seq}"))? {
                Some(details) if details.action == report.action => {
                    alike += details.auto_resolved;
                    settled.extend(details.settled);
                }
                _ => self.page.line(1, "! the commit does not say how it came about"),
            }
        }
        // What settled a commit that was dropped is reported, and stored nowhere.
        let all = report.dropped.is_empty() && !report.commits.is_empty();
        if all && (settled != report.settled || alike != report.auto_resolved) {
            self.page.line(1, "! the commits say something else");
        }
        Ok(())
    }

    /// The dry run says the same.
    fn compare(&mut self, plan: &MergePlan, report: &MergeReport, changed: &[Change<'_>]) {
        let planned: Vec<Change<'_>> =
            plan.changes.iter().map(|change| (change.kind, change.key.as_slice())).collect();
        if report.outcome == MergeOutcome::Conflicts {
            if !planned.is_empty() {
                self.page.line(1, &format!("the rest would be: {}", list(&planned)));
            }
        } else if planned != changed {
            self.page.line(1, &format!("! the dry run changes: {}", list(&planned)));
        }
        let counts = |changes: &[Change<'_>], kind| {
            changes.iter().filter(|(of, _)| *of == kind).count() as u64
        };
        let all = if report.outcome == MergeOutcome::Conflicts { &planned[..] } else { changed };
        for counted in report.changes.iter().chain(&plan.report.changes) {
            let told = [
                (ChangeKind::Added, counted.added),
                (ChangeKind::Modified, counted.modified),
                (ChangeKind::Deleted, counted.deleted),
            ];
            if told.iter().any(|&(kind, told)| counts(all, kind) != told) {
                self.page.line(1, &format!("! the counts are {counted:?}"));
            }
        }
        let same = |report: &MergeReport| {
            let report = report.clone();
            (
                (report.action, report.outcome, report.fast_forward, report.ours, report.theirs),
                (report.bases, report.auto_resolved, report.settled, report.conflicts),
            )
        };
        if same(&plan.report) != same(report) {
            self.page.line(1, "! the dry run says something else");
        }
    }

    /// The keys that were settled, and by what.
    fn settled(&mut self, report: &MergeReport) -> Result<()> {
        if !report.settled.is_empty() {
            self.page.line(1, "settled:");
        }
        for settled in &report.settled {
            let conflict = &settled.conflict;
            let key = show_word(&conflict.key);
            self.page.line(2, &format!("{key}: {}, {}", conflict.kind, settled.by));
            let values = self.sides(conflict)?;
            let Some(hash) = settled.result else {
                self.page.line(3, "result: deleted");
                continue;
            };
            let known = [&values.base, &values.ours, &values.theirs].into_iter().flatten();
            let written = self.after.get(&conflict.key).into_iter();
            let mut known = known.chain(written).chain(self.given);
            match known.find(|value| ValueHash::of(value) == hash) {
                Some(value) => self.page.value(3, "result", value),
                None => match self.driven(settled, &values) {
                    Some(value) => self.page.value(3, "result", &value),
                    None => self.page.line(3, &format!("result: {hash}")),
                },
            }
        }
        Ok(())
    }

    /// The conflicts that are left.
    fn conflicts(&mut self, report: &MergeReport) -> Result<()> {
        if report.conflicts.is_empty() {
            return Ok(());
        }
        match report.stopped_at {
            Some(at) if at != report.theirs || report.action == MergeAction::Rebase => {
                self.page.line(1, &format!("conflicts at {}:", self.world.name(at)));
            }
            _ => self.page.line(1, "conflicts:"),
        }
        for conflict in &report.conflicts {
            self.page.line(2, &format!("{}: {}", show_word(&conflict.key), conflict.kind));
            self.sides(conflict)?;
            if let Some((driver, why)) = &conflict.refused {
                self.page.line(3, &format!("{driver} refuses: {why}"));
            }
        }
        if report.open
            && let Some(open) = self.world.store.open_merge(report.target.as_str())?
        {
            let counts = format!("{} unresolved, {} resolved", open.unresolved, open.resolved);
            self.page.line(1, &format!("open: {counts}"));
        }
        Ok(())
    }

    /// What a driver made of values that were not written.
    fn driven(&self, settled: &Settled, values: &Values) -> Option<Vec<u8>> {
        let SettledBy::Driver(name) = &settled.by else { return None };
        let driver = self.world.drivers.iter().find(|driver| driver.name() == name)?;
        let [base, ours, theirs] =
            [&values.base, &values.ours, &values.theirs].map(Option::as_deref);
        let at = |side: ConflictSide| side.at.unwrap_or(Seq::ROOT);
        let Conflict { key, ours: our_side, theirs: their_side, .. } = &settled.conflict;
        let input =
            DriverInput::new(key, base, ours, theirs).written_at(at(*our_side), at(*their_side));
        let made = driver.merge(&input).ok()??;
        Some(made).filter(|made| Some(ValueHash::of(made)) == settled.result)
    }

    /// What the sides of a conflict have; gives the values.
    fn sides(&mut self, conflict: &Conflict) -> Result<Values> {
        let mut base = None;
        for side in &conflict.bases {
            base = self.side("base", conflict, *side)?;
        }
        let ours = self.side("ours", conflict, conflict.ours)?;
        let theirs = self.side("theirs", conflict, conflict.theirs)?;
        Ok(Values { base, ours, theirs })
    }

    fn side(
        &mut self,
        word: &str,
        conflict: &Conflict,
        side: ConflictSide,
    ) -> Result<Option<Vec<u8>>> {
        let word = match side.at {
            Some(at) => format!("{word}, {}", self.world.name(at)),
            None => word.to_owned(),
        };
        match (side.hash, side.at) {
            (None, None) => self.page.line(3, &format!("{word}: absent")),
            (None, Some(_)) => self.page.line(3, &format!("{word}: deleted")),
            (Some(hash), None) => self.page.line(3, &format!("{word}: made on the way, {hash}")),
            (Some(_), Some(_)) => {
                let value = self.world.store.conflict_value(conflict, side)?;
                match &value {
                    Some(value) => self.page.value(3, &word, value),
                    None => self.page.line(3, &format!("! {word}: no value")),
                }
                return Ok(value);
            }
        }
        Ok(None)
    }
}

/// The values of a conflict; of several bases the last.
struct Values {
    base: Option<Vec<u8>>,
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
}

type Change<'c> = (ChangeKind, &'c [u8]);

/// What is different, by key.
fn changes<'c>(before: &'c Content, after: &'c Content) -> Vec<Change<'c>> {
    let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    let change = |key: &'c Vec<u8>| {
        let kind = match (before.get(key), after.get(key)) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Deleted,
            (Some(before), Some(after)) if before == after => return None,
            _ => ChangeKind::Modified,
        };
        Some((kind, key.as_slice()))
    };
    keys.into_iter().filter_map(change).collect()
}

fn list(changes: &[Change<'_>]) -> String {
    let words: Vec<String> =
        changes.iter().map(|(kind, key)| format!("{kind} {}", show_word(key))).collect();
    words.join(", ")
}
