//! Many rows: sorted or not, in little memory, on new branches and over old rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use withy::exchange::{LoadOptions, load};
use withy::{Batch, CommitOptions, Error, ErrorKind, FeedOptions, Read as _, Result, Seq, Store};

use super::state;
use crate::support::{Scratch, must_branch, must_fail, must_put};

type Pair = (Vec<u8>, Vec<u8>);

fn row(number: u64, value: u64) -> Result<Pair> {
    Ok((number.to_be_bytes().to_vec(), format!("value {value} of {number}").into_bytes()))
}

/// Puts the same rows one by one in one commit, for comparison.
fn must_equal_puts(store: &Store, loaded: &str, from: &str, rows: Vec<Result<Pair>>) {
    let plain = must_branch(store, "plain", from);
    let mut batch = Batch::new();
    for row in rows {
        let (key, value) = row.expect("a row");
        batch.put(key, value);
    }
    plain.write(batch, CommitOptions::default()).expect("it is written");
    let (got, want) = (store.view(loaded).expect("loaded"), plain.view().expect("plain"));
    assert_eq!(got.len(), want.len(), "as many keys");
    assert_eq!(got.fingerprint(), want.fingerprint(), "the same content");
    let all = withy::KeyRange::all();
    let pairs = |view: &withy::View| -> Vec<Pair> {
        view.range(&all).expect("a scan").map(|row| row.expect("a row")).collect()
    };
    assert_eq!(pairs(&got), pairs(&want), "row by row");
    let head = |name: &str| store.branch_info(name).expect("the branch").head;
    let changes = |name: &str| store.changes(head(name)).expect("the changes");
    assert_eq!(
        format!("{:?}", changes(loaded)),
        format!("{:?}", changes("plain")),
        "the changes are told alike"
    );
    store.delete_branch("plain", withy::DeleteOptions::default().force(true)).expect("it goes");
}

#[test]
fn bulk_rows_in_any_order_are_as_if_put_one_by_one() {
    let mut store = Scratch::new();
    let mut old = Batch::new();
    for number in (0..40_000).step_by(7) {
        let (key, value) = row(number, number % 2).expect("a row");
        old.put(key, value);
    }
    let written = store.main().expect("main").write(old, CommitOptions::default());
    written.expect("it is written");

    let mut random = fastrand::Rng::with_seed(1);
    let sorted: Vec<u64> = (0..30_000).collect();
    let mut shuffled = sorted.clone();
    random.shuffle(&mut shuffled);
    let repeated: Vec<u64> = (0..30_000).map(|_| random.u64(0..20_000)).collect();
    let two_runs: Vec<u64> = (0..30_000).step_by(2).chain((0..30_000).step_by(3)).collect();
    let orders =
        [("sorted", sorted), ("shuffled", shuffled), ("repeated", repeated), ("runs", two_runs)];
    for (name, order) in orders {
        // The smaller budget makes runs in a file, and streams what is sorted at first.
        for memory in [usize::MAX >> 1, 200_000] {
            let rows = || order.iter().map(|&n| row(n, n % 3)).collect::<Vec<_>>();
            let branch = format!("{name}-{memory}");
            let options = LoadOptions::default().from("main").memory(memory).message(name);
            let done = load(&store, &branch, rows(), options).expect("it is loaded");
            let different = order.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
            assert_eq!(
                (done.rows, done.duplicates),
                (order.len() as u64, order.len() as u64 - different),
                "{branch}"
            );
            assert_eq!(store.commit(&branch).expect("the commit").message, name);
            must_equal_puts(&store, &branch, "main", rows());
        }
    }
    let before = state(&store);
    store.reopen();
    assert_eq!(state(&store), before, "it is there after reopening");
}

#[test]
fn bulk_the_next_commit_goes_on_from_the_load() {
    let store = Scratch::new();
    let rows = (0..20_000).map(|n| row(n, 1));
    let done = load(&store, "main", rows, LoadOptions::default()).expect("it is loaded");
    let main = store.main().expect("main");
    let key = 5_u64.to_be_bytes();
    main.put(key, "new").expect("it is put");
    assert_eq!(main.get(&key).expect("it is read").as_deref(), Some(&b"new"[..]));
    let loaded = format!("seq:{}", done.commit.seq().expect("a commit"));
    let old = store.view(&loaded).expect("the load").get(&key).expect("it is read");
    assert_eq!(old, Some(row(5, 1).expect("a row").1), "time travel to the load");
    let events = store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed opens");
    let counts: Vec<usize> = events.map(|e| e.expect("an event").changes.len()).collect();
    assert_eq!(counts, [20_000, 1], "the feed tells the load as one commit");
    let again = load(
        &store,
        "main",
        (0..20_000).map(|n| row(n, u64::from(n != 5))),
        LoadOptions::default(),
    );
    let again = again.expect("it is loaded").commit.seq().expect("one row differs");
    assert_eq!(
        store.commit(&format!("seq:{again}")).expect("it").changes,
        1,
        "equal rows are dropped"
    );
    store.undo().expect("the load is undone");
    assert_eq!(main.get(&key).expect("it is read").as_deref(), Some(&b"new"[..]));
}

