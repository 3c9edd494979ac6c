//! OPS-4: one writer at a time, named to everyone else, and readers beside it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use withy::{
    Clock, Create, Direction, Durability, ErrorKind, KeyRange, OpenOptions, Read, Store,
    SystemClock, Timestamp,
};

use crate::support::{must_fail, must_get, must_scan};

/// Names the store that the process below is to hold.
const HOLD: &str = "WITHY_TEST_HOLD";

/// Not a test by itself: the second process of the others. It opens the store and does what it is
/// told, a line at a time.
#[test]
fn holder() {
    let Ok(path) = std::env::var(HOLD) else { return };
    let store =
        Store::options().durability(Durability::Buffered).open(path).expect("the store opens");
    let main = store.main().expect("main");
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nholder: {line}").and_then(|()| out.flush()).expect("someone listens");
    };
    say(format!("ready {}", std::process::id()));
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("put", n) => {
                // Two keys that are always equal.
                let mut batch = withy::Batch::new();
                batch.put("one", n).put("two", n).put(format!("row/{n}"), vec![b'x'; 2000]);
                main.write(batch, Default::default()).expect("a commit");
            }
            ("retain", count) => {
                let settings = [
                    (withy::Setting::UndoAge, "0s".to_owned()),
                    (withy::Setting::Retention, format!("count={count}")),
                ];
                for (setting, value) in settings {
                    store.set_config(setting, Some(&value)).expect("a setting");
                }
            }
            ("gc", _) => drop(store.gc(withy::GcOptions::default()).expect("a collection")),
            ("flush", _) => store.compact().expect("a compaction"),
            _ => break,
        }
        say(format!("done {line}"));
    }
}

/// A process that has a store open for writing; it ends when dropped.
pub(crate) struct Holder {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Holder {
    pub(crate) fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "ownership::holder", "--nocapture", "--test-threads=1"])
            .env(HOLD, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process starts");
        let orders = child.stdin.take().expect("it was asked for");
        let answers = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut holder = Self { child, orders, answers };
        let ready = holder.answer();
        assert_eq!(ready, format!("ready {}", holder.child.id()), "the process has the store open");
        holder
    }

    pub(crate) fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("it can be read");
            assert!(read > 0, "the process that holds the store has ended");
            if let Some(said) = line.trim_end().strip_prefix("holder: ") {
                return said.to_owned();
            }
        }
    }

    pub(crate) fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("it listens");
    }

    pub(crate) fn tell(&mut self, line: &str) {
        self.order(line);
        assert_eq!(self.answer(), format!("done {line}"), "the order is carried out");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    (dir, path)
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// How long a call takes.
fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let out = call();
    let millis = u64::try_from(now().as_millis() - start.as_millis()).unwrap_or(0);
    (out, Duration::from_millis(millis))
}

/// The refusal names the process and when it opened the store, between these two moments.
#[track_caller]
fn must_name(e: &withy::Error, pid: u32, from: Timestamp, to: Timestamp) {
    let text = e.to_string();
    let named = text.split_once(&format!("process {pid} since "));
    let since =
        named.unwrap_or_else(|| panic!("OPS-4: the holder's process id is named: {text}")).1;
    let since: Timestamp =
        since.parse().unwrap_or_else(|e| panic!("OPS-4: start time in {text:?}: {e}"));
    assert!(from <= since && since <= to, "OPS-4: {since} is between {from} and {to}");
    assert!(e.hint().is_some(), "OPS-4: it says what to do");
}

#[test]
fn ops_4_a_second_process_is_refused_within_a_second_and_told_who_has_the_store() {
    let (_dir, path) = scratch();
    let before = now();
    let holder = Holder::start(&path);
    let started = now();
    let (refused, took) = timed(|| Store::open(&path));
    let e = must_fail(refused, ErrorKind::Busy);
    assert!(took < Duration::from_secs(1), "OPS-4: within a second, not {took:?}");
    must_name(&e, holder.child.id(), before, started);
    assert!(e.is_retryable(), "it can be tried again");
    drop(holder);
    Store::open(&path).expect("a process that is killed holds nothing").close().expect("it closes");
}

#[test]
fn ops_4_the_command_line_is_refused_with_exit_code_3() {
    let (_dir, path) = scratch();
    let before = now();
    let store = Store::open(&path).expect("the store opens");
    let after = now();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_withy"));
        command.arg("--store").arg(&path).args(args);
        timed(|| command.output().expect("withy runs"))
    };
    let (refused, took) = run(&["put", "pear", "green"]);
    let said = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(3), "CLI-3: busy is 3: {said}");
    assert!(took < Duration::from_secs(1), "OPS-4: within a second, not {took:?}");
    let first = said.lines().next().expect("a line").to_owned();
    let error = withy::Error::new(ErrorKind::Busy, first).with_hint("said on the next line");
    must_name(&error, std::process::id(), before, after);
    store.main().and_then(|main| main.put("pear", "yellow")).expect("the holder writes on");
    let (read, _) = run(&["get", "pear"]);
    assert_eq!(
        String::from_utf8_lossy(&read.stdout).trim_end(),
        "yellow",
        "reading verbs work beside it"
    );
}

#[test]
fn ops_4_the_same_process_cannot_open_it_twice_either() {
    let (_dir, path) = scratch();
    let before = now();
    let store = Store::open(&path).expect("the store opens");
    let e = must_fail(Store::open(&path), ErrorKind::Busy);
    must_name(&e, std::process::id(), before, now());
    let view = store.view("main").expect("a view");
    drop(store);
    must_fail(Store::open(&path), ErrorKind::Busy);
    drop(view);
    Store::open(&path).expect("the last handle is gone, so the store is free");
}

