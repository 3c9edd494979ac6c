//! Histories as `git fast-export` streams: what is kept, and that failures leave nothing.

use std::ops::ControlFlow;

use withy::exchange::{
    GitExportOptions, GitImportOptions, GitImported, GitNotes, export_git, import_git,
};
use withy::{
    Batch, CommitOptions, ErrorKind, FeedOptions, LogOptions, Read as _, Seq, Store, TagOptions,
};

use super::{Git, ORCHARD, state};
use crate::support::{Scratch, must_branch, must_fail, must_get, must_put, rows};

/// Imports a stream that must be taken.
pub(crate) fn must_import(store: &Store, stream: &[u8]) -> GitImported {
    import_git(store, stream, GitImportOptions::default())
        .unwrap_or_else(|e| panic!("the stream is taken: {e:?}"))
}

/// Exports everything.
pub(crate) fn must_export(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    export_git(store, &mut out, GitExportOptions::default())
        .unwrap_or_else(|e| panic!("the store is exported: {e:?}"));
    out
}

/// A commit on main with these changes.
pub(crate) fn commit(changes: &str) -> String {
    format!("commit refs/heads/main\ncommitter A <a@b> 5 +0000\ndata 0\n{changes}\n")
}

#[test]
fn cli_5_a_stream_keeps_its_commits_parents_people_and_times() {
    let mut store = Scratch::new();
    let done = must_import(&store, ORCHARD);
    assert_eq!((done.commits, done.merges, done.branches, done.tags), (8, 1, 3, 2));
    assert_eq!(done.bytes, ORCHARD.len() as u64, "every byte was read");
    assert!(done.notes.is_empty(), "everything was kept");
    for _ in 0..2 {
        let merge = store.commit("main").expect("main is there");
        assert_eq!(merge.author, "Ben Birnbaum <ben@example.org>");
        let origin = merge.origin.clone().expect("it says where it comes from");
        assert_eq!(origin.committer, "Ann Appleby <ann@example.org>");
        assert_eq!(origin.authored.to_string(), "2016-11-17T05:00:00Z");
        assert_eq!(origin.committed.to_string(), "2016-11-17T07:00:00+01:00");
        assert_eq!(merge.message, "Merge topic/plums\n", "messages stay byte for byte");
        let parents: Vec<_> = merge.parents.iter().map(|p| p.seq).collect();
        let seq = |rev: &str| store.commit(rev).expect("the rev resolves").seq;
        assert_eq!(parents, [seq("main~1"), seq("topic/plums")], "both parents, in order");
        assert_eq!(seq("main~3"), seq("topic/plums~2"), "the branches share their beginning");
        let first = store.commit("main~3").expect("the first commit");
        assert_eq!(first.parents[0].seq, Seq::ROOT, "a commit without parents begins at the root");
        let notes: Vec<_> = store
            .log("notes", LogOptions::default())
            .expect("a log")
            .map(|c| c.expect("a commit").message)
            .collect();
        assert_eq!(notes[..2], ["Start over\n", "Unrelated\n"], "no commit in common with main");
        store.reopen();
    }
}

