//! `history`.

use super::Shell;

#[test]
fn hist_2_history_of_a_key_goes_back_across_branches() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put plum blue && withy -q del pear && withy -q switch -c topic && withy -q put pear brown --author bob
$ withy history pear
$ withy history pear -n 1 --json
$ withy history pear --at main
$ withy history pear --branch main -n 1
$ withy history apple
"#,
    );
}
