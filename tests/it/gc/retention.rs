//! OPS-7: under retention every pinned commit stays what it was, and any other is what it was or gone.
//!
//! 1,000 keys are overwritten 50 times and half of them deleted, under tags, branches, views,
//! transactions, an open merge and a prepared transaction; collections run in the middle of it and are
//! stopped at random. Everything is compared with plain maps. `WITHY_LONG=1` runs more rounds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use withy::exchange::{LoadOptions, load};
use withy::{
    Batch, Branch, CommitOptions, DiffOptions, Direction, ErrorKind, FeedOptions, GcOptions,
    KeyRange, LogOptions, MergeOptions, Read, Seq, Setting, Store, TagOptions, Txn, View,
};

use crate::support::{Scratch, is_long, must_branch, must_scan};

pub(super) const KEYS: u64 = 1_000;
pub(super) const ROUNDS: u64 = 50;

pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What every commit showed when it was made, and what keeps some of them.
pub(super) struct World {
    /// By sequence. Most rows of a commit are those of the one before it.
    pub(super) commits: BTreeMap<Seq, Arc<Rows>>,
    /// The commits of each branch, oldest first, those before its fork included.
    pub(super) branches: BTreeMap<String, Vec<Seq>>,
    pub(super) tags: BTreeMap<String, Seq>,
    /// What work under way needs.
    pub(super) needed: Vec<Seq>,
    /// Of commits that are not pinned, one of so many is read.
    pub(super) every: u64,
    seed: u64,
    pub(super) random: fastrand::Rng,
}

/// What a round does to a share of the keys.
pub(super) fn changes(
    name: &str,
    (seed, round): (u64, u64),
    share: std::ops::Range<u64>,
) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut random = fastrand::Rng::with_seed(seed << 32 | round << 16 | share.start);
    let change = |n: u64| {
        // In the second half of the rounds every other key goes, for good.
        if round > ROUNDS / 2 && n.is_multiple_of(2) {
            return (key(n), None);
        }
        let mut value = format!("{name} {n} {round} {}", random.u32(..)).into_bytes();
        if n.is_multiple_of(97) {
            value.resize(17_000, b'0' + u8::try_from(round % 10).expect("a digit"));
        }
        (key(n), Some(value))
    };
    share.map(change).collect()
}

/// These changes as they are written.
pub(super) fn batch_of(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(key.clone(), value.clone()),
            None => batch.delete(key.clone()),
        };
    }
    batch
}

pub(super) fn key(n: u64) -> Vec<u8> {
    format!("k{n:04}").into_bytes()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(Seq::ROOT, Arc::new(Rows::new()))]);
        let branches = BTreeMap::from([("main".to_owned(), vec![Seq::ROOT])]);
        let random = fastrand::Rng::with_seed(seed);
        let (tags, needed) = (BTreeMap::new(), Vec::new());
        Self { commits: root, branches, tags, needed, every: 1, seed, random }
    }

    pub(super) fn head(&self, branch: &str) -> Seq {
        *self.branches[branch].last().expect("every branch has a head")
    }

    pub(super) fn rows(&self, seq: Seq) -> &Arc<Rows> {
        &self.commits[&seq]
    }

    /// Changes a share of the keys of a branch.
    pub(super) fn write(&mut self, branch: &Branch, round: u64, share: std::ops::Range<u64>) {
        let name = branch.name().to_string();
        let changes = changes(&name, (self.seed, round), share);
        let done = branch.write(batch_of(&changes), CommitOptions::default());
        if let Some(seq) = done.expect("it is written").seq() {
            self.wrote(&name, seq, changes);
        }
    }

    /// A commit has made these changes.
    pub(super) fn wrote(
        &mut self,
        branch: &str,
        seq: Seq,
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) {
        let mut rows = (**self.rows(self.head(branch))).clone();
        for (key, value) in changes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        self.commits.insert(seq, Arc::new(rows));
        self.branches.get_mut(branch).expect("a branch").push(seq);
    }

    pub(super) fn branch(&mut self, store: &Store, name: &str, from: Seq) -> Branch {
        let line = self.branches.values().find(|line| line.contains(&from)).expect("a line");
        let upto = line.iter().position(|seq| *seq == from).expect("it is on it");
        let line = line[..=upto].to_vec();
        self.branches.insert(name.to_owned(), line);
        must_branch(store, name, &format!("seq:{from}"))
    }

    /// Commits that must be whole, whatever retention says.
    fn pinned(&self, keep: usize) -> Vec<Seq> {
        let newest = self.branches.values().flat_map(|line| line.iter().rev().take(keep));
        let all = newest.chain(self.tags.values()).chain(&self.needed);
        all.copied().chain([Seq::ROOT]).collect()
    }
}

