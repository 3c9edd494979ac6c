//! A full disk (OPS-3): a typed error, reads go on, and nothing that was acknowledged is lost.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use withy::exchange::{GitImportOptions, LoadOptions, import_git, load};
use withy::{Error, ErrorKind, FeedOptions, Read, Result, Seq, Store, TagOptions};

use crate::support::{is_long, must_branch, must_fail, must_put, must_verify, rows};

/// A small disk, unmounted when dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
    /// Gone with it.
    _scratch: Option<TempDir>,
}

impl SmallDisk {
    /// A disk of this many MiB; `None`, and a message, where none can be mounted.
    pub(crate) fn mount(size: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let mut disk = Self::mount_at(dir.path(), size)?;
        disk._scratch = Some(dir);
        Some(disk)
    }

    /// The same, in a directory that is there.
    pub(crate) fn mount_at(dir: &Path, size: u32) -> Option<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"])
            .arg(dir)
            .output();
        if done.is_ok_and(|out| out.status.success()) {
            return Some(Self { path: dir.to_owned(), _scratch: None });
        }
        // Past the capture of output: whoever runs the tests is told what was not tested.
        let _ =
            writeln!(std::io::stderr(), "skipped: a full disk needs the right to mount a tmpfs");
        None
    }

    pub(crate) fn grow(&self, size: u32) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={size}m")])
            .arg(&self.path)
            .status();
        assert!(done.is_ok_and(|s| s.success()), "the disk grows");
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills the disk up to so many bytes; they are free again once the file is removed.
    pub(crate) fn fill_up_to(&self, left: u64) -> PathBuf {
        let path = self.path.join("filler");
        let mut file = File::create(&path).expect("a file");
        let piece = [0; 1 << 16];
        while file.write_all(&piece).is_ok() {}
        let length = file.metadata().expect("it is there").len();
        file.set_len(length.saturating_sub(left)).expect("it is cut");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Bytes that do not compress.
fn noise(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// Everything that was acknowledged is there, in the head, in the past and in the feed.
fn must_hold(store: &Store, acknowledged: &[Vec<u8>], when: &str) {
    let main = store.main().expect("main");
    for (n, value) in acknowledged.iter().enumerate() {
        let key = format!("key-{n}");
        assert_eq!(main.get(key.as_bytes()).expect("get").as_ref(), Some(value), "{when}: {key}");
        let view = store.view(&format!("seq:{}", n + 1)).expect("view");
        assert_eq!(view.len(), n as u64 + 1, "{when}: the past of {key}");
    }
    let feed = store.feed(Seq::ROOT, FeedOptions::default().names_only(true)).expect("feed");
    let seqs: Vec<u64> = feed.map(|e| e.expect("event").commit.seq.get()).collect();
    assert!(seqs.len() >= acknowledged.len(), "{when}: the feed has them all");
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{when}: without gaps");
}

/// Puts on a disk of so many MiB until it is full.
fn must_keep_what_is_acknowledged(size: u32) {
    let Some(disk) = SmallDisk::mount(size) else { return };
    let mut random = fastrand::Rng::with_seed(5);
    let store = Store::open(disk.store()).expect("open");
    let main = store.main().expect("main");
    let mut acknowledged = Vec::new();
    let failed: Error = loop {
        // Values on both sides of the limit from which they are stored once.
        let len = if acknowledged.len() % 2 == 0 { 10_000 } else { 100_000 };
        let value = noise(&mut random, len);
        match main.put(format!("key-{}", acknowledged.len()), value.clone()) {
            Ok(_) => acknowledged.push(value),
            Err(e) => break e,
        }
        assert!(acknowledged.len() < 5_000, "the disk is full at some time");
    };
    assert!(
        matches!(failed.kind(), ErrorKind::Io | ErrorKind::OutcomeUnknown),
        "a typed error: {failed:?}"
    );
    let again = must_fail(main.put("later", "x"), ErrorKind::Halted);
    assert_eq!(
        again.to_string(),
        "an earlier write to the store failed",
        "no later write is taken"
    );
    assert_eq!(
        again.hint(),
        Some("open the store again; everything acknowledged before is safe"),
        "until reopen"
    );
    must_fail(store.create_tag("v1", "main", TagOptions::default()), ErrorKind::Halted);
    must_fail(store.undo(), ErrorKind::Halted);
    must_hold(&store, &acknowledged, "on the full disk");
    drop((main, store));
    let reader = Store::options().read_only(true).open(disk.store()).expect("opens to read");
    must_hold(&reader, &acknowledged, "open for reading, on the full disk");
    drop(reader);

    disk.grow(400);
    let store = Store::open(disk.store()).expect("open");
    must_hold(&store, &acknowledged, "with space again");
    must_verify(&store);
    let latest = store.latest().get();
    let sure = acknowledged.len() as u64;
    assert!((sure..=sure + 1).contains(&latest), "the commit that failed is whole or absent");
    must_put(&store.main().expect("main"), "later", "x");
    drop(store);
    let store = Store::open(disk.store()).expect("open");
    must_hold(&store, &acknowledged, "and once more");
    assert_eq!(store.latest().get(), latest + 1, "with the commit after");
}

#[test]
fn ops_3_a_full_disk_loses_nothing_that_was_acknowledged() {
    // The log takes all there is of a small one; on larger ones data files and further logs come to it.
    let sizes = if is_long() { (4..=140).step_by(4).collect() } else { vec![5, 40, 75] };
    sizes.into_iter().for_each(must_keep_what_is_acknowledged);
}

/// What an import that failed must leave as it was.
#[derive(Debug, PartialEq, Eq)]
struct Before {
    latest: Seq,
    feed: Vec<Seq>,
    branches: Vec<withy::BranchInfo>,
    ops: Vec<withy::Operation>,
    rows: Vec<(String, String)>,
}

impl Before {
    fn of(store: &Store) -> Self {
        let feed = store.feed(Seq::ROOT, FeedOptions::default()).expect("feed");
        Self {
            latest: store.latest(),
            feed: feed.map(|e| e.expect("event").commit.seq).collect(),
            branches: store.branches().expect("branches"),
            ops: store.ops(100).expect("ops"),
            rows: rows(&store.main().expect("main")),
        }
    }
}

/// An import that fills the disk: it must leave nothing, here and after a reopen with space.
fn must_take_back(import: impl Fn(&Store) -> Result<()>) {
    let Some(disk) = SmallDisk::mount(40) else { return };
    let store = Store::open(disk.store()).expect("open");
    let main = store.main().expect("main");
    for n in 0..20 {
        must_put(&main, &format!("key-{n}"), "value");
    }
    must_branch(&store, "topic", "main~3");
    let before = Before::of(&store);
    let failed = must_fail(import(&store), ErrorKind::Io);
    let text = format!("{failed:?}");
    assert!(text.contains("No space left"), "the error says that the disk is full: {text}");
    assert_eq!(Before::of(&store), before, "reads go on, and see nothing of the import");
    assert!(!disk.store().join("bulk").exists(), "its files are gone");
    drop((main, store));
    let reader = Store::options().read_only(true).open(disk.store()).expect("opens to read");
    assert_eq!(Before::of(&reader), before, "nor does who opens it for reading");
    drop(reader);
    disk.grow(400);
    let store = Store::open(disk.store()).expect("open");
    assert_eq!(Before::of(&store), before, "nor is anything there after a reopen");
    must_fail(store.view("seq:21"), ErrorKind::NotFound);
    import(&store).expect("with space the same import succeeds");
    assert!(store.latest() > before.latest, "and is there");
    let seqs: Vec<u64> = store
        .feed(Seq::ROOT, FeedOptions::default().names_only(true))
        .expect("feed")
        .map(|e| e.expect("event").commit.seq.get())
        .collect();
    assert!(seqs.iter().copied().eq(1..=store.latest().get()), "the feed has no gap");
}

#[test]
fn ops_3_what_a_killed_load_left_behind_makes_room_first() {
    let Some(disk) = SmallDisk::mount(60) else { return };
    let store = Store::open(disk.store()).expect("open");
    must_put(&store.main().expect("main"), "key", "value");
    drop(store);
    let bulk = disk.store().join("bulk");
    std::fs::create_dir(&bulk).expect("mkdir");
    let mut file = std::fs::File::create(bulk.join("1.sst")).expect("create");
    while file.write_all(&[0; 1 << 16]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    drop(file);
    let store = Store::open(disk.store()).expect("opens on a disk that its own leftovers fill");
    let main = store.main().expect("main");
    assert_eq!(rows(&main), [("key".into(), "value".into())], "with all that was there");
    must_put(&main, "key", "next");
    assert!(!bulk.exists(), "and the leftovers are gone");
}

#[test]
fn ops_3_a_full_disk_during_a_bulk_load_leaves_nothing() {
    must_take_back(|store| {
        let mut random = fastrand::Rng::with_seed(6);
        let rows = (0..30_000_u32)
            .map(|n| Ok((format!("row-{n:06}").into_bytes(), noise(&mut random, 2_000))));
        let options = LoadOptions::default().from("main").memory(1 << 20);
        load(store, "loaded", rows, options).map(|_| ())
    });
}

#[test]
fn ops_3_a_full_disk_during_an_unsorted_load_leaves_nothing() {
    must_take_back(|store| {
        let mut random = fastrand::Rng::with_seed(7);
        let rows = (0..30_000_u32)
            .rev()
            .map(|n| Ok((format!("row-{n:06}").into_bytes(), noise(&mut random, 2_000))));
        let options = LoadOptions::default().from("main").memory(1 << 20);
        load(store, "loaded", rows, options).map(|_| ())
    });
}

#[test]
fn ops_3_a_full_disk_during_a_git_import_leaves_nothing() {
    must_take_back(|store| {
        let mut random = fastrand::Rng::with_seed(8);
        let mut stream = Vec::new();
        for n in 1..=300 {
            let data = noise(&mut random, 100_000);
            stream.extend(format!("commit refs/heads/imported\ncommitter A <a> {n} +0000\ndata 1\nm\nM 100644 inline file-{n}\ndata {}\n", data.len()).bytes());
            stream.extend(data);
            stream.push(b'\n');
        }
        import_git(store, &stream[..], GitImportOptions::default()).map(|_| ())
    });
}
