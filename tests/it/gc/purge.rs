//! OPS-7: what is purged is nowhere any more, and commits stay checkable.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use withy::exchange::{LoadOptions, load};
use withy::{
    CommitId, CommitOptions, DiffOptions, Durability, ErrorKind, FeedOptions, Fingerprint,
    GcOptions, KeyRange, LogOptions, MergeOptions, PurgeOptions, PurgeReport, Read, Seq, Setting,
    Store, Strategy, TagOptions,
};

use crate::support::raw::Raw;
use crate::support::{
    Scratch, must_branch, must_delete, must_get, must_put, must_verify, rows, show,
};

/// Part of every value that is purged; no compression makes it shorter.
const SECRET: &str = "qX7vB2mKz9LwT4hR8nYc";

pub(super) fn secret(n: u32) -> String {
    format!("{SECRET}{n}")
}

/// A large value: bytes that do not repeat, with the secret in the middle.
fn large(seed: u64, with: &str) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut out: Vec<u8> = (0..20_000).map(|_| random.u8(..)).collect();
    out[10_000..10_000 + with.len()].copy_from_slice(with.as_bytes());
    out
}

/// How often the secret is in the files of a directory.
pub(super) fn found_in(dir: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("the directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            count += found_in(&entry.path());
        } else {
            let bytes = std::fs::read(entry.path()).expect("a file");
            count += bytes.windows(SECRET.len()).filter(|w| *w == SECRET.as_bytes()).count();
        }
    }
    count
}

/// Secrets everywhere: overwritten, deleted, on branches, below them, in bulk loads, large and small.
pub(super) fn fill(store: &Store) {
    let main = store.main().expect("main");
    must_put(&main, "open/a", "1");
    for n in 0..6 {
        must_put(&main, &format!("secret/{}", n % 3), &secret(n));
        must_put(&main, "open/b", &format!("b{n}"));
    }
    main.put("secret/large", large(1, &secret(10))).expect("a large value");
    main.put("secret/shared", large(2, "harmless")).expect("a large value");
    main.put("open/shared", large(2, "harmless")).expect("the same one");
    store.create_tag("v1", "main", TagOptions::default()).expect("a tag");
    must_delete(&main, "secret/1");
    must_put(&main, "secret", "not of the range");
    must_put(&main, "secret0", "nor this");
    let mut from = "v1".to_owned();
    for n in 0..6 {
        let branch = must_branch(store, &format!("deep/{n}"), &from);
        must_put(&branch, &format!("open/{n}"), "c");
        must_put(&branch, "secret/deep", &secret(20 + n));
        from = format!("deep/{n}");
    }
    store.compact_overlays("deep/5").expect("read layers");
    let key = |n: u32| format!("secret/bulk/{n:02}").into_bytes();
    let pair = |n: u32| Ok((key(n), secret(30 + n).into_bytes()));
    load(store, "load", (0..40).map(pair), LoadOptions::default().from("main")).expect("loaded");
    must_put(&store.branch("load").expect("load"), "secret/bulk/07", &secret(99));
}

/// What commits say of themselves, and what they show outside of the range.
type Said = BTreeMap<Seq, (CommitId, Fingerprint, u64, Vec<(String, String)>)>;

fn said(store: &Store, upto: Seq) -> Said {
    let mut out = Said::new();
    for seq in 0..=upto.get() {
        let view = store.view(&format!("seq:{seq}")).expect("a view");
        let mut shown = rows(&view);
        shown.retain(|(key, _)| !key.starts_with("secret/"));
        let commit = view.commit();
        out.insert(commit.seq, (commit.id, commit.fingerprint, view.len(), shown));
    }
    out
}

pub(super) fn range() -> KeyRange {
    KeyRange::prefix("secret/")
}

pub(super) fn must_purge(store: &Store) -> PurgeReport {
    let options = PurgeOptions::default().author("ann").reason("it leaked");
    store.purge(&range(), options).expect("a purge")
}

