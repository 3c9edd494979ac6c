//! The resolver in a terminal: the real binary, run by `script`, its screen read as a terminal would.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use withy::{Batch, CommitOptions, KeyRange, MergeOptions, Read as _, Resolution, Store};

use super::Shell;

const ROWS: usize = 16;
const COLUMNS: usize = 72;
/// How long a screen may take; a machine can be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cells of a terminal, and what came to them.
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// Bytes of a character or command that is not complete.
    open: Vec<u8>,
    /// Whether the screen of a program is shown, and not that of the shell.
    is_alternate: bool,
}

impl Screen {
    fn new() -> Self {
        let cells = vec![vec![' '; COLUMNS]; ROWS];
        Self { cells, at: (0, 0), open: Vec::new(), is_alternate: false }
    }

    fn text(&self) -> String {
        let lines = self.cells.iter().map(|row| row.iter().collect::<String>());
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.open.push(byte);
            match std::str::from_utf8(&self.open).map(str::to_owned) {
                Ok(text) if text.starts_with("\x1b[") => {
                    if text.len() > 2 && (b'@'..=b'~').contains(&byte) {
                        self.open.clear();
                        self.command(&text[2..]);
                    }
                }
                Ok(text) if text == "\x1b" => {}
                // Short commands change nothing that is looked at.
                Ok(text) if text.starts_with('\x1b') => self.open.clear(),
                Ok(text) => {
                    self.open.clear();
                    text.chars().for_each(|c| self.put(c));
                }
                Err(_) => {}
            }
        }
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' if self.at.0 + 1 < ROWS => self.at.0 += 1,
            '\n' => {
                self.cells.remove(0);
                self.cells.push(vec![' '; COLUMNS]);
            }
            c if c.is_control() => {}
            c => {
                if let Some(cell) = self.cells[self.at.0].get_mut(self.at.1) {
                    *cell = c;
                }
                self.at.1 += 1;
            }
        }
    }

    fn command(&mut self, command: &str) {
        let (arguments, verb) = command.split_at(command.len() - 1);
        let mut numbers = arguments.split(';').map(|number| number.parse().unwrap_or(1));
        let mut next = || numbers.next().unwrap_or(1_usize).max(1) - 1;
        match (verb, arguments) {
            ("H", _) => self.at = (next().min(ROWS - 1), next()),
            ("J", _) => self.cells = vec![vec![' '; COLUMNS]; ROWS],
            ("h" | "l", "?1049") => {
                self.cells = vec![vec![' '; COLUMNS]; ROWS];
                self.at = (0, 0);
                self.is_alternate = verb == "h";
            }
            _ => {}
        }
    }
}

/// A shell command in a terminal.
struct Tty {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    screen: Screen,
}

impl Tty {
    fn start(shell: &Shell, command: &str) -> Self {
        let bin = Path::new(env!("CARGO_BIN_EXE_withy")).parent().expect("it is in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let line = format!("stty rows {ROWS} cols {COLUMNS}; {command}");
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(shell.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("WITHY_AUTHOR", "ada")
            .env("HOME", shell.path())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("EDITOR", "sh ./editor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script can be started");
        let keys = child.stdin.take().expect("it is a pipe");
        let mut stdout = child.stdout.take().expect("it is a pipe");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, output, screen: Screen::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
        self.keys.flush().expect("the terminal is there");
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        while !self.screen.text().contains(text) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.screen.feed(&bytes),
                Err(e) => panic!("no {text:?} on the screen ({e}):\n{}", self.screen.text()),
            }
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stdout, reason = "a test says that it was skipped")]
fn skipped() {
    println!("skipped: no `script` of util-linux to make a terminal with");
}

/// Whether there is a `script` that runs a command in a terminal.
fn can_run() -> bool {
    let version = Command::new("script").arg("--version").output();
    let fits = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("util-linux"));
    if !fits {
        skipped();
    }
    fits
}

/// A store with an open merge and three conflicts.
fn conflicting() -> Shell {
    let shell = Shell::new();
    let store = open(&shell, false);
    let write = |branch: &str, values: [Option<&str>; 3]| {
        let mut batch = Batch::new();
        for (key, value) in ["gone", "pear", "plum"].into_iter().zip(values) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        let branch = store.branch(branch).expect("the branch is there");
        branch.write(batch, CommitOptions::default()).expect("it can be written");
    };
    write("main", [Some("here"), Some("green\nsweet\n"), None]);
    store.create_branch("topic", "main", Default::default()).expect("a new branch");
    write("main", [None, Some("red\nsweet\n"), Some("blue")]);
    write("topic", [Some("there"), Some("yellow\nsweet\n"), Some("purple")]);
    let options = MergeOptions::default().keep_open(true);
    store.merge("main", "topic", options).expect("it can be planned");
    shell
}

