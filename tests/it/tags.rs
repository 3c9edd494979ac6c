//! Tags: TAG-1 to TAG-3, and the pins that keep the commits of branches and tags.

use std::collections::BTreeSet;

use withy::{
    BranchOptions, CommitOptions, Committed, ErrorKind, KeyRange, Seq, Store, TagListOptions,
    TagOptions, TagOrder,
};

use crate::refs::{must_delete_branch, must_tag, orchard};
use crate::support::raw::raw_refs;
use crate::support::{Scratch, must_branch, must_fail, must_head, must_put, must_write, rows};

fn tag_names(store: &Store, options: TagListOptions) -> Vec<String> {
    store.tags(options).expect("tags").iter().map(|t| t.name.to_string()).collect()
}

#[test]
fn tag_1_a_tag_never_moves() {
    let mut store = orchard();
    let options = TagOptions::default().description("first").creator("ann");
    let made = store.create_tag("v2", "main~1", options).expect("tag");
    let main = store.main().expect("main");
    must_put(&main, "plum", "rotten");
    store.reset("main", "seq:1").expect("reset");
    let taken = store.create_tag("v2", "main", TagOptions::default());
    let taken = must_fail(taken, ErrorKind::Exists);
    assert_eq!(taken.to_string(), "tag v2 exists already", "a name is given once");
    assert_eq!(taken.hint(), Some("replace it with force"), "and the error says how to replace it");
    drop(main);
    store.reopen();
    let found = store.tag("v2").expect("tag");
    assert_eq!(found, made, "a tag is what it was, whatever branches do");
    assert_eq!(
        (found.seq, found.description.as_str(), found.creator.as_str()),
        (Seq::new(3), "first", "ann"),
        "as it was made"
    );
    assert_eq!(
        found.commit,
        store.commit("seq:3").expect("commit").id,
        "with the id of its commit"
    );
    let forced = store.create_tag("v2", "main", TagOptions::default().force(true)).expect("tag");
    assert_eq!(forced.seq, Seq::new(1), "force replaces it");
    assert_eq!(
        rows(&store.view("v2").expect("view")),
        [("pear".into(), "green".into())],
        "reads follow"
    );
}

#[test]
fn tag_1_tags_are_listed_by_name_time_and_sequence() {
    let store = orchard();
    for (name, rev) in [("v1.10", "seq:4"), ("w1", "seq:1"), ("v1.2", "seq:3"), ("v0", "seq:4")] {
        must_tag(&store, name, rev);
    }
    let list = TagListOptions::default;
    assert_eq!(
        tag_names(&store, list()),
        ["v0", "v1", "v1.10", "v1.2", "w1"],
        "by name unless told"
    );
    assert_eq!(
        tag_names(&store, list().order(TagOrder::Time)),
        ["v1", "v1.10", "w1", "v1.2", "v0"],
        "by the time they were made"
    );
    assert_eq!(
        tag_names(&store, list().order(TagOrder::Seq)),
        ["w1", "v1", "v1.2", "v0", "v1.10"],
        "by the commit they name, then by name"
    );
    assert_eq!(
        tag_names(&store, list().order(TagOrder::Time).reverse(true).limit(2)),
        ["v0", "v1.2"],
        "the limit counts after ordering"
    );
    assert_eq!(tag_names(&store, list().pattern("v1.*")), ["v1.10", "v1.2"], "a pattern chooses");
    assert_eq!(
        tag_names(&store, list().pattern("?1")),
        ["v1", "w1"],
        "`?` stands for one character"
    );
    assert_eq!(tag_names(&store, list().limit(0)), [""; 0], "a limit of none gives none");
    assert_eq!(store.stats().expect("stats").tags, 5, "stats count them");
    store.delete_tag("v1.10").expect("delete");
    must_fail(store.tag("v1.10"), ErrorKind::NotFound);
    must_fail(store.view("v1.10"), ErrorKind::NotFound);
    let absent = must_fail(store.delete_tag("v1.10"), ErrorKind::NotFound);
    assert_eq!(absent.to_string(), "no tag \"v1.10\"", "what is gone cannot be deleted again");
    assert_eq!(store.stats().expect("stats").tags, 4, "and is not counted");
}

#[test]
fn tag_1_a_tag_starts_at_any_rev_and_a_bad_one_makes_none() {
    let store = orchard();
    for (n, (rev, seq)) in
        [("main", 4), ("@~1", 3), ("v1", 2), ("seq:0", 0), ("v1^", 1)].into_iter().enumerate()
    {
        assert_eq!(
            must_tag(&store, &format!("t{n}"), rev),
            Seq::new(seq),
            "{rev}: the commit it names"
        );
    }
    let count = store.stats().expect("stats").tags;
    for (rev, kind) in [
        ("seq:99", ErrorKind::NotFound),
        ("absent", ErrorKind::NotFound),
        ("a b^", ErrorKind::NotFound),
        ("main@{", ErrorKind::Invalid),
    ] {
        must_fail(store.create_tag("bad", rev, TagOptions::default()), kind);
    }
    must_fail(store.create_tag("a/b", "main", TagOptions::default()), ErrorKind::Invalid);
    assert_eq!(store.stats().expect("stats").tags, count, "a refused tag is not there");
}

#[test]
fn tag_2_reads_at_a_tag_stay_exact() {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let topic = must_branch(&store, "topic", "main");
    let large = "large ".repeat(100);
    must_write(&topic, "all", &[("a", Some("1")), ("b", Some(&large)), ("c", Some("1"))]);
    must_put(&topic, "a", "2");
    let wanted = rows(&topic);
    must_tag(&store, "keep", "topic");
    must_write(&topic, "later", &[("a", Some("3")), ("b", None), ("c", None), ("d", Some("3"))]);
    drop(topic);
    must_delete_branch(&store, "topic");
    store.compact().expect("compact");
    store.compact_overlays("main").expect("compact overlays");
    store.reopen();
    assert_eq!(
        rows(&store.view("keep").expect("view")),
        wanted,
        "whatever happens to branches and files"
    );
}

