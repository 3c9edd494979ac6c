//! Import and export: CLI-5, from the library.

mod bulk;
mod git;
mod git_damage;
mod git_names;
mod git_tree;
pub(crate) mod real;
mod rows;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use withy::{FeedOptions, KeyRange, Read as _, Seq, Store, TagListOptions};

/// The hand-written stream.
pub(crate) const ORCHARD: &[u8] = include_bytes!("../../../fixtures/git/orchard.fe");

/// Everything of a store that an import could have left behind, as text.
pub(crate) fn state(store: &Store) -> String {
    let mut out = format!("latest {}\n", store.latest());
    for branch in store.branches().expect("branches are listed") {
        let view = store.view(branch.name.as_str()).expect("its head can be read");
        let keys = view.count(&KeyRange::all()).expect("its keys are counted");
        out += &format!("{branch:?} {} {keys}\n", view.fingerprint());
    }
    for tag in store.tags(TagListOptions::default()).expect("tags are listed") {
        out += &format!("{tag:?}\n");
    }
    for event in store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed opens") {
        let event = event.expect("the event is read");
        out += &format!("{} {}\n", event.commit.id, event.changes.len());
    }
    for step in store.ops(100).expect("operations are listed") {
        out += &format!("{} {}\n", step.id, step.what);
    }
    out
}

/// Says why a test does less than it could, past the capture of output.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// What [`Git::import`] says where git was ended by a signal.
pub(crate) const CRASHED: &str = "git crashed";

/// A plain git repository, for comparison.
pub(crate) struct Git {
    dir: tempfile::TempDir,
}

impl Git {
    /// An empty one; `None`, and a message, where there is no git.
    pub(crate) fn new() -> Option<Self> {
        let git = Self { dir: tempfile::tempdir().expect("a scratch directory can be made") };
        match git.command(&["init", "-q", "--bare", "."]).status() {
            Ok(done) => assert!(done.success(), "git makes a repository"),
            Err(_) => {
                skipped("git is not installed, streams are not compared with it");
                return None;
            }
        }
        Some(git)
    }

    /// A repository filled from a stream that git must accept.
    pub(crate) fn imported(stream: &[u8]) -> Option<Self> {
        let git = Self::new()?;
        git.import(stream).unwrap_or_else(|e| panic!("git takes the stream: {e}"));
        Some(git)
    }

    /// Feeds a stream to `git fast-import`; what git says if it refuses.
    pub(crate) fn import(&self, stream: &[u8]) -> Result<(), String> {
        let mut child = self
            .command(&["fast-import", "--quiet", "--export-marks=marks"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git runs");
        // An error means that git has stopped reading: its exit says why.
        let _ = child.stdin.take().expect("it is piped").write_all(stream);
        let done = child.wait_with_output().expect("git ends");
        if done.status.success() {
            return Ok(());
        }
        if done.status.code().is_none() {
            return Err(CRASHED.into());
        }
        Err(String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or_default().to_owned())
    }

    /// What the marks of the imported stream stand for: a line for each, with the id of its commit.
    pub(crate) fn marks(&self) -> String {
        std::fs::read_to_string(self.path().join("marks")).expect("the import has written them")
    }

    /// What git prints.
    pub(crate) fn says(&self, args: &[&str]) -> String {
        let done = self.command(args).output().expect("git runs");
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("it is text")
    }

    /// One line for each ref: its name, the commit and the tree that it leads to.
    pub(crate) fn refs(&self) -> String {
        let format = "--format=%(refname) %(objectname) %(tree) %(*objectname) %(*tree)";
        let all = self.says(&["for-each-ref", format]);
        // A tag object holds its own time with zone; what it leads to counts.
        let lines = all.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let peeled = words.len() == 5 && !words[4].is_empty();
            let at = if peeled { &words[3..] } else { &words[1..3] };
            format!("{} {}\n", words[0], at.join(" "))
        });
        lines.collect()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).current_dir(self.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env_remove("GIT_DIR");
        command
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}
