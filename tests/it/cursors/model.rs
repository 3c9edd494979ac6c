//! FEED-2 against a model: several readers over random histories, with leases, crashes and collections.

use std::collections::BTreeMap;

use fastrand::Rng;
use withy::{BranchOptions, Cursor, DeleteOptions, ErrorKind, FeedEvent, Seq};

use super::{World, by, must_open};
use crate::support::{is_long, must_fail, must_put, must_verify};

const CURSORS: [&str; 3] = ["a", "b", "c"];
const BRANCHES: [&str; 3] = ["main", "one", "two"];

/// A reader as it should be.
#[derive(Default)]
struct Reader {
    handle: Option<Cursor>,
    /// Handles whose lease was taken by a later one.
    lost: Vec<Cursor>,
    acked: u64,
    position: u64,
    until: i64,
    /// Whether a collection may have passed it.
    passed: bool,
    owners: u32,
}

struct Model {
    world: World,
    /// Branch, key and value of each commit, by sequence.
    commits: BTreeMap<u64, (String, Vec<u8>, Vec<u8>)>,
    readers: [Reader; 3],
    given: usize,
    gone: usize,
}

impl Model {
    fn now(&self) -> i64 {
        use withy::Clock as _;
        self.world.clock.now().as_millis()
    }

    fn put(&mut self, rng: &mut Rng) {
        let name = BRANCHES[rng.usize(..BRANCHES.len())];
        if self.world.branch(name).is_err() {
            let made = self.world.create_branch(name, "main", BranchOptions::default());
            made.expect("a branch");
        }
        let branch = self.world.branch(name).expect("it is there");
        let n = self.commits.len() + 1;
        let value = match rng.u8(..8) {
            0 => format!("{n} {}", "large ".repeat(4_000)),
            _ => n.to_string(),
        };
        let key = format!("k{}", rng.u8(..4));
        let seq = must_put(&branch, &key, &value);
        self.commits.insert(seq.get(), (name.to_owned(), key.into(), value.into()));
    }

    fn check(&self, event: &FeedEvent, after: u64) {
        let seq = event.commit.seq.get();
        assert_eq!(seq, after + 1, "INV-67: in order, and nothing is skipped");
        let (branch, key, value) = &self.commits[&seq];
        assert_eq!(event.commit.branch.to_string(), *branch, "commit {seq}: its branch");
        assert_eq!(event.changes.len(), 1, "commit {seq} is whole");
        let change = &event.changes[0];
        assert_eq!(&change.key, key, "commit {seq}: its key");
        assert_eq!(change.value.as_ref(), Some(value), "commit {seq}: its value");
    }

    fn open(&mut self, at: usize) {
        let now = self.now();
        let (name, reader) = (CURSORS[at], &mut self.readers[at]);
        let is_held = now < reader.until;
        reader.owners += 1;
        let owner = format!("reader {}", reader.owners);
        let opened = self.world.cursor(name, by(&owner));
        if is_held {
            must_fail(opened.map(|_| ()), ErrorKind::Busy);
            return;
        }
        let cursor = opened.expect("INV-67: a lease that has lapsed can be taken");
        assert_eq!(cursor.acked().get(), reader.acked, "INV-67: it is where it was acknowledged");
        reader.lost.extend(reader.handle.take());
        (reader.position, reader.until) = (reader.acked, cursor.until().as_millis());
        reader.handle = Some(cursor);
    }

    fn read(&mut self, at: usize, rng: &mut Rng) {
        let reader = &mut self.readers[at];
        let Some(mut cursor) = reader.handle.take() else { return };
        match cursor.next_batch(rng.usize(1..8)) {
            Ok(events) => {
                for event in &events {
                    self.check(event, self.readers[at].position);
                    self.readers[at].position += 1;
                }
                self.given += events.len();
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::HistoryGone, "no other error: {e:?}");
                let first = self.world.feed_start().expect("a position");
                let reader = &mut self.readers[at];
                assert!(reader.passed, "INV-68: what a lease keeps is there: {e}");
                assert!(e.to_string().contains(&format!("; {first} is the first one")), "{e}");
                cursor.reset(first).expect("a reset to the first position");
                (reader.acked, reader.position) = (first.get(), first.get());
                reader.passed = false;
                self.gone += 1;
            }
        }
        let reader = &mut self.readers[at];
        assert_eq!(
            cursor.position().get(),
            reader.position,
            "the position is behind what was given"
        );
        reader.until = cursor.until().as_millis();
        reader.handle = Some(cursor);
    }

    fn ack(&mut self, at: usize, rng: &mut Rng) {
        let reader = &mut self.readers[at];
        let Some(cursor) = &mut reader.handle else { return };
        let seq = rng.u64(reader.acked..=reader.position);
        cursor.ack(Seq::new(seq)).expect("what was given can be acknowledged");
        (reader.acked, reader.until) = (seq, cursor.until().as_millis());
        for mut lost in reader.lost.drain(..) {
            let position = lost.position();
            must_fail(lost.ack(position), ErrorKind::LeaseLost);
        }
    }

    fn collect(&mut self) {
        self.world.must_gc();
        let now = self.now();
        let start = self.world.feed_start().expect("a position").get();
        for reader in &mut self.readers {
            let is_held = now < reader.until;
            assert!(!is_held || reader.passed || start <= reader.acked, "INV-68: kept by a lease");
            reader.passed |= !is_held;
        }
    }

    /// The process ends, and another opens the store.
    fn crash(&mut self) {
        for reader in &mut self.readers {
            reader.handle = None;
            reader.lost.clear();
        }
        self.world.reopen();
    }
}

fn history(seed: u64) -> (usize, usize) {
    let mut rng = Rng::with_seed(seed);
    let readers = std::array::from_fn(|_| Reader::default());
    let mut model =
        Model { world: World::new(), commits: BTreeMap::new(), readers, given: 0, gone: 0 };
    for name in CURSORS {
        must_open(&model.world, name, by("first").after(Seq::ROOT)).release().expect("release");
    }
    for _ in 0..120 {
        let at = rng.usize(..CURSORS.len());
        match rng.u8(..20) {
            0..=5 => model.put(&mut rng),
            6..=7 => model.open(at),
            8..=11 => model.read(at, &mut rng),
            12..=14 => model.ack(at, &mut rng),
            15..=16 => model.world.clock.go(rng.i64(1..40)),
            17 => model.collect(),
            18 => {
                let name = BRANCHES[rng.usize(1..BRANCHES.len())];
                // It may not be there.
                let _ = model.world.delete_branch(name, DeleteOptions::default().force(true));
            }
            _ => model.crash(),
        }
    }
    // In the end everything comes, once more if it was not acknowledged.
    model.world.clock.go(3_600);
    for at in 0..CURSORS.len() {
        model.open(at);
        while model.readers[at].position < model.commits.len() as u64 {
            model.read(at, &mut rng);
        }
        model.readers[at].acked = model.readers[at].position;
    }
    must_verify(&model.world);
    (model.given, model.gone)
}

#[test]
fn feed_2_every_event_comes_at_least_once_and_in_order_whoever_crashes_and_whatever_is_collected() {
    let long = is_long();
    let (mut given, mut gone) = (0, 0);
    for seed in 0..if long { 1_000 } else { 25 } {
        let done = std::panic::catch_unwind(|| history(seed));
        let done = done.unwrap_or_else(|_| panic!("seed {seed}"));
        (given, gone) = (given + done.0, gone + done.1);
    }
    assert!(given > 500 && gone > 5, "it was tried: {given} events, {gone} times gone");
}
