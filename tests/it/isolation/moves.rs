//! Whatever changes a branch, a transaction that rests on what it changed is told, and no other one.

use std::sync::atomic::{AtomicBool, Ordering};

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{
    BranchOptions, CommitOptions, Direction, FastForward, KeyRange, MergeOptions, Read, Store, Txn,
};

use super::{begin, begin_on, get_for_update, keys_in, must_end, must_lose, must_win, put, put_on};
use crate::support::{Scratch, must_branch, must_delete, must_get, must_put, must_write};

/// A name, and what changes the key b of `main`, and no key that starts with a.
type Way = (&'static str, fn(&Store));

/// `main` has a, then b, then c; `side` left it there and has changed b; `other` left it before c came.
fn set_up() -> Scratch {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    must_put(&main, "b", "1");
    let other = must_branch(&store, "other", "main");
    must_put(&main, "c", "1");
    let side = must_branch(&store, "side", "main");
    must_write(&side, "work", &[("b", Some("2")), ("d", Some("2"))]);
    must_put(&other, "b", "3");
    store
}

const WAYS: [Way; 17] = [
    ("a put", |store| {
        must_put(&store.main().expect("main"), "b", "2");
    }),
    ("a deletion", |store| {
        must_delete(&store.main().expect("main"), "b");
    }),
    ("there and back", |store| {
        let main = store.main().expect("main");
        must_put(&main, "b", "2");
        must_put(&main, "b", "1");
    }),
    ("a transaction", |store| {
        let mut tx = begin(store, Serializable);
        put(&mut tx, "b", "2");
        must_win(tx);
    }),
    ("a transaction begun on another branch", |store| {
        let mut tx = store.begin("side").expect("begin");
        put_on(&mut tx, "main", "b", "2");
        must_win(tx);
    }),
    ("a fast-forward", |store| {
        let report = store.merge("main", "side", MergeOptions::default()).expect("merge");
        assert!(report.fast_forward, "main has not moved");
    }),
    ("a merge that could be a fast-forward", |store| {
        let options = MergeOptions::default().fast_forward(FastForward::Never);
        store.merge("main", "side", options).expect("merge");
    }),
    ("a merge of what has diverged", |store| {
        let report = store.merge("main", "other", MergeOptions::default()).expect("merge");
        assert!(!report.fast_forward, "main has moved");
    }),
    ("a squash", |store| {
        store.merge("main", "other", MergeOptions::default().squash(true)).expect("merge");
    }),
    ("a cherry-pick", |store| {
        store.cherry_pick("main", &["other"], MergeOptions::default()).expect("cherry-pick");
    }),
    ("a revert", |store| {
        store.revert("main", &["main~1"], MergeOptions::default()).expect("revert");
    }),
    ("a rebase", |store| {
        store.rebase("main", "other", MergeOptions::default()).expect("rebase");
    }),
    ("a restore", |store| {
        let options = CommitOptions::default();
        store.restore("main", "other", &KeyRange::prefix("b"), options).expect("restore");
    }),
    ("a reset", |store| store.reset("main", "other").expect("reset")),
    ("an undo", |store| {
        must_put(&store.main().expect("main"), "b", "2");
        store.undo().expect("undo");
        // That alone has changed nothing: the branch is back at the same commit.
        must_put(&store.main().expect("main"), "b", "2");
        store.undo().expect("undo");
        store.redo().expect("redo");
    }),
    ("a bulk load", |store| {
        let pairs = [Ok(("b".into(), "2".into()))];
        load(store, "main", pairs, LoadOptions::default().memory(1)).expect("load");
    }),
    ("an import", |store| {
        let stream = b"commit refs/heads/main\ncommitter A <a@b> 5 +0000\ndata 0\n\
            from refs/heads/main^0\nM 100644 inline b\ndata 1\n2\n";
        import_git(store, &stream[..], GitImportOptions::default()).expect("import");
    }),
];

/// How a transaction can rest on the keys that begin with a letter.
type Rest = (&'static str, Isolation, fn(&mut Txn<'_>, &str));

