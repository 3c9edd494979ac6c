//! MERGE-8: many merges into one branch, one after the other and at once: none is lost, none overwrites.
//!
//! `WITHY_LONG=1` lands more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use withy::{
    Batch, CommitOptions, ConflictKind, LogOptions, MergeOptions, MergeOutcome, MergeReport, Read,
    Seq, Store,
};

use crate::support::{
    Scratch, is_long, must_branch, must_get, must_head, must_put, must_write, rows,
};

const BRANCHES: usize = 200;

fn name(branch: usize) -> String {
    format!("topic/{branch:03}")
}

fn row(number: usize) -> String {
    format!("row/{number:03}")
}

/// The change of a branch: of three, one overwrites a row, one deletes one and one adds one.
fn change(branch: usize) -> (String, Option<String>) {
    match branch % 3 {
        0 => (row(branch), Some(format!("changed by {branch}"))),
        1 => (row(branch), None),
        _ => (format!("new/{branch:03}"), Some(format!("added by {branch}"))),
    }
}

/// A store with rows on main, and branches of it with a change each; what main has once all of them
/// have landed, and the heads of the branches.
fn set_up() -> (Scratch, BTreeMap<String, String>, BTreeSet<Seq>) {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut model = BTreeMap::new();
    let mut batch = Batch::new();
    for number in 0..BRANCHES {
        batch.put(row(number), "old");
        model.insert(row(number), "old".to_owned());
    }
    main.write(batch, CommitOptions::default()).expect("the rows are written");
    let mut heads = BTreeSet::new();
    for branch in 0..BRANCHES {
        let topic = must_branch(&store, &name(branch), "main");
        let (key, value) = change(branch);
        heads.insert(must_write(&topic, "a change", &[(key.as_str(), value.as_deref())]));
        match value {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
    }
    // So that none is a fast-forward.
    must_put(&main, "own", "of main");
    model.insert("own".to_owned(), "of main".to_owned());
    (store, model, heads)
}

fn must_merge(store: &Store, source: &str, options: MergeOptions) -> MergeReport {
    let report = store.merge("main", source, options);
    report.unwrap_or_else(|e| panic!("{source} into main: {e:?}"))
}

fn must_land(store: &Store, branch: usize) -> Seq {
    let report = must_merge(store, &name(branch), MergeOptions::default());
    assert_eq!(report.conflicts, [], "other keys never conflict");
    assert_eq!(report.outcome, MergeOutcome::Committed, "{} lands", name(branch));
    assert_eq!(report.commits, [report.head], "it is one commit");
    report.head
}

/// Lands all branches from so many threads, and looks at everything that they left.
fn land_all(threads: usize) {
    let (mut store, model, mut heads) = set_up();
    let before = must_head(&store.main().expect("main"));
    let mut landed: BTreeSet<Seq> = std::thread::scope(|scope| {
        let store: &Store = &store;
        let share = move |thread: usize| -> Vec<Seq> {
            (thread..BRANCHES).step_by(threads).map(|branch| must_land(store, branch)).collect()
        };
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread))).collect();
        all.into_iter().flat_map(|thread| thread.join().expect("a thread ends well")).collect()
    });
    assert_eq!(landed.len(), BRANCHES, "no two merges are told the same commit");
    assert_eq!(store.latest().get(), before.seq.get() + BRANCHES as u64, "one commit a merge");
    store.reopen();
    let main = store.main().expect("main");
    let model: Vec<(String, String)> = model.into_iter().collect();
    assert_eq!(rows(&main), model, "every change is there, and nothing else");
    assert_eq!(main.view().expect("a view").len(), model.len() as u64, "the count is kept");
    let log = store.log("main", LogOptions::default().first_parent(true)).expect("the log");
    let mut expected = must_head(&main).seq;
    for commit in log {
        let commit = commit.expect("a commit");
        assert_eq!(commit.seq, expected, "each commit is on top of the one before it");
        if commit.seq == before.seq {
            break;
        }
        let [first, second] = commit.parents[..] else { panic!("two parents: {commit:?}") };
        assert!(landed.remove(&commit.seq), "the commit is one that a merge was told");
        assert!(heads.remove(&second.seq), "each branch is merged once");
        let changes = store.changes(commit.seq).expect("its changes").len();
        assert_eq!(changes, 1, "a merge brings the change of its branch alone");
        expected = first.seq;
    }
    assert!(landed.is_empty() && heads.is_empty(), "all are on main: {landed:?} {heads:?}");
    for branch in 0..BRANCHES {
        let again = must_merge(&store, &name(branch), MergeOptions::default());
        assert_eq!(again.outcome, MergeOutcome::UpToDate, "MERGE-9: nothing is left to merge");
    }
}

#[test]
fn merge_8_two_hundred_branches_land_one_after_the_other() {
    land_all(1);
}

#[test]
fn merge_8_two_hundred_branches_land_from_eight_threads_at_once() {
    land_all(8);
}

