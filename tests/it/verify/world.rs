//! A store with something of every kind in it, and copies of it to be damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;
use withy::exchange::{LoadOptions, load};
use withy::{CommitOptions, MergeOptions, Resolution, Seq, TagOptions};

use crate::support::raw::raw_refs;
use crate::support::{Scratch, must_branch, must_delete, must_put, must_write};

/// Where things are in the world.
pub(crate) struct World {
    path: PathBuf,
    _dir: Scratch,
    /// Commit that set `pear` to `green` on main, and the one that replaced it.
    pub(crate) green: Seq,
    pub(crate) yellow: Seq,
    /// A commit of main behind which the branch goes on, and its fingerprint.
    pub(crate) counted: Seq,
    pub(crate) fingerprint: [u8; 32],
    /// A commit of `topic`.
    pub(crate) topic: Seq,
    pub(crate) newest: Seq,
    /// Lines of branches, and of a read layer that `deep7` is read through.
    pub(crate) topic_line: u64,
    pub(crate) loaded_line: u64,
    pub(crate) busy_line: u64,
    pub(crate) layer_line: u64,
}

/// The world, made once.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(make)
}

/// A copy of the world.
pub(crate) fn copy() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    let path = dir.path().join("store");
    copy_dir(&world().path, &path);
    (dir, path)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the directory can be made");
    for entry in fs::read_dir(from).expect("the store is there") {
        let entry = entry.expect("the entry can be read");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("the file can be copied");
    }
}

fn make() -> World {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    let green = must_put(&main, "pear", "green");
    must_write(&main, "fruit", &[("plum", Some("blue")), ("apple", Some("red"))]);
    must_put(&main, "large", &"large ".repeat(40));
    store.create_tag("v1", "main", TagOptions::default()).expect("tag");
    store.create_tag("v2", "main", TagOptions::default()).expect("tag");
    let yellow = must_put(&main, "pear", "yellow");
    must_delete(&main, "apple");
    let topic = must_branch(&store, "topic", "main");
    let topic = must_put(&topic, "plum", "violet");
    let side = must_branch(&store, "side", "tags/v1");
    must_write(&side, "side", &[("pear", Some("brown")), ("fig", Some("green"))]);
    let options = MergeOptions::default().resolve("pear", Resolution::Theirs);
    store.merge("main", "side", options).expect("merge");
    let rows = (0..10_500u32).map(|n| Ok((format!("row/{n:05}").into_bytes(), b"v".to_vec())));
    must_branch(&store, "loaded", "seq:0");
    load(&store, "loaded", rows, LoadOptions::default()).expect("load");
    deep(&store);
    let counted = must_put(&main, "plum", "blue again");
    let fingerprint = *store.commit("main").expect("commit").fingerprint.as_bytes();
    store.merge("main", "topic", MergeOptions::default().keep_open(true)).expect("a conflict");
    let value = Resolution::Value(b"x".repeat(100));
    store.resolve_conflicts("main", [("plum", value)], None).expect("resolved");
    let mut tx = store.begin("main").expect("begin");
    tx.put("sent", "1").expect("put");
    tx.enqueue("mail", "hello").expect("enqueue");
    tx.commit(CommitOptions::default()).expect("commit");
    let mut tx = store.begin("main").expect("begin");
    tx.put("held", "y".repeat(90)).expect("put");
    tx.prepare("g1", CommitOptions::default()).expect("prepared");
    // So many that they are in blocks of the index.
    let busy = must_branch(&store, "busy", "seq:0");
    for n in 0..4_200u32 {
        must_put(&busy, &format!("k{}", n % 50), &n.to_string());
    }
    let newest = store.latest();
    store.close();
    let path = store.path();
    let refs = raw_refs(&path, b'b');
    let line = |name: &str| u64::from(refs[name.as_bytes()][1]);
    // Numbers are small here, one byte each: version, fork, number of layers, layers.
    let made = raw_refs(&path, b'y');
    let deep = &raw_refs(&path, b'l')[&line("deep7").to_be_bytes()[..]];
    let layers = deep[5..].iter().step_by(2).take(usize::from(deep[4]));
    let is_made = |line: &&u8| made.values().any(|row| row.last() == Some(*line));
    let layer_line = u64::from(*layers.clone().find(is_made).expect("deep7 has a read layer"));
    let (topic_line, loaded_line, busy_line) = (line("topic"), line("loaded"), line("busy"));
    World {
        path,
        _dir: store,
        green,
        yellow,
        counted,
        fingerprint,
        topic,
        newest,
        topic_line,
        loaded_line,
        busy_line,
        layer_line,
    }
}

/// A branch of a branch of a branch, read through a layer that stands for several.
fn deep(store: &Scratch) {
    let mut name = "main".to_owned();
    for n in 0..8 {
        let next = format!("deep{n}");
        let branch = must_branch(store, &next, &name);
        must_put(&branch, &format!("deep/{n}"), "here");
        must_put(&branch, "pear", &format!("deep {n}"));
        name = next;
    }
    store.compact_overlays(&name).expect("layers are merged");
}