#[test]
fn tag_3_restore_makes_one_commit_that_equals_the_rev() {
    let store = orchard();
    let main = store.main().expect("main");
    must_write(&main, "more", &[("tree/oak", Some("old")), ("plum", Some("red"))]);
    let (head, before) = (must_head(&main).seq, rows(&main));
    let options = || CommitOptions::default().message("back").author("ann");
    let done = store.restore("main", "v1", &KeyRange::all(), options()).expect("restore");
    assert_eq!(done, Committed::At(head_after(head)), "one commit");
    assert_eq!(
        rows(&main),
        rows(&store.view("v1").expect("view")),
        "the content is that of the rev"
    );
    assert_eq!(
        main.view().expect("view").fingerprint(),
        store.view("v1").expect("view").fingerprint(),
        "to the fingerprint"
    );
    let commit = must_head(&main);
    assert_eq!(
        (commit.message.as_str(), commit.author.as_str()),
        ("back", "ann"),
        "with what was said of it"
    );
    assert_eq!(commit.parents[0].seq, head, "on top of what was there: history stays");
    assert_eq!(rows(&store.view("main~1").expect("view")), before, "and can be read");
    let again = store.restore("main", "v1", &KeyRange::all(), options()).expect("restore");
    assert_eq!(again, Committed::Unchanged, "equal content needs no commit");
}

fn head_after(seq: Seq) -> Seq {
    Seq::new(seq.get() + 1)
}

#[test]
fn tag_3_restore_of_a_prefix_touches_nothing_else() {
    let store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    let large = "x".repeat(500);
    must_write(&main, "1", &[("a/1", Some("old")), ("a/2", Some(&large)), ("b/1", Some("old"))]);
    must_write(
        &main,
        "2",
        &[("a/1", Some("new")), ("a/2", None), ("a/3", Some("new")), ("b/1", Some("new"))],
    );
    let done = store.restore("main", "seq:1", &KeyRange::prefix("a/"), CommitOptions::default());
    assert_eq!(done.expect("restore"), Committed::At(Seq::new(3)), "one commit");
    let wanted = [("a/1", "old"), ("a/2", large.as_str()), ("b/1", "new")];
    assert_eq!(
        rows(&main),
        wanted.map(|(k, v)| (k.to_owned(), v.to_owned())),
        "the prefix is as it was, the rest as it is"
    );
    let ops = store.ops(100).expect("ops");
    must_fail(
        store.restore("main", "seq:9", &KeyRange::all(), CommitOptions::default()),
        ErrorKind::NotFound,
    );
    must_fail(
        store.restore("absent", "main", &KeyRange::all(), CommitOptions::default()),
        ErrorKind::NotFound,
    );
    assert_eq!(store.ops(100).expect("ops"), ops, "a refused restore writes nothing");
}

/// Sequence, kind and owner of each pin.
fn pins(store: &Scratch) -> BTreeSet<(u64, char, Vec<u8>)> {
    raw_refs(&store.path(), b'p')
        .into_keys()
        .map(|key| {
            let seq = u64::from_be_bytes(*key.first_chunk().expect("a sequence"));
            (seq, key[8] as char, key[9..].to_vec())
        })
        .collect()
}

fn tag_pin(seq: u64, name: &str) -> (u64, char, Vec<u8>) {
    (seq, 't', name.as_bytes().to_vec())
}

fn fork_pin(seq: u64, line: u64) -> (u64, char, Vec<u8>) {
    (seq, 'l', line.to_be_bytes().to_vec())
}

#[test]
fn pins_are_written_with_what_they_keep() {
    let mut store = orchard();
    let mut wanted = BTreeSet::from([tag_pin(2, "v1")]);
    let check = |store: &mut Scratch, wanted: &BTreeSet<_>, rule: &str| {
        store.close();
        assert_eq!(pins(store), *wanted, "{rule}");
        store.reopen();
    };
    check(&mut store, &wanted, "a tag pins its commit");
    must_branch(&store, "topic", "seq:3");
    wanted.insert(fork_pin(3, 1));
    check(&mut store, &wanted, "a branch pins its fork");
    store.create_tag("v1", "seq:4", TagOptions::default().force(true)).expect("tag");
    wanted.remove(&tag_pin(2, "v1"));
    wanted.insert(tag_pin(4, "v1"));
    check(&mut store, &wanted, "a tag that is replaced takes its pin along");
    store.delete_tag("v1").expect("delete");
    wanted.remove(&tag_pin(4, "v1"));
    check(&mut store, &wanted, "a tag that is deleted lets go");
    store.undo().expect("undo");
    wanted.insert(tag_pin(4, "v1"));
    check(&mut store, &wanted, "undo pins again");
    store.redo().expect("redo");
    wanted.remove(&tag_pin(4, "v1"));
    check(&mut store, &wanted, "redo lets go again");
    must_fail(store.create_branch("bad", "seq:77", BranchOptions::default()), ErrorKind::NotFound);
    check(&mut store, &wanted, "what is refused pins nothing");
    store.reset("topic", "seq:1").expect("reset");
    wanted.insert(fork_pin(1, 2));
    check(&mut store, &wanted, "a reset pins where it goes, and keeps where it was for undo");
    must_delete_branch(&store, "topic");
    check(&mut store, &wanted, "a deleted branch stays pinned for undo");
}
