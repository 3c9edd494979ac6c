//! `undo`, `redo`, `ops`.

use super::Shell;

#[test]
fn undo_1_every_operation_can_be_taken_back() {
    Shell::new().session(
        r#"
$ withy undo
! error: undo: there is nothing to undo
! hint: `withy ops` lists what was done
[2]
$ withy -q put pear green && withy -q branch topic && withy -q tag v1 && withy -q switch topic
$ withy ops
1.3 TIME ada switch to topic
1.2 TIME ada create tag v1 at 1
1.1 TIME ada create branch topic at 1
1 TIME ada commit to main
$ withy undo
undone: 1.3 TIME ada switch to topic
$ withy undo -n 3
undone: 1.2 TIME ada create tag v1 at 1
undone: 1.1 TIME ada create branch topic at 1
undone: 1 TIME ada commit to main
$ withy get pear
! no key pear at main
[1]
$ withy redo
redone: 1 TIME ada commit to main
$ withy get pear
green%
$ withy redo --json
{"id":"1.1","time":"TIME","author":"ada","what":"create branch topic at 1"}
$ withy ops -n 2
1.9 TIME ada redo 1.1: create branch topic at 1
1.8 TIME ada redo 1: commit to main
$ withy ops -n 1 --json
{"id":"1.9","time":"TIME","author":"ada","what":"redo 1.1: create branch topic at 1"}
$ withy -q put plum blue
$ withy redo
! error: redo: there is nothing to redo
! hint: only what was undone last, with no other operation since, can be redone
[2]
"#,
    );
}
