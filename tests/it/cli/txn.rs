//! `txn`: scripts of transactions, and the prompt.

use std::fs;
use std::path::Path;

use super::Shell;
use super::tty::{Tty, can_run};

/// Runs every script of `fixtures/txn` in a store of its own.
#[test]
fn cli_6_every_fixture_script_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/txn");
    let entries = fs::read_dir(&directory).expect("directory is there");
    let mut scripts: Vec<_> =
        entries.map(|entry| entry.expect("entry can be read").path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 10, "isolation, savepoints and the rest have scripts");
    let mut wrong = Vec::new();
    for script in &scripts {
        let shell = Shell::new();
        let (text, code) = shell.run(&format!("withy txn {}", script.display()));
        let is_met = text.lines().last().is_some_and(|line| line.ends_with(" met"));
        // A warning would be of a transaction that is not finished.
        if code != 0 || !is_met || text.lines().any(|line| line.starts_with("! ")) {
            wrong.push(format!("{} [{code}]\n{text}", script.display()));
        }
    }
    assert!(wrong.is_empty(), "each script exits with 0:\n{}", wrong.join("\n"));
}

/// The scripts say something: what a level prevents happens at the one below it.
#[test]
fn cli_6_the_scripts_do_not_hold_at_a_weaker_level() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/txn");
    for (script, level, weaker) in [
        ("repeatable-reads", "snapshot", "read-committed"),
        ("lost-update", "snapshot", "read-committed"),
        ("lost-update", "serializable", "read-committed"),
        ("long-fork", "snapshot", "read-committed"),
        ("write-skew", "serializable", "snapshot"),
        ("phantom", "serializable", "snapshot"),
        ("read-only-anomaly", "serializable", "snapshot"),
        ("two-branches", "serializable", "snapshot"),
    ] {
        let text = fs::read_to_string(directory.join(script).with_extension("txn"));
        let text = text.expect("the script is there");
        let from = format!("begin {level}");
        let weak = text
            .replace(&from, &format!("begin {weaker}"))
            .replace(&format!("begin main {level}"), &format!("begin main {weaker}"));
        assert_ne!(text, weak, "{script} has transactions at level {level}");
        let shell = Shell::new();
        fs::write(shell.path().join("weak.txn"), weak).expect("a file can be written");
        let (text, code) = shell.run("withy txn weak.txn");
        assert_eq!(code, 1, "{script} tells {weaker} from {level}:\n{text}");
    }
}

#[test]
fn cli_6_a_script_from_a_pipe_tells_what_it_read_and_committed() {
    Shell::new().session(
        r#"
$ printf 'begin\nput pear green\nput "a b" " c"\nget pear\nget plum\nscan\ncount p\ncommit two keys\nget pear\n' | withy txn
pear = green
plum absent
"a b" = " c"
pear = green
count p = 1
[main seq:1 ID] two keys (2 keys)
pear = green
$ printf 'put pear red\nput pear red\ndel plum\nt1: begin\nt1: get pear\nt1: rollback' | withy txn -
[main seq:2 ID] put pear (1 key)
nothing to commit: main has this content already
nothing to commit: main has this content already
t1: pear = red
$ printf 'put pear red\nput plum blue\nget plum' | withy -q txn
plum = blue
$ printf 'branch topic\nbegin topic\nput pear yellow\ncommit\nbegin\ncommit\nexpect pear = red' | withy txn
created branch topic at seq:3
[topic seq:4 ID] (1 key)
nothing to commit: it wrote nothing
1 expectation met
$ printf 'get pear' | withy -b topic txn
pear = yellow
$ printf 'begin\nenqueue mail hello\ncommit tell\nbegin\nsavepoint s\nenqueue mail again\nrollback to s\ncommit' | withy txn
[main seq:5 ID] tell (0 keys)
nothing to commit: it wrote nothing
$ printf 'begin\nput pear red\ncommit\nbegin\nsavepoint s\nput pear 1\nrollback to s\ncommit\nbegin\non topic put pear 2\ncommit' | withy txn
nothing to commit: main has this content already
nothing to commit: it wrote nothing
[topic seq:6 ID] (1 key)
$ printf 'on topic get pear\nt1: begin\nt1: on topic scan pear\nt1: on topic count p\non topic put pear 3' | withy -q txn
on topic: pear = 2
t1: on topic: pear = 2
t1: on topic: count p = 2
$ printf 't1: begin\nt1: lock fruit/pear\nt2: begin\nt2: lock fruit subtree\n' | withy txn | sed 's/number [0-9]*/number N/'
t1: locked fruit/pear, fencing number N
! error: standard input:4: t2: lock fruit subtree: cannot lock "/fruit" (subtree): transaction on main (owner 1) holds "/fruit/pear" (point)
! hint: another transaction of this script holds it: end that one first, or write `expect error busy` on the line before
$ printf 'get 70656172' | withy --key-format hex --value-format base64 txn
70656172 = cmVk
"#,
    );
}

