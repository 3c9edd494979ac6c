//! Copies that are made while others write: one that was acknowledged before the power went is whole.

use std::collections::BTreeSet;
use std::path::Path;

use withy::{BackupOptions, Backups, CheckpointOptions, Create, RestoreOptions, Seq, Store};

use super::super::content::Content;
use super::super::points::{Copy, copy_at};
use crate::support::process::say;

/// Makes checkpoints and snapshots of a store, one after the other, and restores one.
pub(super) fn make(store: &Store, session: u32) {
    let beside = |name: &str| store.path().with_file_name(name);
    for number in 0..2 {
        let name = format!("copy-{session}-{number}");
        say(&format!("copying {name}\n"));
        let made = store.checkpoint(beside(&name), CheckpointOptions::default());
        say(&format!("copied {name} {}\n", made.expect("a checkpoint is made").latest));
        say("copying backup\n");
        let made = store.back_up(beside("backup"), BackupOptions::default());
        let made = made.expect("it is backed up").info;
        say(&format!("saved {} {}\n", made.number, made.latest));
    }
    let name = format!("copy-{session}-restored");
    let backups = Backups::open(beside("backup")).expect("the backup opens");
    let made = backups.restore(beside(&name), RestoreOptions::default().quick(true));
    say(&format!("copied {name} {}\n", made.expect("it is restored").latest));
}

/// What a process has said of its copies.
#[derive(Default)]
struct Said {
    /// Name and newest commit of stores, and how many snapshots there are at least.
    stores: Vec<(String, Seq)>,
    snapshots: Vec<(u64, Seq)>,
}

impl Said {
    /// Also fails if a copy says that it lacks what was acknowledged before it was begun.
    fn of(said: &str) -> Self {
        let (mut out, mut newest, mut begun) = (Self::default(), Seq::ROOT, Seq::ROOT);
        let seq = |text: &str| Seq::new(text.parse().expect("a sequence"));
        for line in said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ack", at, ..] => newest = newest.max(seq(at)),
                ["copying", _] => begun = newest,
                ["copied", name, latest] => {
                    if !name.ends_with("restored") {
                        assert!(seq(latest) >= begun, "{name} has what was there: {begun}");
                    }
                    out.stores.push((name.to_owned(), seq(latest)));
                }
                ["saved", number, latest] => {
                    assert!(seq(latest) >= begun, "snapshot {number} has what was there: {begun}");
                    out.snapshots.push((number.parse().expect("a number"), seq(latest)));
                }
                _ => {}
            }
        }
        out
    }
}

/// Every copy beside a store is whole, or is none and was not acknowledged. How many are whole.
pub(super) fn must_be_whole(store: &Path, content: &Content, said: &str) -> usize {
    let said = Said::of(said);
    let beside = |name: &str| store.with_file_name(name);
    let acknowledged: BTreeSet<&String> = said.stores.iter().map(|(name, _)| name).collect();
    let mut whole = 0;
    for (name, latest) in &said.stores {
        let Some(Copy::Store(copy)) = copy_at(&beside(name)) else { panic!("{name} is lost") };
        assert!(copy.latest() >= *latest, "{name} has all up to {latest}: {}", copy.latest());
        assert!(copy.is_of_one_past(content), "{name} has what the store has");
        whole += 1;
    }
    let backup = copy_at(&beside("backup"));
    match (&backup, said.snapshots.last()) {
        (None, None) => {}
        (Some(Copy::Backup(list, newest)), last) => {
            for (number, latest) in &said.snapshots {
                let found = list.iter().find(|(found, ..)| found == number);
                let (.., found) = found.unwrap_or_else(|| panic!("snapshot {number} is lost"));
                assert_eq!(found, latest, "snapshot {number} has what it had");
            }
            assert!(last.is_none_or(|(_, latest)| newest.latest() >= *latest), "the newest too");
            assert!(newest.is_of_one_past(content), "and what is restored has what the store has");
            whole += list.len();
        }
        (found, last) => panic!("the backup is whole: {last:?}, {found:#?}"),
    }
    for name in names(store.parent().expect("a directory")) {
        if name.starts_with("copy-") && !acknowledged.contains(&name) {
            // Whole, or no store.
            if let Some(Copy::Store(copy)) = copy_at(&beside(&name)) {
                assert!(copy.is_of_one_past(content), "{name} has what the store has");
            }
        }
    }
    whole
}

/// Copies made again after a cut: what was left of those that were under way is in nobody's way.
pub(super) fn must_be_made(store: &Store) {
    let beside = |name: &str| store.path().with_file_name(name);
    let unfinished = names(store.path().parent().expect("a directory"));
    for name in unfinished.iter().filter_map(|name| name.strip_suffix(".new")) {
        let target = beside(name);
        if name.ends_with("restored")
            || Store::options().create(Create::Never).open(&target).is_ok()
        {
            continue;
        }
        store.checkpoint(&target, CheckpointOptions::default()).expect("a checkpoint is made");
        assert!(Store::open(&target).is_ok(), "{name} is a store");
        assert!(!beside(&format!("{name}.new")).exists(), "{name}: nothing is left of the other");
    }
    store.back_up(beside("backup"), BackupOptions::default()).expect("it is backed up");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("the directory is read");
    entries.map(|e| e.expect("an entry").file_name().into_string().expect("a name")).collect()
}
