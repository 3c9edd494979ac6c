//! TPC-1, ruling 10: whoever writes what a prepared transaction holds is told so at once, by name.

use withy::exchange::{LoadOptions, import_jsonl, load};
use withy::{
    Batch, CommitOptions, DeleteOptions, ErrorKind, Isolation, KeyRange, MergeOptions, Read,
    Result, Store, TxnOptions,
};

use super::must_prepare;
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, must_write, rows};

/// Something that writes to a key of a branch.
type Writer = fn(&Store, &str, &str) -> Result<()>;

fn write_in_txn(store: &Store, branch: &str, key: &str) -> Result<()> {
    let mut tx = store.begin(branch)?;
    tx.put(key, "txn")?;
    tx.commit(CommitOptions::default()).map(|_| ())
}

/// A branch of what the other one has, with a change of a key.
fn side(store: &Store, branch: &str, key: &str) -> Result<String> {
    let name = format!("side/{}", store.latest());
    let side = store.create_branch(&name, branch, Default::default())?;
    side.put(key, format!("side {}", store.latest()))?;
    Ok(name)
}

const WRITERS: [(&str, Writer); 15] = [
    ("put", |store, branch, key| store.branch(branch)?.put(key, "put").map(|_| ())),
    ("put of what is there", |store, branch, key| {
        store.branch(branch)?.put(key, "old").map(|_| ())
    }),
    ("delete", |store, branch, key| store.branch(branch)?.delete(key).map(|_| ())),
    ("batch", |store, branch, key| {
        let mut batch = Batch::new();
        batch.put("aside", "1").put(key, "batch");
        store.branch(branch)?.write(batch, CommitOptions::default()).map(|_| ())
    }),
    ("transaction", write_in_txn),
    ("read committed", |store, branch, key| {
        let options = TxnOptions::default().isolation(Isolation::ReadCommitted);
        let mut tx = store.begin_with(branch, options)?;
        tx.put(key, "txn")?;
        tx.commit(CommitOptions::default()).map(|_| ())
    }),
    ("transaction over branches", |store, branch, key| {
        let name = side(store, branch, "aside")?;
        let mut tx = store.begin(&name)?;
        tx.put("aside", "txn")?;
        tx.on(branch)?.put(key, "txn")?;
        tx.commit(CommitOptions::default()).map(|_| ())
    }),
    ("another prepare", |store, branch, key| {
        let mut tx = store.begin(branch)?;
        tx.put(key, "txn")?;
        let gid = format!("p{branch}{key}");
        tx.prepare(&gid, CommitOptions::default())?;
        store.rollback_prepared(&gid)
    }),
    ("merge", |store, branch, key| {
        let name = side(store, branch, key)?;
        store.branch(branch)?.put("away", name.as_str())?;
        store.merge(branch, &name, MergeOptions::default()).map(|_| ())
    }),
    ("fast-forward", |store, branch, key| {
        let name = side(store, branch, key)?;
        store.merge(branch, &name, MergeOptions::default()).map(|_| ())
    }),
    ("cherry-pick", |store, branch, key| {
        let name = side(store, branch, key)?;
        store.branch(&name)?.put("aside", name.as_str())?;
        let revs = [format!("{name}~1"), name];
        let revs: Vec<&str> = revs.iter().map(String::as_str).collect();
        store.cherry_pick(branch, &revs, MergeOptions::default()).map(|_| ())
    }),
    ("rebase", |store, branch, key| {
        let name = side(store, branch, key)?;
        store.branch(branch)?.put("away", name.as_str())?;
        store.rebase(branch, &name, MergeOptions::default()).map(|_| ())
    }),
    ("restore", |store, branch, key| {
        let name = side(store, branch, key)?;
        let all = KeyRange::all();
        store.restore(branch, &name, &all, CommitOptions::default()).map(|_| ())
    }),
    ("import", |store, branch, key| {
        let row = format!("{{\"key\":\"{key}\",\"value\":\"imported\"}}\n");
        import_jsonl(store, branch, row.as_bytes(), LoadOptions::default()).map(|_| ())
    }),
    ("bulk load", |store, branch, key| {
        let rows = (0..12_000).map(|n| Ok((format!("bulk/{n:06}").into_bytes(), b"v".to_vec())));
        let one = (key.as_bytes().to_vec(), b"bulk".to_vec());
        let rows = rows.chain([Ok(one)]);
        load(store, branch, rows, LoadOptions::default()).map(|_| ())
    }),
];

