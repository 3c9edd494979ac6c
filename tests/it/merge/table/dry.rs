//! MERGE-5: a dry run says what the real run says, and leaves every file as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use withy::{ChangeKind, FastForward, MergePlan, Store, Strategy};

use super::rules::{Case, Layout, Pair, Setup, Table, must_merge};
use crate::support::{must_head, rows};

/// Every file of a store with its content, but for the log that RocksDB writes for people.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            out.extend(files(&path));
        } else if path.file_name().is_none_or(|name| name != "LOG") {
            let bytes = std::fs::read(&path).expect("a file");
            out.insert(path, bytes);
        }
    }
    out
}

fn setups() -> Vec<Setup> {
    let mut out = Vec::new();
    for strategy in Strategy::ALL {
        let plain = Setup::strategy(strategy);
        out.push(Setup { strict: true, ..plain.clone() });
        out.push(Setup { squash: true, ..plain.clone() });
        out.push(Setup { fast_forward: FastForward::Never, ..plain.clone() });
        out.push(plain);
    }
    out
}

/// The plan for each pair, which must not fail.
fn plans(store: &Store, pairs: &[(Pair, Setup)]) -> Vec<MergePlan> {
    let plan = |(pair, setup): &(Pair, Setup)| {
        let (ours, theirs) = (pair.ours.name().as_str(), pair.theirs.name().as_str());
        store.plan_merge(ours, theirs, setup.options()).expect("a plan")
    };
    pairs.iter().map(plan).collect()
}

#[test]
fn merge_5_a_plan_is_what_the_merge_then_does_and_writes_nothing() {
    let mut table = Table::new();
    let mut pairs = Vec::new();
    for (number, setup) in setups().into_iter().enumerate() {
        for case in Case::all() {
            let layout = Layout::ALL[number % Layout::ALL.len()];
            pairs.push((table.pair(&case, layout), setup.clone()));
        }
    }
    let before = files(&table.store.path());
    let planned = plans(&table.store, &pairs);
    assert!(files(&table.store.path()) == before, "MERGE-5: not one byte of the store differs");
    let reader = Store::options().read_only(true).open(table.store.path()).expect("a reader");
    assert_eq!(plans(&reader, &pairs), planned, "a store that is read only can plan as well");
    reader.close().expect("the reader closes");
    for ((pair, setup), plan) in pairs.iter().zip(planned) {
        let (ours, theirs) = (pair.ours.name().as_str(), pair.theirs.name().as_str());
        let before = rows(&pair.ours);
        let report = must_merge(&table.store, ours, theirs, setup.options());
        assert_eq!(plan.report.head, plan.report.ours, "in a plan the head is as before");
        assert_eq!(plan.report.commits, [], "in a plan no commit is made");
        let counts = plan.report.changes.expect("a plan counts changes");
        let mut same = plan.report.clone();
        same.head = report.head;
        same.commits.clone_from(&report.commits);
        if report.changes.is_none() {
            assert!(report.fast_forward, "only a fast-forward does not look");
            same.changes = None;
        }
        assert_eq!(same, report, "MERGE-5: the report of the real run");
        let count = |kind| plan.changes.iter().filter(|one| one.kind == kind).count() as u64;
        assert_eq!(counts.added, count(ChangeKind::Added), "added keys");
        assert_eq!(counts.modified, count(ChangeKind::Modified), "modified keys");
        assert_eq!(counts.deleted, count(ChangeKind::Deleted), "deleted keys");
        if report.conflicts.is_empty() {
            let mut content: BTreeMap<String, Option<withy::ValueHash>> = before
                .iter()
                .map(|(key, value)| (key.clone(), Some(withy::ValueHash::of(value.as_bytes()))))
                .collect();
            for change in plan.changes {
                let key = String::from_utf8(change.key).expect("text");
                let was = content.insert(key, change.after).flatten();
                assert_eq!(was, change.before, "MERGE-5: what is replaced");
            }
            let got: BTreeMap<_, _> = rows(&pair.ours)
                .into_iter()
                .map(|(key, value)| (key, Some(withy::ValueHash::of(value.as_bytes()))))
                .collect();
            content.retain(|_, hash| hash.is_some());
            assert_eq!(got, content, "MERGE-5: the changes of the real run");
        }
        assert_eq!(must_head(&pair.ours).seq, report.head, "the head that is reported");
    }
}
