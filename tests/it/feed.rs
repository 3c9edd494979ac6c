//! FEED-1 and FEED-2: every commit once, whole, in order; pages, branches, prefixes, waiting.

use std::thread;
use std::time::Duration;

use withy::{
    ChangeKind, Clock, CommitOptions, DeleteOptions, ErrorKind, FeedEvent, FeedOptions, KeyRange,
    Seq, Store, SystemClock,
};

use crate::support::{Scratch, must_branch, must_fail, must_put, must_write, show};

fn plain() -> FeedOptions {
    FeedOptions::default()
}

fn events(store: &Store, after: u64, options: FeedOptions) -> Vec<FeedEvent> {
    store
        .feed(Seq::new(after), options)
        .and_then(Iterator::collect)
        .unwrap_or_else(|e| panic!("feed after {after}: {e:?}"))
}

fn seqs(store: &Store, after: u64, options: FeedOptions) -> Vec<u64> {
    events(store, after, options).iter().map(|e| e.commit.seq.get()).collect()
}

/// Key, kind and value of each change.
fn shown(event: &FeedEvent) -> Vec<(String, ChangeKind, Option<String>)> {
    event.changes.iter().map(|c| (show(&c.key), c.kind, c.value.as_deref().map(show))).collect()
}

#[test]
fn feed_1_gives_every_commit_once_whole_and_in_order() {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let large = "large ".repeat(20);
    let main = store.main().expect("main");
    must_write(&main, "1", &[("b", Some("1")), ("a", Some(&large)), ("c", Some(""))]);
    let topic = must_branch(&store, "topic", "main");
    must_write(&topic, "2", &[("a", None), ("b", Some("2")), ("d", Some("2"))]);
    main.put("b", "1").expect("unchanged");
    let mut dropped = store.begin("main").expect("begin");
    dropped.put("x", "never").expect("put");
    drop(dropped);
    must_put(&main, "b", "3");
    store.create_tag("v1", "main", Default::default()).expect("tag");
    store.undo().expect("undo the tag");
    store.undo().expect("undo the commit");
    main.write(withy::Batch::new(), CommitOptions::default().allow_empty(true)).expect("empty");
    drop((main, topic));
    use ChangeKind::{Added, Deleted, Modified};
    let change =
        |key: &str, kind, value: Option<&str>| (key.to_owned(), kind, value.map(str::to_owned));
    let wanted = [
        vec![
            change("a", Added, Some(&large)),
            change("b", Added, Some("1")),
            change("c", Added, Some("")),
        ],
        vec![
            change("a", Deleted, None),
            change("b", Modified, Some("2")),
            change("d", Added, Some("2")),
        ],
        vec![change("b", Modified, Some("3"))],
        vec![],
    ];
    for round in ["at once", "after reopen"] {
        let all = events(&store, 0, plain());
        let found: Vec<_> = all.iter().map(shown).collect();
        assert_eq!(
            found, wanted,
            "{round}: what is aborted, idle or moves refs is not in it; what is undone is"
        );
        for event in &all {
            let seq = event.commit.seq;
            assert_eq!(
                event.commit,
                store.commit(&format!("seq:{seq}")).expect("commit"),
                "{round}: commit {seq} is whole"
            );
        }
        assert_eq!(
            seqs(&store, 0, plain()),
            [1, 2, 3, 4],
            "{round}: in commit order, without gaps"
        );
        store.reopen();
    }
}

