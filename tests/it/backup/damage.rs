//! Damaged backups are named, and never restored.

use std::fs;
use std::path::{Path, PathBuf};

use withy::{Backups, ErrorKind, RestoreOptions, Store, VerifyBackupOptions};

use super::{Content, contents, grow, open, tree};
use crate::support::{is_long, must_fail};

struct Backup {
    dir: tempfile::TempDir,
    store: Store,
    content: Content,
}

impl Backup {
    /// Two snapshots: some contents are of both, some of one.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let store = open(&dir.path().join("store"));
        grow(&store, 1);
        store.compact().expect("sorted files");
        store.back_up(dir.path().join("backup"), Default::default()).expect("a backup");
        grow(&store, 2);
        store.back_up(dir.path().join("backup"), Default::default()).expect("a backup");
        let content = Content::of(&store);
        Self { dir, store, content }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    fn open(&self) -> Backups {
        Backups::open(self.path()).expect("the backup")
    }

    /// The faults that verify finds: path from the backup, what, and snapshots.
    fn faults(&self) -> Vec<(String, String, Vec<u64>)> {
        let report = self.open().verify(Default::default()).expect("a report");
        let name = |path: &Path| {
            path.strip_prefix(self.path()).expect("below").to_string_lossy().into_owned()
        };
        report.faults.into_iter().map(|f| (name(&f.path), f.what, f.snapshots)).collect()
    }

    /// Restores of these snapshots are refused, naming the file, and make no store.
    fn must_refuse(&self, snapshots: &[u64], file: &str) {
        let target = self.dir.path().join("again");
        for &number in snapshots {
            let options = RestoreOptions::default().snapshot(number);
            let refused = must_fail(self.open().restore(&target, options), ErrorKind::Corrupt);
            assert!(format!("{refused:?}").contains(file), "{file} is named: {refused:?}");
            assert!(!target.join("withy.store").exists(), "it is no store");
            let _ = fs::remove_dir_all(&target);
        }
    }
}

#[test]
fn ops_5_any_flipped_bit_of_a_content_is_named_and_refused() {
    let backup = Backup::new();
    let mut random = fastrand::Rng::with_seed(55);
    let long = is_long();
    let names: Vec<String> = contents(&backup.path()).into_keys().collect();
    for round in 0..if long { 500 } else { 40 } {
        let name = format!("files/{}", names[random.usize(..names.len())]);
        let path = backup.path().join(&name);
        let whole = fs::read(&path).expect("it is read");
        let mut damaged = whole.clone();
        damaged[random.usize(..whole.len())] ^= 1 << random.u32(0..8);
        fs::write(&path, &damaged).expect("it is damaged");
        let faults = backup.faults();
        assert_eq!(faults.len(), 1, "round {round}: one file is damaged: {faults:?}");
        assert_eq!(
            (&faults[0].0, faults[0].1.as_str()),
            (&name, "its bytes are not what they were")
        );
        if round < 6 {
            backup.must_refuse(&faults[0].2, &name);
        }
        fs::write(&path, &whole).expect("it is mended");
    }
    assert_eq!(backup.faults(), [], "mended, all is well");
}

#[test]
fn ops_5_what_is_missing_or_cut_is_named_and_refused() {
    let backup = Backup::new();
    for name in contents(&backup.path()).into_keys().step_by(3) {
        let name = format!("files/{name}");
        let path = backup.path().join(&name);
        let whole = fs::read(&path).expect("it is read");
        fs::write(&path, &whole[..whole.len() - 1]).expect("it is cut");
        let faults = backup.faults();
        let cut = format!("it has {} bytes, and had {}", whole.len() - 1, whole.len());
        assert_eq!((&faults[0].0, &faults[0].1), (&name, &cut), "it is named");
        assert!(!path.exists(), "and moved aside");
        let faults = backup.faults();
        assert_eq!((&faults[0].0, faults[0].1.as_str()), (&name, "it is missing"), "it is named");
        backup.must_refuse(&faults[0].2, &name);
        fs::write(&path, &whole).expect("it is mended");
    }
}

#[test]
fn ops_5_a_content_that_was_removed_comes_back_with_the_next_backup() {
    let backup = Backup::new();
    for name in contents(&backup.path()).into_keys() {
        fs::remove_file(backup.path().join("files").join(name)).expect("it is removed");
    }
    backup.store.back_up(backup.path(), Default::default()).expect("a backup");
    let report = backup.open().verify(VerifyBackupOptions::default().snapshot(3));
    assert_eq!(report.expect("a report").faults, [], "nothing is taken for granted");
    let target = backup.dir.path().join("again");
    backup.open().restore(&target, Default::default()).expect("it is restored");
    assert_eq!(Content::at(&target), backup.content, "and is what the store is");
}

