//! UNDO-1 and ruling 8: every commit, ref move and switch is one step; refused and idle ones are none.

use withy::exchange::{LoadOptions, import_git, load};
use withy::{
    Batch, BranchOptions, CommitOptions, DeleteOptions, ErrorKind, KeyRange, Seq, Store,
    TagOptions, Timestamp,
};

use crate::support::{
    Scratch, must_branch, must_fail, must_get, must_head, must_put, must_write, rows,
};

fn what(store: &Store) -> Vec<String> {
    store.ops(100).expect("ops").into_iter().map(|op| op.what).collect()
}

#[test]
fn undo_1_every_kind_of_operation_is_one_step() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    must_write(&main, "two", &[("pear", Some("yellow")), ("plum", Some("blue"))]);
    drop(main);
    must_branch(&store, "topic", "main~1");
    store.describe_branch("topic", "red pears").expect("describe");
    store.switch("topic").expect("switch");
    store.rename_branch("topic", "fruit").expect("rename");
    store.create_tag("v1", "main", TagOptions::default()).expect("tag");
    store.create_tag("v1", "fruit", TagOptions::default().force(true)).expect("tag");
    store.delete_tag("v1").expect("delete tag");
    store.reset("fruit", "main").expect("reset");
    store.restore("fruit", "seq:1", &KeyRange::all(), CommitOptions::default()).expect("restore");
    store.switch("main").expect("switch");
    store.delete_branch("fruit", DeleteOptions::default().force(true)).expect("delete branch");
    let empty = CommitOptions::default().allow_empty(true);
    store.main().expect("main").write(Batch::new(), empty).expect("empty commit");
    let mut done = vec![
        "commit to main",
        "delete branch fruit",
        "switch to main",
        "commit to fruit",
        "reset fruit to 2",
        "delete tag v1",
        "create tag v1 at 1",
        "create tag v1 at 2",
        "rename branch topic to fruit",
        "switch to topic",
        "describe branch topic",
        "create branch topic at 1",
        "commit to main",
        "commit to main",
    ];
    assert_eq!(what(&store), done, "each is one entry, newest first");
    for (n, what) in done.iter().enumerate() {
        if n % 4 == 3 {
            store.reopen();
        }
        let op = store.undo().expect("undo");
        assert_eq!(op.what, *what, "undo takes back the newest that is not taken back yet");
    }
    let nothing = must_fail(store.undo(), ErrorKind::NotFound);
    assert_eq!(nothing.to_string(), "there is nothing to undo", "and then there is nothing left");
    assert_eq!(rows(&store.main().expect("main")), [], "the store is as at its start");
    done.reverse();
    for (n, what) in done.iter().enumerate() {
        if n % 4 == 3 {
            store.reopen();
        }
        assert_eq!(store.redo().expect("redo").what, *what, "redo goes the other way");
    }
    let nothing = must_fail(store.redo(), ErrorKind::NotFound);
    assert_eq!(nothing.to_string(), "there is nothing to redo", "up to where undo began");
    assert_eq!(store.ops(100).expect("ops").len(), 3 * 14, "undo and redo are operations too");
}

#[test]
fn undo_1_operations_say_who_did_what_and_when() {
    let store = Scratch::new();
    let options = BranchOptions::default().creator("ann");
    store.create_branch("topic", "main", options).expect("branch");
    let commit = CommitOptions::default().author("ben");
    let mut batch = Batch::new();
    batch.put("pear", "green");
    store.branch("topic").expect("topic").write(batch, commit).expect("commit");
    store.undo().expect("undo");
    let ops = store.ops(10).expect("ops");
    let said: Vec<_> =
        ops.iter().map(|op| (op.id.to_string(), op.author.as_str(), op.what.as_str())).collect();
    let wanted = [
        ("1.1".to_owned(), "tester", "undo 1: commit to topic"),
        ("1".to_owned(), "ben", "commit to topic"),
        ("0.1".to_owned(), "ann", "create branch topic at 0"),
    ];
    assert_eq!(said, wanted, "id, author and words of each");
    assert!(ops.is_sorted_by(|a, b| a.time >= b.time), "newest first by time as well");
    assert_eq!(store.ops(2).expect("ops"), ops[..2], "a limit gives the newest");
    assert_eq!(store.ops(0).expect("ops"), [], "none if none are asked for");
}

#[test]
fn ruling_8_what_is_refused_or_idle_does_not_end_redo() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    must_branch(&store, "topic", "main");
    must_put(&main, "pear", "yellow");
    store.undo().expect("undo");
    let ops = store.ops(100).expect("ops");
    // Idle.
    main.put("pear", "green").expect("unchanged");
    main.delete("absent").expect("unchanged");
    store.switch("main").expect("is active already");
    store.reset("main", "main").expect("is there already");
    store.describe_branch("topic", "").expect("says so already");
    store.rename_branch("topic", "topic").expect("has it already");
    store.restore("main", "main", &KeyRange::all(), CommitOptions::default()).expect("unchanged");
    let mut dropped = store.begin("main").expect("begin");
    dropped.put("pear", "red").expect("put");
    drop(dropped);
    // Refused.
    must_fail(main.put("", "x"), ErrorKind::Limit);
    must_fail(store.create_branch("topic", "main", BranchOptions::default()), ErrorKind::Exists);
    must_fail(store.delete_branch("main", DeleteOptions::default()), ErrorKind::Invalid);
    must_fail(store.switch("absent"), ErrorKind::NotFound);
    must_fail(store.reset("main", "seq:9"), ErrorKind::NotFound);
    must_fail(store.delete_tag("absent"), ErrorKind::NotFound);
    must_fail(
        import_git(&store, &b"commit refs/heads/x\nnonsense\n"[..], Default::default()),
        ErrorKind::Invalid,
    );
    let broken = [Ok((b"a".to_vec(), vec![])), Ok((vec![], vec![]))];
    must_fail(
        load(&store, "loaded", broken, LoadOptions::default().from("main")),
        ErrorKind::Limit,
    );
    drop(main);
    store.reopen();
    assert_eq!(store.ops(100).expect("ops"), ops, "none of it is recorded");
    store.redo().expect("redo still has its way");
    assert_eq!(
        must_get(&store.main().expect("main"), "pear").as_deref(),
        Some("yellow"),
        "and does it"
    );
}

