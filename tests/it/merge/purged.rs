//! Merges around a purge: what was purged is absent, and what is put again is a change.
//!
//! Each key has a history of its own: every combination of what a small universe can do to it at the base,
//! on both sides before the purge, and on both sides after it.

use withy::{
    Batch, Branch, CommitOptions, KeyRange, MergeOptions, MergeOutcome, PurgeOptions, Read, Seq,
    Store, Strategy, TagOptions,
};

use crate::support::{Scratch, must_branch, must_put, must_verify};

/// What can be done to a key in one step.
const STEPS: [Option<Option<&str>>; 4] = [None, Some(Some("v")), Some(Some("w")), Some(None)];
/// How many steps a key has: the base, each side before the purge, each side after it.
const LEN: usize = 5;
/// More than those keys are looked up by the log where nothing was purged.
const KEYS: usize = STEPS.len().pow(LEN as u32);

fn key(n: usize) -> String {
    format!("secret/{n:04}")
}

/// Does one of the steps of all keys.
fn step(branch: &Branch, at: usize) {
    let mut batch = Batch::new();
    for n in 0..KEYS {
        match STEPS[n / STEPS.len().pow(at as u32) % STEPS.len()] {
            None => {}
            Some(Some(value)) => drop(batch.put(key(n), value)),
            Some(None) => drop(batch.delete(key(n))),
        }
    }
    branch.write(batch, CommitOptions::default()).expect("a commit");
}

/// Two branches with a base in common; the other one was made before the purge, or after it from a tag.
fn diverged(late: bool) -> Scratch {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "open", "0");
    step(&main, 0);
    store.create_tag("base", "main", TagOptions::default()).expect("a tag");
    if !late {
        step(&must_branch(&store, "side", "base"), 1);
    }
    step(&main, 2);
    store.purge(&KeyRange::prefix("secret/"), PurgeOptions::default()).expect("a purge");
    let side = match late {
        true => must_branch(&store, "side", "base"),
        false => store.branch("side").expect("it is there"),
    };
    step(&side, 3);
    step(&main, 4);
    must_put(&main, "open/main", "1");
    drop((main, side));
    store
}

type Values = Vec<Option<Vec<u8>>>;

fn values(store: &Store, rev: &str) -> Values {
    let view = store.view(rev).expect("a view");
    (0..KEYS).map(|n| view.get(key(n).as_bytes()).expect("a read")).collect()
}

/// What a merge of each key comes to, from what reads say of it.
fn merged(base: &Values, ours: &Values, theirs: &Values, strategy: Strategy) -> Values {
    let one = |n: usize| match () {
        () if ours[n] == theirs[n] || theirs[n] == base[n] => ours[n].clone(),
        () if ours[n] == base[n] || strategy == Strategy::Theirs => theirs[n].clone(),
        () => ours[n].clone(),
    };
    (0..KEYS).map(one).collect()
}

fn check(store: &Store, branch: &str, wanted: &Values) {
    let found = values(store, branch);
    for n in 0..KEYS {
        assert_eq!(found[n], wanted[n], "key {n} on {branch} is what the rule gives");
    }
    must_verify(store);
}

#[test]
fn ops_7_a_merge_takes_what_was_purged_for_absent() {
    for late in [false, true] {
        let store = diverged(late);
        for (ours, theirs) in [("main", "side"), ("side", "main")] {
            for strategy in [Strategy::Ours, Strategy::Theirs] {
                let target = format!("{ours}-{strategy}");
                must_branch(&store, &target, ours);
                let options = MergeOptions::default().strategy(strategy);
                let plan = store.plan_merge(&target, theirs, options.clone()).expect("a plan");
                let report = store.merge(&target, theirs, options).expect("a merge");
                assert_eq!(report.outcome, MergeOutcome::Committed, "{theirs} into {target}");
                let [base] = report.bases[..] else { panic!("one base") };
                let base = values(&store, &format!("seq:{base}"));
                let sides = [values(&store, ours), values(&store, theirs)];
                let wanted = merged(&base, &sides[0], &sides[1], strategy);
                check(&store, &target, &wanted);
                let planned: Vec<_> = plan.changes.iter().map(|change| &change.key).collect();
                let differs = (0..KEYS).filter(|&n| wanted[n] != sides[0][n]);
                let differs: Vec<_> = differs.map(|n| key(n).into_bytes()).collect();
                let differs: Vec<_> = differs.iter().collect();
                let secret = planned.into_iter().filter(|key| key.starts_with(b"secret/"));
                assert_eq!(secret.collect::<Vec<_>>(), differs, "the plan names what changes");
            }
        }
    }
}

#[test]
fn ops_7_picks_reverts_and_rebases_take_what_was_purged_for_absent() {
    let store = diverged(true);
    let head = store.branch("side").expect("it is there").head().expect("a head").seq;
    let rev = format!("seq:{head}");
    let (main, side) = (values(&store, "main"), values(&store, &rev));
    let base = values(&store, "base");
    assert!(base.iter().all(Option::is_none), "all of the base was purged");
    for strategy in [Strategy::Ours, Strategy::Theirs] {
        let options = || MergeOptions::default().strategy(strategy);
        let picked = format!("picked-{strategy}");
        must_branch(&store, &picked, "main");
        store.cherry_pick(&picked, &[&rev], options()).expect("a pick");
        let wanted = merged(&base, &main, &side, strategy);
        check(&store, &picked, &wanted);
        store.revert(&picked, &[&rev], options()).expect("a revert");
        check(&store, &picked, &merged(&side, &wanted, &base, strategy));
        let rebased = format!("rebased-{strategy}");
        must_branch(&store, &rebased, "side");
        store.rebase(&rebased, "main", options()).expect("a rebase");
        check(&store, &rebased, &wanted);
    }
}

#[test]
fn ops_7_bases_that_differ_count_what_was_purged_for_absent() {
    let store = diverged(true);
    let theirs = || MergeOptions::default().strategy(Strategy::Theirs);
    // Each side merges what the other was before: two bases from now on.
    let heads = ["main", "side"].map(|name| store.commit(name).expect("a head").seq);
    let rev = |seq: Seq| format!("seq:{seq}");
    store.merge("main", &rev(heads[1]), theirs()).expect("a merge");
    store.merge("side", &rev(heads[0]), theirs()).expect("a merge");
    must_put(&store.branch("side").expect("it is there"), "open/side", "2");
    let (main, side) = (values(&store, "main"), values(&store, "side"));
    let report = store.merge("main", "side", theirs()).expect("a merge");
    assert_eq!(report.bases.len(), 2, "the histories criss-cross");
    let [first, second] = [0, 1].map(|n| values(&store, &rev(report.bases[n])));
    let below = values(&store, "base");
    let wanted = (0..KEYS).map(|n| {
        // The base of bases: what one of them changed, or nothing that equals either side.
        let folded = match () {
            () if first[n] == second[n] || second[n] == below[n] => Some(first[n].clone()),
            () if first[n] == below[n] => Some(second[n].clone()),
            () => None,
        };
        let stays = main[n] == side[n] || folded.as_ref() == Some(&side[n]);
        if stays { main[n].clone() } else { side[n].clone() }
    });
    check(&store, "main", &wanted.collect());
}
