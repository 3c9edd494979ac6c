//! The write-ahead log: its end may be torn, the rest of it may not.

use std::path::{Path, PathBuf};

use withy::{ErrorKind, Store};

use super::{copy, cut, flip, name, newest, open_buffered, scratch, size, start_again};
use crate::support::{is_long, must_fail, must_put, rows};

/// An open store of ten commits, none of them synced since it was made; its log, and where each commit starts in
/// it, the end last.
pub(super) fn put_ten(live: &Path) -> (Store, PathBuf, Vec<u64>) {
    drop(open_buffered(live));
    let store = open_buffered(live);
    let main = store.main().expect("main");
    let log = newest(live, ".log");
    let mut starts = vec![size(&log)];
    for n in 0..10 {
        must_put(&main, &format!("key-{n}"), "value");
        starts.push(size(&log));
    }
    drop(main);
    (store, log, starts)
}

/// The same as the end of its process leaves it.
pub(super) fn ten_commits(dir: &Path) -> (PathBuf, Vec<u64>) {
    let (live, left) = (dir.join("live"), dir.join("left"));
    let (_store, _, starts) = put_ten(&live);
    copy(&live, &left);
    (left, starts)
}

/// The first `count` commits are there, whole, and writing goes on.
pub(super) fn must_hold(path: &Path, count: usize, why: &str) {
    let store = open_buffered(path);
    let main = store.main().expect("main");
    assert_eq!(store.latest().get(), count as u64, "{why}: the newest commit");
    let keys: Vec<String> = rows(&main).into_iter().map(|(key, _)| key).collect();
    let expected: Vec<String> = (0..count).map(|n| format!("key-{n}")).collect();
    assert_eq!(keys, expected, "{why}: all commits before, none of them half");
    must_put(&main, "later", "value");
    drop((main, store));
    let store = Store::options().read_only(true).open(path).expect("opens to read");
    assert_eq!(store.latest().get(), count as u64 + 1, "{why}: writing goes on");
    assert_eq!(rows(&store.main().expect("main")).len(), count + 1, "{why}: and stays");
}

#[test]
fn ops_1_a_log_cut_at_every_byte_of_its_last_record_keeps_all_before_it() {
    let dir = scratch();
    let (left, starts) = ten_commits(dir.path());
    let lens: Vec<u64> = (starts[9]..=starts[10]).collect();
    std::thread::scope(|scope| {
        for lens in lens.chunks(lens.len().div_ceil(4)) {
            let (dir, left, starts) = (&dir, &left, &starts);
            scope.spawn(move || {
                for &len in lens {
                    let path = dir.path().join(format!("cut-{len}"));
                    copy(left, &path);
                    cut(&newest(&path, ".log"), len);
                    let count = if len == starts[10] { 10 } else { 9 };
                    must_hold(&path, count, &format!("cut to {len} of {}", starts[10]));
                    std::fs::remove_dir_all(&path).expect("rm");
                }
            });
        }
    });
}

#[test]
fn ops_1_a_log_cut_at_any_piece_of_its_last_record_keeps_all_before_it() {
    // As large as several blocks: RocksDB writes a record in a piece for each, of which a killed process
    // may have written some.
    const BLOCK: u64 = 32 << 10;
    let dir = scratch();
    let (live, left) = (dir.path().join("live"), dir.path().join("left"));
    drop(open_buffered(&live));
    let store = open_buffered(&live);
    let main = store.main().expect("main");
    must_put(&main, "key-0", "value");
    let log = newest(&live, ".log");
    let start = size(&log);
    must_put(&main, "key-1", &"large".repeat(24 << 10));
    let end = size(&log);
    copy(&live, &left);
    let blocks = (start / BLOCK + 1)..=(end / BLOCK);
    assert!(blocks.clone().count() > 2, "there are whole blocks in it");
    for len in blocks.flat_map(|n| [n * BLOCK - 1, n * BLOCK, n * BLOCK + 1, n * BLOCK + 7]) {
        let path = dir.path().join(format!("cut-{len}"));
        copy(&left, &path);
        cut(&newest(&path, ".log"), len);
        must_hold(&path, 1, &format!("cut to {len} of {start} to {end}"));
    }
}

#[test]
fn ops_2_a_flipped_bit_in_the_log_is_never_taken_for_a_torn_tail() {
    let dir = scratch();
    let (left, starts) = ten_commits(dir.path());
    let path = dir.path().join("flipped");
    copy(&left, &path);
    let log = newest(&path, ".log");
    let last = (starts[9] * 8..starts[10] * 8).step_by(5);
    let before = (starts[0] * 8..starts[9] * 8).step_by(197);
    for (n, bit) in last.chain(before).enumerate() {
        flip(&log, bit);
        let refused = must_fail(Store::open(&path), ErrorKind::Corrupt);
        let text = refused.to_string();
        assert!(text.contains(&name(&log)), "bit {bit}: the file is named: {text}");
        let start = starts.iter().rev().find(|&&start| start * 8 <= bit).expect("in a commit");
        assert!(text.contains(&format!("at byte {start}:")), "bit {bit}: and the offset: {text}");
        if n % 50 == 0 {
            let reader = Store::options().read_only(true);
            must_fail(reader.open(&path), ErrorKind::Corrupt);
        }
        flip(&log, bit);
    }
    must_hold(&path, 10, "a refused open changes nothing");
}

