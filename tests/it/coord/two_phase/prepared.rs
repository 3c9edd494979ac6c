//! TPC-1: from prepare to commit or rollback, in this process and another one.

use std::time::Duration;

use withy::{
    CommitOptions, Committed, Create, ErrorKind, Isolation, KeyRange, Lock, LockKind, LockOptions,
    Read, Seq, Standing, Store, TxnOptions,
};

use super::{must_prepare, prepared};
use crate::support::raw::{FAMILIES, raw_rows};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, rows};

/// Values of every size that is stored in its own way.
fn values() -> [(&'static str, Vec<u8>); 4] {
    [
        ("empty", Vec::new()),
        ("small", b"v".to_vec()),
        ("blob", vec![7; 20 << 10]),
        ("same blob", vec![7; 20 << 10]),
    ]
}

/// Prepares writes on two branches: values of every kind, a deletion, and what changes nothing.
fn prepare_all(store: &Store, gid: &str) {
    let mut tx = store.begin("main").expect("a transaction");
    for (key, value) in values() {
        tx.put(key, value).expect("it is put");
    }
    tx.delete("gone").expect("it is deleted");
    tx.put("kept", "as it was").expect("it is put");
    let mut topic = tx.on("topic").expect("the branch is there");
    topic.put("there", "too").expect("it is put");
    topic.delete("gone").expect("it is deleted");
    tx.prepare(gid, CommitOptions::default().author("ann").message("both")).expect("prepared");
}

fn set_up() -> Scratch {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "gone", "soon");
    must_put(&main, "kept", "as it was");
    must_branch(&store, "topic", "main");
    store
}

fn must_have_all(store: &Store) {
    let main = store.main().expect("main");
    for (key, value) in values() {
        let found = main.get(key.as_bytes()).expect("it is read");
        assert_eq!(found, Some(value), "{key} is there");
    }
    assert_eq!(must_get(&main, "gone"), None, "what was deleted is gone");
    assert_eq!(must_get(&main, "kept").as_deref(), Some("as it was"), "and this stays");
    let topic = store.branch("topic").expect("topic");
    assert_eq!(must_get(&topic, "there").as_deref(), Some("too"), "on the other branch too");
    assert_eq!(must_get(&topic, "gone"), None, "the deletion as well");
}

#[test]
fn tpc_1_nothing_is_seen_before_the_commit_and_all_of_it_after() {
    let store = set_up();
    let (before, latest) = (rows(&store.view("main").expect("main")), store.latest());
    prepare_all(&store, "g");
    assert_eq!(rows(&store.view("main").expect("main")), before, "main is as it was");
    assert_eq!(store.latest(), latest, "there is no commit");
    assert_eq!(store.prepared_standing("g").ok(), Some(Some(Standing::Prepared)), "it is listed");
    let done = store.commit_prepared("g").expect("it commits");
    must_have_all(&store);
    let newest = Seq::new(latest.get() + 2);
    assert_eq!(done, Committed::At(newest), "a commit on each branch, the newest is told");
    for (rev, keys) in [("main", 5), ("topic", 2)] {
        let commit = store.commit(rev).expect("a commit");
        assert_eq!((&*commit.author, &*commit.message), ("ann", "both"), "as it was prepared");
        assert_eq!(commit.changes, keys, "what changes nothing is dropped");
    }
    assert_eq!(prepared(&store), [""; 0], "nothing is prepared any more");
    store.undo().expect("both commits are one step");
    assert_eq!(rows(&store.view("main").expect("main")), before, "which can be undone");
}

#[test]
fn tpc_1_a_rollback_leaves_nothing() {
    let store = set_up();
    let (before, latest) = (rows(&store.view("main").expect("main")), store.latest());
    prepare_all(&store, "g");
    store.rollback_prepared("g").expect("it is rolled back");
    assert_eq!(rows(&store.view("main").expect("main")), before, "main is as it was");
    assert_eq!((prepared(&store), store.latest()), (vec![], latest), "nothing is left");
    let late = must_fail(store.commit_prepared("g"), ErrorKind::Invalid);
    assert_eq!(late.to_string(), "prepared transaction g was rolled back", "that is final");
    store.rollback_prepared("g").expect("again is fine");
    must_put(&store.main().expect("main"), "gone", "to others");
}

