//! `withy prepared`.

use withy::{CommitOptions, Coordinator, Error, ErrorKind, Participant, Standing, Store, Vote};

use super::Shell;

/// One that promises, and then is never there again.
struct Gone;

impl Participant for Gone {
    fn name(&self) -> &str {
        "shop"
    }
    fn prepare(&self, _: &str) -> withy::Result<Vote> {
        Ok(Vote::Yes)
    }
    fn commit(&self, _: &str) -> withy::Result<()> {
        Err(Error::new(ErrorKind::Io, "gone"))
    }
    fn abort(&self, _: &str) -> withy::Result<()> {
        Err(Error::new(ErrorKind::Io, "gone"))
    }
    fn standing(&self, _: &str) -> withy::Result<Option<Standing>> {
        Err(Error::new(ErrorKind::Io, "gone"))
    }
    fn forget(&self, _: &str) -> withy::Result<()> {
        Err(Error::new(ErrorKind::Io, "gone"))
    }
    fn holds(&self) -> withy::Result<Vec<(String, Standing)>> {
        Err(Error::new(ErrorKind::Io, "gone"))
    }
}

fn with_store(shell: &Shell, work: impl FnOnce(&Store)) {
    let store = Store::open(shell.path().join(".withy")).expect("it opens");
    work(&store);
    store.close().expect("it closes");
}

#[test]
fn tpc_1_what_is_prepared_can_be_ended_by_hand() {
    let shell = Shell::new();
    with_store(&shell, |store| {
        for gid in ["order 17", "order 18", "order 19"] {
            let mut tx = store.begin("main").expect("a transaction");
            tx.put(gid, "pears").expect("it is put");
            let options = CommitOptions::default().author("ada").message("fruit\nfor ben");
            tx.prepare(gid, options).expect("prepared");
        }
    });
    shell.session(
        r#"
$ withy prepared
order 17 prepared TIME ada main (1 key) fruit
order 18 prepared TIME ada main (1 key) fruit
order 19 prepared TIME ada main (1 key) fruit
$ withy prepared list | wc -l
3
$ withy prepared --json | head -n 1
{"gid":"order 17","standing":"prepared","time":"TIME","author":"ada","message":"fruit\nfor ben","isolation":"snapshot","branches":[{"branch":"main","keys":1}]}
$ withy put 'order 17' plums
! error: put order 17: on main, prepared transaction order 17 holds order 17
! hint: commit it or roll it back first; `withy prepared` lists what is prepared
[3]
$ withy prepared commit 'order 17'
committed order 17 as seq:1
$ withy prepared commit 'order 17' --json
{"gid":"order 17","standing":"committed","seq":1}
$ withy prepared rollback 'order 17'
! error: roll back order 17: prepared transaction order 17 was committed
! hint: what has ended stays as it is
[2]
$ withy prepared rollback 'order 18'
rolled back order 18
$ withy prepared --all
order 19 prepared TIME ada main (1 key) fruit
order 17 committed
order 18 aborted
$ withy prepared list --all
order 19 prepared TIME ada main (1 key) fruit
order 17 committed
order 18 aborted
$ withy prepared forget 'order 17'
forgot order 17
$ withy prepared forget 'order 17'
! nothing is known of order 17
[1]
$ withy prepared commit 'order 17'
! error: commit order 17: no prepared transaction order 17
! hint: `withy prepared` lists what is prepared, `--all` what is remembered too
[2]
$ withy scan
order 17	pears
"#,
    );
}

#[test]
fn tpc_2_what_a_coordinator_waits_for_is_listed() {
    let shell = Shell::new();
    with_store(&shell, |store| {
        let coordinator = Coordinator::open(store);
        let done = coordinator.run(&[&Gone]).expect("it runs");
        assert_eq!(done.unfinished.len(), 1, "the one is gone");
    });
    let (text, code) = shell.run("withy prepared pending");
    assert_eq!(code, 0, "it is listed: {text}");
    assert!(text.ends_with(" committing TIME shop (waiting)\n"), "with whom it waits for: {text}");
    let (text, _) = shell.run("withy prepared pending --json");
    let end = r#","reason":"","participants":[{"name":"shop","done":false}]}"#;
    assert!(text.trim_end().ends_with(end), "as data too: {text}");
}
