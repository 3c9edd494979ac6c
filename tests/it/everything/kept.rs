//! What a collection must keep, what it must let go, and what is left to see of it.

use std::collections::BTreeMap;

use withy::{ErrorKind, Read, Setting, View};

use crate::model::graph::{ancestors, first_parents};
use crate::model::world::{World, universe};
use crate::support::{must_fail, show};

/// Every key, and the commit itself.
pub(super) const ALL: u32 = u32::MAX;

/// How much of a branch is kept, of the keys with a prefix.
#[derive(Clone, Copy, Debug)]
struct Rule {
    branch: Option<&'static str>,
    prefix: &'static [u8],
    count: Option<usize>,
    seconds: Option<i64>,
}

const fn rule(prefix: &'static [u8], count: Option<usize>, seconds: Option<i64>) -> Rule {
    Rule { branch: None, prefix, count, seconds }
}

const MAIN: Rule = Rule { branch: Some("main"), prefix: b"", count: None, seconds: None };

/// Policies as text, with what they say.
const POLICIES: [(&str, &[Rule]); 8] = [
    ("count=1", &[rule(b"", Some(1), None)]),
    ("count=3", &[rule(b"", Some(3), None)]),
    ("count=4; prefix=a count=1", &[rule(b"", Some(4), None), rule(b"a", Some(1), None)]),
    ("count=2; prefix=m count=6", &[rule(b"", Some(2), None), rule(b"m", Some(6), None)]),
    ("age=300s", &[rule(b"", None, Some(300))]),
    ("age=200s count=2", &[rule(b"", Some(2), Some(200))]),
    ("branch=main forever; count=2", &[MAIN, rule(b"", Some(2), None)]),
    ("forever", &[rule(b"", None, None)]),
];

/// The settings that a collection goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    retention: Option<usize>,
    /// Whether nothing is kept for undo.
    pub(super) no_undo: bool,
    pub(super) max_tags: Option<usize>,
}

impl Policy {
    pub(super) fn any(rng: &mut fastrand::Rng) -> Self {
        let retention = (rng.u8(0..8) > 0).then(|| rng.usize(0..POLICIES.len()));
        let max_tags = (rng.u8(0..4) == 0).then(|| rng.usize(1..4));
        Self { retention, no_undo: rng.u8(0..3) > 0, max_tags }
    }

    /// Takes one of its settings over from another one.
    pub(super) fn take(&mut self, at: usize, from: Self) {
        match at {
            0 => self.retention = from.retention,
            1 => self.no_undo = from.no_undo,
            _ => self.max_tags = from.max_tags,
        }
    }

    pub(super) fn settings(self) -> [(Setting, Option<String>); 3] {
        [
            (Setting::Retention, self.retention.map(|at| POLICIES[at].0.to_owned())),
            (Setting::UndoAge, self.no_undo.then(|| "0s".to_owned())),
            (Setting::MaxTags, self.max_tags.map(|most| most.to_string())),
        ]
    }

    fn rules(self) -> &'static [Rule] {
        self.retention.map_or(&[], |at| POLICIES[at].1)
    }

    /// The rule for a key of a branch; none if all is kept.
    fn rule(self, branch: &str, key: &[u8]) -> Option<Rule> {
        let covers = |rule: &&Rule| {
            rule.branch.is_none_or(|name| name == branch) && key.starts_with(rule.prefix)
        };
        let mut best: Option<Rule> = None;
        for rule in self.rules().iter().filter(covers) {
            if best.is_none_or(|best| rule.prefix.len() > best.prefix.len()) {
                best = Some(*rule);
            }
        }
        best.filter(|rule| rule.count.is_some() || rule.seconds.is_some())
    }

    /// The most commits of a branch that any rule keeps; none if some rule goes by age or keeps all.
    fn most(self) -> Option<usize> {
        let of = |rule: &Rule| rule.count.filter(|_| rule.seconds.is_none());
        let counts: Option<Vec<usize>> = self.rules().iter().map(of).collect();
        counts?.into_iter().max()
    }
}

fn bit(at: usize) -> u32 {
    1 << at
}

impl World {
    /// The commits that must be there after a collection, with the keys that they must show.
    fn must_hold(&self) -> BTreeMap<usize, u32> {
        let mut out = BTreeMap::new();
        let views = self.kept.iter().map(|(_, seq)| *seq);
        let merges = self.more.open.values().flat_map(|&(ours, theirs)| [ours, theirs]);
        let tags = self.names.tags.values().copied();
        for seq in views.chain(merges).chain(tags).chain([0, self.newest()]) {
            out.insert(seq, ALL);
        }
        for (&acked, _) in
            self.more.cursors.values().map(|(acked, held)| (acked, held)).filter(|(_, held)| **held)
        {
            out.extend((acked + 1..self.nodes.len()).map(|seq| (seq, ALL)));
        }
        for (name, &head) in &self.names.branches {
            let chain = first_parents(&self.nodes, head);
            out.insert(head, ALL);
            for (at, key) in universe().iter().enumerate() {
                let Some(rule) = self.more.policy.rule(name, key) else {
                    for seq in ancestors(&self.nodes, head) {
                        *out.entry(seq).or_default() |= bit(at);
                    }
                    continue;
                };
                let young = rule.seconds.map_or(0, |age| self.younger(&chain, age));
                let count = rule.count.unwrap_or(1).max(young);
                for &seq in chain.iter().take(count) {
                    *out.entry(seq).or_default() |= bit(at);
                }
            }
        }
        out
    }

