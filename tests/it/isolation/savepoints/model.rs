//! SAVE-1 and SAVE-2 against a stack of maps: random writes, reads and savepoints on three branches,
//! while others commit. `WITHY_SEEDS` says how many runs, `WITHY_SEED` which one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use withy::Isolation::{self, ReadCommitted, Serializable, Snapshot};
use withy::{CommitOptions, Committed, Direction, Error, ErrorKind, KeyRange, Read, Txn};

use super::super::{at, seeds};
use crate::support::raw::raw_rows;
use crate::support::{Scratch, must_branch, must_fail, must_scan};

const BRANCHES: [&str; 3] = ["main", "side", "side/deep"];
const KEYS: [&str; 9] = ["a", "a\0", "aa", "b", "b/1", "b/2", "c", "d", "\u{7f}"];
const NAMES: [&str; 5] = ["one", "two", "three", "four", "two words"];

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// A key on one of the branches.
type Spot = (usize, Vec<u8>);

/// What a transaction has done, as far as a rollback takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Done {
    own: BTreeMap<Spot, Option<Vec<u8>>>,
    /// Keys read for update.
    watched: BTreeMap<Spot, Watched>,
    messages: Vec<String>,
    operations: u64,
}

/// A key that was read for update: how often it had been changed by then, whether the store was read and
/// not an own write, and what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    times: u64,
    stored: bool,
    value: Option<Vec<u8>>,
}

/// A savepoint: its name, if it is not that of a scope, and what was done by then.
struct Point {
    name: Option<String>,
    id: u64,
    done: Done,
}

struct World {
    rng: fastrand::Rng,
    level: Isolation,
    /// What the branches have, and had when the transaction began.
    now: [Map; 3],
    base: [Map; 3],
    /// How often others have changed a key since it began.
    changed: BTreeMap<Spot, u64>,
    done: Done,
    points: Vec<Point>,
    next_id: u64,
    /// What a serializable transaction has read. The program saw it, so it stays when it rolls back.
    read: Vec<(usize, KeyRange)>,
    written: u64,
    /// The messages that were committed, in order.
    sent: Vec<String>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let levels = [Snapshot, Serializable, ReadCommitted];
        let level = levels[rng.usize(0..levels.len())];
        Self {
            rng,
            level,
            now: Default::default(),
            base: Default::default(),
            changed: BTreeMap::new(),
            done: Done::default(),
            points: Vec::new(),
            next_id: 0,
            read: Vec::new(),
            written: 0,
            sent: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        KEYS[self.rng.usize(0..KEYS.len())].as_bytes().to_vec()
    }

    fn value(&mut self) -> Vec<u8> {
        self.written += 1;
        format!("v{}", self.written).into_bytes()
    }

    fn branch(&mut self) -> usize {
        self.rng.usize(0..BRANCHES.len())
    }

    fn note(&mut self, what: String) {
        self.trace.push(what);
    }

    /// Fills the branches; what is on a parent before its child is made is on the child too.
    fn set_up(&mut self, store: &Scratch) {
        for (n, name) in BRANCHES.into_iter().enumerate() {
            if n > 0 {
                must_branch(store, name, BRANCHES[n - 1]);
                self.now[n] = self.now[n - 1].clone();
            }
            for _ in 0..4 {
                self.outside_on(store, n);
            }
        }
        self.base = self.now.clone();
        self.changed.clear();
    }

    /// Somebody else commits a change.
    fn outside(&mut self, store: &Scratch) {
        let n = self.branch();
        self.outside_on(store, n);
    }

    fn outside_on(&mut self, store: &Scratch, n: usize) {
        let (key, value) = (self.key(), self.value());
        let branch = store.branch(BRANCHES[n]).expect("it is there");
        let delete = self.now[n].contains_key(&key) && self.rng.u8(0..3) == 0;
        let what = if delete { "deletes" } else { "puts" };
        self.note(format!("outside {what} {} on {}", key.escape_ascii(), BRANCHES[n]));
        let done = if delete {
            self.now[n].remove(&key);
            branch.delete(key.clone())
        } else {
            self.now[n].insert(key.clone(), value.clone());
            branch.put(key.clone(), value)
        };
        assert!(matches!(done, Ok(Committed::At(_))), "it changes something: {done:?}");
        *self.changed.entry((n, key)).or_default() += 1;
    }

