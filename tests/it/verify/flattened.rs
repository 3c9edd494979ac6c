//! Lines that were flattened, and what is left of those below: whole ones are clean, and damage is found and named.

use withy::{Check, DeleteOptions, GcOptions, Setting};

use super::{Case, told, verify_at};
use crate::support::raw::Raw;
use crate::support::{Scratch, must_branch, must_put, must_write, rows};

/// Line 1 was written by commit 1, and nothing is left of it. Branch `now` is on line 2, which forks from there, and has
/// replaced all keys but `y` and `z` by commit 2; commit 3 is kept. Line 4 is what it is read through, and `later`
/// is a branch on line 3, from commit 3 on.
fn flattened() -> Scratch {
    let mut store = Scratch::new();
    store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
    store.set_config(Setting::Retention, Some("count=1")).expect("a setting");
    let old = must_branch(&store, "old", "main");
    let keys = ["a", "b", "c", "d", "e", "f", "y", "z"];
    let first: Vec<_> = keys.iter().map(|key| (*key, Some("old"))).collect();
    must_write(&old, "first", &first);
    let now = must_branch(&store, "now", "old");
    store.delete_branch("old", DeleteOptions::default().force(true)).expect("it goes");
    let next: Vec<_> = keys[..6].iter().map(|key| (*key, Some("new"))).collect();
    must_write(&now, "next", &next);
    must_put(&now, "a", "newer");
    let later = must_branch(&store, "later", "now");
    must_put(&later, "b", "later");
    store.gc(GcOptions::default()).expect("a collection");
    let shown: Vec<_> = rows(&now).into_iter().map(|(key, value)| key + "=" + &value).collect();
    assert_eq!(shown, ["a=newer", "b=new", "c=new", "d=new", "e=new", "f=new", "y=old", "z=old"]);
    drop((old, now, later));
    store.close();
    store
}

fn line(line: u8) -> [u8; 9] {
    [b'l', 0, 0, 0, 0, 0, 0, 0, line]
}

fn head(line: u8, key: &str) -> Vec<u8> {
    [&[0, 0, 0, 0, 0, 0, 0, line], key.as_bytes()].concat()
}

/// Line 2 and its layer, as they are, but for the layers.
fn edit_layers(raw: &Raw, id: u8, layers: &[u8]) {
    raw.edit("refs", &line(id), |row| {
        let fork = if id == 2 { [1, 1] } else { [2, 3] };
        assert_eq!(row[..4], [1, 1, fork[0], fork[1]], "what was written of line {id}");
        row.truncate(4);
        row.extend_from_slice(layers);
        row.push(0);
    });
}

#[rustfmt::skip]
const CASES: &[Case<fn(&Raw)>] = &[
    Case { name: "a row of the layer is missing", check: Check::Lines, invariant: 13, says: "read layer 4 has 1 rows, and should have 2", touches: &["now", "later"],
        damage: |raw| raw.delete("head", &head(4, "y")) },
    Case { name: "a row of the layer has changed", check: Check::Content, invariant: 6, says: "another content", touches: &["now"],
        damage: |raw| raw.edit("head", &head(4, "y"), |row| { let end = row.len() - 1; row[end] ^= 1 }) },
    Case { name: "the layer is not named", check: Check::Lines, invariant: 11, says: "said to be gone", touches: &["now"],
        damage: |raw| edit_layers(raw, 2, &[0]) },
    Case { name: "the layer is used from a commit on below which the line is read", check: Check::Lines, invariant: 13, says: "is read below it", touches: &["now"],
        damage: |raw| edit_layers(raw, 2, &[1, 4, 3]) },
    Case { name: "another branch does not read the layer", check: Check::Lines, invariant: 13, says: "is not read through line 4", touches: &["later"],
        damage: |raw| edit_layers(raw, 3, &[1, 2, 3]) },
    Case { name: "another branch reads it where it was not", check: Check::Lines, invariant: 13, says: "which is not what its fork shows", touches: &["later"],
        damage: |raw| edit_layers(raw, 3, &[2, 2, 3, 1, 1]) },
    Case { name: "what was let go is said to be there", check: Check::Log, invariant: 1, says: "commit 1 of line 1 is missing", touches: &["now"],
        damage: |raw| raw.delete("refs", &[b'g', 0, 0, 0, 0, 0, 0, 0, 1]) },
    Case { name: "what the line hides is said to be read", check: Check::Lines, invariant: 13, says: "is read below it", touches: &["now"],
        damage: |raw| raw.delete("refs", &[b'g', 0, 0, 0, 0, 0, 0, 0, 2]) },
    Case { name: "the line below is not there", check: Check::Lines, invariant: 64, says: "which is not there", touches: &["now"],
        damage: |raw| raw.delete("refs", &line(1)) },
];

#[test]
fn ops_6_damage_to_a_line_that_was_flattened_is_found_and_named() {
    let store = flattened();
    let clean = verify_at(&store.path());
    assert!(clean.is_clean(), "nothing is wrong:\n{}", told(&clean.findings));
    assert_eq!(clean.commits, 3, "that of now, that of later, and the root");
    let mut failures = String::new();
    for case in CASES {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let path = dir.path().join("store");
        super::collected::copy(&store.path(), &path);
        let raw = Raw::open(&path);
        (case.damage)(&raw);
        drop(raw);
        failures.extend(case.missed(&verify_at(&path)));
    }
    assert!(failures.is_empty(), "damage is named:\n{failures}");
}
