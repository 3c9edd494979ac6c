//! `resolve`.

use super::Shell;

/// Open: `note` differs by lines, `gone` was deleted by the topic, `word` is one word.
fn open() -> Shell {
    made(
        "withy -q put note 'one\\ntwo\\nthree\\n' && withy -q put gone here && withy -q put word base && withy -q branch topic \
         && withy -q put note 'one\\n2\\nthree\\n' && withy -q put gone 'still here' && withy -q put word ours \
         && withy -q -b topic put note 'ONE\\nii\\nthree\\n' && withy -q -b topic del gone && withy -q -b topic put word theirs \
         && withy -q merge topic; true",
    )
}

fn made(line: &str) -> Shell {
    Shell::after(line)
}

#[test]
fn merge_6_each_conflict_is_settled_in_its_own_way() {
    open().session(
        r#"
$ withy resolve note --base
settled note: base; 2 conflicts left
$ withy resolve note gone note --theirs
settled 2 conflicts: theirs; 1 conflict left
$ printf 'from a pipe' | withy resolve word --value -
settled word: value; none is left: `withy merge --continue` goes on
$ withy conflicts
merge of topic into main (begun TIME by ada): 0 conflicts left, 3 settled
  delete/modify: gone, deleted in topic, modified in main (settled: theirs by ada)
  modify/modify: note (settled: theirs by ada)
  modify/modify: word (settled: value by ada)
! hint: none is left: `withy merge --continue` goes on
$ withy resolve word --reset
took back word; 1 conflict left
$ withy resolve --all --reset
took back 2 conflicts; 3 conflicts left
$ withy resolve --prefix w --delete
settled word: delete; 2 conflicts left
$ printf 'from a file' > file && withy resolve note -f file --json
{"branch":"main","settled":1,"taken":"value","unresolved":1,"resolved":2}
$ withy resolve --all --ours
settled gone: ours; none is left: `withy merge --continue` goes on
$ withy resolve --all --ours
nothing to settle; none is left: `withy merge --continue` goes on
$ withy merge --continue
[main seq:10 ID] Merge topic into main
 0 added, 1 modified, 1 deleted
 settled by ada: 1 delete, 1 ours, 1 value
$ withy scan
gone	still here
note	from a file
$ withy resolve word --ours
! error: settle conflicts of main: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
"#,
    );
}

#[test]
fn cli_1_resolve_wants_to_know_which_and_how() {
    open().session(
        r#"
$ withy resolve
! error: settle conflicts: the screen to settle them on needs a terminal
! hint: name keys and how, such as `withy resolve KEY --ours`, or use --all --theirs
[2]
$ withy resolve word
! error: settle conflicts: it is not said how
! hint: use --ours, --theirs, --base, --value, --file, --delete, --edit or --reset
[2]
$ withy resolve --ours
! error: settle conflicts: it is not said which
! hint: name keys, or use --prefix PREFIX or --all
[2]
$ withy resolve word --ours --theirs
! error: the argument '--ours' cannot be used with '--theirs'
!
! Usage: withy resolve --ours <KEYS>...
!
! For more information, try '--help'.
[2]
$ withy resolve word --all --ours
! error: the argument '[KEYS]...' cannot be used with '--all'
!
! Usage: withy resolve --ours <KEYS>...
!
! For more information, try '--help'.
[2]
$ withy resolve --all
! error: the following required arguments were not provided:
!   <--ours|--theirs|--base|--value <VALUE>|--file <FILE>|--delete|--edit|--reset>
!
! Usage: withy resolve --all <--ours|--theirs|--base|--value <VALUE>|--file <FILE>|--delete|--edit|--reset> [KEYS]...
!
! For more information, try '--help'.
[2]
$ withy resolve nothing word --ours
! error: settle conflicts of main: nothing is not in conflict
! hint: `withy conflicts` lists the conflicts
[2]
$ withy resolve --prefix x --ours
! error: settle conflicts of main: none is on a key that starts with x
! hint: `withy conflicts` lists the conflicts
[2]
$ withy resolve word --file nowhere
! error: read the value from nowhere: No such file or directory (os error 2)
[2]
$ withy conflicts --unresolved
merge of topic into main (begun TIME by ada): 3 conflicts left, 0 settled
U delete/modify: gone, deleted in topic, modified in main
U modify/modify: note
U modify/modify: word
[1]
"#,
    );
}

#[test]
fn merge_7_several_people_settle_one_merge() {
    open().session(
        r#"
$ withy --author bob resolve note --ours
settled note: ours; 2 conflicts left
$ withy --author eve resolve word --theirs
settled word: theirs; 1 conflict left
$ withy --author eve resolve note --theirs
settled note: theirs; 1 conflict left
$ withy resolve gone --delete
settled gone: delete; none is left: `withy merge --continue` goes on
$ withy conflicts
merge of topic into main (begun TIME by ada): 0 conflicts left, 3 settled
  delete/modify: gone, deleted in topic, modified in main (settled: delete by ada)
  modify/modify: note (settled: theirs by eve)
  modify/modify: word (settled: theirs by eve)
! hint: none is left: `withy merge --continue` goes on
$ withy --author eve merge --continue
[main seq:10 ID] Merge topic into main
 0 added, 2 modified, 1 deleted
 settled by ada: 1 delete
 settled by eve: 2 theirs
$ withy show --name-only
commit ID seq:10 (@ -> main)
Merge:  seq:6 seq:9
Author: eve
Date:   TIME

    Merge topic into main

merge of seq:9 ID, merge base seq:3, strategy manual
  delete/modify gone: resolution delete by ada
  modify/modify note: resolution theirs by eve
  modify/modify word: resolution theirs by eve

gone
note
word
"#,
    );
}

