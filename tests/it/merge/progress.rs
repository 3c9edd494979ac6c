//! Merges tell how far they have come, and are stopped at any moment of it: all of a merge or nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use withy::{
    Batch, CommitOptions, ContinueOptions, ErrorKind, FastForward, MergeOptions, MergeReport,
    Progress, Resolution, Result, Seq, Store, Strategy,
};

use crate::support::{Scratch, must_branch, must_fail, must_verify, rows};

/// What tells the progress to a test.
type Tell<'a> = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send + 'a>;
type Act = fn(&Store, Tell<'_>) -> Result<MergeReport>;

/// Something that merges: what has to be there, and what is done.
struct Case {
    name: &'static str,
    prepare: fn(&Store),
    act: Act,
    /// The stages that it goes through.
    stages: &'static [&'static str],
}

/// More than are told at once.
const KEYS: usize = 2_400;

fn told(tell: Tell<'_>) -> MergeOptions<'_> {
    MergeOptions::default().progress(tell)
}

fn write(store: &Store, branch: &str, keys: std::ops::Range<usize>, value: &str) {
    let mut batch = Batch::new();
    keys.for_each(|n| {
        batch.put(format!("key/{n:06}"), format!("{value} {n}"));
    });
    let branch = store.branch(branch).expect("it is there");
    branch.write(batch, CommitOptions::default()).expect("written");
}

/// Two branches that both changed, some keys alike, some not.
fn part(store: &Store) {
    write(store, "main", 0..100, "old");
    must_branch(store, "topic", "main");
    write(store, "topic", 0..KEYS / 2, "theirs");
    write(store, "topic", KEYS / 2..KEYS, "theirs");
    write(store, "main", KEYS..KEYS + 10, "ours");
}

/// A commit of one key, and one of many.
fn part_unevenly(store: &Store) {
    must_branch(store, "topic", "main");
    write(store, "topic", 0..1, "theirs");
    write(store, "topic", 0..KEYS, "theirs again");
    write(store, "main", KEYS..KEYS + 10, "ours");
}

/// The same, with a conflict.
fn dispute(store: &Store) {
    part(store);
    write(store, "main", 40..50, "ours");
}

/// Two branches with two merge bases.
fn cross(store: &Store) {
    part(store);
    must_branch(store, "side", "main");
    store.merge("side", "topic", MergeOptions::default()).expect("merged");
    store.merge("topic", "main", MergeOptions::default()).expect("merged");
    write(store, "side", 0..KEYS / 3, "ours");
    write(store, "topic", KEYS / 2..KEYS, "theirs again");
}

fn leave_open(store: &Store) {
    dispute(store);
    store
        .merge("main", "topic", MergeOptions::default().keep_open(true))
        .expect("it has conflicts");
    store
        .resolve_range("main", &withy::KeyRange::all(), Some(Resolution::Theirs), None)
        .expect("ok");
}

/// More than one batch holds.
fn part_far(store: &Store) {
    write(store, "main", 0..10, "old");
    must_branch(store, "topic", "main");
    write(store, "topic", 0..260_000, "theirs");
    write(store, "main", 300_000..300_001, "ours");
}

const CASES: &[Case] = &[
    Case {
        name: "merge",
        prepare: part,
        act: |store, tell| store.merge("main", "topic", told(tell)),
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "squash with a strategy",
        prepare: dispute,
        act: |store, tell| {
            store.merge("main", "topic", told(tell).squash(true).strategy(Strategy::Theirs))
        },
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "merge with two bases",
        prepare: cross,
        act: |store, tell| store.merge("side", "topic", told(tell).strategy(Strategy::Ours)),
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "merge that stays open",
        prepare: dispute,
        act: |store, tell| store.merge("main", "topic", told(tell).keep_open(true)),
        stages: &["read", "plan"],
    },
    Case {
        name: "merge that goes on",
        prepare: leave_open,
        act: |store, tell| {
            let options = ContinueOptions::from(CommitOptions::default().author("ann"));
            store.continue_merge("main", options.progress(tell))
        },
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "rebase",
        prepare: part,
        act: |store, tell| store.rebase("topic", "main", told(tell)),
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "pick of two",
        prepare: part,
        act: |store, tell| store.cherry_pick("main", &["topic~1", "topic"], told(tell)),
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "revert",
        prepare: part,
        act: |store, tell| store.revert("topic", &["topic~1"], told(tell)),
        stages: &["read", "plan", "write"],
    },
    Case {
        name: "rebase of a small and a large commit",
        prepare: part_unevenly,
        act: |store, tell| store.rebase("topic", "main", told(tell)),
        stages: &["read", "plan", "write"],
    },
];

/// Everything that a merge may change.
#[derive(Debug, PartialEq)]
struct Content {
    branches: BTreeMap<String, (Seq, Vec<(String, String)>)>,
    open: Vec<withy::OpenMerge>,
    commits: usize,
    operations: usize,
}

fn content(store: &Store) -> Content {
    let mut branches = BTreeMap::new();
    for info in store.branches().expect("listed") {
        let view = store.view(info.name.as_str()).expect("it is there");
        branches.insert(info.name.to_string(), (view.commit().seq, rows(&view)));
    }
    Content {
        branches,
        open: store.open_merges().expect("listed"),
        commits: store.feed(Seq::ROOT, withy::FeedOptions::default()).expect("read").count(),
        operations: store.ops(usize::MAX).expect("read").len(),
    }
}

/// Lets a case go on until a number of calls.
fn stop_at(store: &Store, case: &Case, last: usize) -> Result<MergeReport> {
    let mut calls = 0;
    (case.act)(
        store,
        Box::new(|_| {
            calls += 1;
            if calls < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }),
    )
}

/// What a case tells to its end.
fn listen(store: &Store, case: &Case) -> (Vec<Progress>, MergeReport) {
    let mut heard = Vec::new();
    let report = (case.act)(
        store,
        Box::new(|so_far| {
            heard.push(so_far);
            ControlFlow::Continue(())
        }),
    );
    (heard, report.unwrap_or_else(|e| panic!("{}: {e:?}", case.name)))
}

#[test]
fn cli_4_a_merge_that_is_stopped_at_any_call_has_done_nothing() {
    for case in CASES {
        let (whole, stopped) = (Scratch::new(), Scratch::new());
        (case.prepare)(&whole);
        (case.prepare)(&stopped);
        let (heard, report) = listen(&whole, case);
        let before = content(&stopped);
        for call in 1..=heard.len() {
            must_fail(stop_at(&stopped, case, call), ErrorKind::Interrupted);
            assert_eq!(content(&stopped), before, "{}: stopped at call {call}", case.name);
        }
        must_verify(&stopped);
        let again = stop_at(&stopped, case, usize::MAX).expect("it is done when nobody stops it");
        assert_eq!(again, report, "{}: the report", case.name);
        let (left, right) = (content(&stopped), content(&whole));
        assert_eq!(left.branches, right.branches, "{}: the same as if never stopped", case.name);
        must_verify(&stopped);
    }
}

#[test]
fn cli_4_a_merge_tells_its_stages_and_how_much_is_left() {
    for case in CASES {
        let store = Scratch::new();
        (case.prepare)(&store);
        let (heard, _) = listen(&store, case);
        let mut stages: Vec<_> = heard.iter().map(|so_far| so_far.stage).collect();
        stages.dedup();
        assert_eq!(stages, case.stages, "{}: the stages", case.name);
        for pair in heard.windows(2) {
            let same = pair[0].stage == pair[1].stage;
            assert!(!same || pair[0].items <= pair[1].items, "{}: {pair:?}", case.name);
            let is_within = pair[1].total_items.is_none_or(|total| pair[1].items <= total);
            assert!(is_within, "{}: no more than all: {pair:?}", case.name);
        }
        assert!(heard.len() > case.stages.len() + 1, "{}: it is told meanwhile", case.name);
        let last = heard.last().expect("something is told");
        let in_all = last.total_items.expect("what is left is known at the end");
        assert!(in_all >= 1_000, "{}: {last:?}", case.name);
        if last.stage == "write" {
            assert_eq!(last.items, in_all, "{}: all is written in the end", case.name);
        }
    }
}

#[test]
fn cli_4_a_merge_through_sorted_files_can_be_stopped() {
    let store = Scratch::new();
    part_far(&store);
    let merge = CASES[0].act;
    let before = content(&store);
    let moments = [("read", 0), ("read", 200_000), ("plan", 100_000)];
    for (stage, items) in moments.into_iter().chain([
        ("write files", 0),
        ("write files", 130_000),
        ("write files", 260_000),
    ]) {
        let at = move |so_far: Progress| match so_far.stage == stage && so_far.items >= items {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        must_fail(merge(&store, Box::new(at)), ErrorKind::Interrupted);
        assert_eq!(content(&store), before, "stopped in {stage} at {items}");
        assert!(!store.path().join("bulk").exists(), "no sorted files stay");
    }
    listen(&store, &CASES[0]);
    let merged = store.view("main").expect("it is there");
    assert_eq!(rows(&merged).len(), 260_001);
    must_verify(&store);
}

#[test]
fn cli_4_a_fast_forward_asks_before_the_branch_moves() {
    let store = Scratch::new();
    must_branch(&store, "topic", "main");
    write(&store, "topic", 0..10, "theirs");
    let stop = || told(Box::new(|_| ControlFlow::Break(())));
    let before = content(&store);
    must_fail(store.merge("main", "topic", stop()), ErrorKind::Interrupted);
    must_fail(store.rebase("main", "topic", stop()), ErrorKind::Interrupted);
    assert_eq!(content(&store), before, "nothing has moved");
}

#[test]
fn cli_4_a_plan_tells_its_progress_too() {
    let store = Scratch::new();
    dispute(&store);
    let mut stages = Vec::new();
    let options = MergeOptions::default().fast_forward(FastForward::Never).progress(|so_far| {
        stages.push(so_far.stage);
        ControlFlow::Continue(())
    });
    let plan = store.plan_merge("main", "topic", options).expect("planned");
    assert_eq!(plan.report.conflicts.len(), 10);
    stages.dedup();
    assert_eq!(stages, ["read", "plan"]);
}

#[test]
fn cli_4_clones_of_options_share_the_callback() {
    let store = Scratch::new();
    dispute(&store);
    let calls = Mutex::new(0);
    let options = MergeOptions::default().progress(|so_far| {
        *calls.lock().expect("no panic") += 1;
        // A callback may read, and plan something of its own.
        store.plan_merge("main", "topic", MergeOptions::default()).expect("planned");
        if so_far.stage == "write" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let first = store.merge("main", "topic", options.clone()).expect("it has conflicts");
    assert_eq!(first.conflicts.len(), 10);
    let once = *calls.lock().expect("no panic");
    let theirs = options.strategy(Strategy::Theirs);
    must_fail(store.merge("main", "topic", theirs), ErrorKind::Interrupted);
    assert!(*calls.lock().expect("no panic") > once, "the clone tells as well");
}