#[test]
fn ops_4_who_waits_gets_the_store_when_it_is_let_go() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    holder.tell("put 1");
    let wait = Duration::from_millis(300);
    let (refused, took) = timed(|| Store::options().wait(wait).open(&path));
    must_fail(refused, ErrorKind::Busy);
    assert!(
        took >= wait - Duration::from_millis(5),
        "it waits as long as it was told to: {took:?}"
    );
    assert!(took < Duration::from_secs(2), "and no longer: {took:?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Store::options().wait(Duration::from_secs(60)).open(&path));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished(), "it waits");
        holder.order("end");
        let store = waiting.join().expect("no panic").expect("the holder has let go");
        assert_eq!(must_get(&store.main().expect("main"), "one").as_deref(), Some("1"));
        must_fail(Store::open(&path), ErrorKind::Busy);
    });
}

fn read_only() -> OpenOptions {
    Store::options().create(Create::Never).read_only(true)
}

/// Every file below a directory, with size and time of change.
pub(crate) fn listing(dir: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("an entry").path();
        let data = std::fs::symlink_metadata(&path).expect("the file is there");
        if data.is_dir() {
            out.extend(listing(&path));
        }
        out.push((path, data.len(), data.modified().expect("a time")));
    }
    out.sort();
    out
}

/// Reads in every way there is.
fn read_all(store: &Store) -> String {
    let main = store.main().expect("main");
    let (one, two) = (must_get(&main, "one"), must_get(&main, "two"));
    assert_eq!(one, two, "what one batch wrote is equal");
    let rows = main.count(&KeyRange::prefix("row/")).expect("count");
    let scanned = must_scan(&main, &KeyRange::prefix("row/"), Direction::Backward).len() as u64;
    assert_eq!(rows, scanned, "count and scan agree");
    assert_eq!(
        store.log("main", Default::default()).expect("log").count() as u64,
        rows + 1,
        "a commit a row"
    );
    let feed = store.feed(withy::Seq::ROOT, Default::default()).expect("feed");
    assert_eq!(
        feed.collect::<Result<Vec<_>, _>>().expect("events").len() as u64,
        rows,
        "the feed has them too"
    );
    assert_eq!(store.stats().expect("stats").latest.get(), rows, "and stats");
    one.expect("it is there")
}

#[test]
fn ops_8_a_read_only_open_changes_no_file() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    for n in 1..=5 {
        holder.tell(&format!("put {n}"));
    }
    holder.tell("flush");
    holder.tell("put 6");
    for beside in ["a live writer", "a writer that was killed", "a store that was closed"] {
        let before = listing(&path);
        let reader = read_only().open(&path).expect("it opens");
        assert!(reader.is_read_only(), "it says so");
        assert_eq!(read_all(&reader), "6", "OPS-4: what is committed is seen, beside {beside}");
        must_fail(reader.main().expect("main").put("a", "b"), ErrorKind::ReadOnly);
        must_fail(reader.create_tag("t", "main", Default::default()), ErrorKind::ReadOnly);
        must_fail(reader.switch("main"), ErrorKind::ReadOnly);
        must_fail(reader.undo(), ErrorKind::ReadOnly);
        must_fail(reader.begin("main").map(|_| ()), ErrorKind::ReadOnly);
        must_fail(reader.compact(), ErrorKind::ReadOnly);
        drop(reader);
        assert_eq!(listing(&path), before, "OPS-8: no file is changed, beside {beside}");
        match beside {
            "a live writer" => {
                holder.child.kill().and_then(|()| holder.child.wait()).expect("it is killed");
            }
            _ => Store::open(&path).expect("it opens").close().expect("it closes"),
        }
    }
}

#[test]
fn ops_8_a_read_only_open_of_nothing_makes_nothing() {
    let (dir, path) = scratch();
    must_fail(read_only().open(&path), ErrorKind::NotFound);
    let empty = read_only().create(Create::IfMissing).open(dir.path());
    must_fail(empty, ErrorKind::NotFound);
    assert!(listing(dir.path()).is_empty(), "OPS-8: nothing is made");
}

#[test]
fn ops_4_a_reader_sees_one_state_while_the_writer_goes_on() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    holder.tell("put 1");
    let reader = read_only().open(&path).expect("it opens");
    for n in 2..=40 {
        holder.tell(&format!("put {n}"));
        if n % 10 == 0 {
            // Files that the reader has open are replaced.
            holder.tell("flush");
            assert_eq!(read_all(&reader), "1", "it shows the store as it was when it was opened");
        }
    }
    assert_eq!(
        read_all(&read_only().open(&path).expect("it opens")),
        "40",
        "a new one shows the newest"
    );
}

#[test]
fn ops_4_readers_open_during_commits_flushes_and_compactions() {
    let (_dir, path) = scratch();
    let mut holder = Holder::start(&path);
    holder.tell("put 1");
    let mut last = 1;
    for round in 0..30_u64 {
        // Many orders are under way while the readers open and read.
        for n in 0..20 {
            holder.order(&format!("put {}", 2 + round * 20 + n));
        }
        holder.order("flush");
        for _ in 0..3 {
            let reader =
                read_only().open(&path).unwrap_or_else(|e| panic!("OPS-4: round {round}: {e:?}"));
            let seen: u64 = read_all(&reader).parse().expect("a number");
            assert!(seen >= last, "OPS-4: what was acknowledged is seen: {seen}, not {last}");
            last = seen;
        }
        for _ in 0..21 {
            let answer = holder.answer();
            if let Some(n) = answer.strip_prefix("done put ") {
                last = last.max(n.parse().expect("a number"));
            }
        }
    }
    assert_eq!(last, 601, "every order was carried out");
}
