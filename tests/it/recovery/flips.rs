//! OPS-2, OPS-6: a bit is flipped in a file of a store that has everything, and it is found when the
//! store is opened, when it is read, or by `verify`. No read that succeeds gives something else than
//! what was written, and `verify` finds all that others find. `WITHY_LONG=1` flips 2,000 bits.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use withy::{
    BranchOptions, CheckupOptions, ErrorKind, FeedOptions, KeyRange, LogOptions, MergeOptions,
    OpenOptions, Read, Result, Seq, Store, TagOptions, VerifyOptions,
};

use super::{copy, flip, name, open_buffered, scratch, size};
use crate::support::{is_long, must_branch, must_put};

/// How a flipped bit came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Open,
    Read,
    /// By nothing but a verification.
    Verify,
    /// Nothing is different: the bit means nothing.
    Harmless,
}

/// Everything that can be read of a store, as text.
fn read_all(store: &Store) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    let branches = store.branches()?;
    let tags = store.tags(withy::TagListOptions::default())?;
    let names = branches.iter().map(|b| b.name.to_string());
    for rev in names.chain(tags.iter().map(|t| t.name.to_string())) {
        let view = store.view(&rev)?;
        for row in view.scan(&KeyRange::all(), withy::Direction::Forward)? {
            let (key, value) = row?;
            let got = view.get(&key)?;
            out.push(format!("{rev} {key:?} {:?} {}", blake3::hash(&value), got == Some(value)));
            keys.insert(key);
        }
    }
    for branch in &branches {
        for key in &keys {
            for version in store.history(branch.name.as_str(), key)? {
                out.push(format!("{version:?}"));
            }
        }
        for commit in store.log(branch.name.as_str(), LogOptions::default())? {
            out.push(format!("{:?}", commit?));
        }
    }
    for event in store.feed(Seq::ROOT, FeedOptions::default())? {
        out.push(format!("{:?}", event?));
    }
    for seq in 0..=store.latest().get() {
        let view = store.view(&format!("seq:{seq}"))?;
        for row in view.scan(&KeyRange::all(), withy::Direction::Forward)? {
            let (key, value) = row?;
            out.push(format!("{seq} {key:?} {:?}", blake3::hash(&value)));
        }
    }
    out.push(format!("{branches:?} {tags:?} {:?} {:?}", store.ops(1_000)?, store.active()?));
    Ok(out)
}

/// Branches, a merge, tags, large values and history; most of it in sorted files, the newest in the log.
fn make(path: &Path) {
    let store = open_buffered(path);
    let main = store.main().expect("main");
    for n in 0..30 {
        must_put(&main, &format!("key-{:02}", n % 10), &format!("value {n} {}", "x".repeat(90)));
    }
    let mut random = fastrand::Rng::with_seed(3);
    let large: String = std::iter::repeat_with(|| random.alphanumeric()).take(40_000).collect();
    must_put(&main, "large", &large);
    let topic = must_branch(&store, "topic", "main~5");
    must_put(&topic, "other", "topic");
    store.create_tag("v1", "main~2", TagOptions::default()).expect("tag");
    store.compact().expect("compact");
    must_put(&topic, "key-01", "on the topic");
    must_put(&main, "key-02", "after");
    store
        .merge("main", "topic", MergeOptions::default().strategy(withy::Strategy::Ours))
        .expect("merge");
    store.compact().expect("compact");
    store.create_branch("late", "v1", BranchOptions::default()).expect("branch");
    must_put(&store.branch("late").expect("late"), "large", &large[1..]);
    for n in 0..10 {
        must_put(&main, &format!("new-{n}"), "in the log");
    }
}

/// A store to flip bits in, and what it holds.
struct Subject {
    path: PathBuf,
    content: Vec<String>,
}

