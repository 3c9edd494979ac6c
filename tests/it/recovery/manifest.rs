//! OPS-2: salvage of a damaged manifest, record by record. What is read afterwards is what was written, or
//! the store is refused, and then every byte is where it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use withy::{ErrorKind, SalvageReport, Store, VerifyOptions};

use super::{copy, cut, flip, name, newest, open_buffered, scratch, size};
use crate::support::{is_long, must_fail, must_put, rows};

/// Commits of the stores here: number `n` sets one of five keys to `n`.
pub(super) fn write(store: &Store, commits: std::ops::RangeInclusive<u64>) {
    let main = store.main().expect("main");
    for n in commits {
        must_put(&main, &format!("key-{}", n % 5), &n.to_string());
    }
}

/// What main holds as of a commit.
fn model(commit: u64) -> Vec<(String, String)> {
    let sets = (1..=commit).map(|n| (format!("key-{}", n % 5), n.to_string()));
    sets.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// The store holds exactly what was written up to its newest commit.
#[track_caller]
pub(super) fn must_be_right(path: &Path, when: &str) -> u64 {
    let store = open_buffered(path);
    let latest = store.latest().get();
    let main = store.main().expect("main");
    assert_eq!(rows(&main), model(latest), "{when}: the content is that of commit {latest}");
    for commit in 1..=latest {
        let view = store.view(&format!("seq:{commit}")).expect("an old commit");
        assert_eq!(rows(&view), model(commit), "{when}: and so is that of commit {commit}");
    }
    let report = store.verify(VerifyOptions::default().threads(1)).expect("it is verified");
    assert!(report.is_clean(), "{when}: nothing is wrong: {:#?}", report.findings);
    must_put(&main, "later", "value");
    latest
}

/// Every file below a directory, with its bytes.
pub(super) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => out.extend(contents(&path)),
            // Who has the store open is written there; what counts is the lock.
            false if path.ends_with("withy.lock") => {}
            // What RocksDB says of its work.
            false if name(&path).starts_with("LOG") => {}
            false => drop(out.insert(path.clone(), fs::read(&path).expect("a file can be read"))),
        }
    }
    out
}

pub(super) fn manifest(store: &Path) -> PathBuf {
    let current = fs::read_to_string(store.join("CURRENT")).expect("CURRENT");
    store.join(current.trim_end())
}

/// Where each record of a manifest of one block starts, and the end of the last one.
pub(super) fn starts(manifest: &Path) -> Vec<u64> {
    let bytes = fs::read(manifest).expect("the manifest can be read");
    assert!(bytes.len() < 32 << 10, "it is in one block");
    let mut out = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        out.push(at as u64);
    }
    out
}

/// All of them in the long run, else one in so many.
fn some_records() -> usize {
    if is_long() { 1 } else { 3 }
}

/// What can happen to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit of the record, counted from its start in eighths of it.
    Bit(u64),
    /// Eight of its bytes.
    Bytes,
}

impl Damage {
    fn be_done(self, path: &Path, start: u64, end: u64) {
        let file = manifest(path);
        match self {
            Self::Bit(eighth) => flip(&file, start * 8 + eighth * (end - start) + eighth % 8),
            Self::Bytes => (0..8).for_each(|n| flip(&file, (start + 7 + n) * 8 + n % 8)),
        }
    }
}

/// A store that was opened twice, changed and flushed again and again, with a log; as the end of its process
/// leaves it.
fn make(dir: &Path) -> PathBuf {
    let (live, left) = (dir.join("live"), dir.join("whole"));
    write(&open_buffered(&live), 1..=4);
    let store = open_buffered(&live);
    for round in 0..3 {
        write(&store, 5 + round * 6..=10 + round * 6);
        if round < 2 {
            store.compact().expect("compact");
        }
    }
    copy(&live, &left);
    left
}
const COMMITS: u64 = 22;

/// What was damaged is aside as it was, and what was done is told.
#[track_caller]
fn must_be_kept(path: &Path, report: &SalvageReport, damaged: &[u8], when: &str) {
    let aside = path.join(&report.dir);
    let kept: Vec<String> = contents(&aside).into_keys().map(|file| name(&file)).collect();
    assert_eq!(kept, report.aside, "{when}: what is set aside is named");
    let manifest = kept.iter().find(|name| name.starts_with("MANIFEST-"));
    let manifest = manifest.unwrap_or_else(|| panic!("{when}: the manifest is kept: {kept:?}"));
    let bytes = fs::read(aside.join(manifest)).expect("it can be read");
    assert!(bytes == damaged, "{when}: as it was");
    assert!(!report.done.is_empty(), "{when}: and what was done is told");
}