/// Main and topic with keys that the prepared transaction `g` holds on main.
fn set_up() -> Scratch {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let keys = ["written", "deleted", "locked", "free"];
    let keys: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (*key, Some("old"))).collect();
    must_write(&main, "keys", &keys);
    must_branch(&store, "topic", "main");
    must_prepare(&store, "g", |tx| {
        tx.put("written", "new")?;
        tx.put("added", "new")?;
        tx.delete("deleted")?;
        tx.get_for_update(b"locked").map(|_| ())
    });
    store
}

#[test]
fn tpc_1_every_kind_of_writer_is_told_who_holds_the_key() {
    for (what, writer) in WRITERS {
        let store = set_up();
        for key in ["written", "added", "deleted", "locked"] {
            let before = rows(&store.view("main").expect("main"));
            let e = must_fail(writer(&store, "main", key), ErrorKind::Busy);
            let text = format!("on main, prepared transaction g holds {key}");
            assert_eq!(e.to_string(), text, "{what}: name and key are told");
            assert_eq!(e.keys(), [key.as_bytes()], "{what}: as data too");
            assert!(e.is_retryable() && e.hint().is_some(), "{what}: and what can be done");
            let mut now = rows(&store.view("main").expect("main"));
            now.retain(|(key, _)| key != "away");
            let mut before = before;
            before.retain(|(key, _)| key != "away");
            assert_eq!(now, before, "{what}: nothing was written");
        }
        writer(&store, "main", "free").unwrap_or_else(|e| panic!("{what} of a free key: {e:?}"));
        writer(&store, "topic", "written").unwrap_or_else(|e| panic!("{what} elsewhere: {e:?}"));
        store.commit_prepared("g").unwrap_or_else(|e| panic!("after {what}: {e:?}"));
        let main = store.main().expect("main");
        let read = |key: &str| must_get(&main, key);
        let now = ["written", "added", "deleted", "locked"].map(read);
        let want = [Some("new"), Some("new"), None, Some("old")].map(|v| v.map(str::to_owned));
        assert_eq!(now, want, "{what}: all of it, over nobody's writes");
    }
}

#[test]
fn tpc_1_what_has_ended_holds_nothing() {
    for (what, writer) in WRITERS {
        for committed in [true, false] {
            let mut store = set_up();
            store.reopen();
            must_fail(writer(&store, "main", "written"), ErrorKind::Busy);
            match committed {
                true => store.commit_prepared("g").map(|_| ()).expect("it commits"),
                false => store.rollback_prepared("g").expect("it is rolled back"),
            }
            for key in ["written", "locked"] {
                writer(&store, "main", key).unwrap_or_else(|e| panic!("{what} of {key}: {e:?}"));
            }
        }
    }
}

