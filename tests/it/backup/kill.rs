//! A process that is killed while it copies leaves whole copies, and what the next run can use.
//!
//! Each job is killed at steps all along it, and at random moments; `WITHY_LONG=1` visits each step.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use withy::{
    BackupOptions, Backups, CheckpointOptions, Clock, Create, ErrorKind, PruneOptions,
    RestoreOptions, Store, SystemClock,
};

use super::{Content, grow, open, open_to_read, tree};
use crate::support::{is_long, must_fail};

/// Name the directory, the job and the step of the process that is killed.
const DIR: &str = "WITHY_TEST_COPY";
const JOB: &str = "WITHY_TEST_COPY_JOB";
const STEP: &str = "WITHY_TEST_COPY_STEP";

/// Not a test by itself: the process that the others kill.
#[test]
fn worker() {
    let (Ok(dir), Ok(job), Ok(step)) =
        (std::env::var(DIR), std::env::var(JOB), std::env::var(STEP))
    else {
        return;
    };
    let dir = PathBuf::from(dir);
    let step: u64 = step.parse().expect("a number");
    let say = |what: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nworker: {what}").and_then(|()| out.flush()).expect("someone listens");
    };
    let mut calls = 0;
    let at_step = move |_| {
        calls += 1;
        if calls == step {
            // Nothing is put in order, as if the process were killed.
            std::process::abort();
        }
        ControlFlow::Continue(())
    };
    let (home, away) = (dir.join("store"), dir.join("backup"));
    let backups = || Backups::open(&away).expect("the backup");
    say("begin");
    match job.as_str() {
        "checkpoint" => {
            let options = CheckpointOptions::default().progress(at_step);
            open(&home).checkpoint(dir.join("copy"), options).map(drop)
        }
        "backup" => {
            open(&home).back_up(&away, BackupOptions::default().progress(at_step)).map(drop)
        }
        "read-only" => {
            let store = open_to_read(&home);
            store.back_up(&away, BackupOptions::default().progress(at_step)).map(drop)
        }
        "prune" => backups().prune(PruneOptions::default().keep(1).progress(at_step)).map(drop),
        "restore" => {
            let options = RestoreOptions::default().progress(at_step);
            backups().restore(dir.join("again"), options).map(drop)
        }
        other => panic!("no such job: {other}"),
    }
    .expect("the job is done");
    say("done");
    // It is killed, or ends with the process that has started it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(1);
}

/// A process that does a job; it is killed when dropped.
struct Worker(Child, BufReader<std::process::ChildStdout>);

