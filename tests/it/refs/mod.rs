//! Branches: BR-1 to BR-7.

mod deletion;

use withy::{
    BranchOptions, DeleteOptions, Direction, ErrorKind, KeyRange, LogOptions, Read, Seq, Store,
    TagOptions,
};

use crate::support::raw::raw_rows;
use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_get, must_head, must_put, must_scan,
    must_write, rows, show,
};

fn names(store: &Store) -> Vec<String> {
    store.branches().expect("branches").iter().map(|b| b.name.to_string()).collect()
}

pub(crate) fn must_tag(store: &Store, name: &str, rev: &str) -> Seq {
    store
        .create_tag(name, rev, TagOptions::default())
        .unwrap_or_else(|e| panic!("tag {name} at {rev}: {e:?}"))
        .seq
}

pub(crate) fn must_delete_branch(store: &Store, name: &str) {
    store
        .delete_branch(name, DeleteOptions::default().force(true))
        .unwrap_or_else(|e| panic!("delete branch {name}: {e:?}"));
}

/// `main` with four commits: pear green, pear yellow, plum blue, pear gone. A tag `v1` on the second.
pub(crate) fn orchard() -> Scratch {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    must_put(&main, "pear", "yellow");
    must_put(&main, "plum", "blue");
    must_delete(&main, "pear");
    must_tag(&store, "v1", "seq:2");
    store
}

#[test]
fn br_1_a_fresh_store_has_main_and_it_is_active() {
    let store = Scratch::new();
    assert_eq!(names(&store), ["main"], "the branch every store starts with");
    let info = store.branch_info("main").expect("main");
    assert!(info.active, "main is the active branch");
    assert_eq!(store.active().expect("active").as_str(), "main", "and named as such");
    assert_eq!((info.head, info.parent), (Seq::ROOT, None), "it is at the root commit");
    assert_eq!(rows(&store.main().expect("main")), [], "which is empty");
}

#[test]
fn br_1_a_branch_starts_at_any_rev() {
    let store = orchard();
    let id = store.commit("seq:3").expect("commit").id.to_string();
    let time = store.commit("seq:1").expect("commit").time;
    let revs = [
        ("main", 4),
        ("heads/main", 4),
        ("@", 4),
        ("v1", 2),
        ("tags/v1", 2),
        ("seq:0", 0),
        ("seq:3", 3),
        (&id, 3),
        (&id[..16], 3),
        (&format!("main@{{{time}}}"), 1),
        ("main~3", 1),
        ("v1^", 1),
    ];
    for (n, (rev, seq)) in revs.into_iter().enumerate() {
        let branch = must_branch(&store, &format!("b{n}"), rev);
        assert_eq!(must_head(&branch).seq, Seq::new(seq), "{rev}: starts at what the rev names");
        let wanted = rows(&store.view(&format!("seq:{seq}")).expect("view"));
        assert_eq!(rows(&branch), wanted, "{rev}: and has its content");
        must_put(&branch, "own", rev);
        assert_eq!(must_get(&branch, "own").as_deref(), Some(rev), "{rev}: it can be written to");
    }
    assert_eq!(
        rows(&store.main().expect("main")),
        [("plum".into(), "blue".into())],
        "main is as it was"
    );
}

#[test]
fn br_1_a_refused_start_makes_no_branch() {
    let store = orchard();
    let future = "main@{2027-01-01T00:00:00Z}";
    let cases = [
        ("tags/v2", ErrorKind::NotFound, "no tag \"v2\""),
        ("v2", ErrorKind::NotFound, "no branch, tag or commit \"v2\""),
        ("heads/topic", ErrorKind::NotFound, "no branch \"topic\""),
        ("seq:5", ErrorKind::NotFound, "commit 5 is not there, the newest is 4"),
        ("main~5", ErrorKind::NotFound, "main~5: history does not go back that far"),
        ("main^2", ErrorKind::NotFound, "main^2: commit 4 has 1 parents"),
        ("seq:0^", ErrorKind::NotFound, "seq:0^: commit 0 has 0 parents"),
        (future, ErrorKind::NotFound, "main@{2027-01-01T00:00:00Z}: the time is in the future"),
        (
            "main@{2026-01-01}@{2026-01-01}",
            ErrorKind::Invalid,
            "\"main@{2026-01-01}@{2026-01-01}\" is not a rev: expected `~`, `^` or the end",
        ),
        (
            "seq:1@{2026-01-01}",
            ErrorKind::Invalid,
            "\"seq:1@{2026-01-01}\" is not a rev: a time goes with a branch only",
        ),
        (
            "v1@{2026-01-01}",
            ErrorKind::Invalid,
            "\"v1@{2026-01-01}\" is not a rev: a time goes with a branch only",
        ),
        ("", ErrorKind::Invalid, "\"\" is not a rev: it is empty"),
    ];
    let (before, ops) = (names(&store), store.ops(100).expect("ops"));
    for (rev, kind, text) in cases {
        let refused = store.create_branch("topic", rev, BranchOptions::default());
        assert_eq!(must_fail(refused, kind).to_string(), text, "{rev}: the error says why");
        assert_eq!(names(&store), before, "{rev}: and there is no branch");
    }
    let taken = store.create_branch("main", "v1", BranchOptions::default());
    assert_eq!(
        must_fail(taken, ErrorKind::Exists).to_string(),
        "branch main exists already",
        "a name is given once"
    );
    assert_eq!(store.ops(100).expect("ops"), ops, "what is refused is not in the operation log");
}

