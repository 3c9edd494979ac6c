//! `rebase`.

use super::Shell;

/// Three commits on the topic, which is active; the second meets what main did.
fn parted() -> Shell {
    made(
        "withy -q put pear green && withy -q branch topic && withy -q put pear brown && withy -q switch topic \
         && withy --author bob -q put fig ripe -m 'A ripe fig' && withy -q put pear yellow && withy -q put kiwi hairy",
    )
}

fn made(line: &str) -> Shell {
    Shell::after(line)
}

#[test]
fn merge_11_a_rebase_replays_the_commits_of_the_branch() {
    parted().session(
        r#"
$ withy rebase main -s theirs
rebased topic onto main: 3 commits, now at seq:8 ID
 2 added, 1 modified, 0 deleted
 settled by strategy theirs: 1
$ withy log --graph --oneline --all
* seq:8 ID (@ -> topic) put kiwi
* seq:7 ID put pear
* seq:6 ID A ripe fig
* seq:2 ID (main) put pear
* seq:1 ID put pear
* seq:0 ID (the empty root)
$ withy show @~1 --name-only
commit ID seq:7
Author: ada
Date:   TIME

    put pear

rebase of seq:4 ID, strategy theirs
  modify/modify pear: strategy theirs

pear
$ withy rebase main
already up to date: topic is on top of main
$ withy undo && withy log --oneline -n 1
undone: 8.1 TIME ada rebase topic onto main
seq:5 ID (@ -> topic) put kiwi
$ withy rebase main -s ours
rebased topic onto main: 2 commits, now at seq:10 ID
 left out seq:4: it changes nothing any more
 2 added, 0 modified, 0 deleted
 settled by strategy ours: 1
$ withy scan
fig	ripe
kiwi	hairy
pear	brown
$ withy -b main merge topic
fast-forward: main is now at seq:10 ID (was seq:2)
$ withy -b main put plum blue && withy rebase main --json
[main seq:11 ID] put plum (1 key)
{"action":"rebase","branch":"topic","source":"main","outcome":"fast-forward","ours":10,"theirs":11,"bases":[10],"head":11,"commits":[],"dropped":[],"counts":null,"changed_alike":0,"settled":[],"conflicts":[],"stopped_at":null,"open":false}
"#,
    );
}

#[test]
fn merge_11_a_rebase_that_stops_leaves_the_branch_until_it_goes_on() {
    parted().session(
        r#"
$ withy rebase main
CONFLICT (modify/modify): pear
rebase of topic onto main is open at seq:4: 1 conflict left
! hint: `withy resolve`, then `withy rebase --continue`; or `withy rebase --abort`
[1]
$ withy log --oneline -n 1
seq:5 ID (@ -> topic) put kiwi
$ withy conflicts -v
rebase of topic onto main at seq:4 (begun TIME by ada): 1 conflict left, 0 settled
U modify/modify: pear
  base seq:1:
    green
  ours main seq:2:
    brown
  theirs seq:4:
    yellow
[1]
$ withy resolve pear --ours
settled pear: ours; none is left: `withy rebase --continue` goes on
$ withy rebase --continue
rebased topic onto main: 2 commits, now at seq:7 ID
 left out seq:4: it changes nothing any more
 2 added, 0 modified, 0 deleted
 settled by ada: 1 ours
$ withy log --graph --oneline --all
* seq:7 ID (@ -> topic) put kiwi
* seq:6 ID A ripe fig
* seq:2 ID (main) put pear
* seq:1 ID put pear
* seq:0 ID (the empty root)
$ withy -q undo && withy -q rebase main
[1]
$ withy rebase --abort
aborted the rebase of topic onto main; topic stays as it is
$ withy rebase
! error: the following required arguments were not provided:
!   <ONTO>
!
! Usage: withy rebase <ONTO>
!
! For more information, try '--help'.
[2]
$ withy rebase nowhere
! error: rebase topic onto nowhere: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
"#,
    );
}

#[test]
fn merge_11_conflicts_of_several_commits_say_of_which() {
    parted().session(
        r#"
$ withy -q put pear red && withy -q rebase main
[1]
$ withy -q resolve pear --ours && withy rebase --continue
CONFLICT (modify/modify): pear
rebase of topic onto main is open at seq:6: 1 conflict left
! hint: `withy resolve`, then `withy rebase --continue`; or `withy rebase --abort`
[1]
$ withy conflicts
rebase of topic onto main at seq:6 (begun TIME by ada): 1 conflict left, 1 settled
  modify/modify: pear at seq:4 (settled: ours by ada)
U modify/modify: pear at seq:6
[1]
$ withy -q resolve pear --theirs && withy rebase --continue
rebased topic onto main: 3 commits, now at seq:9 ID
 left out seq:4: it changes nothing any more
 2 added, 1 modified, 0 deleted
 settled by ada: 1 ours, 1 theirs
"#,
    );
}