#[test]
fn merge_10_an_editor_gets_markers_and_may_not_leave_them() {
    open().session(
        r#"
$ TMPDIR=. EDITOR='cat >&2 <' withy resolve note --edit 2>&1 | sed 's/withy-[A-Za-z0-9]*-/withy-X-/g'
<<<<<<< main
one
2
||||||| base seq:1
one
two
=======
ONE
ii
>>>>>>> topic
three
error: edit note: there are conflict markers left
hint: the text is kept in DIR/./withy-X-note; when it is right: `withy resolve note --file DIR/./withy-X-note`
$ printf '#!/bin/sh\ncp "$1" seen; cp answer "$1"\n' > edit && chmod +x edit
$ printf 'ONE\n2 ii\nthree\n' > answer && EDITOR=./edit withy resolve note -e
settled note: value; 2 conflicts left
$ cat seen
<<<<<<< main
one
2
||||||| base seq:1
one
two
=======
ONE
ii
>>>>>>> topic
three
$ printf 'one word\n' > answer && VISUAL=./edit EDITOR=false withy resolve word -e
settled word: value; 1 conflict left
$ cat seen
<<<<<<< main
ours
||||||| base seq:3
base
=======
theirs
>>>>>>> topic
$ printf '' > answer && EDITOR='./edit' withy resolve gone -e
settled gone: delete; none is left: `withy merge --continue` goes on
$ cat seen
<<<<<<< main
still here
||||||| base seq:2
here
=======
>>>>>>> topic: deleted; leave no text to delete gone
$ EDITOR=false withy resolve gone -e
! error: edit gone: the editor failed: false: exit status: 1
! hint: nothing was settled
[5]
$ withy conflicts -v | grep settled
merge of topic into main (begun TIME by ada): 0 conflicts left, 3 settled
  delete/modify: gone, deleted in topic, modified in main (settled: delete by ada)
  modify/modify: note (settled: value by ada)
  settled:
  modify/modify: word (settled: value by ada)
  settled:
! hint: none is left: `withy merge --continue` goes on
$ withy merge --continue
[main seq:10 ID] Merge topic into main
 0 added, 2 modified, 1 deleted
 settled by ada: 1 delete, 2 value
$ withy scan
note	ONE\n2 ii\nthree\n
word	one word
"#,
    );
}

#[test]
fn merge_6_an_edit_is_refused_if_the_values_change_meanwhile() {
    open().session(
        r#"
$ printf '#!/bin/sh\nwithy -q put word newer; echo mine > "$1"\n' > edit && chmod +x edit
$ TMPDIR=. EDITOR=./edit withy resolve word --edit 2>&1 | sed 's/withy-[A-Za-z0-9]*-/withy-X-/g'
error: settle word: its values have changed meanwhile
hint: the text is kept in DIR/./withy-X-word
$ withy conflicts word
merge of topic into main (begun TIME by ada): 3 conflicts left, 0 settled
main has moved since, from seq:6 to seq:10: the conflicts are those of now
U modify/modify: word
  base seq:3:
    base
  ours main seq:10:
    newer
  theirs topic seq:9:
    theirs
[1]
$ cat withy-*-word
mine
"#,
    );
}

#[test]
fn merge_10_bytes_are_not_edited() {
    Shell::new().session(
        r#"
$ withy -q branch topic && withy -q put bytes '\xff' && withy -q -b topic put bytes text && withy -q merge topic
[1]
$ withy resolve bytes --edit
! error: edit bytes: its values are not text
! hint: settle it with --ours, --theirs, --value or --file
[2]
$ withy resolve bytes --value '\x00\xff' && withy -q merge --continue && withy get bytes --value-format hex
settled bytes: value; none is left: `withy merge --continue` goes on
00ff
"#,
    );
}

#[test]
fn merge_6_what_is_settled_to_a_value_is_shown_and_edited_again() {
    open().session(
        r#"
$ withy -q resolve word --value mine && withy -q resolve note --value '\xff'
$ withy conflicts -v
merge of topic into main (begun TIME by ada): 1 conflict left, 2 settled
U delete/modify: gone, deleted in topic, modified in main
  base seq:2:
    here
  ours main seq:5:
    still here
  theirs topic seq:8: deleted
  modify/modify: note (settled: value by ada)
  base seq:1:
    one
    two
    three
  ours main seq:4:
    one
    2
    three
  theirs topic seq:7:
    ONE
    ii
    three
  settled:
    \xff
  modify/modify: word (settled: value by ada)
  base seq:3:
    base
  ours main seq:6:
    ours
  theirs topic seq:9:
    theirs
  settled:
    mine
[1]
$ EDITOR='sed -i s/mine/yours/' withy resolve word --edit && withy conflicts word
settled word: value; 1 conflict left
merge of topic into main (begun TIME by ada): 1 conflict left, 2 settled
  modify/modify: word (settled: value by ada)
  base seq:3:
    base
  ours main seq:6:
    ours
  theirs topic seq:9:
    theirs
  settled:
    yours
[1]
$ TMPDIR=. EDITOR='head -n 1' withy resolve note --edit 2>/dev/null
<<<<<<< main
[2]
$ withy resolve word --reset && withy resolve word --reset
took back word; 2 conflicts left
! error: settle conflicts of main: word is not settled
[2]
$ withy resolve word --edit
! error: edit word: neither VISUAL nor EDITOR is set, and vi needs a terminal
! hint: set EDITOR, or settle it with --ours, --theirs, --value or --file
[2]
$ EDITOR=nowhere/editor withy resolve word --edit 2>&1 | grep hint
hint: set EDITOR; nothing was settled
$ withy resolve wor --ours
! error: settle conflicts of main: wor is not in conflict
! hint: for all keys that start with it: `--prefix wor`
[2]
"#,
    );
}
