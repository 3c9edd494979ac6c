//! What a collection keeps, and what it lets go.

use std::ops::ControlFlow;

use withy::{
    Batch, CommitOptions, DeleteOptions, DiffOptions, Error, ErrorKind, FastForward, FeedOptions,
    GcOptions, GcReport, LogOptions, MergeOptions, Read, Seq, Setting, Store, TagOptions,
};

use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_get, must_put, must_verify, rows,
};

fn set(store: &Store, setting: Setting, value: &str) {
    store.set_config(setting, Some(value)).expect("a setting");
}

/// Collects, after which the store is whole.
fn must_gc(store: &Store) -> GcReport {
    let done = store.gc(GcOptions::default()).expect("a collection");
    must_verify(store);
    done
}

/// A store in which nothing is kept for undo.
fn scratch(retention: &str) -> Scratch {
    let store = Scratch::new();
    set(&store, Setting::UndoAge, "0s");
    set(&store, Setting::Retention, retention);
    store
}

fn kind<T>(result: Result<T, Error>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}

#[test]
fn ops_7_commits_over_the_count_go_and_all_others_stay_exact() {
    let mut store = scratch("count=3");
    let main = store.main().expect("main");
    for n in 1..=10 {
        must_put(&main, "n", &n.to_string());
        must_put(&main, &format!("k{n}"), "v");
    }
    drop(main);
    let before = rows(&store.view("seq:18").expect("a view"));
    assert_eq!(must_gc(&store).commits, 17, "20 commits, 3 are kept");
    for reopened in [false, true] {
        if reopened {
            store.reopen();
            must_verify(&store);
        }
        for seq in 18..=20u64 {
            let view = store.view(&format!("seq:{seq}")).expect("it is kept");
            assert_eq!(view.len(), seq / 2 + 1, "its keys");
            assert_eq!(must_get(&view, "n"), Some(seq.div_ceil(2).to_string()), "its values");
        }
        assert_eq!(rows(&store.view("seq:18").expect("a view")), before, "all of its rows");
        for rev in ["seq:17", "main~3", "seq:1"] {
            assert_eq!(kind(store.view(rev)), Some(ErrorKind::HistoryGone), "{rev} is gone");
        }
        let log: Vec<u64> = store
            .log("main", LogOptions::default())
            .expect("a log")
            .map(|c| c.expect("a commit").seq.get())
            .collect();
        assert_eq!(log, [20, 19, 18], "the log ends with what is kept");
        let diff = store.diff("main~2", "main", DiffOptions::default()).expect("a diff");
        assert_eq!(diff.count(), 2, "differences of what is kept");
        let gone = store.feed(Seq::ROOT, FeedOptions::default()).expect("a feed").next();
        let gone = must_fail(gone.expect("an answer"), ErrorKind::HistoryGone);
        assert!(gone.to_string().ends_with("17 is the first one"), "{gone}");
        let feed = store.feed(Seq::new(17), FeedOptions::default()).expect("a feed");
        assert_eq!(feed.filter(Result::is_ok).count(), 3, "the feed after the first position");
    }
    let next = must_put(&store.main().expect("main"), "n", "11");
    assert_eq!(next, Seq::new(21), "sequences go on");
    assert_eq!(must_gc(&store).commits, 1, "the next run goes on with the next one");
}

