//! All that can be read of a store, compared as one; reading it finds what contradicts itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use withy::{
    ErrorKind, FeedEvent, FeedOptions, KeyRange, LogOptions, Read, Seq, Store, TagListOptions,
    VerifyOptions, View,
};

/// Rows as they are compared: how many, and the hash of all of them in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows(u64, String);

impl Rows {
    fn of<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let (mut count, mut hash) = (0, Sha256::new());
        for (key, value) in rows {
            count += 1;
            for part in [key, value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(count, hex)
    }
}

/// Everything but times and ids of commits, which differ when the same is done again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    latest: Seq,
    active: String,
    /// Head, parent, description and rows of each branch.
    branches: BTreeMap<String, (Seq, Option<String>, String, Rows)>,
    tags: Vec<(String, Seq, String)>,
    /// What every commit of the feed says of itself, and its changes.
    feed: Vec<(Seq, String, String, Vec<Seq>, Rows)>,
    ops: Vec<String>,
    messages: Vec<(String, Vec<u8>)>,
    /// How far each named reader of the feed has come.
    cursors: Vec<(String, Seq)>,
    prepared: Vec<(String, Vec<(String, u64)>)>,
    /// Branches with an open merge, and how many of its conflicts are open and settled.
    merges: Vec<(String, u64, u64)>,
}

impl Content {
    /// Reads a store, and fails if what it says in one place is not what it says in another.
    pub(super) fn of(store: &Store) -> Self {
        Self::with(store, &must_feed(store))
    }

    /// The same of a store from whose log commits may be gone, whole or halfway.
    pub(super) fn left_of(store: &Store) -> Self {
        Self::with(store, &feed_left(store))
    }

    fn with(store: &Store, feed: &[FeedEvent]) -> Self {
        let options = VerifyOptions::default().threads(1);
        let report = store.verify(options).expect("the store is verified");
        assert!(report.is_clean(), "nothing is wrong: {:#?}", report.findings);
        let mut branches = BTreeMap::new();
        for info in store.branches().expect("the branches") {
            let name = info.name.to_string();
            let rows = must_rows(store, &name, feed);
            branches.insert(name, (info.head, info.parent, info.description, rows));
        }
        let tags = store.tags(TagListOptions::default()).expect("the tags").into_iter();
        let ops = store.ops(100_000).expect("the operations").into_iter();
        let messages = store.outbox().messages(None).map(|one| one.expect("a message"));
        let cursors = store.cursors().expect("the cursors").into_iter();
        let prepared = store.list_prepared().expect("what is prepared").into_iter().map(|one| {
            let parts = one.branches.into_iter().map(|(name, keys)| (name.to_string(), keys));
            (one.gid, parts.collect())
        });
        let merges = store.open_merges().expect("the open merges").into_iter();
        Self {
            latest: store.latest(),
            active: store.active().expect("the active branch").to_string(),
            branches,
            tags: tags.map(|tag| (tag.name.to_string(), tag.seq, tag.description)).collect(),
            feed: feed.iter().map(said).collect(),
            ops: ops.map(|op| format!("{} by {}", op.what, op.author)).collect(),
            messages: messages.map(|one| (one.topic, one.payload)).collect(),
            cursors: cursors.map(|cursor| (cursor.name, cursor.acked)).collect(),
            prepared: prepared.collect(),
            merges: merges.map(|o| (o.target.to_string(), o.unresolved, o.resolved)).collect(),
        }
    }

    pub(super) fn latest(&self) -> Seq {
        self.latest
    }

    /// Whether both have the same commits, as far as one of them goes.
    pub(super) fn is_of_one_past(&self, other: &Self) -> bool {
        self.feed.iter().zip(&other.feed).all(|(one, other)| one == other)
    }

    /// Whether all is the same but for what collection may take.
    pub(super) fn has_same_heads(&self, other: &Self) -> bool {
        self.heads() == other.heads()
    }

    /// All but what collection may take: old commits and operations.
    pub(super) fn heads(&self) -> Self {
        Self { feed: vec![], ops: vec![], ..self.clone() }
    }
}

/// The rows of the store as of each of its commits; none where history is gone.
pub(super) fn past(store: &Store) -> Vec<Option<Rows>> {
    // A commit still counts what was purged of it.
    let is_purged = !store.purges().expect("the purges").is_empty();
    let rows = |seq: u64| match store.view(&format!("seq:{seq}")) {
        Ok(view) => {
            let rows = scanned(&view);
            let counts = rows.0 == view.len() || (is_purged && rows.0 < view.len());
            assert!(counts, "the count of commit {seq} is that of a full scan");
            Some(rows)
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::HistoryGone, "commit {seq} is there or gone: {e:?}");
            None
        }
    };
    (0..=store.latest().get()).map(rows).collect()
}

/// What an event says, without its time and id.
fn said(event: &FeedEvent) -> (Seq, String, String, Vec<Seq>, Rows) {
    let commit = &event.commit;
    let deleted: &[u8] = b"\0deleted";
    let changes = event.changes.iter().map(|c| (&c.key[..], c.value.as_deref().unwrap_or(deleted)));
    let parents = commit.parents.iter().map(|parent| parent.seq).collect();
    (commit.seq, commit.branch.clone(), commit.message.clone(), parents, Rows::of(changes))
}

