//! Each kind of damage, done to the rows of a closed store: it is found, named, and so is what it touches.

use withy::{Check, Seq, ValueHash};

use super::world::{World, copy, world};
use super::{Case, told, verify_at};
use crate::support::raw::Raw;

fn head(line: u64, key: &str) -> Vec<u8> {
    [&line.to_be_bytes(), key.as_bytes()].concat()
}

fn old(line: u64, key: &str, seq: u64) -> Vec<u8> {
    [&line.to_be_bytes(), key.as_bytes(), &[0, 0], &(u64::MAX - seq).to_be_bytes()].concat()
}

fn log(seq: Seq) -> Vec<u8> {
    [&seq.get().to_be_bytes()[..], &[0; 4]].concat()
}

/// Changes one letter of a text in a row.
fn misspell(raw: &Raw, family: &str, key: &[u8], text: &[u8]) {
    raw.edit(family, key, |row| {
        let at = row.windows(text.len()).position(|w| w == text).expect("the text is in the row");
        row[at] ^= 1;
    });
}

fn first(raw: &Raw, family: &str, prefix: &[u8]) -> Vec<u8> {
    raw.keys(family, prefix).into_iter().next().expect("there is a row of the kind")
}

/// The blob of the value `large large ...`.
fn large() -> ValueHash {
    ValueHash::of("large ".repeat(40).as_bytes())
}

/// In the bytes of a header: the count that follows the fingerprint, which is the number of keys.
fn keys_at(row: &[u8], store: &World) -> usize {
    let fingerprint = store.fingerprint;
    row.windows(32).position(|w| w == fingerprint).expect("it has its fingerprint") + 32
}

type Harm = fn(&Raw, &World);