    /// How many of the newest commits were younger than this when a collection began not long ago.
    fn younger(&self, chain: &[usize], seconds: i64) -> usize {
        let now = self.store.clock().peek().as_millis();
        let is_young = |&&seq: &&usize| {
            let commit = self.store.commit(&format!("seq:{seq}"));
            commit.is_ok_and(|commit| commit.time.as_millis() > now - seconds * 1_000)
        };
        chain.iter().take_while(is_young).count()
    }

    /// Looks at every commit: each shows what it did, or that is gone; what must be there is.
    pub(super) fn observe(&mut self) {
        let must = self.must_hold();
        let before = self.more.gone.clone();
        for seq in 0..self.nodes.len() {
            let was = before.get(&seq).copied().unwrap_or(0);
            let must = must.get(&seq).copied().unwrap_or(0) & !was;
            let is = match self.store.view(&format!("seq:{seq}")) {
                Ok(view) => self.missing(&view, seq),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::HistoryGone, "commit {seq}: {e:?}");
                    ALL
                }
            };
            assert_eq!(is & was, was, "INV-74: what is gone of commit {seq} does not come back");
            let lost = is & must;
            let keys: Vec<String> = (0..universe().len())
                .filter(|&at| lost & bit(at) > 0)
                .map(|at| show(universe()[at]))
                .collect();
            assert_eq!(lost, 0, "OPS-7: commit {seq} must be there, with {keys:?}");
            if is > 0 {
                self.more.gone.insert(seq, is);
            }
        }
    }

    /// The keys that a view does not show any more; it shows the others as they were.
    fn missing(&self, view: &View, seq: usize) -> u32 {
        let content = &self.nodes[seq].content;
        let mut missing = 0;
        for (at, key) in universe().iter().enumerate() {
            match view.get(key) {
                Ok(value) => {
                    assert_eq!(value.as_ref(), content.get(*key), "{} at commit {seq}", show(key));
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::HistoryGone, "{} at {seq}: {e:?}", show(key));
                    missing |= bit(at);
                }
            }
        }
        missing
    }

    /// What nothing led to, and no rule kept, is gone after a whole collection.
    pub(super) fn check_let_go(&self) {
        let policy = self.more.policy;
        let (Some(most), true) = (policy.most(), policy.no_undo && self.kept.is_empty()) else {
            return;
        };
        if self.held || !self.more.open.is_empty() || self.more.cursors.values().any(|one| one.1) {
            return;
        }
        let floor = |&head: &usize| {
            let chain = first_parents(&self.nodes, head);
            chain[(most - 1).min(chain.len() - 1)]
        };
        let floor = self.names.branches.values().map(floor).min().expect("there is main");
        for (seq, node) in self.nodes.iter().enumerate() {
            let Some(&parent) = node.parents.first() else { continue };
            // Of each line the last commit up to the floor is what the floor shows.
            if seq <= floor && parent > 0 && !self.more.met.contains(&parent) {
                let is = self.store.view(&format!("seq:{parent}")).err().map(|e| e.kind());
                assert_eq!(
                    is,
                    Some(ErrorKind::HistoryGone),
                    "OPS-7: nothing keeps commit {parent}"
                );
            }
        }
    }

    /// After this position every value is there.
    pub(super) fn whole_start(&self) -> usize {
        self.more.gone.keys().next_back().copied().unwrap_or(0)
    }

    /// The first position that the feed can be read after, values of all keys included.
    pub(crate) fn check_feed_start(&self) -> usize {
        let start = self.store.feed_start().expect("a position").get() as usize;
        let newest_gone = self.more.gone.iter().rev().find(|(_, keys)| **keys == ALL);
        let newest_gone = newest_gone.map_or(0, |(seq, _)| *seq);
        assert_eq!(start, newest_gone, "FEED-2: the feed starts after what is gone");
        self.whole_start()
    }

    /// A log has what is there, in order, and all of it up to what is gone.
    pub(crate) fn check_log_left(&self, found: &[usize], all: &[usize], from: &str) {
        let is_there = |seq: &usize| all.contains(seq) && !self.more.is_gone(*seq);
        assert!(found.iter().all(is_there), "HIST-3: log of {from}: {found:?}");
        assert!(found.is_sorted_by(|a, b| a > b), "HIST-3: log of {from}, newest first");
        let whole = all.iter().take_while(|seq| !self.more.is_gone(**seq)).count();
        assert!(
            found.starts_with(&all[..whole]),
            "HIST-3: log of {from} has what is there: {found:?}"
        );
    }

    /// What is gone cannot be had back.
    pub(crate) fn ask_for_gone(&mut self) {
        let gone: Vec<usize> = self.more.gone.keys().copied().collect();
        let Some(&seq) = self.rng.choice(&gone) else { return };
        self.note(format!("ask for {seq}, which is gone"));
        let (name, rev) = (self.any_branch(), format!("seq:{seq}"));
        let asked = match self.rng.u8(0..3) {
            0 => self.store.create_branch("gone", &rev, Default::default()).map(|_| ()),
            1 => self.store.create_tag("gone", &rev, Default::default()).map(|_| ()),
            _ => self.store.reset(&name, &rev),
        };
        must_fail(asked, ErrorKind::HistoryGone);
    }
}
