//! `log` and `show`.

use super::Shell;

/// A merge and a branch beside it, through an import: merges cannot be made otherwise.
const STREAM: &str = r"commit refs/heads/main
mark :1
committer Ann <ann@example.org> 1000000000 +0000
data 5
Plant
M 100644 inline pear
data 6
green

commit refs/heads/topic
mark :2
committer Bob <bob@example.org> 1000003600 +0100
data 8
On topic
from :1
M 100644 inline plum
data 5
blue

commit refs/heads/main
mark :3
committer Ann <ann@example.org> 1000007200 +0000
data 7
On main
from :1
M 100644 inline pear
data 7
yellow

commit refs/heads/main
mark :4
committer Ann <ann@example.org> 1000010800 +0000
data 29
Merge topic

With two lines.
from :3
merge :2
M 100644 inline plum
data 5
blue

reset refs/heads/side
from :2

";

fn merged() -> Shell {
    let shell = Shell::new();
    std::fs::write(shell.path().join("stream"), STREAM).expect("the stream can be written");
    let (text, code) = shell.run("withy -q import --format git --replace stream");
    assert_eq!((text.as_str(), code), ("", 0), "the stream is imported in silence");
    shell
}

#[test]
fn hist_3_log_shows_commits_newest_first() {
    merged().session(
        r#"
$ withy log
commit ID seq:4 (@ -> main)
Merge:  seq:3 seq:2
Author: Ann <ann@example.org>
Date:   2001-09-09T04:46:40Z

    Merge topic

    With two lines.

commit ID seq:3
Author: Ann <ann@example.org>
Date:   2001-09-09T03:46:40Z

    On main

commit ID seq:2 (side, topic)
Author: Bob <bob@example.org>
Date:   2001-09-09T03:46:40+01:00

    On topic

commit ID seq:1
Author: Ann <ann@example.org>
Date:   2001-09-09T01:46:40Z

    Plant

commit ID seq:0

    (the empty root)

$ withy log --oneline
seq:4 ID (@ -> main) Merge topic
seq:3 ID On main
seq:2 ID (side, topic) On topic
seq:1 ID Plant
seq:0 ID (the empty root)
$ withy log -n 1 --json
{"seq":4,"id":"ID","parents":[{"seq":3,"id":"ID"},{"seq":2,"id":"ID"}],"branch":"main","author":"Ann <ann@example.org>","message":"Merge topic\n\nWith two lines.\n","time":"2001-09-09T04:46:40Z","authored":"2001-09-09T04:46:40Z","committer":"Ann <ann@example.org>","committed":"2001-09-09T04:46:40Z","changed":1,"keys":2,"fingerprint":"ID"}
$ withy log --oneline --author Bob
seq:2 ID (side, topic) On topic
$ withy log --oneline --first-parent
seq:4 ID (@ -> main) Merge topic
seq:3 ID On main
seq:1 ID Plant
seq:0 ID (the empty root)
$ withy log --oneline --since 2001-09-09T03:00:00Z
seq:4 ID (@ -> main) Merge topic
seq:3 ID On main
$ withy log --oneline --until 2001-09-09T01:50:00Z
seq:1 ID Plant
seq:0 ID (the empty root)
$ withy log --oneline --key plum
seq:4 ID (@ -> main) Merge topic
seq:2 ID (side, topic) On topic
$ withy log --oneline --prefix pe
seq:3 ID On main
seq:1 ID Plant
$ withy log --oneline topic
seq:2 ID (side, topic) On topic
seq:1 ID Plant
seq:0 ID (the empty root)
$ withy log --oneline topic..main
seq:4 ID (@ -> main) Merge topic
seq:3 ID On main
$ withy log --oneline main..topic
$ withy log --oneline side..
seq:4 ID (@ -> main) Merge topic
seq:3 ID On main
$ withy log --graph --oneline topic~1..
*   seq:4 ID (@ -> main) Merge topic
|\
* | seq:3 ID On main
 /
* seq:2 ID (side, topic) On topic
$ withy log --since tomorrow
! error: invalid value 'tomorrow' for '--since <TIME>': not a time such as TIME, 2026-11-20 or "2 hours ago"
!
! For more information, try '--help'.
[2]
$ withy log nowhere
! error: read the log of nowhere: no branch, tag or commit "nowhere"
! hint: `withy branch`, `withy tag` and `withy log` list what there is
[2]
"#,
    );
}

