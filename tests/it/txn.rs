//! TXN-2 to TXN-4 at snapshot isolation: what is read, what conflicts, what does not.

use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{
    Batch, Branch, CommitOptions, Committed, DeleteOptions, Direction, Error, ErrorKind, KeyRange,
    Read, Store, Txn, TxnOptions,
};

use crate::support::{
    Scratch, must_branch, must_delete, must_fail, must_get, must_put, must_scan, must_write, rows,
};

fn begin<'s>(store: &'s Store, branch: &str) -> Txn<'s> {
    store.begin(branch).unwrap_or_else(|e| panic!("begin on {branch}: {e:?}"))
}

fn put(tx: &mut Txn<'_>, key: &str, value: &str) {
    tx.put(key, value).unwrap_or_else(|e| panic!("put {key}: {e:?}"));
}

fn commit(tx: Txn<'_>) -> Result<Committed, Error> {
    tx.commit(CommitOptions::default())
}

/// The commit is refused, and these keys are named.
#[track_caller]
fn must_lose(tx: Txn<'_>, keys: &[&str]) {
    let e = must_fail(commit(tx), ErrorKind::Conflict);
    let named: Vec<String> = e.keys().iter().map(|key| crate::support::show(key)).collect();
    assert_eq!(named, keys, "TXN-2: a conflict names the keys that changed, and no others");
    for key in keys.iter().take(3) {
        assert!(e.to_string().contains(key), "the message names {key}: {e}");
    }
}

#[track_caller]
fn must_win(tx: Txn<'_>) {
    let done = commit(tx).unwrap_or_else(|e| panic!("TXN-2: no false conflict: {e:?}"));
    assert!(matches!(done, Committed::At(_)), "it changed something: {done:?}");
}

#[test]
fn txn_2_reads_are_repeatable_in_gets_scans_and_counts() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
    let tx = begin(&store, "main");
    let before = rows(&tx);
    must_write(&main, "later", &[("a", Some("9")), ("b", None), ("bb", Some("new"))]);
    store.compact().expect("compact");
    assert_eq!(rows(&tx), before, "a scan gives what was there when the transaction began");
    assert_eq!(must_get(&tx, "a").as_deref(), Some("1"), "a changed key reads as it was");
    assert_eq!(must_get(&tx, "b").as_deref(), Some("2"), "a deleted key is still there");
    assert_eq!(must_get(&tx, "bb"), None, "a new key is not");
    assert_eq!(tx.count(&KeyRange::all()).expect("count"), 3, "counts do not move either");
    assert_eq!(rows(&tx.base().expect("the base")), before, "nor does the base");
    assert_eq!(commit(tx).expect("it only read"), Committed::Unchanged, "a reader commits nothing");
}

#[test]
fn txn_2_own_writes_are_seen_in_gets_scans_and_counts_in_key_order() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("b", Some("2")), ("d", Some("4")), ("f", Some("6"))]);
    let side = must_branch(&store, "side", "main");
    must_put(&side, "e", "side");
    let mut tx = begin(&store, "side");
    put(&mut tx, "a", "own");
    put(&mut tx, "d", "own");
    tx.delete("f").expect("delete");
    tx.delete("absent").expect("delete");
    put(&mut tx, "c", "gone again");
    tx.delete("c").expect("delete");
    put(&mut tx, "z", "own");
    let expected = [("a", "own"), ("b", "2"), ("d", "own"), ("e", "side"), ("z", "own")];
    let own = |(key, value): (&str, &str)| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    let mut expected: Vec<_> = expected.into_iter().map(own).collect();
    let all = KeyRange::all();
    assert_eq!(must_scan(&tx, &all, Direction::Forward), expected, "forward, in key order");
    expected.reverse();
    assert_eq!(must_scan(&tx, &all, Direction::Backward), expected, "backward, in key order");
    assert_eq!(tx.count(&all).expect("count"), 5, "the count is that of the scan");
    assert_eq!(tx.count(&KeyRange::prefix("d")).expect("count"), 1, "in a range too");
    assert_eq!(must_get(&tx, "f"), None, "an own deletion hides what is below");
    assert!(!tx.contains(b"c").expect("contains"), "the last own write counts");
    assert_eq!(
        tx.multi_get(&[b"z", b"f", b"b"]).expect("multi_get"),
        [Some(b"own".to_vec()), None, Some(b"2".to_vec())],
        "several at once are the same"
    );
    assert_eq!(rows(&side).len(), 4, "nobody else sees any of it");
}

