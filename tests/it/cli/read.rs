//! `get`, `scan`, and the forms of keys and values.

use super::Shell;

#[test]
fn cli_3_an_absent_key_ends_with_1() {
    Shell::new().session(
        r#"
$ withy get pear
! no key pear at main
[1]
$ withy --json get pear
{"key":"pear","value":null}
[1]
$ withy -q put pear green
$ withy --json get pear
{"key":"pear","value":"green"}
$ withy get pear plum
pear	green
! no key plum at main
[1]
$ withy get pear pear
pear	green
pear	green
$ withy get pear --value-format hex
677265656e
"#,
    );
}

#[test]
fn hist_1_every_read_takes_any_rev() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q tag v1 && withy -q put pear yellow && withy -q branch topic && withy -q put pear brown
$ withy get pear
brown%
$ withy get pear --at v1
green%
$ withy get pear --at tags/v1
green%
$ withy get pear --at topic
yellow%
$ withy get pear --at heads/topic
yellow%
$ withy get pear --at @~1
yellow%
$ withy get pear --at main~2
green%
$ withy get pear --at seq:2
yellow%
$ withy get pear --at seq:0
! no key pear at seq:0
[1]
$ withy get pear --branch topic
yellow%
$ withy get pear --at seq:9
! error: read at seq:9: commit 9 is not there, the newest is 3
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy get pear --at v2
! error: read at v2: no branch, tag or commit "v2"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
$ withy get pear --at 'main@{2999-01-01}'
! error: read at main@{2999-01-01}: main@{2999-01-01}: the time is in the future
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
"#,
    );
}

#[test]
fn kv_2_scans_go_both_ways_and_keep_to_their_range() {
    Shell::new().session(
        r#"
$ for k in a/1 a/2 b/1 c; do withy -q put $k v$k; done
$ withy scan
a/1	va/1
a/2	va/2
b/1	vb/1
c	vc
$ withy scan --reverse
c	vc
b/1	vb/1
a/2	va/2
a/1	va/1
$ withy scan --prefix a/ --keys-only
a/1
a/2
$ withy scan --from a/2 --to c
a/2	va/2
b/1	vb/1
$ withy scan -n 2 --reverse --keys-only
c
b/1
$ withy scan --count
4
$ withy scan --count --prefix a/ --json
{"count":2}
$ withy scan --keys-only --json -n 1
{"key":"a/1"}
$ withy scan --prefix nothing
$ withy scan --at seq:1
a/1	va/1
"#,
    );
}

#[test]
fn cli_2_bytes_that_are_not_text_are_shown_as_told() {
    Shell::new().session(
        r#"
$ withy -q put 'raw\xff' 'val\x00' && withy -q put tab 'a\tb'
$ withy scan
raw\xff	val\x00
tab	a\tb
$ withy scan --key-format hex
726177ff	val\x00
746162	a\tb
$ withy scan --value-format base64
raw\xff	dmFsAA==
tab	YQli
$ withy scan --json
{"key_base64":"cmF3/w==","value":"val\u0000"}
{"key":"tab","value":"a\tb"}
$ withy scan --json --key-format hex --value-format hex
{"key_hex":"726177ff","value_hex":"76616c00"}
{"key_hex":"746162","value_hex":"610962"}
$ withy get tab 'raw\xff'
tab	a\tb
raw\xff	val\x00
$ WITHY_VALUE_FORMAT=hex withy scan
raw\xff	76616c00
tab	610962
$ WITHY_VALUE_FORMAT=octal withy scan
! error: read setting value-format: octal is not one of text, hex, base64
! hint: see where it comes from with `withy config value-format` or `withy config --list`
[2]
"#,
    );
}