impl Worker {
    fn start(dir: &Path, job: &str, step: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "backup::kill::worker", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(JOB, job)
            .env(STEP, step.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process starts");
        let said = BufReader::new(child.stdout.take().expect("it was asked for"));
        let mut worker = Self(child, said);
        assert!(worker.says("begin"), "it begins");
        worker
    }

    /// Whether it comes to say this; no, if it has ended before.
    fn says(&mut self, what: &str) -> bool {
        let mut line = String::new();
        while line.trim_end() != format!("worker: {what}") {
            line.clear();
            if self.1.read_line(&mut line).expect("it can be read") == 0 {
                return false;
            }
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A store and a backup of it that are worked on.
struct Scene {
    dir: tempfile::TempDir,
    round: u64,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { dir: tempfile::tempdir().expect("a scratch directory"), round: 0 };
        scene.prepare("");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn backups(&self) -> Backups {
        Backups::open(self.path("backup")).expect("the backup")
    }

    /// Gives the job something to do.
    fn prepare(&mut self, job: &str) {
        self.round += 1;
        let store = open(&self.path("store"));
        if self.round < 4 {
            grow(&store, self.round);
        }
        store.main().expect("main").put("round", self.round.to_string()).expect("it is written");
        let key = format!("large/{}", self.round % 4);
        store.main().expect("main").put(key, super::noise(self.round, 200_000)).expect("written");
        if job == "prune" || job.is_empty() {
            store.compact().expect("files are replaced");
            store.back_up(self.path("backup"), Default::default()).expect("a backup");
        }
    }

    /// Looks at what a killed process has left, and does the job again.
    fn check(&self, job: &str, what: &str) {
        let content = Content::at(&self.path("store"));
        let faults = self.backups().verify(Default::default()).expect("a report").faults;
        assert_eq!(faults, [], "{what}: every snapshot that is there is whole");
        match job {
            "checkpoint" => self.check_checkpoint(&content, what),
            "prune" => {
                let pruned = self.backups().prune(PruneOptions::default().keep(1));
                pruned.unwrap_or_else(|e| panic!("{what}: the next run works: {e:?}"));
                let report = self.backups().verify(Default::default()).expect("a report");
                assert_eq!((report.snapshots, report.unnamed), (1, 0), "{what}: nothing is left");
            }
            "restore" => self.check_restore(what),
            _ => self.check_backup(&content, what),
        }
    }

    fn check_checkpoint(&self, content: &Content, what: &str) {
        let copy = self.path("copy");
        if !copy.exists() {
            let made = open(&self.path("store")).checkpoint(&copy, Default::default());
            made.unwrap_or_else(|e| panic!("{what}: the next run works: {e:?}"));
        }
        assert_eq!(Content::at(&copy), *content, "{what}: what is at the target is whole");
        let names = tree(self.dir.path());
        let left: Vec<_> = names.keys().filter(|name| name.starts_with("copy.new")).collect();
        // A process that was killed between the last two steps leaves an empty directory of work.
        assert!(left.len() <= 1, "{what}: nothing large is left: {left:?}");
        std::fs::remove_dir_all(&copy).expect("it is removed");
    }

    fn check_backup(&self, content: &Content, what: &str) {
        let made =
            open_to_read(&self.path("store")).back_up(self.path("backup"), Default::default());
        made.unwrap_or_else(|e| panic!("{what}: the next run works: {e:?}"));
        assert!(!self.path("store/withy.staging").exists(), "{what}: the leftovers are gone");
        self.backups().restore(self.path("again"), Default::default()).expect("it is restored");
        assert_eq!(Content::at(&self.path("again")), *content, "{what}: the snapshot is whole");
        std::fs::remove_dir_all(self.path("again")).expect("it is removed");
        self.backups().prune(PruneOptions::default().keep(2)).expect("it is pruned");
    }

    fn check_restore(&self, what: &str) {
        let again = self.path("again");
        let opened = Store::options().create(Create::IfMissing).read_only(true).open(&again);
        if let Err(e) = opened {
            let kinds = [ErrorKind::Incompatible, ErrorKind::NotFound];
            assert!(kinds.contains(&e.kind()), "{what}: it is no store: {e:?}");
            let restored = self.backups().restore(&again, Default::default());
            restored.unwrap_or_else(|e| panic!("{what}: the next run works: {e:?}"));
        } else {
            must_fail(self.backups().restore(&again, Default::default()), ErrorKind::Exists);
        }
        let (whole, made) = (self.path("whole"), Content::at(&again));
        self.backups().restore(&whole, Default::default()).expect("it is restored");
        assert_eq!(made, Content::at(&whole), "{what}: it is whole");
        drop(open(&again));
        assert!(!again.join("withy.restore").exists(), "{what}: a mark that was left is gone");
        std::fs::remove_dir_all(&again).expect("it is removed");
        std::fs::remove_dir_all(&whole).expect("it is removed");
    }
}

fn kill_everywhere(job: &str) {
    let mut scene = Scene::new();
    scene.prepare("");
    let long = is_long();
    // Until the job ends before it comes to the step.
    let mut step = 1;
    loop {
        scene.prepare(job);
        let begun = SystemClock.now().as_millis();
        let done = Worker::start(scene.dir.path(), job, step).says("done");
        let took = SystemClock.now().as_millis() - begun;
        scene.check(job, &format!("{job} killed at step {step}"));
        if done {
            assert!(step > 2, "the job has steps");
            return kill_at_random(job, scene, u64::try_from(took).unwrap_or(0).max(1));
        }
        step += if long { 1 } else { 1 + step / 2 };
    }
}

fn kill_at_random(job: &str, mut scene: Scene, longest_ms: u64) {
    let long = is_long();
    let mut random = fastrand::Rng::with_seed(57);
    for n in 0..if long { 100 } else { 4 } {
        scene.prepare(job);
        let worker = Worker::start(scene.dir.path(), job, 0);
        let after = random.u64(0..longest_ms * 1_000);
        std::thread::sleep(Duration::from_micros(after));
        drop(worker);
        scene.check(job, &format!("{job} killed after {after} microseconds, {n}"));
    }
}

#[test]
fn ops_5_a_killed_checkpoint_is_whole_or_absent() {
    kill_everywhere("checkpoint");
}

#[test]
fn ops_5_a_killed_backup_leaves_whole_snapshots() {
    kill_everywhere("backup");
}

#[test]
fn ops_5_a_killed_backup_beside_a_writer_leaves_whole_snapshots() {
    kill_everywhere("read-only");
}

#[test]
fn ops_5_a_killed_pruning_leaves_whole_snapshots() {
    kill_everywhere("prune");
}

#[test]
fn ops_5_a_killed_restore_is_no_store_until_it_is_whole() {
    kill_everywhere("restore");
}