/// A view shows these rows in every way that it can be asked.
pub(super) fn check_view(view: &impl Read, rows: &Rows, what: &str) {
    let expected: Vec<_> = rows.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert!(must_scan(view, &KeyRange::all(), Direction::Forward) == expected, "{what}: a scan");
    let mut back = must_scan(view, &KeyRange::all(), Direction::Backward);
    back.reverse();
    assert!(back == expected, "{what}: a scan backwards");
    assert_eq!(view.count(&KeyRange::all()).expect("a count"), rows.len() as u64, "{what}");
    let part = KeyRange::prefix("k01");
    let in_part = rows.keys().filter(|key| key.starts_with(b"k01")).count() as u64;
    assert_eq!(view.count(&part).expect("a count"), in_part, "{what}: a count of a part");
    for n in (0..KEYS).step_by(83) {
        let value = view.get(&key(n)).expect("a get");
        assert!(value.as_ref() == rows.get(&key(n)), "{what}: {n}");
    }
}

/// Every commit is what it was or gone, and those that are pinned are there. How many are gone.
pub(super) fn check(store: &Store, world: &World, keep: usize, what: &str) -> usize {
    let pinned = world.pinned(keep);
    let mut gone = 0;
    for (seq, rows) in &world.commits {
        if !pinned.contains(seq) && !seq.get().is_multiple_of(world.every) {
            continue;
        }
        match store.view(&format!("seq:{seq}")) {
            Ok(view) => check_view(&view, rows, &format!("{what}, commit {seq}")),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::HistoryGone, "{what}, commit {seq}: {e:?}");
                assert!(!pinned.contains(seq), "{what}: commit {seq} is pinned");
                gone += 1;
            }
        }
    }
    for (name, line) in &world.branches {
        check_branch(store, world, (name.as_str(), line.as_slice()), what);
    }
    check_feed(store, world, what);
    gone
}

fn check_branch(store: &Store, world: &World, (name, line): (&str, &[Seq]), what: &str) {
    let branch = store.branch(name).expect("a branch");
    let head = *line.last().expect("a head");
    assert_eq!(branch.head().expect("a head").seq, head, "{what}: the head of {name}");
    check_view(&branch, world.rows(head), &format!("{what}, head of {name}"));
    let log = store.log(name, LogOptions::default().first_parent(true)).expect("a log");
    let log: Vec<Seq> = log.map(|commit| commit.expect("a commit").seq).collect();
    let all: Vec<Seq> = line.iter().rev().copied().collect();
    assert!(all.starts_with(&log[..1]), "{what}: the log of {name} starts at its head");
    assert!(log.iter().all(|seq| all.contains(seq)), "{what}: the log of {name} is its own");
    for n in (0..KEYS).step_by(191) {
        let versions = store.history(name, &key(n)).expect("a history");
        let versions: Vec<_> = versions
            .map(|version| version.expect("a version"))
            .map(|version| (version.commit.seq, version.value))
            .collect();
        let mut expected = Vec::new();
        for pair in line.windows(2).rev() {
            let (before, after) = (world.rows(pair[0]), world.rows(pair[1]));
            if before.get(&key(n)) != after.get(&key(n)) {
                expected.push((pair[1], after.get(&key(n)).cloned()));
            }
        }
        let is_start = expected.starts_with(&versions);
        assert!(is_start, "{what}: the history of {n} on {name}, newest first");
    }
}

/// The feed tells every commit after the last position that it names, as it was, and none in between
/// is left out.
fn check_feed(store: &Store, world: &World, what: &str) {
    let mut next = Seq::ROOT;
    let mut feed = store.feed(next, FeedOptions::default()).expect("a feed");
    while let Some(event) = feed.next() {
        let event = match event {
            Ok(event) => event,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::HistoryGone, "{what}: {e:?}");
                let text = e.to_string();
                let word = text.rsplit(';').next().and_then(|rest| rest.split_whitespace().next());
                let named = Seq::new(word.and_then(|w| w.parse().ok()).expect("a position"));
                assert!(named > next, "{what}: {named} is the first position, and after {next}");
                next = named;
                feed = store.feed(next, FeedOptions::default()).expect("a feed");
                continue;
            }
        };
        next = Seq::new(next.get() + 1);
        assert_eq!(event.commit.seq, next, "{what}: the feed has no gap");
        let rows = world.rows(next);
        for change in event.changes {
            assert!(rows.get(&change.key) == change.value.as_ref(), "{what}: the feed at {next}");
        }
    }
    assert_eq!(next, store.latest(), "{what}: the feed goes to the end");
}

