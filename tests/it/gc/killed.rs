//! OPS-7: collections that are killed at random, beside a writer, under tags, branches, an open merge, and cursors with leases:
//! every pinned commit is what it was, and once nothing is pinned no row is left that nothing needs.
//!
//! 1,000 keys are overwritten 50 times and half of them deleted. In some rounds another process has the store:
//! one thread writes, another collects and compacts, until it is killed. `WITHY_LONG=1` runs 20 seeds.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use withy::{
    CommitOptions, CursorOptions, DeleteOptions, Durability, ErrorKind, GcOptions, MergeOptions,
    Seq, Setting, Store, TagOptions, Timestamp,
};

use super::left::must_need_all;
use super::retention::{
    KEYS, ROUNDS, World, batch_of, bytes_of, changes, check, check_view, files_of, fresh_copy, key,
    set,
};
use crate::support::{TickingClock, is_long, must_verify};

const STORE: &str = "WITHY_TEST_GC_KILLED";
/// The time, the seed, the first round and the one after the last.
const FROM: &str = "WITHY_TEST_GC_KILLED_FROM";
/// A process that is killed writes so many rounds at most.
const ROUNDS_AT_MOST: u64 = 4;
const PARTS: u64 = 4;
const DAY: i64 = 24 * 3_600_000;

fn open(path: &Path, clock: &Arc<TickingClock>) -> Store {
    let clock = Arc::clone(clock);
    let options = Store::options().durability(Durability::Buffered).author("tester").clock(clock);
    options.open(path).expect("the store opens")
}

/// The keys of one of the commits that a round has on main.
fn share(part: u64) -> std::ops::Range<u64> {
    part * KEYS / PARTS..(part + 1) * KEYS / PARTS
}

/// Not a test by itself: the process that is killed.
#[test]
fn worker() {
    let (Ok(path), Ok(from)) = (std::env::var(STORE), std::env::var(FROM)) else { return };
    let numbers: Vec<u64> = from.split(' ').map(|n| n.parse().expect("a number")).collect();
    let [time, seed, first, end] = numbers[..] else { panic!("four numbers") };
    let clock = TickingClock::new();
    clock.set(Timestamp::from_millis(i64::try_from(time).expect("a time")));
    let path = PathBuf::from(path);
    let store = open(&path, &clock);
    let mut acknowledged = std::fs::File::create(path.with_file_name("acknowledged"));
    let acknowledged = acknowledged.as_mut().expect("a file is made");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                let options = GcOptions::default().compact(n % 2 == 0);
                store.gc(options).expect("a collection");
                if n % 4 == 3 {
                    store.compact_overlays("deep").expect("read layers");
                }
            }
        });
        let main = store.main().expect("main");
        for round in first..end {
            for part in 0..PARTS {
                let batch = batch_of(&changes("main", (seed, round), share(part)));
                let done = main.write(batch, CommitOptions::default()).expect("it is written");
                if let Some(seq) = done.seq() {
                    writeln!(acknowledged, "{seq}").expect("it is noted");
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        std::thread::sleep(Duration::from_secs(60));
    });
}

struct Run {
    dir: tempfile::TempDir,
    clock: Arc<TickingClock>,
    now: i64,
    seed: u64,
    world: World,
    /// Up to here the cursor that lasts has acknowledged.
    acked: Seq,
    kills: u32,
}

impl Run {
    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Opens the store a day later.
    fn open(&mut self) -> Store {
        self.now += DAY;
        self.clock.set(Timestamp::from_millis(self.now));
        open(&self.path(), &self.clock)
    }

