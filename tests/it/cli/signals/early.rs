//! Signals while the store is opened: nothing was done yet that could be ended in order.

use std::fs;

use super::world::Kept;
use super::{make_pipe, signalled, text};

/// The marker is read first. Here it is a pipe, so that it is certain where the process is.
#[test]
fn cli_4_a_signal_while_a_store_is_opened_ends_long_work_at_once() {
    let kept = Kept::new();
    let world = kept.copy();
    let lines = [
        ("withy import rows.jsonl", ".withy/withy.store"),
        ("withy import --format git history.git", ".withy/withy.store"),
        ("withy export new.jsonl", ".withy/withy.store"),
        ("withy verify", ".withy/withy.store"),
        ("withy gc", ".withy/withy.store"),
        ("withy purge --prefix secret/ --yes", ".withy/withy.store"),
        ("withy checkpoint copy", ".withy/withy.store"),
        ("withy backup create away", ".withy/withy.store"),
        ("withy backup verify away", "away/withy.backup"),
        ("withy backup prune away --keep 1", "away/withy.backup"),
        ("withy backup restore away again", "away/withy.backup"),
        ("withy doctor --deep", ".withy/withy.store"),
    ];
    for (line, marker) in lines {
        for signal in ["INT", "TERM"] {
            let marker = world.shell.path().join(marker);
            let whole = fs::read(&marker).expect("it is there");
            make_pipe(&marker);
            let command = world.shell.command(&format!("exec {line}"));
            let output = signalled(command, &marker, &[signal]).expect("the marker is read");
            fs::remove_file(&marker).expect("it is removed");
            fs::write(&marker, whole).expect("it is there again");
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!((said.as_str(), output.status.code()), ("", Some(130)), "{line}, {signal}");
            world.must_be_tidy(line);
        }
    }
    world.must_have_snapshots(&[1, 2, 3]);
}

/// Other work has nothing to put in order: a signal ends it as it ends any program.
#[test]
fn cli_4_a_signal_ends_short_work_by_itself() {
    use std::os::unix::process::ExitStatusExt as _;
    let world = Kept::new().copy();
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        let marker = world.shell.path().join(".withy/withy.store");
        let whole = fs::read(&marker).expect("it is there");
        make_pipe(&marker);
        // Whoever runs the tests in the background may have it ignored.
        let line = "exec env --default-signal=INT withy put pear green";
        let command = world.shell.command(line);
        let output = signalled(command, &marker, &[signal]).expect("the marker is read");
        fs::remove_file(&marker).expect("it is removed");
        fs::write(&marker, whole).expect("it is there again");
        assert_eq!(output.status.signal(), Some(number), "it is ended by it");
    }
    world.must_be_as_it_was();
}
