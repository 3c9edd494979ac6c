//! This program once more, as a process that can be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Starts a test of this program by itself, with some variables set, and waits until it says that it has
/// begun; what it says then can be read.
pub(crate) fn begin(test: &str, variables: &[(&str, &str)]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a process starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it was asked for"));
    let mut line = String::new();
    while line.trim_end() != "begin" {
        line.clear();
        let read = lines.read_line(&mut line).expect("it can be read");
        assert!(read > 0, "the process has ended before it began");
    }
    (child, lines)
}

/// Says something in one piece: a line is there whole, or is cut off where the process was killed.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("someone listens");
}
