//! A terminal for tests: the real binary, run by `script`, its screen read as a terminal would.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Shell;

const ROWS: usize = 16;
const COLUMNS: usize = 72;
/// How long a screen may take; a machine can be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cells of a terminal, and what came to them.
pub(super) struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// Bytes of a character or command that is not complete.
    open: Vec<u8>,
    /// Whether the screen of a program is shown, and not that of the shell.
    pub(super) is_alternate: bool,
}

impl Screen {
    fn new() -> Self {
        let cells = vec![vec![' '; COLUMNS]; ROWS];
        Self { cells, at: (0, 0), open: Vec::new(), is_alternate: false }
    }

    pub(super) fn text(&self) -> String {
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

    /// Clears what is on the line from here on.
    fn clear_line(&mut self) {
        let (row, column) = self.at;
        self.cells[row][column.min(COLUMNS)..].fill(' ');
    }

    fn command(&mut self, command: &str) {
        let (arguments, verb) = command.split_at(command.len() - 1);
        let mut numbers = arguments.split(';').map(|number| number.parse().unwrap_or(1));
        let mut next = || numbers.next().unwrap_or(1_usize).max(1) - 1;
        match (verb, arguments) {
            ("H", _) => self.at = (next().min(ROWS - 1), next()),
            ("J", "" | "0") => {
                self.clear_line();
                self.cells[self.at.0 + 1..].fill(vec![' '; COLUMNS]);
            }
            ("J", _) => self.cells = vec![vec![' '; COLUMNS]; ROWS],
            ("K", _) => self.clear_line(),
            ("A", _) => self.at.0 = self.at.0.saturating_sub(next() + 1),
            ("C", _) => self.at.1 += next() + 1,
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
pub(super) struct Tty {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    pub(super) screen: Screen,
}

impl Tty {
    pub(super) fn start(shell: &Shell, command: &str) -> Self {
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

    pub(super) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
        self.keys.flush().expect("the terminal is there");
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(super) fn wait_for(&mut self, text: &str) {
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
pub(super) fn can_run() -> bool {
    let version = Command::new("script").arg("--version").output();
    let fits = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("util-linux"));
    if !fits {
        skipped();
    }
    fits
}