    /// What the transaction must see of a branch.
    fn visible(&self, n: usize) -> Map {
        let mut out = match self.level {
            ReadCommitted => self.now[n].clone(),
            _ => self.base[n].clone(),
        };
        for ((branch, key), value) in &self.done.own {
            match value {
                _ if *branch != n => {}
                Some(value) => drop(out.insert(key.clone(), value.clone())),
                None => drop(out.remove(key)),
            }
        }
        out
    }

    fn range(&mut self) -> KeyRange {
        let (one, two) = (self.key(), self.key());
        match self.rng.u8(0..4) {
            0 => KeyRange::all(),
            1 => KeyRange::prefix(one),
            2 => KeyRange::new(Bound::Included(one), Bound::Unbounded),
            _ => KeyRange::new(Bound::Excluded(one), Bound::Included(two)),
        }
    }

    /// Reads one branch in every way, and compares.
    fn check(&mut self, tx: &mut Txn<'_>) {
        let n = self.branch();
        let visible = self.visible(n);
        let (key, more, range) = (self.key(), self.key(), self.range());
        let context = format!("{:?} reads {} of {}", self.level, key.escape_ascii(), BRANCHES[n]);
        let view = tx.on(BRANCHES[n]).expect("the branch is there");
        assert_eq!(view.get(&key).expect("get"), visible.get(&key).cloned(), "{context}: a get");
        let there = view.contains(&key).expect("contains");
        assert_eq!(there, visible.contains_key(&key), "{context}: whether it is there");
        let mut wanted: Vec<(Vec<u8>, Vec<u8>)> = visible
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let count = view.count(&range).expect("count");
        assert_eq!(count, wanted.len() as u64, "{context}: a count of {range:?}");
        let forward = must_scan(&view, &range, Direction::Forward);
        assert_eq!(forward, wanted, "{context}: forward in {range:?}");
        wanted.reverse();
        let backward = must_scan(&view, &range, Direction::Backward);
        assert_eq!(backward, wanted, "{context}: backward in {range:?}");
        let several = view.multi_get(&[&more, &key, &more]).expect("multi_get");
        let [one, two] = [&key, &more].map(|key| visible.get(key).cloned());
        assert_eq!(several, [two.clone(), one, two], "{context}: several keys at once");
        self.read.push((n, range));
        for key in [key, more] {
            // A get of an own write has not read the store.
            if !self.done.own.contains_key(&(n, key.clone())) {
                self.read.push((n, KeyRange::key(key)));
            }
        }
    }

    fn write(&mut self, tx: &mut Txn<'_>) {
        let (n, key) = (self.branch(), self.key());
        let value = (self.rng.u8(0..3) > 0).then(|| self.value());
        let what = if value.is_some() { "put" } else { "delete" };
        self.note(format!("{what} {} on {}", key.escape_ascii(), BRANCHES[n]));
        let mut on = tx.on(BRANCHES[n]).expect("the branch is there");
        match &value {
            Some(value) => on.put(key.clone(), value.clone()).expect("put"),
            None => on.delete(key.clone()).expect("delete"),
        }
        self.done.own.insert((n, key), value);
        self.done.operations += 1;
    }

    fn enqueue(&mut self, tx: &mut Txn<'_>) {
        self.written += 1;
        let payload = format!("<message {}>", self.written);
        self.note(format!("enqueue {payload}"));
        tx.enqueue("topic", payload.clone()).expect("enqueue");
        self.done.messages.push(payload);
    }

    fn read_for_update(&mut self, tx: &mut Txn<'_>) {
        let (n, key) = (self.branch(), self.key());
        self.note(format!("get {} on {} for update", key.escape_ascii(), BRANCHES[n]));
        let value = tx.on(BRANCHES[n]).and_then(|mut on| on.get_for_update(&key)).expect("a read");
        let spot = (n, key);
        let stored = !self.done.own.contains_key(&spot);
        let wanted = match self.done.watched.get(&spot) {
            // Whatever others do, what it rests on is what it has read first.
            Some(watched) if stored => watched.value.clone(),
            _ => self.visible(n).get(&spot.1).cloned(),
        };
        assert_eq!(value, wanted, "{:?}: for update", self.level);
        if stored {
            // It is a read besides, and of these a serializable transaction forgets none.
            self.read.push((n, KeyRange::key(spot.1.clone())));
        }
        let times = self.changed.get(&spot).copied().unwrap_or(0);
        self.done.watched.entry(spot).or_insert(Watched { times, stored, value });
    }

