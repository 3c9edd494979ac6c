//! Revs: every form, ruling 7, HIST-4, and what each fault says in full.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use withy::{Clock, Durability, Error, ErrorKind, Seq, Store, Timestamp};

use crate::support::{Scratch, must_branch, must_fail, must_put};

/// A clock that stands still until it is set.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn at(now: &str) -> Arc<Self> {
        let clock = Arc::new(Self(AtomicI64::new(0)));
        clock.set(now);
        clock
    }

    pub(crate) fn set(&self, now: &str) {
        let now: Timestamp = now.parse().expect("a time");
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store whose time is set by hand.
struct Timed {
    store: Option<Store>,
    clock: Arc<HandClock>,
    dir: TempDir,
}

impl Timed {
    fn new(now: &str) -> Self {
        let clock = HandClock::at(now);
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        let mut timed = Self { store: None, clock, dir };
        timed.reopen();
        timed
    }

    fn reopen(&mut self) {
        self.store = None;
        let options = Store::options().durability(Durability::Buffered).clock(self.clock.clone());
        self.store = Some(options.open(self.dir.path().join("store")).expect("the store opens"));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    fn put_at(&self, now: &str, branch: &str, value: &str) -> Seq {
        self.clock.set(now);
        must_put(&self.store().branch(branch).expect("branch"), "key", value)
    }
}

/// The sequence that a rev names.
#[track_caller]
fn seq(store: &Store, rev: &str) -> u64 {
    store.commit(rev).unwrap_or_else(|e| panic!("{rev}: {e:?}")).seq.get()
}

/// An error with its hint, as a person sees it.
fn full(e: &Error) -> String {
    match e.hint() {
        Some(hint) => format!("{e}\n{hint}"),
        None => e.to_string(),
    }
}

const LISTS: &str = "`withy branch`, `withy tag` and `withy log` list what there is";
const FORMS: &str =
    "a rev is a branch, a tag, `@`, `seq:N`, `NAME@{TIME}` or a commit id, then `~N` or `^N`";

/// Commits 1 and 2 on `main`, 3 on `topic` from 1, and 4, which merges `topic` into `main`.
fn merged() -> Scratch {
    let store = Scratch::new();
    let stream = b"commit refs/heads/main
mark :1
committer A <a@example.org> 1000 +0000
data 1
1
M 100644 inline a
data 1
1
commit refs/heads/main
mark :2
committer A <a@example.org> 2000 +0000
data 1
2
M 100644 inline b
data 1
2
commit refs/heads/topic
mark :3
committer A <a@example.org> 3000 +0000
data 1
3
from :1
M 100644 inline c
data 1
3
commit refs/heads/main
mark :4
committer A <a@example.org> 4000 +0000
data 1
4
from :2
merge :3
M 100644 inline c
data 1
3
";
    withy::exchange::import_git(&store, &stream[..], Default::default()).expect("import");
    store
}

#[test]
fn every_form_of_a_rev_names_its_commit() {
    let store = merged();
    store.create_tag("v1", "seq:2", Default::default()).expect("tag");
    store.switch("topic").expect("switch");
    let id = |n: u64| store.commit(&format!("seq:{n}")).expect("commit").id.to_string();
    let cases = [
        ("main", 4),
        ("heads/main", 4),
        ("topic", 3),
        ("v1", 2),
        ("tags/v1", 2),
        ("@", 3),
        ("HEAD", 3),
        ("@~1", 1),
        ("HEAD^", 1),
        ("seq:0", 0),
        ("seq:4", 4),
        ("main~0", 4),
        ("main~", 2),
        ("main~1", 2),
        ("main~~", 1),
        ("main~3", 0),
        ("main^", 2),
        ("main^1", 2),
        ("main^2", 3),
        ("main^0", 4),
        ("main^2~1", 1),
        ("main^2^", 1),
        ("main~1^1", 1),
        ("seq:4^2", 3),
        ("v1~2", 0),
        ("tags/v1^0", 2),
        ("@{1970-01-01T00:30:00Z}", 1),
        ("@@{1970-01-01T00:30:00Z}", 1),
        ("main@{1970-01-01T00:40:00Z}", 2),
        ("main@{1970-01-01T00:40:00Z}~1", 1),
        ("heads/main@{1970-01-01T00:40:00Z}^", 1),
        ("main@{1970-01-01}", 0),
    ];
    for (rev, wanted) in cases {
        assert_eq!(seq(&store, rev), wanted, "{rev}: names its commit");
    }
    for n in 0..=4 {
        let id = id(n);
        for rev in [id.as_str(), &id[..40], &id[..12], &id.to_uppercase()] {
            assert_eq!(seq(&store, rev), n, "{rev}: the start of an id names its commit");
        }
        assert_eq!(seq(&store, &format!("{id}~0")), n, "an id takes steps too");
    }
    assert_eq!(seq(&store, &format!("{}^2~1", id(4))), 1, "as many as there are");
}

#[test]
fn ruling_7_a_plain_name_is_the_branch() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    for value in ["1", "2", "3", "4"] {
        must_put(&main, "key", value);
    }
    let id = store.commit("seq:3").expect("commit").id.to_string();
    must_branch(&store, "a", "seq:1");
    must_branch(&store, "a/b", "seq:2");
    store.create_tag("a", "seq:3", Default::default()).expect("tag");
    assert_eq!(seq(&store, "a"), 1, "`a` is the branch, though there is a tag");
    assert_eq!(seq(&store, "heads/a"), 1, "`heads/a` says so");
    assert_eq!(seq(&store, "tags/a"), 3, "`tags/a` is the tag");
    assert_eq!(seq(&store, "a/b"), 2, "`a` and `a/b` are two branches");
    must_branch(&store, &id[..8], "seq:4");
    assert_eq!(seq(&store, &id[..8]), 4, "a branch named like an id is the branch");
    assert_eq!(seq(&store, &id[..9]), 3, "a longer start of the id still is the commit");
    must_branch(&store, "tags/a", "seq:4");
    assert_eq!(seq(&store, "tags/a"), 4, "a branch of the very name goes first");
    assert_eq!(seq(&store, "heads/tags/a"), 4, "and has a longer name of its own");
}

#[test]
fn every_fault_of_a_rev_is_told_in_full() {
    let mut store = merged();
    store.create_tag("v1", "seq:2", Default::default()).expect("tag");
    let id = store.commit("seq:3").expect("commit").id.to_string();
    let late = format!("{id}00");
    let cases: Vec<(&str, ErrorKind, String)> = vec![
        ("absent", ErrorKind::NotFound, format!("no branch, tag or commit \"absent\"\n{LISTS}")),
        (
            "heads/absent",
            ErrorKind::NotFound,
            "no branch \"absent\"\n`withy branch` lists the branches".into(),
        ),
        ("tags/absent", ErrorKind::NotFound, format!("no tag \"absent\"\n{LISTS}")),
        ("tags/main", ErrorKind::NotFound, format!("no tag \"main\"\n{LISTS}")),
        (
            "heads/v1",
            ErrorKind::NotFound,
            "no branch \"v1\"\n`withy branch` lists the branches".into(),
        ),
        ("seq:5", ErrorKind::NotFound, format!("commit 5 is not there, the newest is 4\n{LISTS}")),
        (
            "seq:18446744073709551615",
            ErrorKind::NotFound,
            format!("commit 18446744073709551615 is not there, the newest is 4\n{LISTS}"),
        ),
        (
            "seq:18446744073709551616",
            ErrorKind::Invalid,
            format!("\"seq:18446744073709551616\" is not a rev: no number after `seq:`\n{FORMS}"),
        ),
        (
            "seq:",
            ErrorKind::Invalid,
            format!("\"seq:\" is not a rev: no number after `seq:`\n{FORMS}"),
        ),
        (
            "seq:-1",
            ErrorKind::Invalid,
            format!("\"seq:-1\" is not a rev: no number after `seq:`\n{FORMS}"),
        ),
        (
            "seq:+1",
            ErrorKind::Invalid,
            format!("\"seq:+1\" is not a rev: no number after `seq:`\n{FORMS}"),
        ),
        ("", ErrorKind::Invalid, format!("\"\" is not a rev: it is empty\n{FORMS}")),
        ("~1", ErrorKind::Invalid, format!("\"~1\" is not a rev: it is empty\n{FORMS}")),
        (
            "main~4",
            ErrorKind::NotFound,
            format!("main~4: history does not go back that far\n{LISTS}"),
        ),
        (
            "main~18446744073709551615",
            ErrorKind::NotFound,
            format!("main~18446744073709551615: history does not go back that far\n{LISTS}"),
        ),
        (
            "main~18446744073709551616",
            ErrorKind::Invalid,
            format!("\"main~18446744073709551616\" is not a rev: the number is too large\n{FORMS}"),
        ),
        ("main^3", ErrorKind::NotFound, format!("main^3: commit 4 has 2 parents\n{LISTS}")),
        (
            "main^18446744073709551615",
            ErrorKind::NotFound,
            format!("main^18446744073709551615: commit 4 has 2 parents\n{LISTS}"),
        ),
        ("seq:0^", ErrorKind::NotFound, format!("seq:0^: commit 0 has 0 parents\n{LISTS}")),
        (
            "main~1x",
            ErrorKind::Invalid,
            format!("\"main~1x\" is not a rev: expected `~`, `^` or the end\n{FORMS}"),
        ),
        (
            "main^\u{e4}",
            ErrorKind::Invalid,
            format!("\"main^\u{e4}\" is not a rev: expected `~`, `^` or the end\n{FORMS}"),
        ),
        (
            "main@{2026-01-01",
            ErrorKind::Invalid,
            format!("\"main@{{2026-01-01\" is not a rev: `@{{` without `}}`\n{FORMS}"),
        ),
        (
            "main@{yesterday}",
            ErrorKind::Invalid,
            format!("\"main@{{yesterday}}\" is not a rev: the time cannot be read\n{FORMS}"),
        ),
        (
            "main@{}",
            ErrorKind::Invalid,
            format!("\"main@{{}}\" is not a rev: the time cannot be read\n{FORMS}"),
        ),
        (
            "main@{2026-01-01}x",
            ErrorKind::Invalid,
            format!("\"main@{{2026-01-01}}x\" is not a rev: expected `~`, `^` or the end\n{FORMS}"),
        ),
        (
            "absent@{2026-01-01}",
            ErrorKind::NotFound,
            format!("no branch, tag or commit \"absent\"\n{LISTS}"),
        ),
        (
            "main@{2027-01-01}",
            ErrorKind::NotFound,
            format!("main@{{2027-01-01}}: the time is in the future\n{LISTS}"),
        ),
        (
            "v1@{2026-01-01}",
            ErrorKind::Invalid,
            format!("\"v1@{{2026-01-01}}\" is not a rev: a time goes with a branch only\n{FORMS}"),
        ),
        (
            "seq:1@{2026-01-01}",
            ErrorKind::Invalid,
            format!(
                "\"seq:1@{{2026-01-01}}\" is not a rev: a time goes with a branch only\n{FORMS}"
            ),
        ),
        (
            &id[..3],
            ErrorKind::NotFound,
            format!("no branch, tag or commit {:?}\n{LISTS}", &id[..3]),
        ),
        (&late, ErrorKind::NotFound, format!("no branch, tag or commit {late:?}\n{LISTS}")),
        ("a b", ErrorKind::NotFound, format!("no branch, tag or commit \"a b\"\n{LISTS}")),
        ("main\0", ErrorKind::NotFound, format!("no branch, tag or commit \"main\\0\"\n{LISTS}")),
    ];
    for round in ["at once", "after reopen"] {
        for (rev, kind, text) in &cases {
            let e = must_fail(store.view(rev), *kind);
            assert_eq!(full(&e), *text, "{rev:?} {round}: what is wrong and what to do");
        }
        store.reopen();
    }
}

#[test]
fn long_histories_are_found_through_the_index() {
    const COMMITS: u64 = 9_000;
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    let mut ids = vec![store.commit("seq:0").expect("root").id.to_string()];
    let mut times = vec![0];
    for n in 1..=COMMITS {
        assert_eq!(must_put(&main, &format!("key-{}", n % 7), &n.to_string()).get(), n, "one each");
        if n == 5_000 {
            must_branch(&store, "topic", "main");
        }
    }
    for n in 1..=COMMITS {
        let commit = store.commit(&format!("seq:{n}")).expect("commit");
        ids.push(commit.id.to_string());
        times.push(commit.time.as_millis());
    }
    drop(main);
    for round in ["at once", "after reopen"] {
        for n in (0..=COMMITS).filter(|n| n % 97 == 0 || n % 4096 < 3 || n % 4096 > 4093) {
            assert_eq!(seq(&store, &format!("main~{n}")), COMMITS - n, "main~{n} {round}");
            assert_eq!(seq(&store, &ids[n as usize]), n, "id of {n} {round}");
            let time = Timestamp::from_millis(times[n as usize]);
            assert_eq!(seq(&store, &format!("main@{{{time}}}")), n, "time of {n} {round}");
            if n <= 5_000 {
                assert_eq!(seq(&store, &format!("topic~{n}")), 5_000 - n, "topic~{n} {round}");
                assert_eq!(seq(&store, &format!("topic@{{{time}}}")), n, "topic at {n} {round}");
            } else {
                assert_eq!(seq(&store, &format!("topic@{{{time}}}")), 5_000, "topic stays {round}");
            }
        }
        let over = must_fail(store.view("main~9001"), ErrorKind::NotFound);
        assert_eq!(
            full(&over),
            format!("main~9001: history does not go back that far\n{LISTS}"),
            "and ends at the root {round}"
        );
        // Among so many ids some share their first four digits.
        let mut sorted = ids.clone();
        sorted.sort();
        let twins = sorted.windows(2).find(|w| w[0][..4] == w[1][..4]).expect("9,000 of 65,536");
        let short = &twins[0][..4];
        let e = must_fail(store.view(short), ErrorKind::Invalid);
        assert_eq!(
            full(&e),
            format!("{short:?} is not a rev: several commit ids start so\ngive more digits"),
            "an ambiguous start is told {round}"
        );
        let alone = sorted
            .windows(3)
            .map(|w| [&w[0], &w[1], &w[2]])
            .find(|[a, b, c]| a[..4] != b[..4] && b[..4] != c[..4])
            .expect("some are alone")[1];
        let n = ids.iter().position(|id| id == alone).expect("it is one of them");
        assert_eq!(
            seq(&store, &alone[..4]),
            n as u64,
            "four digits are enough where one id has them {round}"
        );
        store.reopen();
    }
}

#[test]
fn hist_4_a_time_between_two_commits_is_the_earlier_one() {
    let store = Timed::new("2026-03-01T10:00:00Z");
    for (now, value) in [
        ("2026-03-01T10:00:00Z", "1"),
        ("2026-03-01T11:00:00Z", "2"),
        ("2026-03-01T12:00:00Z", "3"),
    ] {
        store.put_at(now, "main", value);
    }
    let cases = [
        ("2026-03-01T09:59:59Z", 0),
        ("2026-03-01T10:00:00Z", 1),
        ("2026-03-01T10:00:01Z", 1),
        ("2026-03-01T10:59:59.999Z", 1),
        ("2026-03-01T12:00:00+01:00", 2),
        ("2026-03-01T11:59", 2),
        ("2026-03-01 12:00:00", 3),
        ("2026-03-01", 0),
    ];
    for (time, wanted) in cases {
        assert_eq!(seq(store.store(), &format!("main@{{{time}}}")), wanted, "{time}");
    }
    let future = store.store().view("main@{2026-03-01T12:00:01Z}");
    must_fail(future, ErrorKind::NotFound);
    store.clock.set("2026-03-01T12:00:01Z");
    assert_eq!(seq(store.store(), "main@{2026-03-01T12:00:01Z}"), 3, "until that time has come");
}

#[test]
fn hist_4_clock_jumps_never_reorder_anything() {
    let mut store = Timed::new("2026-03-01T10:00:00Z");
    let jumps = [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        // Backwards: time stands still until the clock has caught up.
        ("2026-03-01T09:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T11:59:59Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:01Z", "2026-03-01T12:00:01Z"),
        // Far forwards, and back again.
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2026-03-01T13:00:00Z", "2030-01-01T00:00:00Z"),
    ];
    for (n, (now, _)) in jumps.iter().enumerate() {
        store.put_at(now, "main", &n.to_string());
        if n % 2 == 1 {
            store.reopen();
        }
    }
    for (n, (_, stored)) in jumps.iter().enumerate() {
        let commit = store.store().commit(&format!("seq:{}", n + 1)).expect("commit");
        assert_eq!(commit.time.to_string(), *stored, "times never run backwards");
    }
    let cases = [
        ("2026-03-01T11:00:00Z", 1),
        ("2026-03-01T12:00:00Z", 4),
        ("2026-03-01T12:59:00Z", 5),
        // The clock says 2026 again, but the store has commits of 2030: those are not in its future.
        ("2029-12-31T23:59:59Z", 5),
        ("2030-01-01T00:00:00Z", 7),
    ];
    for (time, wanted) in cases {
        assert_eq!(
            seq(store.store(), &format!("main@{{{time}}}")),
            wanted,
            "{time}: the newest commit up to then"
        );
    }
    must_fail(store.store().view("main@{2030-01-01T00:00:00.001Z}"), ErrorKind::NotFound);
}

#[test]
fn ruling_7_time_follows_first_parents_of_the_branch_as_it_is_now() {
    let store = Timed::new("2026-03-01T10:00:00Z");
    store.put_at("2026-03-01T10:00:00Z", "main", "1");
    must_branch(store.store(), "topic", "main");
    store.put_at("2026-03-01T11:00:00Z", "topic", "2");
    store.put_at("2026-03-01T12:00:00Z", "main", "3");
    store.put_at("2026-03-01T13:00:00Z", "topic", "4");
    store.clock.set("2026-03-02T00:00:00Z");
    let at = |rev: &str| seq(store.store(), rev);
    assert_eq!(at("main@{2026-03-01T11:30:00Z}"), 1, "commits of another branch do not count");
    assert_eq!(at("topic@{2026-03-01T12:30:00Z}"), 2, "for either");
    assert_eq!(at("topic@{2026-03-01T10:30:00Z}"), 1, "before the fork it is the parent's history");
    store.store().reset("main", "topic").expect("reset");
    assert_eq!(
        at("main@{2026-03-01T12:30:00Z}"),
        2,
        "after a reset it is the history of where the branch is now"
    );
    store.store().undo().expect("undo");
    assert_eq!(at("main@{2026-03-01T12:30:00Z}"), 3, "and after undo again that of before");
}
