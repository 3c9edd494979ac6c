//! What is stopped. Each job does one thing, which is all there afterwards or not at all.

use withy::exchange::{
    CsvOptions, GitImportOptions, LoadOptions, import_csv, import_git, import_jsonl, load,
};
use withy::{
    Batch, CommitOptions, CursorOptions, DeleteOptions, FastForward, MergeOptions, Resolution,
    Result, Seq, Store, TagOptions,
};

use crate::support::{must_branch, must_put};

/// Which steps are visited unless all of them are asked for.
pub(in super::super) enum Visits {
    /// Every one.
    Each,
    /// About so many of them, for jobs that take long.
    Few(u64),
    /// About so many of each kind, for jobs of many steps that are alike.
    OfEachKind(u64),
}

/// What there may be where a job was stopped.
pub(in super::super) enum Ending {
    /// The old state or the new one.
    AtOnce,
    /// Part of what is to be removed; the next run removes the rest, and leaves what one run would.
    InSteps,
    /// The old state or the new one, which the next open may have to finish; of what is removed nothing
    /// is left, in no row and no file.
    ByOpening,
    /// The old state: nothing that can be read is changed.
    Unseen,
}

/// One operation, and the store that it is done to.
pub(in super::super) struct Job {
    pub(in super::super) name: &'static str,
    /// Which test visits it.
    pub(in super::super) group: &'static str,
    pub(in super::super) visits: Visits,
    pub(in super::super) ending: Ending,
    pub(in super::super) set_up: fn(&Store),
    pub(in super::super) run: fn(&Store) -> Result<()>,
}

/// Not much, so that there is something to lose.
pub(super) fn some(store: &Store) {
    let main = store.main().expect("main");
    for n in 0..3 {
        must_put(&main, &format!("key-{n}"), "first");
    }
    must_branch(store, "topic", "main");
    must_branch(store, "other", "main~1");
    must_put(&store.branch("topic").expect("topic"), "key-0", "topic");
    must_put(&main, "key-1", "second");
}

/// Puts rows of a kind on a branch, in one commit.
pub(super) fn rows(store: &Store, branch: &str, count: u32, value: &str) {
    let mut batch = Batch::new();
    for n in 0..count {
        batch.put(format!("row/{n:06}"), format!("{value} {n}"));
    }
    let branch = store.branch(branch).expect("the branch");
    branch.write(batch, CommitOptions::default()).expect("it is written");
}

/// A branch with more changes than are landed in one batch, and a change on main.
fn many(store: &Store) {
    some(store);
    let rows = (0..260_000_u32).map(|n| Ok((format!("row/{n:06}").into_bytes(), vec![b'x'; 8])));
    load(store, "topic", rows, LoadOptions::default()).expect("it is loaded");
}

/// A chain of branches that is as deep as it gets before layers are merged.
fn chain(store: &Store) {
    let mut above = "main".to_owned();
    rows(store, "main", 50, "of main");
    for depth in 0..4 {
        let name = format!("deep-{depth}");
        must_branch(store, &name, &above);
        rows(store, &name, 50, &name);
        above = name;
    }
}

fn two_branches_and_messages(store: &Store) -> Result<()> {
    let mut tx = store.begin("main")?;
    tx.put("pair", "main")?;
    tx.on("topic")?.put("pair", "topic")?;
    tx.on("other")?.delete("key-0")?;
    tx.enqueue("mail", "one")?;
    tx.enqueue("mail", "two")?;
    tx.commit(CommitOptions::default()).map(|_| ())
}

pub(super) fn prepare(store: &Store) -> Result<()> {
    let mut tx = store.begin("main")?;
    tx.put("key-0", "prepared")?;
    tx.on("topic")?.put("key-9", "prepared")?;
    tx.prepare("order 1", CommitOptions::default())
}

/// A named reader of the feed that has acknowledged some of it and is given up.
fn read_on(store: &Store, count: usize) -> Result<()> {
    let options = CursorOptions::default().owner("ann").after(Seq::ROOT);
    let mut cursor = store.cursor("mirror", options)?;
    let read = cursor.next_batch(count)?;
    assert_eq!(read.len(), count, "there is as much to read");
    cursor.ack(cursor.position())?;
    cursor.release()
}

const GIT: &[u8] = b"commit refs/heads/imported
mark :1
committer A U Thor <a@example.org> 1479340800 +0100
data 3
one
M 100644 inline fruit/pear
data 5
green
commit refs/heads/imported
mark :2
committer A U Thor <a@example.org> 1479340900 +0100
data 3
two
M 100644 inline fruit/plum
data 4
blue
D fruit/pear
commit refs/heads/side
mark :3
committer A U Thor <a@example.org> 1479341000 +0100
data 5
three
from :1
merge :2
M 100644 inline fruit/fig
data 1
x
tag v1
from :2
tagger A U Thor <a@example.org> 1479341100 +0100
data 3
tag
";

/// A row of the table.
pub(super) const fn job(
    group: &'static str,
    name: &'static str,
    set_up: fn(&Store),
    run: fn(&Store) -> Result<()>,
) -> Job {
    Job { name, group, visits: Visits::Each, ending: Ending::AtOnce, set_up, run }
}