/// No read of any commit finds a key of the range.
fn check_absent(store: &Store, upto: Seq) {
    for seq in 0..=upto.get() {
        let view = store.view(&format!("seq:{seq}")).expect("a view");
        for key in ["secret/0", "secret/1", "secret/large", "secret/deep", "secret/bulk/07"] {
            assert_eq!(view.get(key.as_bytes()).expect("a get"), None, "{key} at {seq}");
            assert_eq!(view.hash(key.as_bytes()).expect("a hash"), None, "{key} at {seq}");
        }
        let all = rows(&view);
        assert!(!all.iter().any(|(key, _)| key.starts_with("secret/")), "a scan at {seq}");
        assert_eq!(view.count(&range()).expect("a count"), 0, "a count at {seq}");
        assert_eq!(
            view.count(&KeyRange::all()).expect("a count"),
            all.len() as u64,
            "a count of all at {seq}"
        );
    }
    for branch in store.branches().expect("branches") {
        let history = store.history(branch.name.as_str(), b"secret/0").expect("a history");
        assert_eq!(history.count(), 0, "no version on {} is shown", branch.name);
    }
    for event in store.feed(Seq::ROOT, FeedOptions::default()).expect("a feed") {
        let event = event.expect("an event");
        if event.commit.seq <= upto {
            let secret = |key: &[u8]| key.starts_with(b"secret/");
            assert!(
                event.changes.iter().all(|c| !secret(&c.key) || c.value.is_none()),
                "the feed names the key, and has no value"
            );
        }
    }
}

#[test]
fn ops_7_what_is_purged_is_in_no_commit_and_in_no_file() {
    let mut store = Scratch::new();
    fill(&store);
    let upto = store.latest();
    let before = said(&store, upto);
    store.sync().expect("on disk");
    assert!(found_in(&store.path()) > 0, "it can be found before");
    let done = must_purge(&store);
    assert_eq!((done.number, done.is_done), (1, true), "it came to its end");
    assert_eq!((done.author.as_str(), done.reason.as_str()), ("ann", "it leaked"), "who and why");
    assert_eq!(done.commits.len(), 8, "a commit on each branch");
    assert_eq!(done.values, 1, "the large value; the shared one is still named");
    assert_eq!(done.upto, store.latest(), "everything up to the deletions");
    for reopened in [false, true] {
        if reopened {
            store.reopen();
        }
        assert_eq!(found_in(&store.path()), 0, "no file has a byte of it");
        check_absent(&store, store.latest());
        let now = said(&store, upto);
        for (seq, said) in &before {
            assert_eq!(&now[seq], said, "what commit {seq} says, and what else it shows");
        }
        assert_eq!(
            store.purges().expect("records"),
            std::slice::from_ref(&done),
            "the audit record"
        );
        let head = store.commit("main").expect("main");
        assert_eq!(head.message, "purge: it leaked", "the commit says so");
        let undone = store.undo().expect("one operation");
        check_absent(&store, upto);
        assert!(undone.what.contains("purge"), "{}", undone.what);
        store.redo().expect("redo");
    }
    let options = GcOptions::default();
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.gc(options).expect("a collection");
    assert_eq!(store.purges().expect("records"), [done], "a collection leaves the record");
    let v1 = store.view("v1").expect("the tag");
    assert_eq!(v1.fingerprint(), before[&v1.commit().seq].1, "what a kept commit says");
    check_absent_now(&v1);
}

#[test]
fn ops_7_a_restore_from_before_a_purge_brings_no_key_back() {
    let store = Scratch::new();
    fill(&store);
    must_purge(&store);
    store.restore("main", "v1", &KeyRange::all(), CommitOptions::default()).expect("a restore");
    let main = store.main().expect("main");
    check_absent_now(&main);
    assert_eq!(must_get(&main, "open/b").as_deref(), Some("b5"), "what was not purged is back");
    assert_eq!(rows(&main), rows(&store.view("v1").expect("v1")), "both show the same");
}

fn check_absent_now(view: &impl Read) {
    assert!(!rows(view).iter().any(|(key, _)| key.starts_with("secret/")), "nothing is back");
}

#[test]
fn ops_7_what_is_put_after_a_purge_is_counted_as_if_nothing_had_been() {
    let store = Scratch::new();
    fill(&store);
    must_purge(&store);
    // From before the purge: the purged keys are counted, and not seen.
    let old = must_branch(&store, "old", "v1");
    check_absent_now(&old);
    assert_eq!(kind_of_put_if_absent(&old), None, "a purged key is absent");
    for key in ["secret/0", "secret/1", "secret/2", "secret/large", "secret/shared"] {
        must_put(&old, key, "new");
    }
    let view = old.view().expect("a view");
    let fresh = Scratch::new();
    let main = fresh.main().expect("main");
    for pair in view.range(&KeyRange::all()).expect("a scan") {
        let (key, value) = pair.expect("a pair");
        main.put(key, value).expect("it is put");
    }
    let fresh = main.view().expect("a view");
    assert_eq!(view.fingerprint(), fresh.fingerprint(), "equal content, equal fingerprint");
    assert_eq!(view.len(), fresh.len(), "and count");
    let history: Vec<_> = store.history("old", b"secret/0").expect("a history").collect();
    assert_eq!(history.len(), 2, "only the new versions");
    let diff = store.diff("v1", "old", DiffOptions::default().range(range())).expect("a diff");
    let kinds: Vec<_> = diff.map(|entry| entry.expect("an entry").kind).collect();
    assert_eq!(kinds, [withy::ChangeKind::Added; 5], "absent before, present now");
    must_delete(&old, "secret/0");
    assert_eq!(must_get(&old, "secret/0"), None, "and it can be deleted");
    let again = must_purge(&store);
    assert_eq!((again.number, again.commits.len()), (2, 1), "only one branch has any");
    check_absent_now(&store.branch("old").expect("old"));
}