#[test]
fn tpc_1_a_branch_with_holds_stays_where_it_is() {
    let store = set_up();
    let topic = store.branch("topic").expect("topic");
    let mut tx = store.begin("topic").expect("a transaction");
    tx.put("written", "on topic").expect("it is put");
    tx.prepare("t", CommitOptions::default()).expect("prepared");
    must_put(&topic, "last", "1");
    let moves: [(&str, Result<()>); 5] = [
        ("delete", store.delete_branch("topic", DeleteOptions::default().force(true))),
        ("rename", store.rename_branch("topic", "other")),
        ("reset", store.reset("topic", "topic~1")),
        ("undo", store.undo().map(|_| ())),
        ("reset of main", store.reset("main", "seq:0")),
    ];
    for (what, moved) in moves {
        let e = must_fail(moved, ErrorKind::Busy);
        assert!(e.to_string().contains("is held by prepared transaction"), "{what}: {e}");
    }
    store.describe_branch("topic", "what it is for").expect("that moves nothing");
    store.switch("topic").expect("nor does that");
    store.rollback_prepared("t").expect("it is rolled back");
    store.reset("topic", "topic~1").expect("it is free");
    let mut tx = store.begin("topic").expect("a transaction");
    tx.put("written", "again").expect("it is put");
    tx.prepare("t2", CommitOptions::default()).expect("prepared");
    must_fail(store.undo(), ErrorKind::Busy);
    store.commit_prepared("t2").expect("it commits");
    for _ in 0..2 {
        store.undo().expect("its commit can be undone, and what was before");
    }
    store.redo().expect("and done again");
}

#[test]
fn tpc_1_a_serializable_one_holds_what_it_has_read() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "rows", &[("in/1", Some("1")), ("in/2", Some("2")), ("read", Some("1"))]);
    let serializable = TxnOptions::default().isolation(Isolation::Serializable);
    let mut tx = store.begin_with("main", serializable).expect("a transaction");
    tx.get(b"read").expect("it is read");
    tx.get(b"absent").expect("it is looked for");
    let sum = tx.prefix(b"in/").expect("a scan").count();
    tx.put("sum", sum.to_string()).expect("it is put");
    tx.prepare("g", CommitOptions::default()).expect("prepared");
    drop(main);
    store.reopen();
    let main = store.main().expect("main");
    for key in ["read", "absent", "in/1", "in/11", "in/", "sum"] {
        let e = must_fail(main.put(key, "x"), ErrorKind::Busy);
        assert_eq!(e.keys(), [key.as_bytes()], "{key} must stay as it was read, or absent");
    }
    for key in ["in", "in0", "reads", "other"] {
        must_put(&main, key, "x");
    }
    // Another one may read the same, and may not have read what this one is going to write.
    let mut tx = store.begin_with("main", serializable).expect("a transaction");
    tx.get(b"read").expect("it is read");
    tx.put("mine", "1").expect("it is put");
    tx.prepare("reads too", CommitOptions::default()).expect("prepared");
    let mut tx = store.begin_with("main", serializable).expect("a transaction");
    tx.get(b"sum").expect("it is read");
    tx.put("late", "1").expect("it is put");
    let e = must_fail(tx.prepare("late", CommitOptions::default()), ErrorKind::Busy);
    assert_eq!(e.keys(), [b"sum"], "it would be neither before nor after the other");
    for gid in ["reads too", "g"] {
        store.commit_prepared(gid).expect("it commits");
    }
    assert_eq!(must_get(&main, "sum").as_deref(), Some("2"), "and its sum is right");
    must_put(&main, "in/3", "3");
}

#[test]
fn tpc_1_large_imports_pass_beside_holds() {
    let store = set_up();
    let rows = (0..30_000).map(|n| Ok((format!("bulk/{n:06}").into_bytes(), b"v".to_vec())));
    load(&store, "main", rows, LoadOptions::default()).expect("it touches nothing that is held");
    let line = "{\"key\":\"written\",\"value\":\"x\"}\n";
    let held = import_jsonl(&store, "main", line.as_bytes(), LoadOptions::default());
    assert_eq!(held.map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::Busy), "this does");
    store.commit_prepared("g").expect("it commits on the line that the load has made");
    assert_eq!(must_get(&store.main().expect("main"), "written").as_deref(), Some("new"));
    assert_eq!(store.view("main").expect("main").len(), 30_004, "nothing is lost");
}