pub(super) const JOBS: [Job; 28] = [
    job("commit", "small commit", some, |store| store.main()?.put("key-0", "changed").map(|_| ())),
    job("commit", "large commit", some, |store| {
        let mut batch = Batch::new();
        for n in 0..20_000_u32 {
            batch.put(
                format!("row/{n:05}"),
                vec![b'v'; if n.is_multiple_of(100) { 20_000 } else { 20 }],
            );
        }
        batch.delete("key-1");
        store.main()?.write(batch, CommitOptions::default()).map(|_| ())
    }),
    job("commit", "commit on several branches, with messages", some, two_branches_and_messages),
    job("merge", "merge", some, |store| {
        store.merge("main", "topic", MergeOptions::default()).map(|_| ())
    }),
    job(
        "merge",
        "fast-forward",
        |store| {
            some(store);
            rows(store, "topic", 100, "topic");
            store.reset("main", "main~1").expect("it is reset");
        },
        |store| {
            let options = MergeOptions::default().fast_forward(FastForward::Only);
            store.merge("main", "topic", options).map(|_| ())
        },
    ),
    job(
        "merge",
        "merge that stops at conflicts",
        |store| {
            some(store);
            must_put(&store.main().expect("main"), "key-0", "main");
        },
        |store| store.merge("main", "topic", MergeOptions::default().keep_open(true)).map(|_| ()),
    ),
    job(
        "merge",
        "merge that goes on",
        |store| {
            some(store);
            must_put(&store.main().expect("main"), "key-0", "main");
            let options = MergeOptions::default().keep_open(true);
            store.merge("main", "topic", options).expect("it stops at its conflicts");
            let theirs = [("key-0", Resolution::Theirs)];
            store.resolve_conflicts("main", theirs, None).expect("it is settled");
        },
        |store| store.continue_merge("main", CommitOptions::default()).map(|_| ()),
    ),
    job("merge", "rebase", some, |store| {
        store.rebase("topic", "main", MergeOptions::default()).map(|_| ())
    }),
    Job {
        name: "merge of very many changes",
        group: "large merge",
        visits: Visits::Few(1),
        ending: Ending::AtOnce,
        set_up: many,
        run: |store| store.merge("main", "topic", MergeOptions::default()).map(|_| ()),
    },
    job("refs", "create a branch", some, |store| {
        store.create_branch("new", "topic~1", withy::BranchOptions::default()).map(|_| ())
    }),
    job("refs", "delete a branch", some, |store| {
        store.delete_branch("other", DeleteOptions::default().force(true))
    }),
    job("refs", "rename a branch", some, |store| store.rename_branch("topic", "subject")),
    job("refs", "reset a branch", some, |store| store.reset("main", "main~2")),
    job("refs", "switch", some, |store| store.switch("topic")),
    job("refs", "create a tag", some, |store| {
        store.create_tag("v1", "main", TagOptions::default().description("first")).map(|_| ())
    }),
    job(
        "refs",
        "delete a tag",
        |store| {
            some(store);
            store.create_tag("v1", "main", TagOptions::default()).expect("it is made");
        },
        |store| store.delete_tag("v1"),
    ),
    job(
        "refs",
        "undo",
        |store| {
            some(store);
            two_branches_and_messages(store).expect("it is committed");
        },
        |store| store.undo().map(|_| ()),
    ),
    job("import", "bulk load", some, |store| {
        let row = |n: u32| {
            let value = vec![b'v'; if n.is_multiple_of(100) { 20_000 } else { 20 }];
            Ok((format!("row/{n:05}").into_bytes(), value))
        };
        let options = LoadOptions::default().from("main");
        load(store, "loaded", (0..12_000).map(row), options).map(|_| ())
    }),
    job("import", "JSON Lines", some, |store| {
        let rows: String = (0..12_000)
            .rev()
            .map(|n| format!("{{\"key\":\"k{n:05}\",\"value\":\"v\"}}\n"))
            .collect();
        import_jsonl(store, "main", rows.as_bytes(), LoadOptions::default()).map(|_| ())
    }),
    Job {
        visits: Visits::OfEachKind(2),
        ..job("import", "CSV", some, |store| {
            let rows: String = (0..2_000).map(|n| format!("k{n:05},{n}\n")).collect();
            let (table, shape) = (format!("key,value\n{rows}"), CsvOptions::default());
            import_csv(store, "main", table.as_bytes(), &shape, LoadOptions::default()).map(|_| ())
        })
    },
    job("import", "git stream", some, |store| {
        import_git(store, GIT, GitImportOptions::default()).map(|_| ())
    }),
    job("overlay", "overlay compaction", chain, |store| {
        store.create_branch("deep-4", "deep-3", withy::BranchOptions::default())?;
        store.compact_overlays("deep-4")
    }),
    job("cursors", "make a cursor", some, |store| {
        store.cursor("mirror", CursorOptions::default().owner("ann")).map(|_| ())
    }),
    job(
        "cursors",
        "read on with a cursor",
        |store| {
            some(store);
            read_on(store, 2).expect("it is read");
        },
        |store| read_on(store, 2),
    ),
    job(
        "cursors",
        "delete a cursor",
        |store| {
            some(store);
            read_on(store, 2).expect("it is read");
        },
        |store| store.delete_cursor("mirror"),
    ),
    job("prepared", "prepare", some, prepare),
    job(
        "prepared",
        "commit what is prepared",
        |store| {
            some(store);
            prepare(store).expect("it is prepared");
        },
        |store| store.commit_prepared("order 1").map(|_| ()),
    ),
    job(
        "prepared",
        "roll back what is prepared",
        |store| {
            some(store);
            prepare(store).expect("it is prepared");
        },
        |store| store.rollback_prepared("order 1"),
    ),
];