#[test]
fn txn_2_the_first_committer_wins_and_all_lost_keys_are_named() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    let (mut one, mut two) = (begin(&store, "main"), begin(&store, "main"));
    for key in ["a", "c", "new", "d"] {
        put(&mut one, key, "one");
    }
    for key in ["a", "b", "c", "new"] {
        put(&mut two, key, "two");
    }
    must_win(one);
    must_lose(two, &["a", "c", "new"]);
    assert_eq!(must_get(&main, "b").as_deref(), Some("1"), "nothing of the second is stored");
    let mut again = begin(&store, "main");
    put(&mut again, "a", "two");
    must_win(again);
    assert_eq!(must_get(&main, "a").as_deref(), Some("two"), "run again, it commits");
}

#[test]
fn txn_2_a_deletion_and_a_plain_put_conflict_like_a_transaction() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1"))]);
    let (mut over_deleted, mut deleting, mut on_new) =
        (begin(&store, "main"), begin(&store, "main"), begin(&store, "main"));
    put(&mut over_deleted, "a", "2");
    deleting.delete("b").expect("delete");
    on_new.delete("n").expect("delete");
    must_delete(&main, "a");
    must_put(&main, "b", "2");
    must_put(&main, "n", "came meanwhile");
    must_lose(over_deleted, &["a"]);
    must_lose(deleting, &["b"]);
    must_lose(on_new, &["n"]);
}

#[test]
fn txn_2_keys_that_changed_before_and_after_they_were_written_are_all_named() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    let mut tx = begin(&store, "main");
    put(&mut tx, "a", "2");
    put(&mut tx, "c", "2");
    must_write(&main, "between", &[("a", Some("9")), ("b", Some("9"))]);
    put(&mut tx, "b", "2");
    must_lose(tx, &["a", "b"]);
}

#[test]
fn txn_2_a_branch_that_was_emptied_under_a_transaction_conflicts() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "both", &[("a", Some("1")), ("b", Some("1"))]);
    let mut tx = begin(&store, "main");
    put(&mut tx, "a", "2");
    tx.delete("b").expect("delete");
    must_write(&main, "neither", &[("a", None), ("b", None)]);
    // Counted from the rows it tracked, its commit would have fewer keys than none.
    must_lose(tx, &["a", "b"]);
    assert_eq!(rows(&main), [], "nothing of it is stored");
}

#[test]
fn txn_2_a_key_that_came_and_went_has_changed() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "there", "1");
    let (mut absent, mut back) = (begin(&store, "main"), begin(&store, "main"));
    put(&mut absent, "n", "1");
    put(&mut back, "there", "2");
    must_put(&main, "n", "x");
    must_delete(&main, "n");
    must_put(&main, "there", "x");
    must_put(&main, "there", "1");
    must_lose(absent, &["n"]);
    must_lose(back, &["there"]);
}

#[test]
fn txn_2_ruling_1_the_conflict_check_comes_before_no_ops_are_dropped() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1"))]);
    let (mut saw, mut same, mut gone) =
        (begin(&store, "main"), begin(&store, "main"), begin(&store, "main"));
    put(&mut saw, "a", "1");
    put(&mut same, "a", "2");
    gone.delete("b").expect("delete");
    must_put(&main, "a", "2");
    must_delete(&main, "b");
    must_lose(saw, &["a"]);
    must_lose(same, &["a"]);
    must_lose(gone, &["b"]);
}

#[test]
fn txn_2_other_keys_other_branches_and_readers_never_conflict() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_write(&main, "first", &[("a", Some("1")), ("b", Some("1"))]);
    let side = must_branch(&store, "side", "main");
    let (mut other_key, mut other_branch) = (begin(&store, "main"), begin(&store, "side"));
    let reader = begin(&store, "main");
    let everything = rows(&reader);
    put(&mut other_key, "b", "2");
    put(&mut other_branch, "a", "side");
    for n in 0..20 {
        must_put(&main, "a", &format!("{n}"));
        must_put(&main, "a\0", &format!("{n}"));
    }
    must_put(&side, "b", "side");
    must_win(other_key);
    must_win(other_branch);
    assert_eq!(rows(&reader), everything, "the reader saw one state all along");
    assert_eq!(commit(reader).expect("readers never conflict"), Committed::Unchanged);
}

#[test]
fn txn_2_a_reader_ends_well_though_its_branch_is_gone() {
    let store = Scratch::new();
    must_put(&must_branch(&store, "side", "main"), "a", "1");
    let reader = begin(&store, "side");
    store.delete_branch("side", DeleteOptions::default().force(true)).expect("delete");
    assert_eq!(must_get(&reader, "a").as_deref(), Some("1"), "it reads on");
    assert_eq!(commit(reader).expect("readers never conflict"), Committed::Unchanged);
    let mut late = begin(&store, "main");
    put(&mut late, "a", "2");
    must_win(late);
}

