//! `cherry-pick`, `revert`.

use super::Shell;

/// Three commits on the topic; the second meets what main did.
fn parted() -> Shell {
    made(
        "withy -q put pear green && withy -q branch topic && withy -q put pear brown \
         && withy --author bob -q -b topic put fig ripe -m 'A ripe fig' && withy -q -b topic put pear yellow && withy -q -b topic put kiwi hairy",
    )
}

fn made(line: &str) -> Shell {
    Shell::after(line)
}

#[test]
fn merge_11_a_commit_is_picked_with_its_author_and_message() {
    parted().session(
        r#"
$ withy cherry-pick topic~2
[main seq:6 ID] A ripe fig
 1 added, 0 modified, 0 deleted
$ withy show --name-status
commit ID seq:6 (@ -> main)
Author: bob
Date:   TIME

    A ripe fig

cherry-pick of seq:3 ID, strategy manual

A	fig
$ withy show --json | grep -o '"merge":.*"changes"'
"merge":{"action":"cherry-pick","source":{"seq":3,"id":"ID"},"bases":[1],"strategy":"manual","strict":false,"changed_alike":0,"settled":[]},"changes"
$ withy cherry-pick topic~2
nothing of topic~2 is left to commit on main
 left out seq:3: it changes nothing any more
$ withy cherry-pick topic -m 'A kiwi' --json
{"action":"cherry-pick","branch":"main","source":"topic","outcome":"committed","ours":6,"theirs":5,"bases":[4],"head":7,"commits":[7],"dropped":[],"counts":{"added":1,"modified":0,"deleted":0},"changed_alike":0,"settled":[],"conflicts":[],"stopped_at":null,"open":false}
$ withy cherry-pick main..topic -s theirs
[main seq:8 ID] put pear
 left out seq:3: it changes nothing any more
 left out seq:5: it changes nothing any more
 0 added, 1 modified, 0 deleted; 2 changed alike
 settled by strategy theirs: 1
$ withy log --oneline
seq:8 ID (@ -> main) put pear
seq:7 ID A kiwi
seq:6 ID A ripe fig
seq:2 ID put pear
seq:1 ID put pear
seq:0 ID (the empty root)
$ withy merge topic --dry-run
would make a merge of topic into main
 3 keys changed alike on both sides
"#,
    );
}

#[test]
fn merge_11_a_pick_that_stops_goes_on_or_is_aborted() {
    parted().session(
        r#"
$ withy cherry-pick main..topic
CONFLICT (modify/modify): pear
cherry-pick of main..topic on main is open at seq:4: 1 conflict left
! hint: `withy resolve`, then `withy cherry-pick --continue`; or `withy cherry-pick --abort`
[1]
$ withy cherry-pick topic
! error: cherry-pick topic on main: cherry-pick of seq:3 seq:4 seq:5 is open on main
! hint: `withy conflicts` lists its conflicts, `withy cherry-pick --continue` goes on, `withy cherry-pick --abort` gives up
[2]
$ withy merge --continue
! error: continue the merge on main: what is open is a cherry-pick
! hint: use `withy cherry-pick --continue`
[2]
$ withy cherry-pick --status
cherry-pick of seq:3 seq:4 seq:5 on main at seq:4 (begun TIME by ada): 1 conflict left, 0 settled
$ withy conflicts -v
cherry-pick of seq:3 seq:4 seq:5 on main at seq:4 (begun TIME by ada): 1 conflict left, 0 settled
U modify/modify: pear
  base seq:1:
    green
  ours main seq:2:
    brown
  theirs seq:4:
    yellow
[1]
$ withy resolve pear --value 'golden brown'
settled pear: value; none is left: `withy cherry-pick --continue` goes on
$ withy cherry-pick --continue
[main seq:6 ID] A ripe fig
[main seq:7 ID] put pear
[main seq:8 ID] put kiwi
 2 added, 1 modified, 0 deleted
 settled by ada: 1 value
$ withy show @~1 --name-only
commit ID seq:7
Author: ada
Date:   TIME

    put pear

cherry-pick of seq:4 ID, strategy manual
  modify/modify pear: resolution value by ada

pear
$ withy -q undo && withy scan
pear	brown
$ withy -q cherry-pick topic~1
[1]
$ withy cherry-pick --abort
aborted the cherry-pick of topic~1 on main; main stays as it is
$ withy scan
pear	brown
"#,
    );
}

