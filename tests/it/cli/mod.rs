//! The command line, as a user meets it: each test is a session in a shell, written out in full.
//!
//! A line that starts with `$ ` is run; what follows is what it must print. Lines on standard error
//! start with `! `, an exit code other than 0 is shown as `[1]`. Ids and times are replaced, nothing else.

mod backup;
mod branch;
mod compare;
mod config;
mod conflicts;
mod coord;
mod doctor;
mod errors;
mod feed;
mod full_disk;
mod gc;
mod history;
mod log;
mod merge;
mod merge_open;
mod pick;
mod pipes;
mod prepared;
mod read;
mod rebase;
mod resolve;
mod resolver;
mod signals;
mod tag;
mod transfer;
mod tty;
mod txn;
mod undo;
mod verify;
mod write;

use std::path::Path;
use std::process::Command;

/// A directory to work in, gone when dropped.
pub(crate) struct Shell {
    dir: tempfile::TempDir,
}

impl Shell {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a scratch directory can be made") }
    }

    /// A directory with a fresh store.
    pub(crate) fn new() -> Self {
        let shell = Self::empty();
        let (text, _) = shell.run("withy --quiet init");
        assert_eq!(text, "", "a fresh store is made in silence");
        shell
    }

    /// A directory with a store, after a command line that prints nothing.
    #[track_caller]
    pub(crate) fn after(line: &str) -> Self {
        let shell = Self::new();
        let (text, _) = shell.run(line);
        assert_eq!(text, "", "the store is made ready in silence");
        shell
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A command line that is to be run in the directory.
    pub(crate) fn command(&self, line: &str) -> Command {
        let bin =
            Path::new(env!("CARGO_BIN_EXE_withy")).parent().expect("the binary is in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("WITHY_AUTHOR", "ada")
            .env("HOME", self.path());
        command
    }

    /// What a command prints, and its exit code.
    pub(crate) fn run(&self, line: &str) -> (String, i32) {
        let output = self.command(line).output().expect("a shell can be started");
        let mut text = self.normal(&String::from_utf8_lossy(&output.stdout));
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str("%\n");
        }
        for error in self.normal(&String::from_utf8_lossy(&output.stderr)).lines() {
            text.push_str(format!("! {error}").trim_end());
            text.push('\n');
        }
        (text, output.status.code().unwrap_or(-1))
    }

    /// Runs every command of a session and compares all that they print with what is written.
    #[track_caller]
    pub(crate) fn session(&self, written: &str) {
        let written = written.trim_start_matches('\n');
        let mut got = String::new();
        for line in written.lines() {
            let Some(command) = line.strip_prefix("$ ") else { continue };
            let (text, code) = self.run(command);
            got.push_str(line);
            got.push('\n');
            got.push_str(&text);
            if code != 0 {
                got.push_str(&format!("[{code}]\n"));
            }
        }
        let differs = got.lines().zip(written.lines()).find(|(got, written)| got != written);
        assert!(
            got == written,
            "the session went like this:\n{got}\nfirst difference: {differs:?}"
        );
    }

    /// Replaces ids, times and the directory.
    fn normal(&self, text: &str) -> String {
        let dir = self.path().canonicalize().expect("the directory is there");
        let text = text.replace(&*dir.to_string_lossy(), "DIR");
        let text = text.replace(&*self.path().to_string_lossy(), "DIR");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let is_word_start = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
            let time = time_len(rest);
            if is_word_start && time > 0 {
                out.push_str("TIME");
                rest = &rest[time..];
            } else if is_word_start && is_id(&rest[..word]) {
                out.push_str("ID");
                rest = &rest[word..];
            } else {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        out
    }
}

/// A commit id, short or long, or the id of a store.
fn is_id(word: &str) -> bool {
    matches!(word.len(), 12 | 32 | 64)
        && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// How long the time is that a text starts with. Times up to 2009 are in imported histories: they stay.
fn time_len(text: &str) -> usize {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = bytes.len() > shape.len()
        && text.starts_with("20")
        && !text.starts_with("200")
        && shape.bytes().zip(bytes).all(|(want, have)| match want {
            b'd' => have.is_ascii_digit(),
            other => other == *have,
        });
    if !fits {
        return 0;
    }
    let fraction =
        bytes[shape.len()..].iter().take_while(|b| **b == b'.' || b.is_ascii_digit()).count();
    let end = shape.len() + fraction;
    if bytes.get(end) == Some(&b'Z') { end + 1 } else { 0 }
}

#[test]
fn a_session_replaces_only_what_varies() {
    let shell = Shell::empty();
    assert_eq!(shell.normal("seq:1 0123456789ab (main)"), "seq:1 ID (main)");
    assert_eq!(shell.normal("at 2026-11-20T10:00:00.123Z, pear"), "at TIME, pear");
    assert_eq!(shell.normal("0123456789abc 2026-11-20"), "0123456789abc 2026-11-20");
}
