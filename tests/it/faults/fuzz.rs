//! Hostile bytes into every decoder and parser: the functions that the fuzz targets call, over their seeds
//! and over what becomes of these when bytes are changed, moved, doubled and cut, and lengths made huge.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use withy::testing::fuzz::rewritten;
use withy::{CursorOptions, GcOptions, KeyRange, PurgeOptions, Setting};

use crate::support::raw::raw_rows;
use crate::support::{Scratch, is_long, must_put};

type Target = (&'static str, fn(&[u8]));

fn targets() -> Vec<Target> {
    let all = withy::testing::fuzz::TARGETS.into_iter();
    all.chain(withy::exchange::fuzz::TARGETS).collect()
}

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = fuzz().join("seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{} can be read: {e}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a seed is read")).collect()
}

/// A seed with a few changes.
fn mutated(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    const SHARP: [u8; 16] = *b"\0\x01\x7F\x80\xFA\xFB\xFD\xFF\n\r\"\\:/~-";
    // Lengths as the formats have them: behind a tag, seven bits a byte, most and least significant first.
    const HUGE: [&[u8]; 6] = [
        b"\xFC\0\0\0\x10",
        b"\xFD\0\0\0\0\x01\0\0\0",
        b"\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
        b"\0\0\0\0\x7F\xFF\xFF\xFF",
        b"\xFF\xFF",
    ];
    let mut bytes = seeds[random.usize(0..seeds.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=bytes.len());
        match random.u32(0..9) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u32(0..8),
            2 => bytes.insert(at, SHARP[random.usize(0..SHARP.len())]),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..random.usize(at..=bytes.len()))),
            // A number grows.
            5 => {
                bytes.splice(at..at, std::iter::repeat_n(b'9', random.usize(1..22))).for_each(drop)
            }
            6 => {
                let other = &seeds[random.usize(0..seeds.len())];
                let from = random.usize(0..=other.len());
                let part = &other[from..random.usize(from..=other.len()).min(from + 200)];
                bytes.splice(at..at, part.iter().copied()).for_each(drop);
            }
            7 => {
                let huge = HUGE[random.usize(0..HUGE.len())];
                let until = (at + random.usize(0..=huge.len())).min(bytes.len());
                bytes.splice(at..until, huge.iter().copied()).for_each(drop);
            }
            _ => {
                let part = bytes[at..random.usize(at..=bytes.len()).min(at + 200)].to_vec();
                bytes.splice(at..at, part).for_each(drop);
            }
        }
    }
    bytes
}

fn must_come_to_an_answer((name, target): Target, bytes: &[u8]) {
    let answer = std::panic::catch_unwind(|| target(bytes));
    if let Err(panic) = answer {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.input"));
        fs::write(&path, bytes).expect("the input is kept");
        let text = bytes[..bytes.len().min(400)].escape_ascii().to_string();
        panic!("{name} comes to an answer: {text} ({}): {panic:?}", path.display());
    }
}

/// Those that write to a store, or make one, take longer.
const SLOW: [&str; 3] = ["settings", "revs", "stores"];

/// Runs a target over its seeds, then over what becomes of them.
fn run(target: Target) {
    let (seeds, mut random) = (seeds(target.0), fastrand::Rng::with_seed(13));
    assert!(!seeds.is_empty(), "{} has seeds", target.0);
    for seed in &seeds {
        must_come_to_an_answer(target, seed);
    }
    let rounds = match target.0 {
        slow if SLOW.contains(&slow) => 400,
        // One input goes to one decoder of many.
        "records" | "files" => 40_000,
        _ => 4_000,
    };
    let rounds = rounds * if is_long() { 50 } else { 1 };
    for _ in 0..rounds {
        must_come_to_an_answer(target, &mutated(&mut random, &seeds));
    }
}

#[test]
fn hostile_bytes_come_to_an_answer_in_every_decoder_and_parser() {
    targets().into_iter().for_each(run);
}

/// The most address space that this process has had, in KiB.
fn most_memory() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line =
        text.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("the line is there");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}

/// Set for the process whose memory is measured.
const MEASURED: &str = "WITHY_TEST_FUZZ_MEMORY";

