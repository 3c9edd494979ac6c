//! LOCK-3: fencing numbers: each larger than all before it, over the life of the store.

use std::thread;

use withy::LockKind::Point;

use super::NOW;
use crate::support::Scratch;

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