/// The whole feed, which has every commit in order.
pub(super) fn must_feed(store: &Store) -> Vec<FeedEvent> {
    let events = store.feed(Seq::ROOT, FeedOptions::default()).expect("the feed");
    let events: Vec<FeedEvent> = events.map(|event| event.expect("an event")).collect();
    let seqs = events.iter().map(|event| event.commit.seq.get());
    assert!(seqs.eq(1..=store.latest().get()), "the feed has every commit, in order");
    events
}

/// The feed from the first position that has all of it.
fn feed_left(store: &Store) -> Vec<FeedEvent> {
    for position in 0..store.latest().get() {
        let events = store.feed(Seq::new(position), FeedOptions::default()).expect("the feed");
        match events.collect::<withy::Result<Vec<FeedEvent>>>() {
            Ok(events) => return events,
            Err(e) => assert_eq!(e.kind(), ErrorKind::HistoryGone, "it is there or gone: {e:?}"),
        }
    }
    Vec::new()
}

/// The rows of a branch: those that a scan gives, that its feed comes to, and that its head counts.
fn must_rows(store: &Store, branch: &str, feed: &[FeedEvent]) -> Rows {
    let view = store.view(branch).expect("a view of the branch");
    let count = view.count(&KeyRange::all()).expect("a scan");
    assert_eq!(count, view.len(), "the count of {branch} is that of a full scan");
    let rows = scanned(&view);
    let is_whole = feed.first().is_none_or(|event| event.commit.seq.get() == 1);
    if is_whole && (!feed.is_empty() || store.latest() == Seq::ROOT) {
        let folded = folded(store, branch, feed);
        let folded = Rows::of(folded.iter().map(|(key, value)| (*key, *value)));
        assert_eq!(folded, rows, "the feed of {branch}, folded from the start, is its content");
    }
    rows
}

fn scanned(view: &View) -> Rows {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = view
        .range(&KeyRange::all())
        .expect("a scan")
        .map(|row| row.expect("a row can be read"))
        .collect();
    Rows::of(rows.iter().map(|(key, value)| (&key[..], &value[..])))
}

/// What the commits on the first parents of a branch make of nothing, as the feed tells them.
fn folded<'e>(store: &Store, branch: &str, feed: &'e [FeedEvent]) -> BTreeMap<&'e [u8], &'e [u8]> {
    let log = store.log(branch, LogOptions::default().first_parent(true)).expect("the log");
    let chain: BTreeSet<Seq> = log.map(|commit| commit.expect("a commit").seq).collect();
    let mut out = BTreeMap::new();
    for event in feed.iter().filter(|event| chain.contains(&event.commit.seq)) {
        for change in &event.changes {
            match &change.value {
                Some(value) => out.insert(&change.key[..], &value[..]),
                None => out.remove(&change.key[..]),
            };
        }
    }
    out
}

/// A closed store has no files and no rows of what did not come to its end.
pub(super) fn must_be_tidy(store: &Path, when: &str) {
    for entry in fs::read_dir(store).expect("the directory is read") {
        let name = entry.expect("an entry").file_name().into_string().expect("names are text");
        let left = ["bulk", "withy.staging", "withy.restore"].contains(&&name[..])
            || name.ends_with(".new")
            || name.ends_with(".tmp");
        assert!(!left, "{when}: {name} is left behind");
    }
    for key in raw_meta(store) {
        let left = [b"import".as_slice(), b"collect", b"purge"].contains(&&key[..])
            || key.starts_with(b"unfinished/");
        assert!(!left, "{when}: the row {} is left behind", key.escape_ascii());
    }
}

/// The keys of family `meta`, as they are on disk.
fn raw_meta(store: &Path) -> Vec<Vec<u8>> {
    let mut options = rocksdb::Options::default();
    // Else RocksDB would write down that it is not, which it cannot in a database that it only reads.
    options.set_track_and_verify_wals_in_manifest(true);
    let names = crate::support::raw::FAMILIES.into_iter().chain(["default"]);
    let db = rocksdb::DB::open_cf_for_read_only(&options, store, names, false)
        .expect("the database opens");
    let cf = db.cf_handle("meta").expect("the family is there");
    db.iterator_cf(cf, rocksdb::IteratorMode::Start)
        .map(|row| row.expect("the row can be read").0.into_vec())
        .collect()
}

/// A directory that is not on a disk, where there is room for one: nothing here depends on real syncs.
pub(super) fn scratch() -> tempfile::TempDir {
    const MEMORY: &str = "/dev/shm";
    const ENOUGH_KIB: u64 = 2 << 20;
    let free = Command::new("df").args(["-k", "--output=avail", MEMORY]).output();
    let text = free.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let free = text.ok().and_then(|text| text.lines().last()?.trim().parse::<u64>().ok());
    let dir = match free {
        Some(free) if free >= ENOUGH_KIB => tempfile::tempdir_in(MEMORY),
        _ => tempfile::tempdir(),
    };
    dir.expect("a scratch directory can be made")
}

/// A copy of a closed store, in place of what was there.
pub(super) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("the directory is made");
    for entry in fs::read_dir(from).expect("the directory is read") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("the file is copied");
        }
    }
}
