//! Merges that wait: `merge` with conflicts, `--continue`, `--abort`.

use super::merge::parted;

#[test]
fn merge_7_conflicts_wait_and_the_merge_goes_on_in_another_process() {
    parted().session(
        r#"
$ withy merge topic
CONFLICT (modify/modify): hits
CONFLICT (modify/modify): pear
merge of topic into main is open: 2 conflicts left
! hint: `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
$ withy merge topic
! error: merge topic into main: merge of topic is open on main
! hint: `withy conflicts` lists its conflicts, `withy merge --continue` goes on, `withy merge --abort` gives up
[2]
$ withy merge --status
merge of topic into main (begun TIME by ada): 2 conflicts left, 0 settled
$ withy branch && withy branch -v && withy branch --show main
* main (merge of topic into main is open, 2 conflicts left)
  topic
* main  seq:5 ID put plum (merge of topic into main is open, 2 conflicts left)
  topic seq:8 ID put fig
branch      main
head        seq:5
active      yes
created     TIME at seq:0
open        merge of topic into main (begun TIME by ada): 2 conflicts left, 0 settled
$ withy branch --json --list main
{"name":"main","parent":null,"created_seq":0,"created":"TIME","creator":"","description":"","active":true,"head":5,"open_merge":{"branch":"main","action":"merge","source":"topic","incoming":[8],"ours":5,"at":8,"unresolved":2,"resolved":0,"creator":"ada","created":"TIME"}}
$ withy stats | grep open
open merges   1, see `withy conflicts --all`
$ withy resolve pear --theirs
settled pear: theirs; 1 conflict left
$ withy merge --continue
CONFLICT (modify/modify): hits
merge of topic into main is open: 1 conflict left
! hint: `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
$ withy resolve hits --value 8
settled hits: value; none is left: `withy merge --continue` goes on
$ withy merge --continue
[main seq:9 ID] Merge topic into main
 1 added, 2 modified, 0 deleted
 settled by ada: 1 theirs, 1 value
$ withy scan
fig	ripe
hits	8
pear	yellow
plum	blue
$ withy show --name-only
commit ID seq:9 (@ -> main)
Merge:  seq:5 seq:8
Author: ada
Date:   TIME

    Merge topic into main

merge of seq:8 ID, merge base seq:2, strategy manual
  modify/modify hits: resolution value by ada
  modify/modify pear: resolution theirs by ada

fig
hits
pear
$ withy show --json | grep -o '"merge":.*"changes"'
"merge":{"action":"merge","source":{"seq":8,"id":"ID"},"bases":[2],"strategy":"manual","strict":false,"changed_alike":0,"settled":[{"key":"hits","kind":"modify/modify","by":"resolution","taken":"value","author":"ada","hash":"ID"},{"key":"pear","kind":"modify/modify","by":"resolution","taken":"theirs","author":"ada","hash":"ID"}]},"changes"
$ withy merge --status
! no merge is open on main
[1]
$ withy merge --continue
! error: continue the merge on main: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
$ withy merge topic
already up to date: main has all of topic
$ withy log --graph --oneline
*   seq:9 ID (@ -> main) Merge topic into main
|\
| * seq:8 ID (topic) put fig
| * seq:7 ID put hits
| * seq:6 ID put pear
* | seq:5 ID put plum
* | seq:4 ID put hits
* | seq:3 ID put pear
|/
* seq:2 ID put hits
* seq:1 ID put pear
* seq:0 ID (the empty root)
"#,
    );
}

#[test]
fn merge_7_an_aborted_merge_leaves_nothing() {
    parted().session(
        r#"
$ withy -q merge topic
[1]
$ withy merge --abort
aborted the merge of topic into main; main stays as it is
$ withy merge --abort
! error: abort the merge on main: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
$ withy branch
* main
  topic
$ withy scan
hits	7
pear	brown
plum	blue
$ withy -q merge topic
[1]
$ withy merge --abort --json
{"branch":"main","action":"merge","source":"topic","incoming":[8],"ours":5,"at":8,"unresolved":2,"resolved":0,"creator":"ada","created":"TIME","aborted":true}
"#,
    );
}