#[test]
fn ops_7_a_branch_below_another_one_keeps_what_is_left_of_commits() {
    let mut store = scratch("count=4; prefix=a count=1");
    let main = store.main().expect("main");
    let write = |round: u64| {
        let mut batch = Batch::new();
        batch.put("a", round.to_string()).put("b", round.to_string());
        main.write(batch, CommitOptions::default()).expect("it is written");
    };
    (1..=4).for_each(write);
    must_gc(&store);
    must_branch(&store, "side", "main");
    (5..=14).for_each(write);
    drop(main);
    must_gc(&store);
    for reopened in [false, true] {
        if reopened {
            store.reopen();
            must_gc(&store);
        }
        for seq in [1, 2, 3, 4, 11, 12, 13, 14u64] {
            let view = store.view(&format!("seq:{seq}")).expect("a rule keeps some of it");
            assert_eq!(
                must_get(&view, "b"),
                Some(seq.to_string()),
                "four commits keep it, at {seq}"
            );
            let is_head = [4, 14].contains(&seq);
            let wanted = (!is_head).then_some(ErrorKind::HistoryGone);
            assert_eq!(kind(view.get(b"a")), wanted, "one commit keeps it, at {seq}");
        }
        assert_eq!(must_get(&store.view("side").expect("a view"), "a"), Some("4".into()), "whole");
    }
    let force = DeleteOptions::default().force(true);
    store.delete_branch("side", force).expect("it goes");
    must_gc(&store);
    for seq in 1..=10u64 {
        let view = store.view(&format!("seq:{seq}"));
        assert_eq!(kind(view), Some(ErrorKind::HistoryGone), "nothing keeps commit {seq} any more");
    }
}

#[test]
fn ops_7_tags_branches_and_views_keep_what_they_show() {
    let store = scratch("count=1");
    let main = store.main().expect("main");
    for n in 1..=8 {
        must_put(&main, "n", &n.to_string());
    }
    store.create_tag("two", "seq:2", TagOptions::default()).expect("a tag");
    let topic = must_branch(&store, "topic", "seq:4");
    let view = store.view("seq:6").expect("a view");
    assert_eq!(must_gc(&store).commits, 4, "1, 3, 5, 7");
    assert_eq!(must_get(&store.view("two").expect("the tag"), "n").as_deref(), Some("2"));
    assert_eq!(must_get(&topic, "n").as_deref(), Some("4"), "what the branch started from");
    assert_eq!(must_get(&view, "n").as_deref(), Some("6"), "what is being read");
    drop(view);
    store.delete_tag("two").expect("the tag goes");
    assert_eq!(must_gc(&store).commits, 2, "2 and 6");
    assert_eq!(kind(store.view("seq:6")), Some(ErrorKind::HistoryGone), "nothing reads it now");
    assert_eq!(must_get(&topic, "n").as_deref(), Some("4"), "the branch still does");
    let refused = store.create_tag("late", "seq:6", TagOptions::default());
    assert_eq!(kind(refused), Some(ErrorKind::HistoryGone), "what is gone cannot be tagged");
    assert_eq!(
        kind(store.reset("topic", "seq:3")),
        Some(ErrorKind::HistoryGone),
        "nor returned to"
    );
}

#[test]
fn ops_7_what_nothing_leads_to_goes_once_it_cannot_be_undone() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "b", "2");
    drop(topic);
    store.delete_branch("topic", withy::DeleteOptions::default().force(true)).expect("it goes");
    assert_eq!(must_gc(&store).lines, 0, "it can be undone");
    store.undo().expect("undo");
    assert_eq!(must_get(&store.branch("topic").expect("topic"), "b").as_deref(), Some("2"));
    store.redo().expect("redo");
    set(&store, Setting::UndoAge, "0s");
    must_put(&main, "c", "3");
    let done = must_gc(&store);
    assert_eq!((done.lines, done.commits), (1, 1), "the branch's line and its commit");
    assert_eq!(kind(store.undo().and_then(|_| store.undo())), Some(ErrorKind::NotFound), "no more");
    assert_eq!(kind(store.view("seq:2")), Some(ErrorKind::HistoryGone), "its commit is gone");
    must_gc(&store);
    assert_eq!(must_gc(&store).rows, 0, "nothing is left to do");
}

