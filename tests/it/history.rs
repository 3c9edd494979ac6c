//! HIST-1 to HIST-4: reads at any rev, versions of a key, logs and commits.

use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{
    Batch, ChangeKind, CommitOptions, DeleteOptions, Direction, ErrorKind, KeyRange, LogOptions,
    Read, Seq, Store, ValueHash,
};

use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_get, must_head, must_put, must_scan,
    must_write, show,
};

use ChangeKind::{Added, Deleted, Modified};

/// Sequence, kind and value of each version of a key.
fn versions(store: &Store, rev: &str, key: &str) -> Vec<(u64, ChangeKind, Option<String>)> {
    store
        .history(rev, key.as_bytes())
        .unwrap_or_else(|e| panic!("history of {key} at {rev}: {e:?}"))
        .map(|version| {
            let version = version.unwrap_or_else(|e| panic!("history of {key} at {rev}: {e:?}"));
            (version.commit.seq.get(), version.kind, version.value.as_deref().map(show))
        })
        .collect()
}

fn log(store: &Store, rev: &str, options: LogOptions) -> Vec<u64> {
    store
        .log(rev, options)
        .unwrap_or_else(|e| panic!("log of {rev}: {e:?}"))
        .map(|commit| commit.expect("commit").seq.get())
        .collect()
}

fn value(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn hist_1_every_read_works_at_every_commit() {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let mut random = fastrand::Rng::with_seed(1);
    let mut wanted: Vec<std::collections::BTreeMap<Vec<u8>, Vec<u8>>> = vec![Default::default()];
    let main = store.main().expect("main");
    for _ in 0..60 {
        let mut now = wanted.last().expect("the root").clone();
        let mut batch = Batch::new();
        for _ in 0..4 {
            let key = vec![random.u8(0..2) * 255; random.usize(1..6)];
            if random.u32(0..3) == 0 {
                batch.delete(key.clone());
                now.remove(&key);
            } else {
                let len = [0, 1, 63, 64, 200][random.usize(0..5)];
                let value = vec![random.u8(..); len];
                batch.put(key.clone(), value.clone());
                now.insert(key, value);
            }
        }
        let done = main.write(batch, CommitOptions::default().allow_empty(true)).expect("commit");
        assert_eq!(done.seq(), Some(Seq::new(wanted.len() as u64)), "one commit each");
        wanted.push(now);
    }
    drop(main);
    store.compact().expect("compact");
    store.reopen();
    for (seq, wanted) in wanted.iter().enumerate() {
        let view = store.view(&format!("seq:{seq}")).expect("view");
        let rows: Vec<_> = wanted.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(must_scan(&view, &KeyRange::all(), Direction::Forward), rows, "scan at {seq}");
        let mut turned = must_scan(&view, &KeyRange::all(), Direction::Backward);
        turned.reverse();
        assert_eq!(turned, rows, "backward scan at {seq}");
        let range = KeyRange::prefix([255]);
        let part: Vec<_> = rows.iter().filter(|(k, _)| range.contains(k)).cloned().collect();
        assert_eq!(must_scan(&view, &range, Direction::Forward), part, "prefix scan at {seq}");
        assert_eq!(view.count(&range).expect("count"), part.len() as u64, "count at {seq}");
        assert_eq!(view.len(), rows.len() as u64, "length at {seq}");
        let keys: Vec<Vec<u8>> =
            [0, 255].iter().flat_map(|&b| (1..6).map(move |n| vec![b; n])).collect();
        let names: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let found = view.multi_get(&names).expect("multi_get");
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(view.get(key).expect("get"), found, "get and multi_get agree at {seq}");
            assert_eq!(found.as_ref(), wanted.get(key), "on what was there at {seq}");
            assert_eq!(view.contains(key).expect("contains"), found.is_some(), "contains at {seq}");
        }
    }
}

#[test]
fn hist_2_versions_of_a_key_newest_first() {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    let large = "large ".repeat(50);
    must_put(&main, "pear", "green");
    must_put(&main, "plum", "blue");
    must_put(&main, "pear", &large);
    must_delete(&main, "pear");
    must_put(&main, "pear", "");
    main.put("pear", "").expect("unchanged");
    must_put(&main, "pear\0", "another key");
    drop(main);
    let wanted = [
        (5, Added, value("")),
        (4, Deleted, None),
        (3, Modified, value(&large)),
        (1, Added, value("green")),
    ];
    for round in ["at once", "after reopen"] {
        assert_eq!(versions(&store, "main", "pear"), wanted, "{round}: every version");
        assert_eq!(versions(&store, "seq:4", "pear"), wanted[1..], "{round}: up to a rev");
        assert_eq!(versions(&store, "seq:2", "pear"), wanted[3..], "{round}: not later ones");
        assert_eq!(versions(&store, "seq:0", "pear"), [], "{round}: none before the first");
        assert_eq!(versions(&store, "main", "absent"), [], "{round}: none of an absent key");
        assert_eq!(versions(&store, "main", "pea"), [], "{round}: none of the start of a key");
        store.reopen();
    }
    must_fail(store.history("main", b""), ErrorKind::Limit);
    must_fail(store.history("absent", b"pear"), ErrorKind::NotFound);
    let version =
        store.history("main", b"pear").expect("history").next().expect("one").expect("it");
    let commit = store.commit("seq:5").expect("commit");
    assert_eq!(version.commit, commit, "each names its commit, with author and time");
}