#[test]
fn cli_5_a_stream_keeps_contents_by_git_s_rules() {
    let store = Scratch::new();
    must_import(&store, ORCHARD);
    let all: Vec<u8> = (0..=255).collect();
    let first = store.view("main~3").expect("the first commit");
    assert_eq!(first.get(b"seeds/all bytes.bin").expect("it is read"), Some(all), "binary");
    assert_eq!(first.get(b"empty").expect("it is read"), Some(vec![]), "empty, not absent");
    let odd = store.view("main~2").expect("the second commit");
    assert_eq!(must_get(&odd, "odd/line\nfeed").as_deref(), Some("1"));
    assert_eq!(must_get(&odd, "odd/\"quotes\" and \\").as_deref(), Some("2"));
    assert_eq!(must_get(&odd, b"odd/\xff\xfe").as_deref(), Some("\\xff\\xfe"));
    assert_eq!(must_get(&odd, "odd/äpfel und birnen").as_deref(), Some("4"));
    let keys = |rev: &str| -> Vec<String> {
        rows(&store.view(rev).expect("a view")).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(
        keys("topic/plums"),
        ["fruit/pear", "fruit/prunes", "fruit/quince", "seeds/all bytes.bin"],
        "renamed, copied, deleted"
    );
    assert_eq!(
        keys("main"),
        ["fruit", "orchard/pear", "orchard/prunes", "orchard/quince", "seeds/all bytes.bin"],
        "a folder was renamed, and a file took its place"
    );
    assert_eq!(keys("notes"), ["done"], "deleteall");
    let planted = store.tag("planted").expect("the plain tag");
    assert_eq!((planted.seq, planted.description.as_str()), (first.commit().seq, ""));
    let tag = store.tag("v1.0").expect("the annotated tag");
    assert_eq!(tag.seq, store.commit("main").expect("main").seq);
    assert_eq!(tag.description, "First harvest\n");
    assert_eq!(tag.creator, "Ann Appleby <ann@example.org>");
    assert_eq!(tag.created.to_string(), "2016-11-17T08:00:00Z");
}

#[test]
fn cli_5_what_is_exported_gives_git_the_same_commits() {
    let store = Scratch::new();
    must_import(&store, ORCHARD);
    let stream = must_export(&store);
    if let (Some(original), Some(copy)) = (Git::imported(ORCHARD), Git::imported(&stream)) {
        assert_eq!(original.refs(), copy.refs(), "commit by commit, tree by tree");
    }
    let second = Scratch::new();
    must_import(&second, &stream);
    assert_eq!(must_export(&second), stream, "a second round gives the same bytes");
    for branch in store.branches().expect("branches") {
        let fingerprint = |s: &Store| s.view(branch.name.as_str()).expect("a view").fingerprint();
        assert_eq!(fingerprint(&store), fingerprint(&second), "content of {}", branch.name);
    }
}

#[test]
fn cli_5_own_commits_are_exported_too() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "pear", "green");
    let mut batch = Batch::new();
    batch.put("plum", vec![0, 255]).delete("pear");
    main.write(batch, CommitOptions::default().author("Ann <3").message("a\nb")).expect("written");
    must_branch(&store, "topic", "main~1");
    store.create_tag("v1", "main", TagOptions::default()).expect("a tag");
    let stream = must_export(&store);
    let copy = Scratch::new();
    must_import(&copy, &stream);
    let head = copy.commit("main").expect("main");
    assert_eq!((head.author.as_str(), head.message.as_str()), ("Ann 3", "a\nb"));
    assert_eq!(copy.commit("main~1").expect("a commit").author, "tester", "no empty mail is added");
    assert_eq!(rows(&copy.view("topic").expect("a view")), [("pear".into(), "green".into())]);
    assert_eq!(copy.tag("v1").expect("the tag").seq, head.seq);
    if let Some(git) = Git::imported(&stream) {
        assert_eq!(git.says(&["ls-tree", "-r", "--name-only", "main"]), "plum\n");
    }
    let mut only = Vec::new();
    let done = export_git(&store, &mut only, GitExportOptions::default().branches(["topic"]));
    assert_eq!(done.expect("exported").commits, 1, "only what the branch reaches");
    let nobody = export_git(&store, &mut only, GitExportOptions::default().branches(["nobody"]));
    must_fail(nobody, ErrorKind::NotFound);
}

#[test]
fn cli_5_marks_say_which_commit_is_which() {
    let store = Scratch::new();
    let mut marks = Vec::new();
    import_git(&store, ORCHARD, GitImportOptions::default().marks(&mut marks)).expect("imported");
    let marks = String::from_utf8(marks).expect("text");
    let lines: Vec<Vec<&str>> = marks.lines().map(|l| l.split(' ').collect()).collect();
    let names: Vec<&str> = lines.iter().map(|words| words[0]).collect();
    assert_eq!(names, [":4", ":5", ":6", ":7", ":8", ":9", ":10", ":11"], "commits, by mark");
    let merge = store.commit(&format!("seq:{}", lines[5][2])).expect("the commit of mark 9");
    assert_eq!(merge.id.to_string(), lines[5][1], "id and sequence are those of one commit");
    assert_eq!(merge.seq, store.commit("main").expect("main").seq);
}

#[test]
fn cli_5_what_cannot_be_kept_is_counted() {
    let store = Scratch::new();
    let module = "0123456789012345678901234567890123456789";
    let mut stream = commit(&format!(
        "M 100755 inline run\ndata 1\nx\nM 120000 inline link\ndata 3\nrun\nM 160000 {module} sub\nN inline :1\ndata 1\nn\n"
    ))
    .into_bytes();
    stream.extend_from_slice(
        b"commit refs/heads/latin\nauthor J\xf6rg <j> 1 +0000\ncommitter A <a> 1 +0000\n\
          gpgsig sha1 openpgp\ndata 1\ns\nencoding ISO-8859-1\ndata 2\n\xe4\n\
          commit refs/notes/commits\ncommitter A <a> 1 +0000\ndata 0\n",
    );
    let done = must_import(&store, &stream);
    let mut want = GitNotes::default();
    (want.modes, want.submodules, want.commit_notes) = (2, 1, 1);
    (want.signatures, want.texts, want.refs) = (1, 2, 1);
    assert_eq!(done.notes, want);
    assert_eq!(
        rows(&store.view("main").expect("main")),
        [("link".into(), "run".into()), ("run".into(), "x".into())]
    );
    let latin = store.commit("latin").expect("the branch");
    assert_eq!((latin.message.as_str(), latin.author.as_str()), ("ä\n", "J\u{fffd}rg <j>"));
}

