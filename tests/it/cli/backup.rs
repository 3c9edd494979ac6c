//! `checkpoint` and `backup`.

use super::Shell;

#[test]
fn ops_5_a_checkpoint_is_a_store() {
    Shell::after("withy -q put pear green").session(
        r#"
$ withy checkpoint copy | sed 's/([0-9]* files, .*)/(FILES)/'
copied the store up to seq:1 to copy (FILES)
$ withy -q put pear yellow
$ withy --store copy get pear
green%
$ withy checkpoint copy
! error: copy the store to copy: copy is a store already
! hint: choose a directory that is absent or empty
[2]
$ withy checkpoint copy2 --json | sed 's/"files":[0-9]*,"bytes":[0-9]*/FILES/'
{"path":"DIR/copy2","latest":2,FILES}
$ withy checkpoint copy3 --quiet
$ withy checkpoint copy4 --rate fast
! error: invalid value 'fast' for '--rate <BYTES>': "fast" is not a number of bytes such as 4096, 64K or 50M
!
! For more information, try '--help'.
[2]
$ ls
copy
copy2
copy3
"#,
    );
}

#[test]
fn ops_5_backups_are_made_listed_verified_pruned_and_restored() {
    Shell::after("withy -q put pear green").session(
        r#"
$ withy backup create away -m nightly | sed 's/, [0-9.]* [KM]*i*B/, SIZE/g'
snapshot 1: the store up to seq:1, SIZE, SIZE of it new
$ withy -q put pear yellow
$ withy backup create away --quiet
$ withy backup list away | sed 's/ [0-9.]* [KM]*i*B/ SIZE/g'
1 TIME seq:1 SIZE nightly
2 TIME seq:2 SIZE
$ withy backup list away --json | sed 's/"files":[0-9]*,"bytes":[0-9]*/FILES/'
{"snapshot":1,"time":"TIME","latest":1,"message":"nightly",FILES}
{"snapshot":2,"time":"TIME","latest":2,"message":"",FILES}
$ withy backup verify away | sed 's/[0-9]* contents, .*/CONTENTS/'
2 snapshots whole: CONTENTS
$ withy backup verify away --snapshot 1 --json | sed 's/"contents":[0-9]*,"bytes":[0-9]*/CONTENTS/'
{"snapshots":1,CONTENTS,"unnamed":0,"faults":[]}
$ withy backup restore away old --snapshot 1
restored snapshot 1 to old: 1 branch, up to seq:1
$ withy --store old get pear
green%
$ withy backup restore away new --json | sed 's/"files":[0-9]*,"bytes":[0-9]*/FILES/'
{"snapshot":2,"time":"TIME","latest":2,"message":"",FILES,"store":"new","newest":2,"branches":1}
$ withy --store new get pear
yellow%
$ withy backup prune away --keep 1 --dry-run | sed 's/, [0-9]* content.*/, CONTENTS/'
would remove snapshot 1, CONTENTS
$ withy backup prune away --keep 1 | sed 's/, [0-9]* content.*/, CONTENTS/'
removed snapshot 1, CONTENTS
$ withy backup prune away --keep-within 30d --json
{"removed":[],"contents":0,"bytes":0}
$ withy backup restore away old
! error: restore to old: old is a store already
! hint: choose a directory that is absent or empty
[2]
$ withy backup restore away older --snapshot 1
! error: restore to older: there is no snapshot 1 in away
! hint: `withy backup list` lists them
[2]
$ withy backup list nowhere
! error: open the backup nowhere: there is no backup in nowhere
! hint: `withy backup create` makes one
[2]
$ mkdir hollow && cp -r away/. hollow && rm hollow/snapshots/*
$ withy backup verify hollow
! error: verify the backup hollow: there is no snapshot in hollow
! hint: `withy backup create` makes one
[2]
$ withy backup restore hollow old2
! error: restore to old2: there is no snapshot in hollow
! hint: `withy backup create` makes one
[2]
$ withy backup create .withy
! error: back up the store to .withy: DIR/.withy is inside of the store
! hint: name a directory beside it, or on another disk
[2]
"#,
    );
}

#[test]
fn ops_5_a_damaged_backup_is_told_and_not_restored() {
    let shell = Shell::after("withy -q put pear green && withy -q backup create away");
    shell.session(
        r#"
$ rm $(ls away/files/*/* | head -1)
$ withy backup verify away 2>&1 | sed 's/files.[0-9a-f][0-9a-f]./files\/XX\//'
damaged: away/files/XX/ID: it is missing (snapshot 1)
error: verify the backup away: 1 file damaged
hint: back up again: what the store still has comes back; then verify again
$ withy backup verify away --quiet
! error: verify the backup away: 1 file damaged
! hint: back up again: what the store still has comes back; then verify again
[4]
$ withy backup restore away again 2>&1 | sed 's/to again: .*: DIR/to again: FILE: DIR/; s/error: .*damaged: .*missing/REFUSED/'
REFUSED
hint: `withy backup verify` names all that is damaged; restore another snapshot
$ withy --store again get pear
! error: open the store again: again is not a withy store
! hint: a restore to it was interrupted: run it again, and it goes on
[4]
$ withy -q backup create away
$ withy backup verify away | sed 's/[0-9]* contents, .*/CONTENTS/'
2 snapshots whole: CONTENTS
$ withy backup restore away again
restored snapshot 2 to again: 1 branch, up to seq:1
$ echo nonsense > away/snapshots/00000001
$ withy backup list away | wc -l
1
! error: list the backup away: the record of snapshot 1 is damaged: away/snapshots/00000001: snapshot record: no valid checksum at byte 0
! hint: restore another snapshot; remove this file to give that one up
"#,
    );
}

#[test]
fn cli_4_a_signal_ends_long_work_in_order() {
    let rows = r#"for i in $(seq 400); do echo "{\"key\":\"$i\",\"value\":\"$(head -c 3000 /dev/urandom | base64 -w0)\"}"; done > rows.jsonl"#;
    let shell = Shell::after(&format!("{rows}; withy -q import rows.jsonl"));
    shell.session(
        r#"
$ withy backup create away --rate 300K & sleep 1; kill -INT $!; wait $!
! error: back up the store to away: interrupted, there is no new snapshot; the next run uses what was copied
[130]
$ withy backup list away
$ ls .withy | grep staging
[1]
$ withy -q backup create away
$ withy backup restore away again --rate 300K & sleep 1; kill -TERM $!; wait $!
! error: restore to again: interrupted, the target is no store yet; a restore to it goes on
[130]
$ withy backup restore away again
restored snapshot 1 to again: 1 branch, up to seq:1
$ withy --store again scan --count
400
"#,
    );
}
