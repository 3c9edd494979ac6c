//! The store and the model beside it, and what is done to both besides merging.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use withy::{
    Batch, BranchOptions, CommitOptions, Committed, Direction, ErrorKind, Fingerprint, KeyRange,
    TagListOptions, TagOptions,
};

use super::reference::{Cell, Dag, Map};
use crate::support::{Scratch, must_fail, must_scan, must_verify, show};

const BRANCHES: [&str; 5] = ["main", "a", "b", "c", "d"];
const TAGS: [&str; 3] = ["v1", "v2", "v3"];
const KEYS: [&[u8]; 7] = [b"a", b"ab", b"ab.c", b"b", b"b\0", b"c", b"d"];

/// Which commit each ref names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) branches: BTreeMap<String, usize>,
    pub(crate) tags: BTreeMap<String, usize>,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) steps: usize,
    /// How many keys there are besides the few.
    wide: usize,
    pub(crate) store: Scratch,
    pub(crate) dag: Dag,
    pub(crate) names: Names,
    /// The refs before and after each operation that is not undone.
    done: Vec<(Names, Names)>,
    undone: Vec<(Names, Names)>,
    prints: BTreeMap<Map, Fingerprint>,
    /// What was done; each with the commits that it made.
    trace: Vec<(String, usize)>,
}

/// One kind of step.
type Act = fn(&mut World);