#[test]
fn hist_3_the_graph_shows_merges_and_forks() {
    merged().session(
        r#"
$ withy log --graph --oneline
*   seq:4 ID (@ -> main) Merge topic
|\
* | seq:3 ID On main
| * seq:2 ID (side, topic) On topic
|/
* seq:1 ID Plant
* seq:0 ID (the empty root)
$ withy -q switch side && withy -q put fig purple
$ withy log --graph --oneline --all
* seq:5 ID (@ -> side) put fig
| * seq:4 ID (main) Merge topic
|/|
| * seq:3 ID On main
* | seq:2 ID (topic) On topic
|/
* seq:1 ID Plant
* seq:0 ID (the empty root)
$ withy log --graph --all -n 2
* commit ID seq:5 (@ -> side)
| Author: ada
| Date:   TIME
|
|     put fig
|
| * commit ID seq:4 (main)
|/| Merge:  seq:3 seq:2
| | Author: Ann <ann@example.org>
| | Date:   2001-09-09T04:46:40Z
| |
| |     Merge topic
| |
| |     With two lines.
| |
$ withy log --graph --oneline --all --key plum
*   seq:4 ID (main) Merge topic
|\
| * seq:2 ID (topic) On topic
|/
$ withy log --graph --oneline main --first-parent
* seq:4 ID (main) Merge topic
* seq:3 ID On main
* seq:1 ID Plant
* seq:0 ID (the empty root)
"#,
    );
}

#[test]
fn hist_3_show_gives_a_commit_with_its_changes() {
    merged().session(
        r#"
$ withy show main~1
commit ID seq:3
Author: Ann <ann@example.org>
Date:   2001-09-09T03:46:40Z

    On main

modified pear
@@ -1 +1 @@
-green
+yellow
$ withy show main
commit ID seq:4 (@ -> main)
Merge:  seq:3 seq:2
Author: Ann <ann@example.org>
Date:   2001-09-09T04:46:40Z

    Merge topic

    With two lines.

added plum
@@ -0,0 +1 @@
+blue
$ withy show --stat topic
commit ID seq:2 (side, topic)
Author: Bob <bob@example.org>
Date:   2001-09-09T03:46:40+01:00

    On topic

 plum | 1 +
 1 key changed (1 added, 0 modified, 0 deleted), 1 insertion(+), 0 deletions(-)
$ withy show --name-status topic main~1
commit ID seq:2 (side, topic)
Author: Bob <bob@example.org>
Date:   2001-09-09T03:46:40+01:00

    On topic

A	plum

commit ID seq:3
Author: Ann <ann@example.org>
Date:   2001-09-09T03:46:40Z

    On main

M	pear
$ withy show --json topic
{"seq":2,"id":"ID","parents":[{"seq":1,"id":"ID"}],"branch":"topic","author":"Bob <bob@example.org>","message":"On topic","time":"2001-09-09T02:46:40Z","authored":"2001-09-09T03:46:40+01:00","committer":"Bob <bob@example.org>","committed":"2001-09-09T03:46:40+01:00","changed":1,"keys":2,"fingerprint":"ID","changes":[{"key":"plum","kind":"added","before":null,"after":"blue\n"}]}
$ withy show seq:0
commit ID seq:0

    (the empty root)

$ withy log -p -n 1 topic
commit ID seq:2 (side, topic)
Author: Bob <bob@example.org>
Date:   2001-09-09T03:46:40+01:00

    On topic

added plum
@@ -0,0 +1 @@
+blue

$ withy log --oneline --name-only -n 2 topic
seq:2 ID (side, topic) On topic
plum
seq:1 ID Plant
pear
"#,
    );
}

#[test]
fn hist_2_three_dots_are_for_diff() {
    Shell::new().session(
        r#"
$ withy -q branch topic && withy log main...topic
! error: read main...topic: `A...B` is for `withy diff` only
! hint: `main..topic` is what B has and A has not
[2]
$ withy cherry-pick main...topic
! error: read main...topic: `A...B` is for `withy diff` only
! hint: `main..topic` is what B has and A has not
[2]
"#,
    );
}