#[test]
fn hist_2_versions_go_back_across_forks() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "key", "1");
    let child = must_branch(&store, "child", "main");
    must_put(&main, "key", "2 on main");
    must_delete(&child, "key");
    must_put(&child, "key", "4");
    let grandchild = must_branch(&store, "grandchild", "child~1");
    must_put(&child, "key", "5");
    must_put(&grandchild, "key", "6");
    must_delete(&grandchild, "key");
    drop((main, child, grandchild));
    let main = [(2, Modified, value("2 on main")), (1, Added, value("1"))];
    let child = [
        (5, Modified, value("5")),
        (4, Added, value("4")),
        (3, Deleted, None),
        (1, Added, value("1")),
    ];
    let grandchild =
        [(7, Deleted, None), (6, Added, value("6")), (3, Deleted, None), (1, Added, value("1"))];
    for round in ["at once", "without the branches between"] {
        assert_eq!(versions(&store, "main", "key"), main, "{round}: main does not see its child");
        assert_eq!(
            versions(&store, "seq:5", "key"),
            child,
            "{round}: the child goes on from the fork"
        );
        assert_eq!(versions(&store, "grandchild", "key"), grandchild, "{round}: at any depth");
        let force = DeleteOptions::default().force(true);
        let _ = store.delete_branch("child", force);
        store.reopen();
    }
    store.undo().expect("undo the deletion");
    store.undo().expect("undo the last commit");
    assert_eq!(
        versions(&store, "grandchild", "key"),
        grandchild[1..],
        "what is undone is no version"
    );
    store.reset("main", "grandchild").expect("reset");
    assert_eq!(
        versions(&store, "main", "key"),
        grandchild[1..],
        "a branch has the history of where it is"
    );
}

#[test]
fn hist_2_versions_of_rows_that_were_loaded_in_bulk() {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    must_write(
        &store.main().expect("main"),
        "before",
        &[("k00005", Some("old")), ("k00006", Some("same"))],
    );
    let large = "large ".repeat(20);
    let row = |n: u32| {
        let value = match n {
            6 => "same".to_owned(),
            7 => large.clone(),
            _ => format!("loaded {n}"),
        };
        Ok((format!("k{n:05}").into_bytes(), value.into_bytes()))
    };
    let loaded = load(&store, "main", (0..20_000).map(row), LoadOptions::default()).expect("load");
    assert_eq!(loaded.commit.seq(), Some(Seq::new(2)), "a load is one commit");
    let main = store.main().expect("main");
    must_put(&main, "k00005", "newer");
    must_delete(&main, "k00005");
    must_put(&main, "k00005", "newest");
    let child = must_branch(&store, "child", "seq:2");
    must_put(&child, "k00005", "child");
    drop((main, child));
    for round in ["at once", "after compaction and reopen"] {
        let wanted = [
            (5, Added, value("newest")),
            (4, Deleted, None),
            (3, Modified, value("newer")),
            (2, Modified, value("loaded 5")),
            (1, Added, value("old")),
        ];
        assert_eq!(
            versions(&store, "main", "k00005"),
            wanted,
            "{round}: the load is one of the versions"
        );
        assert_eq!(versions(&store, "seq:2", "k00005"), wanted[3..], "{round}: at the load itself");
        assert_eq!(versions(&store, "seq:1", "k00005"), wanted[4..], "{round}: and before it");
        assert_eq!(
            versions(&store, "main", "k00006"),
            [(1, Added, value("same"))],
            "{round}: a row that the load did not change"
        );
        assert_eq!(
            versions(&store, "main", "k00007"),
            [(2, Added, value(&large))],
            "{round}: a large value"
        );
        assert_eq!(
            versions(&store, "main", "k19999"),
            [(2, Added, value("loaded 19999"))],
            "{round}: the last row"
        );
        let child = [(6, Modified, value("child")), wanted[3].clone(), wanted[4].clone()];
        assert_eq!(versions(&store, "child", "k00005"), child, "{round}: across a fork");
        assert_eq!(
            must_get(&store.view("seq:2").expect("view"), "k00005").as_deref(),
            Some("loaded 5"),
            "{round}: reads agree"
        );
        assert_eq!(
            store.view("seq:1").expect("view").len(),
            2,
            "{round}: before the load there were two"
        );
        assert_eq!(
            store.view("seq:4").expect("view").len(),
            19_999,
            "{round}: the deletion counts"
        );
        store.compact().expect("compact");
        store.reopen();
    }
}

