//! Flattening: what a line has replaced of what is below it goes, and nothing else changes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use withy::exchange::{LoadOptions, load};
use withy::{
    Batch, CommitOptions, DeleteOptions, Direction, ErrorKind, GcOptions, KeyRange, MergeOptions,
    Read, Resolution, Seq, Setting, Store, Strategy, TagOptions,
};

use super::retention::{bytes_of, fresh_copy};
use crate::support::{
    Scratch, is_long, must_branch, must_delete, must_fail, must_get, must_put, must_verify,
    must_write, rows,
};

/// More than these are loaded as sorted files, onto a line of their own.
const KEYS: u32 = 12_000;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn scratch(retention: &str) -> Scratch {
    let store = Scratch::new();
    store.set_config(Setting::UndoAge, Some("0s")).expect("the undo age");
    store.set_config(Setting::Retention, Some(retention)).expect("the retention");
    store
}

fn key(n: u32) -> Vec<u8> {
    format!("key/{n:06}").into_bytes()
}

/// A value that does not become small when it is compressed.
fn value(night: u32, n: u32) -> Vec<u8> {
    let mut value = vec![0; 96];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&night.to_be_bytes()).update(&n.to_be_bytes());
    hasher.finalize_xof().fill(&mut value);
    value
}

/// Loads keys as they are in one night.
fn load_night(store: &Store, model: &mut Rows, night: u32, keys: impl Iterator<Item = u32>) {
    let pairs: Vec<_> = keys.map(|n| (key(n), value(night, n))).collect();
    model.extend(pairs.iter().cloned());
    load(store, "main", pairs.into_iter().map(Ok), LoadOptions::default()).expect("a load");
}

fn must_gc(store: &Store) {
    store.gc(GcOptions::default()).expect("a collection");
    must_verify(store);
}

fn check(view: &impl Read, model: &Rows, what: &str) {
    let scan = view.scan(&KeyRange::all(), Direction::Forward).expect("a scan");
    let found: Rows = scan.map(|row| row.expect("a row")).collect();
    assert!(found == *model, "{what} shows its {} keys as they were", model.len());
}

#[test]
fn ops_7_a_branch_that_is_loaded_whole_each_night_does_not_grow() {
    let mut store = scratch("count=1");
    let mut model = Rows::new();
    let mut sizes = Vec::new();
    for night in 0..7 {
        load_night(&store, &mut model, night, 0..KEYS);
        must_gc(&store);
        store.sync().expect("on disk");
        sizes.push(bytes_of(&store.path()));
        check(&store.main().expect("main"), &model, "main");
    }
    // What a load has replaced stays as long as the load is kept, with the changes of both in the log.
    let fresh = fresh_copy(&model);
    assert!(
        sizes[6] <= 3 * fresh,
        "{sizes:?} bytes, of which the last are within three times {fresh}"
    );
    assert!(sizes[6] <= sizes[2] + sizes[2] / 20, "{sizes:?} bytes, which is the same each night");
    must_fail(store.view("main~2"), ErrorKind::HistoryGone);
    store.reopen();
    check(&store.main().expect("main"), &model, "main, after a reopen,");
}

#[test]
fn ops_7_what_loads_have_left_alone_outlives_them() {
    let store = scratch("count=1");
    let mut model = Rows::new();
    load_night(&store, &mut model, 0, 0..2 * KEYS);
    let tagged = model.clone();
    store.create_tag("first", "main", TagOptions::default()).expect("a tag");
    let main = store.main().expect("main");
    for night in 1..6 {
        // A third of the keys is loaded once, all others again and again.
        load_night(&store, &mut model, night, 0..KEYS + KEYS / 3);
        for n in [night, 2 * KEYS - night] {
            main.delete(key(n)).expect("a deletion");
            model.remove(&key(n));
        }
        must_gc(&store);
        check(&main, &model, "main");
        check(&store.view("first").expect("the tag"), &tagged, "the tag");
    }
    store.delete_tag("first").expect("it goes");
    must_gc(&store);
    check(&main, &model, "main, once the tag is gone,");
    let (used, fresh) = (bytes_of(&store.path()), fresh_copy(&model));
    assert!(used <= 2 * fresh, "{used} bytes are within twice {fresh}");
    // What is there of the history says so.
    let old = store.history("main", &key(2 * KEYS - 100)).expect("a history");
    assert!(old.is_truncated(), "there was an older version");
    let again: Vec<_> = store.history("main", &key(100)).expect("a history").collect();
    assert_eq!(again.len(), 0, "the load is no longer kept");
}

