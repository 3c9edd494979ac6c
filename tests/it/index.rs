//! Finding commits among many: steps back, sequences, ids, times and lines, with index blocks in between.

use withy::{CommitOptions, KeyRange, LogOptions, Store, Timestamp};

use crate::support::{Scratch, must_branch, must_put};

const BRANCHES: usize = 20;
const COMMITS: u64 = 13_000;

struct Model {
    /// First parents of each branch, root first, head last.
    paths: Vec<Vec<u64>>,
    ids: Vec<String>,
    times: Vec<i64>,
}

fn name(branch: usize) -> String {
    if branch == 0 { "main".to_owned() } else { format!("b{branch}") }
}

fn seq(store: &Store, rev: &str) -> u64 {
    store.commit(rev).unwrap_or_else(|e| panic!("{rev}: {e:?}")).seq.get()
}

impl Model {
    /// Compares a sample of everything, and all that is near the ends of index blocks.
    fn check(&self, store: &Store, random: &mut fastrand::Rng, round: &str) {
        let latest = self.ids.len() as u64 - 1;
        assert_eq!(store.latest().get(), latest, "{round}: the newest commit");
        let near = |n: u64| n % 4096 < 2 || n % 4096 > 4094;
        for n in (0..=latest).filter(|n| near(*n) || n % 211 == 0) {
            assert_eq!(seq(store, &format!("seq:{n}")), n, "{round}: seq:{n}");
            assert_eq!(seq(store, &self.ids[n as usize]), n, "{round}: id of {n}");
            assert_eq!(
                seq(store, &self.ids[n as usize][..20]),
                n,
                "{round}: start of the id of {n}"
            );
        }
        for (branch, path) in self.paths.iter().enumerate() {
            let name = name(branch);
            let len = path.len() as u64;
            let mut steps: Vec<u64> = (0..25).map(|_| random.u64(0..len)).collect();
            steps.extend([0, 1.min(len - 1), len - 1]);
            for n in steps {
                let wanted = path[(len - 1 - n) as usize];
                assert_eq!(seq(store, &format!("{name}~{n}")), wanted, "{round}: {name}~{n}");
            }
            store.commit(&format!("{name}~{len}")).expect_err("history ends at the root");
            for _ in 0..25 {
                let at = random.u64(1..=latest);
                let time = self.times[at as usize] + random.i64(-1..2);
                let upto = path.partition_point(|s| self.times[*s as usize] <= time);
                let rev = format!("{name}@{{{}}}", Timestamp::from_millis(time));
                assert_eq!(seq(store, &rev), path[upto - 1], "{round}: {rev}");
            }
            let log = store.log(&name, LogOptions::default().first_parent(true)).expect("log");
            let mut log: Vec<u64> = log.map(|c| c.expect("commit").seq.get()).collect();
            log.reverse();
            assert_eq!(log, *path, "{round}: the log of {name} is its line");
            // A diff reads the commits of a line between two of them.
            let back = random.u64(0..len.min(600));
            let counts = store
                .diff_counts(&format!("{name}~{back}"), &name, &KeyRange::all())
                .expect("counts");
            let total = counts.added + counts.modified + counts.deleted;
            assert_eq!(total, back, "{round}: each commit of {name} set a key of its own");
        }
    }
}

#[test]
fn commits_of_many_interleaved_branches_are_found() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut store = Scratch::new();
    let mut model = Model { paths: vec![vec![0]], ids: Vec::new(), times: vec![0] };
    model.ids.push(store.commit("seq:0").expect("root").id.to_string());
    for n in 1..=COMMITS {
        // Branches begin all along, at the head of another one or somewhere behind it.
        if model.paths.len() < BRANCHES && n % (COMMITS / 40) == 0 {
            let from = random.usize(0..model.paths.len());
            let back = random.u64(0..model.paths[from].len() as u64).min(random.u64(0..6_000));
            let keep = model.paths[from].len() - back as usize;
            let path = model.paths[from][..keep].to_vec();
            must_branch(&store, &name(model.paths.len()), &format!("{}~{back}", name(from)));
            model.paths.push(path);
        }
        // One branch in three is busy, so lines have runs and gaps.
        let branch = match random.u32(0..3) {
            0 => n as usize / 700 % model.paths.len(),
            _ => random.usize(0..model.paths.len()),
        };
        let handle = store.branch(&name(branch)).expect("branch");
        assert_eq!(must_put(&handle, &format!("key-{n}"), "1").get(), n, "sequences have no gaps");
        drop(handle);
        model.paths[branch].push(n);
        let commit = store.commit(&format!("seq:{n}")).expect("commit");
        assert_eq!(
            commit.parents[0].seq.get(),
            *model.paths[branch].iter().rev().nth(1).expect("a parent"),
            "the parent is the commit before"
        );
        model.ids.push(commit.id.to_string());
        model.times.push(commit.time.as_millis());
        if [2_000, 4_095, 4_096, 4_097, 9_000].contains(&n) {
            store.reopen();
        }
        if n == 6_000 {
            model.check(&store, &mut random, "in the middle");
        }
    }
    model.check(&store, &mut random, "at the end");
    store.reopen();
    model.check(&store, &mut random, "after reopen");
    let reader =
        Store::options().read_only(true).open(store.path()).expect("opens beside the writer");
    model.check(&reader, &mut random, "open for reading");
}

#[test]
fn a_few_large_commits_fill_an_index_block_too() {
    let mut store = Scratch::new();
    let main = store.main().expect("main");
    let message = "x".repeat(1 << 20);
    let mut ids = vec![store.commit("seq:0").expect("root").id.to_string()];
    for n in 0..40_u32 {
        let mut batch = withy::Batch::new();
        batch.put("key", n.to_string());
        let options = CommitOptions::default().message(message.clone());
        main.write(batch, options).expect("commit");
        ids.push(store.commit("main").expect("head").id.to_string());
    }
    drop(main);
    for round in ["at once", "after reopen"] {
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(seq(&store, id), n as u64, "{round}: by id");
            assert_eq!(seq(&store, &format!("main~{n}")), 40 - n as u64, "{round}: by steps");
        }
        store.reopen();
    }
}
