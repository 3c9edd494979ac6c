//! FEED-2: named cursors: every event at least once and in order, one reader at a time, and nothing is
//! collected that a reader with a lease has still to see.

mod kill;
mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use withy::{
    Clock, Create, Cursor, CursorOptions, DeleteOptions, Durability, ErrorKind, FeedEvent,
    GcOptions, KeyRange, Seq, Setting, Store, Timestamp,
};

use crate::support::{TickingClock, must_branch, must_delete, must_fail, must_put, must_verify};

/// A clock that stands still until it is told otherwise.
struct Hand(AtomicI64);

impl Hand {
    fn go(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store whose clock is moved by hand, and in which only the newest commit is kept by itself.
struct World {
    store: Option<Store>,
    clock: Arc<Hand>,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let clock = Arc::new(Hand(AtomicI64::new(TickingClock::START.as_millis())));
        let mut world = Self { store: None, clock, dir };
        world.reopen();
        world.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
        world.set_config(Setting::Retention, Some("count=1")).expect("a setting");
        world
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        let options = Store::options().durability(Durability::Buffered).clock(self.clock.clone());
        self.store = Some(options.open(self.dir.path()).expect("the store opens"));
    }

    /// Collects a second later.
    fn must_gc(&self) {
        self.clock.go(1);
        self.gc(GcOptions::default().compact(false)).expect("a collection");
    }
}

impl std::ops::Deref for World {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }
}

fn by(owner: &str) -> CursorOptions {
    CursorOptions::default().owner(owner)
}

fn must_open(store: &Store, name: &str, options: CursorOptions) -> Cursor {
    store.cursor(name, options).unwrap_or_else(|e| panic!("cursor {name}: {e:?}"))
}

fn seqs(events: &[FeedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.commit.seq.get()).collect()
}

fn must_read(cursor: &mut Cursor, limit: usize) -> Vec<u64> {
    let batch = cursor.next_batch(limit);
    seqs(&batch.unwrap_or_else(|e| panic!("cursor {}: {e:?}", cursor.name())))
}

fn put_some(store: &Store, from: u64, upto: u64) {
    let main = store.main().expect("main");
    for n in from..=upto {
        must_put(&main, "n", &n.to_string());
    }
}

#[test]
fn feed_2_a_cursor_goes_on_after_what_was_acknowledged() {
    let mut world = World::new();
    put_some(&world, 1, 3);
    let mut cursor = must_open(&world, "mirror", by("ann").after(Seq::ROOT));
    assert_eq!(must_read(&mut cursor, 2), [1, 2], "a batch has at most as many as asked for");
    cursor.ack(Seq::new(1)).expect("ack");
    assert_eq!(must_read(&mut cursor, 9), [3], "reading goes on, acknowledged or not");
    drop(cursor);
    world.reopen();
    put_some(&world, 4, 4);
    let mut cursor = must_open(&world, "mirror", by("ann"));
    assert_eq!(cursor.acked(), Seq::new(1), "the place outlives the process");
    assert_eq!(must_read(&mut cursor, 9), [2, 3, 4], "what was not acknowledged comes again");
    cursor.ack(cursor.position()).expect("ack");
    cursor.release().expect("release");
    let mut cursor = must_open(&world, "mirror", by("ben").after(Seq::ROOT));
    assert_eq!(must_read(&mut cursor, 9), [0; 0], "the start counts for a new cursor only");
    let mut late = must_open(&world, "late", by("cid"));
    assert_eq!(must_read(&mut late, 9), [0; 0], "a new cursor starts with what comes");
    put_some(&world, 5, 5);
    assert_eq!(must_read(&mut late, 9), [5], "and gets it");
    let future = world.cursor("future", by("dan").after(Seq::new(6)));
    must_fail(future.map(|_| ()), ErrorKind::NotFound);
    must_verify(&world);
}