#[rustfmt::skip]
const CASES: &[Case<Harm>] = &[
    Case { name: "a value is another one", check: Check::Rows, invariant: 60, says: "is not what the commit says", touches: &["main", "topic", "v1"],
        damage: |raw, w| misspell(raw, "history", &old(0, "pear", w.green.get()), b"green") },
    Case { name: "a row of head is missing", check: Check::Rows, invariant: 60, says: "is missing", touches: &["main", "deep7"],
        damage: |raw, _| raw.delete("head", &head(0, "fig")) },
    Case { name: "an old version is missing", check: Check::Rows, invariant: 60, says: "is missing", touches: &["main", "v1"],
        damage: |raw, w| raw.delete("history", &old(0, "pear", w.green.get())) },
    Case { name: "a row of a child is missing", check: Check::Rows, invariant: 60, says: "is missing", touches: &["topic"],
        damage: |raw, w| raw.delete("head", &head(w.topic_line, "plum")) },
    Case { name: "a row of a bulk load is missing", check: Check::Rows, invariant: 60, says: "is missing", touches: &["loaded"],
        damage: |raw, w| raw.delete("head", &head(w.loaded_line, "row/00077")) },
    Case { name: "a row is there that nobody wrote", check: Check::Rows, invariant: 60, says: "did not write", touches: &["main"],
        damage: |raw, _| raw.put("head", &head(0, "stray"), b"\x11\0\0\0\0\0\0\0\x02x") },
    Case { name: "a deletion has become a value", check: Check::Rows, invariant: 60, says: "is not what the commit says", touches: &["main"],
        damage: |raw, _| raw.edit("head", &head(0, "apple"), |row| row[0] = 0x11) },
    Case { name: "history without head", check: Check::Rows, invariant: 10, says: "no row of head", touches: &["main"],
        damage: |raw, _| raw.delete("head", &head(0, "pear")) },
    Case { name: "rows of no line", check: Check::Rows, invariant: 64, says: "which is not there", touches: &[],
        damage: |raw, _| raw.put("head", &head(9_999, "x"), b"\x11\0\0\0\0\0\0\0\x02x") },
    Case { name: "an unknown kind of row", check: Check::Form, invariant: 59, says: "does not decode", touches: &[],
        damage: |raw, _| raw.edit("head", &head(0, "plum"), |row| row[0] = 0x27) },
    Case { name: "an unknown row of refs", check: Check::Form, invariant: 59, says: "nobody knows", touches: &[],
        damage: |raw, _| raw.put("refs", b"?what", b"") },
    Case { name: "an unknown row of state", check: Check::Form, invariant: 59, says: "nobody knows", touches: &[],
        damage: |raw, _| raw.put("state", b"?what", b"") },
    Case { name: "an unknown row of meta", check: Check::Meta, invariant: 59, says: "nobody knows", touches: &[],
        damage: |raw, _| raw.put("meta", b"what", b"") },
    Case { name: "a commit is missing", check: Check::Log, invariant: 1, says: "is missing from the log", touches: &[],
        damage: |raw, w| raw.delete("log", &log(w.yellow)) },
    Case { name: "a message has changed", check: Check::Log, invariant: 7, says: "another id", touches: &["main", "v1"],
        damage: |raw, w| misspell(raw, "log", &log(Seq::new(w.green.get() + 1)), b"fruit") },
    Case { name: "a header does not decode", check: Check::Form, invariant: 59, says: "does not decode", touches: &[],
        damage: |raw, w| raw.edit("log", &log(w.yellow), |row| row[4] ^= 0x40) },
    Case { name: "a changed fingerprint", check: Check::Content, invariant: 6, says: "another fingerprint", touches: &["main"],
        damage: |raw, w| misspell(raw, "log", &log(w.counted), &w.fingerprint) },
    Case { name: "a changed number of keys", check: Check::Content, invariant: 6, says: "counts", touches: &["main"],
        damage: |raw, w| raw.edit("log", &log(w.counted), |row| { let at = keys_at(row, w); row[at] += 1; }) },
    Case { name: "a changed number of rows", check: Check::Content, invariant: 66, says: "rows", touches: &["main"],
        damage: |raw, w| raw.edit("log", &log(w.counted), |row| { let at = keys_at(row, w); row[at + 1] -= 1; }) },
    Case { name: "a part of a bulk load is missing", check: Check::Log, invariant: 61, says: "parts, of which 0", touches: &["loaded"],
        damage: |raw, _| { let key = first(raw, "log", &[0xFF, 0]); raw.delete("log", &key) } },
    Case { name: "a part that belongs to nobody", check: Check::Log, invariant: 61, says: "belong to no commit", touches: &[],
        damage: |raw, _| raw.put("log", &[&[0xFF][..], &0u64.to_be_bytes(), &[0; 4]].concat(), b"\x01") },
    Case { name: "details of a merge are gone", check: Check::Merges, invariant: 33, says: "is missing", touches: &["main"],
        damage: |raw, _| { let key = first(raw, "log", &[0xFF, 0xFF]); raw.delete("log", &key) } },
    Case { name: "details of a merge have changed", check: Check::Merges, invariant: 33, says: "do not hash", touches: &["main"],
        damage: |raw, _| { let key = first(raw, "log", &[0xFF, 0xFF]); misspell(raw, "log", &key, b"pear") } },
    Case { name: "what was merged is forgotten", check: Check::Merges, invariant: 32, says: "more than one parent", touches: &["main"],
        damage: |raw, _| { let key = first(raw, "refs", b"m"); raw.delete("refs", &key) } },
    Case { name: "a large value is missing", check: Check::Blobs, invariant: 14, says: "that it names is", touches: &["main", "v1"],
        damage: |raw, _| for kind in [0, 1] { raw.delete("blob", &[&large().as_bytes()[..], &[kind]].concat()) } },
    Case { name: "a large value has changed", check: Check::Blobs, invariant: 62, says: "another content", touches: &[],
        damage: |raw, _| misspell(raw, "blob", &[&large().as_bytes()[..], &[1]].concat(), b"large") },
    Case { name: "who names a changed value is named", check: Check::Blobs, invariant: 14, says: "is damaged", touches: &["main", "topic", "v1"],
        damage: |raw, _| misspell(raw, "blob", &[&large().as_bytes()[..], &[1]].concat(), b"large") },
    Case { name: "a large value without a length", check: Check::Blobs, invariant: 62, says: "no length", touches: &[],
        damage: |raw, _| raw.delete("blob", &[&large().as_bytes()[..], &[0]].concat()) },
    Case { name: "a branch on a line that is not there", check: Check::Refs, invariant: 64, says: "which is not there", touches: &["topic"],
        damage: |raw, _| raw.edit("refs", b"btopic", |row| row[1] = 200) },
    Case { name: "two branches on a line", check: Check::Refs, invariant: 9, says: "are both on line", touches: &["twin"],
        damage: |raw, _| { let row = raw.get("refs", b"btopic"); raw.put("refs", b"btwin", &row) } },
    Case { name: "no main", check: Check::Refs, invariant: 16, says: "no branch main", touches: &[],
        damage: |raw, _| raw.delete("refs", b"bmain") },
    Case { name: "the active branch is gone", check: Check::Refs, invariant: 16, says: "active branch", touches: &[],
        damage: |raw, _| raw.put("meta", b"active", b"\x01\x04none") },
    Case { name: "a tag at a commit of another line", check: Check::Refs, invariant: 64, says: "tag v1", touches: &["v1"],
        damage: |raw, w| raw.edit("refs", b"tv1", |row| row[1] = u8::try_from(w.topic_line).expect("small")) },
    Case { name: "the pin of a tag is missing", check: Check::Pins, invariant: 17, says: "tag v1", touches: &["v1"],
        damage: |raw, _| { let key = raw.keys("refs", b"p").into_iter().find(|k| k[9] == b't').expect("a pin"); raw.delete("refs", &key) } },
    Case { name: "the pin of a fork is missing", check: Check::Pins, invariant: 17, says: "the fork of line", touches: &["topic"],
        damage: |raw, w| { let owner = w.topic_line.to_be_bytes(); let key = raw.keys("refs", b"p").into_iter().find(|k| k[9] == b'l' && k[10..] == owner).expect("a pin"); raw.delete("refs", &key) } },
    Case { name: "the pin of an open merge is missing", check: Check::Pins, invariant: 17, says: "open on main", touches: &["main"],
        damage: |raw, _| { let key = raw.keys("refs", b"p").into_iter().find(|k| k[9] == b'm').expect("a pin"); raw.delete("refs", &key) } },
    Case { name: "a pin that belongs to nobody", check: Check::Pins, invariant: 17, says: "belongs to nobody", touches: &[],
        damage: |raw, _| raw.put("refs", b"p\0\0\0\0\0\0\0\x02tgone", b"") },
    Case { name: "a line is missing", check: Check::Refs, invariant: 64, says: "which is not there", touches: &["topic"],
        damage: |raw, w| raw.delete("refs", &[b"l", &w.topic_line.to_be_bytes()[..]].concat()) },
    Case { name: "a line has lost its layers", check: Check::Lines, invariant: 13, says: "has no layers", touches: &["topic"],
        damage: |raw, w| raw.edit("refs", &[b"l", &w.topic_line.to_be_bytes()[..]].concat(), |row| { let end = row.len(); row.truncate(end - 4); row.extend([0, 0]) }) },
    Case { name: "a read layer has lost a row", check: Check::Lines, invariant: 13, says: "read layer", touches: &["deep7"],
        damage: |raw, w| { let key = first(raw, "head", &w.layer_line.to_be_bytes()); raw.delete("head", &key) } },
    Case { name: "a row of a read layer has changed", check: Check::Lines, invariant: 13, says: "shows something else", touches: &["deep7"],
        damage: |raw, w| raw.edit("head", &head(w.layer_line, "pear"), |row| { let end = row.len() - 1; row[end] ^= 1 }) },
    Case { name: "an index block is missing", check: Check::Index, invariant: 63, says: "has 0 commits", touches: &["busy"],
        damage: |raw, w| for key in raw.keys("refs", &[b"x", &w.busy_line.to_be_bytes()[..]].concat()) { raw.delete("refs", &key) } },
    Case { name: "a block of ids is missing", check: Check::Index, invariant: 63, says: "index of ids ends", touches: &[],
        damage: |raw, _| for key in raw.keys("refs", b"i") { raw.delete("refs", &key) } },
    Case { name: "an id in the index has changed", check: Check::Index, invariant: 63, says: "is not what their ids are", touches: &[],
        damage: |raw, _| { let key = first(raw, "refs", b"i"); raw.edit("refs", &key, |row| row[6] ^= 1) } },
    Case { name: "a step of the operation log is missing", check: Check::Operations, invariant: 20, says: "is missing from the operation log", touches: &[],
        damage: |raw, _| { let keys = raw.keys("refs", b"o"); let two = keys.iter().find(|k| k[16] == 2).expect("two steps").clone(); let mut one = two; one[16] = 1; raw.delete("refs", &one) } },
    Case { name: "a conflict without its merge", check: Check::State, invariant: 35, says: "no open merge", touches: &["main"],
        damage: |raw, _| raw.delete("state", b"mmain") },
    Case { name: "a row of a prepared transaction is missing", check: Check::State, invariant: 46, says: "of which", touches: &[],
        damage: |raw, _| { let key = first(raw, "state", b"w"); raw.delete("state", &key) } },
    Case { name: "rows of a prepared transaction that is not there", check: Check::State, invariant: 65, says: "which is not there", touches: &[],
        damage: |raw, _| raw.delete("state", b"pg1") },
    Case { name: "attempts for no message", check: Check::State, invariant: 65, says: "attempts are noted", touches: &[],
        damage: |raw, _| { let mut key = first(raw, "state", b"om"); key[1] = b'a'; key[3] ^= 1; raw.put("state", &key, b"\x01\x00\x00\x00\x00\x00\x00") } },
    Case { name: "a message of a commit that is not there", check: Check::State, invariant: 65, says: "which is not there", touches: &[],
        damage: |raw, _| { let mut key = first(raw, "state", b"om"); let row = raw.get("state", &key); let end = key.len(); key[end - 8] = 1; raw.put("state", &key, &row) } },
    Case { name: "the format is gone", check: Check::Meta, invariant: 59, says: "is missing", touches: &[],
        damage: |raw, _| raw.delete("meta", b"format") },
];

#[test]
fn ops_6_each_kind_of_damage_is_found_and_named_with_what_it_touches() {
    let mut failures = String::new();
    for case in CASES {
        let (_dir, path) = copy();
        let raw = Raw::open(&path);
        (case.damage)(&raw, world());
        drop(raw);
        let report = verify_at(&path);
        failures.extend(case.missed(&report));
    }
    assert!(failures.is_empty(), "damage is named:\n{failures}");
}

#[test]
fn ops_6_one_wrong_value_is_one_finding_and_touches_only_who_reads_it() {
    let (_dir, path) = copy();
    let raw = Raw::open(&path);
    misspell(&raw, "head", &head(world().topic_line, "plum"), b"violet");
    drop(raw);
    let report = verify_at(&path);
    assert_eq!(report.found, 1, "one fault, one finding:\n{}", told(&report.findings));
    let finding = &report.findings[0];
    assert_eq!(finding.key.as_deref(), Some(&b"plum"[..]), "the key is named");
    assert_eq!(finding.seq, Some(world().topic), "and the commit that wrote it");
    assert_eq!((finding.branches.as_slice(), finding.tags.len()), (&["topic".to_owned()][..], 0));
}
