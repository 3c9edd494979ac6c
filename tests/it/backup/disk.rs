//! Full disks: of the backup, and of the target of a restore.

use withy::{Backups, ErrorKind, Read};

use super::{Content, open};
use crate::full_disk::SmallDisk;
use crate::support::must_fail;

#[test]
fn ops_3_a_full_disk_ends_a_backup_or_restore_and_the_next_run_goes_on() {
    let Some(small) = SmallDisk::mount(8) else { return };
    let dir = tempfile::tempdir().expect("a scratch directory");
    let store = open(&dir.path().join("store"));
    let main = store.main().expect("main");
    for n in 0..12 {
        main.put(format!("large/{n}"), super::noise(n, 1 << 20)).expect("it is written");
    }
    let away = small.store();
    let full = must_fail(store.back_up(&away, Default::default()), ErrorKind::Io);
    assert!(full.to_string().ends_with("no space left on the disk"), "it says so: {full}");
    assert!(full.hint().is_some_and(|hint| hint.contains("next run")), "and what to do");
    assert_eq!(main.prefix(b"large/").expect("a scan").count(), 12, "the store goes on");
    main.put("pear", "green").expect("for writing, too");
    let backups = Backups::open(&away).expect("the backup");
    assert_eq!(backups.list().expect("a list").len(), 0, "there is no half snapshot");
    let report = backups.verify(Default::default()).expect("a report");
    assert!(report.unnamed > 0, "what was copied is kept: {report:?}");
    small.grow(64);
    let made = store.back_up(&away, Default::default()).expect("with space it works");
    assert!(made.bytes_written < made.info.bytes, "and uses what was copied");
    let backups = Backups::open(&away).expect("the backup");
    assert_eq!(backups.verify(Default::default()).expect("a report").faults, [], "it is whole");

    let Some(tiny) = SmallDisk::mount(6) else { return };
    let full = must_fail(backups.restore(tiny.store(), Default::default()), ErrorKind::Io);
    assert!(full.to_string().ends_with("no space left on the disk"), "it says so: {full}");
    tiny.grow(64);
    backups.restore(tiny.store(), Default::default()).expect("with space it goes on");
    assert_eq!(Content::at(&tiny.store()), Content::of(&store), "and is whole");

    let Some(tiny) = SmallDisk::mount(6) else { return };
    let full = store.checkpoint(tiny.store(), Default::default());
    must_fail(full, ErrorKind::Io);
    assert!(!tiny.store().exists(), "there is no half checkpoint");
    tiny.grow(64);
    store.checkpoint(tiny.store(), Default::default()).expect("with space it works");
    assert_eq!(Content::at(&tiny.store()), Content::of(&store), "and is whole");
}
