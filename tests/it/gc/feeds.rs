//! FEED-2, OPS-7: a feed of one branch is refused only if something of its own is missing.

use std::ops::ControlFlow;

use withy::{CursorOptions, DeleteOptions, ErrorKind, FeedOptions, GcOptions, Seq, Setting, Store};

use crate::support::{Scratch, must_branch, must_fail, must_put, must_verify};

/// Commits on `main` and `topic` in turn; those of each.
fn in_turn(store: &Store, count: u32) -> (Vec<Seq>, Vec<Seq>) {
    let (main, topic) = (store.main().expect("main"), must_branch(store, "topic", "main"));
    let mut out = (Vec::new(), Vec::new());
    for n in 0..count {
        out.0.push(must_put(&main, "n", &n.to_string()));
        out.1.push(must_put(&topic, "n", &n.to_string()));
    }
    out
}

fn set(store: &Store, retention: &str) {
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some(retention)).expect("a setting");
}

fn must_gc(store: &Store) {
    store.gc(GcOptions::default().compact(false)).expect("a collection");
}

fn of(branch: &str) -> FeedOptions {
    FeedOptions::default().branch(branch)
}

/// The commits that a feed gives, or its error.
fn read(store: &Store, after: Seq, options: FeedOptions) -> withy::Result<Vec<Seq>> {
    store.feed(after, options)?.map(|event| Ok(event?.commit.seq)).collect()
}

/// The position that the error of a feed names.
fn named(e: &withy::Error) -> Seq {
    assert_eq!(e.kind(), ErrorKind::HistoryGone, "it says that history is gone: {e:?}");
    let text = e.to_string();
    let word = text.rsplit(';').next().and_then(|rest| rest.split_whitespace().next());
    Seq::new(word.and_then(|word| word.parse().ok()).expect("it names a position"))
}

#[test]
fn feed_2_a_feed_of_one_branch_does_not_miss_what_others_have_lost() {
    let store = Scratch::new();
    let (main, topic) = in_turn(&store, 10);
    set(&store, "branch=topic count=2");
    must_gc(&store);
    assert_eq!(read(&store, Seq::ROOT, of("main")).expect("a feed"), main, "all of main is there");
    let gone = must_fail(read(&store, Seq::ROOT, of("topic")), ErrorKind::HistoryGone);
    assert_eq!(named(&gone), topic[7], "the newest commit of topic that is gone");
    assert_eq!(read(&store, topic[7], of("topic")).expect("a feed"), topic[8..], "what is kept");
    let all = must_fail(read(&store, Seq::ROOT, FeedOptions::default()), ErrorKind::HistoryGone);
    assert_eq!(named(&all), topic[7], "a feed of all branches misses it too");
    must_verify(&store);
    let options = CursorOptions::default().branch("main").after(Seq::ROOT);
    let mut cursor = store.cursor("of main", options).expect("all of main is there");
    assert_eq!(cursor.next_batch(100).expect("events").len(), main.len(), "the cursor reads it");
    let options = CursorOptions::default().branch("topic").after(Seq::ROOT);
    must_fail(store.cursor("of topic", options), ErrorKind::HistoryGone);
}

#[test]
fn feed_2_a_feed_of_one_branch_goes_to_the_end_over_commits_of_branches_that_are_gone() {
    let mut store = Scratch::new();
    let (main, topic) = in_turn(&store, 5);
    let force = DeleteOptions::default().force(true);
    store.delete_branch("topic", force).expect("the branch goes");
    set(&store, "forever");
    must_gc(&store);
    let mut feed = store.feed(Seq::ROOT, of("main")).expect("a feed");
    let given: Vec<Seq> = feed.by_ref().map(|event| event.expect("an event").commit.seq).collect();
    assert_eq!(given, main, "all of main is there");
    assert_eq!(feed.position(), store.latest(), "and nothing comes behind it");
    drop(feed);
    // A branch of the same name is another one; a feed goes by the name.
    let again = must_branch(&store, "topic", "main");
    let newest = must_put(&again, "n", "again");
    drop(again);
    for _ in 0..2 {
        let gone = must_fail(read(&store, Seq::ROOT, of("topic")), ErrorKind::HistoryGone);
        let start = named(&gone);
        assert!(topic.contains(&start), "the newest of the name that is gone, not {start}");
        assert_eq!(read(&store, start, of("topic")).expect("a feed").last(), Some(&newest));
        store.reopen();
    }
    must_verify(&store);
}

#[test]
fn feed_2_a_feed_beside_a_collection_that_is_stopped_anywhere_leaves_nothing_out() {
    for stop in 0..40 {
        let mut store = Scratch::new();
        let (main, topic) = in_turn(&store, 6);
        set(&store, "branch=topic count=1");
        let mut calls = 0;
        let options = GcOptions::default().compact(false).progress(|_| {
            calls += 1;
            if calls > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let ended = store.gc(options).is_ok();
        for when in ["stopped", "opened again", "collected"] {
            for (name, made) in [("main", &main), ("topic", &topic)] {
                let mut after = Seq::ROOT;
                let read = loop {
                    match read(&store, after, of(name)) {
                        Ok(given) => break given,
                        Err(e) => {
                            assert!(named(&e) > after, "{when}: a later position is named");
                            after = named(&e);
                        }
                    }
                };
                let behind: Vec<Seq> = made.iter().copied().filter(|seq| *seq > after).collect();
                assert_eq!(read, behind, "{when} after {stop}: {name} after {after}");
            }
            match when {
                "stopped" => store.reopen(),
                _ => must_gc(&store),
            }
        }
        if ended {
            return;
        }
    }
    panic!("a collection comes to its end");
}

#[test]
fn feed_2_what_retention_by_prefix_has_let_go_is_gone_and_not_damaged() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    for n in 0..6 {
        must_put(&main, "a/n", &n.to_string());
        must_put(&main, "n", &n.to_string());
    }
    set(&store, "count=2; prefix=a/ forever");
    must_gc(&store);
    for options in [FeedOptions::default(), of("main")] {
        let gone = must_fail(read(&store, Seq::ROOT, options.clone()), ErrorKind::HistoryGone);
        let start = named(&gone);
        let rest = read(&store, start, options).expect("all is there after it");
        assert_eq!(rest.len() as u64, store.latest().get() - start.get(), "and nothing left out");
    }
    let kept = FeedOptions::default().range(withy::KeyRange::prefix("a/"));
    assert_eq!(read(&store, Seq::ROOT, kept).expect("a feed").len(), 6, "the prefix is kept");
}
