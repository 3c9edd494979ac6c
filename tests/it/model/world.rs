//! The model: what every commit holds and which commit every ref names, beside a real store.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use fastrand::Rng;
use withy::{Committed, KeyRange, OpenOptions, View};

use super::graph::first_parents;
use crate::everything::More;
use crate::support::{Scratch, must_verify, show};

/// What is visible at a commit.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// What is written: a value, or none for a deletion.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Where a range of keys begins and ends.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// How a history is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// Whether branches mostly start at the newest branch.
    pub(crate) deep: bool,
    /// Whether there are imports with merges.
    pub(crate) merges: bool,
    /// Whether there are runs of many small commits.
    pub(crate) crowded: bool,
    /// Whether there is everything else that a store does: see `everything/`.
    pub(crate) everything: bool,
    pub(crate) steps: usize,
}

/// A commit.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The first is the one that the changes are against.
    pub(crate) parents: Vec<usize>,
    pub(crate) branch: String,
    /// What reads show.
    pub(crate) content: Arc<Map>,
    /// The same with the values that were purged since: counts, ids and hashes rest on it.
    pub(crate) counted: Arc<Map>,
    /// The keys that differ from the first parent, with what they are now.
    pub(crate) changes: Writes,
}

/// Which commit each ref names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) branches: BTreeMap<String, usize>,
    pub(crate) tags: BTreeMap<String, usize>,
    pub(crate) active: String,
}

