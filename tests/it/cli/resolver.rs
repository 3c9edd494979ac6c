//! The resolver in a terminal.

use withy::{Batch, CommitOptions, KeyRange, MergeOptions, Read as _, Resolution, Store};

use super::Shell;
use super::tty::{Tty, can_run};

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
