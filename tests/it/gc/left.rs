//! What is on disk once nothing is pinned: every row of every family is named by what needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::raw::raw_rows;

/// Reads all rows of a closed store that has one branch, keeps one commit of it, and has nothing under
/// way; fails at the first one that nothing needs. `keys` are those that the branch has, `replaced` those
/// that its newest commit has replaced or deleted, `head` is that commit.
pub(super) fn must_need_all(
    store: &Path,
    (keys, replaced): (&BTreeSet<Vec<u8>>, &BTreeSet<Vec<u8>>),
    head: u64,
) {
    let rows = raw_rows(store);
    let mut named = Vec::new();
    let mut lines = BTreeSet::from([0]);
    let mut seen = BTreeSet::new();
    for ((family, key), row) in &rows {
        let what = format!("{family} {}: {}", key.escape_ascii(), row.escape_ascii());
        match *family {
            "head" => {
                // A tag, the sequence, and the value or its hash; of a deletion there is no need.
                assert_ne!(row[0] & 0x0f, 0, "nothing is below: no deletion is needed: {what}");
                assert!(keys.contains(&key[8..]), "the branch has the key: {what}");
                assert!(seen.insert(key[8..].to_vec()), "a key has one newest version: {what}");
                lines.insert(number(key));
                named.push(row.clone());
            }
            "history" => {
                let user = &key[8..key.len() - 10];
                assert!(replaced.contains(user), "the commit that is kept replaced it: {what}");
                named.push(row.clone());
            }
            "log" => {
                let is_kept = [0, head].contains(&number(key));
                assert!(is_kept, "only the root and the head are kept: {what}");
            }
            "state" => assert_eq!(key.as_slice(), b"u", "nothing is under way: {what}"),
            "meta" => {
                let under_way = [b"collect".as_slice(), b"import", b"purge"];
                let left = under_way.contains(&key.as_slice()) || key.starts_with(b"unfinished/");
                assert!(!left, "no work is under way: {what}");
            }
            _ => {}
        }
    }
    assert_eq!(seen.len(), keys.len(), "every key of the branch has a row");
    check_values(&rows, &named);
    check_refs(&rows, &lines, head);
}

/// Every large value is named by a row.
fn check_values(rows: &BTreeMap<(&'static str, Vec<u8>), Vec<u8>>, named: &[Vec<u8>]) {
    let hashes: BTreeSet<&[u8]> = named.iter().flat_map(|row| row.windows(32)).collect();
    for (_, key) in rows.keys().filter(|(family, _)| *family == "blob") {
        let is_named = key.get(..32).is_some_and(|hash| hashes.contains(hash));
        assert!(is_named, "a row names the large value {}", key.escape_ascii());
    }
}

/// One branch, no tag, no read layer; lines, pins and indexes of what is kept only.
fn check_refs(rows: &BTreeMap<(&'static str, Vec<u8>), Vec<u8>>, lines: &BTreeSet<u64>, head: u64) {
    let mut branches = 0;
    let mut operations = 0;
    for ((_, key), row) in rows.iter().filter(|((family, _), _)| *family == "refs") {
        let what = format!("{}: {}", key.escape_ascii(), row.escape_ascii());
        let rest = &key[1..];
        match key[0] {
            b'b' => branches += 1,
            b'l' | b'g' => {
                assert!(lines.contains(&number(rest)), "rows of the line are left: {what}");
            }
            b'x' => {
                let of = (number(rest), number(&rest[8..]));
                assert!(lines.contains(&of.0), "rows of the line are left: {what}");
            }
            // Blocks are named by the last commit that was in them.
            b'i' => assert!(number(rest) <= head, "a block of commits: {what}"),
            b'p' => assert!([0, head].contains(&number(rest)), "what it pins is kept: {what}"),
            b'o' => operations += 1,
            kind => panic!("nothing needs a row of kind {}: {what}", kind.escape_ascii()),
        }
    }
    assert_eq!(branches, 1, "there is one branch");
    assert!(operations <= 1, "operations that cannot be undone are gone: {operations} are left");
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("eight bytes"))
}