/// Five commits on main, each of its own key.
fn five(store: &Store) -> Branch {
    let main = store.main().expect("main");
    for key in ["a", "b", "c", "d", "e"] {
        must_put(&main, key, "1");
    }
    main
}

#[test]
fn txn_2_after_a_reset_only_keys_that_it_changed_conflict() {
    let store = Scratch::new();
    five(&store);
    let (mut kept, mut lost) = (begin(&store, "main"), begin(&store, "main"));
    put(&mut kept, "a", "2");
    put(&mut lost, "b", "2");
    put(&mut lost, "e", "2");
    store.reset("main", "main~2").expect("reset");
    must_win(kept);
    must_lose(lost, &["e"]);
}

#[test]
fn txn_2_a_branch_that_was_moved_away_and_back_has_not_changed() {
    let store = Scratch::new();
    five(&store);
    let (mut one, mut two) = (begin(&store, "main"), begin(&store, "main"));
    put(&mut one, "e", "2");
    put(&mut two, "e", "3");
    store.reset("main", "main~4").expect("reset");
    store.reset("main", "seq:5").expect("reset");
    must_win(one);
    must_lose(two, &["e"]);
}

#[test]
fn txn_2_a_deletion_still_conflicts_when_layers_were_merged_over_it() {
    let store = Scratch::new();
    let main = five(&store);
    let mut tx = begin(&store, "main");
    put(&mut tx, "a", "2");
    let mut came = begin(&store, "main");
    put(&mut came, "new", "2");
    let mut last = must_branch(&store, "s0", "main");
    must_delete(&last, "a");
    must_put(&last, "new", "1");
    must_delete(&last, "new");
    for n in 1..9 {
        last = must_branch(&store, &format!("s{n}"), &format!("s{}", n - 1));
        must_put(&last, "unrelated", &format!("{n}"));
    }
    store.reset("main", "s8").expect("reset");
    store.compact_overlays("main").expect("compact");
    assert_eq!(must_get(&main, "a"), None, "the branch has come to where the key is deleted");
    must_lose(tx, &["a"]);
    must_lose(came, &["new"]);
}

#[test]
fn txn_2_a_bulk_load_that_moved_the_branch_conflicts_by_its_keys() {
    let store = Scratch::new();
    let main = five(&store);
    let (mut lost, mut kept) = (begin(&store, "main"), begin(&store, "main"));
    put(&mut lost, "a", "2");
    put(&mut lost, "d", "2");
    put(&mut lost, "new", "2");
    put(&mut kept, "c", "2");
    put(&mut kept, "other", "2");
    // What does not fit into memory is loaded through files, onto a new line.
    let pairs = [("a", "load"), ("new", "load")];
    let pairs = pairs.map(|(key, value)| Ok((key.into(), value.into())));
    load(&store, "main", pairs, LoadOptions::default().memory(1)).expect("load");
    assert_eq!(must_get(&main, "new").as_deref(), Some("load"));
    must_win(kept);
    must_lose(lost, &["a", "new"]);
}

#[test]
fn txn_2_a_merge_that_is_no_first_child_of_what_was_seen_conflicts_by_content() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "count", "0");
    let side = must_branch(&store, "side", "main");
    must_put(&side, "count", "7");
    must_put(&main, "count", "1");
    must_put(&main, "other", "1");
    let mut lost = begin(&store, "main");
    put(&mut lost, "count", "2");
    let mut kept = begin(&store, "main");
    put(&mut kept, "third", "2");
    // The merge keeps what its first parent has: an old row, but not the one that was seen.
    let stream =
        b"commit refs/heads/main\ncommitter A <a@b> 5 +0000\ndata 0\nfrom refs/heads/side^0\n\
        merge refs/heads/main^0\nM 100644 inline other\ndata 1\n1\n";
    import_git(&store, &stream[..], GitImportOptions::default()).expect("import");
    assert_eq!(must_get(&main, "count").as_deref(), Some("7"), "the branch shows the merge");
    must_lose(lost, &["count"]);
    must_win(kept);
}

#[test]
fn txn_4_dropping_rolls_back_and_holds_nothing() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let before = (store.latest(), store.ops(10).expect("ops").len());
    for finish in [Txn::rollback, drop::<Txn<'_>>] {
        let mut tx = begin(&store, "main");
        put(&mut tx, "a", "2");
        put(&mut tx, "b", "2");
        finish(tx);
    }
    assert_eq!((store.latest(), store.ops(10).expect("ops").len()), before, "no trace is left");
    assert_eq!(rows(&main), [("a".to_owned(), "1".to_owned())], "nothing is written");
    let mut tx = begin(&store, "main");
    put(&mut tx, "a", "3");
    must_win(tx);
}

