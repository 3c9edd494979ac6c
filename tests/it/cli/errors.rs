//! Errors: exit codes, causes and hints.

use super::Shell;

#[test]
fn cli_3_a_store_that_is_not_there_or_not_one() {
    Shell::empty().session(
        r#"
$ withy get pear
$ withy --store nowhere get pear
$ withy --store nowhere put pear green
$ mkdir other && echo text > other/file && withy --store other get pear
$ withy --store other init
"#,
    );
}

#[test]
fn ops_4_a_second_writer_is_told_who_holds_the_store() {
    let shell = Shell::new();
    let held = withy::Store::open(shell.path().join(".withy")).expect("the store opens");
    let (text, code) = shell.run("withy put pear green");
    assert_eq!(code, 3, "busy: {text}");
    assert!(text.contains(&std::process::id().to_string()), "the process is named: {text}");
    held.main().expect("there is main").put("pear", "green").expect("the holder writes");
    shell.session(
        r#"
$ withy get pear
$ withy log --oneline
"#,
    );
}

#[test]
fn cli_1_wrong_commands_are_usage_errors() {
    Shell::new().session(
        r#"
$ withy
$ withy frobnicate
$ withy put
$ withy --wait soon put pear green
$ withy log --since
"#,
    );
}
