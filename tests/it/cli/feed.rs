//! `feed`.

use super::Shell;

#[test]
fn feed_1_commits_come_in_order_with_their_changes() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q switch -c topic && withy -q put fruit/fig purple && withy -q del pear && withy -q put fruit/fig black
$ withy feed
seq:1 ID put pear
  on main at TIME
  + pear	green
seq:2 ID put fruit/fig
  on topic at TIME
  + fruit/fig	purple
seq:3 ID delete pear
  on topic at TIME
  - pear
seq:4 ID put fruit/fig
  on topic at TIME
  ~ fruit/fig	black
$ withy feed --after 3
seq:4 ID put fruit/fig
  on topic at TIME
  ~ fruit/fig	black
$ withy feed --after latest
$ withy feed --branch main
seq:1 ID put pear
  on main at TIME
  + pear	green
$ withy feed --prefix fruit/ -n 1
seq:2 ID put fruit/fig
  on topic at TIME
  + fruit/fig	purple
$ withy feed --after seq:2 -n 1 --json
{"seq":3,"id":"ID","parents":[{"seq":2,"id":"ID"}],"branch":"topic","author":"ada","message":"delete pear","time":"TIME","changed":1,"keys":1,"fingerprint":"ID","changes":[{"key":"pear","kind":"deleted","value":null}]}
$ withy feed --after 99
! error: read the feed: position 99 is in the future, the newest commit is 4
[2]
$ withy feed --after pear
! error: invalid value 'pear' for '--after <SEQ>': not a sequence such as 120, nor `latest`
!
! For more information, try '--help'.
[2]
"#,
    );
}

#[test]
fn feed_2_follow_waits_for_what_comes() {
    Shell::new().session(
        r#"
$ withy feed --follow --timeout 0.3
$ (withy feed --follow -n 2 --after latest > got; echo "ended with $?" >> got) & sleep 0.5; withy -q put pear green; withy -q put plum blue; wait; cat got
seq:1 ID put pear
  on main at TIME
  + pear	green
seq:2 ID put plum
  on main at TIME
  + plum	blue
ended with 0
"#,
    );
}

#[test]
fn feed_2_a_cursor_keeps_the_place_of_a_script() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put plum blue && withy -q put fig black
$ withy feed --cursor mirror --after 0 -n 1
seq:1 ID put pear
  on main at TIME
  + pear	green
$ withy feed --cursor mirror -n 2 --ack --name-only
seq:1 ID put pear
  on main at TIME
  + pear
seq:2 ID put plum
  on main at TIME
  + plum
$ withy feed --cursors
mirror	after 2, free
$ withy feed --cursor mirror --lease 3600
seq:3 ID put fig
  on main at TIME
  + fig	black
$ withy feed --cursor mirror --owner ann 2>&1 | sed 's/until .*/until T/'
error: read with cursor mirror: cursor mirror is held by withy feed until T
hint: try again then, or use a cursor of another name
$ withy feed --cursor mirror --ack=3
$ withy feed --cursor mirror --ack=9
! error: read with cursor mirror: cursor mirror has been given commits up to 3, not 9
[2]
$ withy feed --cursor mirror --reset 1 --ack
seq:2 ID put plum
  on main at TIME
  + plum	blue
seq:3 ID put fig
  on main at TIME
  + fig	black
$ withy feed --cursors --json
{"name":"mirror","acked":3,"created":"TIME","branch":null,"from":null,"to":null,"holder":null,"until":null}
$ withy feed --delete-cursor mirror
deleted cursor mirror
$ withy feed --delete-cursor mirror
! error: delete cursor mirror: no cursor mirror
! hint: `withy feed --cursors` lists the cursors
[2]
$ withy feed --cursor mirror
$ withy feed --cursor mirror --prefix p
! error: read with cursor mirror: cursor mirror was made for another range of keys
! hint: leave the choice out, or make a cursor of another name
[2]
"#,
    );
}
