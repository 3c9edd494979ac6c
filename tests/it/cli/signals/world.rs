//! A store to work on, with all that the commands need beside it, and what there must be of it afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use withy::{
    BackupOptions, Backups, Batch, BranchOptions, CommitOptions, Durability, KeyRange, LogOptions,
    Read, Seq, Setting, Store, View,
};

use super::Shell;
use crate::support::must_verify;

/// What a branch holds.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// So many rows, each with a value that no compression makes smaller: looks at signals are counted in rows
/// and bytes.
const ROWS: u64 = 2_600;

/// Values that do not repeat.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric() as u8).take(len).collect()
}

/// What is imported.
fn row(n: u64) -> (String, String) {
    let value = String::from_utf8(noise(1_000_000 + n, 60)).expect("it is text");
    (format!("import/{n:05}"), value)
}

/// What `main` has of rows after a round.
fn rows_in(round: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..ROWS).map(move |n| (format!("row/{n:05}"), noise(round * ROWS + n, 40)))
}

fn write(store: &Store, branch: &str, rows: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let mut batch = Batch::new();
    for (key, value) in rows {
        batch.put(key, value);
    }
    let branch = store.branch(branch).expect("the branch is there");
    branch.write(batch, CommitOptions::default()).expect("it is written");
}

fn open(path: &Path) -> Store {
    Store::options().read_only(true).open(path).expect("the store opens")
}

fn rows_of(store: &Store, rev: &str) -> Rows {
    let view = store.view(rev).expect("the rev is there");
    let rows = view.range(&KeyRange::all()).expect("a scan");
    rows.map(|row| row.expect("a row")).collect()
}

/// Every branch.
fn content(store: &Store) -> BTreeMap<String, Rows> {
    let names = store.branches().expect("branches").into_iter().map(|b| b.name.to_string());
    names.map(|name| (name.clone(), rows_of(store, &name))).collect()
}

/// The directory as it was made, to be copied, and what is in its store.
pub(super) struct Kept {
    shell: Shell,
    content: BTreeMap<String, Rows>,
    latest: Seq,
}

impl Kept {
    pub(super) fn new() -> Rc<Self> {
        let shell = Shell::empty();
        let (home, away) = (shell.path().join(".withy"), shell.path().join("away"));
        let store = Store::options().durability(Durability::Buffered).open(&home).expect("open");
        for round in 0..3 {
            write(&store, "main", rows_in(round));
            let large = |n| (format!("large/{n:02}"), noise(500_000 + round * 100 + n, 20_000));
            write(&store, "main", (0..80).map(large));
            let secret = |n| (format!("secret/{n:02}"), noise(700_000 + round * 100 + n, 50));
            write(&store, "main", (0..30).map(secret));
            if round > 0 {
                store.back_up(&away, BackupOptions::default()).expect("a backup");
            }
        }
        store.create_branch("topic", "main~4", BranchOptions::default()).expect("a branch");
        write(&store, "topic", [("only/here".to_owned(), b"x".to_vec())]);
        store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
        store.back_up(&away, BackupOptions::default()).expect("a backup");
        let (content, latest) = (content(&store), store.latest());
        store.close().expect("it closes");
        let kept = Self { shell, content, latest };
        kept.files();
        Rc::new(kept)
    }

    /// What is imported, and the exports that are there from before.
    fn files(&self) {
        let dir = self.shell.path();
        let rows: Vec<_> = (0..ROWS).map(row).collect();
        let put =
            |name: &str, text: String| fs::write(dir.join(name), text).expect("it is written");
        let json = rows.iter().map(|(k, v)| format!("{{\"key\":\"{k}\",\"value\":\"{v}\"}}\n"));
        put("rows.jsonl", json.collect());
        put(
            "rows.csv",
            rows.iter().fold("key,value\n".to_owned(), |all, (k, v)| all + k + "," + v + "\n"),
        );
        let commits = (0..ROWS).map(|n| {
            let (key, value) = &rows[n as usize];
            let len = value.len();
            let who =
                format!("committer Ann <a@example.org> {} +0000\ndata 1\nc", 1_000_000_000 + n);
            format!("commit refs/heads/main\n{who}\nM 100644 inline {key}\ndata {len}\n{value}\n\n")
        });
        put("history.git", commits.collect());
        for name in ["out.jsonl", "out.csv", "out.git"] {
            put(name, "as it was\n".to_owned());
        }
    }

