//! OPS-4, OPS-8: read-only opens and a follower, each in a process of its own, beside one that commits in several
//! threads, flushes, compacts and makes checkpoints. Where the system lets us, the readers see the store in a
//! place that cannot be written to. `WITHY_LONG=1` runs 50 rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use withy::{
    Batch, BranchOptions, CheckpointOptions, CommitOptions, Durability, KeyRange, Read, Seq, Store,
    VerifyOptions,
};

use super::must_follow;
use crate::ownership::scratch;
use crate::support::{is_long, must_get};

/// Name the store, and what a process does with it.
const STORE: &str = "WITHY_TEST_BUSY";
const PART: &str = "WITHY_TEST_BUSY_PART";

const WRITERS: u64 = 4;
/// Keys that each commit sets to its number, and rows of which it writes one.
const KEYS: u64 = 10;
const ROWS: u64 = 40;

fn branch(writer: u64) -> String {
    format!("b{writer}")
}

/// What a commit writes to its row. Some are large values, which are in files of their own.
fn row(writer: u64, number: u64) -> Vec<u8> {
    let size = if number.is_multiple_of(8) { 40_000 } else { 500 };
    format!("{writer}/{number} ").into_bytes().into_iter().cycle().take(size).collect()
}

/// One commit: its number is its message, in all the keys, and in how many rows there are.
fn commit(store: &Store, writer: u64, number: u64) {
    let mut batch = Batch::new();
    for key in 0..KEYS {
        batch.put(format!("key/{key}"), number.to_string());
    }
    batch.put(format!("row/{}", number % ROWS), row(writer, number));
    let branch = store.branch(&branch(writer)).expect("the branch is there");
    let options = CommitOptions::default().message(number.to_string());
    branch.write(batch, options).expect("a commit");
}

/// What a rev shows is what its commits wrote; its number.
fn check(store: &Store, rev: &str) -> u64 {
    let view = store.view(rev).unwrap_or_else(|e| panic!("INV-69: {rev}: {e:?}"));
    let number = store.commit(rev).expect("its commit").message;
    let keys = view.prefix(b"key/").expect("a scan").map(|row| row.expect("a row").1);
    let numbers: BTreeSet<Vec<u8>> = keys.collect();
    let expected = BTreeSet::from([number.clone().into_bytes()]);
    assert_eq!(numbers, expected, "INV-69: {rev}: all keys are of one commit");
    assert_eq!(must_get(&view, "key/7"), Some(number.clone()), "INV-69: {rev}: by a get too");
    let number: u64 = number.parse().expect("a number");
    let branch = store.commit(rev).expect("its commit").branch;
    let writer = branch.strip_prefix('b').expect("of a writer").parse().expect("a number");
    let wrote = |last: u64| (format!("row/{}", last % ROWS).into_bytes(), row(writer, last));
    let expected = (1..=number).rev().take(usize::try_from(ROWS).expect("few")).map(wrote);
    let expected: BTreeMap<_, _> = expected.collect();
    let rows = view.scan(&KeyRange::prefix("row/"), withy::Direction::Forward).expect("a scan");
    let rows: BTreeMap<_, _> = rows.map(|row| row.expect("a row")).collect();
    for (key, value) in &expected {
        let same = rows.get(key) == Some(value);
        assert!(
            same,
            "INV-69: {rev}: {} as its last commit wrote it",
            String::from_utf8_lossy(key)
        );
    }
    assert_eq!(rows.len(), expected.len(), "INV-69: {rev}: and no other row");
    number
}

/// All branches, and an old commit. Numbers never go back.
fn check_all(store: &Store, seen: &mut BTreeMap<u64, u64>, random: &mut fastrand::Rng) {
    for writer in 0..WRITERS {
        let number = check(store, &branch(writer));
        let before = seen.insert(writer, number).unwrap_or(0);
        assert!(number >= before, "OPS-4: branch {writer} goes back from {before} to {number}");
    }
    check(store, &format!("seq:{}", random.u64(1..=store.latest().get())));
}

/// Ends when nobody has its input any more.
fn told_to_end() -> &'static AtomicBool {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        OVER.store(true, Ordering::SeqCst);
    });
    &OVER
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nbusy: {line}").and_then(|()| out.flush()).expect("someone listens");
}

/// Not a test by itself: the processes of the other one.
#[test]
fn process() {
    let (Ok(path), Ok(part)) = (std::env::var(STORE), std::env::var(PART)) else { return };
    let path = Path::new(&path);
    match part.as_str() {
        "write" => write(path),
        "open" => read(path, false),
        _ => read(path, true),
    }
}

/// Opens the store anew each time, or follows it.
fn read(path: &Path, follows: bool) {
    if std::env::var_os("WITHY_TEST_BUSY_FIXED").is_some() {
        let written = std::fs::write(path.join("x"), "x").map_err(|e| e.kind());
        assert_eq!(written, Err(std::io::ErrorKind::ReadOnlyFilesystem), "nothing can be written");
    }
    let over = told_to_end();
    let (mut seen, mut random) = (BTreeMap::new(), fastrand::Rng::with_seed(3));
    let mut follower = follows.then(|| must_follow(path));
    let (mut states, mut kept) = (0_u64, Vec::new());
    let mut last = Seq::ROOT;
    while !over.load(Ordering::SeqCst) {
        let store = match &mut follower {
            Some(follower) => {
                follower.wait_beyond(last, Duration::from_millis(100)).expect("it follows");
                follower.store().clone()
            }
            None => {
                let options = Store::options().read_only(true).cache_bytes(8 << 20);
                options.open(path).unwrap_or_else(|e| panic!("OPS-4: it opens: {e:?}"))
            }
        };
        assert!(store.latest() >= last, "OPS-4: it never goes back");
        last = store.latest();
        check_all(&store, &mut seen, &mut random);
        states += 1;
        // Some are read again at the end, whatever became of their files.
        if states.is_multiple_of(50) && kept.len() < 8 {
            kept.push((seen.clone(), store));
        }
    }
    for (numbers, store) in &kept {
        for (writer, number) in numbers {
            let view = store.view(&branch(*writer)).expect("a view");
            let now = must_get(&view, "key/0");
            assert_eq!(now, Some(number.to_string()), "INV-69: a state stays as it is");
            assert_eq!(check(store, &branch(*writer)), *number, "INV-69: with its large values");
        }
    }
    say(&format!("read {states}"));
}

