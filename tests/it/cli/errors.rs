//! Errors: exit codes, causes and hints.

use super::Shell;

#[test]
fn cli_3_a_store_that_is_not_there_or_not_one() {
    Shell::empty().session(
        r#"
$ withy get pear
! error: open the store: no .withy in DIR or above
! hint: make one with `withy init`, or name one with --store DIR
[2]
$ withy --store nowhere get pear
! error: open the store nowhere: there is no store in nowhere
! hint: `withy init` makes one
[2]
$ withy --store nowhere put pear green
! error: open the store nowhere: there is no store in nowhere
! hint: `withy init` makes one
[2]
$ mkdir other && echo text > other/file && withy --store other get pear
! error: open the store other: other is not a withy store
! hint: give the directory of a store, or one that is empty
[4]
$ withy --store other init
! error: make a store in other: other is not a withy store
! hint: give the directory of a store, or one that is empty
[4]
"#,
    );
}

#[test]
fn ops_4_a_second_writer_is_told_who_holds_the_store() {
    let shell = Shell::new();
    let held = withy::Store::open(shell.path().join(".withy")).expect("the store opens");
    let pid = std::process::id();
    let (text, code) = shell.run("withy put pear green");
    assert_eq!(code, 3, "busy means: try again");
    let want = format!(
        "! error: open the store DIR/.withy: the store DIR/.withy is open for writing by process {pid} since TIME\n\
         ! hint: use --wait SECONDS to wait until the store is free\n"
    );
    assert_eq!(text, want, "holder and remedy are named");
    held.main().expect("there is main").put("pear", "green").expect("the holder writes");
    shell.session(
        r#"
$ withy get pear
green%
$ withy log --oneline
seq:1 ID (@ -> main)
seq:0 ID (the empty root)
"#,
    );
}

#[test]
fn cli_1_wrong_commands_are_usage_errors() {
    Shell::new().session(
        r#"
$ withy xyzzy
! error: unrecognized subcommand 'xyzzy'
!
! Usage: withy [OPTIONS] <COMMAND>
!
! For more information, try '--help'.
[2]
$ withy put
! error: the following required arguments were not provided:
!   <KEY>
!   <VALUE>
!
! Usage: withy put <KEY> <VALUE>
!
! For more information, try '--help'.
[2]
$ withy --wait soon put pear green
! error: read a number of seconds: "soon" is not one such as 2 or 0.5
[2]
$ withy log --since
! error: a value is required for '--since <TIME>' but none was supplied
!
! For more information, try '--help'.
[2]
$ withy undo --steps many
! error: invalid value 'many' for '--steps <STEPS>': invalid digit found in string
!
! For more information, try '--help'.
[2]
"#,
    );
}
