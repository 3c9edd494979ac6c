//! OPS-1: a process is killed under load, again and again, and what it had acknowledged is there.
//!
//! The next round goes on with the same store. `WITHY_LONG=1` kills 200 times at each durability, in eight
//! stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use withy::{
    Batch, BranchOptions, CommitOptions, DeleteOptions, Durability, ErrorKind, FeedEvent,
    MergeOptions, Read, Result, Seq, Store,
};

use super::content::{Content, must_be_tidy, must_feed};
use crate::support::is_long;
use crate::support::process::{begin, say};

/// Name the store, the durability and the round of the process that is killed.
const STORE: &str = "WITHY_TEST_FAULTS_KILL";
const DURABILITY: &str = "WITHY_TEST_FAULTS_KILL_DURABILITY";
const ROUND: &str = "WITHY_TEST_FAULTS_KILL_ROUND";

pub(super) const WRITERS: u32 = 4;

pub(super) fn open(path: &Path, durability: &str) -> Store {
    let durability = if durability == "sync" { Durability::Sync } else { Durability::Buffered };
    let options = Store::options().durability(durability).author("tester");
    options.open(path).unwrap_or_else(|e| panic!("the store opens by itself: {e:?}"))
}

/// Says what one write has changed. Branches are made and set from main.
pub(super) fn say_written(lines: &str) {
    say(&format!("{lines}written\n"));
}

/// One writer of the process that is killed.
pub(super) struct Writer<'s> {
    store: &'s Store,
    me: u32,
    round: u32,
    random: fastrand::Rng,
    turns: Option<&'s Mutex<()>>,
}

impl<'s> Writer<'s> {
    pub(super) fn new(store: &'s Store, me: u32, round: u32, seed: u64) -> Self {
        Self { store, me, round, random: fastrand::Rng::with_seed(seed), turns: None }
    }

    /// Writes when no other does, so that what all of them say is in the order of what they wrote.
    pub(super) fn in_turns(self, turns: &'s Mutex<()>) -> Self {
        Self { turns: Some(turns), ..self }
    }

    fn value(&mut self) -> String {
        // Some are stored once under their hash.
        let len = if self.random.u32(0..20) == 0 { 17_000 } else { 10 };
        format!("{:016x}", self.random.u64(..)).repeat(len / 10)
    }

    /// A short name of a value for the acknowledgement.
    fn mark(value: &str) -> &str {
        &value[..16]
    }

    fn branch(&mut self) -> String {
        match self.random.u32(0..3) {
            0 => "main".to_owned(),
            _ => format!("b{}", self.me),
        }
    }

