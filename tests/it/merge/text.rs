//! `text` against git: the same answer, clean or not, and the same bytes, on generated triples.
//!
//! The reference is `git merge-file --diff-algorithm=histogram`, which is how `git merge` merges a file.
//! `WITHY_SEEDS` says how many triples, `WITHY_SEED` which one alone.

use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use withy::{DriverInput, MarkerLabels, drivers, has_markers, merge_text};

/// Base, ours and theirs.
type Triple = [Vec<u8>; 3];

/// What a text is made of: how its lines look, and out of how many words.
struct Kind {
    look: u8,
    words: u32,
}

fn line(random: &mut Rng, kind: &Kind) -> String {
    let word = random.u32(0..kind.words);
    match (kind.look, random.u8(0..6)) {
        // Many blank lines.
        (0, 0 | 1) | (3, 0) => String::new(),
        (0 | 1, _) => format!("w{word}"),
        // Only frequent lines, as in code.
        (2, one) => ["", "}", "{", "  x", "end", "  return;"][usize::from(one)].to_owned(),
        // Some of both.
        (3, 1) => "}".to_owned(),
        (3, 2) => format!("  call{}();", word % 6),
        (3, _) => format!("let v{word} = {};", random.u32(0..9)),
        (_, _) => format!("unique {}", random.u32(..)),
    }
}

/// The text after so many edits: inserted, deleted, replaced, moved and repeated lines.
fn edited(random: &mut Rng, text: &[String], kind: &Kind, edits: usize) -> Vec<String> {
    let mut text = text.to_vec();
    for _ in 0..edits {
        let at = random.usize(0..=text.len());
        let end = (at + random.usize(1..4)).min(text.len());
        let new: Vec<String> = (0..random.usize(1..4)).map(|_| line(random, kind)).collect();
        match random.u8(0..7) {
            0 | 1 => drop(text.splice(at..at, new)),
            2 => drop(text.drain(at..end)),
            3 | 4 => drop(text.splice(at..end, new)),
            5 => {
                let moved: Vec<String> = text.drain(at..end).collect();
                let to = random.usize(0..=text.len());
                text.splice(to..to, moved);
            }
            _ => {
                let again = text[at..end].to_vec();
                let to = if random.bool() { end } else { random.usize(0..=text.len()) };
                text.splice(to..to, again);
            }
        }
    }
    text
}

fn bytes(random: &mut Rng, lines: &[String], line_end: &str) -> Vec<u8> {
    let last = if lines.is_empty() || random.u8(0..8) == 0 { "" } else { line_end };
    (lines.join(line_end) + last).into_bytes()
}

fn triple(seed: u64) -> Triple {
    let random = &mut Rng::with_seed(seed);
    let kind = Kind { look: random.u8(0..5), words: random.u32(3..60) };
    let lines = match random.u8(0..20) {
        0 => 0,
        1 | 2 => 1,
        3..=5 => random.usize(0..5),
        6..=14 => random.usize(0..40),
        15..=17 => random.usize(0..120),
        18 => random.usize(0..400),
        _ => random.usize(200..1500),
    };
    let base: Vec<String> = (0..lines).map(|_| line(random, &kind)).collect();
    // An edit that both sides have.
    let both = usize::from(random.u8(0..4) == 0);
    let both = edited(random, &base, &kind, both);
    let most = [1, 2, 4, 8][random.usize(0..4)] + lines / 60;
    let mut side = || {
        let edits = random.usize(0..=most);
        if random.u8(0..40) == 0 { Vec::new() } else { edited(random, &both, &kind, edits) }
    };
    let (ours, theirs) = (side(), side());
    let line_end = if random.u8(0..6) == 0 { "\r\n" } else { "\n" };
    [base, ours, theirs].map(|lines| bytes(random, &lines, line_end))
}