#[test]
fn feed_2_pages_and_positions() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    for n in 0..25 {
        must_put(&main, &format!("{}/{n}", if n % 5 == 0 { "five" } else { "other" }), "1");
    }
    for after in [0, 1, 24, 25] {
        assert_eq!(
            seqs(&store, after, plain()),
            (after + 1..=25).collect::<Vec<_>>(),
            "after {after}"
        );
    }
    let (mut after, mut pages) = (Seq::ROOT, Vec::new());
    loop {
        let mut feed = store.feed(after, plain().limit(7)).expect("feed");
        let page: Vec<_> = feed.by_ref().map(|e| e.expect("event").commit.seq.get()).collect();
        after = feed.position();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7, "a page has at most as many as asked for");
        pages.push(page);
    }
    assert_eq!(pages.concat(), (1..=25).collect::<Vec<_>>(), "pages together are the whole");
    assert_eq!(after, Seq::new(25), "and end at the newest commit");
    assert_eq!(seqs(&store, 0, plain().limit(0)), [0; 0], "a limit of none gives none");
    let future = must_fail(store.feed(Seq::new(26), plain()), ErrorKind::NotFound);
    assert_eq!(
        future.to_string(),
        "position 26 is in the future, the newest commit is 25",
        "a future position is an error"
    );
    must_fail(store.subscribe(Seq::new(26), plain()), ErrorKind::NotFound);

    let five = || plain().range(KeyRange::prefix("five/"));
    assert_eq!(seqs(&store, 0, five()), [1, 6, 11, 16, 21], "commits that change the prefix");
    let mut feed = store.feed(Seq::new(2), five().limit(1)).expect("feed");
    assert_eq!(
        feed.next().expect("one").expect("event").commit.seq.get(),
        6,
        "the first after a position"
    );
    assert_eq!(feed.position().get(), 6, "the position is behind it");
    assert!(feed.next().is_none(), "and the page is full");
    assert_eq!(feed.position().get(), 6, "what follows is not passed over");
    let mut feed = store.feed(Seq::new(21), five()).expect("feed");
    assert!(feed.next().is_none(), "no more of the prefix");
    assert_eq!(feed.position().get(), 25, "commits without it are passed over");
}

#[test]
fn feed_2_a_prefix_takes_part_of_a_commit() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "both", &[("a/1", Some("1")), ("b/1", Some("1")), ("b/2", Some("1"))]);
    must_write(&main, "a", &[("a/1", None)]);
    must_write(&main, "b", &[("b/2", None), ("c", Some("1"))]);
    let found: Vec<_> = events(&store, 0, plain().range(KeyRange::prefix("b/")))
        .iter()
        .map(|e| (e.commit.seq.get(), shown(e)))
        .collect();
    let one = Some("1".to_owned());
    let wanted = [
        (
            1,
            vec![
                ("b/1".to_owned(), ChangeKind::Added, one.clone()),
                ("b/2".to_owned(), ChangeKind::Added, one),
            ],
        ),
        (3, vec![("b/2".to_owned(), ChangeKind::Deleted, None)]),
    ];
    assert_eq!(found, wanted, "the changes of the prefix, together");
    let names = events(&store, 0, plain().names_only(true));
    assert!(
        names.iter().flat_map(|e| &e.changes).all(|c| c.value.is_none()),
        "names only leaves values out"
    );
    assert_eq!(names[0].changes.len(), 3, "but no name");
}

#[test]
fn ruling_11_by_branch_means_the_branch_at_the_time() {
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "key", "1");
    must_put(&must_branch(&store, "topic", "main"), "key", "2");
    store.rename_branch("topic", "fruit").expect("rename");
    must_put(&store.branch("fruit").expect("fruit"), "key", "3");
    store.delete_branch("fruit", DeleteOptions::default().force(true)).expect("delete");
    must_put(&must_branch(&store, "fruit", "main"), "key", "4");
    store.reset("main", "fruit").expect("reset");
    must_put(&store.main().expect("main"), "key", "5");
    for round in ["at once", "after reopen"] {
        for (name, wanted) in
            [("main", &[1, 5][..]), ("topic", &[2]), ("fruit", &[3, 4]), ("absent", &[])]
        {
            assert_eq!(
                seqs(&store, 0, plain().branch(name)),
                wanted,
                "{round}: made on {name}, whatever became of it"
            );
        }
        assert_eq!(seqs(&store, 3, plain().branch("fruit")), [4], "{round}: after a position");
        let both = plain().branch("fruit").range(KeyRange::prefix("x"));
        assert_eq!(seqs(&store, 0, both), [0; 0], "{round}: with a prefix");
        store.reopen();
    }
}