#[test]
fn feed_2_one_reader_at_a_time_and_who_has_lost_the_lease_is_refused() {
    let world = World::new();
    put_some(&world, 1, 3);
    let mut ann = must_open(&world, "mirror", by("ann").after(Seq::ROOT));
    assert_eq!(must_read(&mut ann, 2), [1, 2], "it reads");
    let refused = must_fail(world.cursor("mirror", by("ben")).map(|_| ()), ErrorKind::Busy);
    assert_eq!(
        refused.to_string(),
        "cursor mirror is held by ann until 2026-01-01T00:01:00Z",
        "owner and end of the lease are named"
    );
    must_fail(world.cursor("mirror", Default::default()).map(|_| ()), ErrorKind::Busy);
    world.clock.go(59);
    must_fail(world.cursor("mirror", by("ben")).map(|_| ()), ErrorKind::Busy);
    ann.renew().expect("a lease is renewed");
    world.clock.go(60);
    ann.ack(Seq::new(1)).expect("a lease that has lapsed and that nobody took is taken up again");
    world.clock.go(60);
    let mut ben = must_open(&world, "mirror", by("ben"));
    for lost in [ann.ack(Seq::new(2)), ann.renew(), ann.reset(Seq::ROOT)] {
        let lost = must_fail(lost, ErrorKind::LeaseLost);
        assert!(lost.to_string().ends_with("ben has taken it"), "{lost}");
    }
    must_fail(ann.next_batch(1), ErrorKind::LeaseLost);
    must_fail(ann.release(), ErrorKind::LeaseLost);
    assert_eq!(must_read(&mut ben, 9), [2, 3], "the new reader starts after what is acknowledged");
    let mut again = must_open(&world, "mirror", by("ben"));
    must_fail(ben.ack(Seq::new(2)), ErrorKind::LeaseLost);
    assert_eq!(must_read(&mut again, 9), [2, 3], "the same owner takes it again at once");
    again.release().expect("release");
    must_fail(ben.renew(), ErrorKind::LeaseLost);
    drop(must_open(&world, "mirror", by("cid")));
    world.delete_cursor("mirror").expect("delete");
    let mut fresh = must_open(&world, "mirror", by("ben").after(Seq::ROOT));
    let lost = must_fail(ben.ack(Seq::new(3)), ErrorKind::LeaseLost);
    assert!(lost.to_string().contains("lost"), "a cursor that was made anew is another: {lost}");
    assert_eq!(must_read(&mut fresh, 9), [1, 2, 3], "and starts where it was told to");
}

#[test]
fn feed_2_an_acknowledgement_neither_goes_back_nor_beyond_what_was_given() {
    let world = World::new();
    put_some(&world, 1, 5);
    let mut cursor = must_open(&world, "mirror", by("ann").after(Seq::new(1)));
    must_fail(cursor.ack(Seq::new(2)), ErrorKind::Invalid);
    assert_eq!(must_read(&mut cursor, 2), [2, 3], "it reads");
    cursor.ack(Seq::new(3)).expect("ack");
    must_fail(cursor.ack(Seq::new(2)), ErrorKind::Invalid);
    must_fail(cursor.ack(Seq::new(4)), ErrorKind::Invalid);
    cursor.ack(Seq::new(3)).expect("what is acknowledged can be said again");
    assert_eq!(
        world.cursors().expect("list")[0].acked,
        Seq::new(3),
        "what is refused does nothing"
    );
    cursor.reset(Seq::ROOT).expect("a reset goes back");
    assert_eq!(must_read(&mut cursor, 9), [1, 2, 3, 4, 5], "and everything comes again");
    cursor.reset(Seq::new(4)).expect("or forth");
    assert_eq!(must_read(&mut cursor, 9), [5], "and passes over");
    must_fail(cursor.reset(Seq::new(6)), ErrorKind::NotFound);
}

#[test]
fn feed_2_branch_and_keys_are_fixed_when_a_cursor_is_made() {
    let world = World::new();
    let main = world.main().expect("main");
    must_put(&main, "a/1", "1");
    let topic = must_branch(&world, "topic", "main");
    must_put(&topic, "a/2", "2");
    must_put(&topic, "b/1", "3");
    must_delete(&topic, "a/1");
    let a = || KeyRange::prefix("a/");
    let made = by("ann").after(Seq::ROOT).branch("topic").range(a());
    must_open(&world, "a", made).release().expect("release");
    let mut cursor = must_open(&world, "a", by("ann"));
    assert_eq!(must_read(&mut cursor, 9), [2, 4], "it goes on as it was made");
    assert_eq!(cursor.position(), Seq::new(4), "the rest is passed over");
    drop(must_open(&world, "a", by("ann").branch("topic").range(a())));
    for other in [by("ann").branch("main"), by("ann").range(KeyRange::prefix("b/"))] {
        let refused = must_fail(world.cursor("a", other).map(|_| ()), ErrorKind::Invalid);
        assert!(refused.to_string().starts_with("cursor a was made for"), "{refused}");
    }
    let listed = world.cursors().expect("list").remove(0);
    assert_eq!(listed.branch.as_deref(), Some("topic"), "the list names the branch");
    assert_eq!(listed.range, a(), "and the keys");
    must_fail(world.cursor("", by("ann")).map(|_| ()), ErrorKind::Invalid);
    must_fail(world.cursor("x", by("")).map(|_| ()), ErrorKind::Invalid);
    must_fail(world.cursor("x", by("ann").lease(Duration::ZERO)).map(|_| ()), ErrorKind::Invalid);
}

#[test]
fn feed_2_a_jump_of_the_clock_holds_a_cursor_for_twice_its_lease_at_most() {
    let world = World::new();
    let mut ann = must_open(&world, "mirror", by("ann"));
    world.clock.go(-59);
    must_fail(world.cursor("mirror", by("ben")).map(|_| ()), ErrorKind::Busy);
    world.clock.go(-3600);
    let mut ben = must_open(&world, "mirror", by("ben"));
    must_fail(ann.ack(Seq::ROOT), ErrorKind::LeaseLost);
    world.clock.go(7200);
    ben.renew().expect("a jump ahead ends the lease, and it is still there for the taking");
    must_fail(world.cursor("mirror", by("ann")).map(|_| ()), ErrorKind::Busy);
}

