//! `conflicts`.

use super::Shell;

/// A conflict of each kind, one that a driver refused, and one of bytes.
fn kinds() -> Shell {
    made(
        "withy -q put pear green && withy -q put plum blue && withy -q put fig ripe && withy -q put hits 5 \
         && withy -q put bytes '\\xff' && withy -q config merge-driver:hits counter && withy -q branch topic \
         && withy -q put pear 'brown\\n\\nold\\n' && withy -q put plum red && withy -q del fig && withy -q put kiwi '' \
         && withy -q put hits x && withy -q put bytes '\\x00a' \
         && withy -q -b topic put pear yellow && withy -q -b topic del plum && withy -q -b topic put fig rotten \
         && withy -q -b topic put kiwi hairy && withy -q -b topic put hits 6 && withy -q -b topic put bytes b \
         && withy -q merge topic; true",
    )
}

fn made(line: &str) -> Shell {
    Shell::after(line)
}

#[test]
fn merge_2_conflicts_are_listed_by_kind_with_their_values() {
    kinds().session(
        r#"
$ withy conflicts
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
U modify/modify: bytes
U modify/delete: fig, modified in topic, deleted in main
U modify/modify: hits, driver counter/1: ours is not a whole number
U add/add: kiwi
U modify/modify: pear
U delete/modify: plum, deleted in topic, modified in main
[1]
$ withy conflicts -v
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
U modify/modify: bytes
  base seq:5:
    \xff
  ours main seq:11:
    \x00a
  theirs topic seq:17:
    b
U modify/delete: fig, modified in topic, deleted in main
  base seq:3:
    ripe
  ours main seq:8: deleted
  theirs topic seq:14:
    rotten
U modify/modify: hits, driver counter/1: ours is not a whole number
  base seq:4:
    5
  ours main seq:10:
    x
  theirs topic seq:16:
    6
U add/add: kiwi
  base: absent
  ours main seq:9:
    (empty)
  theirs topic seq:15:
    hairy
U modify/modify: pear
  base seq:1:
    green
  ours main seq:6:
    brown

    old
  theirs topic seq:12:
    yellow
U delete/modify: plum, deleted in topic, modified in main
  base seq:2:
    blue
  ours main seq:7:
    red
  theirs topic seq:13: deleted
[1]
$ withy conflicts bytes --value-format hex
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
U modify/modify: bytes
  base seq:5:
    ff
  ours main seq:11:
    0061
  theirs topic seq:17:
    62
[1]
$ withy conflicts --prefix p --json
{"key":"pear","kind":"modify/modify","bases":[{"seq":1,"hash":"ID","value":"green"}],"ours":{"seq":6,"hash":"ID","value":"brown\n\nold\n"},"theirs":{"seq":12,"hash":"ID","value":"yellow"},"branch":"main","at":17,"resolution":null}
{"key":"plum","kind":"delete/modify","bases":[{"seq":2,"hash":"ID","value":"blue"}],"ours":{"seq":7,"hash":"ID","value":"red"},"theirs":{"seq":13,"hash":null,"value":null},"branch":"main","at":17,"resolution":null}
[1]
$ withy --key-format hex conflicts --prefix 70
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
U modify/modify: 70656172
U delete/modify: 706c756d, deleted in topic, modified in main
[1]
"#,
    );
}

