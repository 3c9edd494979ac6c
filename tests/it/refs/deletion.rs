//! BR-5: what goes with a branch, and what stays.

use super::*;

#[test]
fn br_5_main_and_the_active_branch_cannot_be_deleted() {
    let store = orchard();
    must_branch(&store, "topic", "main");
    store.switch("topic").expect("switch");
    let force = || DeleteOptions::default().force(true);
    let main = must_fail(store.delete_branch("main", force()), ErrorKind::Invalid);
    assert_eq!(
        main.to_string(),
        "cannot delete branch main: it is the main branch",
        "not even with force"
    );
    let active = must_fail(store.delete_branch("topic", force()), ErrorKind::Invalid);
    assert_eq!(
        active.to_string(),
        "cannot delete branch topic: it is the active one",
        "not even with force"
    );
    must_fail(store.delete_branch("absent", force()), ErrorKind::NotFound);
    assert_eq!(names(&store), ["main", "topic"], "both are still there");
    store.switch("main").expect("switch");
    store.delete_branch("topic", DeleteOptions::default()).expect("it is merged and not active");
    assert_eq!(names(&store), ["main"], "then it goes");
}

#[test]
fn br_5_an_unmerged_branch_goes_with_force_only() {
    let store = orchard();
    let topic = must_branch(&store, "topic", "main");
    must_put(&topic, "pear", "red");
    let plain = || store.delete_branch("topic", DeleteOptions::default());
    let refused = must_fail(plain(), ErrorKind::Invalid);
    assert_eq!(
        refused.to_string(),
        "cannot delete branch topic: main does not have its commits",
        "the error says why"
    );
    assert_eq!(refused.hint(), Some("merge it first, or delete it with force"), "and what to do");
    assert_eq!(must_get(&topic, "pear").as_deref(), Some("red"), "the branch is whole");

    // Merged is recomputed each time, against the branch that is asked for.
    must_branch(&store, "keeper", "topic");
    let into = |name: &str| DeleteOptions::default().merged_into(name);
    must_fail(store.delete_branch("topic", into("absent")), ErrorKind::NotFound);
    must_put(&topic, "pear", "blue");
    must_fail(store.delete_branch("topic", into("keeper")), ErrorKind::Invalid);
    store.reset("keeper", "topic").expect("reset");
    store.delete_branch("topic", into("keeper")).expect("keeper has all its commits now");
    store.reset("main", "keeper").expect("reset");
    store.delete_branch("keeper", DeleteOptions::default()).expect("and main has those of keeper");
    assert_eq!(names(&store), ["main"], "both are gone");
    assert_eq!(
        must_get(&store.main().expect("main"), "pear").as_deref(),
        Some("blue"),
        "their commits are not"
    );
}

#[test]
fn br_5_children_keep_what_they_see_when_a_parent_goes() {
    let mut store = orchard();
    let parent = must_branch(&store, "parent", "main");
    must_put(&parent, "pear", "red");
    let child = must_branch(&store, "child", "parent");
    must_put(&child, "fig", "black");
    must_put(&parent, "pear", "gone soon");
    drop((parent, child));
    must_delete_branch(&store, "parent");
    store.compact().expect("compact");
    let wanted = [("fig", "black"), ("pear", "red"), ("plum", "blue")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
    for round in ["at once", "after reopen"] {
        assert_eq!(
            rows(&store.branch("child").expect("child")),
            wanted,
            "{round}: the child sees what it saw"
        );
        assert_eq!(
            store.branch_info("child").expect("info").parent.as_deref(),
            Some("parent"),
            "{round}: and remembers its parent"
        );
        store.reopen();
    }
    let again = must_branch(&store, "parent", "seq:1");
    assert_eq!(
        rows(&again),
        [("pear".into(), "green".into())],
        "a new branch of the old name starts where it was told"
    );
    let seqs: Vec<u64> = store
        .log("parent", LogOptions::default())
        .expect("log")
        .map(|c| c.expect("commit").seq.get())
        .collect();
    assert_eq!(seqs, [1, 0], "its history is that of its start, not of the old branch");
    assert_eq!(
        rows(&store.branch("child").expect("child")),
        wanted,
        "and the child still sees the same"
    );
}
