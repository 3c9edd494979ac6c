//! Pipes, colours, quiet.

use super::Shell;

#[test]
fn cli_3_a_closed_pipe_ends_in_silence() {
    let shell = Shell::new();
    let rows: String = (0..20_000).map(|n| format!("{{\"key\":\"{n:06}\",\"value\":\"x\"}}\n")).collect();
    std::fs::write(shell.path().join("rows.jsonl"), rows).expect("the rows can be written");
    shell.session(
        r#"
$ withy import rows.jsonl
$ (withy scan; echo "ended with $?" >&2) | head -n 1
$ (withy export --format csv; echo "ended with $?" >&2) | head -n 1
"#,
    );
}

#[test]
fn cli_2_colours_come_when_asked_for() {
    Shell::new().session(
        r#"
$ withy -q put pear green
$ withy --color always log --oneline | od -c | head -n 1
$ withy --color never log --oneline
$ WITHY_COLOR=always withy diff @ --name-only
"#,
    );
}