#[test]
fn cli_1_what_is_open_takes_no_other_options() {
    parted().session(
        r#"
$ withy -q merge topic
[1]
$ for o in '-s ours' '--strategy-for =ours' '--driver =text' '--resolve pear=ours' '--resolve-value pear=ripe' --strict --no-open --stat --squash; do withy merge --continue $o 2>&1 | head -n 1; done
error: the argument '--strategy <STRATEGY>' cannot be used with:
error: the argument '--strategy-for <PATTERN=STRATEGY>' cannot be used with:
error: the argument '--driver <PATTERN=DRIVER>' cannot be used with:
error: the argument '--resolve <KEY=SIDE>' cannot be used with:
error: the argument '--resolve-value <KEY=VALUE>' cannot be used with:
error: the argument '--strict' cannot be used with:
error: the argument '--no-open' cannot be used with:
error: the argument '--stat' cannot be used with:
error: the argument '--squash' cannot be used with:
$ withy merge --abort -m why 2>&1 | head -n 1
error: the argument '--abort' cannot be used with '--message <MESSAGE>'
$ withy cherry-pick --continue -s ours 2>&1 | head -n 1
error: the argument '--strategy <STRATEGY>' cannot be used with:
$ withy revert --continue --strict 2>&1 | head -n 1
error: the argument '--strict' cannot be used with:
$ withy rebase --continue --no-open 2>&1 | head -n 1
error: the argument '--no-open' cannot be used with:
$ withy conflicts --all
merge of topic into main (begun TIME by ada): 2 conflicts left, 0 settled
  `withy resolve`, then `withy merge --continue`; or `withy merge --abort`
[1]
"#,
    );
}

#[test]
fn cli_4_hints_name_the_branch_if_it_is_not_the_active_one() {
    parted().session(
        r#"
$ withy -q switch topic
$ withy -b main merge topic
CONFLICT (modify/modify): hits
CONFLICT (modify/modify): pear
merge of topic into main is open: 2 conflicts left
! hint: `withy -b main resolve`, then `withy -b main merge --continue`; or `withy -b main merge --abort`
[1]
$ withy -b main merge topic
! error: merge topic into main: merge of topic is open on main
! hint: `withy -b main conflicts` lists its conflicts, `withy -b main merge --continue` goes on, `withy -b main merge --abort` gives up
[2]
$ withy -b main rebase --continue
! error: continue the rebase on main: what is open is a merge
! hint: use `withy -b main merge --continue`
[2]
$ withy -b main resolve fig --ours
! error: settle conflicts of main: fig is not in conflict
! hint: `withy -b main conflicts` lists the conflicts
[2]
$ withy -b main resolve --all --ours
settled 2 conflicts: ours; none is left: `withy -b main merge --continue` goes on
$ withy -b main conflicts
merge of topic into main (begun TIME by ada): 0 conflicts left, 2 settled
  modify/modify: hits (settled: ours by ada)
  modify/modify: pear (settled: ours by ada)
! hint: none is left: `withy -b main merge --continue` goes on
$ withy -b main merge --abort
aborted the merge of topic into main; main stays as it is
$ withy -b main merge topic --no-open
CONFLICT (modify/modify): hits
CONFLICT (modify/modify): pear
! hint: nothing was written; `withy -b main merge topic` without --no-open keeps them to be settled
[1]
$ withy -b main merge topic --driver text
! error: read PATTERN=DRIVER: "text" has no `=`
! hint: write it as PATTERN=DRIVER; `=text` is for all keys
[2]
$ withy -b main merge topic --strategy-for ours
! error: read PATTERN=STRATEGY: "ours" has no `=`
! hint: write it as PATTERN=STRATEGY; `=ours` is for all keys
[2]
"#,
    );
}