#[test]
fn tpc_1_it_survives_a_reopen_and_is_ended_by_another_process() {
    let mut store = set_up();
    prepare_all(&store, "g1");
    store.rollback_prepared("g1").expect("rolled back");
    prepare_all(&store, "g2");
    for _ in 0..2 {
        store.reopen();
        assert_eq!(prepared(&store), ["g2"], "it is still prepared");
        let held = store.main().expect("main").put("blob", "x");
        assert_eq!(must_fail(held, ErrorKind::Busy).keys(), [b"blob"], "and held");
    }
    let listed = store.list_prepared().expect("the list").remove(0);
    assert_eq!((&*listed.author, &*listed.message), ("ann", "both"), "it tells what it is for");
    let branches: Vec<(&str, u64)> =
        listed.branches.iter().map(|(name, keys)| (name.as_str(), *keys)).collect();
    assert_eq!(branches, [("main", 6), ("topic", 2)], "and how many keys it writes");
    assert_eq!(listed.isolation, Isolation::Snapshot, "and how it saw others");

    let path = store.path();
    store.close();
    withy_prepared(&path, &["commit", "g2"]);
    store.reopen();
    must_have_all(&store);
    let done = store.commit_prepared("g2").expect("the outcome is remembered");
    assert_eq!(done, Committed::At(store.latest()), "with its commits, after a reopen too");
    let standing = store.prepared_standing("g1").expect("it is remembered");
    assert_eq!(standing, Some(Standing::Aborted), "and so is the one that was rolled back");
}