const RESTS: [Rest; 8] = [
    ("a read for update", ReadCommitted, |tx, key| drop(get_for_update(tx, key))),
    ("a read for update", Snapshot, |tx, key| drop(get_for_update(tx, key))),
    ("a get", Serializable, |tx, key| assert!(must_get(tx, key).is_some(), "it is there")),
    ("a scan", Serializable, |tx, key| {
        assert_eq!(keys_in(tx, &KeyRange::prefix(key), Direction::Backward), [key], "it is there");
    }),
    ("a count", Serializable, |tx, key| {
        assert_eq!(tx.count(&KeyRange::prefix(key)).expect("count"), 1, "it is there");
    }),
    ("several keys at once", Serializable, |tx, key| {
        let values = tx.multi_get(&[b"ab", key.as_bytes()]).expect("multi_get");
        assert!(values[0].is_none() && values[1].is_some(), "it is there");
    }),
    // The last ones, for they change what the others rest on.
    ("a write", Snapshot, |tx, key| put(tx, key, "1")),
    ("a deletion", Serializable, |tx, key| super::delete(tx, key)),
];

#[test]
fn txn_2_whatever_changes_a_branch_conflicts_with_what_rests_on_it_and_with_nothing_else() {
    for (way, change) in WAYS {
        let store = set_up();
        let main = store.main().expect("main");
        let open = RESTS.map(|(rest, level, rests_on)| {
            let (mut lost, mut kept) = (begin(&store, level), begin(&store, level));
            rests_on(&mut lost, "b");
            rests_on(&mut kept, "a");
            put(&mut lost, "z/lost", "decided");
            // A key of its own, for they are all open at once.
            let own = format!("z/kept/{rest} at {level}");
            put(&mut kept, &own, "decided");
            (rest, own, lost, kept)
        });
        let readers = [Snapshot, Serializable].map(|level| begin(&store, level));
        let before = must_get(&main, "b");
        change(&store);
        for reader in readers {
            assert_eq!(must_get(&reader, "b"), before, "{way}: reads are repeatable");
            must_end(reader);
        }
        for (rest, own, lost, kept) in open {
            let e = lost.commit(CommitOptions::default()).err();
            let named = e.map(|e| e.keys().to_vec());
            assert_eq!(named, Some(vec![b"b".to_vec()]), "{way}, {rest}: it must be told of b");
            let done = kept.commit(CommitOptions::default());
            assert!(done.is_ok(), "{way}, {rest}: a has not changed: {done:?}");
            assert!(must_get(&main, &own).is_some(), "{way}, {rest}: all of it is stored");
        }
        assert_eq!(must_get(&main, "z/lost"), None, "{way}: nothing of the losers is stored");
    }
}

#[test]
fn txn_2_a_branch_that_was_moved_away_and_back_has_not_changed() {
    for (rest, level, rests_on) in RESTS {
        let store = set_up();
        let mut tx = begin(&store, level);
        rests_on(&mut tx, "b");
        put(&mut tx, "z", "decided");
        store.reset("main", "other").expect("reset");
        store.undo().expect("undo");
        let done = tx.commit(CommitOptions::default());
        assert!(done.is_ok(), "{rest} at {level}: it is the same commit as before: {done:?}");
    }
}

#[test]
fn txn_1_read_committed_follows_a_branch_that_is_moved() {
    let store = set_up();
    let mut tx = begin(&store, ReadCommitted);
    assert_eq!(must_get(&tx, "b").as_deref(), Some("1"), "before");
    put(&mut tx, "own", "1");
    store.reset("main", "other").expect("reset");
    assert_eq!(must_get(&tx, "b").as_deref(), Some("3"), "a get reads what the branch is now");
    let keys = keys_in(&tx, &KeyRange::all(), Direction::Forward);
    assert_eq!(keys, ["a", "b", "own"], "so does a scan");
    assert_eq!(tx.count(&KeyRange::all()).expect("count"), 3, "and a count");
    assert_eq!(get_for_update(&mut tx, "b").as_deref(), Some("3"), "and a read for update");
    must_win(tx);
    let main = store.main().expect("main");
    assert_eq!(keys_in(&main, &KeyRange::all(), Direction::Forward), ["a", "b", "own"]);
}

#[test]
fn txn_1_read_committed_follows_a_branch_that_is_moved_after_it_read_for_update() {
    let store = set_up();
    let mut tx = begin(&store, ReadCommitted);
    assert_eq!(get_for_update(&mut tx, "a").as_deref(), Some("1"), "it is read for update");
    store.reset("main", "other").expect("reset");
    let read = get_for_update(&mut tx, "b");
    put(&mut tx, "own", "1");
    match tx.commit(CommitOptions::default()) {
        Ok(_) => assert_eq!(read.as_deref(), Some("3"), "what it read is what there is"),
        Err(e) => assert_eq!(e.keys(), [b"b".to_vec()], "what it read is not there any more"),
    }
}

