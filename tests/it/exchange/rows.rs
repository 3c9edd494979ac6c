//! Rows as JSON Lines, CSV and TSV.

use std::ops::ControlFlow;

use withy::exchange::{
    CsvExport, CsvOptions, CsvValues, Encoding, JsonlOptions, LoadOptions, export_csv,
    export_jsonl, import_csv, import_jsonl,
};
use withy::{ErrorKind, KeyRange, Store};

use super::state;
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, rows};

/// Rows with every byte, no byte, quotes, separators and line ends.
fn odd_rows(store: &Store) {
    let main = store.main().expect("main");
    let all: Vec<u8> = (0..=255).collect();
    let odd: [&[u8]; 9] = [
        b"",
        b"text",
        "\u{e4}\u{1f350}".as_bytes(),
        &all,
        b"a,b\tc",
        b"\"q\"",
        b"x\r\ny\n",
        b" pad ",
        b"\\n\0",
    ];
    for (n, bytes) in odd.iter().enumerate() {
        let key = [n.to_string().as_bytes(), bytes].concat();
        main.put(key, *bytes).expect("it is put");
    }
}

#[test]
fn cli_5_every_row_survives_every_format() {
    let store = Scratch::new();
    odd_rows(&store);
    let view = store.view("main").expect("main");
    let mut copies = Vec::new();
    for encoding in [Encoding::Text, Encoding::Hex, Encoding::Base64] {
        let mut out = Vec::new();
        let options = JsonlOptions::default().keys(encoding).values(encoding);
        let done = export_jsonl(&view, &mut out, options).expect("exported");
        assert_eq!((done.rows, done.bytes), (view.len(), out.len() as u64));
        let name = format!("jsonl-{encoding:?}");
        import_jsonl(&store, &name, &out[..], LoadOptions::default().from("seq:0")).expect("taken");
        copies.push(name);
        for shape in [CsvOptions::default(), CsvOptions::tsv()] {
            let shape = shape.key_encoding(encoding).value_encoding(encoding);
            let mut out = Vec::new();
            let done = export_csv(&view, &mut out, &shape, CsvExport::default()).expect("exported");
            assert_eq!((done.rows, done.bytes), (view.len(), out.len() as u64));
            let name = format!("csv-{encoding:?}-{}", copies.len());
            let options = LoadOptions::default().from("seq:0");
            import_csv(&store, &name, &out[..], &shape, options).expect("taken");
            copies.push(name);
        }
    }
    assert_eq!(copies.len(), 9);
    for name in copies {
        let copy = store.view(&name).expect("the branch was made");
        assert_eq!(copy.fingerprint(), view.fingerprint(), "{name} has the same content");
    }
}

#[test]
fn cli_5_a_bad_line_is_named_and_nothing_is_left() {
    let store = Scratch::new();
    must_put(&store.main().expect("main"), "before", "1");
    let before = state(&store);
    let good = "{\"key\":\"a\",\"value\":\"1\"}\n";
    let cases = [
        ("{\"key\":\"b\"}", ErrorKind::Invalid, "line 30001: there is no value"),
        ("{", ErrorKind::Invalid, "line 30001: EOF while parsing an object (column 1)"),
        (
            "{\"key_hex\":\"\",\"value\":\"\"}",
            ErrorKind::Limit,
            "line 30001: key is empty, the shortest has 1 byte",
        ),
    ];
    for (bad, kind, want) in cases {
        let text = format!("{}{bad}\n{good}", good.repeat(30_000));
        for branch in ["main", "new"] {
            let options = LoadOptions::default().from("main");
            let done = import_jsonl(&store, branch, text.as_bytes(), options);
            assert_eq!(must_fail(done, kind).to_string(), want);
            assert_eq!(state(&store), before, "nothing is left of {bad:?}");
        }
    }
    let table = "id,colour\npear,green\nplum\n";
    let done =
        import_csv(&store, "main", table.as_bytes(), &CsvOptions::default(), Default::default());
    let error = must_fail(done, ErrorKind::Invalid);
    assert_eq!(error.to_string(), "line 3: 1 cells where the header has 2");
    assert_eq!(state(&store), before, "nothing is left of the table");
}

#[test]
fn cli_5_rows_become_one_commit_on_the_branch() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "kept", "1");
    must_branch(&store, "side", "main");
    let text = "{\"key\":\"b\",\"value\":\"1\"}\n\n{\"key\":\"a\",\"value\":\"2\"}\n{\"key\":\"b\",\"value\":\"3\"}\n";
    let options = || LoadOptions::default().author("Ann").message("table");
    let done = import_jsonl(&store, "main", text.as_bytes(), options()).expect("taken");
    assert_eq!((done.rows, done.duplicates, done.bytes), (3, 1, text.len() as u64));
    let commit = store.commit("main").expect("main");
    assert_eq!(done.commit.seq(), Some(commit.seq));
    assert_eq!(
        (commit.author.as_str(), commit.message.as_str(), commit.changes),
        ("Ann", "table", 2)
    );
    let want = [("a", "2"), ("b", "3"), ("kept", "1")].map(|(k, v)| (k.into(), v.into()));
    assert_eq!(rows(&main), want, "the last of a key wins, the rest stays");
    assert_eq!(must_get(&store.view("side").expect("side"), "a"), None, "other branches stay");
    let again = import_jsonl(&store, "main", text.as_bytes(), options()).expect("taken");
    assert_eq!(again.commit.seq(), None, "the same again changes nothing");
    let missing = import_jsonl(&store, "nobody", text.as_bytes(), options());
    must_fail(missing, ErrorKind::NotFound);
    let empty = import_jsonl(&store, "fresh", &b""[..], options().from("side")).expect("taken");
    assert_eq!((empty.rows, empty.commit.seq()), (0, None));
    assert_eq!(store.branch_info("fresh").expect("it was made").head.get(), 1, "at the rev");
}

#[test]
fn cli_5_tables_become_objects_and_come_back() {
    let store = Scratch::new();
    let table = "name,id,note\npear,7,\"green, \"\"mostly\"\"\"\nplum,9,\n";
    let shape = CsvOptions::default().key("id").values(CsvValues::Object);
    import_csv(&store, "main", table.as_bytes(), &shape, Default::default()).expect("taken");
    let view = store.view("main").expect("main");
    let pear = must_get(&view, "7").expect("the row");
    assert_eq!(pear, r#"{\"name\":\"pear\",\"note\":\"green, \\\"mostly\\\"\"}"#);
    let mut out = Vec::new();
    export_csv(&view, &mut out, &shape, CsvExport::default()).expect("exported");
    let want = "id,name,note\n7,pear,\"green, \"\"mostly\"\"\"\n9,plum,\n";
    assert_eq!(String::from_utf8(out).expect("text"), want, "the key comes first");
    must_put(&store.main().expect("main"), "8", "no object");
    let view = store.view("main").expect("main");
    let done = export_csv(&view, Vec::new(), &shape, CsvExport::default());
    let error = must_fail(done, ErrorKind::Invalid);
    assert_eq!(error.to_string(), "the value of 8 is not a JSON object");
    let only = CsvExport::default().range(KeyRange::key("7"));
    assert_eq!(export_csv(&view, Vec::new(), &shape, only).expect("one row").rows, 1);
}

#[test]
fn cli_4_an_export_can_be_broken_off() {
    let store = Scratch::new();
    odd_rows(&store);
    let view = store.view("main").expect("main");
    let stop = JsonlOptions::default().progress(|_| ControlFlow::Break(()));
    must_fail(export_jsonl(&view, Vec::new(), stop), ErrorKind::Interrupted);
}
