//! KV-1 to KV-7: keys and values of every size, no-ops, conditions, limits.

use withy::{
    Batch, Branch, CommitOptions, Committed, DiffOptions, Direction, Durability, ErrorKind, Expect,
    KeyRange, MAX_KEY_LEN, MAX_VALUE_LEN, Read, Seq, Timestamp, ValueHash,
};

use crate::support::{
    Scratch, is_long, must_branch, must_delete, must_fail, must_get, must_head, must_put,
    must_scan, must_write,
};

fn plain() -> CommitOptions {
    CommitOptions::default()
}

/// Bytes that no compression makes smaller; another seed, other bytes.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Lengths tell more than a million bytes in a message.
#[track_caller]
fn must_equal(found: Option<Vec<u8>>, expected: Option<&[u8]>, rule: &str) {
    let lens = (found.as_ref().map(Vec::len), expected.map(<[u8]>::len));
    assert_eq!(lens.0, lens.1, "{rule}: the length");
    assert!(found.as_deref() == expected, "{rule}: the bytes");
}

fn put(branch: &Branch, key: &[u8], value: &[u8]) -> Seq {
    branch.put(key, value).expect("a put").seq().expect("it changes something")
}

/// A value of this size through everything that can happen to it.
fn round_trip(len: usize) {
    let mut store = Scratch::new();
    let (one, two) = (noise(len, 1), noise(len, 2));
    let same = len == 0;
    let main = store.main().expect("main");
    must_put(&main, "before", "x");
    let first = put(&main, b"key", &one);
    must_branch(&store, "child", "main");
    must_put(&main, "between", "x");
    assert_eq!(
        main.put("key", one.clone()).expect("a put"),
        Committed::Unchanged,
        "KV-3: {len} bytes"
    );
    if !same {
        put(&main, b"key", &two);
    }
    must_delete(&store.branch("child").expect("child"), "key");
    put(&store.branch("child").expect("child"), b"copy", &one);
    drop(main);
    for round in ["at once", "after a reopen", "after a compaction"] {
        let rule = |what: &str| format!("KV-1: {len} bytes, {what}, {round}");
        let main = store.main().expect("main");
        must_equal(main.get(b"key").expect("a get"), Some(&two), &rule("overwritten"));
        let then = store.view(&format!("seq:{first}")).expect("a view");
        must_equal(then.get(b"key").expect("a get"), Some(&one), &rule("at its own commit"));
        assert_eq!(then.hash(b"key").expect("a hash"), Some(ValueHash::of(&one)), "KV-4: {round}");
        let child = store.view("child").expect("a view");
        must_equal(child.get(b"key").expect("a get"), None, &rule("deleted on a child"));
        must_equal(child.get(b"copy").expect("a get"), Some(&one), &rule("under another key"));
        must_equal(
            store.view("child~2").expect("a view").get(b"key").expect("a get"),
            Some(&one),
            &rule("where the child began"),
        );
        let rows = must_scan(&child, &KeyRange::prefix("c"), Direction::Backward);
        assert!(rows.len() == 1 && rows[0].1 == one, "{}", rule("in a scan"));
        let many = then.multi_get(&[b"key", b"copy"]).expect("a multi_get");
        assert!(many[0].as_ref() == Some(&one) && many[1].is_none(), "{}", rule("in a multi_get"));
        let oldest = store.history("main", b"key").expect("history").last().expect("a version");
        must_equal(oldest.expect("a version").value, Some(&one), &rule("in the history"));
        let diff = store.diff("child", "main", DiffOptions::default().range(KeyRange::key("key")));
        let entry = diff.expect("a diff").next().expect("a difference").expect("an entry");
        must_equal(entry.after, Some(&two), &rule("in a diff"));
        drop((main, then, child));
        match round {
            "at once" => store.reopen(),
            _ => store.compact().expect("compact"),
        }
    }
}

#[test]
fn kv_1_small_values_and_those_about_the_threshold_round_trip() {
    for len in [0, 1, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 1 << 20] {
        round_trip(len);
    }
}

#[test]
fn kv_1_a_value_of_100_mib_round_trips() {
    round_trip(100 << 20);
}

