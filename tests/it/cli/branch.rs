//! `branch`, `switch`, `reset`, `restore`.

use super::Shell;

#[test]
fn br_1_branches_are_made_listed_and_switched() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy branch topic
created branch topic at seq:2
$ withy branch old seq:1 --description 'as it began'
created branch old at seq:1
$ withy branch
* main
  old
  topic
$ withy branch -v
* main  seq:2 ID put pear
  old   seq:1 ID put pear
  topic seq:2 ID put pear
$ withy switch topic
switched to topic
$ withy put pear brown
[topic seq:3 ID] put pear (1 key)
$ withy get pear --branch main
yellow%
$ withy switch -c fix main~1
switched to new branch fix
$ withy branch --list 'f*'
* fix
$ withy branch --show old
branch      old
head        seq:1
active      no
created     TIME at seq:1
creator     ada
description as it began
$ withy branch --json --list old
{"name":"old","parent":null,"created_seq":1,"created":"TIME","creator":"ada","description":"as it began","active":false,"head":1}
$ withy branch topic
! error: create branch topic: branch topic exists already
[2]
$ withy branch new nowhere
! error: create branch new: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy branch new seq:99
! error: create branch new: commit 99 is not there, the newest is 3
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy branch new main topic
! error: unexpected argument 'topic' found
!
! Usage: withy branch [OPTIONS] [NAME] [REV]
!
! For more information, try '--help'.
[2]
$ withy branch 'bad..name'
! error: create branch bad..name: "bad..name" is not a valid branch name: it contains `..`
! hint: use 1 to 128 letters, digits, `_`, `.` and `-`, as git allows them
[2]
$ withy switch nowhere
! error: switch to nowhere: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
$ withy branch
* fix
  main
  old
  topic
"#,
    );
}

#[test]
fn br_5_delete_wants_force_for_what_is_not_merged() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch done && withy -q switch -c topic && withy -q put pear brown
$ withy branch -d done
deleted branch done (was seq:1)
$ withy branch -d topic
! error: delete branch topic: cannot delete branch topic: it is the active one
! hint: switch to another branch first
[2]
$ withy -q switch main
$ withy branch -d topic
! error: delete branch topic: cannot delete branch topic: main does not have its commits
! hint: `withy branch -D topic` deletes it all the same
[2]
$ withy branch -d topic --merged-into topic
deleted branch topic (was seq:2)
$ withy branch -D main
! error: delete branch main: cannot delete branch main: it is the main branch
[2]
$ withy branch -d nowhere
! error: delete branch nowhere: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
$ withy branch
* main
"#,
    );
}

#[test]
fn br_4_branches_are_renamed_and_described() {
    Shell::new().session(
        r#"
$ withy branch topic
created branch topic at seq:0
$ withy branch -m topic fruit
renamed branch topic to fruit at seq:0
$ withy branch -m trunk
! error: rename branch main to trunk: branch main cannot be renamed
[2]
$ withy branch --describe fruit 'Prices of fruit'
described branch fruit at seq:0
$ withy branch --show fruit
branch      fruit
head        seq:0
active      no
parent      main
created     TIME at seq:0
creator     ada
description Prices of fruit
$ withy branch -m fruit trunk
renamed branch fruit to trunk at seq:0
$ withy branch
* main
  trunk
"#,
    );
}

#[test]
fn br_7_reset_moves_a_branch_and_loses_nothing() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy reset @~1
main is now at seq:1 ID
$ withy get pear
green%
$ withy undo
undone: 2.1 TIME ada reset main to 1
$ withy get pear
yellow%
$ withy reset --json seq:0
{"branch":"main","seq":0,"id":"ID"}
$ withy reset nowhere
! error: reset main to nowhere: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy reset seq:1 --branch nowhere
! error: reset nowhere to seq:1: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
"#,
    );
}

#[test]
fn tag_3_restore_is_one_new_commit() {
    Shell::new().session(
        r#"
$ withy -q put a/1 x && withy -q put b y && withy -q tag v1 && withy -q put a/1 z && withy -q del b && withy -q put c w
$ withy restore v1 --key b
[main seq:6 ID] restore v1, key b (1 key)
$ withy scan
a/1	z
b	y
c	w
$ withy restore v1 --prefix a/
[main seq:7 ID] restore v1, prefix a/ (1 key)
$ withy restore v1
[main seq:8 ID] restore v1 (1 key)
$ withy restore v1
nothing to commit: main has this content already
$ withy scan
a/1	x
b	y
$ withy log --oneline -n 3
seq:8 ID (@ -> main) restore v1
seq:7 ID restore v1, prefix a/
seq:6 ID restore v1, key b
"#,
    );
}
