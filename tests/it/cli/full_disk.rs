//! A full disk: exit code 5, what went wrong and what to do, and the work is done once there is space.

use std::fs;

use super::Shell;
use crate::full_disk::SmallDisk;

/// Runs `withy` on the store of the small disk. Numbers of files vary, and are replaced.
const RUN: &str = r"withy --store disk/store --quiet $* 2> said
code=$?
sed -E 's/[0-9]+\.(log|sst|dbtmp)/N.\1/; s/-[0-9]{6}:/-N:/; s/[0-9]+ of [0-9]+ files/N of N files/; s/(files\/)[0-9a-f]*\/[0-9a-f]*/\1NAME/' said >&2
exit $code
";

/// A directory with a small disk that has a store with 6 MiB of large values.
fn small() -> Option<(Shell, SmallDisk)> {
    let shell = Shell::empty();
    fs::create_dir(shell.path().join("disk")).expect("mkdir");
    let disk = SmallDisk::mount_at(&shell.path().join("disk"), 32)?;
    fs::write(shell.path().join("run"), RUN).expect("a script");
    let mut random = fastrand::Rng::with_seed(9);
    let mut line =
        || -> String { std::iter::repeat_with(|| random.alphanumeric()).take(64).collect() };
    let lines: Vec<String> = std::iter::repeat_with(|| line() + "\n").take(32_000).collect();
    fs::write(shell.path().join("noise"), lines.concat()).expect("a file");
    shell.session(
        "
$ sh run init
$ for n in 1 2 3; do (cat noise; echo $n) | sh run put large/$n -; done
$ for n in 1 2 3; do sh run put n $n; done
",
    );
    Some((shell, disk))
}

#[test]
fn ops_3_a_put_on_a_full_disk_says_so() {
    let Some((shell, disk)) = small() else { return };
    disk.fill_up_to(512 << 10);
    shell.session(
        r#"
$ sh run put noise - < noise
! error: put noise: cannot write to the store: no space left on the disk: IO error: No space left on device: While appending to file: disk/store/N.log: No space left on device
! hint: free some space, then open the store again; what was committed is safe
[5]
$ sh run put n 4 && sh run get n
4%
$ sh run get noise
[1]
"#,
    );
    disk.fill_up_to(0);
    shell.session(
        r#"
$ sh run put n 5
! error: open the store disk/store: cannot open the database of the store: no space left on the disk: IO error: No space left on device: While appending to file: disk/store/N.sst: No space left on device
! hint: free some space, then open the store again; what was committed is safe
[5]
$ sh run get n
4%
$ rm disk/filler && sh run put noise - < noise && sh run get noise | cmp - noise
$ sh run verify
"#,
    );
}

#[test]
fn ops_3_an_import_on_a_full_disk_says_so() {
    let Some((shell, disk)) = small() else { return };
    disk.fill_up_to(512 << 10);
    shell.session(
        r#"
$ sed 's/.*/{"key":"row\/&","value":"&"}/' noise > rows.jsonl
$ sh run import rows.jsonl
! error: import rows.jsonl: cannot write a bulk load: no space left on the disk: IO error: No space left on device: While appending to file: disk/store/bulk/N.sst: No space left on device
! hint: free some space, then open the store again; what was committed is safe
[5]
$ ls disk/store | grep bulk
[1]
$ sh run scan --prefix row/
$ sh run put n 4
$ rm disk/filler && sh run import rows.jsonl && sh run scan --prefix row/ | wc -l | tr -d ' '
32000
$ sh run verify
"#,
    );
}

#[test]
fn ops_3_a_collection_and_a_purge_on_a_full_disk_say_so() {
    let Some((shell, disk)) = small() else { return };
    shell.session(
        "
$ sh run config retention count=1 && sh run config undo-age 0s && (cat noise; echo 4) | sh run put large/1 -
$ sh run put n 4
",
    );
    disk.fill_up_to(1 << 20);
    shell.session(
        r#"
$ sh run gc
! error: collect: cannot compact the store: N of N files could not be written anew
! hint: free some space on the disk, then do it again; nothing is lost
[5]
$ sh run get n
4%
$ rm disk/filler && sh run gc
$ sh run verify
"#,
    );
    disk.fill_up_to(1 << 20);
    shell.session(
        r#"
$ sh run purge large/2 --yes
! error: purge large/2: cannot compact the store: N of N files could not be written anew
! hint: free some space on the disk, then do it again; nothing is lost
[5]
$ sh run get large/2
[1]
$ sh run purge --list
1 TIME ada large/2: 1 version, 1 large value, under way
$ rm disk/filler && sh run put n 5
$ sh run purge --list
1 TIME ada large/2: 1 version, 1 large value
$ sh run verify
"#,
    );
}

#[test]
fn ops_3_copies_to_a_full_disk_say_so() {
    let Some((shell, disk)) = small() else { return };
    disk.fill_up_to(512 << 10);
    shell.session(
        r#"
$ sh run backup create disk/away
! error: back up the store to disk/away: cannot write to the backup disk/away/files/NAME: no space left on the disk: No space left on device (os error 28)
! hint: free some space and run it again: what was copied is used by the next run
[5]
$ sh run backup list disk/away
$ sh run export disk/out.jsonl
! error: export heads/main: cannot write the export, it is not complete: No space left on device (os error 28)
[5]
$ ls disk
away
filler
store
$ rm disk/filler && sh run backup create disk/away && sh run backup verify disk/away && sh run backup restore disk/away disk/again
$ sh run export disk/out.jsonl && withy --store disk/again export - --format jsonl | cmp - disk/out.jsonl
"#,
    );
}
