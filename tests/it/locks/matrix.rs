//! LOCK-1: which locks of two owners go together, against a rule of its own on lists of components.

use withy::LockKind::{self, Point, Subtree};
use withy::{ErrorKind, LockPath};

use super::NOW;
use crate::support::{Scratch, must_fail};

/// All paths of up to three components from a few names, some the beginnings of others, and odd ones.
fn paths() -> Vec<Vec<&'static str>> {
    const NAMES: [&str; 4] = ["a", "ab", "a!", "b"];
    let mut all = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..3 {
        last = last
            .iter()
            .flat_map(|path| NAMES.map(|name| [path.as_slice(), &[name]].concat()))
            .collect();
        all.extend(last.clone());
    }
    all.push(vec!["a"; LockPath::MAX_DEPTH - 1]);
    all.push(vec!["a"; LockPath::MAX_DEPTH]);
    all.push(vec!["\0", "é", "\u{10FFFF}"]);
    all.push(vec!["a", "\u{10FFFF}"]);
    all
}

fn text(path: &[&str]) -> String {
    format!("/{}", path.join("/"))
}

/// Whether two owners may hold these at the same time: not the same path, and neither in the range of
/// the other.
fn go_together(one: (&[&str], LockKind), other: (&[&str], LockKind)) -> bool {
    let in_range = |range: (&[&str], LockKind), path: &[&str]| {
        range.1 == Subtree && path.len() >= range.0.len() && path[..range.0.len()] == *range.0
    };
    one.0 != other.0 && !in_range(one, other.0) && !in_range(other, one.0)
}

#[test]
fn lock_1_every_pair_of_kinds_and_paths_is_granted_or_refused_by_the_rule() {
    let store = Scratch::new();
    let (ann, ben) = (store.lock_session("ann"), store.lock_session("ben"));
    let (ann, ben) = (ann.expect("a session"), ben.expect("a session"));
    let paths = paths();
    let (mut granted, mut refused) = (0, 0);
    for held in &paths {
        for held_kind in [Point, Subtree] {
            let lock = ann.lock(&text(held), held_kind, NOW).expect("nothing else is held");
            for wanted in &paths {
                for wanted_kind in [Point, Subtree] {
                    let what = format!(
                        "{wanted_kind} on {:?} beside a {held_kind} on {:?}",
                        text(wanted),
                        text(held)
                    );
                    let own = ann.lock(&text(wanted), wanted_kind, NOW);
                    drop(
                        own.unwrap_or_else(|e| {
                            panic!("an owner is not in its own way: {what}: {e}")
                        }),
                    );
                    let got = ben.lock(&text(wanted), wanted_kind, NOW);
                    if go_together((held, held_kind), (wanted, wanted_kind)) {
                        drop(got.unwrap_or_else(|e| panic!("granted: {what}: {e}")));
                        granted += 1;
                    } else {
                        assert_eq!(
                            got.map_err(|e| e.kind()).err(),
                            Some(ErrorKind::Busy),
                            "{what}"
                        );
                        refused += 1;
                    }
                }
            }
            lock.release().expect("it is held");
        }
    }
    assert_eq!(granted + refused, 4 * paths.len() * paths.len(), "each pair was tried");
    assert!(granted > 1_000 && refused > 1_000, "{granted} granted, {refused} refused");
    assert_eq!(store.held_locks(), [], "nothing is left behind");
}

/// The same by name, for people: the relation, the two locks, and whether they go together.
#[test]
fn lock_1_the_relations_by_name() {
    let cases = [
        ("the same path, points", "/a", Point, "/a", Point, false),
        ("the same path, a subtree over a point", "/a", Point, "/a", Subtree, false),
        ("the same path, a point over a subtree", "/a", Subtree, "/a", Point, false),
        ("points above and below each other", "/a", Point, "/a/b", Point, true),
        ("a subtree below a held point", "/a", Point, "/a/b", Subtree, true),
        ("a point above a held subtree", "/a/b", Subtree, "/a", Point, true),
        ("a subtree above a held point", "/a/b", Point, "/a", Subtree, false),
        ("a point below a held subtree", "/a", Subtree, "/a/b", Point, false),
        ("nested subtrees, the outer one held", "/a", Subtree, "/a/b/c", Subtree, false),
        ("nested subtrees, the inner one held", "/a/b/c", Subtree, "/a", Subtree, false),
        ("siblings", "/a", Subtree, "/b", Subtree, true),
        ("a sibling with a longer name", "/a", Subtree, "/ab", Subtree, true),
        (
            "a sibling that sorts between a path and what is below it",
            "/a",
            Subtree,
            "/a!",
            Point,
            true,
        ),
        ("the root over anything", "/a/b", Point, "/", Subtree, false),
        ("anything under the root", "/", Subtree, "/a/b", Point, false),
        ("the root as a point", "/", Point, "/a", Subtree, true),
    ];
    let store = Scratch::new();
    let (ann, ben) = (store.lock_session("ann"), store.lock_session("ben"));
    let (ann, ben) = (ann.expect("a session"), ben.expect("a session"));
    for (what, held, held_kind, wanted, wanted_kind, granted) in cases {
        let lock = ann.lock(held, held_kind, NOW).expect("nothing else is held");
        let got = ben.lock(wanted, wanted_kind, NOW);
        assert_eq!(
            got.is_ok(),
            granted,
            "{what}: {wanted} ({wanted_kind}) beside {held} ({held_kind})"
        );
        drop((lock, got));
    }
}

#[test]
fn lock_f1_what_is_held_is_refused_by_name() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    let _lock = ann.lock("/fruit", Subtree, NOW).expect("free");
    let ben = store.lock_session("ben").expect("a session");
    let refused = must_fail(ben.lock("fruit/pear/", Point, NOW), ErrorKind::Busy);
    let want = "cannot lock \"/fruit/pear\" (point): ann (owner 1) holds \"/fruit\" (subtree)";
    assert_eq!(refused.to_string(), want, "who, and what");
    assert!(refused.is_retryable(), "it may be free later");
}

#[test]
fn lock_f2_a_path_that_is_none_is_refused() {
    let store = Scratch::new();
    let ann = store.lock_session("ann").expect("a session");
    for path in ["", "..", "/a/./b", "a/../b"] {
        must_fail(ann.lock(path, Point, NOW), ErrorKind::Invalid);
        let set = [("/a", Point), (path, Point)];
        must_fail(ann.lock_all(&set, NOW), ErrorKind::Invalid);
    }
    must_fail(ann.lock(&"a/".repeat(LockPath::MAX_DEPTH + 1), Point, NOW), ErrorKind::Limit);
    must_fail(ann.lock(&"a".repeat(LockPath::MAX_LEN), Point, NOW), ErrorKind::Limit);
    assert_eq!(store.held_locks(), [], "nothing was granted");
}
