//! LOCK-1, LOCK-2: what one owner holds: again and again, in sets, since a mark, until its end.

use withy::ErrorKind;
use withy::LockKind::{Point, Subtree};

use super::NOW;
use crate::support::{Scratch, must_fail};

#[test]
fn lock_1_a_path_is_free_for_others_when_its_owner_has_let_go_of_it_as_often_as_it_took_it() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let first = ann.lock("/a", Point, NOW).expect("free");
    let second = ann.lock("/a", Point, NOW).expect("its own");
    assert!(second.fence() > first.fence(), "each grant has a number");
    first.release().expect("held");
    must_fail(ben.lock("/a", Point, NOW), ErrorKind::Busy);
    second.release().expect("held");
    drop(ben.lock("/a", Point, NOW).expect("free again"));
}

#[test]
fn lock_1_a_point_becomes_a_subtree_if_nobody_else_is_in_the_range() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let point = ann.lock("/a", Point, NOW).expect("free");
    let below = ben.lock("/a/b", Point, NOW).expect("points go together");
    must_fail(ann.lock("/a", Subtree, NOW), ErrorKind::Busy);
    assert!(point.is_held(), "a refused upgrade takes nothing away");
    drop(below);
    let subtree = ann.lock("/a", Subtree, NOW).expect("nobody else is there");
    must_fail(ben.lock("/a/b", Point, NOW), ErrorKind::Busy);
    drop(subtree);
    drop(ben.lock("/a/b", Point, NOW).expect("the point alone is left"));
    must_fail(ben.lock("/a", Point, NOW), ErrorKind::Busy);
}

#[test]
fn lock_f5_a_set_is_granted_whole_or_not_at_all() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let held = ann.lock("/c", Point, NOW).expect("free");
    let set = [("/b", Subtree), ("/c", Point), ("/a", Point), ("/a", Point)];
    must_fail(ben.lock_all(&set, NOW), ErrorKind::Busy);
    assert_eq!(ben.held(), [], "none of the set");
    drop(held);
    let locks = ben.lock_all(&set, NOW).expect("all are free");
    let named: Vec<_> = locks.iter().map(|lock| lock.path().as_str()).collect();
    assert_eq!(named, ["/b", "/c", "/a", "/a"], "in the order they were named in");
    let mut by_path: Vec<_> = locks.iter().map(|lock| (lock.path(), lock.fence())).collect();
    by_path.sort();
    assert!(by_path.is_sorted_by_key(|(_, fence)| *fence), "numbers go by path, whoever asks how");
    assert_eq!(ben.lock_all(&[], NOW).expect("nothing is asked for").len(), 0, "no locks");
}

#[test]
fn lock_2_a_move_has_the_source_as_a_subtree_and_the_parent_of_the_destination_as_a_point() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let locks = ann.lock_move("/a/b", "/c/d/e", NOW).expect("free");
    must_fail(ben.lock("/a/b/x", Point, NOW), ErrorKind::Busy);
    must_fail(ben.lock("/c/d", Point, NOW), ErrorKind::Busy);
    must_fail(ben.lock_move("/c", "/x/y", NOW), ErrorKind::Busy);
    must_fail(ben.lock_move("/x/y", "/c/d/f", NOW), ErrorKind::Busy);
    drop(ben.lock("/c/d/other", Subtree, NOW).expect("the parent is held as a point"));
    drop(ben.lock("/a", Point, NOW).expect("what is above the source is free"));
    drop(locks);
    let within = ann.lock_move("/a/b", "/a/c", NOW).expect("within one parent");
    assert_eq!(within[1].path().as_str(), "/a", "the parent is above the source");
    drop(within);
    let out = ann.lock_move("/a/b", "/c", NOW).expect("to the top");
    assert_eq!(out[1].path().as_str(), "/", "the root is the parent");
    drop(out);
    let taken = ben.lock("/c/d", Point, NOW).expect("free");
    must_fail(ann.lock_move("/a/b", "/c/d/e", NOW), ErrorKind::Busy);
    assert_eq!(ann.held(), [], "nothing of a refused move");
    drop(taken);
}

