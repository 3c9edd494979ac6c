//! What a job is judged by: the store, its past, and the copies beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use withy::{Backups, Create, ErrorKind, RestoreOptions, Seq, Store, VerifyBackupOptions};

use super::super::content::{Content, Rows, must_be_tidy, past};
use super::jobs::{Ending, Job};
use super::upkeep::SECRET;
use crate::support::raw::raw_rows;

/// What can be read of a store, as far as it must not depend on where a job was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    content: Content,
    /// The rows as of each commit, for jobs that take of them.
    past: Vec<Option<Rows>>,
}

/// The same, and what is beside the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    shown: Shown,
    /// What the audit records of purges say, without times.
    purges: Vec<Purge>,
    copies: BTreeMap<String, Copy>,
}

/// The commits of a purge, how many versions and large values it removed, and whether it is done.
type Purge = (Vec<Seq>, u64, u64, bool);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Copy {
    Store(Content),
    /// Number, message and newest commit of each snapshot, and what the newest one restores to.
    Backup(Vec<(u64, String, Seq)>, Content),
}

impl Shown {
    /// Reads all of it.
    pub(super) fn of(store: &Store, job: &Job) -> Self {
        let (content, past) = match job.ending {
            Ending::AtOnce => (Content::of(store), Vec::new()),
            Ending::InSteps => (Content::left_of(store), past(store)),
            Ending::ByOpening | Ending::Unseen => (Content::of(store), past(store)),
        };
        Self { content, past }
    }

    /// As text that another process compares, as far as the job does not change it piece by piece: the
    /// content, then each commit.
    pub(super) fn lines(&self, job: &Job) -> Vec<String> {
        let past = self.past.iter().map(|rows| format!("{rows:?}"));
        let heads = || std::iter::once(format!("{:?}", self.content.heads()));
        match job.ending {
            Ending::AtOnce | Ending::Unseen => {
                std::iter::once(format!("{:?}", self.content)).chain(past).collect()
            }
            Ending::InSteps => heads().chain(past).collect(),
            // A value of the past is there until its turn has come.
            Ending::ByOpening => heads().collect(),
        }
    }
}

impl State {
    /// Reads all of it; what is not whole is not there.
    pub(super) fn of(store: &Store, job: &Job) -> Self {
        let purges = store.purges().expect("the purges").into_iter();
        let purges = purges.map(|one| (one.commits, one.versions, one.values, one.is_done));
        let copies = beside(store.path()).into_iter().filter_map(|name| {
            let copy = copy_at(&store.path().with_file_name(&name))?;
            Some((name, copy))
        });
        let shown = Shown::of(store, job);
        Self { shown, purges: purges.collect(), copies: copies.collect() }
    }

    /// Whether a store that a job has failed on may show this before it is opened again; it may be that
    /// nothing of it could be compared.
    pub(super) fn may_show(lines: &[String], before: &Self, after: &Self, job: &Job) -> bool {
        let (before, after) = (before.shown.lines(job), after.shown.lines(job));
        let is_either = |(at, line): (usize, &String)| {
            [&before, &after].iter().any(|shown| shown.get(at) == Some(line))
        };
        [0, before.len(), after.len()].contains(&lines.len())
            && lines.iter().enumerate().all(is_either)
    }

    /// Whether this may be the state of a job that is done in steps, between its first and its last.
    pub(super) fn is_between(&self, before: &Self, after: &Self) -> bool {
        let (now, then) = (&self.shown, &before.shown);
        let rows = now.past.iter().zip(&then.past).zip(&after.shown.past);
        let is_past = |((now, before), after): ((&_, &_), &Option<Rows>)| {
            now == before || (now == after && after.is_none())
        };
        now.content.has_same_heads(&then.content)
            && now.past.len() == then.past.len()
            && rows.into_iter().all(is_past)
            && self.copies.keys().eq(before.copies.keys())
            && self.copies.iter().all(|(name, copy)| match (copy, &before.copies[name]) {
                (Copy::Backup(now, newest), Copy::Backup(old, same)) => {
                    let Some(Copy::Backup(kept, _)) = after.copies.get(name) else { return false };
                    let now_has = |one: &_| now.contains(one);
                    newest == same
                        && now.iter().all(|one| old.contains(one))
                        && kept.iter().all(now_has)
                }
                (copy, old) => copy == old,
            })
    }
}

