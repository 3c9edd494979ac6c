//! What a refresh of a follower costs, with nothing new, one new commit, and many; `WITHY_LONG=1` for 100,000.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, Instant};

use withy::{Durability, Follower, Store};

use super::must_follow;
use crate::ownership::scratch;
use crate::support::{is_long, must_get, must_put};

/// The median of some refreshes, each after something was done.
#[expect(clippy::disallowed_methods, reason = "it is measured")]
fn refreshed(follower: &mut Follower, expected: bool, mut before: impl FnMut()) -> Duration {
    let mut all: Vec<Duration> = (0..9)
        .map(|_| {
            before();
            let start = Instant::now();
            let is_new = follower.refresh().expect("it goes on");
            let took = start.elapsed();
            assert_eq!(is_new, expected, "it says whether there is something new");
            took
        })
        .collect();
    all.sort();
    all[all.len() / 2]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is measured")]
fn ops_4_a_refresh_costs_what_is_in_the_log_and_next_to_nothing_if_nothing_is_new() {
    let many: u64 = if is_long() { 100_000 } else { 2_000 };
    let (_dir, path) = scratch();
    let store =
        Store::options().durability(Durability::Buffered).open(&path).expect("the store opens");
    let main = store.main().expect("main");
    let count = Cell::new(0_u64);
    // No two are equal: a value that is there already is no commit.
    let put = || {
        let n = count.replace(count.get() + 1);
        must_put(&main, &format!("key-{}", n % 10_000), &n.to_string());
    };
    put();
    let mut follower = must_follow(&path);
    let nothing = refreshed(&mut follower, false, || {});
    let one = refreshed(&mut follower, true, &put);
    (0..many).for_each(|_| put());
    let start = Instant::now();
    assert!(follower.refresh().expect("it goes on"), "there is something new");
    let behind = start.elapsed();
    assert_eq!(follower.store().latest(), store.latest(), "all of it is seen");
    let again = refreshed(&mut follower, true, &put);
    store.compact().expect("compact");
    follower.refresh().expect("it goes on");
    let flushed = refreshed(&mut follower, true, &put);
    let (view, newest) = (follower.view("main").expect("a view"), count.get() - 1);
    let value = must_get(&view, format!("key-{}", newest % 10_000));
    assert_eq!(value, Some(newest.to_string()), "the newest value is seen");
    let _ = writeln!(
        std::io::stderr(),
        "a refresh: nothing new {nothing:?}, one commit {one:?}, {many} commits {behind:?}, one more \
         with these in the log {again:?}, one more after a flush {flushed:?}"
    );
    assert!(nothing < one, "a look at the directory is less than an open");
}