impl Subject {
    fn try_flip(&self, file: &Path, bit: u64, options: &OpenOptions, scratch: &Path) -> Found {
        let path = scratch.join("flipped");
        copy(&self.path, &path);
        flip(&path.join(name(file)), bit);
        let doctor = Store::checkup(&path, CheckupOptions::default());
        let verified = Store::verify_at(&path, VerifyOptions::default().threads(1));
        let is_clean = verified.is_ok_and(|report| report.is_clean());
        let found = match options.clone().open(&path) {
            Err(e) => {
                let is_seen = doctor.map_or(true, |found| !found.damage.is_empty());
                assert!(is_seen, "{} bit {bit}: doctor says it too", name(file));
                assert!(!is_clean, "{} bit {bit}: verify finds it too", name(file));
                let typed = [ErrorKind::Corrupt, ErrorKind::Incompatible];
                assert!(typed.contains(&e.kind()), "{} bit {bit}: {e:?}", name(file));
                Found::Open
            }
            Ok(store) => match read_all(&store) {
                Err(e) => {
                    assert!(!is_clean, "{} bit {bit}: verify finds it too", name(file));
                    assert_eq!(e.kind(), ErrorKind::Corrupt, "{} bit {bit}: {e:?}", name(file));
                    Found::Read
                }
                Ok(content) => {
                    let same = content == self.content;
                    assert!(same, "{} bit {bit}: a read gave something else", name(file));
                    if is_clean { Found::Harmless } else { Found::Verify }
                }
            },
        };
        fs::remove_dir_all(&path).expect("rm");
        found
    }
}

/// Files that hold nothing of the store's content, and are not read for it.
fn is_harmless(name: &str) -> bool {
    let harmless = ["OPTIONS-", "IDENTITY", "LOCK", "LOG", "withy.lock", "withy.synced"];
    harmless.iter().any(|front| name.starts_with(front))
}

#[test]
fn ops_2_any_flipped_bit_is_found_and_no_read_that_succeeds_is_wrong() {
    let dir = scratch();
    let path = dir.path().join("store");
    make(&path);
    let store = Store::options().read_only(true).open(&path).expect("opens");
    let content = read_all(&store).expect("it reads");
    drop(store);
    let subject = Subject { path, content };
    let files = fs::read_dir(&subject.path).expect("the directory can be read");
    let files: Vec<PathBuf> = files.map(|e| e.expect("an entry").path()).collect();
    let mut files: Vec<&PathBuf> = files.iter().filter(|file| size(file) > 0).collect();
    files.sort();
    let mut random = fastrand::Rng::with_seed(42);
    let flips = if is_long() { 2_000 } else { 100 };
    let cases: Vec<(usize, u64)> = (0..flips)
        .map(|n| {
            let file = n % files.len();
            (file, random.u64(..size(files[file]) * 8))
        })
        .collect();
    let found = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (subject, files, cases) = (&subject, &files, &cases);
                let scratch = dir.path().join(format!("worker-{worker}"));
                scope.spawn(move || {
                    fs::create_dir(&scratch).expect("mkdir");
                    let mut out = Vec::new();
                    for (n, &(file, bit)) in
                        cases.iter().enumerate().filter(|(n, _)| n % 2 == worker)
                    {
                        let options = Store::options().read_only(n / 2 % 2 == 0);
                        out.push((
                            file,
                            bit,
                            subject.try_flip(files[file], bit, &options, &scratch),
                        ));
                    }
                    out
                })
            })
            .collect();
        let all = workers.into_iter().flat_map(|worker| worker.join().expect("it ends"));
        all.collect::<Vec<_>>()
    });
    let mut table: BTreeMap<(String, Found), u64> = BTreeMap::new();
    for (file, bit, how) in found {
        let name = name(files[file]);
        assert!(how != Found::Harmless || is_harmless(&name), "{name} bit {bit}: it is found");
        let kind = name.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        let kind = kind.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        *table.entry((kind, how)).or_default() += 1;
    }
    for ((kind, how), count) in table {
        let _ = writeln!(std::io::stderr(), "{kind:14} {how:?}: {count}");
    }
}
