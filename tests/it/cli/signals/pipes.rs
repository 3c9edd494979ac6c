//! Work that waits for whoever writes its input, or reads its output.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use super::world::{Kept, World};
use super::{send, text};

/// More than a pipe and the buffers behind it hold: whoever has taken most of this has looked for signals.
const ENOUGH: usize = 1_300_000;

fn start(world: &World, line: &str) -> Child {
    let mut command = world.shell.command(&format!("exec {line}"));
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().expect("a process starts")
}

/// What is imported over a pipe: more of it than was looked at for the first time.
fn inputs() -> [(&'static str, String); 3] {
    let lines = |first: &str, line: &dyn Fn(usize) -> String| {
        let mut all = first.to_owned();
        for n in 0.. {
            if all.len() > ENOUGH {
                break;
            }
            all.push_str(&line(n));
        }
        all
    };
    let commit = |n: usize| {
        let (time, value) = (1_000_000_000 + n, "x".repeat(300));
        let who = format!("committer Ann <a@example.org> {time} +0000\ndata 1\nc");
        format!("commit refs/heads/git\n{who}\nM 100644 inline k{n}\ndata 300\n{value}\n\n")
    };
    [
        ("jsonl", lines("", &|n| format!("{{\"key\":\"k{n}\",\"value\":\"{n:0300}\"}}\n"))),
        ("csv", lines("key,value\n", &|n| format!("k{n},{n:0300}\n"))),
        ("git", lines("", &commit)),
    ]
}

#[test]
fn cli_4_an_import_whose_input_ends_after_the_signal_brings_nothing() {
    let kept = Kept::new();
    for ((format, input), signal) in inputs().into_iter().zip(["INT", "TERM", "INT"]) {
        let world = kept.copy();
        let line = format!("withy import --format {format} -");
        let mut child = start(&world, &line);
        let mut pipe = child.stdin.take().expect("it is a pipe");
        pipe.write_all(input.as_bytes()).expect("it is read");
        send(signal, child.id());
        // As in a pipeline, where Ctrl-C ends what writes too.
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        let told = "error: import standard input: interrupted, the store is whole\n";
        assert_eq!(
            (text(&output.stderr).as_str(), output.status.code()),
            (told, Some(130)),
            "{line}"
        );
        world.must_be_tidy(&line);
        world.must_be_as_it_was();
    }
}

#[test]
fn cli_4_a_second_signal_ends_an_import_that_waits_for_input() {
    let kept = Kept::new();
    for (format, input) in inputs() {
        let world = kept.copy();
        let line = format!("withy import --format {format} -");
        let mut child = start(&world, &line);
        let mut pipe = child.stdin.take().expect("it is a pipe");
        pipe.write_all(input.as_bytes()).expect("it is read");
        ["INT", "TERM"].iter().for_each(|signal| send(signal, child.id()));
        let output = child.wait_with_output().expect("it ends");
        drop(pipe);
        assert_eq!(
            (text(&output.stderr), output.status.code()),
            (String::new(), Some(130)),
            "{line}"
        );
        world.must_be_as_it_was();
        world.must_be_tidy(&line);
        let (said, code) = world.shell.run("withy -q import rows.jsonl");
        assert_eq!((said.as_str(), code), ("", 0), "{line}, then another import");
        world.must_have_rows("main");
    }
}

#[test]
fn cli_4_an_export_to_a_pipe_that_nobody_reads_is_ended_once_somebody_does() {
    let kept = Kept::new();
    for (format, signal) in [("jsonl", "TERM"), ("csv", "INT"), ("git", "TERM")] {
        let world = kept.copy();
        let line = format!("withy export --format {format} -");
        let whole = world.shell.command(&line).output().expect("a process runs").stdout;
        let mut child = start(&world, &line);
        let mut output = child.stdout.take().expect("it is a pipe");
        let mut front = vec![0; ENOUGH];
        output.read_exact(&mut front).expect("it is written");
        send(signal, child.id());
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("it ends");
        let ended = child.wait_with_output().expect("it ends");
        let what = if format == "git" { "export" } else { "export heads/main" };
        let told = format!("error: {what}: interrupted, the store is whole\n");
        assert_eq!((text(&ended.stderr), ended.status.code()), (told, Some(130)), "{line}");
        front.extend(rest);
        assert!(front.len() < whole.len() && whole.starts_with(&front), "{line}: the front of it");
        world.must_be_as_it_was();
    }
}