#[test]
fn cli_6_an_expectation_that_does_not_hold_names_line_and_both_sides() {
    let shell = Shell::new();
    let script = "# a pear\nput pear green\nbegin\nput pear red\nt1: begin\n\nexpect pear = yellow\nput plum 1\ncommit\n";
    fs::write(shell.path().join("pears.txn"), script).expect("a file can be written");
    shell.session(
        r#"
$ withy txn pears.txn
[main seq:1 ID] put pear (1 key)
! pears.txn:7: expect pear = yellow: not as expected
!   expected: pear = yellow
!   found: pear = red
[1]
$ withy scan
pear	green
$ printf 'expect pear absent\nexpect pear = green\nexpect count = 2\nexpect scan p = pear=green plum=1\nexpect scan =' | withy txn --keep-going
1 expectation met
! standard input:1: expect pear absent: not as expected
!   expected: pear absent
!   found: pear = green
! standard input:3: expect count = 2: not as expected
!   expected: count = 2
!   found: count = 1
! standard input:4: expect scan p = pear=green plum=1: not as expected
!   expected: pear=green plum=1
!   found: pear=green
! standard input:5: expect scan =: not as expected
!   expected: no keys
!   found: pear=green
[1]
$ printf 'expect conflict\nput pear green\n' | withy txn
nothing to commit: main has this content already
! standard input:2: put pear green: not as expected
!   expected: a conflict
!   found: no error
[1]
$ printf 'begin\nput z 1\nexpect conflict z\ncommit last\n' | withy txn
[main seq:2 ID] last (1 key)
! standard input:4: commit last: not as expected
!   expected: a conflict about z
!   found: no error
[1]
$ printf 'begin\nput z 2\nexpect conflict\ncommit\n' | withy --json txn | tail -n 1 | sed 's/"commit":{"seq":3,.*}}\]}/"commit":{"seq":3, ...}}]}/'
{"line":4,"command":"commit","met":false,"expected":"a conflict","found":"no error","commits":[{"branch":"main","commit":{"seq":3, ...}}]}
$ printf 'expect error exists\nbegin none\n' | withy txn
! standard input:2: begin none: not as expected
!   expected: an error: exists
!   found: an error: not-found, no branch "none"
[1]
"#,
    );
}

#[test]
fn cli_6_a_conflict_that_is_not_expected_ends_the_script() {
    let shell = Shell::new();
    let script = "t1: begin\nt2: begin\nt1: put pear 1\nt2: put pear 2\nt1: commit\nt2: commit\nput plum 3\n";
    fs::write(shell.path().join("race.txn"), script).expect("a file can be written");
    shell.session(
        r#"
$ withy txn race.txn
t1: [main seq:1 ID] (1 key)
! error: race.txn:6: t2: commit: pear changed on main since the transaction began
! hint: if it has to be so, write `expect conflict` on the line before
[3]
$ withy scan
pear	1
$ sed 's/pear 1/pear 3/; s/t2: commit/expect conflict plum\n&/' race.txn | withy txn
t1: [main seq:2 ID] (1 key)
! standard input:7: t2: commit: not as expected
!   expected: a conflict about plum
!   found: a conflict about pear
[1]
"#,
    );
}

#[test]
fn cli_6_a_hint_says_what_can_be_done_in_a_script() {
    Shell::new().session(
        r#"
$ printf 'begin\nbranch fork\non fork put x 1' | withy txn
created branch fork at seq:0
! error: standard input:3: on fork put x 1: fork was made or moved since the transaction began
! hint: make or move the branch before `begin`
[3]
$ printf 'begin operations 1\nput a 1\nput b 1' | withy txn
! error: standard input:3: put b 1: the limit of 1 operations of a transaction is reached
! hint: its transaction is rolled back; raise the limit, or write `expect error limit` on the line before
[2]
$ printf 'begin serialisable' | withy txn
! error: standard input:1: begin serialisable: no branch "serialisable"
! hint: `withy branch` lists the branches; levels are read-committed, snapshot and serializable
[2]
$ printf 'begin serialisable snapshot' | withy txn
! error: standard input:1: begin serialisable snapshot: no branch "serialisable"
! hint: `withy branch` lists the branches
[2]
$ printf 'begin snapshot main' | withy txn
! error: standard input:1: `main` is neither a level nor a limit; the branch comes before them; the form is `begin [BRANCH] [LEVEL] [operations N] [bytes N] [time MS]`
! hint: see `withy help txn`; nothing was run
[2]
"#,
    );
}

