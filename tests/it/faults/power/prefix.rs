//! What a process has written in one order, and where in it a store is that a power cut has left.

use std::collections::BTreeMap;

use withy::{Seq, Store};

/// The newest commit, and where each branch is, after one of the writes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    latest: Seq,
    heads: BTreeMap<String, Seq>,
}

/// The store before the first write, and after each: as the process made it, not as the store says.
pub(super) struct Positions(Vec<Position>);

impl Positions {
    /// Follows what a process has said, to its end.
    pub(super) fn of(said: &str) -> Self {
        let heads = BTreeMap::from([("main".to_owned(), Seq::ROOT)]);
        let mut now = Position { latest: Seq::ROOT, heads };
        let mut out = vec![now.clone()];
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ack", seq, branch, ..] | ["head", branch, seq] => now.moves(branch, seq),
                ["made" | "reset", branch] => {
                    let main = now.heads["main"];
                    now.heads.insert(branch.to_owned(), main);
                }
                ["gone", branch] => drop(now.heads.remove(branch)),
                ["written"] => out.push(now.clone()),
                _ => {}
            }
        }
        Self(out)
    }

    /// The store is as it was after one of the writes: not before what it has said to be on disk, and not
    /// behind the one that was under way.
    pub(super) fn must_have(&self, store: &Store, said: &str) {
        let (mut done, mut synced) = (0, 0);
        for line in said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line {
                "written" => done += 1,
                _ if line.starts_with("synced ") => synced = done,
                _ => {}
            }
        }
        let branches = store.branches().expect("the branches").into_iter();
        let heads = branches.map(|branch| (branch.name.to_string(), branch.head)).collect();
        let now = Position { latest: store.latest(), heads };
        let may_be = self.0.iter().take(done + 2).skip(synced);
        let near = may_be.clone().filter(|position| position.latest == now.latest);
        let near: Vec<_> = near.collect();
        assert!(
            near.contains(&&now),
            "branches and commits are those after one write, from {synced} to {done}: {now:?}, {near:#?}"
        );
    }
}

impl Position {
    fn moves(&mut self, branch: &str, seq: &str) {
        let seq = Seq::new(seq.parse().expect("a sequence"));
        self.latest = self.latest.max(seq);
        self.heads.insert(branch.to_owned(), seq);
    }
}
