//! `merge`, and what other verbs show of it.

use std::collections::BTreeMap;

use super::Shell;

/// Both sides changed `pear` and `hits`; each added a key of its own.
pub(super) fn parted() -> Shell {
    made(
        "withy -q put pear green && withy -q put hits 5 && withy -q branch topic \
         && withy -q put pear brown && withy -q put hits 7 && withy -q put plum blue \
         && withy -q -b topic put pear yellow && withy -q -b topic put hits 6 && withy -q -b topic put fig ripe",
    )
}

fn made(line: &str) -> Shell {
    Shell::after(line)
}

#[test]
fn merge_4_a_branch_that_has_not_moved_is_moved() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch topic && withy -q -b topic put pear yellow
$ withy merge topic --dry-run
would fast-forward main from seq:1 to seq:2
 modified pear
$ withy merge topic --stat
fast-forward: main is now at seq:2 ID (was seq:1)
 pear | 2 +-
 1 key changed (0 added, 1 modified, 0 deleted), 1 insertion(+), 1 deletion(-)
$ withy merge topic
already up to date: main has all of topic
$ withy merge topic --json
{"action":"merge","branch":"main","source":"topic","outcome":"up-to-date","ours":2,"theirs":2,"bases":[2],"head":2,"commits":[],"dropped":[],"counts":{"added":0,"modified":0,"deleted":0},"changed_alike":0,"settled":[],"conflicts":[],"stopped_at":null,"open":false}
$ withy -q -b topic put plum blue
$ withy merge topic --no-ff
[main seq:4 ID] Merge topic into main
 1 added, 0 modified, 0 deleted
$ withy log --graph --oneline
*   seq:4 ID (@ -> main) Merge topic into main
|\
| * seq:3 ID (topic) put plum
|/
* seq:2 ID put pear
* seq:1 ID put pear
* seq:0 ID (the empty root)
$ withy -q -b topic put plum red && withy -q put fig ripe
$ withy merge topic --ff-only
! error: merge topic into main: main has moved since it parted from topic
! hint: merge without demanding a fast-forward, or rebase first
[3]
$ withy merge topic -m 'Plums are red' && withy show --name-status
[main seq:7 ID] Plums are red
 0 added, 1 modified, 0 deleted
commit ID seq:7 (@ -> main)
Merge:  seq:6 seq:5
Author: ada
Date:   TIME

    Plums are red

merge of seq:5 ID, merge base seq:3, strategy manual

M	plum
$ withy merge nowhere
! error: merge nowhere into main: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy merge topic --branch nowhere
! error: merge topic into nowhere: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
$ withy merge
! error: the following required arguments were not provided:
!   <SOURCE>
!
! Usage: withy merge <SOURCE>
!
! For more information, try '--help'.
[2]
$ withy merge topic --continue
! error: the argument '[SOURCE]' cannot be used with:
!   --continue
!   --abort
!   --status
!
! Usage: withy merge <SOURCE>
!
! For more information, try '--help'.
[2]
$ withy merge topic -s mine
! error: invalid value 'mine' for '--strategy <STRATEGY>'
!   [possible values: ours, theirs, manual, fast-forward]
!
! For more information, try '--help'.
[2]
"#,
    );
}