impl World {
    pub(crate) fn new(seed: u64, wide: usize) -> Self {
        let names =
            Names { branches: BTreeMap::from([("main".to_owned(), 0)]), tags: BTreeMap::new() };
        Self {
            rng: Rng::with_seed(seed),
            steps: 90,
            wide,
            store: Scratch::with(|options| options.blob_threshold(64).cache_bytes(1 << 20)),
            dag: Dag::new(),
            names,
            done: Vec::new(),
            undone: Vec::new(),
            prints: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self) {
        for step in 0..self.steps {
            self.step();
            self.check_branches();
            if step % 10 == 9 {
                self.check_old(5);
            }
        }
        self.reopen();
        must_verify(&self.store);
        self.check_branches();
        self.check_old(self.dag.nodes.len());
    }

    fn step(&mut self) {
        let acts: [(u32, Act); 14] = [
            (26, Self::write),
            (u32::from(self.wide > 0) * 40, Self::write_many),
            (8, Self::create_branch),
            (34, Self::merge),
            (7, Self::cherry_pick),
            (5, Self::revert),
            (6, Self::rebase),
            (5, Self::import),
            (3, Self::restore),
            (3, Self::reset),
            (2, Self::create_tag),
            (4, Self::undo_or_redo),
            (1, Self::reopen),
            (2, Self::compact_overlays),
        ];
        let all: u32 = acts.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.u32(0..all);
        for (weight, act) in acts {
            if at < weight {
                return act(self);
            }
            at -= weight;
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.trace.push((what.into(), self.newest()));
    }

    /// The last steps, each with the commits that it made.
    pub(crate) fn told(&self) -> Vec<String> {
        let ends = self.trace.iter().skip(1).map(|(_, before)| *before).chain([self.newest()]);
        let one = |((what, before), end): (&(String, usize), usize)| {
            let made: Vec<String> = (before + 1..=end).map(|seq| self.told_of(seq)).collect();
            format!("{what}{}", made.concat())
        };
        self.trace.iter().zip(ends).map(one).collect()
    }

    fn told_of(&self, seq: usize) -> String {
        let node = &self.dag.nodes[seq];
        let some = |key: &&Vec<u8>| key.len() < 6;
        let told = |key: &Vec<u8>| format!("{}={} ", show(key), brief(&self.dag.cell(seq, key)));
        let content: String = node.content.keys().filter(some).map(told).collect();
        format!("\n    -> {seq} of {:?} {:?}: {content}", node.parents, node.remembered)
    }

    pub(crate) fn newest(&self) -> usize {
        self.dag.nodes.len() - 1
    }

    pub(crate) fn any_branch(&mut self) -> String {
        let at = self.rng.usize(0..self.names.branches.len());
        self.names.branches.keys().nth(at).expect("there is main").clone()
    }

    /// A rev, mostly a branch, with what it names.
    pub(crate) fn any_rev(&mut self) -> (String, usize) {
        match self.rng.u8(0..8) {
            0 => {
                let seq = self.rng.usize(0..=self.newest());
                (format!("seq:{seq}"), seq)
            }
            1 if !self.names.tags.is_empty() => {
                let at = self.rng.usize(0..self.names.tags.len());
                let (name, &seq) = self.names.tags.iter().nth(at).expect("it is below the count");
                (format!("tags/{name}"), seq)
            }
            2 => {
                let name = self.any_branch();
                let chain = self.dag.first_parents(self.names.branches[&name]);
                let back = self.rng.usize(0..chain.len().min(4));
                (format!("{name}~{back}"), chain[back])
            }
            _ => {
                let name = self.any_branch();
                let seq = self.names.branches[&name];
                (name, seq)
            }
        }
    }

    pub(crate) fn any_key(&mut self) -> Vec<u8> {
        KEYS[self.rng.usize(0..KEYS.len())].to_vec()
    }

    pub(crate) fn any_value(&mut self) -> Vec<u8> {
        match self.rng.u8(0..8) {
            0 => Vec::new(),
            1 => vec![b'L'; 100],
            2 => vec![b'M'; 64],
            n => vec![b'0' + n % 3],
        }
    }

    pub(crate) fn any_cell(&mut self) -> Cell {
        (self.rng.u8(0..10) < 7).then(|| self.any_value())
    }

    fn any_writes(&mut self) -> BTreeMap<Vec<u8>, Cell> {
        (0..self.rng.usize(1..4)).map(|_| (self.any_key(), self.any_cell())).collect()
    }

    fn write(&mut self) {
        let writes = self.any_writes();
        self.commit(&writes);
    }

    /// Most of the many keys at once.
    fn write_many(&mut self) {
        let mut writes = BTreeMap::new();
        let share = [20, 50, 95][self.rng.usize(0..3)];
        for number in 0..self.wide {
            if self.rng.u8(0..100) < share {
                let cell = (self.rng.u8(0..10) < 8).then(|| vec![b'0' + self.rng.u8(0..3)]);
                writes.insert(format!("many/{number:04}").into_bytes(), cell);
            }
        }
        self.commit(&writes);
    }

    fn commit(&mut self, writes: &BTreeMap<Vec<u8>, Cell>) {
        let name = self.any_branch();
        self.note(format!("write on {name}"));
        let parent = self.names.branches[&name];
        let (mut batch, mut content) = (Batch::new(), self.dag.content(parent).clone());
        for (key, cell) in writes {
            put(&mut content, key, cell.clone());
            match cell {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            };
        }
        let branch = self.store.branch(&name).expect("it is there");
        let done = branch.write(batch, CommitOptions::default()).expect("a commit");
        self.committed(&name, content, done);
    }

    /// The model's side of a plain commit.
    fn committed(&mut self, branch: &str, content: Map, done: Committed) {
        let parent = self.names.branches[branch];
        if content == *self.dag.content(parent) {
            assert_eq!(done, Committed::Unchanged, "KV-3: nothing changes, nothing is written");
            return;
        }
        let seq = self.dag.add(vec![parent], Vec::new(), content);
        assert_eq!(done.seq().map(|seq| seq.get() as usize), Some(seq), "KV-3: there is a commit");
        self.moved(branch, seq);
    }

    /// A branch is now at a commit.
    pub(crate) fn moved(&mut self, branch: &str, seq: usize) {
        let mut names = self.names.clone();
        names.branches.insert(branch.to_owned(), seq);
        self.did(names);
    }

    /// An operation that can be undone has led to these refs.
    fn did(&mut self, names: Names) {
        let before = std::mem::replace(&mut self.names, names.clone());
        self.done.push((before, names));
        self.undone.clear();
    }

    fn create_branch(&mut self) {
        let name = BRANCHES[self.rng.usize(0..BRANCHES.len())];
        let (rev, at) = self.any_rev();
        if self.names.branches.contains_key(name) {
            return;
        }
        self.note(format!("branch {name} at {rev} ({at})"));
        self.store.create_branch(name, &rev, BranchOptions::default()).expect("a branch");
        self.moved(name, at);
    }

    fn restore(&mut self) {
        let (name, (rev, at)) = (self.any_branch(), self.any_rev());
        let prefix: &[u8] = [&b""[..], b"ab"][self.rng.usize(0..2)];
        self.note(format!("restore {} of {name} to {rev} ({at})", show(prefix)));
        let mut content = self.dag.content(self.names.branches[&name]).clone();
        content.retain(|key, _| !key.starts_with(prefix));
        let wanted = self.dag.content(at).iter().filter(|(key, _)| key.starts_with(prefix));
        content.extend(wanted.map(|(key, value)| (key.clone(), value.clone())));
        let range = KeyRange::prefix(prefix);
        let done = self.store.restore(&name, &rev, &range, CommitOptions::default());
        self.committed(&name, content, done.expect("a restore"));
    }

    fn reset(&mut self) {
        let (name, (rev, at)) = (self.any_branch(), self.any_rev());
        self.note(format!("reset {name} to {rev} ({at})"));
        self.store.reset(&name, &rev).expect("a reset");
        if self.names.branches[&name] != at {
            self.moved(&name, at);
        }
    }

    fn create_tag(&mut self) {
        let name = TAGS[self.rng.usize(0..TAGS.len())];
        let (rev, at) = self.any_rev();
        self.note(format!("tag {name} at {rev} ({at})"));
        self.store.create_tag(name, &rev, TagOptions::default().force(true)).expect("a tag");
        let mut names = self.names.clone();
        names.tags.insert(name.to_owned(), at);
        self.did(names);
    }

    fn undo_or_redo(&mut self) {
        if self.rng.bool() {
            self.note("undo");
            let undone = self.store.undo();
            let Some((before, after)) = self.done.pop() else {
                must_fail(undone, ErrorKind::NotFound);
                return;
            };
            undone.expect("an undo");
            self.names = before.clone();
            self.undone.push((before, after));
        } else {
            self.note("redo");
            let redone = self.store.redo();
            let Some((before, after)) = self.undone.pop() else {
                must_fail(redone, ErrorKind::NotFound);
                return;
            };
            redone.expect("a redo");
            self.names = after.clone();
            self.done.push((before, after));
        }
    }

    fn reopen(&mut self) {
        self.note("reopen");
        self.store.reopen();
    }

    fn compact_overlays(&mut self) {
        let name = self.any_branch();
        self.note(format!("compact the layers of {name}"));
        self.store.compact_overlays(&name).expect("a compaction");
    }

    /// Every ref and the content of every branch.
    pub(crate) fn check_branches(&mut self) {
        let branches = self.store.branches().expect("branches").into_iter();
        let tags = self.store.tags(TagListOptions::default()).expect("tags").into_iter();
        let names = Names {
            branches: branches.map(|i| (i.name.to_string(), i.head.get() as usize)).collect(),
            tags: tags.map(|i| (i.name.to_string(), i.seq.get() as usize)).collect(),
        };
        assert_eq!(names, self.names, "every ref is where the model has it");
        assert_eq!(self.store.latest().get() as usize, self.newest(), "sequences have no gaps");
        let heads: BTreeSet<usize> = self.names.branches.values().copied().collect();
        for at in heads {
            self.check_commit(at);
        }
    }

    fn check_old(&mut self, count: usize) {
        for _ in 0..count {
            let at = self.rng.usize(0..=self.newest());
            self.check_commit(at);
        }
    }

    fn check_commit(&mut self, at: usize) {
        let view = self.store.view(&format!("seq:{at}")).expect("the commit is there");
        let content = self.dag.content(at).clone();
        let rows: Map =
            must_scan(&view, &KeyRange::all(), Direction::Forward).into_iter().collect();
        let differ = |key: &&Vec<u8>| rows.get(*key) != content.get(*key);
        let wrong: Vec<String> =
            rows.keys().chain(content.keys()).filter(differ).map(|k| show(k)).collect();
        assert!(wrong.is_empty(), "commit {at} holds what the model says, but for {wrong:?}");
        let commit = view.commit();
        assert_eq!(commit.keys as usize, content.len(), "commit {at} counts its keys");
        let known = *self.prints.entry(content).or_insert(commit.fingerprint);
        assert_eq!(commit.fingerprint, known, "KV-5: equal content, equal fingerprint");
    }
}

/// Sets a key, or takes it away.
pub(crate) fn put(content: &mut Map, key: &[u8], cell: Cell) {
    match cell {
        Some(value) => content.insert(key.to_vec(), value),
        None => content.remove(key),
    };
}

/// What a key has, in few letters.
pub(crate) fn brief(cell: &Cell) -> String {
    match cell {
        None => "-".to_owned(),
        Some(value) if value.len() > 4 => format!("{}x{}", value.len(), show(&value[..1])),
        Some(value) => format!("{:?}", show(value)),
    }
}