/// Salvages, and says which commit is the newest that is left; none if it was refused.
#[track_caller]
fn salvage(path: &Path, when: &str) -> Option<u64> {
    let before = contents(path);
    let damaged = fs::read(manifest(path)).expect("the manifest can be read");
    match Store::salvage(path) {
        Ok(report) => {
            must_be_kept(path, &report, &damaged, when);
            assert_eq!(report.damage, [], "{when}: nothing is left that is wrong");
            let latest = must_be_right(path, when);
            assert_eq!(report.latest.get(), latest, "{when}: the newest commit is told");
            Some(latest)
        }
        Err(e) => {
            assert_eq!(
                e.kind(),
                ErrorKind::Corrupt,
                "{when}: it says that this cannot help: {e:?}"
            );
            assert!(e.hint().is_some(), "{when}: and what to do");
            assert!(contents(path) == before, "{when}: every byte is where it was");
            None
        }
    }
}

#[test]
fn ops_2_one_flipped_bit_in_any_record_of_the_manifest_is_changed_back() {
    let dir = scratch();
    let whole = make(dir.path());
    let starts = starts(&manifest(&whole));
    assert!(starts.len() > 16, "there are records of all kinds: {starts:?}");
    let path = dir.path().join("damaged");
    for (n, record) in starts.windows(2).enumerate().step_by(some_records()) {
        let eighths = if is_long() { 0..8 } else { n as u64 % 8..n as u64 % 8 + 1 };
        for eighth in eighths {
            let when = format!("bit {eighth}/8 of record {n}");
            copy(&whole, &path);
            Damage::Bit(eighth).be_done(&path, record[0], record[1]);
            must_fail(Store::open(&path), ErrorKind::Corrupt);
            assert_eq!(salvage(&path, &when), Some(COMMITS), "{when}: nothing is lost");
            fs::remove_dir_all(&path).expect("rm");
        }
    }
}

#[test]
fn ops_2_a_manifest_with_several_flipped_bits_is_mended_record_by_record() {
    let dir = scratch();
    let path = make(dir.path());
    let starts = starts(&manifest(&path));
    for record in starts.windows(2).step_by(3) {
        Damage::Bit(5).be_done(&path, record[0], record[1]);
    }
    assert_eq!(salvage(&path, "a bit of every third record"), Some(COMMITS), "nothing is lost");
}

#[test]
fn ops_2_a_manifest_that_is_damaged_beyond_a_bit_gives_what_is_right_or_is_refused() {
    let dir = scratch();
    let whole = make(dir.path());
    let starts = starts(&manifest(&whole));
    let path = dir.path().join("damaged");
    let mut came_of_it: BTreeMap<Option<u64>, u64> = BTreeMap::new();
    for (n, record) in starts.windows(2).enumerate().step_by(some_records()) {
        let when = format!("eight bytes of record {n}");
        copy(&whole, &path);
        Damage::Bytes.be_done(&path, record[0], record[1]);
        must_fail(Store::open(&path), ErrorKind::Corrupt);
        *came_of_it.entry(salvage(&path, &when)).or_default() += 1;
        fs::remove_dir_all(&path).expect("rm");
    }
    use std::io::Write as _;
    let _ =
        writeln!(std::io::stderr(), "newest commit that is left, and how often: {came_of_it:?}");
}

#[test]
fn ops_2_a_manifest_that_ends_too_early_is_refused_or_nothing_is_lost() {
    let dir = scratch();
    let whole = make(dir.path());
    let starts = starts(&manifest(&whole));
    let path = dir.path().join("damaged");
    let mut refused = 0;
    // Records that are whole, so that nothing in the file says that more were there.
    for &len in &starts {
        let when = format!("cut to {len}");
        copy(&whole, &path);
        cut(&manifest(&path), len);
        let before = contents(&path);
        match Store::options().read_only(true).open(&path) {
            Ok(_) => assert_eq!(must_be_right(&path, &when), COMMITS, "{when}: nothing is lost"),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Corrupt, "{when}: it is named: {e:?}");
                let why = must_fail(Store::open(&path), ErrorKind::Corrupt);
                assert!(contents(&path) == before, "{when}: every byte is where it was: {why:?}");
                refused += 1;
            }
        }
        fs::remove_dir_all(&path).expect("rm");
    }
    assert!(refused > 10, "most cuts lose something: {refused}");
}

#[test]
fn ops_2_a_manifest_is_cut_before_its_damage_where_the_logs_still_have_what_came_then() {
    let dir = scratch();
    let (live, path) = (dir.path().join("live"), dir.path().join("left"));
    drop(open_buffered(&live));
    let store = open_buffered(&live);
    write(&store, 1..=20);
    let logs = dir.path().join("logs");
    copy(&live, &logs);
    let before = size(&manifest(&live));
    store.compact().expect("compact");
    write(&store, 21..=22);
    // As if the process had been stopped before it could remove the logs.
    copy(&live, &path);
    let log = newest(&logs, ".log");
    fs::copy(&log, path.join(name(&log))).expect("copy");
    let file = manifest(&path);
    let record = starts(&file).into_iter().find(|&at| at >= before).expect("a record of the flush");
    Damage::Bytes.be_done(&path, record, record);
    must_fail(Store::open(&path), ErrorKind::Corrupt);
    assert_eq!(salvage(&path, "the first record of a flush"), Some(22), "nothing is lost");
}
