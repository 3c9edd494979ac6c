//! `feed`.

use super::Shell;

#[test]
fn feed_1_commits_come_in_order_with_their_changes() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q switch -c topic && withy -q put fruit/fig purple && withy -q del pear && withy -q put fruit/fig black
$ withy feed
$ withy feed --after 3
$ withy feed --after latest
$ withy feed --branch main
$ withy feed --prefix fruit/ -n 1
$ withy feed --after seq:2 -n 1 --json
$ withy feed --after 99
$ withy feed --after pear
"#,
    );
}

#[test]
fn feed_2_follow_waits_for_what_comes() {
    Shell::new().session(
        r#"
$ withy feed --follow --timeout 0.3
$ (withy feed --follow -n 2 --after latest > got; echo "ended with $?" >> got) & sleep 0.5; withy -q put pear green; withy -q put plum blue; wait; cat got
"#,
    );
}
