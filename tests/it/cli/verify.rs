//! `verify`

use super::Shell;

#[test]
fn ops_6_verify_says_that_all_is_well() {
    let shell =
        Shell::after("withy -q put pear green; withy -q switch -c topic; withy -q put fig blue");
    shell.session(
        r#"
$ withy verify | sed 's/; .*//'
all is well: 3 commits, 2 versions, 2 lines, 0 large values
$ withy verify -q
$ withy verify --quick -q
$ withy verify --branch topic --json | sed 's/"rows".*//'
{"clean":true,"found":0,"latest":2,"commits":3,"versions":2,"lines":2,"large_values":0,"orphans":0,
$ withy verify --branch nobody
! error: verify DIR/.withy: no branch "nobody"
! hint: `withy branch` lists the branches
[2]
"#,
    );
}

#[test]
fn ops_6_verify_names_what_is_wrong_what_it_touches_and_what_to_do() {
    let shell = Shell::after("withy -q put pear green");
    let raw = crate::support::raw::Raw::open(&shell.path().join(".withy"));
    raw.put("head", &[&[0; 8][..], b"pear"].concat(), b"\x11\0\0\0\0\0\0\0\x01brown");
    drop(raw);
    shell.session(
        r#"
$ withy verify | sed 's/; [0-9.]* .* read//'
rows: the version that commit 1 wrote is not what the commit says (head, line 0, commit 1, key pear)
  touches branch main
  keep a copy of the store and restore a backup; what is not named here can still be read and exported
judged: 2 commits, 1 version, 1 line, 0 large values
! error: verify: the store is damaged: 1 finding
! hint: keep a copy of the store before anything else, and see what each finding advises
$ withy verify --json | head -n 1
{"check":"rows","invariant":60,"what":"the version that commit 1 wrote is not what the commit says","family":"head","line":0,"seq":1,"key":"pear","branches":["main"],"tags":[],"more":0,"advice":"keep a copy of the store and restore a backup; what is not named here can still be read and exported"}
! error: verify: the store is damaged: 1 finding
! hint: keep a copy of the store before anything else, and see what each finding advises
$ withy verify --max-findings 0 -q
and 1 more
! error: verify: the store is damaged: 1 finding
! hint: keep a copy of the store before anything else, and see what each finding advises
[4]
"#,
    );
}
