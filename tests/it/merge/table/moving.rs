//! MERGE-8: the target moves between a plan and its landing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use withy::{CommitOptions, MergeOptions, MergeOutcome, Resolution, Strategy};

use super::rules::must_merge;
use crate::support::{Scratch, must_branch, must_get, must_head, must_put, rows};

const ROUNDS: usize = 60;

/// Ends the writer, also when the work beside it fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes to main all the time while something is done; says how many writes there were.
fn beside(store: &Scratch, work: impl FnOnce()) -> usize {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let main = store.main().expect("main");
            let mut count = 0;
            while !ended.load(Ordering::SeqCst) {
                must_put(&main, &format!("own/{count:05}"), "written beside");
                count += 1;
                // Often enough to come between a plan and its landing, and no flood.
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
            count
        });
        let end = End(&ended);
        work();
        drop(end);
        writer.join().expect("the writer goes through")
    })
}

fn must_hold_all(store: &Scratch, writes: usize) {
    let keys: BTreeSet<String> =
        rows(&store.main().expect("main")).into_iter().map(|(key, _)| key).collect();
    for count in 0..writes {
        let key = format!("own/{count:05}");
        assert!(keys.contains(&key), "MERGE-8: {key} was written beside and is not overwritten");
    }
}

#[test]
fn merge_8_merges_beside_a_writer_lose_nothing_on_either_side() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "shared", "base");
    let writes = beside(&store, || {
        for round in 0..ROUNDS {
            let name = format!("topic{round}");
            let topic = must_branch(&store, &name, "main");
            must_put(&topic, &format!("topic/{round:03}"), "merged");
            must_put(&topic, "shared", &round.to_string());
            let squash = round % 3 == 0;
            let options = MergeOptions::default().strategy(Strategy::Theirs).squash(squash);
            let report = must_merge(&store, "main", &name, options);
            let made = match report.outcome {
                MergeOutcome::FastForward => must_head(&topic),
                _ => store.commit(&format!("seq:{}", report.head)).expect("the merge commit"),
            };
            let (from, to) = (format!("seq:{}", report.ours), format!("seq:{}", made.seq));
            let diff = store.diff(&from, &to, withy::DiffOptions::default()).expect("a diff");
            let changed: Vec<Vec<u8>> = diff.map(|entry| entry.expect("an entry").key).collect();
            let want = [b"shared".to_vec(), format!("topic/{round:03}").into_bytes()];
            assert_eq!(changed, want, "the newest commit and the source, and nothing else");
        }
    });
    must_hold_all(&store, writes);
    for round in 0..ROUNDS {
        let value = must_get(&main, format!("topic/{round:03}"));
        assert_eq!(value.as_deref(), Some("merged"), "MERGE-8: no merge is lost");
    }
    let keys = rows(&main).len();
    assert_eq!(keys, writes + ROUNDS + 1, "and nothing else is there");
}

#[test]
fn merge_8_conflicts_beside_a_writer_are_those_of_the_newest_commit() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    must_put(&main, "shared", "base");
    let writes = beside(&store, || {
        for round in 0..ROUNDS {
            let name = format!("topic{round}");
            let topic = must_branch(&store, &name, "main");
            must_put(&topic, "shared", &format!("theirs {round}"));
            must_put(&main, "shared", &format!("ours {round}"));
            let options = MergeOptions::default().keep_open(true);
            let report = must_merge(&store, "main", &name, options);
            assert!(report.open, "the conflict is kept");
            let made = [("shared", Resolution::Theirs)];
            assert_eq!(store.resolve_conflicts("main", made, None).expect("settled"), 1, "one");
            let report = store.continue_merge("main", CommitOptions::default()).expect("goes on");
            assert_eq!(report.outcome, MergeOutcome::Committed, "a resolution holds");
            assert_eq!(must_get(&main, "shared"), Some(format!("theirs {round}")), "and is used");
        }
    });
    must_hold_all(&store, writes);
    assert_eq!(store.open_merges().expect("a list"), [], "nothing is left open");
}

#[test]
fn merge_8_picks_and_reverts_beside_a_writer_lose_nothing() {
    let store = Scratch::new();
    let main = store.main().expect("main");
    let topic = must_branch(&store, "topic", "main");
    for round in 0..ROUNDS {
        must_put(&topic, &format!("topic/{round:03}"), "picked");
    }
    let writes = beside(&store, || {
        for round in (0..ROUNDS).step_by(2) {
            let revs =
                [format!("topic~{}", ROUNDS - 1 - round), format!("topic~{}", ROUNDS - 2 - round)];
            let revs: Vec<&str> = revs.iter().map(String::as_str).collect();
            let done = store.cherry_pick("main", &revs, MergeOptions::default()).expect("picks");
            assert_eq!(done.commits.len(), 2, "both are picked");
            let last = format!("seq:{}", done.commits[1]);
            store.revert("main", &[&last], MergeOptions::default()).expect("a revert");
        }
    });
    must_hold_all(&store, writes);
    assert_eq!(rows(&main).len(), writes + ROUNDS / 2, "half of them were taken back");
}