/// The differences between two commits that are there are those of their rows.
fn check_diffs(store: &Store, world: &World, seqs: &[Seq], what: &str) {
    for pair in seqs.windows(2) {
        let (from, to) = (format!("seq:{}", pair[0]), format!("seq:{}", pair[1]));
        let diff = store.diff(&from, &to, DiffOptions::default()).expect("a diff");
        let (a, b) = (world.rows(pair[0]), world.rows(pair[1]));
        let mut count = 0;
        for entry in diff {
            let entry = entry.expect("an entry");
            assert!(entry.before.as_ref() == a.get(&entry.key), "{what}: {from}..{to} before");
            assert!(entry.after.as_ref() == b.get(&entry.key), "{what}: {from}..{to} after");
            count += 1;
        }
        let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
        let differ = keys.filter(|key| a.get(*key) != b.get(*key)).count();
        assert_eq!(count, differ, "{what}: {from}..{to} has every key that differs");
    }
}

pub(super) fn set(store: &Store, setting: Setting, value: &str) {
    store.set_config(setting, Some(value)).expect("a setting");
}

/// A collection that is stopped after some steps; whether it came to its end.
pub(super) fn gc_until(store: &Store, steps: u64) -> bool {
    let mut calls = 0;
    let options = GcOptions::default().progress(|_| {
        calls += 1;
        if calls > steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match store.gc(options) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Interrupted, "{e:?}");
            false
        }
    }
}

/// Bytes of a store, without what RocksDB writes for people.
pub(super) fn bytes_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let data = files.filter(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        !name.starts_with("LOG") && !name.starts_with("OPTIONS") && file.path().is_file()
    });
    data.map(|file| file.metadata().expect("its length").len()).sum()
}

pub(super) fn files_of(dir: &Path) -> BTreeMap<String, u64> {
    let files = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let size = |file: &std::fs::DirEntry| file.metadata().expect("its length").len();
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), size(&file))).collect()
}

/// What keeps a commit for as long as it is held.
struct Held<'s> {
    what: &'static str,
    seq: Seq,
    by: By<'s>,
}

enum By<'s> {
    View(View),
    Txn(Box<Txn<'s>>),
}

impl Held<'_> {
    fn check(&self, world: &World) {
        let rows = world.rows(self.seq);
        match &self.by {
            By::View(view) => check_view(view, rows, self.what),
            By::Txn(tx) => check_view(&**tx, rows, self.what),
        }
    }
}

fn run(seed: u64) {
    let scratch = Scratch::new();
    let store: &Store = &scratch;
    set(store, Setting::Retention, "count=3");
    set(store, Setting::UndoAge, "0s");
    let mut world = World::new(seed);
    let main = store.main().expect("main");
    let mut held: Vec<Held<'_>> = Vec::new();
    for round in 0..ROUNDS {
        for part in 0..4 {
            world.write(&main, round, part * KEYS / 4..(part + 1) * KEYS / 4);
        }
        let head = world.head("main");
        match round {
            5 | 19 | 33 => {
                let name = format!("v{round}");
                store.create_tag(&name, "main", TagOptions::default()).expect("a tag");
                world.tags.insert(name, head);
            }
            8 | 14 | 22 | 30 | 38 => {
                let deepest = world.branches.keys().last().expect("a branch").clone();
                let from = if round % 4 == 0 { head } else { world.head(&deepest) };
                let branch = world.branch(store, &format!("topic{round}"), from);
                world.write(&branch, round, 100..200);
                world.write(&branch, round + 1, 150..250);
            }
            11 | 27 => {
                let by = By::View(store.view("main").expect("a view"));
                held.push(Held { what: "an open view", seq: head, by });
            }
            17 | 41 => {
                let by = By::Txn(Box::new(store.begin("main").expect("a transaction")));
                held.push(Held { what: "an open transaction", seq: head, by });
            }
            _ => {}
        }
        if round % 10 == 9 {
            let steps = world.random.u64(0..12);
            let ended = gc_until(store, steps);
            held.iter().for_each(|one| one.check(&world));
            let what = format!("seed {seed}, round {round}, stopped after {steps}: {ended}");
            check(store, &world, 3, &what);
        }
    }
    settle(&scratch, &mut world, held, seed);
}

