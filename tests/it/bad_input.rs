//! Bad input: each with a typed error that says what is wrong, and nothing lost or half done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use withy::exchange::{LoadOptions, import_git, load};
use withy::{
    Batch, CommitOptions, Create, Error, ErrorKind, MAX_KEY_LEN, MAX_VALUE_LEN, OpenOptions, Read,
    Result, Seq, Setting, Store, TagOptions,
};

use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, rows};

/// Names and bytes of all files of a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("the file can be read");
            out.insert(path, bytes);
        }
    }
    out
}

#[test]
fn kv_1_keys_and_values_over_the_limit_are_refused_everywhere() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "kept", "1");
    let ops = store.ops(100).expect("ops");
    let long = vec![b'k'; MAX_KEY_LEN + 1];
    let large = || vec![0; MAX_VALUE_LEN + 1];
    let batch = |fill: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        batch.put("other", "never");
        fill(&mut batch);
        main.write(batch, CommitOptions::default()).map(|_| ())
    };
    let transaction = |fill: &dyn Fn(&mut withy::Txn<'_>) -> Result<()>| {
        let mut tx = store.begin("main").expect("begin");
        tx.put("other", "still usable").expect("put");
        let refused = fill(&mut tx);
        assert_eq!(
            must_get(&tx, "other").as_deref(),
            Some("still usable"),
            "the transaction stays as it was"
        );
        refused
    };
    let loaded = |key: Vec<u8>, value: Vec<u8>| {
        let rows = [Ok((b"other".to_vec(), vec![])), Ok((key, value))];
        load(&store, "main", rows, LoadOptions::default()).map(|_| ())
    };
    let empty = "key is empty, the shortest has 1 byte";
    let key = "key of 65537 bytes is over the limit of 65536 bytes";
    let value = "value of 1073741825 bytes is over the limit of 1073741824 bytes";
    let cases: Vec<(&str, Result<()>, String)> = vec![
        ("put, empty key", main.put("", "x").map(|_| ()), empty.into()),
        ("put, long key", main.put(long.clone(), "x").map(|_| ()), key.into()),
        ("put, large value", main.put("k", large()).map(|_| ()), value.into()),
        ("delete, empty key", main.delete("").map(|_| ()), empty.into()),
        ("delete, long key", main.delete(long.clone()).map(|_| ()), key.into()),
        ("batch, long key", batch(&|b| _ = b.put(long.clone(), "x")), key.into()),
        ("batch, large value", batch(&|b| _ = b.put("k", large())), value.into()),
        ("transaction, empty key", transaction(&|tx| tx.put("", "x")), empty.into()),
        ("transaction, long key", transaction(&|tx| tx.delete(long.clone())), key.into()),
        ("transaction, large value", transaction(&|tx| tx.put("k", large())), value.into()),
        ("load, empty key", loaded(vec![], vec![]), format!("line 2: {empty}")),
        ("load, long key", loaded(long.clone(), vec![]), format!("line 2: {key}")),
        ("load, large value", loaded(b"k".to_vec(), large()), format!("line 2: {value}")),
    ];
    for (what, result, text) in cases {
        let e = must_fail(result, ErrorKind::Limit);
        assert_eq!(e.to_string(), text, "{what}: the error names the limit");
    }
    assert_eq!(rows(&main), [("kept".into(), "1".into())], "nothing is written");
    assert_eq!(store.ops(100).expect("ops"), ops, "nor recorded");
    assert_eq!(main.get(&long).expect("get"), None, "a key that cannot be there is absent");
    must_fail(store.history("main", &long), ErrorKind::Limit);
    main.put(vec![b'k'; MAX_KEY_LEN], "").expect("the limit itself is allowed");
}