#[test]
fn ops_2_a_record_of_another_type_is_refused_and_never_waited_for() {
    let dir = scratch();
    let (left, starts) = ten_commits(dir.path());
    let log = newest(&left, ".log");
    for (n, start) in starts[..10].iter().enumerate() {
        for bit in 0..8 {
            let flipped = (start + 6) * 8 + bit;
            flip(&log, flipped);
            for read_only in [true, false] {
                let refused = Store::options().read_only(read_only).open(&left);
                let refused = must_fail(refused, ErrorKind::Corrupt).to_string();
                assert!(refused.contains(&name(&log)), "bit {bit} of record {n}: {refused}");
            }
            flip(&log, flipped);
        }
    }
    must_hold(&left, 10, "a refused open changes nothing");
}

#[test]
fn ops_2_a_log_that_ends_before_what_was_synced_is_refused() {
    let dir = scratch();
    let (live, left) = (dir.path().join("live"), dir.path().join("left"));
    let store = Store::open(&live).expect("open");
    let main = store.main().expect("main");
    must_put(&main, "first", "value");
    let log = newest(&live, ".log");
    let before = size(&log);
    must_put(&main, "second", "value");
    copy(&live, &left);
    for len in [before, before + 5, before + 20, 0] {
        cut(&newest(&left, ".log"), len);
        let refused = must_fail(Store::open(&left), ErrorKind::Corrupt);
        assert!(refused.to_string().contains(&name(&log)), "cut to {len}: {refused}");
        must_fail(Store::options().read_only(true).open(&left), ErrorKind::Corrupt);
    }
    std::fs::remove_file(left.join(name(&log))).expect("rm");
    must_fail(Store::open(&left), ErrorKind::Corrupt);
}

#[test]
fn ops_1_a_store_that_was_closed_is_on_disk_whatever_its_commits_asked_for() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = open_buffered(&path);
    must_put(&store.main().expect("main"), "key", "value");
    drop(store);
    let log = newest(&path, ".log");
    let len = size(&log);
    cut(&log, len - 1);
    let refused = must_fail(Store::open(&path), ErrorKind::Corrupt);
    assert!(refused.to_string().contains(&name(&log)), "its end is missing: {refused}");
}

#[test]
fn ops_1_after_a_power_cut_what_was_not_synced_ends_at_the_first_hole() {
    let dir = scratch();
    let live = dir.path().join("live");
    drop(open_buffered(&live));
    let store = open_buffered(&live);
    let main = store.main().expect("main");
    let log = newest(&live, ".log");
    let mut starts = vec![size(&log)];
    for n in 0..10 {
        must_put(&main, &format!("key-{n}"), "value");
        starts.push(size(&log));
        if n == 4 {
            store.sync().expect("sync");
        }
    }
    let damaged = |n: usize| {
        let path = dir.path().join(format!("hole-{n}"));
        copy(&live, &path);
        start_again(&path);
        flip(&newest(&path, ".log"), starts[n] * 8 + 100);
        path
    };
    for n in 0..5 {
        let refused = must_fail(Store::open(damaged(n)), ErrorKind::Corrupt);
        assert!(refused.to_string().contains(&name(&log)), "commit {n} was on disk: {refused}");
    }
    for n in 5..10 {
        must_hold(&damaged(n), n, &format!("a hole in commit {n}"));
    }
    // Space that the file was given, and that was never written.
    let path = dir.path().join("zeros");
    copy(&live, &path);
    start_again(&path);
    cut(&newest(&path, ".log"), starts[7] + 3);
    cut(&newest(&path, ".log"), starts[10] + 50_000);
    must_hold(&path, 7, "zeros at the end");
}

#[test]
fn ops_2_a_store_without_a_mark_is_judged_as_strictly() {
    let dir = scratch();
    let (left, starts) = ten_commits(dir.path());
    std::fs::remove_file(left.join("withy.synced")).expect("rm");
    let log = newest(&left, ".log");
    flip(&log, starts[4] * 8 + 70);
    must_fail(Store::open(&left), ErrorKind::Corrupt);
    flip(&log, starts[4] * 8 + 70);
    cut(&log, starts[10] - 1);
    must_hold(&left, 9, "a torn end is one all the same");
}

/// Ends the writer, however the test ends.
struct Ends<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn ops_1_a_log_that_grows_while_it_is_read_is_never_taken_for_damage() {
    let dir = scratch();
    let home = dir.path().join("store");
    let store = open_buffered(&home);
    let done = std::sync::atomic::AtomicBool::new(false);
    let written = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        use std::sync::atomic::Ordering::SeqCst;
        scope.spawn(|| {
            let main = store.main().expect("main");
            for n in 0_u64.. {
                if done.load(SeqCst) {
                    break;
                }
                let key = format!("{:03}", n % 500);
                written.store(must_put(&main, &key, &n.to_string()).get(), SeqCst);
                // So that the log, which each open reads, stays small.
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let _ends = Ends(&done);
        for _ in 0..if is_long() { 60 } else { 12 } {
            let acknowledged = written.load(SeqCst);
            let reader = Store::options().read_only(true).open(&home);
            let reader = reader.expect("what is written meanwhile is no damage");
            assert!(reader.latest().get() >= acknowledged, "all that was acknowledged is there");
        }
        done.store(true, SeqCst);
    });
}
