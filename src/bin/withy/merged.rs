//! What came of a merge, cherry-pick, revert or rebase: for people and for programs.

use std::collections::BTreeMap;
use std::io::Write as _;

use withy::{
    DiffCounts, MergeAction, MergeOutcome, MergePlan, MergeReport, Seq, Settled, SettledBy, Store,
};

use crate::app::{App, plural};
use crate::conflicts::{self, Labels};
use crate::fail::{Doing as _, Outcome, Result};
use crate::json::Object;
use crate::merging::{command, some_left, title, verb_of};
use crate::out::{Out, Paint, complain};
use crate::text::{Format, escape, first_line};

/// What was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What comes in, as it was named.
    pub(crate) source: &'a str,
    /// Conflicts are not kept.
    pub(crate) no_open: bool,
}

/// Tells what came of a merge, or would; the answer is no if conflicts are left.
pub(crate) fn tell(
    app: &App,
    store: &Store,
    asked: Asked<'_>,
    report: &MergeReport,
    plan: Option<&MergePlan>,
) -> Result<Outcome> {
    let source = asked.source;
    let outcome = match report.conflicts.is_empty() {
        true => Outcome::Done,
        false => Outcome::No,
    };
    if app.globals.json && !app.globals.quiet {
        let mut out = app.out()?;
        out.json(&as_json(app, store, source, report, plan)?.done())?;
        out.finish()?;
        return Ok(outcome);
    }
    if app.globals.quiet {
        return Ok(outcome);
    }
    let mut out = app.out()?;
    match plan {
        Some(plan) => tell_plan(app, source, plan, &mut out)?,
        None => tell_done(store, source, report, &mut out)?,
    }
    if outcome == Outcome::No {
        tell_conflicts(app, source, report, &mut out)?;
    }
    out.finish()?;
    if outcome == Outcome::No && plan.is_none() {
        let branch = report.target.as_str();
        let hint = match (report.open, asked.no_open) {
            (true, _) => some_left(store, branch, report.action),
            (false, no_open) => {
                let verb = command(store, branch, verb_of(report.action));
                let how = if no_open { "without --no-open" } else { "with --strategy manual" };
                format!("nothing was written; `{verb} {source}` {how} keeps them to be settled")
            }
        };
        complain(&format!("hint: {hint}\n"));
    }
    Ok(outcome)
}

/// What was written, if anything was.
fn tell_done(store: &Store, source: &str, report: &MergeReport, out: &mut Out) -> Result<()> {
    let target = &report.target;
    match report.outcome {
        MergeOutcome::UpToDate => writeln!(out, "{}", up_to_date(source, report))?,
        MergeOutcome::FastForward => {
            let id = commit_id(store, report.head, out)?;
            writeln!(out, "fast-forward: {target} is now at {id} (was seq:{})", report.ours)?;
        }
        MergeOutcome::Committed if report.action == MergeAction::Rebase => {
            let id = commit_id(store, report.head, out)?;
            let count = plural(report.commits.len() as u64, "commit");
            writeln!(out, "rebased {target} onto {source}: {count}, now at {id}")?;
        }
        MergeOutcome::Committed => {
            for seq in &report.commits {
                let commit = store.commit(&format!("seq:{seq}"));
                let commit = commit.doing(|| format!("read commit seq:{seq}"))?;
                let id = out.paint(Paint::Id, format!("seq:{seq} {}", commit.id.short()));
                writeln!(out, "[{target} {id}] {}", first_line(&commit.message, 72))?;
            }
        }
        _ => return Ok(()),
    }
    for seq in &report.dropped {
        writeln!(out, " left out seq:{seq}: it changes nothing any more")?;
    }
    if report.outcome == MergeOutcome::Committed {
        write_counts(report, out)?;
    }
    Ok(())
}

fn up_to_date(source: &str, report: &MergeReport) -> String {
    let target = &report.target;
    match report.action {
        MergeAction::Merge | MergeAction::Squash => {
            format!("already up to date: {target} has all of {source}")
        }
        MergeAction::Rebase => format!("already up to date: {target} is on top of {source}"),
        _ => format!("nothing of {source} is left to commit on {target}"),
    }
}

fn commit_id(store: &Store, seq: Seq, out: &Out) -> Result<String> {
    let commit = store.commit(&format!("seq:{seq}")).doing(|| format!("read commit seq:{seq}"))?;
    Ok(out.paint(Paint::Id, format!("seq:{seq} {}", commit.id.short())))
}

/// How many keys were changed, and what settled those that both sides changed.
fn write_counts(report: &MergeReport, out: &mut Out) -> Result<()> {
    if let Some(DiffCounts { added, modified, deleted, .. }) = report.changes {
        let alike = match report.auto_resolved {
            0 => String::new(),
            count => format!("; {count} changed alike"),
        };
        writeln!(out, " {added} added, {modified} modified, {deleted} deleted{alike}")?;
    }
    for line in settled_by(&report.settled) {
        writeln!(out, " {line}")?;
    }
    Ok(())
}

/// What settled how many keys, in lines: `settled by ann: 4 base, 3 value`.
pub(crate) fn settled_by(settled: &[Settled]) -> Vec<String> {
    let mut all: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for one in settled {
        let by = match &one.by {
            SettledBy::Resolution { taken, by } if by.is_empty() => ("hand".to_owned(), *taken),
            SettledBy::Resolution { taken, by } => (escape(by.as_bytes()), *taken),
            other => (other.to_string(), ""),
        };
        *all.entry(by).or_default() += 1;
    }
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((by, taken), count) in all {
        lines.entry(by).or_default().push(format!("{count} {taken}").trim_end().to_owned());
    }
    let line =
        |(by, counts): (String, Vec<String>)| format!("settled by {by}: {}", counts.join(", "));
    lines.into_iter().map(line).collect()
}