#[test]
fn merge_3_strategies_drivers_and_resolutions_settle_conflicts() {
    parted().session(
        r#"
$ withy merge topic --dry-run -s ours --driver hits=counter
would make a merge of topic into main
 added fig
 modified hits
 settled hits (modify/modify): driver counter/1
 settled pear (modify/modify): strategy ours
$ withy merge topic -s fast-forward
CONFLICT (modify/modify): hits
CONFLICT (modify/modify): pear
! hint: nothing was written; `withy merge topic` with --strategy manual keeps them to be settled
[1]
$ withy merge topic --no-open
CONFLICT (modify/modify): hits
CONFLICT (modify/modify): pear
! hint: nothing was written; `withy merge topic` without --no-open keeps them to be settled
[1]
$ withy merge topic -X theirs --driver hits=counter
[main seq:9 ID] Merge topic into main
 1 added, 2 modified, 0 deleted
 settled by driver counter/1: 1
 settled by strategy theirs: 1
$ withy scan
fig	ripe
hits	8
pear	yellow
plum	blue
$ withy show
commit ID seq:9 (@ -> main)
Merge:  seq:5 seq:8
Author: ada
Date:   TIME

    Merge topic into main

merge of seq:8 ID, merge base seq:2, strategy theirs
  modify/modify hits: driver counter/1
  modify/modify pear: strategy theirs

added fig
@@ -0,0 +1 @@
+ripe
modified hits
@@ -1 +1 @@
-7
+8
modified pear
@@ -1 +1 @@
-brown
+yellow
$ withy log -n 1
commit ID seq:9 (@ -> main)
Merge:  seq:5 seq:8
Author: ada
Date:   TIME

    Merge topic into main

$ withy -q undo && withy merge topic --strategy-for 'p*r=theirs' --strategy-for =ours && withy get hits
[main seq:10 ID] Merge topic into main
 1 added, 1 modified, 0 deleted
 settled by strategy ours: 1
 settled by strategy theirs: 1
7%
$ withy -q undo && withy merge topic --resolve pear=base --resolve-value hits=9=8 && withy get hits && withy get pear
[main seq:11 ID] Merge topic into main
 1 added, 2 modified, 0 deleted
 settled by ada: 1 base, 1 value
9=8green%
$ withy -q undo && withy --key-format base64 merge topic --resolve cGVhcg===delete --resolve-value aGl0cw===9 && withy scan
[main seq:12 ID] Merge topic into main
 1 added, 1 modified, 1 deleted
 settled by ada: 1 delete, 1 value
fig	ripe
hits	9
plum	blue
$ withy -q undo && withy --key-format hex merge topic --resolve 70656172=ours --driver 6869*74=none
CONFLICT (modify/modify): 68697473
merge of topic into main is open: 1 conflict left
! hint: `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
$ withy merge --abort
aborted the merge of topic into main; main stays as it is
$ withy merge topic --resolve pear=mine
! error: read --resolve: no side "mine"
! hint: use ours, theirs, base or delete, or --resolve-value KEY=VALUE
[2]
$ withy merge topic --resolve pear
! error: read KEY=SIDE: "pear" has no `=`
! hint: write it as KEY=SIDE
[2]
$ withy merge topic --resolve-value pear
! error: read --resolve-value: "pear" is not a key, `=` and a value
! hint: write an `=` in a key as \x3d
[2]
$ withy merge topic --resolve pear=ours --resolve fig=ours
! error: merge topic into main: fig: there is a resolution, but no conflict
! hint: nothing was written; merge again without, and look at the conflicts
[3]
$ withy merge topic --resolve pear=ours --resolve-value pear=ours
! error: merge topic into main: pear: two resolutions for one key
! hint: nothing was written; merge again without, and look at the conflicts
[3]
$ withy merge topic --driver hits=abacus
! error: merge topic into main: no merge driver "abacus"
! hint: the drivers are counter, json, last-write, set, text
[2]
$ withy merge topic --strategy-for hits=mine
! error: read --strategy-for: no merge strategy "mine"
! hint: the strategies are ours, theirs, manual and fast-forward
[2]
"#,
    );
}

#[test]
fn merge_8_a_branch_that_moves_on_is_merged_as_it_is() {
    parted().session(
        r#"
$ withy -q merge topic
[1]
$ withy -q resolve hits --ours && withy -q resolve pear --theirs
$ withy -q put pear black && withy -q put fig rotten
$ withy conflicts
merge of topic into main (begun TIME by ada): 2 conflicts left, 1 settled
main has moved since, from seq:5 to seq:10: the conflicts are those of now
U add/add: fig
  modify/modify: hits (settled: ours by ada)
U modify/modify: pear
[1]
$ withy merge --continue
CONFLICT (add/add): fig
CONFLICT (modify/modify): pear
merge of topic into main is open: 2 conflicts left
! main has moved since, from seq:5 to seq:10: the conflicts are those of now
! hint: `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
$ withy resolve fig --theirs && withy resolve pear --base
settled fig: theirs; 1 conflict left
settled pear: base; none is left: `withy merge --continue` goes on
$ withy merge --continue --json
{"action":"merge","branch":"main","source":"topic","outcome":"committed","ours":10,"theirs":8,"bases":[2],"head":11,"commits":[11],"dropped":[],"counts":{"added":0,"modified":2,"deleted":0},"changed_alike":0,"settled":[{"key":"fig","kind":"add/add","by":"resolution","taken":"theirs","author":"ada","hash":"ID"},{"key":"hits","kind":"modify/modify","by":"resolution","taken":"ours","author":"ada","hash":"ID"},{"key":"pear","kind":"modify/modify","by":"resolution","taken":"base","author":"ada","hash":"ID"}],"conflicts":[],"stopped_at":null,"open":false}
$ withy scan
fig	ripe
hits	7
pear	green
plum	blue
"#,
    );
}