    /// The same once more.
    pub(super) fn copy(self: &Rc<Self>) -> World {
        let shell = Shell::empty();
        let (said, code) = shell.run(&format!("cp -a {}/. .", self.shell.path().display()));
        assert_eq!((said.as_str(), code), ("", 0), "it is copied");
        World { shell, kept: Rc::clone(self) }
    }
}

/// A copy, in which something is done.
pub(super) struct World {
    pub(super) shell: Shell,
    kept: Rc<Kept>,
}

impl World {
    fn store(&self) -> Store {
        open(&self.shell.path().join(".withy"))
    }

    /// Nothing is left that was half done, beside the store or in it.
    pub(super) fn must_be_tidy(&self, what: &str) {
        const PARTS: [&str; 5] = [".partial", ".tmp", ".new", "withy.staging", "withy.salvage"];
        for dir in [self.shell.path().to_owned(), self.shell.path().join(".withy")] {
            for entry in fs::read_dir(dir).expect("it is read") {
                let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
                assert!(!PARTS.iter().any(|part| name.ends_with(part)), "{what}: {name} is left");
            }
        }
    }

    /// No branch has moved, and no commit was made.
    pub(super) fn must_be_as_it_was(&self) {
        let store = self.store();
        must_verify(&store);
        assert_eq!(store.latest(), self.kept.latest, "there is no new commit");
        assert!(content(&store) == self.kept.content, "every branch is as it was");
    }

    /// Nothing of an import is left, for the next open to remove.
    pub(super) fn must_have_no_leftovers(&self) {
        let report = must_verify(&self.store());
        assert_eq!(report.leftovers, [""; 0], "all was taken back");
    }

    /// Every branch has its rows; those that are to be purged are all there, or none is.
    pub(super) fn must_have_its_content(&self) {
        let store = self.store();
        must_verify(&store);
        let is_open = |key: &[u8]| !key.starts_with(b"secret/");
        for (name, want) in &self.kept.content {
            let mut want = want.clone();
            let rows = rows_of(&store, name);
            if rows.keys().all(|key| is_open(key)) {
                want.retain(|key, _| is_open(key));
            }
            assert!(rows == want, "branch {name} is as it was, or has no secret");
        }
    }

    /// The second branch has all of the first one, and what it had of its own.
    pub(super) fn must_have_main_on_topic(&self) {
        let store = self.store();
        must_verify(&store);
        let mut want = self.kept.content["main"].clone();
        want.insert(b"only/here".to_vec(), b"x".to_vec());
        assert!(rows_of(&store, "topic") == want, "the branches came together");
    }

    /// A branch has the rows of a round, and else what it had.
    pub(super) fn must_have_rows_of(&self, round: u64, branch: &str) {
        let store = self.store();
        must_verify(&store);
        let mut want = self.kept.content[branch].clone();
        want.extend(rows_in(round).map(|(key, value)| (key.into_bytes(), value)));
        assert!(rows_of(&store, branch) == want, "{branch} has the rows of round {round}");
    }

    pub(super) fn must_have_no_secrets(&self) {
        self.must_have_its_content();
        let store = self.store();
        let (said, _) = self.shell.run("withy purge --list");
        // The one that was stopped is ended before the next one begins.
        let counts = 1..=2;
        let is_done = counts.contains(&said.lines().count()) && !said.contains("under way");
        assert!(is_done, "all are done: {said}");
        let hidden = |view: &View| {
            let found = view.prefix(b"secret/").expect("a scan").count();
            assert_eq!(found, 0, "no secret is read");
        };
        hidden(&store.view("main").expect("main"));
        // In no old commit either.
        for commit in store.log("main", LogOptions::default()).expect("a log") {
            let seq = commit.expect("a commit").seq;
            hidden(&store.view(&format!("seq:{seq}")).expect("it is kept"));
        }
    }

