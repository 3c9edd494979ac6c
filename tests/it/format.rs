//! The format on disk: a store of format 1 is kept in `fixtures/format/v1`, and today's code reads it
//! and writes the same bytes. The tables are in `docs/format.md`; records have golden tests beside the
//! code in `src/format/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use withy::exchange::{LoadOptions, import_git, load};
use withy::{
    BranchOptions, CommitOptions, DeleteOptions, Direction, Durability, FeedOptions, KeyRange, Seq,
    Setting, Store, TagListOptions, TagOptions,
};

use crate::rev::HandClock;
use crate::support::raw::raw_rows;
use crate::support::{must_branch, must_delete, must_get, must_put, must_scan, must_write, show};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format/v1")
}

/// Copies the files of a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("mkdir");
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

/// Writes a small store with something of everything: half of it compacted, the rest in the
/// write-ahead log. It comes out the same each time, but for the id of the store.
fn write_store(path: &Path) {
    let clock = HandClock::at("2026-03-01T10:00:00Z");
    let open = || {
        let options = Store::options().durability(Durability::Buffered).author("ann");
        options.blob_threshold(64).clock(clock.clone()).open(path).expect("open")
    };
    let store = open();
    let main = store.main().expect("main");
    let large = "large ".repeat(40);
    must_write(
        &main,
        "first",
        &[("fruit/pear", Some("green")), ("fruit/plum", Some("")), ("large", Some(&large))],
    );
    clock.set("2026-03-01T11:00:00Z");
    let mut batch = withy::Batch::new();
    batch.put(vec![0, 0xFF, 0], vec![0xFF, 0]).put("fruit/pear", "yellow").delete("large");
    let said = CommitOptions::default().author("ben").message("bytes, and a deletion");
    main.write(batch, said).expect("commit");
    let said = BranchOptions::default().description("what if").creator("cleo");
    let topic = store.create_branch("topic", "main~1", said).expect("branch");
    must_write(&topic, "", &[("fruit/fig", Some("black")), ("fruit/pear", None)]);
    let below = must_branch(&store, "topic/below", "topic");
    must_put(&below, "fruit/plum", "blue");
    let said = TagOptions::default().description("the first").creator("ben");
    store.create_tag("v1", "main", said).expect("tag");
    store.create_tag("v2", "topic", TagOptions::default()).expect("tag");
    drop((main, topic, below));
    store.compact().expect("compact");
    store.close().expect("close");

    let store = open();
    clock.set("2026-03-01T12:00:00Z");
    let main = store.main().expect("main");
    must_delete(&main, "fruit/plum");
    store.undo().expect("undo");
    store.redo().expect("redo");
    must_put(&main, "fruit/plum", "again");
    store.rename_branch("topic/below", "below").expect("rename");
    store.switch("below").expect("switch");
    store.delete_tag("v2").expect("delete tag");
    store.reset("topic", "main~2").expect("reset");
    store.delete_branch("topic", DeleteOptions::default()).expect("delete");
    let rows = ["a", "b", "fruit/pear"].map(|k| Ok((k.into(), b"loaded".to_vec())));
    load(&store, "loaded", rows, LoadOptions::default().from("main").message("load"))
        .expect("load");
    must_put(&store.branch("loaded").expect("loaded"), "a", "changed");
    let orchard = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/git/orchard.fe");
    let stream = fs::read(orchard).expect("the stream");
    let options = withy::exchange::GitImportOptions::default().replace(true);
    import_git(&store, &stream[..], options).expect("import");
    store.set_config(Setting::Author, Some("dora")).expect("config");
    store.set_config(Setting::MaxBranches, Some("100")).expect("config");
    drop(main);
    store.close().expect("close");
}