#[test]
fn cli_6_a_script_that_is_wrong_is_not_begun() {
    let shell = Shell::new();
    fs::write(shell.path().join("wrong.txn"), "put pear 1\nbegin\nput\n").expect("it is written");
    fs::write(shell.path().join("names.txn"), "put pear 1\nt1: begin\nt2: put pear 2\n")
        .expect("it is written");
    shell.session(
        r#"
$ withy txn wrong.txn
! error: wrong.txn:3: expected a key; the form is `put KEY VALUE`
! hint: see `withy help txn`; nothing was run
[2]
$ withy txn --check names.txn
! error: names.txn:3: no transaction t2 is open; `t2: begin` opens it
! hint: see `withy help txn`; nothing was run
[2]
$ withy scan --count
0
$ printf 'begin\nput pear 1\ncommit' | withy txn --check
$ withy --store nowhere txn --check names.txn < /dev/null
! error: names.txn:3: no transaction t2 is open; `t2: begin` opens it
! hint: see `withy help txn`; nothing was run
[2]
$ withy scan --count
0
$ withy txn missing.txn
! error: read missing.txn: No such file or directory (os error 2)
[2]
$ printf 'put pear \033[2J\\q' | withy txn
! error: standard input:1: unknown escape \q; write \\ for a backslash; the form is `put KEY VALUE`
! hint: see `withy help txn`; nothing was run
[2]
"#,
    );
}

#[test]
fn cli_6_what_a_script_leaves_open_is_rolled_back() {
    Shell::new().session(
        r#"
$ printf 'begin\nput pear 1\n' | withy txn
! warning: a transaction was not committed and is rolled back
$ printf 't1: begin\nt1: put pear 1\nt2: begin\nt2: put pear 2' | withy txn
! warning: 2 transactions were not committed and are rolled back: t1, t2
$ printf 'begin\nput pear 1\n' | withy -q txn
$ printf 'begin\nput pear 1\nput plum 1\nbegin none\n' | sed 's/begin none/t2: &/' | withy txn
! error: standard input:4: t2: begin none: no branch "none"
! hint: `withy branch` lists the branches; levels are read-committed, snapshot and serializable
[2]
$ withy scan --count
0
"#,
    );
}

#[test]
fn stat_1_a_script_tells_at_its_end_what_transactions_came_to() {
    let shell = Shell::new();
    let script = "t1: begin\nt2: begin\nt1: put a 1\nt2: put a 2\nt1: commit\nexpect conflict a\nt2: commit\nput a 3\nbegin\n";
    fs::write(shell.path().join("race.txn"), script).expect("a file can be written");
    shell.session(
        r#"
$ withy txn -q --stats race.txn | sed 's/[0-9]* µs/N µs/'
begun     4
committed 2
aborted   2
active    0
conflicts 1
average   N µs
longest   N µs
p50       N µs
p99       N µs
$ withy txn --json --stats race.txn | tail -n 1 | sed 's/_micros":[0-9]*/_micros":N/g'
{"stats":{"begun":4,"committed":2,"aborted":2,"active":0,"conflicts":1,"average_micros":N,"longest_micros":N,"p50_micros":N,"p99_micros":N}}
"#,
    );
}

