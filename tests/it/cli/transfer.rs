//! `import` and `export`.

use super::Shell;

#[test]
fn cli_5_rows_go_in_and_out() {
    Shell::new().session(
        r#"
$ printf '{"key":"pear","value":"green"}\n{"key":"plum","value":"blue"}\n{"key":"pear","value":"ripe"}\n' > fruit.jsonl
$ withy import fruit.jsonl
imported 3 rows into main as seq:1; 1 row had a key that came again later
$ withy import fruit.jsonl
imported 3 rows into main, which had them already; 1 row had a key that came again later
$ withy export out.jsonl && cat out.jsonl
exported 2 rows to out.jsonl
{"key":"pear","value":"ripe"}
{"key":"plum","value":"blue"}
$ withy export --format csv
key,value
pear,ripe
plum,blue
$ withy export out.tsv --prefix pl --quiet && cat out.tsv && ls
key	value
plum	blue
fruit.jsonl
out.jsonl
out.tsv
$ withy export out.unknown
! error: choose the format: the name of the file does not tell it
! hint: use --format jsonl, csv, tsv or git
[2]
$ printf 'id,name,colour\n7,pear,green\n9,plum,"dark, blue"\n' | withy import --format csv - --branch table --from seq:0 -m 'A table'
imported 2 rows into table as seq:2
$ withy scan --branch table
7	{"name":"pear","colour":"green"}
9	{"name":"plum","colour":"dark, blue"}
$ withy export --format csv --objects --key-column id --branch table
id,name,colour
7,pear,green
9,plum,"dark, blue"
$ withy import --format csv --key-column nothing out.tsv
! error: import out.tsv: line 1: there is no column "nothing", only key	value
[2]
$ printf '{"key":"a","value":"1"}\nnonsense\n' | withy import --format jsonl
! error: import standard input: line 2: not a JSON object
[2]
$ withy import --json --branch nowhere fruit.jsonl
! error: import fruit.jsonl: no branch "nowhere"
! hint: `withy branch` lists the branches
[2]
$ withy log --oneline
seq:1 ID (@ -> main) import fruit.jsonl
seq:0 ID (the empty root)
"#,
    );
}

#[test]
fn cli_5_git_streams_go_in_and_out() {
    let stream = "commit refs/heads/main\nmark :1\ncommitter Ann <ann@example.org> 1000000000 +0200\n\
                  data 5\nPlant\nM 100644 inline fruit/pear\ndata 6\ngreen\n\n";
    let shell = Shell::new();
    std::fs::write(shell.path().join("in.fast-export"), stream).expect("the stream can be written");
    shell.session(
        r#"
$ withy import in.fast-export --export-marks marks
imported 1 commit (0 merges), 1 branch, 0 tags
$ cat marks
:1 ID 1
$ withy get fruit/pear
green
$ withy log
commit ID seq:1 (@ -> main)
Author: Ann <ann@example.org>
Date:   2001-09-09T03:46:40+02:00

    Plant

commit ID seq:0

    (the empty root)

$ withy export --format git
feature done
blob
mark :1
data 6
green

reset refs/heads/main
commit refs/heads/main
mark :2
author Ann <ann@example.org> 1000000000 +0200
committer Ann <ann@example.org> 1000000000 +0200
data 5
Plant
M 100644 :1 fruit/pear

reset refs/heads/main
from :2

done
$ withy import in.fast-export
! error: import in.fast-export: branch main exists, and the stream does not go on from it
! hint: --branch-prefix PREFIX puts the branches beside those, --replace moves those
[2]
$ printf 'commit refs/heads/main\nnonsense\n' | withy import --format git
! error: import standard input: line 2: the commit has no committer
[2]
$ withy export --format git --at seq:0
! error: export: a git stream holds whole histories
! hint: leave out --at, --prefix, --from and --to
[2]
"#,
    );
}