#[test]
fn cli_5_a_bad_stream_names_the_line_and_leaves_nothing() {
    let mut store = Scratch::new();
    must_put(&store.main().expect("main"), "before", "1");
    must_branch(&store, "topic", "main");
    let before = state(&store);
    let good = "blob\nmark :1\ndata 1\nx\ncommit refs/heads/new\nmark :2\ncommitter A <a> 5 +0000\n\
                data 0\nM 100644 :1 a\nD b\n\n";
    let lines = good.lines().count();
    let cases = [
        ("nonsense\n", "unknown command `nonsense`"),
        (
            "commit refs/heads/new\ncommitter A <a> 5 +0000\ndata 0\nM 100644 :7 a\n",
            "mark :7 is not known",
        ),
        (
            "commit refs/heads/new\ncommitter A <a> 5 +0000\ndata 0\nfrom :1\n",
            "mark `:1` is a content, not a commit",
        ),
        ("reset refs/heads/x\nfrom :9\n", "mark `:9` is not known"),
        (
            "reset refs/heads/x\nfrom refs/heads/nobody\n",
            "`refs/heads/nobody` is not a commit of the stream or the store",
        ),
        ("reset refs/heads/a..b\n", "\"a..b\" is not a valid branch name: it contains `..`"),
        ("reset refs/tags/a/b\n", "\"a/b\" is not a valid tag name: `/` is not allowed"),
        ("commit refs/heads/new\ncommitter A <a> 5 +0000\ndata 0\nR x y\n", "nothing is at `x`"),
        ("blob\ndata 100\nshort\n", "`data` wants 100 bytes, and the stream ends 94 bytes short"),
        (
            "commit refs/heads/new\ncommitter A <a> 5 +0000\ndata 0\nM 100644 4b825dc642cb6eb9a060e54bf8d69288fbee4904 x\n",
            "the content of object `4b825dc642cb6eb9a060e54bf8d69288fbee4904` is not in the stream",
        ),
    ];
    for (bad, reason) in cases {
        let stream = format!("{good}{bad}");
        let error = import_git(&store, stream.as_bytes(), GitImportOptions::default());
        let error = must_fail(error, ErrorKind::Invalid).to_string();
        let (line, why) = error.split_once(": ").expect("a line and a reason");
        assert_eq!(why, reason, "{bad}");
        let number: usize = line.strip_prefix("line ").expect("a line").parse().expect("a number");
        assert!(number > lines, "{line} is one of the lines that were added for {bad:?}");
        assert_eq!(state(&store), before, "nothing is left of {bad:?}");
    }
    store.reopen();
    assert_eq!(state(&store), before, "nor after reopening");
    assert_eq!(must_put(&store.main().expect("main"), "after", "1"), Seq::new(2), "no gap");
}

#[test]
fn cli_5_an_interrupted_import_leaves_nothing_and_can_be_repeated() {
    let store = Scratch::new();
    let before = state(&store);
    let stop = GitImportOptions::default().progress(|_| ControlFlow::Break(()));
    let error = must_fail(import_git(&store, ORCHARD, stop), ErrorKind::Interrupted);
    assert!(error.to_string().starts_with("interrupted"), "{error}");
    assert_eq!(state(&store), before, "nothing is left");
    let mut told = Vec::new();
    let listen = GitImportOptions::default().progress(|so_far| {
        told.push((so_far.items, so_far.bytes));
        ControlFlow::Continue(())
    });
    import_git(&store, ORCHARD, listen).expect("the second time it is taken");
    assert_eq!(told.last(), Some(&(8, ORCHARD.len() as u64)), "the last call tells all");
    let feed = store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed opens");
    let seqs: Vec<u64> = feed.map(|e| e.expect("an event").commit.seq.get()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7, 8], "the feed has each commit once, without gaps");
}

#[test]
fn cli_5_an_import_is_one_step_of_undo() {
    let store = Scratch::new();
    must_import(&store, ORCHARD);
    store.undo().expect("the import is undone");
    let names = |store: &Store| -> Vec<String> {
        store.branches().expect("branches").into_iter().map(|b| b.name.to_string()).collect()
    };
    assert_eq!(names(&store), ["main"], "its branches are gone");
    assert!(store.view("main").expect("main").is_empty(), "main is where it was");
    store.redo().expect("and it is done again");
    assert_eq!(names(&store), ["main", "notes", "topic/plums"]);
}
