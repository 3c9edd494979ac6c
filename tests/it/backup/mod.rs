//! OPS-5: copies of a store that is in use.

mod bulk;
mod checkpoint;
mod damage;
mod disk;
mod kill;
mod load;
mod restore;
mod snapshots;

use std::collections::BTreeMap;
use std::path::Path;

use withy::{
    Batch, BranchOptions, CommitId, CommitOptions, Create, Durability, FeedOptions, KeyRange, Read,
    Seq, Store, TagInfo, TagOptions,
};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// All that can be read of a store.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    latest: Seq,
    /// Head, fingerprint and rows of each branch.
    branches: BTreeMap<String, (Seq, String, Rows)>,
    tags: Vec<TagInfo>,
    /// Sequence, id and changes of each commit.
    feed: Vec<(Seq, CommitId, String)>,
    ops: Vec<String>,
}

impl Content {
    fn of(store: &Store) -> Self {
        let mut branches = BTreeMap::new();
        for info in store.branches().expect("the branches") {
            let view = store.view(&format!("heads/{}", info.name)).expect("a view");
            let rows: Rows =
                view.range(&KeyRange::all()).expect("a scan").map(|r| r.expect("a row")).collect();
            assert_eq!(rows.len() as u64, view.len(), "the count of {} is right", info.name);
            branches
                .insert(info.name.to_string(), (info.head, view.fingerprint().to_string(), rows));
        }
        let feed = store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed");
        let feed = feed.map(|event| {
            let event = event.expect("an event");
            (event.commit.seq, event.commit.id, format!("{:?}", event.changes))
        });
        let ops = store.ops(10_000).expect("the operations");
        Self {
            latest: store.latest(),
            branches,
            tags: store.tags(Default::default()).expect("the tags"),
            feed: feed.collect(),
            ops: ops.into_iter().map(|op| format!("{op:?}")).collect(),
        }
    }

    fn at(path: &Path) -> Self {
        Self::of(&open_to_read(path))
    }
}

fn open(path: &Path) -> Store {
    let options = Store::options().durability(Durability::Buffered).author("tester");
    options.open(path).expect("the store opens")
}

fn open_to_read(path: &Path) -> Store {
    let options = Store::options().create(Create::Never).read_only(true);
    options.open(path).expect("the store opens for reading")
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// Commits with history, branches, tags and large values; each call adds more.
fn grow(store: &Store, round: u64) {
    let main = store.main().expect("main");
    for n in 0..10 {
        let mut batch = Batch::new();
        for key in 0..50 {
            batch.put(format!("row/{:04}", n * 50 + key), noise(round * 1_000 + n * 50 + key, 200));
        }
        batch.put(format!("large/{n}"), noise(round * 7_000 + n, 20_000));
        batch.delete(format!("row/{:04}", (round * 13 + n) % 500));
        let options = CommitOptions::default().message(format!("round {round}, {n}"));
        main.write(batch, options).expect("it is written");
    }
    let name = format!("topic/{round}");
    let topic = store.create_branch(&name, "main~3", BranchOptions::default()).expect("a branch");
    topic.put("own", format!("of {name}")).expect("it is written");
    store.create_tag(&format!("v{round}"), "main~1", TagOptions::default()).expect("a tag");
}

/// The files below a directory with their sizes, by path from there.
fn tree(dir: &Path) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("it is read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").to_string_lossy().into_owned();
                out.insert(name, std::fs::metadata(&path).expect("a file").len());
            }
        }
    }
    out
}

/// The contents of a backup, by name, with their sizes.
fn contents(backup: &Path) -> BTreeMap<String, u64> {
    let files = tree(backup).into_iter();
    files.filter_map(|(name, size)| Some((name.strip_prefix("files/")?.to_owned(), size))).collect()
}

/// A checkpoint: every other one is made by a reader, as another process would.
fn copy_by_turns(n: usize, store: &Store, target: &Path) {
    let done = match n.is_multiple_of(2) {
        true => store.checkpoint(target, Default::default()),
        false => open_to_read(store.path()).checkpoint(target, Default::default()),
    };
    done.expect("a checkpoint");
}