#[test]
fn ops_7_the_very_value_that_was_purged_can_be_put_again() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "secret/a", "same");
    main.put("secret/large", large(1, "same")).expect("a large value");
    must_put(&main, "open/a", "1");
    store.create_tag("v1", "main", TagOptions::default()).expect("a tag");
    drop(main);
    must_purge(&store);
    let again = must_branch(&store, "again", "v1");
    let seq = must_put(&again, "secret/a", "same");
    again.put("secret/large", large(1, "same")).expect("a large value");
    let range = KeyRange::prefix("secret/");
    drop(again);
    for reopened in [false, true] {
        if reopened {
            store.reopen();
        }
        must_verify(&store);
        let again = store.branch("again").expect("it is there");
        assert_eq!(must_get(&again, "secret/a").as_deref(), Some("same"), "it is back");
        assert_eq!(again.view().expect("a view").len(), 3, "and counted once");
        let log = store.log("again", LogOptions::default().range(KeyRange::prefix("secret/a")));
        let found: Vec<Seq> = log.expect("a log").map(|c| c.expect("a commit").seq).collect();
        assert_eq!(found, [seq, Seq::new(1)], "the log of a key names the commit");
        for (from, to, kind) in [
            ("v1", "again", withy::ChangeKind::Added),
            ("again", "v1", withy::ChangeKind::Deleted),
            ("main", "again", withy::ChangeKind::Added),
        ] {
            let options = DiffOptions::default().range(range.clone());
            let diff = store.diff(from, to, options).expect("a diff");
            let kinds: Vec<_> = diff.map(|entry| entry.expect("an entry").kind).collect();
            assert_eq!(kinds, [kind; 2], "from {from} to {to}");
            let counts = store.diff_counts(from, to, &range).expect("counts");
            assert_eq!(counts.added + counts.deleted + counts.modified, 2, "{from} to {to}");
        }
    }
    let back = must_branch(&store, "back", "v1");
    store.restore("back", "again", &KeyRange::all(), CommitOptions::default()).expect("a restore");
    assert_eq!(rows(&back), rows(&store.view("again").expect("a view")), "a restore has it too");
    drop(back);
    must_verify(&store);
    let other = must_branch(&store, "other", "again");
    must_put(&other, "secret/a", "new");
    must_put(&other, "secret/a", "same");
    let diff = store.diff("again", "other", DiffOptions::default()).expect("a diff");
    assert_eq!(diff.count(), 0, "there and back is no difference");
    must_delete(&other, "secret/a");
    drop(other);
    must_verify(&store);
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    store.gc(GcOptions::default()).expect("a collection");
    must_verify(&store);
}

fn kind_of_put_if_absent(branch: &withy::Branch) -> Option<ErrorKind> {
    let mut batch = withy::Batch::new();
    batch.put_if("secret/0", "first", withy::Expect::Absent);
    branch.write(batch, CommitOptions::default()).err().map(|e| e.kind())
}

