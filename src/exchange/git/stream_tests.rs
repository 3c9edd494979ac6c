use super::*;

/// Every event of a stream, with what went to the sink.
fn read(stream: &[u8]) -> (Vec<Event>, Vec<u8>, Option<String>) {
    let (mut events, mut sink) = (Vec::new(), Vec::new());
    // A small buffer, so that every token is cut somewhere.
    let mut reader = StreamReader::new(io::BufReader::with_capacity(3, stream));
    loop {
        match reader.next(&mut sink) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, sink, None),
            Err(fault) => return (events, sink, Some(fault.to_string())),
        }
    }
}

fn fault(stream: &str) -> String {
    read(stream.as_bytes()).2.unwrap_or_else(|| panic!("{stream:?} is refused"))
}

const HEAD: &str = "commit refs/heads/main\ncommitter C <c> 5 +0100\ndata 1\nx\n";

#[test]
fn a_commit_is_read_with_all_its_parts() {
    let stream = "# comment\n\nblob\nmark :1\noriginal-oid abc\ndata 3\na\nb\n\
        commit refs/heads/main\nmark :2\noriginal-oid def\nauthor A <a> 4 -0100\n\
        committer C <c> 5 +0100\ngpgsig sha1 openpgp\ndata 3\nsig\nencoding ISO-8859-1\ndata 2\nhi\
        from :9\nmerge :7\nmerge :8\nM 100755 :1 dir/run me\n\
        M 100644 inline \"q\\\"uote\"\ndata <<END\nin\nEND\n\n# comment\nD old\nR a b c\nC \"a b\" d\n\
        N :1 :2\ndeleteall\n\nreset refs/heads/x\nfrom :2\n\ndone\nrubbish";
    let (events, sink, fault) = read(stream.as_bytes());
    assert_eq!(fault, None, "the stream is good, and nothing is read after `done`");
    assert_eq!(sink, b"a\nbin\n", "contents go to the sink, in order, exactly");
    let Event::Commit(head) = &events[1] else { panic!("a commit comes second: {events:?}") };
    assert_eq!((head.mark, head.signed), (Some(2), true));
    assert_eq!(head.message, b"hi", "a message need not end in a line feed");
    assert_eq!(head.author.as_ref().expect("an author").name, b"A <a>");
    assert_eq!(head.committer.when.offset_minutes, 60);
    assert_eq!(head.from.as_deref(), Some(&b":9"[..]));
    assert_eq!(head.merges, [b":7", b":8"]);
    let path = |text: &str| text.as_bytes().to_vec();
    let change = |c| Event::Change(c);
    let run = path("dir/run me");
    let want = [
        change(Change::Modify { mode: Mode::Executable, content: Content::Mark(1), path: run }),
        change(Change::Modify {
            mode: Mode::File,
            content: Content::Inline(3),
            path: path("q\"uote"),
        }),
        change(Change::Delete(path("old"))),
        change(Change::Rename { from: path("a"), to: path("b c") }),
        change(Change::Copy { from: path("a b"), to: path("d") }),
        change(Change::Note),
        change(Change::DeleteAll),
        Event::CommitEnd,
        Event::Reset { reference: path("refs/heads/x"), from: Some(path(":2")) },
    ];
    assert_eq!(events[2..], want, "changes come in the order of the stream");
    assert_eq!(events[0], Event::Blob { mark: Some(1), len: 3 });
}

#[test]
fn tags_and_aliases_are_read() {
    let stream = "tag v1\nmark :4\nfrom :3\ntagger T <t> 0 +0000\ndata 0\nalias\nmark :5\nto :3\n\
        tag bare\nfrom :3\ndata 1\nx\nfeature notes\noption git quiet\nprogress 50 %\ncheckpoint\n";
    let (events, _, fault) = read(stream.as_bytes());
    assert_eq!(fault, None, "the stream is good");
    assert_eq!(events.len(), 3);
    let Event::Tag(tag) = &events[0] else { panic!("a tag comes first: {events:?}") };
    assert_eq!((tag.name.as_slice(), tag.mark, tag.message.len()), (&b"v1"[..], Some(4), 0));
    assert_eq!(events[1], Event::Alias { mark: 5, to: b":3".to_vec() });
}