#[test]
fn merge_11_commits_are_reverted_newest_first() {
    parted().session(
        r#"
$ withy revert topic~3.. --branch topic
[topic seq:6 ID] Revert "put kiwi"
[topic seq:7 ID] Revert "put pear"
[topic seq:8 ID] Revert "A ripe fig"
 0 added, 1 modified, 2 deleted
$ withy -b topic log --oneline -n 4 && withy -b topic scan
seq:8 ID (topic) Revert "A ripe fig"
seq:7 ID Revert "put pear"
seq:6 ID Revert "put kiwi"
seq:5 ID put kiwi
pear	green
$ withy -b topic show
commit ID seq:8 (topic)
Author: ada
Date:   TIME

    Revert "A ripe fig"

    This reverts commit ID.

revert of seq:3 ID, strategy manual

deleted fig
@@ -1 +0,0 @@
-ripe
$ withy revert seq:1
CONFLICT (delete/modify): pear, deleted in revert of seq:1, modified in main
revert of seq:1 on main is open: 1 conflict left
! hint: `withy resolve`, then `withy revert --continue`; or `withy revert --abort`
[1]
$ withy conflicts -v
revert of seq:1 on main (begun TIME by ada): 1 conflict left, 0 settled
U delete/modify: pear, deleted in revert of seq:1, modified in main
  base seq:1:
    green
  ours main seq:2:
    brown
  theirs revert of seq:1: absent
[1]
$ withy resolve --all --theirs && withy revert --continue && withy scan
settled pear: theirs; none is left: `withy revert --continue` goes on
[main seq:9 ID] Revert "put pear"
 0 added, 0 modified, 1 deleted
 settled by ada: 1 theirs
"#,
    );
}

#[test]
fn merge_11_a_merge_is_picked_and_reverted_against_a_parent() {
    parted().session(
        r#"
$ withy -q merge topic -s ours
$ withy revert @ --mainline 2 && withy scan
[main seq:7 ID] Revert "Merge topic into main"
 0 added, 1 modified, 0 deleted
fig	ripe
kiwi	hairy
pear	yellow
$ withy revert @~1 && withy scan
[main seq:8 ID] Revert "Merge topic into main"
 0 added, 0 modified, 2 deleted
pear	yellow
$ withy revert seq:6 --mainline 3
! error: revert seq:6 on main: seq:6 has 2 parents, there is no parent 3
[2]
$ withy cherry-pick seq:0
! error: cherry-pick seq:0 on main: seq:0 is the root, which changes nothing
[2]
"#,
    );
}

#[test]
fn cli_1_wrong_picks_are_usage_errors() {
    parted().session(
        r#"
$ withy cherry-pick
! error: the following required arguments were not provided:
!   <REV>...
!
! Usage: withy cherry-pick <REV>...
!
! For more information, try '--help'.
[2]
$ withy cherry-pick nowhere
! error: cherry-pick nowhere on main: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy cherry-pick topic..main~1
! error: read topic..main~1: there is no commit in it
! hint: `A..B` is what B has and A has not
[2]
$ withy cherry-pick topic~2 topic -m 'Two at once'
! error: read --message: one message is given for several commits
! hint: leave it out
[2]
$ withy cherry-pick --continue
! error: continue the cherry-pick on main: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
$ withy revert --abort
! error: abort the revert on main: no merge is open on main
! hint: `withy conflicts --all` lists the open merges
[2]
"#,
    );
}
