//! `config`, `stats`, `completions`.

use super::Shell;

#[test]
fn cli_7_flags_beat_environment_beats_store_beats_default() {
    Shell::new().session(
        r#"
$ withy config --list
author       = ada (environment WITHY_AUTHOR)
color        = auto (default)
durability   = sync (default)
key-format   = text (default)
max-branches = unlimited (default)
pager        = less (default)
store        = DIR/.withy (default)
value-format = text (default)
wait         = 0 (default)
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
{"name":"key-format","value":"text","source":"default"}
{"name":"max-branches","value":"unlimited","source":"default"}
{"name":"pager","value":"less","source":"default"}
{"name":"store","value":"DIR/.withy","source":"default"}
{"name":"value-format","value":"text","source":"default"}
{"name":"wait","value":"2","source":"flag"}
$ env -u WITHY_AUTHOR withy -q put pear green && withy --json log -n 1 | grep -o '"author":"[a-z]*"'
"author":"bob"
$ withy config --unset author
$ withy config --unset author
[1]
$ withy config durability never
! error: set durability: "never" is no value for durability: use sync or buffered
[2]
$ withy config nothing
[1]
$ withy config colour blue
! error: change colour: no setting "colour"
! hint: the settings are author, durability, max-branches
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
{"store":"DIR/.withy","id":"ID","format":1,"latest":1,"branches":2,"tags":1,"keys":1,"disk_bytes":N,"data_bytes":N}
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