#[test]
fn ops_7_nothing_brings_a_purged_value_back() {
    let store = Scratch::new();
    fill(&store);
    let purge = must_purge(&store);
    let diff = store.diff("v1", "main", DiffOptions::default().range(range())).expect("a diff");
    assert_eq!(diff.count(), 0, "absent on both sides is no difference");
    let own = purge.commits.iter().map(|seq| format!("seq:{seq}"));
    let on_main = own.into_iter().find(|rev| store.commit(rev).expect("it").branch == "main");
    let revert = on_main.expect("one of them is on main");
    store.revert("main", &[revert.as_str()], MergeOptions::default()).expect("a revert");
    check_absent_now(&store.main().expect("main"));
    for strategy in [Strategy::Ours, Strategy::Theirs] {
        let side = must_branch(&store, &format!("side-{strategy}"), "v1");
        must_put(&side, "open/z", &strategy.to_string());
        let options = MergeOptions::default().strategy(strategy);
        store.merge("main", side.name().as_str(), options).expect("a merge");
        check_absent_now(&store.main().expect("main"));
    }
    let main = store.main().expect("main").view().expect("a view");
    assert_eq!(main.len(), rows(&main).len() as u64, "the head counts what it shows");
    let log = store.log("main", LogOptions::default()).expect("a log");
    assert!(log.count() > 5, "the log is whole");
    assert_eq!(show(&main.get(b"open/b").expect("a get").expect("a value")), "b5");
}

#[test]
fn ops_7_a_purge_that_is_stopped_goes_on_with_the_next() {
    for stop_at in (0..).step_by(3) {
        let store = Scratch::new();
        fill(&store);
        let mut calls = 0;
        let options = PurgeOptions::default().progress(|_| {
            calls += 1;
            if calls > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let done = match store.purge(&range(), options) {
            Ok(done) => {
                assert!(calls >= 6, "it tells of each stage");
                assert!(done.is_done, "it came to its end");
                return;
            }
            Err(e) => e,
        };
        assert_eq!(done.kind(), ErrorKind::Interrupted, "it was stopped");
        // OPS-6: also while it is under way.
        must_verify(&store);
        let begun = store.purges().expect("records").len();
        must_purge(&store);
        let all = store.purges().expect("records");
        assert_eq!(all.len(), begun + 1, "one more");
        assert!(all.iter().all(|purge| purge.is_done), "both came to their end");
        check_absent(&store, store.latest());
        assert_eq!(found_in(&store.path()), 0, "stopped at {stop_at}: no file has a byte of it");
    }
}

#[test]
fn ops_6_a_store_that_was_purged_is_whole_and_a_value_that_comes_back_is_found() {
    let mut store = Scratch::new();
    fill(&store);
    must_purge(&store);
    must_verify(&store);
    store.close();
    let raw = Raw::open(&store.path());
    let is_purged = |key: &Vec<u8>| raw.get("history", key)[0] == 0x13;
    let key = raw.keys("history", &[]).into_iter().find(is_purged).expect("a purged value");
    raw.edit("history", &key, |row| *row = [&[0x11], secret(20).as_bytes()].concat());
    drop(raw);
    store.reopen();
    let report = store.verify(withy::VerifyOptions::default()).expect("it is verified");
    let found = report.findings.iter().any(|finding| finding.invariant == 71);
    assert!(found, "a value is there that was purged: {:#?}", report.findings);
}

const STORE: &str = "WITHY_TEST_PURGE";
const STEP: &str = "WITHY_TEST_PURGE_STEP";

/// Not a test by itself: the process that ends itself in the middle of a purge.
#[test]
fn worker() {
    let (Ok(path), Ok(step)) = (std::env::var(STORE), std::env::var(STEP)) else { return };
    let step: u32 = step.parse().expect("a number");
    let options = Store::options().durability(Durability::Buffered).author("tester");
    let store = options.open(path).expect("the store opens");
    fill(&store);
    let mut calls = 0;
    let purge = PurgeOptions::default().progress(|_| {
        calls += 1;
        if calls > step {
            std::process::abort();
        }
        ControlFlow::Continue(())
    });
    store.purge(&range(), purge).expect("a purge");
    std::process::exit(0);
}

#[test]
fn ops_7_a_purge_that_is_killed_is_finished_by_the_next_open() {
    for step in (0..).step_by(2) {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let path = dir.path().join("store");
        let ended = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "gc::purge::worker", "--nocapture", "--test-threads=1"])
            .env(STORE, &path)
            .env(STEP, step.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("a process runs");
        let store = Store::open(&path).expect("the store opens");
        let all = store.purges().expect("records");
        assert!(all.iter().all(|purge| purge.is_done), "what has begun is finished");
        if all.is_empty() {
            assert!(step <= 1, "killed at {step}: only before the first write nothing has begun");
            must_purge(&store);
        }
        check_absent(&store, store.latest());
        assert_eq!(found_in(&path), 0, "killed at {step}: no file has a byte of it");
        must_put(&store.main().expect("main"), "open/a", "again");
        if ended.success() {
            assert!(step >= 6, "it was killed at every step");
            return;
        }
    }
}