    fn savepoint(&mut self, tx: &mut Txn<'_>) {
        let name = NAMES[self.rng.usize(0..NAMES.len())];
        let made = tx.savepoint(name);
        if self.find(name).is_some() {
            self.note(format!("savepoint {name} again"));
            named(made, ErrorKind::Exists, name);
        } else {
            self.note(format!("savepoint {name}"));
            made.expect("SAVE-1: the name is free");
            self.push_point(Some(name));
        }
    }

    fn push_point(&mut self, name: Option<&str>) -> u64 {
        self.next_id += 1;
        let (name, done) = (name.map(str::to_owned), self.done.clone());
        self.points.push(Point { name, id: self.next_id, done });
        self.next_id
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.points.iter().position(|point| point.name.as_deref() == Some(name))
    }

    fn go_back(&mut self, tx: &mut Txn<'_>, keep: bool) {
        let set: Vec<&str> = self.names();
        let one_of = match set.is_empty() || self.rng.u8(0..4) == 0 {
            // One that is not there, perhaps.
            true => NAMES.to_vec(),
            false => set,
        };
        let name = one_of[self.rng.usize(0..one_of.len())].to_owned();
        self.note(format!("{} {name}", if keep { "release" } else { "rollback to" }));
        let done = if keep { tx.release(&name) } else { tx.rollback_to(&name) };
        match self.find(&name) {
            None => named(done, ErrorKind::NotFound, &name),
            Some(at) => {
                done.expect("SAVE-1: the name is there");
                self.cut(at, keep);
            }
        }
    }

    /// Removes a savepoint and all newer ones, and what was done since, unless that is kept.
    fn cut(&mut self, at: usize, keep: bool) {
        let mut cut = self.points.drain(at..);
        if let Some(point) = cut.next().filter(|_| !keep) {
            self.done = point.done;
        }
    }