/// All that can be read of a store, as text.
fn render(store: &Store) -> String {
    let mut out = String::new();
    let rows = |out: &mut String, view: &withy::View| {
        for (key, value) in must_scan(view, &KeyRange::all(), Direction::Forward) {
            let value = show(&value);
            let shown = if value.len() > 40 { format!("{}...", &value[..40]) } else { value };
            writeln!(out, "    {} = {shown}", show(&key)).expect("text");
        }
    };
    writeln!(out, "format {}, latest {}", store.format_version(), store.latest()).expect("text");
    for setting in [Setting::Author, Setting::Durability, Setting::MaxBranches] {
        let value = store.config(setting).expect("config");
        writeln!(out, "{} {value:?}", setting.name()).expect("text");
    }
    for b in store.branches().expect("branches") {
        writeln!(
            out,
            "branch {} head {} parent {:?} from {} at {} by {:?} for {:?}{}",
            b.name,
            b.head,
            b.parent,
            b.created_seq,
            b.created,
            b.creator,
            b.description,
            if b.active { ", active" } else { "" },
        )
        .expect("text");
    }
    for t in store.tags(TagListOptions::default()).expect("tags") {
        writeln!(
            out,
            "tag {} {} at {} by {:?} for {:?}",
            t.name, t.seq, t.created, t.creator, t.description
        )
        .expect("text");
    }
    for op in store.ops(1000).expect("ops") {
        writeln!(out, "op {} at {} by {:?}: {}", op.id, op.time, op.author, op.what).expect("text");
    }
    for n in 0..=store.latest().get() {
        let view = store.view(&format!("seq:{n}")).expect("view");
        let c = view.commit();
        let parents: Vec<u64> = c.parents.iter().map(|p| p.seq.get()).collect();
        writeln!(
            out,
            "commit {n} {}\n  parents {parents:?} on {:?} at {} by {:?}: {:?}\n  origin {:?}\n  {} keys, {}",
            c.id, c.branch, c.time, c.author, c.message, c.origin, c.keys, c.fingerprint
        )
        .expect("text");
        for change in store.changes(Seq::new(n)).expect("changes") {
            writeln!(out, "  {} {}", change.kind, show(&change.key)).expect("text");
        }
        rows(&mut out, &view);
    }
    for branch in store.branches().expect("branches") {
        for key in ["fruit/pear", "fruit/plum", "a"] {
            let history = store.history(branch.name.as_str(), key.as_bytes()).expect("history");
            let seqs: Vec<String> = history
                .map(|v| v.expect("version"))
                .map(|v| format!("{} {}", v.commit.seq, v.kind))
                .collect();
            writeln!(out, "history of {key} on {}: {}", branch.name, seqs.join(", "))
                .expect("text");
        }
    }
    let feed = store.feed(Seq::ROOT, FeedOptions::default()).expect("feed");
    let changes: usize = feed.map(|e| e.expect("event").changes.len()).sum();
    writeln!(out, "feed of {changes} changes").expect("text");
    out
}

#[test]
#[ignore = "writes fixtures/format/v1 anew; for a new format version only"]
fn write_the_fixture() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    write_store(&path);
    // Neither is part of the format: RocksDB makes them again.
    for entry in fs::read_dir(&path).expect("store") {
        let file = entry.expect("entry").path();
        let name = file.file_name().expect("name").to_string_lossy().into_owned();
        if name.starts_with("OPTIONS") || name.starts_with("LOG") || name == "LOCK" {
            fs::remove_file(file).expect("remove");
        }
    }
    let _ = fs::remove_dir_all(fixture());
    copy(&path, &fixture());
    let store = Store::options().read_only(true).open(&path).expect("open");
    fs::write(fixture().with_extension("txt"), render(&store)).expect("write");
}

fn wanted() -> String {
    fs::read_to_string(fixture().with_extension("txt")).expect("what the store holds")
}

#[test]
fn a_store_of_format_1_reads_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    copy(&fixture(), &path);
    let reader = Store::options().read_only(true).open(&path).expect("opens to read");
    assert_eq!(render(&reader), wanted(), "open for reading");
    drop(reader);
    let store = Store::open(&path).expect("opens");
    assert_eq!(render(&store), wanted(), "open for writing");
    drop(store);
    let store = Store::open(&path).expect("opens again");
    assert_eq!(render(&store), wanted(), "and again: opening changes nothing that can be read");
    // It goes on from there.
    let ops = store.ops(1000).expect("ops");
    must_put(&store.branch("below").expect("below"), "new", "1");
    assert_eq!(store.commit("below").expect("head").author, "dora", "its settings hold");
    store.undo().expect("undo the new commit");
    for op in &ops[..3] {
        assert_eq!(store.undo().expect("undo").id, op.id, "what was done before can be undone");
    }
    assert!(store.branch("loaded").is_err(), "down to before the load");
    for op in ops[..3].iter().rev() {
        assert_eq!(store.redo().expect("redo").id, op.id, "and redone");
    }
    let loaded = store.branch("loaded").expect("loaded");
    assert_eq!(must_get(&loaded, "a").as_deref(), Some("changed"), "to what it held");
}

#[test]
fn todays_code_writes_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    copy(&fixture(), &old);
    write_store(&new);
    let (mut old, mut new) = (raw_rows(&old), raw_rows(&new));
    // The id of the store is random.
    let id = ("meta", b"store".to_vec());
    let (a, b) = (old.remove(&id).expect("id"), new.remove(&id).expect("id"));
    assert_eq!((a.len(), &a[..1], &a[17..]), (b.len(), &b[..1], &b[17..]), "all but the id itself");
    for (row, value) in &old {
        let now = new.get(row).map(|v| show(v));
        assert_eq!(now, Some(show(value)), "{} {}: the row is the same", row.0, show(&row.1));
    }
    assert_eq!(new.len(), old.len(), "and there are no others");
}

#[test]
fn the_marker_and_the_lock_say_what_they_should() {
    let marker = fs::read(fixture().join("withy.store")).expect("the marker");
    assert_eq!(marker, b"withy store, format 1\n", "the marker names the format");
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let clock = HandClock::at("2026-03-01T10:00:00Z");
    let store = Store::options().clock(clock).open(dir.path()).expect("open");
    let lock = fs::read_to_string(dir.path().join("withy.lock")).expect("the lock");
    let wanted = format!("{} 2026-03-01T10:00:00Z\n", std::process::id());
    assert_eq!(lock, wanted, "the lock names process and start");
    assert!(!dir.path().join("bulk").exists(), "no bulk load, no directory for one");
    drop(store);
}
