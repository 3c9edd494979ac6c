//! `gc` and `purge`.

use super::Shell;

#[test]
fn ops_7_gc_says_what_it_has_removed() {
    Shell::new().session(
        r#"
$ for n in 1 2 3 4; do withy -q put n $n; done && withy -q tag two seq:2
$ withy gc
nothing to remove
$ withy config retention count=1
$ withy config undo-age 0s
$ withy config retention
count=1
$ withy gc --rate 1000000 --no-compact
removed 4 rows, 501 B: 2 commits, 1 operation
$ withy gc --json
{"examined":5,"rows":0,"bytes":0,"commits":0,"lines":0,"operations":0,"values":0,"resumed":false,"postponed":false}
$ withy get n --at two
2%
$ withy get n --at seq:3
! error: read at seq:3: commit 3 is no longer kept
! hint: history is kept from commit 4 on
[2]
$ withy gc --quiet
$ withy gc --rate 0
! error: invalid value '0' for '--rate <BYTES>': "0" is not a number of bytes such as 4096, 64K or 50M
!
! For more information, try '--help'.
[2]
$ withy config retention sometimes
! error: set retention: "sometimes" is no retention rule: "sometimes" has no place in it
! hint: a rule is such as `branch=main age=30d count=100` or `prefix=tmp/ count=1`
[2]
$ withy config max-tags 0 && withy gc && withy tag
removed 3 rows, 314 B: 1 commit, 1 operation
"#,
    );
}

#[test]
fn ops_7_purge_asks_first_and_keeps_a_record() {
    Shell::new().session(
        r#"
$ withy -q put card/7 4929-1111 && withy -q put card/8 4929-2222 && withy -q put card/7 4929-3333 && withy -q branch topic
$ withy purge --prefix card/
! error: purge prefix card/: this removes values from all of history, and cannot be undone
! hint: add --yes to do it
[2]
$ withy purge --prefix '' --yes
! error: purge: an empty prefix is that of every key
! hint: name the prefixes one by one
[2]
$ withy purge card/7 --yes --reason 'it leaked'
purged card/7: 2 versions; deleted by seq:4, seq:5
$ withy scan
card/8	4929-2222
$ withy history card/7
! no key card/7 at main, nor before
[1]
$ grep -rla 4929-1111 .withy
[1]
$ withy purge --prefix card/ --yes --json
{"number":2,"time":"TIME","author":"ada","reason":"","from":"card/","to":"card0","upto":7,"commits":[6,7],"versions":1,"values":0,"done":true}
$ withy purge --list
1 TIME ada card/7: 2 versions: it leaked
2 TIME ada prefix card/: 1 version
$ withy log -n 1
commit ID seq:6 (@ -> main)
Author: ada
Date:   TIME

    purge

"#,
    );
}

#[test]
fn ops_7_what_is_kept_is_shown_where_what_was_before_is_not() {
    Shell::new().session(
        r#"
$ for n in 1 2; do withy -q put a $n; done; withy -q branch t; withy -q put b 1; withy -b t -q put c 1; withy -q put b 2; withy -b t -q put c 2; withy -q put b 3
$ withy config retention count=1 && withy config undo-age 0s && withy -q gc
$ withy log --oneline
seq:7 ID (@ -> main) put b
$ withy log --graph --all --oneline
* seq:7 ID (@ -> main) put b
* seq:6 ID (t) put c
$ withy log t..main --oneline
seq:7 ID (@ -> main) put b
$ withy log --patch -n 1
commit ID seq:7 (@ -> main)
Author: ada
Date:   TIME

    put b

(what was before is no longer kept: names only)
modified b

$ withy show t --name-status
commit ID seq:6 (t)
Author: ada
Date:   TIME

    put c

M	c
$ withy show --json | sed 's/.*"changes"/"changes"/'
"changes":[{"key":"b","kind":"modified"}]}
$ withy history a
! versions of a are no longer kept
$ withy history b
seq:7 ID TIME ada: modified 3
! older versions of b are no longer kept
$ withy history b -n 1
seq:7 ID TIME ada: modified 3
$ withy history zz
! no key zz at main, nor in what is kept of its history; all of it is after seq:5
[1]
$ withy export --format git > stream && mkdir copy && cd copy && withy init -q && withy import --format git -q ../stream && withy log --all --oneline && withy scan && withy scan --at t
seq:2 ID (@ -> main) put b
seq:1 ID (t) put c
seq:0 ID (the empty root)
a	2
b	3
a	2
c	2
$ withy -q put d 2 && withy purge d --yes -q && withy export --format git | grep '^M' | cut -d ' ' -f 4 | tr '\n' ' '
a c a b %
$ withy purge b --yes -q && withy export --format git | grep -c '^M'
3
"#,
    );
}