#[test]
fn ops_7_a_view_of_what_is_let_go_stays_what_it_is() {
    let store = scratch("count=1");
    let mut model = Rows::new();
    let mut views = Vec::new();
    for night in 0..5 {
        load_night(&store, &mut model, night, 0..KEYS);
        views.push((store.view("main").expect("a view"), model.clone()));
        must_gc(&store);
        for (night, (view, model)) in views.iter().enumerate() {
            check(view, model, &format!("the view of night {night}"));
        }
    }
    let began = store.begin("main").expect("a transaction");
    load_night(&store, &mut Rows::new(), 5, 0..KEYS);
    must_gc(&store);
    let (_, last) = views.last().expect("the last one");
    assert_eq!(
        began.get(&key(7)).expect("a read").as_ref(),
        last.get(&key(7)),
        "a transaction too"
    );
}

/// A store that keeps everything, and one that keeps little, to which the same is done.
struct Twins {
    all: Scratch,
    few: Scratch,
    random: fastrand::Rng,
    seed: u64,
    branches: Vec<String>,
    tags: Vec<String>,
    named: u32,
}

impl Twins {
    fn new(seed: u64) -> Self {
        let (all, few) = (scratch("forever"), scratch("count=1"));
        let random = fastrand::Rng::with_seed(seed);
        Self {
            all,
            few,
            random,
            seed,
            branches: vec!["main".to_owned()],
            tags: Vec::new(),
            named: 0,
        }
    }

    fn both(&self, what: impl Fn(&Store)) {
        what(&self.all);
        what(&self.few);
    }

    fn some(&mut self) -> String {
        self.random.choice(&self.branches).expect("main is there").clone()
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("t{}", self.named)
    }

    fn write(&mut self) {
        let name = self.some();
        for _ in 0..self.random.u32(1..4) {
            let mut batch = Batch::new();
            for _ in 0..self.random.u32(1..9) {
                let key = format!("{}", self.random.u32(0..12));
                match self.random.u32(0..4) {
                    0 => batch.delete(key),
                    _ => batch.put(key, self.random.u32(0..30).to_string()),
                };
            }
            self.both(|store| {
                let branch = store.branch(&name).expect("it is there");
                branch.write(batch.clone(), CommitOptions::default()).expect("a write");
            });
        }
    }

    /// Makes a tag, or starts a branch at one, or removes it.
    fn tag(&mut self) {
        match self.random.u32(0..3) {
            0 => {
                let (at, name) = (self.some(), self.name());
                self.both(|store| {
                    store.create_tag(&name, &at, TagOptions::default()).expect("a tag");
                });
                self.tags.push(name);
            }
            what if !self.tags.is_empty() => {
                let at = self.random.usize(..self.tags.len());
                let (tag, name) = (self.tags[at].clone(), self.name());
                if what == 1 {
                    self.both(|store| drop(must_branch(store, &name, &tag)));
                    self.branches.push(name);
                } else {
                    self.tags.swap_remove(at);
                    self.both(|store| store.delete_tag(&tag).expect("it goes"));
                }
            }
            _ => {}
        }
    }

    /// Goes on with a branch under another name, and leaves the first one, or keeps it.
    fn go_on(&mut self) {
        let (from, to) = (self.some(), self.name());
        let keeps = from == "main" || self.random.u32(0..3) == 0;
        self.both(|store| {
            must_branch(store, &to, &from);
            if !keeps {
                let options = DeleteOptions::default().force(true);
                store.delete_branch(&from, options).expect("it goes");
            }
        });
        self.branches.retain(|name| keeps || *name != from);
        self.branches.push(to);
    }

    fn merge(&mut self) {
        let (into, from) = (self.some(), self.some());
        let strategies = [Strategy::Ours, Strategy::Theirs, Strategy::Manual];
        let strategy = *self.random.choice(&strategies).expect("one");
        if into == from {
            return;
        }
        let merged = [&self.all, &self.few].map(|store| {
            let options = MergeOptions::default().strategy(strategy);
            let merged = store.merge(&into, &from, options).expect("a merge, or conflicts");
            let settled = merged.settled.into_iter().map(|one| (one.conflict.key, one.result));
            let conflicts = merged.conflicts.into_iter().map(|one| (one.key, one.kind));
            (
                (merged.outcome, merged.bases, merged.head, merged.changes, merged.auto_resolved),
                (settled.collect::<Vec<_>>(), conflicts.collect::<Vec<_>>()),
            )
        });
        assert_eq!(merged[0], merged[1], "seed {}: {from} into {into}, {strategy:?}", self.seed);
    }