#[test]
fn bad_lines_are_named() {
    let cases = [
        ("blob\nmark 1\ndata 0\n".to_owned(), "line 2: `1` is not a mark such as :17"),
        ("\n\nfrobnicate\n".into(), "line 3: unknown command `frobnicate`"),
        (
            "blob\ndata 9\nabc\n".into(),
            "line 2: `data` wants 9 bytes, and the stream ends 5 bytes short",
        ),
        ("blob\ndata x\n".into(), "line 2: `data` wants a number of bytes"),
        ("blob\ndata -1\n".into(), "line 2: `data` wants a number of bytes"),
        ("blob\ndata 99999999999999999999999\n".into(), "line 2: `data` wants a number of bytes"),
        (
            "blob\ndata 18446744073709551615\n".into(),
            "line 2: the content is over the limit of 1073741824 bytes",
        ),
        ("blob\ndata <<E\nabc".into(), "line 2: the stream ends before the delimiter of `data <<`"),
        ("blob\n".into(), "line 2: `data` is missing: no content"),
        ("feature teleport\n".into(), "line 1: feature `teleport` is not supported"),
        (
            "feature done\nblob\ndata 0\n".into(),
            "line 4: the stream ends without the `done` it promised: it is cut off",
        ),
        ("commit x\ndata 0\n".into(), "line 2: the commit has no committer"),
        ("commit x\ncommitter C\n".into(), "line 2: committer wants a `<mail>` after the name"),
        (format!("{HEAD}M 100644 :1\n"), "line 5: M wants a mode, a content and a path"),
        (format!("{HEAD}M 777 :1 a\n"), "line 5: M has an unknown mode `777`"),
        (format!("{HEAD}M 100644 :x a\n"), "line 5: M has a mark that is not a number"),
        (format!("{HEAD}M 100644 :1 a//b\n"), "line 5: the path has an empty component: `a//b`"),
        (format!("{HEAD}M 100644 :1 \"a\n"), "line 5: M has a path without a closing quote"),
        (format!("{HEAD}D \"a\"b\n"), "line 5: D has text after the closing quote of the path"),
        (format!("{HEAD}R a\n"), "line 5: `R ` wants two paths"),
        (format!("{HEAD}Q a\n"), "line 5: unknown command `Q a`"),
        (
            format!("{HEAD}ls a\n"),
            "line 5: the command asks for an answer, and an import gives none",
        ),
        ("tag v1\ndata 0\n".into(), "line 2: the tag does not say what it is `from`"),
    ];
    for (stream, want) in cases {
        assert_eq!(fault(&stream), want, "{stream:?}");
    }
    let long = format!("{HEAD}D {}\n", "x".repeat(70_000));
    assert!(fault(&long).starts_with("line 5: the path is longer than a key may be"), "long path");
    let endless = "y".repeat(MAX_LINE + 5);
    assert_eq!(fault(&endless), "line 1: the line is over 1 MiB");
}

#[test]
fn line_numbers_count_lines_inside_contents() {
    assert_eq!(fault("blob\ndata 4\na\nb\nnonsense\n"), "line 5: unknown command `nonsense`");
    assert_eq!(fault("blob\ndata <<E\na\nb\nE\nnonsense\n"), "line 6: unknown command `nonsense`");
}

#[test]
fn delimited_lines_of_any_length_are_kept() {
    let line = "z".repeat(3 * MAX_LINE + 7);
    let (_, sink, fault) = read(format!("blob\ndata <<E\n{line}\nEE\nE").as_bytes());
    assert_eq!(fault, None, "the delimiter may end the stream");
    assert_eq!(sink.len(), line.len() + 1 + 3, "the last line feed belongs to the content");
}

#[test]
fn no_bytes_at_all_make_it_panic() {
    let good = format!(
        "feature done\nblob\nmark :1\ndata 2\nab\n{HEAD}from :3\nM 100644 :1 \"a\\303\\244\"\nR a \"b\"\n\
         M 100644 inline c\ndata <<X\nd\nX\n\ntag t\nfrom :2\ntagger T <t> 1 +0000\ndata 0\nalias\nmark :9\nto :2\ndone\n"
    );
    assert_eq!(read(good.as_bytes()).2, None, "the seed is good");
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..4) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b" \n\":<>0\\\xff\0"[random.usize(0..10)]),
                _ => bytes.truncate(at.max(9)),
            }
        }
        let _ = read(&bytes);
    }
}