#[test]
fn ruling_8_a_new_operation_ends_redo() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    must_put(&main, "pear", "yellow");
    store.undo().expect("undo");
    store.create_tag("v1", "main", TagOptions::default()).expect("tag");
    must_fail(store.redo(), ErrorKind::NotFound);
    store.undo().expect("undo the tag");
    store.redo().expect("redo the tag");
    assert_eq!(
        store.tag("v1").expect("tag").seq,
        Seq::new(1),
        "redo knows of what was undone since"
    );
    store.undo().expect("undo the tag");
    store.undo().expect("undo the first commit");
    assert_eq!(rows(&main), [], "the undo goes past what was undone before");
    store.redo().expect("redo");
    store.redo().expect("redo");
    must_fail(store.redo(), ErrorKind::NotFound);
    assert_eq!(must_get(&main, "pear").as_deref(), Some("green"), "never to what was left behind");
    assert_eq!(
        must_get(&store.view("seq:2").expect("view"), "pear").as_deref(),
        Some("yellow"),
        "which can still be read"
    );
}

#[test]
fn undo_1_a_transaction_loses_against_an_undo_of_what_it_saw() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    must_put(&main, "plum", "blue");
    let mut same = store.begin("main").expect("begin");
    same.put("plum", "red").expect("put");
    let mut other = store.begin("main").expect("begin");
    other.put("fig", "black").expect("put");
    store.undo().expect("undo");
    let lost = must_fail(same.commit(CommitOptions::default()), ErrorKind::Conflict);
    assert_eq!(lost.keys(), [b"plum".to_vec()], "the undo changed the key that it writes");
    other.commit(CommitOptions::default()).expect("the undo did not touch this one");
    let wanted = [("fig", "black"), ("pear", "green")];
    assert_eq!(rows(&main), wanted.map(|(k, v)| (k.into(), v.into())), "on top of the undo");
}

#[test]
fn undo_1_times_of_operations_never_run_backwards() {
    let mut store = Scratch::new();
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    must_put(&store.main().expect("main"), "pear", "green");
    store.clock().set(at("2030-01-01T00:00:00Z"));
    store.create_tag("v1", "main", TagOptions::default()).expect("tag");
    store.clock().set(at("2026-02-01T00:00:00Z"));
    store.reopen();
    store.create_tag("v2", "main", TagOptions::default()).expect("tag");
    must_put(&store.main().expect("main"), "pear", "yellow");
    let times: Vec<_> = store.ops(10).expect("ops").into_iter().map(|op| op.time).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first, whatever the clock: {times:?}");
}

#[test]
fn undo_1_an_undo_of_an_undo_is_a_redo_of_nothing_else() {
    let mut store = Scratch::new();
    let topic = must_branch(&store, "topic", "main");
    for value in ["1", "2", "3"] {
        must_put(&topic, "key", value);
    }
    let head = must_head(&topic).seq;
    drop(topic);
    for round in 0..20 {
        store.undo().expect("undo");
        store.undo().expect("undo");
        if round % 5 == 0 {
            store.reopen();
        }
        let topic = store.branch("topic").expect("topic");
        assert_eq!(must_get(&topic, "key").as_deref(), Some("1"), "two steps back");
        store.redo().expect("redo");
        store.redo().expect("redo");
        assert_eq!(
            must_head(&topic).seq,
            head,
            "and on again, to the same commit, as often as one likes"
        );
    }
}

#[test]
fn txn_6_commits_of_one_transaction_are_one_step() {
    let mut store = Scratch::new();
    must_branch(&store, "left", "main");
    must_branch(&store, "right", "main");
    must_put(&store.branch("left").expect("left"), "old", "1");
    let content = |store: &Store| -> Vec<Vec<(String, String)>> {
        ["main", "left", "right"].map(|name| rows(&store.view(name).expect("view"))).to_vec()
    };
    let before = content(&store);
    let mut tx = store.begin("main").expect("begin");
    tx.put("pear", "green").expect("put");
    let mut left = tx.on("left").expect("left");
    left.put("plum", "blue").expect("put");
    left.delete("old").expect("delete");
    tx.on("right").expect("right").get_for_update(b"pear").expect("read");
    let options = CommitOptions::default().author("ann").message("harvest\nand more");
    let done = tx.commit_each(options).expect("commit");
    let made: Vec<(&str, Option<u64>)> =
        done.iter().map(|(name, done)| (name.as_str(), done.seq().map(Seq::get))).collect();
    assert_eq!(
        made,
        [("main", Some(2)), ("left", Some(3))],
        "a commit for each branch that is written to, in the order in which they were named"
    );
    let after = content(&store);
    assert_ne!(before, after, "both are there");
    assert_eq!(what(&store)[0], "commit to main, left: harvest", "one entry");
    for reopen in [false, true] {
        if reopen {
            store.reopen();
        }
        store.undo().expect("undo");
        assert_eq!(content(&store), before, "undo takes back both");
        store.redo().expect("redo");
        assert_eq!(content(&store), after, "redo does both again");
    }
    store.undo().expect("undo");
    store.undo().expect("undo");
    assert_eq!(
        rows(&store.view("left").expect("view")),
        [],
        "what was done before is the next step"
    );
}
