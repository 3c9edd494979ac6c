//! Hostile bytes into every parser of the command line: an answer, never a panic.

use std::path::Path;

use crate::changes::Formats;
use crate::merging::{read_pattern, show_pattern};
use crate::text::Format;
use crate::verbs::apply;
use crate::{txn, when};

/// A text with a few changes.
fn mutated(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    const SHARP: [u8; 16] = *b"\0\x01\x7F\x80\xC3\xFF\n\r\"\\ =:*#9";
    let mut bytes = seeds[random.usize(0..seeds.len())].clone();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(0..=bytes.len());
        match random.u32(0..6) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 => bytes.insert(at, SHARP[random.usize(0..SHARP.len())]),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..random.usize(at..=bytes.len()).min(at + 30))),
            4 => bytes.splice(at..at, std::iter::repeat_n(b'9', 20)).for_each(drop),
            _ => {
                let part = bytes[at..random.usize(at..=bytes.len()).min(at + 60)].to_vec();
                bytes.splice(at..at, part).for_each(drop);
            }
        }
    }
    bytes
}

fn try_all(seeds: &[Vec<u8>], rounds: u32, parse: impl Fn(&[u8])) {
    let mut random = fastrand::Rng::with_seed(17);
    seeds.iter().for_each(|seed| parse(seed));
    for _ in 0..rounds {
        parse(&mutated(&mut random, seeds));
    }
}

fn owned(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.to_vec()).collect()
}

#[test]
fn scripts_of_transactions() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/txn");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the fixtures are read")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("it is read")).collect();
    for format in [Format::Text, Format::Hex, Format::Base64] {
        let formats = Formats { key: format, value: format };
        try_all(&seeds, 3_000, |text| {
            txn::is_script(text, formats);
        });
    }
}

#[test]
fn bytes_as_text_are_read_as_they_are_shown() {
    let seeds = owned(&[
        b"pear",
        b"\\x00\\xff\\n\\\\",
        b"ff00",
        b"/wA=",
        b"\\x",
        b"\\",
        "größe".as_bytes(),
    ]);
    try_all(&seeds, 20_000, |text| {
        for format in [Format::Text, Format::Hex, Format::Base64] {
            let _ = format.parse(text);
            let shown = format.show(text);
            assert_eq!(format.parse(shown.as_bytes()).as_deref(), Ok(text), "{shown} is read back");
        }
    });
}

#[test]
fn moments() {
    let seeds =
        owned(&[b"2 hours ago", b"2.weeks.ago", b"now", b"yesterday", b"2026-11-20T10:00:00Z"]);
    try_all(&seeds, 20_000, |text| {
        let _ = when::parse(&String::from_utf8_lossy(text));
    });
}

#[test]
fn patterns_are_read_as_they_are_shown() {
    let seeds = owned(&[b"notes/*.json", b"*", b"", b"a\\x2a*b", b"orders/"]);
    try_all(&seeds, 20_000, |text| {
        if let Ok(pattern) = read_pattern(text, Format::Text) {
            let shown = show_pattern(&pattern);
            let again = read_pattern(shown.as_bytes(), Format::Text);
            assert_eq!(again.ok(), Some(pattern), "{shown} is read back");
        }
    });
}

#[test]
fn lists_of_changes() {
    let seeds = owned(&[
        b"{\"key\":\"pear\",\"value\":\"green\"}\n{\"key_hex\":\"ff\",\"delete\":true}\n",
        b"{\"key\":\"a\",\"value_base64\":\"AA==\",\"if_absent\":true}\n\n",
        b"{\"key\":\"a\",\"value\":\"b\",\"if_seq\":18446744073709551615}",
    ]);
    try_all(&seeds, 10_000, |text| {
        let _ = apply::read("the input", text);
    });
}
