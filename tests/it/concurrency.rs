//! Many threads at once: writers, readers, feed readers, and branches that come and go.
//!
//! `WITHY_LONG=1` runs for 30 seconds instead of three.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use withy::{
    Batch, BranchOptions, ChangeKind, CommitOptions, DeleteOptions, Durability, FeedOptions,
    KeyRange, Read, Seq, Store,
};

use crate::support::{Scratch, is_long};

const BRANCHES: [&str; 4] = ["main", "east", "west", "east/deep"];
const ACCOUNTS: usize = 8;
const TOTAL: i64 = 800;

fn duration() -> Duration {
    let long = is_long();
    Duration::from_secs(if long { 30 } else { 3 })
}

fn account(n: usize) -> String {
    format!("account/{n}")
}

/// What must hold in every view: the accounts have the total, and the copies are equal.
fn check(view: &impl Read, what: &str) {
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = view
        .prefix(b"account/")
        .and_then(Iterator::collect)
        .unwrap_or_else(|e| panic!("{what}: the accounts are read: {e:?}"));
    assert_eq!(pairs.len(), ACCOUNTS, "{what}: every account is there");
    let sum: i64 = pairs
        .iter()
        .map(|(_, value)| i64::from_be_bytes(value.as_slice().try_into().expect("eight bytes")))
        .sum();
    assert_eq!(sum, TOTAL, "{what}: what is moved from one account to another is never half there");
}

/// Held still, gets and counts agree too.
fn check_held(view: &impl Read, what: &str) {
    check(view, what);
    let copies = view.multi_get(&[b"copy/0", b"copy/1", b"copy/2"]).expect("three copies");
    assert!(
        copies[0] == copies[1] && copies[1] == copies[2],
        "{what}: what one batch wrote is equal"
    );
    assert_eq!(view.get(b"copy/1").expect("a get"), copies[0], "{what}: a get is no different");
    let count = view.count(&KeyRange::prefix("account/")).expect("a count");
    assert_eq!(count, ACCOUNTS as u64, "{what}: counts agree with scans");
}

fn set_up(store: &Store) {
    let mut batch = Batch::new();
    for n in 0..ACCOUNTS {
        batch.put(account(n), (TOTAL / ACCOUNTS as i64).to_be_bytes());
    }
    for n in 0..3 {
        batch.put(format!("copy/{n}"), "0");
    }
    store
        .main()
        .and_then(|main| main.write(batch, CommitOptions::default()))
        .expect("the beginning");
    for (name, from) in [("east", "main"), ("west", "main"), ("east/deep", "east")] {
        store.create_branch(name, from, BranchOptions::default()).expect("a branch");
    }
}

/// What the threads share.
struct Shared<'s> {
    store: &'s Store,
    /// Whether the threads should end, and whether all that write have.
    over: AtomicBool,
    written: AtomicBool,
    commits: AtomicU64,
    reads: AtomicU64,
}

/// Moves amounts between accounts, in transactions that meet.
fn transfer(shared: &Shared<'_>, mut rng: fastrand::Rng) {
    while !shared.over.load(Ordering::Relaxed) {
        let branch = BRANCHES[rng.usize(0..BRANCHES.len())];
        let (from, to) = (rng.usize(0..ACCOUNTS), rng.usize(0..ACCOUNTS));
        let amount = rng.i64(1..20);
        let moved = shared.store.run(branch, CommitOptions::default(), |tx| {
            check(tx, "a transaction");
            for (n, by) in [(from, -amount), (to, amount)] {
                let now = tx.get(account(n).as_bytes())?.expect("an account");
                let now = i64::from_be_bytes(now.as_slice().try_into().expect("eight bytes"));
                tx.put(account(n), (now + by).to_be_bytes())?;
            }
            Ok(())
        });
        moved.unwrap_or_else(|e| panic!("a transfer on {branch} wins in the end: {e:?}"));
    }
}