#[test]
fn merge_11_a_squash_has_one_parent_and_counts_as_merged() {
    parted().session(
        r#"
$ withy merge topic --squash -s theirs
[main seq:9 ID] Squash topic into main
 1 added, 2 modified, 0 deleted
 settled by strategy theirs: 2
$ withy show --name-status
commit ID seq:9 (@ -> main)
Author: ada
Date:   TIME

    Squash topic into main

squash of seq:8 ID, merge base seq:2, strategy theirs
  modify/modify hits: strategy theirs
  modify/modify pear: strategy theirs

A	fig
M	hits
M	pear
$ withy log --graph --oneline
* seq:9 ID (@ -> main) Squash topic into main
* seq:5 ID put plum
* seq:4 ID put hits
* seq:3 ID put pear
* seq:2 ID put hits
* seq:1 ID put pear
* seq:0 ID (the empty root)
$ withy merge topic
already up to date: main has all of topic
$ withy branch -d topic
deleted branch topic (was seq:8)
"#,
    );
}

#[test]
fn merge_9_a_criss_cross_is_drawn_and_compared_with_the_newest_base() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch topic && withy -q put a 1 && withy -q -b topic put b 2 && withy -q tag old
$ withy -q merge topic && withy -q -b topic merge old
$ withy log --graph --oneline --all
*   seq:5 ID (topic) Merge old into topic
|\
| | * seq:4 ID (@ -> main) Merge topic into main
| |/|
|/| |
| |/
* | seq:3 ID put b
| * seq:2 ID (tag: old) put a
|/
* seq:1 ID put pear
* seq:0 ID (the empty root)
$ withy -q put c 3 && withy -q -b topic put d 4
$ withy diff main...topic --name-status
A	a
A	d
! warning: main and topic have 2 merge bases; compared with the newest, seq:3
$ withy merge topic
[main seq:8 ID] Merge topic into main
 1 added, 0 modified, 0 deleted
$ withy log --graph --oneline --all -n 4
*   seq:8 ID (@ -> main) Merge topic into main
|\
| * seq:7 ID (topic) put d
* | seq:6 ID put c
| *   seq:5 ID Merge old into topic
| |\
"#,
    );
}

#[test]
fn merge_json_tells_all() {
    parted().session(
        r#"
$ withy merge topic --dry-run --json --driver hits=counter
{"action":"merge","branch":"main","source":"topic","outcome":"conflicts","ours":5,"theirs":8,"bases":[2],"head":5,"commits":[],"dropped":[],"counts":{"added":1,"modified":1,"deleted":0},"changed_alike":0,"settled":[{"key":"hits","kind":"modify/modify","by":"driver","taken":"counter/1","hash":"ID"}],"conflicts":[{"key":"pear","kind":"modify/modify","bases":[{"seq":1,"hash":"ID","value":"green"}],"ours":{"seq":3,"hash":"ID","value":"brown"},"theirs":{"seq":6,"hash":"ID","value":"yellow"}}],"stopped_at":8,"open":false,"dry_run":true,"changes":[{"key":"fig","kind":"added"},{"key":"hits","kind":"modified"}]}
[1]
$ withy merge topic --json --strict -s ours
{"action":"merge","branch":"main","source":"topic","outcome":"committed","ours":5,"theirs":8,"bases":[2],"head":9,"commits":[9],"dropped":[],"counts":{"added":1,"modified":0,"deleted":0},"changed_alike":0,"settled":[{"key":"hits","kind":"modify/modify","by":"strategy","taken":"ours","hash":"ID"},{"key":"pear","kind":"modify/modify","by":"strategy","taken":"ours","hash":"ID"}],"conflicts":[],"stopped_at":null,"open":false}
"#,
    );
}

#[test]
fn merge_5_a_dry_run_changes_no_byte() {
    let shell = parted();
    let files = || {
        let dir = std::fs::read_dir(shell.path().join(".withy")).expect("the store is a directory");
        let read = dir.map(|entry| {
            let path = entry.expect("an entry can be read").path();
            let bytes = std::fs::read(&path).expect("a file can be read");
            (path, bytes)
        });
        read.collect::<BTreeMap<_, _>>()
    };
    let before = files();
    for options in ["", "-s theirs", "--squash -s ours", "--driver hits=counter --json", "--no-ff"]
    {
        let (text, _) = shell.run(&format!("withy merge topic --dry-run {options}"));
        assert!(text.contains("fig"), "{options}: what would be done is told: {text}");
        assert!(before == files(), "{options}: every file is as it was");
    }
}
