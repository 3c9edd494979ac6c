//! `diff`.

use super::Shell;

fn two_sides() -> Shell {
    let shell = Shell::new();
    let (text, _) = shell.run(
        "seq 1 12 > long && withy -q put text --file long && withy -q put gone old \
         && withy -q put bytes '\\x00\\x01' && withy -q put same same && withy -q tag before \
         && sed 's/^7$/seven/' long > longer && withy -q put text --file longer && withy -q del gone \
         && withy -q put bytes '\\xff' && withy -q put new 'two\\nlines'",
    );
    assert_eq!(text, "", "the sides are made in silence");
    shell
}

#[test]
fn diff_3_texts_are_compared_by_lines_and_bytes_by_length_and_hash() {
    two_sides().session(
        r#"
$ withy diff before main
$ withy diff before..main -U 0 --key text
$ withy diff main..before --prefix n
$ withy diff --value-format hex before main --key bytes
$ withy diff main
"#,
    );
}

#[test]
fn diff_2_names_counts_and_limits() {
    two_sides().session(
        r#"
$ withy diff before main --name-only
$ withy diff before main --name-status -n 2
$ withy diff before.. --stat
$ withy diff before main --stat --json
$ withy diff before main --json
$ withy diff before main --json --name-only -n 1
"#,
    );
}

#[test]
fn cli_3_diff_ends_with_1_only_if_asked() {
    two_sides().session(
        r#"
$ withy diff before main --name-only --exit-code
$ withy diff main main --exit-code
$ withy diff main main
$ withy diff before nowhere
$ withy diff
$ withy diff before main --stat --name-only
"#,
    );
}