    /// Three keys together; half of a commit would be fewer.
    fn batch(&mut self) -> Result<()> {
        let (branch, value) = (self.branch(), self.value());
        let key = format!("w{}/{}", self.me, self.random.u32(0..200));
        let mut batch = Batch::new();
        for part in ["a", "b", "c"] {
            batch.put(format!("{key}/{part}"), value.clone());
        }
        let options = CommitOptions::default().message("three");
        let done = self.store.branch(&branch)?.write(batch, options)?;
        if let Some(seq) = done.seq() {
            let mark = Self::mark(&value);
            let mut lines = String::new();
            for part in ["a", "b", "c"] {
                let _ = writeln!(lines, "ack {seq} {branch} {key}/{part} {mark}");
            }
            say_written(&lines);
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<()> {
        let branch = self.branch();
        let key = format!("w{}/{}/a", self.me, self.random.u32(0..200));
        if let Some(seq) = self.store.branch(&branch)?.delete(key.clone())?.seq() {
            say_written(&format!("ack {seq} {branch} {key} -\n"));
        }
        Ok(())
    }

    /// A transaction on two branches.
    fn pair(&mut self) -> Result<()> {
        let (value, own) = (self.value(), format!("b{}", self.me));
        let key = format!("pair/{}", self.me);
        let mut tx = self.store.begin("main")?;
        tx.get(key.as_bytes())?;
        tx.put(key.clone(), value.clone())?;
        tx.on(&own)?.put(key.clone(), value.clone())?;
        let done = tx.commit_each(CommitOptions::default().message("pair"))?;
        let mut lines = String::new();
        for (branch, one) in done {
            if let Some(seq) = one.seq() {
                let _ = writeln!(lines, "ack {seq} {branch} {key} {}", Self::mark(&value));
            }
        }
        say_written(&lines);
        Ok(())
    }

    fn merge(&mut self) -> Result<()> {
        let own = format!("b{}", self.me);
        let options = MergeOptions::default().strategy(withy::Strategy::Theirs);
        let report = self.store.merge("main", &own, options)?;
        let mut lines = format!("head main {}\n", report.head);
        for seq in report.commits {
            let _ = writeln!(lines, "merge {seq}");
        }
        say_written(&lines);
        Ok(())
    }

    /// A branch of its own comes and goes.
    fn refs(&mut self, number: u32) -> Result<()> {
        let name = format!("r{}/{}/{number}", self.round, self.me);
        self.store.create_branch(&name, "main", BranchOptions::default())?;
        say_written(&format!("made {name}\n"));
        if self.random.bool() {
            say(&format!("try {name}\n"));
            self.store.delete_branch(&name, DeleteOptions::default().force(true))?;
            say_written(&format!("gone {name}\n"));
        }
        if self.random.u32(0..4) == 0 {
            let own = format!("b{}", self.me);
            self.store.reset(&own, "main")?;
            say_written(&format!("reset {own}\n"));
        }
        Ok(())
    }

    /// Works so many times, or until the process is killed.
    pub(super) fn run(&mut self, times: Option<u32>) {
        for number in 0..times.unwrap_or(u32::MAX) {
            let turns = self.turns;
            let _turn = turns.map(|turns| turns.lock().expect("no writer has failed"));
            let done = match self.random.u32(0..20) {
                0..=10 => self.batch(),
                11..=13 => self.delete(),
                14..=16 => self.pair(),
                17 | 18 => self.merge(),
                _ => self.refs(number),
            };
            if let Err(e) = done {
                let lost = matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Busy);
                assert!(lost, "nothing fails but what lost a race: {e:?}");
            }
        }
    }
}

/// Not a test by itself: the process that is killed.
#[test]
fn worker() {
    let (Ok(path), Ok(durability), Ok(round)) =
        (std::env::var(STORE), std::env::var(DURABILITY), std::env::var(ROUND))
    else {
        return;
    };
    let round: u32 = round.parse().expect("a number");
    let store = open(Path::new(&path), &durability);
    for me in 0..WRITERS {
        if store.branch(&format!("b{me}")).is_err() {
            let made = store.create_branch(&format!("b{me}"), "main", BranchOptions::default());
            made.expect("a branch is made");
        }
    }
    say("\nbegin\n");
    std::thread::scope(|threads| {
        for me in 0..WRITERS {
            let seed = u64::from(round * WRITERS + me);
            let mut writer = Writer::new(&store, me, round, seed);
            threads.spawn(move || {
                // A writer that fails ends the process, or the others would hide it.
                let run = std::panic::AssertUnwindSafe(|| writer.run(None));
                if std::panic::catch_unwind(run).is_err() {
                    std::process::exit(3);
                }
            });
        }
    });
}

/// What a process said before it was killed.
#[derive(Default)]
pub(super) struct Said {
    /// Commit, key, and the start of the value or `-`.
    changes: Vec<(Seq, String, String, String)>,
    merges: Vec<Seq>,
    /// Branches that were made, and perhaps removed again: what is known of each.
    branches: BTreeMap<String, Option<bool>>,
}

impl Said {
    pub(super) fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let seq = |text: &str| Seq::new(text.parse().expect("a sequence"));
        match words[..] {
            ["ack", at, branch, key, mark] => {
                self.changes.push((seq(at), branch.into(), key.into(), mark.into()));
            }
            ["merge", at] => self.merges.push(seq(at)),
            ["made", name] => drop(self.branches.insert(name.into(), Some(true))),
            ["try", name] => drop(self.branches.insert(name.into(), None)),
            ["gone", name] => drop(self.branches.insert(name.into(), Some(false))),
            _ => {}
        }
    }
}

impl Said {
    /// Leaves out what may be lost if only commits up to this one are there, and all branches.
    pub(super) fn forget_after(&mut self, latest: Seq) {
        self.changes.retain(|(seq, ..)| *seq <= latest);
        self.merges.retain(|seq| *seq <= latest);
        self.branches.clear();
    }
}

/// Runs a process for a while, kills it, and tells what it had acknowledged.
fn kill_one(path: &Path, durability: &str, round: u32, after: Duration) -> Said {
    let (mut child, mut lines) = begin(
        "faults::kill::worker",
        &[(STORE, &*path.to_string_lossy()), (DURABILITY, durability), (ROUND, &round.to_string())],
    );
    let reader = std::thread::spawn(move || {
        let mut said = Said::default();
        let mut line = String::new();
        // A line without its end was cut off.
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            said.take(line.trim_end());
            line.clear();
        }
        said
    });
    std::thread::sleep(after);
    assert!(child.try_wait().expect("it can be asked").is_none(), "the process is still at work");
    child.kill().expect("it is killed");
    child.wait().expect("it has ended");
    reader.join().expect("what it said was read")
}