    /// Lets another process write these rounds while it collects, and kills it.
    fn kill(&mut self, rounds: std::ops::Range<u64>) {
        self.now += DAY;
        let child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "gc::killed::worker", "--nocapture", "--test-threads=1"])
            .env(STORE, self.path())
            .env(FROM, format!("{} {} {} {}", self.now, self.seed, rounds.start, rounds.end))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child: Child = child.expect("a process starts");
        std::thread::sleep(Duration::from_millis(self.world.random.u64(60..400)));
        child.kill().expect("it is killed");
        let ended = child.wait_with_output().expect("it has ended");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code().is_none(), "it was killed, and had not ended before: {said}");
        self.kills += 1;
    }

    /// Takes over what the killed process has committed, and finishes the round that it was in.
    fn take_over(&mut self, first: u64) -> u64 {
        let store = self.open();
        let noted = std::fs::read_to_string(self.dir.path().join("acknowledged"));
        let noted = noted.unwrap_or_default();
        let whole = noted.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let acknowledged = whole.lines().last().map_or(0, |seq| seq.parse().expect("a number"));
        let latest = store.latest();
        assert!(latest.get() >= acknowledged, "{latest} is there, {acknowledged} was acknowledged");
        let main = store.main().expect("main");
        for round in first..first + ROUNDS_AT_MOST {
            for part in 0..PARTS {
                let newest = self.world.commits.keys().last().copied().expect("the root");
                if newest < latest {
                    let done = changes("main", (self.seed, round), share(part));
                    self.world.wrote("main", Seq::new(newest.get() + 1), done);
                } else if part > 0 || round == first {
                    self.world.write(&main, round, share(part));
                } else {
                    self.check(&store, &format!("killed before round {round}"));
                    return round;
                }
            }
        }
        self.check(&store, "killed after its last round");
        first + ROUNDS_AT_MOST
    }

    /// What is pinned is what it was, the cursor reads on, and nothing is wrong.
    fn check(&mut self, store: &Store, what: &str) {
        let what = format!("seed {}, {what}", self.seed);
        must_verify(store);
        check(store, &self.world, 3, &what);
        let mut cursor = store.cursor("lasts", holder()).expect("its own cursor");
        assert_eq!(cursor.acked(), self.acked, "{what}: the cursor is where it was");
        let mut last = self.acked;
        loop {
            let batch = cursor.next_batch(100).expect("a lease keeps what follows");
            for event in &batch {
                assert_eq!(
                    event.commit.seq.get(),
                    last.get() + 1,
                    "{what}: nothing is passed over"
                );
                last = event.commit.seq;
                let rows = self.world.rows(last);
                for change in &event.changes {
                    let is_same = rows.get(&change.key) == change.value.as_ref();
                    assert!(is_same, "{what}: the cursor at {last}");
                }
            }
            if batch.is_empty() {
                break;
            }
        }
        assert_eq!(last, store.latest(), "{what}: the cursor reads to the end");
        // It follows a few rounds behind.
        let line = &self.world.branches["main"];
        self.acked = self.acked.max(line[line.len().saturating_sub(20)]);
        cursor.ack(self.acked).expect("it is acknowledged");
    }

    fn pin(&mut self, store: &Store, round: u64) {
        let head = self.world.head("main");
        if round % 9 == 4 {
            let name = format!("v{round}");
            store.create_tag(&name, "main", TagOptions::default()).expect("a tag");
            self.world.tags.insert(name, head);
        }
        if round % 8 == 3 {
            let deepest = if self.world.branches.contains_key("deep") { "deep" } else { "main" };
            let from = self.world.head(if round % 16 == 3 { "main" } else { deepest });
            let branch = self.world.branch(store, &format!("topic{round}"), from);
            self.world.write(&branch, round, 100..200);
            self.world.write(&branch, round + 1, 150..250);
        }
    }
}

fn holder() -> CursorOptions {
    CursorOptions::default().owner("reader").lease(Duration::from_secs(365 * 86_400))
}

/// A deep branch, a merge that stays open, a cursor whose lease lasts, and one whose lease lapses.
fn begin(run: &mut Run) {
    let store = run.open();
    set(&store, Setting::Retention, "count=3");
    set(&store, Setting::UndoAge, "0s");
    let main = store.main().expect("main");
    run.world.write(&main, 0, 0..KEYS);
    for name in ["deep", "left", "right"] {
        let from = run.world.head(if name == "deep" { "main" } else { "deep" });
        let branch = run.world.branch(&store, name, from);
        run.world.write(&branch, 1, 0..60);
    }
    run.world.needed = vec![run.world.head("left"), run.world.head("right")];
    let keep = MergeOptions::default().keep_open(true);
    store.merge("left", "right", keep).expect("it stops at its conflicts");
    for round in 2..7 {
        for name in ["left", "right"] {
            run.world.write(&store.branch(name).expect("it is there"), round, 60..90);
        }
    }
    run.acked = store.latest();
    drop(store.cursor("lasts", holder().after(run.acked)).expect("a cursor"));
    let short = CursorOptions::default().owner("late").lease(Duration::from_secs(60));
    drop(store.cursor("lapses", short.after(Seq::ROOT)).expect("a cursor"));
}