#[test]
fn lock_f6_a_move_into_itself_or_of_the_root_is_refused() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    for (from, to) in [("/a", "/a"), ("/a", "/a/b/c"), ("/", "/a"), ("/a", "/"), ("/a//", "a")] {
        must_fail(ann.lock_move(from, to, NOW), ErrorKind::Invalid);
    }
    drop(ann.lock_move("/a", "/ab", NOW).expect("a longer name is another path"));
    assert_eq!(store.held_locks(), [], "nothing is left");
}

#[test]
fn lock_2_going_back_to_a_mark_releases_exactly_what_was_granted_after_it() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let names = || ann.held().iter().map(|l| format!("{} {}", l.path, l.kind)).collect::<Vec<_>>();
    let start = ann.mark();
    ann.lock("/a", Point, NOW).expect("free").keep();
    let first = ann.mark();
    ann.lock("/b", Subtree, NOW).expect("free").keep();
    // Of others, and upgrades of what was there before.
    let other = ben.lock("/x", Point, NOW).expect("free");
    let upgrade = ann.lock("/a", Subtree, NOW).expect("its own");
    let second = ann.mark();
    ann.lock("/c", Point, NOW).expect("free").keep();
    assert_eq!(names(), ["/a point", "/a subtree", "/b subtree", "/c point"], "all of it");
    ann.release_since(second);
    assert_eq!(names(), ["/a point", "/a subtree", "/b subtree"], "all before the second mark");
    ann.release_since(first);
    assert_eq!(names(), ["/a point"], "the upgrade is taken back, the point stays");
    assert!(!upgrade.is_held(), "its lock says so");
    must_fail(upgrade.release(), ErrorKind::LeaseLost);
    must_fail(ben.lock("/a", Point, NOW), ErrorKind::Busy);
    assert!(other.is_held(), "what others were granted after the mark is theirs");
    ann.release_since(first);
    assert_eq!(names(), ["/a point"], "once more changes nothing");
    ann.release_since(start);
    assert_eq!(names(), [""; 0], "all of it is gone");
}

#[test]
fn lock_f4_the_end_of_an_owner_releases_all_it_has_and_its_locks_say_so() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let lock = ann.lock("/a", Subtree, NOW).expect("free");
    let other = ann.lock("/b", Subtree, NOW).expect("free");
    drop(ann);
    assert!(!lock.is_held(), "it went with its owner");
    must_fail(lock.renew(), ErrorKind::LeaseLost);
    let taken = ben.lock("/a", Subtree, NOW).expect("free for others");
    must_fail(lock.release(), ErrorKind::LeaseLost);
    drop(other);
    assert!(taken.is_held(), "a late release does not touch who came after");
    assert_eq!(store.held_locks().len(), 1, "nothing else is held");
}

#[test]
fn lock_1_what_is_held_is_listed_with_its_owner() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let ben = store.lock_session("ben").expect("a session");
    let _a = ann.lock("/b", Subtree, NOW).expect("free");
    let _b = ben.lock("/a", Point, super::lease(60)).expect("free");
    let list: Vec<_> = store
        .held_locks()
        .iter()
        .map(|l| format!("{} {} {} {}", l.path, l.kind, l.owner.name, l.lease_left.is_some()))
        .collect();
    assert_eq!(list, ["/a point ben true", "/b subtree ann false"], "by path");
    assert_eq!(store.lock_stats().held, 2, "and counted");
}

#[test]
fn lock_f12_a_store_that_is_open_for_reading_has_no_locks() {
    let mut store = Scratch::new();
    store.close();
    let reading = withy::Store::options().read_only(true).open(store.path()).expect("it opens");
    must_fail(reading.lock_session("ann"), ErrorKind::ReadOnly);
    assert_eq!(reading.held_locks(), [], "none are held");
    assert_eq!(reading.lock_stats(), withy::LockStats::default(), "none were");
}