#[test]
fn ops_7_a_prefix_can_be_kept_for_less_long_or_longer() {
    let store = scratch("count=2; prefix=tmp/ count=1; prefix=audit/ forever");
    let main = store.main().expect("main");
    for n in 1..=5 {
        let n = n.to_string();
        let keys = ["a", "tmp/a", "audit/a"];
        let changes: Vec<_> = keys.iter().map(|key| (*key, Some(n.as_str()))).collect();
        crate::support::must_write(&main, "all", &changes);
    }
    must_gc(&store);
    let seen = |rev: &str, key: &str| {
        let view = store.view(rev).expect("a view");
        view.get(key.as_bytes()).map(|v| v.map(|v| String::from_utf8_lossy(&v).into_owned()))
    };
    let gone =
        |rev: &str, key: &str| assert_eq!(kind(seen(rev, key)), Some(ErrorKind::HistoryGone));
    assert_eq!(seen("seq:5", "tmp/a").expect("kept").as_deref(), Some("5"));
    assert_eq!(seen("seq:4", "a").expect("kept").as_deref(), Some("4"));
    gone("seq:4", "tmp/a");
    for n in 1..=5 {
        let value = seen(&format!("seq:{n}"), "audit/a").expect("kept");
        assert_eq!(value, Some(n.to_string()), "as long as the longest rule says");
    }
    gone("seq:3", "a");
    let view = store.view("seq:3").expect("a view of a part");
    assert_eq!(kind(view.prefix(b"").map(|_| ())), Some(ErrorKind::HistoryGone), "a scan of all");
    assert_eq!(view.prefix(b"audit/").expect("a scan of what is there").count(), 1);
    let diff = store.diff("seq:3", "main", DiffOptions::default());
    assert_eq!(kind(diff.map(|_| ())), Some(ErrorKind::HistoryGone), "a part is gone");
}

#[test]
fn ops_7_a_merge_finds_its_base_though_what_is_between_is_gone() {
    let store = scratch("count=1");
    let main = store.main().expect("main");
    must_put(&main, "base", "1");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "a", "topic");
    must_put(&main, "b", "main");
    store.merge("main", "topic", MergeOptions::default()).expect("a merge");
    for n in 1..=4 {
        must_put(&main, "b", &n.to_string());
        must_put(&topic, "c", &n.to_string());
    }
    must_delete(&main, "a");
    must_gc(&store);
    store.merge("main", "topic", MergeOptions::default()).expect("a second merge");
    let expected = [("b", "4"), ("base", "1"), ("c", "4")];
    let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(rows(&main), expected, "what was deleted after the first merge stays deleted");
    must_gc(&store);
    let mut batch = withy::Batch::new();
    batch.put("d", "5");
    main.write(batch, CommitOptions::default()).expect("writing goes on");
}

#[test]
fn tag_4_old_tags_go_but_not_the_newest_nor_where_a_branch_starts() {
    let store = scratch("forever");
    let main = store.main().expect("main");
    for n in 1..=6 {
        must_put(&main, "n", &n.to_string());
        store.create_tag(&format!("v{n}"), "main", TagOptions::default()).expect("a tag");
    }
    must_branch(&store, "topic", "v1");
    set(&store, Setting::MaxTags, "3");
    must_gc(&store);
    let names = |store: &Store| -> Vec<String> {
        let tags = store.tags(withy::TagListOptions::default()).expect("tags");
        tags.iter().map(|tag| tag.name.to_string()).collect()
    };
    assert_eq!(names(&store), ["v1", "v5", "v6"], "the oldest go, but the one in use");
    set(&store, Setting::MaxTags, "1");
    set(&store, Setting::KeepTags, "2");
    must_gc(&store);
    assert_eq!(names(&store), ["v1", "v5", "v6"], "the newest two never go");
}