/// Runs `withy prepared`, which is another process.
fn withy_prepared(store: &std::path::Path, args: &[&str]) {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_withy"))
        .arg("--store")
        .arg(store)
        .arg("prepared")
        .args(args)
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn tpc_1_an_unknown_name_is_never_taken_for_success() {
    let store = set_up();
    must_fail(store.commit_prepared("none"), ErrorKind::NotFound);
    must_fail(store.rollback_prepared("none"), ErrorKind::NotFound);
    assert_eq!(store.prepared_standing("none").ok(), Some(None), "nothing is known of it");
    assert_eq!(store.forget_prepared("none").ok(), Some(false), "there is nothing to forget");
    prepare_all(&store, "g");
    must_fail(store.forget_prepared("g"), ErrorKind::Invalid);
    let first = store.commit_prepared("g").expect("it commits");
    assert_eq!(store.commit_prepared("g").ok(), Some(first), "again: the same");
    must_fail(store.rollback_prepared("g"), ErrorKind::Invalid);
    assert_eq!(store.forget_prepared("g").ok(), Some(true), "it is forgotten");
    must_fail(store.commit_prepared("g"), ErrorKind::NotFound);
}

#[test]
fn tpc_1_a_name_is_printable_and_taken_until_it_is_forgotten() {
    let store = set_up();
    let prepare = |gid: &str| {
        let mut tx = store.begin("main").expect("a transaction");
        tx.put(format!("key of {gid}"), "v").expect("it is put");
        tx.prepare(gid, CommitOptions::default())
    };
    let long = "x".repeat(201);
    for bad in ["", "a\nb", "\u{e4}", "\0", long.as_str()] {
        must_fail(prepare(bad), ErrorKind::Invalid);
        must_fail(store.commit_prepared(bad), ErrorKind::Invalid);
    }
    prepare(&long[..200]).expect("200 characters are allowed");
    prepare("a b~1").expect("so is what can be printed");
    must_fail(prepare("a b~1"), ErrorKind::Exists);
    store.rollback_prepared("a b~1").expect("it ends");
    must_fail(prepare("a b~1"), ErrorKind::Exists);
    store.forget_prepared("a b~1").expect("it is forgotten");
    prepare("a b~1").expect("the name is free");
}

#[test]
fn tpc_1_a_prepare_is_checked_as_a_commit_is() {
    let store = set_up();
    let main = store.main().expect("main");
    for level in Isolation::ALL {
        let options = TxnOptions::default().isolation(level);
        let begin = || store.begin_with("main", options).expect("a transaction");
        let (mut writes, mut locks, mut reads) = (begin(), begin(), begin());
        writes.put("hot", level.name()).expect("it is put");
        locks.get_for_update(b"hot").expect("it is read");
        locks.put("other", "1").expect("it is put");
        reads.count(&KeyRange::prefix("h")).expect("it is counted");
        reads.put("third", "1").expect("it is put");
        must_put(&main, "hot", &format!("first at {level}"));
        for (tx, checked, what) in [
            (writes, level != Isolation::ReadCommitted, "a write"),
            (locks, true, "a read for update"),
            (reads, level == Isolation::Serializable, "a range that was read"),
        ] {
            let gid = format!("{level} {what}");
            match tx.prepare(&gid, CommitOptions::default()) {
                Ok(()) => {
                    assert!(!checked, "{what} of {level} is not checked by a commit");
                    store.commit_prepared(&gid).expect("what is prepared commits");
                }
                Err(e) => {
                    assert!(checked, "{what} of {level} is checked: {e:?}");
                    assert_eq!((e.kind(), e.keys()), (ErrorKind::Conflict, &[b"hot".to_vec()][..]));
                    assert_eq!(prepared(&store), [""; 0], "nothing is prepared then");
                }
            }
        }
    }
}

#[test]
fn tpc_1_what_is_prepared_commits_whatever_others_do_meanwhile() {
    let store = set_up();
    must_prepare(&store, "g", |tx| tx.put("mine", "1"));
    let (main, topic) = (store.main().expect("main"), store.branch("topic").expect("topic"));
    for n in 0..50 {
        must_put(&main, &format!("row/{n}"), "v");
        must_put(&topic, "mine", &n.to_string());
    }
    store.create_tag("t", "main", Default::default()).expect("a tag");
    store.compact().expect("it compacts");
    let done = store.commit_prepared("g").expect("it commits");
    assert_eq!(done, Committed::At(store.latest()), "after all of them");
    assert_eq!(must_get(&main, "mine").as_deref(), Some("1"), "its value");
    assert_eq!(store.view("main").expect("main").len(), 53, "and everything else");
}

#[test]
fn tpc_1_one_that_writes_nothing_is_committed_too() {
    let store = set_up();
    let latest = store.latest();
    must_prepare(&store, "reads", |tx| tx.get_for_update(b"kept").map(|_| ()));
    must_fail(store.main().expect("main").put("kept", "new"), ErrorKind::Busy);
    assert_eq!(store.commit_prepared("reads").ok(), Some(Committed::Unchanged), "no commit");
    assert_eq!(store.commit_prepared("reads").ok(), Some(Committed::Unchanged), "nor later");
    let tx = store.begin("topic").expect("a transaction");
    tx.prepare("marker", CommitOptions::default().allow_empty(true)).expect("prepared");
    must_fail(store.delete_branch("topic", Default::default()), ErrorKind::Busy);
    let done = store.commit_prepared("marker").expect("it commits");
    assert_eq!(done, Committed::At(Seq::new(latest.get() + 1)), "a commit without changes");
    let nothing = store.begin("topic").expect("a transaction");
    nothing.prepare("nothing", CommitOptions::default()).expect("prepared");
    store.delete_branch("topic", withy::DeleteOptions::default().force(true)).expect("not held");
    assert_eq!(store.commit_prepared("nothing").ok(), Some(Committed::Unchanged), "it still ends");
}

#[test]
fn tpc_1_a_reader_lists_what_is_prepared_and_ends_nothing() {
    let store = set_up();
    prepare_all(&store, "g");
    let reader = Store::options().create(Create::Never).read_only(true);
    let reader = reader.open(store.path()).expect("it opens beside the writer");
    assert_eq!(prepared(&reader), ["g"], "it is listed");
    must_fail(reader.commit_prepared("g"), ErrorKind::ReadOnly);
    must_fail(reader.rollback_prepared("g"), ErrorKind::ReadOnly);
    assert_eq!(reader.prepared_standing("g").ok(), Some(Some(Standing::Prepared)), "as it stands");
}

#[test]
fn tpc_1_ending_one_from_many_threads_ends_it_once() {
    let store = set_up();
    for round in 0..20 {
        let gid = format!("g{round}");
        must_prepare(&store, &gid, |tx| tx.put("n", round.to_string()));
        let (before, results) = (store.latest(), std::sync::Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (store, gid, results) = (&store, &gid, &results);
                scope.spawn(move || {
                    let done = match thread % 2 {
                        0 => store.commit_prepared(gid).map(|_| true),
                        _ => store.rollback_prepared(gid).map(|()| false),
                    };
                    results.lock().expect("whole").push(done.map_err(|e| e.kind()));
                });
            }
        });
        let results = results.into_inner().expect("whole");
        let committed = store.latest() > before;
        for done in &results {
            assert!(
                *done == Ok(committed) || *done == Err(ErrorKind::Invalid),
                "one of them won, and all others see it: {results:?}"
            );
        }
        let won = results.iter().filter(|done| **done == Ok(committed)).count();
        assert_eq!(won, 3, "all that want what happened: {results:?}");
        assert_eq!(store.latest().get() - before.get(), u64::from(committed), "once at most");
    }
}

