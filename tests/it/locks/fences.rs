//! LOCK-3: fencing numbers: each larger than all before it, over the life of the store.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use withy::LockKind::Point;
use withy::{Durability, Store};

use super::{LONG, NOW};
use crate::support::Scratch;

/// Names the store in which the process below is to hold a lock.
const HOLD: &str = "WITHY_TEST_HOLD_LOCK";

/// Not a test by itself: a process that takes a lock, says its number, and waits for its end.
#[test]
fn holder() {
    let Ok(path) = std::env::var(HOLD) else { return };
    let options = Store::options().durability(Durability::Buffered);
    let store = options.open(path).expect("the store opens");
    let owner = store.lock_session("holder").expect("a session");
    let lock = owner.lock("/a", Point, NOW).expect("free");
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nholder: {}", lock.fence())
        .and_then(|()| out.flush())
        .expect("someone listens");
    thread::sleep(LONG);
}

#[test]
fn lock_f13_a_killed_process_leaves_no_lock_and_its_numbers_are_not_given_again() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let mut last = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "locks::fences::holder", "--nocapture", "--test-threads=1"])
            .env(HOLD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let said = lines
            .map(|line| line.expect("text"))
            .find_map(|line| line.strip_prefix("holder: ").map(str::to_owned))
            .expect("it takes the lock");
        child.kill().expect("it is killed");
        child.wait().expect("it has ended");
        let fence: u64 = said.parse().expect("a number");
        assert!(fence > last, "{fence} comes after {last}");
        let store = Store::options().wait(LONG).open(dir.path()).expect("the store opens");
        assert_eq!(store.held_locks(), [], "its lock went with it");
        let ann = store.lock_session("ann").expect("a session");
        last = ann.lock("/a", Point, NOW).expect("free").fence();
        assert!(last > fence, "{last} comes after {fence}");
    }
}

#[test]
fn lock_3_fencing_numbers_grow_across_reopen() {
    let mut store = Scratch::new();
    let mut last = 0;
    for _ in 0..4 {
        let ann = store.lock_session("ann").expect("a session");
        for i in 0..5 {
            let lock = ann.lock(&format!("/{i}"), Point, NOW).expect("free");
            assert!(lock.fence() > last, "{} comes after {last}", lock.fence());
            last = lock.fence();
        }
        drop(ann);
        assert_eq!(store.held_locks(), [], "locks end with their owner");
        store.reopen();
        assert_eq!(store.held_locks(), [], "and are not stored");
    }
}

#[test]
fn lock_3_fencing_numbers_go_on_when_a_block_of_them_is_used_up() {
    let store = Scratch::new();
    let paths: Vec<String> = (0..40_000).map(|i| format!("/{i:05}")).collect();
    let claims: Vec<_> = paths.iter().map(|path| (path.as_str(), Point)).collect();
    let ann = store.lock_session("ann").expect("a session");
    let mut last = 0;
    for _ in 0..4 {
        let locks = ann.lock_all(&claims, NOW).expect("its own");
        for lock in &locks {
            assert!(lock.fence() > last, "{} comes after {last}", lock.fence());
            last = lock.fence();
        }
    }
    let large: Vec<_> = claims.iter().cycle().take(100_000).copied().collect();
    let locks = ann.lock_all(&large, NOW).expect("a set larger than a block");
    assert_eq!(locks.len(), 100_000, "all of it");
}

#[test]
fn lock_3_no_two_grants_have_the_same_number() {
    let store = Scratch::new();
    let mut all: Vec<u64> = thread::scope(|s| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let store = &store;
                s.spawn(move || {
                    let owner = store.lock_session("owner").expect("a session");
                    let take =
                        |_| owner.lock(&format!("/{i}"), Point, NOW).expect("its own").fence();
                    (0..20_000).map(take).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let fences = thread.join().expect("no panic");
            assert!(fences.is_sorted(), "an owner's numbers grow");
            all.extend(fences);
        }
        all
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 160_000, "each number is given once");
}
