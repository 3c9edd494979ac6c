//! OPS-4, OPS-8: reading beside a live writer: every verb that reads, and followers.

mod busy;
mod large;
mod refresh;

use std::process::Command;
use std::time::Duration;

use withy::{ErrorKind, FollowOptions, Follower, KeyRange, Read, Seq, Store};

use crate::ownership::{Holder, listing, scratch};
use crate::support::{is_long, must_fail, must_get};

/// Command lines of all verbs that read.
const READING: [&str; 24] = [
    "get one",
    "scan",
    "scan --prefix row/ -n 2",
    "branch",
    "tag",
    "log",
    "log --graph -n 3",
    "show",
    "show main~1",
    "diff main~1 main",
    "history one",
    "ops",
    "feed",
    "feed --follow --timeout 0.2",
    "feed --cursors",
    "stats",
    "verify",
    "config --list",
    "conflicts",
    "outbox",
    "saga",
    "export --format jsonl",
    "prepared",
    "completions bash",
];

#[test]
fn ops_4_every_reading_verb_works_beside_a_live_writer_and_changes_no_file() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    for n in 1..=5 {
        holder.tell(&format!("put {n}"));
    }
    holder.tell("flush");
    holder.tell("put 6");
    let before = listing(&path);
    let run = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_withy"));
        command.arg("--store").arg(&path).arg("--no-pager").args(line.split(' '));
        let out = command.output().expect("withy runs");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for line in READING {
        let (code, said) = run(line);
        assert_eq!(code, Some(0), "OPS-4: withy {line} works beside a writer: {said}");
    }
    assert_eq!(listing(&path), before, "OPS-8: no file is changed");
    holder.tell("put 7");
}

/// What a state of the store must be like: everything follows from the number of its newest commit.
fn check(follower: &Follower) -> u64 {
    let latest = follower.store().latest().get();
    let view = follower.view("main").expect("a view");
    let (one, two) = (must_get(&view, "one"), must_get(&view, "two"));
    assert_eq!(one, two, "INV-69: what one batch wrote is equal");
    assert_eq!(one, Some(latest.to_string()), "INV-69: the content is that of commit {latest}");
    let rows = view.count(&KeyRange::prefix("row/")).expect("a count");
    assert_eq!(rows, latest, "INV-69: a row for each commit");
    latest
}

fn must_follow(path: &std::path::Path) -> Follower {
    let options = FollowOptions::default().every(Duration::from_millis(2));
    Store::follow(path, options).expect("the store can be followed")
}

#[test]
fn ops_4_a_follower_keeps_up_with_commits_flushes_and_collections_of_a_busy_writer() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    holder.tell("put 1");
    holder.tell("retain 5");
    let mut follower = must_follow(&path);
    let rounds = if is_long() { 50 } else { 8 };
    let mut views = Vec::new();
    for round in 0..rounds {
        // Many orders are under way while the follower reads.
        for n in 0..20 {
            holder.order(&format!("put {}", 2 + round * 20 + n));
        }
        holder.order("gc");
        holder.order("flush");
        let newest = follower.store().latest();
        views.push((check(&follower), follower.view("main").expect("a view")));
        let came = follower.wait_beyond(newest, Duration::from_secs(60)).expect("it follows");
        assert!(came, "OPS-4: round {round}: it sees what the writer does");
        for _ in 0..3 {
            follower.refresh().expect("it goes on");
            assert!(check(&follower) > newest.get(), "it never goes back");
        }
        for _ in 0..22 {
            holder.answer();
        }
    }
    follower.refresh().expect("it goes on");
    assert_eq!(check(&follower), 1 + rounds * 20, "what is acknowledged is seen");
    for (seq, view) in &views {
        assert_eq!(must_get(view, "one"), Some(seq.to_string()), "INV-69: a view stays as it is");
        let rows = view.count(&KeyRange::prefix("row/")).expect("a count");
        assert_eq!(rows, *seq, "INV-69: all of it, whatever was collected since");
    }
    must_fail(follower.view("seq:2"), ErrorKind::HistoryGone);
    let before = listing(&path);
    assert!(!follower.refresh().expect("it looks"), "nothing was written");
    drop((follower, views));
    check(&must_follow(&path));
    assert_eq!(listing(&path), before, "OPS-8: a follower changes no file");
}

#[test]
fn feed_2_the_feed_of_a_follower_gives_every_commit_of_another_process_once_and_in_order() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    let mut follower = must_follow(&path);
    let mut news = follower.subscribe(Seq::ROOT, Default::default()).expect("a feed");
    assert!(news.next_timeout(Duration::ZERO).expect("it reads").is_none(), "nothing is there");
    for n in 1..=100 {
        holder.order(&format!("put {n}"));
        if n % 25 == 0 {
            holder.order("flush");
        }
    }
    for n in 1..=100_u64 {
        let event = news.next_timeout(Duration::from_secs(60)).expect("it reads");
        let event = event.unwrap_or_else(|| panic!("INV-70: commit {n} comes"));
        assert_eq!(event.commit.seq, Seq::new(n), "INV-70: in order, none twice");
        let value = event.changes[0].value.clone().expect("a value");
        assert_eq!(value, n.to_string().into_bytes(), "INV-70: with what it wrote");
    }
    assert_eq!(news.position(), Seq::new(100), "the position is behind it");
    (0..104).for_each(|_| drop(holder.answer()));
    // Whoever is behind what is kept is told so.
    holder.tell("retain 5");
    holder.tell("gc");
    let mut late = must_follow(&path);
    let mut late = late.subscribe(Seq::new(3), Default::default()).expect("a feed");
    let gone = must_fail(late.next_timeout(Duration::ZERO), ErrorKind::HistoryGone);
    assert!(gone.to_string().ends_with(" is the first one"), "it is named: {gone}");
}

#[test]
fn ops_4_following_what_is_no_store_is_refused() {
    let (dir, path) = scratch();
    must_fail(Store::follow(&path, Default::default()).map(|_| ()), ErrorKind::NotFound);
    std::fs::write(dir.path().join("file"), "text").expect("a file");
    let other = Store::follow(dir.path(), Default::default());
    must_fail(other.map(|_| ()), ErrorKind::Incompatible);
}