#[test]
fn cli_2_json_has_an_object_for_each_command() {
    Shell::new().session(
        r#"
$ printf 't1: begin\nt1: put pear green\nt1: get pear\nt1: get plum\nt1: scan\nt1: count p\nt1: expect pear = red' | withy --json txn
{"line":1,"transaction":"t1","command":"t1: begin"}
{"line":2,"transaction":"t1","command":"t1: put pear green"}
{"line":3,"transaction":"t1","command":"t1: get pear","key":"pear","value":"green"}
{"line":4,"transaction":"t1","command":"t1: get plum","key":"plum","value":null}
{"line":5,"transaction":"t1","command":"t1: scan","rows":[{"key":"pear","value":"green"}]}
{"line":6,"transaction":"t1","command":"t1: count p","prefix":"p","count":1}
{"line":7,"transaction":"t1","command":"t1: expect pear = red","met":false,"expected":"pear = red","found":"pear = green"}
[1]
$ printf 'begin\nput pear green\ncommit\nput pear green\nbranch b\nexpect error exists\nbranch b\nexpect pear = green' | withy --json txn | sed 's/"commit":{"seq":1,.*}}\]}/"commit":{"seq":1, ...}}]}/'
{"line":1,"command":"begin"}
{"line":2,"command":"put pear green"}
{"line":3,"command":"commit","commits":[{"branch":"main","commit":{"seq":1, ...}}]}
{"line":4,"command":"put pear green","commits":[{"branch":"main","unchanged":true}]}
{"line":5,"command":"branch b","branch":"b","head":1}
{"line":6,"command":"expect error exists"}
{"line":7,"command":"branch b","met":true,"error":{"kind":"exists","message":"branch b exists already","keys":[]}}
{"line":8,"command":"expect pear = green","met":true}
$ printf 't1: begin\nt1: put pear 1\nput pear 2\nt1: commit' | withy --json txn | tail -n 1
{"line":4,"transaction":"t1","command":"t1: commit","error":{"kind":"conflict","message":"pear changed on main since the transaction began","keys":[{"key":"pear"}]}}
! error: standard input:4: t1: commit: pear changed on main since the transaction began
! hint: if it has to be so, write `expect conflict` on the line before
"#,
    );
}

#[test]
fn cli_6_the_prompt_edits_completes_and_remembers() {
    if !can_run() {
        return;
    }
    let shell = Shell::new();
    let command = "stty -g >before; withy txn; echo code $?; stty -g >after; echo end";
    let mut tty = Tty::start(&shell, command);
    tty.wait_for("main>");
    tty.press("begin\r");
    tty.wait_for("main*0>");
    tty.press("put pear green\r");
    tty.wait_for("main*1>");
    // What is given up with Ctrl-C is not done.
    tty.press("put plum blue\u{3}");
    tty.wait_for("main*1> put plum blue\nmain*1>");
    tty.press("sav\t sp\r");
    tty.wait_for("main*1 sp>");
    tty.press("get pear\r");
    tty.wait_for("pear = green");
    tty.press("put\r");
    tty.wait_for("error: expected a key; the form is `put KEY VALUE`");
    tty.press("help put\r");
    tty.wait_for("Sets a key. Outside a transaction");
    tty.press("rollback to s\t\r");
    tty.wait_for("main*1 sp> rollback to sp\nmain*1>\n");
    tty.press("com\t a pear\r");
    tty.wait_for("a pear (1 key)");
    tty.press("begin\r");
    tty.wait_for("main> begin\nmain*0>\n");
    tty.press("\u{4}");
    tty.wait_for("end");
    let text = tty.screen.text();
    assert!(text.contains("rolled back 1 transaction\ncode 0\n"), "it ends with a notice:\n{text}");
    let read = |name: &str| fs::read_to_string(shell.path().join(name)).expect("it is there");
    assert_eq!(read("before"), read("after"), "the terminal is as it was");
    shell.session(
        r#"
$ withy scan
pear	green
$ head -n 4 .local/state/withy/history
#V2
begin
put pear green
savepoint sp
"#,
    );
    let mut again = Tty::start(&shell, "withy txn");
    again.wait_for("main>");
    // The last line of the session before, and the one before that.
    again.press("\u{1b}[A\u{1b}[A");
    again.wait_for("main> commit a pear");
}

#[test]
fn cli_6_an_error_does_not_end_the_prompt() {
    if !can_run() {
        return;
    }
    let shell = Shell::new();
    let mut tty = Tty::start(&shell, "WITHY_HISTORY= withy txn; echo code $?");
    tty.wait_for("main>");
    tty.press("t1: begin\r");
    tty.wait_for("main [t1*0]>");
    tty.press("t1: put pear 1\r");
    tty.wait_for("main [t1*1]>");
    tty.press("put pear 2\r");
    tty.wait_for("put pear (1 key)");
    tty.press("expect conflict plum\r");
    tty.wait_for("(has to fail)>");
    tty.press("t1: commit\r");
    tty.wait_for("found: a conflict about pear");
    tty.press("t1: commit\r");
    tty.wait_for("error: t1: commit: no transaction t1 is open");
    tty.press("expect pear = 3\r");
    tty.wait_for("found: pear = 2");
    tty.press("stats\r");
    tty.wait_for("conflicts 1\n");
    tty.press("quit\r");
    tty.wait_for("code 0");
    assert!(!shell.path().join(".local").exists(), "no history is kept if none is wanted");
}
