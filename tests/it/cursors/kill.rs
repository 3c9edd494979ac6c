//! FEED-2 and killed processes: a reader that ends at any moment has lost nothing of what it was to read.
//!
//! This program starts itself again for what is to be killed. It ends itself at the n-th moment, for each n
//! until it gets through: before and after each read, each piece of work and each acknowledgement, and
//! whenever the clock is asked.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use withy::{Clock, Durability, GcOptions, Seq, Setting, Store, Timestamp};

use super::{by, must_open};
use crate::support::{TickingClock, must_put, must_verify};

const DIR: &str = "WITHY_TEST_CURSOR";
const AT: &str = "WITHY_TEST_CURSOR_AT";
/// So many commits are made, whatever happens.
const COMMITS: u64 = 6;

/// Counts moments, and ends the process at the chosen one.
struct Moments(AtomicU64, u64);

impl Moments {
    fn pass(&self) -> u64 {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        if count == self.1 {
            std::process::abort();
        }
        count
    }
}

impl Clock for Moments {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.pass()).expect("a small number");
        Timestamp::from_millis(TickingClock::START.as_millis() + millis)
    }
}

/// Not a test by itself: the process that is killed.
#[test]
fn reader() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let at = std::env::var(AT).ok().and_then(|at| at.parse().ok()).unwrap_or(0);
    let moments = Arc::new(Moments(AtomicU64::new(0), at));
    let store = open(dir, Arc::clone(&moments) as Arc<dyn Clock>);
    let main = store.main().expect("main");
    let mut cursor = must_open(&store, "work", by("worker").after(Seq::ROOT));
    loop {
        let made = store.latest().get();
        if made < COMMITS {
            must_put(&main, "n", &(made + 1).to_string());
        }
        moments.pass();
        let batch = cursor.next_batch(2).expect("events");
        if batch.is_empty() {
            break;
        }
        for event in batch {
            moments.pass();
            note(dir, &format!("{}\n", event.commit.seq));
            moments.pass();
            cursor.ack(event.commit.seq).expect("ack");
        }
        store.gc(GcOptions::default().compact(false)).expect("a collection");
    }
    cursor.release().expect("release");
}

fn open(dir: &Path, clock: Arc<dyn Clock>) -> Store {
    let options = Store::options().durability(Durability::Buffered).clock(clock);
    options.open(dir.join("store")).expect("the store opens")
}

/// The work that is done for an event.
fn note(dir: &Path, line: &str) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("done"));
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("it is written");
}

/// Runs a process that ends at a moment; whether it got through.
fn run(dir: &Path, at: u64) -> bool {
    let status = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "cursors::kill::reader", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("a process starts").success()
}

#[test]
fn feed_2_a_reader_that_is_killed_at_any_moment_loses_nothing() {
    let mut moment = 0;
    for at in (1..).step_by(3) {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let dir = scratch.path();
        let store = open(dir, Arc::new(Moments(AtomicU64::new(0), 0)));
        store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
        store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
        store.close().expect("it closes");
        let through = run(dir, at);
        assert!(through || run(dir, 0), "moment {at}: the next process gets through");
        let done = std::fs::read_to_string(dir.join("done")).expect("work was done");
        let done: Vec<u64> = done.lines().map(|line| line.parse().expect("a number")).collect();
        let mut last = 0;
        for &seq in &done {
            assert!(
                seq == last + 1 || seq == last,
                "moment {at}: in order, at most one twice: {done:?}"
            );
            last = seq;
        }
        assert_eq!(last, COMMITS, "moment {at}: every commit at least once: {done:?}");
        must_verify(&open(dir, Arc::new(Moments(AtomicU64::new(0), 0))));
        if through {
            moment = at;
            break;
        }
    }
    assert!(moment > 30, "there are many moments: {moment}");
}
