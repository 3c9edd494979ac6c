//! `diff`.

use super::Shell;

fn two_sides() -> Shell {
    let shell = Shell::new();
    let (text, _) = shell.run(
        "seq 1 12 > long && withy -q put text --file long && withy -q put gone old \
         && withy -q put bytes '\\x00\\x01' && withy -q put same same && withy -q tag before \
         && sed 's/^7$/seven/' long > longer && withy -q put text --file longer && withy -q del gone \
         && withy -q put bytes '\\xff' && withy -q put new 'two\\nlines'",
    );
    assert_eq!(text, "", "the sides are made in silence");
    shell
}

#[test]
fn diff_3_texts_are_compared_by_lines_and_bytes_by_length_and_hash() {
    two_sides().session(
        r#"
$ withy diff before main
modified bytes
-binary, 2 bytes, blake3 ID
+binary, 1 byte, blake3 ID
deleted gone
@@ -1 +0,0 @@
-old
added new
@@ -0,0 +1,2 @@
+two
+lines
modified text
@@ -4,7 +4,7 @@
 4
 5
 6
-7
+seven
 8
 9
 10
$ withy diff before..main -U 0 --key text
modified text
@@ -7 +7 @@
-7
+seven
$ withy diff main..before --prefix n
deleted new
@@ -1,2 +0,0 @@
-two
-lines
$ withy diff --value-format hex before main --key bytes
modified bytes
@@ -1 +1 @@
-0001
+ff
$ withy diff main
"#,
    );
}

#[test]
fn diff_2_names_counts_and_limits() {
    two_sides().session(
        r#"
$ withy diff before main --name-only
bytes
gone
new
text
$ withy diff before main --name-status -n 2
M	bytes
D	gone
$ withy diff before.. --stat
 bytes | Bin 2 -> 1 bytes
 gone  | 1 -
 new   | 2 ++
 text  | 2 +-
 4 keys changed (1 added, 2 modified, 1 deleted), 3 insertions(+), 2 deletions(-)
$ withy diff before main --stat --json
{"added":1,"modified":2,"deleted":1}
$ withy diff before main --json
{"key":"bytes","kind":"modified","before":"\u0000\u0001","after_base64":"/w=="}
{"key":"gone","kind":"deleted","before":"old","after":null}
{"key":"new","kind":"added","before":null,"after":"two\nlines"}
{"key":"text","kind":"modified","before":"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n","after":"1\n2\n3\n4\n5\n6\nseven\n8\n9\n10\n11\n12\n"}
$ withy diff before main --json --name-only -n 1
{"key":"bytes","kind":"modified"}
"#,
    );
}

#[test]
fn cli_3_diff_ends_with_1_only_if_asked() {
    two_sides().session(
        r#"
$ withy diff before main --name-only --exit-code
bytes
gone
new
text
[1]
$ withy diff main main --exit-code
$ withy diff main main
$ withy diff before nowhere
! error: compare before and nowhere: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy -q switch -c side before && withy -q put side 1 && withy diff main...side --name-only && withy diff main..side --name-only
side
bytes
gone
new
side
text
$ withy diff
! error: the following required arguments were not provided:
!   <REV>...
!
! Usage: withy diff <REV>...
!
! For more information, try '--help'.
[2]
$ withy diff before main --stat --name-only
! error: the argument '--stat' cannot be used with '--name-only'
!
! Usage: withy diff --stat <REV>...
!
! For more information, try '--help'.
[2]
"#,
    );
}