fn now() -> i64 {
    SystemClock.now().as_millis()
}

#[test]
fn feed_2_waits_for_news_and_not_longer_than_told() {
    let store = Scratch::new();
    let mut news = store.subscribe(Seq::ROOT, plain()).expect("subscribe");
    let start = now();
    let none = news.next_timeout(Duration::from_millis(60)).expect("no error");
    assert!(none.is_none(), "nothing comes");
    assert!(now() - start >= 55, "and it waited for as long as told");
    assert!(news.next_timeout(Duration::ZERO).expect("no error").is_none(), "or not at all");

    let writer = {
        let store = (*store).clone();
        thread::spawn(move || {
            let main = store.main().expect("main");
            for n in 0..3 {
                thread::sleep(Duration::from_millis(30));
                must_put(&main, "key", &n.to_string());
            }
        })
    };
    let start = now();
    for n in 1..=3 {
        let event =
            news.next_timeout(Duration::from_secs(60)).expect("no error").expect("an event");
        assert_eq!(event.commit.seq.get(), n, "commits come as they are made");
        assert_eq!(news.position().get(), n, "and the position with them");
    }
    assert!(now() - start < 30_000, "a commit wakes who waits");
    writer.join().expect("the writer ends");
}

#[test]
fn feed_2_a_subscription_passes_over_what_it_does_not_want() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a/1", "1");
    let options = plain().range(KeyRange::prefix("b/")).limit(2);
    let mut news = store.subscribe(Seq::ROOT, options).expect("subscribe");
    assert!(
        news.next_timeout(Duration::from_millis(1)).expect("no error").is_none(),
        "not the prefix"
    );
    assert_eq!(news.position().get(), 1, "it is passed over");
    for key in ["b/1", "a/2", "b/2", "b/3"] {
        must_put(&main, key, "1");
    }
    let wait = Duration::from_secs(60);
    let mut next = || news.next_timeout(wait).expect("no error").map(|e| e.commit.seq.get());
    assert_eq!([next(), next()], [Some(2), Some(4)], "the commits of the prefix");
    assert_eq!(next(), None, "no more than the limit, without waiting");
}

#[test]
fn feed_1_a_reader_never_sees_a_gap_while_many_write() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 150;
    let store = Scratch::with(|options| options.durability(withy::Durability::Sync));
    for n in 0..WRITERS {
        must_branch(&store, &format!("b{n}"), "main");
    }
    thread::scope(|scope| {
        for n in 0..WRITERS {
            let store = &*store;
            scope.spawn(move || {
                let branch = store.branch(&format!("b{n}")).expect("branch");
                for k in 0..EACH {
                    must_put(&branch, &format!("key-{}", k % 3), &k.to_string());
                }
            });
        }
        let store = &*store;
        for _ in 0..2 {
            scope.spawn(move || {
                let mut news = store.subscribe(Seq::ROOT, plain()).expect("subscribe");
                for n in 1..=WRITERS * EACH {
                    let event = news.next_timeout(Duration::from_secs(60)).expect("no error");
                    let event = event.unwrap_or_else(|| panic!("commit {n} comes"));
                    assert_eq!(event.commit.seq.get(), n, "the next is the one after, always");
                    assert_eq!(event.changes.len(), 1, "with its change");
                }
                let more = news.next_timeout(Duration::from_millis(10)).expect("no error");
                assert!(more.is_none(), "and nothing twice");
            });
        }
    });
}

#[test]
fn feed_1_a_store_open_for_reading_shows_what_was_there() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "key", "1");
    let reader =
        Store::options().read_only(true).open(store.path()).expect("opens beside the writer");
    must_put(&main, "key", "2");
    assert_eq!(seqs(&reader, 0, plain()), [1], "up to the moment it was opened");
    must_fail(reader.feed(Seq::new(2), plain()), ErrorKind::NotFound);
    must_fail(reader.subscribe(Seq::ROOT, plain()), ErrorKind::ReadOnly);
}