#[test]
fn br_1_a_branch_costs_the_same_whatever_the_size() {
    let made = |keys: u32| {
        let mut store = Scratch::new();
        let main = store.main().expect("main");
        for n in 0..keys {
            must_put(&main, &format!("key-{n}"), "value");
        }
        drop(main);
        store.close();
        let before = raw_rows(&store.path()).len();
        store.reopen();
        must_branch(&store, "topic", "main");
        store.close();
        raw_rows(&store.path()).len() - before
    };
    assert_eq!(made(2), 4, "one row each for branch, line, pin and operation");
    assert_eq!(made(500), 4, "however much is in the store");
}

#[test]
fn br_2_branches_do_not_see_each_other() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "base", &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    let child = must_branch(&store, "child", "main");
    must_write(&child, "child", &[("b", None), ("d", Some("2"))]);
    let grandchild = must_branch(&store, "child/grand", "child");
    must_write(&grandchild, "grand", &[("a", None), ("b", Some("3")), ("d", None)]);
    must_write(&child, "child", &[("c", None), ("e", Some("2"))]);
    must_write(&main, "main", &[("a", Some("4")), ("b", Some("4")), ("f", Some("4"))]);
    drop((main, child, grandchild));
    for round in ["as written", "after reopen"] {
        let wanted: [(&str, &[(&str, &str)]); 3] = [
            ("main", &[("a", "4"), ("b", "4"), ("c", "1"), ("f", "4")]),
            ("child", &[("a", "1"), ("d", "2"), ("e", "2")]),
            ("child/grand", &[("b", "3"), ("c", "1")]),
        ];
        for (name, wanted) in wanted {
            let branch = store.branch(name).expect("branch");
            let mut found: Vec<_> = must_scan(&branch, &KeyRange::all(), Direction::Forward);
            let shown: Vec<_> = found.iter().map(|(k, v)| (show(k), show(v))).collect();
            let shown: Vec<_> = shown.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(shown, wanted, "{name} {round}: a forward scan sees its own rows only");
            found.reverse();
            let backward = must_scan(&branch, &KeyRange::all(), Direction::Backward);
            assert_eq!(backward, found, "{name} {round}: a backward scan sees the same");
            for key in ["a", "b", "c", "d", "e", "f"] {
                let value = wanted.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
                assert_eq!(must_get(&branch, key), value, "{name} {round}: get of {key} agrees");
            }
            let count = branch.count(&KeyRange::all()).expect("count");
            assert_eq!(count, wanted.len() as u64, "{name} {round}: count agrees");
        }
        store.reopen();
    }
}

#[test]
fn br_3_names_that_break_a_rule_are_refused_everywhere() {
    let store = orchard();
    must_branch(&store, "topic", "main");
    let ops = store.ops(100).expect("ops");
    let long = "x".repeat(129);
    let bad = [
        ("", "it is empty"),
        ("HEAD", "it is reserved"),
        ("FETCH_HEAD", "it is reserved"),
        ("ORIG_HEAD", "it is reserved"),
        ("@", "it is reserved"),
        ("-a", "it starts with `-`"),
        ("a..b", "it contains `..`"),
        ("a/", "it has an empty component"),
        ("/a", "it has an empty component"),
        ("a.lock", "a component ends with `.lock`"),
        ("a/.b", "a component starts with `.`"),
        ("a b", "a character is not allowed"),
        ("a\0", "a character is not allowed"),
        ("\u{e4}", "a character is not allowed"),
        (&long, "it is over 128 bytes"),
    ];
    for (name, rule) in bad {
        let text = format!("{name:?} is not a valid branch name: {rule}");
        let created = store.create_branch(name, "main", BranchOptions::default());
        assert_eq!(
            must_fail(created, ErrorKind::Invalid).to_string(),
            text,
            "create names the rule"
        );
        let renamed = store.rename_branch("topic", name);
        assert_eq!(
            must_fail(renamed, ErrorKind::Invalid).to_string(),
            text,
            "rename names the rule"
        );
        let tagged = store.create_tag(name, "main", TagOptions::default());
        must_fail(tagged, ErrorKind::Invalid);
    }
    assert_eq!(names(&store), ["main", "topic"], "nothing was made or renamed");
    assert_eq!(store.ops(100).expect("ops"), ops, "and nothing recorded");
}