#[test]
fn feed_2_cursors_are_listed_and_deleted_and_a_reader_of_the_store_only_lists() {
    let mut world = World::new();
    drop(must_open(&world, "b", by("ann")));
    must_open(&world, "a", by("ben")).release().expect("release");
    world.clock.go(10);
    world.reopen();
    let reader = Store::options().read_only(true).create(Create::Never).clock(world.clock.clone());
    let reader = reader.open(world.dir.path()).expect("it opens");
    for store in [&*world, &reader] {
        let listed: Vec<_> = store
            .cursors()
            .expect("list")
            .into_iter()
            .map(|c| (c.name, c.holder, c.until.is_some()))
            .collect();
        let wanted =
            [("a".to_owned(), None, false), ("b".to_owned(), Some("ann".to_owned()), true)];
        assert_eq!(listed, wanted, "by name, with who holds it");
    }
    must_fail(reader.cursor("a", by("ann")).map(|_| ()), ErrorKind::ReadOnly);
    must_fail(reader.delete_cursor("a"), ErrorKind::ReadOnly);
    world.delete_cursor("a").expect("delete");
    must_fail(world.delete_cursor("a"), ErrorKind::NotFound);
    assert_eq!(world.cursors().expect("list").len(), 1, "one is left");
    must_verify(&world);
}

#[test]
fn feed_2_gc_keeps_what_a_lease_has_still_to_read_and_an_expired_one_frees_it() {
    let mut world = World::new();
    put_some(&world, 1, 4);
    let topic = must_branch(&world, "topic", "main");
    must_put(&topic, "n", "5");
    must_put(&topic, "large", &"x".repeat(20_000));
    drop(topic);
    world.delete_branch("topic", DeleteOptions::default().force(true)).expect("delete");
    put_some(&world, 7, 9);
    let mut cursor = must_open(&world, "mirror", by("ann").after(Seq::new(2)));
    let before = cursor.next_batch(99).expect("events");
    assert_eq!(seqs(&before), [3, 4, 5, 6, 7, 8, 9], "everything after the start");
    cursor.ack(Seq::new(3)).expect("ack");
    world.must_gc();
    assert_eq!(world.feed_start().expect("a position"), Seq::new(3), "what is done goes");
    must_verify(&world);
    drop(cursor);
    world.reopen();
    let mut cursor = must_open(&world, "mirror", by("ann"));
    let after = cursor.next_batch(99).expect("events");
    assert_eq!(after, before[1..], "the rest is there, on a branch that was deleted too");
    world.clock.go(120);
    world.must_gc();
    assert_eq!(
        world.feed_start().expect("a position"),
        Seq::new(8),
        "an expired lease keeps nothing"
    );
    must_verify(&world);
    let mut late = must_open(&world, "mirror", by("ben"));
    let gone = must_fail(late.next_batch(9), ErrorKind::HistoryGone);
    assert!(gone.to_string().ends_with("8 is the first one"), "{gone}");
    let gone = must_fail(late.reset(Seq::new(7)), ErrorKind::HistoryGone);
    assert!(gone.to_string().ends_with("8 is the first one"), "{gone}");
    let first = world.feed_start().expect("a position");
    late.reset(first).expect("a reset to the first position");
    assert_eq!(must_read(&mut late, 9), [9], "goes on there");
    let early = world.cursor("early", by("cid").after(Seq::new(7)));
    must_fail(early.map(|_| ()), ErrorKind::HistoryGone);
}

#[test]
fn feed_2_a_cursor_that_was_released_keeps_nothing() {
    let world = World::new();
    put_some(&world, 1, 5);
    must_open(&world, "mirror", by("ann").after(Seq::ROOT)).release().expect("release");
    world.must_gc();
    assert_eq!(world.feed_start().expect("a position"), Seq::new(4), "only the newest is kept");
}

#[test]
fn feed_2_a_waiting_reader_keeps_its_lease() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let store = Store::options().durability(Durability::Buffered).open(dir.path()).expect("open");
    let lease = Duration::from_millis(600);
    let mut cursor = must_open(&store, "mirror", by("ann").lease(lease));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || cursor.next_timeout(Duration::from_secs(30)));
        for _ in 0..3 {
            std::thread::sleep(lease * 3 / 4);
            must_fail(store.cursor("mirror", by("ben")).map(|_| ()), ErrorKind::Busy);
        }
        put_some(&store, 1, 1);
        let event = waiting.join().expect("no panic").expect("it reads").expect("a commit");
        assert_eq!(event.commit.seq, Seq::new(1), "what it has waited for");
    });
}
