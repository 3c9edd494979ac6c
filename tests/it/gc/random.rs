//! Random histories with collections in between, some of them stopped half way: after each the store is whole, and what
//! is kept shows what it showed. `WITHY_LONG=1` runs twenty times as many steps.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use withy::{
    Batch, Branch, CommitOptions, DeleteOptions, ErrorKind, GcOptions, MergeOptions, Setting,
    Strategy, TagOptions,
};

use crate::support::{Scratch, is_long, must_verify, rows};

type Rows = Vec<(String, String)>;

/// Policies, from one that keeps nearly nothing to one that keeps all.
const POLICIES: [&str; 6] = [
    "count=1",
    "count=3",
    "count=2; prefix=a/ count=1",
    "count=2; prefix=a/ count=6; prefix=a/b/ forever",
    "count=8; branch=t* count=1",
    "forever",
];

/// A store, and what its tags must show.
struct World {
    store: Scratch,
    random: fastrand::Rng,
    branches: Vec<String>,
    tags: BTreeMap<String, Rows>,
    named: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let store = Scratch::with(|options| options.blob_threshold(32));
        store.set_config(Setting::UndoAge, Some("0s")).expect("a setting");
        let random = fastrand::Rng::with_seed(seed);
        let branches = vec!["main".to_owned()];
        Self { store, random, branches, tags: BTreeMap::new(), named: 0 }
    }

    fn some_branch(&mut self) -> Branch {
        let name = self.random.choice(&self.branches).expect("main is there").clone();
        self.store.branch(&name).expect("it is there")
    }

    fn name(&mut self, kind: &str) -> String {
        self.named += 1;
        format!("{kind}{}", self.named)
    }

    fn write(&mut self) {
        let branch = self.some_branch();
        for _ in 0..self.random.u32(1..4) {
            let mut batch = Batch::new();
            for _ in 0..self.random.u32(1..5) {
                let prefix = *self.random.choice(&["", "a/", "a/b/"]).expect("one");
                let key = format!("{prefix}{}", self.random.u32(0..8));
                match self.random.u32(0..10) {
                    0..4 => batch.delete(key),
                    4 => batch.put(key, format!("{} ", self.random.u32(0..50)).repeat(30)),
                    _ => batch.put(key, self.random.u32(0..50).to_string()),
                };
            }
            match branch.write(batch, CommitOptions::default()) {
                Ok(_) => {}
                Err(e) => panic!("a write: {e:?}"),
            }
        }
    }

    /// Starts a branch at one, or at an older commit if that is there.
    fn branch(&mut self) {
        let from = self.some_branch().name().to_string();
        let name = self.name("t");
        let rev = format!("{from}~{}", self.random.u32(0..4));
        match self.store.create_branch(&name, &rev, Default::default()) {
            Ok(_) => self.branches.push(name),
            Err(e) => {
                let gone = [ErrorKind::HistoryGone, ErrorKind::NotFound];
                assert!(gone.contains(&e.kind()), "it is gone, or there are not so many: {e:?}");
            }
        }
    }

    fn tag(&mut self) {
        let name = self.name("v");
        let branch = self.some_branch();
        let shown = rows(&branch);
        self.store.create_tag(&name, branch.name().as_str(), TagOptions::default()).expect("a tag");
        self.tags.insert(name, shown);
    }

    fn merge(&mut self) {
        let (into, from) = (self.some_branch(), self.some_branch());
        if into.name() != from.name() {
            let options = MergeOptions::default().strategy(Strategy::Theirs);
            self.store.merge(into.name().as_str(), from.name().as_str(), options).expect("a merge");
        }
    }

    fn drop_some(&mut self) {
        if self.branches.len() > 3 {
            let at = self.random.usize(1..self.branches.len());
            let name = self.branches.swap_remove(at);
            self.store.delete_branch(&name, DeleteOptions::default().force(true)).expect("it goes");
        }
        if self.tags.len() > 3 {
            let at = self.random.usize(..self.tags.len());
            let name = self.tags.keys().nth(at).expect("it is there").clone();
            self.tags.remove(&name);
            self.store.delete_tag(&name).expect("it goes");
        }
    }

    /// Collects, or begins to; all that is kept shows what it did.
    fn collect(&mut self) {
        let policy = *self.random.choice(&POLICIES).expect("one");
        self.store.set_config(Setting::Retention, Some(policy)).expect("a setting");
        let before: Vec<Rows> = self.heads();
        let mut left = if self.random.bool() { u32::MAX } else { self.random.u32(0..30) };
        let options = GcOptions::default().compact(false).progress(|_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Err(e) = self.store.gc(options) {
            assert_eq!(e.kind(), ErrorKind::Interrupted, "nothing else stops it: {e:?}");
        }
        assert_eq!(self.heads(), before, "branches show what they did, with {policy}");
        self.check();
        if self.random.u32(0..4) == 0 {
            self.store.reopen();
            self.check();
        }
    }

    fn heads(&self) -> Vec<Rows> {
        self.branches
            .iter()
            .map(|name| rows(&self.store.branch(name).expect("it is there")))
            .collect()
    }

    fn check(&self) {
        for (tag, shown) in &self.tags {
            assert_eq!(&rows(&self.store.view(tag).expect("a tag is kept")), shown, "tag {tag}");
        }
        must_verify(&self.store);
    }
}

#[test]
fn ops_6_ops_7_a_store_is_whole_after_each_collection_of_a_random_history() {
    let (seeds, steps) = if is_long() { (20, 600) } else { (4, 150) };
    for seed in 0..seeds {
        let mut world = World::new(seed);
        for _ in 0..steps {
            match world.random.u32(0..20) {
                0..10 => world.write(),
                10..12 => world.branch(),
                12..14 => world.tag(),
                14..16 => world.merge(),
                16 => world.drop_some(),
                17 => {
                    let name = world.some_branch().name().to_string();
                    world.store.compact_overlays(&name).expect("layers are merged");
                }
                _ => world.collect(),
            }
        }
        world.collect();
    }
}