#[test]
fn br_3_neighbouring_names_and_hostile_keys_stay_apart() {
    let store = Scratch::new();
    let all = ["a", "a-", "a.b", "a/b", "a/b/c", "a0", "aa", "A", &"x".repeat(128)];
    // Keys that look like the start of stored keys: line numbers, terminators, all ones.
    let mut keys: Vec<Vec<u8>> = (0_u64..12).map(|line| line.to_be_bytes().to_vec()).collect();
    keys.extend([vec![0], vec![0, 0], vec![0, 0xFF], vec![0xFF; 9], b"bmain".to_vec()]);
    keys.sort();
    for name in all {
        let branch = must_branch(&store, name, "main");
        for key in &keys {
            branch.put(key.clone(), name).expect("put");
        }
    }
    for gone in ["a", "a/b"] {
        must_delete_branch(&store, gone);
        must_branch(&store, gone, "main");
    }
    for name in all {
        let branch = store.branch(name).expect("branch");
        let found = must_scan(&branch, &KeyRange::all(), Direction::Forward);
        if ["a", "a/b"].contains(&name) {
            assert_eq!(found, [], "{name}: a name that is used again brings nothing back");
        } else {
            let wanted: Vec<_> =
                keys.iter().map(|k| (k.clone(), name.as_bytes().to_vec())).collect();
            assert_eq!(found, wanted, "{name}: every branch holds exactly its own rows");
        }
    }
    assert_eq!(rows(&store.main().expect("main")), [], "none of it is on main");
}

#[test]
fn br_4_a_branch_says_where_it_comes_from() {
    let mut store = orchard();
    let options = BranchOptions::default().description("what if").creator("ann");
    store.create_branch("topic", "main", options).expect("branch");
    let made = store.ops(1).expect("ops")[0].time;
    must_put(&store.branch("topic").expect("topic"), "pear", "red");
    must_branch(&store, "below", "heads/topic");
    must_branch(&store, "old", "seq:1");
    store.switch("topic").expect("switch");
    must_branch(&store, "active", "@");
    for round in ["at once", "after reopen"] {
        assert_eq!(names(&store), ["active", "below", "main", "old", "topic"], "{round}: by name");
        let topic = store.branch_info("topic").expect("topic");
        assert_eq!(topic.parent.as_deref(), Some("main"), "{round}: its parent branch");
        assert_eq!(
            (topic.created_seq, topic.created),
            (Seq::new(4), made),
            "{round}: where and when it began"
        );
        assert_eq!(
            (topic.description.as_str(), topic.creator.as_str()),
            ("what if", "ann"),
            "{round}: what and who"
        );
        assert_eq!(
            (topic.active, topic.head),
            (true, Seq::new(5)),
            "{round}: active flag and head"
        );
        let parents: Vec<_> = ["active", "below", "old"]
            .map(|name| store.branch_info(name).expect("info").parent)
            .into();
        let wanted = [Some("topic".to_owned()), Some("topic".to_owned()), None];
        assert_eq!(parents, wanted, "{round}: a branch from a bare commit has no parent branch");
        let below = store.branch_info("below").expect("below");
        assert_eq!(
            (below.creator.as_str(), below.active),
            ("tester", false),
            "{round}: the store's author, unless told"
        );
        store.reopen();
    }
}

