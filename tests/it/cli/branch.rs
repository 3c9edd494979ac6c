//! `branch`, `switch`, `reset`, `restore`.

use super::Shell;

#[test]
fn br_1_branches_are_made_listed_and_switched() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy branch topic
$ withy branch old seq:1 --description 'as it began'
$ withy branch
$ withy branch -v
$ withy switch topic
$ withy put pear brown
$ withy get pear --branch main
$ withy switch -c fix main~1
$ withy branch --list 'f*'
$ withy branch --show old
$ withy branch --json --list old
$ withy branch topic
$ withy branch new nowhere
$ withy branch new seq:99
$ withy branch new main topic
$ withy branch 'bad..name'
$ withy switch nowhere
$ withy branch
"#,
    );
}

#[test]
fn br_5_delete_wants_force_for_what_is_not_merged() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q branch done && withy -q switch -c topic && withy -q put pear brown
$ withy branch -d done
$ withy branch -d topic
$ withy -q switch main
$ withy branch -d topic
$ withy branch -d topic --merged-into topic
$ withy branch -D main
$ withy branch -d nowhere
$ withy branch
"#,
    );
}

#[test]
fn br_4_branches_are_renamed_and_described() {
    Shell::new().session(
        r#"
$ withy branch topic
$ withy branch -m topic fruit
$ withy branch -m trunk
$ withy branch --describe fruit 'Prices of fruit'
$ withy branch --show fruit
$ withy branch -m fruit trunk
$ withy branch
"#,
    );
}

#[test]
fn br_7_reset_moves_a_branch_and_loses_nothing() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy reset @~1
$ withy get pear
$ withy undo
$ withy get pear
$ withy reset --json seq:0
$ withy reset nowhere
$ withy reset seq:1 --branch nowhere
"#,
    );
}

#[test]
fn tag_3_restore_is_one_new_commit() {
    Shell::new().session(
        r#"
$ withy -q put a/1 x && withy -q put b y && withy -q tag v1 && withy -q put a/1 z && withy -q del b && withy -q put c w
$ withy restore v1 --key b
$ withy scan
$ withy restore v1 --prefix a/
$ withy restore v1
$ withy restore v1
$ withy scan
$ withy log --oneline -n 3
"#,
    );
}