/// The pins go one after the other; at the end as little is left as of a fresh copy.
fn settle(scratch: &Scratch, world: &mut World, held: Vec<Held<'_>>, seed: u64) {
    let store: &Store = scratch;
    for name in world.branches.keys() {
        store.compact_overlays(name).expect("read layers");
    }
    let must_gc = || store.gc(GcOptions::default()).expect("a collection");
    must_gc();
    held.iter().for_each(|one| one.check(world));
    drop(held);
    must_gc();
    let gone = check(store, world, 3, &format!("seed {seed}, nothing is being read"));
    assert!(gone > 100, "most of {} commits are gone: {gone}", world.commits.len());
    let mut there = world.pinned(3);
    there.sort();
    there.dedup();
    check_diffs(store, world, &there, &format!("seed {seed}"));
    for name in std::mem::take(&mut world.tags).into_keys() {
        store.delete_tag(&name).expect("the tag goes");
    }
    let topics: Vec<String> = world.branches.keys().filter(|n| *n != "main").cloned().collect();
    for name in topics {
        let force = withy::DeleteOptions::default().force(true);
        store.delete_branch(&name, force).expect("the branch goes");
        world.branches.remove(&name);
    }
    set(store, Setting::Retention, "count=1");
    must_gc();
    must_gc();
    check(store, world, 1, &format!("seed {seed}, nothing is pinned"));
    store.sync().expect("on disk");
    let (used, files) = (bytes_of(&scratch.path()), files_of(&scratch.path()));
    let fresh = fresh_copy(&world.commits[&world.head("main")]);
    assert!(
        used <= 2 * fresh,
        "{used} bytes are within twice those of a fresh copy, {fresh}: {files:?}"
    );
}

/// The bytes of a new store with these rows.
pub(super) fn fresh_copy(rows: &Rows) -> u64 {
    let store = Scratch::new();
    let pairs = rows.iter().map(|(key, value)| Ok((key.clone(), value.clone())));
    load(&store, "main", pairs, LoadOptions::default()).expect("it is loaded");
    store.gc(GcOptions::default()).expect("a collection");
    store.sync().expect("on disk");
    bytes_of(&store.path())
}

#[test]
fn ops_7_what_is_pinned_stays_what_it_was_and_all_else_goes() {
    for seed in 0..if is_long() { 20 } else { 1 } {
        run(seed);
    }
}

#[test]
fn ops_7_work_under_way_keeps_what_it_needs() {
    let mut store = Scratch::new();
    set(&store, Setting::Retention, "count=1");
    set(&store, Setting::UndoAge, "0s");
    let mut world = World::new(7);
    let main = store.main().expect("main");
    world.write(&main, 0, 0..100);
    let from = world.head("main");
    let topic = world.branch(&store, "topic", from);
    world.write(&topic, 1, 0..10);
    world.write(&main, 2, 5..20);
    let (ours, theirs) = (world.head("main"), world.head("topic"));
    let keep = MergeOptions::default().keep_open(true);
    store.merge("main", "topic", keep).expect("it stops at its conflicts");
    let mut tx = store.begin("topic").expect("a transaction");
    tx.put("prepared", "yes").expect("it is put");
    tx.prepare("order", CommitOptions::default()).expect("prepared");
    drop((main, topic));
    for round in 3..8 {
        let (main, topic) = (store.main().expect("main"), store.branch("topic").expect("topic"));
        world.write(&main, round, 40..60);
        world.write(&topic, round, 70..90);
        drop((main, topic));
        store.gc(GcOptions::default()).expect("a collection");
        for seq in [ours, theirs] {
            let view = store.view(&format!("seq:{seq}")).expect("it is needed");
            check_view(&view, world.rows(seq), "what an open merge or prepared transaction needs");
        }
        store.reopen();
    }
    let conflicts = store.conflicts("main", &KeyRange::all()).expect("the conflicts");
    assert_eq!(conflicts.len(), 5, "5 to 9 were changed on both sides");
    store.commit_prepared("order").expect("it commits");
    let topic = store.branch("topic").expect("topic");
    assert_eq!(topic.get(b"prepared").expect("a get").as_deref(), Some(&b"yes"[..]));
    store.abort_merge("main").expect("aborted");
    store.gc(GcOptions::default()).expect("a collection");
    for seq in [ours, theirs] {
        let e = store.view(&format!("seq:{seq}")).err().map(|e| e.kind());
        assert_eq!(e, Some(ErrorKind::HistoryGone), "nothing needs commit {seq} any more");
    }
}

#[test]
fn ops_7_a_commit_can_be_undone_if_the_one_before_it_is_kept() {
    let store = Scratch::new();
    set(&store, Setting::Retention, "count=2");
    let main = store.main().expect("main");
    for n in 0..5 {
        main.put("n", n.to_string()).expect("it is put");
    }
    store.gc(GcOptions::default()).expect("a collection");
    store.undo().expect("the commit before is kept");
    assert_eq!(main.get(b"n").expect("a get").as_deref(), Some(&b"3"[..]), "it is taken back");
    let refused = store.undo().err().map(|e| e.kind());
    assert_eq!(refused, Some(ErrorKind::HistoryGone), "there is nothing to go back to");
    assert_eq!(main.get(b"n").expect("a get").as_deref(), Some(&b"3"[..]), "nothing has changed");
    store.redo().expect("what was undone within the undo age");
    assert_eq!(main.get(b"n").expect("a get").as_deref(), Some(&b"4"[..]), "it is there again");
}
