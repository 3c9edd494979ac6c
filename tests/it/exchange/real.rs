//! The real history: every sampled listing, every branch head, in time.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use withy::exchange::{GitImportOptions, import_git};
use withy::{KeyRange, Read as _, Store, View};

use super::git::must_export;
use super::{Git, skipped};
use crate::support::Scratch;

const STREAM: &str = "advisories.fast-export.xz";
const SAMPLE: &str = "advisories.sample.tsv";

/// The stream, unpacked, and the sample; `None`, and a message, where they cannot be had.
pub(crate) fn data() -> Option<(Vec<u8>, String)> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let dir = std::env::var_os("WITHY_TEST_DATA").map_or(beside, PathBuf::from);
    let (stream, sample) = (dir.join(STREAM), dir.join(SAMPLE));
    let Ok(sample) = std::fs::read_to_string(&sample) else {
        skipped(&format!("{SAMPLE} is not in ../shared/data, nor where WITHY_TEST_DATA says"));
        return None;
    };
    if !stream.exists() {
        skipped(&format!("{STREAM} is not in ../shared/data, nor where WITHY_TEST_DATA says"));
        return None;
    }
    let Ok(unpacked) = Command::new("xz").arg("-dc").arg(&stream).output() else {
        skipped(&format!("xz is not installed, {STREAM} cannot be unpacked"));
        return None;
    };
    assert!(unpacked.status.success(), "xz unpacks {STREAM}");
    Some((unpacked.stdout, sample))
}

/// Number of files, and SHA-256 of the lines `path 00 SHA-256-of-content`, sorted by path.
fn listing(view: &View) -> (u64, String) {
    let (mut files, mut all) = (0, Sha256::new());
    for row in view.range(&KeyRange::all()).expect("a scan") {
        let (path, content) = row.expect("a row");
        files += 1;
        all.update(&path);
        all.update([0]);
        all.update(hex(&Sha256::digest(&content)));
        all.update(b"\n");
    }
    (files, hex(&all.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "the limit is in seconds on a clock")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// What the sample says, against views of the imported commits.
fn check_sample(store: &Store, marks: &str, sample: &str) {
    let mut seqs = std::collections::BTreeMap::new();
    for line in marks.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        seqs.insert(words[0], words[2]);
    }
    let mut checked = 0;
    for line in sample.lines() {
        let [mark, parents, files, hash] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{SAMPLE}: four columns in {line:?}");
        };
        let view = store.view(&format!("seq:{}", seqs[mark])).expect("the commit is there");
        // Git's commits without parents have the root of the store as theirs.
        let own = view.commit().parents.iter().filter(|p| p.seq != withy::Seq::ROOT).count();
        assert_eq!(own.to_string(), parents, "number of parents of {mark}");
        let (count, sum) = listing(&view);
        assert_eq!((count.to_string().as_str(), sum.as_str()), (files, hash), "listing at {mark}");
        assert_eq!(view.len(), count, "the count that the commit knows, at {mark}");
        checked += 1;
    }
    assert_eq!(checked, 132, "the whole sample");
}

#[test]
fn cli_5_real_history_is_imported_read_exported_and_read_by_git() {
    let Some((stream, sample)) = data() else { return };
    let mut store = Scratch::new();
    let mut marks = Vec::new();
    let (done, took) = timed(|| {
        import_git(&store, &stream[..], GitImportOptions::default().marks(&mut marks))
            .unwrap_or_else(|e| panic!("the history is taken: {e:?}"))
    });
    assert_eq!((done.commits, done.merges, done.branches), (5_268, 602, 1_964));
    assert!(done.notes.is_empty(), "everything is kept: {:?}", done.notes);
    assert!(took < Duration::from_secs(20), "imported in {took:?}, the limit is 20 s");
    let marks = String::from_utf8(marks).expect("text");
    store.reopen();
    check_sample(&store, &marks, &sample);
    let exported = must_export(&store);
    let (Some(original), Some(copy)) = (Git::imported(&stream), Git::imported(&exported)) else {
        return;
    };
    let (want, got) = (original.refs(), copy.refs());
    assert_eq!(want.lines().count(), 1_964, "every branch is compared");
    let wrong: Vec<_> = want.lines().zip(got.lines()).filter(|(a, b)| a != b).take(3).collect();
    assert!(want == got, "every head has the commit and the tree of the original: {wrong:?}");
}