    fn names(&self) -> Vec<&'static str> {
        let known = |name: &str| NAMES.into_iter().find(|known| *known == name);
        self.points.iter().filter_map(|point| known(point.name.as_deref()?)).collect()
    }

    /// Some steps in a scope, which is kept or not. Savepoints from before it can be reached from within.
    fn scope(&mut self, store: &Scratch, tx: &mut Txn<'_>, depth: u32) {
        let id = self.push_point(None);
        self.note(format!("scope {id}"));
        let mut scope = tx.scope();
        for _ in 0..self.rng.usize(0..8) {
            self.step(store, scope.txn(), depth + 1);
        }
        let keep = self.rng.bool();
        self.note(format!("{} scope {id}", if keep { "keep" } else { "drop" }));
        if keep {
            scope.keep();
        } else {
            drop(scope);
        }
        if let Some(at) = self.points.iter().position(|point| point.id == id) {
            self.cut(at, keep);
        }
    }

    fn step(&mut self, store: &Scratch, tx: &mut Txn<'_>, depth: u32) {
        match self.rng.u8(0..24) {
            0..6 => self.write(tx),
            6..8 => self.read_for_update(tx),
            8..12 => self.savepoint(tx),
            12..15 => self.go_back(tx, false),
            15 => self.go_back(tx, true),
            16 => named(tx.savepoint(""), ErrorKind::Invalid, ""),
            17 => self.outside(store),
            18 => self.enqueue(tx),
            19 if depth < 4 => self.scope(store, tx, depth),
            _ => self.check(tx),
        }
        assert_eq!(tx.savepoints().collect::<Vec<_>>(), self.names(), "SAVE-1: in creation order");
        assert_eq!(tx.operations(), self.done.operations, "SAVE-2: the count of operations");
        assert_eq!(tx.len(), self.done.own.len(), "SAVE-2: the keys that are written");
    }

    /// The keys that must be named if it is refused, and those that may be.
    fn conflicts(&self) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
        let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
        for (spot, times) in &self.changed {
            let watched = self.done.watched.get(spot);
            let read = self.read.iter().any(|(n, range)| *n == spot.0 && range.contains(&spot.1));
            let (sure, possible) = match self.level {
                ReadCommitted => {
                    let later = watched.filter(|watched| *times > watched.times);
                    (later.is_some_and(|watched| watched.stored), later.is_some())
                }
                level => {
                    let counts = level == Serializable && read && self.is_writer();
                    let tracked = self.done.own.contains_key(spot) || watched.is_some() || counts;
                    (tracked, tracked)
                }
            };
            must.extend(sure.then(|| spot.1.clone()));
            may.extend(possible.then(|| spot.1.clone()));
        }
        (must, may)
    }

    /// Whether it does more than to read.
    fn is_writer(&self) -> bool {
        let Done { own, watched, messages, .. } = &self.done;
        !(own.is_empty() && watched.is_empty() && messages.is_empty())
    }

    fn end(&mut self, store: &Scratch, tx: Txn<'_>) {
        let (must, may) = self.conflicts();
        let before = store.latest();
        if self.rng.u8(0..8) == 0 {
            self.note("give up".to_owned());
            tx.rollback();
            assert_eq!(store.latest(), before, "nothing is stored");
            return self.compare(store);
        }
        self.note(format!("commit, {must:?} of {may:?} in the way"));
        match tx.commit(CommitOptions::default()) {
            Ok(done) => {
                assert!(must.is_empty(), "TXN-2: {must:?} changed, and there is no conflict");
                let was = self.now.clone();
                for ((n, key), value) in &self.done.own {
                    match value {
                        Some(value) => drop(self.now[*n].insert(key.clone(), value.clone())),
                        None => drop(self.now[*n].remove(key)),
                    }
                }
                let mut changed = was.iter().zip(&self.now).filter(|(was, now)| was != now).count();
                if changed == 0 && !self.done.messages.is_empty() {
                    // The messages have their place among the commits.
                    changed = 1;
                }
                self.sent.append(&mut self.done.messages);
                assert_eq!(done.seq().is_some(), changed > 0, "KV-3: {done:?}");
                let commits = store.latest().get() - before.get();
                assert_eq!(commits, changed as u64, "one commit for each branch that changes");
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Conflict, "only a conflict stops it: {e:?}");
                let lost: BTreeSet<Vec<u8>> = e.keys().iter().cloned().collect();
                assert!(!lost.is_empty(), "TXN-2: a conflict names its keys");
                assert!(lost.is_superset(&must), "TXN-2: all are named: {must:?} of {lost:?}");
                assert!(
                    lost.is_subset(&may),
                    "SAVE-2: what was taken back is not in the way: {lost:?} not in {may:?}"
                );
                assert_eq!(store.latest(), before, "nothing is stored");
            }
        }
        self.compare(store);
    }

    /// What the branches have, read back.
    fn compare(&self, store: &Scratch) {
        for (n, name) in BRANCHES.into_iter().enumerate() {
            let branch = store.branch(name).expect("it is there");
            let rows: Map =
                must_scan(&branch, &KeyRange::all(), Direction::Forward).into_iter().collect();
            assert_eq!(rows, self.now[n], "what {name} has at the end");
        }
    }

    fn run(&mut self) {
        let mut store = Scratch::new();
        self.set_up(&store);
        for _ in 0..10 {
            let first = self.branch();
            self.note(format!("begin on {} at {:?}", BRANCHES[first], self.level));
            self.base = self.now.clone();
            self.changed.clear();
            self.read.clear();
            self.points.clear();
            self.done = Done::default();
            let mut tx = store.begin_with(BRANCHES[first], at(self.level)).expect("begin");
            for _ in 0..self.rng.usize(5..60) {
                self.step(&store, &mut tx, 0);
            }
            self.end(&store, tx);
        }
        store.reopen();
        self.compare(&store);
        store.close();
        let rows = raw_rows(&store.path());
        let state = rows.into_iter().filter(|((family, _), _)| *family == "state");
        let sent: Vec<String> = state.filter_map(|(_, value)| message_in(&value)).collect();
        assert_eq!(sent, self.sent, "SAVE-2: the messages of what was committed, in that order");
    }
}

/// The message that a stored row holds.
fn message_in(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let start = text.find("<message ")?;
    let end = text[start..].find('>')?;
    Some(text[start..=start + end].to_owned())
}

/// A refusal that names the savepoint, and changes nothing.
#[track_caller]
fn named(result: Result<(), Error>, kind: ErrorKind, name: &str) {
    let e = must_fail(result, kind);
    assert!(e.to_string().contains(name), "SAVE-1: the message names {name:?}: {e}");
}

#[test]
fn save_1_save_2_random_savepoints_match_a_stack_of_maps() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| world.run());
        let Err(cause) = std::panic::catch_unwind(run) else { continue };
        let what = cause
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| cause.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        let begun = world.trace.iter().rposition(|step| step.starts_with("begin"));
        let last = begun.unwrap_or(0);
        let steps = world.trace[last..].join("\n  ");
        panic!("{what}\nWITHY_SEED={seed} runs it again; the last steps were\n  {steps}");
    }
}