#[test]
fn texts_over_the_limit_are_refused() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let ops = store.ops(100).expect("ops");
    let author = "a".repeat(4097);
    let message = "m".repeat((1 << 20) + 1);
    let commit = |options: CommitOptions| {
        let mut batch = Batch::new();
        batch.put("key", "value");
        main.write(batch, options).map(|_| ())
    };
    let plain = CommitOptions::default;
    let branch = |options| store.create_branch("topic", "main", options).map(|_| ());
    let tag = |options| store.create_tag("v1", "main", options).map(|_| ());
    let cases: Vec<(&str, Result<()>, &str)> = vec![
        (
            "author",
            commit(plain().author(&*author)),
            "author of 4097 bytes is over the limit of 4096 bytes",
        ),
        (
            "message",
            commit(plain().message(&*message)),
            "message of 1048577 bytes is over the limit of 1048576 bytes",
        ),
        (
            "creator of a branch",
            branch(withy::BranchOptions::default().creator(&*author)),
            "author of 4097 bytes is over the limit of 4096 bytes",
        ),
        (
            "description of a branch",
            branch(withy::BranchOptions::default().description(&*message)),
            "description of 1048577 bytes is over the limit of 1048576 bytes",
        ),
        (
            "description of a tag",
            tag(TagOptions::default().description(&*message)),
            "description of 1048577 bytes is over the limit of 1048576 bytes",
        ),
        (
            "new description",
            store.describe_branch("main", &message),
            "description of 1048577 bytes is over the limit of 1048576 bytes",
        ),
    ];
    for (what, result, text) in cases {
        assert_eq!(
            must_fail(result, ErrorKind::Limit).to_string(),
            text,
            "{what}: the limit is named"
        );
    }
    assert_eq!(store.ops(100).expect("ops"), ops, "nothing is written");
    must_fail(store.set_config(Setting::Author, Some(&author)), ErrorKind::Invalid);
    assert_eq!(store.config(Setting::Author).expect("config"), None, "nor set");
}

/// Every way to open a directory that is there, or not.
fn openings() -> Vec<(&'static str, OpenOptions)> {
    vec![
        ("open", Store::options()),
        ("open, never create", Store::options().create(Create::Never)),
        ("open, create new", Store::options().create(Create::New)),
        ("open for reading", Store::options().read_only(true)),
    ]
}

#[test]
fn ops_8_what_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let full = dir.path().join("full");
    fs::create_dir(&full).expect("mkdir");
    fs::write(full.join("notes.txt"), "mine").expect("write");
    let file = dir.path().join("file");
    fs::write(&file, "mine").expect("write");
    let below = file.join("below");
    let before = files(dir.path());
    for path in [&full, &file, &below] {
        for (how, options) in openings() {
            let e = must_fail(options.open(path), ErrorKind::Incompatible);
            assert_eq!(
                e.to_string(),
                format!("{} is not a withy store", path.display()),
                "{how}: what is wrong"
            );
            assert_eq!(
                e.hint(),
                Some("give the directory of a store, or one that is empty"),
                "{how}: what to do"
            );
        }
    }
    let (absent, empty) = (dir.path().join("absent"), dir.path().join("empty"));
    fs::create_dir(&empty).expect("mkdir");
    for path in [&absent, &empty] {
        for (how, options) in [&openings()[1], &openings()[3]] {
            let e = must_fail(options.open(path), ErrorKind::NotFound);
            assert_eq!(
                e.to_string(),
                format!("there is no store in {}", path.display()),
                "{how}: what is wrong"
            );
        }
    }
    assert_eq!(files(dir.path()), before, "a refused open changes nothing");
    assert!(!absent.exists(), "and makes nothing");
    Store::open(&empty).expect("an empty directory is free");
    let again = must_fail(Store::options().create(Create::New).open(&empty), ErrorKind::Exists);
    assert_eq!(
        again.to_string(),
        format!("{} is a store already", empty.display()),
        "but only once"
    );
}

#[test]
fn ops_8_a_marker_that_says_something_else_is_refused() {
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "key", "value");
    store.close();
    let path = store.path();
    let marker = path.join("withy.store");
    let good = fs::read(&marker).expect("the marker");
    assert_eq!(good, b"withy store, format 1\n", "what the marker says");
    let shown = path.display();
    let other = format!("{shown} is not a withy store");
    let cases: Vec<(&[u8], String)> = vec![
        (
            b"withy store, format 2\n",
            format!("{shown} has format 2, this version of withy knows format 1"),
        ),
        (
            b"withy store, format 4294967295\n",
            format!("{shown} has format 4294967295, this version of withy knows format 1"),
        ),
        (
            b"withy store, format 0\n",
            format!("{shown} has format 0, this version of withy knows format 1"),
        ),
        (b"withy store, format 4294967296\n", other.clone()),
        (b"withy store, format\n", other.clone()),
        (b"withy store, for", other.clone()),
        (b"withy store, format 1", other.clone()),
        (b"withy store, format 1\x0b", other.clone()),
        (b"withy store, format +1\n", other.clone()),
        (b"", other.clone()),
        (b"something else\n", other.clone()),
        (b"\xff\xfe\x00", other),
    ];
    for (bytes, text) in cases {
        fs::write(&marker, bytes).expect("write");
        let before = files(&path);
        for (how, options) in openings() {
            let e = must_fail(options.open(&path), ErrorKind::Incompatible);
            assert_eq!(
                e.to_string(),
                text,
                "{how} with {:?}: what is wrong",
                bytes.escape_ascii().to_string()
            );
        }
        assert_eq!(files(&path), before, "a refused open changes nothing");
    }
    fs::write(&marker, good).expect("write");
    store.reopen();
    assert_eq!(
        must_get(&store.main().expect("main"), "key").as_deref(),
        Some("value"),
        "the store is as it was"
    );
}