#[test]
fn tpc_1_counters_add_up() {
    let store = set_up();
    let before = store.work();
    must_prepare(&store, "a", |tx| tx.put("a", "1"));
    must_prepare(&store, "b", |tx| tx.put("b", "1"));
    store.commit_prepared("a").expect("it commits");
    store.rollback_prepared("b").expect("it is rolled back");
    let now = store.work();
    assert_eq!(now.active, 0, "none is open");
    assert_eq!(now.begun - before.begun, 4, "two transactions, and the end of each");
    assert_eq!(now.committed - before.committed, 3, "two prepares and a commit ended well");
    assert_eq!(now.aborted - before.aborted, 1, "and one was rolled back");
}

#[test]
fn tpc_1_a_prepare_depends_on_locks_as_a_commit_does() {
    let store = set_up();
    let ann = store.lock_session("ann").expect("a session");
    let options = LockOptions::default();
    let prepare = |gid: &str, lock: &Lock| {
        let mut tx = store.begin("main").expect("a transaction");
        tx.put(gid, "v").expect("it is put");
        tx.prepare(gid, CommitOptions::default().fence(lock))
    };
    let held = ann.lock("/a", LockKind::Point, options).expect("it is free");
    prepare("under a lock", &held).expect("it is held");
    let lost = ann.lock("/b", LockKind::Point, options.lease(Duration::from_millis(1)));
    let lost = lost.expect("it is free");
    std::thread::sleep(Duration::from_millis(20));
    must_fail(prepare("late", &lost), ErrorKind::LeaseLost);
    assert_eq!(prepared(&store), ["under a lock"], "only one of them is prepared");
    drop(held);
    store.commit_prepared("under a lock").expect("from here on the keys are held, not the lock");
}

/// The rows of family `state` whose keys start with a byte.
fn state_rows(store: &Scratch, kind: u8) -> Vec<Vec<u8>> {
    let rows = raw_rows(&store.path()).into_keys();
    rows.filter(|(family, key)| *family == "state" && key[0] == kind).map(|(_, key)| key).collect()
}

#[test]
fn tpc_1_messages_wait_for_the_commit_and_no_row_is_left_behind() {
    let mut store = set_up();
    for (gid, ends) in [("sent", true), ("dropped", false)] {
        must_prepare(&store, gid, |tx| {
            tx.enqueue("mail", format!("{gid} 1"))?;
            tx.enqueue("post", format!("{gid} 2"))
        });
        store.close();
        assert_eq!(state_rows(&store, b'p').len(), 1, "it is prepared");
        assert_eq!(state_rows(&store, b'w').len(), 2, "with its messages");
        let sent = state_rows(&store, b'o').len();
        store.reopen();
        let before = store.latest();
        if ends {
            let done = store.commit_prepared(gid).expect("it commits");
            let next = Seq::new(before.get() + 1);
            assert_eq!(
                done,
                Committed::At(next),
                "messages have their place in the order of commits"
            );
        } else {
            store.rollback_prepared(gid).expect("it is rolled back");
        }
        store.forget_prepared(gid).expect("it is forgotten");
        store.close();
        let now = state_rows(&store, b'o').len();
        assert_eq!(now - sent, if ends { 2 } else { 0 }, "sent with the commit, or not at all");
        for kind in [b'p', b'w', b'f'] {
            assert_eq!(state_rows(&store, kind), [[0_u8; 0]; 0], "no row of kind {kind} is left");
        }
        store.reopen();
    }
}

#[test]
fn tpc_1_a_damaged_prepared_transaction_is_not_passed_over() {
    let mut store = set_up();
    prepare_all(&store, "g");
    store.close();
    let lost = state_rows(&store, b'w').pop().expect("it has parts");
    {
        let names = FAMILIES.into_iter().chain(["default"]);
        let options = rocksdb::Options::default();
        let db = rocksdb::DB::open_cf(&options, store.path(), names).expect("it opens");
        let state = db.cf_handle("state").expect("it is there");
        db.delete_cf(state, lost).expect("a row is lost");
    }
    let damaged = must_fail(Store::open(store.path()), ErrorKind::Corrupt);
    assert_eq!(damaged.to_string(), "prepared transaction g has lost a part", "it says which");
    let reader = Store::options().read_only(true).open(store.path()).expect("it can be read");
    assert_eq!(prepared(&reader), ["g"], "and what is there can be looked at");
}
