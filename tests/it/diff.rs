//! DIFF-1 and DIFF-2: net changes between any two revs, in either order (ruling 12).

use std::collections::BTreeMap;
use std::ops::Bound;

use withy::exchange::{LoadOptions, import_git, load};
use withy::{Batch, ChangeKind, CommitOptions, DiffOptions, ErrorKind, KeyRange, Read, Store};

use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_put, must_scan, must_write, rows, show,
};

use ChangeKind::{Added, Deleted, Modified};

type Entry = (String, ChangeKind, Option<String>, Option<String>);

fn diff(store: &Store, from: &str, to: &str, options: DiffOptions) -> Vec<Entry> {
    store
        .diff(from, to, options)
        .unwrap_or_else(|e| panic!("diff {from} {to}: {e:?}"))
        .map(|entry| {
            let e = entry.unwrap_or_else(|e| panic!("diff {from} {to}: {e:?}"));
            (show(&e.key), e.kind, e.before.as_deref().map(show), e.after.as_deref().map(show))
        })
        .collect()
}

fn plain() -> DiffOptions {
    DiffOptions::default()
}

fn entry(key: &str, kind: ChangeKind, before: &str, after: &str) -> Entry {
    let some = |text: &str| Some(text.to_owned());
    match kind {
        Added => (key.to_owned(), kind, None, some(after)),
        Modified => (key.to_owned(), kind, some(before), some(after)),
        Deleted => (key.to_owned(), kind, some(before), None),
    }
}