/// Writes the copies in one batch; the sequences that it is told are its own.
fn copy(shared: &Shared<'_>, mut rng: fastrand::Rng) -> Vec<Seq> {
    let mut told = Vec::new();
    while !shared.over.load(Ordering::Relaxed) {
        let branch = BRANCHES[rng.usize(0..BRANCHES.len())];
        let mut batch = Batch::new();
        let value = rng.u64(..).to_be_bytes();
        for n in 0..3 {
            batch.put(format!("copy/{n}"), value);
        }
        let done =
            shared.store.branch(branch).and_then(|b| b.write(batch, CommitOptions::default()));
        let seq = done.expect("a plain batch never conflicts").seq().expect("the value is new");
        assert!(told.last().is_none_or(|last| *last < seq), "sequences only grow");
        let view =
            shared.store.view(&format!("seq:{seq}")).expect("what is acknowledged can be read");
        let read = view.get(b"copy/2").expect("a get");
        assert_eq!(read.as_deref(), Some(&value[..]), "a commit holds what it was given");
        told.push(seq);
        shared.commits.fetch_add(1, Ordering::Relaxed);
    }
    told
}

/// Reads heads and old commits.
fn read(shared: &Shared<'_>, mut rng: fastrand::Rng) {
    while !shared.over.load(Ordering::Relaxed) {
        let name = BRANCHES[rng.usize(0..BRANCHES.len())];
        let branch = shared.store.branch(name).expect("it is there");
        check(&branch, "a scan of a branch");
        check_held(&branch.view().expect("a view"), "a view of a branch");
        let seq = rng.u64(1..=shared.store.latest().get());
        check_held(&shared.store.view(&format!("seq:{seq}")).expect("a view"), "an old commit");
        shared.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes branches, writes on them, resets and deletes them, and makes them again.
fn come_and_go(shared: &Shared<'_>, mut rng: fastrand::Rng, name: &str) {
    while !shared.over.load(Ordering::Relaxed) {
        let from = BRANCHES[rng.usize(0..BRANCHES.len())];
        let branch =
            shared.store.create_branch(name, from, BranchOptions::default()).expect("a branch");
        let held = branch.view().expect("a view");
        check_held(&branch, "a new branch");
        branch.put("mark", name).expect("a put");
        shared.store.reset(name, &format!("{name}~1")).expect("a reset");
        assert_eq!(branch.get(b"mark").expect("a get"), None, "a reset is seen by old handles");
        let gone = shared.store.delete_branch(name, DeleteOptions::default().force(true));
        gone.expect("it is neither main nor active");
        check_held(&held, "the view of a branch that is gone");
    }
}

/// Follows the feed from the start until the newest commit, and folds it by branch line.
fn follow(shared: &Shared<'_>) -> Vec<Seq> {
    let mut news =
        shared.store.subscribe(Seq::ROOT, FeedOptions::default()).expect("a subscription");
    let mut seen: Vec<Seq> = Vec::new();
    loop {
        let written = shared.written.load(Ordering::SeqCst);
        match news.next_timeout(Duration::from_millis(20)).expect("the feed goes on") {
            Some(event) => {
                let expected = seen.last().map_or(1, |last| last.get() + 1);
                assert_eq!(
                    event.commit.seq.get(),
                    expected,
                    "FEED-1: each commit once and in order"
                );
                let accounts =
                    event.changes.iter().filter(|c| c.key.starts_with(b"account/")).count();
                assert!(
                    [0, 1, 2, ACCOUNTS].contains(&accounts),
                    "FEED-1: a commit's changes are together"
                );
                assert!(
                    event.changes.iter().all(|c| c.kind != ChangeKind::Deleted),
                    "nothing is deleted"
                );
                seen.push(event.commit.seq);
            }
            None if written && news.position() == shared.store.latest() => return seen,
            None => {}
        }
    }
}

fn run(durability: Durability) {
    let store = match durability {
        Durability::Sync => Scratch::with(|options| options.durability(Durability::Sync)),
        Durability::Buffered => Scratch::new(),
    };
    set_up(&store);
    let shared = Shared {
        store: &store,
        over: AtomicBool::new(false),
        written: AtomicBool::new(false),
        commits: AtomicU64::new(0),
        reads: AtomicU64::new(0),
    };
    let shared = &shared;
    let rng = |n: u64| fastrand::Rng::with_seed(n);
    std::thread::scope(|scope| {
        let mut others: Vec<_> =
            (0..4).map(|n| scope.spawn(move || transfer(shared, rng(n)))).collect();
        let copies: Vec<_> = (4..8).map(|n| scope.spawn(move || copy(shared, rng(n)))).collect();
        others.extend((8..12).map(|n| scope.spawn(move || read(shared, rng(n)))));
        for (n, name) in [(12, "guest/a"), (13, "guest/b")] {
            others.push(scope.spawn(move || come_and_go(shared, rng(n), name)));
        }
        let feeds: Vec<_> = (0..2).map(|_| scope.spawn(move || follow(shared))).collect();
        // A thread that fails must end the others too, or the test would not end.
        let failed = || {
            others.iter().any(ScopedJoinHandle::is_finished)
                || copies.iter().chain(&feeds).any(ScopedJoinHandle::is_finished)
        };
        let pause = Duration::from_millis(50);
        let mut left = duration();
        while !left.is_zero() && !failed() {
            std::thread::sleep(pause);
            left = left.saturating_sub(pause);
        }
        shared.over.store(true, Ordering::SeqCst);
        let others: Vec<_> = others.into_iter().map(ScopedJoinHandle::join).collect();
        let copies: Vec<_> = copies.into_iter().map(ScopedJoinHandle::join).collect();
        shared.written.store(true, Ordering::SeqCst);
        let feeds: Vec<_> = feeds.into_iter().map(ScopedJoinHandle::join).collect();
        assert!(others.iter().all(Result::is_ok), "every thread ends well");
        let mut told: BTreeMap<Seq, usize> = BTreeMap::new();
        for seq in copies.into_iter().flat_map(|copy| copy.expect("a writer ends well")) {
            *told.entry(seq).or_default() += 1;
        }
        assert!(told.values().all(|times| *times == 1), "no sequence is given twice");
        for seen in feeds {
            let seen = seen.expect("a feed ends well");
            assert_eq!(seen.len() as u64, store.latest().get(), "FEED-1: every reader sees all");
            let missing = told.keys().find(|seq| seen.binary_search(seq).is_err());
            assert_eq!(missing, None, "FEED-1: what a writer was told is in the feed");
        }
    });
    assert!(shared.commits.load(Ordering::Relaxed) > 0, "writers came to work");
    assert!(shared.reads.load(Ordering::Relaxed) > 0, "readers came to work");
    check_after(store);
}

/// What is on disk tells the same story.
fn check_after(mut store: Scratch) {
    let heads = |store: &Store| -> Vec<(String, Seq)> {
        let all = store.branches().expect("branches");
        all.into_iter().map(|info| (info.name.to_string(), info.head)).collect()
    };
    let (before, latest) = (heads(&store), store.latest());
    store.reopen();
    assert_eq!((heads(&store), store.latest()), (before, latest), "a reopen changes nothing");
    let feed =
        store.feed(Seq::ROOT, FeedOptions::default().names_only(true)).expect("the feed opens");
    let mut next = 1;
    for event in feed {
        assert_eq!(event.expect("an event").commit.seq.get(), next, "sequences have no gaps");
        next += 1;
    }
    assert_eq!(next, latest.get() + 1, "the feed ends with the newest commit");
    for name in BRANCHES {
        check_held(&store.branch(name).expect("it is there"), "a branch after a reopen");
    }
}

#[test]
fn feed_1_sixteen_threads_on_four_branches_durable() {
    run(Durability::Sync);
}

#[test]
fn feed_1_sixteen_threads_on_four_branches_buffered() {
    run(Durability::Buffered);
}

#[test]
fn feed_1_a_waiting_reader_is_woken_by_the_commit_it_waits_for() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let seen = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (seen, store) = (Arc::clone(&seen), &store);
        scope.spawn(move || {
            let mut news =
                store.subscribe(Seq::ROOT, FeedOptions::default()).expect("a subscription");
            for _ in 0..200 {
                let event = news.next_timeout(Duration::from_secs(60)).expect("the feed goes on");
                let seq = event.expect("a commit comes, long before the time is over").commit.seq;
                seen.store(seq.get(), Ordering::SeqCst);
            }
        });
        for n in 1..=200_u64 {
            main.put("n", n.to_be_bytes()).expect("a put");
        }
    });
    assert_eq!(seen.load(Ordering::SeqCst), 200, "FEED-2: no commit is slept through");
}