    fn collect(&mut self) {
        let policy = ["count=1", "count=1", "count=2", "count=4; prefix=1 count=1"];
        let policy = *self.random.choice(&policy).expect("one");
        self.few.set_config(Setting::Retention, Some(policy)).expect("a setting");
        let mut left = if self.random.bool() { u32::MAX } else { self.random.u32(0..20) };
        let options = GcOptions::default().compact(false).progress(|_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Err(e) = self.few.gc(options) {
            assert_eq!(e.kind(), ErrorKind::Interrupted, "nothing else stops it: {e:?}");
        }
        must_verify(&self.few);
        if self.random.u32(0..4) == 0 {
            self.few.reopen();
        }
        self.check();
    }

    fn check(&self) {
        for name in self.branches.iter().chain(&self.tags) {
            let [all, few] =
                [&self.all, &self.few].map(|store| rows(&store.view(name).expect("it is there")));
            assert_eq!(few, all, "seed {}: {name}", self.seed);
        }
    }
}

#[test]
fn ops_7_collections_change_no_branch_and_no_merge() {
    let (seeds, steps) = if is_long() { (200, 300) } else { (6, 120) };
    for seed in 0..seeds {
        let mut twins = Twins::new(seed);
        for _ in 0..steps {
            match twins.random.u32(0..20) {
                0..8 => twins.write(),
                8..12 => twins.go_on(),
                12..16 => twins.merge(),
                16 => twins.tag(),
                _ => twins.collect(),
            }
        }
        twins.collect();
    }
}

/// A branch that goes on as others, each of which replaces what the one before had, so that all are flattened.
struct Chain<'s> {
    store: &'s Store,
    name: String,
}

impl<'s> Chain<'s> {
    /// Keys `a` to `j`, of which those that follow leave `i` and `j` alone.
    fn new(store: &'s Store) -> Self {
        let chain = Self { store, name: "chain".to_owned() };
        let branch = must_branch(store, "chain", "main");
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let first: Vec<_> = keys.iter().map(|key| (*key, Some("first"))).collect();
        must_write(&branch, "first", &first);
        chain
    }

    /// Goes on from another line, as a load does.
    fn go_on(&mut self, value: &str) -> Seq {
        let next = format!("{}x", self.name);
        let branch = must_branch(self.store, &next, &self.name);
        let options = DeleteOptions::default().force(true);
        self.store.delete_branch(&self.name, options).expect("it goes");
        self.name = next;
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let all: Vec<_> = keys.iter().map(|key| (*key, Some(value))).collect();
        must_write(&branch, value, &all)
    }
}

/// What a view shows of the keys, a word for each.
fn words(view: &impl Read) -> Vec<String> {
    rows(view).into_iter().map(|(key, value)| key + "=" + &value).collect()
}

const SECOND: [&str; 10] = [
    "a=second", "b=second", "c=second", "d=second", "e=second", "f=second", "g=second", "h=second",
    "i=first", "j=first",
];

#[test]
fn ops_7_what_a_view_alone_keeps_is_read_through_what_it_needs() {
    // A transaction of another branch, or a history that is being read, may come to anything too.
    for holder in ["view", "transaction", "history"] {
        let store = scratch("count=1");
        let mut chain = Chain::new(&store);
        must_put(&store.main().expect("main"), "other", "1");
        let second = chain.go_on("second");
        let view = (holder == "view").then(|| store.view(&chain.name).expect("a view"));
        chain.go_on("third");
        must_gc(&store);
        let txn = (holder == "transaction").then(|| store.begin("main").expect("it begins"));
        let history =
            (holder == "history").then(|| store.history("main", b"other").expect("it is"));
        for value in ["fourth", "fifth", "sixth"] {
            chain.go_on(value);
            must_gc(&store);
            if let Some(view) = &view {
                assert_eq!(words(view), SECOND, "the view, beside {value}");
                // Somebody else may come to the same.
                let again = store.view(&format!("seq:{}", second.get())).expect("it is there");
                assert_eq!(words(&again), SECOND, "another view, beside {value}");
            }
        }
        drop((view, txn, history));
        chain.go_on("last");
        must_gc(&store);
        let gone = store.view(&format!("seq:{}", second.get())).err().map(|e| e.kind());
        assert_eq!(gone, Some(ErrorKind::HistoryGone), "without the {holder}");
    }
}