/// What a diff must say, from the two contents alone.
fn compared(store: &Store, from: &str, to: &str) -> Vec<Entry> {
    let content = |rev: &str| {
        let view = store.view(rev).unwrap_or_else(|e| panic!("view {rev}: {e:?}"));
        rows(&view).into_iter().collect::<BTreeMap<_, _>>()
    };
    let (from, to) = (content(from), content(to));
    let mut keys: Vec<_> = from.keys().chain(to.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter_map(|key| {
            let (before, after) = (from.get(key).cloned(), to.get(key).cloned());
            let kind = match (&before, &after) {
                (None, Some(_)) => Added,
                (Some(_), None) => Deleted,
                (b, a) if b != a => Modified,
                _ => return None,
            };
            Some((key.clone(), kind, before, after))
        })
        .collect()
}

#[test]
fn diff_1_shows_the_net_change_in_key_order() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(
        &main,
        "1",
        &[("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("d", Some("1"))],
    );
    must_write(&main, "2", &[("a", Some("2")), ("b", Some("2")), ("c", None), ("e", Some("2"))]);
    must_write(&main, "3", &[("a", Some("3")), ("b", Some("1")), ("f", Some("3"))]);
    must_write(&main, "4", &[("d", None), ("e", None), ("f", Some("4"))]);
    let wanted = [
        entry("a", Modified, "1", "3"),
        entry("c", Deleted, "1", ""),
        entry("d", Deleted, "1", ""),
        entry("f", Added, "", "4"),
    ];
    assert_eq!(
        diff(&store, "seq:1", "main", plain()),
        wanted,
        "many edits are one, set back is none, come and gone is none"
    );
    let turned = [
        entry("a", Modified, "3", "1"),
        entry("c", Added, "", "1"),
        entry("d", Added, "", "1"),
        entry("f", Deleted, "4", ""),
    ];
    assert_eq!(
        diff(&store, "main", "seq:1", plain()),
        turned,
        "ruling 12: the other way round as well"
    );
    assert_eq!(diff(&store, "main", "main~0", plain()), [], "nothing differs from itself");
    must_fail(store.diff("main", "absent", plain()), ErrorKind::NotFound);
    must_fail(store.diff("seq:9", "main", plain()), ErrorKind::NotFound);
}

#[test]
fn diff_1_an_empty_value_is_not_an_absent_one() {
    let store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    let large = "x".repeat(100);
    must_write(&main, "1", &[("a", Some("")), ("b", Some("1")), ("c", Some(&large))]);
    must_write(&main, "2", &[("a", None), ("b", Some("")), ("c", Some("small")), ("d", Some(""))]);
    let wanted = [
        entry("a", Deleted, "", ""),
        entry("b", Modified, "1", ""),
        entry("c", Modified, &large, "small"),
        entry("d", Added, "", ""),
    ];
    assert_eq!(diff(&store, "main~1", "main", plain()), wanted, "kinds are by presence");
}

#[test]
fn diff_2_ranges_names_limits_counts_and_pages() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let mut batch = Batch::new();
    for n in 0..50 {
        batch.put(format!("old/{n:02}"), "1");
    }
    main.write(batch, CommitOptions::default()).expect("commit");
    let mut batch = Batch::new();
    for n in 0..50 {
        batch.put(format!("new/{n:02}"), "2");
        if n % 2 == 0 {
            batch.put(format!("old/{n:02}"), "2");
        } else if n % 5 == 0 {
            batch.delete(format!("old/{n:02}"));
        }
    }
    main.write(batch, CommitOptions::default()).expect("commit");
    let all = compared(&store, "main~1", "main");
    assert_eq!(diff(&store, "main~1", "main", plain()), all, "all of it");
    let old = plain().range(KeyRange::prefix("old/"));
    assert_eq!(diff(&store, "main~1", "main", old.clone()), all[50..], "a prefix");
    let counts = store.diff_counts("main~1", "main", &KeyRange::all()).expect("counts");
    assert_eq!((counts.added, counts.modified, counts.deleted), (50, 25, 5), "counts by kind");
    let counts = store.diff_counts("main", "main~1", &KeyRange::prefix("old/")).expect("counts");
    assert_eq!(
        (counts.added, counts.modified, counts.deleted),
        (5, 25, 0),
        "in a range, turned round"
    );
    let names = diff(&store, "main~1", "main", old.clone().names_only(true).limit(3));
    let wanted: Vec<Entry> =
        all[50..53].iter().map(|(k, kind, ..)| (k.clone(), *kind, None, None)).collect();
    assert_eq!(names, wanted, "names only, at most three");
    // Pages: each starts behind the last key of the one before.
    let (mut pages, mut after) = (Vec::new(), Bound::Unbounded);
    loop {
        let range = KeyRange::new(after, Bound::Unbounded);
        let page = diff(&store, "main~1", "main", plain().range(range).limit(7));
        let Some(last) = page.last() else { break };
        after = Bound::Excluded(last.0.clone().into_bytes());
        pages.extend(page);
    }
    assert_eq!(pages, all, "pages together are the whole");
    let crossing = KeyRange::new(Bound::Included(b"z".to_vec()), Bound::Excluded(b"a".to_vec()));
    assert_eq!(
        diff(&store, "main~1", "main", plain().range(crossing)),
        [],
        "a range without keys has no changes"
    );
}

#[test]
fn diff_1_between_branches_compares_both_sides() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_write(
        &main,
        "base",
        &[("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("same", Some("1"))],
    );
    let topic = must_branch(&store, "topic", "main");
    must_write(
        &main,
        "main",
        &[("a", Some("2")), ("b", None), ("same", Some("2")), ("m", Some("2"))],
    );
    must_write(
        &topic,
        "topic",
        &[("a", Some("3")), ("c", None), ("same", Some("2")), ("t", Some("3"))],
    );
    let below = must_branch(&store, "below", "topic");
    must_write(&below, "below", &[("a", Some("1")), ("t", None), ("b", Some("4"))]);
    must_delete(&main, "m");
    drop((main, topic, below));
    let wanted = [
        entry("a", Modified, "2", "3"),
        entry("b", Added, "", "1"),
        entry("c", Deleted, "1", ""),
        entry("t", Added, "", "3"),
    ];
    assert_eq!(
        diff(&store, "main", "topic", plain()),
        wanted,
        "the same change on both sides is none"
    );
    let revs = ["main", "topic", "below", "seq:0", "seq:1", "main~1", "topic~1", "below~1"];
    for round in ["at once", "after reopen"] {
        for from in revs {
            for to in revs {
                assert_eq!(
                    diff(&store, from, to, plain()),
                    compared(&store, from, to),
                    "{round}: {from} to {to}"
                );
            }
        }
        store.reopen();
    }
}

#[test]
fn diff_1_random_histories_match_a_comparison_of_contents() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..6 {
        let store = Scratch::with(|options| options.blob_threshold(64));
        let mut names = vec!["main".to_owned()];
        for n in 0..60 {
            let name = names[random.usize(..names.len())].clone();
            if random.u32(0..6) == 0 {
                let from = random.u64(0..=store.latest().get());
                names.push(format!("b{n}"));
                must_branch(&store, &format!("b{n}"), &format!("seq:{from}"));
            }
            if random.u32(0..12) == 0 {
                let to = random.u64(0..=store.latest().get());
                store.reset(&name, &format!("seq:{to}")).expect("reset");
            }
            let mut batch = Batch::new();
            for _ in 0..random.u32(1..5) {
                let key = format!("k{}", random.u32(0..12));
                match random.u32(0..4) {
                    0 => batch.delete(key),
                    1 => batch.put(key, "large ".repeat(20 + random.usize(0..2))),
                    _ => batch.put(key, random.u32(0..3).to_string()),
                };
            }
            let branch = store.branch(&name).expect("branch");
            branch.write(batch, CommitOptions::default()).expect("commit");
        }
        for _ in 0..80 {
            let latest = store.latest().get();
            let (from, to) = (random.u64(0..=latest), random.u64(0..=latest));
            let (from, to) = (format!("seq:{from}"), format!("seq:{to}"));
            let wanted = compared(&store, &from, &to);
            assert_eq!(diff(&store, &from, &to, plain()), wanted, "{from} to {to}");
            let counts = store.diff_counts(&from, &to, &KeyRange::all()).expect("counts");
            let total = counts.added + counts.modified + counts.deleted;
            assert_eq!(total, wanted.len() as u64, "{from} to {to}: counts agree");
        }
    }
}

#[test]
fn diff_1_merges_in_the_history_are_followed() {
    let store = Scratch::new();
    // A criss-cross: 4 merges 3 into 2, 5 merges 2 into 3, and each side goes on.
    let commit = |branch: &str, mark: u32, parents: &[u32], rows: &[(&str, &str)]| {
        let mut out = format!(
            "commit refs/heads/{branch}\nmark :{mark}\ncommitter A <a> {mark} +0000\ndata 1\nm\n"
        );
        for (n, parent) in parents.iter().enumerate() {
            let word = if n == 0 { "from" } else { "merge" };
            out += &format!("{word} :{parent}\n");
        }
        for (key, value) in rows {
            out += &match *value {
                "" => format!("D {key}\n"),
                value => format!("M 100644 inline {key}\ndata {}\n{value}\n", value.len()),
            };
        }
        out
    };
    let stream = [
        commit("main", 1, &[], &[("a", "1"), ("b", "1"), ("c", "1")]),
        commit("main", 2, &[1], &[("a", "2"), ("x", "2")]),
        commit("side", 3, &[1], &[("a", "3"), ("b", "3"), ("y", "3")]),
        commit("main", 4, &[2, 3], &[("a", "2"), ("b", "3"), ("y", "3")]),
        commit("side", 5, &[3, 2], &[("a", "5"), ("x", "2")]),
        commit("main", 6, &[4], &[("c", ""), ("z", "6")]),
        commit("side", 7, &[5], &[("a", "2"), ("y", "")]),
    ]
    .concat();
    import_git(&store, stream.as_bytes(), Default::default()).expect("import");
    for from in 0..=7 {
        for to in 0..=7 {
            let (from, to) = (format!("seq:{from}"), format!("seq:{to}"));
            assert_eq!(
                diff(&store, &from, &to, plain()),
                compared(&store, &from, &to),
                "{from} to {to}"
            );
        }
    }
    assert_eq!(
        store.merge_base("main", "side").expect("bases").len(),
        2,
        "the history is a criss-cross"
    );
}

#[test]
fn diff_2_a_bulk_load_is_diffed_by_its_log() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "k00003", "old");
    drop(main);
    let row = |n: u32| Ok((format!("k{n:05}").into_bytes(), format!("loaded {n}").into_bytes()));
    load(&store, "loaded", (0..12_000).map(row), LoadOptions::default().from("main"))
        .expect("load");
    let loaded = store.branch("loaded").expect("branch");
    must_delete(&loaded, "k00005");
    drop(loaded);
    must_put(&store.main().expect("main"), "k00007", "main");
    for _ in 0..2 {
        for (from, to) in [
            ("seq:1", "loaded"),
            ("loaded", "seq:1"),
            ("main", "loaded"),
            ("loaded", "main"),
            ("seq:2", "loaded"),
        ] {
            assert_eq!(
                diff(&store, from, to, plain()),
                compared(&store, from, to),
                "{from} to {to}"
            );
        }
        store.reopen();
    }
    let view = store.view("seq:2").expect("view");
    assert_eq!(
        must_scan(&view, &KeyRange::all(), withy::Direction::Forward).len(),
        12_000,
        "the load is there"
    );
    assert!(view.contains(b"k00005").expect("contains"), "with every row");
}
