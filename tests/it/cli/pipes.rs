//! Pipes, colours, quiet.

use super::Shell;

#[test]
fn cli_3_a_closed_pipe_ends_in_silence() {
    let shell = Shell::new();
    let rows: String =
        (0..20_000).map(|n| format!("{{\"key\":\"{n:06}\",\"value\":\"x\"}}\n")).collect();
    std::fs::write(shell.path().join("rows.jsonl"), rows).expect("the rows can be written");
    shell.session(
        r#"
$ withy import rows.jsonl
imported 20000 rows into main as seq:1
$ (withy scan; echo "ended with $?" >&2) | head -n 1
000000	x
! ended with 0
$ (withy export --format csv; echo "ended with $?" >&2) | head -n 1
key,value
! ended with 0
"#,
    );
}

#[test]
fn cli_2_colours_come_when_asked_for() {
    Shell::new().session(
        r#"
$ withy -q put pear green
$ withy --color always log --oneline | sed 's/\x1b/<ESC>/g'
<ESC>[33mseq:1 ID<ESC>[0m (<ESC>[1m<ESC>[32m@ -> main<ESC>[0m) put pear
<ESC>[33mseq:0 ID<ESC>[0m (the empty root)
$ withy --color never log --oneline
seq:1 ID (@ -> main) put pear
seq:0 ID (the empty root)
$ WITHY_COLOR=always withy show | sed 's/\x1b/<ESC>/g'
<ESC>[33mcommit ID seq:1<ESC>[0m (<ESC>[1m<ESC>[32m@ -> main<ESC>[0m)
Author: ada
Date:   TIME

    put pear

<ESC>[1madded pear<ESC>[0m
<ESC>[36m@@ -0,0 +1 @@<ESC>[0m
<ESC>[32m+green<ESC>[0m
"#,
    );
}