/// Not a test by itself. Address space counts, not memory that was written to: what is asked for is what a
/// length that lies would get.
#[test]
fn worker() {
    if std::env::var(MEASURED).is_err() {
        return;
    }
    let mut out = std::io::stdout().lock();
    for target in targets().into_iter().filter(|(name, _)| !SLOW[..2].contains(name)) {
        let seeds = seeds(target.0);
        let longest = seeds.iter().map(Vec::len).max().unwrap_or_default();
        seeds.iter().for_each(|seed| target.1(seed));
        let before = most_memory();
        run(target);
        let grown = most_memory() - before;
        writeln!(out, "\n{}: {grown} KiB more, seeds of up to {longest} bytes", target.0)
            .expect("said");
        assert!(grown < 16 << 10, "{} takes {grown} KiB more for hostile bytes", target.0);
    }
}

#[test]
fn hostile_bytes_take_no_more_memory_than_good_ones() {
    let output = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "faults::fuzz::worker", "--nocapture", "--test-threads=1"])
        .env(MEASURED, "1")
        .output()
        .expect("a process runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let said = out.lines().filter(|line| line.contains("KiB more")).count();
    assert_eq!(said, targets().len() - 2, "all were measured:\n{out}");
}

/// A store with what the one of the fixtures has not: a purge, a line of which something is gone, a cursor.
fn collected() -> Scratch {
    let mut store = Scratch::with(|options| options.blob_threshold(64));
    let main = store.main().expect("main");
    for n in 0..4 {
        must_put(&main, "pear", &n.to_string());
        must_put(&main, "large", &n.to_string().repeat(100));
        must_put(&main, "secret/key", &n.to_string());
    }
    drop(main);
    drop(store.cursor("mirror", CursorOptions::default()).expect("a cursor"));
    store.purge(&KeyRange::prefix(b"secret/"), PurgeOptions::default()).expect("a purge");
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.gc(GcOptions::default()).expect("a collection");
    store.close();
    store
}

/// Which decoder of `records` reads a row, as far as the front of its key tells.
fn decoder_of(family: &str, key: &[u8]) -> Option<u8> {
    Some(match (family, key) {
        ("head", _) => 0,
        ("history", _) => 1,
        ("log", [0xFF, ..]) => return None,
        ("log", [.., 0, 0, 0, 0]) => 2,
        ("refs", [b'b', ..]) => 6,
        ("refs", [b't', ..]) => 7,
        ("refs", [b'l', ..]) => 8,
        ("refs", [b'o', ..]) => 10,
        ("refs", [b'm', ..]) => 15,
        ("refs", [b'x', ..]) => 13,
        ("refs", [b'i', ..]) => 14,
        ("refs", [b'u', ..]) => 39,
        ("refs", [b'g', ..]) => 41,
        ("state", [b'u', _, ..]) => 42,
        _ => return None,
    })
}

#[test]
fn every_row_of_a_real_store_is_read_and_written_again_as_it_is() {
    let (dir, collected) = (tempfile::tempdir().expect("a scratch directory"), collected());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format/v1");
    for entry in fs::read_dir(fixture).expect("the fixture is read") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("it is copied");
    }
    let mut kinds = BTreeSet::new();
    for store in [dir.path().to_owned(), collected.path()] {
        // Large values are content, not records.
        let rows = raw_rows(&store).into_iter().filter(|((family, _), _)| *family != "blob");
        for ((family, key), value) in rows {
            let written = |which: u8| rewritten(&[&[which], &value[..]].concat());
            let is_read = |which| written(which).as_deref() == Some(&value[..]);
            let is_known = match decoder_of(family, &key) {
                Some(which) => is_read(which),
                // Rows of pins say all in their keys.
                None => value.is_empty() || (0..=u8::MAX).any(is_read),
            };
            assert!(is_known, "{family}: the row of {}", key.escape_ascii());
            kinds.insert((family, key.first().copied().unwrap_or_default()));
        }
    }
    for kind in [("refs", b'u'), ("refs", b'g'), ("refs", b'o'), ("state", b'u'), ("meta", b'f')] {
        assert!(kinds.contains(&kind), "there are rows of {kind:?}");
    }
}

#[test]
fn every_fuzz_target_has_its_program_and_its_seeds() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest is read");
    for (name, _) in targets() {
        let path = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{name} is in the manifest");
        let program = fs::read_to_string(fuzz().join(path)).expect("the program is read");
        assert!(program.contains("fuzz_target!"), "{name} has a program");
        assert!(!seeds(name).is_empty(), "{name} has seeds");
    }
}