/// What git makes of a triple, and whether that is clean; nothing if there is no git that can be asked.
fn git(dir: &Path, [base, ours, theirs]: &Triple, options: &[&str]) -> Option<(Vec<u8>, bool)> {
    for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        std::fs::write(dir.join(name), text).expect("a scratch file is written");
    }
    let mut command = Command::new("git");
    command.args(["merge-file", "-p", "-q", "--diff-algorithm=histogram"]).args(options);
    command.args(["-L", "ours", "-L", "base", "-L", "theirs", "ours", "base", "theirs"]);
    command.current_dir(dir).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let done = command.output().ok()?;
    // Up to 127 it counts the conflicts.
    done.status.code().filter(|&code| code < 128).map(|code| (done.stdout, code == 0))
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("WITHY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WITHY_SEEDS").unwrap_or(300),
    }
}

fn merged([base, ours, theirs]: &Triple) -> Option<Vec<u8>> {
    let input = DriverInput::new(b"k", Some(base), Some(ours), Some(theirs));
    let result = drivers::text().merge(&input);
    let swapped = drivers::text().merge(&input.swapped());
    assert_eq!(result, swapped, "the sides are alike");
    result.ok().flatten()
}

#[expect(clippy::print_stdout, reason = "a test that could not run says so")]
fn skipped() {
    println!("skipped: no git here that merges files by histogram diff");
}

#[test]
fn merge_10_text_merges_as_git_does() {
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    for seed in seeds() {
        let triple = triple(seed);
        let Some((text, clean)) = git(dir.path(), &triple, &[]) else { return skipped() };
        assert_eq!(merged(&triple), clean.then_some(text), "seed {seed}");
    }
}

#[test]
fn merge_10_conflict_markers_are_those_of_git() {
    let labels = MarkerLabels::new("ours", "base", "theirs");
    let dir = tempfile::tempdir().expect("a scratch directory can be made");
    for seed in seeds() {
        let triple = triple(seed);
        let Some((text, _)) = git(dir.path(), &triple, &["--diff3"]) else { return skipped() };
        let [base, ours, theirs] = &triple;
        let merge = merge_text(Some(base), ours, theirs, &labels);
        assert_eq!(merged(&triple), (merge.conflicts == 0).then(|| merge.text.clone()));
        assert_eq!(has_markers(&merge.text), merge.conflicts > 0, "seed {seed}");
        // Where a text has no line end to go by, git ends its markers in another way.
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
        assert_eq!(text_of(&merge.text), text_of(&text), "seed {seed}");
    }
}

#[test]
fn merge_10_text_that_both_sides_added_is_a_conflict_unless_equal() {
    let merged = |ours: &[u8], theirs: &[u8]| {
        drivers::text().merge(&DriverInput::new(b"k", None, Some(ours), Some(theirs)))
    };
    assert_eq!(merged(b"a\n", b"a\n"), Ok(Some(b"a\n".to_vec())));
    assert_eq!(merged(b"a\nb\n", b"a\n"), Err("both sides added it, with different text".into()));
}

#[test]
fn merge_10_large_texts_are_merged_in_time() {
    // Every tenth line changed, on one side the even ones: each change splits what is left.
    let side = |wanted: usize| {
        let line = |at: usize| match at % 20 == wanted {
            true => format!("changed {at}\n"),
            false => format!("line {at}\n"),
        };
        (0..20_000).map(line).collect::<String>().into_bytes()
    };
    let (base, ours, theirs) = (side(20), side(0), side(10));
    let merged = merged(&[base, ours, theirs]).expect("the changes are apart");
    assert_eq!(String::from_utf8_lossy(&merged).matches("changed").count(), 2_000);
    // Nothing but frequent lines, and hardly a common order.
    let random = &mut Rng::with_seed(1);
    let noise = |random: &mut Rng| {
        (0..8_000).flat_map(|_| [b"abcd"[random.usize(0..4)], b'\n']).collect::<Vec<u8>>()
    };
    let [base, ours, theirs] = [noise(random), noise(random), noise(random)];
    let input = DriverInput::new(b"k", Some(&base), Some(&ours), Some(&theirs));
    assert!(drivers::text().merge(&input).is_err(), "they have little in common");
}