/// Writes all the time; on each line of its input a round of checkpoint, flush and compaction goes on beside that.
fn write(path: &Path) {
    let store = Store::options().durability(Durability::Buffered).open(path).expect("it opens");
    for writer in 0..WRITERS {
        store.create_branch(&branch(writer), "main", BranchOptions::default()).expect("a branch");
        commit(&store, writer, 1);
    }
    say("ready");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, over) = (&store, &over);
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for number in 2.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    commit(store, writer, number);
                    // The others want the machine too.
                    std::thread::sleep(Duration::from_millis(4));
                }
            });
        }
        let (mut seen, mut random) = (BTreeMap::new(), fastrand::Rng::with_seed(4));
        for (round, line) in std::io::stdin().lines().enumerate() {
            let copy = path.with_file_name(line.expect("a line"));
            store.checkpoint(&copy, CheckpointOptions::default()).expect("a checkpoint");
            store.compact().expect("a flush and a compaction");
            // A verification reads all there ever was: some of them will do.
            must_be_whole(&copy, round % 10 == 1, &mut seen, &mut random);
            say(&format!("done {}", store.latest()));
        }
        over.store(true, Ordering::SeqCst);
    });
    let latest = store.latest();
    store.close().expect("it closes");
    say(&format!("wrote {latest}"));
}

/// A checkpoint opens, holds whole commits, later ones than the one before, and verifies if asked to.
fn must_be_whole(
    copy: &Path,
    verified: bool,
    seen: &mut BTreeMap<u64, u64>,
    random: &mut fastrand::Rng,
) {
    let store = Store::options().read_only(true).open(copy).expect("a checkpoint opens");
    check_all(&store, seen, random);
    if verified {
        let report = store.verify(VerifyOptions::default().threads(1)).expect("it is verified");
        assert!(report.is_clean(), "OPS-5: a checkpoint is whole: {:#?}", report.findings);
    }
    drop(store);
    std::fs::remove_dir_all(copy).expect("it can be removed");
}

/// One of the processes.
struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it; a reader sees nothing that can be written to, if `fixed`.
    fn start(path: &Path, part: &str, fixed: bool) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(if fixed { Path::new("unshare") } else { &program });
        if fixed {
            let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
            command.args(["--mount", "sh", "-c", script, "sh"]).arg(path).arg(&program);
            command.env("WITHY_TEST_BUSY_FIXED", "1");
        }
        command.args(["--exact", "beside::busy::process", "--nocapture", "--test-threads=1"]);
        command.env(STORE, path).env(PART, part);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process starts");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it was asked for"));
        Self { child, orders, answers }
    }

    /// What it says next, behind this word.
    fn answer(&mut self, word: &str) -> u64 {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).expect("it can be read");
            assert!(read > 0, "a process has ended before it said {word:?}; see above");
            if let Some(said) = line.trim_end().strip_prefix("busy: ") {
                let number = said.strip_prefix(word).unwrap_or_else(|| panic!("{said}: {word}?"));
                return number.trim().parse().unwrap_or(0);
            }
        }
    }

    fn order(&mut self, line: &str) {
        let orders = self.orders.as_mut().expect("it listens");
        writeln!(orders, "{line}").expect("it listens");
    }

    /// Tells it to end; what it says then.
    fn end(&mut self, word: &str) -> u64 {
        self.orders = None;
        let said = self.answer(word);
        assert!(self.child.wait().expect("it ends").success(), "it found nothing wrong");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process can be shown a directory that it cannot write to.
fn can_fix(dir: &Path) -> bool {
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(dir).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "as many rounds as a time on a clock allows")]
fn ops_4_readers_in_other_processes_are_right_beside_checkpoints_flushes_and_compactions() {
    let (dir, path): (_, PathBuf) = scratch();
    let mut writer = Process::start(&path, "write", false);
    writer.answer("ready");
    let fixed = can_fix(dir.path());
    let mut readers = ["open", "follow", "open"].map(|part| Process::start(&path, part, fixed));
    let long = is_long();
    let (start, mut rounds, mut latest) = (Instant::now(), 0, 0);
    while if long { rounds < 50 } else { rounds < 2 || start.elapsed() < Duration::from_secs(6) } {
        writer.order(&format!("copy-{rounds}"));
        let newest = writer.answer("done");
        assert!(newest > latest, "commits are made meanwhile");
        (rounds, latest) = (rounds + 1, newest);
    }
    let states = readers.each_mut().map(|reader| reader.end("read"));
    let commits = writer.end("wrote");
    assert!(states.iter().all(|&states| states > 2), "all of them came to read: {states:?}");
    let how = if fixed { "nothing could be written" } else { "they could have written" };
    let _ = writeln!(
        std::io::stderr(),
        "{rounds} rounds, {commits} commits; states read by two that open and one that follows: \
         {states:?}; where they read, {how}"
    );
}
