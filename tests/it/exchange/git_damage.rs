//! Streams with random damage: taken whole or refused whole. `WITHY_SEEDS` says how many.

use withy::exchange::{GitImportOptions, import_git};
use withy::{ErrorKind, Store};

use super::ORCHARD;
use crate::support::Scratch;

/// The stream with a few bytes changed, lost, doubled, or without its end.
fn damaged(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = ORCHARD.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..bytes.len());
        match random.u8(0..6) {
            0 => bytes[at] = random.u8(..),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b" \n:\"0M"[random.usize(0..6)]),
            3 => bytes.truncate(at.max(20)),
            4 => {
                let end = (at + random.usize(1..60)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let end = (at + random.usize(1..60)).min(bytes.len());
                bytes.drain(at..end);
                bytes.resize(bytes.len().max(20), b'x');
            }
        }
    }
    bytes
}

/// How many commits and branches there are.
fn size(store: &Store) -> (u64, usize) {
    (store.latest().get(), store.branches().expect("branches are listed").len())
}

#[test]
fn cli_5_a_damaged_stream_is_taken_whole_or_not_at_all() {
    let seeds = std::env::var("WITHY_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let store = Scratch::new();
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..seeds {
        let stream = damaged(&mut fastrand::Rng::with_seed(seed));
        let before = size(&store);
        let prefix = format!("s{seed}/");
        // Tags are the same each time, and may move.
        let options = GitImportOptions::default().prefix(&prefix).replace(true);
        match import_git(&store, &stream[..], options) {
            Ok(done) => {
                let want = (before.0 + done.commits, before.1 + done.branches as usize);
                assert_eq!(size(&store), want, "seed {seed} is there as it says");
                taken += 1;
            }
            Err(e) => {
                assert!(
                    matches!(e.kind(), ErrorKind::Invalid | ErrorKind::Limit),
                    "seed {seed}: it is the stream that is wrong: {e:?}"
                );
                assert!(e.to_string().contains("line "), "seed {seed} names a line: {e}");
                assert_eq!(size(&store), before, "seed {seed} leaves nothing: {e}");
                refused += 1;
            }
        }
    }
    assert!(taken > 0 && refused > 0, "both happen: {taken} taken, {refused} refused");
}