#[test]
fn ops_5_a_damaged_content_is_moved_aside_and_comes_back_with_the_next_backup() {
    let backup = Backup::new();
    let before = contents(&backup.path());
    for name in before.keys() {
        let path = backup.path().join("files").join(name);
        let mut bytes = fs::read(&path).expect("it is read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("it is damaged");
    }
    let faults = backup.open().verify(Default::default()).expect("a report").faults;
    assert_eq!(faults.len(), before.len(), "all are damaged");
    for fault in &faults {
        let aside = fault.moved_to.as_ref().expect("it is moved");
        assert!(aside.exists() && !fault.path.exists(), "it is under the name that is told");
        assert!(aside.to_string_lossy().ends_with(".damaged"), "and cannot be mistaken");
    }
    backup.open().prune(Default::default()).expect("it is pruned");
    assert!(faults[0].moved_to.as_ref().is_some_and(|p| p.exists()), "it stays while it is needed");
    backup.store.back_up(backup.path(), Default::default()).expect("a backup");
    let report = backup.open().verify(VerifyBackupOptions::default().snapshot(3));
    assert_eq!(report.expect("a report").faults, [], "the new snapshot has inherited nothing");
    let target = backup.dir.path().join("again");
    backup.open().restore(&target, Default::default()).expect("it is restored");
    assert_eq!(Content::at(&target), backup.content, "and is what the store is");
    let whole = faults.iter().filter(|f| f.path.exists()).count();
    let pruned = backup.open().prune(Default::default()).expect("it is pruned");
    assert_eq!(pruned.contents, whole as u64, "what has a whole one in its place is not needed");
}

#[test]
fn ops_5_nothing_is_moved_aside_while_a_snapshot_is_added() {
    let backup = Backup::new();
    let name = contents(&backup.path()).into_keys().next().expect("a content");
    let path = backup.path().join("files").join(name);
    fs::write(&path, "nonsense").expect("it is damaged");
    let mut found = None;
    let options = withy::BackupOptions::default().progress(|_| {
        if found.is_none() {
            found = Some(backup.open().verify(Default::default()).expect("a report").faults);
            assert!(path.exists(), "it may be counted on");
        }
        std::ops::ControlFlow::Continue(())
    });
    backup.store.back_up(backup.path(), options).expect("a backup");
    let found = found.expect("it was verified meanwhile");
    assert_eq!((found.len(), &found[0].moved_to), (1, &None), "it is named, and stays");
}

#[test]
fn ops_5_hostile_records_of_snapshots_are_named_and_lead_nowhere() {
    let backup = Backup::new();
    let path = backup.path().join("snapshots/00000002");
    let whole = fs::read(&path).expect("it is read");
    let mut random = fastrand::Rng::with_seed(56);
    let before = contents(&backup.path());
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 4 {
            0 => bytes.truncate(random.usize(..whole.len())),
            1 => bytes.push(random.u8(..)),
            2 => bytes = super::noise(round, 300),
            _ => bytes[random.usize(..whole.len())] ^= 1 << random.u32(0..8),
        }
        fs::write(&path, &bytes).expect("it is damaged");
        let faults = backup.faults();
        assert_eq!((faults[0].0.as_str(), &faults[0].2[..]), ("snapshots/00000002", &[2][..]));
        let target = backup.dir.path().join("again");
        must_fail(backup.open().restore(&target, Default::default()), ErrorKind::Corrupt);
        assert!(!target.exists(), "nothing was made");
        let refused = must_fail(backup.open().prune(Default::default()), ErrorKind::Corrupt);
        assert!(refused.to_string().contains("00000002"), "what it names is not known: {refused}");
        assert_eq!(contents(&backup.path()), before, "so nothing is removed");
    }
    assert_eq!(backup.open().list().expect("a list").len(), 1, "the other one is listed");
    assert_eq!(backup.open().damaged().expect("a list").len(), 1, "this one is told");
    // The record of another snapshot under this name.
    fs::copy(backup.path().join("snapshots/00000001"), &path).expect("it is copied");
    let faults = backup.faults();
    assert!(faults[0].1.contains("is the record of another snapshot"), "{faults:?}");
    let made = backup.store.back_up(backup.path(), Default::default()).expect("a backup");
    assert_eq!(made.info.number, 3, "a damaged record stays, and its number is not given again");
    fs::remove_file(&path).expect("it is given up");
    backup.open().prune(Default::default()).expect("it is pruned");
    assert_eq!(backup.faults(), [], "what is left is whole");
    assert!(tree(&backup.path()).contains_key("snapshots/00000003"), "with the new one");
}