/// Only with `WITHY_LONG=1`: it takes several GiB of memory.
#[test]
fn kv_1_a_value_of_1_gib_round_trips() {
    if is_long() {
        let mut store = Scratch::new();
        let value = noise(MAX_VALUE_LEN, 1);
        let hash = ValueHash::of(&value);
        store.main().and_then(|main| main.put("key", value)).expect("the longest value is taken");
        for _ in 0..2 {
            let found =
                store.view("main").expect("main").get(b"key").expect("a get").expect("there");
            assert_eq!(found.len(), MAX_VALUE_LEN, "KV-1: the length");
            assert_eq!(ValueHash::of(&found), hash, "KV-1: the bytes");
            drop(found);
            store.reopen();
        }
    }
}

#[test]
fn kv_1_limits_are_typed_errors_that_name_the_limit_and_write_nothing() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let longest = vec![0; MAX_KEY_LEN];
    put(&main, &longest, b"zeros");
    put(&main, &vec![0xFF; MAX_KEY_LEN], b"ones");
    put(&main, &longest, b"again");
    must_equal(main.get(&longest).expect("a get"), Some(b"again"), "KV-1: the longest key");
    assert_eq!(store.history("main", &longest).expect("history").count(), 2, "with its history");
    let latest = store.latest();
    let over_key = vec![b'k'; MAX_KEY_LEN + 1];
    for (key, value, limit) in [
        (over_key.clone(), vec![], "65536"),
        (b"value".to_vec(), vec![0; MAX_VALUE_LEN + 1], "1073741824"),
        (vec![], vec![1], "1 byte"),
    ] {
        let mut batch = Batch::new();
        batch.put("innocent", "x").put(key, value);
        let e = must_fail(main.write(batch, plain()), ErrorKind::Limit);
        assert!(e.to_string().contains(limit), "KV-1: the message gives the limit: {e}");
    }
    must_fail(main.delete(over_key.clone()), ErrorKind::Limit);
    let long = "x".repeat((1 << 20) + 1);
    must_fail(main.write(Batch::new(), plain().allow_empty(true).message(long)), ErrorKind::Limit);
    let long = "x".repeat((4 << 10) + 1);
    must_fail(main.write(Batch::new(), plain().allow_empty(true).author(long)), ErrorKind::Limit);
    assert_eq!(store.latest(), latest, "nothing is written");
    assert_eq!(must_get(&main, "innocent"), None, "not even what was in order");
    assert_eq!(must_get(&main, over_key), None, "what no store can hold is absent");
    assert_eq!(must_get(&main, ""), None, "and so is the empty key");
}

#[test]
fn kv_1_an_empty_value_is_no_deletion() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "empty", "");
    drop(main);
    store.reopen();
    let main = store.main().expect("main");
    assert_eq!(must_get(&main, "empty").as_deref(), Some(""), "it is there, and empty");
    assert!(main.contains(b"empty").expect("contains"), "contains says so");
    assert_eq!(main.count(&KeyRange::all()).expect("count"), 1, "it counts");
    must_delete(&main, "empty");
    assert_eq!(must_get(&main, "empty"), None, "deleted it is gone");
}

#[test]
fn kv_1_equal_values_are_stored_once() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let value = noise(1 << 20, 7);
    for n in 0..30 {
        put(&main, format!("copy/{n}").as_bytes(), &value);
    }
    for n in 0..10 {
        let branch = must_branch(&store, &format!("b{n}"), "main");
        must_delete(&branch, "copy/1");
        put(&branch, b"copy/1", &value);
        must_put(&branch, "copy/2", "small");
        put(&branch, b"copy/2", &value);
    }
    store.restore("main", "seq:1", &KeyRange::all(), plain()).expect("restore");
    let mut batch = Batch::new();
    (0..20).for_each(|n| {
        batch.put(format!("batch/{n}"), value.clone());
    });
    main.write(batch, plain()).expect("a batch");
    store.compact().expect("compact");
    let disk = store.stats().expect("stats").disk_bytes;
    assert!(disk >= 1 << 20, "the value is on disk: {disk} bytes");
    assert!(disk < (1 << 20) + (256 << 10), "once, though it was written 80 times: {disk} bytes");
}

