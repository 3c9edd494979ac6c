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
$ withy log --oneline
$ withy log -n 1 --json
$ withy log --oneline --author Bob
$ withy log --oneline --first-parent
$ withy log --oneline --since 2001-09-09T03:00:00Z
$ withy log --oneline --until 2001-09-09T01:50:00Z
$ withy log --oneline --key plum
$ withy log --oneline --prefix pe
$ withy log --oneline topic
$ withy log --since tomorrow
$ withy log nowhere
"#,
    );
}

#[test]
fn hist_3_the_graph_shows_merges_and_forks() {
    merged().session(
        r#"
$ withy log --graph --oneline
$ withy -q switch side && withy -q put fig purple
$ withy log --graph --oneline --all
$ withy log --graph --all -n 2
$ withy log --graph --oneline --all --key plum
$ withy log --graph --oneline main --first-parent
"#,
    );
}

#[test]
fn hist_3_show_gives_a_commit_with_its_changes() {
    merged().session(
        r#"
$ withy show main~1
$ withy show main
$ withy show --stat topic
$ withy show --name-status topic main~1
$ withy show --json topic
$ withy show seq:0
$ withy log -p -n 1 topic
$ withy log --oneline --name-only -n 2 topic
"#,
    );
}
