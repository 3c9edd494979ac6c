//! `config`, `stats`, `completions`.

use super::Shell;

#[test]
fn cli_7_flags_beat_environment_beats_store_beats_default() {
    Shell::new().session(
        r#"
$ withy config --list
author                = ada (environment WITHY_AUTHOR)
color                 = auto (default)
durability            = sync (default)
keep-tags             = 0 (default)
key-format            = text (default)
max-branches          = unlimited (default)
max-operations        = unlimited (default)
max-tags              = unlimited (default)
max-transaction-bytes = unlimited (default)
max-transactions      = unlimited (default)
merge-strategy:       = manual (default)
pager                 = less (default)
retention             = forever (default)
store                 = DIR/.withy (default)
transaction-time      = unlimited (default)
undo-age              = 30d (default)
value-format          = text (default)
wait                  = 0 (default)
$ withy config durability buffered
$ withy config author bob
$ withy config author
ada
$ withy --author eve config author
eve
$ env -u WITHY_AUTHOR withy config author
bob
$ withy --wait 2 config --list --json
{"name":"author","value":"ada","source":"environment","variable":"WITHY_AUTHOR"}
{"name":"color","value":"auto","source":"default"}
{"name":"durability","value":"buffered","source":"store"}
{"name":"keep-tags","value":"0","source":"default"}
{"name":"key-format","value":"text","source":"default"}
{"name":"max-branches","value":"unlimited","source":"default"}
{"name":"max-operations","value":"unlimited","source":"default"}
{"name":"max-tags","value":"unlimited","source":"default"}
{"name":"max-transaction-bytes","value":"unlimited","source":"default"}
{"name":"max-transactions","value":"unlimited","source":"default"}
{"name":"merge-strategy:","value":"manual","source":"default"}
{"name":"pager","value":"less","source":"default"}
{"name":"retention","value":"forever","source":"default"}
{"name":"store","value":"DIR/.withy","source":"default"}
{"name":"transaction-time","value":"unlimited","source":"default"}
{"name":"undo-age","value":"30d","source":"default"}
{"name":"value-format","value":"text","source":"default"}
{"name":"wait","value":"2","source":"flag"}
$ env -u WITHY_AUTHOR withy -q put pear green && withy --json log -n 1 | grep -o '"author":"[a-z]*"'
"author":"bob"
$ withy config --unset author
$ withy config --unset author
! author is not set in the store
[1]
$ withy config durability never
! error: set durability: "never" is no value for durability: use sync or buffered
[2]
$ withy config nothing
! error: show nothing: no setting "nothing"
! hint: the settings are author, color, durability, keep-tags, key-format, max-branches, max-operations, max-tags, max-transaction-bytes, max-transactions, pager, retention, transaction-time, undo-age, value-format, wait, store, merge-driver:PATTERN, merge-strategy:PATTERN
[2]
$ withy config colour blue
! error: change colour: no setting "colour"
! hint: the settings are author, durability, keep-tags, max-branches, max-operations, max-tags, max-transaction-bytes, max-transactions, retention, transaction-time, undo-age, merge-driver:PATTERN, merge-strategy:PATTERN
[2]
$ withy config color never
! error: change color: color is not kept in the store
! hint: use the option --color, or set WITHY_COLOR in the environment
[2]
$ withy config max-branches 1
$ withy branch second
! error: create branch second: the limit of 1 branches is reached
! hint: delete branches that are no longer needed, or raise the limit
[2]
$ WITHY_MAX_BRANCHES=2 withy branch second
created branch second at seq:1
$ withy config
! error: the following required arguments were not provided:
!   <NAME>
!
! Usage: withy config <NAME> [VALUE]
!
! For more information, try '--help'.
[2]
"#,
    );
}

