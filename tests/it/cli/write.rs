//! `init`, `put`, `del`, `apply`.

use super::Shell;

#[test]
fn cli_1_init_makes_a_store_and_leaves_one_alone() {
    Shell::empty().session(
        r#"
$ withy init
$ withy init
$ withy init data
$ withy --store named --json init
$ mkdir -p deep/er && cd deep/er && withy put pear green && withy get pear
"#,
    );
}

#[test]
fn kv_3_put_and_del_make_commits_only_for_changes() {
    Shell::new().session(
        r#"
$ withy put pear green
$ withy put pear green
$ withy put pear yellow -m 'It is ripe'
$ withy put --json plum blue
$ withy --quiet put fig purple
$ withy del pear
$ withy del pear
$ withy del plum fig apple -m 'All eaten'
$ withy put a/1 x && withy put a/2 y && withy put b z
$ withy del --prefix a/
$ withy scan
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
$ withy get piped
$ withy get empty
$ withy scan
$ withy --key-format hex get ff00 | od -An -tx1
$ withy put 'bad\q' x
$ withy put --key-format hex 0g x
$ withy put key
$ withy put key --file missing.txt
"#,
    );
}

#[test]
fn kv_7_conditional_writes_name_expected_and_actual() {
    Shell::new().session(
        r#"
$ withy put pear green --if-absent
$ withy put pear yellow --if-absent
$ withy put pear yellow --if-value red
$ withy put pear yellow --if-seq 7
$ withy put pear yellow --if-seq 1
$ withy put pear brown --if-value yellow
$ withy put plum blue --if-present
$ withy del pear --if-value yellow
$ withy del pear --if-present
$ withy put pear green --if-absent --if-present
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
$ withy scan --json
$ withy apply ok.jsonl
$ withy scan --json --at @~1 | withy apply - -m 'As it was'
$ printf '{"key":"fig","value":"purple"}\n{"key":"fig"}\n' | withy apply
$ printf '\n[1]\n' | withy apply -
$ printf 'pear green\n' | withy apply
$ printf '{"key":"fig","value":"purple","if_sequence":3}\n' | withy apply
$ withy apply missing.jsonl
$ withy scan
"#,
    );
}
