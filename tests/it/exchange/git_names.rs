//! Branches and tags of a stream beside those that are there already, and names that do not fit.

use withy::exchange::{GitExportOptions, GitImportOptions, export_git, import_git};
use withy::{ErrorKind, TagOptions};

use super::git::{commit, must_import};
use super::{ORCHARD, state};
use crate::support::{Scratch, must_fail, must_get, must_put};

#[test]
fn cli_5_what_exists_is_only_moved_forward_unless_told() {
    let store = Scratch::new();
    must_put(&store.main().expect("main"), "mine", "1");
    let before = state(&store);
    let error = must_fail(import_git(&store, ORCHARD, Default::default()), ErrorKind::Exists);
    assert!(error.to_string().contains("branch main exists"), "{error}");
    assert_eq!(state(&store), before, "nothing is left");

    let beside = GitImportOptions::default().prefix("up/");
    assert_eq!(import_git(&store, ORCHARD, beside).expect("there is room").branches, 3);
    assert_eq!(must_get(&store.view("main").expect("main"), "mine").as_deref(), Some("1"));
    assert_eq!(
        must_get(&store.view("up/notes").expect("it is there"), "done").as_deref(),
        Some("green\\n")
    );

    let again = GitImportOptions::default().prefix("up/");
    must_fail(import_git(&store, ORCHARD, again), ErrorKind::Exists);
    let over = GitImportOptions::default().replace(true);
    import_git(&store, ORCHARD, over).expect("it may replace");
    assert_eq!(must_get(&store.view("main").expect("main"), "mine"), None, "main was replaced");
    store.undo().expect("and can be had back");
    assert_eq!(must_get(&store.view("main").expect("main"), "mine").as_deref(), Some("1"));
}

#[test]
fn cli_5_a_stream_can_go_on_from_a_branch_of_the_store() {
    let store = Scratch::new();
    must_import(&store, commit("M 100644 inline a\ndata 1\n1\n").as_bytes());
    let more = "commit refs/heads/main\ncommitter A <a> 6 +0000\ndata 0\nfrom refs/heads/main^0\n\
                M 100644 inline b\ndata 1\n2\n\nreset refs/heads/side\nfrom refs/heads/main\n";
    must_import(&store, more.as_bytes());
    let view = store.view("side").expect("the new branch");
    assert_eq!(
        (must_get(&view, "a").as_deref(), must_get(&view, "b").as_deref()),
        (Some("1"), Some("2"))
    );
    let fresh = commit("M 100644 inline c\ndata 1\n3\n");
    let error =
        must_fail(import_git(&store, fresh.as_bytes(), Default::default()), ErrorKind::Exists);
    assert!(error.hint().is_some_and(|hint| hint.contains("prefix")), "it says what to do");
}

#[test]
fn cli_5_a_tag_that_exists_is_not_moved_unless_told() {
    let store = Scratch::new();
    store.create_tag("v1.0", "main", TagOptions::default()).expect("a tag");
    let error = must_fail(import_git(&store, ORCHARD, Default::default()), ErrorKind::Exists);
    assert_eq!(error.to_string(), "tag v1.0 exists");
    import_git(&store, ORCHARD, GitImportOptions::default().replace(true)).expect("it may");
    assert_eq!(store.tag("v1.0").expect("the tag").description, "First harvest\n");
}

#[test]
fn cli_5_names_that_do_not_fit_can_be_changed() {
    let stream = "commit refs/heads/fix#1/ä\ncommitter A <a> 6 +0000\ndata 0\n\n\
                  reset refs/tags/release/1\nfrom refs/heads/fix#1/ä\n";
    let store = Scratch::new();
    let error =
        must_fail(import_git(&store, stream.as_bytes(), Default::default()), ErrorKind::Invalid);
    assert!(
        error.to_string().starts_with("line 1: \"fix#1/ä\" is not a valid branch name"),
        "{error}"
    );
    let fixing = || GitImportOptions::default().fix_names(true);
    let done = import_git(&store, stream.as_bytes(), fixing()).expect("names are changed");
    assert_eq!(done.notes.names, 2, "and counted");
    assert_eq!(
        store.branch_info("fix-1/-").expect("the branch").head,
        store.tag("release-1").expect("the tag").seq
    );
    let clash = "commit refs/heads/a#b\ncommitter A <a> 6 +0000\ndata 0\n\nreset refs/heads/a-b\nfrom refs/heads/a#b\n";
    let error = must_fail(import_git(&store, clash.as_bytes(), fixing()), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "two refs of the stream would become branch a-b");
}

#[test]
fn cli_5_a_stream_without_branch_or_tag_is_refused() {
    let store = Scratch::new();
    let stream = commit("").replace("refs/heads/main", "HEAD");
    let error =
        must_fail(import_git(&store, stream.as_bytes(), Default::default()), ErrorKind::Invalid);
    assert_eq!(error.hint(), Some("export with `git fast-export --all`"));
    assert_eq!(must_import(&store, b"").commits, 0, "an empty one holds nothing");
}

#[test]
fn cli_5_keys_that_git_cannot_have_are_named() {
    let cases = [
        (&["a//b"][..], "key a//b cannot be a path in git: it has an empty component"),
        (&["/a"], "key /a cannot be a path in git: it has an empty component"),
        (&["a\0"], "key a\\x00 cannot be a path in git: it has a zero byte"),
        (&["a/../b"], "key a/../b cannot be a path in git: a component is `.`, `..` or `.git`"),
        (&[".GIT/x"], "key .GIT/x cannot be a path in git: a component is `.`, `..` or `.git`"),
        (&["a", "a/b"], "key a/b cannot be a path in git: there is also a"),
        (&["a/b", "a"], "key a cannot be a path in git: there is also a/b"),
    ];
    for (keys, want) in cases {
        let store = Scratch::new();
        for key in keys {
            must_put(&store.main().expect("main"), key, "1");
        }
        let done = export_git(&store, Vec::new(), GitExportOptions::default());
        assert_eq!(must_fail(done, ErrorKind::Invalid).to_string(), want);
    }
}