#[test]
fn br_4_rename_describe_and_switch() {
    let mut store = orchard();
    must_branch(&store, "topic", "main");
    must_put(&store.branch("topic").expect("topic"), "pear", "red");
    store.switch("topic").expect("switch");
    store.describe_branch("topic", "red pears").expect("describe");
    store.rename_branch("topic", "fruit/red").expect("rename");
    store.reopen();
    let info = store.branch_info("fruit/red").expect("renamed");
    assert_eq!(info.description, "red pears", "the description is kept");
    assert!(info.active, "the active branch stays active under its new name");
    assert_eq!(
        must_get(&store.branch("fruit/red").expect("branch"), "pear").as_deref(),
        Some("red"),
        "so are its rows"
    );
    must_fail(store.branch("topic"), ErrorKind::NotFound);
    let ops = store.ops(100).expect("ops");
    let refused = [
        (store.rename_branch("main", "trunk"), ErrorKind::Invalid, "branch main cannot be renamed"),
        (store.rename_branch("fruit/red", "main"), ErrorKind::Exists, "branch main exists already"),
        (store.rename_branch("topic", "other"), ErrorKind::NotFound, "no branch \"topic\""),
        (store.describe_branch("topic", "x"), ErrorKind::NotFound, "no branch \"topic\""),
        (store.switch("topic"), ErrorKind::NotFound, "no branch \"topic\""),
    ];
    for (result, kind, text) in refused {
        assert_eq!(must_fail(result, kind).to_string(), text, "a refusal says why");
    }
    store.rename_branch("fruit/red", "fruit/red").expect("nothing to do");
    store.switch("fruit/red").expect("nothing to do");
    store.describe_branch("fruit/red", "red pears").expect("nothing to do");
    assert_eq!(store.ops(100).expect("ops"), ops, "neither refusals nor idle calls are recorded");
    assert_eq!(names(&store), ["fruit/red", "main"], "and the branches are as they were");
}

#[test]
fn br_6_a_limit_on_branches_holds() {
    let store = Scratch::with(|options| options.max_branches(3));
    must_branch(&store, "a", "main");
    must_branch(&store, "b", "main");
    let over = store.create_branch("c", "main", BranchOptions::default());
    let over = must_fail(over, ErrorKind::Limit);
    assert_eq!(over.to_string(), "the limit of 3 branches is reached", "the limit is named");
    assert_eq!(names(&store), ["a", "b", "main"], "and there is no branch");
    store.rename_branch("a", "c").expect("a rename makes no branch more");
    must_delete_branch(&store, "b");
    must_branch(&store, "d", "main");
    store.undo().expect("undo the creation");
    store.undo().expect("undo the deletion");
    must_fail(store.create_branch("e", "main", BranchOptions::default()), ErrorKind::Limit);
    assert_eq!(names(&store), ["b", "c", "main"], "the count follows undo too");
}

#[test]
fn br_6_many_branches_are_fine() {
    const MANY: usize = 5_000;
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "pear", "green");
    for n in 0..MANY {
        let branch = must_branch(&store, &format!("b/{n}"), "main");
        if n % 1_000 == 0 {
            must_put(&branch, "own", &n.to_string());
        }
    }
    store.reopen();
    assert_eq!(store.branches().expect("branches").len(), MANY + 1, "all are listed");
    for n in [0, 1, 1_000, 4_999] {
        let branch = store.branch(&format!("b/{n}")).expect("branch");
        let own = (n % 1_000 == 0).then(|| n.to_string());
        assert_eq!(must_get(&branch, "own"), own, "each has its own rows");
        assert_eq!(must_get(&branch, "pear").as_deref(), Some("green"), "and its parent's");
    }
}

#[test]
fn br_7_reset_moves_a_branch_to_any_commit_and_loses_nothing() {
    let mut store = orchard();
    let side = must_branch(&store, "side", "seq:1");
    must_put(&side, "fig", "black");
    let main = store.main().expect("main");
    for (rev, seq) in [("seq:1", 1), ("side", 5), ("seq:0", 0), ("seq:3", 3)] {
        let before = rows(&main);
        let head = must_head(&main).seq;
        store.reset("main", rev).expect("reset");
        assert_eq!(
            must_head(&main).seq,
            Seq::new(seq),
            "{rev}: the head is the commit that was asked for"
        );
        assert_eq!(rows(&main), rows(&store.view(rev).expect("view")), "{rev}: with its content");
        assert_eq!(
            rows(&store.view(&format!("seq:{head}")).expect("view")),
            before,
            "{rev}: the old head can be read"
        );
        must_put(&main, "after", rev);
        assert_eq!(
            must_get(&side, "after"),
            None,
            "{rev}: what is written then is on no other branch"
        );
        store.undo().expect("undo the commit");
        store.undo().expect("undo the reset");
        assert_eq!(
            (must_head(&main).seq, rows(&main)),
            (head, before),
            "{rev}: the operation log brings it back"
        );
    }
    let ops = store.ops(100).expect("ops");
    store.reset("main", "main").expect("nothing to do");
    must_fail(store.reset("main", "seq:99"), ErrorKind::NotFound);
    must_fail(store.reset("absent", "main"), ErrorKind::NotFound);
    assert_eq!(store.ops(100).expect("ops"), ops, "idle and refused resets are not recorded");
    drop((main, side));
    store.reset("main", "side").expect("reset");
    store.reopen();
    assert_eq!(must_head(&store.main().expect("main")).seq, Seq::new(5), "a reset survives reopen");
}
