//! `tag`.

use super::Shell;

#[test]
fn tag_1_tags_are_made_listed_and_deleted() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy tag v1 seq:1 -m 'First pear'
created tag v1 at seq:1
$ withy tag v2
created tag v2 at seq:2
$ withy tag a-late-one seq:1
created tag a-late-one at seq:1
$ withy tag
a-late-one seq:1 ID
v1         seq:1 ID First pear
v2         seq:2 ID
$ withy tag --sort -seq
v2         seq:2 ID
v1         seq:1 ID First pear
a-late-one seq:1 ID
$ withy tag --sort seq -n 1
a-late-one seq:1 ID
$ withy tag --list 'v*'
v1 seq:1 ID First pear
v2 seq:2 ID
$ withy tag --json -n 1
{"name":"a-late-one","seq":1,"id":"ID","description":"","creator":"ada","created":"TIME"}
$ withy tag --show v1
tag         v1
commit      seq:1 ID
keys        1
created     TIME
creator     ada
description First pear
$ withy tag v1
! error: create tag v1: tag v1 exists already
! hint: `withy tag --force v1` replaces it
[2]
$ withy tag --force v1
created tag v1 at seq:2
$ withy tag bad/name
! error: create tag bad/name: "bad/name" is not a valid tag name: `/` is not allowed
! hint: use 1 to 128 letters, digits, `_`, `.` and `-`, as git allows them
[2]
$ withy tag v3 nowhere
! error: create tag v3: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy tag -d v1 v2
deleted tag v1 (was seq:2)
deleted tag v2 (was seq:2)
$ withy tag -d v1
! error: delete tag v1: no tag "v1"
! hint: `withy tag` lists the tags
[2]
$ withy tag
a-late-one seq:1 ID
"#,
    );
}