#[test]
fn cli_3_conflicts_ends_with_1_while_some_are_left() {
    kinds().session(
        r#"
$ withy --author bob -q resolve pear --ours && withy -q resolve --prefix f --value 'a b'
$ withy conflicts
merge of topic into main (begun TIME by ada): 4 conflicts left, 2 settled
U modify/modify: bytes
  modify/delete: fig, modified in topic, deleted in main (settled: value by ada)
U modify/modify: hits, driver counter/1: ours is not a whole number
U add/add: kiwi
  modify/modify: pear (settled: ours by bob)
U delete/modify: plum, deleted in topic, modified in main
[1]
$ withy conflicts --unresolved
merge of topic into main (begun TIME by ada): 4 conflicts left, 2 settled
U modify/modify: bytes
U modify/modify: hits, driver counter/1: ours is not a whole number
U add/add: kiwi
U delete/modify: plum, deleted in topic, modified in main
[1]
$ withy conflicts pear fig
merge of topic into main (begun TIME by ada): 4 conflicts left, 2 settled
  modify/delete: fig, modified in topic, deleted in main (settled: value by ada)
  base seq:3:
    ripe
  ours main seq:8: deleted
  theirs topic seq:14:
    rotten
  settled:
    a b
  modify/modify: pear (settled: ours by bob)
  base seq:1:
    green
  ours main seq:6:
    brown

    old
  theirs topic seq:12:
    yellow
[1]
$ withy conflicts fig --json
{"key":"fig","kind":"modify/delete","bases":[{"seq":3,"hash":"ID","value":"ripe"}],"ours":{"seq":8,"hash":null,"value":null},"theirs":{"seq":14,"hash":"ID","value":"rotten"},"branch":"main","at":17,"resolution":{"taken":"value","author":"ada","time":"TIME","value":"a b"}}
[1]
$ withy conflicts apple
! error: show apple: there is no conflict on it
! hint: `withy conflicts` lists them
[2]
$ withy -q resolve --all --ours
$ withy conflicts --unresolved
merge of topic into main (begun TIME by ada): 0 conflicts left, 6 settled
! hint: none is left: `withy merge --continue` goes on
$ withy conflicts --all
merge of topic into main (begun TIME by ada): 0 conflicts left, 6 settled
  none is left: `withy merge --continue` goes on
$ withy -q merge --continue
$ withy conflicts
! no merge is open on main
$ withy conflicts pear
! error: show conflicts: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
$ withy conflicts --all
$ withy conflicts --branch nowhere
! error: read what is open on nowhere: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
"#,
    );
}

#[test]
fn merge_7_what_is_open_on_several_branches_is_listed() {
    kinds().session(
        r#"
$ withy -b topic merge main -s ours --strategy-for pear=manual
CONFLICT (modify/modify): pear
merge of main into topic is open: 1 conflict left
! hint: `withy -b topic resolve`, then `withy -b topic merge --continue`; or `withy -b topic merge --abort`
[1]
$ withy conflicts --all
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
  `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
merge of main into topic (begun TIME by ada): 1 conflict left, 0 settled
  `withy -b topic resolve`, then `withy -b topic merge --continue`; or `withy -b topic merge --abort`
[1]
$ withy conflicts --all --json
{"branch":"main","action":"merge","source":"topic","incoming":[17],"ours":11,"at":17,"unresolved":6,"resolved":0,"creator":"ada","created":"TIME"}
{"branch":"topic","action":"merge","source":"main","incoming":[11],"ours":17,"at":11,"unresolved":1,"resolved":0,"creator":"ada","created":"TIME"}
[1]
$ withy branch -d topic
! error: delete branch topic: cannot delete branch topic: main does not have its commits
! hint: `withy branch -D topic` deletes it all the same
[2]
$ withy branch -m topic other
! error: rename branch topic to other: branch topic cannot be renamed: a merge is open on it
! hint: continue it or abort it first
[2]
$ withy -b topic merge --abort
aborted the merge of main into topic; topic stays as it is
$ withy branch -m topic other
renamed branch topic to other at seq:17
$ withy conflicts --all
merge of topic into main (begun TIME by ada): 6 conflicts left, 0 settled
  `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
"#,
    );
}

#[test]
fn undo_1_a_branch_is_not_undone_while_a_merge_is_open_on_it() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch topic && withy -q put pear brown && withy -q -b topic put pear yellow
$ withy -q -b topic merge main
[1]
$ withy undo -n 3 -q
! error: undo: cannot take back branch topic: a merge is open on it
! hint: continue it or abort it first
[2]
$ withy -q -b topic merge --abort
$ withy undo -q && withy branch
* main
"#,
    );
}