#[test]
fn bulk_values_of_every_size_are_kept() {
    let store = Scratch::new();
    let sizes = [0, 1, 16_383, 16_384, 16_385, 1 << 20];
    let value = |n: usize| vec![(n % 251) as u8; sizes[n % sizes.len()]];
    let rows = (0..12_000).map(|n: usize| {
        let len = if n < 600 { value(n) } else { Vec::new() };
        Ok((n.to_be_bytes().to_vec(), len))
    });
    load(&store, "new", rows, LoadOptions::default().from("main").memory(1 << 20)).expect("loaded");
    let view = store.view("new").expect("the branch");
    for n in [0_usize, 1, 2, 3, 4, 5, 598, 599] {
        let got = view.get(&n.to_be_bytes()).expect("it is read");
        assert_eq!(got, Some(value(n)), "row {n}");
    }
}

#[test]
fn bulk_a_failure_in_the_middle_leaves_nothing() {
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "before", "1");
    let before = state(&store);
    let broken = |order: fn(u64) -> u64| {
        (0..50_000).map(move |n| match n {
            40_000 => Err(Error::new(ErrorKind::Invalid, "row 40000 is bad")),
            _ => row(order(n), 1),
        })
    };
    let orders: [fn(u64) -> u64; 2] = [|n| n, |n| n.reverse_bits()];
    for order in orders {
        for branch in ["main", "new"] {
            let options = LoadOptions::default().from("main").memory(100_000);
            let error = must_fail(load(&store, branch, broken(order), options), ErrorKind::Invalid);
            assert_eq!(error.to_string(), "row 40000 is bad", "the error comes through");
            assert_eq!(state(&store), before, "nothing is left");
        }
    }
    let stop = LoadOptions::default().memory(100_000).progress(|so_far| match so_far.items {
        0..30_000 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    must_fail(load(&store, "main", (0..50_000).map(|n| row(n, 1)), stop), ErrorKind::Interrupted);
    assert_eq!(state(&store), before, "nothing is left of a load that was broken off");
    let bad = (0..20_000).map(|n| if n == 15_000 { Ok((vec![], vec![])) } else { row(n, 1) });
    let error = must_fail(load(&store, "main", bad, LoadOptions::default()), ErrorKind::Limit);
    assert_eq!(error.to_string(), "line 15001: key is empty, the shortest has 1 byte");
    store.reopen();
    assert_eq!(state(&store), before, "nor after reopening");
    let files = std::fs::read_dir(store.path()).expect("the store's directory");
    let left: Vec<_> = files
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("import-"))
        .collect();
    assert!(left.is_empty(), "no temporary file is left: {left:?}");
    assert_eq!(must_put(&store.main().expect("main"), "after", "1"), Seq::new(2), "no gap");
}

#[test]
fn bulk_random_loads_match_a_model() {
    let store = Scratch::new();
    let mut random = fastrand::Rng::with_seed(9);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 0..8 {
        let rows: Vec<Pair> = (0..random.usize(1..25_000))
            .map(|_| {
                let key = random.u32(0..30_000).to_le_bytes()[..random.usize(1..=4)].to_vec();
                (key, random.u8(0..3).to_string().into_bytes())
            })
            .collect();
        let options = LoadOptions::default().memory(random.usize(1..2_000_000));
        load(&store, "main", rows.iter().cloned().map(Ok), options).expect("it is loaded");
        model.extend(rows);
        let main = store.main().expect("main");
        let got: Vec<Pair> = main.prefix(b"").expect("a scan").map(|r| r.expect("a row")).collect();
        assert_eq!(got, model.clone().into_iter().collect::<Vec<_>>(), "round {round}");
        assert_eq!(main.view().expect("a view").len(), model.len() as u64, "the count is kept");
    }
}
