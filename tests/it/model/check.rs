//! Comparisons of the store with the model.

use std::collections::BTreeMap;

use withy::{
    ChangeKind, DiffOptions, Direction, FeedEvent, FeedOptions, KeyRange, LogOptions, Read, Seq,
    TagListOptions, ValueHash, View,
};

use super::graph::{ancestors, first_parents, merge_bases};
use super::world::{Map, World, in_range, key_range, universe};
use crate::support::{must_scan, show};

fn rev(seq: usize) -> String {
    format!("seq:{seq}")
}

fn pairs(content: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    content.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl World {
    /// Names of branches and tags and what they name, after every step.
    pub(crate) fn check_refs(&mut self) {
        let branches: BTreeMap<String, usize> = self
            .store
            .branches()
            .expect("branches")
            .into_iter()
            .map(|info| (info.name.to_string(), info.head.get() as usize))
            .collect();
        assert_eq!(branches, self.names.branches, "every branch is where the model has it");
        let tags: BTreeMap<String, usize> = self
            .store
            .tags(TagListOptions::default())
            .expect("tags")
            .into_iter()
            .map(|info| (info.name.to_string(), info.seq.get() as usize))
            .collect();
        assert_eq!(tags, self.names.tags, "every tag is where the model has it");
        let active = self.store.active().expect("one is active");
        assert_eq!(active.as_str(), self.names.active, "the active branch");
        assert_eq!(self.store.latest().get() as usize, self.newest(), "sequences have no gaps");
    }

    /// Every branch, some old commits and some questions on the graph.
    pub(crate) fn check_some(&mut self) {
        let branches: Vec<(String, usize)> =
            self.names.branches.iter().map(|(name, &seq)| (name.clone(), seq)).collect();
        for (name, seq) in branches {
            let branch = self.store.branch(&name).expect("it is there");
            let content = self.nodes[seq].content.clone();
            self.check_read(&branch, &content, &format!("branch {name}"));
            let head = branch.head().expect("a head").seq;
            assert_eq!(head.get() as usize, seq, "branch {name} is at the commit of the model");
        }
        for _ in 0..4 {
            let (rev, seq) = self.any_rev();
            let view = self.store.view(&rev).unwrap_or_else(|e| panic!("view of {rev}: {e:?}"));
            self.check_view(&view, seq);
        }
        let kept = std::mem::take(&mut self.kept);
        for (view, seq) in &kept {
            self.check_view(view, *seq);
        }
        self.kept = kept;
        for _ in 0..4 {
            let (first, second) = (self.any_rev(), self.any_rev());
            self.check_diff(&first, &second);
            self.check_diff(&second, &first);
            self.check_ancestry(&first, &second);
            self.check_ancestry(&second, &first);
        }
        for _ in 0..3 {
            let (rev, key) = (self.any_rev(), self.any_key());
            self.check_history(&rev, &key);
            self.check_log(&rev);
        }
    }

    /// Everything.
    pub(crate) fn check_all(&mut self) {
        self.check_some();
        // All of them, or an even choice of several hundred.
        for seq in (0..self.nodes.len()).step_by(self.nodes.len().div_ceil(600)) {
            if !self.more.is_whole(seq) {
                continue;
            }
            let view = self.store.view(&rev(seq)).expect("every commit can be read");
            self.check_view(&view, seq);
            self.check_commit(seq);
        }
        for key in universe() {
            let from = self.any_rev();
            self.check_history(&from, key);
        }
        self.check_feed();
    }

    /// One thing that can be read shows exactly this content.
    pub(crate) fn check_read(&mut self, view: &impl Read, content: &Map, what: &str) {
        let got = |key: &[u8]| {
            view.get(key).unwrap_or_else(|e| panic!("{what}: get {}: {e:?}", show(key)))
        };
        for key in universe() {
            assert_eq!(got(key).as_ref(), content.get(*key), "{what}: get {}", show(key));
        }
        let mut wanted = universe().to_vec();
        wanted.extend([&b"never written"[..], b"a", b"", b"\xff\xff"]);
        self.rng.shuffle(&mut wanted);
        let found = view.multi_get(&wanted).unwrap_or_else(|e| panic!("{what}: multi_get: {e:?}"));
        let expected: Vec<_> = wanted.iter().map(|key| content.get(*key).cloned()).collect();
        assert_eq!(found, expected, "{what}: multi_get answers in the order of the keys");
        let mut rows = pairs(content);
        assert_eq!(must_scan(view, &KeyRange::all(), Direction::Forward), rows, "{what}: forward");
        rows.reverse();
        assert_eq!(
            must_scan(view, &KeyRange::all(), Direction::Backward),
            rows,
            "{what}: backward"
        );
        for _ in 0..3 {
            let bounds = self.any_range();
            let range = key_range(&bounds);
            let inside = |(key, _): &(Vec<u8>, Vec<u8>)| in_range(&bounds, key);
            let mut rows: Vec<_> = pairs(content).into_iter().filter(inside).collect();
            assert_eq!(
                view.count(&range).expect("a count"),
                rows.len() as u64,
                "{what}: count {range:?}"
            );
            assert_eq!(
                must_scan(view, &range, Direction::Forward),
                rows,
                "{what}: forward, {range:?}"
            );
            rows.reverse();
            assert_eq!(
                must_scan(view, &range, Direction::Backward),
                rows,
                "{what}: backward, {range:?}"
            );
        }
        let prefix = self.any_key();
        let rows: Vec<_> =
            pairs(content).into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
        let found: Vec<_> =
            view.prefix(&prefix).expect("a scan").collect::<Result<_, _>>().expect("rows");
        assert_eq!(found, rows, "{what}: prefix {}", show(&prefix));
    }

    pub(crate) fn check_view(&mut self, view: &View, seq: usize) {
        assert_eq!(
            view.commit().seq.get() as usize,
            seq,
            "a view is of the commit that its rev names"
        );
        let content = self.nodes[seq].content.clone();
        self.check_read(view, &content, &format!("commit {seq}"));
        let counted = self.nodes[seq].counted.clone();
        assert_eq!(view.len(), counted.len() as u64, "KV-5: the number of keys at commit {seq}");
        assert_eq!(view.is_empty(), counted.is_empty(), "KV-5: commit {seq} is empty or not");
        let key = self.any_key();
        let hash = content.get(&key).map(|value| ValueHash::of(value));
        assert_eq!(view.hash(&key).expect("a hash"), hash, "the hash of {} at {seq}", show(&key));
        let print = *view.fingerprint().as_bytes();
        let same = self.prints.entry(print).or_insert_with(|| counted.clone());
        assert_eq!(*same, counted, "KV-5: equal fingerprints, equal content (commit {seq})");
        let one = self.contents.entry(counted).or_insert(print);
        assert_eq!(*one, print, "KV-5: equal content, equal fingerprints (commit {seq})");
    }

    fn check_commit(&self, seq: usize) {
        let node = &self.nodes[seq];
        let commit = self.store.commit(&rev(seq)).expect("the commit is there");
        let parents: Vec<usize> = commit.parents.iter().map(|p| p.seq.get() as usize).collect();
        assert_eq!(parents, node.parents, "the parents of commit {seq}");
        assert_eq!(commit.branch, node.branch, "the branch of commit {seq}");
        assert_eq!(commit.keys, node.counted.len() as u64, "KV-5: the number of keys at {seq}");
        for parent in &commit.parents {
            if self.more.is_gone(parent.seq.get() as usize) {
                continue;
            }
            let id = self.store.commit(&rev(parent.seq.get() as usize)).expect("a parent").id;
            assert_eq!(parent.id, id, "commit {seq} names its parents by their ids");
        }
        let changes = self.store.changes(Seq::new(seq as u64)).expect("changes");
        let found: Vec<_> = changes.iter().map(|c| (c.key.clone(), c.after)).collect();
        let expected: Vec<_> = node
            .changes
            .iter()
            .map(|(key, value)| (key.clone(), value.as_deref().map(ValueHash::of)))
            .collect();
        assert_eq!(found, expected, "the changes of commit {seq} against its first parent");
        let before =
            |key: &[u8]| node.parents.first().and_then(|&p| self.nodes[p].counted.get(key));
        for change in changes {
            let hash = before(&change.key).map(|value| ValueHash::of(value));
            assert_eq!(change.before, hash, "what commit {seq} changed {} from", show(&change.key));
            let kind = kind(hash.is_some(), change.after.is_some());
            assert_eq!(change.kind, kind, "what commit {seq} did to {}", show(&change.key));
        }
    }

    fn check_diff(&mut self, (from, a): &(String, usize), (to, b): &(String, usize)) {
        let (old, new) = (self.nodes[*a].content.clone(), self.nodes[*b].content.clone());
        let mut expected = Vec::new();
        for key in universe() {
            let (before, after) = (old.get(*key), new.get(*key));
            if before != after {
                let kind = kind(before.is_some(), after.is_some());
                expected.push((key.to_vec(), kind, before.cloned(), after.cloned()));
            }
        }
        expected.sort();
        let what = format!("{from} ({a}) to {to} ({b})");
        let run = |options: DiffOptions| -> Vec<_> {
            self.store
                .diff(from, to, options)
                .unwrap_or_else(|e| panic!("diff {what}: {e:?}"))
                .map(|entry| entry.expect("an entry"))
                .map(|e| (e.key, e.kind, e.before, e.after))
                .collect()
        };
        assert_eq!(run(DiffOptions::default()), expected, "DIFF-1: {what}");
        let counts = self.store.diff_counts(from, to, &KeyRange::all()).expect("counts");
        let of = |kind| expected.iter().filter(|e| e.1 == kind).count() as u64;
        let expected_counts =
            [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted].map(of);
        assert_eq!(
            [counts.added, counts.modified, counts.deleted],
            expected_counts,
            "DIFF-2: counts, {what}"
        );
        let bounds = {
            let mut rng = self.rng.fork();
            let mut key = || universe()[rng.usize(0..universe().len())].to_vec();
            (std::ops::Bound::Excluded(key()), std::ops::Bound::Included(key()))
        };
        let names = run(DiffOptions::default().range(key_range(&bounds)).names_only(true).limit(3));
        let in_bounds: Vec<_> = expected
            .iter()
            .filter(|e| in_range(&bounds, &e.0))
            .take(3)
            .map(|e| (e.0.clone(), e.1, None, None))
            .collect();
        assert_eq!(names, in_bounds, "DIFF-2: names in a range, at most three, {what}");
    }

    fn check_ancestry(&self, (one, a): &(String, usize), (two, b): &(String, usize)) {
        // What is between others may be gone.
        if !(self.more.gone.is_empty() || [a, b].iter().all(|seq| self.is_named(**seq))) {
            return;
        }
        let bases: Vec<usize> = self
            .store
            .merge_base(one, two)
            .unwrap_or_else(|e| panic!("merge base of {one} and {two}: {e:?}"))
            .into_iter()
            .map(|seq| seq.get() as usize)
            .collect();
        let expected = merge_bases(&self.nodes, *a, *b);
        assert_eq!(
            bases, expected,
            "MERGE-9: best common ancestors of {one} ({a}) and {two} ({b})"
        );
        let is = self.store.is_ancestor(one, two).expect("ancestry");
        let expected = ancestors(&self.nodes, *b).contains(a);
        assert_eq!(is, expected, "is {one} ({a}) an ancestor of {two} ({b})");
    }

    fn check_history(&self, (from, at): &(String, usize), key: &[u8]) {
        if self.more.purged.contains(key) {
            return;
        }
        let found: Vec<_> = self
            .store
            .history(from, key)
            .unwrap_or_else(|e| panic!("history of {} at {from}: {e:?}", show(key)))
            .map(|version| version.expect("a version"))
            .map(|v| (v.commit.seq.get() as usize, v.kind, v.value))
            .collect();
        let before = |seq: usize| {
            self.nodes[seq].parents.first().and_then(|&p| self.nodes[p].content.get(key))
        };
        let expected: Vec<_> = first_parents(&self.nodes, *at)
            .into_iter()
            .filter_map(|seq| Some((seq, self.nodes[seq].changes.get(key)?)))
            .map(|(seq, now)| (seq, kind(before(seq).is_some(), now.is_some()), now.clone()))
            .collect();
        let what = format!("HIST-2: history of {} at {from} ({at})", show(key));
        if !self.more.collected {
            return assert_eq!(found, expected, "{what}");
        }
        assert!(expected.starts_with(&found), "{what}, up to what is gone: {found:?}");
    }

    fn check_log(&mut self, (from, at): &(String, usize)) {
        let bounds = self.any_range();
        let run = |options: LogOptions| -> Vec<usize> {
            self.store
                .log(from, options)
                .unwrap_or_else(|e| panic!("log of {from}: {e:?}"))
                .map(|commit| commit.expect("a commit").seq.get() as usize)
                .collect()
        };
        let all: Vec<usize> = ancestors(&self.nodes, *at).into_iter().rev().collect();
        let chain = first_parents(&self.nodes, *at);
        if self.more.collected {
            self.check_log_left(&run(LogOptions::default()), &all, from);
            let found = run(LogOptions::default().first_parent(true));
            return self.check_log_left(&found, &chain, from);
        }
        assert_eq!(run(LogOptions::default()), all, "HIST-3: log of {from} ({at}), newest first");
        assert_eq!(
            run(LogOptions::default().first_parent(true)),
            chain,
            "HIST-3: first parents of {from}"
        );
        let hit = |seq: &usize| self.nodes[*seq].changes.keys().any(|key| in_range(&bounds, key));
        let in_bounds: Vec<usize> = all.into_iter().filter(hit).take(5).collect();
        let options = LogOptions::default().range(key_range(&bounds)).limit(5);
        assert_eq!(run(options), in_bounds, "HIST-3: log of {from} ({at}) by keys {bounds:?}");
    }

    /// The feed, folded, leads to the content of every commit.
    fn check_feed(&mut self) {
        let start = self.check_feed_start();
        let mut next = start + 1;
        let events = self.store.feed(Seq::new(start as u64), FeedOptions::default());
        for event in events.expect("the feed opens") {
            self.check_event(&event.expect("an event"), next);
            next += 1;
        }
        assert_eq!(next, self.nodes.len(), "FEED-1: the feed ends with the newest commit");
        let (name, bounds) = (self.any_branch(), self.any_range());
        let after = self.any_seq().max(start);
        let options =
            FeedOptions::default().branch(&name).range(key_range(&bounds)).names_only(true);
        let found: Vec<(usize, Vec<Vec<u8>>)> = self
            .store
            .feed(Seq::new(after as u64), options)
            .expect("the feed opens")
            .map(|event| event.expect("an event"))
            .map(|e| (e.commit.seq.get() as usize, e.changes.into_iter().map(|c| c.key).collect()))
            .collect();
        let all = matches!(bounds, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded));
        let expected: Vec<(usize, Vec<Vec<u8>>)> = (after + 1..self.nodes.len())
            .filter(|&seq| self.nodes[seq].branch == name)
            .map(|seq| {
                let keys = self.nodes[seq].changes.keys().filter(|key| in_range(&bounds, key));
                (seq, keys.cloned().collect::<Vec<_>>())
            })
            .filter(|(_, keys)| all || !keys.is_empty())
            .collect();
        assert_eq!(found, expected, "FEED-2: the feed of {name} after {after} in {bounds:?}");
    }

    /// One commit as the feed tells it.
    pub(crate) fn check_event(&self, event: &FeedEvent, next: usize) {
        let node = &self.nodes[next];
        assert_eq!(event.commit.seq.get() as usize, next, "FEED-1: every commit once, in order");
        assert_eq!(event.commit.branch, node.branch, "FEED-2: the branch it was made on");
        let mut counted = (*self.nodes[node.parents[0]].counted).clone();
        for change in &event.changes {
            let was_there = match node.changes.get(&change.key).cloned().flatten() {
                None => {
                    assert_eq!(change.value, None, "FEED-1: a deletion at commit {next}");
                    counted.remove(&change.key).is_some()
                }
                Some(value) => {
                    let shown = node.content.get(&change.key);
                    assert_eq!(change.value.as_ref(), shown, "FEED-1: the value at commit {next}");
                    counted.insert(change.key.clone(), value).is_some()
                }
            };
            let is_there = counted.contains_key(&change.key);
            assert_eq!(change.kind, kind(was_there, is_there), "what commit {next} did");
        }
        assert_eq!(counted, *node.counted, "FEED-1: the changes lead to commit {next}");
    }
}

fn kind(before: bool, after: bool) -> ChangeKind {
    match (before, after) {
        (false, true) => ChangeKind::Added,
        (true, true) => ChangeKind::Modified,
        (true, false) => ChangeKind::Deleted,
        (false, false) => panic!("no change"),
    }
}