/// Names of what is beside a store, but for what is being made. A store that is one of several copies
/// has nothing of its own beside it.
fn beside(store: &Path) -> BTreeSet<String> {
    if store.file_name().is_none_or(|name| name != "store") {
        return BTreeSet::new();
    }
    let place = store.parent().expect("a store is in a directory");
    let entries = fs::read_dir(place).expect("the directory is read");
    let names = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("names are text"));
    names.filter(|name| name != "store" && !name.ends_with(".new")).collect()
}

/// What a directory beside the store holds, which must be whole if it says that it is anything.
pub(in super::super) fn copy_at(path: &Path) -> Option<Copy> {
    if let Ok(backups) = Backups::open(path) {
        return backup(&backups);
    }
    match Store::options().create(Create::Never).open(path) {
        Ok(store) => Some(Copy::Store(Content::of(&store))),
        Err(e) => {
            let told = matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Incompatible);
            assert!(told, "what is unfinished is no store: {e:?}");
            None
        }
    }
}

/// None of a backup that has no snapshot yet.
fn backup(backups: &Backups) -> Option<Copy> {
    let list = backups.list().expect("the snapshots");
    let report = backups.verify(VerifyBackupOptions::default()).expect("the backup is read");
    assert!(report.faults.is_empty(), "every snapshot is whole: {:#?}", report.faults);
    assert!(backups.damaged().expect("the records").is_empty(), "every record can be read");
    if list.is_empty() {
        return None;
    }
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let target = scratch.path().join("restored");
    backups.restore(&target, RestoreOptions::default()).expect("the newest is restored");
    let newest = Content::of(&Store::open(&target).expect("what is restored opens"));
    let snapshots = list.into_iter().map(|one| (one.number, one.message, one.latest));
    Some(Copy::Backup(snapshots.collect(), newest))
}

/// Whether the work of an earlier run is left beside a store.
pub(super) fn has_left(store: &Path) -> bool {
    let place = store.parent().expect("a store is in a directory");
    let entries = fs::read_dir(place).expect("the directory is read");
    entries
        .into_iter()
        .any(|entry| entry.expect("an entry").file_name().to_string_lossy().ends_with(".new"))
}

/// Nothing is left of what did not come to its end, in a closed store and beside it.
pub(super) fn must_be_tidy_around(store: &Path, when: &str) {
    must_be_tidy(store, when);
    assert!(!has_left(store), "{when}: nothing is left beside the store");
    for name in beside(store) {
        let path = store.with_file_name(name);
        if path.join("withy.store").exists() {
            must_be_tidy(&path, when);
        }
        if path.join("withy.backup").exists() {
            let names = files_below(&path);
            let left = |name: &&String| name.starts_with("new/") || name.ends_with(".new");
            assert_eq!(names.iter().find(left), None, "{when}: it is left in the backup");
        }
    }
}

/// How many files of a closed store hold [`SECRET`].
pub(super) fn files_with_secrets(store: &Path) -> usize {
    let holds = |name: &String| {
        let bytes = fs::read(store.join(name)).expect("a file is read");
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    files_below(store).iter().filter(|name| holds(name)).count()
}

/// Everything that a job that removes things leaves, named: rows, and files of backups.
pub(super) fn leavings(store: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for ((family, key), row) in raw_rows(store) {
        // Numbers of the last use are no leavings, and times differ.
        let (key, row) = (key.escape_ascii(), row.escape_ascii());
        match family {
            "meta" => continue,
            "head" | "history" => out.insert(format!("{family} {key}: {row}")),
            _ => out.insert(format!("{family} {key}")),
        };
    }
    for name in beside(store) {
        let path = store.with_file_name(&name);
        if path.join("withy.backup").exists() {
            out.extend(files_below(&path));
        }
    }
    out
}

fn files_below(dir: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("the directory is read") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(files_below(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            out.insert(name);
        }
    }
    out
}
