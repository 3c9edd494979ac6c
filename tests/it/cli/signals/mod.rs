//! CLI-4: SIGINT and SIGTERM in the middle of long work. It ends in order, with exit code 130 and a text on
//! standard error; the store is whole, nothing is left beside it, and the same command again does it all.
//!
//! Where the middle is is no matter of time. `WITHY_HOLD` names one of the places at which the work looks for
//! signals, and a pipe: the process waits there, and whoever opens the pipe knows that it does. All such places are
//! tried with `WITHY_LONG=1`, and the first four, the sixth, the ninth and so on without. Other tests hold a process by
//! a pipe that it reads or writes.

mod early;
mod pipes;
mod world;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Shell;
use crate::full_disk::SmallDisk;
use crate::support::is_long;
use world::{Kept, World};

/// Sends a signal to a process.
fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(sent.expect("`kill` can be run").success(), "process {process} is there for {signal}");
}

/// Makes a named pipe, in the place of what is there.
fn make_pipe(path: &Path) {
    let _ = fs::remove_file(path);
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("`mkfifo` can be run").success(), "a pipe is made");
}

/// Runs a command, and sends it signals once it reads a named pipe, in which it finds nothing; none if it
/// ends without a look at it.
fn signalled(mut command: Command, pipe: &Path, signals: &[&str]) -> Option<Output> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().expect("a process starts");
    let (process, has_ended) = (child.id(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| {
            let output = child.wait_with_output().expect("it can be waited for");
            has_ended.store(true, Ordering::SeqCst);
            // Lets go whoever waits for a reader.
            let both =
                File::options().read(true).write(true).open(pipe).expect("the pipe is there");
            (output, both)
        });
        let held = File::options().write(true).open(pipe).expect("the pipe is there");
        let is_held = !has_ended.load(Ordering::SeqCst);
        if is_held {
            signals.iter().for_each(|signal| send(signal, process));
        }
        drop(held);
        let (output, _) = ended.join().expect("it ends");
        is_held.then_some(output)
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Long work, and what there must be when it was stopped, and when it was done after that.
#[derive(Clone, Copy)]
struct Work {
    line: &'static str,
    /// All of standard error.
    told: &'static str,
    stopped: fn(&World),
    done: fn(&World),
}

/// Stops the work at one place where it looks for signals; false if it does not come to so many.
fn stop(work: &Work, kept: &Rc<Kept>, call: u64) -> bool {
    let world = kept.copy();
    let pipe = world.shell.path().join("hold");
    make_pipe(&pipe);
    let mut command = world.shell.command(&format!("exec {}", work.line));
    command.env("WITHY_HOLD", format!("{call} {}", pipe.display()));
    let signal = if call % 2 == 1 { "INT" } else { "TERM" };
    let Some(output) = signalled(command, &pipe, &[signal]) else { return false };
    fs::remove_file(&pipe).expect("the pipe is removed");
    let what = format!("{} with {signal} at call {call}", work.line);
    assert_eq!(world.shell.normal(&text(&output.stderr)), work.told, "{what}: what it says");
    assert_eq!(output.status.code(), Some(130), "{what}: its exit code");
    assert_eq!(text(&output.stdout), "", "{what}: nothing is said to be done");
    world.must_be_tidy(&what);
    (work.stopped)(&world);
    let (said, code) = world.shell.run(work.line);
    assert_eq!(code, 0, "{what}, and again: {said}");
    world.must_be_tidy(&what);
    (work.done)(&world);
    true
}

/// Stops the work at each place where it looks for signals, or at some.
fn try_all(all: &[Work]) {
    let kept = Kept::new();
    for work in all {
        let next = |call: u64| if is_long() { call + 1 } else { call + (call / 2).max(1) };
        let mut call = 1;
        while stop(work, &kept, call) {
            call = next(call);
        }
        assert!(call > 1, "{} looks for signals", work.line);
    }
}

fn is_absent(world: &World, name: &str) {
    assert!(!world.shell.path().join(name).exists(), "there is no {name}");
}

#[test]
fn cli_4_an_import_that_is_stopped_has_brought_nothing() {
    let told = "error: import rows.jsonl: interrupted, the store is whole\n";
    let stopped: fn(&World) = |world| {
        world.must_be_as_it_was();
        world.must_have_no_leftovers();
    };
    let jsonl = Work {
        line: "withy -q import rows.jsonl",
        told,
        stopped,
        done: |world| world.must_have_rows("main"),
    };
    let csv = Work {
        line: "withy -q import rows.csv",
        told: "error: import rows.csv: interrupted, the store is whole\n",
        ..jsonl
    };
    let new = Work { line: "withy -q -b loaded import rows.jsonl --from topic", ..jsonl };
    let new = Work { done: |world| world.must_have_rows("loaded"), ..new };
    let git = Work {
        line: "withy -q import --branch-prefix git/ history.git",
        told: "error: import history.git: interrupted, the store is whole\n",
        done: World::must_have_history,
        ..jsonl
    };
    try_all(&[jsonl, csv, new, git]);
}

#[test]
fn cli_4_an_export_that_is_stopped_leaves_the_file_that_was_there() {
    // The same for each format: the file as it was, or none.
    let exports = [
        (
            "withy -q export out.jsonl",
            "error: export heads/main: interrupted, the store is whole\n",
        ),
        ("withy -q export out.csv", "error: export heads/main: interrupted, the store is whole\n"),
        ("withy -q export out.git", "error: export: interrupted, the store is whole\n"),
        (
            "withy -q export new.jsonl",
            "error: export heads/main: interrupted, the store is whole\n",
        ),
    ];
    let all = exports.map(|(line, told)| Work {
        line,
        told,
        stopped: |world| {
            world.must_have_old_exports();
            world.must_be_as_it_was();
        },
        done: |world| {
            world.must_have_new_export();
            world.must_be_as_it_was();
        },
    });
    try_all(&all);
}

#[test]
fn cli_4_a_merge_that_is_stopped_has_written_nothing() {
    let merge = Work {
        line: "withy -q -b topic merge main",
        told: "error: merge main into topic: interrupted, the store is whole\n",
        stopped: World::must_be_as_it_was,
        done: World::must_have_main_on_topic,
    };
    let rebase = Work {
        line: "withy -q -b topic rebase main",
        told: "error: rebase topic onto main: interrupted, the store is whole\n",
        ..merge
    };
    let pick = Work {
        line: "withy -q -b topic cherry-pick main~2",
        told: "error: cherry-pick main~2 on topic: interrupted, the store is whole\n",
        done: |world| world.must_have_rows_of(2, "topic"),
        ..merge
    };
    let revert = Work {
        line: "withy -q revert main~2",
        told: "error: revert main~2 on main: interrupted, the store is whole\n",
        done: |world| world.must_have_rows_of(1, "main"),
        ..merge
    };
    try_all(&[merge, rebase, pick, revert]);
}

#[test]
fn cli_4_what_looks_at_a_store_can_be_stopped() {
    let verify = Work {
        line: "withy -q verify",
        told: "error: verify DIR/.withy: interrupted, the store is whole\n",
        stopped: World::must_be_as_it_was,
        done: World::must_be_as_it_was,
    };
    let doctor = Work {
        line: "withy doctor --deep",
        told: "error: look at the store DIR/.withy: interrupted, the store is whole\n",
        ..verify
    };
    let checkpoint = Work {
        line: "withy -q checkpoint copy",
        told: "error: copy the store to copy: interrupted, the store is whole\n",
        stopped: |world| {
            is_absent(world, "copy");
            world.must_be_as_it_was();
        },
        done: |world| world.must_be_a_copy("copy"),
    };
    try_all(&[verify, doctor, checkpoint]);
}

#[test]
fn cli_4_a_collection_or_purge_that_is_stopped_goes_on() {
    let gc = Work {
        line: "withy -q gc",
        told: "error: collect: interrupted, the store is whole\n",
        stopped: World::must_have_its_content,
        done: |world| {
            world.must_have_its_content();
            let (said, _) = world.shell.run("withy gc");
            assert_eq!(said, "nothing to remove\n", "all is removed that should be");
        },
    };
    let purge = Work {
        line: "withy -q purge --prefix secret/ --yes",
        told: "error: purge prefix secret/: interrupted, the store is whole\n",
        stopped: World::must_have_its_content,
        done: World::must_have_no_secrets,
    };
    try_all(&[gc, purge]);
}

#[test]
fn cli_4_a_backup_that_is_stopped_is_whole() {
    let create = Work {
        line: "withy -q backup create away",
        told: "error: back up the store to away: interrupted, there is no new snapshot; the next run \
               uses what was copied\n",
        stopped: |world| world.must_have_snapshots(&[1, 2, 3]),
        done: |world| world.must_have_snapshots(&[1, 2, 3, 4]),
    };
    let first = Work {
        line: "withy -q backup create first",
        told: "error: back up the store to first: interrupted, there is no new snapshot; the next run \
               uses what was copied\n",
        stopped: |world| world.must_have_snapshots(&[1, 2, 3]),
        done: |world| world.must_be_restored_from("first"),
    };
    let verify = Work {
        line: "withy -q backup verify away",
        told: "error: verify the backup away: interrupted, the backup was not changed\n",
        stopped: |world| world.must_have_snapshots(&[1, 2, 3]),
        done: |world| world.must_have_snapshots(&[1, 2, 3]),
    };
    let prune = Work {
        line: "withy -q backup prune away --keep 1",
        told: "error: prune the backup away: interrupted, every snapshot that is left is whole; \
               the next run goes on\n",
        stopped: |world| world.must_be_restored_from("away"),
        done: |world| world.must_have_snapshots(&[3]),
    };
    let restore = Work {
        line: "withy -q backup restore away again",
        told: "error: restore to again: interrupted, the target is no store yet; a restore to it goes on\n",
        stopped: |world| {
            let (said, code) = world.shell.run("withy --store again log");
            let is_begun = world.shell.path().join("again").exists();
            assert_eq!(code, if is_begun { 4 } else { 2 }, "it is no store: {said}");
            world.must_have_snapshots(&[1, 2, 3]);
        },
        done: |world| world.must_be_a_copy("again"),
    };
    try_all(&[create, first, verify, prune, restore]);
}

/// Where files cannot be linked they are copied one after the other, which takes longer.
#[test]
fn cli_4_a_checkpoint_to_another_disk_that_is_stopped_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let (kept, target) = (Kept::new(), disk.store());
    let mut stopped = 0;
    for call in (1..).map(|n| if is_long() { n } else { n * n }) {
        let world = kept.copy();
        let pipe = world.shell.path().join("hold");
        make_pipe(&pipe);
        let line = format!("withy -q checkpoint {} --rate 1G", target.display());
        let mut command = world.shell.command(&format!("exec {line}"));
        command.env("WITHY_HOLD", format!("{call} {}", pipe.display()));
        let Some(output) = signalled(command, &pipe, &["TERM"]) else { break };
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        let left = fs::read_dir(target.parent().expect("the disk")).expect("it is read").count();
        assert_eq!(left, 0, "nothing is on the disk after call {call}");
        world.must_be_tidy(&line);
        world.must_be_as_it_was();
        stopped += 1;
        let (said, code) = world.shell.run(&line);
        assert_eq!((said.as_str(), code), ("", 0), "{line}, and again");
        world.must_be_a_copy(&target.to_string_lossy());
        fs::remove_dir_all(&target).expect("it is removed");
    }
    assert!(stopped >= 3, "it looks for signals while it copies: {stopped}");
}

