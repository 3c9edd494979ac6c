//! `doctor`

use std::fs;

use withy::Store;

use super::Shell;

/// A store with five commits in the log, the last but one damaged on request.
fn shell(is_damaged: bool) -> Shell {
    let shell = Shell::new();
    let path = shell.path().join(".withy");
    let store = Store::options().author("ada").open(&path).expect("the store opens");
    let logs = || {
        let entries = fs::read_dir(&path).expect("the directory can be read");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|e| e == "log")).max().expect("a log")
    };
    let mut starts = Vec::new();
    for n in 0..5 {
        starts.push(fs::metadata(logs()).expect("it is there").len());
        store.main().expect("main").put(format!("key-{n}"), "value").expect("put");
    }
    drop(store);
    if is_damaged {
        let mut bytes = fs::read(logs()).expect("read");
        bytes[usize::try_from(starts[3]).expect("small") + 20] ^= 1;
        fs::write(logs(), bytes).expect("write");
    }
    shell
}

#[test]
fn ops_2_doctor_says_that_all_is_well_and_salvages_nothing() {
    shell(false).session(
        r#"
$ withy doctor | sed -E 's/[0-9]+ records of .*/N records/; s/[0-9]+ ms/N ms/'
log           N records
newest commit seq:5
branches      1, the newest commit of each can be read
opened in     N ms
no damage was found
$ withy doctor --deep | tail -n 3 | sed -E 's/[0-9]+, all/N, all/; s/[0-9]+ ms/N ms/'
rows          N, all can be read
opened in     N ms
no damage was found
$ withy doctor --json | sed -E 's/"(logs|records|bytes|millis)":[0-9]+/"\1":N/g'
{"owner":null,"damage":[],"recovery":{"logs":N,"records":N,"bytes":N,"latest":5,"torn":[],"millis":N},"branches":1}
$ withy doctor --salvage --yes | tail -n 1
no damage was found
$ withy doctor --yes 2> /dev/null
[2]
$ ls .withy | grep -c salvage
0
[1]
$ withy get key-4
value%
"#,
    );
}

#[test]
fn ops_2_doctor_names_the_damage_and_salvages_when_told_so() {
    shell(true).session(
        r#"
$ withy get key-0 2>&1 | sed -E 's/[0-9]{6}/NUMBER/; s/byte [0-9]+/byte N/'
error: open the store DIR/.withy: the file NUMBER.log is damaged at byte N: the checksum of a record does not match
hint: look with `withy doctor`; restore a backup, or save what can be with `withy doctor --salvage`
$ withy doctor | sed -E 's/[0-9]{6}/NUMBER/; s/byte [0-9]+/byte N/'
damage        the file NUMBER.log is damaged at byte N: the checksum of a record does not match
! error: look at the store: the store is damaged: 1 fault
! hint: keep a copy of it, then restore a backup, or try `withy doctor --salvage` for a log or manifest
$ withy doctor --json 2> /dev/null | sed -E 's/[0-9]{6}/NUMBER/g; s/byte [0-9]+/byte N/; s/"at":[0-9]+/"at":N/; s/,"recovery".*//'
{"owner":null,"damage":[{"file":"NUMBER.log","at":N,"what":"the file NUMBER.log is damaged at byte N: the checksum of a record does not match","branches":[]}]
$ withy doctor > /dev/null 2> /dev/null
[4]
$ withy doctor --salvage 2>&1 | sed -E 's/[0-9]{6}/NUMBER/; s/byte [0-9]+/byte N/'
error: salvage the store: nobody has said yes to losing commits: the file NUMBER.log is damaged at byte N: the checksum of a record does not match
hint: give --yes, after a copy of the store was made
$ ls .withy | grep -c salvage
0
[1]
$ withy doctor --salvage --yes | sed -E 's/[0-9]{6}/NUMBER/; s/^[0-9]+ bytes/N bytes/; s/at [0-9]+$/at N/; s/salvage-.*/salvage-TIME/'
N bytes of the log are cut off, from NUMBER.log at N
4 rows that were on disk are lost with it
withy.synced, which names what was on disk, is set aside
kept as they were: NUMBER.log, withy.synced in salvage-TIME
the newest commit is seq:3
all after it are lost; can be read that there were: 1 commit from seq:5 to seq:5
$ ls .withy/salvage-* | sed -E 's/[0-9]{6}/NUMBER/'
NUMBER.log
withy.synced
$ withy doctor | tail -n 1
no damage was found
$ withy get key-2
value%
$ withy get key-3
! no key key-3 at main
[1]
$ withy -q put key-3 again
$ withy verify -q | sed 's/salvage-.*/salvage-TIME/'
left over, no fault: salvage-TIME
"#,
    );
}

#[test]
fn ops_2_doctor_salvages_in_json() {
    shell(true).session(
        r#"
$ withy doctor --salvage --yes --json | sed -E 's/[0-9]{6}/NUMBER/g; s/"[0-9]+ bytes/"N bytes/; s/at [0-9]+"/at N"/; s/salvage-[^"]*/salvage-TIME/'
{"dir":"salvage-TIME","aside":["NUMBER.log","withy.synced"],"done":["N bytes of the log are cut off, from NUMBER.log at N","4 rows that were on disk are lost with it","withy.synced, which names what was on disk, is set aside"],"latest":3,"lost":[5],"damage":[]}
$ withy verify -q | sed 's/salvage-.*/salvage-TIME/'
left over, no fault: salvage-TIME
"#,
    );
}
