//! `history`.

use super::Shell;

#[test]
fn hist_2_history_of_a_key_goes_back_across_branches() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put plum blue && withy -q del pear && withy -q switch -c topic && withy -q put pear brown --author bob
$ withy history pear
seq:4 ID TIME bob: added brown
seq:3 ID TIME ada: deleted
seq:1 ID TIME ada: added green
$ withy history pear -n 1 --json
{"seq":4,"id":"ID","parents":[{"seq":3,"id":"ID"}],"branch":"topic","author":"bob","message":"put pear","time":"TIME","changed":1,"keys":2,"fingerprint":"ID","kind":"added","value":"brown"}
$ withy history pear --at main
seq:3 ID TIME ada: deleted
seq:1 ID TIME ada: added green
$ withy history pear --branch main -n 1
seq:3 ID TIME ada: deleted
$ withy -q put pear red --author 'Ben of the green pears' && withy -q put pear blue --author ''
$ withy history pear -n 2
seq:6 ID TIME modified blue
seq:5 ID TIME Ben of the green pears: modified red
$ withy history apple
! no key apple at topic, nor before
[1]
"#,
    );
}