#[test]
fn ops_8_a_marker_without_a_database_is_damage() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    fs::write(dir.path().join("withy.store"), "withy store, format 1\n").expect("write");
    for (how, options) in [&openings()[0], &openings()[1], &openings()[3]] {
        let e = must_fail(options.open(dir.path()), ErrorKind::Corrupt);
        assert_eq!(
            e.to_string(),
            format!("the file CURRENT in {} is missing", dir.path().display()),
            "{how}: what is wrong"
        );
    }
    assert!(!dir.path().join("CURRENT").exists(), "no database is made in its place");
}

#[test]
fn ops_1_a_store_that_was_being_made_is_made() {
    // Killed after taking the lock: nothing but the lock file.
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let lock = dir.path().join("withy.lock");
    fs::write(&lock, "4711 2026-01-01T00:00:00Z\n").expect("write");
    for (how, options) in [&openings()[1], &openings()[3]] {
        must_fail(options.open(dir.path()), ErrorKind::NotFound);
        assert_eq!(files(dir.path()).len(), 1, "{how}: and nothing is made");
    }
    let store = Store::open(dir.path()).expect("the store is made");
    must_put(&store.main().expect("main"), "key", "value");
    drop(store);

    // Killed before the marker was in place: a whole database, and perhaps half a marker.
    let id = Store::open(dir.path()).expect("open").id();
    fs::rename(dir.path().join("withy.store"), dir.path().join("withy.store.new")).expect("rename");
    must_fail(openings()[3].1.open(dir.path()), ErrorKind::NotFound);
    let store = Store::open(dir.path()).expect("the store is finished");
    assert_eq!(store.id(), id, "it is the same store");
    assert_eq!(
        must_get(&store.main().expect("main"), "key").as_deref(),
        Some("value"),
        "with what it held"
    );
    drop(store);

    // Killed while RocksDB made its first files.
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    fs::write(dir.path().join("withy.lock"), "").expect("write");
    fs::write(dir.path().join("LOCK"), "").expect("write");
    fs::write(dir.path().join("IDENTITY"), "half").expect("write");
    let store = Store::open(dir.path()).expect("the store is made");
    assert_eq!(store.latest(), Seq::ROOT, "and fresh");
}

#[test]
fn ops_4_a_process_that_is_being_started_does_not_keep_the_lock() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let done = std::sync::atomic::AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = std::process::Command::new("true").status();
                }
            });
        }
        let opened = (0..60).map(|_| Store::open(dir.path()).map(drop));
        let refused: Vec<Error> = opened.filter_map(Result::err).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        refused
    });
    assert!(refused.is_empty(), "a store that was closed can be opened at once: {refused:?}");
}

#[test]
fn ops_8_reading_never_changes_a_file() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "key", "value");
    must_branch(&store, "topic", "main");
    drop(main);
    store.close();
    let path = store.path();
    let before = files(&path);
    let reader = Store::options().read_only(true).open(&path).expect("opens");
    assert_eq!(
        must_get(&reader.branch("topic").expect("topic"), "key").as_deref(),
        Some("value"),
        "it reads"
    );
    let main = reader.main().expect("main");
    let refused: Vec<(&str, Result<()>)> = vec![
        ("put", main.put("key", "other").map(|_| ())),
        ("delete", main.delete("key").map(|_| ())),
        ("begin", reader.begin("main").map(|_| ())),
        ("branch", reader.create_branch("b", "main", Default::default()).map(|_| ())),
        ("tag", reader.create_tag("v1", "main", Default::default()).map(|_| ())),
        ("switch", reader.switch("topic")),
        ("undo", reader.undo().map(|_| ())),
        ("redo", reader.redo().map(|_| ())),
        ("config", reader.set_config(Setting::Author, Some("ann"))),
        ("compact", reader.compact()),
        (
            "load",
            load(&reader, "main", [Ok((b"k".to_vec(), vec![]))], LoadOptions::default())
                .map(|_| ()),
        ),
        ("import", import_git(&reader, &b"done\n"[..], Default::default()).map(|_| ())),
    ];
    for (what, result) in refused {
        let e = must_fail(result, ErrorKind::ReadOnly);
        assert_eq!(e.to_string(), "the store is open for reading only", "{what}: what is wrong");
    }
    drop((main, reader));
    assert_eq!(files(&path), before, "not one byte");
}