/// Some values are large; little is cached.
pub(crate) const OPTIONS: fn(OpenOptions) -> OpenOptions =
    |options| options.blob_threshold(64).cache_bytes(1 << 20);

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) shape: Shape,
    pub(crate) store: Scratch,
    /// By sequence.
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: Names,
    /// The refs before and after each operation that is not undone.
    pub(crate) done: Vec<(Names, Names)>,
    pub(crate) undone: Vec<(Names, Names)>,
    pub(crate) newest_branch: String,
    /// Views that are kept while the store goes on.
    pub(crate) kept: Vec<(View, usize)>,
    /// Whether a transaction is open, so that the store may not be closed.
    pub(crate) held: bool,
    /// Content by fingerprint, to see that both are equal together.
    pub(crate) prints: BTreeMap<[u8; 32], Arc<Map>>,
    pub(crate) contents: BTreeMap<Arc<Map>, [u8; 32]>,
    pub(crate) trace: Vec<String>,
    pub(crate) more: More,
    /// For what is not part of the history itself.
    pub(crate) dice: Rng,
    /// How often each kind of thing was done.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        Self::in_store(seed, shape, Scratch::with(OPTIONS))
    }

    pub(crate) fn in_store(seed: u64, shape: Shape, store: Scratch) -> Self {
        let root = Node {
            parents: Vec::new(),
            branch: String::new(),
            content: Arc::default(),
            counted: Arc::default(),
            changes: Writes::new(),
        };
        let names = Names {
            branches: BTreeMap::from([("main".to_owned(), 0)]),
            tags: BTreeMap::new(),
            active: "main".to_owned(),
        };
        Self {
            rng: Rng::with_seed(seed),
            shape,
            store,
            nodes: vec![root],
            names,
            done: Vec::new(),
            undone: Vec::new(),
            newest_branch: "main".to_owned(),
            kept: Vec::new(),
            held: false,
            prints: BTreeMap::new(),
            contents: BTreeMap::new(),
            trace: Vec::new(),
            more: More::default(),
            dice: Rng::with_seed(!seed),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn run(&mut self) {
        for step in 0..self.shape.steps {
            self.step();
            self.check_refs();
            if step % 12 == 11 {
                self.check_some();
            }
        }
        self.check_all();
        must_verify(&self.store);
        self.reopen();
        must_verify(&self.store);
        self.check_all();
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.trace.push(what.into());
    }

    pub(crate) fn newest(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Any sequence, new ones more often.
    pub(crate) fn any_seq(&mut self) -> usize {
        let newest = self.newest();
        let low = if self.rng.bool() { 0 } else { newest.saturating_sub(15) };
        let seq = self.rng.usize(low..=newest);
        // The newest one is always there.
        if self.more.is_whole(seq) { seq } else { newest }
    }

    pub(crate) fn any_branch(&mut self) -> String {
        if self.shape.deep
            && self.rng.u8(0..3) > 0
            && self.names.branches.contains_key(&self.newest_branch)
        {
            return self.newest_branch.clone();
        }
        let at = self.rng.usize(0..self.names.branches.len());
        self.names.branches.keys().nth(at).expect("there is main").clone()
    }

    pub(crate) fn any_key(&mut self) -> Vec<u8> {
        let all = universe();
        // Two keys in three come from a few, so that they meet.
        let upto = if self.rng.u8(0..3) > 0 { 14 } else { all.len() };
        all[self.rng.usize(0..upto)].to_vec()
    }

    /// A value of a small set, on both sides of the threshold.
    pub(crate) fn any_value(&mut self) -> Vec<u8> {
        let byte = self.rng.u8(0..3);
        let len = [0, 1, 1, 2, 5, 63, 64, 65, 300][self.rng.usize(0..9)];
        vec![byte; len]
    }

    pub(crate) fn any_writes(&mut self, most: usize) -> Writes {
        let count = self.rng.usize(1..=most);
        let mut writes = Writes::new();
        for _ in 0..count {
            let value = (self.rng.u8(0..10) < 7).then(|| self.any_value());
            writes.insert(self.any_key(), value);
        }
        writes
    }

    pub(crate) fn any_range(&mut self) -> Bounds {
        let mut bound = || match self.rng.u8(0..4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(self.any_key()),
            _ => Bound::Included(self.any_key()),
        };
        (bound(), bound())
    }

    /// A rev in one of its forms, with what it names.
    pub(crate) fn any_rev(&mut self) -> (String, usize) {
        let (base, mut at) = self.any_base();
        let mut rev = base;
        if self.rng.u8(0..3) == 0 {
            let mut chain = first_parents(&self.nodes, at);
            let there = chain.iter().take_while(|&&seq| self.more.is_whole(seq)).count();
            chain.truncate(there);
            let back = self.rng.usize(0..chain.len());
            rev.push_str(&format!("~{back}"));
            at = chain[back];
        }
        let parents = &self.nodes[at].parents;
        let all_there = parents.iter().all(|&parent| self.more.is_whole(parent));
        if parents.len() > 1 && all_there && self.rng.bool() {
            let which = self.rng.usize(0..parents.len());
            rev.push_str(&format!("^{}", which + 1));
            at = parents[which];
        }
        (rev, at)
    }

    fn any_base(&mut self) -> (String, usize) {
        match self.rng.u8(0..10) {
            0 => ("@".to_owned(), self.names.branches[&self.names.active]),
            1 if !self.names.tags.is_empty() => {
                let nth = self.rng.usize(0..self.names.tags.len());
                let (name, &seq) = self.names.tags.iter().nth(nth).expect("it is below the count");
                // The plain name is the branch, if there is one of the name.
                let plain = !self.names.branches.contains_key(name);
                (if plain { name.clone() } else { format!("tags/{name}") }, seq)
            }
            2 | 3 => {
                let seq = self.any_seq();
                (format!("seq:{seq}"), seq)
            }
            4 => {
                let seq = self.any_seq();
                let commit = self.store.commit(&format!("seq:{seq}")).expect("the commit is there");
                (commit.id.to_string(), seq)
            }
            5 if self.more.gone.is_empty() => self.any_time(),
            n => {
                let name = self.any_branch();
                let seq = self.names.branches[&name];
                (if n == 6 { format!("heads/{name}") } else { name }, seq)
            }
        }
    }

    /// A branch at the time of one of its commits, or of another one.
    fn any_time(&mut self) -> (String, usize) {
        let name = self.any_branch();
        let chain = first_parents(&self.nodes, self.names.branches[&name]);
        let other = self.any_seq();
        let seq = if self.rng.bool() { other } else { chain[self.rng.usize(0..chain.len())] };
        let time = |seq: usize| self.store.commit(&format!("seq:{seq}")).expect("a commit").time;
        let then = time(seq);
        let at = chain.into_iter().find(|&seq| time(seq) <= then).expect("the root is oldest");
        (format!("{name}@{{{then}}}"), at)
    }

    /// The model's side of a commit: what it must come to, given what the store says of it.
    pub(crate) fn committed(
        &mut self,
        branch: &str,
        writes: &Writes,
        allow_empty: bool,
        done: Committed,
    ) {
        let parent = self.names.branches[branch];
        let node = self.child(vec![parent], branch, writes);
        if node.changes.is_empty() && !allow_empty {
            assert_eq!(done, Committed::Unchanged, "KV-3: nothing changes, nothing is written");
            return;
        }
        let seq = done.seq().expect("KV-3: something changes, there is a commit").get();
        assert_eq!(seq, self.nodes.len() as u64, "sequences have no gaps");
        self.nodes.push(node);
        let mut names = self.names.clone();
        names.branches.insert(branch.to_owned(), self.newest());
        self.did(names);
    }

    pub(crate) fn child(&self, parents: Vec<usize>, branch: &str, writes: &Writes) -> Node {
        let before = &self.nodes[parents[0]].content;
        let mut content = (**before).clone();
        let mut counted = (*self.nodes[parents[0]].counted).clone();
        let mut changes = Writes::new();
        for (key, value) in writes {
            if before.get(key) != value.as_ref() {
                changes.insert(key.clone(), value.clone());
                for map in [&mut content, &mut counted] {
                    match value {
                        Some(value) => map.insert(key.clone(), value.clone()),
                        None => map.remove(key),
                    };
                }
            }
        }
        let (content, counted) = (Arc::new(content), Arc::new(counted));
        Node { parents, branch: branch.to_owned(), content, counted, changes }
    }

    /// An operation that can be undone has led to these refs.
    pub(crate) fn did(&mut self, names: Names) {
        let before = std::mem::replace(&mut self.names, names.clone());
        self.done.push((before, names));
        self.undone.clear();
        self.moved();
    }

    pub(crate) fn reopen(&mut self) {
        self.note("reopen");
        // A store is closed once nothing holds it any more.
        let kept: Vec<usize> = self.kept.drain(..).map(|(_, seq)| seq).collect();
        self.store.reopen();
        for seq in kept {
            let view = self.store.view(&format!("seq:{seq}")).expect("the commit is there");
            self.kept.push((view, seq));
        }
    }
}

pub(crate) fn key_range((lo, hi): &Bounds) -> KeyRange {
    KeyRange::new(lo.clone(), hi.clone())
}

pub(crate) fn in_range((lo, hi): &Bounds, key: &[u8]) -> bool {
    let above = match lo {
        Bound::Included(lo) => key >= lo.as_slice(),
        Bound::Excluded(lo) => key > lo.as_slice(),
        Bound::Unbounded => true,
    };
    let below = match hi {
        Bound::Included(hi) => key <= hi.as_slice(),
        Bound::Excluded(hi) => key < hi.as_slice(),
        Bound::Unbounded => true,
    };
    above && below
}

/// Writes as text, for the trace.
pub(crate) fn told(writes: &Writes) -> String {
    let one = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| match value {
        Some(value) => format!("{}={}x{}", show(key), value.len(), value.first().unwrap_or(&0)),
        None => format!("-{}", show(key)),
    };
    writes.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Every key there is: zeros, FFs, prefixes of each other, and plain text.
pub(crate) fn universe() -> &'static [&'static [u8]] {
    &[
        b"a",
        b"a\0",
        b"ab",
        b"b",
        b"\0",
        b"\0\0",
        b"\xff",
        b"\xff\xff",
        b"a\0\0",
        b"\0\xff",
        b"m1",
        b"m2",
        b"m3",
        b"m4",
        b"a\0\xff",
        b"a\x01",
        b"abc",
        b"\0\0\0",
        b"\xff\0",
        b"\xff\xff\xff",
        b"\0\x01",
        b"\x01",
        b"\xfe",
        b"\xfe\xff\xff",
        b"b\0b",
        b"b\xffb",
        b"z",
        b"zz",
        b"n1",
        b"n2",
    ]
}