#[test]
fn txn_5_limits_of_transactions_live_in_the_store() {
    Shell::new().session(
        r#"
$ withy config max-operations 2 && withy config max-transactions 1 && withy config max-transaction-bytes 100 && withy config transaction-time 60000
$ withy config --list | grep '(store)'
max-operations        = 2 (store)
max-transaction-bytes = 100 (store)
max-transactions      = 1 (store)
transaction-time      = 60000 (store)
$ printf 'begin\nput a 1\nput b 1\nexpect error limit 2 operations\nput c 1\nexpect error limit\nt2: begin\ncommit\nexpect count = 2' | withy txn
[main seq:1 ID] (2 keys)
3 expectations met
$ printf 'begin operations 3\nput a 2\nput b 2\nput c "x" * 90\ncommit' | withy txn
[main seq:2 ID] (3 keys)
$ printf 'begin\nput c "x" * 101' | withy txn
! error: standard input:2: put c "x" * 101: the limit of 100 bytes of a transaction is reached
! hint: its transaction is rolled back; raise the limit, or write `expect error limit` on the line before
[2]
$ withy config transaction-time 0 && printf 'begin\nput a 3' | withy txn
! error: standard input:2: put a 3: the transaction has gone on for more than its 0 ms
! hint: its transaction is rolled back; raise the limit, or write `expect error limit` on the line before
[2]
$ withy -q put a 3 && withy config --unset transaction-time && withy config transaction-time
unlimited
$ withy config max-operations few
! error: set max-operations: "few" is no value for max-operations: use a whole number
[2]
$ withy config --unset max-operations && withy config max-operations --json
{"name":"max-operations","value":"unlimited","source":"default"}
$ WITHY_MAX_OPERATIONS=1 withy config max-operations --json
{"name":"max-operations","value":"1","source":"environment","variable":"WITHY_MAX_OPERATIONS"}
$ printf 'begin\nput a 4\nput b 4\ncommit' | WITHY_MAX_OPERATIONS=1 withy txn
! error: standard input:3: put b 4: the limit of 1 operations of a transaction is reached
! hint: its transaction is rolled back; raise the limit, or write `expect error limit` on the line before
[2]
$ printf 'begin\nput a 4\ncommit' | WITHY_TRANSACTION_TIME=0 withy txn
! error: standard input:2: put a 4: the transaction has gone on for more than its 0 ms
! hint: its transaction is rolled back; raise the limit, or write `expect error limit` on the line before
[2]
"#,
    );
}

#[test]
fn cli_7_drivers_and_strategies_are_kept_per_pattern() {
    Shell::new().session(
        r#"
$ withy config merge-driver:hits/ counter
$ withy config 'merge-driver:*.json' json/1
$ withy config 'merge-strategy:cache/*.tmp' theirs
$ withy config merge-strategy: ours
$ withy config --list | grep merge-
merge-driver:*.json        = json (store)
merge-driver:hits/         = counter (store)
merge-strategy:            = ours (store)
merge-strategy:cache/*.tmp = theirs (store)
$ withy config --list --json | grep merge-
{"name":"merge-driver:*.json","value":"json","source":"store"}
{"name":"merge-driver:hits/","value":"counter","source":"store"}
{"name":"merge-strategy:","value":"ours","source":"store"}
{"name":"merge-strategy:cache/*.tmp","value":"theirs","source":"store"}
$ withy config merge-driver:hits/
counter
$ withy config merge-strategy:
ours
$ withy config merge-strategy: --json
{"name":"merge-strategy:","value":"ours","source":"store"}
$ withy config merge-driver:other/
! merge-driver:other/ is not set
[1]
$ withy config merge-driver:hits/ abacus
! error: set merge-driver:hits/: no merge driver "abacus"
! hint: the drivers are counter, json, last-write, set, text
[2]
$ withy config merge-strategy:hits/ mine
! error: set merge-strategy:hits/: no merge strategy "mine"
! hint: the strategies are ours, theirs, manual and fast-forward
[2]
$ withy config 'merge-driver:\q' text
! error: read pattern \q: unknown escape \q; write \\ for a backslash
[2]
$ withy config --unset merge-driver:hits/
$ withy config --unset merge-driver:hits/
! merge-driver:hits/ is not set in the store
[1]
$ withy config --unset merge-strategy: && withy config merge-strategy:
manual
$ env -u WITHY_AUTHOR withy config author
! author is not set
[1]
$ withy -q branch topic && withy -q put a.json '{"a":1}' && withy -q put cache/1.tmp x && withy -q -b topic put a.json '{"b":2}' && withy -q -b topic put cache/1.tmp y
$ withy merge topic && withy scan
[main seq:5 ID] Merge topic into main
 0 added, 2 modified, 0 deleted
 settled by driver json/1: 1
 settled by strategy theirs: 1
a.json	{"a":1,"b":2}
cache/1.tmp	y
"#,
    );
}

#[test]
fn stat_1_stats_say_what_the_store_holds() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch topic && withy -q tag v1
$ withy stats | grep -v '^disk'
store         DIR/.withy
id            ID
format        1
newest commit seq:1
branches      2
tags          1
keys          1 on the active branch
$ withy stats --json | sed 's/_bytes":[0-9]*/_bytes":N/g'
{"store":"DIR/.withy","id":"ID","format":1,"latest":1,"branches":2,"tags":1,"keys":1,"open_merges":0,"disk_bytes":N,"data_bytes":N}
"#,
    );
}

#[test]
fn cli_1_completions_are_scripts() {
    let shell = Shell::empty();
    for name in ["bash", "zsh", "fish"] {
        let (script, code) = shell.run(&format!("withy completions {name}"));
        assert_eq!(code, 0, "{name} is known");
        assert!(script.contains("withy"), "{name} completes withy");
    }
}