#[test]
fn ops_7_a_deletion_below_a_flattened_line_is_as_new_as_it_was() {
    let store = scratch("count=1");
    let mut chain = Chain::new(&store);
    let topic = must_branch(&store, "topic", &chain.name);
    must_put(&topic, "i", "older");
    must_delete(&store.branch(&chain.name).expect("the chain"), "i");
    chain.go_on("second");
    chain.go_on("third");
    chain.go_on("fourth");
    must_put(&store.branch(&chain.name).expect("the chain"), "own", "1");
    for _ in 0..2 {
        must_gc(&store);
    }
    let options = MergeOptions::default().driver_for("*", "last-write");
    store.merge(&chain.name, "topic", options).expect("it is merged");
    let merged = store.branch(&chain.name).expect("the chain");
    assert_eq!(must_get(&merged, "i"), None, "it was deleted after it was changed");
}

#[test]
fn ops_7_an_open_pick_keeps_what_its_commit_was_made_from() {
    let store = scratch("count=1");
    let mut chain = Chain::new(&store);
    let main = store.main().expect("main");
    must_put(&main, "a", "main");
    let second = chain.go_on("second");
    let options = MergeOptions::default().keep_open(true);
    let rev = format!("seq:{}", second.get());
    let picked = store.cherry_pick("main", &[rev.as_str()], options).expect("it is kept open");
    assert!(picked.open, "there are conflicts");
    for value in ["third", "fourth", "fifth"] {
        chain.go_on(value);
        must_gc(&store);
    }
    let theirs = picked.conflicts.into_iter().map(|conflict| (conflict.key, Resolution::Theirs));
    store.resolve_conflicts("main", theirs, None).expect("they are resolved");
    store.continue_merge("main", CommitOptions::default()).expect("it goes on");
    assert_eq!(must_get(&main, "a").as_deref(), Some("second"), "what was picked");
}

#[test]
fn ops_7_sides_meet_in_a_branch_that_was_flattened_and_is_gone() {
    let store = scratch("count=1");
    let mut chain = Chain::new(&store);
    for side in ["one", "two"] {
        must_put(&must_branch(&store, side, &chain.name), side, "1");
    }
    must_put(&store.branch(&chain.name).expect("the chain"), "i", "later");
    chain.go_on("second");
    chain.go_on("third");
    must_put(&store.branch(&chain.name).expect("the chain"), "own", "1");
    must_gc(&store);
    for side in ["one", "two"] {
        store.merge(side, &chain.name, MergeOptions::default()).expect("it is merged");
        let side = store.branch(side).expect("the side");
        must_put(&side, side.name().as_str(), "2");
        must_put(&side, side.name().as_str(), "3");
    }
    store.delete_branch(&chain.name, DeleteOptions::default().force(true)).expect("it goes");
    let base = store.merge_base("one", "two").expect("a base");
    must_put(&store.branch("one").expect("one"), "a", "one");
    for _ in 0..3 {
        must_gc(&store);
        assert_eq!(store.merge_base("one", "two").expect("a base"), base, "as before");
    }
    store.merge("two", "one", MergeOptions::default()).expect("it is merged");
    let two = store.branch("two").expect("two");
    assert_eq!(must_get(&two, "a").as_deref(), Some("one"), "one has changed it since");
    // From now on they meet further up.
    must_gc(&store);
    must_gc(&store);
}

#[test]
fn ops_7_a_flattening_that_is_stopped_leaves_the_branch_as_it_was() {
    let store = scratch("count=1");
    let mut model = Rows::new();
    for (night, keys) in [(0, 40_000), (1, 28_000), (2, 28_000)] {
        load_night(&store, &mut model, night, 0..keys);
    }
    let main = store.main().expect("main");
    main.put("own", "1").expect("it is put");
    model.insert(b"own".to_vec(), b"1".to_vec());
    // At its begin, and once some rows of the layer are written.
    for calls in [1, 2] {
        let mut seen = 0;
        let options = GcOptions::default().progress(|progress| {
            seen += u32::from(progress.stage == "flatten");
            if seen >= calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let stopped = store.gc(options).expect_err("it is stopped");
        assert_eq!(stopped.kind(), ErrorKind::Interrupted, "at call {calls}");
        must_verify(&store);
        check(&main, &model, "main");
    }
    must_gc(&store);
    check(&main, &model, "main");
    store.sync().expect("on disk");
    let (used, fresh) = (bytes_of(&store.path()), fresh_copy(&model));
    assert!(used <= 2 * fresh, "{used} bytes are within twice {fresh}: nothing is left of it");
}