/// A second signal while the first one is not looked at yet. It leaves no time to put things in order; the next
/// run does.
#[test]
fn cli_4_a_second_signal_ends_the_work_at_once() {
    let kept = Kept::new();
    let lines = [
        "withy -q gc",
        "withy -q purge --prefix secret/ --yes",
        "withy -q import rows.jsonl",
        "withy -q -b topic merge main",
        "withy -q export new.jsonl",
        "withy -q verify",
        "withy -q checkpoint copy",
        "withy -q backup create away",
        "withy -q backup restore away again",
    ];
    for line in lines {
        let world = kept.copy();
        let pipe = world.shell.path().join("hold");
        make_pipe(&pipe);
        let mut command = world.shell.command(&format!("exec {line}"));
        command.env("WITHY_HOLD", format!("2 {}", pipe.display()));
        let output =
            signalled(command, &pipe, &["INT", "TERM"]).expect("it looks for signals twice");
        fs::remove_file(&pipe).expect("the pipe is removed");
        assert_eq!(
            (text(&output.stderr), output.status.code()),
            (String::new(), Some(130)),
            "{line}"
        );
        let (said, code) = world.shell.run(line);
        assert_eq!((said.as_str(), code), ("", 0), "{line}, and again");
        world.must_be_tidy(line);
    }
}