/// Every acknowledged commit is in the data, in the log and in the feed.
pub(super) fn must_have(store: &Store, said: &Said, feed: &[FeedEvent]) {
    let event = |seq: Seq| {
        let at = usize::try_from(seq.get()).expect("a small number") - 1;
        feed.get(at).unwrap_or_else(|| panic!("commit {seq} is lost"))
    };
    for (seq, branch, key, mark) in &said.changes {
        let starts = |value: Option<&[u8]>| match value {
            Some(value) => value.starts_with(mark.as_bytes()),
            None => mark == "-",
        };
        let view = store.view(&format!("seq:{seq}")).expect("the commit can be read");
        let value = view.get(key.as_bytes()).expect("its data can be read");
        assert!(starts(value.as_deref()), "{key} has its value at commit {seq}");
        let commit = store.commit(&format!("seq:{seq}")).expect("the log has the commit");
        assert_eq!(&commit.branch, branch, "with its branch");
        let change = event(*seq).changes.iter().find(|change| change.key == key.as_bytes());
        let change = change.unwrap_or_else(|| panic!("the feed has {key} at {seq}"));
        assert!(starts(change.value.as_deref()), "the feed has the value of {key} at {seq}");
    }
    for seq in &said.merges {
        assert_eq!(event(*seq).commit.parents.len(), 2, "merge {seq} is there with both parents");
    }
    let there: BTreeSet<String> =
        store.branches().expect("the branches").into_iter().map(|b| b.name.to_string()).collect();
    for (name, known) in &said.branches {
        if let Some(known) = known {
            assert_eq!(there.contains(name), *known, "branch {name} is as it was acknowledged");
        }
    }
}

/// No commit is there in part.
pub(super) fn must_be_whole(feed: &[FeedEvent]) {
    for (at, event) in feed.iter().enumerate() {
        if event.commit.message == "three" {
            assert_eq!(event.changes.len(), 3, "commit {} has all its keys", event.commit.seq);
            let one = &event.changes[0].value;
            assert!(event.changes.iter().all(|c| &c.value == one), "with the value of all three");
        }
        if event.commit.message == "pair" {
            let other = |at: Option<usize>| {
                let other = at.and_then(|at| feed.get(at));
                other.is_some_and(|other| {
                    other.commit.message == "pair" && other.changes == event.changes
                })
            };
            let both = other(at.checked_sub(1)) || other(Some(at + 1));
            assert!(both, "commit {} is there with its other branch", event.commit.seq);
        }
    }
}

/// So many rounds go on with one store; more would be spent on reading it again and again.
const ROUNDS: u32 = 25;

/// Kills a process again and again; how much it had acknowledged.
fn kill_rounds(durability: &str, rounds: std::ops::Range<u32>) -> usize {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    let mut random = fastrand::Rng::with_seed(u64::from(rounds.start));
    let (mut all, mut acknowledged) = (Vec::new(), 0);
    for round in rounds {
        let after = Duration::from_millis(random.u64(1..200));
        let said = kill_one(&path, durability, round, after);
        acknowledged += said.changes.len() + said.merges.len() + said.branches.len();
        let store = open(&path, durability);
        let feed = must_feed(&store);
        must_be_whole(&feed);
        must_have(&store, &said, &feed);
        all.push(said);
        // Every branch is folded from the start.
        let _ = Content::of(&store);
        for info in store.branches().expect("the branches") {
            if info.name.as_str().starts_with('r') {
                let force = DeleteOptions::default().force(true);
                store.delete_branch(info.name.as_str(), force).expect("it is removed");
            }
        }
        store.close().expect("it closes");
        must_be_tidy(&path, "after a kill");
    }
    let store = open(&path, durability);
    let feed = must_feed(&store);
    for mut said in all {
        said.branches.clear();
        must_have(&store, &said, &feed);
    }
    acknowledged
}

fn kill_under_load(durability: &str, rounds: u32) {
    let starts = (0..rounds).step_by(ROUNDS as usize);
    let one = |start| kill_rounds(durability, start..rounds.min(start + ROUNDS));
    let acknowledged: usize = starts.map(one).sum();
    let told = format!("{rounds} kills, {durability}: {acknowledged} acknowledged, 0 lost\n");
    let _ = std::io::stderr().write_all(told.as_bytes());
    assert!(acknowledged > 100, "the processes were at work");
}

#[test]
fn ops_1_a_process_killed_under_load_loses_nothing_that_was_synced() {
    kill_under_load("sync", if is_long() { 200 } else { 4 });
}

#[test]
fn ops_1_a_process_killed_under_load_loses_nothing_that_was_buffered() {
    kill_under_load("buffered", if is_long() { 200 } else { 4 });
}
