//! OPS-2, OPS-6: a bit is flipped in a file of a store that has everything, and it is found when the
//! store is opened, when it is read, or by `verify`. No read gives anything else than what was written, be it
//! before it ends with an error, and `verify` finds all that others find. `WITHY_LONG=1` flips 2,000 bits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use withy::{
    BranchOptions, CheckupOptions, Direction, Error, ErrorKind, FeedOptions, KeyRange, LogOptions,
    MergeOptions, OpenOptions, Read, Result, Seq, Store, TagListOptions, TagOptions, VerifyOptions,
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

/// What there is to read of a store.
#[derive(Default)]
struct Names {
    revs: Vec<String>,
    branches: Vec<String>,
    keys: BTreeSet<Vec<u8>>,
    latest: u64,
}

impl Names {
    fn of(store: &Store) -> Result<Self> {
        let mut out = Self { latest: store.latest().get(), ..Self::default() };
        out.branches = store.branches()?.iter().map(|b| b.name.to_string()).collect();
        let tags = store.tags(TagListOptions::default())?;
        let seqs = (0..=out.latest).map(|seq| format!("seq:{seq}"));
        let tags = tags.iter().map(|t| t.name.to_string());
        out.revs = out.branches.iter().cloned().chain(tags).chain(seqs).collect();
        for rev in &out.revs {
            let view = store.view(rev)?;
            for row in view.scan(&KeyRange::all(), Direction::Forward)? {
                out.keys.insert(row?.0);
            }
        }
        Ok(out)
    }
}

/// What one read gave: as text, and where it ended with an error.
#[derive(Default)]
struct Answer {
    given: Vec<String>,
    error: Option<Error>,
}

impl Answer {
    fn of(read: impl FnOnce(&mut Vec<String>) -> Result<()>) -> Self {
        let mut given = Vec::new();
        let error = read(&mut given).err();
        Self { given, error }
    }

    /// Whether all that was given is right: everything, or everything up to the error.
    fn is_right(&self, whole: &Self) -> bool {
        match self.error {
            None => self.given == whole.given,
            Some(_) => whole.given.starts_with(&self.given),
        }
    }
}

/// Reads everything, each read whatever became of the ones before.
fn read_all(store: &Store, names: &Names) -> BTreeMap<String, Answer> {
    let mut out = BTreeMap::new();
    for rev in &names.revs {
        let scan = |given: &mut Vec<String>| {
            for row in store.view(rev)?.scan(&KeyRange::all(), Direction::Forward)? {
                let (key, value) = row?;
                given.push(format!("{key:?} {:?}", blake3::hash(&value)));
            }
            Ok(())
        };
        out.insert(format!("scan {rev}"), Answer::of(scan));
        for key in &names.keys {
            let get = |given: &mut Vec<String>| {
                let value = store.view(rev)?.get(key)?;
                given.push(format!("{:?}", value.map(|value| blake3::hash(&value))));
                Ok(())
            };
            out.insert(format!("get {rev} {key:?}"), Answer::of(get));
        }
    }
    for branch in &names.branches {
        for key in &names.keys {
            let history = |given: &mut Vec<String>| {
                for version in store.history(branch, key)? {
                    given.push(format!("{:?}", version?));
                }
                Ok(())
            };
            out.insert(format!("history {branch} {key:?}"), Answer::of(history));
        }
        let log = |given: &mut Vec<String>| {
            for commit in store.log(branch, LogOptions::default())? {
                given.push(format!("{:?}", commit?));
            }
            Ok(())
        };
        out.insert(format!("log {branch}"), Answer::of(log));
    }
    let feed = |given: &mut Vec<String>| {
        for event in store.feed(Seq::ROOT, FeedOptions::default())? {
            given.push(format!("{:?}", event?));
        }
        Ok(())
    };
    out.insert("feed".to_owned(), Answer::of(feed));
    let refs = |given: &mut Vec<String>| {
        given.push(format!("{:?}", store.branches()?));
        given.push(format!("{:?}", store.tags(TagListOptions::default())?));
        given.push(format!("{:?}", store.ops(1_000)?));
        given.push(format!("{:?}", store.active()?));
        Ok(())
    };
    out.insert("refs".to_owned(), Answer::of(refs));
    out
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
    names: Names,
    /// What all reads give while nothing is damaged.
    whole: BTreeMap<String, Answer>,
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
            Ok(store) => {
                let answers = read_all(&store, &self.names);
                for (read, whole) in &self.whole {
                    let right = answers.get(read).is_some_and(|answer| answer.is_right(whole));
                    assert!(right, "{} bit {bit}: {read} gave something else", name(file));
                }
                let errors: Vec<_> = answers.values().filter_map(|a| a.error.as_ref()).collect();
                for e in &errors {
                    assert_eq!(e.kind(), ErrorKind::Corrupt, "{} bit {bit}: {e:?}", name(file));
                }
                match (errors.is_empty(), is_clean) {
                    (true, true) => Found::Harmless,
                    (true, false) => Found::Verify,
                    (false, clean) => {
                        assert!(!clean, "{} bit {bit}: verify finds it too", name(file));
                        Found::Read
                    }
                }
            }
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
    let names = Names::of(&store).expect("it reads");
    let whole = read_all(&store, &names);
    assert!(whole.values().all(|answer| answer.error.is_none()), "it reads");
    drop(store);
    let subject = Subject { path, names, whole };
    let files = fs::read_dir(&subject.path).expect("the directory can be read");
    let files: Vec<PathBuf> = files.map(|e| e.expect("an entry").path()).collect();
    let mut files: Vec<&PathBuf> = files.iter().filter(|file| size(file) > 0).collect();
    files.sort();
    let mut random = fastrand::Rng::with_seed(42);
    let flips = if is_long() { 2_000 } else { 100 };
    // Files that hold nothing of the store come last, and get a few flips only.
    files.sort_by_key(|file| is_harmless(&name(file)));
    let count = files.iter().filter(|file| !is_harmless(&name(file))).count();
    let few = (0..flips / 20).map(|n| count + n % (files.len() - count));
    let cases: Vec<(usize, u64)> = (0..flips)
        .map(|n| n % count)
        .chain(few)
        .map(|file| (file, random.u64(..size(files[file]) * 8)))
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
