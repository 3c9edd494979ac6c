//! `undo`, `redo`, `ops`.

use super::Shell;

#[test]
fn undo_1_every_operation_can_be_taken_back() {
    Shell::new().session(
        r#"
$ withy undo
$ withy -q put pear green && withy -q branch topic && withy -q tag v1 && withy -q switch topic
$ withy ops
$ withy undo
$ withy undo -n 3
$ withy get pear
$ withy redo
$ withy get pear
$ withy redo --json
$ withy ops -n 2
$ withy ops -n 1 --json
$ withy -q put plum blue
$ withy redo
"#,
    );
}
