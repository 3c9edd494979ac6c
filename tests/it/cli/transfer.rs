//! `import` and `export`.

use super::Shell;

#[test]
fn cli_5_rows_go_in_and_out() {
    Shell::new().session(
        r#"
$ printf '{"key":"pear","value":"green"}\n{"key":"plum","value":"blue"}\n{"key":"pear","value":"ripe"}\n' > fruit.jsonl
$ withy import fruit.jsonl
$ withy import fruit.jsonl
$ withy export out.jsonl && cat out.jsonl
$ withy export --format csv
$ withy export out.tsv --prefix pl --quiet && cat out.tsv && ls
$ withy export out.unknown
$ printf 'id,name,colour\n7,pear,green\n9,plum,"dark, blue"\n' | withy import --format csv - --branch table --from seq:0 -m 'A table'
$ withy scan --branch table
$ withy export --format csv --objects --key-column id --branch table
$ withy import --format csv --key-column nothing out.tsv
$ printf '{"key":"a","value":"1"}\nnonsense\n' | withy import --format jsonl
$ withy import --json --branch nowhere fruit.jsonl
$ withy log --oneline
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
$ cat marks
$ withy get fruit/pear
$ withy log
$ withy export --format git
$ withy import in.fast-export
$ printf 'commit refs/heads/main\nnonsense\n' | withy import --format git
$ withy export --format git --at seq:0
"#,
    );
}