    /// What was imported is there, and all else as it was.
    pub(super) fn must_have_rows(&self, branch: &str) {
        let store = self.store();
        must_verify(&store);
        let mut want = self.kept.content.clone();
        let from = if branch == "main" { "main" } else { "topic" };
        let mut rows = want[from].clone();
        rows.extend((0..ROWS).map(row).map(|(k, v)| (k.into_bytes(), v.into_bytes())));
        want.insert(branch.to_owned(), rows);
        assert!(content(&store) == want, "the rows are there, and nothing else has changed");
        assert_eq!(store.latest().get(), self.kept.latest.get() + 1, "it is one commit");
    }

    /// The history that was imported is there, commit by commit.
    pub(super) fn must_have_history(&self) {
        let store = self.store();
        must_verify(&store);
        let rows: Rows =
            (0..ROWS).map(row).map(|(k, v)| (k.into_bytes(), v.into_bytes())).collect();
        assert!(rows_of(&store, "git/main") == rows, "the newest commit has all");
        let commits = store.log("git/main", LogOptions::default()).expect("a log").count();
        assert_eq!(commits as u64, ROWS + 1, "every commit, and the root");
    }

    pub(super) fn must_have_old_exports(&self) {
        for name in ["out.jsonl", "out.csv", "out.git"] {
            let text = fs::read_to_string(self.shell.path().join(name)).expect("it is there");
            assert_eq!(text, "as it was\n", "{name} is not touched");
        }
        super::is_absent(self, "new.jsonl");
    }

    /// The export that was made again has all: what a new store reads from it.
    pub(super) fn must_have_new_export(&self) {
        let dir = self.shell.path();
        let is_new =
            |name: &&str| fs::read(dir.join(name)).is_ok_and(|text| text != b"as it was\n");
        let names: Vec<&str> =
            ["out.jsonl", "out.csv", "out.git", "new.jsonl"].into_iter().filter(is_new).collect();
        assert_eq!(names.len(), 1, "one was made: {names:?}");
        let line =
            format!("withy -q init read && withy -q --store read import --replace {}", names[0]);
        let (said, code) = self.shell.run(&line);
        assert_eq!((said.as_str(), code), ("", 0), "it is read");
        let read = open(&dir.join("read/.withy"));
        assert!(rows_of(&read, "main") == self.kept.content["main"], "{} has all rows", names[0]);
    }

    /// A store in this directory is whole, and has all.
    pub(super) fn must_be_a_copy(&self, name: &str) {
        let copy = open(&self.shell.path().join(name));
        must_verify(&copy);
        assert_eq!(copy.latest(), self.kept.latest, "{name} has every commit");
        assert!(content(&copy) == self.kept.content, "{name} has every row");
        drop(copy);
        self.must_be_as_it_was();
    }

    pub(super) fn must_be_restored_from(&self, backup: &str) {
        let (said, code) = self.shell.run(&format!(
            "withy -q backup verify {backup} && withy -q backup restore {backup} taken"
        ));
        assert_eq!((said.as_str(), code), ("", 0), "{backup} is whole");
        self.must_be_a_copy("taken");
        fs::remove_dir_all(self.shell.path().join("taken")).expect("it is removed");
    }

    /// The backup has these snapshots, whole, and the newest one has all.
    pub(super) fn must_have_snapshots(&self, numbers: &[u64]) {
        let backups = Backups::open(self.shell.path().join("away")).expect("it is there");
        let list = backups.list().expect("a list");
        let found: Vec<u64> = list.iter().map(|info| info.number).collect();
        assert_eq!(found, numbers, "its snapshots");
        self.must_be_restored_from("away");
    }
}