fn run(seed: u64) {
    let (clock, now) = (TickingClock::new(), TickingClock::START.as_millis());
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let mut world = World::new(seed);
    world.every = if is_long() { 1 } else { 16 };
    let mut run = Run { dir, clock, now, seed, world, acked: Seq::ROOT, kills: 0 };
    begin(&mut run);
    let mut round = 1;
    while round < ROUNDS {
        if run.world.random.u32(0..5) == 0 {
            run.kill(round..round + ROUNDS_AT_MOST);
            round = run.take_over(round);
            continue;
        }
        let store = run.open();
        let main = store.main().expect("main");
        for part in 0..PARTS {
            run.world.write(&main, round, share(part));
        }
        run.pin(&store, round);
        if run.world.random.u32(0..6) == 0 {
            store.gc(GcOptions::default()).expect("a collection");
        }
        round += 1;
    }
    assert!(run.kills > 0, "some rounds end with a kill");
    let store = run.open();
    store.gc(GcOptions::default()).expect("a collection");
    run.world.every = 1;
    run.check(&store, "all rounds are done");
    let e = store.cursor("lapses", CursorOptions::default().owner("late"));
    let e = e.and_then(|mut cursor| cursor.next_batch(10_000)).err().map(|e| e.kind());
    assert_eq!(e, Some(ErrorKind::HistoryGone), "a lease that has lapsed keeps nothing");
    unpin(&mut run, &store);
    store.close().expect("it closes");
    must_be_small(&mut run);
}

/// Everything goes but main and its newest commit.
fn unpin(run: &mut Run, store: &Store) {
    store.abort_merge("left").expect("it is aborted");
    store.delete_cursor("lasts").expect("it is deleted");
    store.delete_cursor("lapses").expect("it is deleted");
    for name in std::mem::take(&mut run.world.tags).into_keys() {
        store.delete_tag(&name).expect("the tag goes");
    }
    let others: Vec<String> = run.world.branches.keys().filter(|n| *n != "main").cloned().collect();
    for name in others {
        let force = DeleteOptions::default().force(true);
        store.delete_branch(&name, force).expect("the branch goes");
        run.world.branches.remove(&name);
    }
    run.world.needed.clear();
    // The newest commit is one of main.
    run.world.write(&store.main().expect("main"), ROUNDS + 1, 0..KEYS / 10);
    set(store, Setting::Retention, "count=1");
}

/// After a collection, killed once more, and another one, little is left, and all of it is needed.
fn must_be_small(run: &mut Run) {
    run.kill(0..0);
    let store = run.open();
    for _ in 0..2 {
        store.gc(GcOptions::default()).expect("a collection");
    }
    must_verify(&store);
    check(&store, &run.world, 1, &format!("seed {}, nothing is pinned", run.seed));
    let head = run.world.head("main");
    check_view(&store.main().expect("main"), run.world.rows(head), "the head of main");
    store.close().expect("it closes");
    let line = &run.world.branches["main"];
    let before = run.world.rows(line[line.len() - 2]);
    let now = run.world.rows(head);
    let replaced = before.iter().filter(|(key, value)| now.get(*key) != Some(*value));
    let replaced: BTreeSet<Vec<u8>> = replaced.map(|(key, _)| key.clone()).collect();
    let keys: BTreeSet<Vec<u8>> = now.keys().cloned().collect();
    assert!(keys.contains(&key(1)) && !keys.contains(&key(0)), "half of the keys are left");
    must_need_all(&run.path(), (&keys, &replaced), head.get());
    let (used, fresh) = (bytes_of(&run.path()), fresh_copy(now));
    let files = files_of(&run.path());
    assert!(used <= 2 * fresh, "{used} bytes are within twice {fresh}: {files:?}");
}

#[test]
fn ops_7_what_is_pinned_outlives_collections_that_are_killed_and_all_else_goes() {
    for seed in 0..if is_long() { 20 } else { 2 } {
        run(seed);
    }
}