#[test]
fn txn_4_a_refused_write_leaves_the_transaction_usable() {
    let store = Scratch::new();
    let mut tx = begin(&store, "main");
    put(&mut tx, "a", "1");
    must_fail(tx.put("", "no key"), ErrorKind::Limit);
    must_fail(tx.put(vec![0; withy::MAX_KEY_LEN + 1], "long"), ErrorKind::Limit);
    must_fail(tx.delete(vec![0; withy::MAX_KEY_LEN + 1]), ErrorKind::Limit);
    assert_eq!(tx.len(), 1, "only the good write is in it");
    must_win(tx);
    assert_eq!(rows(&store.main().expect("main")), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn txn_4_run_gives_back_the_error_of_the_work_and_writes_nothing() {
    let store = Scratch::new();
    let mut runs = 0;
    let failed: Result<(), Error> = store.run("main", CommitOptions::default(), |tx| {
        runs += 1;
        tx.put("a", "1")?;
        Err(Error::new(ErrorKind::Invalid, "changed my mind"))
    });
    must_fail(failed, ErrorKind::Invalid);
    assert_eq!(runs, 1, "only conflicts are tried again");
    assert!(store.view("main").expect("main").is_empty(), "nothing is written");
}

#[test]
fn stat_1_transactions_are_counted_as_plain_commits_are() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "a", "1");
    let (mut won, mut lost) = (begin(&store, "main"), begin(&store, "main"));
    put(&mut won, "a", "2");
    put(&mut lost, "a", "3");
    must_win(won);
    must_lose(lost, &["a"]);
    let mut batch = Batch::new();
    batch.put_if("a", "4", withy::Expect::Absent);
    must_fail(main.write(batch, CommitOptions::default()), ErrorKind::Precondition);
    let work = store.work();
    assert_eq!((work.begun, work.committed), (4, 2), "ruling 11: one begun for each commit");
    assert_eq!((work.aborted, work.conflicts), (2, 1), "a conflict is one way to be refused");
}

#[test]
fn stat_1_a_transaction_that_could_not_begin_is_none() {
    let store = Scratch::new();
    must_fail(store.begin("nosuch").map(|tx| tx.len()), ErrorKind::NotFound);
    let work = store.work();
    assert_eq!((work.begun, work.aborted, work.active), (0, 0, 0), "nothing was begun");
    must_put(&store.main().expect("main"), "a", "1");
    let work = store.work();
    assert!(work.p99_micros <= work.longest_micros, "none took longer than the longest: {work:?}");
}

#[test]
fn txn_6_a_branch_on_which_nothing_was_done_may_go() {
    let store = Scratch::new();
    must_branch(&store, "topic", "main");
    let mut tx = begin(&store, "topic");
    tx.on("main").expect("main").put("a", "1").expect("put");
    store.delete_branch("topic", withy::DeleteOptions::default().force(true)).expect("delete");
    let done = tx.commit_each(CommitOptions::default()).expect("commit");
    assert_eq!(done.len(), 1, "only what it wrote to is told of: {done:?}");
    assert_eq!(must_get(&store.main().expect("main"), "a").as_deref(), Some("1"), "it is there");
}

#[test]
fn txn_5_what_a_savepoint_keeps_counts_for_the_limit_of_bytes() {
    let store = Scratch::new();
    let options = TxnOptions::default().max_bytes(1_000);
    let mut tx = store.begin_with("main", options).expect("begin");
    let value = vec![b'v'; 300];
    tx.put("k", value.clone()).expect("301 bytes");
    tx.savepoint("one").expect("set");
    tx.put("k", value.clone()).expect("602 bytes: the first value is kept");
    tx.savepoint("two").expect("set");
    tx.put("k", value.clone()).expect("903 bytes");
    tx.savepoint("three").expect("set");
    tx.put("k", b"w".to_vec()).expect("905 bytes: the long one is kept now");
    must_fail(tx.put("k", value.clone()), ErrorKind::Limit);
    tx.rollback_to("two").expect("roll back");
    tx.put("k", value.clone()).expect("what was taken back counts no more");
    tx.release("one").expect("release");
    tx.put("l", value).expect("nor does what is not needed any more");
    tx.commit(CommitOptions::default()).expect("commit");
    assert_eq!(store.view("main").expect("main").len(), 2, "both are there");
}
