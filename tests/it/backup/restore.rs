//! Restores that are interrupted, and targets that are in use.

use std::fs;
use std::ops::ControlFlow;

use withy::{Backups, Create, ErrorKind, RestoreOptions, Store};

use super::{Content, grow, open, tree};
use crate::support::must_fail;

#[test]
fn ops_5_an_interrupted_restore_goes_on() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let (away, target) = (dir.path().join("backup"), dir.path().join("again"));
    let store = open(&dir.path().join("store"));
    grow(&store, 1);
    store.compact().expect("sorted files");
    store.back_up(&away, Default::default()).expect("a backup");
    let first = Content::of(&store);
    grow(&store, 2);
    store.compact().expect("files are replaced");
    store.back_up(&away, Default::default()).expect("a backup");
    let backups = Backups::open(&away).expect("the backup");
    let stop_after = |files: u64, snapshot| {
        RestoreOptions::default().snapshot(snapshot).progress(move |so_far| {
            let enough = so_far.stage == "restore" && so_far.items == files;
            if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let stopped = must_fail(backups.restore(&target, stop_after(3, 2)), ErrorKind::Interrupted);
    assert_eq!(
        stopped.to_string(),
        "interrupted, the target is no store yet; a restore to it goes on"
    );
    let refused = must_fail(
        Store::options().create(Create::IfMissing).open(&target),
        ErrorKind::Incompatible,
    );
    assert_eq!(
        refused.hint(),
        Some("a restore to it was interrupted: run it again, and it goes on"),
        "nobody takes it for a store, or for a place to make one"
    );
    let done: Vec<_> = tree(&target).into_keys().filter(|name| name != "withy.restore").collect();
    let written = |name: &String| fs::metadata(target.join(name)).and_then(|m| m.modified()).ok();
    let before: Vec<_> = done.iter().map(written).collect();
    must_fail(backups.restore(&target, stop_after(6, 2)), ErrorKind::Interrupted);
    assert_eq!(done.iter().map(written).collect::<Vec<_>>(), before, "whole files are not written");
    // The first of them is damaged meanwhile, and another snapshot is wanted after all.
    let torn = target.join(&done[0]);
    let mut bytes = fs::read(&torn).expect("it is read");
    bytes[10] ^= 1;
    fs::write(&torn, bytes).expect("it is damaged");
    let restored = backups.restore(&target, RestoreOptions::default().snapshot(1));
    assert_eq!(restored.expect("it goes on").latest, first.latest);
    assert_eq!(Content::at(&target), first, "and is whole");
    assert!(!target.join("withy.restore").exists(), "the mark is gone");
    must_fail(backups.restore(&target, RestoreOptions::default()), ErrorKind::Exists);
}

#[test]
fn ops_5_a_restore_never_goes_over_what_is_there() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let away = dir.path().join("backup");
    let store = open(&dir.path().join("store"));
    grow(&store, 1);
    let none = Backups::open(&away).err().map(|e| e.kind());
    assert_eq!(none, Some(ErrorKind::NotFound), "there is none yet");
    store.back_up(&away, Default::default()).expect("a backup");
    let backups = Backups::open(&away).expect("the backup");
    let content = Content::of(&store);
    must_fail(backups.restore(store.path(), RestoreOptions::default()), ErrorKind::Exists);
    must_fail(backups.restore(&away, RestoreOptions::default()), ErrorKind::Exists);
    let full = dir.path().join("full");
    fs::create_dir(&full).expect("mkdir");
    fs::write(full.join("letter"), "x").expect("a file");
    must_fail(backups.restore(&full, RestoreOptions::default()), ErrorKind::Exists);
    fs::write(full.join("withy.restore"), "1 2026\n").expect("a file");
    must_fail(backups.restore(&full, RestoreOptions::default()), ErrorKind::Exists);
    assert!(full.join("letter").exists(), "what is not withy's is left alone");
    let absent = RestoreOptions::default().snapshot(7);
    must_fail(backups.restore(dir.path().join("again"), absent), ErrorKind::NotFound);
    assert!(!dir.path().join("again").exists(), "nothing was made");
    assert_eq!(Content::of(&store), content, "the store is as it was");
}