#[test]
fn ops_7_what_a_stopped_collection_has_decided_is_gone_everywhere_at_once() {
    let mut store = scratch("count=2");
    let main = store.main().expect("main");
    for n in 1..=9 {
        must_put(&main, "n", &n.to_string());
    }
    let id = store.commit("seq:4").expect("a commit").id.to_string();
    drop(main);
    let mut is_past = false;
    let stopped = store.gc(GcOptions::default().progress(|now| {
        is_past |= now.stage == "versions";
        if is_past { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!(kind(stopped), Some(ErrorKind::Interrupted), "stopped once it was decided");
    for reopened in [false, true] {
        if reopened {
            store.reopen();
        }
        let log = store.log("main", LogOptions::default()).expect("a log");
        let seqs: Vec<u64> = log.map(|c| c.expect("a commit").seq.get()).collect();
        assert_eq!(seqs, [9, 8], "the log ends with what is kept");
        for rev in ["seq:4", "main~5", id.as_str()] {
            let gone = Some(ErrorKind::HistoryGone);
            assert_eq!(kind(store.view(rev)), gone, "no view of {rev}");
            assert_eq!(kind(store.commit(rev)), gone, "no commit {rev}");
            assert_eq!(kind(store.log(rev, LogOptions::default())), gone, "no log of {rev}");
        }
        assert_eq!(kind(store.changes(Seq::new(4))), Some(ErrorKind::HistoryGone), "no changes");
    }
    must_gc(&store);
    assert_eq!(kind(store.commit("seq:4")), Some(ErrorKind::HistoryGone), "nor later");
}

/// A branch that was made from `from`, changed, merged into main, and deleted.
fn pass_through(store: &Store, name: &str, from: &str) {
    must_branch(store, name, from);
    must_put(&store.branch(name).expect("it is there"), name, "passed");
    let options = MergeOptions::default().fast_forward(FastForward::Never);
    store.merge("main", name, options).expect("it is merged");
    store.delete_branch(name, DeleteOptions::default()).expect("it goes");
}

#[test]
fn ops_7_a_merge_starts_where_it_did_though_what_led_there_is_gone() {
    for by_way_of in [1, 2] {
        let store = scratch("count=1");
        let main = store.main().expect("main");
        must_put(&main, "key", "1");
        must_branch(&store, "side", "main");
        let side = store.branch("side").expect("side");
        must_put(&side, "key", "2");
        must_put(&side, "other", "1");
        let base = store.branch_info("side").expect("side").head;
        if by_way_of == 1 {
            pass_through(&store, "feature", "side");
        } else {
            must_branch(&store, "first", "side");
            must_put(&store.branch("first").expect("it is there"), "first", "1");
            pass_through(&store, "second", "first");
            store.delete_branch("first", DeleteOptions::default()).expect("it goes");
        }
        must_put(&main, "main", "1");
        must_put(&main, "main", "2");
        must_put(&side, "key", "1");
        must_put(&side, "side", "1");
        assert_eq!(store.merge_base("main", "side").expect("a base"), [base], "before");
        for _ in 0..2 {
            must_gc(&store);
            let now = store.merge_base("main", "side").expect("a base");
            assert_eq!(now, [base], "by way of {by_way_of}: what side had is in main still");
        }
        must_verify(&store);
        store.merge("main", "side", MergeOptions::default()).expect("it is merged");
        let key = must_get(&main, "key");
        assert_eq!(key.as_deref(), Some("1"), "side has changed it since, main has not");
    }
}

#[test]
fn ops_7_a_merge_starts_from_what_both_sides_have_merged_though_its_branch_is_gone() {
    // The first side has merged all of the topic; the other one as well, or what that was made from.
    for from in ["topic", "older"] {
        let store = scratch("count=1");
        let main = store.main().expect("main");
        must_put(&main, "main", "1");
        let older = must_branch(&store, "older", "main");
        must_put(&older, "key", "1");
        let base = older.head().expect("its head").seq;
        let topic = must_branch(&store, "topic", "older");
        if from == "older" {
            must_put(&topic, "topic", "1");
        }
        for (side, merged) in [("one", "topic"), ("two", from)] {
            let side = must_branch(&store, side, "main");
            must_put(&side, side.name().as_str(), "1");
            let options = MergeOptions::default().fast_forward(FastForward::Never);
            store.merge(side.name().as_str(), merged, options).expect("it is merged");
            must_put(&side, side.name().as_str(), "2");
            must_put(&side, side.name().as_str(), "3");
        }
        for name in ["topic", "older"] {
            let options = DeleteOptions::default().force(true);
            store.delete_branch(name, options).expect("it goes");
        }
        must_put(&store.branch("one").expect("one"), "key", "2");
        assert_eq!(store.merge_base("one", "two").expect("a base"), [base], "before");
        for _ in 0..2 {
            must_gc(&store);
            let now = store.merge_base("one", "two").expect("a base");
            assert_eq!(now, [base], "both have merged {from}");
        }
        store.merge("two", "one", MergeOptions::default()).expect("it is merged");
        let key = must_get(&store.branch("two").expect("two"), "key");
        assert_eq!(key.as_deref(), Some("2"), "one has changed it since, two has not");
        must_gc(&store);
        let gone = kind(store.commit(&format!("seq:{}", base.get())));
        assert_eq!(gone, Some(ErrorKind::HistoryGone), "from now on they meet further up");
    }
}

#[test]
fn ops_7_a_deletion_stays_as_new_as_it_was_while_what_was_merged_has_the_key() {
    let store = scratch("count=1");
    let main = store.main().expect("main");
    let sides = ["one", "two"].map(|name| must_branch(&store, name, "seq:0"));
    let merge = || {
        for side in &sides {
            store.merge(side.name().as_str(), "main", MergeOptions::default()).expect("it merges");
        }
    };
    must_put(&main, "key", "1");
    for side in &sides {
        must_put(side, side.name().as_str(), "1");
    }
    merge();
    must_put(&sides[1], "key", "2");
    must_delete(&sides[0], "key");
    must_put(&main, "main", "1");
    merge();
    for side in &sides {
        must_put(side, side.name().as_str(), "2");
        must_put(side, side.name().as_str(), "3");
    }
    for _ in 0..2 {
        must_gc(&store);
    }
    let options = MergeOptions::default().driver_for("*", "last-write");
    store.merge("one", "two", options).expect("it is merged");
    assert_eq!(must_get(&sides[0], "key"), None, "it was deleted after it was changed");
}

#[test]
fn ops_7_what_an_open_view_came_from_stays_below_read_layers() {
    let mut store = scratch("count=1");
    let main = store.main().expect("main");
    for n in 1..=10 {
        let name = format!("b{n}");
        let from = if n == 1 { "main".to_owned() } else { format!("b{}", n - 1) };
        let branch = must_branch(&store, &name, &from);
        let mut batch = Batch::new();
        for key in 0..if n < 9 { 100 } else { 1 } {
            batch.put(format!("{n}/{key}"), "1");
        }
        branch.write(batch, CommitOptions::default()).expect("it is written");
        store.compact_overlays(&name).expect("its layers are merged");
    }
    must_put(&main, "main", "1");
    store.merge("main", "b10", MergeOptions::default()).expect("it is merged");
    must_put(&main, "main", "2");
    must_put(&main, "main", "3");
    let view = store.view("b10").expect("a view");
    for n in 1..=10 {
        let options = DeleteOptions::default().force(true);
        store.delete_branch(&format!("b{n}"), options).expect("it goes");
    }
    for _ in 0..3 {
        must_gc(&store);
        assert_eq!(rows(&view).len(), 802, "the view shows what it did");
    }
    drop((view, main));
    for _ in 0..2 {
        must_gc(&store);
    }
    store.reopen();
    assert_eq!(rows(&store.main().expect("main")).len(), 803, "and so does main");
}

#[test]
fn ops_7_a_pick_of_a_merge_can_be_open_though_what_it_merged_is_gone() {
    let store = scratch("count=1");
    let main = store.main().expect("main");
    must_put(&main, "key", "1");
    let before = must_put(&main, "other", "1");
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "key", "2");
    let options = MergeOptions::default().fast_forward(FastForward::Never);
    store.merge("main", "topic", options).expect("it is merged");
    for (tag, rev) in [("before", format!("seq:{}", before.get())), ("merged", "main".to_owned())] {
        store.create_tag(tag, &rev, TagOptions::default()).expect("a tag");
    }
    must_put(&main, "main", "1");
    must_put(&main, "main", "2");
    store.delete_branch("topic", DeleteOptions::default().force(true)).expect("it goes");
    let side = must_branch(&store, "side", "before");
    must_put(&side, "key", "3");
    for _ in 0..2 {
        must_gc(&store);
    }
    let picked = store.cherry_pick("side", &["merged"], MergeOptions::default().keep_open(true));
    assert!(picked.expect("it is kept open").open, "both have changed the key");
    must_gc(&store);
    store.abort_merge("side").expect("it is given up");
    must_gc(&store);
}