#[test]
fn txn_6_a_branch_that_moved_before_it_was_first_used_is_no_part_of_the_snapshot() {
    for level in [Snapshot, Serializable] {
        let store = set_up();
        let mut tx = begin(&store, level);
        put(&mut tx, "a", "own");
        store.reset("side", "other").expect("reset");
        let Err(e) = tx.on("side").map(|_| ()) else {
            panic!("{level}: what side was when the transaction began is not known any more")
        };
        assert_eq!(e.kind(), withy::ErrorKind::Conflict, "{level}: it can be run again: {e:?}");
        store.create_branch("new", "main", BranchOptions::default()).expect("a branch");
        let made = tx.on("new").map(|_| ());
        assert!(made.is_err_and(|e| e.is_retryable()), "{level}: nor was there a branch new");
        // What it does not use is not in its way.
        must_win(tx);
    }
}

#[test]
fn txn_6_a_commit_on_two_branches_is_one_step_of_undo() {
    let store = set_up();
    let (main, side) = (store.main().expect("main"), store.branch("side").expect("side"));
    let mut tx = begin(&store, Snapshot);
    put(&mut tx, "b", "own");
    put_on(&mut tx, "side", "b", "own");
    must_win(tx);
    let both = || (must_get(&main, "b"), must_get(&side, "b"));
    let (own, before) = (both(), (Some("1".to_owned()), Some("2".to_owned())));
    store.undo().expect("undo");
    assert_eq!(both(), before, "UNDO-1: both are taken back");
    store.redo().expect("redo");
    assert_eq!(both(), own, "UNDO-1: both are there again");
}

#[test]
fn txn_2_a_conflict_on_two_branches_names_the_keys_of_both() {
    let store = set_up();
    let mut tx = begin(&store, Serializable);
    let read = tx.on("side").and_then(|side| side.count(&KeyRange::prefix("d"))).expect("count");
    assert_eq!((read, must_get(&tx, "b").as_deref()), (1, Some("1")), "it reads on both");
    put(&mut tx, "z", "decided");
    store.merge("main", "other", MergeOptions::default()).expect("merge");
    must_delete(&store.branch("side").expect("side"), "d");
    must_lose(tx, &["b", "d"]);
}

/// A commit on `side` and then a move of `main` to a commit that was there already, over and over: who
/// sees the move sees the commit. The transaction begins on the one branch and goes on to the other.
fn a_move_has_its_place_among_commits(first: &str, second: &str) {
    const MOVES: u64 = 2_000;
    let store = Scratch::new();
    let main = store.main().expect("main");
    for n in 1..=MOVES {
        main.put("n", n.to_string()).expect("put");
    }
    store.reset("main", "seq:1").expect("reset");
    let side = must_branch(&store, "side", "main");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..=MOVES {
                side.put("n", n.to_string()).expect("put");
                store.reset("main", &format!("seq:{n}")).expect("reset");
            }
            over.store(true, Ordering::Relaxed);
        });
        let number = |n: Option<String>| n.expect("it is there").parse::<u64>().expect("a number");
        let mut seen = 0;
        while !over.load(Ordering::Relaxed) {
            let mut tx = begin_on(&store, first, Snapshot);
            let one = number(must_get(&tx, "n"));
            // If the other one moved meanwhile, the transaction is told.
            let Ok(other) = tx.on(second) else { continue };
            let two = number(must_get(&other, "n"));
            let (moved, committed) = if first == "main" { (one, two) } else { (two, one) };
            assert!(
                committed >= moved,
                "TXN-6: one moment on both: side had {moved} before main was moved to {moved}, but is \
                 seen with {committed}"
            );
            seen += 1;
        }
        assert!(seen > 0, "some transactions saw both");
    });
}

#[test]
fn txn_6_a_move_of_its_first_branch_has_its_place_among_commits() {
    a_move_has_its_place_among_commits("main", "side");
}

#[test]
fn txn_6_a_move_of_its_second_branch_has_its_place_among_commits() {
    a_move_has_its_place_among_commits("side", "main");
}
