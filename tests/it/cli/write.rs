//! `init`, `put`, `del`, `apply`.

use super::Shell;

#[test]
fn ops_2_init_writes_a_marker_again_that_was_lost() {
    Shell::new().session(
        r#"
$ withy -q put fruit pear && rm .withy/withy.store
$ withy get fruit
! error: open the store DIR/.withy: the store in DIR/.withy has no file withy.store
! hint: `withy --store DIR init` writes it; all that is in the store stays
[2]
$ withy --store .withy init
the store in DIR/.withy has its marker again
$ withy get fruit
pear%
"#,
    );
}

#[test]
fn cli_1_init_makes_a_store_and_leaves_one_alone() {
    Shell::empty().session(
        r#"
$ withy init
made an empty store in DIR/.withy
$ withy init
there is a store in DIR/.withy already
$ withy init data
made an empty store in DIR/data/.withy
$ withy --store named --json init
{"store":"DIR/named","id":"ID","created":true}
$ withy --store data put pear green && cd named && withy get pear --at seq:0
[main seq:1 ID] put pear (1 key)
! no key pear at seq:0
[1]
$ mkdir -p deep/er && cd deep/er && withy put pear green && withy get pear
[main seq:1 ID] put pear (1 key)
green%
"#,
    );
}

#[test]
fn kv_3_put_and_del_make_commits_only_for_changes() {
    Shell::new().session(
        r#"
$ withy put pear green
[main seq:1 ID] put pear (1 key)
$ withy put pear green
nothing to commit: main has this content already
$ withy put pear yellow -m 'It is ripe'
[main seq:2 ID] It is ripe (1 key)
$ withy put --json plum blue
{"seq":3,"id":"ID","parents":[{"seq":2,"id":"ID"}],"branch":"main","author":"ada","message":"put plum","time":"TIME","changed":1,"keys":2,"fingerprint":"ID"}
$ withy --quiet put fig purple
$ withy del pear
[main seq:5 ID] delete pear (1 key)
$ withy del pear
nothing to commit: main has none of the keys
[1]
$ withy del plum fig apple -m 'All eaten'
[main seq:6 ID] All eaten (2 keys)
$ withy put a/1 x && withy put a/2 y && withy put b z
[main seq:7 ID] put a/1 (1 key)
[main seq:8 ID] put a/2 (1 key)
[main seq:9 ID] put b (1 key)
$ withy del --prefix a/
[main seq:10 ID] delete prefix a/ (2 keys)
$ withy scan
b	z
"#,
    );
}

#[test]
fn kv_1_values_come_from_arguments_files_and_pipes() {
    Shell::new().session(
        r#"
$ printf 'one\ntwo\n' > lines.txt
$ withy -q put lines --file lines.txt
$ printf 'no end' | withy -q put piped -
$ withy -q put 'tab\there' 'back\\slash\nline \xff\x00'
$ withy -q --key-format hex --value-format base64 put ff00 AAE=
$ withy -q put empty ''
$ withy get lines
one
two
$ withy get piped
no end%
$ withy get empty
$ withy scan
empty	
lines	one\ntwo\n
piped	no end
tab\there	back\\slash\nline \xff\x00
\xff\x00	\x00\x01
$ withy --key-format hex get ff00 | od -An -tx1
 00 01
$ withy put 'bad\q' x
! error: read key bad\q: unknown escape \q; write \\ for a backslash
[2]
$ withy put --key-format hex 0g x
! error: read key 0g: not hexadecimal: only 0-9 and a-f are allowed
[2]
$ withy put key
! error: the following required arguments were not provided:
!   <VALUE>
!
! Usage: withy put <KEY> <VALUE>
!
! For more information, try '--help'.
[2]
$ withy put key --file missing.txt
! error: read the value from missing.txt: No such file or directory (os error 2)
[2]
"#,
    );
}

#[test]
fn kv_7_conditional_writes_name_expected_and_actual() {
    Shell::new().session(
        r#"
$ withy put pear green --if-absent
[main seq:1 ID] put pear (1 key)
$ withy put pear yellow --if-absent
! error: put pear: pear: expected absent, found a value of 5 bytes, ID, last changed by commit 1
! hint: nothing was written; read the key again and decide anew
[3]
$ withy put pear yellow --if-value red
! error: put pear: pear: expected a value of 3 bytes, ID, found a value of 5 bytes, ID, last changed by commit 1
! hint: nothing was written; read the key again and decide anew
[3]
$ withy put pear yellow --if-seq 7
! error: put pear: pear: expected last changed by commit 7, found a value of 5 bytes, ID, last changed by commit 1
! hint: nothing was written; read the key again and decide anew
[3]
$ withy put pear yellow --if-seq 1
[main seq:2 ID] put pear (1 key)
$ withy put pear brown --if-value yellow
[main seq:3 ID] put pear (1 key)
$ withy put plum blue --if-present
! error: put plum: plum: expected present, found absent
! hint: nothing was written; read the key again and decide anew
[3]
$ withy del pear --if-value yellow
! error: delete pear: pear: expected a value of 6 bytes, ID, found a value of 5 bytes, ID, last changed by commit 3
! hint: nothing was written; read the key again and decide anew
[3]
$ withy del pear --if-present
[main seq:4 ID] delete pear (1 key)
$ withy put pear green --if-absent --if-present
! error: the argument '--if-absent' cannot be used with '--if-present'
!
! Usage: withy put --if-absent <KEY> <VALUE>
!
! For more information, try '--help'.
[2]
"#,
    );
}

#[test]
fn cli_1_apply_writes_a_batch_as_one_commit() {
    Shell::new().session(
        r#"
$ withy -q put pear green
$ printf '{"key":"pear","delete":true}\n{"key":"plum","value":"blue","if_absent":true}\n\n{"key_hex":"ff","value_base64":"AAE="}\n' > ok.jsonl
$ withy apply ok.jsonl
[main seq:2 ID] apply 3 changes (3 keys)
$ withy scan --json
{"key":"plum","value":"blue"}
{"key_base64":"/w==","value":"\u0000\u0001"}
$ withy apply ok.jsonl
! error: apply 3 changes: plum: expected absent, found a value of 4 bytes, ID, last changed by commit 2
! hint: nothing was written; read the key again and decide anew
[3]
$ withy scan --json --at @~1 | withy apply - -m 'As it was'
[main seq:3 ID] As it was (1 key)
$ printf '{"key":"fig","value":"purple"}\n{"key":"fig"}\n' | withy apply
! error: read standard input, line 2: neither "value" nor "delete": true
! hint: see `withy apply --help`; nothing was written
[2]
$ printf '\n[1]\n' | withy apply -
! error: read standard input, line 2: not a JSON object
! hint: see `withy apply --help`; nothing was written
[2]
$ printf 'pear green\n' | withy apply
! error: read standard input, line 1: not JSON: expected value (column 1)
! hint: see `withy apply --help`; nothing was written
[2]
$ printf '{"key":"fig","value":"purple","if_sequence":3}\n' | withy apply
! error: read standard input, line 1: unknown member "if_sequence"
! hint: see `withy apply --help`; nothing was written
[2]
$ withy apply missing.jsonl
! error: read missing.jsonl: No such file or directory (os error 2)
[2]
$ withy scan
pear	green
plum	blue
\xff	\x00\x01
"#,
    );
}