#[test]
fn kv_3_what_changes_nothing_is_dropped() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1"))]);
    let mut batch = Batch::new();
    batch.put("a", "1").delete("absent").put("b", "2").put("b", "1");
    assert_eq!(
        main.write(batch.clone(), plain()).expect("a batch"),
        Committed::Unchanged,
        "nothing is left"
    );
    batch.put("c", "3");
    let seq = main.write(batch.clone(), plain()).expect("a batch").seq().expect("one key is new");
    let changed: Vec<_> = store.changes(seq).expect("changes").into_iter().map(|c| c.key).collect();
    assert_eq!(changed, [b"c"], "only what changed is in the commit");
    assert_eq!(must_head(&main).changes, 1, "and counted");
    assert_eq!(
        store.history("main", b"a").expect("history").count(),
        1,
        "no version without a change"
    );
    let child = must_branch(&store, "child", "main");
    assert_eq!(
        child.put("a", "1").expect("a put"),
        Committed::Unchanged,
        "inherited values count too"
    );
    let empty = plain().allow_empty(true).message("marker");
    let marker = main.write(batch, empty).expect("a marker").seq().expect("asked for");
    assert_eq!(marker.get(), seq.get() + 1, "allow_empty makes a commit of nothing");
    assert!(store.changes(marker).expect("changes").is_empty(), "without changes");
    assert_eq!(must_head(&main).message, "marker");
    assert_eq!(
        store.view("main").expect("a view").fingerprint(),
        store.view("main~1").expect("a view").fingerprint(),
        "KV-5: and with the same content"
    );
}

#[test]
fn kv_4_times_never_run_backwards_and_the_root_is_empty() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let first = must_head(&main).time;
    store.clock().set(Timestamp::from_millis(0));
    must_put(&main, "a", "2");
    let second = must_head(&main);
    assert!(second.time >= first, "a clock that jumps back stops time, at most");
    assert_eq!(second.parents[0].seq, Seq::new(1), "the order is that of the commits");
    assert_eq!(second.parents[0].id, store.commit("seq:1").expect("a commit").id);
    let root = store.commit("seq:0").expect("the root");
    assert!(root.parents.is_empty() && root.keys == 0 && root.changes == 0, "the root is empty");
}

#[test]
fn kv_5_equal_content_has_equal_fingerprints_whatever_the_history() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let other = must_branch(&store, "other", "main");
    let large = "x".repeat(20_000);
    must_write(&main, "at once", &[("a", Some("1")), ("b", Some(&large)), ("c", Some(""))]);
    must_put(&other, "c", "");
    must_put(&other, "z", "goes");
    must_put(&other, "b", "small");
    must_put(&other, "b", &large);
    must_delete(&other, "z");
    let print = |rev: &str| store.view(rev).expect("a view").fingerprint();
    assert_ne!(print("main"), print("other"), "one key is missing");
    must_put(&other, "a", "1");
    assert_eq!(print("main"), print("other"), "now the content is the same");
    must_write(&other, "swapped", &[("a", Some("")), ("c", Some("1"))]);
    assert_ne!(print("main"), print("other"), "the same values under other keys are not");
}

#[test]
fn kv_6_every_durability_survives_a_close() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    for (n, durability) in
        [Durability::Sync, Durability::Buffered, Durability::Sync].into_iter().enumerate()
    {
        let mut batch = Batch::new();
        batch.put(format!("{n}"), "x");
        main.write(batch, plain().durability(durability)).expect("a commit");
    }
    drop(main);
    store.reopen();
    assert_eq!(store.view("main").expect("main").len(), 3, "all are there");
    assert_eq!(store.latest(), Seq::new(3));
}

