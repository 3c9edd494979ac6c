//! `get`, `scan`, and the forms of keys and values.

use super::Shell;

#[test]
fn cli_3_an_absent_key_ends_with_1() {
    Shell::new().session(
        r#"
$ withy get pear
$ withy --json get pear
$ withy -q put pear green
$ withy --json get pear
$ withy get pear plum
$ withy get pear pear
$ withy get pear --value-format hex
"#,
    );
}

#[test]
fn hist_1_every_read_takes_any_rev() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q tag v1 && withy -q put pear yellow && withy -q branch topic && withy -q put pear brown
$ withy get pear
$ withy get pear --at v1
$ withy get pear --at tags/v1
$ withy get pear --at topic
$ withy get pear --at heads/topic
$ withy get pear --at @~1
$ withy get pear --at main~2
$ withy get pear --at seq:2
$ withy get pear --at seq:0
$ withy get pear --branch topic
$ withy get pear --at seq:9
$ withy get pear --at v2
$ withy get pear --at 'main@{2999-01-01}'
"#,
    );
}

#[test]
fn kv_2_scans_go_both_ways_and_keep_to_their_range() {
    Shell::new().session(
        r#"
$ for k in a/1 a/2 b/1 c; do withy -q put $k v$k; done
$ withy scan
$ withy scan --reverse
$ withy scan --prefix a/ --keys-only
$ withy scan --from a/2 --to c
$ withy scan -n 2 --reverse --keys-only
$ withy scan --count
$ withy scan --count --prefix a/ --json
$ withy scan --keys-only --json -n 1
$ withy scan --prefix nothing
$ withy scan --at seq:1
"#,
    );
}

#[test]
fn cli_2_bytes_that_are_not_text_are_shown_as_told() {
    Shell::new().session(
        r#"
$ withy -q put 'raw\xff' 'val\x00' && withy -q put tab 'a\tb'
$ withy scan
$ withy scan --key-format hex
$ withy scan --value-format base64
$ withy scan --json
$ withy scan --json --key-format hex --value-format hex
$ withy get tab 'raw\xff'
$ WITHY_VALUE_FORMAT=hex withy scan
$ WITHY_VALUE_FORMAT=octal withy scan
"#,
    );
}