fn open(shell: &Shell, read_only: bool) -> Store {
    let options = Store::options().read_only(read_only);
    options.open(shell.path().join(".withy")).expect("the store can be opened")
}

#[test]
fn merge_7_conflicts_are_settled_on_the_screen() {
    if !can_run() {
        return;
    }
    let shell = conflicting();
    std::fs::write(shell.path().join("editor"), "echo; echo edited; printf 'amber\\nsweet\\n' >$1")
        .expect("a file can be written");
    let mut tty = Tty::start(
        &shell,
        "stty -g >before; withy resolve; echo code $?; stty -g >after; echo end",
    );
    tty.wait_for("3 of 3 conflicts left");
    assert!(tty.screen.is_alternate, "the shell's screen is left alone");
    tty.press("jt");
    tty.wait_for("2 of 3 conflicts left");
    tty.wait_for("pear: theirs\n");
    assert_eq!(
        tty.screen.text(),
        "\
2 of 3 conflicts left: merge of topic into main
┌conflicts 2/3─────────────────────────────────────────────────────────┐
│[ ] modify/delete gone                                                │
│[t] modify/modify pear                                                │
│[ ] add/add       plum                                                │
└──────────────────────────────────────────────────────────────────────┘
settled: theirs by ada; both changed it
┌base seq:1────────────┐┌ours: main seq:2──────┐┌theirs: topic seq:3───┐
│-green                ││+red                  ││+yellow               │
│ sweet                ││ sweet                ││ sweet                │
│                      ││                      ││                      │
│                      ││                      ││                      │
│                      ││                      ││                      │
│                      ││                      ││                      │
└12 bytes──────────────┘└10 bytes──────────────┘└13 bytes──────────────┘
pear: theirs
"
    );
    let kept = open(&shell, true).conflicts("main", &KeyRange::key("pear")).expect("it is open");
    let made = kept[0].resolution.as_ref().map(|made| &made.resolution);
    assert_eq!(made, Some(&Resolution::Theirs), "it is stored before the resolver ends");
    tty.press("e");
    tty.wait_for("settled: value by ada");
    tty.press("O");
    tty.wait_for("Take ours for 2 conflicts? (y/n)");
    tty.press("y");
    tty.wait_for("3 conflicts settled");
    tty.press("c");
    tty.wait_for("\nend");
    assert!(!tty.screen.is_alternate, "the shell has its screen back");
    assert_eq!(
        tty.screen.text().trim_end(),
        "merge of topic into main: 1 commit, 1 key changed, now at seq:4\n settled by ada: 2 ours, 1 value\ncode 0\nend"
    );
    let read = |name: &str| std::fs::read_to_string(shell.path().join(name)).expect("it is there");
    assert_eq!(read("before"), read("after"), "the terminal is as it was");
    let store = open(&shell, true);
    let main = store.main().expect("there is main");
    let values = ["gone", "pear", "plum"].map(|key| main.get(key.as_bytes()).expect("a read"));
    assert_eq!(values, [None, Some(b"amber\nsweet\n".to_vec()), Some(b"blue".to_vec())]);
}

#[test]
fn quitting_keeps_what_is_settled_and_tells_what_is_left() {
    if !can_run() {
        return;
    }
    let shell = conflicting();
    let mut tty = Tty::start(&shell, "withy resolve; echo code $?");
    tty.wait_for("3 of 3 conflicts left");
    tty.press("d");
    tty.wait_for("2 of 3 conflicts left");
    tty.press("q");
    tty.wait_for("code");
    assert_eq!(tty.screen.text().trim_end(), "2 conflicts left on main\ncode 1");
    let mut again = Tty::start(&shell, "withy resolve; echo code $?");
    again.wait_for("2 of 3 conflicts left");
    again.press("\u{3}");
    again.wait_for("code 1");
    let mut last = Tty::start(&shell, "withy resolve; echo code $?");
    last.wait_for("2 of 3 conflicts left");
    last.press("Oy");
    last.wait_for("3 conflicts settled");
    last.press("q");
    last.wait_for("code 0");
    let said = "of the conflicts on main none is left: `withy merge --continue` goes on\ncode 0";
    assert_eq!(last.screen.text().trim_end(), said);
}

#[test]
fn the_resolver_needs_an_open_merge() {
    if !can_run() {
        return;
    }
    let shell = Shell::new();
    let mut tty = Tty::start(&shell, "withy resolve; echo code $?");
    tty.wait_for("code 2");
    assert!(!tty.screen.is_alternate, "there is nothing to show");
    tty.wait_for("no merge is open on main");
}