#[test]
fn merge_8_of_branches_that_race_with_one_key_one_lands_and_the_others_conflict() {
    const RACERS: usize = 8;
    let store = Scratch::new();
    let main = store.main().expect("main");
    for round in 0..if is_long() { 200 } else { 20 } {
        let name = |racer: usize| format!("racer/{round}/{racer}");
        let own = |racer: usize| format!("own/{round}/{racer}");
        // The key is there in every second round.
        if round % 2 == 0 {
            must_write(&main, "the key goes", &[("key", None), ("mark", Some(&name(0)))]);
        }
        let base = must_get(&main, "key");
        for racer in 0..RACERS {
            let branch = must_branch(&store, &name(racer), "main");
            must_write(&branch, "", &[("key", Some(&name(racer))), (&own(racer), Some("1"))]);
        }
        must_put(&main, "moved", &name(0));
        let before = store.latest();
        let start = Barrier::new(RACERS);
        let reports: Vec<MergeReport> = std::thread::scope(|scope| {
            let (store, start): (&Store, _) = (&store, &start);
            let race = move |racer| {
                start.wait();
                must_merge(store, &name(racer), MergeOptions::default())
            };
            let all: Vec<_> = (0..RACERS).map(|racer| scope.spawn(move || race(racer))).collect();
            all.into_iter().map(|thread| thread.join().expect("a thread ends well")).collect()
        });
        let landed = |racer: &usize| reports[*racer].outcome == MergeOutcome::Committed;
        let winners: Vec<usize> = (0..RACERS).filter(landed).collect();
        let [winner] = winners[..] else { panic!("one of them lands, not {winners:?}") };
        assert_eq!(store.latest().get(), before.get() + 1, "who conflicts writes nothing");
        assert_eq!(must_get(&main, "key"), Some(name(winner)), "the value is the winner's");
        let kind = if base.is_some() { ConflictKind::ModifyModify } else { ConflictKind::AddAdd };
        for (racer, report) in reports.iter().enumerate() {
            let there = must_get(&main, own(racer)).is_some();
            assert_eq!(there, racer == winner, "a merge lands with all of its keys or with none");
            if racer == winner {
                continue;
            }
            assert_eq!(report.outcome, MergeOutcome::Conflicts, "it comes too late");
            let [conflict] = &report.conflicts[..] else { panic!("one key: {report:?}") };
            assert_eq!((conflict.key.as_slice(), conflict.kind), (&b"key"[..], kind));
            let value = |side| store.conflict_value(conflict, side).expect("the value is there");
            assert_eq!(value(conflict.ours), Some(name(winner).into_bytes()), "ours is main's");
            assert_eq!(value(conflict.theirs), Some(name(racer).into_bytes()), "theirs is its own");
        }
    }
}

/// What a thread of the test below has done.
#[derive(Default)]
struct Done {
    /// Commits that it was told, and how often it has counted.
    commits: u64,
    counted: u64,
    /// Keys that must be there.
    keys: Vec<String>,
}

fn number(view: &impl Read) -> u64 {
    must_get(view, "count").map_or(0, |text| text.parse().expect("a number"))
}

/// Forks, counts, and lands with the sum of what both sides have counted.
fn land(store: &Store, thread: usize, times: usize) -> Done {
    let mut done = Done::default();
    for time in 0..times {
        let name = format!("landing/{thread}/{time}");
        let topic = must_branch(store, &name, "main");
        let count = (number(&topic) + 1).to_string();
        let (a, b) = (format!("pair/a/{name}"), format!("pair/b/{name}"));
        must_write(&topic, "", &[("count", Some(&count)), (&a, Some("1")), (&b, Some("1"))]);
        let options = MergeOptions::default().driver_for("count", "counter");
        let report = must_merge(store, &name, options);
        assert_eq!(report.conflicts, [], "the driver settles what both sides have counted");
        done.commits += 1 + report.commits.len() as u64;
        done.counted += 1;
        done.keys.extend([a, b]);
    }
    done
}

/// Counts in transactions.
fn transact(store: &Store, thread: usize, times: usize) -> Done {
    let mut done = Done::default();
    for time in 0..times {
        let key = format!("counted/{thread}/{time}");
        let counted = store.run("main", CommitOptions::default(), |tx| {
            let count = number(tx) + 1;
            tx.put("count", count.to_string())?;
            tx.put(key.as_str(), "1")
        });
        counted.expect("it wins in the end");
        done.commits += 1;
        done.counted += 1;
        done.keys.push(key);
    }
    done
}

/// Writes without looking.
fn write(store: &Store, thread: usize, times: usize) -> Done {
    let main = store.main().expect("main");
    let keys: Vec<String> = (0..times).map(|time| format!("plain/{thread}/{time}")).collect();
    for key in &keys {
        must_put(&main, key, "1");
    }
    Done { commits: keys.len() as u64, counted: 0, keys }
}

#[test]
fn merge_8_nothing_is_lost_between_merges_writers_and_transactions() {
    let times = if is_long() { 400 } else { 40 };
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "count", "0");
    let before = store.latest();
    let all: Vec<Done> = std::thread::scope(|scope| {
        let store: &Store = &store;
        let mut threads = Vec::new();
        for thread in 0..4 {
            threads.push(scope.spawn(move || land(store, thread, times)));
        }
        for thread in 0..2 {
            threads.push(scope.spawn(move || transact(store, thread, 3 * times)));
            threads.push(scope.spawn(move || write(store, thread, 3 * times)));
        }
        let reader = scope.spawn(move || {
            for _ in 0..times {
                let view = store.view("main").expect("a view");
                let pairs = |side: &str| {
                    view.prefix(format!("pair/{side}/").as_bytes()).expect("a scan").count()
                };
                assert_eq!(pairs("a"), pairs("b"), "a merge is seen with all keys or with none");
            }
        });
        reader.join().expect("the reader ends well");
        threads.into_iter().map(|thread| thread.join().expect("a thread ends well")).collect()
    });
    store.reopen();
    let main = store.main().expect("main");
    let commits: u64 = all.iter().map(|done| done.commits).sum();
    assert_eq!(store.latest().get(), before.get() + commits, "each commit that was told, once");
    let counted: u64 = all.iter().map(|done| done.counted).sum();
    assert_eq!(number(&main), counted, "nobody's count is overwritten");
    let mut want: Vec<String> = all.into_iter().flat_map(|done| done.keys).collect();
    want.push("count".to_owned());
    want.sort();
    let keys: Vec<String> = rows(&main).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, want, "every key that was written is there, and no other");
}