/// A conditional write that misses: the message in full, the key named, nothing written.
#[track_caller]
fn must_miss(branch: &Branch, key: &str, expect: Expect, message: &str) {
    let before = must_head(branch).seq;
    for delete in [false, true] {
        let mut batch = Batch::new();
        batch.put("innocent", "x");
        match delete {
            true => batch.delete_if(key, expect.clone()),
            false => batch.put_if(key, "new", expect.clone()),
        };
        let e = must_fail(branch.write(batch, plain()), ErrorKind::Precondition);
        assert_eq!(e.to_string(), message, "KV-7: expected and actual are named");
        assert_eq!(e.keys(), [key.as_bytes()], "KV-7: and the key");
    }
    assert_eq!(must_head(branch).seq, before, "KV-7: nothing of the batch is written");
}

#[test]
fn kv_7_a_condition_that_misses_names_expected_and_actual() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("pear", Some("green")), ("gone", Some("x"))]);
    must_delete(&main, "gone");
    let green = ValueHash::of(b"green").short();
    let red = ValueHash::of(b"red").short();
    let found = format!("a value of 5 bytes, {green}, last changed by commit 1");
    must_miss(&main, "pear", Expect::Absent, &format!("pear: expected absent, found {found}"));
    must_miss(&main, "plum", Expect::Present, "plum: expected present, found absent");
    must_miss(
        &main,
        "gone",
        Expect::Present,
        "gone: expected present, found absent since commit 2",
    );
    let wrong = Expect::Seq(Seq::new(2));
    must_miss(
        &main,
        "pear",
        wrong,
        &format!("pear: expected last changed by commit 2, found {found}"),
    );
    must_miss(
        &main,
        "plum",
        Expect::Seq(Seq::new(1)),
        "plum: expected last changed by commit 1, found absent",
    );
    let text = format!("pear: expected a value of 3 bytes, {red}, found {found}");
    must_miss(&main, "pear", Expect::Value(b"red".to_vec()), &text);
    let text = format!("gone: expected a value of 3 bytes, {red}, found absent since commit 2");
    must_miss(&main, "gone", Expect::Value(b"red".to_vec()), &text);
}

#[test]
fn kv_7_a_condition_that_holds_lets_the_write_through() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let write = |branch: &Branch, key: &str, value: Option<&str>, expect: Expect| {
        let mut batch = Batch::new();
        match value {
            Some(value) => batch.put_if(key, value, expect),
            None => batch.delete_if(key, expect),
        };
        branch.write(batch, plain()).expect("the condition holds")
    };
    let first = write(&main, "a", Some("1"), Expect::Absent).seq().expect("a commit");
    write(&main, "a", Some("2"), Expect::Seq(first));
    write(&main, "a", Some("3"), Expect::Value(b"2".to_vec()));
    write(&main, "a", Some("4"), Expect::Present);
    assert_eq!(must_get(&main, "a").as_deref(), Some("4"));
    let child = must_branch(&store, "child", "main");
    write(&child, "a", Some("5"), Expect::Seq(Seq::new(4)));
    let gone = write(&child, "a", None, Expect::Value(b"5".to_vec())).seq().expect("a commit");
    write(&child, "a", Some("6"), Expect::Seq(gone));
    write(&child, "a", None, Expect::Present);
    write(&child, "a", Some("7"), Expect::Absent);
    assert_eq!(write(&child, "b", None, Expect::Absent), Committed::Unchanged, "nothing to delete");
    assert_eq!(must_get(&child, "a").as_deref(), Some("7"));
    assert_eq!(must_get(&main, "a").as_deref(), Some("4"), "BR-2: the parent is as it was");
}

#[test]
fn kv_7_of_many_conditions_one_miss_stops_the_batch() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let large = "x".repeat(20_000);
    must_put(&main, "large", &large);
    let mut batch = Batch::new();
    batch.put_if("a", "1", Expect::Absent).put_if("large", "2", Expect::Value(large.into_bytes()));
    batch.put_if("z", "3", Expect::Present);
    let e = must_fail(main.write(batch, plain()), ErrorKind::Precondition);
    assert_eq!(e.to_string(), "z: expected present, found absent");
    assert_eq!(store.latest(), Seq::new(1), "nothing of the batch is written");
    let mut batch = Batch::new();
    batch.put_if("large", "2", Expect::Value(b"x".repeat(20_000)));
    assert!(
        main.write(batch, plain()).expect("it holds").seq().is_some(),
        "large values are compared too"
    );
}
