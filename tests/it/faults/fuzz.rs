//! Hostile bytes into every decoder and parser: the functions that the fuzz targets call, over their seeds
//! and over what becomes of these when bytes are changed, moved, doubled and cut.

use std::fs;
use std::path::Path;

use crate::support::is_long;

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
    let mut bytes = seeds[random.usize(0..seeds.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=bytes.len());
        match random.u32(0..8) {
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

#[test]
fn hostile_bytes_come_to_an_answer_in_every_decoder_and_parser() {
    for target in targets() {
        let (seeds, mut random) = (seeds(target.0), fastrand::Rng::with_seed(13));
        assert!(!seeds.is_empty(), "{} has seeds", target.0);
        for seed in &seeds {
            must_come_to_an_answer(target, seed);
        }
        // Those that write to a store take longer.
        let few = ["settings", "revs"].contains(&target.0);
        let rounds = if few { 400 } else { 4_000 } * if is_long() { 50 } else { 1 };
        for _ in 0..rounds {
            must_come_to_an_answer(target, &mutated(&mut random, &seeds));
        }
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