/// `main` with commits 1, 2 and 4, which merges 3 of `topic`.
fn merged() -> Scratch {
    let store = Scratch::new();
    let stream = b"commit refs/heads/main
mark :1
committer Ann <ann@example.org> 1000 +0000
data 1
1
M 100644 inline a/1
data 1
1
commit refs/heads/main
mark :2
committer Ben <ben@example.org> 3000 +0000
data 1
2
M 100644 inline b/1
data 1
2
commit refs/heads/topic
mark :3
committer Ann <ann@example.org> 2000 +0000
data 1
3
from :1
M 100644 inline a/1
data 1
3
commit refs/heads/main
mark :4
committer Ben <ben@example.org> 4000 +0000
data 1
4
from :2
merge :3
M 100644 inline a/1
data 1
3
";
    import_git(&store, &stream[..], GitImportOptions::default()).expect("import");
    store
}

#[test]
fn hist_3_a_log_is_newest_first_and_filters() {
    let store = merged();
    let at = |seconds: i64| withy::Timestamp::from_millis(seconds * 1000);
    let plain = LogOptions::default;
    assert_eq!(log(&store, "main", plain()), [4, 3, 2, 1, 0], "every ancestor, once");
    assert_eq!(log(&store, "topic", plain()), [3, 1, 0], "of this branch");
    assert_eq!(log(&store, "main", plain().first_parent(true)), [4, 2, 1, 0], "first parents only");
    assert_eq!(log(&store, "main", plain().limit(2)), [4, 3], "at most so many");
    assert_eq!(log(&store, "main", plain().limit(0)), [0; 0], "or none");
    assert_eq!(log(&store, "main", plain().author("Ann")), [3, 1], "by author");
    assert_eq!(log(&store, "main", plain().author("ben@")), [4, 2], "by part of one");
    assert_eq!(
        log(&store, "main", plain().author("Ann").limit(1)),
        [3],
        "the limit counts what is shown"
    );
    assert_eq!(log(&store, "main", plain().range(KeyRange::prefix("b/"))), [2], "by prefix");
    assert_eq!(
        log(&store, "main", plain().range(KeyRange::key("a/1"))),
        [4, 3, 1],
        "by key, changed against the first parent"
    );
    assert_eq!(
        log(&store, "main", plain().since(at(2000)).until(at(3000))),
        [3, 2],
        "by time, as the history says it"
    );
    assert_eq!(log(&store, "main~2", plain()), [1, 0], "from any rev");
    must_fail(store.log("absent", plain()), ErrorKind::NotFound);
}

#[test]
fn hist_3_a_commit_is_shown_with_its_changes() {
    let store = merged();
    let main = store.main().expect("main");
    must_write(
        &main,
        "mixed",
        &[("a/1", None), ("b/1", Some("5")), ("c/1", Some("5")), ("absent", None)],
    );
    let commit = must_head(&main);
    assert_eq!(
        (commit.message.as_str(), commit.changes, commit.keys),
        ("mixed", 3, 2),
        "what the commit says"
    );
    let changes: Vec<_> = store
        .changes(Seq::new(5))
        .expect("changes")
        .into_iter()
        .map(|c| (show(&c.key), c.kind, c.before, c.after))
        .collect();
    let hash = |text: &str| Some(ValueHash::of(text.as_bytes()));
    let wanted = [
        ("a/1".to_owned(), Deleted, hash("3"), None),
        ("b/1".to_owned(), Modified, hash("2"), hash("5")),
        ("c/1".to_owned(), Added, None, hash("5")),
    ];
    assert_eq!(changes, wanted, "in key order, with hashes; what changes nothing is left out");
    assert_eq!(store.changes(Seq::ROOT).expect("root"), [], "the root changes nothing");
    must_fail(store.changes(Seq::new(6)), ErrorKind::NotFound);
    let merge = store.commit("seq:4").expect("merge");
    let parents: Vec<_> = merge.parents.iter().map(|p| (p.seq.get(), p.id)).collect();
    let id = |n: u64| store.commit(&format!("seq:{n}")).expect("commit").id;
    assert_eq!(parents, [(2, id(2)), (3, id(3))], "a merge names both parents");
}

#[test]
fn hist_3_a_commit_of_many_changes_is_shown_whole() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    let mut batch = Batch::new();
    for n in 0..20_000_u32 {
        batch.put(format!("key-{n:05}"), n.to_string());
    }
    main.write(batch, CommitOptions::default()).expect("commit");
    drop(main);
    store.reopen();
    let changes = store.changes(Seq::new(1)).expect("changes");
    assert_eq!(changes.len(), 20_000, "however many parts its record has");
    assert!(changes.is_sorted_by(|a, b| a.key < b.key), "in key order");
    let last = changes.last().expect("the last");
    assert_eq!(
        (last.key.as_slice(), last.after),
        (&b"key-19999"[..], Some(ValueHash::of(b"19999"))),
        "to the last"
    );
    assert_eq!(
        log(&store, "main", LogOptions::default().range(KeyRange::key("key-19999"))),
        [1],
        "and a log finds it by any key"
    );
}