/// What would be done.
fn tell_plan(app: &App, source: &str, plan: &MergePlan, out: &mut Out) -> Result<()> {
    let report = &plan.report;
    let target = &report.target;
    match report.outcome {
        MergeOutcome::UpToDate => {
            writeln!(out, "{}", up_to_date(source, report))?;
            return Ok(());
        }
        MergeOutcome::FastForward => {
            let (ours, theirs) = (report.ours, report.theirs);
            writeln!(out, "would fast-forward {target} from seq:{ours} to seq:{theirs}")?;
        }
        MergeOutcome::Conflicts => {
            let count = plural(report.conflicts.len() as u64, "conflict");
            let is_all = plan.changes.is_empty() && report.settled.is_empty();
            let rest = if is_all { "" } else { "; the rest would be:" };
            writeln!(out, "would stop with {count}{rest}")?;
        }
        _ => writeln!(out, "would make a {}", title(report.action, source, target.as_str()))?,
    }
    let format = app.key_format()?;
    for change in &plan.changes {
        writeln!(out, " {} {}", change.kind, format.show(&change.key))?;
    }
    for one in &report.settled {
        let key = format.show(&one.conflict.key);
        writeln!(out, " settled {key} ({}): {}", one.conflict.kind, one.by)?;
    }
    if report.auto_resolved > 0 {
        let keys = plural(report.auto_resolved, "key");
        writeln!(out, " {keys} changed alike on both sides")?;
    }
    Ok(())
}

fn tell_conflicts(app: &App, source: &str, report: &MergeReport, out: &mut Out) -> Result<()> {
    let at = report.stopped_at.unwrap_or(report.theirs);
    let labels = Labels::new(report.action, report.target.as_str(), source, at);
    let format = app.key_format()?;
    for conflict in &report.conflicts {
        let word = out.paint(Paint::Removed, "CONFLICT");
        let told = labels.tell(conflict, format);
        writeln!(out, "{word} ({}): {told}", conflict.kind)?;
    }
    let what = title(report.action, source, report.target.as_str());
    let left = plural(report.conflicts.len() as u64, "conflict");
    let at = match report.action {
        MergeAction::Merge | MergeAction::Squash => String::new(),
        // A commit that was named is not named again.
        MergeAction::CherryPick | MergeAction::Revert if !source.contains([' ', '.']) => {
            String::new()
        }
        _ => format!(" at seq:{at}"),
    };
    if report.open {
        writeln!(out, "{what} is open{at}: {left} left")?;
    }
    Ok(())
}

fn counts_json(counts: &DiffCounts) -> Object {
    Object::new()
        .with("added", counts.added)
        .with("modified", counts.modified)
        .with("deleted", counts.deleted)
}

fn as_json(
    app: &App,
    store: &Store,
    source: &str,
    report: &MergeReport,
    plan: Option<&MergePlan>,
) -> Result<Object> {
    let (key, value) = (app.key_format()?, app.value_format()?);
    let seqs = |seqs: &[Seq]| seqs.iter().map(|seq| seq.get()).collect::<Vec<_>>();
    let outcome = match report.outcome {
        MergeOutcome::UpToDate => "up-to-date",
        MergeOutcome::FastForward => "fast-forward",
        MergeOutcome::Committed => "committed",
        MergeOutcome::Conflicts => "conflicts",
        _ => "other",
    };
    let mut unsettled = Vec::new();
    for conflict in &report.conflicts {
        unsettled.push(conflicts::as_json(store, conflict, key, value)?.done());
    }
    let settled: Vec<_> = report.settled.iter().map(|one| settled_json(one, key).done()).collect();
    let object = Object::new()
        .with("action", report.action.to_string())
        .with("branch", report.target.as_str())
        .with("source", source)
        .with("outcome", outcome)
        .with("ours", report.ours.get())
        .with("theirs", report.theirs.get())
        .with("bases", seqs(&report.bases))
        .with("head", report.head.get())
        .with("commits", seqs(&report.commits))
        .with("dropped", seqs(&report.dropped))
        .with("counts", report.changes.as_ref().map(|counts| counts_json(counts).done()))
        .with("changed_alike", report.auto_resolved)
        .with("settled", settled)
        .with("conflicts", unsettled)
        .with("stopped_at", report.stopped_at.map(Seq::get))
        .with("open", report.open);
    Ok(match plan {
        None => object,
        Some(plan) => {
            let change = |change: &withy::MergeChange| {
                let kind = crate::json::kind(change.kind);
                Object::new().bytes("key", &change.key, key).with("kind", kind).done()
            };
            let changes: Vec<_> = plan.changes.iter().map(change).collect();
            object.with("dry_run", true).with("changes", changes)
        }
    })
}

/// A key that both sides changed, and what settled it.
pub(crate) fn settled_json(one: &Settled, key: Format) -> Object {
    let object = Object::new()
        .bytes("key", &one.conflict.key, key)
        .with("kind", one.conflict.kind.to_string());
    let object = match &one.by {
        SettledBy::Strategy(strategy) => {
            object.with("by", "strategy").with("taken", strategy.name())
        }
        SettledBy::Driver(name) => object.with("by", "driver").with("taken", name.as_str()),
        SettledBy::Resolution { taken, by } => {
            object.with("by", "resolution").with("taken", *taken).with("author", by.as_str())
        }
        other => object.with("by", other.to_string()),
    };
    object.with("hash", one.result.map(|hash| hash.to_string()))
}
